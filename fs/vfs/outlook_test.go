package vfs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// told is what stat says, compared with the two versions of a file.
func told(a, known, now Attr) string {
	size, mtime := "other", "other"
	for what, v := range map[string]Attr{"known": known, "new": now} {
		if a.Size == v.Size {
			size = what
		}
		if a.Mtime.Equal(v.Mtime) {
			mtime = what
		}
	}
	return mtime + " time, " + size + " size"
}

const (
	toldKnown = "known time, known size"
	toldNews  = "other time, new size"
	toldSize  = "known time, new size"
	toldTruth = "new time, new size"
)

// Who watches is told that there is something to load, for a while.
func TestWatchersAreTold(t *testing.T) {
	for _, tt := range []struct {
		name    string
		watches bool
		after   time.Duration
		want    string
	}{
		{"watches nothing", false, 0, toldKnown},
		{"watches", true, 0, toldNews},
		{"watches, soon", true, newsTime - time.Millisecond, toldNews},
		{"watches, later", true, newsTime, toldKnown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, node := w.shared("doc", before)
				w.watching = map[uint32]bool{p.pid: tt.watches}
				known := p.stat("doc")
				w.remote(node, "zero\n"+w.text(node))
				now := w.process(99).stat("doc")
				time.Sleep(tt.after)
				a := p.stat("doc")
				if got := told(a, known, now); got != tt.want || a.Mtime.After(known.Mtime) {
					t.Errorf("told the %s; want the %s", got, tt.want)
				}
				if got := told(w.process(98).stat("doc"), known, now); got != toldTruth {
					t.Errorf("somebody else is told the %s", got)
				}
				p.read("doc")
				if b := p.stat("doc"); b.Size != now.Size || !b.Mtime.Equal(a.Mtime) {
					t.Errorf("having loaded it, it is told %d bytes of %v, before %v", b.Size, b.Mtime, a.Mtime)
				}
			})
		})
	}
}

// VS Code saves over a version that it was told of and has not loaded: it asks
// only if the time is newer and the size another one.
func TestNewsMakeNobodyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		w.watching = map[uint32]bool{p.pid: true}
		p.saveOver("doc", after, true)
		known := p.stat("doc")
		time.Sleep(time.Minute)
		w.remote(node, "zero\n"+after)
		if a := p.stat("doc"); a.Mtime.After(known.Mtime) || a.Size == known.Size {
			t.Errorf("told %v and %d bytes; it knows %v and %d", a.Mtime, a.Size, known.Mtime, known.Size)
		}
		p.saveOver("doc", after+"more\n", true)
		if got := w.text(node); got != "zero\n"+after+"more\n" {
			t.Errorf("published %q", got)
		}
		// What it saved is not what there is now: it is told so, and loads that.
		known = p.stat("doc")
		if known.Size != uint64(len(after+"more\n")) {
			t.Errorf("after its save it is told of %d bytes", known.Size)
		}
		time.Sleep(mergeTime + time.Millisecond)
		synctest.Wait()
		if a := p.stat("doc"); a.Mtime.Equal(known.Mtime) || a.Size == known.Size {
			t.Error("it is not told that others' edits were merged into its save")
		}
		if got := p.read("doc"); got != "zero\n"+after+"more\n" {
			t.Errorf("it loads %q", got)
		}
		time.Sleep(time.Minute)
		p.saveOver("doc", after, true)
		if got := w.text(node); got != after {
			t.Errorf("published %q: its next save is not against what it loaded", got)
		}
	})
}

// Who says that its buffer has no unsaved changes is told of what there is to load.
func TestBuffersThatTell(t *testing.T) {
	for _, tt := range []struct {
		name string
		mark func(t *testing.T, dir string)
		want string
	}{
		{"vim, clean", swapped("clean", 10), toldSize},
		{"vim, changed", swapped("dirty", 10), toldKnown},
		{"another vim, clean", swapped("clean", 11), toldKnown},
		{"emacs, changed", func(t *testing.T, dir string) {
			if err := os.Symlink("user@host.10:1", filepath.Join(dir, ".#doc")); err != nil {
				t.Fatal(err)
			}
		}, toldKnown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, node := w.shared("doc", before)
				p.write(".doc.swp", "x") // so that there is a folder for it
				tt.mark(t, w.fs.volume("s").folderDir(space.Root))
				known := p.stat("doc")
				w.remote(node, "zero\n"+before)
				time.Sleep(time.Hour)
				now := w.process(99).stat("doc")
				if got := told(p.stat("doc"), known, now); got != tt.want {
					t.Errorf("told the %s; want the %s", got, tt.want)
				}
				p.saveOver("doc", after, true)
				if got := w.text(node); got != "zero\n"+after {
					t.Errorf("published %q", got)
				}
			})
		})
	}
}

