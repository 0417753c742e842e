package membership_test

import (
	"fmt"

	"github.com/echofs/echofs/identity/credential"
)

// checkMust checks plain sentences about who may do what, which use the rules as
// little as can be.
func (w *world) checkMust(all, some, counts uint64) error {
	v := w.ref.view(all)
	for k, o := range w.ref.ops {
		for _, check := range []func(k int, o *refOp, all uint64, v *refView) error{w.mustRest, w.mustObey, w.mustPrevail, w.mustCut} {
			if err := check(k, o, all, v); err != nil {
				return err
			}
		}
	}
	if err := w.mustPin(some, all, v); err != nil {
		return err
	}
	for n, e := range w.entries {
		for m, f := range w.entries {
			if n < m && e.feed == f.feed && e.seq == f.seq && has(counts, n) && has(counts, m) {
				return fmt.Errorf("two entries of one number count: %d and %d", n, m)
			}
		}
		if has(counts, n) && !w.hadRight(n, e, v) {
			return fmt.Errorf("entry %d counts, and its author never had the right to write it", n)
		}
	}
	return nil
}

// mustRest: what admins do rests on a grant that is in force, and is not by a
// device that they knew to be cut.
func (w *world) mustRest(k int, o *refOp, all uint64, v *refView) error {
	if has(v.valid, k) && w.ref.needsRight(o) && !has(v.valid, o.proof) {
		return fmt.Errorf("op %d is in force and rests on op %d, which is not", k, o.proof)
	}
	if w.ref.isCut(o.who, o.dev, w.ref.view(o.past)) {
		return fmt.Errorf("op %d is by a device that was cut", k)
	}
	return nil
}

// mustObey: who gave up a right does not use it, nor has it, unless it was given
// again by somebody who knew.
func (w *world) mustObey(k int, o *refOp, all uint64, v *refView) error {
	if !own(o) || !has(v.valid, k) {
		return nil
	}
	again := credential.None
	for n, t := range w.ref.ops {
		if t.who == o.who && has(v.valid, n) && w.ref.needsRight(t) && has(t.past, k) && !has(w.ref.ops[t.proof].past, k) {
			return fmt.Errorf("op %d uses a right that op %d gave up", n, k)
		}
		if who, role, ok := w.ref.grant(t); ok && who == o.subject && has(t.past, k) && has(v.valid, n) {
			again = max(again, role)
		}
	}
	if got := w.ref.roleAt(o.who, all); got > max(again, o.role) {
		return fmt.Errorf("person %d is %v, and gave that up by op %d", o.who, got, k)
	}
	return w.mustEnd(k, o, all, v)
}

// mustEnd: who stepped down can be lowered by any admin who knows.
func (w *world) mustEnd(k int, o *refOp, all uint64, v *refView) error {
	for n, t := range w.ref.ops {
		if t.kind != credential.SetRole || own(t) || t.subject != o.who || t.role >= o.role || !has(v.valid, n) || !has(t.past, k) {
			continue
		}
		seen := true
		for g, x := range w.ref.ops {
			who, _, ok := w.ref.grant(x)
			seen = seen && !(ok && who == o.who && !own(x) && g != n && (!has(t.past, g) || has(x.past, k)))
		}
		if got := w.ref.roleAt(o.who, all); seen && got > t.role {
			return fmt.Errorf("person %d is %v, and was lowered by op %d", o.who, got, n)
		}
	}
	return nil
}

// mustPrevail: what the founder gives stays, unless the founder takes it, or who
// got it gives it up, or somebody takes it who knows.
func (w *world) mustPrevail(k int, o *refOp, all uint64, v *refView) error {
	if o.kind != credential.SetRole || own(o) || o.proof != 0 || o.role == credential.None || !has(v.valid, k) {
		return nil
	}
	for n, t := range w.ref.ops {
		if t.kind == credential.SetRole && t.subject == o.subject && n != k && (t.proof == 0 || own(t) || has(t.past, k)) {
			return nil
		}
	}
	if got := w.ref.roleAt(o.subject, all); got < o.role {
		return fmt.Errorf("person %d is %v, and the founder said otherwise by op %d", o.subject, got, k)
	}
	return nil
}

// mustCut: a thief's device that only adds devices has none after it is cut, and
// what a reset keeps is kept.
func (w *world) mustCut(k int, o *refOp, all uint64, v *refView) error {
	if o.kind != credential.DeviceCut {
		return nil
	}
	if o.chain == chainReset && w.ref.isCut(o.who, devA, v) {
		return fmt.Errorf("device A of person %d is cut, and the reset by op %d kept it", o.who, k)
	}
	if o.chain != chainEndsB || !has(v.valid, k) {
		return nil
	}
	for n, t := range w.ref.ops {
		if t.who == o.who && t.dev == devC && has(v.valid, n) && !has(o.past, n) && !w.ref.needsRight(t) && t.kind != credential.DeviceCut && t.kind != credential.Redeem {
			return fmt.Errorf("op %d counts, of a device that a thief added, who was cut by op %d", n, k)
		}
	}
	return nil
}

// mustPin: the entry that the founder leaves standing does not lose a fork, and
// nobody excludes the founder's.
func (w *world) mustPin(some, all uint64, v *refView) error {
	r := w.ref
	losers, excluded := r.losers(w.entries, some, all), r.excluded(w.entries, some, all)
	pins, named := map[int]int{}, map[int]int{}
	stepped := false
	for k, o := range r.ops {
		stepped = stepped || own(o) && o.who == 0 || o.kind == credential.Exclude && o.who == 0
		if o.kind != credential.SetRole || own(o) || o.proof != 0 || o.role >= credential.Editor || !has(v.valid, k) {
			continue
		}
		for _, c := range o.cuts {
			pins[c.feed]++
			if c.entry >= 0 && w.entries[c.entry].feed == c.feed && w.entries[c.entry].seq == c.seq && w.entries[c.entry].who == o.subject {
				named[c.feed] = c.entry
			}
		}
	}
	for feed, n := range named {
		if pins[feed] == 1 && has(losers, n) {
			return fmt.Errorf("entry %d lost a fork, and the founder leaves it standing", n)
		}
	}
	for n, e := range w.entries {
		if e.who == 0 && has(excluded, n) && !stepped {
			return fmt.Errorf("entry %d is the founder's and excluded", n)
		}
	}
	return nil
}

// hadRight: some grant that is in force lets the author of an entry, or of one
// that builds on it, write.
func (w *world) hadRight(n int, e *refEntry, v *refView) bool {
	for m, f := range w.entries {
		if m != n && !has(f.past, n) {
			continue
		}
		right := false
		each(f.auth&v.valid, func(g int) {
			who, role, ok := w.ref.grant(w.ref.ops[g])
			right = right || ok && who == f.who && role >= credential.Editor
		})
		if right {
			return true
		}
	}
	return false
}
