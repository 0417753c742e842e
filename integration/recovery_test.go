package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// words writes the recovery words down.
func (d *Device) words() string {
	d.w.t.Helper()
	return strings.TrimSpace(d.Run("halo", "recovery", "--yes"))
}

// signal is the signaling server of d.
func (d *Device) signal() string { return "http://" + d.Status().HTTP }

// tryWith is try with something on stdin.
func (d *Device) tryWith(stdin string, args ...string) (out string, code int, errOut string) {
	d.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := d.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), cmd.ProcessState.ExitCode(), stderr.String()
}

// A person loses laptop and phone. With the words, and another member, everything
// that others have is back on a clean home, and the old devices are out.
func TestRecovery(t *testing.T) {
	w := NewWorld(t)
	laptop, bob, carol := w.Up("laptop"), w.Up("bob"), w.Up("carol")
	phone := w.Device("phone")
	laptop.Run("space", "create", "ours")
	laptop.Run("space", "create", "alone")
	laptop.Write("ours/a.txt", "from the laptop\n")
	bob.Join(laptop.Invite("ours"))
	carol.Run("space", "create", "carols")
	carol.Write("carols/c.txt", "from carol\n")
	laptop.Join(carol.Invite("carols"))
	phone.Becomes(laptop)
	phone.Has("alone", "carols", "ours")
	phone.Write("ours/p.txt", "from the phone\n")
	bob.Sees("ours/p.txt", "from the phone\n")
	bob.Sees("ours/a.txt", "from the laptop\n")
	phone.Write("carols/p.txt", "from the phone\n")
	carol.Sees("carols/p.txt", "from the phone\n")
	words := laptop.words()
	dave := w.Up("dave")
	unknown := dave.words()
	dave.Stop()

	// Both are lost. What is wrong is said before anybody is asked.
	fresh := w.Device("fresh")
	list := strings.Fields(words)
	mistyped := slices.Clone(list)
	mistyped[4] = "zzzz"
	if out := fresh.saying(strings.Join(mistyped, "\n"), exitUsage, "halo", "recover", "--words-fd", "0"); !strings.Contains(out, "word 5") {
		t.Errorf("a mistyped word: %s", out)
	}
	if out := fresh.saying(strings.Join(list[:23], " "), exitUsage, "halo", "recover", "--words-fd", "0"); !strings.Contains(out, "23 words") {
		t.Errorf("too few words: %s", out)
	}
	if out := fresh.saying(words, exitUsage, "halo", "recover", "--words-fd", "0"); !strings.Contains(out, "--signal") {
		t.Errorf("without a server: %s", out)
	}
	if out := fresh.saying(unknown, exitUnreachable, "halo", "recover", "--words-fd", "0", "--signal", bob.signal(), "--timeout", "1s"); !strings.Contains(out, "nobody who knows") {
		t.Errorf("words that nobody there knows: %s", out)
	}

	// Both are lost; bob knows of the other spaces by the box alone. That comes some
	// seconds after the last change, so it may take more than one try.
	var got struct{ Spaces, Waiting, Lost, Revoked []string }
	for try := 1; ; try++ {
		laptop.Run("offline")
		phone.Run("offline")
		carol.Run("offline")
		got.Spaces, got.Waiting, got.Lost, got.Revoked = nil, nil, nil, nil
		out, code, errOut := fresh.tryWith(words, "halo", "recover", "--words-fd", "0", "--signal", bob.signal(), "--device", "fresh", "--timeout", "4m", "--json")
		if code == 0 {
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if slices.Equal(got.Spaces, []string{"ours"}) && slices.Equal(got.Waiting, []string{"carols"}) && slices.Equal(got.Lost, []string{"alone"}) && len(got.Revoked) == 2 {
				break
			}
		}
		if try == 20 {
			t.Fatalf("recovered: exit code %d, %+v\n%s", code, got, errOut)
		}
		if err := os.RemoveAll(fresh.home); err != nil {
			t.Fatal(err)
		}
		laptop.Run("online")
		carol.Run("online")
		w.Eventually("the laptop meets bob", func() error {
			for _, s := range laptop.Status().Spaces {
				if s.Name == "ours" && s.Peers > 0 {
					return nil
				}
			}
			return errors.New("not yet")
		})
	}
	laptop.Stop()
	carol.Run("online")
	fresh.Up()
	fresh.Has("carols", "ours")
	fresh.Sees("ours/a.txt", "from the laptop\n")
	fresh.Sees("ours/p.txt", "from the phone\n")
	fresh.Sees("carols/p.txt", "from the phone\n")
	fresh.Owns("fresh")
	fresh.Write("ours/f.txt", "from the new one\n")
	fresh.Write("carols/f.txt", "from the new one\n")
	bob.Sees("ours/f.txt", "from the new one\n")
	carol.Sees("carols/f.txt", "from the new one\n")
	bob.Counts("ours", "bob editor", "laptop admin")

	// The old devices are out, and so are the old words.
	phone.Write("ours/thief.txt", "thief\n")
	phone.Run("online")
	w.Eventually("the phone knows that it was revoked", func() error {
		if out := phone.Run("status"); !strings.Contains(out, "revoked") {
			return errors.New(out)
		}
		return nil
	})
	bob.Write("ours/later.txt", "later\n")
	fresh.Sees("ours/later.txt", "later\n")
	bob.Lacks("ours/thief.txt")
	fresh.Lacks("ours/thief.txt")
	phone.Lacks("ours/later.txt")
	if bob.Sees("ours/p.txt", "from the phone\n"); len(strings.Fields(fresh.words())) != 24 {
		t.Error("there are no new words")
	}
	other := w.Device("other")
	other.saying(words, exitUnreachable, "halo", "recover", "--words-fd", "0", "--signal", bob.signal(), "--timeout", "2s")
}

