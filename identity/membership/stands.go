package membership

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// MayWrite reports why an entry of a feed whose author knew auth can never
// count: by auth and its past, its author was not editor or its device was cut.
// The answer stays the same for ever. Feed and auth must be known.
func (s *State) MayWrite(feed identity.ID, auth []identity.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, v := s.byID[feed], s.viewAt(auth)
	if f == nil || f.Kind != credential.FeedOpen || v == nil {
		return fmt.Errorf("its feed, or what its author knew of the members, is not known: %w", ErrInvalid)
	}
	if v.isCut(f.Device, f.Identity) {
		return fmt.Errorf("its device was cut: %w", ErrInvalid)
	}
	if role := s.roleIn(v, f.Identity); role < credential.Editor {
		return fmt.Errorf("its author was %v, not editor: %w", role, ErrInvalid)
	}
	return nil
}

// A Judge says which entries stand, by all that was known when it was made.
type Judge struct {
	s   *State
	now *view
}

// Judge returns the judge of now.
func (s *State) Judge() Judge {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) == 0 {
		return Judge{s, &view{}}
	}
	return Judge{s, s.now()}
}

// A Bound says which entries of a feed, whose author knew the same, stand.
type Bound struct {
	none bool
	cuts []credential.Cut
}

// Keeps reports whether the entry of a number stands.
func (b Bound) Keeps(seq uint64, id identity.ID) bool {
	if b.none {
		return false
	}
	for _, c := range b.cuts {
		if seq > c.Seq || seq == c.Seq && id != c.ID {
			return false
		}
	}
	return true
}

// Bound returns which entries of a feed stand whose author knew auth, given that
// they may be there at all: the author might write at auth even in the light of
// what came to be known later, and nothing that they did not know of lowers them
// or cuts their device before that entry.
func (j Judge) Bound(feed identity.ID, auth []identity.ID) Bound {
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f, then := s.byID[feed], s.viewAt(auth)
	if f == nil || f.Kind != credential.FeedOpen || then == nil || s.roleAmong(f.Identity, then.set, j.now) < credential.Editor {
		return Bound{none: true}
	}
	var b Bound
	for _, r := range s.to[f.Identity] {
		if r.Kind != credential.SetRole || r.Role >= credential.Editor || !j.now.set.has(r.index) || then.set.has(r.index) || !s.lowers(r, j.now) {
			continue
		}
		if s.roleAmong(f.Identity, then.set.with(r.index), j.now) < credential.Editor {
			b.cut(r, feed)
		}
	}
	for i := range j.now.cuts {
		if c := &j.now.cuts[i]; c.by.Identity == f.Identity && s.firstCut(c, f.Device, j.now) && !then.set.has(c.by.index) && !s.byRemoved(c.by, j.now) {
			b.cut(c.by, feed)
		}
	}
	return b
}

func (b *Bound) cut(by *node, feed identity.ID) {
	i := slices.IndexFunc(by.Cuts, func(c credential.Cut) bool { return c.Feed == feed })
	if i < 0 {
		b.none = true
		return
	}
	b.cuts = append(b.cuts, by.Cuts[i])
}

// firstCut reports whether c ends a device that none in c's past ends.
func (s *State) firstCut(c *deviceCut, device identity.PublicKey, v *view) bool {
	if !c.counts || !c.ends[device] {
		return false
	}
	for i := range v.cuts {
		e := &v.cuts[i]
		if e.counts && e.by.Identity == c.by.Identity && e.ends[device] && c.by.past.has(e.by.index) {
			return false
		}
	}
	return true
}

// byRemoved reports whether a cut is by somebody who had been removed without
// knowing: what the removal leaves standing is out of its reach.
func (s *State) byRemoved(cut *node, v *view) bool {
	for _, r := range s.to[cut.Identity] {
		if r.Kind == credential.SetRole && r.Role == credential.None && !r.isOwn() && v.valid.has(r.index) &&
			!r.past.has(cut.index) && !cut.past.has(r.index) &&
			s.roleAmong(cut.Identity, cut.past.with(r.index), v) == credential.None {
			return true
		}
	}
	return false
}

// Excluded returns the entries that EXCLUDEs in force name: entries of those whom
// the admin, as far as they knew, might lower, and their own.
func (j Judge) Excluded() map[credential.Cut]bool {
	j.s.mu.Lock()
	defer j.s.mu.Unlock()
	excluded := map[credential.Cut]bool{}
	for _, x := range j.s.excludes {
		if j.now.valid.has(x.index) {
			for _, c := range x.excludes {
				excluded[c] = true
			}
		}
	}
	return excluded
}

// mayExclude reports whether x, by somebody who sees v, excludes entries of a
// feed: not those of an admin who is not junior.
func (s *State) mayExclude(x *node, feed identity.ID, v *view) bool {
	f := s.byID[feed]
	if f == nil || f.Kind != credential.FeedOpen || !v.set.has(f.index) {
		return false
	}
	return x.Identity == f.Identity || !slices.ContainsFunc(s.to[f.Identity], func(g *node) bool {
		return s.gives(g, v.set, v) == credential.Admin && x.rank().compare(g.lineage) >= 0
	})
}

// Pins returns the entries of a feed that lowerings and cuts in force leave
// standing last: they say which branch of a fork counts, the first before the
// others.
func (j Judge) Pins(feed identity.ID) []credential.Cut {
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.byID[feed]
	if f == nil || f.Kind != credential.FeedOpen {
		return nil
	}
	var by []*node
	for _, r := range s.to[f.Identity] {
		if r.Kind == credential.SetRole && r.Role < credential.Editor && j.now.set.has(r.index) && s.lowers(r, j.now) {
			by = append(by, r)
		}
	}
	for i := range j.now.cuts {
		if c := &j.now.cuts[i]; c.by.Identity == f.Identity && c.counts && c.ends[f.Device] && !s.byRemoved(c.by, j.now) {
			by = append(by, c.by)
		}
	}
	slices.SortFunc(by, compareSettled)
	var pins []credential.Cut
	for _, n := range by {
		for _, c := range n.Cuts {
			if c.Feed == feed {
				pins = append(pins, c)
			}
		}
	}
	return pins
}

// Stands reports whether an entry stands by itself, as Judge and Bound say.
func (s *State) Stands(entry credential.Cut, auth []identity.ID) bool {
	return s.Judge().Bound(entry.Feed, auth).Keeps(entry.Seq, entry.ID)
}

// generation is Generation of a number of nodes.
type generation struct {
	of    int
	value uint64
}

// Generation changes whenever the verdict on some entry may have: a removal, a
// device cut or an exclusion came into force or fell, or a grant did. It is a
// function of the set.
func (s *State) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) == 0 || s.verdicts.of == len(s.nodes) {
		return s.verdicts.value
	}
	v, h := s.now(), sha256.New()
	for _, n := range s.settled {
		in := v.valid.has(n.index)
		switch {
		case n.isGrant() && (n.Kind != credential.SetRole || n.Role >= credential.Editor):
			if in {
				continue // what gives something changes no verdict until it falls
			}
		case n.Kind != credential.SetRole && n.Kind != credential.DeviceCut && n.Kind != credential.Exclude:
			continue
		}
		h.Write(n.ID[:])
		if in {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	for i := range v.cuts { // which devices end may change with what is proven
		for _, device := range s.devices[v.cuts[i].by.Identity] {
			if v.cuts[i].ends[device] {
				h.Write(device[:])
			}
		}
	}
	s.verdicts = generation{len(s.nodes), binary.BigEndian.Uint64(h.Sum(nil))}
	return s.verdicts.value
}
