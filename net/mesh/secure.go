package mesh

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/net/rtc"
	"github.com/echofs/echofs/net/signaling"
	"github.com/echofs/echofs/net/wire"
)

const (
	protocol     = "mesh/1" // ALPN
	helloVersion = 1
	helloFrame   = wire.Type(1)
	exportHello  = "EXPORTER-echo-hello"
	exportLink   = "EXPORTER-echo-link"
)

// Errors of a peer that is not who it should be.
var (
	ErrWrongDevice = errors.New("the other end of the connection is not the device that called")
	errHello       = errors.New("the peer's hello is not valid")
)

// hello is the first frame inside TLS on each stream, from both sides.
type hello struct {
	Version uint64 `cbor:"1,keyasint"`
	Chain   []byte `cbor:"2,keyasint,omitempty"` // on the sync stream only
	Sig     []byte `cbor:"3,keyasint"`           // of a binding
}

// binding is what a hello signs. It ties the device to this TLS session, and
// the blobs stream to the sync stream of the same link.
type binding struct {
	Version   uint64            `cbor:"1,keyasint"`
	Stream    string            `cbor:"2,keyasint"`
	Initiator bool              `cbor:"3,keyasint"` // who signs
	Topic     signaling.TopicID `cbor:"4,keyasint"`
	Exporter  []byte            `cbor:"5,keyasint"` // of this stream
	Link      []byte            `cbor:"6,keyasint"` // of the sync stream
}

func helloLimits() wire.Limits { return wire.Limits{helloFrame: identity.MaxChain + 256} }

// secure turns a connection into a link to device, or closes it.
func (s *swarm) secure(ctx context.Context, conn *rtc.Peer, device identity.PublicKey, from route, initiator bool) (_ *live, err error) {
	// What blocks below ends when the connection does.
	stop := context.AfterFunc(ctx, func() { conn.Abort(ctx.Err()) })
	defer stop()
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	control, err := conn.Stream(ctx, rtc.Control)
	if err != nil {
		return nil, err
	}
	rawSync, err := conn.Stream(ctx, rtc.Sync)
	if err != nil {
		return nil, err
	}
	rawBlobs, err := conn.Stream(ctx, rtc.Blobs)
	if err != nil {
		return nil, err
	}
	cfg, err := tlsConfig(s.mesh.cfg.Device, device)
	if err != nil {
		return nil, err
	}
	sync, blobs := wrap(rawSync, cfg, initiator), wrap(rawBlobs, cfg, initiator)
	if err := handshakes(ctx, sync, blobs); err != nil {
		return nil, fmt.Errorf("authenticating: %w", err)
	}
	profile, err := s.greet(sync, blobs, device, initiator)
	if err != nil {
		return nil, err
	}
	exporter, err := export(sync, exportLink)
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	l := &live{
		Link: Link{Peer: profile, Sync: sync, Blobs: blobs, Exporter: exporter, Initiator: initiator},
		conn: conn, control: control, from: from, mesh: s.mesh,
	}
	return l, nil
}

// tlsConfig pins the key of the other end.
func tlsConfig(self *identity.Device, peer identity.PublicKey) (*tls.Config, error) {
	cert, err := self.TLSCertificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		NextProtos:             []string{protocol},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		// No authority signs device certificates: VerifyConnection checks the key.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return verify(cs, peer) },
		// One record is one message of the data channel.
		DynamicRecordSizingDisabled: true,
	}, nil
}

func verify(cs tls.ConnectionState, peer identity.PublicKey) error {
	if cs.NegotiatedProtocol != protocol {
		return fmt.Errorf("the other end speaks %q, not %s: is its echofs newer?", cs.NegotiatedProtocol, protocol)
	}
	if len(cs.PeerCertificates) != 1 {
		return ErrWrongDevice
	}
	key, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || !key.Equal(ed25519.PublicKey(peer[:])) {
		return ErrWrongDevice
	}
	return nil
}

