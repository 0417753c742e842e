package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func openJournal(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func appendAll(t testing.TB, j *Journal, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if err := j.Append([]byte(f)); err != nil {
			t.Fatal(err)
		}
	}
}

func replay(t testing.TB, j *Journal) (frames []string) {
	t.Helper()
	if err := j.Replay(func(f []byte) error { frames = append(frames, string(f)); return nil }); err != nil {
		t.Fatal(err)
	}
	return frames
}

func wantFrames(t testing.TB, j *Journal, want ...string) {
	t.Helper()
	if got := replay(t, j); !slices.Equal(got, want) {
		t.Errorf("frames %.60q, want %.60q", got, want)
	}
}

func TestJournalReplay(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one", "two", strings.Repeat("x", 2<<20))
	wantFrames(t, j, "one", "two", strings.Repeat("x", 2<<20))
	j.Close()
	if err := j.Append([]byte("late")); !errors.Is(err, os.ErrClosed) {
		t.Error("appending to a closed journal:", err)
	}
	j = openJournal(t, dir)
	appendAll(t, j, "four")
	wantFrames(t, j, "one", "two", strings.Repeat("x", 2<<20), "four")
	if err := j.Sync(); err != nil {
		t.Error(err)
	}
}

func TestJournalRotateAndDrop(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one")
	first, err := j.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := j.Rotate(); err != nil || again != first {
		t.Errorf("rotating an empty segment: %d, %v, want %d", again, err, first)
	}
	appendAll(t, j, "two")
	second, err := j.Rotate()
	if err != nil || second != first+1 {
		t.Fatal(second, err)
	}
	appendAll(t, j, "three")
	if err := j.Drop(first); err != nil {
		t.Fatal(err)
	}
	wantFrames(t, j, "two", "three")
	if err := errors.Join(j.Sync(), j.Drop(second+7)); err != nil {
		t.Fatal(err)
	}
	wantFrames(t, j, "three")
	if want := int64(frameHead + len("three")); j.Size() != want {
		t.Errorf("size %d, want %d", j.Size(), want)
	}
	j.Close()
	wantFrames(t, openJournal(t, dir), "three")
}

// Every way to cut the last bytes off, or to damage one, leaves the whole
// frames before that.
func TestJournalTornTail(t *testing.T) {
	base := t.TempDir()
	j := openJournal(t, base)
	appendAll(t, j, "one", "two", "three")
	j.Close()
	whole, err := os.ReadFile(segmentPath(base, 1))
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{int(headerLen), 0, 0, 0}
	for i, f := range []string{"one", "two", "three"} {
		ends[i+1] = ends[i] + frameHead + len(f)
	}
	wholeFrames := func(upTo int) (n int) {
		for n < 3 && ends[n+1] <= upTo {
			n++
		}
		return n
	}
	for at := range whole {
		for _, cut := range []bool{true, false} {
			torn := bytes.Clone(whole)
			if cut {
				torn = torn[:at]
			} else if torn[at] ^= 0x55; at == len(segmentMagic)-1 {
				continue // another version
			}
			dir := t.TempDir()
			if err := os.WriteFile(segmentPath(dir, 1), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			j := openJournal(t, dir)
			n := wholeFrames(at)
			if at < int(headerLen) {
				n = 0
			}
			want := []string{"one", "two", "three"}[:n]
			wantFrames(t, j, want...)
			appendAll(t, j, "next")
			j.Close()
			wantFrames(t, openJournal(t, dir), append(want, "next")...)
		}
	}
}

func TestJournalTornSealedSegment(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one", "two")
	if _, err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "three")
	j.Close()
	if err := os.Truncate(segmentPath(dir, 1), headerLen+frameHead+3+2); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, dir)
	wantFrames(t, j, "one") // a frame after a gap would be applied to the wrong state
	if j.Cut() == 0 {
		t.Error("nothing was reported as cut")
	}
	if _, err := os.Stat(segmentPath(dir, 2) + ".cut"); err != nil {
		t.Error("the segment after the gap was not kept:", err)
	}
}

func TestJournalNewerVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(segmentPath(dir, 1), []byte("echofsJ\x02something"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(dir); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func TestJournalGolden(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one")
	got, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	if want := "6563686f66734a0103000000aa5050776f6e65"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

// A full disk is imitated by a limit on the size of files.
func TestJournalFullDisk(t *testing.T) {
	if os.Getenv("JOURNAL_FULL") != "1" {
		runAlone(t, "TestJournalFullDisk", "JOURNAL_FULL=1")
		return
	}
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err := j.Append(make([]byte, 200))
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v, want EFBIG", err)
	}
	wantFrames(t, j, "one")
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "two")
	j.Close()
	wantFrames(t, openJournal(t, dir), "one", "two")
}

func TestJournalConcurrentSync(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				if err := errors.Join(j.Append(fmt.Appendf(nil, "%d/%d", g, i)), j.Sync()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		sealed, err := j.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		if sealed > 3 {
			if err := j.Drop(sealed - 3); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Wait()
	if j.durable != j.appended {
		t.Errorf("%d of %d frames are durable", j.durable, j.appended)
	}
}

func FuzzSegment(f *testing.F) {
	f.Add([]byte(segmentMagic))
	f.Add(appendFrame([]byte(segmentMagic), 1, []byte("frame")))
	f.Add(appendFrame(appendFrame([]byte(segmentMagic), 1, []byte("a")), 1, []byte("b"))[:30])
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(dir)
		if err != nil {
			return
		}
		defer j.Close()
		before := replay(t, j)
		appendAll(t, j, "next")
		wantFrames(t, j, append(before, "next")...)
	})
}
