package mesh

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/signaling"
)

// route is one way to call a peer, and which start of its program is there.
type route struct {
	signaling.Route
	session  *signaling.Session // of the topic on which the peer was met
	instance [16]byte
}

func (r route) send(c call) error { return r.session.Send(r.Route, c.encode()) }

// peer is one device of a swarm, on however many of its topics it was met. run
// decides, in one goroutine; what it waits for arrives by handle.
type peer struct {
	swarm  *swarm
	device identity.PublicKey
	dials  bool          // this device dials, the peer answers
	wake   chan struct{} // capacity 1: a token means a field below changed
	limit  *rate.Limiter // of offers that are answered

	mu       sync.Mutex // guards the fields below
	routes   []route    // the newest last
	instance [16]byte   // of the newest route ever
	news     news       // since run last looked
	answer   *answer    // what an attempt waits for
	info     LinkInfo
}

// news is what has changed.
type news struct {
	route  *route // the newest
	all    []route
	offer  *offer // the newest
	nudged bool   // a way to call the peer has appeared
	wanted bool   // the peer asks to be called
	fresh  bool   // the peer's program is another one than before
	urged  bool   // by Retry
}

func newPeer(s *swarm, device identity.PublicKey) *peer {
	self := s.mesh.cfg.Device.Key()
	return &peer{
		swarm: s, device: device, dials: bytes.Compare(self[:], device[:]) < 0,
		wake: make(chan struct{}, 1), limit: rate.NewLimiter(1, 10),
		info: LinkInfo{Swarm: s.name, Device: device, State: Waiting, Since: time.Now()},
	}
}

// handle takes one event of signaling. It does not block.
func (p *peer) handle(e signaling.Event, session *signaling.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer signal(p.wake)
	r := route{e.Route, session, e.Instance}
	switch e.Kind {
	case signaling.Present:
		if p.instance != r.instance {
			p.instance, p.news.fresh = r.instance, true
		}
		p.news.nudged = true
		p.routes = append(p.routes, r)
	case signaling.Gone:
		for i, other := range p.routes {
			if other.Route == e.Route && other.session == session {
				p.routes = append(p.routes[:i:i], p.routes[i+1:]...)
				break
			}
		}
	case signaling.Message:
		c, err := decodeCall(e.Body)
		if err != nil {
			p.swarm.mesh.cfg.Log.Debug("dropped a call", "device", p.device, "err", err)
			return
		}
		switch {
		case c.Kind == callOffer && !p.dials:
			p.news.offer = &offer{r, c}
		case c.Kind == callAnswer && p.answer != nil && p.answer.id == c.ID:
			p.answer.sdp <- c.SDP
			p.answer = nil
		case c.Kind == callMe && p.dials:
			p.news.wanted = true
		}
	}
}

// left forgets the ways to the peer by a topic that this device has left.
func (p *peer) left(session *signaling.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes = slices.DeleteFunc(p.routes, func(r route) bool { return r.session == session })
	signal(p.wake)
}

// gone reports that there is no way to call the peer and nothing to do for it.
func (p *peer) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.routes) == 0 && p.news.offer == nil
}

func (p *peer) urge() {
	p.mu.Lock()
	p.news.urged = true
	p.mu.Unlock()
	signal(p.wake)
}

func (p *peer) state() LinkInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

func (p *peer) setState(s State, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.State, p.info.Since, p.info.Err = s, time.Now(), err
	if s != Up {
		p.info.RTT = 0
	}
}

func (p *peer) look() news {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.news
	p.news = news{}
	n.all = append(n.all, p.routes...)
	if len(n.all) > 0 {
		n.route = &n.all[len(n.all)-1]
	}
	return n
}
