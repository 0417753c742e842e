package mesh

import (
	"context"
	"sync"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/signaling"
)

// maxPeers bounds the devices of one swarm that are dealt with at once: more
// than a space has members.
const maxPeers = 1024

// swarm is this device's presence in one circle of devices, which meets on one
// topic or on several at a time.
type swarm struct {
	mesh     *Mesh
	name     [32]byte
	id       signaling.TopicID // of name; what hellos are bound to
	handler  Handler
	waits    bool            // the handler is a Waiter
	seeks    bool            // the handler is a Seeker
	joined   context.Context // ends when the swarm is left
	leave    context.CancelFunc
	previous *swarm        // of the same name, must have ended before this one starts
	changed  chan struct{} // capacity 1: a token means that topics have changed

	running sync.Mutex // held by run

	mu     sync.Mutex // guards the fields below
	topics map[[32]byte]bool
	peers  map[identity.PublicKey]*peer
}

func newSwarm(m *Mesh, name [32]byte, h Handler) *swarm {
	// This context is not inside a call: it says how long the swarm lives.
	joined, leave := context.WithCancel(context.Background())
	_, waits := h.(Waiter)
	_, seeks := h.(Seeker)
	return &swarm{
		mesh: m, name: name, id: signaling.Topic(name).ID(), handler: h, waits: waits, seeks: seeks, changed: make(chan struct{}, 1),
		joined: joined, leave: leave, topics: map[[32]byte]bool{name: true}, peers: map[identity.PublicKey]*peer{},
	}
}

// meet sets the topics.
func (s *swarm) meet(topics [][32]byte) {
	s.mu.Lock()
	s.topics = make(map[[32]byte]bool, len(topics))
	for _, t := range topics {
		s.topics[t] = true
	}
	s.mu.Unlock()
	signal(s.changed)
}

// wait returns when run has ended; after leave it will.
func (s *swarm) wait() {
	s.running.Lock()
	defer s.running.Unlock()
}

// run finds and serves peers until ctx ends or the swarm is left.
func (s *swarm) run(ctx context.Context) {
	s.running.Lock()
	defer s.running.Unlock()
	if s.previous != nil {
		s.previous.wait()
		s.previous = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.joined, cancel)()
	if s.joined.Err() != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	present := make(map[[32]byte]context.CancelFunc)
	ended := make(map[[32]byte]chan struct{}) // of each topic that was attended: closed when it is no more
	for {
		s.mu.Lock()
		for topic, leave := range present {
			if !s.topics[topic] {
				leave()
				delete(present, topic)
			}
		}
		for topic := range s.topics {
			if present[topic] == nil {
				there, leave := context.WithCancel(ctx)
				before, end := ended[topic], make(chan struct{})
				present[topic], ended[topic] = leave, end
				wg.Go(func() {
					defer close(end)
					if before != nil {
						<-before // it has been left, and only then can be joined
					}
					s.attend(ctx, there, topic, &wg)
				})
			}
		}
		s.mu.Unlock()
		forgetEnded(ended)
		select {
		case <-s.changed:
		case <-ctx.Done():
			for _, leave := range present {
				leave()
			}
			return
		}
	}
}

func forgetEnded(ended map[[32]byte]chan struct{}) {
	for topic, end := range ended {
		select {
		case <-end:
			delete(ended, topic)
		default:
		}
	}
}

// attend finds peers on one topic until there ends. What it starts lives as long
// as ctx and is in wg.
func (s *swarm) attend(ctx, there context.Context, topic [32]byte, wg *sync.WaitGroup) {
	session, err := s.mesh.client.Join(topic)
	if err != nil {
		s.mesh.cfg.Log.Error("joining a topic", "err", err)
		return
	}
	defer s.left(session)
	defer session.Close()
	for {
		select {
		case <-session.Wake():
			for _, e := range session.Events() {
				if p := s.peerOf(e, session); p != nil {
					wg.Go(func() { p.run(ctx) })
				}
			}
		case <-there.Done():
			return
		}
	}
}

// left tells the peers that a topic was left. Links that were made there stay.
func (s *swarm) left(session *signaling.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		p.left(session)
	}
}

// peerOf passes e to its peer. It returns the peer if it is new and has to be
// started.
func (s *swarm) peerOf(e signaling.Event, session *signaling.Session) (start *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[e.Device]
	if p == nil {
		if e.Kind != signaling.Present {
			return nil
		}
		if len(s.peers) >= maxPeers {
			s.mesh.cfg.Log.Warn("too many peers on one topic", "device", e.Device)
			return nil
		}
		p = newPeer(s, e.Device)
		s.peers[e.Device] = p
		start = p
	}
	p.handle(e, session)
	return start
}

// forget removes p unless something has happened to it meanwhile.
func (s *swarm) forget(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.gone() {
		return false
	}
	delete(s.peers, p.device)
	return true
}

// remove removes p when its run ends for good.
func (s *swarm) remove(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[p.device] == p {
		delete(s.peers, p.device)
	}
}

func (s *swarm) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		p.urge()
	}
}

func (s *swarm) links() (all []LinkInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		all = append(all, p.state())
	}
	return all
}
