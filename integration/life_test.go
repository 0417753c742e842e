package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"testing"
	"time"
)

var (
	lifeTime = flag.Duration("life", 20*time.Second, "how long TestLife goes on")
	lifeSeed = flag.Uint64("seed", 1, "what TestLife takes its decisions from; 0: the clock")
)

// TestLife has a person write one file on two devices, with vim on one and the
// sequence of VS Code on the other, and save now and then, mostly without
// having seen what the other one does. At the end the file must hold every line
// of both, once.
func TestLife(t *testing.T) {
	seed := *lifeSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/doc.txt", draft)
	bob.Sees("notes/doc.txt", draft)
	published(w, alice, "notes/doc.txt")

	writer := vim("vim", "")
	writer.opened = `"doc.txt"` // the end of the file will be out of sight
	people := []*person{
		{name: "alice", d: alice, e: writer},
		{name: "bob", d: bob, e: vscode(w)},
	}
	for _, p := range people {
		p.open(w)
	}
	deadline := time.After(*lifeTime)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	steps := 0
	for alive := true; alive; steps++ {
		select {
		case <-deadline:
			alive = false
		case <-tick.C: // people are not faster
			p := people[random.IntN(len(people))]
			switch n := random.IntN(20); {
			case n < 11:
				p.line(random)
			case n < 17:
				p.save()
			case n < 19:
				p.again(w, random.IntN(2) == 0)
			case random.IntN(2) == 0:
				p.d.Run("offline")
			default:
				p.d.Run("online")
			}
		}
	}
	var want []string
	for _, p := range people {
		p.d.Run("online")
		p.save()
		want = append(want, p.lines...)
	}
	want = append(want, strings.Fields(draft)...)
	sort.Strings(want)
	for _, d := range []*Device{alice, bob} {
		w.Eventually(d.name+" has what both typed", func() error {
			text, err := os.ReadFile(d.Path("notes/doc.txt"))
			if err != nil {
				return err
			}
			got := strings.Fields(string(text))
			sort.Strings(got)
			if missing, extra := without(want, got), without(got, want); len(missing)+len(extra) > 0 {
				return fmt.Errorf("of %d lines %q are missing, %q are too many", len(want), missing, extra)
			}
			return nil
		})
	}
	w.Same(alice, bob, "notes/doc.txt")
	for _, p := range people {
		p.e.quit(p.s)
		p.s.Ends()
		p.s.NeverShowed(alarms...)
		onlyFile(w, p.d, "notes", "doc.txt")
		t.Logf("%s typed %d lines and saved %d times", p.name, len(p.lines), p.saves)
	}
}

// A person has a file open.
type person struct {
	name  string
	d     *Device
	e     editor
	s     *Terminal
	lines []string
	dirty bool
	saves int
}

func (p *person) open(w *World) { p.s = p.e.open(w, p.d.Path("notes"), "doc.txt") }

func (p *person) line(random *rand.Rand) {
	line := fmt.Sprintf("%s-%d", p.name, len(p.lines))
	p.lines = append(p.lines, line)
	p.dirty = true
	if random.IntN(2) == 0 {
		p.e.top(p.s, line)
	} else {
		p.e.bottom(p.s, line)
	}
}

func (p *person) save() {
	p.e.save(p.s)
	p.dirty = false
	p.saves++
}

// again looks at what the other one has done, after a save.
func (p *person) again(w *World, stay bool) {
	if p.dirty {
		p.save()
	}
	if stay && p.e.program == "vim" {
		p.e.look(p.s)
		return
	}
	p.e.quit(p.s)
	p.s.Ends()
	p.s.NeverShowed(alarms...)
	p.open(w)
}

// without is what list has and others has not, both sorted.
func without(list, others []string) (rest []string) {
	i := 0
	for _, s := range list {
		for i < len(others) && others[i] < s {
			i++
		}
		if i < len(others) && others[i] == s {
			i++
			continue
		}
		rest = append(rest, s)
	}
	return rest
}
