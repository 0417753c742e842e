package membership

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A village is some people who each act on what their device knows, by the
// methods of State, and meet now and then. Whatever a method makes has to be
// taken by the device that made it, and by everybody else.
type village struct {
	t      *testing.T
	r      *rand.Rand
	homes  []replica
	spare  []*identity.Device // not proven at first, of the same people
	links  []link
	opened []identity.ID // the INVITEs of links
	feeds  []identity.ID
	keyIDs byte
}

func newVillage(t *testing.T, seed uint64, people, spare []*identity.Device) *village {
	v := &village{t: t, r: rand.New(rand.NewPCG(seed, 3)), spare: spare}
	first := found(t, people[0])
	for _, p := range people[1:4] { // the others are strangers, with a link perhaps
		first.admit(p, []credential.Role{credential.Reader, credential.Editor, credential.Admin, credential.Admin}[v.r.IntN(4)])
	}
	for _, d := range append(append([]*identity.Device(nil), people...), spare...) {
		v.homes = append(v.homes, first.as(d))
	}
	return v
}

func (v *village) home() replica { return v.homes[v.r.IntN(len(v.homes))] }

// took adds what a method made. Errors have to be those of the API.
func (v *village) took(what string, r replica, ops []credential.Signed, err error) bool {
	v.t.Helper()
	if err != nil {
		for _, fine := range []error{ErrNotAllowed, ErrSenior, ErrLastAdmin, ErrInvitation} {
			if errors.Is(err, fine) {
				return false
			}
		}
		v.t.Fatalf("%s: %v", what, err)
	}
	for _, op := range ops {
		if status, err := r.Add(op); err != nil || status != Added {
			v.t.Fatalf("%s is refused by who made it: %v, %v", what, status, err)
		}
	}
	return true
}

func (v *village) step() {
	r := v.home()
	whom := v.home().d
	single := func(op credential.Signed, err error) ([]credential.Signed, error) {
		return []credential.Signed{op}, err
	}
	switch v.r.IntN(13) {
	case 0, 1, 2:
		r.learn(v.home())
	case 3, 4:
		role := credential.Role(v.r.IntN(4))
		ops, err := single(r.SetRole(r.d, whom.Identity(), role, v.cuts(), epoch))
		if v.took("a role", r, ops, err) && r.Role(whom.Identity()) != role {
			v.t.Fatalf("after a grant of %v %v", role, r.Role(whom.Identity()))
		}
	case 5:
		l := newLink(fmt.Sprint(v.r.Uint64()))
		ops, err := single(r.Invite(r.d, credential.Role(1+v.r.IntN(3)), uint32(1+v.r.IntN(2)), epoch, l.pub(), "", epoch))
		if v.took("an invitation", r, ops, err) {
			v.links, v.opened = append(v.links, l), append(v.opened, ops[0].ID)
		}
	case 6, 7:
		if len(v.links) == 0 {
			return
		}
		i := v.r.IntN(len(v.links))
		ops, err := r.Redeem(r.d, v.opened[i], whom.Chain(), v.links[i].sign(v.t, r.Space(), v.opened[i], whom), epoch)
		if v.took("a redemption", r, ops, err) && r.Role(whom.Identity()) == credential.None {
			v.t.Fatal("it admitted nobody")
		}
	case 8:
		if len(v.opened) > 0 {
			ops, err := single(r.RevokeInvite(r.d, v.opened[v.r.IntN(len(v.opened))], epoch))
			v.took("a revocation", r, ops, err)
		}
	case 9:
		ops, err := r.Import(r.d, whom.Chain(), epoch)
		v.took("a chain", r, ops, err)
	case 10:
		ops, err := single(r.CutDevice(r.d, whom.Key(), r.d.Chain(), v.cuts(), epoch))
		v.took("a cut", r, ops, err)
	case 11:
		ops, err := single(r.OpenFeed(r.d, epoch))
		if v.took("a feed", r, ops, err) {
			v.feeds = append(v.feeds, ops[0].ID)
		}
		if len(v.cuts()) > 0 {
			ops, err := single(r.Exclude(r.d, v.cuts()[:1], epoch))
			v.took("an exclusion", r, ops, err)
		}
	case 12:
		v.keyIDs++
		ops, err := r.NewEpoch(r.d, [8]byte{v.keyIDs}, nil, nil, epoch)
		v.took("a key", r, ops, err)
		ops, err = single(r.SetProfile(r.d, credential.ProfileBody{Name: "x"}, epoch))
		v.took("a profile", r, ops, err)
	}
}

func (v *village) cuts() []credential.Cut {
	var cuts []credential.Cut
	for _, f := range v.feeds {
		cuts = append(cuts, credential.Cut{Feed: f, Seq: 1 + uint64(v.r.IntN(3)), ID: identity.ID{1}})
	}
	return cuts
}

// TestAuthoring: whatever the methods make is taken, by its author and others.
func TestAuthoring(t *testing.T) {
	var people, spare []*identity.Device
	for i := range 6 {
		d := person(t, fmt.Sprint(i))
		people = append(people, d)
		if i < 3 {
			spare = append(spare, second(t, d, "spare"))
		}
	}
	// The second person knows that the spare device is lost, the third does not.
	if err := people[1].RevokeDevice(spare[1].Key()); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(60) {
		v := newVillage(t, seed, people, spare)
		for range 80 {
			v.step()
		}
		all := v.homes[0]
		for _, r := range v.homes {
			all.learn(r)
		}
		for _, r := range v.homes {
			r.learn(all)
			if r.Generation() != all.Generation() || fmt.Sprint(r.Members()) != fmt.Sprint(all.Members()) || len(r.Waiting()) != 0 {
				t.Fatalf("seed %d: they do not agree", seed)
			}
		}
	}
}
