package space

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/echofs/echofs/identity/credential"
)

// A simDevice is one device of a simulation: what it was shown, and what it typed.
type simDevice struct {
	s     *Space
	shown map[NodeID][2]string // text and version, perhaps stale
}

// A simulation is a few devices that change files and exchange entries at
// random. A token is typed once and must be somewhere at the end, unless
// somebody who was shown it took it away.
type simulation struct {
	t       *testing.T
	rnd     *rand.Rand
	devices []*simDevice
	typed   map[string]bool
	dropped map[string]bool
}

func newSimulation(t *testing.T, seed uint64, n int) *simulation {
	sim := &simulation{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), typed: map[string]bool{}, dropped: map[string]bool{}}
	host := founded(t)
	settle(t, host)
	sim.devices = append(sim.devices, &simDevice{host, map[NodeID][2]string{}})
	for i := 1; i < n; i++ {
		s := joined(t, host, fmt.Sprint("guest", i), credential.Editor)
		sim.devices = append(sim.devices, &simDevice{s, map[NodeID][2]string{}})
	}
	t.Cleanup(func() {
		for _, d := range sim.devices {
			d.s.Close()
		}
	})
	return sim
}

// token returns a line that has no character in common with any other, so that
// no diff takes one for the change of another. Only the line break between two
// may get lost, when one of them goes.
func (sim *simulation) token() string {
	letters := make([]rune, 5)
	for i := range letters {
		letters[i] = rune(0x4e00 + len(sim.typed)*len(letters) + i)
	}
	sim.typed[string(letters)] = true
	return string(letters)
}

// all returns the entries of a space, folders before what is in them.
func all(t testing.TB, s *Space) (infos []Info) {
	var walk func(NodeID)
	walk = func(dir NodeID) {
		list, err := s.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			infos = append(infos, i)
			if i.Kind == Dir {
				walk(i.ID)
			}
		}
	}
	walk(Root)
	return infos
}

func (sim *simulation) step() {
	d := sim.devices[sim.rnd.IntN(len(sim.devices))]
	infos := all(sim.t, d.s)
	var files []Info
	dirs := []NodeID{Root}
	for _, i := range infos {
		switch i.Kind {
		case File:
			files = append(files, i)
		case Dir:
			dirs = append(dirs, i.ID)
		}
	}
	dir := dirs[sim.rnd.IntN(len(dirs))]
	name := fmt.Sprintf("n%d.txt", sim.rnd.IntN(6))
	var err error
	switch op := sim.rnd.IntN(17); {
	case op == 0:
		tok := sim.token()
		if _, err = d.s.Create(dir, name, New{Content: BytesContent([]byte(tok + "\n"))}); err != nil {
			sim.dropped[tok] = true
		}
	case op == 1:
		_, err = d.s.Create(dir, "dir"+name, New{Kind: Dir})
	case op <= 7 && len(files) > 0:
		sim.save(d, files[sim.rnd.IntN(len(files))])
	case op == 8 && len(infos) > 0:
		_, err = d.s.Move(infos[sim.rnd.IntN(len(infos))].ID, dir, name, false)
	case op == 9 && len(infos) > 0 && sim.rnd.IntN(3) == 0:
		i := infos[sim.rnd.IntN(len(infos))]
		text := ""
		if i.Kind == File {
			text, _ = read(sim.t, d.s, i.ID)
		}
		if err = d.s.Remove(i.ID); err == nil {
			sim.drop(text)
		}
	case op == 10 && len(files) > 0:
		f := files[sim.rnd.IntN(len(files))]
		text, _ := read(sim.t, d.s, f.ID)
		if !strings.Contains(text, "\x00") { // becomes binary and keeps its tokens
			_, err = d.s.Save(f.ID, nil, BytesContent([]byte(text+"\x00\n"+sim.token()+"\n")), time.Time{})
		}
	case op == 14 && len(infos) > 1:
		err = d.s.Exchange(infos[sim.rnd.IntN(len(infos))].ID, infos[sim.rnd.IntN(len(infos))].ID)
	case op == 15 && len(infos) > 0:
		exec, mtime := sim.rnd.IntN(2) == 0, time.Unix(int64(sim.rnd.IntN(1000)), 5)
		err = d.s.SetAttr(infos[sim.rnd.IntN(len(infos))].ID, &exec, &mtime)
	case op == 16 && len(files) > 1 && sim.rnd.IntN(3) == 0:
		over := files[sim.rnd.IntN(len(files))]
		text, _ := read(sim.t, d.s, over.ID)
		if from := files[sim.rnd.IntN(len(files))]; from.ID != over.ID {
			if _, err = d.s.Move(from.ID, over.Parent, over.Name, true); err == nil {
				sim.drop(text)
			}
		}
	case op == 11:
		sim.commit(d)
	case op >= 12:
		sim.exchange(d, sim.devices[sim.rnd.IntN(len(sim.devices))])
	}
	if err != nil && !isExpected(err) {
		sim.t.Fatal(err)
	}
}

