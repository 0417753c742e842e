package vfs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBasesKeepTheirBudget(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	b := newBases(&processes{now: clock, custom: func(tid uint32) uint32 { return tid }}, clock)
	for i := range 100 {
		b.show(Ino(i), proc{pid: 1}, &version{id: fmt.Sprint(i), text: strings.Repeat("x", 1<<20)}, false)
	}
	if b.bytes > basesLimit {
		t.Errorf("%d bytes", b.bytes)
	}
	if b.latest(99, proc{pid: 1}) == nil || b.latest(0, proc{pid: 1}) != nil {
		t.Error("not the least recent ones went")
	}
	for i := range 100 {
		b.forget(Ino(i))
	}
	if b.bytes != 0 || b.lru.Len() != 0 || len(b.files) != 0 {
		t.Errorf("after forgetting all: %d bytes, %d entries", b.bytes, b.lru.Len())
	}
}

func TestNearest(t *testing.T) {
	v := func(id, text string) *version { return &version{id: id, text: text} }
	old, new := v("1", "one\ntwo\n"), v("2", "zero\none\ntwo\n")
	newest := v("4", "save 2\nby bob\nbottom\n")
	tests := []struct {
		name string
		do   func(b *bases, show func(*version, bool), pass func(time.Duration))
		text string
		want *version
	}{
		{"never shown", func(*bases, func(*version, bool), func(time.Duration)) {}, "x", nil},
		{"shown", func(_ *bases, show func(*version, bool), _ func(time.Duration)) { show(old, false) }, "x", old},
		{"loaded again", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			pass(time.Minute)
			show(new, false)
			pass(time.Minute)
		}, old.text, new},
		{"read again just before, from the old one", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			pass(time.Minute)
			show(new, false)
		}, "one and\ntwo\n", old},
		{"read again just before, from the new one", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			pass(time.Minute)
			show(new, false)
		}, "zero\none and\ntwo\n", new},
		{"read again just before, another line changed", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(v("3", "save 1\nby bob\nbottom\n"), false)
			show(newest, false)
		}, "save 2\nbob again\nbottom\n", newest},
		{"perhaps seen, not", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			show(new, true)
			pass(time.Minute)
		}, "one and\ntwo\n", old},
		{"perhaps seen, yes", func(_ *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			show(new, true)
			pass(time.Minute)
		}, "zero\none and\ntwo\n", new},
		{"saved", func(b *bases, show func(*version, bool), pass func(time.Duration)) {
			show(old, false)
			b.wrote(7, proc{pid: 1}, new)
		}, old.text, new},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			clock := func() time.Time { return now }
			b := newBases(&processes{now: clock, custom: func(tid uint32) uint32 { return tid }}, clock)
			tt.do(b, func(v *version, maybe bool) { b.show(7, proc{pid: 1}, v, maybe) },
				func(d time.Duration) { now = now.Add(d) })
			if got := b.nearest(7, proc{pid: 1}, tt.text, false); got != tt.want {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestScratchNames(t *testing.T) {
	for _, name := range []string{
		".doc.swp", ".doc.swx", ".swp", "4913", ".#doc", "#doc#", "doc~", ".~lock.doc.odt#", "lu123.tmp", "a.vsctmp",
		"a.tmp", "a.bak", "a.orig", "a.rej", "a.part", "a.crdownload", ".goutputstream-X1", ".nfs0001", "._doc",
		".DS_Store", "Thumbs.db", "desktop.ini", "app.db-journal", "app.db-wal", "app.sqlite-shm", ".git",
	} {
		if !scratchName(name, false) {
			t.Errorf("%q is not scratch", name)
		}
	}
	for _, name := range []string{"doc", "doc.txt", ".bashrc", "sedAbCdEf", ".doc.Xy12Zz", "my-journal", "tmp", "bak", "a#b", "git"} {
		if scratchName(name, false) {
			t.Errorf("%q is scratch", name)
		}
	}
	if scratchName("build.tmp", true) || !scratchName(".git", true) {
		t.Error("folders")
	}
}

func TestOwnProcess(t *testing.T) {
	p := &processes{now: time.Now}
	who := p.of(uint32(1))
	if who.pid != 1 || !p.alive(who) {
		t.Errorf("process 1 is %+v", who)
	}
	if p.alive(proc{pid: 1, start: who.start + 1}) {
		t.Error("an older process with the same number lives")
	}
}
