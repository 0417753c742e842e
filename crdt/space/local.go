package space

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/tree"
)

// Create makes a node. An existing name is os.ErrExist.
func (s *Space) Create(parent NodeID, name string, n New) (Info, error) {
	return s.change("create", parent, func(c *change) error {
		if err := s.free(parent, name); err != nil {
			return s.failAt("create", parent, name, err)
		}
		content := &tree.Content{Kind: tree.Dir}
		switch n.Kind {
		case File:
			var err error
			if content, err = s.op(n.Content); err != nil {
				return err
			}
		case Symlink:
			if n.Target == "" || len(n.Target) > tree.MaxTarget {
				return syscall.EINVAL
			}
			content = &tree.Content{Kind: tree.Symlink, Data: []byte(n.Target)}
		}
		id := s.newID(parent, name, n.Kind)
		c.id = id
		live := s.tree.Live(id)
		op := c.next(id, live.Lamport)
		op.Place = &tree.Place{Parent: parent, Name: []byte(name), Over: versions(live.Place)}
		op.Meta = &tree.Meta{Exec: n.Exec, Mtime: s.mtime(n.Mtime), Over: versions(live.Meta)}
		op.Content = content
		op.Content.Over = versions(live.Content, live.Rest)
		return nil
	})
}

func (s *Space) mtime(t time.Time) int64 {
	if t.IsZero() {
		t = s.now()
	}
	return t.UnixNano()
}

// versions returns the union of sorted lists, sorted.
func versions(lists ...[]tree.Version) []tree.Version {
	all := slices.Concat(lists...)
	slices.SortFunc(all, tree.Version.Compare)
	all = slices.Compact(all)
	return all[:min(len(all), tree.MaxOver)]
}

// newID returns the ID of a new node. A folder's follows from where it is made,
// so that one made on two devices is one, unless that folder has moved away.
func (s *Space) newID(parent NodeID, name string, kind Kind) NodeID {
	if kind == Dir {
		id := tree.FolderID(parent, name)
		p, n, known := s.tree.Known(id)
		_, shown := s.tree.Get(id)
		if !known || !shown && p == parent && n == name {
			return id
		}
	}
	var id NodeID
	rand.Read(id[:])
	return id
}

// free returns nil if parent can hold a new entry called name.
func (s *Space) free(parent NodeID, name string) error {
	if err := s.folder(parent); err != nil {
		return err
	}
	if !tree.Legal(name) {
		if len(name) > 255 {
			return syscall.ENAMETOOLONG
		}
		return fmt.Errorf("name %q: %w", name, syscall.EINVAL)
	}
	if _, taken := s.tree.Lookup(parent, name); taken {
		return os.ErrExist
	}
	return nil
}

func (s *Space) folder(id NodeID) error {
	e, ok := s.tree.Get(id)
	if !ok {
		return os.ErrNotExist
	}
	if e.Kind != tree.Dir {
		return syscall.ENOTDIR
	}
	return nil
}

// Move renames a node. With replace, what has the name already is removed in
// the same entry.
func (s *Space) Move(id, parent NodeID, name string, replace bool) (Info, error) {
	return s.change("rename", id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		if e.ID == Root {
			return syscall.EBUSY
		}
		if e.Kind == tree.Dir && s.tree.Within(parent, id) {
			return syscall.EINVAL
		}
		if e.Parent == parent && e.Name == name {
			return nil
		}
		err := s.free(parent, name)
		if err == os.ErrExist && replace {
			err = c.replace(e, parent, name)
		}
		if err != nil {
			return s.failAt("rename to", parent, name, err)
		}
		if e.Copy {
			c.id, err = c.part(e, parent, name, nil, nil)
			return err
		}
		live := s.tree.Live(id)
		c.next(id, live.Lamport).Place = &tree.Place{Parent: parent, Name: []byte(name), Over: versions(live.Place)}
		return nil
	})
}

// replace removes what e is moved over.
func (c *change) replace(e tree.Entry, parent NodeID, name string) error {
	id, _ := c.s.tree.Lookup(parent, name)
	old, ok := c.s.tree.Get(id)
	if !ok {
		return os.ErrNotExist
	}
	if old.Kind == tree.Dir && e.Kind != tree.Dir {
		return syscall.EISDIR
	}
	if old.Kind != tree.Dir && e.Kind == tree.Dir {
		return syscall.ENOTDIR
	}
	return c.remove(old)
}

// Exchange swaps the places of two nodes.
func (s *Space) Exchange(a, b NodeID) error {
	_, err := s.change("exchange", a, func(c *change) error {
		ea, okA := s.tree.Get(a)
		eb, okB := s.tree.Get(b)
		switch {
		case !okA || !okB:
			return os.ErrNotExist
		case a == Root || b == Root || ea.Copy || eb.Copy:
			return syscall.EINVAL
		case s.tree.Within(a, b) || s.tree.Within(b, a):
			if a == b {
				return nil
			}
			return syscall.EINVAL
		}
		for _, m := range []struct{ from, to tree.Entry }{{ea, eb}, {eb, ea}} {
			live := s.tree.Live(m.from.ID)
			c.next(m.from.ID, live.Lamport).Place = &tree.Place{Parent: m.to.Parent, Name: []byte(m.to.Name), Over: versions(live.Place)}
		}
		return nil
	})
	return err
}

// SetAttr sets attributes; nil leaves one as it is.
func (s *Space) SetAttr(id NodeID, exec *bool, mtime *time.Time) error {
	_, err := s.change("setattr", id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		if e.ID == Root {
			return nil // has none
		}
		meta := &tree.Meta{Exec: e.Exec, Mtime: e.Mtime}
		if exec != nil {
			meta.Exec = *exec
		}
		if mtime != nil {
			meta.Mtime = mtime.UnixNano()
		}
		if meta.Exec == e.Exec && meta.Mtime == e.Mtime {
			return nil
		}
		if e.Copy {
			_, err := c.part(e, e.Parent, e.Name, nil, meta)
			return err
		}
		live := s.tree.Live(id)
		meta.Over = versions(live.Meta)
		c.next(id, live.Lamport).Meta = meta
		return nil
	})
	return err
}
