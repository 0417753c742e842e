package blob

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Sync that finds another one at work promises nothing before that has ended.
func TestSyncWaitsForAnother(t *testing.T) {
	s, err := Open(t.TempDir(), plainly{})
	if err != nil {
		t.Fatal(err)
	}
	hash := [32]byte{1}
	path, pipe := s.path(hash), filepath.Join(s.dir, "pipe")
	if err := os.MkdirAll(s.shard(hash), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil { // opening it takes until somebody writes
		t.Fatal(err)
	}
	if err := os.Link(path, pipe); err != nil {
		t.Fatal(err)
	}
	s.stored(hash)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- s.Sync() }()
	for taken := false; !taken; {
		s.mu.Lock()
		taken = len(s.unsynced) == 0
		s.mu.Unlock()
	}
	go func() { second <- s.Sync() }()
	select {
	case <-second:
		t.Fatal("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := <-first; err == nil {
		t.Error("a pipe was synced")
	}
	if err := <-second; err != nil {
		t.Errorf("what the first one left: %v", err)
	}
}
