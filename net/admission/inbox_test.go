package admission

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// members tells for whom some devices act.
func members(list ...*identity.Device) func(identity.PublicKey) (identity.ID, bool) {
	return func(key identity.PublicKey) (identity.ID, bool) {
		for _, d := range list {
			if d.Key() == key {
				return d.Identity(), true
			}
		}
		return identity.ID{}, false
	}
}

// deliver runs a postman and an inbox against each other.
func deliver(t *testing.T, from, to *identity.Device, p Postman, in Inbox) (atPostman, atInbox error) {
	t.Helper()
	theirs, mine := pipe(t, to, from) // mine: the postman's end, whose peer is the inbox
	in.Log = slog.New(slog.DiscardHandler)
	var both sync.WaitGroup
	both.Go(func() {
		atPostman = p.Link(t.Context(), mine)
		_ = mine.Sync.Close()
	})
	both.Go(func() {
		atInbox = in.Link(t.Context(), theirs)
		_ = theirs.Sync.Close()
	})
	both.Wait()
	return atPostman, atInbox
}

func letters(n int) (list []invitation.Invitation) {
	inv := example()
	inv.Kind, inv.Host = invitation.Link, identity.PublicKey{}
	for i := range n {
		inv.Secret[0] = byte(i + 1)
		list = append(list, inv)
	}
	return list
}

func TestInbox(t *testing.T) {
	ann, ben := newDevice(t, "Ann"), newDevice(t, "Ben")
	known := members(ann, ben)
	var sent, kept []string
	p := Postman{
		To: ben.Identity(), Member: known,
		Letters:   func() []invitation.Invitation { return letters(3) },
		Delivered: func(inv invitation.Invitation) { sent = append(sent, inv.String()) },
	}
	in := Inbox{Member: known, Keep: func(from identity.Profile, inv invitation.Invitation) error {
		if from.Identity != ann.Identity() {
			t.Errorf("it is from %s", from.Name)
		}
		if kept = append(kept, inv.String()); len(kept) == 3 {
			return errors.New("enough")
		}
		return nil
	}}
	_, err := deliver(t, ann, ben, p, in)
	if len(sent) != 2 || len(kept) != 3 || sent[0] != kept[0] || err == nil || errors.Is(err, mesh.ErrRefused) {
		t.Errorf("sent %d, kept %d, %v", len(sent), len(kept), err)
	}
}

// TestInboxTalksToMembersOnly: neither side says a word to somebody else, nor to
// a device that is not of a member any more.
func TestInboxTalksToMembersOnly(t *testing.T) {
	ann, ben, eve := newDevice(t, "Ann"), newDevice(t, "Ben"), newDevice(t, "Eve")
	for name, tt := range map[string]struct {
		from   *identity.Device
		to     *identity.Device
		member func(identity.PublicKey) (identity.ID, bool)
	}{
		"stranger sends":       {eve, ben, members(ann, ben)},
		"stranger waits":       {ann, eve, members(ann, ben)},
		"another member waits": {ann, eve, members(ann, ben, eve)},
		"a lost device waits":  {ann, ben, members(ann)},
	} {
		t.Run(name, func(t *testing.T) {
			p := Postman{To: ben.Identity(), Member: tt.member,
				Letters:   func() []invitation.Invitation { return letters(1) },
				Delivered: func(invitation.Invitation) { t.Error("delivered") },
			}
			in := Inbox{Member: tt.member, Keep: func(identity.Profile, invitation.Invitation) error {
				t.Error("kept")
				return nil
			}}
			if a, b := deliver(t, tt.from, tt.to, p, in); a == nil || b == nil {
				t.Errorf("%v, %v", a, b)
			}
		})
	}
}

func TestInboxIsGolden(t *testing.T) {
	for name, send := range map[string]func(*wire.Conn) error{
		"letter": func(c *wire.Conn) error { return c.Send(frameLetter, letter{Invitation: "echofs://join#x"}) },
		"thanks": func(c *wire.Conn) error { return c.WriteFrame(frameThanks, nil) },
	} {
		var b bytes.Buffer
		if err := send(wire.NewConn(&b, inboxLimits)); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	a, b := InboxTopic([32]byte{1}, identity.ID{2}), InboxTopic([32]byte{2}, identity.ID{1})
	if a == b || a != InboxTopic([32]byte{1}, identity.ID{2}) {
		t.Error("the topic of an inbox")
	}
}

func FuzzInbox(f *testing.F) {
	ann, err := identity.NewDevice(nil, "Ann")
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	c := wire.NewConn(&b, inboxLimits)
	if err := errors.Join(c.Send(frameLetter, letter{letters(1)[0].String()}), c.Send(frameHere, here{}), c.WriteFrame(frameThanks, nil)); err != nil {
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
		_ = Inbox{Member: members(ann), Log: slog.New(slog.DiscardHandler), Keep: func(_ identity.Profile, inv invitation.Invitation) error {
			if again, err := invitation.Parse(inv.String()); err != nil || again.Kind != invitation.Link {
				t.Errorf("kept %v, %v", inv, err)
			}
			return nil
		}}.Link(ctx, l())
		_ = Postman{To: ann.Identity(), Member: members(ann), Letters: func() []invitation.Invitation { return letters(2) },
			Delivered: func(invitation.Invitation) {}}.Link(ctx, l())
	})
}
