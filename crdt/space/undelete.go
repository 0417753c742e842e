package space

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/tree"
)

// Restore makes a file what it was at a version. It is an edit like any other:
// of text it merges with what others change at the same time. A removed file
// comes back with that content.
func (s *Space) Restore(id NodeID, version string) (Info, error) {
	now, err := s.Stat(id)
	gone := errors.Is(err, os.ErrNotExist)
	if err != nil && !gone {
		return Info{}, err
	}
	if !gone && now.Kind != File {
		return Info{}, s.failPast("restore", id, fmt.Errorf("only files have versions to restore: %w", syscall.EINVAL))
	}
	old, err := s.OpenVersion(id, version)
	if err != nil {
		return Info{}, err
	}
	content, err := old.whole()
	if err != nil {
		return Info{}, s.failPast("restore", id, err)
	}
	if gone {
		op, err := s.op(content)
		if err != nil {
			return Info{}, s.failPast("restore", id, err)
		}
		return s.revive(id, op)
	}
	return s.Save(id, &now.Version, content, time.Time{})
}

// Undelete brings a removed node back as it was last. Folders above it that
// were removed come back too. If its name is taken, it gets another one.
func (s *Space) Undelete(id NodeID) (Info, error) {
	p, err := s.pastOf(id)
	if err != nil {
		return Info{}, s.failPast("undelete", id, err)
	}
	won, live := p.lastContent()
	if won == nil {
		return Info{}, s.failPast("undelete", id, os.ErrNotExist)
	}
	var op *tree.Content
	switch won.Kind {
	case tree.Dir:
		op = &tree.Content{Kind: tree.Dir}
	case tree.Symlink:
		old, err := s.opOf(won)
		if err != nil {
			return Info{}, s.failPast("undelete", id, err)
		}
		op = &tree.Content{Kind: tree.Symlink, Data: old.Content.Data}
	default:
		snap, err := s.snapshot(p, won, live, tree.Tag([]tree.Version{won.Version}))
		if err != nil {
			return Info{}, s.failPast("undelete", id, err)
		}
		content, err := snap.whole()
		if err != nil {
			return Info{}, s.failPast("undelete", id, err)
		}
		if op, err = s.op(content); err != nil {
			return Info{}, s.failPast("undelete", id, err)
		}
	}
	return s.revive(id, op)
}

// revive gives a removed node content.
func (s *Space) revive(id NodeID, content *tree.Content) (Info, error) {
	return s.change("undelete", id, func(c *change) error {
		if _, shown := s.tree.Get(id); shown {
			return fmt.Errorf("it is not removed: %w", os.ErrExist)
		}
		live := s.tree.Live(id)
		op := c.next(id, live.Lamport)
		content.Over = versions(live.Content, live.Rest)
		op.Content = content
		parent, name, _ := s.tree.Where(id)
		free := name
		for n := 1; ; n++ {
			if _, taken := s.tree.Lookup(parent, free); !taken {
				break
			}
			free = tree.Mark(name, strings.TrimSuffix(fmt.Sprintf("undeleted %d", n), " 1"))
		}
		if free != name {
			op.Place = &tree.Place{Parent: parent, Name: []byte(free), Over: live.Place}
		}
		return nil
	})
}

// Lost is a removed node that can come back.
type Lost struct {
	ID      NodeID
	Path    string
	Kind    Kind
	Size    int64
	Removed Version // who removed it, and when
}

// Deleted returns what was removed in a folder and all below it, and can come
// back, sorted by path. The folder may be gone itself.
func (s *Space) Deleted(dir NodeID) ([]Lost, error) {
	ids := s.allGone()
	s.mu.RLock()
	var lost []Lost
	for _, id := range ids {
		if s.belowLocked(id, dir) {
			lost = append(lost, Lost{ID: id, Path: s.whereLocked(id)})
		}
	}
	s.mu.RUnlock()
	out := lost[:0]
	for _, l := range lost {
		p, err := s.pastOf(l.ID)
		if err != nil {
			return nil, s.failPast("deleted", dir, err)
		}
		won, _ := p.lastContent()
		if won == nil {
			continue
		}
		s.describeLost(&l, p, won)
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Lost) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (s *Space) describeLost(l *Lost, p *past, won *tree.Trace) {
	l.Removed = Version{Act: ActRemoved, Path: l.Path}
	lines := s.linesOf(&past{node: p.node, traces: []tree.Trace{*won}})
	var then Version
	s.describe(&then, won, won, lines)
	l.Kind, l.Size = then.Kind, then.Size
	for i := len(p.traces) - 1; i >= 0; i-- {
		if t := &p.traces[i]; t.Written && t.Kind == tree.None {
			l.Removed.ID, l.Removed.Time = tree.Tag([]tree.Version{t.Version}), time.UnixMilli(t.Time)
			s.describe(&l.Removed, t, nil, nil)
			break
		}
	}
}

// belowLocked reports whether a node is or was somewhere below a folder.
func (s *Space) belowLocked(id, dir NodeID) bool {
	if dir == Root {
		return true
	}
	for depth := 0; id != Root && depth < maxDepth; depth++ {
		parent, _, ok := s.tree.Where(id)
		if !ok {
			return false
		}
		if parent == dir {
			return true
		}
		id = parent
	}
	return false
}

// LookupGone returns the removed nodes that had a name in a folder, the one
// removed last first.
func (s *Space) LookupGone(dir NodeID, name string) ([]NodeID, error) {
	type removed struct {
		id NodeID
		at int64
	}
	var found []removed
	for _, id := range s.goneIn(dir) {
		s.mu.RLock()
		_, n, _ := s.tree.Where(id)
		s.mu.RUnlock()
		if n != name {
			continue
		}
		p, err := s.pastOf(id)
		if err != nil {
			return nil, s.failAt("lookup", dir, name, err)
		}
		if won, _ := p.lastContent(); won != nil {
			found = append(found, removed{id, p.traces[len(p.traces)-1].Time})
		}
	}
	slices.SortFunc(found, func(a, b removed) int {
		return cmp.Or(cmp.Compare(b.at, a.at), a.id.Compare(b.id))
	})
	ids := make([]NodeID, len(found))
	for i, f := range found {
		ids[i] = f.id
	}
	return ids, nil
}
