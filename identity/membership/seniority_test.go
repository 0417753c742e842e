package membership

import (
	"errors"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

func TestSeniority(t *testing.T) {
	ada, bob, cid, dan, eve := person(t, "Ada"), person(t, "Bob"), person(t, "Cid"), person(t, "Dan"), person(t, "Eve")
	start := func() replica {
		s := found(t, ada)
		s.admit(bob, credential.Admin)
		s.as(bob)
		b := s.as(bob)
		b.admit(cid, credential.Admin) // Cid is junior to Bob
		b.admit(dan, credential.Editor)
		s.learn(b)
		return s
	}
	t.Run("a junior cannot remove a senior", func(t *testing.T) {
		c := start().as(cid)
		for _, senior := range []*identity.Device{ada, bob} {
			if _, err := c.SetRole(cid, senior.Identity(), credential.None, nil, epoch); !errors.Is(err, ErrSenior) {
				t.Errorf("removing %s: %v", senior.Name(), err)
			}
		}
		// Forged, it is without effect.
		op, err := c.SetRole(cid, dan.Identity(), credential.None, nil, epoch)
		if err != nil {
			t.Fatal(err)
		}
		forged := op.Op
		forged.Subject = bob.Identity()
		signed, err := credential.Make(cid, forged)
		if err != nil {
			t.Fatal(err)
		}
		c.add(signed)
		c.want(bob, credential.Admin)
	})
	t.Run("mutual removal: the senior wins", func(t *testing.T) {
		s := start()
		b, c := s.as(bob), s.as(cid)
		b.setRole(cid, credential.None)
		op := c.setRole(dan, credential.None).Op
		op.Subject = bob.Identity()
		signed, err := credential.Make(cid, op)
		if err != nil {
			t.Fatal(err)
		}
		c.add(signed)
		b.learn(c)
		c.learn(b)
		for _, r := range []replica{b, c} {
			r.want(bob, credential.Admin)
			r.want(cid, credential.None)
			r.want(dan, credential.Editor) // what Cid did without knowing is void
		}
	})
	t.Run("whom a removed admin admits meanwhile is not admitted", func(t *testing.T) {
		s := start()
		c := s.as(cid)
		c.admit(eve, credential.Editor)
		s.setRole(cid, credential.Editor)
		s.learn(c)
		s.want(eve, credential.None)
		s.want(cid, credential.Editor)
		if s.RoleAt(eve.Identity(), c.Auth()) != credential.Editor {
			t.Error("what they knew then has changed")
		}
	})
	t.Run("what they did before stands", func(t *testing.T) {
		s := start()
		c := s.as(cid)
		c.admit(eve, credential.Editor)
		s.learn(c)
		s.setRole(cid, credential.None)
		s.want(eve, credential.Editor)
	})
	t.Run("a removed admin cannot go back in time", func(t *testing.T) {
		s := start()
		c := s.as(cid) // never learns
		s.setRole(cid, credential.None)
		c.admit(eve, credential.Admin)
		e := c.as(eve)
		e.setRole(dan, credential.None)
		s.learn(e)
		s.want(eve, credential.None)
		s.want(dan, credential.Editor)
	})
	t.Run("the founder stays, unless by their own will", func(t *testing.T) {
		s := start()
		b := s.as(bob)
		if _, err := b.SetRole(bob, ada.Identity(), credential.Reader, nil, epoch); !errors.Is(err, ErrSenior) {
			t.Errorf("removing the founder: %v", err)
		}
		s.setRole(ada, credential.None)
		s.want(ada, credential.None)
		s.want(bob, credential.Admin)
	})
	t.Run("leaving ends the right to act", func(t *testing.T) {
		s := start().as(cid)
		s.setRole(cid, credential.None)
		s.want(cid, credential.None)
		if _, err := s.SetRole(cid, dan.Identity(), credential.None, nil, epoch); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("acting after leaving: %v", err)
		}
	})
	t.Run("who left and came back acts under the new grant only", func(t *testing.T) {
		s := start()
		before := s.as(cid).setRole(dan, credential.Reader) // not given to s: only its Proof is of use
		c := s.as(cid)
		c.setRole(cid, credential.None)
		s.learn(c)
		s.admit(cid, credential.Admin)
		old, err := credential.Make(cid, credential.Op{
			Space: s.Space(), Kind: credential.SetRole, Deps: s.Heads(), Proof: before.Proof, Subject: dan.Identity(), Role: credential.None,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(old); !errors.Is(err, ErrInvalid) {
			t.Errorf("under the old grant: %v", err)
		}
		s.as(cid).setRole(dan, credential.None)
	})
	t.Run("leaving prevails over a promotion at the same time", func(t *testing.T) {
		s := start()
		d := s.as(dan)
		d.setRole(dan, credential.None)
		s.setRole(dan, credential.Admin)
		s.learn(d)
		s.want(dan, credential.None)
	})
}

func TestLineageIsBounded(t *testing.T) {
	s := found(t, person(t, "0"))
	for i := 0; ; i++ {
		next := person(t, "next")
		ops, err := s.Admit(s.d, next.Chain(), credential.Admin, epoch)
		if err != nil {
			t.Fatal(err)
		}
		s.add(ops[0])
		_, err = s.Add(ops[1])
		if i == MaxLineage {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("hand %d: %v", i, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("hand %d: %v", i, err)
		}
		s.d = next
	}
}

func TestFeedsAreBounded(t *testing.T) {
	s := found(t, person(t, "Ada"))
	for range MaxFeedsPerDevice {
		s.openFeed()
	}
	op, err := s.OpenFeed(s.d, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(op); !errors.Is(err, ErrInvalid) {
		t.Errorf("one too many: %v", err)
	}
}
