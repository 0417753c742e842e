package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

type pair struct {
	A uint64 `cbor:"1,keyasint"`
	B []byte `cbor:"2,keyasint"`
}

func limits() Limits { return Limits{1: 64, 2: 1 << 20} }

type stream struct {
	io.Reader
	io.Writer
}

func reader(data []byte) *Conn {
	return NewConn(stream{bytes.NewReader(data), io.Discard}, limits())
}

func TestRoundTrip(t *testing.T) {
	var buf bytes.Buffer
	c := NewConn(&buf, limits())
	want := pair{A: 7, B: []byte("seven")}
	if err := c.Send(1, want); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 1<<20)
	if err := c.WriteFrame(2, big); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFrame(1, nil); err != nil {
		t.Fatal(err)
	}
	f, err := c.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	var got pair
	if err := f.Decode(&got); err != nil || got.A != want.A || !bytes.Equal(got.B, want.B) {
		t.Fatalf("got %v, %v", got, err)
	}
	if f, err = c.ReadFrame(); err != nil || !bytes.Equal(f.Body, big) {
		t.Fatalf("large body: %d bytes, %v", len(f.Body), err)
	}
	if f, err = c.ReadFrame(); err != nil || len(f.Body) != 0 {
		t.Fatalf("empty body: %v, %v", f, err)
	}
	if _, err = c.ReadFrame(); err != io.EOF {
		t.Fatalf("at the end: %v, want io.EOF", err)
	}
}

func TestGolden(t *testing.T) {
	var buf bytes.Buffer
	c := NewConn(&buf, limits())
	if err := errors.Join(c.Send(1, pair{A: 1000, B: []byte("golden")}), c.WriteFrame(2, []byte("plain bytes")), c.WriteFrame(1, nil)); err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(buf.Bytes()) + "\n"
	if *update {
		if err := os.WriteFile("testdata/frames.hex", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/frames.hex")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("frames changed; this needs a new version\n got %s want %s", got, want)
	}
}

func TestBadInput(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want error
		says string
	}{
		{"nothing", nil, io.EOF, ""},
		{"half a header", []byte{1, 1, 0}, io.ErrUnexpectedEOF, "header"},
		{"half a body", []byte{1, 1, 0, 0, 0, 9, 'x'}, io.ErrUnexpectedEOF, "body"},
		{"no body at all", []byte{1, 1, 0, 0, 0, 9}, io.ErrUnexpectedEOF, "body"},
		{"half a large body", []byte{1, 2, 0, 0x0f, 0xff, 0xff, 'x'}, io.ErrUnexpectedEOF, "body"},
		{"larger than its type allows", []byte{1, 1, 0, 0, 0, 65}, ErrTooLarge, "at most 64"},
		{"huge", []byte{1, 2, 0xff, 0xff, 0xff, 0xff}, ErrTooLarge, "4294967295"},
		{"newer version", []byte{2, 1, 0, 0, 0, 0}, ErrVersion, "version 2"},
		{"another protocol", []byte("GET / HTTP/1.1\r\n"), ErrVersion, "not echofs"},
		{"unknown type", []byte{1, 9, 0, 0, 0, 0}, ErrType, "type 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := reader(tt.data).ReadFrame()
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.want, tt.says)
			}
		})
	}
}

func TestMalformedBody(t *testing.T) {
	for _, body := range []string{"", "\xff", "\xa1\x01\x18\x05", "\xa0\xa0"} {
		f := Frame{Type: 1, Body: []byte(body)}
		if err := f.Decode(&pair{}); !errors.Is(err, ErrBody) {
			t.Errorf("%x: %v, want %v", body, err, ErrBody)
		}
	}
}

