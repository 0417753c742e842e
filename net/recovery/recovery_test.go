package recovery

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(data) != strings.TrimSpace(string(want)) {
		t.Errorf("%s is %x", name, data)
	}
}

func TestGolden(t *testing.T) {
	var b bytes.Buffer
	c := wire.NewConn(&b, limits)
	if err := c.Send(frameAsk, ask{Sig: []byte("sig")}); err != nil {
		t.Fatal(err)
	}
	golden(t, "ask", b.Bytes())
	b.Reset()
	if err := send(c, Help{Chain: []byte("chain"), Boxes: [][]byte{[]byte("box")}, Spaces: [][]byte{[]byte("space")}}); err != nil {
		t.Fatal(err)
	}
	golden(t, "help", b.Bytes())
	golden(t, "proof", proof{identity.PublicKey{1}, identity.PublicKey{2}, []byte("exporter")}.encode())
}

// words makes recovery keys.
func words(t testing.TB, letter string) *identity.RecoveryKeys {
	t.Helper()
	keys, err := identity.NewRecoveryKeys([]byte(strings.Repeat(letter, 32)), []byte(strings.Repeat(letter, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func device(t testing.TB, name string, keys *identity.RecoveryKeys) *identity.Device {
	t.Helper()
	d, err := identity.NewIdentity(identity.Start{Name: name, DeviceName: name, Recovery: keys})
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

// hosts is a mesh with some hosts on it.
type hosts struct {
	t     *testing.T
	guest *identity.Device
	on    map[[32]byte][]*Host // by topic
	by    *identity.Device
}

func (m hosts) Join(topic [32]byte, h mesh.Handler) (leave func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, host := range m.on[topic] {
		theirs, ours := pipe(m.t, m.by, m.guest)
		all.Go(func() {
			_ = host.Link(ctx, theirs)
			_ = theirs.Sync.Close()
		})
		all.Go(func() {
			_ = h.Link(ctx, ours)
			_ = ours.Sync.Close()
		})
	}
	return func() { cancel(); all.Wait() }
}

func TestRecovery(t *testing.T) {
	right, wrong := words(t, "a"), words(t, "b")
	pub, _ := right.Public()
	wrongPub, _ := wrong.Public()
	ann, ben, guest := device(t, "ann", right), device(t, "ben", nil), device(t, "somebody", nil)
	quiet := slog.New(slog.DiscardHandler)
	help := func(box string) func() (Help, bool) {
		return func() (Help, bool) {
			return Help{Chain: ann.Chain(), Boxes: [][]byte{[]byte(box)}, Spaces: [][]byte{[]byte("space " + box)}}, true
		}
	}
	m := hosts{t: t, guest: guest, by: ben, on: map[[32]byte][]*Host{
		Topic(pub): {NewHost(ben.Key(), pub, help("one"), quiet), NewHost(ben.Key(), pub, help("two"), quiet)},
	}}
	find := func(keys *identity.RecoveryKeys) ([]Help, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return Find(ctx, m, guest.Key(), keys, func([]Help) time.Duration { return time.Second })
	}
	got, err := find(right)
	if err != nil || len(got) == 0 || string(got[0].Chain) != string(ann.Chain()) || len(got[0].Boxes) != 1 || len(got[0].Spaces) != 1 {
		t.Errorf("with the words: %d answers, %v", len(got), err)
	}

	// Who does not have the words hears nothing, wherever they ask.
	g := &guestOnly{keys: wrong, self: guest.Key()}
	if _, err := g.try(t, NewHost(ben.Key(), pub, help("one"), quiet), ben, guest); !errors.Is(err, errRefused) {
		t.Errorf("with other words: %v", err)
	}
	// A host that sends somebody else's identity is not believed.
	g.keys = wrong
	if _, err := g.try(t, NewHost(ben.Key(), wrongPub, help("one"), quiet), ben, guest); !errors.Is(err, identity.ErrNotTheWords) {
		t.Errorf("the identity of somebody else: %v", err)
	}
	// Words of nobody any more.
	g.keys = right
	nobody := func() (Help, bool) { return Help{}, false }
	if _, err := g.try(t, NewHost(ben.Key(), pub, nobody, quiet), ben, guest); !errors.Is(err, errRefused) {
		t.Errorf("words of nobody: %v", err)
	}
	// Somebody in the middle, who passes an ask on to another host.
	if _, err := g.try(t, NewHost(ann.Key(), pub, help("one"), quiet), ben, guest); !errors.Is(err, errRefused) {
		t.Errorf("an ask that was meant for another host: %v", err)
	}
}

// guestOnly asks one host.
type guestOnly struct {
	keys *identity.RecoveryKeys
	self identity.PublicKey
}

func (g *guestOnly) try(t *testing.T, h *Host, host, self *identity.Device) (Help, error) {
	t.Helper()
	theirs, ours := pipe(t, host, self)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Link(t.Context(), theirs)
		_ = theirs.Sync.Close()
	}()
	help, err := (&guest{self: g.self, keys: g.keys}).ask(ours)
	_ = ours.Sync.Close()
	<-done
	return help, err
}

// However many hosts come, and however much they tell, a guest listens to so much.
func TestHostsAreBounded(t *testing.T) {
	keys := words(t, "a")
	pub, _ := keys.Public()
	ann, somebody := device(t, "ann", keys), device(t, "somebody", nil)
	quiet := slog.New(slog.DiscardHandler)
	m := hosts{t: t, guest: somebody, by: ann, on: map[[32]byte][]*Host{}}
	for range maxHosts + 1 {
		m.on[Topic(pub)] = append(m.on[Topic(pub)], NewHost(ann.Key(), pub, func() (Help, bool) { return Help{Chain: ann.Chain()}, true }, quiet))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := Find(ctx, m, somebody.Key(), keys, func([]Help) time.Duration { return time.Hour })
	if err != nil || len(got) != maxHosts {
		t.Errorf("%d answers count, %v", len(got), err)
	}

	much := Help{Chain: ann.Chain()}
	for range MaxSpaces {
		much.Spaces = append(much.Spaces, make([]byte, MaxSpace))
	}
	var b bytes.Buffer
	if err := send(wire.NewConn(&b, limits), much); err != nil {
		t.Fatal(err)
	}
	ask := func(data []byte) (Help, error) {
		conn := fed{from: bytes.NewReader(data)}
		return (&guest{self: somebody.Key(), keys: keys}).ask(&mesh.Link{Peer: ann.Profile(), Sync: conn, Blobs: conn, Exporter: make([]byte, 32)})
	}
	if help, err := ask(b.Bytes()); err != nil || len(help.Spaces) != MaxHelp/MaxSpace {
		t.Errorf("it heard of %d spaces, %v", len(help.Spaces), err)
	}
	b.Reset()
	conn := wire.NewConn(&b, limits)
	if err := conn.WriteFrame(frameChain, ann.Chain()); err != nil {
		t.Fatal(err)
	}
	for _, data := range much.Spaces {
		if err := conn.WriteFrame(frameSpace, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ask(b.Bytes()); !errors.Is(err, errProtocol) {
		t.Errorf("a host that goes on and on: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := hosts{t: t, guest: device(t, "somebody", nil)}
	if _, err := Find(ctx, m, m.guest.Key(), words(t, "a"), nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// fed is a link on which a peer says something and hangs up.
type fed struct {
	net.Conn
	from *bytes.Reader
}

func (f fed) Read(p []byte) (int, error)      { return f.from.Read(p) }
func (f fed) Write(p []byte) (int, error)     { return len(p), nil }
func (f fed) SetReadDeadline(time.Time) error { return nil }
func (f fed) Close() error                    { return nil }

func FuzzHost(f *testing.F) {
	keys := words(f, "a")
	pub, _ := keys.Public()
	ben := device(f, "ben", nil)
	var b bytes.Buffer
	if err := wire.NewConn(&b, limits).Send(frameAsk, ask{Sig: make([]byte, 64)}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	h := NewHost(ben.Key(), pub, func() (Help, bool) { panic("somebody without the words is helped") }, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := fed{from: bytes.NewReader(data)}
		if err := h.Link(t.Context(), &mesh.Link{Peer: ben.Profile(), Sync: conn, Blobs: conn, Exporter: make([]byte, 32)}); err == nil {
			t.Error("the link ended well")
		}
	})
}

func FuzzGuest(f *testing.F) {
	keys := words(f, "a")
	ann := device(f, "ann", keys)
	var b bytes.Buffer
	if err := send(wire.NewConn(&b, limits), Help{Chain: ann.Chain(), Boxes: [][]byte{[]byte("box")}, Spaces: [][]byte{[]byte("space")}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := fed{from: bytes.NewReader(data)}
		help, err := (&guest{self: ann.Key(), keys: keys}).ask(&mesh.Link{Peer: ann.Profile(), Sync: conn, Blobs: conn, Exporter: make([]byte, 32)})
		if err == nil && len(help.Chain) == 0 {
			t.Error("help without an identity")
		}
	})
}
