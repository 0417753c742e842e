package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// proofTime is how long a peer may take to show that it knows the space.
const proofTime = 30 * time.Second

// maxUnproved is how many links may be waiting for that at once: whoever knows
// the topic can come as any number of devices.
const maxUnproved = 64

// errCrowd is why a link is closed at once. The mesh tries again later.
var errCrowd = errors.New("too many peers are at the door")

// link is one connection to a peer.
type link struct {
	r     *Replicator
	id    int // the fetcher's number
	peer  identity.Profile
	mesh  *mesh.Link
	sync  *wire.Conn
	blobs *wire.Conn

	heard    chan struct{}   // closed when the peer sends nothing more and all is acted on
	chunks   chan wire.Frame // capacity 1: chunks that have come and are not stored
	next     *reading        // the chunk to send next; of writeBlobs
	inbox    chan input      // from the reader to the acceptor; bounds what waits in memory
	wake     chan struct{}   // capacity 1: out has grown
	wakeBlob chan struct{}   // capacity 1: something for the Blobs stream
	tell     chan struct{}   // capacity 1: this device may have something to tell of itself

	entered func()      // gives the place at the door back
	lineage uint64      // of the space when the link began
	dropped atomic.Bool // there was no room for some of the peer's credentials

	look sync.Mutex // held while the space is looked at, so that looks do not overtake each other

	mu      sync.Mutex // guards the fields below
	session *session
	out     []output               // for the writer
	seeks   map[identity.ID]*seek  // feeds of which the peer has another branch
	doubts  map[identity.ID]uint64 // the peer named an entry that was here already: it may be another one
	settled map[identity.ID]bool   // these were looked at since the last tick
	stubs   int                    // that it asked for and was not sent
	wants   []chunkID              // the peer asked for these
	asked   map[chunkID]bool       // the peer asked for these in vain
	offers  []chunkID              // and of those we have these now

	telling   bool      // a sendPresence is in out
	peerIs    Presence  // what the peer has said of itself; no Since: nothing
	allowance allowance // of presences
}

// Link serves one peer until the link or ctx ends.
func (r *Replicator) Link(ctx context.Context, ml *mesh.Link) error {
	select {
	case r.door <- struct{}{}:
	default:
		return errCrowd
	}
	entered := sync.OnceFunc(func() { <-r.door })
	defer entered()
	l := &link{
		entered:  entered,
		r:        r,
		peer:     ml.Peer,
		mesh:     ml,
		sync:     wire.NewConn(ml.Sync, syncLimits),
		blobs:    wire.NewConn(ml.Blobs, blobLimits),
		heard:    make(chan struct{}),
		chunks:   make(chan wire.Frame, 1),
		inbox:    make(chan input, 16),
		wake:     make(chan struct{}, 1),
		wakeBlob: make(chan struct{}, 1),
		tell:     make(chan struct{}, 1),
		session:  openSession(r.space, ml),
		asked:    make(map[chunkID]bool),
		lineage:  r.space.Lineage(),
		seeks:    make(map[identity.ID]*seek),
		doubts:   make(map[identity.ID]uint64),
		settled:  make(map[identity.ID]bool),
	}
	if _, err := l.step(started{}); err != nil {
		return err
	}
	r.attach(l)
	defer r.detach(l)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, part := range []func(context.Context) error{l.readSync, l.acceptAll, l.watch, l.tellPresence} {
		all.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err)
			}
		})
	}
	for _, part := range []func(context.Context) error{l.writeSync, l.readBlobs, l.storeChunks, l.writeBlobs} {
		all.Go(func() {
			err := part(ctx)
			if err == nil {
				return
			}
			if !errors.Is(err, errRemoved) && !errors.Is(err, errProtocol) {
				l.listen(ctx) // the peer may have said why
			}
			cancel(err)
		})
	}
	<-ctx.Done() // a part has failed, or the caller is done
	_ = ml.Sync.Close()
	_ = ml.Blobs.Close()
	all.Wait()
	return l.verdict(context.Cause(ctx))
}

// verdict tells the mesh whether trying again soon makes sense.
func (l *link) verdict(err error) error {
	var w *wire.Error
	switch {
	case errors.Is(err, errRemoved):
		l.r.log.Info("peer is no member any more", "space", l.r.space.Name(), "device", l.peer.Device, "name", l.peer.Name)
		return fmt.Errorf("%w: %w", mesh.ErrRefused, err)
	case errors.Is(err, errStranger), errors.Is(err, errProtocol), errors.As(err, &w) && w.Op != "write" && isGarbage(err):
		l.r.log.Warn("peer dropped", "space", l.r.space.Name(), "device", l.peer.Device, "name", l.peer.Name, "err", err)
		return fmt.Errorf("%w: %w", mesh.ErrRefused, err)
	}
	return err
}

func isGarbage(err error) bool {
	return errors.Is(err, wire.ErrVersion) || errors.Is(err, wire.ErrType) ||
		errors.Is(err, wire.ErrTooLarge) || errors.Is(err, wire.ErrBody)
}

// step feeds the session and sorts its outputs: what is to be sent goes to the
// writer, the rest is the caller's to do.
func (l *link) step(in input) (todo []output, err error) {
	l.mu.Lock()
	outs, err := l.session.step(in)
	for _, o := range outs {
		switch o.(type) {
		case accept, addCreds, look, begun, offered, served, addKeys, addForks, compare, seen:
			todo = append(todo, o)
		case sendStub:
			if l.stubs++; l.stubs > maxStubs {
				err = errProtocol
			}
			l.out = append(l.out, o)
		default:
			l.out = append(l.out, o)
		}
	}
	proved := l.session.proved
	l.mu.Unlock()
	if proved {
		l.entered()
	}
	poke(l.wake)
	return todo, err
}

// lookAtSpace tells the session how the space is now.
func (l *link) lookAtSpace() error {
	l.look.Lock()
	defer l.look.Unlock()
	s := l.r.space
	in := changed{member: s.Member(l.peer.Device)}
	if !in.member {
		in.farewell, in.barred = s.Farewell(l.peer.Device)
		in.key = s.Key().ID()
	}
	in.ring, in.forks = s.Keyring().Keys(), s.Forks()
	if l.untold() {
		in.have = s.Timeframe().Part() // before the credentials, so that those of its authors are among them
	}
	in.creds, in.rev = l.r.credentials()
	todo, err := l.step(in)
	for _, o := range todo {
		if b, ok := o.(begun); ok {
			l.begun(b)
		}
	}
	poke(l.wakeBlob)
	return err
}

// watch looks at the space whenever it has changed.
func (l *link) watch(ctx context.Context) error {
	changes, cancel := l.r.space.Notify()
	defer cancel()
	stall := time.NewTicker(stallTime)
	defer stall.Stop()
	for tick := 0; ; {
		if l.r.space.Lineage() != l.lineage {
			l.r.relined()
			return errLineage
		}
		if err := l.lookAtSpace(); err != nil {
			return err
		}
		l.pull()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stall.C:
			l.r.tick()
			l.doubtAgain()
			if tick++; tick&(tick-1) == 0 && l.dropped.Swap(false) {
				if _, err := l.step(again{}); err != nil {
					return err
				}
			}
			continue
		case <-changes:
		}
		l.r.chunksMayMiss()
		l.r.reached()
	}
}

// untold reports whether the peer has not heard what we have.
func (l *link) untold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session.said == nil
}

// isOpen reports whether entries and chunks may pass.
func (l *link) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session.open()
}

// poke leaves a token in a channel of capacity 1.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}
