package signaling

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/echofs/echofs/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, cfg ServerConfig) string {
	t.Helper()
	s := NewServer(cfg)
	h := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); h.Close() })
	return h.URL
}

func device(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newTestClient(t *testing.T, d *identity.Device, urls ...string) *Client {
	t.Helper()
	c := NewClient(d, nil)
	for _, u := range urls {
		if err := c.AddURL(u); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

// member is a session and the events that came and were not looked at.
type member struct {
	*Session
	queue []Event
}

func join(t *testing.T, c *Client, topic Topic) *member {
	t.Helper()
	s, err := c.Join(topic)
	if err != nil {
		t.Fatal(err)
	}
	return &member{Session: s}
}

// next returns the next event, which must be of a kind.
func (m *member) next(t *testing.T, kind EventKind) Event {
	t.Helper()
	limit := time.NewTimer(5 * time.Minute)
	defer limit.Stop()
	for len(m.queue) == 0 {
		select {
		case <-m.Wake():
			m.queue = append(m.queue, m.Events()...)
		case <-limit.C:
			t.Fatalf("waited in vain for event %d", kind)
		}
	}
	e := m.queue[0]
	m.queue = m.queue[1:]
	if e.Kind != kind {
		t.Fatalf("event %d, want %d", e.Kind, kind)
	}
	return e
}

func TestMeetAndTalk(t *testing.T) {
	url := serve(t, ServerConfig{})
	ann, zoe := device(t, "ann"), device(t, "zoe")
	a, z := join(t, newTestClient(t, ann, url), Topic{1}), join(t, newTestClient(t, zoe, url), Topic{1})
	ea, ez := a.next(t, Present), z.next(t, Present)
	if ea.Device != zoe.Key() || ez.Device != ann.Key() {
		t.Fatalf("met %v and %v", ea.Device, ez.Device)
	}
	for _, body := range []string{"one", "two"} {
		if err := a.Send(ea.Route, []byte(body)); err != nil {
			t.Fatal(err)
		}
		e := z.next(t, Message)
		if string(e.Body) != body || e.Device != ann.Key() || e.Route != ez.Route || e.Instance != ez.Instance {
			t.Errorf("got %+v", e)
		}
	}
	if err := a.Send(ea.Route, make([]byte, maxData)); err == nil {
		t.Error("a huge message was sent")
	}
	a.Close()
	z.next(t, Gone)
	if err := z.Send(ez.Route, nil); err == nil {
		t.Error("sent to somebody who has left")
	}
	// Who joins again is another presence of the same program.
	join(t, a.client, Topic{1})
	if e := z.next(t, Present); e.Route == ez.Route || e.Instance != ez.Instance {
		t.Errorf("came back as %+v", e)
	}
}

func TestTopicsAreApart(t *testing.T) {
	url := serve(t, ServerConfig{})
	c := newTestClient(t, device(t, "ann"), url)
	join(t, c, Topic{1})
	b := join(t, c, Topic{2})
	if _, err := c.Join(Topic{2}); !errors.Is(err, ErrJoined) {
		t.Errorf("second Join: %v", err)
	}
	z := join(t, newTestClient(t, device(t, "zoe"), url), Topic{2})
	b.next(t, Present)
	z.next(t, Present)
}

func TestURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"http://host":          "ws://host" + Path,
		"https://host:1/":      "wss://host:1" + Path,
		"ws://host/other":      "ws://host/other",
		"wss://host/a?b=c":     "wss://host/a?b=c",
		"ftp://host":           "",
		"host":                 "",
		"http://":              "",
		"http://[::1":          "",
		"http://127.0.0.1:1/x": "ws://127.0.0.1:1/x",
	} {
		c := NewClient(device(t, "ann"), nil)
		err := errors.Join(c.AddURL(raw), c.AddURL(raw))
		switch {
		case want == "" && !errors.Is(err, ErrURL):
			t.Errorf("%q: %v", raw, err)
		case want != "" && (err != nil || len(c.urls) != 1 || c.urls[0] != want):
			t.Errorf("%q: %v, %v", raw, c.urls, err)
		}
	}
}

// spy is a server in the hands of somebody else. It passes each packet to
// change, and sends on what that returns.
type spy struct {
	mu     sync.Mutex
	seen   bytes.Buffer
	change func(packet) []packet // of what goes to clients
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request, behind string) {
	front, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer front.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	back, _, err := websocket.Dial(ctx, behind, nil)
	if err != nil {
		return
	}
	defer back.CloseNow()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer cancel()
		for {
			_, data, err := front.Read(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.seen.Write(data)
			s.mu.Unlock()
			if back.Write(ctx, websocket.MessageBinary, data) != nil {
				return
			}
		}
	})
	for {
		_, data, err := back.Read(ctx)
		if err != nil {
			return
		}
		p, err := decodePacket(data)
		if err != nil {
			return
		}
		for _, p := range s.change(p) {
			if front.Write(ctx, websocket.MessageBinary, p.encode()) != nil {
				return
			}
		}
	}
}

