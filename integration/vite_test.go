package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const viteHead = `
## A page that reloads itself

A Vite development server serves a folder of the space on one device, and Chromium shows the page. Somebody else saves on the other device, and the page is what they saved, without anybody touching it; the times are in [performance.md](performance.md).

| On the other device | Vite |
|---|---|
`

// A page is what somebody sees in the browser.
type page struct {
	Title, Message, Color string
	Pages                 []string
	Since                 float64 // changes with each load of the document
}

// A browser shows a page that a Vite server on a device serves.
type browser struct {
	w *World

	mu    sync.Mutex // guards the fields below
	now   page
	at    time.Time
	loads int // documents
}

func (b *browser) seen() (page, time.Time, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.at, b.loads
}

// openSite starts the server for a folder of the device, and the browser.
func openSite(w *World, folder string) *browser {
	w.t.Helper()
	b := &browser{w: w}
	var url string
	ready := make(chan struct{})
	dir := nodePackage(w, "watchers")
	w.program(exec.Command("node", filepath.Join(dir, "serve.mjs"), folder, w.t.TempDir()), func(line string) {
		if at, said := strings.CutPrefix(line, "ready "); said {
			url = at
			close(ready)
			return
		}
		var p page
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			w.t.Errorf("Vite says %q", line)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if p.Since != b.now.Since {
			b.loads++
		}
		b.now, b.at = p, time.Now()
	})
	w.within("Vite serves", ready)
	chromium := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--remote-debugging-port=0", "--user-data-dir="+w.t.TempDir(), url)
	chromium.Env = append(os.Environ(), "HOME="+w.t.TempDir())
	w.program(chromium, func(string) {})
	return b
}

// shows waits until the page is so, and returns when that was.
func (b *browser) shows(what string, so func(page) bool) time.Time {
	b.w.t.Helper()
	var when time.Time
	b.w.Eventually("the page shows "+what, func() error {
		now, at, _ := b.seen()
		if when = at; !so(now) {
			return fmt.Errorf("it is %+v", now)
		}
		return nil
	})
	return when
}

// pause waits until chokidar, by which Vite watches, hears of changes again: for
// 50 ms after each it drops what else happens to the same file, on a disk too.
func (b *browser) pause() { <-time.After(100 * time.Millisecond) }

// vite has somebody work on a page that Bob looks at.
func vite(t *testing.T, alice, bob *Device, doc *bytes.Buffer) {
	w := *alice.w
	w.t = t
	b := openSite(&w, bob.Path("notes/site"))
	b.shows("what it begins with", func(p page) bool { return p.Message == "first" && p.Color == "rgb(1, 0, 0)" })

	site := alice.Path("notes/site")
	steps := []struct {
		what   string
		do     func() error
		reload bool
		so     func(page) bool
	}{
		{"a module is saved in place", func() error { return saveMessage(site, "second") }, false, func(p page) bool { return p.Message == "second" }},
		{
			"a module is saved by renaming another file over it",
			func() error {
				if err := os.WriteFile(site+"/message.js.tmp", []byte(messageModule("third")), 0o644); err != nil {
					return err
				}
				return os.Rename(site+"/message.js.tmp", site+"/message.js")
			},
			false, func(p page) bool { return p.Message == "third" },
		},
		{
			"a style sheet is saved", func() error { return os.WriteFile(site+"/style.css", []byte("h1 { color: rgb(2, 0, 0); }\n"), 0o644) },
			false, func(p page) bool { return p.Color == "rgb(2, 0, 0)" },
		},
		{
			"the page itself is saved", func() error {
				text, err := os.ReadFile(site + "/index.html")
				if err != nil {
					return err
				}
				return os.WriteFile(site+"/index.html", bytes.ReplaceAll(text, []byte("first"), []byte("second")), 0o644)
			},
			true, func(p page) bool { return p.Title == "second" },
		},
		{
			"a module is added (`import.meta.glob`)",
			func() error { return os.WriteFile(site+"/pages/two.js", []byte("export const name = 'two';\n"), 0o644) },
			true, func(p page) bool { return slices.Equal(p.Pages, []string{"./pages/one.js", "./pages/two.js"}) },
		},
		{
			"a module is renamed", func() error { return os.Rename(site+"/pages/two.js", site+"/pages/three.js") },
			true, func(p page) bool { return slices.Equal(p.Pages, []string{"./pages/one.js", "./pages/three.js"}) },
		},
		{
			"a module is deleted", func() error { return os.Remove(site + "/pages/three.js") },
			true, func(p page) bool { return slices.Equal(p.Pages, []string{"./pages/one.js"}) },
		},
	}
	for _, s := range steps {
		_, _, before := b.seen()
		b.pause()
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		b.shows(s.what, s.so)
		_, _, after := b.seen()
		does := "replaces the module"
		if s.reload {
			does = "loads the page again"
		}
		if s.reload != (after > before) {
			t.Errorf("%s: the page was loaded %d times", s.what, after-before)
		}
		fmt.Fprintf(doc, "| %s | %s |\n", s.what, does)
	}
	b.measure(t, alice, bob)
}

func messageModule(text string) string { return "export const message = '" + text + "';\n" }

func saveMessage(site, text string) error {
	return os.WriteFile(site+"/message.js", []byte(messageModule(text)), 0o644)
}

// measure prints how long it takes from the beginning of a save until the page
// has said that it shows it, for a save on the other device and for one here.
func (b *browser) measure(t *testing.T, alice, bob *Device) {
	const saves = 10
	draft := filepath.Join(t.TempDir(), "message.js")
	for n, d := range []*Device{alice, bob} {
		var took []time.Duration
		for i := range saves {
			text := fmt.Sprintf("save %d of %-40s", i, d.name) // as long as each other
			b.pause()
			put(t, draft, messageModule(text))
			begun := time.Now()
			// By a process that has read nothing it could be behind of, and in one
			// write: of a file that is cut first, Vite may read nothing on a disk too.
			out, err := exec.Command("dd", "conv=notrunc", "bs=4k", "status=none", "if="+draft, "of="+d.Path("notes/site/message.js")).CombinedOutput()
			if err != nil {
				t.Fatalf("dd: %v\n%s", err, out)
			}
			took = append(took, b.shows(text, func(p page) bool { return p.Message == text }).Sub(begun))
		}
		slices.Sort(took)
		where := []string{"on the other device", "on this one"}[n]
		t.Logf("a save %s is on the page after %v (median of %d; %v to %v)", where, took[saves/2].Round(time.Millisecond),
			saves, took[0].Round(time.Millisecond), took[saves-1].Round(time.Millisecond))
	}
}

func copySite(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command("cp", "-r", "testdata/watchers/site", dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}
