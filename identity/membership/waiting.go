package membership

import (
	"cmp"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

const (
	maxWaiting      = 1024
	maxWaitingBytes = 8 << 20
)

// waiting holds credentials whose past is incomplete, or that only a later
// release understands. It is bounded: peers offer again what was dropped.
type waiting struct {
	ops   map[identity.ID]*waiter
	on    map[identity.ID][]identity.ID // what is missing → who waits for it
	bytes int
	next  int
}

type waiter struct {
	op      credential.Signed
	missing identity.ID
	age     int // less is older
}

func newWaiting() waiting {
	return waiting{ops: map[identity.ID]*waiter{}, on: map[identity.ID][]identity.ID{}}
}

func (w *waiting) has(id identity.ID) bool { return w.ops[id] != nil }

// add keeps op until missing arrives. When that is too much it drops, until it
// is not, the oldest credential of a device that is not known, or else the
// oldest. It reports whether op itself is still there.
func (w *waiting) add(op credential.Signed, missing identity.ID, known func(credential.Signed) bool) bool {
	w.ops[op.ID] = &waiter{op: op, missing: missing, age: w.next}
	w.next++
	w.on[missing] = append(w.on[missing], op.ID)
	w.bytes += len(op.Raw)
	for len(w.ops) > maxWaiting || w.bytes > maxWaitingBytes {
		var victim *waiter
		victimKnown := false
		for _, c := range w.ops {
			k := known(c.op)
			if victim == nil || victimKnown && !k || victimKnown == k && c.age < victim.age {
				victim, victimKnown = c, k
			}
		}
		w.drop(victim)
	}
	return w.has(op.ID)
}

// take removes and returns what waited for id, oldest first.
func (w *waiting) take(id identity.ID) []credential.Signed {
	var ready []credential.Signed
	for _, waiter := range slices.Clone(w.on[id]) {
		c := w.ops[waiter]
		ready = append(ready, c.op)
		w.drop(c)
	}
	return ready
}

// keep drops what does not satisfy ok.
func (w *waiting) keep(ok func(credential.Signed) bool) {
	for _, c := range w.ops {
		if !ok(c.op) {
			w.drop(c)
		}
	}
}

// all returns everything, oldest first.
func (w *waiting) all() []credential.Signed {
	list := make([]*waiter, 0, len(w.ops))
	for _, c := range w.ops {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *waiter) int { return cmp.Compare(a.age, b.age) })
	ops := make([]credential.Signed, len(list))
	for i, c := range list {
		ops[i] = c.op
	}
	return ops
}

func (w *waiting) drop(c *waiter) {
	delete(w.ops, c.op.ID)
	w.bytes -= len(c.op.Raw)
	left := slices.DeleteFunc(w.on[c.missing], func(id identity.ID) bool { return id == c.op.ID })
	if len(left) == 0 {
		delete(w.on, c.missing)
	} else {
		w.on[c.missing] = left
	}
}
