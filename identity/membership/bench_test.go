package membership

import (
	"fmt"
	"sync"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// crowd returns a space of n members who opened a feed each, ten at a time
// without knowing of each other.
func crowd(t testing.TB, n int) (replica, []*identity.Device) {
	s := found(t, person(t, "founder"))
	var people []*identity.Device
	for i := range n {
		p := person(t, fmt.Sprint(i))
		people = append(people, p)
		s.admit(p, credential.Editor)
	}
	for i := 0; i < n; i += 10 {
		var feeds []credential.Signed
		for _, p := range people[i:min(i+10, n)] {
			op, err := s.OpenFeed(p, epoch)
			if err != nil {
				t.Fatal(err)
			}
			feeds = append(feeds, op)
		}
		s.add(feeds...)
	}
	return s, people
}

func TestManyAtOnce(t *testing.T) {
	s, people := crowd(t, 100)
	if len(s.Auth()) != 1 || len(s.Heads()) != 10 {
		t.Errorf("%d heads, %d decide about roles", len(s.Heads()), len(s.Auth()))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, p := range people {
				if s.RoleAt(p.Identity(), s.Auth()) != credential.Editor || s.Role(p.Identity()) != credential.Editor || !s.Covers(s.Heads(), s.Auth()) {
					t.Error("a member is missing")
				}
			}
		})
	}
	wg.Go(func() {
		op, err := s.OpenFeed(s.d, epoch)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := s.Add(op); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}

// More heads than a credential can name as its past: it names what matters.
func TestMoreHeadsThanDeps(t *testing.T) {
	s := found(t, person(t, "Ada"))
	b := person(t, "Bob")
	s.admit(b, credential.Editor)
	var feeds []credential.Signed
	for range credential.MaxDeps + 5 {
		op, err := s.OpenFeed(b, epoch)
		if err != nil {
			t.Fatal(err)
		}
		feeds = append(feeds, op)
	}
	s.add(feeds...)
	if n := len(s.Heads()); n != credential.MaxDeps+5 {
		t.Fatalf("%d heads", n)
	}
	s.setRole(b, credential.Reader)
	s.want(b, credential.Reader)
	s.openFeed()
	if n := len(s.Heads()); n != 1 {
		t.Errorf("%d heads are left", n)
	}
}

// An admin who floods the space with grants that do not know of each other
// cannot keep others from naming their authority.
func TestAnyMemberMergesManyGrants(t *testing.T) {
	ada, bob, mal := person(t, "Ada"), person(t, "Bob"), person(t, "Mal")
	s := found(t, ada)
	s.admit(bob, credential.Reader)
	s.admit(mal, credential.Admin)
	old := s.as(mal)
	for range 2*credential.MaxDeps + 10 {
		op, err := old.SetRole(mal, bob.Identity(), credential.Editor, nil, epoch)
		if err != nil {
			t.Fatal(err)
		}
		s.add(op)
	}
	if n := len(s.Auth()); n != 2*credential.MaxDeps+10 {
		t.Fatalf("%d to name", n)
	}
	before := s.Auth()[:16]
	b := s.as(bob)
	for range 3 {
		b.openFeed()
	}
	if n := len(b.Auth()); n != 1 || !b.Covers(b.Auth(), before) || b.RoleAt(bob.Identity(), b.Auth()) != credential.Editor {
		t.Errorf("%d to name after merging", n)
	}
}

func BenchmarkRoleAt(b *testing.B) {
	s, people := crowd(b, 100)
	auth := s.Heads()
	who := people[50].Identity()
	b.ReportAllocs()
	for b.Loop() {
		if s.RoleAt(who, auth) != credential.Editor {
			b.Fatal("not an editor")
		}
	}
}

func BenchmarkCovers(b *testing.B) {
	s, _ := crowd(b, 100)
	heads, auth := s.Heads(), s.Auth()
	b.ReportAllocs()
	for b.Loop() {
		if !s.Covers(heads, auth) {
			b.Fatal("not covered")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	s, _ := crowd(b, MaxMembers-1)
	ops := s.Ops()
	b.ReportMetric(float64(len(ops)), "credentials")
	for b.Loop() {
		back := New()
		for _, op := range ops {
			if _, err := back.Add(op); err != nil {
				b.Fatal(err)
			}
		}
	}
}
