package mesh

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v3"
)

// The rival: a pion data channel with nothing around it but the flow control
// without which it eats all memory.

// bare is one end of it.
type bare struct {
	*datachannel.DataChannel
	low chan struct{}
}

func (b *bare) send(t testing.TB, msg []byte) {
	for b.BufferedAmount() > 1<<20 {
		<-b.low
	}
	if _, err := b.Write(msg); err != nil {
		t.Fatal(err)
	}
}

func barePair(t testing.TB) (a, z *bare) {
	t.Helper()
	var s webrtc.SettingEngine
	s.DetachDataChannels()
	s.SetIncludeLoopbackCandidate(true)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSCTPMaxReceiveBufferSize(8 << 20)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s))
	ends := make(chan *bare, 2)
	var pcs []*webrtc.PeerConnection
	for range 2 {
		pc, err := api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.GracefulClose() })
		pcs = append(pcs, pc)
		yes, id := true, uint16(0)
		dc, err := pc.CreateDataChannel("bare", &webrtc.DataChannelInit{Negotiated: &yes, ID: &id})
		if err != nil {
			t.Fatal(err)
		}
		dc.OnOpen(func() {
			raw, err := dc.Detach()
			if err != nil {
				t.Error(err)
				return
			}
			b := &bare{raw.(*datachannel.DataChannel), make(chan struct{}, 1)}
			b.SetBufferedAmountLowThreshold(512 << 10)
			b.OnBufferedAmountLow(func() { signal(b.low) })
			ends <- b
		})
	}
	describe := func(pc *webrtc.PeerConnection, make func() (webrtc.SessionDescription, error)) webrtc.SessionDescription {
		d, err := make()
		if err != nil {
			t.Fatal(err)
		}
		complete := webrtc.GatheringCompletePromise(pc)
		if err := pc.SetLocalDescription(d); err != nil {
			t.Fatal(err)
		}
		<-complete
		return *pc.LocalDescription()
	}
	offer := describe(pcs[0], func() (webrtc.SessionDescription, error) { return pcs[0].CreateOffer(nil) })
	if err := pcs[1].SetRemoteDescription(offer); err != nil {
		t.Fatal(err)
	}
	answer := describe(pcs[1], func() (webrtc.SessionDescription, error) { return pcs[1].CreateAnswer(nil) })
	if err := pcs[0].SetRemoteDescription(answer); err != nil {
		t.Fatal(err)
	}
	return <-ends, <-ends
}

func linkPair(b *testing.B) (x, y *Link) {
	b.Helper()
	board := newBoard(b)
	began := make(chan *Link, 2)
	for _, name := range []string{"ann", "zoe"} {
		n := start(b, device(b, name), nil, board.url())
		n.Join([32]byte{1}, hold(began))
	}
	return <-began, <-began
}

// echo answers each small message until the stream ends.
func echo(c io.ReadWriter) {
	buf := make([]byte, 64)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func roundTrips(b *testing.B, c io.ReadWriter) {
	msg := make([]byte, 64)
	for b.Loop() {
		if _, err := c.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, msg); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is 64 bytes there and back.
func BenchmarkRoundTrip(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		x, y := barePair(b)
		go echo(y)
		roundTrips(b, x)
	})
	b.Run("link", func(b *testing.B) {
		x, y := linkPair(b)
		go echo(y.Sync)
		roundTrips(b, x.Sync)
	})
	// A keystroke while a large file is on its way.
	b.Run("link-busy", func(b *testing.B) {
		x, y := linkPair(b)
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, y.Blobs) })
		wg.Go(func() {
			for data := make([]byte, 1<<20); ctx.Err() == nil; {
				if _, err := x.Blobs.Write(data); err != nil {
					return
				}
			}
		})
		go echo(y.Sync)
		roundTrips(b, x.Sync)
		cancel()
		x.Blobs.Close()
		y.Blobs.Close()
		wg.Wait()
	})
}

// BenchmarkBulk is a large file in one direction; MB/s is the figure.
func BenchmarkBulk(b *testing.B) {
	const size = 16 << 20
	for _, msg := range []int{16 << 10, 64<<10 - 1} {
		b.Run(fmt.Sprintf("bare-%dKiB", (msg+1)>>10), func(b *testing.B) {
			x, y := barePair(b)
			b.SetBytes(size)
			got := make(chan bool)
			go func() {
				buf := make([]byte, 64<<10)
				for n := 0; ; {
					c, err := y.Read(buf)
					if err != nil {
						return
					}
					if n += c; n >= size {
						n = 0
						got <- true
					}
				}
			}()
			data := make([]byte, msg)
			for b.Loop() {
				for left := size; left > 0; left -= min(left, msg) {
					x.send(b, data[:min(left, msg)])
				}
				<-got
			}
		})
	}
	b.Run("link", func(b *testing.B) {
		x, y := linkPair(b)
		b.SetBytes(size)
		got := make(chan bool)
		go func() {
			for {
				if _, err := io.CopyN(io.Discard, net.Conn(y.Blobs), size); err != nil {
					return
				}
				got <- true
			}
		}()
		data := make([]byte, 1<<20)
		for b.Loop() {
			for range size / len(data) {
				if _, err := x.Blobs.Write(data); err != nil {
					b.Fatal(err)
				}
			}
			<-got
		}
	})
}

// BenchmarkConnect is from joining a topic to a link on both sides.
func BenchmarkConnect(b *testing.B) {
	board := newBoard(b)
	x, y := start(b, device(b, "ann"), nil, board.url()), start(b, device(b, "zoe"), nil, board.url())
	var topic [32]byte
	for b.Loop() {
		topic[0]++
		began := make(chan *Link, 2)
		l1, l2 := x.Join(topic, hold(began)), y.Join(topic, hold(began))
		<-began
		<-began
		l1()
		l2()
	}
}
