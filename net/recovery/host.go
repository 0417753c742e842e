package recovery

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// A Host helps whoever has the words of one public key. Join its handler to the
// Topic of that.
type Host struct {
	words identity.PublicKey
	self  identity.PublicKey
	help  func() (Help, bool)
	log   *slog.Logger
	door  chan struct{} // holds a token for each link
}

// NewHost returns the host of the device self for the words of a public key. help
// returns what to tell, and whether those are still words of somebody we know.
func NewHost(self, words identity.PublicKey, help func() (Help, bool), log *slog.Logger) *Host {
	return &Host{words: words, self: self, help: help, log: log, door: make(chan struct{}, maxGuests)}
}

// Waits says that hosts have nothing to say to each other; see mesh.Waiter.
func (h *Host) Waits() {}

// Link serves one guest.
func (h *Host) Link(ctx context.Context, l *mesh.Link) error {
	select {
	case h.door <- struct{}{}:
		defer func() { <-h.door }()
	default:
		return errCrowd
	}
	defer closeWhenDone(ctx, l)()
	conn := wire.NewConn(l.Sync, limits)
	frame, err := readFrame(l, conn)
	if err != nil {
		return fmt.Errorf("waiting for the guest: %w", err)
	}
	var a ask
	if frame.Type != frameAsk {
		return fmt.Errorf("%w: %w", mesh.ErrRefused, errProtocol)
	}
	if err := frame.Decode(&a); err != nil {
		return fmt.Errorf("%w: %w", mesh.ErrRefused, err)
	}
	p := proof{Device: l.Peer.Device, Host: h.self, Exporter: l.Exporter}
	help, known := Help{}, false
	if identity.Verify(h.words, contextAsk, p.encode(), a.Sig) {
		help, known = h.help()
	}
	if !known {
		h.log.Warn("somebody wanted to recover an identity and did not have its words", "device", l.Peer.Device)
		if err := conn.WriteFrame(frameRefusal, nil); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", mesh.ErrRefused, errWords)
	}
	if err := send(conn, help); err != nil {
		return fmt.Errorf("helping to recover an identity: %w", err)
	}
	h.log.Info("an identity is being recovered", "device", l.Peer.Device)
	return nil
}

// send sends help, as much of it as a guest takes: boxes first, which tell most.
func send(conn *wire.Conn, help Help) error {
	left := MaxHelp
	if err := conn.WriteFrame(frameChain, help.Chain); err != nil {
		return err
	}
	for _, part := range []struct {
		frame wire.Type
		list  [][]byte
	}{{frameBox, help.Boxes}, {frameSpace, help.Spaces}} {
		for _, data := range part.list[:min(len(part.list), MaxSpaces)] {
			if left -= len(data); left < 0 {
				break
			}
			if err := conn.WriteFrame(part.frame, data); err != nil {
				return err
			}
		}
	}
	return conn.WriteFrame(frameEnd, nil)
}
