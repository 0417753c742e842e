package membership

import (
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Stands reports whether an entry counts for its own sake, given everything
// that is known now: its author might write at auth even in the light of what
// came to be known later, and no lowering of their role that the author did
// not know of cuts the feed before it. An entry that does not stand counts all
// the same if one that stands builds on it.
//
// Unlike RoleAt the answer changes as credentials arrive: whoever relies on it
// has to ask again, and be ready to withdraw an entry.
func (s *State) Stands(entry credential.Cut, auth []identity.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	feed, then := s.byID[entry.Feed], s.viewAt(auth)
	if feed == nil || feed.Kind != credential.FeedOpen || then == nil {
		return false
	}
	author, now := feed.Identity, s.now()
	if s.roleAmong(author, then.set, now) < credential.Editor {
		return false
	}
	for _, r := range s.to[author] {
		if !now.valid.has(r.index) || then.set.has(r.index) || r.Role >= credential.Editor || r.Kind != credential.SetRole {
			continue
		}
		if s.roleAmong(author, then.set.with(r.index), now) < credential.Editor && !keeps(r.Cuts, entry) {
			return false
		}
	}
	return true
}

// roleAmong is the role by the grants of a set that are in force now.
func (s *State) roleAmong(who identity.ID, set bitset, now *view) credential.Role {
	return s.roleIn(&view{set: set, valid: set.intersect(now.valid), roles: map[identity.ID]credential.Role{}}, who)
}

// keeps reports whether cuts leave an entry standing.
func keeps(cuts []credential.Cut, entry credential.Cut) bool {
	for _, c := range cuts {
		if c.Feed == entry.Feed {
			return entry.Seq < c.Seq || entry.Seq == c.Seq && entry.ID == c.ID
		}
	}
	return false
}
