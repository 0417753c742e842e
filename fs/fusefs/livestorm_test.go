package fusefs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// children are the processes that a process has started.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// storm changes everything in a folder until stop is closed, or it fails: that
// is for whoever kills what serves the folder.
func storm(dir string, stop <-chan struct{}, done *atomic.Int64) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		switch sub := filepath.Join(dir, fmt.Sprint("d", i%20)); i % 4 {
		case 1:
			os.Mkdir(sub, 0o755)
		case 2:
			os.Rename(filepath.Join(dir, fmt.Sprint("d", (i-1)%20)), sub)
		case 3:
			os.Remove(filepath.Join(dir, fmt.Sprint("d", (i-1)%20)))
		default:
			if f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("f", i%20)), os.O_WRONLY|os.O_CREATE, 0o644); err == nil {
				fmt.Fprintf(f, "text %d\n", i)
				f.Close()
			} else if errors.Is(err, unix.ENOTCONN) {
				return
			}
		}
		done.Add(1)
	}
}

// TestLiveKill kills what serves a mount, again and again, from the first moment
// on and while its helper is at work in it. Nothing of it may be left, and the
// next one has to start.
func TestLiveKill(t *testing.T) {
	mounts := []string{t.TempDir(), t.TempDir()}
	for _, after := range []int64{0, 1, 3, 10, 40, 100, 300, 600, 1000, 1500} {
		killDuringStorm(t, mounts, after)
	}
	p := start(t, setup{Dir: t.TempDir(), Mounts: mounts})
	write(t, filepath.Join(mounts[0], shared, "doc"), "hello")
	arrives(t, filepath.Join(mounts[1], shared, "doc"), "hello")
	p.stop(t)
}

// killDuringStorm kills what serves the mounts after some changes.
func killDuringStorm(t *testing.T, mounts []string, after int64) {
	t.Helper()
	stop := make(chan struct{})
	var group sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		group.Wait()
	})
	defer end()
	p := start(t, setup{Dir: t.TempDir(), Mounts: mounts})
	defer func() {
		if t.Failed() {
			t.Logf("the serving process:\n%s", p.log)
		}
		p.cmd.Process.Kill()
	}()
	var done atomic.Int64
	for _, m := range mounts {
		group.Go(func() { storm(filepath.Join(m, shared), stop, &done) })
		group.Go(func() { // and somebody who looks on
			for {
				select {
				case <-stop:
					return
				default:
					os.ReadDir(filepath.Join(m, shared))
				}
			}
		})
	}
	eventually(t, "some changes", func() bool { return done.Load() >= after })
	helpers := children(p.cmd.Process.Pid)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Minute):
		t.Fatal("a killed process is not gone after five minutes")
	}
	end()
	for _, pid := range helpers {
		eventually(t, "the helper is gone", func() bool {
			return errors.Is(unix.Kill(pid, 0), unix.ESRCH) || state(pid) == "Z" // whoever adopted it has yet to look
		})
	}
}

// state is the letter that ps shows for a process.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// TestLiveStorm changes a folder on both devices at full speed, while a program
// on one of them knows of it only what it is told: names by their events, and
// texts as they were when the latest event of the file came. In the end it has
// to know what there is.
func TestLiveStorm(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sides []int // who makes changes
	}{
		{"remote", []int{0}},
		{"both", []int{0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folders := serve(t, 2)
			for i := range 20 {
				write(t, filepath.Join(folders[0], fmt.Sprint("f", i)), "text\n")
			}
			if err := os.Mkdir(filepath.Join(folders[0], "marks"), 0o755); err != nil {
				t.Fatal(err)
			}
			settled(t, folders)
			f := follow(t, folders[1])
			stop := make(chan struct{})
			var group sync.WaitGroup
			var done atomic.Int64
			for _, side := range tt.sides {
				group.Go(func() { storm(folders[side], stop, &done) })
			}
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						f.known()
					}
				}
			})
			eventually(t, "many changes", func() bool { return done.Load() > 3000 })
			close(stop)
			group.Wait()
			eventually(t, "both devices show the same", func() bool {
				return contents(folders[0]) == contents(folders[1]) && names(t, folders[0]) == names(t, folders[1])
			})
			settled(t, folders)
			want := names(t, folders[1]) + "\n" + documents(folders[1])
			defer func() {
				if t.Failed() {
					t.Logf("known:\n%s\nis:\n%s", f.known(), want)
				}
			}()
			eventually(t, "the program knows what there is", func() bool { return f.known() == want })
			t.Logf("%d events of %d changes", len(f.w.all()), done.Load())
		})
	}
}

// documents are the contents without what settled made.
func documents(dir string) string {
	var all []string
	for line := range strings.Lines(contents(dir)) {
		if strings.HasPrefix(line, "/f") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// A follower knows a folder by its events.
type follower struct {
	dir   string
	w     *watcher
	mu    sync.Mutex // guards the fields below
	at    int
	texts map[string]string // "" for folders
}

func follow(t *testing.T, dir string) *follower {
	f := &follower{dir: dir, w: watchAll(t, dir, "."), texts: map[string]string{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		f.texts[e.Name()] = string(text)
	}
	return f
}

func (f *follower) known() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.w.all()
	for _, e := range all[f.at:] {
		e = strings.TrimPrefix(e, ".:")
		last := strings.LastIndexByte(e, ' ') // names can have some, too
		name, what := e[:last], e[last+1:]
		switch strings.TrimSuffix(what, "|ISDIR") {
		case "DELETE", "MOVED_FROM":
			delete(f.texts, name)
		case "OPEN", "ATTRIB":
		default:
			text, _ := os.ReadFile(filepath.Join(f.dir, name))
			f.texts[name] = string(text)
		}
	}
	f.at = len(all)
	var list []string
	texts := ""
	for _, name := range slices.Sorted(maps.Keys(f.texts)) {
		list = append(list, name)
		if strings.HasPrefix(name, "f") {
			texts += fmt.Sprintf("/%s: %q\n", name, f.texts[name])
		}
	}
	return strings.Join(list, " ") + "\n" + texts
}
