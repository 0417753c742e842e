package tree

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A Trace is what history keeps of an operation: everything but the bytes,
// which are in the entry. Operations that set attributes alone leave none.
type Trace struct {
	Version
	Lamport uint64
	Seq     uint64 // entry of the feed that holds the operation
	Time    int64  // of that entry, milliseconds since 1970
	Placed  bool
	Parent  NodeID // if Placed
	Name    string // if Placed
	Written bool   // the operation is content
	Kind    Kind   // if Written
	Hash    [32]byte
	Size    int64
	Base    Version   // of an edit: the content whose document it changes
	Change  [32]byte  // of an edit: hash of the change
	Over    []Version // of content and edits: what they replace
}

const traceVersion = 1

// TraceOf returns the trace of an operation, apart from Seq, Time and Change.
// It reports false if there is none.
func TraceOf(feed [32]byte, op *Op) (Trace, bool) {
	t := Trace{Version: Version{Feed: feed, N: op.N}, Lamport: op.Lamport}
	if p := op.Place; p != nil {
		t.Placed, t.Parent, t.Name = true, p.Parent, string(p.Name)
	}
	if c := op.Content; c != nil {
		t.Written, t.Kind, t.Size, t.Over = true, c.Kind, int64(len(c.Data)), c.Over
		if c.Kind == Blob {
			t.Hash, t.Size = [32]byte(c.Hash), c.Size
		}
	}
	if e := op.Edit; e != nil {
		t.Kind, t.Base, t.Over = Bytes, e.Base, e.Over
	}
	return t, t.Placed || t.Written || t.IsEdit()
}

// IsEdit reports whether the operation edits a text.
func (t *Trace) IsEdit() bool { return !t.Base.IsZero() }

// After reports whether t comes after o in the order of history: what happened
// before comes before, and what happened at the same time has one order too.
func (t *Trace) After(o *Trace) bool {
	return stamp{t.Version, t.Lamport}.after(stamp{o.Version, o.Lamport})
}

// Key returns the trace's key in the store; keys have the order of history.
func (t *Trace) Key(id NodeID) []byte {
	k := append(make([]byte, 0, 64), id[:]...)
	k = binary.BigEndian.AppendUint64(k, t.Lamport)
	k = append(k, t.Feed[:]...)
	return binary.BigEndian.AppendUint64(k, t.N)
}

// Encode returns the bytes from which DecodeTrace makes the trace again,
// together with its key.
func (t *Trace) Encode() []byte {
	b := make([]byte, 0, 128+len(t.Name)+40*len(t.Over))
	b = append(b, traceVersion, bit(t.Placed)|bit(t.Written)<<1|bit(t.IsEdit())<<2)
	b = binary.AppendUvarint(b, t.Seq)
	b = binary.AppendVarint(b, t.Time)
	if t.Placed {
		b = appendString(append(b, t.Parent[:]...), t.Name)
	}
	if t.Written {
		b = append(b, byte(t.Kind))
		b = binary.AppendVarint(b, t.Size)
		if t.Kind == Blob {
			b = append(b, t.Hash[:]...)
		}
	}
	if t.IsEdit() {
		b = append(appendVersion(b, t.Base), t.Change[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Over)))
	for _, v := range t.Over {
		b = appendVersion(b, v)
	}
	return b
}

var errTrace = errors.New("trace of an operation is not readable")

// DecodeTrace reads a trace.
func DecodeTrace(key, value []byte) (Trace, error) {
	k, r := reader{rest: key}, reader{rest: value}
	k.bytes(16) // the node
	t := Trace{Lamport: k.fixed()}
	t.Feed = [32]byte(k.bytes(32))
	t.N = k.fixed()
	version, flags := r.byte(), r.byte()
	t.Placed, t.Written = flags&1 != 0, flags&2 != 0
	t.Seq, t.Time = r.uint(), r.int()
	if t.Placed {
		t.Parent = NodeID(r.bytes(16))
		t.Name = r.string()
	}
	if t.Written {
		t.Kind = Kind(r.byte())
		t.Size = r.int()
		if t.Kind == Blob {
			t.Hash = [32]byte(r.bytes(32))
		}
	}
	if flags&4 != 0 {
		t.Kind, t.Base = Bytes, r.version()
		t.Change = [32]byte(r.bytes(32))
		r.bad = r.bad || t.Written || !t.IsEdit()
	}
	if n := r.uint(); n > uint64(len(r.rest))/33 {
		r.bad = true
	} else if n > 0 {
		t.Over = make([]Version, n)
		for i := range t.Over {
			t.Over[i] = r.version()
		}
	}
	if k.bad || len(k.rest) > 0 || r.bad || len(r.rest) > 0 || version != traceVersion || flags > 7 {
		return Trace{}, errTrace
	}
	return t, nil
}

// fixed reads 8 bytes, big-endian.
func (r *reader) fixed() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }

// Gone returns the nodes that nothing shows any more, sorted: they were
// removed.
func (s *State) Gone() []NodeID {
	var ids []NodeID
	for id, n := range s.nodes {
		if !n.shown.linked {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, NodeID.Compare)
	return ids
}

// Where returns where a node is or, removed, was: the folder it was placed in
// and the name it would show.
func (s *State) Where(id NodeID) (parent NodeID, name string, ok bool) {
	if e, shown := s.Get(id); shown {
		return e.Parent, e.Name, true
	}
	n := s.nodes[id]
	if n == nil {
		return Root, "", false
	}
	if w := winner(n.place); w != nil {
		name = w.Name
	}
	if up := s.nodes[n.shown.raw]; up != nil && up.folder && !n.shown.cut {
		parent = n.shown.raw
	}
	return parent, legal(name, id), true
}
