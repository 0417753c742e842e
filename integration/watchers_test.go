package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const watchersDoc = "../docs/watchers.md"

// A happening is something that a person does to files.
type happening struct {
	what string
	do   func(dir string) error
	// like does what is the same to everybody else; nil: do.
	like func(dir string) error
	// final is what files are to whoever is told of them.
	final map[string]string
}

func happenings() []happening {
	const text, longer = "text of doc\n", "another text,\nlonger than the first\n"
	save := func(name, text string) func(string) error {
		return func(d string) error { return os.WriteFile(filepath.Join(d, name), []byte(text), 0o644) }
	}
	move := func(from, to string) func(string) error {
		return func(d string) error { return os.Rename(filepath.Join(d, from), filepath.Join(d, to)) }
	}
	return []happening{
		{what: "a file is created", do: save("new", longer), final: map[string]string{"new": longer}},
		{what: "an empty file is created", do: save("new", ""), final: map[string]string{"new": ""}},
		{what: "a file is saved in place", do: save("doc", longer), final: map[string]string{"doc": longer}},
		{
			what: "a file is saved by renaming another one over it",
			do:   func(d string) error { return errors.Join(save("doc.tmp", longer)(d), move("doc.tmp", "doc")(d)) },
			like: save("doc", longer), final: map[string]string{"doc": longer},
		},
		{
			what: "a line is appended",
			do: func(d string) error {
				f, err := os.OpenFile(d+"/doc", os.O_WRONLY|os.O_APPEND, 0)
				if err != nil {
					return err
				}
				_, err = f.WriteString("a line\n")
				return errors.Join(err, f.Close())
			},
			final: map[string]string{"doc": text + "a line\n"},
		},
		{what: "a file is made executable", do: func(d string) error { return os.Chmod(d+"/doc", 0o755) }, final: map[string]string{"doc": text}},
		{what: "a symbolic link is made", do: func(d string) error { return os.Symlink("doc", d+"/link") }, final: map[string]string{"link": text}},
		{what: "a file is renamed", do: move("doc", "renamed"), final: map[string]string{"renamed": text}},
		{what: "a file is renamed over another one", do: move("doc", "other"), final: map[string]string{"other": text}},
		{what: "a file is moved to another folder", do: move("doc", "sub/doc"), final: map[string]string{"sub/doc": text}},
		{what: "a file is deleted", do: func(d string) error { return os.Remove(d + "/doc") }},
		{what: "a folder is made", do: func(d string) error { return os.Mkdir(d+"/new", 0o755) }},
		{what: "a folder with a file is renamed", do: move("sub", "renamed"), final: map[string]string{"renamed/inner": "text of sub/inner\n"}},
		{what: "a folder with a file is moved to another folder", do: move("sub", "tree/sub"), final: map[string]string{"tree/sub/inner": "text of sub/inner\n"}},
		{what: "an empty folder is deleted", do: func(d string) error { return os.Remove(d + "/empty") }},
		{what: "a folder is deleted with all that is in it", do: func(d string) error { return os.RemoveAll(d + "/tree") }},
	}
}

// prepare makes what the happenings happen to.
func (h happening) prepare(t testing.TB, dir string) {
	t.Helper()
	for _, d := range []string{"sub", "empty", "tree/a"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"doc", "other", "sub/inner", "tree/a/x", "tree/b"} {
		put(t, filepath.Join(dir, f), "text of "+f+"\n")
	}
}

