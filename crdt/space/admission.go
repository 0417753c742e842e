package space

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
)

var (
	// ErrNoInvitation reports a secret that this device did not hand out.
	ErrNoInvitation = errors.New("this invitation is not known here: ask for a new one")
	// ErrUsed reports an invitation that another identity has used.
	ErrUsed = errors.New("the invitation has been used: ask for a new one")
	// ErrNotAdmin reports an act that takes an admin.
	ErrNotAdmin = errors.New("only an admin of the space can invite")
)

// invite is Invite as it is stored.
type invite struct {
	Secret  [32]byte        `cbor:"1,keyasint"`
	Role    credential.Role `cbor:"2,keyasint"`
	Expires int64           `cbor:"3,keyasint"` // seconds
	Used    identity.ID     `cbor:"4,keyasint"`
}

const maxInvites = 1000

func (s *Space) secretHash(secret [32]byte) [32]byte {
	return invitation.Invitation{Space: s.id, Secret: secret}.SecretHash()
}

func (s *Space) public(i invite) Invite {
	return Invite{i.Secret, s.secretHash(i.Secret), i.Role, time.Unix(i.Expires, 0).UTC(), i.Used}
}

func loadInvites(tx *store.Tx) ([]invite, error) {
	data, err := tx.Meta(metaInvites)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []invite
	if err := codec.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%w: invitations: %w", store.ErrDamaged, err)
	}
	return list, nil
}

func saveInvites(tx *store.Tx, list []invite) error {
	data, err := codec.Marshal(list)
	if err != nil {
		return err
	}
	return tx.PutMeta(metaInvites, data)
}

// Invite makes an invitation and keeps it, so that Redeem honours it.
func (s *Space) Invite(role credential.Role, ttl time.Duration) (Invite, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return Invite{}, ErrClosed
	}
	if s.Role() < credential.Admin {
		return Invite{}, ErrNotAdmin
	}
	now := s.now()
	i := invite{Role: role, Expires: now.Add(ttl).Unix()}
	rand.Read(i.Secret[:])
	err := s.db.Update(func(tx *store.Tx) error {
		list, err := loadInvites(tx)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(o invite) bool { return o.Expires < now.Add(-24*time.Hour).Unix() })
		if len(list) >= maxInvites {
			return fmt.Errorf("%d invitations are open: wait until some expire", len(list))
		}
		return saveInvites(tx, append(list, i))
	})
	if err != nil {
		return Invite{}, err
	}
	s.notify.fire()
	return s.public(i), nil
}

// Invitations returns the invitations of this device that have not expired.
func (s *Space) Invitations() []Invite {
	var out []Invite
	err := s.db.View(func(tx *store.Tx) error {
		list, err := loadInvites(tx)
		for _, i := range list {
			if s.now().Unix() <= i.Expires {
				out = append(out, s.public(i))
			}
		}
		return err
	})
	if err != nil {
		s.log.Error("invitations cannot be read", "space", s.name, "err", err)
	}
	return out
}

// Redeem admits the identity of chain, once for each invitation and durably.
// The same identity may ask again, and is given the same.
func (s *Space) Redeem(secretHash [32]byte, chain []byte, now time.Time) (Admission, error) {
	guest, err := identity.ReadHalo(chain)
	if err != nil {
		return Admission{}, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return Admission{}, ErrClosed
	}
	var made []credential.Signed
	err = s.db.Update(func(tx *store.Tx) error {
		list, err := loadInvites(tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(i invite) bool { return s.secretHash(i.Secret) == secretHash })
		switch {
		case at < 0:
			return ErrNoInvitation
		case list[at].Used == guest.Identity():
			return nil
		case !list[at].Used.IsZero():
			return ErrUsed
		case now.Unix() > list[at].Expires:
			return invitation.ErrExpired
		}
		if s.Role() < credential.Admin {
			return ErrNotAdmin
		}
		list[at].Used = guest.Identity()
		if s.members.Role(guest.Identity()) < list[at].Role { // never lowered by joining again
			if made, err = s.members.Admit(s.device, chain, list[at].Role, now); err != nil {
				return err
			}
		}
		for _, c := range made {
			if err := tx.PutCredential(c.ID, c.Raw); err != nil {
				return err
			}
		}
		return saveInvites(tx, list)
	})
	if err != nil {
		return Admission{}, err
	}
	for _, c := range made {
		if _, err := s.members.Add(c); err != nil {
			return Admission{}, err
		}
	}
	if len(made) > 0 {
		s.notify.fire()
	}
	return s.admission(), nil
}
