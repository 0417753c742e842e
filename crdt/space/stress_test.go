package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/identity/credential"
)

// Everything at once on two running spaces that feed each other.
func TestManyAtOnce(t *testing.T) {
	a := founded(t)
	b := joined(t, a, "ben", credential.Editor)
	start(t, a)
	start(t, b)
	if err := b.AddCredentials(t.Context(), a.Credentials()); err != nil {
		t.Fatal(err)
	}
	f := create(t, a, "shared.txt", "begin\n")
	ctx, cancel := context.WithCancel(t.Context())
	var pumps, workers sync.WaitGroup
	for _, p := range []struct{ from, to *Space }{{a, b}, {b, a}} {
		notify, stop := p.from.Notify()
		defer stop()
		pumps.Go(func() { pump(t, ctx, p.from, p.to, notify) })
	}
	wait(t, a, b, func() bool { _, err := b.Stat(f.ID); return err == nil })
	for w, s := range []*Space{a, b, a, b} {
		workers.Go(func() {
			for i := range 25 {
				name := fmt.Sprintf("w%d-%d", w, i)
				create(t, s, name, name)
				text, version := read(t, s, f.ID)
				save(t, s, f.ID, &version, text+name+"\n")
				if _, err := s.List(Root); err != nil {
					t.Error(err)
				}
				if i%5 == 0 {
					if err := s.Sync(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	workers.Wait()
	wait(t, a, b, func() bool {
		i, _ := a.Stat(f.ID)
		j, _ := b.Stat(f.ID)
		la, _ := a.List(Root)
		lb, _ := b.List(Root)
		return i.Version == j.Version && len(la) == 101 && len(lb) == 101
	})
	cancel()
	pumps.Wait()
	text, _ := read(t, a, f.ID)
	other, _ := read(t, b, f.ID)
	if text != other {
		t.Errorf("texts differ:\n%s\n%s", text, other)
	}
	for w := range 4 {
		for i := range 25 {
			if name := fmt.Sprintf("w%d-%d\n", w, i); !strings.Contains(text, name) {
				t.Errorf("%q is missing", name)
			}
		}
	}
}

// pump gives one space what another commits.
func pump(t *testing.T, ctx context.Context, from, to *Space, notify <-chan struct{}) {
	pos := uint64(0)
	for {
		if err := to.AddCredentials(ctx, from.Credentials()); err != nil {
			t.Error(err)
		}
		refs, err := from.Log(pos, 100)
		if err != nil {
			t.Error(err)
		}
		for _, r := range refs {
			raw, err := from.Entry(r.Feed, r.Seq)
			if err != nil {
				t.Error(err)
			}
			if err := to.Accept(ctx, [][]byte{raw}); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			pos = r.Pos
		}
		if len(refs) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-notify:
		}
	}
}

// wait returns when ok does, looked at after each change of a and b.
func wait(t *testing.T, a, b *Space, ok func() bool) {
	t.Helper()
	ofA, stopA := a.Notify()
	defer stopA()
	ofB, stopB := b.Notify()
	defer stopB()
	limit := time.After(5 * time.Minute)
	for !ok() {
		select {
		case <-ofA:
		case <-ofB:
		case <-limit:
			t.Fatal("it never came")
		}
	}
}

// A reader of a blob waits until its chunks have come.
func TestBlobArrivesWhileRead(t *testing.T) {
	a := founded(t)
	data := bytes.Repeat([]byte("\x00 a blob of some size"), 200_000)
	c, err := a.Import(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	i, err := a.Create(Root, "big.bin", New{Content: c})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	got := make(chan []byte)
	p, err := b.Open(i.ID)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, p.Size())
		if _, err := p.ReadAt(buf, 0); err != nil {
			t.Error(err)
		}
		got <- buf
	}()
	for {
		missing := b.MissingChunks(3)
		if len(missing) == 0 {
			break
		}
		for _, h := range missing {
			chunk, err := a.Chunk(h)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.PutChunk(h, append([]byte("x"), chunk...)); !errors.Is(err, blob.ErrCorrupt) {
				t.Fatalf("wrong bytes: %v", err)
			}
			if err := b.PutChunk(h, chunk); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(<-got, data) {
		t.Error("other bytes came")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	// What never comes does not hold a reader that is closed.
	empty := joined(t, a, "eve", credential.Reader)
	pull(t, empty, a)
	p, err = empty.Open(i.ID)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := p.ReadAt(make([]byte, 10), 0)
		failed <- err
	}()
	p.Close()
	if err := <-failed; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read of a closed snapshot: %v", err)
	}
}

func FuzzReplay(f *testing.F) {
	s := founded(f)
	create(f, s, "a", "x")
	frame, err := encodeFrame(s.feed, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame[1:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		_ = s.replayLocal(frame) // must not panic
		_ = s.replayRemote(frame)
	})
}

func FuzzDecodeDoc(f *testing.F) {
	f.Add([]byte{docVersion, 0})
	f.Add(append([]byte{docVersion, 1}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) { _, _, _ = decodeDoc(b) })
}

// A chunk is fetched before all others for as long as somebody waits for it: ten
// files that nobody has must not stand in the way of what is asked for next.
func TestUrgentWhileSomebodyWaits(t *testing.T) {
	a := founded(t)
	f := create(t, a, "a.bin", "\x00"+strings.Repeat("x", 1<<20))
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	urgent := func() int {
		b.chunks.mu.Lock()
		defer b.chunks.mu.Unlock()
		return len(b.chunks.urgent)
	}
	p, err := b.Open(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := p.ReadAt(make([]byte, 1), 0)
		done <- err
	}()
	wait(t, a, b, func() bool { return urgent() == 1 })
	b.chunks.mu.Lock()
	hash := b.chunks.urgent[0].hash
	b.chunks.mu.Unlock()
	calm := b.chunks.urge(hash) // another reader
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if n := urgent(); n != 1 {
		t.Errorf("when the first reader left %d chunks are urgent", n)
	}
	calm()
	if n := urgent(); n != 0 {
		t.Errorf("%d chunks are urgent for nobody", n)
	}
}
