package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

const (
	// maxGuests is how many links one invitation serves at once: whoever has it
	// can come as any number of devices.
	maxGuests = 16
	// Tolerance is how long after its expiry an invitation still works: clocks
	// of different people differ.
	Tolerance = 5 * time.Minute
)

var (
	errCrowd   = errors.New("too many guests with one invitation")
	errTwoHost = errors.New("another host of the same invitation")
)

// Common is what every host may be told. All of it may be zero.
type Common struct {
	Signal func() []string     // servers that a new member should know
	Met    func(urls []string) // is told the servers of a new member
	Log    *slog.Logger
	Now    func() time.Time
}

func (c Common) complete() Common {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// A judge decides on a request. wait tells the guest that a person is asked.
type judge func(ctx context.Context, l *mesh.Link, req request, wait func() error) (answer, *refusal)

// A host serves guests on links.
type host struct {
	Common
	door  chan struct{} // holds a token for each link
	first *here         // nil: the host says nothing before the guest does
	judge judge
}

func newHost(c Common, first *here, j judge) *host {
	return &host{Common: c.complete(), door: make(chan struct{}, maxGuests), first: first, judge: j}
}

// Waits says that hosts have nothing to say to each other; see mesh.Waiter.
func (h *host) Waits() {}

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
	if h.first != nil {
		if err := conn.Send(frameHere, h.first); err != nil {
			return fmt.Errorf("greeting a guest: %w", err)
		}
	}
	req, err := readRequest(l, conn)
	if err != nil {
		return err
	}
	ans, no := h.judge(ctx, l, req, func() error { return conn.WriteFrame(frameWait, nil) })
	if no != nil {
		h.Log.Info("guest refused", "device", l.Peer.Device, "name", l.Peer.Name, "why", no.err())
		if err := conn.Send(frameRefusal, no); err != nil {
			return fmt.Errorf("refusing a guest: %w", err)
		}
		if no.Reason == reasonPIN || no.Reason == reasonFailed {
			return no.err() // another try may be right
		}
		return fmt.Errorf("%w: %w", mesh.ErrRefused, no.err())
	}
	if urls := signals(req.Signal); len(urls) > 0 && h.Met != nil {
		h.Met(urls)
	}
	if err := h.welcome(conn, ans); err != nil {
		return fmt.Errorf("answering a guest: %w", err)
	}
	h.Log.Info("guest admitted", "identity", l.Peer.Identity.Short(), "name", l.Peer.Name)
	return nil
}

func readRequest(l *mesh.Link, conn *wire.Conn) (req request, err error) {
	frame, err := readFrame(l, conn, patience)
	if err != nil {
		return req, fmt.Errorf("waiting for the guest: %w", err)
	}
	switch frame.Type {
	case frameHere:
		return req, fmt.Errorf("%w: %w", mesh.ErrRefused, errTwoHost)
	case frameRequest:
	default:
		return req, fmt.Errorf("%w: a guest began with frame %d", mesh.ErrRefused, frame.Type)
	}
	if err := frame.Decode(&req); err != nil {
		return req, fmt.Errorf("%w: request of a guest: %w", mesh.ErrRefused, err)
	}
	return req, nil
}

