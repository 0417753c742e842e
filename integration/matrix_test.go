package integration

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write docs/editors.md and docs/watchers.md as the tests find it")

const matrixDoc = "../docs/editors.md"

// A matrix is one test of many programs on the same two devices: Alice uses
// them, and Bob is who they have to get on with.
type matrix struct {
	w          *World
	alice, bob *Device
	seen       *witness

	mu   sync.Mutex // guards the field below
	rows []*trial
}

// A trial is one program on them.
type trial struct {
	*matrix
	name, how string
	folder    string
	texts     []string // all that anybody may ever have seen, in order
	saves     int      // by the program
	others    int      // by Bob
	live      string   // how it follows what others do
	stale     string   // what was tested of stale text
	id        string   // of doc.txt
}

// as is the trial for another test, which it then fails.
func (r *trial) as(t testing.TB) *trial {
	w := *r.w
	w.t = t
	m := &matrix{w: &w, seen: r.seen}
	alice, bob := *r.alice, *r.bob
	alice.w, bob.w = &w, &w
	m.alice, m.bob = &alice, &bob
	r.matrix = m
	return r
}

func (m *matrix) trial(name, how string) *trial {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &trial{matrix: m, name: name, how: how}
	r.folder = fmt.Sprintf("notes/%d %s", len(m.rows), strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c == ' ' || c == '-' || c == '.' {
			return c
		}
		return '_'
	}, strings.ToLower(name)))
	m.rows = append(m.rows, r)
	m.seen.of(r.folder)
	return r
}

func (r *trial) doc() string { return r.folder + "/doc.txt" }

// begin makes the document, an executable one.
func (r *trial) begin() {
	r.w.t.Helper()
	r.alice.Write(r.doc(), draft)
	if err := os.Chmod(r.alice.Path(r.doc()), 0o755); err != nil {
		r.w.t.Fatal(err)
	}
	r.texts = append(r.texts, draft)
}

// begun waits until both have it.
func (r *trial) begun() {
	r.w.t.Helper()
	r.bob.Sees(r.doc(), draft)
	published(r.w, r.alice, r.doc())
	r.id = r.identity(r.alice)
	r.same()
}

func (r *trial) identity(d *Device) string {
	r.w.t.Helper()
	buf := make([]byte, 256)
	n, err := unix.Getxattr(d.Path(r.doc()), "user.echofs.id", buf)
	if err != nil {
		r.w.t.Fatalf("%s: the ID of %s: %v", d.name, r.doc(), err)
	}
	return string(buf[:n])
}

// saved waits until both see what the program made.
func (r *trial) saved(text string) {
	r.w.t.Helper()
	r.saves++
	r.both(text)
}

// other saves what somebody else makes on Bob's device.
func (r *trial) other(text string) {
	r.w.t.Helper()
	r.others++
	r.texts = append(r.texts, text)
	if err := r.seen.write(r.folder, text); err != nil {
		r.w.t.Fatal(err)
	}
}

func (r *trial) both(text string) {
	r.w.t.Helper()
	r.texts = append(r.texts, text)
	for _, d := range []*Device{r.alice, r.bob} {
		d.Sees(r.doc(), text)
	}
	r.same()
}

// same checks that it is still the same document with the same mode.
func (r *trial) same() {
	r.w.t.Helper()
	for _, d := range []*Device{r.alice, r.bob} {
		r.w.Eventually(fmt.Sprintf("%s has the document as it was", d.name), func() error {
			info, err := os.Stat(d.Path(r.doc()))
			if err == nil && (info.Mode().Perm() != 0o755 || r.identity(d) != r.id) {
				err = fmt.Errorf("%s has mode %v and ID %s; it began with 755 and %s", r.doc(), info.Mode(), r.identity(d), r.id)
			}
			return err
		})
	}
}

