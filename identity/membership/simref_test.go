package membership_test

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"github.com/echofs/echofs/identity/credential"
)

// The reference answers as docs/formats.md puts the rules, one sentence at a time,
// over small numbers instead of IDs: up to 64 credentials and as many entries, in
// causal order. weak names a rule that it leaves out.
type reference struct {
	pool *pool
	weak string
	ops  []*refOp
	memo map[uint64]*refView
	sort []int // the order in which ops are settled
}

type refOp struct {
	kind    credential.Kind
	who     int // identity of the signer
	dev     int // its device
	subject int
	role    credential.Role
	proof   int // for REDEEM the INVITE
	target  int // INVITE_REVOKE: the INVITE; DEVICE_CUT: the device
	chain   int // which chain of chainOf; -1 if none
	chainOf int
	uses    int
	cuts    []refCut
	id      [32]byte

	deps, past uint64
	depth      int
	path       []refStep
}

// A refCut names entry n of the world, which has number seq in feed.
type refCut struct{ feed, seq, entry int }

type refStep struct {
	depth int
	id    [32]byte
}

type refView struct {
	valid uint64
	cuts  []refDeviceCut
}

type refDeviceCut struct {
	op     int
	counts bool
	ends   uint64 // devices
}

func has(set uint64, i int) bool { return set>>uint(i)&1 == 1 }

// each calls f for each number in set.
func each(set uint64, f func(int)) {
	for ; set != 0; set &= set - 1 {
		f(bits.TrailingZeros64(set))
	}
}

func (r *reference) add(op *refOp) int {
	n := len(r.ops)
	each(op.deps, func(d int) {
		op.past |= r.ops[d].past | 1<<d
		op.depth = max(op.depth, r.ops[d].depth+1)
	})
	switch op.kind {
	case credential.SetRole, credential.Invite, credential.Redeem:
		op.path = append(slices.Clone(r.ops[op.proof].path), refStep{op.depth, op.id})
	}
	r.ops = append(r.ops, op)
	at, _ := slices.BinarySearchFunc(r.sort, n, r.before)
	r.sort = slices.Insert(r.sort, at, n)
	return n
}

// drop takes the last op back.
func (r *reference) drop() {
	n := len(r.ops) - 1
	r.ops = r.ops[:n]
	r.sort = slices.DeleteFunc(r.sort, func(i int) bool { return i == n })
	for set := range r.memo {
		if has(set, n) {
			delete(r.memo, set)
		}
	}
}

func senior(a, b []refStep) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	for i := range a {
		if c := cmp.Or(cmp.Compare(a[i].depth, b[i].depth), bytes.Compare(a[i].id[:], b[i].id[:])); c != 0 {
			return c
		}
	}
	return 0
}

func (r *reference) grant(o *refOp) (who int, role credential.Role, ok bool) {
	switch o.kind {
	case credential.Genesis:
		return o.who, credential.Admin, true
	case credential.SetRole:
		return o.subject, o.role, true
	case credential.Redeem:
		return o.subject, r.ops[o.proof].role, true
	}
	return 0, 0, false
}

// rank is what an op acts with: the path of what it is made under.
func (r *reference) rank(o *refOp) []refStep {
	if o.kind == credential.Genesis {
		return nil
	}
	return r.ops[o.proof].path
}

func own(o *refOp) bool { return o.kind == credential.SetRole && o.subject == o.who }

// last: REDEEMs of no admin are settled after all others, by age alone.
func (r *reference) last(o *refOp) bool {
	return o.kind == credential.Redeem && r.ops[o.proof].role < credential.Admin
}

func (r *reference) age(a, b *refOp) int {
	return cmp.Or(cmp.Compare(a.depth, b.depth), bytes.Compare(a.id[:], b.id[:]))
}

func (r *reference) before(i, j int) int {
	a, b := r.ops[i], r.ops[j]
	key := func(o *refOp) int {
		switch {
		case o.kind == credential.Genesis:
			return 0
		case !r.last(o):
			return 1
		}
		return 2
	}
	if c := cmp.Compare(key(a), key(b)); c != 0 {
		return c
	}
	if key(a) == 1 {
		if c := senior(r.rank(a), r.rank(b)); c != 0 {
			return c
		}
	}
	return r.age(a, b)
}

