package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
)

// Halo returns an identity as far as the space knows it: all chains that prove
// its devices here, together. It is zero if there are none.
func (s *State) Halo(who identity.ID) identity.Halo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chains[who] == nil {
		return identity.Halo{}
	}
	return s.chains[who].Halo
}

// Uncut returns the devices that acted for an identity here, that h says are
// revoked, and that no DEVICE_CUT of the identity names.
func (s *State) Uncut(h identity.Halo) (list []identity.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := h.Identity()
	for _, key := range s.devices[who] {
		_, known := h.Known(key)
		cut := slices.ContainsFunc(s.cuts, func(n *node) bool { return n.Identity == who && n.ends == key })
		if known && !h.Live(key) && !cut {
			list = append(list, key)
		}
	}
	return list
}
