package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// member is what the tests read of `echofs space members --json`.
type member struct{ Name, Role string }

// Members lists the members of a space as "name role", sorted.
func (d *Device) Members(space string) (list []string) {
	d.w.t.Helper()
	var all []member
	if err := json.Unmarshal([]byte(d.Run("space", "members", space, "--json")), &all); err != nil {
		d.w.t.Fatal(err)
	}
	for _, m := range all {
		list = append(list, m.Name+" "+m.Role)
	}
	slices.Sort(list)
	return list
}

// Counts waits until the members of a space are these, as "name role".
func (d *Device) Counts(space string, want ...string) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("at %s the members are %q", d.name, want), func() error {
		if got := d.Members(space); !slices.Equal(got, want) {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	})
}

// A sharing is `echofs space share --pin` that waits for its guest.
type sharing struct {
	d      *Device
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	url    string
	pin    string
	stderr *logBuffer
}

var pinIn = regexp.MustCompile(`this PIN.*: (\d{3} \d{3})\n`)

// SharePIN starts sharing with a PIN.
func (d *Device) SharePIN(ctx context.Context, space string) *sharing {
	d.w.t.Helper()
	return d.invites(ctx, "space", "share", space, "--pin")
}

// invites starts a command that prints an invitation and a PIN and waits.
func (d *Device) invites(ctx context.Context, args ...string) *sharing {
	t := d.w.t
	t.Helper()
	s := &sharing{d: d, cmd: d.command(ctx, args...), stderr: &logBuffer{}}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no invitation: %v\n%s", err, s.stderr.tail())
	}
	s.url = strings.TrimSpace(line)
	d.w.Eventually(strings.Join(args, " ")+" shows the PIN", func() error {
		if m := pinIn.FindStringSubmatch(s.stderr.tail()); m != nil {
			s.pin = m[1]
			return nil
		}
		return errors.New(s.stderr.tail())
	})
	return s
}

// Says waits until the command has said something.
func (s *sharing) Says(what string) {
	s.d.w.t.Helper()
	s.d.w.Eventually(fmt.Sprintf("share --pin says %q", what), func() error {
		if !strings.Contains(s.stderr.tail(), what) {
			return errors.New(s.stderr.tail())
		}
		return nil
	})
}

// Answer types a line.
func (s *sharing) Answer(line string) {
	s.d.w.t.Helper()
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		s.d.w.t.Error(err)
	}
}

// Ends waits for the end of the command.
func (s *sharing) Ends(code int) {
	s.d.w.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.d.w.t.Errorf("share --pin: exit code %d, want %d\n%s", got, code, s.stderr.tail())
	}
}