// view settles a set that has the past of everything in it.
func (r *reference) view(set uint64) *refView {
	if v := r.memo[set]; v != nil {
		return v
	}
	v := &refView{cuts: r.deviceCuts(set)}
	for _, i := range r.sort {
		if has(set, i) && r.inForce(i, set, v) {
			v.valid |= 1 << i
		}
	}
	r.memo[set] = v
	return v
}

// deviceCuts: a DEVICE_CUT counts if by all chains of the identity its device is
// not live. It ends that device, and every other that it was proven
// live by a chain of which, with that of the cut, it is not.
func (r *reference) deviceCuts(set uint64) []refDeviceCut {
	var list []refDeviceCut
	together := map[int]uint64{}
	each(set, func(i int) {
		o := r.ops[i]
		if o.chain >= 0 {
			together[o.chainOf] |= 1 << o.chain
		}
		if o.kind == credential.DeviceCut {
			list = append(list, refDeviceCut{op: i})
		}
	})
	for k := range list {
		o := r.ops[list[k].op]
		list[k].counts = !has(r.pool.live(o.who, together[o.who]), o.target) || r.weak == "a reset undoes cuts"
		if !list[k].counts {
			continue
		}
		list[k].ends = 1 << o.target
		each(set, func(j int) {
			p := r.ops[j]
			if p.chain < 0 || p.kind == credential.DeviceCut || p.chainOf != o.who || r.weak == "a cut ends what only its device added" {
				return
			}
			list[k].ends |= r.pool.live(o.who, 1<<p.chain) &^ r.pool.live(o.who, 1<<p.chain|1<<o.chain)
		})
	}
	return list
}

// needsRight: what counts only while the grant does that it was made under.
func (r *reference) needsRight(o *refOp) bool {
	switch o.kind {
	case credential.SetRole:
		return !own(o)
	case credential.InviteRevoke:
		return r.ops[o.target].who != o.who
	case credential.Invite, credential.KeyEpoch, credential.Exclude:
		return true
	}
	return false
}

func (r *reference) inForce(i int, set uint64, v *refView) bool {
	o := r.ops[i]
	switch o.kind {
	case credential.Genesis:
		return true
	case credential.FeedOpen, credential.Import:
		return false
	case credential.DeviceCut:
		return slices.ContainsFunc(v.cuts, func(c refDeviceCut) bool { return c.op == i && c.counts })
	case credential.Redeem:
		return r.redeemed(i, set, v)
	}
	if r.ended(i, o, set, v) {
		return false
	}
	if !r.needsRight(o) {
		return true
	}
	return (has(v.valid, o.proof) || r.weak == "what rests on void is void") && !r.stripped(i, o.proof, set, v)
}

// stripped: somebody took the right back that under gave, before o was made.
func (r *reference) stripped(i, under int, set uint64, v *refView) bool {
	o := r.ops[i]
	found := false
	each(set, func(k int) {
		t := r.ops[k]
		if !r.takesBack(k, under) {
			return
		}
		if own(t) {
			found = found || has(o.past, k) && !r.ended(k, t, set, v) && r.weak != "who left has no right"
			return
		}
		unseen := !has(t.past, i)
		switch r.weak {
		case "strong removal":
			unseen = false
		case "back-dating is void":
			unseen = has(o.past, k)
		}
		found = found || has(v.valid, k) && unseen
	})
	return found
}

func (r *reference) takesBack(k, g int) bool {
	t, given := r.ops[k], r.ops[g]
	who, role, ok := r.grant(given)
	if !ok || t.kind != credential.SetRole || k == g || t.subject != who || t.role >= role {
		return false
	}
	if own(t) {
		if r.weak == "leaving prevails" {
			return has(t.past, g)
		}
		return !has(given.past, k)
	}
	if role == credential.Admin && senior(r.rank(t), given.path) >= 0 && r.weak != "only seniors lower admins" {
		return false
	}
	if given.kind == credential.Redeem && r.weak != "an invitation raises nobody whom it does not know lowered" {
		return !has(r.ops[given.proof].past, k)
	}
	if has(given.past, k) {
		return false
	}
	return has(t.past, g) || senior(r.rank(t), r.rank(given)) <= 0 || r.weak == "the senior author prevails"
}

// ended: the device of by was cut before op i was made.
func (r *reference) ended(i int, by *refOp, set uint64, v *refView) bool {
	if r.weak == "what a cut has not seen is void" {
		return false
	}
	return slices.ContainsFunc(v.cuts, func(c refDeviceCut) bool {
		cut := r.ops[c.op]
		return c.counts && cut.who == by.who && has(c.ends, by.dev) && !has(cut.past, i) && !r.sealed(i, by, c.op, set, v)
	})
}