func swapped(is string, pid uint32) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		b := header(t, is, func(b []byte) { binary.LittleEndian.PutUint32(b[swapPID:], pid) })
		if err := os.WriteFile(filepath.Join(dir, ".doc.swp"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Who was told of a new version and reads it has loaded it: what it saves is
// against that. VS Code may throw it away, if somebody began to type meanwhile.
func TestLoadingWhatOneWasTold(t *testing.T) {
	last := before + "last\n"
	for _, tt := range []struct {
		name    string
		watches bool
		swap    string
		after   time.Duration
		want    string
	}{
		{"vim, at once", false, "clean", 0, before},
		{"a backup, at once", false, "dirty", 0, last},
		{"VS Code, thrown away", true, "", shownRecently + time.Second, last},
		{"VS Code, later", true, "", newsTime + time.Second, before},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, node := w.shared("doc", before)
				p.write(".doc.swp", "x")
				if tt.swap != "" {
					swapped(tt.swap, p.pid)(t, w.fs.volume("s").folderDir(space.Root))
				}
				w.watching = map[uint32]bool{p.pid: tt.watches}
				w.remote(node, last)
				p.stat("doc")
				p.read("doc")
				time.Sleep(tt.after)
				p.saveOver("doc", before, true)
				if got := w.text(node); got != tt.want {
					t.Errorf("published %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What another process of this device saves is news as well.
func TestLocalSavesAreNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, _ := w.shared("doc", before)
		w.watching = map[uint32]bool{p.pid: true}
		known := p.stat("doc")
		q := w.process(11)
		q.read("doc")
		q.saveOver("doc", "zero\n"+before, true)
		if got := told(p.stat("doc"), known, w.process(12).stat("doc")); got != toldNews {
			t.Errorf("told the %s", got)
		}
	})
}

// A server that opens a file and asks for its size and time by the descriptor
// gets those of what it reads, whatever it knew before.
func TestDescriptorTellsWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		for _, next := range []string{"zero\n" + before, "a", before} {
			w.remote(node, next)
			time.Sleep(time.Minute) // it does not watch, and asks nothing meanwhile
			h := p.open("doc", rd)
			a, err := w.fs.Getattr(p.caller(), h.Ino(), nil)
			if err != nil {
				t.Fatal(err)
			}
			info, err := w.space.Stat(node)
			if err != nil {
				t.Fatal(err)
			}
			if a.Size != uint64(len(next)) || !a.Mtime.Equal(info.Mtime) {
				t.Errorf("the descriptor tells %d bytes of %v; it reads %d of %v", a.Size, a.Mtime, len(next), info.Mtime)
			}
			if got := p.readFrom(h); got != next {
				t.Errorf("it reads %q", got)
			}
			p.close(h)
		}
		// Having begun to read, it is told of that version.
		h := p.open("doc", rd)
		w.remote(node, "quite something else\n")
		for _, asked := range []*Handle{nil, h} {
			if a, err := w.fs.Getattr(p.caller(), h.Ino(), asked); err != nil || a.Size != uint64(len(before)) {
				t.Errorf("the descriptor tells %d bytes, %v; it reads %d", a.Size, err, len(before))
			}
		}
		if got := p.readFrom(h); got != before {
			t.Errorf("it reads %q", got)
		}
		if a, err := w.fs.Getattr(p.caller(), h.Ino(), nil); err != nil || a.Size == uint64(len(before)) {
			t.Errorf("who follows the file is told %d bytes, %v", a.Size, err)
		}
		p.close(h)
	})
}