func isExpected(err error) bool {
	for _, want := range []error{os.ErrExist, os.ErrNotExist, syscall.ENOTEMPTY, syscall.EINVAL} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// save types a token into a file, often into a version shown some time ago.
func (sim *simulation) save(d *simDevice, f Info) {
	text, version := read(sim.t, d.s, f.ID)
	if was, ok := d.shown[f.ID]; ok && sim.rnd.IntN(2) == 0 {
		text, version = was[0], was[1]
	} else {
		d.shown[f.ID] = [2]string{text, version}
	}
	if strings.Contains(text, "\x00") {
		return
	}
	lines := strings.SplitAfter(text, "\n")
	at := sim.rnd.IntN(len(lines))
	lines = slices.Insert(lines, at, sim.token()+"\n")
	if sim.rnd.IntN(8) == 0 {
		i := sim.rnd.IntN(len(lines))
		sim.drop(lines[i])
		lines = slices.Delete(lines, i, i+1)
	}
	i, err := d.s.Save(f.ID, &version, BytesContent([]byte(strings.Join(lines, ""))), time.Time{})
	if err != nil {
		sim.t.Fatal(err)
	}
	if i.ID != f.ID {
		delete(d.shown, f.ID)
	}
}

func (sim *simulation) drop(text string) {
	for tok := range sim.typed {
		if strings.Contains(text, tok) {
			sim.dropped[tok] = true
		}
	}
}

func (sim *simulation) commit(d *simDevice) { settle(sim.t, d.s) }

// exchange gives d some of what from has committed, in any order.
func (sim *simulation) exchange(d, from *simDevice) {
	if err := d.s.AddCredentials(sim.t.Context(), from.s.Credentials()); err != nil {
		sim.t.Fatal(err)
	}
	refs, err := from.s.Log(0, 1<<20)
	if err != nil {
		sim.t.Fatal(err)
	}
	have := d.s.Timeframe()
	refs = slices.DeleteFunc(refs, func(r LogRef) bool { return r.Seq <= have[r.Feed].Seq || sim.rnd.IntN(4) == 0 })
	sim.rnd.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	for _, r := range refs {
		raw, err := from.s.Entry(r.Feed, r.Seq)
		if err != nil {
			sim.t.Fatal(err)
		}
		give(sim.t, d.s, raw)
	}
}

func (sim *simulation) finish() {
	for range len(sim.devices) {
		for _, d := range sim.devices {
			sim.commit(d)
			for _, from := range sim.devices {
				pull(sim.t, d.s, from.s)
			}
		}
	}
	// A file whose last text goes to another node is told by its tree alone.
	want := sim.picture(sim.devices[0].s)
	for i, d := range sim.devices {
		if got := sim.picture(d.s); got != want {
			sim.t.Fatalf("device %d has\n%s\ndevice 0 has\n%s", i, got, want)
		}
	}
	for tok := range sim.typed {
		if !sim.dropped[tok] && !strings.Contains(want, tok) {
			sim.t.Errorf("%s was typed and is gone from\n%s", tok, want)
		}
	}
}

// picture is everything a space shows.
func (sim *simulation) picture(s *Space) string {
	var b strings.Builder
	b.WriteString(s.tree.Dump())
	for _, i := range all(sim.t, s) {
		if i.Kind == File {
			text, _ := read(sim.t, s, i.ID)
			if int64(len(text)) != i.Size {
				sim.t.Errorf("%s has %d bytes, says %d", i.Name, len(text), i.Size)
			}
			fmt.Fprintf(&b, "--- %s\n%s", s.Path(i.ID), text)
		}
	}
	return b.String()
}

func TestDevicesConverge(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			sim := newSimulation(t, seed, 3)
			for range 150 {
				sim.step()
			}
			sim.finish()
			d := sim.devices[sim.rnd.IntN(3)]
			before := sim.picture(d.s)
			if err := d.s.Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := sim.picture(d.s); got != before {
				t.Errorf("rebuilt\n%s\nbefore\n%s", got, before)
			}
		})
	}
}

// TestKilled copies a space's folder between operations, as kill -9 would leave
// it, and opens the copy: everything that was acknowledged must be there.
func TestKilled(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			sim := newSimulation(t, seed, 2)
			for i := range 60 {
				sim.step()
				if i%10 != 9 {
					continue
				}
				d := sim.devices[sim.rnd.IntN(2)]
				dir := t.TempDir()
				copyDir(t, d.s.dir, dir)
				again, err := Open(Config{Dir: dir, Device: d.s.device, Log: testLog(t)})
				if err != nil {
					t.Fatal(err)
				}
				if got, want := sim.picture(again), sim.picture(d.s); got != want {
					t.Fatalf("after the kill\n%s\nbefore\n%s", got, want)
				}
				settle(t, again)
				if got, want := sim.picture(again), sim.picture(d.s); got != want {
					t.Fatalf("after the commit\n%s\nbefore\n%s", got, want)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(filepath.Join(to, rel))
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
		return out.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}
