package membership_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// A crowd is a space of many members, who do many things ten at a time without
// knowing of each other. Nothing in it is signed: it is for measuring what comes
// after the signatures.
type crowd struct {
	t     testing.TB
	r     *rand.Rand
	book  *membership.Book
	state *membership.State
	ops   []credential.Signed
	ids   []identity.ID
	keys  []identity.PublicKey
	grant []identity.ID // under which each acts
}

func newCrowd(t testing.TB, members, ops int) *crowd {
	c := &crowd{t: t, r: rand.New(rand.NewPCG(1, 2))}
	halos := map[string]identity.Halo{}
	random := noise("crowd")
	for i := range members {
		d, err := identity.NewDevice(random, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		halos[fmt.Sprint(i)] = d.Halo()
		c.ids, c.keys = append(c.ids, d.Identity()), append(c.keys, d.Key())
	}
	c.book = membership.NewBook(func(text []byte) (identity.Halo, error) { return halos[string(text)], nil })
	c.grant = make([]identity.ID, members)
	genesis := c.add(0, credential.Op{Kind: credential.Genesis, Ext: []byte("0")}, nil)
	c.grant[0] = genesis
	for i := 1; i < members; i++ {
		c.add(0, credential.Op{Kind: credential.Import, Ext: fmt.Append(nil, i)}, c.state.Heads())
		role := credential.Editor
		if i < 20 {
			role = credential.Admin
		}
		c.grant[i] = c.add(0, credential.Op{Kind: credential.SetRole, Subject: c.ids[i], Role: role}, c.state.Heads())
	}
	for len(c.ops) < ops {
		heads := c.state.Heads()
		for range min(10, ops-len(c.ops)) {
			c.act(heads)
		}
	}
	return c
}

// act has somebody do something on what heads have.
func (c *crowd) act(heads []identity.ID) {
	by := c.r.IntN(len(c.ids)-20) + 20
	op := credential.Op{Kind: credential.FeedOpen}
	switch c.r.IntN(10) {
	case 0, 1:
		ext, err := credential.ProfileBody{Name: "x"}.Encode()
		if err != nil {
			c.t.Fatal(err)
		}
		op.Kind, op.Ext = credential.ProfileSet, ext
	case 2: // an admin lowers somebody or raises them
		op.Kind, op.Subject, op.Role = credential.SetRole, c.ids[by], credential.Reader+credential.Role(c.r.IntN(2))
		by = c.r.IntN(20)
	}
	c.add(by, op, heads)
}

func (c *crowd) add(by int, op credential.Op, deps []identity.ID) identity.ID {
	c.t.Helper()
	op.Version, op.Device, op.Identity, op.Proof, op.Deps = 1, c.keys[by], c.ids[by], c.grant[by], slices.Clone(deps)
	id := ids(c.r.Uint64(), len(c.ops))
	if c.state == nil {
		c.state = membership.Simulated(id, c.book)
	} else {
		op.Space = c.ops[0].ID
	}
	s := credential.Signed{Op: op, ID: id}
	if status, err := c.state.Add(s); err != nil || status != membership.Added {
		c.t.Fatalf("op %d of kind %d: %v, %v", len(c.ops), op.Kind, status, err)
	}
	c.ops = append(c.ops, s)
	return id
}

// again loads everything into a new state and asks it for the members.
func (c *crowd) again() *membership.State {
	s := membership.Simulated(c.ops[0].ID, c.book)
	for _, op := range c.ops {
		if _, err := s.Add(op); err != nil {
			c.t.Fatal(err)
		}
	}
	if n := len(s.Members()); n != len(c.ids) {
		c.t.Fatalf("%d members", n)
	}
	return s
}

// BenchmarkResolveCold: a space of 1,000 members and 10,000 credentials, whose
// signatures were verified, from nothing.
func BenchmarkResolveCold(b *testing.B) {
	c := newCrowd(b, 1000, 10000)
	b.ReportAllocs()
	for b.Loop() {
		c.again()
	}
}

// BenchmarkResolveOneMore: one credential more in that space, and a question.
func BenchmarkResolveOneMore(b *testing.B) {
	for _, kind := range []string{"role", "profile"} {
		b.Run(kind, func(b *testing.B) {
			c := newCrowd(b, 1000, 10000)
			b.ReportAllocs()
			for b.Loop() {
				op := credential.Op{Kind: credential.SetRole, Subject: c.ids[500], Role: credential.Reader + credential.Role(c.r.IntN(2))}
				if kind == "profile" {
					op = credential.Op{Kind: credential.ProfileSet, Ext: []byte{0xa0}}
				}
				c.add(3, op, c.state.Heads())
				if c.state.Role(c.ids[3]) != credential.Admin {
					b.Fatal("no admin")
				}
			}
		})
	}
}

func TestCrowd(t *testing.T) {
	c := newCrowd(t, 60, 600)
	if s := c.again(); !slices.Equal(s.Heads(), c.state.Heads()) || s.Generation() != c.state.Generation() {
		t.Error("not the same again")
	}
}