// TestEditorMatrix has every program save, save what it read before others
// saved, and save what it deleted. At the end the log must show one change for
// each save and nothing else, and docs/editors.md must say what was found.
func TestEditorMatrix(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	m := &matrix{w: w, alice: alice, bob: bob, seen: bob.witness()}
	var held, quick []*trial
	byName := map[string]tool{}
	for _, u := range tools() {
		r := m.trial(u.name, u.how)
		byName[u.name] = u
		quick = append(quick, r)
		if u.held != "" {
			held = append(held, r)
		}
	}
	outs := map[string]string{}
	for _, r := range quick {
		outs[r.name] = t.TempDir()
		r.begin()
	}
	ok := true
	step := func(name string, rows []*trial, do func(t *testing.T, r *trial, u tool, out string)) {
		for _, r := range rows {
			ok = t.Run(r.name+"/"+name, func(t *testing.T) {
				top := r.matrix
				defer func() { r.matrix = top }()
				r.as(t)
				do(t, r, byName[r.name], outs[r.name])
			}) && ok
		}
	}
	run := func(t *testing.T, r *trial, u tool, out, script string, n int) {
		t.Helper()
		if text, err := u.command(t, r.alice.Path(r.folder), out, script, n).CombinedOutput(); err != nil || len(text) > 0 {
			t.Fatalf("%s: %v\n%s", script, err, text)
		}
	}

	t.Run("screen", func(t *testing.T) {
		for _, e := range append(editorsWithScreen(), vscode(w)) {
			r := m.trial(e.name, e.how)
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				r.as(t).screen(e)
			})
		}
	})

	step("begin", quick, func(t *testing.T, r *trial, u tool, out string) {
		r.begun()
		if u.setup != "" {
			run(t, r, u, out, u.setup, 0)
		}
		run(t, r, u, out, u.save, 1)
	})
	step("save", quick, func(t *testing.T, r *trial, u tool, out string) { r.saved(u.text(1, "middle")) })
	bob.Run("offline")
	step("apart", quick, func(t *testing.T, r *trial, u tool, out string) {
		r.other(u.text(1, "by bob"))
		run(t, r, u, out, u.save, 2)
	})
	bob.Run("online")
	step("together", quick, func(t *testing.T, r *trial, u tool, out string) {
		r.saved(u.text(2, "by bob"))
		r.stale = "reads nothing, or all at once"
	})
	step("held", held, func(t *testing.T, r *trial, u tool, out string) {
		if err := unix.Mkfifo(filepath.Join(out, "gate"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := u.command(t, r.alice.Path(r.folder), out, u.held, 3)
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		open := gate(r.w, filepath.Join(out, "gate"))
		r.other(u.text(2, "bob again"))
		r.alice.Sees(r.doc(), u.text(2, "bob again"))
		open()
		if err := cmd.Wait(); err != nil || text.Len() > 0 {
			t.Errorf("%s: %v\n%s", u.held, err, &text)
		}
		r.saved(u.text(3, "bob again"))
		r.stale = "both edits"
	})
	m.seen.end()
	alice.Stop()
	bob.Stop()
	m.proof(t)
	if t.Failed() {
		return
	}
	m.document(t)
}

// gate waits until somebody waits at a pipe, and returns what lets them go on.
func gate(w *World, path string) (open func()) {
	w.t.Helper()
	var pipe int
	w.Eventually("somebody waits at the gate", func() (err error) {
		pipe, err = unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	return func() { unix.Close(pipe) }
}

// screen does with an editor what a person does.
func (r *trial) screen(e editor) {
	r.w.t.Helper()
	r.begin()
	r.begun()
	s := e.open(r.w, r.alice.Path(r.folder), "doc.txt")
	e.top(s, "one")
	e.save(s)
	r.saved("one\ntop\nmiddle\nbottom\n")

	// What is typed before and after others save is saved beside it.
	e.top(s, "two")
	r.other("one\ntop\nby bob\nbottom\n")
	r.alice.Sees(r.doc(), "one\ntop\nby bob\nbottom\n")
	e.top(s, "three")
	if e.idle != nil {
		e.idle(s)
	}
	e.save(s)
	r.saved("three\ntwo\none\ntop\nby bob\nbottom\n")

	// Having seen what others did, it can take that away as well.
	if r.live = e.looks; e.look == nil {
		r.live = "open it again"
	}
	r.other("three\ntwo\none\ntop\nby robert\nbottom\nlast\n")
	r.alice.Sees(r.doc(), "three\ntwo\none\ntop\nby robert\nbottom\nlast\n")
	if e.look != nil {
		e.look(s)
	} else {
		e.quit(s)
		s.Ends()
		s.NeverShowed(alarms...)
		s = e.open(r.w, r.alice.Path(r.folder), "doc.txt")
	}
	e.drop(s)
	e.save(s)
	r.saved("three\ntwo\none\ntop\nby robert\nbottom\n")
	e.quit(s)
	s.Ends()
	s.NeverShowed(alarms...)
	r.stale = "both edits"
	onlyFile(r.w, r.alice, r.folder, "doc.txt")
	onlyFile(r.w, r.bob, r.folder, "doc.txt")
}

// proof reads in the log what has really happened.
func (m *matrix) proof(t *testing.T) {
	lives := m.bob.lives()
	for _, r := range m.rows {
		t.Run(r.name+"/proof", func(t *testing.T) {
			if r.saves == 0 {
				t.Fatal("it saved nothing")
			}
			if wrong := m.seen.saw(r.folder, r.texts...); len(wrong) > 0 {
				t.Errorf("bob saw what nobody should: %s", strings.Join(wrong, ", "))
			}
			var folder *life
			for _, l := range lives {
				if slices.Equal(l.names, []string{filepath.Base(r.folder)}) {
					folder = l
				}
			}
			if folder == nil {
				t.Fatalf("the log knows no folder %s", r.folder)
			}
			docs := 0
			for _, l := range lives {
				switch {
				case l.parent != folder.id:
				case !slices.Equal(l.names, []string{"doc.txt"}):
					t.Errorf("a file named %q was shared", l.names)
				default:
					docs++
					if want := 1 + r.saves + r.others; l.writes != want || l.gone > 0 {
						t.Errorf("the log has %d writes and %d removals of %s; one each for its creation, %d saves by the program and %d by others are %d",
							l.writes, l.gone, r.doc(), r.saves, r.others, want)
					}
				}
			}
			if docs != 1 {
				t.Errorf("%d documents have been doc.txt", docs)
			}
		})
	}
}

// document writes down what was found, or compares it with what is written.
func (m *matrix) document(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(matrixHead)
	for _, r := range m.rows {
		if r.live != "" {
			fmt.Fprintf(&b, "| %s | %s | %d of %d | %s |\n", r.name, r.how, r.saves, r.saves, r.live)
		}
	}
	b.WriteString(matrixTools)
	for _, r := range m.rows {
		if r.live == "" {
			fmt.Fprintf(&b, "| %s | %s | %d of %d | %s |\n", r.name, r.how, r.saves, r.saves, r.stale)
		}
	}
	if *update {
		if err := os.WriteFile(matrixDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(matrixDoc); err != nil || !bytes.Equal(old, b.Bytes()) {
		t.Errorf("docs/editors.md does not say what was found (make editors writes it): %v", err)
	}
}

const matrixHead = `# Editors and tools

Made by ` + "`make editors`" + `: the real programs on one device, somebody else who saves the same file on another one. CI fails when a row does not hold any more, or when this page says something else.

For every row:

- A save is **one edit** of the same document. The signed log has one change for each save and nothing else: no empty version, no removal, no temporary name.
- The other device never sees anything but ` + "`doc.txt`" + ` with a text that somebody saved.
- ` + "`user.echofs.id`" + ` and the mode stay what they were. Backups and swap files stay on the device.

## Editors

Each has text in its buffer, some of it typed before and some after somebody else saved, and saves: both edits are there, what the other one deleted stays deleted, and the editor asks nothing. Then it loads what others did, deletes a line and saves: the line is gone, the rest stays.

| Editor | How it saves | Saves that are one edit | To load what others did |
|---|---|---|---|
`

const matrixTools = `
An editor compares the time and the size of a file with those that it remembers: before it saves, to warn, and when it hears of a change, to load it. What it is told is this:

- One that says that its buffer has no unsaved changes, as vim does in its swap file, is told the true size with the time that it knows: ` + "`:checktime`" + ` loads the file, and ` + "`:w`" + ` asks nothing. (neovim needs another time to load a file. Told ` + "`:w`" + ` before that, without a change of its own, it asks.) One that says that it has, in the swap file or by emacs' lock, is told the version that it knows: it asks nothing, and its save is merged.
- One that watches is told the true size, with a time just before the one that it knows, for 10 seconds after each change. VS Code loads the file into a buffer without unsaved changes, and asks nothing if there are some.
- Any other is told the version that it knows until it opens the file again.
- An open descriptor tells the size of what it reads.

## Tools

Each saves once with the other device connected and once without, when both have changed the file: afterwards both changes are there. Those that can be stopped between reading and writing are, while somebody else saves.

| Tool | How it saves | Saves that are one edit | Saved after others did |
|---|---|---|---|
`
