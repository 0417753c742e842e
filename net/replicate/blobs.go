package replicate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/echofs/echofs/net/wire"
)

const (
	maxQueued   = 1024    // chunks a peer may have asked for and not yet got
	maxInVain   = 1 << 14 // chunks remembered that a peer asked for in vain
	missingPage = 1024    // missing chunks looked for at once
	urgentPage  = 8       // and those that are fetched before all others
)

// attach makes the link known to the fetcher.
func (r *Replicator) attach(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	l.id = r.last
	r.links[l.id] = l
	r.fetch.up(l.id)
	r.puller.up(l.id, l.peer.Device)
	r.stale = true
}

// detach takes the link away; others are asked for what it owed.
func (r *Replicator) detach(l *link) {
	r.mu.Lock()
	delete(r.links, l.id)
	r.fetch.down(l.id)
	r.puller.down(l.id)
	r.mu.Unlock()
	r.pullAll()
	r.wakeAll()
}

// wakeAll lets every link see whether there is something to ask for.
func (r *Replicator) wakeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.links {
		poke(l.wakeBlob)
	}
}

// chunksMayMiss notes that the space has changed.
func (r *Replicator) chunksMayMiss() {
	r.mu.Lock()
	r.stale, r.urgent = true, true
	r.mu.Unlock()
}