// TestWatcherMatrix does things on Alice's device while real programs watch on
// Bob's: they must hear the same as of the same things done beside them on a
// disk, and whoever reads a file when told of it must read what it is now.
// docs/watchers.md must say what was found.
func TestWatcherMatrix(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	all, disk := happenings(), filepath.Join(w.dir, "disk")
	places := []string{disk, alice.Path("notes/watched")}
	for _, place := range places {
		for n, h := range all {
			h.prepare(t, filepath.Join(place, fmt.Sprint(n)))
		}
		if err := os.Mkdir(filepath.Join(place, "marks"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copySite(t, alice.Path("notes/site"))
	w.Same(alice, bob, "notes")

	roots := []string{disk, bob.Path("notes/watched")}
	var docs []string
	for n := range all {
		for _, root := range roots {
			docs = append(docs, filepath.Join(root, fmt.Sprint(n), "doc"))
		}
	}
	programs := listeners(w, roots, docs)
	told(w, alice, bob, programs, places, "before")
	for _, l := range programs {
		l.forget()
	}
	for n, h := range all {
		if h.like == nil {
			h.like = h.do
		}
		if err := errors.Join(h.like(filepath.Join(places[0], fmt.Sprint(n))), h.do(filepath.Join(places[1], fmt.Sprint(n)))); err != nil {
			t.Fatalf("%s: %v", h.what, err)
		}
	}
	told(w, alice, bob, programs, places, "after")

	var doc bytes.Buffer
	doc.WriteString(watchersHead(programs))
	for n, h := range all {
		cells := []string{h.what}
		for _, l := range programs {
			here, there := l.sum(0, fmt.Sprint(n)), l.sum(1, fmt.Sprint(n))
			if here != there {
				t.Errorf("%s: %s is told\n%s\nof the same on a disk\n%s", h.what, l.name, there, here)
			}
			cells = append(cells, cell(here))
			for _, s := range l.of(1, fmt.Sprint(n)) {
				if want, known := h.final[s.path]; known && s.text != nil && *s.text != want {
					t.Errorf("%s: when told %q of %s, %s read %q", h.what, s.event, s.path, l.name, *s.text)
				}
			}
		}
		fmt.Fprintf(&doc, "| %s |\n", strings.Join(cells, " | "))
	}
	doc.WriteString(viteHead)
	t.Run("vite", func(t *testing.T) { vite(t, alice, bob, &doc) })
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(watchersDoc, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old, err := os.ReadFile(watchersDoc); err != nil || !bytes.Equal(old, doc.Bytes()) {
		t.Errorf("docs/watchers.md does not say what was found (make watchers writes it): %v", err)
	}
}

// told returns when all programs have heard of everything that was done so far:
// of what is done last they hear last.
func told(w *World, alice, bob *Device, programs []*listener, places []string, name string) {
	w.t.Helper()
	w.Same(alice, bob, "notes/watched")
	mark := "marks/" + name
	for _, place := range places {
		put(w.t, filepath.Join(place, mark), "a mark\n")
	}
	hear := func(what string, event func(l *listener) string) {
		w.t.Helper()
		for _, l := range programs {
			w.Eventually(l.name+what, func() error {
				for root := range places {
					if l.gone != "" && !l.heard(root, mark, event(l)) {
						return fmt.Errorf("not in %s", l.roots[root])
					}
				}
				return nil
			})
		}
	}
	hear(" hears of a mark", func(*listener) string { return "" })
	for _, place := range places {
		if err := os.Remove(filepath.Join(place, mark)); err != nil {
			w.t.Fatal(err)
		}
	}
	hear(" hears that it is gone", func(l *listener) string { return l.gone })
}

// sum is what a program said of one happening, a line for each path: their order
// among each other is not fixed. What is said twice in a row counts once, as the
// kernel has it, and a change said right behind a creation not at all if that
// depends on how fast the program looked.
func (l *listener) sum(root int, folder string) string {
	byPath := map[string][]string{}
	for _, s := range l.of(root, folder) {
		events := byPath[s.path]
		if n := len(events); n > 0 {
			last := events[n-1]
			made := last == "add" || last == "create"
			changed := s.event == "change" || s.event == "update"
			if last == s.event || l.settle && made && changed {
				continue
			}
		}
		byPath[s.path] = append(events, s.event)
	}
	var lines []string
	for path, events := range byPath {
		lines = append(lines, path+": "+strings.Join(events, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// cell is a sum in a table.
func cell(sum string) string {
	if sum == "" {
		return "–"
	}
	var lines []string
	for line := range strings.SplitSeq(sum, "\n") {
		path, events, _ := strings.Cut(line, ": ")
		lines = append(lines, fmt.Sprintf("`%s` %s", path, events))
	}
	return strings.Join(lines, "<br>")
}

func watchersHead(programs []*listener) string {
	head := `# Programs that watch files

Made by ` + "`make watchers`" + `: things are done on one device while real programs watch on another one. CI fails when one of them hears anything else than of the same thing done on a disk beside it, or when this page says something else.

A program that reads a file when it is told of it reads what the file is now. What is said twice in a row is given once here, as the kernel does it, and of chokidar and @parcel/watcher a change right behind a creation not at all: whether they say it depends on how fast they looked. Paths are those of the place that is watched: ` + "`doc`, `other`, `sub/inner`, `empty/`, `tree/a/x`, `tree/b`" + `.

| On the other device |`
	rule := "\n|---|"
	for _, l := range programs {
		head += " " + l.name + " |"
		rule += "---|"
	}
	return head + rule + "\n"
}
