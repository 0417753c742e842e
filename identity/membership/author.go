package membership

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Found makes the GENESIS of a new space with d's identity as its founder. The
// caller adds it to a State, as it does with everything the methods below make.
func Found(d *identity.Device, now time.Time) (credential.Signed, error) {
	return credential.Make(d, credential.Op{
		Kind: credential.Genesis, Ext: d.Chain(), Time: now.UnixMilli(), Nonce: nonce(),
	})
}

// OpenFeed makes the credential that opens a feed of d; the feed has its ID.
func (s *State) OpenFeed(d *identity.Device, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.FeedOpen, credential.Reader, now, "opening a feed", nil)
}

// Admit makes the credentials, in the order to add them, that prove the devices
// of chain to the space and give its identity a role. There are none if it has
// that role, or a higher one, already.
func (s *State) Admit(d *identity.Device, chain []byte, role credential.Role, now time.Time) ([]credential.Signed, error) {
	const doing = "admitting to the space"
	s.mu.Lock()
	defer s.mu.Unlock()
	guest, err := s.book.open(chain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	who := guest.Identity()
	if !s.isMember(who) && s.countMembers() >= MaxMembers {
		return nil, fmt.Errorf("%s: it has %d members, which is the most", doing, MaxMembers)
	}
	if s.role(d.Identity()) < credential.Admin {
		return nil, fmt.Errorf("%s: %w", doing, ErrNotAllowed)
	}
	made, err := s.importing(d, guest, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if s.role(who) >= role {
		return made, nil
	}
	op, err := s.draft(d, credential.SetRole, credential.Admin, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	op.Subject, op.Role = who, role
	if len(made) > 0 {
		op.Deps = []identity.ID{made[0].ID} // which has the heads in its past
	}
	grant, err := credential.Make(d, op)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return append(made, grant), nil
}

// SetRole makes the credential that gives an identity another role, or None.
// The cuts are the last entries of its feeds that d has, if the role is lowered
// below editor. Members may lower their own role, or end it, whatever it is; but
// the only admin does not leave others without one, which nobody could undo.
func (s *State) SetRole(d *identity.Device, who identity.ID, role credential.Role, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	const doing = "changing a role"
	s.mu.Lock()
	defer s.mu.Unlock()
	least, own := credential.Admin, who == d.Identity()
	if own {
		if has := s.role(who); has <= role {
			return credential.Signed{}, fmt.Errorf("%s: you are %v: %w", doing, has, ErrNotAllowed)
		}
		if s.onlyAdmin(who) && s.countMembers() > 1 {
			return credential.Signed{}, fmt.Errorf("%s: %w", doing, ErrLastAdmin)
		}
		least = role + 1
	}
	op, err := s.draft(d, credential.SetRole, least, now)
	if err != nil {
		return credential.Signed{}, fmt.Errorf("%s: %w", doing, err)
	}
	op.Subject, op.Role = who, role
	if role < credential.Editor {
		op.Cuts = s.theirs(who, cuts)
	}
	if own {
		return credential.Make(d, op)
	}
	for _, g := range s.to[who] {
		if role < credential.Admin && s.gives(g, s.now().set, s.now()) == credential.Admin &&
			s.byID[op.Proof].lineage.compare(g.lineage) >= 0 {
			return credential.Signed{}, fmt.Errorf("%s: %w", doing, ErrSenior)
		}
	}
	return credential.Make(d, op)
}

// onlyAdmin reports whether who is an admin and nobody else is.
func (s *State) onlyAdmin(who identity.ID) bool {
	if s.role(who) < credential.Admin {
		return false
	}
	return !slices.ContainsFunc(s.present(), func(m identity.ID) bool {
		return m != who && s.role(m) == credential.Admin
	})
}

// theirs returns the cuts of feeds of an identity, the longest if they are more
// than fit: somebody with too many feeds can be removed all the same.
func (s *State) theirs(who identity.ID, cuts []credential.Cut) []credential.Cut {
	cuts = slices.DeleteFunc(slices.Clone(cuts), func(c credential.Cut) bool {
		f := s.byID[c.Feed]
		return f == nil || f.Kind != credential.FeedOpen || f.Identity != who || c.Seq == 0
	})
	if len(cuts) > credential.MaxCuts {
		slices.SortFunc(cuts, func(a, b credential.Cut) int {
			return cmp.Or(cmp.Compare(b.Seq, a.Seq), a.Feed.Compare(b.Feed))
		})
		cuts = cuts[:credential.MaxCuts]
	}
	return cuts
}

// Import makes what proves the devices of a chain to the space; nothing if they
// are. It is the chain of a member or, for an admin, of anybody. A new device
// proves itself.
func (s *State) Import(d *identity.Device, chain []byte, now time.Time) ([]credential.Signed, error) {
	const doing = "proving devices to the space"
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.book.open(chain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if !s.isMember(c.Identity()) && s.role(d.Identity()) < credential.Admin {
		return nil, fmt.Errorf("%s: %w", doing, ErrNotAllowed)
	}
	made, err := s.importing(d, c, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return made, nil
}

// importing makes the IMPORT of a chain, if it says anything new.
func (s *State) importing(d *identity.Device, c *chain, now time.Time) ([]credential.Signed, error) {
	if len(s.nodes) > 0 && s.imported(c, s.now().set) {
		return nil, nil
	}
	least := credential.Reader
	if !s.isMember(c.Identity()) {
		least = credential.Admin // not under an older grant, of when the author was none
	}
	op, err := s.draftOf(d, credential.Import, least, now, c.Identity() == d.Identity() && c.Live(d.Key()))
	if err != nil {
		return nil, err
	}
	op.Ext = c.Chain()
	imp, err := credential.Make(d, op)
	return []credential.Signed{imp}, err
}

// CutDevice makes the DEVICE_CUT of a device of d's own identity; chain has its
// revocation. The cuts are the last entries that d has of all feeds of its
// identity.
func (s *State) CutDevice(d *identity.Device, device identity.PublicKey, chain []byte, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.DeviceCut, credential.Reader, now, "cutting a device", func(op *credential.Op) error {
		c, err := s.book.open(chain)
		if err != nil {
			return err
		}
		if _, known := c.Known(device); c.Identity() != d.Identity() || !known || c.Live(device) || !c.Live(d.Key()) {
			return fmt.Errorf("its identity has not revoked it: %w", ErrNotAllowed)
		}
		for _, cut := range s.theirs(d.Identity(), cuts) {
			if !c.Live(s.byID[cut.Feed].Device) {
				op.Cuts = append(op.Cuts, cut)
			}
		}
		op.Ext, err = credential.CutBody{Device: device, Chain: chain}.Encode()
		return err
	})
}

// Exclude makes the EXCLUDE of entries. It is without effect on those of an admin
// who is not junior.
func (s *State) Exclude(d *identity.Device, entries []credential.Cut, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.Exclude, credential.Admin, now, "excluding entries", func(op *credential.Op) error {
		x := &node{Signed: credential.Signed{Op: *op}, under: s.byID[op.Proof]}
		x.Identity = d.Identity()
		for _, c := range entries {
			if f := s.byID[c.Feed]; f == nil || f.Kind != credential.FeedOpen {
				return fmt.Errorf("there is no feed %s: %w", c.Feed.Short(), ErrNotAllowed)
			}
			if !s.mayExclude(x, c.Feed, s.now()) {
				return ErrSenior
			}
		}
		op.Cuts = entries
		return nil
	})
}

// SetProfile makes the PROFILE_SET of d's identity.
func (s *State) SetProfile(d *identity.Device, profile credential.ProfileBody, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.ProfileSet, credential.Reader, now, "setting the profile", func(op *credential.Op) (err error) {
		op.Ext, err = profile.Encode()
		return err
	})
}

// SetMeta makes the META of d's identity.
func (s *State) SetMeta(d *identity.Device, ext []byte, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.Meta, credential.Reader, now, "keeping something in the space", func(op *credential.Op) error {
		op.Ext = ext
		return nil
	})
}

// NewEpoch makes the KEY_EPOCHs, in the order to add them, that give a key to the
// recipients of boxes. More of them for a key that there is give it to more.
func (s *State) NewEpoch(d *identity.Device, keyID [8]byte, prev []byte, boxes []credential.SealedKey, now time.Time) ([]credential.Signed, error) {
	const doing = "changing the key of the space"
	s.mu.Lock()
	defer s.mu.Unlock()
	op, err := s.draft(d, credential.KeyEpoch, credential.Admin, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	parts := max(1, (len(boxes)+credential.MaxBoxes-1)/credential.MaxBoxes)
	var made []credential.Signed
	for part := range parts {
		body := credential.EpochBody{KeyID: keyID, Part: uint32(part), Parts: uint32(parts)}
		if part == 0 {
			body.Prev = prev
		}
		body.Sealed = boxes[part*credential.MaxBoxes : min((part+1)*credential.MaxBoxes, len(boxes))]
		if op.Ext, err = body.Encode(); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		op.Nonce = nonce()
		c, err := credential.Make(d, op)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		made = append(made, c)
		op.Deps = []identity.ID{c.ID}
	}
	return made, nil
}

// make makes one credential of d; fill, if any, completes it under the lock.
func (s *State) make(d *identity.Device, kind credential.Kind, least credential.Role, now time.Time, doing string, fill func(*credential.Op) error) (credential.Signed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op, err := s.draft(d, kind, least, now)
	if err == nil && fill != nil {
		err = fill(&op)
	}
	if err != nil {
		return credential.Signed{}, fmt.Errorf("%s: %w", doing, err)
	}
	c, err := credential.Make(d, op)
	if err != nil {
		return credential.Signed{}, fmt.Errorf("%s: %w", doing, err)
	}
	return c, nil
}

// draft starts a credential of d under the most senior grant that gives its
// identity at least a role.
func (s *State) draft(d *identity.Device, kind credential.Kind, least credential.Role, now time.Time) (credential.Op, error) {
	return s.draftOf(d, kind, least, now, false)
}

// draftOf is draft; a device that is proven by what is made need not be before.
func (s *State) draftOf(d *identity.Device, kind credential.Kind, least credential.Role, now time.Time, proven bool) (credential.Op, error) {
	who := d.Identity()
	if len(s.nodes) == 0 || s.role(who) < least || s.now().isCut(d.Key(), who) || !proven && !s.proven(d.Key(), who, s.now().set) {
		return credential.Op{}, ErrNotAllowed
	}
	var under *node
	for _, g := range s.to[who] {
		if s.gives(g, s.now().set, s.now()) >= max(least, credential.Reader) &&
			(under == nil || g.lineage.compare(under.lineage) < 0) {
			under = g
		}
	}
	if under == nil {
		return credential.Op{}, ErrNotAllowed
	}
	return credential.Op{
		Space: s.space, Kind: kind, Deps: s.deps(under), Proof: under.ID, Time: now.UnixMilli(), Nonce: nonce(),
	}, nil
}

// deps returns the heads, or as many as a credential may name: first one that
// has what it is made under in its past, then those that have most of what
// decides.
func (s *State) deps(under *node) []identity.ID {
	if len(s.heads) <= credential.MaxDeps {
		return sortedIDs(s.heads)
	}
	first := slices.IndexFunc(s.heads, func(h *node) bool { return h == under || h.past.has(under.index) })
	some := []*node{s.heads[first]}
	for _, h := range slices.Concat(s.cover(), s.heads) {
		if !slices.Contains(some, h) && len(some) < credential.MaxDeps {
			some = append(some, h)
		}
	}
	return sortedIDs(maximal(some))
}

func (s *State) countMembers() int { return len(s.present()) }

func nonce() (n [16]byte) {
	rand.Read(n[:]) // never fails; see crypto/rand
	return n
}
