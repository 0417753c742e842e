package space

import (
	"context"
	"errors"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Batches. A commit that fails (a full disk) is tried again with the same
// entries: they are signed, so others with their numbers must never exist.
const (
	retryAfter   = time.Second
	busyOps      = 16 // changes in a batch from which on commits keep a distance
	busyPause    = 20 * time.Millisecond
	maxUnsettled = 64 << 20 // bytes of texts waiting for a commit, beyond which writers wait
)

// poke wakes the committer. It never blocks.
func (s *Space) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Space) commitLoop(ctx context.Context) error {
	s.poke()
	retry := time.NewTimer(0)
	defer retry.Stop()
	pause := time.NewTimer(busyPause)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.commit()
		case <-s.wake:
		case <-retry.C:
		}
		if s.busy.Load() { // somebody copies many files: more of them fit into one entry
			pause.Reset(busyPause)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
		}
		err := s.commit()
		if err == nil {
			err = s.judge(ctx)
		}
		if err != nil {
			if errors.Is(err, ErrClosed) || ctx.Err() != nil {
				return nil
			}
			s.log.Error("changes cannot be committed; they stay in the journal", "space", s.name, "err", err)
			retry.Reset(retryAfter)
		}
		s.reclaim()
	}
}

// commit writes what is waiting, in one transaction.
func (s *Space) commit() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	b, err := s.take()
	if b == nil || err != nil {
		s.busy.Store(false)
		return err
	}
	s.busy.Store(len(b.recent) >= busyOps)
	err = s.seal(b)
	if err == nil && b.blobs {
		err = s.blobs.Sync()
	}
	if err == nil {
		err = s.db.Update(b.write(s.durableWith(b)))
	}
	s.mu.Lock()
	s.stuck = err
	if err == nil {
		s.settleLocked(b)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	close(b.done)
	s.notify.fire()
	if err := s.journal.Drop(b.segment); err != nil {
		s.log.Warn("the journal keeps what is committed", "space", s.name, "err", err)
	}
	if err := s.journal.Prepare(); err != nil {
		s.log.Debug("the journal makes its next file when it needs it", "space", s.name, "err", err)
	}
	return nil
}

// take moves the batch to the commit, with records of the nodes as they are
// now. It returns nil if there is nothing to do.
func (s *Space) take() (*batch, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.inflight != nil {
		return s.inflight, nil // failed before
	}
	b := s.batch
	if b.empty() {
		return nil, nil
	}
	segment, err := s.journal.Rotate()
	if err != nil {
		return nil, err
	}
	b.segment = segment
	b.records = make(map[tree.NodeID][]byte, len(b.nodes))
	for id := range b.nodes {
		b.records[id] = s.tree.Record(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.local) > 0 {
		delete(s.frontier, b.local[0].feed) // the entry before
		for f, id := range s.frontier {
			if len(b.deps) == feed.MaxDeps {
				break // the others are for the next entry
			}
			b.deps = append(b.deps, id)
			delete(s.frontier, f)
		}
	}
	s.inflight = b
	s.batch = newBatch()
	s.batch.gen = b.gen + 1
	return b, nil
}

// seal makes entries of the local operations of b, once.
func (s *Space) seal(b *batch) error {
	for len(b.local) > 0 {
		id := b.local[0].feed
		ops, rest := pack(b.local)
		s.mu.RLock()
		prev, had := s.heads[id]
		s.mu.RUnlock()
		if n := len(b.sealed); n > 0 && b.sealed[n-1].Feed == id {
			prev, had = b.sealed[n-1], true
		}
		h := feed.Header{
			Space: s.id, Feed: id, Seq: 1, Time: s.now().UnixMilli(),
			First: ops[0].N, Ops: uint64(len(ops)),
		}
		if had {
			h.Seq, h.Prev = prev.Seq+1, prev.ID
		}
		if len(b.sealed) == 0 {
			h.Deps = b.deps
		}
		var ok bool
		if h.Auth, ok = s.authority(); !ok {
			// What the entry before named, or what the feed was opened with,
			// does. It may not cover what the authors of others named, so
			// nothing of theirs is named: each operation says what it needs.
			if h.Auth, h.Deps = prev.Auth, nil; !had {
				h.Auth = []identity.ID{id}
			}
		}
		payload, err := tree.Encode(ops)
		if err != nil {
			return err
		}
		e, err := feed.Seal(s.device, h, s.Key(), payload)
		if err != nil {
			return err
		}
		b.sealed = append(b.sealed, e)
		b.local = rest
	}
	return nil
}

// maxMerges is how many credentials are made at once to merge others.
const maxMerges = 8

// authority returns credentials that cover all others and by which this device
// may write. It is false when there are none: more than an entry can name were
// made at the same time, by an attacker, or the right to write has gone since
// the change was made.
func (s *Space) authority() ([]identity.ID, bool) {
	auth := s.members.Auth()
	for range maxMerges {
		if len(auth) <= feed.MaxAuth {
			break
		}
		// To open a feed is to say that one knows of all of them, and anybody may.
		_, err := s.openFeed(func(*store.Tx, identity.ID) error { return nil })
		if err != nil {
			s.log.Warn("too many credentials at the same time", "space", s.name, "credentials", len(auth), "err", err)
			return nil, false
		}
		auth = s.members.Auth()
	}
	return auth, len(auth) <= feed.MaxAuth && s.members.RoleAt(s.device.Identity(), auth) >= credential.Editor
}

// settleLocked takes note that b is durable.
func (s *Space) settleLocked(b *batch) {
	s.inflight = nil
	s.gone.moment++
	s.over.settled(b)
	for _, e := range b.remote {
		s.durable[e.Feed] = feed.Head{Seq: e.Seq, ID: e.ID}
		delete(s.fresh, e.ID)
	}
	for _, e := range b.sealed {
		s.durable[e.Feed] = feed.Head{Seq: e.Seq, ID: e.ID}
		if !s.members.Stands(credential.Cut{Feed: e.Feed, Seq: e.Seq, ID: e.ID}, e.Auth) {
			s.unjudged.Store(true) // made before this device knew that it may not write any more
		}
		e.Raw = nil
		s.heads[e.Feed] = e
		s.frontier[e.Feed] = e.ID
	}
}

// settledSoon waits, under heavy writing, until the commits have caught up.
// The caller holds no lock.
func (s *Space) settledSoon() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for s.over.bytes > maxUnsettled && s.running && s.stuck == nil && s.inflight != nil {
		done := s.inflight.done
		s.mu.RUnlock()
		select {
		case <-done:
		case <-time.After(retryAfter):
		}
		s.mu.RLock()
	}
}

// Sync returns when everything changed so far survives a power cut.
func (s *Space) Sync(ctx context.Context) error {
	if err := s.blobs.Sync(); err != nil {
		return s.fail("sync", Root, err)
	}
	if err := s.journal.Sync(); err != nil {
		return s.fail("sync", Root, err)
	}
	return nil
}
