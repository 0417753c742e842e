package membership_test

import (
	"fmt"
	"iter"
	"slices"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// check checks everything about the world as it ended.
func (w *world) check() error {
	all, some := uint64(1)<<len(w.ref.ops)-1, uint64(1)<<len(w.entries)-1
	counts := w.ref.accepted(w.entries, some, all)
	checks := []func(all, some, counts uint64) error{w.checkMust, w.checkMembers, w.checkEntries}
	if w.state != nil {
		checks = append(checks, w.checkRules, w.checkOrders)
	}
	for _, check := range checks {
		if err := check(all, some, counts); err != nil {
			return err
		}
	}
	return nil
}

// checkRules checks that the state answers as the reference does.
func (w *world) checkRules(all, some, counts uint64) error {
	if err := w.compare("everything", w.state, all); err != nil {
		return err
	}
	return w.compareEntries("everything", w.state, some, all, counts)
}

// compare compares a state that holds a set with the reference.
func (w *world) compare(what string, s *membership.State, set uint64) error {
	v := w.ref.view(set)
	for who := range w.people {
		id := w.pool.people[who].id
		if got, want := s.Role(id), w.ref.roleAt(who, set); got != want {
			return fmt.Errorf("%s: person %d is %v, by the rules %v", what, who, got, want)
		}
		for dev, key := range w.pool.people[who].keys {
			if _, live := s.Device(key); live && (w.ref.isCut(who, dev, v) || !w.ref.proven(who, dev, set) || w.ref.roleAt(who, set) == credential.None) {
				return fmt.Errorf("%s: device %d of person %d may act", what, dev, who)
			}
		}
	}
	for n, op := range w.ops {
		if got, want := s.InForce(op.ID), has(set&v.valid, n); got != want {
			return fmt.Errorf("%s: op %d of kind %d is in force: %v, by the rules %v", what, n, op.Kind, got, want)
		}
	}
	for _, o := range w.seen {
		if o.know&^set != 0 {
			continue
		}
		if got := s.RoleAt(w.pool.people[o.who].id, w.idsOf(w.tips(o.know))); got != o.role {
			return fmt.Errorf("%s: person %d was %v, is now said to have been %v", what, o.who, o.role, got)
		}
	}
	return nil
}

// forks returns all pairs of entries with one number.
func (w *world) forks(some uint64) []acceptance.Fork {
	var forks []acceptance.Fork
	each(some, func(a int) {
		each(some, func(b int) {
			if x, y := w.entries[a], w.entries[b]; a < b && x.feed == y.feed && x.seq == y.seq {
				f := acceptance.Fork{Feed: w.heads[a].Feed, Seq: w.heads[a].Seq, A: x.id, B: y.id}
				if w.one(2) {
					f.A, f.B = f.B, f.A
				}
				forks = append(forks, f)
			}
		})
	})
	return forks
}

// log gives some entries in a causal order.
func (w *world) log(some uint64) iter.Seq[acceptance.Entry] {
	return func(yield func(acceptance.Entry) bool) {
		for left := some; left != 0; {
			n := w.pick(left)
			if w.entries[n].past&left != 0 {
				continue
			}
			left &^= 1 << n
			if !yield(w.heads[n]) {
				return
			}
		}
	}
}

func (w *world) compareEntries(what string, s *membership.State, some, set, counts uint64) error {
	dead := acceptance.Dead(s, w.log(some), w.forks(some))
	var err error
	each(some, func(n int) {
		if got, want := !dead[w.entries[n].id], has(counts, n); got != want && err == nil {
			err = fmt.Errorf("%s: entry %d counts: %v, by the rules %v", what, n, got, want)
		}
	})
	return err
}

// checkOrders checks that everything in another order, some of it twice, gives
// the same, and that a part of it gives what its owner saw.
func (w *world) checkOrders(all, some, counts uint64) error {
	d := w.devices[w.r.IntN(len(w.devices))]
	s := membership.Simulated(w.ops[0].ID, w.book)
	if err := w.deliver(s, d.know); err != nil {
		return err
	}
	if err := w.compare("one device", s, d.know); err != nil {
		return err
	}
	if err := w.compareEntries("one device", s, d.ents, d.know, w.accepted(d)); err != nil {
		return err
	}
	before := s.Generation()
	was := w.accepted(d)
	if err := w.deliver(s, all); err != nil {
		return err
	}
	if err := w.compare("another order", s, all); err != nil {
		return err
	}
	if now := w.ref.accepted(w.entries, d.ents, all); now != was && s.Generation() == before {
		return fmt.Errorf("entries %b became %b, and the generation is the same", was, now)
	}
	if s.Generation() != w.state.Generation() {
		return fmt.Errorf("another order gives another generation")
	}
	if err := w.compareEntries("another order", s, some, all, counts); err != nil {
		return err
	}
	same := slices.Equal(s.Heads(), w.state.Heads()) && slices.Equal(s.Auth(), w.state.Auth()) &&
		slices.EqualFunc(s.Members(), w.state.Members(), func(a, b membership.Member) bool {
			return a.Profile == b.Profile && a.Role == b.Role && slices.Equal(a.Devices, b.Devices)
		}) &&
		slices.EqualFunc(s.Epochs(), w.state.Epochs(), func(a, b membership.Epoch) bool { return a.ID == b.ID && a.KeyID == b.KeyID }) &&
		slices.EqualFunc(s.Invitations(), w.state.Invitations(), func(a, b membership.Invitation) bool {
			return a.ID == b.ID && a.Revoked == b.Revoked && slices.Equal(a.Used, b.Used)
		})
	if !same {
		return fmt.Errorf("another order gives other heads, members, keys or invitations")
	}
	return nil
}

// deliver adds the credentials of a set in any order, and some of them twice.
func (w *world) deliver(s *membership.State, set uint64) error {
	order := w.r.Perm(len(w.ops))
	for _, n := range order {
		if !has(set, n) {
			continue
		}
		if _, err := s.Add(w.ops[n]); err != nil {
			return fmt.Errorf("in another order op %d is refused: %w", n, err)
		}
		if w.one(8) {
			if status, err := s.Add(w.ops[n]); err != nil || status != membership.Duplicate {
				return fmt.Errorf("once more, op %d is %v, %w", n, status, err)
			}
			s.Role(w.pool.people[0].id) // fills caches on the way
		}
	}
	want := 0
	each(set, func(int) { want++ })
	if s.Len() != max(want, s.Len()) || len(s.Waiting()) != 0 {
		return fmt.Errorf("%d of %d credentials arrived, %d wait", s.Len(), want, len(s.Waiting()))
	}
	return nil
}

// checkMembers checks what must hold of members, whatever the rules say.
func (w *world) checkMembers(all, some, counts uint64) error {
	r, v := w.ref, w.ref.view(all)
	lowered := false
	for _, o := range r.ops {
		lowered = lowered || own(o) && o.who == 0
	}
	if !lowered && r.roleAt(0, all) != credential.Admin {
		return fmt.Errorf("the founder was removed")
	}
	for k, o := range r.ops {
		if !has(v.valid, k) {
			continue
		}
		switch o.kind {
		case credential.Invite:
			used := map[int]bool{}
			for n, t := range r.ops {
				if t.kind == credential.Redeem && t.proof == k && has(v.valid, n) {
					used[t.subject] = true
				}
			}
			if len(used) > o.uses {
				return fmt.Errorf("an invitation for %d admitted %d", o.uses, len(used))
			}
		case credential.InviteRevoke:
			invite := r.ops[o.target]
			for n, t := range r.ops {
				if t.kind == credential.Redeem && t.proof == o.target && has(v.valid, n) && !has(o.past, n) && (invite.who == o.who || o.proof == 0) {
					return fmt.Errorf("a revoked invitation admitted somebody")
				}
			}
		case credential.SetRole:
			// What the founder takes back is gone.
			if o.proof != 0 || own(o) || o.role == credential.Admin {
				continue
			}
			if err := w.checkRemoved(k, v); err != nil {
				return err
			}
		case credential.DeviceCut:
			for n, t := range r.ops {
				if t.who == o.who && t.dev == o.target && has(v.valid, n) && !has(o.past, n) && t.kind != credential.DeviceCut && t.kind != credential.Redeem && !r.sealed(n, t, k, all, v) {
					return fmt.Errorf("what a device did that was cut counts")
				}
			}
		}
	}
	return w.checkSeniors(all, v)
}

// checkRemoved: of somebody whom the founder lowered, by op k, no act counts that
// the founder had not seen, unless it rests on a grant that knows of it; nor do
// they undo what the founder had seen by cutting a device.
func (w *world) checkRemoved(k int, v *refView) error {
	r := w.ref
	removal := r.ops[k]
	for n, o := range r.ops {
		if o.who != removal.subject || !has(v.valid, n) || has(removal.past, n) || !r.needsRight(o) || own(o) {
			continue
		}
		under := o.proof
		know := r.ops[under].past
		if r.ops[under].kind == credential.Redeem {
			know = r.ops[r.ops[under].proof].past
		}
		if _, role, _ := r.grant(r.ops[under]); role > removal.role && !has(know, k) {
			return fmt.Errorf("who was removed by op %d strikes back by op %d", k, n)
		}
	}
	for n, o := range r.ops { // an invitation of theirs is as good as they are
		if o.kind == credential.Redeem && has(v.valid, n) && !has(removal.past, n) {
			invite := r.ops[o.proof]
			if _, role, _ := r.grant(r.ops[invite.proof]); invite.who == removal.subject && role > removal.role && !has(r.ops[invite.proof].past, k) && r.ops[invite.proof].kind == credential.SetRole {
				return fmt.Errorf("an invitation of who was removed by op %d admits by op %d", k, n)
			}
		}
		if o.kind == credential.Redeem && o.subject == removal.subject && has(v.valid, n) && !has(r.ops[o.proof].past, k) {
			lowered := false
			for g, t := range r.ops {
				lowered = lowered || r.takesBack(g, n) && has(v.valid, g) && t.kind == credential.SetRole
			}
			if r.ops[o.proof].role > removal.role && r.ops[o.proof].role < credential.Admin && !lowered {
				return fmt.Errorf("who was removed by op %d comes back by op %d", k, n)
			}
		}
	}
	// Without their cuts that do not know of the removal, and that it does not
	// know, the same acts of theirs count that the founder had seen.
	cuts := uint64(0)
	for n, o := range r.ops {
		if o.kind == credential.DeviceCut && o.who == removal.subject && !has(removal.past, n) && !has(o.past, k) {
			cuts |= 1 << n
		}
	}
	if cuts == 0 || removal.role != credential.None {
		return nil
	}
	without := r.view((uint64(1)<<len(r.ops) - 1) &^ cuts)
	for n, o := range r.ops {
		if o.who == removal.subject && has(removal.past, n) && r.needsRight(o) && !own(o) && r.takesBack(k, o.proof) && has(without.valid, n) && has(without.valid, k) && !has(v.valid, n) {
			return fmt.Errorf("who was removed by op %d undoes op %d", k, n)
		}
	}
	return nil
}

// checkSeniors: what acts with a rank is void or not whatever their juniors do.
func (w *world) checkSeniors(all uint64, v *refView) error {
	r := w.ref
	n := w.r.IntN(len(r.ops))
	rank := r.rank(r.ops[n])
	set := uint64(0)
	senior_ := uint64(0)
	for i, o := range r.ops {
		switch {
		case o.kind == credential.DeviceCut || own(o) || !r.last(o) && senior(r.rank(o), rank) < 0 || !r.needsRight(o) && o.kind != credential.Redeem:
			set |= 1 << i
			if r.needsRight(o) && !own(o) && senior(r.rank(o), rank) < 0 {
				senior_ |= 1 << i
			}
		}
	}
	without := r.view(set)
	if bad := (without.valid ^ v.valid) & senior_; bad != 0 {
		return fmt.Errorf("juniors decide about ops %b", bad)
	}
	return nil
}

// checkEntries checks what must hold of entries, whatever the rules say.
func (w *world) checkEntries(all, some, counts uint64) error {
	r, v := w.ref, w.ref.view(all)
	out := r.excluded(w.entries, some, all) | r.losers(w.entries, some, all)
	for n, e := range w.entries {
		if has(counts, n) {
			if e.past&^counts != 0 {
				return fmt.Errorf("entry %d counts, and something that it builds on does not", n)
			}
			if has(out, n) || e.past&out != 0 {
				return fmt.Errorf("entry %d counts, and is excluded or lost a fork", n)
			}
			if err := w.checkEnded(n, e, all, some, v); err != nil {
				return err
			}
		} else if err := w.checkHonest(n, e, all, out, v); err != nil {
			return err
		}
	}
	for k, o := range r.ops {
		if o.kind != credential.Exclude || !has(v.valid, k) || o.proof != 0 {
			continue
		}
		for _, c := range o.cuts { // the founder's are good against everybody
			if c.entry >= 0 && w.entries[c.entry].feed == c.feed && w.entries[c.entry].seq == c.seq && has(o.past, c.feed) && has(counts, c.entry) {
				return fmt.Errorf("entry %d counts, and the founder excluded it", c.entry)
			}
		}
	}
	return nil
}

// checkEnded: whom the founder removed for good, and a device that was cut, has
// no entry that is not kept, but what somebody else builds on.
func (w *world) checkEnded(n int, e *refEntry, all, some uint64, v *refView) error {
	r := w.ref
	for _, f := range w.entries {
		if f.who != e.who && has(f.past, n) {
			return nil
		}
	}
	kept := func(cuts []refCut, m int) bool {
		x := w.entries[m]
		return slices.ContainsFunc(cuts, func(c refCut) bool {
			return c.feed == x.feed && (x.seq < c.seq || x.seq == c.seq && c.entry == m)
		})
	}
	// Their own later entries may be kept and build on it, too.
	ended := func(k int) bool {
		good := false
		each(some, func(m int) {
			x := w.entries[m]
			good = good || x.who == e.who && (m == n || has(x.past, n)) && (has(x.auth, k) || kept(r.ops[k].cuts, m) || x.dev != e.dev)
		})
		return !good
	}
	for k, o := range r.ops {
		if !has(v.valid, k) || has(e.auth, k) {
			continue
		}
		if o.kind == credential.SetRole && o.proof == 0 && !own(o) && o.subject == e.who && o.role < credential.Editor && r.roleAt(e.who, all) < credential.Editor && ended(k) && r.role(e.who, e.auth|1<<k, all, v) < credential.Editor {
			return fmt.Errorf("entry %d counts, and its author was removed by op %d", n, k)
		}
		if o.kind == credential.DeviceCut && o.who == e.who && o.target == e.dev && !r.byRemoved(k, all, v) && ended(k) {
			first := true
			for j, t := range r.ops {
				first = first && !(t.kind == credential.DeviceCut && t.who == e.who && has(v.valid, j) && has(o.past, j))
			}
			if first {
				return fmt.Errorf("entry %d counts, and its device was cut by op %d", n, k)
			}
		}
	}
	return nil
}

// checkHonest: work of those who were in good standing is not lost, nor what
// others in good standing built on.
func (w *world) checkHonest(n int, e *refEntry, all, out uint64, v *refView) error {
	if !e.honest || has(out, n) || e.past&out != 0 {
		return nil // out with what it builds on, and saved again by its author
	}
	if w.untouched(e, all, v) {
		return fmt.Errorf("entry %d, honest work, is lost", n)
	}
	for m, f := range w.entries {
		if has(f.past, n) && f.honest && w.untouched(f, all, v) {
			return fmt.Errorf("entry %d is lost, on which entry %d of good standing builds", n, m)
		}
	}
	return nil
}

// untouched: the right of its author was real, and nothing in force lowers them
// or cuts one of their devices.
func (w *world) untouched(e *refEntry, all uint64, v *refView) bool {
	r := w.ref
	for k, o := range r.ops {
		switch {
		case o.kind == credential.SetRole && o.subject == e.who && o.role < credential.Editor && r.lowers(k, all, v):
			return false
		case o.kind == credential.DeviceCut && o.who == e.who && has(v.valid, k):
			return false
		}
	}
	return r.role(e.who, e.auth, all, v) >= credential.Editor
}
