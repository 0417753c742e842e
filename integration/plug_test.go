package integration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPlug copies a tree into one mount and kills either daemon at random
// moments. A file whose close returned nil is in the ledger; after each kill and
// start everything in the ledger must be there, and in the end on both sides.
//
// PLUG is the number of kills; with it the whole source tree of Go is copied.
func TestPlug(t *testing.T) {
	kills, source, seed := 4, filepath.Join(goroot(t), "src", "encoding"), uint64(1)
	if s := os.Getenv("PLUG"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PLUG is not a number: %v", err)
		}
		kills, source, seed = n, filepath.Join(goroot(t), "src"), uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)

	w := NewWorld(t)
	alice, bob := w.Pair("plug")
	p := &plug{
		w: w, alice: alice, bob: bob, kills: kills,
		random: rand.New(rand.NewPCG(seed, 0)), ledger: map[string][32]byte{},
	}
	p.copyTree(source)
	for p.kills > 0 { // the copy was quicker than all the kills
		p.overwriteSome(source)
	}
	p.settle()
	p.check(alice, "in the end")
	w.Same(alice, bob, "plug")
	p.check(bob, "in the end")
	t.Logf("%d kills, %d files acknowledged", kills, len(p.ledger))
}

// A plug copies, kills and checks.
type plug struct {
	w          *World
	alice, bob *Device
	kills      int  // still to do
	dying      bool // alice is about to be killed
	random     *rand.Rand
	ledger     map[string][32]byte // path below the space → hash of what close acknowledged
}

// copyTree copies a tree file by file. Between two kills some files pass: mostly
// few, so that a kill often comes while an entry is being written.
func (p *plug) copyTree(source string) {
	p.w.t.Helper()
	var files []string
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
	every := max(1, len(files)/max(1, p.kills))
	next := 1 + p.random.IntN(every)
	for i, path := range files {
		rel, err := filepath.Rel(source, path)
		if err != nil {
			p.w.t.Fatal(err)
		}
		if i >= next && p.kills > 0 {
			next = i + 1 + p.random.IntN(2*every)
			p.pull()
		}
		p.put(rel, read(p.w.t, path))
	}
}

// overwriteSome writes a few files anew and kills once while it does.
func (p *plug) overwriteSome(source string) {
	p.w.t.Helper()
	names := slices.Sorted(maps.Keys(p.ledger))
	p.pull()
	for range 20 {
		name := names[p.random.IntN(len(names))]
		p.put(name, fmt.Sprintf("version %d\n", p.random.Uint64())+read(p.w.t, filepath.Join(source, name)))
	}
}

// pull kills one of the daemons a random moment from now; the copy goes on.
func (p *plug) pull() {
	p.settle()
	p.kills--
	victim := p.alice
	if p.random.IntN(3) == 0 {
		victim = p.bob
	}
	delay := time.Duration(p.random.Int64N(int64(50 * time.Millisecond)))
	if victim == p.bob {
		// Nobody writes there, so it can be done here and now.
		<-time.After(delay)
		p.bob.Kill()
		p.bob.Up()
		return
	}
	process := p.alice.cmd.Process
	p.dying = true
	time.AfterFunc(delay, func() { _ = process.Kill() })
}

// put writes one file until close says that it is written. Each time the
// daemon is found dead, it is started and everything acknowledged is checked.
func (p *plug) put(name, content string) {
	p.w.t.Helper()
	for {
		err := p.save(name, content)
		if err == nil {
			p.ledger[name] = sha256.Sum256([]byte(content))
			return
		}
		if !p.dying {
			p.w.t.Fatalf("writing %s: %v, and nobody killed the daemon", name, err)
		}
		p.revive()
		p.whole(name, content)
		delete(p.ledger, name) // not acknowledged, until it is written again
		p.check(p.alice, "after a kill")
	}
}

// settle waits for a kill that is under way.
func (p *plug) settle() {
	p.w.t.Helper()
	if p.dying {
		p.revive()
		p.check(p.alice, "after a kill")
	}
}

// revive starts alice's daemon again once it is dead.
func (p *plug) revive() {
	p.w.t.Helper()
	select {
	case <-p.alice.done:
	case <-time.After(patience):
		p.w.t.Fatal("the daemon was killed and lives")
	}
	p.dying = false
	p.alice.Up()
}

// whole checks the file that was being written: it has the old version or the
// new one, or is absent if there was none, but nothing in between.
func (p *plug) whole(name, content string) {
	p.w.t.Helper()
	got, err := os.ReadFile(p.alice.Path("plug/" + name))
	old, known := p.ledger[name]
	sum := sha256.Sum256(got)
	switch {
	case err == nil && (sum == sha256.Sum256([]byte(content)) || known && sum == old):
	case errors.Is(err, fs.ErrNotExist) && !known:
	default:
		p.w.t.Fatalf("%s is torn after a kill: %d bytes of %d, %v", name, len(got), len(content), err)
	}
}

func (p *plug) save(name, content string) error {
	path := p.alice.Path("plug/" + name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// check compares everything acknowledged with what a device shows.
func (p *plug) check(d *Device, when string) {
	p.w.t.Helper()
	lost := 0
	for _, name := range slices.Sorted(maps.Keys(p.ledger)) {
		got, err := os.ReadFile(d.Path("plug/" + name))
		if err == nil && sha256.Sum256(got) == p.ledger[name] {
			continue
		}
		p.w.t.Errorf("%s, %s: %s was acknowledged and is now %d bytes, %v", when, d.name, name, len(got), err)
		if lost++; lost == 10 {
			break
		}
	}
	if p.w.t.Failed() {
		p.w.t.FailNow()
	}
}

func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