// One device is left, and the words end the others: also where it was alone. The
// daemon of the new home runs already.
func TestRecoveryKeepsADevice(t *testing.T) {
	w := NewWorld(t)
	laptop, bob := w.Up("laptop"), w.Up("bob")
	laptop.Run("space", "create", "alone")
	laptop.Write("alone/a.txt", "from the laptop\n")
	laptop.Run("space", "create", "ours")
	bob.Join(laptop.Invite("ours"))
	phone := w.Device("phone")
	phone.Becomes(laptop)
	phone.Has("alone", "ours")
	phone.Sees("alone/a.txt", "from the laptop\n")
	words := laptop.words()
	laptop.Stop()

	fresh := w.Up("fresh")
	if out := fresh.saying(words, exitNotFound, "halo", "recover", "--words-fd", "0", "--signal", bob.signal(), "--keep", "ipad"); !strings.Contains(out, "no device ipad") {
		t.Errorf("a device that there is not: %s", out)
	}
	fresh.saying(words, 0, "halo", "recover", "--words-fd", "0", "--signal", bob.signal(), "--device", "fresh", "--keep", "phone", "--timeout", "4m")
	fresh.Has("alone", "ours")
	fresh.Sees("alone/a.txt", "from the laptop\n")
	fresh.Write("alone/f.txt", "from the new one\n")
	phone.Sees("alone/f.txt", "from the new one\n")
	for _, d := range []*Device{fresh, phone} {
		d.Owns("fresh", "phone")
	}
	phone.Run("space", "create", "new")
	fresh.Has("alone", "new", "ours")
	phone.Write("ours/p.txt", "from the phone\n")
	bob.Sees("ours/p.txt", "from the phone\n")

	laptop.Up()
	w.Eventually("the laptop knows that it was revoked", func() error {
		if out := laptop.Run("status"); !strings.Contains(out, "revoked") {
			return errors.New(out)
		}
		return nil
	})
	laptop.Lacks("new")
	if out := fresh.saying(words, exitRefused, "halo", "recover", "--words-fd", "0", "--signal", bob.signal()); !strings.Contains(out, "you are laptop here") {
		t.Errorf("where somebody is already: %s", out)
	}
}
