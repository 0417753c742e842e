package vfs

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// watchers finds out which processes watch a file, or the folder that it is in,
// with inotify. /proc tells it: fdinfo lists the inodes that a descriptor watches.
type watchers struct {
	now    func() time.Time
	custom func(pid uint32, file, dir Ino) bool // nil: ask /proc

	mu    sync.Mutex // guards the field below
	known map[watch]watching
}

type watch struct {
	who       proc
	file, dir Ino
}

type watching struct {
	yes bool
	at  time.Time
}

const (
	watchFresh = time.Second // how long an answer of /proc is believed
	watchKept  = 1024        // answers kept before all are forgotten

	// What is looked at of one process and of those beside it.
	familyLimit = 64
	watchFiles  = 4096
	watchBytes  = 8 << 20
)

// watches reports whether a process, its parent or one of its children watches a
// file or its folder: VS Code has a process of its own for that.
func (w *watchers) watches(who proc, file, dir Ino) bool {
	if w.custom != nil {
		return w.custom(who.pid, file, dir)
	}
	key, now := watch{who, file, dir}, w.now()
	w.mu.Lock()
	k, ok := w.known[key]
	w.mu.Unlock()
	if ok && now.Sub(k.at) < watchFresh {
		return k.yes
	}
	yes := false
	for _, pid := range family(who.pid) {
		if yes = processWatches(pid, file, dir); yes {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= watchKept {
		w.known = map[watch]watching{}
	}
	w.known[key] = watching{yes, now}
	return yes
}

// family is a process, its children and its parent, as far as they belong to the
// same user.
func family(pid uint32) []uint32 {
	owner, err := ownerOf(pid)
	if err != nil {
		return nil
	}
	all := []uint32{pid}
	add := func(field string) {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil || n < 2 || len(all) >= familyLimit {
			return
		}
		if uid, err := ownerOf(uint32(n)); err == nil && uid == owner {
			all = append(all, uint32(n))
		}
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return all
	}
	for _, path := range threads {
		if list, err := os.ReadFile(path); err == nil {
			for _, child := range strings.Fields(string(list)) {
				add(child)
			}
		}
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		_, rest, _ := strings.Cut(string(status), "\nPPid:")
		parent, _, _ := strings.Cut(rest, "\n")
		add(strings.TrimSpace(parent))
	}
	return all
}

func ownerOf(pid uint32) (uint32, error) {
	var st syscall.Stat_t
	err := syscall.Stat(fmt.Sprintf("/proc/%d", pid), &st)
	return st.Uid, err
}

// openFiles are the descriptors of a process and what they are open on, as far as
// this one may see that.
func openFiles(pid uint32) iter.Seq2[string, string] {
	return func(yield func(fd, target string) bool) {
		folder, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return
		}
		defer folder.Close()
		names, err := folder.Readdirnames(watchFiles)
		if err != nil {
			return
		}
		for _, fd := range names {
			if target, err := os.Readlink(filepath.Join(folder.Name(), fd)); err == nil && !yield(fd, target) {
				return
			}
		}
	}
}

// processWatches looks through the inotify descriptors of one process.
func processWatches(pid uint32, file, dir Ino) bool {
	for fd, target := range openFiles(pid) {
		if target != "anon_inode:inotify" {
			continue
		}
		info, err := os.Open(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
		if err != nil {
			continue
		}
		yes := watchesIn(io.LimitReader(info, watchBytes), file, dir)
		info.Close()
		if yes {
			return true
		}
	}
	return false
}

// watchesIn looks for two inodes in the fdinfo of an inotify descriptor. Of the
// line for each watch, "inotify wd:1 ino:2a sdev:3c mask:…", only the number of
// the inode matters: ours are random.
func watchesIn(fdinfo io.Reader, file, dir Ino) bool {
	for lines := bufio.NewScanner(fdinfo); lines.Scan(); {
		_, rest, ok := strings.Cut(lines.Text(), " ino:")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseUint(number, 16, 64)
		if err == nil && (Ino(n) == file || Ino(n) == dir) {
			return true
		}
	}
	return false
}
