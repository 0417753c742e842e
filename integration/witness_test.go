package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A witness looks at folders of a device all the time and remembers everything
// that was ever to be seen there. Whoever writes there as somebody who lives
// there does so by write, for a file that is written in place is half written
// to its neighbours, here as anywhere.
type witness struct {
	d    *Device
	stop chan struct{}
	done chan struct{} // closed when watch has ended

	mu      sync.Mutex // guards the field below; held over a look
	folders map[string]*sight
}

// sight is what was seen of a folder.
type sight struct {
	names []string
	texts []string // of doc.txt, in order
}

// witness starts to look; it stops with the test.
func (d *Device) witness() *witness {
	v := &witness{d: d, stop: make(chan struct{}), done: make(chan struct{}), folders: map[string]*sight{}}
	go v.watch()
	d.w.t.Cleanup(v.end)
	return v
}

func (v *witness) end() {
	select {
	case <-v.stop:
	default:
		close(v.stop)
	}
	<-v.done
}

// of begins to look at a folder.
func (v *witness) of(folder string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.folders[folder] = &sight{}
}

// write saves a file of that folder.
func (v *witness) write(folder, text string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return os.WriteFile(v.d.Path(folder+"/doc.txt"), []byte(text), 0o644)
}

// saw returns what of names and texts should never have been seen.
func (v *witness) saw(folder string, texts ...string) (wrong []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.folders[folder]
	for _, name := range s.names {
		if name != "doc.txt" {
			wrong = append(wrong, fmt.Sprintf("a file %q", name))
		}
	}
	for _, text := range s.texts {
		if !slices.Contains(texts, text) {
			wrong = append(wrong, fmt.Sprintf("the text %q", text))
		}
	}
	return wrong
}

func (v *witness) watch() {
	defer close(v.done)
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
		v.mu.Lock()
		for folder, s := range v.folders {
			s.look(v.d.Path(folder))
		}
		v.mu.Unlock()
	}
}

func (s *sight) look(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil && len(s.names) > 0 {
		s.note(&s.names, "("+err.Error()+")")
	}
	for _, e := range entries {
		s.note(&s.names, e.Name())
	}
	text, err := os.ReadFile(filepath.Join(dir, "doc.txt"))
	switch {
	case err == nil:
		s.note(&s.texts, string(text))
	case len(s.texts) > 0:
		s.note(&s.texts, "("+err.Error()+")")
	}
}

func (s *sight) note(list *[]string, what string) {
	if !slices.Contains(*list, what) {
		*list = append(*list, what)
	}
}
