package membership

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

func person(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var epoch = time.UnixMilli(1700000000000)

// A replica is what one person's device knows.
type replica struct {
	*State
	t testing.TB
	d *identity.Device
}

// found returns the founder's replica of a new space.
func found(t testing.TB, d *identity.Device) replica {
	t.Helper()
	op, err := Found(d, epoch)
	if err != nil {
		t.Fatal(err)
	}
	r := replica{New(), t, d}
	r.add(op)
	return r
}

func (r replica) add(ops ...credential.Signed) {
	r.t.Helper()
	for _, op := range ops {
		if status, err := r.Add(op); err != nil || status != Added {
			r.t.Fatalf("adding kind %d by %s: %v, %v", op.Kind, op.Identity.Short(), status, err)
		}
	}
}

// as returns what d knows once it has everything that r has.
func (r replica) as(d *identity.Device) replica {
	r.t.Helper()
	other := replica{Of(r.Space()), r.t, d}
	other.learn(r)
	return other
}

// learn brings over what from knows, whatever r knew.
func (r replica) learn(from replica) {
	r.t.Helper()
	for _, op := range from.Ops() {
		if _, err := r.Add(op); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r replica) admit(guest *identity.Device, role credential.Role) {
	r.t.Helper()
	ops, err := r.Admit(r.d, guest.Chain(), role, epoch)
	if err != nil {
		r.t.Fatal(err)
	}
	r.add(ops...)
}

func (r replica) setRole(who *identity.Device, role credential.Role) credential.Signed {
	r.t.Helper()
	op, err := r.SetRole(r.d, who.Identity(), role, nil, epoch)
	if err != nil {
		r.t.Fatal(err)
	}
	r.add(op)
	return op
}

func (r replica) openFeed() identity.ID {
	r.t.Helper()
	op, err := r.OpenFeed(r.d, epoch)
	if err != nil {
		r.t.Fatal(err)
	}
	r.add(op)
	return op.ID
}

func (r replica) want(who *identity.Device, role credential.Role) {
	r.t.Helper()
	if got := r.Role(who.Identity()); got != role {
		r.t.Errorf("%s is %v, want %v", who.Name(), got, role)
	}
}

func TestFounding(t *testing.T) {
	ada := person(t, "Ada")
	s := found(t, ada)
	s.want(ada, credential.Admin)
	s.want(person(t, "Eve"), credential.None)
	if ops := s.Ops(); s.Space() != ops[0].ID || s.Len() != 1 || !s.Has(s.Space()) {
		t.Errorf("the space is %v", s.Space())
	}
	if h := s.Heads(); !slices.Equal(h, []identity.ID{s.Space()}) || !slices.Equal(s.Auth(), h) {
		t.Errorf("heads are %v", h)
	}
	if p, ok := s.Device(ada.Key()); !ok || p.Identity != ada.Identity() || p.Device != ada.Key() || p.Name != "Ada" {
		t.Errorf("her device is %+v, %v", p, ok)
	}
	feed := s.openFeed()
	if f, ok := s.Feed(feed); !ok || f != (FeedInfo{ada.Key(), ada.Identity()}) || !slices.Equal(s.Feeds(ada.Key()), []identity.ID{feed}) {
		t.Errorf("her feed is %+v, %v", f, ok)
	}
	if _, ok := s.Feed(s.Space()); ok {
		t.Error("the genesis is a feed")
	}
	if !slices.Equal(s.Auth(), []identity.ID{s.Space()}) || s.RoleAt(ada.Identity(), []identity.ID{feed}) != credential.Admin {
		t.Error("opening a feed changed who may do what")
	}
}

func TestMembers(t *testing.T) {
	ada, bob, cid := person(t, "Ada"), person(t, "Bob"), person(t, "Cid")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	s.admit(cid, credential.Reader)
	before := s.Auth()
	m := s.Members()
	if len(m) != 3 || m[0].Profile != ada.Profile() || m[0].Role != credential.Admin || !slices.Equal(m[0].Devices, []identity.PublicKey{ada.Key()}) {
		t.Errorf("members are %+v", m)
	}
	if ops, err := s.Admit(ada, bob.Chain(), credential.Reader, epoch); err != nil || len(ops) != 0 {
		t.Errorf("admitting again: %d credentials, %v", len(ops), err)
	}
	s.setRole(cid, credential.Editor)
	s.want(cid, credential.Editor)
	s.setRole(cid, credential.Reader)
	s.want(cid, credential.Reader)
	s.setRole(bob, credential.None)
	s.want(bob, credential.None)
	if _, ok := s.Device(bob.Key()); ok || len(s.Members()) != 2 {
		t.Error("he is still a member")
	}
	if p, ok := s.Profile(bob.Identity()); !ok || p.Name != "Bob" {
		t.Error("his name is forgotten")
	}
	if s.RoleAt(bob.Identity(), before) != credential.Editor {
		t.Error("his past has changed")
	}
	if !s.Covers(s.Auth(), before) || s.Covers(before, s.Auth()) {
		t.Error("Covers")
	}
	s.admit(bob, credential.Editor)
	s.want(bob, credential.Editor)
}

func TestRoleAtAndCoversOfTheUnknown(t *testing.T) {
	ada := person(t, "Ada")
	s := found(t, ada)
	unknown := []identity.ID{{1}}
	if s.RoleAt(ada.Identity(), unknown) != credential.None || s.RoleAt(ada.Identity(), nil) != credential.None ||
		s.RoleAt(ada.Identity(), append(unknown, s.Space())) != credential.None {
		t.Error("a role at nothing")
	}
	if s.Covers(unknown, unknown) || s.Covers(s.Heads(), unknown) || s.Covers(nil, s.Heads()) || s.Covers(nil, nil) {
		t.Error("the unknown covers or is covered")
	}
	if !s.Covers(s.Heads(), nil) || !s.Covers(s.Heads(), s.Heads()) {
		t.Error("heads do not cover themselves")
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	ada, bob, cid, eve := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Eve")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	s.admit(cid, credential.Reader)
	for _, d := range []*identity.Device{bob, cid, eve} {
		if _, err := s.Admit(d, eve.Chain(), credential.Reader, epoch); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s admits: %v", d.Name(), err)
		}
		if _, err := s.SetRole(d, ada.Identity(), credential.None, nil, epoch); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s removes the founder: %v", d.Name(), err)
		}
	}
	if _, err := s.OpenFeed(eve, epoch); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a stranger opens a feed: %v", err)
	}
	if _, err := s.Admit(ada, []byte("noise"), credential.Reader, epoch); !errors.Is(err, identity.ErrBadChain) {
		t.Errorf("admitting noise: %v", err)
	}
	s.as(cid).openFeed()
	s.as(bob).openFeed()
	s.as(bob).setRole(bob, credential.None)
}

