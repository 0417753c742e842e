package replicate

import (
	"crypto/hmac"
	"errors"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// A session decides what to do on one link. It is pure: step depends on nothing
// but what went in before.
type session struct {
	mine, theirs [32]byte // the proofs of both ends

	proved bool // the peer knows the space key
	member bool // the peer's device is a member, as far as we know

	knows    map[identity.ID]bool // credentials the peer sent or was sent
	accepted map[identity.ID]bool // credentials it has with their past; nil before its heads came
	sent     int                  // how many credentials there were when we last sent some

	told    bool                   // our timeframe was sent
	has     map[identity.ID]uint64 // per feed, how far the peer is; nil before its timeframe came
	cursor  uint64                 // position in our log up to which the peer was served
	reading bool                   // a readLog is out
	again   bool                   // the log grew meanwhile
}

// Inputs of a session.
type (
	input   interface{}
	started struct{}
	// changed tells how our space is now.
	changed struct {
		member bool
		creds  []known // in causal order
		have   func() have
	}
	// logged answers readLog; no refs: there are no more. creds are the
	// credentials as they were after the log was read, so that those by which
	// the authors of the entries may write are among them.
	logged struct {
		refs  []space.LogRef
		creds []known
	}

	gotProof       struct{ mac [32]byte }
	gotHeads       struct{ ids []identity.ID }
	gotCredentials struct {
		ids []identity.ID
		raw [][]byte
	}
	gotHave    struct{ seqs map[identity.ID]uint64 }
	gotEntries struct {
		items []item
		newer int // entries of a later release, left out
	}
)

// Outputs of a session, to be carried out in order.
type (
	output      interface{}
	sendProof   struct{ proof }
	sendHeads   struct{} // as they are when it is sent
	sendCreds   struct{ raw [][]byte }
	sendHave    struct{ have }
	readLog     struct{ after uint64 }
	sendEntries struct{ refs []space.LogRef }
	addCreds    struct{ raw [][]byte }
	accept      struct{ items []item }
	look        struct{} // come back with changed
)

// errProtocol marks what no honest peer does.
var errProtocol = errors.New("peer broke the protocol")

// errStranger is a peer that does not know the space key.
var errStranger = errors.New("peer does not know the space")

func newSession(mine, theirs [32]byte) *session { return &session{mine: mine, theirs: theirs} }

// open reports whether entries and chunks may go to the peer and come from it.
func (s *session) open() bool { return s.proved && s.member }

// step takes one input. An error ends the link.
func (s *session) step(in input) ([]output, error) {
	if s.proved {
		return s.proven(in)
	}
	switch in := in.(type) {
	case started:
		return []output{sendProof{proof{s.mine}}}, nil
	case changed:
		return nil, nil
	case gotProof:
		if !hmac.Equal(in.mac[:], s.theirs[:]) {
			return nil, errStranger
		}
		s.proved = true
		return []output{sendHeads{}, look{}}, nil
	}
	return nil, errProtocol
}

func (s *session) proven(in input) ([]output, error) {
	switch in := in.(type) {
	case changed:
		return s.changed(in), nil
	case gotHeads:
		if s.accepted != nil {
			return nil, errProtocol
		}
		s.knows = make(map[identity.ID]bool)
		s.accepted = make(map[identity.ID]bool)
		for _, id := range in.ids {
			s.accepted[id] = true
		}
		s.sent = -1
		return []output{look{}}, nil
	case gotCredentials:
		if s.accepted == nil {
			return nil, errProtocol // heads come first
		}
		for _, id := range in.ids {
			s.knows[id] = true
		}
		return []output{addCreds{in.raw}, look{}}, nil
	case gotHave:
		if s.has != nil {
			return nil, errProtocol
		}
		s.has = in.seqs
		return s.pump(), nil
	case gotEntries:
		// Only to a member did we say what we have, and only then do entries come.
		if !s.told || !s.member {
			return nil, errProtocol
		}
		if s.has == nil {
			return nil, errProtocol
		}
		for _, e := range in.items {
			s.has[e.feed] = max(s.has[e.feed], e.seq)
		}
		return []output{accept{in.items}}, nil
	case logged:
		return s.logged(in), nil
	}
	return nil, errProtocol
}

// changed looks at our space anew.
func (s *session) changed(in changed) []output {
	s.member = in.member
	out := s.credentials(in.creds)
	if s.member && !s.told {
		s.told = true
		out = append(out, sendHave{in.have()})
	}
	return append(out, s.pump()...)
}

// credentials sends those that the peer lacks.
func (s *session) credentials(creds []known) (out []output) {
	if s.accepted == nil || s.sent == len(creds) {
		return nil
	}
	s.sent = len(creds)
	if raw := lacking(creds, s.knows, s.accepted); len(raw) > 0 {
		out = append(out, sendCreds{raw})
	}
	return out
}

// pump starts reading our log for the peer, or notes that it has grown.
func (s *session) pump() []output {
	switch {
	case !s.open() || !s.told || s.has == nil:
		return nil
	case s.reading:
		s.again = true
		return nil
	}
	s.reading = true
	return []output{readLog{s.cursor}}
}

// logged picks what the peer lacks.
func (s *session) logged(in logged) []output {
	if !s.open() {
		s.reading, s.again = false, false
		return nil
	}
	if len(in.refs) == 0 {
		s.reading = s.again
		s.again = false
		if s.reading {
			return []output{readLog{s.cursor}}
		}
		return nil
	}
	out := s.credentials(in.creds)
	var refs []space.LogRef
	for _, r := range in.refs {
		s.cursor = r.Pos
		if r.Seq > s.has[r.Feed] {
			s.has[r.Feed] = r.Seq
			refs = append(refs, r)
		}
	}
	if len(refs) > 0 {
		out = append(out, sendEntries{refs})
	}
	return append(out, readLog{s.cursor})
}
