package tree

import (
	"slices"
	"strconv"
	"strings"
)

// Entry is one thing in a folder: a node, or a copy shown beside it.
type Entry struct {
	ID     NodeID // the node's, or the copy's own
	Node   NodeID
	Parent NodeID
	Name   string
	Kind   Kind // None: not shown
	Exec   bool
	Mode   uint32 // permissions kept under ModeAttr, with 0o10000; 0 if there are none
	Mtime  int64
	Size   int64
	Text   bool
	Edited bool     // a document: its text is that of Key with all edits
	Key    Version  // the content written, or the base of the edits
	Hash   [32]byte // of a blob
	Target string   // of a symbolic link
	Tag    string   // names the content: other content, other tag; the first version in it is of this content
	Copy   bool
	Author [32]byte // feed of the latest write
}

// Get returns the entry with an ID, if it is shown.
func (s *State) Get(id NodeID) (Entry, bool) {
	if id == Root {
		return Entry{Kind: Dir}, true
	}
	if n := s.nodes[id]; n != nil {
		if !n.shown.linked {
			return Entry{}, false
		}
		gs := n.groups()
		if n.folder && (len(gs) == 0 || gs[0].best.Kind != Dir) {
			gs = []group{{best: &contentWrite{Kind: Dir}}} // deleted, but something in it lives
		}
		if len(gs) == 0 {
			return Entry{}, false // just now, before Settle
		}
		return s.entry(n, gs[0], n.id, n.shown.name), true
	}
	if ref, ok := s.project.copies[id]; ok {
		n := s.nodes[ref.node]
		for _, g := range n.groups() {
			if g.key == ref.key {
				e := s.entry(n, g, id, ref.name)
				e.Copy = true
				return e, true
			}
		}
	}
	return Entry{}, false
}

func (s *State) entry(n *node, g group, id NodeID, name string) Entry {
	e := Entry{
		ID: id, Node: n.id, Parent: n.shown.up, Name: name,
		Kind: g.best.Kind, Size: g.best.Size, Text: g.best.Text, Edited: !g.plain,
		Key: g.key, Hash: g.best.Hash, Target: g.best.Target, Author: g.best.Feed, Tag: n.tag(g),
	}
	if m := n.winMeta(); m != nil {
		e.Exec, e.Mtime = m.Exec, m.Mtime
	}
	e.Mode = n.mode()
	if e.Kind == Dir {
		e.Size, e.Tag = 0, ""
	}
	return e
}

// Lookup returns the ID of a name in a folder.
func (s *State) Lookup(dir NodeID, name string) (NodeID, bool) {
	f := s.project.folders[dir]
	if f == nil {
		return NodeID{}, false
	}
	if ids := f.claims[name]; len(ids) > 0 {
		return ids[0], true
	}
	id, ok := f.extra[name]
	return id, ok
}

// Empty reports whether a folder shows nothing.
func (s *State) Empty(dir NodeID) bool { return s.project.folders[dir].count() == 0 }

// Children returns what a folder shows, sorted by name.
func (s *State) Children(dir NodeID) []Entry {
	f := s.project.folders[dir]
	if f == nil {
		return nil
	}
	type named struct {
		name string
		id   NodeID
	}
	names := make([]named, 0, len(f.claims)+len(f.extra))
	for name, ids := range f.claims {
		names = append(names, named{name, ids[0]})
	}
	for name, id := range f.extra {
		names = append(names, named{name, id})
	}
	slices.SortFunc(names, func(a, b named) int { return strings.Compare(a.name, b.name) })
	out := make([]Entry, 0, len(names))
	for _, n := range names {
		if e, ok := s.Get(n.id); ok {
			out = append(out, e)
		}
	}
	return out
}

// Path returns where an entry is, slash-separated, "" for the root.
func (s *State) Path(id NodeID) string {
	var names []string
	for id != Root {
		e, ok := s.Get(id)
		if !ok {
			break
		}
		names = append(names, e.Name)
		id = e.Parent
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Within reports whether id is dir or somewhere below it.
func (s *State) Within(id, dir NodeID) bool {
	for id != Root {
		if id == dir {
			return true
		}
		n := s.nodes[id]
		if n == nil {
			return false
		}
		id = n.shown.up
	}
	return dir == Root
}

// Copies returns the IDs of the versions shown beside a node.
func (s *State) Copies(id NodeID) []NodeID {
	if n := s.nodes[id]; n != nil {
		return slices.Clone(n.shown.copies)
	}
	return nil
}

// Live holds the live versions of each register of a node: what a write that
// saw everything replaces.
type Live struct {
	Lamport uint64 // greatest so far
	Place   []Version
	Meta    []Version
	Content []Version // of the entry's own content
	Rest    []Version // live writes that say the content is gone
}

// Live returns what a new write to the entry with this ID replaces.
func (s *State) Live(id NodeID) Live {
	var key Version
	if ref, ok := s.project.copies[id]; ok && s.nodes[id] == nil {
		id, key = ref.node, ref.key
	}
	n := s.nodes[id]
	if n == nil {
		return Live{}
	}
	l := Live{Lamport: n.lamport}
	for _, w := range n.place {
		l.Place = append(l.Place, w.Version)
	}
	for _, w := range n.meta {
		l.Meta = append(l.Meta, w.Version)
	}
	for _, w := range n.content {
		if w.Kind == None {
			l.Rest = append(l.Rest, w.Version)
		}
	}
	for i, g := range n.groups() {
		if key.IsZero() && i == 0 || g.key == key {
			l.Content = slices.Clone(g.live)
		}
	}
	return l
}

// Known reports whether a node exists, shown or not, and where it is placed.
func (s *State) Known(id NodeID) (parent NodeID, name string, ok bool) {
	n := s.nodes[id]
	if n == nil {
		return NodeID{}, "", false
	}
	if w := n.winPlace(); w != nil {
		return w.Parent, w.Name, true
	}
	return NodeID{}, "", true
}

// Dump writes the whole tree as text: equal states give equal text.
func (s *State) Dump() string {
	var b strings.Builder
	var walk func(dir NodeID, path string)
	walk = func(dir NodeID, path string) {
		for _, e := range s.Children(dir) {
			b.WriteString(path + e.Name)
			b.WriteString(" " + e.ID.String() + " " + strconv.Itoa(int(e.Kind)) + " " + strconv.FormatBool(e.Exec) + " " +
				strconv.FormatInt(e.Mtime, 10) + " " + strconv.FormatInt(e.Size, 10) + " " + e.Target + " " + e.Tag + "\n")
			if e.Kind == Dir {
				walk(e.ID, path+e.Name+"/")
			}
		}
	}
	walk(Root, "")
	return b.String()
}

// TextKeys returns, sorted, what names the texts of a node that are live: the
// version of each content of kind Bytes, or the base of its edits.
func (s *State) TextKeys(id NodeID) []Version {
	n := s.nodes[id]
	if n == nil {
		return nil
	}
	var keys []Version
	for _, w := range n.content {
		if w.Kind != Bytes {
			continue
		}
		key := w.Version
		if !w.Base.IsZero() {
			key = w.Base
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, Version.Compare)
	return slices.Compact(keys)
}

// Blobs calls fn for every blob that is live.
func (s *State) Blobs(fn func(hash [32]byte, size int64)) {
	for _, n := range s.nodes {
		for _, w := range n.content {
			if w.Kind == Blob {
				fn(w.Hash, w.Size)
			}
		}
	}
}

// Len returns how many nodes there are, shown or not.
func (s *State) Len() int { return len(s.nodes) }