// welcome sends the credentials, then the keys.
func (h *host) welcome(conn *wire.Conn, ans answer) error {
	for rest := ans.Credentials; len(rest) > 0; {
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
	out := welcome{Keys: ans.Keys, Name: ans.Name, Extra: ans.extra}
	if h.Signal != nil {
		out.Signal = signals(h.Signal())
	}
	return conn.Send(frameWelcome, out)
}

// Space is what the host of a Link needs of the space; *space.Space is one.
type Space interface {
	ID() identity.ID
	OpenInvites() []membership.Invitation
	// RedeemInvite admits the identity of chain, durably.
	RedeemInvite(invite identity.ID, chain, sig []byte) (space.Admission, error)
	Member(device identity.PublicKey) bool
}

// HostLink returns the handler to join to the topic of an INVITE of s. Every
// member's device may; it is needed while the INVITE is in force.
func HostLink(s Space, invite identity.ID, c Common) mesh.Handler {
	d := desk{s, invite, c.complete()}
	return newHost(c, &here{Invite: invite}, d.judge)
}

// A desk lets in the guests of one INVITE.
type desk struct {
	space  Space
	invite identity.ID
	Common
}

// judge decides. The reasons are told only to somebody who has the link.
func (d desk) judge(_ context.Context, l *mesh.Link, req request, _ func() error) (answer, *refusal) {
	inv, ok := d.look()
	if !ok {
		return answer{}, &refusal{Reason: reasonRevoked, Text: "not known"}
	}
	proof := linkProof{Space: d.space.ID(), Device: l.Peer.Device, Exporter: l.Exporter}
	if !identity.Verify(inv.Pub, contextProof, proof.encode(), req.Proof) {
		return answer{}, &refusal{Reason: reasonWrong, Text: "wrong secret"}
	}
	if no := checkGuest(l, req); no != nil {
		return answer{}, no
	}
	if no := d.open(inv, l.Peer.Identity); no != nil {
		return answer{}, no
	}
	adm, err := d.space.RedeemInvite(d.invite, req.Chain, req.Redeem)
	if err != nil {
		return answer{}, d.why(err, l.Peer.Identity)
	}
	if !d.space.Member(l.Peer.Device) {
		// Its chain is true and old: the device was revoked since, and still has
		// the link that it came by.
		return answer{}, &refusal{Reason: reasonGuest, Text: "the device does not act for its identity any more"}
	}
	return answer{Admission: adm}, nil
}

// look returns what is known of the INVITE now.
func (d desk) look() (membership.Invitation, bool) {
	all := d.space.OpenInvites()
	i := slices.IndexFunc(all, func(in membership.Invitation) bool { return in.ID == d.invite })
	if i < 0 {
		return membership.Invitation{}, false
	}
	return all[i], true
}

// open reports whether the invitation lets who in now.
func (d desk) open(inv membership.Invitation, who identity.ID) *refusal {
	switch {
	case slices.Contains(inv.Used, who):
		return nil // again: the answer got lost, or it is another device of theirs
	case inv.Revoked:
		return &refusal{Reason: reasonRevoked, Text: "withdrawn"}
	case uint32(len(inv.Used)) >= inv.Uses:
		return &refusal{Reason: reasonUsed, Text: "used"}
	case !inv.Expires.IsZero() && d.Now().After(inv.Expires.Add(Tolerance)):
		return &refusal{Reason: reasonExpired, Text: "expired"}
	}
	return nil
}

// why translates an error of the space. Two guests may have come at once, so
// the invitation is looked at again.
func (d desk) why(err error, who identity.ID) *refusal {
	d.Log.Warn("invitation could not be redeemed", "err", err)
	if inv, ok := d.look(); ok && !errors.Is(err, membership.ErrNotAllowed) {
		if no := d.open(inv, who); no != nil {
			return no
		}
	}
	return cannot(err)
}

// cannot is what a guest is told of an error of the host.
func cannot(err error) *refusal {
	switch {
	case errors.Is(err, ErrUsed):
		return &refusal{Reason: reasonUsed, Text: "used"}
	case errors.Is(err, membership.ErrNotAllowed):
		return &refusal{Reason: reasonHost, Text: "the host may not admit"}
	}
	return &refusal{Reason: reasonFailed, Text: "the invitation could not be redeemed"}
}

// checkGuest reports whether the guest of a link is who its request says.
func checkGuest(l *mesh.Link, req request) *refusal {
	who, err := identity.VerifyChain(req.Chain, l.Peer.Device)
	if err != nil || who.Identity != l.Peer.Identity {
		return &refusal{Reason: reasonGuest, Text: "the chain is not that of this device"}
	}
	return nil
}
