package admission

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

func cardOf(d *identity.Device) invitation.Card {
	return invitation.Card{
		Identity: d.Identity(), Device: d.Key(), Secret: [32]byte{1}, Expires: time.Unix(1_900_000_000, 0).UTC(), Name: d.Name(),
	}
}

// send has a device bring n letters to another by a card.
func send(t *testing.T, from, to *identity.Device, his, hers invitation.Card, n int) (sent, kept int, err error) {
	t.Helper()
	theirs, mine := pipe(t, to, from)
	var both sync.WaitGroup
	both.Go(func() {
		_ = CardPostman{
			Card: hers, Self: from.Key(),
			Letters:   func() []invitation.Invitation { return letters(n) },
			Delivered: func(invitation.Invitation) { sent++ },
		}.Link(t.Context(), mine)
		_ = mine.Sync.Close()
	})
	both.Go(func() {
		err = CardInbox{
			Card: his, Log: slog.New(slog.DiscardHandler),
			Keep: func(who identity.Profile, _ invitation.Invitation) error {
				if who.Identity != from.Identity() {
					t.Errorf("it is from %s", who.Name)
				}
				kept++
				return nil
			},
		}.Link(t.Context(), theirs)
		_ = theirs.Sync.Close()
	})
	both.Wait()
	return sent, kept, err
}

func TestCard(t *testing.T) {
	ann, ben, eve := newDevice(t, "Ann"), newDevice(t, "Ben"), newDevice(t, "Eve")
	card := cardOf(ben)
	if sent, kept, err := send(t, ann, ben, card, card, 3); sent != 3 || kept != 3 || err != nil {
		t.Errorf("sent %d, kept %d, %v", sent, kept, err)
	}
	if sent, kept, _ := send(t, ann, ben, card, card, maxLetters+3); sent != maxLetters || kept != maxLetters {
		t.Errorf("sent %d, kept %d of too many", sent, kept)
	}
	guess := card
	guess.Secret[5]++
	if sent, kept, err := send(t, eve, ben, card, guess, 1); sent != 0 || kept != 0 || !errors.Is(err, errNoCard) {
		t.Errorf("without the card: sent %d, kept %d, %v", sent, kept, err)
	}
	if sent, kept, _ := send(t, ann, eve, card, card, 1); sent != 0 || kept != 0 {
		t.Errorf("to somebody else: sent %d, kept %d", sent, kept)
	}
	// Ben's other device, or one that says so, is not the one that is meant.
	other := card
	other.Device = eve.Key()
	if sent, kept, _ := send(t, ann, eve, other, other, 1); sent != 0 || kept != 0 {
		t.Errorf("to another identity: sent %d, kept %d", sent, kept)
	}
}

// TestKnockOfAnotherLink: what was said on one link proves nothing on another.
func TestKnockOfAnotherLink(t *testing.T) {
	ann, ben := newDevice(t, "Ann"), newDevice(t, "Ben")
	card := cardOf(ben)
	theirs, mine := pipe(t, ben, ann)
	var both sync.WaitGroup
	both.Go(func() {
		defer mine.Sync.Close()
		conn := wire.NewConn(mine.Sync, inboxLimits)
		if _, err := conn.ReadFrame(); err != nil {
			t.Error(err)
		}
		_ = conn.Send(frameKnock, knock{card.Prove([]byte("another link"), ann.Key())})
	})
	both.Go(func() {
		err := CardInbox{Card: card, Log: slog.New(slog.DiscardHandler)}.Link(t.Context(), theirs)
		if !errors.Is(err, errNoCard) {
			t.Error(err)
		}
		_ = theirs.Sync.Close()
	})
	both.Wait()
}

func TestKnockIsGolden(t *testing.T) {
	var b bytes.Buffer
	if err := wire.NewConn(&b, inboxLimits).Send(frameKnock, knock{bytes.Repeat([]byte{7}, 32)}); err != nil {
		t.Fatal(err)
	}
	golden(t, "knock", b.Bytes())
}

func FuzzCardInbox(f *testing.F) {
	ann, err := identity.NewDevice(nil, "Ann")
	if err != nil {
		f.Fatal(err)
	}
	card := cardOf(ann)
	var b bytes.Buffer
	c := wire.NewConn(&b, inboxLimits)
	if err := errors.Join(
		c.Send(frameKnock, knock{card.Prove(nil, ann.Key())}), c.Send(frameLetter, letter{letters(1)[0].String()}), c.WriteFrame(frameThanks, nil),
	); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		l := func() *mesh.Link {
			c := &script{in: bytes.NewReader(data)}
			return &mesh.Link{Peer: ann.Profile(), Sync: c, Blobs: c}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_ = CardInbox{Card: card, Log: slog.New(slog.DiscardHandler), Keep: func(_ identity.Profile, inv invitation.Invitation) error {
			if again, err := invitation.Parse(inv.String()); err != nil || again.Kind != invitation.Link {
				t.Errorf("kept %v, %v", inv, err)
			}
			return nil
		}}.Link(ctx, l())
		_ = CardPostman{Card: card, Self: ann.Key(), Letters: func() []invitation.Invitation { return letters(2) },
			Delivered: func(invitation.Invitation) {}}.Link(ctx, l())
	})
}
