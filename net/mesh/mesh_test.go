package mesh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/echofs/echofs/net/rtc"
)

func TestLink(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	ca, cz := make(chan *Link, 1), make(chan *Link, 1)
	a.Join([32]byte{1}, hold(ca))
	z.Join([32]byte{1}, hold(cz))
	la, lz := await(t, "ann's link", ca), await(t, "zoe's link", cz)
	if la.Initiator == lz.Initiator {
		t.Error("both ends have the same role")
	}
	if len(la.Exporter) != 32 || !bytes.Equal(la.Exporter, lz.Exporter) {
		t.Errorf("exporters differ: %x %x", la.Exporter, lz.Exporter)
	}
	if want := z.device.Profile(); la.Peer != want {
		t.Errorf("ann talks to %v, want %v", la.Peer, want)
	}
	for _, c := range []struct{ from, to net.Conn }{{la.Sync, lz.Sync}, {lz.Blobs, la.Blobs}} {
		want := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() {
			if _, err := c.from.Write(want); err != nil {
				t.Error(err)
			}
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.to, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the stream changed the bytes, %v", err)
		}
	}
	links := a.Links()
	if len(links) != 1 || links[0].State != Up || links[0].Name != "zoe" || links[0].Device != z.device.Key() {
		t.Errorf("Links: %+v", links)
	}
}

func TestThreePeersAndTwoTopics(t *testing.T) {
	b := newBoard(t)
	topics := [][32]byte{{1}, {2}}
	var meetings []*meeting
	for _, name := range []string{"ann", "ben", "cyd"} {
		n := start(t, device(t, name), nil, b.url())
		for _, topic := range topics {
			m := newMeeting()
			n.Join(topic, m)
			meetings = append(meetings, m)
		}
	}
	for _, m := range meetings {
		one, two := await(t, "a link", m.began), await(t, "another link", m.began)
		if one.Peer.Device == two.Peer.Device {
			t.Error("two links to one device on one topic")
		}
	}
}

func TestSeveralSignalingServers(t *testing.T) {
	b1, b2 := newBoard(t), newBoard(t)
	// The second URL is the same server, and the last one is not there.
	a := start(t, device(t, "ann"), nil, b1.url(), "ws://"+b1.addr+"/", b2.url(), "http://127.0.0.1:1")
	z := start(t, device(t, "zoe"), nil, b2.url())
	ma, mz := newMeeting(), newMeeting()
	a.Join([32]byte{1}, ma)
	z.Join([32]byte{1}, mz)
	await(t, "ann's link", ma.began)
	await(t, "zoe's link", mz.began)
	if err := z.AddSignal(b1.url()); err != nil {
		t.Fatal(err)
	}
	if err := z.AddSignal("ftp://nowhere"); err == nil {
		t.Error("a URL that is not one was accepted")
	}
}

func TestPeerRestarts(t *testing.T) {
	b := newBoard(t)
	dz := device(t, "zoe")
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, dz, nil, b.url())
	ma := newMeeting()
	a.Join([32]byte{1}, ma)
	z.Join([32]byte{1}, newMeeting())
	first := await(t, "the first link", ma.began)
	for range 2 {
		z.stop()
		await(t, "the end of the link", ma.ended)
		z = start(t, dz, nil, b.url())
		z.Join([32]byte{1}, newMeeting())
		next := await(t, "another link", ma.began)
		if bytes.Equal(first.Exporter, next.Exporter) {
			t.Error("two links have the same keys")
		}
	}
}

func TestSignalingServerRestarts(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	ma, mz := newMeeting(), newMeeting()
	a.Join([32]byte{1}, ma)
	z.Join([32]byte{1}, mz)
	la, lz := await(t, "ann's link", ma.began), await(t, "zoe's link", mz.began)
	b.stop()
	go la.Sync.Write([]byte("still here"))
	if _, err := io.ReadFull(lz.Sync, make([]byte, 10)); err != nil {
		t.Errorf("the link ended with the server: %v", err)
	}
	b.start()
	c := start(t, device(t, "cyd"), nil, b.url())
	mc := newMeeting()
	c.Join([32]byte{1}, mc)
	await(t, "a new peer's first link", mc.began)
	await(t, "a new peer's second link", mc.began)
	select {
	case <-ma.ended:
		t.Error("the old link ended")
	default:
	}
}

func TestOfflineAndOnline(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	ma, mz := newMeeting(), newMeeting()
	a.Join([32]byte{1}, ma)
	z.Join([32]byte{1}, mz)
	for range 2 {
		await(t, "ann's link", ma.began)
		await(t, "zoe's link", mz.began)
		a.SetOnline(false)
		await(t, "the end at ann", ma.ended)
		await(t, "the end at zoe", mz.ended)
		if a.Online() {
			t.Error("still online")
		}
		a.SetOnline(true)
	}
	await(t, "ann's link", ma.began)
}

