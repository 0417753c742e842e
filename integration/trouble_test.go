package integration

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDamagedSpace overwrites the database of one of two spaces. The daemon
// says so, with what to do, and the other space works.
func TestDamagedSpace(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("bad")
	alice.Run("space", "create", "good")
	alice.Write("good/x.txt", "x\n")
	alice.Write("bad/y.txt", "y\n")
	bob.Sees("bad/y.txt", "y\n")
	damaged := filepath.Join(alice.home, "spaces", spaceID(t, alice, "bad"), "space.db")
	alice.Stop()

	f, err := os.OpenFile(damaged, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 64<<10)
	_, _ = rand.Read(garbage) // never fails
	_, err = f.Write(garbage)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}

	alice.Up()
	alice.Sees("good/x.txt", "x\n")
	alice.Write("good/z.txt", "z\n")
	problems := alice.Status().Problems
	if len(problems) == 0 || !strings.Contains(problems[0].Message, "cannot be opened") {
		t.Errorf("the status tells nothing of a damaged space: %+v", problems)
	}
	if out := alice.Run("status"); !strings.Contains(out, "PROBLEMS") || !strings.Contains(out, "join it again") {
		t.Errorf("the status is\n%s", out)
	}
	alice.Fails(1, "join it again", "space", "info", "bad")
	bob.Sees("bad/y.txt", "y\n")
}

// TestDamagedSpaceComesBack joins a space again whose data here is damaged.
func TestDamagedSpaceComesBack(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	bob.Write("notes/x.txt", "x\n")
	alice.Sees("notes/x.txt", "x\n")
	damaged := filepath.Join(bob.home, "spaces", spaceID(t, bob, "notes"), "space.db")
	bob.Stop()
	if err := os.Truncate(damaged, 100); err != nil {
		t.Fatal(err)
	}
	bob.Up()
	if out := bob.Run("space", "list"); !strings.Contains(out, "notes") || !strings.Contains(out, "cannot be opened") {
		t.Errorf("the spaces are\n%s", out)
	}
	bob.Join(alice.Invite("notes"))
	bob.Sees("notes/x.txt", "x\n")
	bob.Write("notes/y.txt", "y\n")
	alice.Sees("notes/y.txt", "y\n")
	w.Same(alice, bob, "notes")
}

func spaceID(t *testing.T, d *Device, name string) string {
	t.Helper()
	for line := range strings.Lines(d.Run("space", "info", name)) {
		if id, ok := strings.CutPrefix(line, "id "); ok {
			return strings.TrimSpace(id)
		}
	}
	t.Fatal("a space has no ID")
	return ""
}

func TestRebuild(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	copyBoard(t, alice.Path("notes/board"))
	alice.Write("notes/edited.txt", "one\n")
	alice.Write("notes/edited.txt", "one\ntwo\n")
	alice.Write("notes/large.bin", strings.Repeat("0123456789abcdef\x00", 20_000))
	w.Same(alice, bob, "notes")
	alice.Run("space", "rebuild", "notes")
	w.Same(alice, bob, "notes")
	bob.Run("space", "rebuild", "notes")
	w.Same(alice, bob, "notes")
	alice.Write("notes/after.txt", "works\n")
	bob.Sees("notes/after.txt", "works\n")
	bob.Stop()
	bob.Up()
	w.Same(alice, bob, "notes")
}

// TestFullDisk fills the disk under a home. Who writes is told, what was
// acknowledged stays, and with space again everything works again.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can mount a small disk: CI does")
		return
	}
	w := NewWorld(t)
	alice := w.Device("alice")
	if err := os.Mkdir(alice.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", alice.home, "tmpfs", 0, "size=24m,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if alice.running() {
			_ = alice.stop(syscall.SIGTERM)
		}
		if err := syscall.Unmount(alice.home, 0); err != nil {
			t.Error(err)
		}
	})
	alice.Up()
	alice.Run("space", "create", "notes")
	alice.Write("notes/first.txt", "first\n")

	written := map[string]string{}
	for i := 0; ; i++ {
		name, content := fmt.Sprintf("notes/%d.bin", i), noise(1<<20)
		err := os.WriteFile(alice.Path(name), []byte(content), 0o644)
		if err == nil {
			written[name] = content
			if i > 100 {
				t.Fatal("a disk of 24 MB takes 100 MB")
			}
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("a full disk is reported as %v", err)
		}
		_ = os.Remove(alice.Path(name)) // may be there, with what had been written
		break
	}
	check := func() {
		t.Helper()
		for name, content := range written {
			if got, err := os.ReadFile(alice.Path(name)); err != nil || string(got) != content {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
	}
	check()
	alice.Status()
	alice.Kill()

	if err := syscall.Mount("tmpfs", alice.home, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	alice.Up()
	check()
	alice.Write("notes/last.txt", "last\n")
	alice.Stop()
	alice.Up()
	check()
	alice.Sees("notes/last.txt", "last\n")
	alice.Stop()
}

// noise is content that compresses badly.
func noise(size int) string {
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	return string(data)
}

// TestSecretsStayOut looks for what must not be in logs.
func TestSecretsStayOut(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "notes")
	invitation := alice.Invite("notes")
	bob.Join(invitation)
	_, secret, ok := strings.Cut(invitation, "#")
	if !ok || len(secret) < 60 {
		t.Fatalf("this is an invitation? %q", invitation)
	}
	for _, d := range []*Device{alice, bob} {
		for _, part := range []string{secret[:40], secret[20:60]} {
			if strings.Contains(d.log.tail(), part) {
				t.Errorf("the log of %s has the secret of the invitation", d.name)
			}
		}
	}
	for path, want := range map[string]os.FileMode{
		"": 0o700, "identity": 0o700, "run": 0o700, "spaces": 0o700, "settings.json": 0o600,
	} {
		info, err := os.Stat(filepath.Join(alice.home, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s/%s: %v, %v; want %v", alice.home, path, info, err, want)
		}
	}
}
