package space

import (
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// people is who acts for whom, by the chains of the first seen credentials,
// whether they still do or not.
type people struct {
	seen int
	of   map[identity.PublicKey]identity.ID
}

// identityOf returns for whom a device acts or has acted. The caller holds write.
func (s *Space) identityOf(device identity.PublicKey) (who identity.ID, ok bool) {
	p := &s.people
	if p.of == nil {
		p.of = make(map[identity.PublicKey]identity.ID)
	}
	fresh := s.members.Since(p.seen)
	p.seen += len(fresh)
	for _, c := range fresh {
		if c.Newer {
			continue
		}
		p.of[c.Device] = c.Identity
		chain := c.Ext
		switch c.Kind {
		case credential.Genesis, credential.Import:
		case credential.Redeem:
			body, err := credential.DecodeRedeem(c.Ext)
			if err != nil {
				continue
			}
			chain = body.Chain
		case credential.DeviceCut:
			body, err := credential.DecodeCut(c.Ext)
			if err != nil {
				continue
			}
			chain = body.Chain
		default:
			continue
		}
		halo, err := identity.ReadHalo(chain)
		if err != nil {
			continue
		}
		for _, d := range halo.Devices() {
			p.of[d.Key] = halo.Identity()
		}
		for _, key := range halo.Revoked() {
			p.of[key] = halo.Identity()
		}
	}
	who, ok = p.of[device]
	return who, ok
}

// Farewell reports whether a device was a member's and is none any more: it is
// told so, and nothing else. The credentials are those by which that ended, with
// their past.
func (s *Space) Farewell(device identity.PublicKey) (creds [][]byte, barred bool) {
	if s.Member(device) {
		return nil, false
	}
	s.write.Lock()
	defer s.write.Unlock()
	who, known := s.identityOf(device)
	if !known {
		return nil, false
	}
	ops := s.members.Ops()
	need := make(map[identity.ID]bool)
	for i := len(ops) - 1; i >= 0; i-- { // what is built on comes before
		c := &ops[i]
		ends := c.Kind == credential.SetRole && c.Subject == who && c.Role == credential.None ||
			c.Kind == credential.DeviceCut && c.Identity == who
		if ends && !c.Newer {
			need[c.ID] = true
		}
		if need[c.ID] {
			for _, d := range c.Deps {
				need[d] = true
			}
		}
	}
	if len(need) == 0 {
		return nil, false // not ended: never begun, as far as is known here
	}
	for i := range ops {
		if need[ops[i].ID] {
			creds = append(creds, ops[i].Raw)
		}
	}
	return creds, true
}