// sealed: who took the right to i back had seen it and left it, and did not know
// of the cut, nor the cut of the removal.
func (r *reference) sealed(i int, by *refOp, cut int, set uint64, v *refView) bool {
	if !r.needsRight(by) || r.weak == "a removal seals" {
		return false
	}
	found := false
	each(set&v.valid, func(k int) {
		t := r.ops[k]
		found = found || t.kind == credential.SetRole && !own(t) && r.takesBack(k, by.proof) &&
			has(t.past, i) && !has(t.past, cut) && !has(r.ops[cut].past, k)
	})
	return found
}

func (r *reference) redeemed(i int, set uint64, v *refView) bool {
	o := r.ops[i]
	invite := r.ops[o.proof]
	if !has(v.valid, o.proof) {
		return false
	}
	if r.weak != "an invitation ends with its author's right" && (r.stripped(i, invite.proof, set, v) || r.ended(i, invite, set, v)) {
		return false
	}
	revoked := false
	each(set, func(k int) {
		t := r.ops[k]
		if t.kind != credential.InviteRevoke || t.target != o.proof || has(t.past, i) {
			return
		}
		if t.who == invite.who {
			revoked = revoked || !r.ended(k, t, set, v)
		} else {
			revoked = revoked || has(v.valid, k) && (invite.role < credential.Admin || senior(r.rank(t), invite.path) < 0)
		}
	})
	if revoked && r.weak != "a revoked invitation admits nobody" {
		return false
	}
	used := map[int]bool{}
	each(set&v.valid, func(k int) {
		if t := r.ops[k]; t.kind == credential.Redeem && t.proof == o.proof && r.age(t, o) < 0 {
			used[t.subject] = true
		}
	})
	return used[o.subject] || len(used) < invite.uses || r.weak == "uses"
}

// lowers reports whether a SET_ROLE counts as far as it takes something away.
func (r *reference) lowers(k int, set uint64, v *refView) bool {
	if t := r.ops[k]; own(t) {
		return !r.ended(k, t, set, v)
	}
	return has(v.valid, k)
}

// role is the highest of what the grants among some give.
func (r *reference) role(who int, among, set uint64, v *refView) credential.Role {
	best := credential.None
	each(among, func(g int) {
		if to, _, ok := r.grant(r.ops[g]); ok && to == who {
			best = max(best, r.gives(g, among, set, v))
		}
	})
	return best
}

// gives: what a grant gives that is in force, which is nothing if a SET_ROLE by
// others among some takes it back, and no more than a SET_ROLE of its subject has
// left of it. What is left of a grant of admin any admin takes back who knows it.
func (r *reference) gives(g int, among, set uint64, v *refView) credential.Role {
	if own(r.ops[g]) || !has(v.valid, g) {
		return credential.None
	}
	_, role, _ := r.grant(r.ops[g])
	each(among&set, func(k int) {
		t := r.ops[k]
		if t.kind != credential.SetRole || !r.lowers(k, set, v) {
			return
		}
		if own(t) {
			if r.takesBack(k, g) {
				role = min(role, t.role)
			}
			return
		}
		taken := r.takesBack(k, g)
		who, _, _ := r.grant(r.ops[g])
		if t.subject == who && has(t.past, g) && r.weak != "who steps down is no senior" {
			each(t.past, func(c int) {
				taken = taken || own(r.ops[c]) && r.takesBack(c, g) && t.role < r.ops[c].role && r.lowers(c, set, v)
			})
		}
		if taken {
			role = credential.None
		}
	})
	return role
}

func (r *reference) roleAt(who int, set uint64) credential.Role {
	return r.role(who, set, set, r.view(set))
}

func (r *reference) proven(who, dev int, past uint64) bool {
	found := false
	each(past, func(k int) {
		o := r.ops[k]
		found = found || o.chain >= 0 && o.kind != credential.DeviceCut && o.chainOf == who && has(r.pool.live(who, 1<<o.chain), dev)
	})
	return found
}

func (r *reference) isCut(who, dev int, v *refView) bool {
	return slices.ContainsFunc(v.cuts, func(c refDeviceCut) bool {
		return c.counts && r.ops[c.op].who == who && has(c.ends, dev)
	})
}

