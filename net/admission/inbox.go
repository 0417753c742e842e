package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// An invitation to somebody one knows travels over a link of its own: the
// sender comes to the topic where the devices of the other wait, which follows
// from a space that both are in. What arrives is only kept and shown; it takes
// effect when its person joins.

const (
	frameLetter wire.Type = 7
	frameThanks wire.Type = 8
	frameKnock  wire.Type = 9

	maxLetter  = 8 << 10
	maxLetters = 64 // on one link
)

var inboxLimits = wire.Limits{frameHere: 64, frameLetter: maxLetter, frameThanks: 0, frameKnock: 64}

// letter is what a sender says.
type letter struct {
	Invitation string `cbor:"1,keyasint"` // the text of a Link
}

// errNotThem reports a device on an inbox's topic that is nobody to talk to.
var errNotThem = errors.New("not a device of the one who is meant")

// InboxTopic is where the devices of who wait for letters from the members of a
// space; topic is one of that space.
func InboxTopic(topic [32]byte, who identity.ID) [32]byte {
	return identity.Hash("echo/inbox/1", append(topic[:], who[:]...))
}

// An Inbox takes invitations from members of a space.
type Inbox struct {
	// Member tells for whom a device of the space acts, if for a member.
	Member func(device identity.PublicKey) (identity.ID, bool)
	// Keep keeps an invitation, durably. An error says that it is not wanted.
	Keep func(from identity.Profile, inv invitation.Invitation) error
	Log  *slog.Logger
}

// Waits says that inboxes have nothing to say to each other; see mesh.Waiter.
func (in Inbox) Waits() {}

// Link takes letters.
func (in Inbox) Link(ctx context.Context, l *mesh.Link) error {
	if who, ok := in.Member(l.Peer.Device); !ok || who != l.Peer.Identity {
		return fmt.Errorf("%w: not a member", mesh.ErrRefused)
	}
	defer closeWhenDone(ctx, l)()
	conn := wire.NewConn(l.Sync, inboxLimits)
	if err := conn.Send(frameHere, here{}); err != nil {
		return fmt.Errorf("opening the inbox: %w", err)
	}
	return take(l, conn, in.Keep, in.Log)
}

// A keep keeps an invitation, or says that it is not wanted.
type keep func(from identity.Profile, inv invitation.Invitation) error

// take takes all letters that a link brings.
func take(l *mesh.Link, conn *wire.Conn, keep keep, log *slog.Logger) error {
	for range maxLetters {
		frame, err := readFrame(l, conn, patience)
		if errors.Is(err, io.EOF) {
			return nil // that was all; a sender with another one may call at once
		}
		if err != nil {
			return fmt.Errorf("waiting for a letter: %w", err)
		}
		if frame.Type != frameLetter { // another device that waits
			return fmt.Errorf("%w: %w", mesh.ErrRefused, errNotThem)
		}
		if err := takeOne(l, frame, keep, log); err != nil {
			return fmt.Errorf("taking a letter: %w", err)
		}
		if err := conn.WriteFrame(frameThanks, nil); err != nil {
			return fmt.Errorf("thanking for a letter: %w", err)
		}
	}
	return nil
}

// takeOne keeps one letter. A sender of nonsense is refused; one who is not
// wanted now, because too many wait, may come again later.
func takeOne(l *mesh.Link, frame wire.Frame, keep keep, log *slog.Logger) error {
	var letter letter
	err := frame.Decode(&letter)
	var inv invitation.Invitation
	if err == nil {
		inv, err = invitation.Parse(letter.Invitation)
	}
	if err == nil && inv.Kind != invitation.Link {
		err = invitation.ErrInvalid
	}
	if err != nil {
		log.Info("what was sent is no invitation", "from", l.Peer.Name, "err", err)
		return fmt.Errorf("%w: %w", mesh.ErrRefused, err)
	}
	if err := keep(l.Peer, inv); err != nil {
		log.Debug("an invitation is not taken", "from", l.Peer.Name, "err", err)
		return err
	}
	return nil
}

// A Postman brings invitations to the inbox of To.
type Postman struct {
	To identity.ID
	// Member tells for whom a device of the space acts, if for a member.
	Member func(device identity.PublicKey) (identity.ID, bool)
	// Letters returns what is to be delivered: Links.
	Letters func() []invitation.Invitation
	// Delivered is called for each that one of their devices has, perhaps more
	// than once.
	Delivered func(inv invitation.Invitation)
}

// Seeks says that a postman looks for inboxes; see mesh.Seeker.
func (p Postman) Seeks() {}

// Link brings the letters to one device.
func (p Postman) Link(ctx context.Context, l *mesh.Link) error {
	// The peer's own chain is not enough: a device that was revoked has an old one.
	if who, ok := p.Member(l.Peer.Device); !ok || who != p.To || l.Peer.Identity != p.To {
		return fmt.Errorf("%w: %w", mesh.ErrRefused, errNotThem)
	}
	defer closeWhenDone(ctx, l)()
	conn := wire.NewConn(l.Sync, inboxLimits)
	if frame, err := readFrame(l, conn, patience); err != nil || frame.Type != frameHere {
		return fmt.Errorf("waiting for the inbox: frame %d: %w", frame.Type, errors.Join(err, errNotThem))
	}
	return bring(l, conn, p.Letters(), p.Delivered)
}

// bring brings letters to a device that takes them.
func bring(l *mesh.Link, conn *wire.Conn, letters []invitation.Invitation, delivered func(invitation.Invitation)) error {
	for _, inv := range letters {
		if err := conn.Send(frameLetter, letter{Invitation: inv.String()}); err != nil {
			return fmt.Errorf("delivering an invitation: %w", err)
		}
		if frame, err := readFrame(l, conn, patience); err != nil || frame.Type != frameThanks {
			return fmt.Errorf("waiting for thanks: frame %d: %w", frame.Type, errors.Join(err, errNotThem))
		}
		delivered(inv)
	}
	return fmt.Errorf("%w: everything is delivered", mesh.ErrRefused) // nothing more to say soon
}
