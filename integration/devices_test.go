package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// InviteDevice starts `echofs halo device invite`, which waits for a device.
func (d *Device) InviteDevice(ctx context.Context, args ...string) *sharing {
	d.w.t.Helper()
	return d.invites(ctx, append([]string{"halo", "device", "invite"}, args...)...)
}

// Becomes makes d, on which a daemon runs or none, another device of old's person.
func (d *Device) Becomes(old *Device) {
	d.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	invite := old.InviteDevice(ctx, "--yes")
	out := d.saying(invite.pin+"\n", 0, "halo", "device", "join", invite.url, "--pin-file", "-", "--device", d.name, "--timeout", "4m")
	invite.Ends(0)
	if !strings.Contains(out, "on "+d.name) {
		d.w.t.Errorf("device join says\n%s", out)
	}
	if !d.running() {
		d.Up()
	}
}

// joinDevice joins with an invitation, in the background.
func (d *Device) joinDevice(ctx context.Context, s *sharing) (ended chan string) {
	cmd := d.command(ctx, "halo", "device", "join", s.url, "--pin-file", "-", "--device", d.name, "--timeout", "4m")
	cmd.Stdin = strings.NewReader(s.pin + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ended = make(chan string, 1)
	go func() {
		_ = cmd.Run()
		ended <- fmt.Sprintf("exit code %d\n%s", cmd.ProcessState.ExitCode(), &out)
	}()
	return ended
}

// Devices lists the live devices of the person, sorted.
func (d *Device) Devices() (names []string) {
	d.w.t.Helper()
	var all []struct {
		Name    string
		Revoked bool
	}
	if err := json.Unmarshal([]byte(d.Run("halo", "device", "list", "--json")), &all); err != nil {
		d.w.t.Fatal(err)
	}
	for _, dev := range all {
		if !dev.Revoked {
			names = append(names, dev.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Owns waits until the person has these devices.
func (d *Device) Owns(want ...string) {
	d.w.t.Helper()
	slices.Sort(want) // what the machine is called is anywhere in the order
	d.w.Eventually(fmt.Sprintf("at %s the devices are %q", d.name, want), func() error {
		if got := d.Devices(); !slices.Equal(got, want) {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	})
}

// Has waits until these are the spaces in the mount.
func (d *Device) Has(want ...string) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("%s has the spaces %q", d.name, want), func() error {
		entries, err := os.ReadDir(d.mount)
		if err != nil {
			return err
		}
		got := []string{}
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	})
}

// A person with a laptop and a phone sees the same spaces on both, whoever made
// or joined them, and writes on both.
func TestLaptopAndPhone(t *testing.T) {
	w := NewWorld(t)
	laptop, bob := w.Up("laptop"), w.Up("bob")
	laptop.Run("space", "create", "mine")
	laptop.Write("mine/a.txt", "from the laptop\n")
	bob.Run("space", "create", "bobs")
	bob.Write("bobs/b.txt", "from bob\n")
	laptop.Join(bob.Invite("bobs"))

	phone := w.Device("phone")
	phone.Becomes(laptop)
	phone.Has("bobs", "mine")
	phone.Sees("mine/a.txt", "from the laptop\n")
	phone.Sees("bobs/b.txt", "from bob\n")
	for _, d := range []*Device{laptop, phone} {
		d.Owns("phone", hostOf(t))
	}

	// What the phone writes, everybody has; to others it is the same person.
	phone.Write("mine/p.txt", "from the phone\n")
	laptop.Sees("mine/p.txt", "from the phone\n")
	phone.Write("bobs/p.txt", "from the phone\n")
	bob.Sees("bobs/p.txt", "from the phone\n")
	bob.Counts("bobs", "bob admin", "laptop editor")

	// Spaces come and go on both.
	phone.Run("space", "create", "new")
	phone.Write("new/n.txt", "new\n")
	laptop.Has("bobs", "mine", "new")
	laptop.Sees("new/n.txt", "new\n")
	laptop.Run("space", "leave", "bobs", "--yes")
	phone.Has("mine", "new")

	// Also if one sleeps meanwhile, and the other is away when it wakes.
	phone.Stop()
	laptop.Join(bob.Invite("bobs"))
	laptop.Write("bobs/back.txt", "back\n")
	bob.Sees("bobs/back.txt", "back\n")
	phone.Up()
	phone.Has("bobs", "mine", "new")
	phone.Sees("bobs/back.txt", "back\n")

	laptop.Run("halo", "device", "rename", "phone", "old phone")
	phone.Owns(hostOf(t), "old phone")
}

// hostOf is what a device is called when nobody says.
func hostOf(t *testing.T) string {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	return host
}

// The way in: a PIN, the same digits on both sides, a person who says yes, and
// only where nothing is given up by it.
func TestDeviceInvitation(t *testing.T) {
	w := NewWorld(t)
	laptop, tablet := w.Up("laptop"), w.Up("tablet")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	join := func(d *Device, s *sharing, pin string, code int) string {
		return d.saying(pin+"\n", code, "halo", "device", "join", s.url, "--pin-file", "-", "--device", d.name, "--timeout", "4m")
	}

	// No, and three times a wrong PIN.
	invite := laptop.InviteDevice(ctx)
	laptop.Fails(exitUsage, "halo device join", "space", "join", invite.url)
	tablet.Fails(exitUsage, "--pin-file", "halo", "device", "join", invite.url)
	ended := tablet.joinDevice(ctx, invite)
	invite.Says("Make it one of your devices?")
	invite.Answer("n")
	invite.Ends(exitRefused)
	if out := <-ended; !strings.HasPrefix(out, "exit code 6") || !strings.Contains(out, "said no") {
		t.Errorf("who is sent away hears %s", out)
	}
	invite = laptop.InviteDevice(ctx)
	wrong := invite.pin[:6] + string('0'+(invite.pin[6]-'0'+1)%10)
	for _, left := range []string{"tries left: 2", "tries left: 1", "three times"} {
		if out := join(tablet, invite, wrong, exitRefused); !strings.Contains(out, left) {
			t.Errorf("a wrong PIN: %s", out)
		}
	}
	invite.Ends(exitRefused)
	laptop.Owns(hostOf(t))

	// A daemon that runs as somebody who is in no space becomes a device.
	invite = laptop.InviteDevice(ctx)
	ended = tablet.joinDevice(ctx, invite)
	invite.Says("Make it one of your devices?")
	code := regexp.MustCompile(`same digits: (\d{3} \d{3})`).FindStringSubmatch(invite.stderr.tail())
	invite.Answer("y")
	invite.Ends(0)
	if out := <-ended; code == nil || !strings.HasPrefix(out, "exit code 0") || !strings.Contains(out, "same digits: "+code[1]) || !strings.Contains(out, "laptop, on tablet") {
		t.Errorf("the new device says %s\nthe old one saw %q", out, code)
	}
	for _, d := range []*Device{laptop, tablet} {
		d.Owns(hostOf(t), "tablet")
	}
	tablet.Run("space", "create", "shared")
	laptop.Has("shared")

	// Somebody who is in a space does not.
	carol := w.Up("carol")
	carol.Run("space", "create", "hers")
	invite = laptop.InviteDevice(ctx)
	if out := join(carol, invite, invite.pin, exitRefused); !strings.Contains(out, "you are carol here") {
		t.Errorf("it says %s", out)
	}
	carol.Has("hers")
	laptop.Fails(exitRefused, "you are laptop here", "halo", "device", "join", invite.url)
}

// A lost device can write nothing that others take, and gets nothing new.
func TestRevokedDevice(t *testing.T) {
	w := NewWorld(t)
	laptop, bob := w.Up("laptop"), w.Up("bob")
	phone := w.Device("phone")
	laptop.Run("space", "create", "mine")
	bob.Run("space", "create", "bobs")
	laptop.Join(bob.Invite("bobs"))
	phone.Becomes(laptop)
	phone.Has("bobs", "mine")
	phone.Write("mine/before.txt", "before\n")
	phone.Write("bobs/before.txt", "before\n")
	laptop.Sees("mine/before.txt", "before\n")
	laptop.Sees("bobs/before.txt", "before\n")
	bob.Sees("bobs/before.txt", "before\n")

	laptop.Fails(exitUsage, "--yes", "halo", "device", "revoke", "phone")
	laptop.Fails(exitNotFound, "no device", "halo", "device", "revoke", "ipad", "--yes")
	laptop.Fails(exitUsage, "that is this device", "halo", "device", "revoke", hostOf(t), "--yes")
	phone.Run("offline")
	phone.Write("bobs/thief.txt", "thief\n")
	phone.Write("mine/thief.txt", "thief\n")
	laptop.Run("halo", "device", "revoke", "phone", "--yes")
	laptop.Owns(hostOf(t))
	phone.Run("online")

	laptop.Write("mine/secret.txt", "secret\n")
	bob.Write("bobs/secret.txt", "secret\n")
	laptop.Sees("bobs/secret.txt", "secret\n")
	w.Eventually("the phone knows that it was revoked", func() error {
		if out := phone.Run("status"); !strings.Contains(out, "revoked") {
			return errors.New(out)
		}
		return nil
	})
	for _, file := range []string{"mine/secret.txt", "bobs/secret.txt"} {
		phone.Lacks(file)
	}
	for _, file := range []string{"mine/thief.txt", "bobs/thief.txt"} {
		laptop.Lacks(file)
	}
	bob.Lacks("bobs/thief.txt")
	phone.Fails(exitRefused, "revoked", "halo", "device", "revoke", hostOf(t), "--yes")
	phone.Fails(exitRefused, "revoked", "halo", "device", "invite")
	bob.Counts("bobs", "bob admin", "laptop editor")
	laptop.Sees("mine/before.txt", "before\n")
}
