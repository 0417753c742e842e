package membership_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

const (
	maxOps     = 60 // of 64 that a mask holds
	maxEntries = 60
)

// A world is some people with some devices each, who are cut off from each other
// and meet again. Some people are hostile, and some devices stolen; a hostile
// device acts on any part of what it knows, as if it did not know the rest, and
// says what it likes. All that anybody made is in one reference and one State.
type world struct {
	seed    uint64
	r       *rand.Rand
	pool    *pool
	book    *membership.Book
	ref     *reference
	state   *membership.State // nil: the reference is checked alone
	ops     []credential.Signed
	entries []*refEntry
	heads   []acceptance.Entry

	people  int
	evil    [nPeople]bool
	stolen  [nPeople]bool // device B
	devices []*device
	part    []int // of devices
	seen    []observed
	refused int // what hostile devices made and nobody took
}

// A device is what one device knows.
type device struct {
	who, dev int
	know     uint64 // credentials
	ents     uint64 // entries
	feed     int    // its FEED_OPEN; -1 if none
	last     int    // the last entry of its feed that it remembers; -1 if none
	backup   *device
}

// An observed is an answer that has to stay the same for ever.
type observed struct {
	who  int
	know uint64
	role credential.Role
}

func (w *world) evilDevice(d *device) bool {
	return w.evil[d.who] || w.stolen[d.who] && (d.dev == devB || d.dev == devC)
}

// one reports true once in n times.
func (w *world) one(n int) bool { return w.r.IntN(n) == 0 }

func newWorld(p *pool, book *membership.Book, weak string, seed uint64) *world {
	w := &world{seed: seed, r: rand.New(rand.NewPCG(seed, 1)), pool: p, book: book}
	w.ref = &reference{pool: p, weak: weak, memo: map[uint64]*refView{}}
	w.people = 3 + w.r.IntN(nPeople-2)
	for i := range w.people {
		w.evil[i] = i > 0 && w.one(3)
		w.stolen[i] = !w.evil[i] && w.one(3)
		for dev := range nDevices {
			w.devices = append(w.devices, &device{who: i, dev: dev, feed: -1, last: -1})
		}
	}
	w.part = make([]int, len(w.devices))
	return w
}

// device returns a device of somebody.
func (w *world) device(who, dev int) *device { return w.devices[who*nDevices+dev] }

