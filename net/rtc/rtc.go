// Package rtc connects two devices by WebRTC data channels and presents them
// as byte streams. It is the only package that knows pion.
//
// A connection is made by three steps that the caller carries through any
// signaling it has: Offer on one side, Answer on the other, Accept with the
// answer on the first. Every connection has the streams Control, Sync and
// Blobs, each with its own flow control: a stream nobody reads stops its own
// writer and no other.
//
// WebRTC alone does not say who is at the other end. Package mesh does.
//
// # Concurrency
//
// All methods may be called from any goroutine. A Peer runs goroutines from
// Offer or Answer until Close, which must always be called.
package rtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
)

// Names of the streams every connection has.
const (
	Control = "control" // small messages of the mesh itself
	Sync    = "sync"
	Blobs   = "blobs"
)

// names in the order of their SCTP stream numbers, which are part of the
// protocol: both sides open them without asking.
func names() []string { return []string{Control, Sync, Blobs} }

const (
	receiveBuffer  = 8 << 20 // SCTP; above the sum of the windows of all streams
	socketBuffer   = 4 << 20 // UDP; the default of the system bounds long paths to 2 MB/s
	maxDescription = 64 << 10
	maxCandidates  = 256                    // in a description; each address has two
	relayWait      = 300 * time.Millisecond // before a relayed path is accepted
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
func New(cfg Config) *API {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Gather == 0 {
		cfg.Gather = 2 * time.Second
	}
	return &API{cfg: cfg}
}

// ErrDescription reports an offer or answer that is not one.
var ErrDescription = errors.New("not a usable WebRTC description")

// Offer starts a connection. The offer goes to the other side's Answer.
func (a *API) Offer(ctx context.Context) (*Peer, []byte, error) {
	return a.open(ctx, func(pc *webrtc.PeerConnection) (webrtc.SessionDescription, error) {
		return pc.CreateOffer(nil)
	})
}

// Answer completes a connection that the other side offered.
func (a *API) Answer(ctx context.Context, offer []byte) (*Peer, []byte, error) {
	return a.open(ctx, func(pc *webrtc.PeerConnection) (webrtc.SessionDescription, error) {
		if err := setRemote(pc, webrtc.SDPTypeOffer, offer); err != nil {
			return webrtc.SessionDescription{}, err
		}
		return pc.CreateAnswer(nil)
	})
}

// open makes a connection and waits for its addresses.
func (a *API) open(ctx context.Context, describe func(*webrtc.PeerConnection) (webrtc.SessionDescription, error)) (*Peer, []byte, error) {
	pc, err := a.connection()
	if err != nil {
		return nil, nil, fmt.Errorf("preparing a connection: %w", err)
	}
	p, err := newPeer(pc, a.cfg.Log)
	if err != nil {
		return nil, nil, errors.Join(err, pc.Close())
	}
	local, err := a.gather(ctx, pc, describe)
	if err != nil {
		return nil, nil, errors.Join(err, p.Close())
	}
	return p, local, nil
}

func (a *API) gather(ctx context.Context, pc *webrtc.PeerConnection, describe func(*webrtc.PeerConnection) (webrtc.SessionDescription, error)) (_ []byte, err error) {
	defer recovered(&err)
	desc, err := describe(pc)
	if err != nil {
		return nil, fmt.Errorf("describing a connection: %w", err)
	}
	complete := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(desc); err != nil {
		return nil, fmt.Errorf("gathering addresses: %w", err)
	}
	// A STUN server that does not answer must not hold up a connection that
	// needs none: after a while the addresses we have must do.
	enough := time.NewTimer(a.cfg.Gather)
	defer enough.Stop()
	select {
	case <-complete:
	case <-enough.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return []byte(pc.LocalDescription().SDP), nil
}

// connection returns a pion connection: UDP only, loopback included, no names of
// mDNS, the first path that works is taken, and only a relayed one has to wait
// for better ones.
func (a *API) connection() (*webrtc.PeerConnection, error) {
	network, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("listing the network interfaces: %w", err)
	}
	var s webrtc.SettingEngine
	s.LoggerFactory = loggers{a.cfg.Log}
	s.DetachDataChannels()
	s.SetNet(network)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetRelayAcceptanceMinWait(relayWait)
	s.SetICETimeouts(10*time.Second, 30*time.Second, 2*time.Second)
	s.SetSCTPMaxReceiveBufferSize(receiveBuffer)
	var servers []webrtc.ICEServer
	for _, srv := range a.cfg.Servers {
		ice := webrtc.ICEServer{URLs: srv.URLs}
		if srv.Username != "" {
			ice.Username, ice.Credential = srv.Username, srv.Password
		}
		servers = append(servers, ice)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(&webrtc.MediaEngine{}))
	return api.NewPeerConnection(webrtc.Configuration{ICEServers: servers})
}

func setRemote(pc *webrtc.PeerConnection, typ webrtc.SDPType, sdp []byte) (err error) {
	defer recovered(&err)
	if len(sdp) == 0 || len(sdp) > maxDescription {
		return fmt.Errorf("%w: %d bytes", ErrDescription, len(sdp))
	}
	// Each is called from here several times, whoever has that address.
	if n := bytes.Count(sdp, []byte("a=candidate:")); n > maxCandidates {
		return fmt.Errorf("%w: %d addresses", ErrDescription, n)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: typ, SDP: string(sdp)}); err != nil {
		return fmt.Errorf("%w: %w", ErrDescription, err)
	}
	return nil
}

// recovered turns a panic of pion's parsers into an error: what they parse
// comes from the other side.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDescription, r)
	}
}

// channel is what a stream needs of a detached data channel.
type channel interface {
	io.ReadWriteCloser
	BufferedAmount() uint64
	SetBufferedAmountLowThreshold(uint64)
	OnBufferedAmountLow(func())
}
