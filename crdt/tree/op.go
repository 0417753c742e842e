package tree

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

// Limits of a payload. They are part of what makes an entry valid, so every
// device must use the same ones.
const (
	MaxPayload = 1 << 20   // bytes of an encoded payload
	MaxOps     = 256       // operations in a payload
	MaxInline  = 256 << 10 // bytes of content carried in an operation
	MaxChange  = 256 << 10 // bytes of one Automerge change
	MaxName    = 4096      // bytes of a name; what is above 255 is shown cut
	MaxTarget  = 4096      // bytes of a symbolic link's target
	MaxAttr    = 255       // bytes of the name of an extended attribute
	MaxValue   = 4096      // bytes of its value
	MaxOver    = 1024      // versions one write may replace
	MaxSize    = 1 << 50   // bytes of a blob
	MaxLamport = 1 << 62
)

// NodeID names a node for ever, wherever it is moved.
type NodeID [16]byte

// Root is the folder that every space has without anybody creating it.
var Root NodeID

func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders node IDs by their bytes.
func (id NodeID) Compare(o NodeID) int { return bytes.Compare(id[:], o[:]) }

// A Version names one operation: the N-th of its feed, counted from 1.
type Version struct {
	_    struct{} `cbor:",toarray"`
	Feed [32]byte
	N    uint64
}

// IsZero reports whether v names no operation.
func (v Version) IsZero() bool { return v.N == 0 }

// Compare orders versions by feed, then by number.
func (v Version) Compare(o Version) int {
	if c := bytes.Compare(v.Feed[:], o.Feed[:]); c != 0 {
		return c
	}
	return cmp.Compare(v.N, o.N)
}

// Kind says what the content of a node is.
type Kind uint8

// Kinds of content. None replaces content with nothing: that is how a node, or
// one of the versions in a conflict, is removed.
const (
	None Kind = iota
	Dir
	Bytes // carried in the operation
	Blob  // chunks, named by hash and size
	Symlink
)

// Op is one operation on one node. At least one of its parts is set. N is its
// number in its feed; on the wire it follows from the payload's first number.
type Op struct {
	N       uint64   `cbor:"-"`
	Node    NodeID   `cbor:"1,keyasint"`
	Lamport uint64   `cbor:"2,keyasint"`
	Place   *Place   `cbor:"3,keyasint,omitempty"`
	Meta    *Meta    `cbor:"4,keyasint,omitempty"`
	Content *Content `cbor:"5,keyasint,omitempty"`
	Edit    *Edit    `cbor:"6,keyasint,omitempty"`
	Attr    *Attr    `cbor:"7,keyasint,omitempty"`
}

// Place puts the node under a name into a folder.
type Place struct {
	Parent NodeID    `cbor:"1,keyasint"`
	Name   []byte    `cbor:"2,keyasint"`
	Over   []Version `cbor:"3,keyasint,omitempty"`
}

// Meta sets the attributes of the node.
type Meta struct {
	Exec  bool      `cbor:"1,keyasint,omitempty"`
	Mtime int64     `cbor:"2,keyasint,omitempty"` // nanoseconds since 1970
	Over  []Version `cbor:"3,keyasint,omitempty"`
}

// Attr sets or removes one extended attribute of the node. Each name is a register.
type Attr struct {
	Name  []byte    `cbor:"1,keyasint"`
	Value []byte    `cbor:"2,keyasint,omitempty"`
	Gone  bool      `cbor:"3,keyasint,omitempty"`
	Over  []Version `cbor:"4,keyasint,omitempty"`
}

// Content sets the content of the node.
type Content struct {
	Kind Kind      `cbor:"1,keyasint"`
	Data []byte    `cbor:"2,keyasint,omitempty"` // Bytes: the content; Symlink: the target
	Hash []byte    `cbor:"3,keyasint,omitempty"` // Blob: 32 bytes
	Size int64     `cbor:"4,keyasint,omitempty"` // Blob
	Over []Version `cbor:"5,keyasint,omitempty"`
}

// Edit changes the text of the node: one Automerge change to the document that
// was made from the bytes of Base. All live versions with one Base are one text.
type Edit struct {
	Base   Version   `cbor:"1,keyasint"`
	Change []byte    `cbor:"2,keyasint"`
	Over   []Version `cbor:"3,keyasint,omitempty"`
}

type payload struct {
	Version uint64 `cbor:"1,keyasint"`
	First   uint64 `cbor:"2,keyasint"`
	Ops     []Op   `cbor:"3,keyasint"`
}

const payloadVersion = 1

// ErrInvalid is wrapped by every error about a payload or an operation that no
// honest device makes.
var ErrInvalid = errors.New("invalid operation")

