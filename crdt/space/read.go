package space

import (
	"errors"
	"os"
	"time"

	"github.com/echofs/echofs/crdt/tree"
)

// Lookup returns the entry of a folder that has a name.
func (s *Space) Lookup(parent NodeID, name string) (Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id, ok := s.tree.Lookup(parent, name); ok {
		if e, ok := s.tree.Get(id); ok {
			return s.info(e), nil
		}
	}
	return Info{}, &Error{"lookup", s.name, join(s.tree.Path(parent), name), os.ErrNotExist}
}

// failAt wraps err with the path of a name in a folder. The caller does not
// hold mu.
func (s *Space) failAt(op string, parent NodeID, name string, err error) error {
	return &Error{op, s.name, join(s.Path(parent), name), err}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// Stat returns the entry with an ID.
func (s *Space) Stat(id NodeID) (Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.tree.Get(id)
	if !ok {
		return Info{}, s.failLocked("stat", id, os.ErrNotExist)
	}
	return s.info(e), nil
}

// List returns what is in a folder, sorted by name.
func (s *Space) List(dir NodeID) ([]Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.folder(dir); err != nil {
		return nil, s.failLocked("list", dir, err)
	}
	entries := s.tree.Children(dir)
	infos := make([]Info, len(entries))
	for i, e := range entries {
		infos[i] = s.info(e)
	}
	return infos, nil
}

// Path returns where a node is, slash-separated, "" for the root.
func (s *Space) Path(id NodeID) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.Path(id)
}

func (s *Space) info(e tree.Entry) Info {
	i := Info{
		ID: e.ID, Parent: e.Parent, Name: e.Name, Exec: e.Exec, Mode: e.Mode, Size: e.Size,
		Target: e.Target, Text: e.Text, Version: e.Tag, Conflict: e.Copy,
	}
	switch e.Kind {
	case tree.Dir:
		i.Kind = Dir
	case tree.Symlink:
		i.Kind = Symlink
	}
	if e.Mtime != 0 {
		i.Mtime = time.Unix(0, e.Mtime)
	}
	if f, ok := s.members.Feed(e.Author); ok {
		i.Author = f.Identity
	}
	return i
}

// fail wraps err, which may be wrapped already. The caller does not hold mu.
func (s *Space) fail(op string, id NodeID, err error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failLocked(op, id, err)
}

func (s *Space) failLocked(op string, id NodeID, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	return &Error{op, s.name, s.tree.Path(id), err}
}
