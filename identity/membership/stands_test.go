package membership

import (
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

func TestStands(t *testing.T) {
	ada, bob, cid := person(t, "Ada"), person(t, "Bob"), person(t, "Cid")
	s := found(t, ada)
	s.admit(bob, credential.Editor)
	s.admit(cid, credential.Admin)
	b := s.as(bob)
	feed := b.openFeed()
	s.learn(b)
	before := s.Auth()
	entry := func(seq uint64) credential.Cut {
		return credential.Cut{Feed: feed, Seq: seq, ID: identity.ID{byte(seq)}}
	}
	check := func(r replica, e credential.Cut, auth []identity.ID, want bool) {
		t.Helper()
		if got := r.Stands(e, auth); got != want {
			t.Errorf("entry %d stands: %v, want %v", e.Seq, got, want)
		}
	}
	check(s, entry(9), before, true)
	check(s, entry(9), []identity.ID{s.Space()}, false) // he was not a member then
	check(s, entry(9), nil, false)
	check(s, credential.Cut{Feed: s.Space(), Seq: 1}, before, false)

	// Cid removes Bob and has seen five entries of his.
	c := s.as(cid)
	op, err := c.SetRole(cid, bob.Identity(), credential.None, []credential.Cut{entry(5)}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	c.add(op)
	check(c, entry(4), before, true)
	check(c, entry(5), before, true)
	check(c, credential.Cut{Feed: feed, Seq: 5, ID: identity.ID{99}}, before, false) // another fifth
	check(c, entry(6), before, false)                                                // back-dated
	check(c, entry(4), c.Auth(), false)                                              // he knew of it

	// At the same time Ada removed Cid: then Bob stays, with all he wrote.
	s.setRole(cid, credential.None)
	c.learn(s)
	check(c, entry(6), before, true)

	// A grant that turns out to be void carries nothing.
	eve := person(t, "Eve")
	w := found(t, ada)
	w.admit(cid, credential.Admin)
	d := w.as(cid)
	d.admit(eve, credential.Editor)
	e := d.as(eve)
	f := e.openFeed()
	check(e, credential.Cut{Feed: f, Seq: 1}, e.Auth(), true)
	w.setRole(cid, credential.None)
	w.learn(e)
	check(w, credential.Cut{Feed: f, Seq: 1}, e.Auth(), false)
	if w.RoleAt(eve.Identity(), e.Auth()) != credential.Editor {
		t.Error("what she knew has changed")
	}
}
