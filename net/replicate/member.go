package replicate

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/echofs/echofs/crdt/feed"
)

// gotProof looks for a key that the peer has. With one that is not written with
// any more it has to be a member: it was away when the key changed. Somebody
// unknown has to know the key of now, as whoever was admitted lately does.
func (s *session) gotProof(in gotProof) ([]output, error) {
	knows := func(want [32]byte) bool {
		found := hmac.Equal(in.mac[:], want[:])
		for i := range in.older {
			found = hmac.Equal(in.older[i][:], want[:]) || found
		}
		return found
	}
	current := knows(s.theirs)
	s.hasKeys = make(map[[8]byte]bool)
	for _, o := range s.older {
		if knows(o.theirs) {
			s.hasKeys[o.id] = true
		}
	}
	if !current && len(s.hasKeys) == 0 {
		return nil, errStranger
	}
	if current {
		s.hasKeys[s.keyID] = true
	}
	s.proved, s.unsure = true, !current
	if s.unsure {
		return []output{look{}}, nil
	}
	return []output{sendHeads{}, look{}}, nil
}

// part tells a peer that it is no member any more, and nothing else. It could
// not know by itself, and its user should.
func (s *session) part(in changed) []output {
	if s.parted {
		return nil
	}
	s.parted, s.member = true, false
	var out []output
	if s.unsure || s.accepted == nil && s.heads == 0 {
		out = append(out, sendNoHeads{})
	}
	if len(in.farewell) > 0 {
		out = append(out, sendCreds{in.farewell})
	}
	return append(out, sendBye{})
}

// keys sends those of the space that a member lacks: it was admitted by somebody
// who did not have them.
func (s *session) keys(ring []feed.Key) []output {
	if !s.member || s.said == nil || s.has == nil {
		return nil
	}
	var lacks [][32]byte
	for _, k := range ring {
		if !s.hasKeys[k.ID()] {
			lacks = append(lacks, k)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	s.noteKeys(lacks)
	return []output{sendKeys{lacks}}
}

func (s *session) noteKeys(keys [][32]byte) {
	if s.hasKeys == nil {
		s.hasKeys = make(map[[8]byte]bool)
	}
	for _, k := range keys {
		if len(s.hasKeys) < 2*feed.MaxKeys {
			s.hasKeys[feed.Key(k).ID()] = true
		}
	}
}

// forks sends the proofs that a member may lack.
func (s *session) forks(proofs [][]byte) (out []output) {
	if !s.member || s.said == nil || s.has == nil {
		return nil
	}
	var lacks [][]byte
	for _, p := range proofs {
		if sum := sha256.Sum256(p); !s.sentForks[sum] {
			s.sentForks[sum] = true
			lacks = append(lacks, p)
		}
	}
	for len(lacks) > 0 {
		n := min(len(lacks), maxForks)
		out = append(out, sendForks{lacks[:n]})
		lacks = lacks[n:]
	}
	return out
}