// mayAdd: may the last op be in the set? Its own past alone says.
func (r *reference) mayAdd() bool {
	i := len(r.ops) - 1
	o := r.ops[i]
	v := r.view(o.past)
	self := o.kind == credential.Import && o.chainOf == o.who && has(r.pool.live(o.who, 1<<o.chain), o.dev)
	if !self && !r.proven(o.who, o.dev, o.past) || r.isCut(o.who, o.dev, v) && r.weak != "a cut device may not add" || r.roleAt(o.who, o.past) == credential.None {
		return false
	}
	if !has(o.past, o.proof) {
		return false
	}
	if o.kind == credential.Redeem {
		return r.mayRedeem(i, v)
	}
	who, role, ok := r.grant(r.ops[o.proof])
	if !ok || who != o.who || role == credential.None || own(r.ops[o.proof]) {
		return false
	}
	least := credential.Reader
	switch {
	case own(o):
		least = o.role + 1
	case r.needsRight(o):
		least = credential.Admin
	}
	if role < least {
		return false
	}
	switch o.kind {
	case credential.Import:
		if role < credential.Admin && r.roleAt(o.chainOf, o.past) == credential.None {
			return false
		}
		covered := false
		each(o.past, func(k int) {
			p := r.ops[k]
			covered = covered || p.chain >= 0 && p.kind != credential.DeviceCut && p.chainOf == o.chainOf && r.pool.covers(o.chainOf, p.chain, o.chain)
		})
		return !covered
	case credential.FeedOpen:
		return true
	case credential.InviteRevoke:
		if !has(o.past, o.target) {
			return false
		}
	case credential.DeviceCut:
		live := r.pool.live(o.who, 1<<o.chain)
		if has(live, o.target) || !has(r.pool.known(o.who, o.chain), o.target) || !has(live, o.dev) {
			return false
		}
		together := uint64(1) << o.chain
		each(o.past, func(k int) {
			if c := r.ops[k]; c.chain >= 0 && c.chainOf == o.who {
				together |= 1 << c.chain
			}
		})
		return !has(r.pool.live(o.who, together), o.target)
	}
	return r.inForce(i, o.past, v)
}

func (r *reference) mayRedeem(i int, v *refView) bool {
	o := r.ops[i]
	if r.ops[o.proof].kind != credential.Invite {
		return false
	}
	lowered := false
	each(o.past, func(k int) { lowered = lowered || r.takesBack(k, i) && r.lowers(k, o.past, v) })
	return r.inForce(i, o.past, v) && !lowered && r.roleAt(o.subject, o.past) < r.ops[o.proof].role
}

// An refEntry is an entry of the world.
type refEntry struct {
	feed, seq  int
	who, dev   int
	prev       int // -1 if none
	deps, past uint64
	auth       uint64 // credentials that the author knew
	id         [32]byte
	honest     bool
}

// localOK: by what the author knew it was editor and its device was not cut.
func (r *reference) localOK(e *refEntry) bool {
	return !r.isCut(e.who, e.dev, r.view(e.auth)) && r.roleAt(e.who, e.auth) >= credential.Editor
}

// stands: the author might write at auth, in the light of all that is known, and
// each lowering and each cut of the device that auth does not know keeps it.
func (r *reference) stands(n int, e *refEntry, set uint64) bool {
	v := r.view(set)
	if r.weak == "rights are judged by all that is known" {
		v = r.view(e.auth)
	}
	if r.role(e.who, e.auth, set, v) < credential.Editor {
		return false
	}
	v = r.view(set)
	keeps := true
	check := func(cuts []refCut) {
		kept := false
		for _, c := range cuts {
			kept = kept || c.feed == e.feed && (e.seq < c.seq || e.seq == c.seq && (c.entry == n || r.weak == "a cut names the entry"))
		}
		keeps = keeps && kept
	}
	each(set&^e.auth, func(k int) {
		t := r.ops[k]
		if t.kind == credential.SetRole && t.subject == e.who && t.role < credential.Editor && r.lowers(k, set, v) &&
			r.role(e.who, e.auth|1<<k, set, v) < credential.Editor && r.weak != "a removal ends feeds" {
			check(t.cuts)
		}
	})
	for _, c := range v.cuts {
		if r.endsFirst(c, e, v) && !has(e.auth, c.op) && !r.byRemoved(c.op, set, v) && r.weak != "a cut ends feeds" {
			check(r.ops[c.op].cuts)
		}
	}
	return keeps
}

