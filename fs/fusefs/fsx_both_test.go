package fusefs

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fsxMark parts the text of TestFsxBoth: what is above it device 0 writes, what
// is below it device 1.
const fsxMark = "\n======== ======== ======== ========\n"

// TestFsxBoth edits one text on two devices at the same time, each its own half,
// in all the ways in which programs save. Whenever a device looks, its half is
// what it made of it, to the byte, and the other one is whole; in the end both
// have both halves.
func TestFsxBoth(t *testing.T) {
	folders := serve(t, 2)
	seed := fsxSeed(t)
	write(t, filepath.Join(folders[0], "text"), "above"+fsxMark+"below")
	arrives(t, filepath.Join(folders[1], "text"), "above"+fsxMark+"below")
	both := [2]*half{
		{path: filepath.Join(folders[0], "text"), want: "above", r: rand.New(rand.NewPCG(seed, 0))},
		{path: filepath.Join(folders[1], "text"), want: "below", r: rand.New(rand.NewPCG(seed, 1)), below: true},
	}
	var done sync.WaitGroup
	for i, h := range both {
		h.peer = both[1-i]
		h.becomes(h.want)
	}
	for _, h := range both {
		done.Go(func() {
			for i := range max(fsxOps(t)/20, 40) {
				if err := h.step(); err != nil {
					t.Errorf("device %t, step %d: %v; before it:\n%s", h.below, i, err, strings.Join(h.did[max(0, len(h.did)-10):], "\n"))
					return
				}
			}
		})
	}
	done.Wait()
	if t.Failed() {
		return
	}
	for _, h := range both {
		arrives(t, h.path, both[0].want+fsxMark+both[1].want)
	}
	for _, folder := range folders {
		if got := strings.TrimSuffix(names(t, folder), " text~"); got != "text" { // the backup is the device's own
			t.Errorf("in the folder is %q", got)
		}
	}
}

// A half is one device's part of the text.
type half struct {
	path  string
	below bool
	want  string
	r     *rand.Rand
	did   []string
	peer  *half

	mu  sync.Mutex // guards the field below
	was map[string]bool
}

// becomes notes what the half is going to be.
func (h *half) becomes(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.was == nil {
		h.was = map[string]bool{}
	}
	h.was[text] = true
}

// ever reports whether the half was so.
func (h *half) ever(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.was[text]
}

// split returns the half and the other one.
func (h *half) split(text string) (mine, other string, err error) {
	above, below, ok := strings.Cut(text, fsxMark)
	switch {
	case !ok || strings.Contains(below, fsxMark):
		return "", "", fmt.Errorf("the mark is broken: %q", text)
	case h.below:
		return below, above, nil
	}
	return above, below, nil
}

func (h *half) look() (other string, err error) {
	data, err := readPast(h.path)
	if err != nil {
		return "", err
	}
	mine, other, err := h.split(string(data))
	if err == nil && !h.peer.ever(other) {
		return "", fmt.Errorf("the other half was never\n%q", other)
	}
	if err == nil && mine != h.want {
		from := 0
		for from < min(len(mine), len(h.want)) && mine[from] == h.want[from] {
			from++
		}
		to := 0
		for to < min(len(mine), len(h.want))-from && mine[len(mine)-1-to] == h.want[len(h.want)-1-to] {
			to++
		}
		err = fmt.Errorf("at %d is\n%q, want\n%q", from, mine[from:len(mine)-to], h.want[from:len(h.want)-to])
	}
	return other, err
}

// readPast reads a file with one request and past the kernel's page cache, as it
// is when somebody appends: this test is about texts, not about when the kernel
// drops pages.
func readPast(path string) ([]byte, error) {
	if os.Getenv("FSX_CACHED") != "" { // another subject, sometimes of interest
		return os.ReadFile(path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, 64<<10)
	n, err := f.Read(data)
	if err == io.EOF {
		err = nil
	}
	return data[:n], err
}

func (h *half) step() error {
	other, err := h.look()
	if err != nil {
		return err
	}
	next := h.edit()
	h.becomes(next)
	whole := next + fsxMark + other
	if h.below {
		whole = other + fsxMark + next
	}
	what := h.r.IntN(5)
	h.did = append(h.did, fmt.Sprintf("way %d: %d bytes to %d", what, len(h.want), len(next)))
	switch what {
	case 0:
		err = os.WriteFile(h.path, []byte(whole), 0o644)
	case 1: // as most editors do
		temp := filepath.Join(filepath.Dir(h.path), fmt.Sprintf(".text.%t.new", h.below))
		if err = os.WriteFile(temp, []byte(whole), 0o644); err == nil {
			err = os.Rename(temp, h.path)
		}
	case 2: // as others do
		old := h.path + "~"
		if err = os.Rename(h.path, old); err == nil {
			err = os.WriteFile(h.path, []byte(whole), 0o644)
		}
	case 3: // at the end, or over what is at the start
		if h.below {
			next = h.want + "\nappended"
			h.becomes(next)
			err = h.open(os.O_WRONLY|os.O_APPEND, func(f *os.File) error { _, err := f.WriteString("\nappended"); return err })
		} else {
			n := min(len(h.want), 5)
			next = "start"[:n] + h.want[n:]
			h.becomes(next)
			err = h.open(os.O_RDWR, func(f *os.File) error { _, err := f.WriteAt([]byte("start")[:n], 0); return err })
		}
	case 4: // nothing changes
		next = h.want
		err = h.open(os.O_RDWR, func(f *os.File) error { return f.Sync() })
	}
	if err != nil {
		return err
	}
	h.want = next
	_, err = h.look()
	return err
}

func (h *half) open(flags int, do func(*os.File) error) error {
	f, err := os.OpenFile(h.path, flags, 0)
	if err != nil {
		return err
	}
	return firstOf(do(f), f.Close())
}

// edit puts something in, takes something out, or both.
func (h *half) edit() string {
	from := h.r.IntN(len(h.want) + 1)
	to := from
	if h.r.IntN(2) == 0 || len(h.want) > 3000 {
		to = min(from+h.r.IntN(max(len(h.want)/8, 4)), len(h.want))
	}
	var put strings.Builder
	for range h.r.IntN(4) {
		fmt.Fprintf(&put, "%s %d\n", strings.Repeat(string(rune('a'+h.r.IntN(26))), h.r.IntN(30)), h.r.IntN(1000))
	}
	return h.want[:from] + put.String() + h.want[to:]
}
