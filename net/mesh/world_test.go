package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/signaling"
)

func TestMain(m *testing.M) {
	if url := os.Getenv("ECHOFS_TEST_PEER"); url != "" {
		silence, err := time.ParseDuration(os.Getenv("ECHOFS_TEST_SILENCE"))
		if err != nil {
			panic(err)
		}
		runAsPeer(url, silence)
		return
	}
	goleak.VerifyTestMain(m)
}

// board is a signaling server that can be stopped and started again.
type board struct {
	t    testing.TB
	addr string
	stop func()
}

func newBoard(t testing.TB) *board {
	b := &board{t: t, addr: "127.0.0.1:0"}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *board) url() string { return "http://" + b.addr }

func (b *board) start() {
	b.t.Helper()
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.addr = l.Addr().String()
	s := signaling.NewServer(signaling.ServerConfig{})
	h := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			b.t.Error(err)
		}
	}()
	b.stop = func() {
		h.Close()
		s.Close()
		<-done
		b.stop = func() {}
	}
}

func device(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testLog(t testing.TB) *slog.Logger {
	if os.Getenv("ECHOFS_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// node is a running mesh.
type node struct {
	*Mesh
	device *identity.Device
	stop   func() // ends Run and waits for it
}

func start(t testing.TB, d *identity.Device, change func(*Config), urls ...string) *node {
	t.Helper()
	cfg := Config{Device: d, Signal: urls, Log: testLog(t)}
	if cfg.Log != nil {
		cfg.Log = cfg.Log.With("node", d.Name())
	}
	if change != nil {
		change(&cfg)
	}
	m := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	n := &node{Mesh: m, device: d, stop: func() { cancel(); <-done }}
	t.Cleanup(n.stop)
	return n
}

// handler is a func as a Handler.
type handler func(ctx context.Context, l *Link) error

func (h handler) Link(ctx context.Context, l *Link) error { return h(ctx, l) }

// meeting is a Handler that reports links and holds each until its blobs
// stream ends.
type meeting struct {
	began chan *Link
	ended chan *Link
}

func newMeeting() *meeting {
	return &meeting{began: make(chan *Link, 100), ended: make(chan *Link, 100)}
}

func (m *meeting) Link(ctx context.Context, l *Link) error {
	m.began <- l
	defer func() { m.ended <- l }()
	_, err := io.Copy(io.Discard, l.Blobs)
	return err
}

// hold is a Handler that leaves the streams of its only link alone.
func hold(began chan<- *Link) Handler {
	return handler(func(ctx context.Context, l *Link) error {
		began <- l
		<-ctx.Done()
		return nil
	})
}

func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	limit := time.NewTimer(5 * time.Minute)
	defer limit.Stop()
	select {
	case v := <-c:
		return v
	case <-limit.C:
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// child starts a process with a mesh in it, always the same device, which gives
// a link up after that silence.
func child(t *testing.T, url string, silence time.Duration) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "ECHOFS_TEST_PEER="+url, "ECHOFS_TEST_SILENCE="+silence.String())
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Wait() // the test may have killed it
	})
	return c
}

// ones is where the child's keys come from.
type ones struct{ n byte }

func (o *ones) Read(p []byte) (int, error) {
	for i := range p {
		o.n++
		p[i] = o.n
	}
	return len(p), nil
}

// runAsPeer is what the child does.
func runAsPeer(url string, silence time.Duration) {
	d, err := identity.NewDevice(&ones{}, "child")
	if err != nil {
		panic(err)
	}
	m := New(Config{Device: d, Signal: []string{url}, Heartbeat: 200 * time.Millisecond, Silence: silence})
	m.Join([32]byte{1}, handler(func(ctx context.Context, l *Link) error {
		_, err := io.Copy(l.Sync, l.Sync)
		return err
	}))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the parent closes it
		os.Exit(0)
	}()
	fmt.Println(m.Run(context.Background()))
}