// ask returns the chunks to ask of a link now.
func (r *Replicator) ask(l *link) []chunkID {
	r.mu.Lock()
	urgent := r.urgent
	r.urgent = false
	r.mu.Unlock()
	if urgent {
		r.learn(urgentPage, r.fetch.first)
	}
	r.mu.Lock()
	out := r.fetch.ask(l.id)
	look := r.stale && r.fetch.idle(l.id)
	left := r.fetch.left()
	if look {
		r.stale = false
	}
	r.mu.Unlock()
	if !look {
		return out
	}
	r.learn(left+missingPage, func(missing []chunkID) {
		if len(missing) < left+missingPage { // these are all
			r.fetch.only(missing)
		}
		if r.fetch.add(missing) == 0 {
			return
		}
		for _, other := range r.links {
			poke(other.wakeBlob)
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(out, r.fetch.ask(l.id)...)
}

// learn tells the fetcher what is missing. note is called with the lock held.
func (r *Replicator) learn(most int, note func([]chunkID)) {
	r.mu.Lock()
	stored := r.stored
	r.mu.Unlock()
	missing := r.space.MissingChunks(most)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stored != stored { // some of them may have come meanwhile
		missing = slices.DeleteFunc(missing, r.space.HasChunk)
	}
	note(missing)
}

// arrived stores a chunk of a peer and tells those that wanted it.
func (r *Replicator) arrived(l *link, h chunkID, data []byte) error {
	r.mu.Lock()
	ok := r.fetch.got(l.id, h)
	r.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: a chunk nobody asked for", errProtocol)
	}
	if err := r.space.PutChunk(h, data); err != nil { // which has verified it
		r.mu.Lock()
		r.fetch.failed(h)
		r.mu.Unlock()
		if sha256.Sum256(data) != h {
			return fmt.Errorf("%w: wrong bytes for a chunk", errProtocol)
		}
		return fmt.Errorf("chunk of a peer: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetch.stored(h)
	r.stored++
	r.stale = true // it may have been a list of chunks
	for _, other := range r.links {
		other.offer(h)
		poke(other.wakeBlob)
	}
	return nil
}

// offer notes that there is something the peer asked for in vain.
func (l *link) offer(h chunkID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked[h] {
		delete(l.asked, h)
		l.offers = append(l.offers, h)
	}
}

// readBlobs takes what the peer sends on the Blobs stream.
func (l *link) readBlobs(ctx context.Context) error {
	for {
		f, err := l.blobs.ReadFrame()
		if err != nil {
			return fmt.Errorf("reading chunks from peer: %w", err)
		}
		if f.Type == frameChunk {
			select {
			case l.chunks <- f:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if err := l.gotBlobFrame(f); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// storeChunks stores chunks while the next ones are on their way. Those that are
// left when the link ends count as asked for and not answered.
func (l *link) storeChunks(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-l.chunks:
			if len(f.Body) < len(chunkID{}) {
				return fmt.Errorf("%w: short chunk", errProtocol)
			}
			if err := l.r.arrived(l, chunkID(f.Body), f.Body[len(chunkID{}):]); err != nil {
				return err
			}
			l.blobs.Reuse(f)
		}
	}
}

func (l *link) gotBlobFrame(f wire.Frame) error {
	var m want
	if err := f.Decode(&m); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	defer poke(l.wakeBlob)
	switch f.Type {
	case frameWant:
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.wants)+len(m.Hashes) > maxQueued {
			return fmt.Errorf("%w: too many chunks asked for", errProtocol)
		}
		l.wants = append(l.wants, m.Hashes...)
		return nil
	case frameNone:
		l.r.mu.Lock()
		for _, h := range m.Hashes {
			if !l.r.fetch.none(l.id, h) {
				l.r.mu.Unlock()
				return fmt.Errorf("%w: an answer to a question nobody asked", errProtocol)
			}
		}
		l.r.mu.Unlock()
		l.r.wakeAll()
		return nil
	case frameOffer:
		l.r.mu.Lock()
		defer l.r.mu.Unlock()
		for _, h := range m.Hashes {
			l.r.fetch.offered(l.id, h)
		}
		return nil
	}
	return fmt.Errorf("%w: frame %d", errProtocol, f.Type)
}

// writeBlobs is the only writer of the Blobs stream: questions first, then one
// answer at a time. Before the peer has shown that it is a member it hears
// nothing, but what it asks for meanwhile waits for that.
func (l *link) writeBlobs(ctx context.Context) error {
	defer func() {
		if l.next != nil {
			<-l.next.done
		}
	}()
	for {
		busy, err := l.writeBlob()
		if err != nil {
			return err
		}
		if busy {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wakeBlob:
		}
	}
}

func (l *link) writeBlob() (busy bool, err error) {
	if !l.isOpen() {
		return false, nil
	}
	for asks := l.r.ask(l); len(asks) > 0; {
		n := min(len(asks), maxWants)
		if err := l.blobs.Send(frameWant, want{asks[:n]}); err != nil {
			return false, err
		}
		asks = asks[n:]
	}
	l.mu.Lock()
	offers := l.offers[:min(len(l.offers), maxWants)]
	l.offers = l.offers[len(offers):]
	wants := l.wants[:min(len(l.wants), 1)]
	l.wants = l.wants[len(wants):]
	soon := l.wants[:min(len(l.wants), 1)]
	l.mu.Unlock()
	if len(offers) > 0 {
		if err := l.blobs.Send(frameOffer, want{offers}); err != nil {
			return false, err
		}
	}
	for _, h := range wants {
		if err := l.serve(h, soon); err != nil {
			return false, err
		}
	}
	return len(offers)+len(wants) > 0, nil
}

// reading is a chunk that is being read from the disk while the one before it is
// sent.
type reading struct {
	hash chunkID
	done chan struct{} // closed when what is below is set
	data []byte
	ok   bool
}

// serve answers a question for one chunk, and begins to read the one to send
// after it.
func (l *link) serve(h chunkID, soon []chunkID) error {
	var data []byte
	var ok bool
	if n := l.next; n != nil {
		<-n.done
		if l.next = nil; n.hash == h {
			data, ok = n.data, n.ok
		}
	}
	if !ok {
		data, ok = l.chunk(h)
	}
	for _, h := range soon {
		n := &reading{hash: h, done: make(chan struct{})}
		l.next = n
		go func() {
			defer close(n.done)
			n.data, n.ok = l.chunk(n.hash)
		}()
	}
	if !ok {
		l.mu.Lock()
		if len(l.asked) < maxInVain {
			l.asked[h] = true
		}
		l.mu.Unlock()
		if data, ok = l.chunk(h); !ok { // it did not arrive just now either
			return l.blobs.Send(frameNone, want{[]chunkID{h}})
		}
	}
	return l.blobs.WriteLarge(frameChunk, h[:], data)
}

func (l *link) chunk(h chunkID) ([]byte, bool) {
	if !l.r.space.HasChunk(h) {
		return nil, false
	}
	data, err := l.r.space.Chunk(h)
	if err != nil || len(data) > maxChunk {
		l.r.log.Warn("chunk cannot be read", "space", l.r.space.Name(), "err", err)
		return nil, false
	}
	return data, true
}
