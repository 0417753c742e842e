package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// A listener is a program that watches the same tree in several places, and
// what it has said of them.
type listener struct {
	name   string   // for docs/watchers.md
	gone   string   // what it calls a removal
	roots  []string // the places
	settle bool     // what it says right behind a creation depends on how fast it looked

	mu   sync.Mutex // guards the field below
	said []said
}

// said is one event.
type said struct {
	root        int
	event, path string  // the path is relative to the root
	text        *string // what the file was then, of the last place: reading changes the time of access, which chokidar looks at
}

func (l *listener) hear(event, path string, text *string) {
	for n, root := range l.roots {
		if rel, below := strings.CutPrefix(path, root+"/"); below {
			l.mu.Lock()
			l.said = append(l.said, said{n, event, rel, text})
			l.mu.Unlock()
			return
		}
	}
}

// of is what it said of everything below a folder of a place.
func (l *listener) of(root int, folder string) (list []said) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.said {
		if rel, below := strings.CutPrefix(s.path, folder+"/"); below && s.root == root {
			s.path = rel
			list = append(list, s)
		}
	}
	return list
}

func (l *listener) heard(root int, path, event string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.said {
		if s.root == root && s.path == path && (event == "" || s.event == event) {
			return true
		}
	}
	return false
}

func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = nil
}

// listeners starts all programs and returns when they hear of everything.
func listeners(w *World, roots, files []string) []*listener {
	w.t.Helper()
	dir := nodePackage(w, "watchers")
	folders := &listener{name: "inotifywait -r", gone: "DELETE", roots: roots}
	folders.inotifywait(w, append([]string{"-r"}, roots...)...)
	file := &listener{name: "inotifywait, of the file", roots: roots}
	file.inotifywait(w, files...)
	library := &listener{name: "fsnotify", gone: "REMOVE", roots: roots}
	library.fsnotify(w)
	choki := &listener{name: "chokidar", gone: "unlink", roots: roots, settle: true}
	choki.node(w, dir, "chokidar")
	parcel := &listener{name: "@parcel/watcher", gone: "delete", roots: roots, settle: true}
	parcel.node(w, dir, "parcel")
	return []*listener{folders, file, library, choki, parcel}
}

func (l *listener) inotifywait(w *World, what ...string) {
	w.t.Helper()
	args := []string{"-m", "--format", "%e|%w|%f"}
	for _, e := range []string{"create", "modify", "attrib", "close_write", "move", "move_self", "delete", "delete_self"} {
		args = append(args, "-e", e)
	}
	ready := make(chan struct{})
	cmd := exec.Command("inotifywait", append(args, what...)...)
	cmd.Stderr = writer(func(p []byte) {
		if strings.Contains(string(p), "Watches established") {
			close(ready)
		}
	})
	w.program(cmd, func(line string) {
		if part := strings.SplitN(line, "|", 3); len(part) == 3 {
			l.hear(strings.TrimSuffix(part[0], ",CLOSE"), part[1]+part[2], nil)
		}
	})
	w.within("inotifywait watches", ready)
}

func (l *listener) fsnotify(w *World) {
	w.t.Helper()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, root := range l.roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = watcher.Add(path)
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watcher.Events {
			var text *string
			if strings.HasPrefix(e.Name, l.roots[len(l.roots)-1]) {
				if data, err := os.ReadFile(e.Name); err == nil {
					s := string(data)
					text = &s
				}
			}
			l.hear(e.Op.String(), e.Name, text)
		}
	}()
	w.t.Cleanup(func() {
		if err := watcher.Close(); err != nil {
			w.t.Error(err)
		}
		<-done
	})
}

func (l *listener) node(w *World, dir, program string) {
	w.t.Helper()
	ready := make(chan struct{})
	w.program(exec.Command("node", append([]string{filepath.Join(dir, "watch.mjs"), program}, l.roots...)...), func(line string) {
		var e struct {
			Event, Path string
			Text        *string
		}
		if line == "ready" {
			close(ready)
		} else if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Errorf("%s says %q", program, line)
		} else {
			l.hear(e.Event, e.Path, e.Text)
		}
	})
	w.within(program+" watches", ready)
}

// program starts a program that runs until the test ends, and passes on each
// line that it prints.
func (w *World) program(cmd *exec.Cmd, line func(string)) {
	w.t.Helper()
	name := filepath.Base(cmd.Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	log := &logBuffer{}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	// A browser is many processes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	launch <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		w.t.Fatalf("%v: is it installed? .ci/run knows its Debian package", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line(lines.Text())
		}
	}()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		_ = cmd.Wait() // it was killed
		if w.t.Failed() {
			w.t.Logf("--- errors of %s\n%s", name, log.tail())
		}
	})
}

// within waits for something that should be quick.
func (w *World) within(what string, done <-chan struct{}) {
	w.t.Helper()
	w.Eventually(what, func() error {
		select {
		case <-done:
			return nil
		default:
			return fmt.Errorf("not yet")
		}
	})
}
