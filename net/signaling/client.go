package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/echofs/echofs/identity"
)

const (
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 10 * time.Second
	dialTimeout = 10 * time.Second
	clientTTL   = 20 * time.Second
	settled     = 5 * time.Second // a connection that lived this long was a good one
	rejoinAfter = 10 * time.Second

	sendBacklog = 8192 // packets that wait for one server: a device may be on thousands of topics
	serverRate  = 500  // packets, and peers in them, that a server may send in a second
	serverBurst = 4 * maxMembers
)

// A Client is this device at its signaling servers.
type Client struct {
	device   *identity.Device
	log      *slog.Logger
	instance nonce
	rejoin   time.Duration // until a refused topic is tried again
	changed  chan struct{} // capacity 1: a token means urls grew

	mu       sync.Mutex // guards the fields below
	urls     []string
	conns    map[*conn]bool
	sessions map[TopicID]*Session
}

// conn is one live connection to a server.
type conn struct {
	outbox
	url string

	mu      sync.Mutex       // guards the field below
	refused map[TopicID]bool // by the server; true: since it was last tried
}

// refuse notes that the server did not take a topic. It reports whether that is
// news.
func (n *conn) refuse(t TopicID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, before := n.refused[t]
	n.refused[t] = true
	return !before
}

// retry returns the topics to try again.
func (n *conn) retry() (topics []TopicID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for t, refused := range n.refused {
		if refused {
			n.refused[t] = false
			topics = append(topics, t)
		}
	}
	return topics
}

// NewClient returns a Client that does nothing before Run.
func NewClient(d *identity.Device, log *slog.Logger) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		device: d, log: log, instance: newNonce(), rejoin: rejoinAfter, changed: make(chan struct{}, 1),
		conns: map[*conn]bool{}, sessions: map[TopicID]*Session{},
	}
}

// ErrURL reports a URL that is not one of a signaling server.
var ErrURL = errors.New("not the URL of a signaling server: want http://HOST or https://HOST")

// maxURLs bounds the servers that others can make this device call.
const maxURLs = 256

// AddURL adds a server; one that is known already changes nothing.
func (c *Client) AddURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q: %w", raw, ErrURL)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return fmt.Errorf("%q: %w", raw, ErrURL)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = Path
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.urls {
		if known == u.String() {
			return nil
		}
	}
	if len(c.urls) >= maxURLs {
		return fmt.Errorf("%q: %d signaling servers are enough", raw, maxURLs)
	}
	c.urls = append(c.urls, u.String())
	select {
	case c.changed <- struct{}{}:
	default: // there is a token already
	}
	return nil
}

// Run keeps a connection to every server until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10}
	defer transport.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	running := 0
	for {
		c.mu.Lock()
		urls := c.urls[running:]
		running = len(c.urls)
		c.mu.Unlock()
		for _, u := range urls {
			wg.Go(func() { c.keep(ctx, u, &http.Client{Transport: transport, CheckRedirect: stay}) })
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stay follows no redirect: a server must not make this device call others.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// keep connects to one server again and again.
func (c *Client) keep(ctx context.Context, url string, via *http.Client) {
	retry := firstRetry
	for ctx.Err() == nil {
		start := time.Now()
		err := c.connect(ctx, url, via)
		if time.Since(start) > settled {
			retry = firstRetry
		}
		if ctx.Err() == nil {
			c.log.Debug("no signaling server", "url", url, "err", err, "retry", retry)
		}
		select {
		case <-time.After(retry/2 + mrand.N(retry)):
		case <-ctx.Done():
		}
		retry = min(2*retry, lastRetry)
	}
}

// connect serves one connection until it ends.
func (c *Client) connect(ctx context.Context, url string, via *http.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialing, stop := context.WithTimeout(ctx, dialTimeout)
	ws, _, err := websocket.Dial(dialing, url, &websocket.DialOptions{HTTPClient: via})
	stop()
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxPacket)
	n := &conn{outbox: newOutbox(sendBacklog, cancel), url: url, refused: make(map[TopicID]bool)}
	c.attach(n)
	defer c.detach(n)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { defer cancel(); n.write(ctx, ws) })
	wg.Go(func() { defer cancel(); keepAlive(ctx, ws, clientTTL) })
	wg.Go(func() { c.rejoinRefused(ctx, n) })
	limit := rate.NewLimiter(serverRate, serverBurst)
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		p, err := decodePacket(data)
		if err != nil {
			return err
		}
		// Each peer costs an answer with a signature.
		if err := limit.WaitN(ctx, 1+len(p.Peers)); err != nil {
			return err
		}
		c.mu.Lock()
		s := c.sessions[p.Topic]
		c.mu.Unlock()
		if s != nil {
			s.handle(n, p)
		}
	}
}

// rejoinRefused tries refused topics again now and then: others leave.
func (c *Client) rejoinRefused(ctx context.Context, n *conn) {
	tick := time.NewTicker(c.rejoin)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, topic := range n.retry() {
			c.mu.Lock()
			if c.sessions[topic] != nil {
				n.push(packet{Kind: joinTopic, Topic: topic})
			}
			c.mu.Unlock()
		}
	}
}

// attach makes n known and joins all topics on it.
func (c *Client) attach(n *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[n] = true
	for topic := range c.sessions {
		n.push(packet{Kind: joinTopic, Topic: topic})
	}
}

// detach tells all topics that whoever was seen through n is not any more.
func (c *Client) detach(n *conn) {
	c.mu.Lock()
	delete(c.conns, n)
	var sessions []*Session
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	c.mu.Unlock()
	for _, s := range sessions {
		s.drop(n)
	}
}

// ErrJoined reports a second Join of a topic.
var ErrJoined = errors.New("topic is joined already")

// Join makes this device present on a topic at all servers, now and whenever
// they connect, until the Session is closed.
func (c *Client) Join(topic Topic) (*Session, error) {
	s := newSession(c, topic)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] != nil {
		return nil, ErrJoined
	}
	c.sessions[s.id] = s
	for n := range c.conns {
		n.push(packet{Kind: joinTopic, Topic: s.id})
	}
	return s, nil
}
