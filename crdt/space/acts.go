package space

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// ErrNotAllowed reports an act that takes a higher role, or another device.
var ErrNotAllowed = membership.ErrNotAllowed

// act has fn make credentials of this device and makes them count: they are
// stored before they are believed, and peers are told.
func (s *Space) act(fn func(m *membership.State, now time.Time) ([]credential.Signed, error)) error {
	return s.actWith(fn, nil)
}

// actWith is act; also, if not nil, is done in the transaction that stores them.
func (s *Space) actWith(fn func(m *membership.State, now time.Time) ([]credential.Signed, error), also func(*store.Tx) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.actLocked(fn, also)
}

// actLocked is actWith for who holds write.
func (s *Space) actLocked(fn func(m *membership.State, now time.Time) ([]credential.Signed, error), also func(*store.Tx) error) error {
	made, err := fn(s.members, s.now())
	if err != nil {
		return err
	}
	if len(made) == 0 && also == nil {
		return nil
	}
	err = s.db.Update(func(tx *store.Tx) error {
		for _, c := range made {
			if err := tx.PutCredential(c.ID, c.Raw); err != nil {
				return err
			}
		}
		if also != nil {
			return also(tx)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range made {
		if _, err := s.members.Add(c); err != nil {
			return err
		}
	}
	err = s.credentialsCame(made)
	s.poke()
	s.notify.fire()
	return err
}

// cutsOf returns the last entry that this device has of each feed of an
// identity.
func (s *Space) cutsOf(who identity.ID) []credential.Cut {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var cuts []credential.Cut
	for f, head := range s.heads {
		if owner, ok := s.members.Feed(f); ok && owner.Identity == who {
			cuts = append(cuts, credential.Cut{Feed: f, Seq: head.Seq, ID: head.ID})
		}
	}
	slices.SortFunc(cuts, func(a, b credential.Cut) int { return a.Feed.Compare(b.Feed) })
	return cuts[:min(len(cuts), credential.MaxCuts)]
}

// SetRole gives a member another role; credential.None removes them. What they
// wrote until now, as far as it is here, stays.
func (s *Space) SetRole(ctx context.Context, who identity.ID, role credential.Role) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.SetRole(s.device, who, role, s.cutsOf(who), now)
	}))
}

// Leave ends the membership of this device's identity.
func (s *Space) Leave(ctx context.Context) error {
	return s.SetRole(ctx, s.device.Identity(), credential.None)
}

// Admit makes the identity of chain a member, by this device, and returns what
// it needs to join. It never lowers a role.
func (s *Space) Admit(chain []byte, role credential.Role) (Admission, error) {
	err := s.act(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		return m.Admit(s.device, chain, role, now)
	})
	if err != nil {
		return Admission{}, err
	}
	return s.admission(), nil
}

// admission is what a new member gets.
func (s *Space) admission() Admission {
	ring := s.Keyring()
	return Admission{Credentials: s.Credentials(), Key: ring.First(), Keys: ring.Keys(), Name: s.name}
}

// OpenInvite publishes that whoever has the private key of pub may be admitted
// with a role, uses times, by any member. The ID names the invitation.
func (s *Space) OpenInvite(role credential.Role, uses uint32, expires time.Time, pub [32]byte, label string) (id identity.ID, err error) {
	err = s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		c, err := m.Invite(s.device, role, uses, expires, pub, label, now)
		id = c.ID
		return c, err
	}))
	return id, err
}

// CloseInvite withdraws an invitation.
func (s *Space) CloseInvite(id identity.ID) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.RevokeInvite(s.device, id, now)
	}))
}

// OpenInvites returns the invitations that were published, oldest first.
func (s *Space) OpenInvites() []membership.Invitation { return s.members.Invitations() }

// RedeemInvite admits the identity of chain by an invitation: sig is by its key,
// of credential.RedeemMessage. Any member's device may do it. Who has used the
// same invitation before gets the same again.
func (s *Space) RedeemInvite(invite identity.ID, chain, sig []byte) (Admission, error) {
	err := s.act(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		return m.Redeem(s.device, invite, chain, sig, now)
	})
	if err != nil {
		return Admission{}, err
	}
	return s.admission(), nil
}

// ImportChain proves the devices of a chain to the space, those of this
// device's own identity or, for an admin, of anybody's.
func (s *Space) ImportChain(chain []byte) error {
	return s.act(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		return m.Import(s.device, chain, now)
	})
}

// CutDevice ends what a lost device of this identity may do; chain has its
// revocation. What it wrote until now, as far as it is here, stays.
func (s *Space) CutDevice(device identity.PublicKey, chain []byte) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.CutDevice(s.device, device, chain, s.cutsOf(s.device.Identity()), now)
	}))
}

// Exclude takes entries, and all that builds on them, out of the space.
func (s *Space) Exclude(entries []credential.Cut) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.Exclude(s.device, entries, now)
	}))
}

// SetProfile says what this device's identity is called here; picture may be nil.
func (s *Space) SetProfile(name string, picture []byte) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.SetProfile(s.device, credential.ProfileBody{Name: name, Picture: picture}, now)
	}))
}

// SetMeta publishes something that only this identity needs, such as its
// recovery box.
func (s *Space) SetMeta(ext []byte) error {
	return s.act(one(func(m *membership.State, now time.Time) (credential.Signed, error) {
		return m.SetMeta(s.device, ext, now)
	}))
}

// Meta returns what an identity published with SetMeta.
func (s *Space) Meta(who identity.ID) []byte { return s.members.Meta(who) }

// MetaBy returns the device that keeps Meta; zero if nothing is kept.
func (s *Space) MetaBy(who identity.ID) identity.PublicKey { return s.members.MetaBy(who) }

// one is an act of one credential.
func one(fn func(m *membership.State, now time.Time) (credential.Signed, error)) func(*membership.State, time.Time) ([]credential.Signed, error) {
	return func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		c, err := fn(m, now)
		if err != nil {
			return nil, err
		}
		return []credential.Signed{c}, nil
	}
}

// metaLocal is the prefix of values that other packages keep with a space.
const metaLocal = "local/"

// Local returns a value that PutLocal kept on this device; nil if none.
func (s *Space) Local(name string) (value []byte, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		v, err := tx.Meta(metaLocal + name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		value = append([]byte{}, v...)
		return err
	})
	return value, err
}

// PutLocal keeps a value with the space on this device only, durably when it
// returns.
func (s *Space) PutLocal(name string, value []byte) error {
	return s.db.Update(func(tx *store.Tx) error { return tx.PutMeta(metaLocal+name, value) })
}