func TestRefusesToSend(t *testing.T) {
	var buf bytes.Buffer
	c := NewConn(&buf, limits())
	if err := c.WriteFrame(1, make([]byte, 65)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := c.WriteFrame(9, nil); !errors.Is(err, ErrType) {
		t.Errorf("unknown type: %v", err)
	}
	if err := c.Send(1, func() {}); err == nil {
		t.Error("a value that has no encoding was sent")
	}
	if buf.Len() != 0 {
		t.Errorf("%d bytes were sent", buf.Len())
	}
}

// counter counts writes and holds each back until it is let through.
type counter struct {
	gate   chan struct{}
	writes int
	bytes.Buffer
}

func (c *counter) Write(p []byte) (int, error) {
	<-c.gate
	c.writes++
	return c.Buffer.Write(p)
}

func TestWritersShareAWrite(t *testing.T) {
	w := &counter{gate: make(chan struct{})}
	c := NewConn(w, limits())
	const writers = 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := c.WriteFrame(1, []byte{byte(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	// Let the first write through once all frames have been queued.
	for queued := uint64(0); queued < writers*(HeaderSize+1); {
		c.mu.Lock()
		queued = c.queued
		c.mu.Unlock()
	}
	close(w.gate)
	wg.Wait()
	if w.writes > 3 {
		t.Errorf("%d writes for %d frames", w.writes, writers)
	}
	in := reader(w.Bytes())
	for range writers {
		if _, err := in.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueWaitsForFlush(t *testing.T) {
	gate := make(chan struct{})
	close(gate)
	w := &counter{gate: gate}
	c := NewConn(w, limits())
	for range 10 {
		if err := c.Queue(1, []byte("small")); err != nil {
			t.Fatal(err)
		}
	}
	if w.writes != 0 {
		t.Errorf("%d writes before Flush", w.writes)
	}
	if err := c.Flush(); err != nil || w.writes != 1 {
		t.Errorf("%d writes after Flush, %v", w.writes, err)
	}
	if err := c.Queue(2, make([]byte, batchSize)); err != nil || w.writes != 2 {
		t.Errorf("%d writes after a large frame, %v", w.writes, err)
	}
}

func TestConcurrentFramesDoNotMix(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	out, in := NewConn(a, limits()), NewConn(b, limits())
	const writers, frames = 8, 100
	for i := range writers {
		go func() {
			body := bytes.Repeat([]byte{byte(i)}, 1000*(i+1))
			for j := range frames {
				var err error
				if j%3 == 0 {
					err = errors.Join(out.Queue(2, body), out.Flush())
				} else {
					err = out.WriteFrame(2, body)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for range writers * frames {
		f, err := in.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		i := f.Body[0]
		if want := bytes.Repeat([]byte{i}, 1000*(int(i)+1)); !bytes.Equal(f.Body, want) {
			t.Fatalf("frame of writer %d is mixed", i)
		}
	}
}

func TestWriteErrorStays(t *testing.T) {
	a, b := net.Pipe()
	b.Close()
	c := NewConn(a, limits())
	for range 2 {
		if err := c.WriteFrame(1, []byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0, 2, 0xa0, 0xa0})
	f.Add([]byte{1, 2, 0, 0x0f, 0xff, 0xff, 1, 2, 3})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := reader(data)
		var again bytes.Buffer
		out := NewConn(&again, limits())
		for {
			frame, err := in.ReadFrame()
			if err != nil {
				break
			}
			var p pair
			if frame.Decode(&p) == nil {
				err = out.Send(frame.Type, p)
			} else {
				err = out.WriteFrame(frame.Type, frame.Body)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("read %x, wrote back %x", data, again.Bytes())
		}
	})
}

func BenchmarkSmallFrames(b *testing.B) {
	c := NewConn(stream{nil, io.Discard}, limits())
	body := make([]byte, 60)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.WriteFrame(1, body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLargeFrames(t *testing.T) {
	var out bytes.Buffer
	c := NewConn(&out, limits())
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16-2)
	for _, n := range []int{0, 1, record - HeaderSize - 2, record, 100 << 10, len(body)} {
		if err := c.Queue(1, []byte("small")); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteLarge(2, []byte("head"), body[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WriteLarge(2, []byte("head"), make([]byte, 1<<20)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	in := reader(out.Bytes())
	for _, n := range []int{0, 1, record - HeaderSize - 2, record, 100 << 10, len(body)} {
		if f, err := in.ReadFrame(); err != nil || string(f.Body) != "small" {
			t.Fatal(f, err)
		}
		f, err := in.ReadFrame()
		if err != nil || f.Type != 2 || string(f.Body) != "head"+string(body[:n]) {
			t.Fatalf("frame of %d bytes: %d, %v", n, len(f.Body), err)
		}
		in.Reuse(f)
	}
}