func spied(t *testing.T, change func(packet) []packet) (url string, s *spy) {
	t.Helper()
	behind := serve(t, ServerConfig{})
	s = &spy{change: change}
	var wg sync.WaitGroup
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		s.ServeHTTP(w, r, behind)
	}))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close(); wg.Wait() })
	return h.URL, s
}

func TestServerLearnsNothing(t *testing.T) {
	url, spy := spied(t, func(p packet) []packet { return []packet{p} })
	ann, zoe := device(t, "ann-by-name"), device(t, "zoe-by-name")
	topic := Topic{42, 43, 44, 45}
	a, z := join(t, newTestClient(t, ann, url), topic), join(t, newTestClient(t, zoe, url), topic)
	ea := a.next(t, Present)
	z.next(t, Present)
	if err := a.Send(ea.Route, []byte("v=0 candidate 192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	z.next(t, Message)
	spy.mu.Lock()
	defer spy.mu.Unlock()
	annKey, annID := ann.Key(), ann.Identity()
	for _, secret := range [][]byte{topic[:], annKey[:], annID[:], []byte("by-name"), []byte("candidate")} {
		if bytes.Contains(spy.seen.Bytes(), secret) {
			t.Errorf("the server saw %q", secret)
		}
	}
}

// A server that delivers twice, out of order, under other names or to other
// people changes nothing.
func TestHostileServer(t *testing.T) {
	var kept []packet
	var mu sync.Mutex
	url, _ := spied(t, func(p packet) []packet {
		mu.Lock()
		defer mu.Unlock()
		if p.Kind != deliver {
			return []packet{p}
		}
		kept = append(kept, p)
		all := append([]packet{p}, kept...) // everything so far, again
		for _, k := range kept {
			stranger, flipped := k, k
			stranger.Peer[0] ^= 1
			flipped.Data = bytes.Clone(k.Data)
			flipped.Data[len(k.Data)-1] ^= 1
			all = append(all, stranger, flipped, packet{Kind: arrived, Topic: k.Topic, Peer: stranger.Peer}, stranger)
		}
		return all
	})
	a, z := join(t, newTestClient(t, device(t, "ann"), url), Topic{1}), join(t, newTestClient(t, device(t, "zoe"), url), Topic{1})
	ea := a.next(t, Present)
	z.next(t, Present)
	for _, body := range []string{"one", "two", "three"} {
		if err := a.Send(ea.Route, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if e := z.next(t, Message); string(e.Body) != body {
			t.Fatalf("got %q, want %q", e.Body, body)
		}
	}
	a.Close()
	z.next(t, Gone)
}

// Even one who knows the topic cannot speak for a device, nor pass on what a
// device has told another.
func TestInsiderCannotImpersonate(t *testing.T) {
	topic := Topic{7}
	aead := topic.sealer()
	ann, eve := device(t, "ann"), device(t, "eve")
	e := envelope{Topic: topic.ID(), From: PeerID{1}, To: PeerID{2}}
	good, err := seal(aead, ann, e, note{Kind: message, Body: []byte("offer")})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := open(aead, e, good); err != nil || n.Device != ann.Key() {
		t.Fatalf("%+v, %v", n, err)
	}
	plain, err := aead.Open(nil, nil, good, e.bytes())
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]envelope{
		"another recipient": {e.Topic, e.From, PeerID{3}},
		"another sender":    {e.Topic, PeerID{3}, e.To},
		"another topic":     {TopicID{9}, e.From, e.To},
	} {
		again := aead.Seal(nil, nil, plain, other.bytes())
		if _, err := open(aead, other, again); !errors.Is(err, ErrNote) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := open(aead, other, good); !errors.Is(err, ErrNote) {
			t.Errorf("%s, as it was: %v", name, err)
		}
	}
	forged, err := seal(aead, eve, e, note{Kind: message})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := open(aead, e, forged); err != nil || n.Device != eve.Key() {
		t.Errorf("eve speaks as %v, %v", n.Device, err)
	}
}

func TestServerLimits(t *testing.T) {
	url := serve(t, ServerConfig{Connections: 2, Topics: 1, Members: 2})
	dial := func() *websocket.Conn {
		ws, _, err := websocket.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.CloseNow() })
		return ws
	}
	say := func(ws *websocket.Conn, p packet) {
		t.Helper()
		if err := ws.Write(t.Context(), websocket.MessageBinary, p.encode()); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(ws *websocket.Conn) packet {
		t.Helper()
		_, data, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodePacket(data)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, two := dial(), dial()
	say(one, packet{Kind: joinTopic, Topic: TopicID{1}})
	if p := hear(one); p.Kind != joined || len(p.Peers) != 0 {
		t.Fatalf("%+v", p)
	}
	say(one, packet{Kind: joinTopic, Topic: TopicID{2}})
	if p := hear(one); p.Kind != refuse {
		t.Errorf("second topic: %+v", p)
	}
	say(two, packet{Kind: joinTopic, Topic: TopicID{1}})
	if p := hear(two); p.Kind != joined || len(p.Peers) != 1 {
		t.Fatalf("%+v", p)
	}
	if _, _, err := websocket.Dial(t.Context(), url, nil); err == nil {
		t.Error("a third connection was taken")
	}
	// Nonsense ends the connection of whoever sent it, and only that.
	if err := two.Write(t.Context(), websocket.MessageBinary, []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	if p := hear(one); p.Kind != arrived {
		t.Fatalf("%+v", p)
	}
	if p := hear(one); p.Kind != left {
		t.Fatalf("%+v", p)
	}
	if err := one.Write(t.Context(), websocket.MessageBinary, make([]byte, maxPacket+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := one.Read(t.Context()); err == nil {
		t.Error("a huge packet was taken")
	}
}

// A connection that does not answer is dropped, and others hear of it.
func TestServerDropsTheDead(t *testing.T) {
	url := serve(t, ServerConfig{TTL: 4 * time.Second})
	join := func() *websocket.Conn {
		ws, _, err := websocket.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.CloseNow() })
		if err := ws.Write(t.Context(), websocket.MessageBinary, packet{Kind: joinTopic}.encode()); err != nil {
			t.Fatal(err)
		}
		return ws
	}
	for { // on a busy machine even the live one may answer too late
		live := join()
		join() // and never reads, so it does not answer pings
		for {
			_, data, err := live.Read(t.Context())
			if err != nil {
				break
			}
			if p, err := decodePacket(data); err != nil {
				t.Fatal(err)
			} else if p.Kind == left {
				return
			}
		}
	}
}