func TestLeave(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	ma, mz := newMeeting(), newMeeting()
	leave := a.Join([32]byte{1}, ma)
	z.Join([32]byte{1}, mz)
	await(t, "ann's link", ma.began)
	await(t, "zoe's link", mz.began)
	leave()
	select {
	case <-ma.ended:
	default:
		t.Error("leave returned before the handler")
	}
	await(t, "the end at zoe", mz.ended)
	if links := a.Links(); len(links) != 0 {
		t.Errorf("after leave: %v", links)
	}
	// A topic can be joined again, and again in place of a join.
	a.Join([32]byte{1}, newMeeting())
	again := newMeeting()
	leave = a.Join([32]byte{1}, again)
	await(t, "the link after the last join", again.began)
	leave()
	leave()
}

// What a handler wrote before it returned arrives, and then the stream ends.
func TestLastWords(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	want := bytes.Repeat([]byte("farewell "), 150_000)
	got := make(chan error, 100)
	a.Join([32]byte{1}, handler(func(_ context.Context, l *Link) error {
		_, err := l.Sync.Write(want)
		return err
	}))
	z.Join([32]byte{1}, handler(func(_ context.Context, l *Link) error {
		data, err := io.ReadAll(l.Sync)
		if err == nil && !bytes.Equal(data, want) {
			err = errors.New("other bytes")
		}
		got <- err
		return err
	}))
	for range 2 { // the second is the redial
		if err := await(t, "the bytes", got); err != nil {
			t.Error(err)
		}
	}
}

func TestHandlerErrorIsRetried(t *testing.T) {
	b := newBoard(t)
	a, z := start(t, device(t, "ann"), nil, b.url()), start(t, device(t, "zoe"), nil, b.url())
	calls := make(chan int, 100)
	n := 0
	a.Join([32]byte{1}, handler(func(ctx context.Context, l *Link) error {
		n++ // one link at a time
		calls <- n
		if n < 4 {
			return errors.New("not in the mood")
		}
		<-ctx.Done()
		return nil
	}))
	z.Join([32]byte{1}, newMeeting())
	for i := 1; i <= 4; i++ {
		await(t, "the handler", calls)
	}
}

func TestRefusedPeerIsLeftAloneUntilRetry(t *testing.T) {
	for _, refuser := range []string{"dialer", "answerer"} {
		t.Run(refuser, func(t *testing.T) {
			b := newBoard(t)
			d1, d2 := device(t, "one"), device(t, "two")
			k1, k2 := d1.Key(), d2.Key()
			if (bytes.Compare(k1[:], k2[:]) < 0) != (refuser == "dialer") {
				d1, d2 = d2, d1
			}
			a, z := start(t, d1, nil, b.url()), start(t, d2, nil, b.url())
			refused := make(chan bool, 100)
			a.Join([32]byte{1}, handler(func(ctx context.Context, l *Link) error {
				refused <- true
				return errors.Join(errors.New("no member"), ErrRefused)
			}))
			z.Join([32]byte{1}, newMeeting())
			await(t, "the handler", refused)
			state := make(chan LinkInfo)
			go func() {
				for {
					if l := a.Links(); len(l) == 1 && l[0].State == Refused {
						state <- l[0]
						return
					}
					runtime.Gosched()
				}
			}()
			if l := await(t, "the state", state); !errors.Is(l.Err, ErrRefused) || l.Identity != d2.Identity() {
				t.Errorf("state: %+v", l)
			}
			a.Retry([32]byte{1})
			await(t, "the handler after Retry", refused)
		})
	}
}

// pair connects two ends without a mesh.
func pair(t *testing.T) (a, z *rtc.Peer) {
	t.Helper()
	api := rtc.New(rtc.Config{})
	a, offer, err := api.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	z, answer, err := api.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
	return a, z
}

// Whoever got a WebRTC connection in place of the device that signed the
// signaling messages, as a signaling server could, gets nothing more.
func TestManInTheMiddle(t *testing.T) {
	ann, zoe, eve := device(t, "ann"), device(t, "zoe"), device(t, "eve")
	ra, re := pair(t)
	sa := newSwarm(New(Config{Device: ann}), [32]byte{1}, nil)
	se := newSwarm(New(Config{Device: eve}), [32]byte{1}, nil)
	errs := make(chan error)
	go func() {
		_, err := se.secure(t.Context(), re, ann.Key(), route{}, false)
		errs <- err
	}()
	l, err := sa.secure(t.Context(), ra, zoe.Key(), route{}, true)
	if !errors.Is(err, ErrWrongDevice) {
		t.Errorf("got %v, want %v", err, ErrWrongDevice)
	}
	if l != nil {
		t.Error("got a link")
	}
	if err := <-errs; err == nil {
		t.Error("eve has a link")
	}
}

