package membership

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// link is the key of an invitation's link.
type link struct{ private ed25519.PrivateKey }

func newLink(name string) link {
	seed := sha256.Sum256([]byte(name))
	return link{ed25519.NewKeyFromSeed(seed[:])}
}

func (l link) pub() identity.PublicKey { return identity.PublicKey(l.private[ed25519.SeedSize:]) }

func (l link) sign(t testing.TB, space, invite identity.ID, guest *identity.Device) []byte {
	t.Helper()
	sig, err := l.private.Sign(nil, credential.RedeemMessage(space, invite, guest.Identity(), guest.Key()), &ed25519.Options{Context: identity.ContextRedeem})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// one returns what was made, which has to be without error.
func one(t testing.TB) func(credential.Signed, error) credential.Signed {
	return func(op credential.Signed, err error) credential.Signed {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
}

func (r replica) invite(l link, role credential.Role, uses uint32) identity.ID {
	r.t.Helper()
	op := one(r.t)(r.Invite(r.d, role, uses, epoch.Add(time.Hour), l.pub(), "for friends", epoch))
	r.add(op)
	return op.ID
}

func (r replica) redeem(l link, invite identity.ID, guest *identity.Device) error {
	r.t.Helper()
	ops, err := r.Redeem(r.d, invite, guest.Chain(), l.sign(r.t, r.Space(), invite, guest), epoch)
	r.add(ops...)
	return err
}

func TestInvitation(t *testing.T) {
	ada, bob, cid, eve, fay := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Eve"), person(t, "Fay")
	s := found(t, ada)
	s.admit(bob, credential.Reader)
	l := newLink("l")
	if _, err := s.Invite(bob, credential.Reader, 1, time.Time{}, l.pub(), "", epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a reader invites: %v", err)
	}
	id := s.invite(l, credential.Editor, 2)
	b := s.as(bob) // any member's device is witness
	if err := b.redeem(newLink("other"), id, cid); !errors.Is(err, ErrInvitation) {
		t.Errorf("with another key: %v", err)
	}
	if err := b.redeem(l, id, cid); err != nil {
		t.Fatal(err)
	}
	b.want(cid, credential.Editor)
	if p, ok := b.Device(cid.Key()); !ok || p.Name != "Cid" {
		t.Errorf("his device is %v, %v", p, ok)
	}
	if err := b.redeem(l, id, cid); err != nil || b.Len() != s.Len()+1 {
		t.Errorf("once more: %v", err)
	}
	// Meanwhile, elsewhere, two others use it.
	if err := s.redeem(l, id, eve); err != nil {
		t.Fatal(err)
	}
	if err := s.redeem(l, id, fay); err != nil {
		t.Fatal(err)
	}
	if err := s.redeem(l, id, person(t, "Gus")); !errors.Is(err, ErrInvitation) {
		t.Errorf("one too many: %v", err)
	}
	b.learn(s)
	s.learn(b)
	i := s.Invitations()
	if len(i) != 1 || len(i[0].Used) != 2 || i[0].Open(epoch) || i[0].Revoked || i[0].By != ada.Identity() || i[0].Label != "for friends" ||
		!i[0].Expires.Equal(epoch.Add(time.Hour)) || i[0].Pub != l.pub() {
		t.Errorf("invitations are %+v", i)
	}
	members := 0
	for _, p := range []*identity.Device{cid, eve, fay} {
		if s.Role(p.Identity()) != b.Role(p.Identity()) {
			t.Error("they do not agree")
		}
		if s.Role(p.Identity()) == credential.Editor {
			members++
		}
	}
	if members != 2 {
		t.Errorf("it admitted %d", members)
	}
}

func TestInvitationEnds(t *testing.T) {
	ada, bob, cid, mal := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Mal")
	start := func() (replica, link, identity.ID) {
		s := found(t, ada)
		s.admit(mal, credential.Admin)
		m := s.as(mal)
		l := newLink("l")
		id := m.invite(l, credential.Editor, 5)
		s.learn(m)
		return s, l, id
	}
	t.Run("revoked by another admin", func(t *testing.T) {
		s, l, id := start()
		before := s.as(ada)
		s.add(one(t)(s.RevokeInvite(ada, id, epoch)))
		if err := s.redeem(l, id, bob); !errors.Is(err, ErrInvitation) || !s.Invitations()[0].Revoked {
			t.Errorf("after: %v", err)
		}
		if err := before.redeem(l, id, bob); err != nil {
			t.Fatal(err)
		}
		s.learn(before)
		s.want(bob, credential.None) // at the same time
	})
	t.Run("its author is removed", func(t *testing.T) {
		s, l, id := start()
		s.setRole(mal, credential.None)
		if err := s.redeem(l, id, bob); !errors.Is(err, ErrInvitation) {
			t.Errorf("after: %v", err)
		}
	})
	t.Run("its author leaves", func(t *testing.T) {
		s, l, id := start()
		m := s.as(mal)
		m.setRole(mal, credential.None)
		s.learn(m)
		if err := s.redeem(l, id, bob); !errors.Is(err, ErrInvitation) {
			t.Errorf("after: %v", err)
		}
	})
	t.Run("a guest who was removed does not come back by it", func(t *testing.T) {
		s, l, id := start()
		if err := s.redeem(l, id, bob); err != nil {
			t.Fatal(err)
		}
		s.setRole(bob, credential.None)
		if err := s.redeem(l, id, bob); !errors.Is(err, ErrInvitation) {
			t.Errorf("by the same: %v", err)
		}
		m := newLink("m")
		if err := s.redeem(m, s.invite(m, credential.Editor, 1), bob); err != nil {
			t.Errorf("by a new one: %v", err)
		}
		s.want(bob, credential.Editor)
	})
	t.Run("a guest who left may come back by it", func(t *testing.T) {
		s, l, id := start()
		if err := s.redeem(l, id, bob); err != nil {
			t.Fatal(err)
		}
		b := s.as(bob)
		b.setRole(bob, credential.None)
		s.learn(b)
		s.want(bob, credential.None)
		if err := s.redeem(l, id, bob); err != nil {
			t.Error(err)
		}
		s.want(bob, credential.Editor)
		if used := s.Invitations()[0].Used; len(used) != 1 {
			t.Errorf("used by %d", len(used))
		}
	})
	t.Run("an editor revokes none of others", func(t *testing.T) {
		s, _, id := start()
		s.admit(cid, credential.Editor)
		if _, err := s.RevokeInvite(cid, id, epoch); !errors.Is(err, ErrNotAllowed) {
			t.Error(err)
		}
		if _, err := s.RevokeInvite(ada, s.Space(), epoch); !errors.Is(err, ErrInvitation) {
			t.Errorf("what is none: %v", err)
		}
	})
}

// second adds another device of somebody.
func second(t testing.TB, first *identity.Device, name string) *identity.Device {
	t.Helper()
	j, err := identity.NewDeviceRequest(nil, first.Identity(), name)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := first.AddDevice(j.Request())
	if err != nil {
		t.Fatal(err)
	}
	d, err := j.Finish(chain)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (r replica) prove(chain []byte) {
	r.t.Helper()
	ops, err := r.Import(r.d, chain, epoch)
	if err != nil {
		r.t.Fatal(err)
	}
	r.add(ops...)
}

func (r replica) cut(device *identity.Device, cuts ...credential.Cut) credential.Signed {
	r.t.Helper()
	op := one(r.t)(r.CutDevice(r.d, device.Key(), r.d.Chain(), cuts, epoch))
	r.add(op)
	return op
}

func TestDevices(t *testing.T) {
	ada, bob := person(t, "Ada"), person(t, "Bob")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	laptop := second(t, bob, "laptop")
	b := s.as(laptop)
	if _, err := b.OpenFeed(laptop, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("before it is proven: %v", err)
	}
	b.prove(laptop.Chain()) // a new device proves itself
	before := b.Auth()
	feed := b.openFeed()
	if ops, err := b.Import(laptop, laptop.Chain(), epoch); err != nil || len(ops) != 0 {
		t.Errorf("again: %d, %v", len(ops), err)
	}
	if m := b.Members(); len(m[1].Devices) != 2 || m[1].Infos[1].Name != "laptop" {
		t.Errorf("members are %+v", m)
	}
	if p, ok := b.Device(laptop.Key()); !ok || p.DeviceName != "laptop" || p.Identity != bob.Identity() {
		t.Errorf("the laptop is %+v, %v", p, ok)
	}
	// The laptop is stolen.
	if _, err := b.CutDevice(bob, laptop.Key(), bob.Chain(), nil, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a cut without a revocation: %v", err)
	}
	thief := b.as(laptop)
	if err := bob.RevokeDevice(laptop.Key()); err != nil {
		t.Fatal(err)
	}
	mine := b.as(bob)
	entry := credential.Cut{Feed: feed, Seq: 3, ID: identity.ID{3}}
	generation := mine.Generation()
	mine.cut(laptop, entry, credential.Cut{Feed: mine.openFeed(), Seq: 1, ID: identity.ID{9}})
	if mine.Generation() == generation {
		t.Error("the same generation")
	}
	if _, ok := mine.Device(laptop.Key()); ok || len(mine.Members()[1].Devices) != 1 {
		t.Error("the laptop still acts")
	}
	if _, err := mine.OpenFeed(laptop, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("the laptop opens a feed: %v", err)
	}
	thief.add(one(t)(thief.SetProfile(laptop, credential.ProfileBody{Name: "Mallory"}, epoch)))
	mine.learn(thief)
	if p, _ := mine.Profile(bob.Identity()); p.Name != "Bob" {
		t.Errorf("he is called %s", p.Name)
	}
	bound := mine.Judge().Bound(feed, before)
	if !bound.Keeps(2, identity.ID{2}) || !bound.Keeps(3, identity.ID{3}) || bound.Keeps(3, identity.ID{4}) || bound.Keeps(4, identity.ID{4}) {
		t.Errorf("the cut leaves %+v", bound)
	}
	if err := mine.MayWrite(feed, mine.Auth()); !errors.Is(err, ErrInvalid) {
		t.Errorf("with the cut known: %v", err)
	}
	if err := mine.MayWrite(feed, before); err != nil {
		t.Errorf("with the cut unknown: %v", err)
	}
	if pins := mine.Judge().Pins(feed); len(pins) != 1 || pins[0] != entry {
		t.Errorf("pins are %v", pins)
	}
	for _, to := range mine.SealTo() {
		if to.Key == laptop.Key() {
			t.Error("a key is sealed to the laptop")
		}
	}
}

// Two devices that cut each other are both out, until the words say which stays.
func TestReset(t *testing.T) {
	words := func(name string) *identity.RecoveryKeys {
		sign, seal := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(name+"'"))
		keys, err := identity.NewRecoveryKeys(sign[:], seal[:])
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	ada := person(t, "Ada")
	bob, err := identity.NewIdentity(identity.Start{Name: "Bob", DeviceName: "desk", Recovery: words("w")})
	if err != nil {
		t.Fatal(err)
	}
	s := found(t, ada)
	s.admit(bob, credential.Admin)
	laptop := second(t, bob, "laptop")
	b := s.as(laptop)
	b.prove(laptop.Chain())
	thief, mine := b.as(laptop), b.as(bob)
	if err := laptop.RevokeDevice(bob.Key()); err != nil {
		t.Fatal(err)
	}
	thief.cut(bob)
	thief.setRole(bob, credential.None) // leaves in his name
	if err := bob.RevokeDevice(laptop.Key()); err != nil {
		t.Fatal(err)
	}
	mine.cut(laptop)
	mine.learn(thief)
	mine.want(bob, credential.Admin)
	for _, d := range []*identity.Device{bob, laptop} {
		if _, ok := mine.Device(d.Key()); ok {
			t.Errorf("%s still acts", d.DeviceName())
		}
	}
	if _, err := bob.Learn(laptop.Chain()); err != nil {
		t.Fatal(err)
	}
	fresh, err := identity.Recover(words("w"), bob.Halo(), "fresh", []identity.PublicKey{bob.Key()}, words("v"))
	if err != nil {
		t.Fatal(err)
	}
	f := mine.as(fresh)
	s.learn(mine)
	s.prove(fresh.Chain()) // any member may
	f.learn(s)
	f.cut(laptop)
	if _, ok := f.Device(bob.Key()); !ok {
		t.Error("the device that was kept does not act")
	}
	if _, ok := f.Device(laptop.Key()); ok {
		t.Error("the thief acts")
	}
	f.want(bob, credential.Admin)
	found := false
	for _, to := range f.SealTo() {
		_, seal := words("v").Public()
		found = found || to.Key == identity.PublicKey{} && bytes.Equal(to.Seal, seal)
	}
	if !found {
		t.Error("keys are not sealed to the new words")
	}
}

func TestSteppingDown(t *testing.T) {
	ada, bob, cid := person(t, "Ada"), person(t, "Bob"), person(t, "Cid")
	s := found(t, ada)
	s.setRole(ada, credential.Editor) // nobody else is there
	s.want(ada, credential.Editor)
	s = found(t, ada)
	s.admit(bob, credential.Editor)
	for _, role := range []credential.Role{credential.None, credential.Editor} {
		if _, err := s.SetRole(ada, ada.Identity(), role, nil, epoch); !errors.Is(err, ErrLastAdmin) {
			t.Errorf("the only admin becomes %v: %v", role, err)
		}
	}
	s.setRole(bob, credential.Admin)
	if _, err := s.SetRole(bob, ada.Identity(), credential.Reader, nil, epoch); !errors.Is(err, ErrSenior) {
		t.Errorf("the founder is lowered: %v", err)
	}
	s.setRole(ada, credential.Editor)
	s.want(ada, credential.Editor)
	if _, err := s.Admit(ada, cid.Chain(), credential.Reader, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("she admits: %v", err)
	}
	if _, err := s.SetRole(ada, ada.Identity(), credential.Admin, nil, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("she raises herself: %v", err)
	}
	b := s.as(bob)
	b.admit(cid, credential.Admin)
	b.setRole(ada, credential.Reader) // she is no senior any more
	b.want(ada, credential.Reader)
	b.setRole(ada, credential.Admin)
	b.want(ada, credential.Admin)
	c := b.as(cid)
	c.setRole(cid, credential.Reader)
	c.openFeed()
	c.setRole(cid, credential.None)
	c.want(cid, credential.None)
}

func TestExclude(t *testing.T) {
	ada, bob, cid := person(t, "Ada"), person(t, "Bob"), person(t, "Cid")
	s := found(t, ada)
	s.admit(bob, credential.Admin)
	s.admit(cid, credential.Editor)
	adas := s.openFeed()
	c := s.as(cid)
	cids := c.openFeed()
	s.learn(c)
	b := s.as(bob)
	entry := func(feed identity.ID) []credential.Cut {
		return []credential.Cut{{Feed: feed, Seq: 1, ID: identity.ID{1}}}
	}
	if _, err := b.Exclude(bob, entry(adas), epoch); !errors.Is(err, ErrSenior) {
		t.Errorf("the founder's: %v", err)
	}
	if _, err := b.Exclude(cid, entry(cids), epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("by an editor: %v", err)
	}
	if _, err := b.Exclude(bob, entry(identity.ID{9}), epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("of no feed: %v", err)
	}
	op := one(t)(b.Exclude(bob, entry(cids), epoch))
	forged := op.Op
	forged.Cuts = append(forged.Cuts, entry(adas)...)
	b.add(op, one(t)(credential.Make(bob, forged)))
	out := b.Judge().Excluded()
	if len(out) != 1 || !out[entry(cids)[0]] {
		t.Errorf("excluded are %v", out)
	}
	// Bob was removed at the same time: it is void.
	s.setRole(bob, credential.None)
	s.learn(b)
	if out := s.Judge().Excluded(); len(out) != 0 {
		t.Errorf("a removed admin excludes %v", out)
	}
}

func TestProfileAndMeta(t *testing.T) {
	ada, bob := person(t, "Ada"), person(t, "Bob")
	s := found(t, ada)
	s.admit(bob, credential.Reader)
	s.add(one(t)(s.SetProfile(bob, credential.ProfileBody{Name: "Bobby", Picture: []byte("png")}, epoch)))
	s.add(one(t)(s.SetMeta(bob, []byte("box"), epoch)))
	s.add(one(t)(s.SetMeta(bob, []byte("box 2"), epoch)))
	if m := s.Members()[1]; m.Name != "Bobby" || string(m.Picture) != "png" {
		t.Errorf("he is %+v", m)
	}
	if string(s.Meta(bob.Identity())) != "box 2" || s.Meta(ada.Identity()) != nil {
		t.Error("meta")
	}
	if _, err := s.SetProfile(bob, credential.ProfileBody{Name: "a\nb"}, epoch); !errors.Is(err, credential.ErrInvalid) {
		t.Error(err)
	}
	if _, err := s.SetMeta(person(t, "Eve"), []byte("x"), epoch); !errors.Is(err, ErrNotAllowed) {
		t.Error(err)
	}
}

func TestEpochs(t *testing.T) {
	ada, bob, cid := person(t, "Ada"), person(t, "Bob"), person(t, "Cid")
	s := found(t, ada)
	s.admit(bob, credential.Admin)
	s.admit(cid, credential.Editor)
	rotate := func(r replica, key byte) {
		t.Helper()
		var boxes []credential.SealedKey
		for _, to := range r.SealTo() {
			boxes = append(boxes, credential.SealedKey{To: credential.SealTo(to.Key, to.Seal), Box: []byte{key}})
		}
		for i := range 2 * credential.MaxBoxes { // many more
			boxes = append(boxes, credential.SealedKey{To: [8]byte{0xff, 0xff, byte(i + 1)}, Box: []byte{key}})
		}
		ops, err := r.NewEpoch(r.d, [8]byte{key}, []byte("before"), boxes, epoch)
		if err != nil || len(ops) != 3 {
			t.Fatal(len(ops), err)
		}
		r.add(ops...)
	}
	keys := func(r replica) (keys []byte) {
		for _, e := range r.Epochs() {
			keys = append(keys, e.KeyID[0])
			if b := e.Box(cid.Key()); len(b) != 1 || b[0] != e.KeyID[0] || string(e.Prev) != "before" {
				t.Errorf("key %d comes as %v", e.KeyID[0], b)
			}
		}
		return keys
	}
	if len(s.Epochs()) != 0 {
		t.Error("keys out of nothing")
	}
	rotate(s, 1)
	b := s.as(bob)
	rotate(b, 2)
	if got := keys(b); !slices.Equal(got, []byte{2, 1}) {
		t.Errorf("one after the other: %v", got)
	}
	rotate(s, 3) // at the same time
	s.learn(b)
	if got := keys(s); !slices.Equal(got[:1], []byte{3}) || len(got) != 3 {
		t.Errorf("at the same time, the senior's is first: %v", got)
	}
	// What a junior seals under the same name does not replace it.
	fake, err := b.NewEpoch(bob, [8]byte{3}, nil, []credential.SealedKey{{To: credential.SealTo(cid.Key(), nil), Box: []byte("fake")}}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	b.add(fake...)
	s.learn(b)
	keys(s)
	c := s.as(ada)
	rotate(b, 4)
	c.setRole(bob, credential.None)
	c.learn(b)
	if got := keys(c); slices.Contains(got, 4) || !slices.Contains(got, 2) {
		t.Errorf("a removed admin's are %v", got)
	}
	if _, err := s.NewEpoch(cid, [8]byte{9}, nil, nil, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("an editor rotates: %v", err)
	}
}

// An admin who goes mad is removed, and what they did last is undone.
func TestRemoveUndoing(t *testing.T) {
	ada, bob, cid, eve := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Eve")
	s := found(t, ada)
	s.admit(bob, credential.Admin)
	s.admit(cid, credential.Editor)
	c := s.as(cid)
	feed := c.openFeed()
	s.learn(c)
	b := s.as(bob)
	b.admit(eve, credential.Editor) // this stays
	entry := credential.Cut{Feed: feed, Seq: 1, ID: identity.ID{1}}
	bad := one(t)(b.Exclude(bob, []credential.Cut{entry}, epoch))
	b.add(bad)
	worse := b.setRole(cid, credential.None)
	s.learn(b)
	s.openFeed() // builds on it all
	if _, err := s.RemoveUndoing(cid, bob.Identity(), []identity.ID{bad.ID}, nil, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("by an editor: %v", err)
	}
	if _, err := b.RemoveUndoing(bob, ada.Identity(), []identity.ID{s.Space()}, nil, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("the founding: %v", err)
	}
	s.add(one(t)(s.RemoveUndoing(ada, bob.Identity(), []identity.ID{bad.ID, worse.ID}, nil, epoch)))
	s.want(bob, credential.None)
	s.want(cid, credential.Editor)
	s.want(eve, credential.Editor)
	if out := s.Judge().Excluded(); len(out) != 0 {
		t.Errorf("excluded are %v", out)
	}
}
