package space

import (
	"os"
	"strings"
	"syscall"

	"github.com/echofs/echofs/crdt/tree"
)

const (
	// MaxXattrs is how many extended attributes a node may have, and maxXattrNames
	// how many names of them it may ever have had.
	MaxXattrs     = 32
	maxXattrNames = 256

	// ModeSet is in the mode of a node that keeps permissions of its own.
	ModeSet = 0o10000

	userXattr = "user."
)

// Xattr returns an extended attribute, one of the names that begin with user.;
// os.ErrNotExist if the node has no such attribute.
func (s *Space) Xattr(id NodeID, name string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.tree.Get(id)
	if !ok {
		return nil, s.failLocked("getxattr", id, os.ErrNotExist)
	}
	if strings.HasPrefix(name, userXattr) {
		if v, ok := s.tree.Attr(e.Node, name); ok {
			return []byte(v), nil
		}
	}
	return nil, s.failLocked("getxattr", id, os.ErrNotExist)
}

// Xattrs returns the names of the extended attributes of a node, sorted.
func (s *Space) Xattrs(id NodeID) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.tree.Get(id)
	if !ok {
		return nil, s.failLocked("listxattr", id, os.ErrNotExist)
	}
	all, _ := s.tree.Attrs(e.Node)
	names := all[:0]
	for _, name := range all {
		if strings.HasPrefix(name, userXattr) {
			names = append(names, name)
		}
	}
	return names, nil
}

// SetXattr sets an extended attribute; a nil value removes it.
func (s *Space) SetXattr(id NodeID, name string, value []byte) error {
	switch {
	case !strings.HasPrefix(name, userXattr):
		return s.fail("setxattr", id, syscall.EOPNOTSUPP)
	case len(name) > tree.MaxAttr:
		return s.fail("setxattr", id, syscall.ERANGE)
	case len(value) > tree.MaxValue:
		return s.fail("setxattr", id, syscall.E2BIG)
	}
	return s.setAttr("setxattr", id, name, value)
}

// SetMode keeps permissions of a node; 0 keeps none.
func (s *Space) SetMode(id NodeID, mode uint32) error {
	var value []byte
	if mode != 0 {
		value = []byte{byte(mode >> 8 & 0o17), byte(mode)}
	}
	return s.setAttr("setmode", id, tree.ModeAttr, value)
}

func (s *Space) setAttr(op string, id NodeID, name string, value []byte) error {
	_, err := s.change(op, id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		if e.Node == Root {
			return syscall.EPERM // it is nobody's node
		}
		old, has := s.tree.Attr(e.Node, name)
		if value == nil && !has || value != nil && has && old == string(value) {
			return nil
		}
		lamport, over := s.tree.LiveAttr(e.Node, name)
		if names, ever := s.tree.Attrs(e.Node); !has && (len(names) >= MaxXattrs || len(over) == 0 && ever >= maxXattrNames) {
			return syscall.ENOSPC
		}
		c.next(e.Node, lamport).Attr = &tree.Attr{Name: []byte(name), Value: value, Gone: value == nil, Over: versions(over)}
		return nil
	})
	return err
}
