package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"
)

const (
	closeLimit = 3 * time.Second // pion's own goroutines get this long to end
	drainPoll  = 2 * time.Millisecond
	restLimit  = time.Second // for streams to take over what has arrived, when one has ended
)

// Errors of a connection that has ended.
var (
	ErrLost     = errors.New("connection lost")
	errProtocol = errors.New("the other side broke the stream protocol")
)

// A Peer is one connection.
type Peer struct {
	pc    *webrtc.PeerConnection
	log   *slog.Logger
	start time.Time
	ready chan struct{} // closed when all streams are open
	done  chan struct{} // closed by fail
	pumps sync.WaitGroup
	heard atomic.Int64 // nanoseconds after start of the last message

	closing sync.Once
	closed  chan struct{} // closed when Close has done its work

	mu      sync.Mutex // guards the fields below
	err     error      // why done is closed
	streams map[string]*stream
	flowing int // streams whose pump has not ended
}

func newPeer(pc *webrtc.PeerConnection, log *slog.Logger) (*Peer, error) {
	p := &Peer{
		pc: pc, log: log, start: time.Now(),
		ready: make(chan struct{}), done: make(chan struct{}), closed: make(chan struct{}),
		streams: map[string]*stream{},
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			p.fail(ErrLost)
		}
	})
	pc.OnDataChannel(func(*webrtc.DataChannel) { p.fail(fmt.Errorf("%w: opened a channel", errProtocol)) })
	negotiated := true
	for i, name := range names() {
		id := uint16(i)
		dc, err := pc.CreateDataChannel(name, &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id})
		if err != nil {
			return nil, fmt.Errorf("opening stream %s: %w", name, err)
		}
		dc.OnOpen(func() { p.opened(name, dc) })
	}
	return p, nil
}

// opened starts the stream of a channel that is up.
func (p *Peer) opened(name string, dc *webrtc.DataChannel) {
	raw, err := dc.Detach()
	if err != nil {
		p.fail(fmt.Errorf("opening stream %s: %w", name, err))
		return
	}
	ch, ok := raw.(channel)
	if !ok {
		p.fail(fmt.Errorf("opening stream %s: the channel has no flow control", name))
		return
	}
	s := newStream(name, ch, p.hear)
	p.mu.Lock()
	if p.err != nil || p.streams[name] != nil {
		p.mu.Unlock()
		return
	}
	p.streams[name] = s
	complete := len(p.streams) == len(names())
	p.flowing++
	p.pumps.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.pumps.Done()
		p.dry(s, s.pump())
	}()
	if complete {
		close(p.ready)
	}
}

// dry ends a stream on which nothing more comes. When a connection is lost, that
// is all of them, but each still has to take over what had arrived on it: the one
// that is through first must not cut off the others.
func (p *Peer) dry(s *stream, err error) {
	if !errors.Is(err, ErrLost) {
		p.fail(err)
		return
	}
	s.end(err)
	p.mu.Lock()
	p.flowing--
	last := p.flowing == 0
	p.mu.Unlock()
	if last {
		p.fail(err)
		return
	}
	time.AfterFunc(restLimit, func() { p.fail(err) })
}

func (p *Peer) hear() { p.heard.Store(int64(time.Since(p.start))) }

// Heard is when the last message of the other side arrived on any stream, or
// when the connection was begun.
func (p *Peer) Heard() time.Time { return p.start.Add(time.Duration(p.heard.Load())) }

// Tune tells the streams the shortest round trip seen on the path, so that they
// queue as little as keeps it full.
func (p *Peer) Tune(rtt time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		s.tune(rtt)
	}
}

// Accept completes a connection that Offer began.
func (p *Peer) Accept(answer []byte) error {
	return setRemote(p.pc, webrtc.SDPTypeAnswer, answer)
}

// Stream returns the stream of that name, once the connection is up. The
// stream lives as long as the Peer: closing it only ends its use here.
func (p *Peer) Stream(ctx context.Context, name string) (net.Conn, error) {
	select {
	case <-p.ready:
	case <-p.done:
		return nil, p.Err()
	case <-ctx.Done():
		return nil, fmt.Errorf("connecting: %w", ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streams[name]
	if s == nil {
		return nil, fmt.Errorf("no stream is called %q", name)
	}
	return s, nil
}

// Done is closed when the connection has ended, by whichever side or reason.
// What has arrived before can still be read; Close must still be called.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Err says why Done is closed; nil while it is not.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Abort ends the connection for its users, with err, without freeing it. It
// does not block.
func (p *Peer) Abort(err error) { p.fail(err) }

// fail ends the connection for its users; only Close frees it. The first
// error stays.
func (p *Peer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	for _, s := range p.streams {
		s.end(err)
	}
	close(p.done)
}

// Drain waits until the other side's machine has what was written so far, the
// connection ends, or ctx does.
func (p *Peer) Drain(ctx context.Context) {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for p.buffered() > 0 {
		select {
		case <-tick.C:
		case <-p.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *Peer) buffered() (n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		n += s.ch.BufferedAmount()
	}
	return n
}

// Close ends the connection at once and frees what it used. It takes at most
// a few seconds and may be called again.
func (p *Peer) Close() error {
	p.closing.Do(func() {
		p.fail(net.ErrClosed)
		go func() {
			defer close(p.closed)
			if err := p.pc.GracefulClose(); err != nil {
				p.log.Debug("closing a connection", "err", err)
			}
			p.pumps.Wait()
		}()
	})
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-p.closed:
		return nil
	case <-limit.C:
		return errors.New("connection is slow to close; it goes on in the background")
	}
}
