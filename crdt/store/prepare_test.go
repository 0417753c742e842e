package store

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestJournalPrepare(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	files := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range names {
			names[i] = filepath.Base(names[i])
		}
		return names
	}
	prepare := func() {
		t.Helper()
		if err := j.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := filepath.Base(segmentPath(dir, 1)), filepath.Base(segmentPath(dir, 2)), filepath.Base(segmentPath(dir, 3))

	appendAll(t, j, "one")
	prepare()
	prepare()
	if got := files(); !slices.Equal(got, []string{first, second}) {
		t.Fatalf("prepared: %v", got)
	}
	wantFrames(t, j, "one")
	sealed, err := j.Rotate()
	if err != nil || sealed != 1 {
		t.Fatal(sealed, err)
	}
	appendAll(t, j, "two")
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	wantFrames(t, j, "one", "two")
	if err := j.Drop(sealed); err != nil {
		t.Fatal(err)
	}
	prepare()

	j.Close()
	j = openJournal(t, dir) // what was prepared is the current one now
	wantFrames(t, j, "two")
	appendAll(t, j, "three")
	wantFrames(t, j, "two", "three")
	if got := files(); !slices.Equal(got, []string{second, third}) || j.Cut() != 0 {
		t.Errorf("opened again: %v, %d bytes cut", got, j.Cut())
	}
	if sealed, err := j.Rotate(); err != nil || sealed != 3 {
		t.Error(sealed, err)
	}
	if err := j.Drop(3); err != nil {
		t.Fatal(err)
	}
	wantFrames(t, j)
}

// TestJournalTornBeforePrepared is a crash in the middle of an append, after
// which the next segment was made ahead.
func TestJournalTornBeforePrepared(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one", "two")
	if err := j.Prepare(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	path := segmentPath(dir, 1)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, fi.Size()-1); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, dir)
	wantFrames(t, j, "one")
	if left, _ := filepath.Glob(filepath.Join(dir, "*.cut")); len(left) > 0 {
		t.Errorf("an empty segment was kept: %v", left)
	}
	appendAll(t, j, "three")
	if _, err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "four")
	wantFrames(t, j, "one", "three", "four")
}
