package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/echofs/echofs/net/rtc"
	"github.com/echofs/echofs/net/wire"
)

const (
	pingFrame = wire.Type(1) // 8 bytes that the pong repeats
	pongFrame = wire.Type(2)

	drainLimit = 3 * time.Second // for what a handler wrote last
	lastWords  = time.Second     // for a handler to read what came before the end
)

// Why a link ended.
var (
	errLost     = errors.New("the connection was lost")
	errSilent   = fmt.Errorf("%w: the peer has been silent for too long", errLost)
	errReplaced = errors.New("replaced by a newer link")
	errReturned = errors.New("the handler is done")
)

// live is a link and the connection under it.
//
// Heartbeats travel on the control stream, so handlers need not know of them.
// Anything that arrives on any stream counts as a sign of life. They say only
// that the path works, so they need no authentication: who could forge one
// could as well pass the real one on.
type live struct {
	Link
	conn    *rtc.Peer
	control net.Conn
	from    route
	mesh    *Mesh

	ctx    context.Context // of the handler; set by begin
	cancel context.CancelCauseFunc
	since  time.Time
	err    error // set before the link is reported as ended
}

// begin must be called before serve.
func (l *live) begin(ctx context.Context) {
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.since = time.Now()
}

// close frees a link that is not served.
func (l *live) close() {
	if err := l.conn.Close(); err != nil {
		l.mesh.cfg.Log.Warn("closing a link", "err", err)
	}
}

// serve runs the handler and everything that watches over the link, until all
// of it has ended. It returns why.
func (l *live) serve(h Handler, rtt func(time.Duration)) error {
	defer l.cancel(nil)
	returned := make(chan error, 1)
	go func() { returned <- h.Link(l.ctx, &l.Link) }() // received below, always
	watching, stop := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	frames := wire.NewConn(l.control, wire.Limits{pingFrame: 8, pongFrame: 8})
	wg.Go(func() { l.beat(watching, frames) })
	wg.Go(func() { l.listen(frames, rtt) })
	wg.Go(func() { l.watch(watching) })
	defer wg.Wait()
	defer stop()
	defer l.close()
	select {
	case err := <-returned:
		l.finish()
		if l.conn.Err() != nil && !errors.Is(err, ErrRefused) {
			return errors.Join(errLost, err)
		}
		return err
	case <-l.conn.Done():
		return l.abandon(returned, errLost)
	case <-l.ctx.Done():
		cause := context.Cause(l.ctx)
		l.close()
		return l.abandon(returned, cause)
	}
}

// finish lets the peer have what the handler wrote last.
func (l *live) finish() {
	ctx, cancel := context.WithTimeout(l.ctx, drainLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.conn.Abort(errReturned) })
	defer stop()
	for _, c := range []net.Conn{l.Sync, l.Blobs} {
		if t, ok := c.(interface{ CloseWrite() error }); ok {
			_ = t.CloseWrite() // the stream may have ended already
		}
	}
	l.conn.Drain(ctx)
}

// abandon waits for the handler of a link that has ended.
func (l *live) abandon(returned <-chan error, cause error) error {
	grace := time.NewTimer(lastWords)
	defer grace.Stop()
	select {
	case err := <-returned:
		return l.verdict(cause, err)
	case <-grace.C:
	case <-l.ctx.Done():
	}
	l.cancel(cause)
	return l.verdict(cause, <-returned)
}

// verdict is why the link ended: a handler that refused outweighs that the
// other side hung up on it at the same time.
func (l *live) verdict(cause, handler error) error {
	if errors.Is(handler, ErrRefused) {
		return handler
	}
	if cause == errLost && handler != nil {
		return fmt.Errorf("%w: %w", cause, handler)
	}
	return cause
}

// beat sends a sign of life now and then.
func (l *live) beat(ctx context.Context, frames *wire.Conn) {
	tick := time.NewTicker(l.mesh.cfg.Heartbeat)
	defer tick.Stop()
	for {
		at := uint64(time.Since(l.since))
		if frames.WriteFrame(pingFrame, binary.BigEndian.AppendUint64(nil, at)) != nil {
			return // the connection has ended
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// listen answers the peer's signs of life and times the answers to ours.
func (l *live) listen(frames *wire.Conn, rtt func(time.Duration)) {
	shortest := time.Hour
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			var bad *wire.Error
			if errors.As(err, &bad) {
				l.cancel(err)
			}
			return
		}
		switch {
		case f.Type == pingFrame:
			if frames.WriteFrame(pongFrame, f.Body) != nil {
				return
			}
		case len(f.Body) == 8:
			sent := time.Duration(binary.BigEndian.Uint64(f.Body))
			if now := time.Since(l.since); sent > 0 && sent <= now {
				rtt(now - sent)
				if now-sent < shortest {
					shortest = now - sent
					l.conn.Tune(shortest)
				}
			}
		}
	}
}

// watch gives the link up when the peer is silent.
func (l *live) watch(ctx context.Context) {
	tick := time.NewTicker(l.mesh.cfg.Heartbeat / 2)
	defer tick.Stop()
	w := watcher{silence: l.mesh.cfg.Silence, grace: 2 * l.mesh.cfg.Heartbeat, last: time.Now()}
	for {
		select {
		case now := <-tick.C:
			if w.dead(now, l.conn.Heard()) {
				l.cancel(errSilent)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// watcher decides when a peer is dead. A process that did not run itself, or a
// machine that slept, must not blame the peer before it has had the time to
// hear from it; and having slept, it must hear from it.
type watcher struct {
	silence time.Duration
	grace   time.Duration
	last    time.Time // of the previous look
	until   time.Time // no verdict before
	woke    time.Time // after a sleep that the peer cannot have waited for
}

func (w *watcher) dead(now, heard time.Time) bool {
	// The monotonic clock stands still while a machine sleeps, the other does not.
	away := max(now.Sub(w.last), now.Round(0).Sub(w.last.Round(0)))
	w.last = now
	if away > w.silence/2 {
		w.until = now.Add(w.grace)
	}
	if away > w.silence {
		w.woke = now
	}
	silent := now.Sub(heard) > w.silence || heard.Before(w.woke)
	return silent && now.After(w.until)
}
