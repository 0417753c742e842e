package signaling

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"

	"github.com/echofs/echofs/identity"
)

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	Present EventKind = iota + 1 // a device is there, through Route
	Gone                         // it is not any more
	Message                      // it sent Body
)

// A Route is one way to a device: through one connection to a server, for one
// presence there. It is comparable and means nothing elsewhere.
type Route struct {
	conn *conn
	peer PeerID
}

// An Event is something that a device did. The device has signed it.
type Event struct {
	Kind     EventKind
	Route    Route
	Device   identity.PublicKey
	Instance [16]byte // new each time the device's program starts
	Body     []byte
}

// A Session is this device's presence on one topic.
type Session struct {
	client *Client
	id     TopicID
	aead   cipher.AEAD
	wake   chan struct{} // capacity 1: a token means events has grown

	mu     sync.Mutex // guards the fields below
	closed bool
	at     map[*conn]*presence
	events []Event
}

// presence is the membership through one connection.
type presence struct {
	self  PeerID
	nonce nonce
	peers map[PeerID]*peer
}

// peer is somebody else's membership.
type peer struct {
	known    bool // it has announced itself
	device   identity.PublicKey
	nonce    nonce
	instance nonce
	received uint64 // highest Seq
	sent     uint64
}

// maxEvents bounds what servers can make wait here; devices announce
// themselves again.
const maxEvents = 4096

func newSession(c *Client, topic Topic) *Session {
	return &Session{
		client: c, id: topic.ID(), aead: topic.sealer(),
		wake: make(chan struct{}, 1), at: map[*conn]*presence{},
	}
}

// Wake has a token when Events has something to return.
func (s *Session) Wake() <-chan struct{} { return s.wake }

// Events returns what happened since the last call.
func (s *Session) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// Close leaves the topic. There are no events afterwards.
func (s *Session) Close() {
	s.client.mu.Lock()
	delete(s.client.sessions, s.id)
	for n := range s.client.conns {
		n.push(packet{Kind: leave, Topic: s.id})
	}
	s.client.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.events = true, nil
}

var errGone = errors.New("peer is not present any more")

// Send sends body to the device at the other end of r. It does not block, and
// nil does not mean that body arrives.
func (s *Session) Send(r Route, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[r.conn]
	if at == nil || at.peers[r.peer] == nil || !at.peers[r.peer].known {
		return errGone
	}
	p := at.peers[r.peer]
	p.sent++
	return s.sendLocked(r, at, note{Kind: message, To: p.nonce, Seq: p.sent, Body: body})
}

func (s *Session) sendLocked(r Route, at *presence, n note) error {
	n.Presence, n.Instance = at.nonce, s.client.instance
	sealed, err := seal(s.aead, s.client.device, envelope{s.id, at.self, r.peer}, n)
	if err != nil {
		return err
	}
	if len(sealed) > maxData {
		return fmt.Errorf("message of %d bytes is too large for signaling", len(n.Body))
	}
	r.conn.push(packet{Kind: send, Topic: s.id, Peer: r.peer, Data: sealed})
	return nil
}

// handle processes one packet of a server. Whatever is wrong with it is the
// server's doing and changes nothing.
func (s *Session) handle(n *conn, p packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	at := s.at[n]
	if at == nil && p.Kind != joined && p.Kind != refuse {
		return // meant for an earlier session of this topic
	}
	switch p.Kind {
	case joined:
		s.dropLocked(n)
		at = &presence{self: p.Peer, nonce: newNonce(), peers: map[PeerID]*peer{}}
		s.at[n] = at
		for _, id := range p.Peers {
			s.meetLocked(n, at, id)
		}
	case arrived:
		s.meetLocked(n, at, p.Peer)
	case left:
		s.goneLocked(Route{n, p.Peer}, at.peers[p.Peer])
		delete(at.peers, p.Peer)
	case deliver:
		s.deliverLocked(n, at, p)
	case refuse:
		if n.refuse(s.id) {
			s.client.log.Warn("signaling server refused a topic, which is tried again", "url", n.url, "why", p.Text[:min(len(p.Text), 100)])
		}
	}
}

// meetLocked tells somebody new who we are.
func (s *Session) meetLocked(n *conn, at *presence, id PeerID) {
	if at.peers[id] != nil || id == at.self || len(at.peers) >= maxMembers {
		return
	}
	at.peers[id] = &peer{}
	if err := s.sendLocked(Route{n, id}, at, note{Kind: announce}); err != nil {
		s.client.log.Warn("announcing this device", "err", err)
	}
}

func (s *Session) deliverLocked(n *conn, at *presence, packet packet) {
	p := at.peers[packet.Peer]
	if p == nil {
		return
	}
	note, err := open(s.aead, envelope{s.id, packet.Peer, at.self}, packet.Data)
	if err != nil {
		s.client.log.Debug("dropped a signaling message", "url", n.url, "err", err)
		return
	}
	if note.Device == s.client.device.Key() {
		return // this device, by way of two URLs of one server
	}
	event := Event{Route: Route{n, packet.Peer}, Device: note.Device, Instance: note.Instance}
	switch {
	case note.Kind == announce && !p.known:
		*p = peer{known: true, device: note.Device, nonce: note.Presence, instance: note.Instance}
		event.Kind = Present
	case note.Kind == message && p.known && note.Device == p.device && note.Presence == p.nonce &&
		note.To == at.nonce && note.Seq > p.received:
		p.received = note.Seq
		event.Kind, event.Body = Message, note.Body
	default:
		return // said before, or to somebody else
	}
	s.emitLocked(event)
}

// drop forgets whoever was seen through n.
func (s *Session) drop(n *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(n)
}

func (s *Session) dropLocked(n *conn) {
	if at := s.at[n]; at != nil {
		for id, p := range at.peers {
			s.goneLocked(Route{n, id}, p)
		}
		delete(s.at, n)
	}
}

func (s *Session) goneLocked(r Route, p *peer) {
	if p != nil && p.known {
		s.emitLocked(Event{Kind: Gone, Route: r, Device: p.device, Instance: p.instance})
	}
}

func (s *Session) emitLocked(e Event) {
	if s.closed {
		return
	}
	// Only a hostile server gets here: Gone events must not be lost, so it
	// loses its connection, which forgets all its routes at once.
	if len(s.events) >= maxEvents && e.Kind != Gone {
		e.Route.conn.cancel()
		return
	}
	s.events = append(s.events, e)
	select {
	case s.wake <- struct{}{}:
	default: // there is a token already
	}
}