// Each is refused whatever else is in the set, and changes nothing.
func TestForgeriesAreRefused(t *testing.T) {
	ada, bob, cid, eve := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Eve")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	s.admit(cid, credential.Admin)
	grants := map[string]identity.ID{}
	for _, op := range s.Ops() {
		if op.Kind == credential.SetRole && op.Subject == bob.Identity() {
			grants["bob"] = op.ID
		}
		if op.Kind == credential.SetRole && op.Subject == cid.Identity() {
			grants["cid"] = op.ID
		}
	}
	now := s.Heads()
	other := found(t, eve)
	base := credential.Op{Space: s.Space(), Deps: now}
	tests := []struct {
		name string
		by   *identity.Device
		op   func(*credential.Op)
	}{
		{"a stranger grants under the founder's grant", eve, func(o *credential.Op) {
			o.Kind, o.Proof, o.Subject, o.Role = credential.SetRole, s.Space(), bob.Identity(), credential.Admin
		}},
		{"a stranger proves himself", eve, func(o *credential.Op) {
			o.Kind, o.Proof, o.Ext = credential.Import, s.Space(), eve.Chain()
		}},
		{"a stranger opens a feed", eve, func(o *credential.Op) { o.Kind, o.Proof = credential.FeedOpen, s.Space() }},
		{"an editor grants", bob, func(o *credential.Op) {
			o.Kind, o.Proof, o.Subject, o.Role = credential.SetRole, grants["bob"], cid.Identity(), credential.Reader
		}},
		{"an editor grants under the founder's grant", bob, func(o *credential.Op) {
			o.Kind, o.Proof, o.Subject, o.Role = credential.SetRole, s.Space(), cid.Identity(), credential.Reader
		}},
		{"an admin acts before he was one", cid, func(o *credential.Op) {
			o.Deps = []identity.ID{s.Space()}
			o.Kind, o.Proof, o.Subject, o.Role = credential.SetRole, grants["cid"], bob.Identity(), credential.None
		}},
		{"a feed under no grant", bob, func(o *credential.Op) { o.Kind, o.Proof = credential.FeedOpen, now[0] }},
		{"a chain that is none", cid, func(o *credential.Op) {
			o.Kind, o.Proof, o.Ext = credential.Import, grants["cid"], []byte("noise")
		}},
		{"a chain that was proven", cid, func(o *credential.Op) {
			o.Kind, o.Proof, o.Ext = credential.Import, grants["cid"], bob.Chain()
		}},
		{"another space", ada, func(o *credential.Op) { o.Space, o.Kind, o.Proof = other.Space(), credential.FeedOpen, s.Space() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			op := base
			tt.op(&op)
			signed, err := credential.Make(tt.by, op)
			if err != nil {
				t.Fatal(err)
			}
			if status, err := s.Add(signed); !errors.Is(err, ErrInvalid) {
				t.Errorf("Add = %v, %v; want ErrInvalid", status, err)
			}
			if s.Has(signed.ID) || len(s.Waiting()) != 0 || !slices.Equal(s.Heads(), now) {
				t.Error("it left something behind")
			}
		})
	}
	genesis := other.Ops()[0]
	if _, err := s.Add(genesis); !errors.Is(err, ErrInvalid) {
		t.Errorf("a second genesis: %v", err)
	}
	if _, err := Of(s.Space()).Add(genesis); !errors.Is(err, ErrInvalid) {
		t.Errorf("another genesis than expected: %v", err)
	}
	stolen, err := credential.Make(eve, credential.Op{Kind: credential.Genesis, Ext: ada.Chain()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New().Add(stolen); !errors.Is(err, ErrInvalid) {
		t.Errorf("a genesis with somebody else's chain: %v", err)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	ada, bob := person(t, "Ada"), person(t, "Bob")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	b := s.as(bob)
	b.openFeed()
	s.learn(b)
	s.openFeed()
	ops := s.Ops()
	slices.Reverse(ops)
	back := New()
	for i, op := range ops {
		status, err := back.Add(op)
		want := Pending
		if i == len(ops)-1 {
			want = Added
		}
		if err != nil || status != want {
			t.Fatalf("%d: %v, %v", i, status, err)
		}
		if again, err := back.Add(op); err != nil || again != Duplicate {
			t.Fatalf("%d again: %v, %v", i, again, err)
		}
	}
	if !slices.Equal(back.Heads(), s.Heads()) || back.Len() != s.Len() || len(back.Waiting()) != 0 {
		t.Errorf("heads are %v, want %v", back.Heads(), s.Heads())
	}
	if got := back.Since(back.Len() - 1); len(got) != 1 || len(back.Since(99)) != 0 {
		t.Errorf("Since = %d", len(got))
	}
}
