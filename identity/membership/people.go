package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Device returns the profile of a device that may act for a present member: one
// that is proven, not revoked as far as is known, and not cut.
func (s *State) Device(key identity.PublicKey) (identity.Profile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best identity.Profile
	for _, p := range s.proofs[key] {
		if s.acts(key, p.who) && s.isMember(p.who) && (best.Identity.IsZero() || p.who.Compare(best.Identity) < 0) {
			info, _ := s.chains[p.who].Known(key)
			best = identity.Profile{Identity: p.who, Device: key, Name: s.name(p.who), DeviceName: info.Name}
		}
	}
	return best, !best.Identity.IsZero()
}

// acts reports whether a proven device may act for who, whatever who's role.
func (s *State) acts(key identity.PublicKey, who identity.ID) bool {
	return s.chains[who].Live(key) && !s.now().isCut(key, who)
}

// Profile returns the profile of an identity that is or was a member.
func (s *State) Profile(who identity.ID) (identity.Profile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chains[who] == nil {
		return identity.Profile{}, false
	}
	return s.profile(who), true
}

// profile describes an identity that has a chain here. Its device is the first
// that may act or, if none may, the first.
func (s *State) profile(who identity.ID) identity.Profile {
	p := identity.Profile{Identity: who, Name: s.name(who)}
	infos := s.infos(who)
	switch {
	case len(infos) > 0:
		p.Device, p.DeviceName = infos[0].Key, infos[0].Name
	case len(s.devices[who]) > 0:
		info, _ := s.chains[who].Known(s.devices[who][0])
		p.Device, p.DeviceName = info.Key, info.Name
	}
	return p
}

// infos returns the devices that may act for who, in the order in which who added
// them.
func (s *State) infos(who identity.ID) []identity.DeviceInfo {
	if s.chains[who] == nil {
		return nil
	}
	return slices.DeleteFunc(s.chains[who].Devices(), func(d identity.DeviceInfo) bool {
		return !slices.Contains(s.devices[who], d.Key) || s.now().isCut(d.Key, who)
	})
}

// name is what an identity calls itself here.
func (s *State) name(who identity.ID) string {
	if p := s.said(who, credential.ProfileSet); p != nil {
		if body, err := credential.DecodeProfile(p.Ext); err == nil && body.Name != "" {
			return body.Name
		}
	}
	return s.chains[who].Name()
}

// said returns what an identity says about itself: the newest, by (depth, ID), of
// a kind that is in force; nil if nothing.
func (s *State) said(who identity.ID, kind credential.Kind) *node {
	var best *node
	for _, n := range s.about[who] {
		if n.Kind == kind && s.now().valid.has(n.index) && (best == nil || compareAge(n, best) > 0) {
			best = n
		}
	}
	return best
}

// Meta returns what an identity keeps in the space; nil if nothing.
func (s *State) Meta(who identity.ID) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.said(who, credential.Meta); n != nil {
		return n.Ext
	}
	return nil
}

// MetaBy returns the device that keeps Meta; zero if nothing is kept.
func (s *State) MetaBy(who identity.ID) identity.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.said(who, credential.Meta); n != nil {
		return n.Device
	}
	return identity.PublicKey{}
}

// Members returns the present members, founder first, then by identity.
func (s *State) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	var members []Member
	for who := range s.to {
		role := s.role(who)
		if role == credential.None {
			continue
		}
		m := Member{Role: role}
		if s.chains[who] != nil {
			m.Profile, m.Infos = s.profile(who), s.infos(who)
		}
		m.Identity = who // a member whose devices are not proven has no profile yet
		for _, d := range m.Infos {
			m.Devices = append(m.Devices, d.Key)
		}
		if p := s.said(who, credential.ProfileSet); p != nil {
			if body, err := credential.DecodeProfile(p.Ext); err == nil {
				m.Picture = body.Picture
			}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b Member) int {
		if a.Identity != b.Identity {
			switch s.nodes[0].Identity {
			case a.Identity:
				return -1
			case b.Identity:
				return 1
			}
		}
		return a.Identity.Compare(b.Identity)
	})
	return members
}

// SealTo returns whom a new key of the space is sealed to: each device that may
// act for a present member and, without a Key, each present member's recovery
// key. See credential.SealTo.
func (s *State) SealTo() []identity.DeviceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []identity.DeviceInfo
	for _, who := range s.present() {
		list = append(list, s.infos(who)...)
		if s.chains[who] == nil {
			continue
		}
		if _, seal, ok := s.chains[who].Recovery(); ok {
			list = append(list, identity.DeviceInfo{Seal: seal, Name: "recovery words"})
		}
	}
	return list
}

// present returns the members, sorted.
func (s *State) present() []identity.ID {
	var list []identity.ID
	for who := range s.to {
		if s.isMember(who) {
			list = append(list, who)
		}
	}
	slices.SortFunc(list, identity.ID.Compare)
	return list
}

func (s *State) isMember(who identity.ID) bool { return s.role(who) > credential.None }
