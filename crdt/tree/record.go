package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

const recordVersion = 1

var errRecord = errors.New("node record is not readable")

// Record returns the bytes from which Load makes the node again. The same
// state gives the same bytes. It is nil for a node nobody wrote.
func (s *State) Record(id NodeID) []byte {
	n := s.nodes[id]
	if n == nil {
		return nil
	}
	flags := byte(0)
	if n.folder {
		flags |= 1
	}
	if len(n.attrs) > 0 {
		flags |= 2
	}
	b := make([]byte, 0, 256)
	b = append(b, recordVersion, flags)
	b = binary.AppendUvarint(b, n.lamport)
	b = binary.AppendUvarint(b, uint64(len(n.place)))
	for _, w := range n.place {
		b = append(appendStamp(b, w.stamp), w.Parent[:]...)
		b = appendString(b, w.Name)
	}
	b = binary.AppendUvarint(b, uint64(len(n.meta)))
	for _, w := range n.meta {
		b = append(appendStamp(b, w.stamp), bit(w.Exec))
		b = binary.AppendVarint(b, w.Mtime)
	}
	b = binary.AppendUvarint(b, uint64(len(n.content)))
	for _, w := range n.content {
		b = append(appendStamp(b, w.stamp), byte(w.Kind), bit(w.Text)|bit(w.Base.N > 0)<<1)
		if w.Base.N > 0 {
			b = appendVersion(b, w.Base)
		}
		b = append(b, w.Hash[:]...)
		b = binary.AppendVarint(b, w.Size)
		b = appendString(b, w.Target)
	}
	if len(n.attrs) > 0 {
		b = n.appendAttrs(b)
	}
	return b
}

// Load adds a node from its record. After the last one, Project must be called.
func (s *State) Load(id NodeID, record []byte) error {
	r := reader{rest: record}
	n := &node{id: id}
	n.plant()
	if v := r.byte(); v != recordVersion {
		return fmt.Errorf("node %s: record version %d, this echofs knows %d", id, v, recordVersion)
	}
	flags := r.byte()
	n.folder = flags&1 != 0
	n.lamport = r.uint()
	n.place = make([]*placeWrite, r.count())
	for i := range n.place {
		n.place[i] = &placeWrite{stamp: r.stamp(), Parent: NodeID(r.bytes(16)), Name: r.string()}
	}
	n.meta = make([]*metaWrite, r.count())
	for i := range n.meta {
		n.meta[i] = &metaWrite{stamp: r.stamp(), Exec: r.byte() != 0, Mtime: r.int()}
	}
	n.content = make([]*contentWrite, r.count())
	for i := range n.content {
		w := &contentWrite{stamp: r.stamp(), Kind: Kind(r.byte())}
		about := r.byte()
		w.Text = about&1 != 0
		if about&2 != 0 {
			w.Base = r.version()
		}
		w.Hash, w.Size, w.Target = [32]byte(r.bytes(32)), r.int(), r.string()
		n.content[i] = w
	}
	if flags&2 != 0 {
		n.readAttrs(&r)
	}
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("node %s: %w", id, errRecord)
	}
	s.nodes[id] = n
	return nil
}

func (n *node) appendAttrs(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(n.attrs)))
	for _, name := range slices.Sorted(maps.Keys(n.attrs)) {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(n.attrs[name])))
		for _, w := range n.attrs[name] {
			b = append(appendStamp(b, w.stamp), bit(w.Gone))
			b = appendString(b, w.Value)
		}
	}
	return b
}

func (n *node) readAttrs(r *reader) {
	n.attrs = map[string][]*attrWrite{}
	for range r.count() {
		name := r.string()
		writes := make([]*attrWrite, r.count())
		for i := range writes {
			w := &attrWrite{stamp: r.stamp()}
			w.Gone, w.Value = r.byte() != 0, r.string()
			writes[i] = w
		}
		n.attrs[name] = writes
	}
}

// SetApplied sets the number of the last operation of a feed, beside Load.
func (s *State) SetApplied(feed [32]byte, n uint64) { s.applied[feed] = n }

// Project makes the projection of loaded nodes.
func (s *State) Project() {
	s.project = newProjection()
	for id, n := range s.nodes {
		n.shown, n.cache = shown{}, nil
		n.plant()
		s.project.changed[id] = true
	}
	s.Settle()
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendVersion(b []byte, v Version) []byte {
	return binary.AppendUvarint(append(b, v.Feed[:]...), v.N)
}

func appendStamp(b []byte, s stamp) []byte {
	return binary.AppendUvarint(appendVersion(b, s.Version), s.Lamport)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader reads a record. After the first fault everything is zero and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, min(n, 32))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads the length of a list, each element of which takes bytes.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.rest))/34 {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	return string(r.bytes(int(n)))
}

func (r *reader) version() Version {
	v := Version{Feed: [32]byte(r.bytes(32))}
	v.N = r.uint()
	return v
}

func (r *reader) stamp() stamp {
	v := r.version()
	return stamp{v, r.uint()}
}
