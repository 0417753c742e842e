package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// saying runs a command with stdin, and returns what it printed.
func (d *Device) saying(stdin string, code int, args ...string) string {
	d.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := d.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || cmd.ProcessState.ExitCode() != code {
		d.w.t.Fatalf("%s: echofs %s: %v, want exit code %d\n%s", d.name, strings.Join(args, " "), err, code, out.String())
	}
	return out.String()
}

// TestLockAndUnlock: what was open is stored, nothing is left mounted or
// connected, and everything is back without a restart.
func TestLockAndUnlock(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/a.txt", "a\n")
	bob.Sees("notes/a.txt", "a\n")
	f, err := os.Create(alice.Path("notes/open.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("not yet closed\n"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		alice.Run("halo", "lock")
		if left := mountsBelow(alice.mount); len(left) > 0 {
			t.Errorf("still mounted: %s", left)
		}
		if _, err := f.WriteString("too late\n"); err == nil {
			err = f.Sync()
			if err == nil {
				t.Error("a file of a locked space takes changes")
			}
		}
		bob.Connected(0)
		alice.Fails(8, "echofs halo unlock", "space", "list")
		alice.Fails(8, "echofs halo unlock", "halo", "recovery", "--yes")
		if out := alice.Run("status"); !strings.Contains(out, "locked") || strings.Contains(out, "notes") {
			t.Errorf("the status of a locked daemon is\n%s", out)
		}
		alice.Run("halo", "lock")
		alice.Run("halo", "unlock")
		alice.Run("halo", "unlock")
		alice.Sees("notes/a.txt", "a\n")
		alice.Sees("notes/open.txt", "not yet closed\n")
		alice.Connected(1)
	}
	bob.Write("notes/b.txt", "b\n")
	alice.Sees("notes/b.txt", "b\n")
	alice.Run("halo", "lock")
	alice.Stop()
	alice.Up()
	alice.Sees("notes/b.txt", "b\n")
}

// TestPassphrase: a daemon whose keys have a passphrase starts locked when there
// is nobody to ask.
func TestPassphrase(t *testing.T) {
	w := NewWorld(t)
	alice := w.Device("alice")
	alice.saying("short\n", 2, "halo", "create", "--protect", "passphrase", "--unlock-fd", "0")
	alice.saying("correct horse\n", 0, "halo", "create", "--name", "ann", "--device", "desk", "--protect", "passphrase", "--unlock-fd", "0")
	alice.saying("correct horse\n", 5, "halo", "create", "--protect", "file")
	if _, err := os.Stat(filepath.Join(alice.home, "identity", "unlock.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is an unlocking key on disk: %v", err)
	}
	alice.Up()
	alice.Fails(8, "locked", "space", "create", "notes")
	alice.Fails(2, "--unlock-fd", "halo", "unlock")
	alice.saying("wrong horse\n", 6, "halo", "unlock", "--unlock-fd", "0")
	alice.saying("correct horse\n", 0, "halo", "unlock", "--unlock-fd", "0")
	alice.Run("space", "create", "notes")
	alice.Write("notes/a.txt", "a\n")
	if out := alice.Run("halo", "info"); !strings.Contains(out, "ann, on desk") || !strings.Contains(out, "a passphrase") {
		t.Errorf("halo info is\n%s", out)
	}

	words := alice.saying("correct horse\n", 0, "halo", "recovery", "--yes", "--unlock-fd", "0")
	if len(strings.Fields(words)) != 24 {
		t.Errorf("the words are %q", words)
	}
	alice.saying("correct horse\n", 4, "halo", "recovery", "--yes", "--unlock-fd", "0")

	alice.saying("wrong horse\n", 6, "halo", "protect", "file", "--unlock-fd", "0")
	alice.saying("correct horse\n", 0, "halo", "protect", "file", "--unlock-fd", "0")
	alice.Stop()
	alice.Up()
	alice.Sees("notes/a.txt", "a\n")
	alice.saying("another horse\n", 0, "halo", "protect", "passphrase", "--new-fd", "0")
	alice.Stop()
	alice.Up()
	alice.saying("correct horse\n", 6, "halo", "unlock", "--unlock-fd", "0")
	alice.saying("another horse\n", 0, "halo", "unlock", "--unlock-fd", "0")
	alice.Sees("notes/a.txt", "a\n")
	for _, secret := range []string{"horse", strings.Fields(words)[0] + " " + strings.Fields(words)[1]} {
		if strings.Contains(alice.log.tail(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestRecoveryWordsAreAskedFor sits at a terminal.
func TestRecoveryWordsAreAskedFor(t *testing.T) {
	w := NewWorld(t)
	alice := w.Up("alice")
	show := func() (*Terminal, map[string]string) {
		term := w.Terminal(w.dir, "env", "ECHOFS_HOME="+alice.home, echofs, "halo", "recovery")
		term.Shows("Press Enter when they are on paper")
		text := term.plain()
		words := map[string]string{}
		for _, m := range regexp.MustCompile(`(\d+) ([a-z]+)`).FindAllStringSubmatch(text, -1) {
			words[m[1]] = m[2]
		}
		if len(words) != 24 {
			t.Fatalf("it shows %q", text)
		}
		term.Type(enter)
		return term, words
	}
	term, words := show()
	for range 3 {
		term.Shows("Word 3: ")
		term.Type("nonsense" + enter)
	}
	term.Shows("this device keeps the words")
	term.Gone()
	term, again := show()
	if again["1"] != words["1"] || again["24"] != words["24"] {
		t.Error("it shows other words")
	}
	for _, n := range []string{"3", "11", "20"} {
		term.Shows("Word " + n + ": ")
		term.Type(again[n] + enter)
	}
	term.Shows("on your paper, and nowhere else")
	term.Ends()
	alice.Fails(4, "cannot be shown again", "halo", "recovery", "--yes")
}
