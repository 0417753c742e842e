package admission

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDevice(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pipe makes both ends of a link between two devices.
func pipe(t testing.TB, host, guest *identity.Device) (h, g *mesh.Link) {
	exporter := make([]byte, 32)
	if _, err := rand.Read(exporter); err != nil {
		t.Fatal(err)
	}
	s1, s2 := net.Pipe()
	b1, b2 := net.Pipe()
	return &mesh.Link{Peer: guest.Profile(), Sync: s1, Blobs: b1, Exporter: exporter, Initiator: true},
		&mesh.Link{Peer: host.Profile(), Sync: s2, Blobs: b2, Exporter: exporter}
}

// fakeMesh hands a guest the links that it is given, each in a goroutine.
type fakeMesh struct {
	links   chan *mesh.Link
	mu      sync.Mutex
	topic   [32]byte
	signals []string
	log     func(...any)
}

func (m *fakeMesh) AddSignal(url string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signals = append(m.signals, url)
	return nil
}

func (m *fakeMesh) Join(topic [32]byte, h mesh.Handler) (leave func()) {
	m.mu.Lock()
	m.topic = topic
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case l := <-m.links:
				if err := h.Link(ctx, l); err != nil && m.log != nil {
					m.log(err)
				}
				_ = l.Sync.Close()
				_ = l.Blobs.Close()
			}
		}
	})
	return func() { cancel(); all.Wait() }
}

// try lets guest use an invitation over links, one after another.
func try(t *testing.T, guest *identity.Device, inv invitation.Invitation, opt Options, links ...*mesh.Link) (Result, error) {
	t.Helper()
	m := &fakeMesh{links: make(chan *mesh.Link, len(links)), log: t.Log}
	for _, l := range links {
		m.links <- l
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	return Join(ctx, m, guest, inv, opt)
}

// serve runs a host's end of a link until the test ends, and returns the other.
func serve(t *testing.T, handler mesh.Handler, host, guest *identity.Device) *mesh.Link {
	t.Helper()
	mine, theirs := pipe(t, host, guest)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = handler.Link(context.Background(), mine)
		_ = mine.Sync.Close()
		_ = mine.Blobs.Close()
	}()
	t.Cleanup(func() {
		_ = theirs.Sync.Close()
		<-done
	})
	return theirs
}

// A house is a space on one device.
type house struct {
	t      *testing.T
	device *identity.Device
	space  *space.Space
	now    time.Time
	met    chan string // what guests told
}

func newHouse(t *testing.T) *house {
	t.Helper()
	d := newDevice(t, "Anna")
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: d}, "home")
	return run(t, d, s, err)
}

func run(t *testing.T, d *identity.Device, s *space.Space, err error) *house {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{t: t, device: d, space: s, now: time.Now(), met: make(chan string, 100)}
}

// move makes a member's copy of the space from what they were given.
func move(t *testing.T, d *identity.Device, r Result) *house {
	t.Helper()
	s, err := space.Join(space.Config{Dir: t.TempDir(), Device: d}, r.Name, r.Credentials, r.Keys...)
	return run(t, d, s, err)
}

func (h *house) common() Common {
	return Common{
		Now:    func() time.Time { return h.now },
		Signal: func() []string { return []string{"https://one.example", "https://two.example"} },
		Met: func(urls []string) {
			for _, u := range urls {
				h.met <- u
			}
		},
	}
}

// member reports whether a device is that of a member here.
func (h *house) member(d *identity.Device) bool { return h.space.Member(d.Key()) }

// learn gives the house what another one knows of members.
func (h *house) learn(other *house) {
	h.t.Helper()
	if err := h.space.AddCredentials(h.t.Context(), other.space.Credentials()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) role(d *identity.Device) credential.Role {
	for _, m := range h.space.Members() {
		if m.Identity == d.Identity() {
			return m.Role
		}
	}
	return credential.None
}
