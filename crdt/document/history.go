package document

import (
	"fmt"
	"slices"
)

// A history is what must be known of the changes in a document to tell whether
// another one fits. Each verdict depends only on the change and on what it
// builds on, never on what else arrived, so all devices give the same one.
type history struct {
	byHash  map[Hash]int // index in changes
	changes []accepted
	index   map[[16]byte]int // actor → index in actors
	actors  []*author
	deleted map[element]int   // rune → index of the change that deleted it
	again   map[element][]int // further changes that deleted it meanwhile
	heads   map[Hash]bool
	ops     int
}

// An accepted change.
type accepted struct {
	last uint32 // its greatest operation number
	by   int    // index in actors
	// past says, by index in actors, up to which operation number the change
	// knows each author. Authors that came later are beyond its end.
	past []uint32
}

// An author is one actor's part of the document.
type author struct {
	seq      uint64
	last     uint32     // greatest operation number
	inserted []interval // ascending
}

// An element names a rune by its author's index and operation number.
type element struct {
	actor int
	n     uint32
}

// newHistory begins with the first change: the text object, which is
// operation 1, and n runes behind it.
func newHistory(actor [16]byte, hash Hash, n int) *history {
	first := &author{seq: 1, last: uint32(n) + 1}
	if n > 0 {
		first.inserted = []interval{{2, uint32(n) + 1}}
	}
	return &history{
		byHash:  map[Hash]int{hash: 0},
		changes: []accepted{{last: first.last, past: []uint32{first.last}}},
		index:   map[[16]byte]int{actor: 0},
		actors:  []*author{first},
		deleted: map[element]int{},
		again:   map[element][]int{},
		heads:   map[Hash]bool{hash: true},
		ops:     n + 1,
	}
}

// check tells whether c fits, and returns what it builds on.
func (h *history) check(c *change) (past []uint32, err error) {
	last := uint32(0)
	for _, d := range c.Deps {
		i, ok := h.byHash[d]
		if !ok {
			return nil, fmt.Errorf("%w: %x", ErrMissing, d[:6])
		}
		last = max(last, h.changes[i].last)
		past = union(past, h.changes[i].past)
	}
	if c.StartOp != uint64(last)+1 {
		return nil, fmt.Errorf("%w: it begins at operation %d, not %d", ErrInvalid, c.StartOp, last+1)
	}
	known := make([]int, len(c.actors)) // index in h.actors
	for i, a := range c.actors {
		k, ok := h.index[a]
		if i > 0 && (!ok || k >= len(past) || past[k] == 0) {
			return nil, fmt.Errorf("%w: it names an author it does not know", ErrInvalid)
		}
		if !ok {
			k = -1
		}
		known[i] = k
	}
	if i, ok := h.index[c.Doc]; !ok || i != 0 || known[0] == 0 {
		return nil, fmt.Errorf("%w: it belongs to another document", ErrInvalid)
	}
	if err := h.checkSeq(c, known[0], past); err != nil {
		return nil, err
	}
	for _, e := range c.after {
		if !h.inserted(known[e.actor], e.interval, past) {
			return nil, fmt.Errorf("%w: it inserts behind a rune that is not there", ErrInvalid)
		}
	}
	for _, e := range c.deleted {
		if e.actor == 0 && uint64(e.lo) >= c.StartOp {
			continue // its own
		}
		if err := h.checkDelete(known[e.actor], e.interval, past); err != nil {
			return nil, err
		}
	}
	return past, nil
}

// checkSeq holds the changes of one author to a single line.
func (h *history) checkSeq(c *change, by int, past []uint32) error {
	var seq uint64
	var last, seen uint32
	if by >= 0 {
		seq, last = h.actors[by].seq, h.actors[by].last
		if by < len(past) {
			seen = past[by]
		}
	}
	if c.Seq != seq+1 || seen != last {
		return fmt.Errorf("%w: change %d of an author, after %d", ErrInvalid, c.Seq, seq)
	}
	return nil
}

// inserted tells whether past holds all of a run of runes.
func (h *history) inserted(actor int, r interval, past []uint32) bool {
	if actor < 0 || actor >= len(past) || r.hi > past[actor] {
		return false
	}
	runs := h.actors[actor].inserted
	i, found := slices.BinarySearchFunc(runs, r.lo, interval.side)
	for ; found && runs[i].hi < r.hi; i++ { // a run may go on in the next change
		if i+1 == len(runs) || runs[i+1].lo != runs[i].hi+1 {
			return false
		}
	}
	return found
}

// checkDelete refuses to delete what is not there, or what the change knows
// to be deleted.
func (h *history) checkDelete(actor int, r interval, past []uint32) error {
	if !h.inserted(actor, r, past) {
		return fmt.Errorf("%w: it deletes a rune that is not there", ErrInvalid)
	}
	knows := func(i int) bool {
		c := h.changes[i]
		return c.by < len(past) && c.last <= past[c.by]
	}
	for n := r.lo; n <= r.hi; n++ {
		e := element{actor, n}
		if i, ok := h.deleted[e]; ok && (knows(i) || slices.ContainsFunc(h.again[e], knows)) {
			return fmt.Errorf("%w: it deletes a rune again", ErrInvalid)
		}
	}
	return nil
}

// add takes in a change that check accepted.
func (h *history) add(c *change, past []uint32) {
	by, ok := h.index[c.Actor]
	if !ok {
		by = len(h.actors)
		h.index[c.Actor] = by
		h.actors = append(h.actors, &author{})
	}
	last := uint32(c.StartOp) + uint32(c.Ops) - 1
	me := len(h.changes)
	for len(past) <= by {
		past = append(past, 0)
	}
	past[by] = last
	h.changes = append(h.changes, accepted{last: last, by: by, past: past})
	h.byHash[c.Hash] = me
	for _, d := range c.Deps {
		delete(h.heads, d)
	}
	h.heads[c.Hash] = true
	h.ops += c.Ops

	a := h.actors[by]
	a.seq, a.last = c.Seq, last
	a.inserted = append(a.inserted, c.inserted...)
	for _, r := range c.deleted {
		actor := h.index[c.actors[r.actor]]
		for n := r.lo; n <= r.hi; n++ {
			e := element{actor, n}
			if _, ok := h.deleted[e]; ok {
				h.again[e] = append(h.again[e], me)
			} else {
				h.deleted[e] = me
			}
		}
	}
}

// union returns the greater of two pasts for each author, in memory of its own.
func union(a, b []uint32) []uint32 {
	if a == nil {
		return slices.Clone(b)
	}
	for i, n := range b {
		if i < len(a) {
			a[i] = max(a[i], n)
		} else {
			a = append(a, n)
		}
	}
	return a
}
