// Package mesh keeps one authenticated link to every device that is present on
// the topics this device has joined.
package mesh

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/rtc"
)

// ErrRefused is what a Handler wraps to say that trying again soon is useless:
// the peer is no member, or speaks another protocol. The mesh then waits until
// the peer starts anew, or many minutes.
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

// A Mesh is this device's presence on all its topics.
type Mesh struct{ cfg Config }

// New returns a Mesh that is online but does nothing before Run.
func New(cfg Config) *Mesh { return &Mesh{cfg: cfg} }

// Run keeps the links until ctx ends, and returns after everything it started
// has ended.
func (m *Mesh) Run(ctx context.Context) error { panic("not yet") }

// Join makes this device present on the topic. h is called for each link.
// leave closes the topic's links and returns when all its handlers have;
// it may be called from any goroutine except a handler of this topic (from
// there: go leave()).
func (m *Mesh) Join(topic [32]byte, h Handler) (leave func()) { panic("not yet") }

// AddSignal adds a signaling server. It may be called at any time.
func (m *Mesh) AddSignal(url string) error { panic("not yet") }

// SetOnline closes all links and stays silent (false), or comes back (true).
func (m *Mesh) SetOnline(online bool) { panic("not yet") }

// Online reports what SetOnline last said.
func (m *Mesh) Online() bool { panic("not yet") }

// Links returns the peers seen on all topics, those without a link too.
func (m *Mesh) Links() []LinkInfo { panic("not yet") }

// A Handler speaks a protocol on links.
type Handler interface {
	// Link is called once for each link and owns it until it returns. ctx ends
	// when the link is lost or replaced or the topic is left. After a return
	// what was written is still delivered, then the link is closed, and dialled
	// again: after a growing delay, or much later if the error is ErrRefused.
	Link(ctx context.Context, l *Link) error
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
	Waiting    State = "waiting" // for the next try
	Refused    State = "refused"
)

// LinkInfo describes one peer on one topic, for status.
type LinkInfo struct {
	Topic    [32]byte // the secret: map it to a space, never print it
	Device   identity.PublicKey
	Identity identity.ID // zero until a link was up
	Name     string
	State    State
	Since    time.Time // of State
	RTT      time.Duration
	Err      error // why the last link or try ended
}
