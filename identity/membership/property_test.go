package membership

import (
	"slices"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"pgregory.net/rapid"
)

// A world is some people, of whom some are hostile, who act on what they know
// and exchange it as they please.
type world struct {
	t      *rapid.T
	people []*identity.Device
	knows  []*State
	all    *State // everything that anybody made
	seen   []observation
}

// An observation is an answer that must stay the same for ever.
type observation struct {
	who   identity.ID
	heads []identity.ID
	role  credential.Role
}

func newWorld(t *rapid.T, people []*identity.Device) *world {
	w := &world{t: t, people: people, all: New()}
	genesis, err := Found(people[0], epoch)
	if err != nil {
		t.Fatal(err)
	}
	for range people {
		w.knows = append(w.knows, New())
	}
	w.tell(genesis)
	for _, p := range people[1:] {
		role := rapid.SampledFrom([]credential.Role{credential.Reader, credential.Editor, credential.Admin, credential.Admin}).Draw(t, "first role")
		by := rapid.IntRange(0, len(people)-1).Draw(t, "admitted by")
		if w.all.Role(people[by].Identity()) != credential.Admin {
			by = 0
		}
		ops, err := w.all.Admit(people[by], p.Chain(), role, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range ops {
			w.tell(op)
		}
	}
	return w
}

// tell gives op to everybody.
func (w *world) tell(op credential.Signed) {
	w.made(op)
	for _, s := range w.knows {
		if _, err := s.Add(op); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) made(op credential.Signed) {
	if status, err := w.all.Add(op); err != nil || status != Added {
		w.t.Fatalf("what one took another refuses: %v, %v", status, err)
	}
}

func (w *world) step() {
	i := rapid.IntRange(0, len(w.people)-1).Draw(w.t, "who")
	me, s := w.people[i], w.knows[i]
	subject := w.people[rapid.IntRange(0, len(w.people)-1).Draw(w.t, "whom")].Identity()
	role := credential.Role(rapid.IntRange(0, 3).Draw(w.t, "role"))
	switch rapid.SampledFrom([]string{"sync", "sync", "grant", "grant", "feed", "forge", "forge", "look"}).Draw(w.t, "what") {
	case "sync":
		from := w.knows[rapid.IntRange(0, len(w.people)-1).Draw(w.t, "from")]
		for _, op := range from.Ops() {
			if _, err := s.Add(op); err != nil {
				w.t.Fatal(err)
			}
		}
	case "feed":
		if op, err := s.OpenFeed(me, epoch); err == nil {
			w.keep(s, op)
		}
	case "grant":
		if subject == me.Identity() {
			role = credential.None
		}
		if op, err := s.SetRole(me, subject, role, nil, epoch); err == nil {
			w.keep(s, op)
			if got := s.Role(subject); got != role {
				w.t.Fatalf("a grant of %v left %v", role, got)
			}
		}
	case "forge":
		w.forge(i, subject, role)
	case "look":
		w.seen = append(w.seen, observation{subject, s.Auth(), s.RoleAt(subject, s.Auth())})
	}
}

// keep adds what was made on s by the rules.
func (w *world) keep(s *State, op credential.Signed) {
	if status, err := s.Add(op); err != nil || status != Added {
		w.t.Fatalf("its author refuses it: %v, %v", status, err)
	}
	w.made(op)
}

// forge makes a grant on a past that its author chooses, under any grant.
func (w *world) forge(i int, subject identity.ID, role credential.Role) {
	me, s := w.people[i], w.knows[i]
	if subject == me.Identity() {
		role = credential.None
	}
	ops := s.Ops()
	known := newReference(ops)
	set := map[identity.ID]bool{}
	var grants []identity.ID
	for _, op := range ops {
		if op.Kind == credential.SetRole && op.Subject == me.Identity() {
			grants = append(grants, op.ID)
			if rapid.Bool().Draw(w.t, "knows my grant") {
				set[op.ID] = true
			}
		} else if rapid.IntRange(0, 3).Draw(w.t, "knows") == 0 {
			set[op.ID] = true
		}
	}
	grants = append(grants, s.Space())
	set[s.Space()] = true
	var deps []identity.ID
	for id := range set {
		if !slices.ContainsFunc(keys(set), func(other identity.ID) bool { return known.past[other][id] }) {
			deps = append(deps, id)
		}
	}
	op, err := credential.Make(me, credential.Op{
		Space: s.Space(), Kind: credential.SetRole, Deps: deps, Proof: rapid.SampledFrom(grants).Draw(w.t, "under"), Subject: subject, Role: role, Nonce: nonce(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Add(op); err != nil {
		if _, err := w.all.Add(op); err == nil {
			w.t.Fatal("one refuses for ever what another takes")
		}
		return
	}
	w.made(op)
}

func keys(set map[identity.ID]bool) []identity.ID {
	var ids []identity.ID
	for id := range set {
		ids = append(ids, id)
	}
	return ids
}

func TestAnyOrderGivesTheSame(t *testing.T) {
	var everybody []*identity.Device
	for _, name := range []string{"Ada", "Bob", "Cid", "Dan", "Eve", "Fay"} {
		everybody = append(everybody, person(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, everybody[:rapid.IntRange(2, len(everybody)).Draw(t, "people")])
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			w.step()
		}
		w.checkOrders()
		w.checkReference()
		w.checkFounder()
		w.checkRemoved()
	})
}

// checkOrders delivers everything in another order, some of it twice.
func (w *world) checkOrders() {
	ops := w.all.Ops()
	for range 2 {
		s := New()
		for _, i := range rapid.Permutation(indexes(len(ops))).Draw(w.t, "order") {
			if _, err := s.Add(ops[i]); err != nil {
				w.t.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(w.t, "ask") == 0 {
				s.Role(w.people[0].Identity()) // fills caches on the way
			}
		}
		if s.Len() != len(ops) || len(s.Waiting()) != 0 || !slices.Equal(s.Heads(), w.all.Heads()) || !slices.Equal(s.Auth(), w.all.Auth()) {
			w.t.Fatalf("%d of %d credentials, %d wait", s.Len(), len(ops), len(s.Waiting()))
		}
		if !slices.EqualFunc(s.Members(), w.all.Members(), func(a, b Member) bool {
			return a.Profile == b.Profile && a.Role == b.Role && slices.Equal(a.Devices, b.Devices)
		}) {
			w.t.Fatalf("members are %v, want %v", s.Members(), w.all.Members())
		}
		for _, op := range ops {
			a, okA := s.Feed(op.ID)
			b, okB := w.all.Feed(op.ID)
			if a != b || okA != okB {
				w.t.Fatal("feeds differ")
			}
		}
		for _, p := range w.people {
			a, okA := s.Device(p.Key())
			b, okB := w.all.Device(p.Key())
			if a != b || okA != okB {
				w.t.Fatal("devices differ")
			}
		}
		for _, o := range w.seen {
			if got := s.RoleAt(o.who, o.heads); got != o.role {
				w.t.Fatalf("%s was %v then, is now said to have been %v", o.who.Short(), o.role, got)
			}
			if !s.Covers(s.Auth(), o.heads) {
				w.t.Fatal("Auth does not cover what it was before")
			}
		}
	}
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func (w *world) checkReference() {
	ref := newReference(w.all.Ops())
	pasts := [][]identity.ID{w.all.Heads(), w.all.Auth()}
	for _, o := range w.seen {
		pasts = append(pasts, o.heads)
	}
	for _, p := range w.people {
		if got, want := w.all.Role(p.Identity()), ref.role(p.Identity(), w.all.Heads()); got != want {
			w.t.Fatalf("%s is %v, by the rules %v", p.Name(), got, want)
		}
		for _, heads := range pasts {
			if got, want := w.all.RoleAt(p.Identity(), heads), ref.role(p.Identity(), heads); got != want {
				w.t.Fatalf("%s was %v, by the rules %v", p.Name(), got, want)
			}
		}
	}
	for _, op := range w.all.Ops() {
		if op.Kind != credential.Genesis && ref.role(op.Identity, op.Deps) == credential.None {
			w.t.Fatal("something by a stranger is in the set")
		}
	}
}

// checkFounder: nobody but the founder ends the founder's role.
func (w *world) checkFounder() {
	founder := w.people[0].Identity()
	for _, op := range w.all.Ops() {
		if op.Kind == credential.SetRole && op.Subject == founder && op.Identity == founder {
			return
		}
	}
	if w.all.Role(founder) != credential.Admin {
		w.t.Fatal("the founder was removed")
	}
}

// checkRemoved: once the founder has lowered somebody, no grant of theirs that
// the founder had not seen counts, unless it rests on a later one to them.
func (w *world) checkRemoved() {
	ref := newReference(w.all.Ops())
	valid := ref.resolve(ref.closure(w.all.Heads()))
	for rem := range valid {
		r := ref.ops[rem]
		if r.Kind != credential.SetRole || r.Proof != w.all.Space() || r.Role == credential.Admin || r.Subject == r.Identity {
			continue
		}
		for id := range valid {
			o := ref.ops[id]
			if o.Kind == credential.SetRole && o.Identity == r.Subject && o.Subject != o.Identity && !ref.past[rem][id] && !ref.past[o.Proof][rem] {
				w.t.Fatal("a removed admin strikes back")
			}
		}
	}
}
