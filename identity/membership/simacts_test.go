package membership_test

import (
	"github.com/echofs/echofs/identity/credential"
)

// act makes an honest device state something that it may.
func (w *world) act(d *device) error {
	role := w.ref.roleAt(d.who, d.know)
	if w.ref.isCut(d.who, d.dev, w.ref.view(d.know)) {
		return w.recover(d)
	}
	if !w.ref.proven(d.who, d.dev, d.know) {
		return w.join(d)
	}
	if role == credential.None {
		return nil
	}
	switch w.r.IntN(12) {
	case 0, 1, 2, 3:
		return w.setRole(d)
	case 4:
		return w.invite(d)
	case 5:
		return w.revoke(d)
	case 6, 7:
		return w.redeem(d)
	case 8:
		return w.cutB(d)
	case 9:
		return w.exclude(d)
	case 10:
		if w.one(2) && role == credential.Admin {
			return w.honest(d, &refOp{kind: credential.KeyEpoch})
		}
		return w.honest(d, &refOp{kind: []credential.Kind{credential.ProfileSet, credential.FeedOpen}[w.r.IntN(2)]})
	}
	return w.lower(d)
}

// join: a device that is new proves itself.
func (w *world) join(d *device) error {
	if d.dev != devB || w.ref.roleAt(d.who, d.know) == credential.None {
		return nil
	}
	_, err := w.make(d, w.under(d, &refOp{kind: credential.Import, chain: chainAB, chainOf: d.who}))
	return err // refused if more is known of it, such as that it was revoked
}

// theirCuts returns the last entries of somebody's feeds that count for a device.
func (w *world) theirCuts(d *device, theirs func(e *refEntry) bool) []refCut {
	last := map[int]int{}
	each(w.accepted(d), func(n int) {
		e := w.entries[n]
		if b, ok := last[e.feed]; theirs(e) && (!ok || w.entries[b].seq < e.seq) {
			last[e.feed] = n
		}
	})
	var cuts []refCut
	for feed := range w.ref.ops { // in order
		if n, ok := last[feed]; ok {
			cuts = append(cuts, refCut{feed, w.entries[n].seq, n})
		}
	}
	return cuts
}

func (w *world) setRole(d *device) error {
	o := &refOp{kind: credential.SetRole, subject: w.r.IntN(w.people), role: credential.Role(w.r.IntN(4))}
	if o.subject == d.who {
		return nil
	}
	proof, ok := w.bestGrant(d, credential.Admin)
	if !ok {
		return nil
	}
	v := w.ref.view(d.know)
	isSenior := false
	each(d.know&v.valid, func(g int) {
		who, _, ok := w.ref.grant(w.ref.ops[g])
		isSenior = isSenior || ok && who == o.subject && o.role < credential.Admin && w.ref.gives(g, d.know, d.know, v) == credential.Admin && senior(w.ref.ops[proof].path, w.ref.ops[g].path) >= 0
	})
	if isSenior {
		return nil
	}
	if o.role < credential.Editor {
		o.cuts = w.theirCuts(d, func(e *refEntry) bool { return e.who == o.subject })
	}
	return w.honest(d, o)
}

// lower: somebody leaves, or steps down.
func (w *world) lower(d *device) error {
	role := w.ref.roleAt(d.who, d.know)
	if role == credential.None || w.one(3) {
		return nil
	}
	o := &refOp{kind: credential.SetRole, subject: d.who, role: credential.Role(w.r.IntN(int(role)))}
	if o.role < credential.Editor {
		o.cuts = w.theirCuts(d, func(e *refEntry) bool { return e.who == d.who })
	}
	return w.honest(d, o)
}

func (w *world) invite(d *device) error {
	return w.honest(d, &refOp{kind: credential.Invite, role: credential.Role(1 + w.r.IntN(3)), uses: 1 + w.r.IntN(2)})
}

// ofKind returns a random op of a kind among some, or -1.
func (w *world) ofKind(kind credential.Kind, some uint64) int {
	found := -1
	count := 0
	each(some, func(n int) {
		if w.ref.ops[n].kind == kind {
			if count++; w.one(count) {
				found = n
			}
		}
	})
	return found
}

func (w *world) revoke(d *device) error {
	target := w.ofKind(credential.Invite, d.know)
	if target < 0 {
		return nil
	}
	return w.honest(d, &refOp{kind: credential.InviteRevoke, target: target})
}

// redeem: a device admits somebody who has the link, which anybody may have.
func (w *world) redeem(d *device) error {
	proof := w.ofKind(credential.Invite, d.know)
	if proof < 0 {
		return nil
	}
	guest := w.r.IntN(w.people)
	o := &refOp{kind: credential.Redeem, proof: proof, subject: guest, chain: chainA, chainOf: guest}
	_, err := w.make(d, o) // which may be refused: it was used, or revoked, or the guest was removed
	return err
}

// cutB: somebody notices that device B was stolen.
func (w *world) cutB(d *device) error {
	if d.dev != devA || !w.stolen[d.who] && !w.one(4) || !w.ref.proven(d.who, devB, d.know) {
		return nil
	}
	o := &refOp{kind: credential.DeviceCut, target: devB, chain: chainEndsB}
	if w.ref.proven(d.who, devC, d.know) && w.one(2) {
		o.chain = chainKnowsC
	}
	o.cuts = w.theirCuts(d, func(e *refEntry) bool { return e.who == d.who && (e.dev == devB || e.dev == devC) })
	_, err := w.make(d, w.under(d, o)) // refused after a reset
	return err
}

// under gives an op the best grant there is.
func (w *world) under(d *device, o *refOp) *refOp {
	o.proof, _ = w.bestGrant(d, w.least(d, o))
	o.proof = max(o.proof, 0)
	return o
}

