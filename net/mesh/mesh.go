// Package mesh keeps one authenticated link to every device that is present on
// the topics this device has joined.
//
// Devices find each other through package signaling. Of two devices the one
// with the smaller key dials, so there is never a question whose connection
// counts. Inside the WebRTC connection each stream is TLS 1.3 between the two
// device keys that signed the signaling messages: nobody in between, signaling
// server included, can read, alter or be either end.
//
// A link is watched by the mesh itself, with heartbeats on a stream of its own,
// and replaced when it is silent, when its device starts anew, or when its
// handler returns.
//
// # Concurrency
//
// All methods may be called from any goroutine. Everything a Mesh starts ends
// before Run returns.
package mesh

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sort"
	"sync"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/rtc"
	"github.com/echofs/echofs/net/signaling"
)

// ErrRefused is what a Handler wraps to say that trying again soon is useless:
// the peer is no member, or speaks another protocol. The mesh then waits for
// seconds, later minutes, unless the peer starts anew or Retry is called.
var ErrRefused = errors.New("peer refused")

// Config of a Mesh. Device is required, everything else may be zero.
type Config struct {
	Device    *identity.Device
	Signal    []string // http(s):// or ws(s):// URLs of signaling servers
	Log       *slog.Logger
	RTC       rtc.Config
	Heartbeat time.Duration // between two signs of life; 0 is 2.5 s
	Silence   time.Duration // without one a link is given up; 0 is 10 s
}

// maxAttempts is how many links are made at once: each costs sockets and memory,
// and whoever knows a topic can appear there as any number of devices.
const maxAttempts = 64

// A Mesh is this device's presence on all its topics.
type Mesh struct {
	cfg     Config
	client  *signaling.Client
	rtc     *rtc.API
	changed chan struct{} // capacity 1: a token means online or swarms changed
	slots   chan struct{} // holds a token for each attempt that is going on

	mu     sync.Mutex // guards the fields below
	online bool
	cuts   int // times that this device went offline
	swarms map[[32]byte]*swarm
}

// New returns a Mesh that is online but does nothing before Run.
func New(cfg Config) *Mesh {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 2500 * time.Millisecond
	}
	if cfg.Silence == 0 {
		cfg.Silence = 10 * time.Second
	}
	if cfg.RTC.Log == nil {
		cfg.RTC.Log = cfg.Log
	}
	m := &Mesh{
		cfg: cfg, client: signaling.NewClient(cfg.Device, cfg.Log), rtc: rtc.New(cfg.RTC),
		changed: make(chan struct{}, 1), slots: make(chan struct{}, maxAttempts), online: true, swarms: map[[32]byte]*swarm{},
	}
	for _, url := range cfg.Signal {
		if err := m.client.AddURL(url); err != nil {
			cfg.Log.Warn("signaling server left out", "err", err)
		}
	}
	return m
}

