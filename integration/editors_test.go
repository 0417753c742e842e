package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const draft = "top\nmiddle\nbottom\n"

// TestEditorsOnTwoDevices is the promise of the whole thing: both editors have
// the file open before either saves, and both edits are there afterwards.
func TestEditorsOnTwoDevices(t *testing.T) {
	editors := commonEditors()
	for i, first := range editors {
		for _, second := range []editor{first, editors[(i+1)%len(editors)]} {
			t.Run(first.name+"+"+second.name, func(t *testing.T) {
				w := NewWorld(t)
				alice, bob := w.Pair("notes")
				alice.Write("notes/doc.txt", draft)
				bob.Sees("notes/doc.txt", draft)

				one := first.open(w, alice.Path("notes"), "doc.txt")
				two := second.open(w, bob.Path("notes"), "doc.txt")
				first.top(one, "by alice")
				second.bottom(two, "by bob")
				first.save(one)
				bob.Sees("notes/doc.txt", "by alice\n"+draft)
				second.save(two)
				merged := "by alice\n" + draft + "by bob\n"
				alice.Sees("notes/doc.txt", merged)
				bob.Sees("notes/doc.txt", merged)

				// They go on: each still shows what it had, and saves again.
				first.top(one, "more by alice")
				second.bottom(two, "more by bob")
				second.save(two)
				alice.Sees("notes/doc.txt", merged+"more by bob\n")
				first.save(one)
				merged = "more by alice\n" + merged + "more by bob\n"
				for _, d := range []*Device{alice, bob} {
					d.Sees("notes/doc.txt", merged)
				}
				first.quit(one)
				second.quit(two)
				one.Ends()
				two.Ends()
				one.NeverShowed(alarms...)
				two.NeverShowed(alarms...)
				onlyFile(w, alice, "notes", "doc.txt")
				onlyFile(w, bob, "notes", "doc.txt")
			})
		}
	}
}

// TestEditorsOffline has both save while neither can know of the other.
func TestEditorsOffline(t *testing.T) {
	for _, e := range commonEditors() {
		t.Run(e.name, func(t *testing.T) {
			w := NewWorld(t)
			alice, bob := w.Pair("notes")
			alice.Write("notes/doc.txt", draft)
			bob.Sees("notes/doc.txt", draft)
			bob.Run("offline")
			one := e.open(w, alice.Path("notes"), "doc.txt")
			two := e.open(w, bob.Path("notes"), "doc.txt")
			e.top(one, "by alice")
			e.bottom(two, "by bob")
			e.save(one)
			e.save(two)
			bob.Run("online")
			merged := "by alice\n" + draft + "by bob\n"
			alice.Sees("notes/doc.txt", merged)
			bob.Sees("notes/doc.txt", merged)
			e.quit(one)
			e.quit(two)
			one.Ends()
			two.Ends()
			one.NeverShowed(alarms...)
			two.NeverShowed(alarms...)
			onlyFile(w, alice, "notes", "doc.txt")
			onlyFile(w, bob, "notes", "doc.txt")
		})
	}
}

// TestTwoEditorsOnOneDevice has two people, or one with two windows, edit the
// same file through one mount.
func TestTwoEditorsOnOneDevice(t *testing.T) {
	for _, e := range commonEditors() {
		t.Run(e.name, func(t *testing.T) {
			w := NewWorld(t)
			alice := w.Up("alice")
			alice.Run("space", "create", "notes")
			alice.Write("notes/doc.txt", draft)
			published(w, alice, "notes/doc.txt")
			one := e.open(w, alice.Path("notes"), "doc.txt")
			two := e.start(w, alice.Path("notes"), "doc.txt")
			switch two.Shows("(E)dit anyway", "open anyway", e.opened) { // the lock file of the first one
			case "(E)dit anyway":
				two.Type("e")
				two.Shows(e.opened)
			case "open anyway":
				two.Type("y")
				two.Shows(e.opened)
			}
			e.top(one, "by one")
			e.bottom(two, "by two")
			e.save(one)
			e.save(two)
			alice.Sees("notes/doc.txt", "by one\n"+draft+"by two\n")
			e.quit(one)
			e.quit(two)
			one.Ends()
			two.Ends()
			one.NeverShowed(alarms...)
			two.NeverShowed(alarms...)
			onlyFile(w, alice, "notes", "doc.txt")
		})
	}
}

// TestSwapFileWarns checks that vim's swap file does its work among the
// processes of a device: it is local, not absent.
func TestSwapFileWarns(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/doc.txt", draft)
	bob.Sees("notes/doc.txt", draft)
	e := vim("vim", "")
	one := e.open(w, alice.Path("notes"), "doc.txt")
	e.top(one, "by alice")
	two := w.Terminal(alice.Path("notes"), "vim", "doc.txt")
	two.Shows("(Q)uit")
	two.Type("q")
	two.Gone()
	three := e.open(w, bob.Path("notes"), "doc.txt")
	three.NeverShowed("E325")
	e.save(one)
	bob.Sees("notes/doc.txt", "by alice\n"+draft)
	e.quit(one)
	e.quit(three)
	one.Ends()
	three.Ends()
}

// TestGitCheckout changes a file by checking out branches on one device, while
// the other one has edited it.
func TestGitCheckout(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/doc.txt", draft)
	bob.Sees("notes/doc.txt", draft)
	dir := alice.Path("notes")
	git := func(args string) {
		shell(t, dir, "git -c user.name=a -c user.email=a@example.org -c init.defaultBranch=main "+args)
	}
	git("init -q")
	git("add doc.txt")
	git("commit -q -m one")
	git("checkout -q -b branch")
	shell(t, dir, `sed -i 's/^top$/TOP/' doc.txt`)
	git("commit -q -a -m two")
	bob.Sees("notes/doc.txt", "TOP\nmiddle\nbottom\n")
	git("checkout -q main")
	bob.Sees("notes/doc.txt", draft)
	if names := visible(t, bob.Path("notes")); !slices.Equal(names, []string{"doc.txt"}) {
		t.Errorf("bob sees %q", names)
	}

	e := vim("vim", "")
	two := e.open(w, bob.Path("notes"), "doc.txt")
	e.bottom(two, "by bob")
	git("checkout -q branch")
	bob.Sees("notes/doc.txt", "TOP\nmiddle\nbottom\n")
	e.save(two)
	for _, d := range []*Device{alice, bob} {
		d.Sees("notes/doc.txt", "TOP\nmiddle\nbottom\nby bob\n")
	}
	e.quit(two)
	two.Ends()
	two.NeverShowed(alarms...)
	shell(t, dir, "git fsck --strict 2>&1 && git status --short >/dev/null")
}

// published waits until a new file is a document: for a second it may still be
// half of somebody's save.
func published(w *World, d *Device, name string) {
	w.t.Helper()
	w.Eventually(name+" is published", func() error {
		_, err := unix.Getxattr(d.Path(name), "user.echofs.id", make([]byte, 256))
		return err
	})
}

// onlyFile checks that a folder holds a file and, beside it, only what editors
// leave behind on the device they run on.
func onlyFile(w *World, d *Device, folder, name string) {
	w.t.Helper()
	w.Eventually(fmt.Sprintf("%s shows only %s", d.name, name), func() error {
		if names := visible(w.t, d.Path(folder)); !slices.Equal(names, []string{name}) {
			return fmt.Errorf("it shows %q", names)
		}
		return nil
	})
}

// visible lists a folder without scratch files.
func visible(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") && filepath.Ext(name) != ".bak" && filepath.Ext(name) != ".orig" {
			names = append(names, name)
		}
	}
	return names
}

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
