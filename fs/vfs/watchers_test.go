package vfs

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWatchesIn(t *testing.T) {
	const fdinfo = "pos:\t0\nflags:\t02004000\nmnt_id:\t15\n" +
		"inotify wd:2 ino:3fa1b2c3d4e5f607 sdev:3c mask:3c6 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:20df\n" +
		"inotify wd:1 ino:2a sdev:800001 mask:800afce ignored_mask:0\n"
	for _, tt := range []struct {
		fdinfo    string
		file, dir Ino
		want      bool
	}{
		{fdinfo, 0x3fa1b2c3d4e5f607, 7, true},
		{fdinfo, 7, 0x2a, true},
		{fdinfo, 7, 8, false},
		{fdinfo, 0x3c, 0x800001, false},
		{"inotify wd:1 ino:zz\n", 0, 0, false},
		{"inotify wd:1 ino:" + strings.Repeat("f", 100000) + "\n", 1, 2, false},
		{"", 1, 2, false},
	} {
		if got := watchesIn(strings.NewReader(tt.fdinfo), tt.file, tt.dir); got != tt.want {
			t.Errorf("%.40q, %x, %x: %v", tt.fdinfo, uint64(tt.file), uint64(tt.dir), got)
		}
	}
}

func FuzzWatchesIn(f *testing.F) {
	f.Add("inotify wd:2 ino:3fa1b2c3d4e5f607 sdev:3c mask:3c6\n", uint64(42), uint64(43))
	f.Add("inotify wd:1 ino:2a sdev:800001 mask:800afce\n", uint64(42), uint64(43))
	f.Fuzz(func(t *testing.T, fdinfo string, file, dir uint64) {
		if watchesIn(strings.NewReader(fdinfo), Ino(file), Ino(dir)) && !strings.Contains(fdinfo, "ino:") {
			t.Error("found what is not there")
		}
	})
}

// This process watches a folder, and so its parent's family does.
func TestWatchesOfAProcess(t *testing.T) {
	inode := func(path string) Ino {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return Ino(st.Ino)
	}
	dir := t.TempDir()
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	me := proc{pid: uint32(os.Getpid())}
	now := time.Unix(1000, 0)
	w := &watchers{now: func() time.Time { return now }}
	if w.watches(me, 1, inode(dir)) {
		t.Error("it watches the folder already")
	}
	wd, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_MODIFY)
	if err != nil {
		t.Fatal(err)
	}
	if w.watches(me, 1, inode(dir)) {
		t.Error("an answer is not kept")
	}
	now = now.Add(watchFresh)
	if !w.watches(me, 1, inode(dir)) || !w.watches(me, inode(dir), 1) {
		t.Error("the watch is not found")
	}
	now = now.Add(watchFresh)
	if !w.watches(proc{pid: uint32(os.Getppid())}, 1, inode(dir)) {
		t.Error("it does not look at the children")
	}
	if w.watches(me, 1, 2) {
		t.Error("it watches everything")
	}
	now = now.Add(watchFresh)
	if _, err := syscall.InotifyRmWatch(fd, uint32(wd)); err != nil {
		t.Fatal(err)
	}
	if w.watches(me, 1, inode(dir)) {
		t.Error("it watches what it does not watch any more")
	}
}
