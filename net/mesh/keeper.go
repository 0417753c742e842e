package mesh

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"time"
)

const (
	firstRetry   = 100 * time.Millisecond
	lastRetry    = 10 * time.Second
	firstRefused = 5 * time.Second
	lastRefused  = 5 * time.Minute
	settled      = 10 * time.Second // a link that lived this long was a good one
)

// try is an attempt to make a link.
type try struct {
	cancel context.CancelFunc
	from   route
	link   *live // the result
	err    error
}

// keeper is what run knows from one step to the next.
type keeper struct {
	*peer
	live    *live // the link, nil if there is none
	try     *try  // going on now
	tried   chan *try
	ended   chan *live
	offer   *offer // to be answered when try has ended
	retry   *time.Timer
	at      time.Time // no dialling before
	delay   time.Duration
	refused bool
	replace bool // the peer wants another link than the one we have
	called  bool // the peer has asked for a call that has not begun
}

// run keeps a link to the peer until ctx ends or the peer is gone for good.
func (p *peer) run(ctx context.Context) {
	defer p.swarm.remove(p)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k := &keeper{
		peer: p, delay: firstRetry,
		tried: make(chan *try), ended: make(chan *live), retry: time.NewTimer(0),
	}
	defer k.retry.Stop()
	for {
		select {
		case <-p.wake:
		case <-k.retry.C:
		case t := <-k.tried:
			k.finish(ctx, t)
		case l := <-k.ended:
			k.lose(l)
		case <-ctx.Done():
			k.stop()
			return
		}
		k.step(ctx)
		if k.live == nil && k.try == nil && p.swarm.forget(p) {
			return
		}
	}
}

// stop ends what is going on and waits for it. The context has ended.
func (k *keeper) stop() {
	if k.try != nil {
		if t := <-k.tried; t.link != nil {
			t.link.close()
		}
	}
	if k.live != nil {
		<-k.ended
	}
}

// step starts what there is to do now.
func (k *keeper) step(ctx context.Context) {
	n := k.look()
	if n.fresh || n.urged {
		k.delay, k.refused = firstRetry, false
	}
	if n.urged && !k.dials && k.live == nil && k.try == nil {
		k.askForCall()
	}
	called := n.wanted && !k.refused && k.limit.Allow()
	k.called = k.called || called
	k.replace = k.replace || called && k.live != nil
	if n.fresh || n.urged || called || n.nudged && !k.refused {
		k.at = time.Time{}
	}
	if n.offer != nil && !(k.refused && time.Now().Before(k.at)) && k.limit.Allow() {
		k.offer = n.offer
		if k.try != nil {
			k.try.cancel() // the peer has begun another one
		}
	}
	if k.try != nil {
		if n.fresh && n.route != nil && n.route.instance != k.try.from.instance {
			k.try.cancel() // it was meant for a program that has ended
		}
		return
	}
	switch {
	case k.offer != nil:
		k.begin(ctx, k.offer.from, k.accept(k.offer))
		k.offer = nil
	case !k.dials && k.swarm.seeks && k.live == nil && n.route != nil:
		k.seek()
	case k.swarm.waits && !k.called:
		return
	case !k.dials || n.route == nil || k.live != nil && !k.replace && !stale(n.all, k.live):
		return
	case time.Now().Before(k.at):
		k.retry.Reset(time.Until(k.at))
	default:
		k.called = false
		k.begin(ctx, *n.route, k.dial(*n.route))
	}
}

// seek asks a peer that only waits, and would have to dial, to do so.
func (k *keeper) seek() {
	if !time.Now().Before(k.at) {
		k.askForCall()
		k.later(lastRetry)
	}
	k.retry.Reset(time.Until(k.at))
}

// stale reports that the peer runs, but not as the program at the other end of
// the link.
func stale(routes []route, l *live) bool {
	for _, r := range routes {
		if r.instance == l.from.instance {
			return false
		}
	}
	return len(routes) > 0
}

// begin starts an attempt.
func (k *keeper) begin(ctx context.Context, from route, attempt func(context.Context) (*live, error)) {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	t := &try{cancel: cancel, from: from}
	k.try = t
	if k.live == nil {
		k.setState(Connecting, k.state().Err)
	}
	go func() { // ends before run: stop and finish wait for it
		defer cancel()
		t.link, t.err = k.swarm.mesh.oneOfFew(ctx, attempt)
		k.tried <- t
	}()
}

// oneOfFew makes an attempt when there are few enough others.
func (m *Mesh) oneOfFew(ctx context.Context, attempt func(context.Context) (*live, error)) (*live, error) {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for other attempts to end: %w", ctx.Err())
	}
	defer func() { <-m.slots }()
	return attempt(ctx)
}

// finish takes the result of an attempt.
func (k *keeper) finish(ctx context.Context, t *try) {
	k.try = nil
	if t.err != nil {
		if k.live == nil {
			k.setState(Waiting, t.err)
		}
		k.swarm.mesh.cfg.Log.Debug("no link", "device", k.device, "err", t.err)
		k.later(lastRetry)
		return
	}
	if k.live != nil {
		// The new link works, so the peer has given up the old one.
		k.live.cancel(errReplaced)
		<-k.ended
	}
	k.live, k.replace, k.refused, k.called = t.link, false, false, false
	k.mu.Lock()
	k.info.Identity, k.info.Name = t.link.Peer.Identity, t.link.Peer.Name
	k.mu.Unlock()
	k.setState(Up, nil)
	l := t.link
	l.begin(ctx)
	go func() { // ends before run: stop, finish and lose wait for it
		l.err = l.serve(k.swarm.handler, k.measured)
		k.ended <- l
	}()
}

func (k *keeper) measured(rtt time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.info.RTT = rtt
}

// lose deals with the end of the link.
func (k *keeper) lose(l *live) {
	k.live, k.replace = nil, false
	if time.Since(l.since) > settled {
		k.delay = firstRetry
	}
	k.swarm.mesh.cfg.Log.Debug("link ended", "device", k.device, "err", l.err)
	if errors.Is(l.err, ErrRefused) {
		k.refused = true
		k.delay = max(k.delay, firstRefused)
		k.setState(Refused, l.err)
		k.later(lastRefused)
		return
	}
	k.setState(Waiting, l.err)
	if !k.dials && k.try == nil && errors.Is(l.err, errLost) {
		k.askForCall()
	}
	k.later(lastRetry)
}

// later puts off the next attempt, more each time.
func (k *keeper) later(most time.Duration) {
	k.at = time.Now().Add(k.delay/2 + mrand.N(k.delay))
	k.delay = min(2*k.delay, most)
}