// The right device on the wrong topic proves nothing.
func TestOtherTopic(t *testing.T) {
	ann, zoe := device(t, "ann"), device(t, "zoe")
	ra, rz := pair(t)
	sa := newSwarm(New(Config{Device: ann}), [32]byte{1}, nil)
	sz := newSwarm(New(Config{Device: zoe}), [32]byte{2}, nil)
	errs := make(chan error)
	go func() {
		_, err := sz.secure(t.Context(), rz, ann.Key(), route{}, false)
		errs <- err
	}()
	if _, err := sa.secure(t.Context(), ra, zoe.Key(), route{}, true); err == nil {
		t.Error("got a link")
	}
	if err := <-errs; err == nil {
		t.Error("zoe has a link")
	}
}

// A connection attempt that gets nowhere ends when its time is up.
func TestSecureEndsWithItsContext(t *testing.T) {
	ann, zoe := device(t, "ann"), device(t, "zoe")
	ra, _ := pair(t)
	if _, err := ra.Stream(t.Context(), rtc.Sync); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := newSwarm(New(Config{Device: ann}), [32]byte{1}, nil)
	if _, err := s.secure(ctx, ra, zoe.Key(), route{}, true); err == nil {
		t.Error("got a link to nobody")
	}
}

// A process that was stopped costs a reconnect and nothing more.
func TestStoppedProcess(t *testing.T) {
	b := newBoard(t)
	a := start(t, device(t, "parent"), func(c *Config) {
		c.Heartbeat, c.Silence = 200*time.Millisecond, time.Second
	}, b.url())
	m := newMeeting()
	a.Join([32]byte{1}, m)
	child := child(t, b.url(), time.Second)
	await(t, "the first link", m.began)
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the link", m.ended)
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for { // on a busy machine they may lose each other once more
		l := await(t, "another link", m.began)
		go l.Sync.Write([]byte("echo"))
		if _, err := io.ReadFull(l.Sync, make([]byte, 4)); err == nil {
			return
		}
	}
}

// A device whose process was killed, without a word to anybody, gets its link
// as soon as it is back, and does not wait for the silence to be noticed.
func TestKilledProcess(t *testing.T) {
	b := newBoard(t)
	a := start(t, device(t, "parent"), func(c *Config) { c.Silence = time.Hour }, b.url())
	m := newMeeting()
	a.Join([32]byte{1}, m)
	for range 3 {
		c := child(t, b.url(), time.Hour)
		await(t, "a link", m.began)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.ended) != 2 {
		t.Errorf("%d links ended, want 2: there is one at a time", len(m.ended))
	}
}

func TestWatcher(t *testing.T) {
	const silence, grace = 10 * time.Second, 5 * time.Second
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	type look struct {
		now, heard float64
		want       bool
	}
	tests := []struct {
		name  string
		looks []look
	}{
		{"peer speaks", []look{{1, 0.5, false}, {2, 1.5, false}}},
		{"peer is silent", []look{{3, 0, false}, {6, 0, false}, {9, 0, false}, {10.5, 0, true}}},
		{"we were stopped and the peer is there", []look{{1, 0, false}, {60, 0, false}, {61, 60.5, false}, {66, 65, false}}},
		{"we were stopped and the peer is gone", []look{{1, 0, false}, {60, 0, false}, {64, 0, false}, {66, 0, true}}},
		{"we were late and the peer is slow", []look{{7, 0, false}, {10.5, 0, false}, {11, 10.8, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := watcher{silence: silence, grace: grace, last: start}
			for _, l := range tt.looks {
				if got := w.dead(at(l.now), at(l.heard)); got != l.want {
					t.Errorf("at %v s, heard at %v s: dead = %v", l.now, l.heard, got)
				}
			}
		})
	}
}

func FuzzCall(f *testing.F) {
	f.Add(call{Kind: callOffer, ID: [16]byte{1}, SDP: []byte("v=0")}.encode())
	f.Add(call{Kind: callMe}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCall(data)
		if err == nil && !bytes.Equal(c.encode(), data) {
			t.Errorf("%x came back as %x", data, c.encode())
		}
	})
}

// TestAttemptsTakeTurns makes links one after the other, beside devices that
// never answer.
func TestAttemptsTakeTurns(t *testing.T) {
	m := New(Config{Device: device(t, "ann")})
	m.slots = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running, most := make(chan struct{}, 10), 0
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := m.oneOfFew(ctx, func(context.Context) (*live, error) {
				running <- struct{}{}
				most = max(most, len(running))
				<-running
				return nil, nil
			})
			done <- err
		}()
	}
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most != 1 || len(m.slots) != 0 {
		t.Errorf("%d at once, %d left over", most, len(m.slots))
	}
	m.slots <- struct{}{}
	cancel()
	if _, err := m.oneOfFew(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a slot ended with %v", err)
	}
}
