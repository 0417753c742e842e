package tree

import (
	"maps"
	"slices"
)

// An attrWrite is a write of one extended attribute.
type attrWrite struct {
	stamp
	Value string
	Gone  bool
}

// ModeAttr is the name under which a node keeps its permissions, if they are
// other than what its executable bit says: two bytes, the greater one first.
const ModeAttr = "posix.mode"

// Attr returns the value of an extended attribute of a node.
func (s *State) Attr(id NodeID, name string) (value string, ok bool) {
	n := s.nodes[id]
	if n == nil {
		return "", false
	}
	return n.attr(name)
}

func (n *node) attr(name string) (string, bool) {
	w := winner(n.attrs[name])
	if w == nil || w.Gone {
		return "", false
	}
	return w.Value, true
}

// Attrs returns the names of the extended attributes that a node has, sorted,
// and how many names it ever had.
func (s *State) Attrs(id NodeID) (names []string, ever int) {
	n := s.nodes[id]
	if n == nil {
		return nil, 0
	}
	for _, name := range slices.Sorted(maps.Keys(n.attrs)) {
		if _, ok := n.attr(name); ok {
			names = append(names, name)
		}
	}
	return names, len(n.attrs)
}

// LiveAttr returns what a new write of an extended attribute replaces.
func (s *State) LiveAttr(id NodeID, name string) (lamport uint64, over []Version) {
	n := s.nodes[id]
	if n == nil {
		return 0, nil
	}
	for _, w := range n.attrs[name] {
		over = append(over, w.Version)
	}
	return n.lamport, over
}

const hasMode = 0o10000

// mode returns the permissions that a node keeps, with hasMode, or 0.
func (n *node) mode() uint32 {
	if n.attrs == nil {
		return 0
	}
	v, _ := n.attr(ModeAttr)
	if len(v) != 2 {
		return 0
	}
	return (uint32(v[0])<<8|uint32(v[1]))&0o7777 | hasMode
}
