package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// Somebody who has a card can bring invitations too, without a space that both
// are in. The card's device waits on the card's topic. Who comes there must first
// prove, for this one link, to have the card: a signaling server that saw the
// topic has not. The sender talks to the card's device only.

// knock proves that the sender has the card.
type knock struct {
	Proof []byte `cbor:"1,keyasint"`
}

// errNoCard reports a sender who does not have the card.
var errNoCard = errors.New("they do not have the card")

// A CardInbox takes invitations from whoever has a card of this device.
type CardInbox struct {
	Card invitation.Card
	// Keep keeps an invitation, durably. An error says that it is not wanted.
	Keep func(from identity.Profile, inv invitation.Invitation) error
	Log  *slog.Logger
}

// Waits says that inboxes have nothing to say to each other; see mesh.Waiter.
func (in CardInbox) Waits() {}

// Link takes letters.
func (in CardInbox) Link(ctx context.Context, l *mesh.Link) error {
	defer closeWhenDone(ctx, l)()
	conn := wire.NewConn(l.Sync, inboxLimits)
	if err := conn.Send(frameHere, here{}); err != nil {
		return fmt.Errorf("opening the inbox of a card: %w", err)
	}
	frame, err := readFrame(l, conn, patience)
	if err != nil {
		return fmt.Errorf("waiting for a knock: %w", err)
	}
	var k knock
	if frame.Type == frameKnock {
		err = frame.Decode(&k)
	}
	if err != nil || !in.Card.Proves(l.Exporter, l.Peer.Device, k.Proof) {
		return fmt.Errorf("%w: frame %d: %w", mesh.ErrRefused, frame.Type, errors.Join(err, errNoCard))
	}
	return take(l, conn, in.Keep, in.Log)
}

// A CardPostman brings invitations to the device of a card.
type CardPostman struct {
	Card invitation.Card
	Self identity.PublicKey // this device
	// Letters returns what is to be delivered: Links.
	Letters func() []invitation.Invitation
	// Delivered is called for each that the device has, perhaps more than once.
	Delivered func(inv invitation.Invitation)
}

// Seeks says that a postman looks for inboxes; see mesh.Seeker.
func (p CardPostman) Seeks() {}

// Link brings the letters to the card's device.
func (p CardPostman) Link(ctx context.Context, l *mesh.Link) error {
	if l.Peer.Device != p.Card.Device || l.Peer.Identity != p.Card.Identity {
		return fmt.Errorf("%w: %w", mesh.ErrRefused, errNotThem)
	}
	defer closeWhenDone(ctx, l)()
	conn := wire.NewConn(l.Sync, inboxLimits)
	if frame, err := readFrame(l, conn, patience); err != nil || frame.Type != frameHere {
		return fmt.Errorf("waiting for the inbox: frame %d: %w", frame.Type, errors.Join(err, errNotThem))
	}
	letters := p.Letters()
	if len(letters) == 0 {
		return fmt.Errorf("%w: everything is delivered", mesh.ErrRefused)
	}
	if err := conn.Send(frameKnock, knock{p.Card.Prove(l.Exporter, p.Self)}); err != nil {
		return fmt.Errorf("knocking: %w", err)
	}
	return bring(l, conn, letters, p.Delivered)
}
