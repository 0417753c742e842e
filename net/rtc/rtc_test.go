package rtc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect makes two ends of one connection.
func connect(t testing.TB) (offerer, answerer *Peer) {
	t.Helper()
	api := New(Config{})
	a, offer, err := api.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	b, answer, err := api.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func open(t testing.TB, p *Peer, name string) net.Conn {
	t.Helper()
	c, err := p.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStreamsCarryBytes(t *testing.T) {
	a, b := connect(t)
	for _, name := range names() {
		data := make([]byte, 3<<20)
		rand.Read(data)
		go func() {
			if _, err := open(t, a, name).Write(data); err != nil {
				t.Error(err)
			}
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(open(t, b, name), got); err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(got) != sha256.Sum256(data) {
			t.Fatalf("stream %s changed the bytes", name)
		}
	}
	if a.Heard().Before(a.start) {
		t.Error("nothing was heard")
	}
}

// A stream that nobody reads holds up its own writer and no other, even when
// both directions and streams are full.
func TestUnreadStreamHoldsUpOnlyItself(t *testing.T) {
	a, b := connect(t)
	blobs := open(t, a, Blobs)
	wrote := make(chan error, 1)
	go func() {
		_, err := blobs.Write(make([]byte, 16<<20))
		wrote <- err
	}()
	// The writer is at its limit when its credit is gone.
	s := blobs.(*stream)
	for credit := window; credit >= maxData/2; {
		s.mu.Lock()
		credit = s.credit
		s.mu.Unlock()
	}
	sa, sb := open(t, a, Sync), open(t, b, Sync)
	for range 20 {
		if _, err := sa.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(sb, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-wrote:
		t.Fatalf("16 MiB went into a stream nobody reads: %v", err)
	default:
	}
	if n, err := io.CopyN(io.Discard, open(t, b, Blobs), 16<<20); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func TestDeadlines(t *testing.T) {
	a, b := connect(t)
	sa, sb := open(t, a, Sync), open(t, b, Sync)
	for range 2 {
		if err := sb.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := sb.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
	}
	if err := sb.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	// A deadline set while a Read waits ends it.
	read := make(chan error, 1)
	go func() {
		_, err := sb.Read(make([]byte, 1))
		read <- err
	}()
	if err := sb.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("waiting read: %v", err)
	}
	if err := sa.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := sa.Write(make([]byte, 16<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write: %v", err)
	}
}

func TestCloseEndsTheOtherSide(t *testing.T) {
	a, b := connect(t)
	sa, sb := open(t, a, Sync), open(t, b, Sync)
	want := bytes.Repeat([]byte("last words "), 100)
	if _, err := sa.Write(want); err != nil {
		t.Fatal(err)
	}
	a.Drain(t.Context())
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(sb)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("after the end: %d bytes, %v", len(got), err)
	}
	<-b.Done()
	if !errors.Is(b.Err(), ErrLost) {
		t.Errorf("Err is %v", b.Err())
	}
	if _, err := sb.Write([]byte("x")); !errors.Is(err, ErrLost) {
		t.Errorf("write after the end: %v", err)
	}
	if _, err := sa.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestCloseFreesBlockedCalls(t *testing.T) {
	a, _ := connect(t)
	s := open(t, a, Sync)
	errs := make(chan error, 2)
	go func() { _, err := s.Read(make([]byte, 1)); errs <- err }()
	go func() { _, err := s.Write(make([]byte, 32<<20)); errs <- err }()
	for s.(*stream).ch.BufferedAmount() == 0 {
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("a blocked call ended without an error")
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// A connection that never came about is freed as well.
func TestCloseBeforeConnected(t *testing.T) {
	api := New(Config{})
	a, offer, err := api.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := api.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Stream(ctx, Sync); !errors.Is(err, context.Canceled) {
		t.Errorf("Stream: %v", err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Stream(t.Context(), Sync); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Stream after Close: %v", err)
	}
}

func TestBadDescriptions(t *testing.T) {
	api := New(Config{})
	offerer, good, err := api.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer offerer.Close()
	for name, sdp := range map[string][]byte{
		"empty":       nil,
		"garbage":     []byte("v=0\r\no=nonsense"),
		"not text":    {0xff, 0, 0xfe},
		"many places": append(bytes.Clone(good), bytes.Repeat([]byte("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"), maxCandidates+1)...),
		"huge":        bytes.Repeat([]byte("a"), maxDescription+1),
		"no channels": []byte("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
	} {
		p, _, err := api.Answer(t.Context(), sdp)
		if err == nil {
			p.Close()
			if name != "no channels" {
				t.Errorf("%s: accepted", name)
			}
			continue
		}
		if !errors.Is(err, ErrDescription) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
