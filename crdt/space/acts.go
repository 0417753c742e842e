package space

import (
	"context"
	"errors"
	"time"

	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

var (
	// ErrNotAllowed reports an act that takes a higher role, or another device.
	ErrNotAllowed = membership.ErrNotAllowed
	errUnbuilt    = errors.New("this release cannot do that yet")
)

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
	s.noteAccess()
	s.notify.fire()
	return nil
}

// cutsOf returns the last entry that this device has of each feed of an
// identity, or of one of its devices if device is not zero. The caller holds
// write.
func (s *Space) cutsOf(who identity.ID, device identity.PublicKey) []credential.Cut {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var cuts []credential.Cut
	for f, head := range s.heads {
		owner, ok := s.members.Feed(f)
		if !ok || owner.Identity != who || device != (identity.PublicKey{}) && owner.Device != device {
			continue
		}
		cuts = append(cuts, credential.Cut{Feed: f, Seq: head.Seq, ID: head.ID})
	}
	return cuts
}

// SetRole gives a member another role; credential.None removes them. What they
// wrote until now, as far as it is here, stays.
func (s *Space) SetRole(ctx context.Context, who identity.ID, role credential.Role) error {
	return s.act(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		c, err := m.SetRole(s.device, who, role, s.cutsOf(who, identity.PublicKey{}), now)
		return []credential.Signed{c}, err
	})
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
func (s *Space) OpenInvite(role credential.Role, uses uint32, expires time.Time, pub [32]byte, label string) (identity.ID, error) {
	return identity.ID{}, errUnbuilt
}

// CloseInvite withdraws an invitation.
func (s *Space) CloseInvite(id identity.ID) error { return errUnbuilt }

// RedeemInvite admits the identity of chain by an invitation: sig is by its key,
// as credential.RedeemBody says. Any member's device may do it. Who has used
// the same invitation before gets the same again.
func (s *Space) RedeemInvite(invite identity.ID, chain, sig []byte) (Admission, error) {
	return Admission{}, errUnbuilt
}

// ImportChain proves the devices of a chain to the space, those of this
// device's own identity or, for an admin, of anybody's.
func (s *Space) ImportChain(chain []byte) error { return errUnbuilt }

// CutDevice ends what a lost device of this identity may do; chain has its
// revocation.
func (s *Space) CutDevice(device identity.PublicKey, chain []byte) error { return errUnbuilt }

// Exclude takes entries, and all that builds on them, out of the space.
func (s *Space) Exclude(entries []credential.Cut) error { return errUnbuilt }

// SetProfile says what this device's identity is called here; picture may be nil.
func (s *Space) SetProfile(name string, picture []byte) error { return errUnbuilt }

// SetMeta publishes something that only this identity needs, such as its
// recovery box.
func (s *Space) SetMeta(ext []byte) error { return errUnbuilt }

// Rotate gives the space another key, which all present members get.
func (s *Space) Rotate(ctx context.Context) error { return errUnbuilt }

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
