package space

import (
	"github.com/echofs/echofs/identity/credential"
)

// Role returns what this device's identity may do now: nothing if the device
// itself was cut off.
func (s *Space) Role() credential.Role {
	if s.Standing() == Cut {
		return credential.None
	}
	return s.members.Role(s.device.Identity())
}

// ReadOnly reports whether this device may change nothing. It is asked for each
// file that somebody looks at, so the answer is kept: see noteAccess.
func (s *Space) ReadOnly() bool { return s.readOnly.Load() }

// A Standing says whether this device still belongs to the space.
type Standing uint8

// The standings. Who is not present keeps the space as it was, read-only.
const (
	Present  Standing = iota
	Expelled          // its identity is no member any more
	Cut               // its identity is, but the device was revoked
)

// String says it to a person.
func (s Standing) String() string {
	switch s {
	case Expelled:
		return "you are not a member any more: the space stays here as it was, read-only"
	case Cut:
		return "this device was revoked: the space stays here as it was, read-only"
	}
	return "present"
}

// Standing returns whether this device still belongs to the space.
func (s *Space) Standing() Standing {
	if s.members.Role(s.device.Identity()) == credential.None {
		return Expelled
	}
	if _, live := s.members.Device(s.device.Key()); !live {
		return Cut
	}
	return Present
}

// noteAccess is called whenever credentials have come. It tells subscribers when
// this device may write and could not, or the other way round.
func (s *Space) noteAccess() {
	if now := s.Role() < credential.Editor; s.readOnly.Swap(now) != now {
		s.log.Info("what this device may do in a space has changed", "space", s.name, "read-only", now, "role", s.Role())
		s.events.tell(Event{Op: Access, Remote: true})
	}
}
