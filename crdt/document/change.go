package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/tree"
)

// The limits of a change beside tree.MaxChange, the same on every device. An
// operation is a rune inserted or deleted.
const (
	// MaxChangeOps is the greatest number of operations in a change.
	MaxChangeOps = 524_288
	// maxOps is the greatest number an operation may have, which bounds the
	// memory of a document at about 600 MB. A text that reaches it is written
	// as a whole again, which begins a new document.
	maxOps  = 1 << 20
	maxDeps = 64
	// maxSiblings bounds the pairs of runes that one change inserts behind the
	// same rune. Edit makes none; two changes with many, made at the same
	// time, take the C library a time that grows with their product.
	maxSiblings = 4096
)

// Info is what a change says about itself.
type Info struct {
	Hash    Hash
	Actor   [16]byte
	Seq     uint64   // of the actor in this document: 1, 2, 3…
	Doc     [16]byte // the first half of the seed of the document it edits
	Deps    []Hash
	StartOp uint64
	Ops     int // inserted and deleted runes
	Time    time.Time
}

// Check vets a change by itself, in Go, before any of it reaches Automerge. It
// accepts what Edit makes: insertions and deletions of single runes in one
// text, uncompressed, in the one encoding that Automerge writes.
func Check(raw []byte) (Info, error) {
	c, err := parse(raw, nil)
	if err != nil {
		return Info{}, err
	}
	return c.Info, nil
}

// HashOf returns the hash of a change that was vetted.
func HashOf(change []byte) Hash {
	if len(change) < 8 {
		return Hash{}
	}
	return sha256.Sum256(change[8:])
}

// A change is a parsed change with what it does, as runs of operation numbers.
type change struct {
	Info
	raw      []byte
	actors   [][16]byte // the author first
	inserted []interval // of the author's own numbers
	after    []elements // of others, behind which something was inserted
	deleted  []elements
}

// An interval is a run of operation numbers, from lo up to hi.
type interval struct{ lo, hi uint32 }

// elements are runes named by who inserted them and the operations' numbers.
type elements struct {
	actor int // in change.actors
	interval
}

// parse decodes a change and refuses everything that can be refused without
// knowing the document. It appends the operations to steps, if that is not nil.
func parse(raw []byte, steps *[]step) (*change, error) {
	body, hash, err := unframe(raw)
	if err != nil {
		return nil, err
	}
	c := &change{raw: raw}
	c.Hash = hash
	r := &reader{b: body}
	c.header(r)
	cols := columns(r)
	if r.err != nil {
		return nil, r.err
	}
	n, err := rows(cols[colAction], MaxChangeOps)
	if err != nil {
		return nil, err
	}
	if n == 0 || c.StartOp < 2 || c.StartOp+uint64(n)-1 > maxOps {
		return nil, fmt.Errorf("%w: operations %d to %d", ErrInvalid, c.StartOp, c.StartOp+uint64(n)-1)
	}
	c.Ops = int(n)
	return c, c.operations(cols, steps)
}

// unframe checks the frame of a change and returns its body.
func unframe(raw []byte) (body []byte, hash Hash, err error) {
	if len(raw) > tree.MaxChange {
		return nil, hash, fmt.Errorf("%w: %d bytes", ErrInvalid, len(raw))
	}
	if len(raw) < 10 || string(raw[:4]) != chunkMagic {
		return nil, hash, fmt.Errorf("%w: not a change", ErrInvalid)
	}
	if raw[8] != changeChunk {
		return nil, hash, fmt.Errorf("%w: kind %d", ErrInvalid, raw[8])
	}
	r := &reader{b: raw[9:]}
	if n := r.uint(); n != uint64(len(r.b)) {
		r.fail("wrong length")
	}
	if hash = sha256.Sum256(raw[8:]); r.err == nil && !bytes.Equal(hash[:4], raw[4:8]) {
		r.fail("wrong checksum")
	}
	return r.b, hash, r.err
}

// header reads everything in front of the columns.
func (c *change) header(r *reader) {
	n := r.uint()
	if n == 0 || n > maxDeps {
		r.fail("%d dependencies", n)
		return
	}
	for range n {
		if d := r.bytes(32); r.err == nil {
			c.Deps = append(c.Deps, Hash(d))
		}
	}
	if !strictlySorted(c.Deps, func(h Hash) []byte { return h[:] }) {
		r.fail("dependencies out of order")
	}
	c.actors = append(c.actors, actor(r))
	c.Actor = c.actors[0]
	c.Seq, c.StartOp = r.uint(), r.uint()
	ms := r.int()
	if ms < -1<<52 || ms > 1<<52 || c.Seq == 0 || c.Seq > maxOps || c.StartOp > maxOps {
		r.fail("numbers out of range")
	}
	c.Time = time.UnixMilli(ms)
	if r.uint() != 0 {
		r.fail("a message")
	}
	if n = r.uint(); n > maxOps/2 {
		r.fail("%d actors", n)
	}
	for range n {
		if r.err != nil {
			return
		}
		c.actors = append(c.actors, actor(r))
	}
	if !strictlySorted(c.actors[1:], func(a [16]byte) []byte { return a[:] }) || slices.Contains(c.actors[1:], c.Actor) {
		r.fail("actors out of order")
	}
}

func actor(r *reader) (a [16]byte) {
	if r.uint() != uint64(len(a)) {
		r.fail("length of an actor")
	}
	copy(a[:], r.bytes(uint64(len(a))))
	return a
}

func strictlySorted[T any](s []T, key func(T) []byte) bool {
	for i := 1; i < len(s); i++ {
		if bytes.Compare(key(s[i-1]), key(s[i])) >= 0 {
			return false
		}
	}
	return true
}

// columns reads the table of columns and their bytes, to the end.
func columns(r *reader) map[uint64][]byte {
	n := r.uint()
	if n > 16 {
		r.fail("%d columns", n)
		return nil
	}
	var specs, lengths []uint64
	for i := range n {
		specs, lengths = append(specs, r.uint()), append(lengths, r.uint())
		switch specs[i] {
		case colObjActor, colObjCtr, colKeyActor, colKeyCtr, colInsert, colAction, colValueMeta, colValueRaw, colPredCount, colPredActor, colPredCtr:
		default:
			r.fail("column %#x", specs[i])
		}
		if i > 0 && specs[i] <= specs[i-1] || lengths[i] == 0 {
			r.fail("columns out of order")
		}
	}
	cols := make(map[uint64][]byte, n)
	for i, s := range specs {
		cols[s] = r.bytes(lengths[i])
	}
	if len(r.b) != 0 {
		r.fail("bytes at the end")
	}
	return cols
}

// appendSaved writes a change behind its length.
func appendSaved(b, raw []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
}