func wrap(c net.Conn, cfg *tls.Config, initiator bool) *tls.Conn {
	if initiator {
		return tls.Client(c, cfg)
	}
	return tls.Server(c, cfg)
}

// handshakes runs them at the same time, to pay the round trips once.
func handshakes(ctx context.Context, a, b *tls.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var errs [2]error
	var wg sync.WaitGroup
	for i, c := range []*tls.Conn{a, b} {
		wg.Go(func() {
			if errs[i] = c.HandshakeContext(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

func export(c *tls.Conn, label string) ([]byte, error) {
	cs := c.ConnectionState()
	return cs.ExportKeyingMaterial(label, nil, 32)
}

// greet exchanges hellos on both streams and returns whom the peer acts for.
func (s *swarm) greet(sync, blobs *tls.Conn, device identity.PublicKey, initiator bool) (identity.Profile, error) {
	link, err := export(sync, exportHello)
	if err != nil {
		return identity.Profile{}, err
	}
	for _, c := range []*tls.Conn{sync, blobs} {
		if err := s.sayHello(c, c == sync, link, initiator); err != nil {
			return identity.Profile{}, fmt.Errorf("greeting: %w", err)
		}
	}
	chain, err := s.hearHello(sync, true, link, device, !initiator)
	if err != nil {
		return identity.Profile{}, err
	}
	if _, err := s.hearHello(blobs, false, link, device, !initiator); err != nil {
		return identity.Profile{}, err
	}
	profile, err := identity.VerifyChain(chain, device)
	if err != nil {
		return identity.Profile{}, fmt.Errorf("%w: %w", ErrWrongDevice, err)
	}
	return profile, nil
}

// bind returns what a hello on c signs.
func (s *swarm) bind(c *tls.Conn, main bool, link []byte, initiator bool) ([]byte, error) {
	own, err := export(c, exportHello)
	if err != nil {
		return nil, err
	}
	b := binding{Version: helloVersion, Stream: rtc.Blobs, Initiator: initiator, Topic: s.id, Exporter: own, Link: link}
	if main {
		b.Stream = rtc.Sync
	}
	return codec.Marshal(b)
}

func (s *swarm) sayHello(c *tls.Conn, main bool, link []byte, initiator bool) error {
	body, err := s.bind(c, main, link, initiator)
	if err != nil {
		return err
	}
	self := s.mesh.cfg.Device
	h := hello{Version: helloVersion, Sig: self.Sign(identity.ContextHello, body)}
	if main {
		h.Chain = self.Chain()
	}
	return wire.NewConn(c, helloLimits()).Send(helloFrame, h)
}

func (s *swarm) hearHello(c *tls.Conn, main bool, link []byte, device identity.PublicKey, initiator bool) (chain []byte, err error) {
	f, err := wire.ReadFrame(c, helloLimits())
	if err != nil {
		return nil, fmt.Errorf("waiting for the peer's hello: %w", err)
	}
	h, err := decodeHello(f, main)
	if err != nil {
		return nil, err
	}
	body, err := s.bind(c, main, link, initiator)
	if err != nil {
		return nil, err
	}
	if !identity.Verify(device, identity.ContextHello, body, h.Sig) {
		return nil, fmt.Errorf("%w: wrong signature", errHello)
	}
	return h.Chain, nil
}

// decodeHello reads a hello of the sync stream, which is the main one, or of
// the other.
func decodeHello(f wire.Frame, main bool) (hello, error) {
	var h hello
	if err := f.Decode(&h); err != nil {
		return hello{}, fmt.Errorf("%w: %w", errHello, err)
	}
	if h.Version != helloVersion {
		return hello{}, fmt.Errorf("%w: version %d, this device speaks %d", errHello, h.Version, helloVersion)
	}
	if main != (len(h.Chain) > 0) {
		return hello{}, fmt.Errorf("%w: the chain belongs on the %s stream, and only there", errHello, rtc.Sync)
	}
	return h, nil
}