// Run keeps the links until ctx ends, and returns after everything it started
// has ended.
func (m *Mesh) Run(ctx context.Context) error {
	for {
		if m.Online() {
			m.present(ctx)
		}
		select {
		case <-m.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// present serves all topics until this device goes offline or ctx ends.
func (m *Mesh) present(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// Run returns nothing but the end of ctx.
	wg.Go(func() { _ = m.client.Run(ctx) })
	m.mu.Lock()
	cuts := m.cuts
	m.mu.Unlock()
	started := map[*swarm]bool{}
	for ctx.Err() == nil {
		m.mu.Lock()
		online := m.online && m.cuts == cuts
		for _, s := range m.swarms {
			if online && !started[s] {
				started[s] = true
				wg.Go(func() { s.run(ctx) })
			}
		}
		m.mu.Unlock()
		if !online {
			signal(m.changed) // for Run: it may be true again by now
			return
		}
		select {
		case <-m.changed:
		case <-ctx.Done():
		}
	}
}

// Join makes this device present on the topic. h is called for each link. A
// second Join of a topic replaces the first.
//
// leave closes the topic's links and returns when all its handlers have; it
// may be called from any goroutine except a handler of this topic (from
// there: go leave()).
func (m *Mesh) Join(topic [32]byte, h Handler) (leave func()) {
	_, leave = m.Gather(topic, h, topic)
	return leave
}

// Gather is Join for devices that meet on several topics, which may change: meet
// sets them. Whoever is met on any of them has one link, which outlives the
// topic. All of them have to use the same name, which no signaling server hears.
func (m *Mesh) Gather(name [32]byte, h Handler, topics ...[32]byte) (meet func(topics ...[32]byte), leave func()) {
	s := newSwarm(m, name, h)
	s.meet(topics)
	m.mu.Lock()
	if old := m.swarms[name]; old != nil {
		old.leave()
		s.previous = old
	}
	m.swarms[name] = s
	m.mu.Unlock()
	signal(m.changed)
	return func(topics ...[32]byte) { s.meet(topics) }, func() {
		m.mu.Lock()
		if m.swarms[name] == s {
			delete(m.swarms, name)
		}
		m.mu.Unlock()
		s.leave()
		s.wait()
	}
}

// AddSignal adds a signaling server. It may be called at any time.
func (m *Mesh) AddSignal(url string) error { return m.client.AddURL(url) }

// SetOnline closes all links and stays silent (false), or comes back (true).
// It does not wait for that.
func (m *Mesh) SetOnline(online bool) {
	m.mu.Lock()
	if m.online && !online {
		m.cuts++
	}
	m.online = online
	m.mu.Unlock()
	signal(m.changed)
}

// Online reports what SetOnline last said.
func (m *Mesh) Online() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.online
}

// Retry makes the mesh try refused and waiting peers of a topic, or of what was
// gathered under a name, at once: after the members have changed, say.
func (m *Mesh) Retry(name [32]byte) {
	m.mu.Lock()
	s := m.swarms[name]
	m.mu.Unlock()
	if s != nil {
		s.retry()
	}
}

// Links returns the peers seen on all topics, those without a link too.
func (m *Mesh) Links() []LinkInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []LinkInfo
	for _, s := range m.swarms {
		all = append(all, s.links()...)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Swarm != all[j].Swarm {
			return string(all[i].Swarm[:]) < string(all[j].Swarm[:])
		}
		return string(all[i].Device[:]) < string(all[j].Device[:])
	})
	return all
}

// A Handler speaks a protocol on links.
type Handler interface {
	// Link is called once for each link and owns it until it returns; there is
	// one at a time for each peer and topic. When the link is lost or the peer
	// ends it, reads give what has arrived and then an error, and ctx ends a
	// second later; when it is replaced or the topic is left, both at once.
	// After a return what was written is still delivered, then the link is
	// closed, and dialled again: after a growing delay, or much later if the
	// error is ErrRefused.
	Link(ctx context.Context, l *Link) error
}

// A Waiter is a Handler that has nothing to say to others that wait: this device
// is called, and calls only who asks for it, with a Seeker.
type Waiter interface {
	Handler
	Waits()
}

// A Seeker is a Handler that looks for Waiters, and asks those to call it that
// would have to.
type Seeker interface {
	Handler
	Seeks()
}

// A Link is a connection to another device, authenticated on both sides.
type Link struct {
	Peer      identity.Profile // from the peer's chain, verified
	Sync      net.Conn         // TLS 1.3, pinned device keys
	Blobs     net.Conn         // the same, own flow control
	Exporter  []byte           // 32 bytes, secret, the same on both ends, new for each link
	Initiator bool             // true on exactly one end
}

// State of a link.
type State string

// The states.
const (
	Connecting State = "connecting"
	Up         State = "up"
	Waiting    State = "waiting" // for the next try, or for the peer to dial
	Refused    State = "refused"
)

// LinkInfo describes one peer of one swarm, for status.
type LinkInfo struct {
	Swarm    [32]byte // the name given to Gather, or the topic given to Join, which is secret
	Device   identity.PublicKey
	Identity identity.ID // zero until a link was up
	Name     string
	State    State
	Since    time.Time // of State
	RTT      time.Duration
	Err      error // why the last link or try ended
}

// signal puts a token into a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}
