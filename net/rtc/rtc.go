// Package rtc connects two devices by WebRTC data channels and presents them
// as byte streams.
package rtc

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Names of the streams every connection has.
const (
	Control = "control" // small messages of the mesh itself
	Sync    = "sync"
	Blobs   = "blobs"
)

// A Server is a STUN or TURN server.
type Server struct {
	URLs     []string
	Username string
	Password string
}

// Config has useful zero values.
type Config struct {
	Log     *slog.Logger
	Servers []Server      // none: only addresses of this machine are offered
	Gather  time.Duration // longest wait for candidates; 0 is 2 s
}

// API makes connections.
type API struct{ cfg Config }

// New returns an API.
func New(cfg Config) *API { return &API{cfg: cfg} }

// A Peer is one connection.
type Peer struct{}

// Offer starts a connection. The offer goes to the other side's Answer.
func (a *API) Offer(ctx context.Context) (*Peer, []byte, error) { panic("not yet") }

// Accept completes a connection that Offer began.
func (p *Peer) Accept(answer []byte) error { panic("not yet") }

// Answer completes a connection that the other side offered.
func (a *API) Answer(ctx context.Context, offer []byte) (*Peer, []byte, error) { panic("not yet") }

// Stream returns the stream of that name, once the connection is up.
func (p *Peer) Stream(ctx context.Context, name string) (net.Conn, error) { panic("not yet") }

// Done is closed when the connection has ended.
func (p *Peer) Done() <-chan struct{} { panic("not yet") }

// Close ends the connection.
func (p *Peer) Close() error { panic("not yet") }
