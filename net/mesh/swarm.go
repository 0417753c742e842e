package mesh

import (
	"context"
	"sync"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/signaling"
)

// maxPeers bounds the devices of one topic that are dealt with at once: more
// than a space has members.
const maxPeers = 1024

// swarm is this device's presence on one topic.
type swarm struct {
	mesh     *Mesh
	topic    [32]byte
	id       signaling.TopicID
	handler  Handler
	joined   context.Context // ends when the topic is left
	leave    context.CancelFunc
	previous *swarm // of the same topic, must have ended before this one starts

	running sync.Mutex // held by run

	mu    sync.Mutex // guards the fields below
	peers map[identity.PublicKey]*peer
}

func newSwarm(m *Mesh, topic [32]byte, h Handler) *swarm {
	// This context is not inside a call: it says how long the swarm lives.
	joined, leave := context.WithCancel(context.Background())
	return &swarm{
		mesh: m, topic: topic, id: signaling.Topic(topic).ID(), handler: h,
		joined: joined, leave: leave, peers: map[identity.PublicKey]*peer{},
	}
}

// wait returns when run has ended; after leave it will.
func (s *swarm) wait() {
	s.running.Lock()
	defer s.running.Unlock()
}

// run finds and serves peers until ctx ends or the topic is left.
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
	session, err := s.mesh.client.Join(s.topic)
	if err != nil {
		s.mesh.cfg.Log.Error("joining a topic", "err", err)
		return
	}
	defer session.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for {
		select {
		case <-session.Wake():
			for _, e := range session.Events() {
				if p := s.peerOf(e); p != nil {
					wg.Go(func() { p.run(ctx, session) })
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// peerOf passes e to its peer. It returns the peer if it is new and has to be
// started.
func (s *swarm) peerOf(e signaling.Event) (start *peer) {
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
	p.handle(e)
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
