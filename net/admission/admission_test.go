package admission

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
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

// pipe makes both ends of a link between host and guest.
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

// fakeMesh hands a guest the links that it is given, one after another.
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

// house is a space with an invitation to it.
type house struct {
	t      *testing.T
	device *identity.Device
	space  *space.Space
	inv    invitation.Invitation
	now    time.Time
	met    chan string // what guests told
}

func newHouse(t *testing.T) *house {
	t.Helper()
	d := newDevice(t, "Anna")
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: d}, "home")
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
	in, err := s.Invite(credential.Editor, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &house{t: t, device: d, space: s, now: time.Now(), met: make(chan string, 100),
		inv: Invitation(s, d.Key(), in, []string{"https://signal.example/"})}
}

// link opens a link from guest to the host's handler.
func (h *house) link(guest *identity.Device) *mesh.Link {
	mine, theirs := pipe(h.t, h.device, guest)
	handler := Host(HostConfig{Space: h.space, Invitation: h.inv, Now: func() time.Time { return h.now },
		Signal: func() []string { return []string{"https://one.example", "https://two.example"} },
		Met: func(urls []string) {
			for _, u := range urls {
				h.met <- u
			}
		}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = handler.Link(context.Background(), mine)
		_ = mine.Sync.Close()
		_ = mine.Blobs.Close()
	}()
	h.t.Cleanup(func() {
		_ = theirs.Sync.Close()
		<-done
	})
	return theirs
}

// join lets guest try over the links.
func join(t *testing.T, guest *identity.Device, inv invitation.Invitation, links ...*mesh.Link) (Result, error) {
	t.Helper()
	m := &fakeMesh{links: make(chan *mesh.Link, len(links))}
	for _, l := range links {
		m.links <- l
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	return Join(ctx, m, guest, inv, nil)
}

func TestJoin(t *testing.T) {
	h := newHouse(t)
	text := h.inv.String() // as it reaches the guest
	inv, err := invitation.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	ben := newDevice(t, "Ben")
	m := &fakeMesh{links: make(chan *mesh.Link, 1), log: t.Log}
	m.links <- h.link(ben)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	long := "https://" + strings.Repeat("x", invitation.MaxURL)
	got, err := Join(ctx, m, ben, inv, []string{"https://ben.example", long})
	if err != nil {
		t.Fatal(err)
	}
	if got.Space != h.space.ID() || got.Name != "home" || got.Role != credential.Editor || got.Key != h.space.Key() || len(got.Signal) != 2 {
		t.Errorf("%+v", got)
	}
	if m.topic != inv.Topic() || len(m.signals) != 1 {
		t.Errorf("met on %x with servers %v", m.topic, m.signals)
	}
	if len(h.met) != 1 || <-h.met != "https://ben.example" {
		t.Error("the host did not hear of the guest's server, or of more")
	}
	if !h.space.Member(ben.Key()) {
		t.Error("the host does not know its new member")
	}
	s, err := space.Join(space.Config{Dir: t.TempDir(), Device: ben}, got.Name, got.Credentials, got.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.ID() != h.space.ID() || s.Role() != credential.Editor {
		t.Errorf("joined %s as %v", s.ID().Short(), s.Role())
	}
}

func TestLostAnswer(t *testing.T) {
	h := newHouse(t)
	ben := newDevice(t, "Ben")
	first := h.link(ben)
	first.Sync = deaf{first.Sync}
	got, err := join(t, ben, h.inv, first, h.link(ben))
	if err != nil || got.Key != h.space.Key() {
		t.Errorf("%v", err)
	}
}

// deaf loses the link before the answer comes.
type deaf struct{ net.Conn }

func (d deaf) Read([]byte) (int, error) {
	var one [1]byte
	_, _ = d.Conn.Read(one[:]) // the host has answered
	return 0, errors.New("link lost")
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link)
		want error
	}{
		{"used by somebody else", func(t *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link) {
			chris := newDevice(t, "Chris")
			if _, err := join(t, chris, h.inv, h.link(chris)); err != nil {
				t.Fatal(err)
			}
			return h.inv, h.link(ben)
		}, ErrUsed},
		{"expired by the guest's clock", func(_ *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link) {
			inv := h.inv
			inv.Expires = time.Now().Add(-time.Minute)
			return inv, h.link(ben)
		}, ErrExpired},
		{"expired by the host's clock", func(_ *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link) {
			h.now = h.now.Add(2 * time.Hour)
			return h.inv, h.link(ben)
		}, ErrExpired},
		{"not one of the space", func(_ *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link) {
			h.inv.Secret[0] ^= 1 // the same on both sides, but never made by the space
			return h.inv, h.link(ben)
		}, ErrRevoked},
		{"wrong secret", func(_ *testing.T, h *house, ben *identity.Device) (invitation.Invitation, *mesh.Link) {
			l := h.link(ben)
			inv := h.inv
			inv.Secret[0] ^= 1
			return inv, l
		}, ErrWrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			ben := newDevice(t, "Ben")
			inv, l := tt.do(t, h, ben)
			_, err := join(t, ben, inv, l)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if h.space.Member(ben.Key()) {
				t.Error("became a member all the same")
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Join(ctx, &fakeMesh{}, newDevice(t, "Ben"), h.inv, nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "online") {
		t.Errorf("got %v", err)
	}
}

// TestOtherDeviceHearsNothing meets somebody on the topic who is not the device
// of the invitation.
func TestOtherDeviceHearsNothing(t *testing.T) {
	h := newHouse(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	theirs, mine := pipe(t, eve, ben)
	heard := make(chan int, 1)
	go func() {
		var b [1]byte
		n, _ := theirs.Sync.Read(b[:])
		heard <- n
	}()
	got, err := join(t, ben, h.inv, mine, h.link(ben)) // and then the real one
	if err != nil || got.Key != h.space.Key() {
		t.Errorf("%v", err)
	}
	if n := <-heard; n != 0 {
		t.Error("the guest talked to another device")
	}
}

func TestGuestWithSomebodyElsesChain(t *testing.T) {
	h := newHouse(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	l := h.link(eve)
	conn := wire.NewConn(l.Sync, limits)
	out := wire.NewConn(l.Sync, limits)
	if err := out.Send(frameRequest, request{Proof: h.inv.Proof(l.Exporter), Chain: ben.Chain()}); err != nil {
		t.Fatal(err)
	}
	f, err := conn.ReadFrame()
	if err != nil || f.Type != frameRefusal {
		t.Fatalf("%v %v", f.Type, err)
	}
	if h.space.Member(ben.Key()) || h.space.Member(eve.Key()) {
		t.Error("somebody became a member")
	}
}

// TestProofOfAnotherLink replays what a guest sent on another link.
func TestProofOfAnotherLink(t *testing.T) {
	h := newHouse(t)
	eve := newDevice(t, "Eve")
	l := h.link(eve)
	out, in := wire.NewConn(l.Sync, limits), wire.NewConn(l.Sync, limits)
	if err := out.Send(frameRequest, request{Proof: h.inv.Proof([]byte("another link")), Chain: eve.Chain()}); err != nil {
		t.Fatal(err)
	}
	f, err := in.ReadFrame()
	var r refusal
	if err != nil || f.Type != frameRefusal || f.Decode(&r) != nil || r.Reason != reasonWrong {
		t.Errorf("%v %v %v", f.Type, r, err)
	}
}

// TestBadHosts answers a guest with what no honest host would.
func TestBadHosts(t *testing.T) {
	h := newHouse(t)
	ben := newDevice(t, "Ben")
	other := newHouse(t)
	any := wire.Limits{frameCredentials: 1 << 20, frameWelcome: 1 << 20, frameRefusal: 1 << 20, 99: 1 << 20}
	tests := []struct {
		name string
		do   func(c *wire.Conn, raw net.Conn)
		want string
	}{
		{"no member after all", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{h.space.Credentials()})
			_ = c.Send(frameWelcome, welcome{Key: h.space.Key(), Name: "home"})
		}, "no member"},
		{"credentials of another space", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{other.space.Credentials()})
			_ = c.Send(frameWelcome, welcome{Key: h.space.Key(), Name: "home"})
		}, "bad credential"},
		{"garbage credential", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{[][]byte{{1, 2, 3}}})
			_ = c.Send(frameWelcome, welcome{})
		}, "bad credential"},
		{"no end of credentials", func(c *wire.Conn, _ net.Conn) {
			big := credentials{[][]byte{make([]byte, maxBatch)}}
			for c.Send(frameCredentials, big) == nil {
			}
		}, "too many credentials"},
		{"unknown frame", func(c *wire.Conn, _ net.Conn) { _ = c.WriteFrame(99, nil) }, "unknown type"},
		{"unknown version", func(_ *wire.Conn, raw net.Conn) { _, _ = raw.Write([]byte{77, 1, 0, 0, 0, 0}) }, "unknown version"},
		{"huge frame", func(_ *wire.Conn, raw net.Conn) { _, _ = raw.Write([]byte{wire.Version, 2, 255, 0, 0, 0}) }, "too large"},
		{"garbage body", func(c *wire.Conn, _ net.Conn) { _ = c.WriteFrame(frameWelcome, []byte{255}) }, "malformed"},
		{"strange refusal", func(c *wire.Conn, _ net.Conn) { _ = c.Send(frameRefusal, refusal{77, "because\x1b[2J"}) }, `"because\x1b[2J"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			theirs, mine := pipe(t, h.device, ben)
			done := make(chan struct{})
			go func() {
				defer close(done)
				if _, err := wire.NewConn(theirs.Sync, limits).ReadFrame(); err == nil {
					tt.do(wire.NewConn(theirs.Sync, any), theirs.Sync)
				}
				_ = theirs.Sync.Close()
			}()
			_, err := join(t, ben, h.inv, mine)
			<-done
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestCrowdWithOneInvitation has guests that say nothing.
func TestCrowdWithOneInvitation(t *testing.T) {
	h := Host(HostConfig{Space: nobody{}, Invitation: invitation.Invitation{Secret: [32]byte{2}}})
	d := newDevice(t, "Eve")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2*maxGuests)
	for range 2 * maxGuests {
		_, theirs := pipe(t, d, d)
		go func() { done <- h.Link(ctx, theirs) }()
	}
	for range maxGuests { // the others wait for a word
		if err := <-done; !errors.Is(err, errCrowd) || errors.Is(err, mesh.ErrRefused) {
			t.Errorf("link ended with %v", err)
		}
	}
	cancel()
	for range maxGuests {
		if err := <-done; errors.Is(err, errCrowd) {
			t.Error("more were sent away than had to be")
		}
	}
}

func FuzzHost(f *testing.F) {
	d, err := identity.NewDevice(nil, "Anna")
	if err != nil {
		f.Fatal(err)
	}
	guest, err := identity.NewDevice(nil, "Ben")
	if err != nil {
		f.Fatal(err)
	}
	inv := invitation.Invitation{Space: identity.ID{1}, Secret: [32]byte{2}, Host: d.Key()}
	exporter := make([]byte, 32)
	for _, r := range []request{{inv.Proof(exporter), guest.Chain(), nil}, {inv.Proof(exporter), nil, nil}, {nil, guest.Chain(), []string{"http://a"}}} {
		var b bytes.Buffer
		if err := wire.NewConn(&b, limits).Send(frameRequest, r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := Host(HostConfig{Space: nobody{}, Invitation: inv})
		c := &script{in: bytes.NewReader(data)}
		_ = h.Link(t.Context(), &mesh.Link{Peer: guest.Profile(), Sync: c, Blobs: c, Exporter: exporter})
	})
}

func FuzzGuest(f *testing.F) {
	host, err := identity.NewDevice(nil, "Anna")
	if err != nil {
		f.Fatal(err)
	}
	guest1, err := identity.NewDevice(nil, "Ben")
	if err != nil {
		f.Fatal(err)
	}
	genesis, err := membership.Found(host, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	inv := invitation.Invitation{Space: genesis.ID, Secret: [32]byte{2}, Host: host.Key()}
	var b bytes.Buffer
	c := wire.NewConn(&b, limits)
	if err := errors.Join(c.Send(frameCredentials, credentials{[][]byte{genesis.Raw}}),
		c.Send(frameWelcome, welcome{Key: feed.Key{1}, Name: "x"}), c.Send(frameRefusal, refusal{reasonUsed, "used"})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &guest{device: guest1, inv: inv, out: make(chan outcome, 1), lost: make(chan error, 1)}
		c := &script{in: bytes.NewReader(data)}
		if _, _, err := g.ask(&mesh.Link{Peer: host.Profile(), Sync: c, Blobs: c, Exporter: make([]byte, 32)}); err == nil {
			t.Fatal("let in by garbage")
		}
	})
}

// nobody is a space that lets nobody in.
type nobody struct{}

func (nobody) ID() identity.ID { return identity.ID{1} }
func (nobody) Name() string    { return "nobody" }
func (nobody) Redeem([32]byte, []byte, time.Time) (space.Admission, error) {
	return space.Admission{}, space.ErrNoInvitation
}

// script is a connection on which everything the other side says is known.
type script struct{ in *bytes.Reader }

func (s *script) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
