package replicate

import (
	"errors"
	"maps"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// A session decides what to do on one link. It is pure: step depends on nothing
// but what went in before.
type session struct {
	mine, theirs [32]byte // the proofs of both ends, under the key that is written with
	older        []older  // and under the others
	olderProofs  [][32]byte

	proved bool // the peer knows a key of the space
	unsure bool // it is an older one: with that only members are spoken to
	member bool // the peer's device is a member, as far as we know
	parted bool // it was told that it is none any more

	keyID     [8]byte           // of the key that is written with
	hasKeys   map[[8]byte]bool  // keys that the peer has
	sentForks map[[32]byte]bool // hashes of the proofs it was sent

	heads    int                  // how often the peer sent its credential heads
	knows    map[identity.ID]bool // credentials the peer sent or was sent
	accepted map[identity.ID]bool // credentials it has with their past; nil before its heads came
	sent     int                  // which credentials there were when we last sent some

	said    map[identity.ID]uint64 // per feed, what the peer knows that we have; nil before our timeframe was sent
	has     map[identity.ID]uint64 // per feed, how far the peer is; nil before its timeframe came
	ids     feed.Timeframe         // the same as it was at first, until it is passed on
	pulls   map[identity.ID]span   // what it asked for, less what was sent; nil: nothing
	serving bool                   // it was not told yet that it has all it asked for
	rewind  bool                   // what readLog brings is from before pulls
	cursor  uint64                 // position in our log up to which the peer was served
	reading bool                   // a readLog is out
	grown   bool                   // the log grew meanwhile
}

// errProtocol marks what no honest peer does.
var errProtocol = errors.New("peer broke the protocol")

// errStranger is a peer that does not know the space key.
var errStranger = errors.New("peer does not know the space")

// errRemoved is a peer that was a member, and is none any more.
var errRemoved = errors.New("peer is no member any more")

// older is a key that is not written with any more, and the proof a peer gives
// of it.
type older struct {
	id     [8]byte
	theirs [32]byte
}

func newSession(mine, theirs [32]byte) *session {
	return &session{mine: mine, theirs: theirs, sentForks: make(map[[32]byte]bool)}
}

// open reports whether entries and chunks may go to the peer and come from it.
func (s *session) open() bool { return s.proved && s.member }

// step takes one input. An error ends the link.
func (s *session) step(in input) ([]output, error) {
	if s.proved {
		return s.proven(in)
	}
	switch in := in.(type) {
	case started:
		return []output{sendProof{proof{s.mine, s.olderProofs}}}, nil
	case changed:
		return nil, nil
	case gotProof:
		return s.gotProof(in)
	}
	return nil, errProtocol
}

func (s *session) proven(in input) ([]output, error) {
	switch in := in.(type) {
	case changed:
		switch {
		case in.barred:
			return s.part(in), nil
		case s.unsure && !in.member:
			return nil, errStranger
		case !in.member && in.key != s.keyID && !s.hasKeys[in.key]:
			return nil, errStranger // the key has changed, and not for them
		case s.unsure:
			s.unsure = false
			return append([]output{sendHeads{}}, s.changed(in)...), nil
		}
		return s.changed(in), nil
	case answered:
		s.serving = false
		return nil, nil
	case again:
		return []output{sendHeads{}}, nil
	case gotHeads: // once more: it had no room for some that it was sent
		if s.heads++; s.heads > maxHeadsSent {
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
		return []output{addCreds{in.raw}, look{}}, s.check()
	case gotHave:
		if s.has != nil {
			return nil, errProtocol
		}
		s.has, s.ids = in.seqs, in.ids
		return append(s.begun(), s.pump()...), nil
	case gotEntries:
		if !s.exchanging() {
			return nil, errProtocol
		}
		for _, e := range in.items {
			s.has[e.feed] = max(s.has[e.feed], e.seq)
		}
		return []output{accept{in.items}}, s.check()
	case gotNews:
		if !s.exchanging() {
			return nil, errProtocol
		}
		for f, n := range in.seqs {
			s.has[f] = max(s.has[f], n)
		}
		return []output{offered(in)}, s.check()
	case gotSent:
		if !s.exchanging() {
			return nil, errProtocol
		}
		return []output{served{}}, nil
	case gotPull:
		return s.pulled(in)
	case gotKeys:
		if !s.member {
			return nil, errProtocol
		}
		s.noteKeys(in.keys)
		return []output{addKeys(in)}, nil
	case gotForks:
		if !s.exchanging() {
			return nil, errProtocol
		}
		return []output{addForks(in)}, nil
	case gotAsk:
		if !s.exchanging() {
			return nil, errProtocol
		}
		return []output{sendStub(in)}, nil
	case gotStub:
		if !s.exchanging() {
			return nil, errProtocol
		}
		return []output{compare(in)}, nil
	case gotPresence:
		if !s.exchanging() {
			return nil, errProtocol
		}
		return []output{seen(in)}, nil
	case logged:
		return s.logged(in), nil
	}
	return nil, errProtocol
}

// exchanging reports whether both sides have told what they have. Only to a
// member did we, and only then does anything of a space come.
func (s *session) exchanging() bool { return s.member && s.said != nil && s.has != nil }

const (
	maxKnown     = 1 << 16 // what a session remembers of its peer
	maxHeadsSent = 64      // each costs all credentials; an honest peer waits longer each time
)

func (s *session) check() error {
	if len(s.has) > maxKnown || len(s.knows) > maxKnown {
		return errProtocol
	}
	return nil
}

// begun tells the puller what the peer has, once it may be asked for it.
func (s *session) begun() []output {
	if s.said == nil || s.has == nil {
		return nil
	}
	ids := s.ids
	s.ids = nil
	return []output{begun{maps.Clone(s.has), ids}}
}

// changed looks at our space anew.
func (s *session) changed(in changed) []output {
	s.member = in.member
	out := s.credentials(in.creds, in.rev)
	if s.member && s.said == nil {
		s.said = make(map[identity.ID]uint64)
		for f, h := range in.have {
			s.said[f] = h.Seq
		}
		out = append(out, sendHave{have{in.have}})
		out = append(out, s.begun()...)
	}
	out = append(out, s.keys(in.ring)...)
	out = append(out, s.forks(in.forks)...)
	return append(out, s.pump()...)
}

// credentials sends those that the peer lacks.
func (s *session) credentials(creds []known, rev int) (out []output) {
	if s.accepted == nil || s.sent == rev {
		return nil
	}
	s.sent = rev
	if raw := lacking(creds, s.knows, s.accepted); len(raw) > 0 {
		out = append(out, sendCreds{raw})
	}
	return out
}

// pump starts reading our log for the peer, or notes that it has grown.
func (s *session) pump() []output {
	switch {
	case !s.open() || s.said == nil || s.has == nil:
		return nil
	case s.reading:
		s.grown = true
		return nil
	}
	s.reading = true
	return []output{readLog{s.cursor}}
}

// fewEntries may be asked for without reading the log again from its beginning.
const fewEntries = 64

// pulled serves what the peer asks for: a few entries at once, many in the order
// of the log, which is a causal one.
func (s *session) pulled(in gotPull) ([]output, error) {
	if !s.exchanging() || s.serving {
		return nil, errProtocol
	}
	s.serving = true
	total := uint64(0)
	for f, p := range in.spans {
		if p.After >= p.Upto || p.Upto > s.said[f] {
			return nil, errProtocol
		}
		total += p.Upto - p.After
	}
	if total > fewEntries {
		s.pulls = in.spans
		s.cursor = 0
		s.rewind = s.reading
		return s.pump(), nil
	}
	var refs []space.LogRef
	for _, f := range inOrder(in.spans) {
		for n := in.spans[f].After + 1; n <= in.spans[f].Upto; n++ {
			refs = append(refs, space.LogRef{Feed: f, Seq: n})
		}
		s.has[f] = max(s.has[f], in.spans[f].Upto)
	}
	return []output{sendEntries{refs}, sendSent{}}, nil
}

// logged picks what the peer asked for, and what is new to it: of that, what
// this device wrote is sent, the rest only named.
func (s *session) logged(in logged) []output {
	if !s.open() {
		s.reading, s.grown = false, false
		return nil
	}
	if s.rewind {
		s.rewind = false
		return []output{readLog{s.cursor}}
	}
	if len(in.refs) == 0 {
		var out []output
		if s.pulls != nil {
			s.pulls = nil
			out = append(out, sendSent{})
		}
		s.reading = s.grown
		s.grown = false
		if s.reading {
			out = append(out, readLog{s.cursor})
		}
		return out
	}
	out := s.credentials(in.creds, in.rev)
	var refs []space.LogRef
	news := make(map[identity.ID]uint64)
	for _, r := range in.refs {
		s.cursor = r.Pos
		p := s.pulls[r.Feed]
		switch {
		case r.Seq > p.After && r.Seq <= p.Upto:
			p.After = r.Seq
			s.pulls[r.Feed] = p
			refs = append(refs, r)
		case r.Seq <= max(s.has[r.Feed], s.said[r.Feed]):
		case in.own(r.Feed):
			refs = append(refs, r)
		default:
			news[r.Feed] = r.Seq
		}
		s.said[r.Feed] = max(s.said[r.Feed], r.Seq)
	}
	for _, r := range refs {
		s.has[r.Feed] = max(s.has[r.Feed], r.Seq)
	}
	if len(news) > 0 {
		out = append(out, sendNews{news})
	}
	if len(refs) > 0 {
		out = append(out, sendEntries{refs})
	}
	return append(out, readLog{s.cursor})
}