// recover: a device that was cut by a thief is kept by a reset, and the new one
// cuts the thief.
func (w *world) recover(d *device) error {
	if d.dev != devA || w.evil[d.who] {
		return nil
	}
	n := w.device(d.who, devN)
	n.know |= d.know
	n.ents |= d.ents
	if !w.ref.proven(n.who, devN, n.know) {
		if _, err := w.make(n, w.under(n, &refOp{kind: credential.Import, chain: chainReset, chainOf: n.who})); err != nil {
			return err
		}
	}
	o := &refOp{kind: credential.DeviceCut, target: devB, chain: chainReset}
	o.cuts = w.theirCuts(n, func(e *refEntry) bool { return e.who == n.who && (e.dev == devB || e.dev == devC) })
	_, err := w.make(n, w.under(n, o))
	return err
}

func (w *world) exclude(d *device) error {
	if len(w.entries) == 0 || !w.one(3) {
		return nil
	}
	n := w.r.IntN(len(w.entries))
	if !has(d.ents, n) {
		return nil
	}
	e := w.entries[n]
	return w.honest(d, &refOp{kind: credential.Exclude, cuts: []refCut{{e.feed, e.seq, n}}})
}

// lie makes a hostile device state anything, on any part of what it knows.
func (w *world) lie(d *device) error {
	know := d.know
	if w.one(2) {
		know = w.closed(w.some(know) | w.some(w.grantsOf(d)))
	}
	if !w.ref.proven(d.who, d.dev, know) && !w.one(4) {
		return nil
	}
	o := &refOp{subject: w.r.IntN(w.people), role: credential.Role(w.r.IntN(4)), uses: 1 + w.r.IntN(2)}
	proofs := w.grantsOf(d) & know
	if w.one(10) {
		proofs = know // somebody else's
	}
	o.proof = w.pick(proofs)
	switch w.r.IntN(12) {
	case 0, 1, 2, 3:
		o.kind = credential.SetRole
		if o.subject == d.who {
			o.role = min(o.role, credential.Editor)
		}
		o.cuts = w.lieCuts(o.role < credential.Editor)
	case 4:
		o.kind = credential.Invite
		o.role = max(o.role, credential.Reader)
	case 5, 6:
		o.kind = credential.Redeem
		if o.proof = w.ofKind(credential.Invite, know); o.proof < 0 {
			return nil
		}
		o.chain, o.chainOf = chainA, o.subject
	case 7:
		o.kind = credential.InviteRevoke
		if o.target = w.ofKind(credential.Invite, know); o.target < 0 {
			return nil
		}
	case 8, 9:
		o.kind = credential.DeviceCut
		o.target, o.chain = w.r.IntN(nDevices), 1+w.r.IntN(nChains-1)
		if w.stolen[d.who] { // a thief does not have the words
			o.chain = []int{chainEndsA, chainCEndsA}[w.r.IntN(2)]
			o.target = devA
		}
		o.cuts = w.lieCuts(true)
	case 10:
		o.kind = credential.Exclude
		if o.cuts = w.lieCuts(true); len(o.cuts) == 0 {
			return nil
		}
	case 11:
		o.kind = credential.Import
		o.chainOf, o.chain = d.who, w.r.IntN(nChains)
		if w.stolen[d.who] {
			o.chain = chainABC
			if w.one(2) {
				d = w.device(d.who, devC)
				d.know |= know
			}
		} else if w.one(3) {
			o.chainOf, o.chain = o.subject, chainA
		}
	}
	_, err := w.makeOn(d, o, know)
	return err
}

func (w *world) lieCuts(any bool) []refCut {
	if !any || len(w.entries) == 0 || w.one(2) {
		return nil
	}
	n := w.r.IntN(len(w.entries))
	e := w.entries[n]
	c := refCut{e.feed, e.seq, n}
	switch w.r.IntN(6) {
	case 0:
		c.entry = w.r.IntN(len(w.entries))
	case 1:
		c.seq = 1 + w.r.IntN(5)
	case 2:
		c.feed = w.entries[w.r.IntN(len(w.entries))].feed
	}
	return []refCut{c}
}

func (w *world) grantsOf(d *device) uint64 {
	set := uint64(0)
	each(d.know, func(n int) {
		if who, _, ok := w.ref.grant(w.ref.ops[n]); ok && who == d.who {
			set |= 1 << n
		}
	})
	return set
}

// pick returns one of a set, 0 if there is none.
func (w *world) pick(set uint64) int {
	found, count := 0, 0
	each(set, func(n int) {
		if count++; w.one(count) {
			found = n
		}
	})
	return found
}

// lieEntry makes a hostile device write on any part of what it knows, perhaps
// under a number that it has used.
func (w *world) lieEntry(d *device) error {
	if len(w.entries) >= maxEntries {
		return nil
	}
	know := d.know
	if w.one(2) {
		know = w.closed(w.some(know) | w.some(w.grantsOf(d)))
	}
	if d.feed < 0 {
		n := len(w.ref.ops)
		o := &refOp{kind: credential.FeedOpen, proof: w.pick(w.grantsOf(d))}
		if ok, err := w.make(d, o); err != nil || !ok {
			return err
		}
		d.feed = n
	}
	prev := d.last
	if prev >= 0 && w.one(3) {
		prev = w.entries[prev].prev // a fork
	}
	deps := uint64(0)
	each(d.ents, func(n int) {
		if w.entries[n].auth&^know == 0 && w.one(3) {
			deps |= 1 << n
		}
	})
	_, err := w.entry(d, deps, know, prev)
	return err
}
