package admission

import (
	"context"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/signaling"
)

// present runs a mesh of a device until the test ends.
func present(t *testing.T, d *identity.Device, urls ...string) *mesh.Mesh {
	t.Helper()
	m := mesh.New(mesh.Config{Device: d, Signal: urls})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

// eavesdropper is the handler of somebody in the middle: it plays the host to
// guests and the guest to hosts, and counts what it hears.
type eavesdropper struct {
	links chan identity.PublicKey
	heard atomic.Int64
}

func (e *eavesdropper) Link(_ context.Context, l *mesh.Link) error {
	e.links <- l.Peer.Device
	buf := make([]byte, 1024)
	for {
		n, err := l.Sync.Read(buf)
		e.heard.Add(int64(n))
		if err != nil {
			return err
		}
	}
}

// TestManInTheMiddle: somebody owns the only signaling server and has the URL of
// the invitation, so that they know its topic and can be met there as any
// device. A guest talks to the device that the invitation names, over TLS with
// its key, and to nobody else: the PIN is not shown to the one in the middle,
// whether they wait for the guest, or come to the host.
func TestManInTheMiddle(t *testing.T) {
	board := signaling.NewServer(signaling.ServerConfig{})
	web := httptest.NewServer(board)
	t.Cleanup(func() { web.Close(); _ = board.Close() })

	d := newDoor(t)
	d.inv.Signal = []string{web.URL}
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	spy := &eavesdropper{links: make(chan identity.PublicKey, 100)}
	leave := present(t, eve, web.URL).Join(d.inv.Topic(), spy)
	t.Cleanup(leave)

	// The guest comes first, and there is only the one in the middle.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	inv, err := invitation.Parse(d.inv.String())
	if err != nil {
		t.Fatal(err)
	}
	bm := present(t, ben)
	result := make(chan error, 1)
	go func() {
		_, err := Join(ctx, bm, ben, inv, Options{PIN: d.pin})
		result <- err
	}()
	for met := range spy.links {
		if met == ben.Key() {
			break
		}
	}
	// Then the host.
	t.Cleanup(present(t, d.device, web.URL).Join(d.inv.Topic(), d.handler()))
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	leave() // whatever was sent to them has been read
	if n := spy.heard.Load(); n != 0 {
		t.Errorf("the one in the middle heard %d bytes", n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.member(ben) || d.member(eve) || len(d.asked) != 1 || len(d.tried) != 0 {
		t.Errorf("asked about %v, tried %v", d.asked, d.tried)
	}
}
