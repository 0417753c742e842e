package space

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity/credential"
)

// Members lose and get back the right to write while they are apart and write.
// In the end all have the same, and so has who makes it anew from the log.
func TestRolesComeAndGo(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 5))
			a := founded(t)
			all := []*Space{a}
			for i := range 3 {
				all = append(all, joined(t, a, fmt.Sprint("guest", i), credential.Editor))
			}
			for _, s := range all {
				t.Cleanup(func() { s.Close() })
			}
			if err := a.SetRole(t.Context(), all[1].device.Identity(), credential.Admin); err != nil {
				t.Fatal(err)
			}
			everybody(t, all...)
			for step := range 60 {
				s := all[rnd.IntN(len(all))]
				switch rnd.IntN(8) {
				case 0, 1:
					_, _ = s.Create(Root, fmt.Sprintf("%d.txt", rnd.IntN(20)), New{Content: BytesContent(fmt.Appendf(nil, "line %d\n", step))})
				case 2, 3, 4:
					if list, err := s.List(Root); err == nil && len(list) > 0 {
						info := list[rnd.IntN(len(list))]
						if text, err := s.text(textKey(info.ID, s.keyOf(info.ID))); err == nil {
							_, _ = s.Save(info.ID, nil, BytesContent(fmt.Appendf(text, "line %d\n", step)), s.now())
						}
					}
				case 5:
					if list, err := s.List(Root); err == nil && len(list) > 3 {
						_ = s.Remove(list[rnd.IntN(len(list))].ID)
					}
				case 6: // an admin changes somebody's role, by what it has heard
					who := all[1+rnd.IntN(3)].device
					roles := []credential.Role{credential.Reader, credential.Editor, credential.None, credential.Editor}
					by := all[rnd.IntN(2)]
					role := roles[rnd.IntN(len(roles))]
					if role == credential.Editor && by.members.Role(who.Identity()) < role {
						_, _ = by.Admit(who.Chain(), role)
					} else if who != by.device && role < credential.Editor {
						_ = by.SetRole(t.Context(), who.Identity(), role)
					}
				case 7:
					settle(t, s)
					give2(t, all[rnd.IntN(len(all))], s)
				}
			}
			for _, s := range all[1:] { // everybody may write again
				settle(t, s)
			}
			everybody(t, all...)
			for _, s := range all[1:] {
				if a.members.Role(s.device.Identity()) < credential.Editor {
					if _, err := a.Admit(s.device.Chain(), credential.Editor); err != nil {
						t.Fatal(err)
					}
				}
			}
			everybody(t, all...)
			everybody(t, all...)
			same(t, all...)
			for _, s := range all {
				before := s.tree.Dump()
				if err := s.Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.tree.Dump() != before {
					t.Error("the log says something else than what is shown")
				}
			}
		})
	}
}

// keyOf is the version that a file's text comes from.
func (s *Space) keyOf(id NodeID) tree.Version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, _ := s.tree.Get(id)
	return e.Key
}

// Members equivocate at random, and everybody goes on all the same.
func TestManyForks(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 6))
			a, b, c := team(t)
			all := []*Space{a, b, c}
			r := rogueMember(t, a, credential.Editor)
			everybody(t, all...)
			branches := []feed.Entry{{}}
			had := []bool{false}
			for step := range 30 {
				i := rnd.IntN(len(branches))
				r.head, r.had = branches[i], had[i]
				raw := r.entry(file(100+step, fmt.Sprint("rogue ", step)))
				branches, had = append(branches, r.head), append(had, true)
				to := all[rnd.IntN(3)]
				e, err := feed.Decode(raw)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = to.acceptOne(&e)
				create(t, to, fmt.Sprint("honest ", step), "x")
				settle(t, to)
				if rnd.IntN(4) == 0 {
					give2(t, all[rnd.IntN(3)], to)
				}
			}
			for range 4 {
				everybody(t, all...)
				parted(t, all...)
			}
			everybody(t, all...)
			same(t, all...)
			for _, s := range all {
				names := listing(t, s, Root)
				for step := range 30 {
					if want := fmt.Sprint("honest ", step); !strings.Contains(names+" ", want+" ") {
						t.Errorf("%s is lost: %s", want, names)
					}
				}
			}
		})
	}
}