// run lets the scenario happen.
func (w *world) run() error {
	if err := w.begin(); err != nil {
		return err
	}
	steps := 50 + w.r.IntN(60)
	if w.one(8) {
		steps *= 3
	}
	for range steps {
		if w.one(8) {
			for i := range w.part {
				w.part[i] = w.r.IntN(2)
			}
		}
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// begin founds the space and admits some, which all know of.
func (w *world) begin() error {
	founder := w.device(0, devA)
	genesis := &refOp{kind: credential.Genesis, chain: chainA}
	if _, err := w.make(founder, genesis); err != nil {
		return err
	}
	everybody := func() {
		for _, d := range w.devices {
			d.know = 1<<len(w.ref.ops) - 1
		}
	}
	for i := 1; i < w.people; i++ {
		if w.one(4) {
			continue // they may come by an invitation
		}
		by := w.device(0, devA)
		if i > 1 && w.one(2) && w.ref.roleAt(i-1, by.know) == credential.Admin {
			by = w.device(i-1, devA)
		}
		everybody()
		imp := &refOp{kind: credential.Import, chain: chainA, chainOf: i}
		role := []credential.Role{credential.Reader, credential.Editor, credential.Editor, credential.Admin, credential.Admin}[w.r.IntN(5)]
		if err := w.honest(by, imp); err != nil {
			return err
		}
		if err := w.honest(by, &refOp{kind: credential.SetRole, subject: i, role: role}); err != nil {
			return err
		}
		everybody()
	}
	for i := range w.people {
		everybody()
		if (w.stolen[i] || w.one(3)) && w.ref.roleAt(i, w.device(i, devA).know) > credential.None {
			if err := w.honest(w.device(i, devB), &refOp{kind: credential.Import, chain: chainAB, chainOf: i}); err != nil {
				return err
			}
		}
	}
	everybody()
	return nil
}

func (w *world) step() error {
	d := w.devices[w.r.IntN(len(w.devices))]
	for tries := 0; tries < 4 && !w.ref.proven(d.who, d.dev, d.know); tries++ {
		d = w.devices[w.r.IntN(len(w.devices))]
	}
	if w.ref.proven(d.who, d.dev, d.know) || w.one(20) {
		switch w.r.IntN(9) {
		case 0, 1:
			w.sync(d)
		case 2, 3, 4:
			if w.evilDevice(d) && w.one(2) {
				return w.lie(d)
			}
			return w.act(d)
		case 5:
			w.restore(d)
		default:
			if w.evilDevice(d) && w.one(2) {
				return w.lieEntry(d)
			}
			return w.write(d)
		}
		return nil
	}
	w.sync(d)
	return nil
}

// sync brings over what another device knows, or some of it.
func (w *world) sync(d *device) {
	from := w.devices[w.r.IntN(len(w.devices))]
	if w.part[d.who*nDevices+d.dev] != w.part[from.who*nDevices+from.dev] && from.who != d.who {
		return
	}
	know, ents := from.know, from.ents
	if w.one(4) { // the rest is lost on the way
		know = w.closed(w.some(know))
	}
	d.know |= know
	each(ents, func(n int) {
		e := w.entries[n]
		if has(d.know, e.feed) && e.auth&^d.know == 0 && e.past&^d.ents == 0 && (know == from.know || w.one(2)) {
			d.ents |= 1 << n
		}
	})
	if w.one(3) {
		from.know |= d.know
		from.ents |= d.ents
	}
	if w.one(3) {
		w.seen = append(w.seen, observed{w.r.IntN(w.people), d.know, 0})
		o := &w.seen[len(w.seen)-1]
		o.role = w.ref.roleAt(o.who, o.know)
	}
}

// restore puts a device back to what it was when it was last backed up.
func (w *world) restore(d *device) {
	if d.backup == nil || w.one(2) {
		c := *d
		d.backup = &c
		return
	}
	if w.one(2) {
		b := *d.backup
		*d = b
		d.backup = &b
	}
}

// some returns a random part of a set, closed what they and their pasts are.
func (w *world) some(set uint64) uint64 {
	part := uint64(0)
	each(set, func(n int) {
		if w.one(3) {
			part |= 1 << n
		}
	})
	return part
}

func (w *world) closed(set uint64) uint64 {
	all := set | 1
	each(set, func(n int) { all |= w.ref.ops[n].past })
	return all
}

// tips returns those of a set that are in the past of no other.
func (w *world) tips(set uint64) uint64 {
	tips := set
	each(set, func(n int) { tips &^= w.ref.ops[n].past })
	return tips
}

// make adds what a device states, on all that it knows. It reports whether it may
// be in the set.
func (w *world) make(d *device, o *refOp) (bool, error) { return w.makeOn(d, o, d.know) }

func (w *world) makeOn(d *device, o *refOp, know uint64) (bool, error) {
	n := len(w.ref.ops)
	if n >= maxOps {
		return false, nil
	}
	o.who, o.dev, o.deps = d.who, d.dev, w.tips(know)
	if o.chain == 0 && o.kind != credential.Genesis && o.kind != credential.Import && o.kind != credential.Redeem && o.kind != credential.DeviceCut {
		o.chain = -1
	}
	if o.kind == credential.DeviceCut {
		o.chainOf = d.who
	}
	id := ids(w.r.Uint64(), n)
	o.id = id
	op, err := w.credential(o, id)
	if err != nil {
		return false, err
	}
	w.ref.add(o)
	may := n == 0 || w.ref.mayAdd()
	if err := w.compareAdd(op, may); err != nil {
		return false, err
	}
	if !may {
		w.ref.drop()
		return false, nil
	}
	w.ops = append(w.ops, op)
	d.know |= 1 << n
	return true, nil
}

// compareAdd adds op to the state, which has to take it if by the rules it may be
// in the set.
func (w *world) compareAdd(op credential.Signed, may bool) error {
	if w.book == nil {
		return nil
	}
	if w.state == nil {
		w.state = membership.Simulated(op.ID, w.book)
	}
	status, err := w.state.Add(op)
	if added := err == nil && status == membership.Added; added != may {
		return fmt.Errorf("may it be in the set? by the rules %v, the state says %v (kind %d)", may, err, op.Kind)
	}
	if !may && !errors.Is(err, membership.ErrInvalid) {
		return fmt.Errorf("refused as %w", err)
	}
	return nil
}

// honest makes what a device may state, under the most senior grant that is good
// for it, and fails if that is refused.
func (w *world) honest(d *device, o *refOp) error {
	if len(w.ref.ops) >= maxOps {
		return nil
	}
	if o.kind != credential.Redeem {
		proof, ok := w.bestGrant(d, w.least(d, o))
		if !ok {
			return nil
		}
		o.proof = proof
	}
	o.who, o.dev = d.who, d.dev
	ok, err := w.make(d, o)
	if err == nil && !ok {
		err = fmt.Errorf("an honest act of kind %d is refused", o.kind)
	}
	return err
}

func (w *world) least(d *device, o *refOp) credential.Role {
	o.who = d.who
	switch {
	case own(o):
		return o.role + 1
	case o.kind == credential.InviteRevoke && w.ref.ops[o.target].who == d.who, !w.ref.needsRight(o):
		return credential.Reader
	}
	return credential.Admin
}

// bestGrant returns the most senior grant in force that gives at least a role.
func (w *world) bestGrant(d *device, least credential.Role) (int, bool) {
	v := w.ref.view(d.know)
	best := -1
	each(d.know&v.valid, func(g int) {
		who, _, ok := w.ref.grant(w.ref.ops[g])
		if !ok || who != d.who || w.ref.gives(g, d.know, d.know, v) < max(least, credential.Reader) || best >= 0 && senior(w.ref.ops[g].path, w.ref.ops[best].path) >= 0 {
			return
		}
		best = g
	})
	return best, best >= 0
}

// credential builds what travels; its chains are names, and nobody signs it.
func (w *world) credential(o *refOp, id identity.ID) (credential.Signed, error) {
	people := w.pool.people
	op := credential.Op{
		Version: 1, Kind: o.kind, Device: people[o.who].keys[o.dev], Identity: people[o.who].id, Role: o.role,
		Time: w.r.Int64N(2*365*24*3600*1000) + 1, // clocks are off by a year
	}
	if o.kind != credential.Genesis {
		op.Space, op.Proof = w.ops[0].ID, w.ops[o.proof].ID
	}
	each(o.deps, func(n int) { op.Deps = append(op.Deps, w.ops[n].ID) })
	slices.SortFunc(op.Deps, identity.ID.Compare)
	for _, c := range o.cuts {
		cut := credential.Cut{Feed: w.ops[c.feed].ID, Seq: uint64(c.seq), ID: identity.ID{1}}
		if c.entry >= 0 {
			cut.ID = w.entries[c.entry].id
		}
		op.Cuts = append(op.Cuts, cut)
	}
	var err error
	switch o.kind {
	case credential.Genesis, credential.Import:
		op.Ext = []byte(chainText(o.chainOf, o.chain))
	case credential.SetRole:
		op.Subject = people[o.subject].id
	case credential.Invite:
		op.Ext, err = credential.InviteBody{Pub: identity.PublicKey{1}, Uses: uint32(o.uses)}.Encode()
	case credential.InviteRevoke:
		op.Subject = w.ops[o.target].ID
	case credential.Redeem:
		op.Subject = people[o.subject].id
		sig := make([]byte, ed25519.SignatureSize)
		sig[0] = 1
		op.Ext, err = credential.RedeemBody{Device: people[o.subject].keys[devA], Chain: []byte(chainText(o.chainOf, o.chain)), Sig: sig}.Encode()
	case credential.DeviceCut:
		op.Ext, err = credential.CutBody{Device: people[o.who].keys[o.target], Chain: []byte(chainText(o.who, o.chain))}.Encode()
	case credential.KeyEpoch:
		op.Ext, err = credential.EpochBody{KeyID: [8]byte{byte(w.r.IntN(4) + 1)}, Parts: 1}.Encode()
	case credential.ProfileSet:
		op.Ext, err = credential.ProfileBody{Name: "x"}.Encode()
	}
	return credential.Signed{Op: op, ID: id}, err
}

// accepted is what a device takes to count.
func (w *world) accepted(d *device) uint64 { return w.ref.accepted(w.entries, d.ents, d.know) }

// write makes an honest entry: it builds on all that counts.
func (w *world) write(d *device) error {
	if len(w.entries) >= maxEntries || w.ref.roleAt(d.who, d.know) < credential.Editor || !w.ref.proven(d.who, d.dev, d.know) ||
		w.ref.isCut(d.who, d.dev, w.ref.view(d.know)) {
		return nil
	}
	counts := w.accepted(d)
	if out := w.ref.excluded(w.entries, d.ents, d.know) | w.ref.losers(w.entries, d.ents, d.know); d.last >= 0 && (has(out, d.last) || w.entries[d.last].past&out != 0) {
		d.feed, d.last = -1, -1 // its feed is dead
	}
	if d.feed < 0 {
		n := len(w.ref.ops)
		if err := w.honest(d, &refOp{kind: credential.FeedOpen}); err != nil || len(w.ref.ops) == n {
			return err
		}
		d.feed, d.last = n, -1
	}
	ok, err := w.entry(d, counts, d.know, d.last)
	if err == nil && !ok {
		err = errors.New("an honest entry is refused")
	}
	return err
}

// entry makes an entry of d that builds on deps and follows prev. It reports
// whether everybody takes it.
func (w *world) entry(d *device, deps, auth uint64, prev int) (bool, error) {
	e := &refEntry{feed: d.feed, seq: 1, who: d.who, dev: d.dev, prev: prev, auth: auth, honest: !w.evilDevice(d)}
	n := len(w.entries)
	e.id = ids(w.r.Uint64(), n)
	if prev >= 0 {
		e.seq = w.entries[prev].seq + 1
		e.past |= 1<<prev | w.entries[prev].past
	}
	each(deps, func(k int) { e.past |= 1<<k | w.entries[k].past })
	e.deps = deps
	each(deps, func(k int) { e.deps &^= w.entries[k].past })
	knows := true // its author knew what it builds on knew
	each(e.past, func(k int) { knows = knows && w.entries[k].auth&^auth == 0 })
	head := acceptance.Entry{ID: e.id, Feed: w.ops[e.feed].ID, Seq: uint64(e.seq), Auth: w.idsOf(w.tips(auth))}
	if prev >= 0 {
		head.Prev = w.entries[prev].id
	}
	each(e.deps, func(k int) { head.Deps = append(head.Deps, w.entries[k].id) })
	ok := w.ref.localOK(e)
	if w.state != nil {
		if err := acceptance.LocalOK(w.state, head); (err == nil) != ok {
			return false, fmt.Errorf("may it be an entry? by the rules %v, the state says %v", ok, err)
		}
	}
	if !ok || !knows {
		w.refused++
		return false, nil
	}
	w.entries, w.heads = append(w.entries, e), append(w.heads, head)
	d.ents |= e.past | 1<<n
	d.last = n
	return true, nil
}

func (w *world) idsOf(set uint64) []identity.ID {
	list := make([]identity.ID, 0, bits.OnesCount64(set))
	each(set, func(n int) { list = append(list, w.ops[n].ID) })
	slices.SortFunc(list, identity.ID.Compare)
	return list
}