// joinPIN joins with a PIN, in the background.
func (d *Device) joinPIN(ctx context.Context, url, pin string) (ended chan string) {
	cmd := d.command(ctx, "space", "join", url, "--pin-file", "-")
	cmd.Stdin = strings.NewReader(pin + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	ended = make(chan string, 1)
	go func() {
		_ = cmd.Run()
		ended <- fmt.Sprintf("exit code %d\n%s", cmd.ProcessState.ExitCode(), &stderr)
	}()
	return ended
}

// A life of a space among three people: in by link and by PIN, promoted, removed
// and gone.
func TestSharing(t *testing.T) {
	w := NewWorld(t)
	alice, bob, carol := w.Up("alice"), w.Up("bob"), w.Up("carol")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	alice.Run("space", "create", "notes")
	alice.Write("notes/a.txt", "from alice\n")
	bob.Join(alice.Invite("notes"))
	bob.Fails(exitRefused, "only an admin", "space", "share", "notes")

	// Carol comes with a PIN: first a wrong one, then the right one.
	share := alice.SharePIN(ctx, "notes")
	carol.Fails(exitUsage, "--pin-file", "space", "join", share.url)
	wrong := share.pin[:6] + string('0'+(share.pin[6]-'0'+1)%10)
	if got := <-carol.joinPIN(ctx, share.url, wrong); !strings.HasPrefix(got, "exit code 6") || !strings.Contains(got, "tries left: 2") {
		t.Errorf("a wrong PIN: %s", got)
	}
	ended := carol.joinPIN(ctx, share.url, share.pin)
	share.Says("Let them in?")
	code := regexp.MustCompile(`same digits: (\d{3} \d{3})`).FindStringSubmatch(share.stderr.tail())
	share.Answer("y")
	share.Ends(0)
	if got := <-ended; code == nil || !strings.HasPrefix(got, "exit code 0") || !strings.Contains(got, "same digits: "+code[1]) {
		t.Errorf("the right PIN: %s\nthe inviter saw %q", got, code)
	}
	carol.Sees("notes/a.txt", "from alice\n")
	for _, d := range []*Device{alice, bob, carol} {
		d.Counts("notes", "alice admin", "bob editor", "carol editor")
	}

	// Who gives up waiting withdraws the invitation.
	share = alice.SharePIN(ctx, "notes")
	if err := share.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	share.Ends(1)
	if out := alice.Run("space", "invitations", "notes", "--all"); !strings.Contains(out, "withdrawn") {
		t.Errorf("after an interrupt:\n%s", out)
	}

	// Bob is promoted, and removes Carol.
	alice.Fails(exitRefused, "nobody gives themselves", "space", "role", "notes", "alice", "reader")
	alice.Run("space", "role", "notes", "bob", "admin")
	bob.Counts("notes", "alice admin", "bob admin", "carol editor")
	bob.Fails(exitRefused, "before you", "space", "remove", "notes", "alice", "--yes")
	bob.Fails(exitUsage, "--yes", "space", "remove", "notes", "carol")
	bob.Run("space", "remove", "notes", "carol", "--yes")
	alice.Counts("notes", "alice admin", "bob admin")
	alice.Write("notes/secret.txt", "not for carol\n")
	bob.Sees("notes/secret.txt", "not for carol\n")
	carol.Lacks("notes/secret.txt")
	if got, err := os.ReadFile(carol.Path("notes/a.txt")); err != nil || string(got) != "from alice\n" {
		t.Errorf("carol does not keep what she had: %q, %v", got, err)
	}

	// What she keeps she can take out, and make her own.
	copied := filepath.Join(w.dir, "copied")
	carol.Run("space", "export", "notes", copied)
	if got, err := os.ReadFile(filepath.Join(copied, "a.txt")); err != nil || string(got) != "from alice\n" {
		t.Errorf("exported: %q, %v", got, err)
	}
	carol.Run("space", "fork", "notes", "mine")
	carol.Write("mine/a.txt", "carol's own\n")
	carol.Counts("mine", "carol admin")

	// Bob goes; Alice is alone and can go only if she insists, or all are gone.
	bob.Run("space", "leave", "notes", "--yes")
	if left, err := os.ReadDir(bob.mount); err != nil || len(left) != 0 {
		t.Errorf("bob still has %v, %v", left, err)
	}
	alice.Counts("notes", "alice admin")
	bob.Join(alice.Invite("notes")) // and comes back
	bob.Sees("notes/secret.txt", "not for carol\n")
	alice.Fails(exitRefused, "the only admin", "space", "leave", "notes", "--yes")
}

// While the inviter is away another member lets the guest in.
func TestInviterIsAway(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	carol, dave := w.Up("carol"), w.Up("dave")
	alice.Write("notes/a.txt", "from alice\n")
	bob.Sees("notes/a.txt", "from alice\n")
	link := alice.Invite("notes", "--role", "reader")
	withdrawn := alice.Invite("notes")
	w.Eventually("bob knows the invitations", func() error {
		if out := bob.Run("space", "invitations", "notes"); strings.Count(out, "open") != 2 {
			return errors.New(out)
		}
		return nil
	})
	var list []struct{ ID, Role string }
	if err := json.Unmarshal([]byte(alice.Run("space", "invitations", "notes", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, in := range list {
		if in.Role == "editor" { // the open one of these, and the one of Pair, which is used
			alice.try("space", "revoke", in.ID[:8])
		}
	}
	w.Eventually("bob knows that one is withdrawn", func() error {
		if out := bob.Run("space", "invitations", "notes"); strings.Count(out, "open") != 1 {
			return errors.New(out)
		}
		return nil
	})
	alice.Stop()

	carol.Join(link)
	carol.Sees("notes/a.txt", "from alice\n")
	if err := os.WriteFile(carol.Path("notes/b.txt"), nil, 0o644); !errors.Is(err, syscall.EROFS) && !errors.Is(err, os.ErrPermission) {
		t.Errorf("a reader wrote: %v", err)
	}
	dave.Fails(exitRefused, "used already", "space", "join", link)
	dave.Fails(exitRefused, "withdrawn", "space", "join", withdrawn)
	alice.Up()
	alice.Counts("notes", "alice admin", "bob editor", "carol reader")
}

// An invitation travels to a member of another space, and nothing happens there
// without them.
func TestInvitationToAContact(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Run("space", "create", "plans")
	alice.Write("plans/p.txt", "plan\n")
	alice.Fails(exitNotFound, "nobody in your spaces", "space", "share", "plans", "--to", "carol")
	if out := alice.Run("space", "share", "plans", "--to", "bob"); out != "" {
		t.Errorf("printed %q", out)
	}
	w.Eventually("the invitation arrives", func() error {
		if out := bob.Run("space", "invitations"); !strings.Contains(out, "plans") || !strings.Contains(out, "received") {
			return errors.New(out)
		}
		return nil
	})
	if _, err := os.Lstat(bob.Path("plans")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("bob has a folder that he did not ask for: %v", err)
	}
	bob.Run("space", "join", "plans")
	bob.Sees("plans/p.txt", "plan\n")
	alice.Counts("plans", "alice admin", "bob editor")
	alice.Fails(exitBusy, "is in plans already", "space", "share", "plans", "--to", "bob")
}

// Who was removed hears of it, although peers refuse to talk. Invited again they
// go on with the folder they have, and what they had written meanwhile, cut off,
// gets into the space.
func TestInvitedAgain(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "notes")
	alice.Write("notes/a.txt", "from alice\n")
	bob.Join(alice.Invite("notes"))
	bob.Sees("notes/a.txt", "from alice\n")
	bob.Fails(5, "you are in this space already", "space", "join", alice.Invite("notes"))

	bob.Run("offline")
	bob.Write("notes/a.txt", "from alice\nfrom bob, cut off\n")
	alice.Run("space", "remove", "notes", "bob", "--yes")
	bob.Run("online")
	w.Eventually("bob hears that he is out", func() error {
		if out := bob.Run("space", "info", "notes"); !strings.Contains(out, "not a member any more") {
			return errors.New(out)
		}
		if info, err := os.Stat(bob.Path("notes/a.txt")); err != nil || info.Mode().Perm()&0o200 != 0 {
			return fmt.Errorf("he may write: %v, %w", info, err)
		}
		return nil
	})
	bob.Counts("notes", "alice admin")
	bob.Sees("notes/a.txt", "from alice\nfrom bob, cut off\n") // he keeps what he has
	if err := os.WriteFile(bob.Path("notes/a.txt"), []byte("x"), 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("bob writes: %v", err)
	}
	alice.Sees("notes/a.txt", "from alice\n")
	if out := bob.Run("status"); strings.Contains(out, "EOF") {
		t.Errorf("bob is told of links that cannot be:\n%s", out)
	}

	again := alice.Invite("notes")
	bob.Fails(exitUsage, "leave --name out", "space", "join", again, "--name", "other")
	bob.Join(again)
	bob.Counts("notes", "alice admin", "bob editor")
	alice.Sees("notes/a.txt", "from alice\nfrom bob, cut off\n")
	bob.Write("notes/b.txt", "he is back\n")
	alice.Sees("notes/b.txt", "he is back\n")
}
