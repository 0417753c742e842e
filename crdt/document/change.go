package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

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

// operations decodes the rows.
func (c *change) operations(cols map[uint64][]byte, steps *[]step) error {
	o := ops{
		change:   c,
		objActor: newColumn(cols[colObjActor], false), objCtr: newColumn(cols[colObjCtr], false),
		keyActor: newColumn(cols[colKeyActor], false), keyCtr: newColumn(cols[colKeyCtr], true),
		insert: &flags{r: reader{b: cols[colInsert]}}, action: newColumn(cols[colAction], false),
		meta: newColumn(cols[colValueMeta], false), raw: cols[colValueRaw],
		predCount: newColumn(cols[colPredCount], false), predActor: newColumn(cols[colPredActor], false),
		predCtr: newColumn(cols[colPredCtr], true),
		used:    make([]bool, len(c.actors)), doc: -1, siblings: map[elements]int{}, steps: steps,
	}
	for i := range c.Ops {
		if err := o.row(uint32(c.StartOp) + uint32(i)); err != nil {
			return err
		}
	}
	for _, col := range []interface{ end() error }{o.objActor, o.objCtr, o.keyActor, o.keyCtr, o.insert, o.action, o.meta, o.predCount, o.predActor, o.predCtr} {
		if err := col.end(); err != nil {
			return err
		}
	}
	if len(o.raw) != 0 || slices.Contains(o.used[1:], false) {
		return fmt.Errorf("%w: bytes or actors that nothing uses", ErrInvalid)
	}
	c.Doc = c.actors[o.doc]
	return c.deletedOnce()
}

// deletedOnce refuses a change that deletes one rune twice: thousands of
// operations on one place take the C library minutes.
func (c *change) deletedOnce() error {
	runs := slices.Clone(c.deleted)
	slices.SortFunc(runs, func(a, b elements) int {
		if a.actor != b.actor {
			return a.actor - b.actor
		}
		return int(a.lo) - int(b.lo)
	})
	for i := 1; i < len(runs); i++ {
		if runs[i].actor == runs[i-1].actor && runs[i].lo <= runs[i-1].hi {
			return fmt.Errorf("%w: it deletes one rune twice", ErrInvalid)
		}
	}
	return nil
}

// ops walks over the rows of all columns at once.
type ops struct {
	*change
	objActor, objCtr, keyActor, keyCtr, action, meta, predCount, predActor, predCtr *column
	insert                                                                          *flags
	raw                                                                             []byte
	used                                                                            []bool // by actor
	doc                                                                             int    // actor of the text object; -1 before the first row
	key, pred                                                                       int64  // running sums of keyCtr and predCtr
	siblings                                                                        map[elements]int
	pairs                                                                           int
	steps                                                                           *[]step
}

var errRow = fmt.Errorf("%w: an operation that is no insertion or deletion in the text", ErrInvalid)

// row takes one operation in. me is its number.
func (o *ops) row(me uint32) error {
	obj, ok1 := o.objActor.next()
	ctr, ok2 := o.objCtr.next()
	if o.doc < 0 && ok1 && obj < int64(len(o.actors)) {
		o.doc = int(obj)
		o.used[o.doc] = true
	}
	if !ok1 || !ok2 || ctr != 1 || obj != int64(o.doc) {
		return errRow
	}
	action, _ := o.action.next()
	meta, hasMeta := o.meta.next()
	preds, hasPreds := o.predCount.next()
	at, err := o.elem(o.keyActor, o.keyCtr, &o.key, me)
	if err != nil || !hasMeta || !hasPreds {
		return errRow
	}
	switch insert := o.insert.next(); {
	case insert && action == actionSet && preds == 0:
		r, err := o.value(meta)
		if err != nil {
			return err
		}
		o.step(step{at, me, r})
		if err := o.sibling(at, me); err != nil {
			return err
		}
		if at.lo != 0 && (at.actor != 0 || uint64(at.lo) < o.StartOp) {
			o.after = appendElement(o.after, at)
		} else if at.lo != 0 && !contains(o.inserted, at.lo) {
			return errRow
		}
		o.inserted = appendNumber(o.inserted, me)
	case !insert && action == actionDelete && meta == 0 && preds == 1:
		pred, err := o.elem(o.predActor, o.predCtr, &o.pred, me)
		if err != nil || pred != at || at.lo == 0 {
			return errRow
		}
		if at.actor == 0 && uint64(at.lo) >= o.StartOp && !contains(o.inserted, at.lo) {
			return errRow
		}
		o.deleted = appendElement(o.deleted, at)
		o.step(step{at, me, 0})
	default:
		return errRow
	}
	return nil
}

func (o *ops) step(s step) {
	if o.steps != nil {
		*o.steps = append(*o.steps, s)
	}
}

// sibling counts an insertion behind at. One behind the operation just before
// it, as in running text, is not looked up.
func (o *ops) sibling(at elements, me uint32) error {
	if at.actor == 0 && at.lo == me-1 {
		return nil
	}
	n := o.siblings[at]
	o.siblings[at] = n + 1
	if o.pairs += n; o.pairs > maxSiblings {
		return fmt.Errorf("%w: it inserts too often in one place", ErrInvalid)
	}
	return nil
}

// elem reads the name of a rune. The head of the text has number 0.
func (o *ops) elem(actors, counters *column, sum *int64, me uint32) (elements, error) {
	a, hasActor := actors.next()
	d, ok := counters.next()
	if !ok || d > maxOps || d < -maxOps {
		return elements{}, errRow
	}
	*sum += d
	switch n := *sum; {
	case n == 0 && !hasActor:
		return elements{}, nil
	case !hasActor || n < 2 || n >= int64(me) || a >= int64(len(o.actors)):
		return elements{}, errRow
	default:
		o.used[a] = true
		return elements{int(a), interval{uint32(n), uint32(n)}}, nil
	}
}

// value takes the rune that an insertion inserts.
func (o *ops) value(meta int64) (rune, error) {
	n := int(meta >> 4)
	if meta&15 != valueString || n < 1 || n > utf8.UTFMax || n > len(o.raw) {
		return 0, errRow
	}
	r, size := utf8.DecodeRune(o.raw[:n])
	if size != n || r == utf8.RuneError && n == 1 || r == 0 {
		return 0, fmt.Errorf("%w: it inserts something that is not text", ErrInvalid)
	}
	o.raw = o.raw[n:]
	return r, nil
}

func appendNumber(runs []interval, n uint32) []interval {
	if k := len(runs) - 1; k >= 0 && runs[k].hi+1 == n {
		runs[k].hi = n
		return runs
	}
	return append(runs, interval{n, n})
}

// appendElement adds a rune to runs in the order in which they are named,
// which for a deletion is mostly ascending.
func appendElement(runs []elements, e elements) []elements {
	if k := len(runs) - 1; k >= 0 && runs[k].actor == e.actor && runs[k].hi+1 == e.lo {
		runs[k].hi = e.hi
		return runs
	}
	return append(runs, e)
}

// contains tells whether n is in one of ascending runs.
func contains(runs []interval, n uint32) bool {
	_, found := slices.BinarySearchFunc(runs, n, interval.side)
	return found
}

// side says on which side of n a run is; 0 when n is in it.
func (r interval) side(n uint32) int {
	switch {
	case r.hi < n:
		return -1
	case r.lo > n:
		return 1
	}
	return 0
}

// appendSaved writes a change behind its length.
func appendSaved(b, raw []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
}
