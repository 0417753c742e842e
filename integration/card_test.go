package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// invitedTo waits until a device has an invitation that somebody sent.
func (d *Device) invitedTo(space string) {
	d.w.t.Helper()
	d.w.Eventually(d.name+" is invited to "+space, func() error {
		if out := d.Run("space", "invitations"); !strings.Contains(out, space) || !strings.Contains(out, "received") {
			return errors.New(out)
		}
		return nil
	})
}

// Card makes a card.
func (d *Device) Card(args ...string) string {
	d.w.t.Helper()
	return strings.TrimSpace(d.Run(append([]string{"halo", "share"}, args...)...))
}

// Somebody who is in no space with Alice is invited by a card, over restarts of
// both, and nothing happens there without them.
func TestInvitationToACard(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "plans")
	alice.Write("plans/p.txt", "plan\n")
	card := bob.Card("--expires", "1h")
	if !strings.HasPrefix(card, "echofs://card#") || strings.Contains(card, "\n") {
		t.Fatalf("printed %q", card)
	}
	alice.Fails(exitUsage, "your own", "space", "share", "plans", "--to", alice.Card())
	alice.Fails(exitRefused, "incomplete or mistyped", "space", "share", "plans", "--to", card[:len(card)-2])
	alice.Fails(exitUsage, "not a card", "space", "share", "plans", "--to", alice.Invite("plans"))

	// Bob is away. The invitation waits for him, also when Alice restarts.
	bob.Stop()
	if out := alice.Run("space", "share", "plans", "--to", card, "--role", "reader"); out != "" {
		t.Errorf("printed %q", out)
	}
	if out := alice.Run("space", "invitations", "plans"); !strings.Contains(out, "not delivered yet") {
		t.Errorf("alice is not told that it waits:\n%s", out)
	}
	alice.Stop()
	alice.Up()
	bob.Up()
	bob.invitedTo("plans")
	if out := bob.Run("status"); !strings.Contains(out, "invites you to plans") {
		t.Errorf("status says nothing of it:\n%s", out)
	}
	w.Eventually("alice knows that it has arrived", func() error {
		if out := alice.Run("space", "invitations", "plans"); strings.Contains(out, "not delivered yet") {
			return errors.New(out)
		}
		return nil
	})
	if list, err := os.ReadDir(bob.mount); err != nil || len(list) != 0 {
		t.Errorf("bob has folders that he did not ask for: %v, %v", list, err)
	}
	bob.Run("space", "join", "plans")
	bob.Sees("plans/p.txt", "plan\n")
	alice.Counts("plans", "alice admin", "bob reader")
	alice.Fails(exitBusy, "is in plans already", "space", "share", "plans", "--to", card)

	// The same card brings another one, which he refuses.
	alice.Run("space", "create", "more")
	alice.Run("space", "share", "more", "--to", card)
	bob.invitedTo("more")
	var list []struct{ ID, Kind string }
	if err := json.Unmarshal([]byte(bob.Run("space", "invitations", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, in := range list {
		if in.Kind == "received" {
			bob.Run("space", "revoke", in.ID[:8])
		}
	}
	if out := bob.Run("space", "invitations"); strings.Contains(out, "received") {
		t.Errorf("it was refused:\n%s", out)
	}
}

// However many a sender sends, only some wait for an answer.
func TestCardIsNoFlood(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "plans")
	card := bob.Card()
	for range 9 {
		alice.Run("space", "share", "plans", "--to", card)
	}
	w.Eventually("one of nine waits", func() error {
		if got := strings.Count(alice.Run("space", "invitations", "plans"), "not delivered yet"); got != 1 {
			return fmt.Errorf("%d wait", got)
		}
		return nil
	})
	if out := bob.Run("space", "invitations"); strings.Count(out, "received") != 8 {
		t.Errorf("bob has another number than 8:\n%s", out)
	}
}

// A card that was withdrawn brings nothing, and one that is good still does.
func TestCardIsWithdrawn(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "early")
	alice.Run("space", "create", "late")
	old := bob.Card()
	bob.Run("halo", "share", "--revoke")
	alice.Run("space", "share", "early", "--to", old)
	alice.Run("space", "share", "late", "--to", bob.Card())
	bob.invitedTo("late")
	if out := bob.Run("space", "invitations"); strings.Contains(out, "early") {
		t.Errorf("a card that was withdrawn brought something:\n%s", out)
	}
	if out := alice.Run("space", "invitations", "early"); !strings.Contains(out, "not delivered yet") {
		t.Errorf("alice believes that it has arrived:\n%s", out)
	}
	var revoked struct{ Revoked int }
	if err := json.Unmarshal([]byte(bob.Run("halo", "share", "--revoke", "--json")), &revoked); err != nil || revoked.Revoked != 1 {
		t.Errorf("%+v, %v", revoked, err)
	}
	bob.Fails(exitUsage, "30 days", "halo", "share", "--expires", "1000h")
}