// Encode returns the canonical bytes of ops, whose numbers must be contiguous.
func Encode(ops []Op) ([]byte, error) {
	if len(ops) == 0 || len(ops) > MaxOps {
		return nil, fmt.Errorf("%w: %d operations in a payload", ErrInvalid, len(ops))
	}
	for i := range ops {
		if ops[i].N != ops[0].N+uint64(i) {
			return nil, fmt.Errorf("%w: operation %d after %d", ErrInvalid, ops[i].N, ops[0].N)
		}
	}
	p := payload{payloadVersion, ops[0].N, ops}
	if err := check(p); err != nil {
		return nil, err
	}
	data, err := codec.Marshal(p)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrInvalid, len(data))
	}
	return data, nil
}

// Decode reads what Encode wrote and refuses everything else.
func Decode(data []byte) ([]Op, error) {
	if len(data) > MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrInvalid, len(data))
	}
	var p payload
	if err := codec.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for i := range p.Ops {
		p.Ops[i].N = p.First + uint64(i)
	}
	if err := check(p); err != nil {
		return nil, err
	}
	return p.Ops, nil
}

func check(p payload) error {
	if p.Version != payloadVersion {
		return fmt.Errorf("%w: payload version %d, this echofs knows %d", ErrInvalid, p.Version, payloadVersion)
	}
	if len(p.Ops) == 0 || len(p.Ops) > MaxOps {
		return fmt.Errorf("%w: %d operations in a payload", ErrInvalid, len(p.Ops))
	}
	if p.First == 0 || p.First > 1<<62 {
		return fmt.Errorf("%w: first number %d", ErrInvalid, p.First)
	}
	for i := range p.Ops {
		if err := p.Ops[i].check(); err != nil {
			return fmt.Errorf("operation %d: %w", p.First+uint64(i), err)
		}
	}
	return nil
}

func (op *Op) check() error {
	switch {
	case op.Node == Root:
		return bad("the root does not change")
	case op.Place == nil && op.Meta == nil && op.Content == nil && op.Edit == nil && op.Attr == nil:
		return bad("empty")
	case op.Content != nil && op.Edit != nil:
		return bad("content and edit in one")
	case op.Lamport == 0 || op.Lamport > MaxLamport:
		return bad("lamport %d", op.Lamport)
	}
	for _, over := range op.overs() {
		if err := checkOver(over); err != nil {
			return err
		}
	}
	if p := op.Place; p != nil && len(p.Name) > MaxName {
		return bad("name of %d bytes", len(p.Name))
	}
	if a := op.Attr; a != nil && (len(a.Name) == 0 || len(a.Name) > MaxAttr || len(a.Value) > MaxValue || a.Gone && len(a.Value) > 0) {
		return bad("attribute with a name of %d bytes, %d bytes", len(a.Name), len(a.Value))
	}
	if op.Edit != nil {
		return op.Edit.check()
	}
	if op.Content != nil {
		return op.Content.check()
	}
	return nil
}

func (e *Edit) check() error {
	switch {
	case e.Base.N == 0:
		return bad("edit of nothing")
	case len(e.Change) == 0 || len(e.Change) > MaxChange:
		return bad("change of %d bytes", len(e.Change))
	case len(e.Over) == 0:
		return bad("edit that follows nothing")
	}
	return nil
}

func (c *Content) check() error {
	data, hash := 0, 0
	switch c.Kind {
	case None, Dir:
	case Bytes:
		data = MaxInline
	case Symlink:
		data = MaxTarget
	case Blob:
		hash = 32
	default:
		return bad("unknown kind %d", c.Kind)
	}
	if len(c.Data) > data || len(c.Hash) != hash || c.Size < 0 || c.Size > MaxSize || hash == 0 && c.Size != 0 {
		return bad("content of kind %d with %d bytes, hash of %d, size %d", c.Kind, len(c.Data), len(c.Hash), c.Size)
	}
	return nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// checkOver wants versions sorted and each once, so that one set has one encoding.
func checkOver(over []Version) error {
	if len(over) > MaxOver {
		return fmt.Errorf("%w: replaces %d versions", ErrInvalid, len(over))
	}
	for i, v := range over {
		if v.N == 0 || i > 0 && over[i-1].Compare(v) >= 0 {
			return fmt.Errorf("%w: versions out of order", ErrInvalid)
		}
	}
	return nil
}

// Named returns every version that op refers to: they must have been applied
// before op is.
func (op *Op) Named() []Version {
	over := op.overs()
	named := slices.Concat(over[:]...)
	if op.Edit != nil {
		named = append(named, op.Edit.Base)
	}
	return named
}

// overs returns what each part of op replaces.
func (op *Op) overs() (over [5][]Version) {
	if op.Place != nil {
		over[0] = op.Place.Over
	}
	if op.Meta != nil {
		over[1] = op.Meta.Over
	}
	if op.Attr != nil {
		over[2] = op.Attr.Over
	}
	if op.Content != nil {
		over[3] = op.Content.Over
	}
	if op.Edit != nil {
		over[4] = op.Edit.Over
	}
	return over
}