// endsFirst: c ends the device of e and none that c knows does.
func (r *reference) endsFirst(c refDeviceCut, e *refEntry, v *refView) bool {
	ends := func(c refDeviceCut) bool { return c.counts && r.ops[c.op].who == e.who && has(c.ends, e.dev) }
	return ends(c) && (r.weak == "the first cut of a device ends it" || !slices.ContainsFunc(v.cuts, func(d refDeviceCut) bool { return ends(d) && has(r.ops[c.op].past, d.op) }))
}

// byRemoved: the author of a cut had been removed, and neither knew of the other.
func (r *reference) byRemoved(cut int, set uint64, v *refView) bool {
	c := r.ops[cut]
	found := false
	each(set&v.valid, func(k int) {
		t := r.ops[k]
		found = found || t.kind == credential.SetRole && !own(t) && t.subject == c.who && t.role == credential.None &&
			!has(t.past, cut) && !has(c.past, k) && r.role(c.who, c.past|1<<k, set, v) == credential.None
	})
	return found && r.weak != "a removal seals"
}

// accepted returns which of some entries count, of which all are localOK and all
// pasts are among them.
func (r *reference) accepted(all []*refEntry, some, set uint64) uint64 {
	stand := uint64(0)
	each(some, func(n int) {
		if r.stands(n, all[n], set) {
			stand |= 1 << n
		}
	})
	count := stand
	if r.weak != "adoption" {
		each(stand, func(n int) { count |= all[n].past & some })
	}
	out := r.excluded(all, some, set) | r.losers(all, some, set)
	each(some, func(n int) {
		e := all[n]
		if has(out, n) || e.past&out != 0 && r.weak != "what builds on the excluded is out" {
			count &^= 1 << n
		}
	})
	return count
}

func (r *reference) excluded(all []*refEntry, some, set uint64) uint64 {
	v := r.view(set)
	out := uint64(0)
	each(set&v.valid, func(k int) {
		x := r.ops[k]
		if x.kind != credential.Exclude {
			return
		}
		for _, c := range x.cuts {
			if c.entry < 0 || !has(some, c.entry) || all[c.entry].feed != c.feed || all[c.entry].seq != c.seq {
				continue
			}
			author := all[c.entry].who
			may, then := has(x.past, c.feed), r.view(x.past) // it is judged by what its author knew
			each(x.past, func(g int) {
				to, _, ok := r.grant(r.ops[g])
				if !ok || to != author || author == x.who || r.gives(g, x.past, x.past, then) < credential.Admin {
					return
				}
				may = may && senior(r.rank(x), r.ops[g].path) < 0
			})
			if may || has(x.past, c.feed) && r.weak == "only seniors exclude an admin's entries" {
				out |= 1 << c.entry
			}
		}
	})
	return out
}

// losers: of two entries of one number, the one that the first pin which is on a
// branch is not behind or, without one, the one with the greater ID.
func (r *reference) losers(all []*refEntry, some, set uint64) uint64 {
	out := uint64(0)
	each(some, func(a int) {
		each(some, func(b int) {
			if a < b && all[a].feed == all[b].feed && all[a].seq == all[b].seq {
				if n := r.loser(all, a, b, some, set); r.weak != "forks" {
					out |= 1 << n
				}
			}
		})
	})
	return out
}

func (r *reference) loser(all []*refEntry, a, b int, some, set uint64) int {
	v := r.view(set)
	var pins []int // ops, the first before the others
	for _, k := range r.sort {
		if !has(set, k) {
			continue
		}
		t, owner := r.ops[k], all[a].who
		if t.kind == credential.SetRole && t.subject == owner && t.role < credential.Editor && r.lowers(k, set, v) {
			pins = append(pins, k)
		}
		if slices.ContainsFunc(v.cuts, func(c refDeviceCut) bool {
			return c.op == k && c.counts && t.who == owner && has(c.ends, all[a].dev)
		}) && !r.byRemoved(k, set, v) {
			pins = append(pins, k)
		}
	}
	for _, k := range pins {
		for _, c := range r.ops[k].cuts {
			if c.feed != all[a].feed || c.entry < 0 || r.weak == "a pin decides a fork" {
				continue
			}
			at := c.entry
			if all[at].feed != c.feed || all[at].seq != c.seq {
				continue
			}
			if c.seq > all[a].seq && !has(some, at) {
				continue
			}
			for at >= 0 && all[at].seq > all[a].seq {
				at = all[at].prev
			}
			switch at {
			case a:
				return b
			case b:
				return a
			}
		}
	}
	if bytes.Compare(all[a].id[:], all[b].id[:]) < 0 {
		return b
	}
	return a
}
