package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// patience is how long one side waits for the other's next frame.
const patience = 20 * time.Second

// Space is what a host needs of the space it invites to; *space.Space is one.
type Space interface {
	ID() identity.ID
	Name() string
	Redeem(secretHash [32]byte, chain []byte, now time.Time) (space.Admission, error)
}

// Invitation is what the guest of in is given: the text is its String, the
// place to meet its Topic.
func Invitation(s Space, host identity.PublicKey, in space.Invite, signal []string) invitation.Invitation {
	return invitation.Invitation{
		Kind:    invitation.PIN,
		Space:   s.ID(),
		Secret:  in.Secret,
		Host:    host,
		Role:    in.Role,
		Expires: in.Expires.UTC().Truncate(time.Second),
		Signal:  signal,
		Name:    s.Name(),
	}
}

// HostConfig says what a host offers. Log and Now may be nil.
type HostConfig struct {
	Space      Space
	Invitation invitation.Invitation
	Signal     func() []string     // servers that a new member should know; may be nil
	Met        func(urls []string) // is told the servers of a new member; may be nil
	Log        *slog.Logger
	Now        func() time.Time
}

// maxGuests is how many links one invitation serves at once: whoever has it can
// come as any number of devices.
const maxGuests = 16

var errCrowd = errors.New("too many guests with one invitation")

type host struct {
	cfg  HostConfig
	door chan struct{} // holds a token for each link
}

// Host returns the handler to join to the invitation's topic. It is needed
// until the invitation has expired or been withdrawn; a used one should stay
// for some minutes, so that a guest whose answer got lost can ask again.
func Host(cfg HostConfig) mesh.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &host{cfg, make(chan struct{}, maxGuests)}
}

// Link serves one guest.
func (h *host) Link(ctx context.Context, l *mesh.Link) error {
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
	if frame.Type != frameRequest {
		return fmt.Errorf("%w: a guest began with frame %d", mesh.ErrRefused, frame.Type)
	}
	var req request
	if err := frame.Decode(&req); err != nil {
		return fmt.Errorf("%w: request of a guest: %w", mesh.ErrRefused, err)
	}
	adm, no := h.admit(l, req)
	if no != nil {
		h.cfg.Log.Info("guest refused", "device", l.Peer.Device, "name", l.Peer.Name, "why", no.err())
		if err := conn.Send(frameRefusal, no); err != nil {
			return fmt.Errorf("refusing a guest: %w", err)
		}
		return fmt.Errorf("%w: %w", mesh.ErrRefused, no.err())
	}
	if urls := signals(req.Signal); len(urls) > 0 && h.cfg.Met != nil {
		h.cfg.Met(urls)
	}
	if err := h.welcome(conn, adm); err != nil {
		return fmt.Errorf("answering a guest: %w", err)
	}
	h.cfg.Log.Info("guest admitted", "space", h.cfg.Space.Name(), "identity", l.Peer.Identity.Short(), "name", l.Peer.Name)
	return nil
}

// admit decides. The reasons are told only to somebody who has the secret.
func (h *host) admit(l *mesh.Link, req request) (space.Admission, *refusal) {
	inv := h.cfg.Invitation
	if !inv.CheckProof(l.Exporter, req.Proof) {
		return space.Admission{}, &refusal{Reason: reasonWrong, Text: "wrong secret"}
	}
	who, err := identity.VerifyChain(req.Chain, l.Peer.Device)
	if err != nil || who.Device != l.Peer.Device || who.Identity != l.Peer.Identity {
		return space.Admission{}, &refusal{Reason: reasonGuest, Text: "the chain is not that of this device"}
	}
	adm, err := h.cfg.Space.Redeem(inv.SecretHash(), req.Chain, h.cfg.Now())
	switch {
	case err == nil:
		return adm, nil
	case errors.Is(err, space.ErrUsed):
		return space.Admission{}, &refusal{Reason: reasonUsed, Text: "used"}
	case errors.Is(err, invitation.ErrExpired):
		return space.Admission{}, &refusal{Reason: reasonExpired, Text: "expired"}
	case errors.Is(err, space.ErrNoInvitation):
		return space.Admission{}, &refusal{Reason: reasonRevoked, Text: "withdrawn"}
	}
	h.cfg.Log.Warn("invitation could not be redeemed", "space", h.cfg.Space.Name(), "err", err)
	return space.Admission{}, &refusal{Reason: reasonFailed, Text: "the invitation could not be redeemed"}
}

// welcome sends the credentials, then the key.
func (h *host) welcome(conn *wire.Conn, adm space.Admission) error {
	for rest := adm.Credentials; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < 1024 && (n == 0 || size+len(rest[n]) <= maxBatch) {
			size += len(rest[n])
			n++
		}
		if err := conn.Send(frameCredentials, credentials{Raw: rest[:n]}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	out := welcome{Key: adm.Key, Name: adm.Name}
	if h.cfg.Signal != nil {
		out.Signal = signals(h.cfg.Signal())
	}
	return conn.Send(frameWelcome, out)
}

// readFrame reads one frame, with patience.
func readFrame(l *mesh.Link, conn *wire.Conn) (wire.Frame, error) {
	_ = l.Sync.SetReadDeadline(time.Now().Add(patience))
	return conn.ReadFrame()
}

// closeWhenDone ends blocked calls on the link when ctx ends.
func closeWhenDone(ctx context.Context, l *mesh.Link) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = l.Sync.Close()
		_ = l.Blobs.Close()
	})
}
