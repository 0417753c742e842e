package signaling

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// ServerConfig limits what clients may use; zero values are sensible.
type ServerConfig struct {
	Log         *slog.Logger
	Connections int           // at once; 0 is 4096
	Topics      int           // of one connection; 0 is 4096: spaces and open invitations
	Members     int           // of one topic, at most 1024; 0 is 1024
	Rate        float64       // packets a second of one connection, above which it waits; 0 is 100
	TTL         time.Duration // a connection that does not answer for this long is gone; 0 is 30 s
}

const backlog = 1024 // packets that wait for one slow client before it is dropped

// A Server is an http.Handler. It keeps nothing when its connections end.
type Server struct {
	cfg ServerConfig

	mu      sync.Mutex // guards the fields below
	closed  bool
	conns   map[*client]bool
	topics  map[TopicID]map[PeerID]*client
	serving sync.WaitGroup // one for each of conns; Add only under mu and not closed
}

// client is one connection to a Server.
type client struct {
	outbox
	in map[TopicID]PeerID // guarded by Server.mu
}

// NewServer returns a Server without connections.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	defaults := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	defaults(&cfg.Connections, 4096)
	defaults(&cfg.Topics, 4096)
	defaults(&cfg.Members, maxMembers)
	if cfg.Rate == 0 {
		cfg.Rate = 100
	}
	if cfg.TTL == 0 {
		cfg.TTL = 30 * time.Second
	}
	return &Server{cfg: cfg, conns: map[*client]bool{}, topics: map[TopicID]map[PeerID]*client{}}
}

// Close ends all connections and waits for that. The Server takes no more.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.cancel()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A browser names the page that connects, a device names nothing: no page,
	// wherever it comes from, gets to use this server.
	if len(r.Header["Origin"]) > 0 {
		http.Error(w, "this signaling server is for devices, not for pages in a browser", http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &client{outbox: newOutbox(backlog, cancel), in: map[TopicID]PeerID{}}
	if !s.add(c) {
		http.Error(w, "this signaling server is full or closing; try another or later", http.StatusServiceUnavailable)
		return
	}
	defer s.remove(c)
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxPacket)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { defer cancel(); c.write(ctx, conn) })
	wg.Go(func() { defer cancel(); keepAlive(ctx, conn, s.cfg.TTL) })
	s.cfg.Log.Debug("signaling connection ended", "err", s.read(ctx, conn, c))
}

func (s *Server) add(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.Connections {
		return false
	}
	s.conns[c] = true
	s.serving.Add(1)
	return true
}

func (s *Server) remove(c *client) {
	s.leaveAll(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.serving.Done()
}

func (s *Server) leaveAll(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic := range c.in {
		s.leaveLocked(c, topic)
	}
}

// read handles the packets of a client until one of them is wrong, or the
// connection ends.
func (s *Server) read(ctx context.Context, conn *websocket.Conn, c *client) error {
	limit := rate.NewLimiter(rate.Limit(s.cfg.Rate), int(4*s.cfg.Rate))
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		// One who is too fast waits, and its TCP connection with it.
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		p, err := decodePacket(data)
		if err != nil {
			s.leaveAll(c) // others need not wait for the farewell
			reason := err.Error()
			conn.Close(websocket.StatusPolicyViolation, reason[:min(len(reason), 100)])
			return err
		}
		// What makes work for many costs more.
		if err := limit.WaitN(ctx, min(s.handle(c, p)/8, limit.Burst())); err != nil {
			return err
		}
	}
}

// handle reports how many others have heard of it.
func (s *Server) handle(c *client, p packet) (told int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p.Kind {
	case joinTopic:
		s.joinLocked(c, p.Topic)
		return len(s.topics[p.Topic])
	case leave:
		s.leaveLocked(c, p.Topic)
		return len(s.topics[p.Topic])
	case send:
		from, in := c.in[p.Topic]
		to := s.topics[p.Topic][p.Peer]
		if in && to != nil {
			to.push(packet{Kind: deliver, Topic: p.Topic, Peer: from, Data: p.Data})
		}
	}
	return 1
}

func (s *Server) joinLocked(c *client, topic TopicID) {
	if _, in := c.in[topic]; in {
		s.leaveLocked(c, topic) // it starts anew, under another name
	}
	members := s.topics[topic]
	switch {
	case len(c.in) >= s.cfg.Topics:
		c.push(packet{Kind: refuse, Topic: topic, Text: "too many topics on one connection"})
		return
	case len(members) >= s.cfg.Members:
		c.push(packet{Kind: refuse, Topic: topic, Text: "the topic is full"})
		return
	case members == nil:
		members = map[PeerID]*client{}
		s.topics[topic] = members
	}
	var self PeerID
	rand.Read(self[:])
	welcome := packet{Kind: joined, Topic: topic, Peer: self}
	for id, other := range members {
		welcome.Peers = append(welcome.Peers, id)
		other.push(packet{Kind: arrived, Topic: topic, Peer: self})
	}
	members[self] = c
	c.in[topic] = self
	c.push(welcome)
}

func (s *Server) leaveLocked(c *client, topic TopicID) {
	self, in := c.in[topic]
	if !in {
		return
	}
	delete(c.in, topic)
	members := s.topics[topic]
	delete(members, self)
	if len(members) == 0 {
		delete(s.topics, topic)
	}
	for _, other := range members {
		other.push(packet{Kind: left, Topic: topic, Peer: self})
	}
}
