package space

import (
	"os"
	"syscall"

	"github.com/echofs/echofs/crdt/tree"
)

// Remove deletes a node. A folder with something in it is ENOTEMPTY.
func (s *Space) Remove(id NodeID) error {
	_, err := s.change("remove", id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		return c.remove(e)
	})
	return err
}

// remove takes an entry away. Versions shown beside it become nodes of their own,
// so that they keep their names.
func (c *change) remove(e tree.Entry) error {
	if e.ID == Root {
		return syscall.EBUSY
	}
	if e.Kind == tree.Dir && !c.s.tree.Empty(e.ID) {
		return syscall.ENOTEMPTY
	}
	live := c.s.tree.Live(e.ID)
	gone := versions(live.Content, live.Rest)
	if !e.Copy {
		for _, id := range c.s.tree.Copies(e.Node) {
			if beside, ok := c.s.tree.Get(id); ok {
				if _, err := c.detach(beside, beside.Parent, beside.Name, nil, nil); err != nil {
					return err
				}
				gone = versions(gone, c.s.tree.Live(id).Content)
			}
		}
	}
	c.next(e.Node, live.Lamport).Content = &tree.Content{Kind: tree.None, Over: gone}
	return nil
}

// detach makes a version shown beside its file a node of its own, with the
// content given or else what it has. It does not take it from the old node.
func (c *change) detach(e tree.Entry, parent NodeID, name string, content *tree.Content, meta *tree.Meta) (NodeID, error) {
	if content == nil {
		switch e.Kind {
		case tree.Blob:
			content = &tree.Content{Kind: tree.Blob, Hash: e.Hash[:], Size: e.Size}
		case tree.Symlink:
			content = &tree.Content{Kind: tree.Symlink, Data: []byte(e.Target)}
		default:
			data, err := c.s.text(textKey(e.Node, e.Key))
			if err != nil {
				return NodeID{}, err
			}
			if content, err = c.s.op(Content{data: data}); err != nil {
				return NodeID{}, err
			}
		}
	}
	if meta == nil {
		meta = &tree.Meta{Exec: e.Exec, Mtime: e.Mtime}
	}
	id := tree.DetachedID(e.Node, e.Key)
	live := c.s.tree.Live(id)
	op := c.next(id, live.Lamport)
	op.Place = &tree.Place{Parent: parent, Name: []byte(name), Over: versions(live.Place)}
	meta.Over = versions(live.Meta)
	content.Over = versions(live.Content, live.Rest)
	op.Meta, op.Content = meta, content
	return id, nil
}

// part is detach, and takes the version from its old node.
func (c *change) part(e tree.Entry, parent NodeID, name string, content *tree.Content, meta *tree.Meta) (NodeID, error) {
	id, err := c.detach(e, parent, name, content, meta)
	if err != nil {
		return NodeID{}, err
	}
	live := c.s.tree.Live(e.ID)
	c.next(e.Node, live.Lamport).Content = &tree.Content{Kind: tree.None, Over: versions(live.Content, live.Rest)}
	return id, nil
}
