package space

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// saved is a node that this device changed by entries that do not count any
// more, as it was with them.
type saved struct {
	node   NodeID
	path   string // "" if it was not there
	entry  tree.Entry
	keep   *withdrawn // the content of a file, kept until it is written again
	target string     // of a symbolic link
}

// save notes, of the nodes that this device changed in vain, what they are now.
// The caller holds write.
func (s *Space) save(v *verdict) error {
	nodes := make(map[NodeID]bool)
	for i := range v.own {
		ops, err := s.opsByID(v.own[i].ID)
		if err != nil {
			return err
		}
		for j := range ops {
			nodes[ops[j].Node] = true
		}
	}
	for _, node := range slices.SortedFunc(maps.Keys(nodes), NodeID.Compare) {
		w := saved{node: node}
		e, ok := s.tree.Get(node)
		if !ok {
			v.saved = append(v.saved, w)
			continue
		}
		w.path, w.entry, w.target = s.tree.Path(node), e, e.Target
		mtime := e.Mtime
		switch e.Kind {
		case tree.Blob:
			w.keep = &withdrawn{Path: w.path, Time: mtime, Hash: e.Hash, Size: e.Size}
		case tree.Bytes:
			data, err := s.text(textKey(e.Node, e.Key))
			if err != nil {
				return err
			}
			w.keep = &withdrawn{Path: w.path, Time: mtime, Data: data}
		}
		v.saved = append(v.saved, w)
	}
	slices.SortStableFunc(v.saved, func(a, b saved) int { // folders first, those above before those below
		return cmp.Or(-cmp.Compare(btoi(a.entry.Kind == tree.Dir), btoi(b.entry.Kind == tree.Dir)), cmp.Compare(strings.Count(a.path, "/"), strings.Count(b.path, "/")))
	})
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// writeAgain writes what this device had written in vain, as changes of the
// space as it is now. What may not be written stays in Withdrawn.
func (s *Space) writeAgain(v *verdict) {
	if len(v.saved) == 0 {
		return
	}
	poison := slices.ContainsFunc(v.own, func(e logged) bool { return s.isExcluded(e.ID) })
	if s.ReadOnly() || poison {
		s.log.Warn("what was written on this device does not count any more; it is kept in .space/withdrawn", "space", s.name, "files", len(v.saved))
		return
	}
	for i := range v.saved {
		if err := s.writeOneAgain(&v.saved[i]); err != nil {
			s.log.Warn("what does not count any more cannot be written again; it is kept in .space/withdrawn",
				"space", s.name, "path", v.saved[i].path, "err", err)
		}
	}
}

func (s *Space) isExcluded(id identity.ID) bool {
	s.write.Lock()
	defer s.write.Unlock()
	return s.excluded()[id]
}

func (s *Space) writeOneAgain(w *saved) error {
	now, err := s.Stat(w.node)
	there := err == nil
	if w.path == "" { // this device had removed it
		if there {
			return s.Remove(w.node)
		}
		return nil
	}
	if there && (now.Parent != w.entry.Parent || now.Name != w.entry.Name) {
		dir, name := w.place()
		parent, err := s.folderAt(dir)
		if err != nil {
			return err
		}
		if _, err := s.Move(w.node, parent, name, false); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	switch {
	case w.entry.Kind == tree.Dir:
		_, err := s.folderAt(w.path)
		return err
	case w.keep != nil:
		if err := s.contentAgain(w, there); err != nil {
			return err
		}
		return s.db.Update(func(tx *store.Tx) error { return dropWithdrawn(tx, w.keep) })
	case !there:
		return s.create(w, New{Kind: Symlink, Target: w.target})
	}
	return nil
}

func (w *saved) place() (dir, name string) {
	if i := strings.LastIndexByte(w.path, '/'); i >= 0 {
		return w.path[:i], w.path[i+1:]
	}
	return "", w.path
}

func (s *Space) contentAgain(w *saved, there bool) error {
	content := Content{data: w.keep.Data}
	if w.keep.isBlob() {
		content.ref = &blob.Ref{Hash: w.keep.Hash, Size: w.keep.Size}
	}
	mtime := time.Unix(0, w.keep.Time)
	if !there {
		return s.create(w, New{Content: content, Exec: w.entry.Exec, Mtime: mtime})
	}
	_, err := s.Save(w.node, nil, content, mtime)
	return err
}

// create makes a file that is gone again. If its name is taken now, it gets
// another one.
func (s *Space) create(w *saved, n New) error {
	dir, name := w.place()
	parent, err := s.folderAt(dir)
	if err != nil {
		return err
	}
	free := name
	for i := 1; ; i++ {
		_, err = s.Create(parent, free, n)
		if !errors.Is(err, os.ErrExist) || i == 100 {
			return err
		}
		free = tree.Mark(name, fmt.Sprintf("again %d", i))
	}
}

// folderAt returns the folder of a path, which it makes if it is not there.
func (s *Space) folderAt(path string) (NodeID, error) {
	dir := Root
	if path == "" {
		return dir, nil
	}
	for _, name := range strings.Split(path, "/") {
		info, err := s.Lookup(dir, name)
		if errors.Is(err, os.ErrNotExist) {
			info, err = s.Create(dir, name, New{Kind: Dir})
		}
		if err != nil {
			return dir, err
		}
		dir = info.ID
	}
	return dir, nil
}
