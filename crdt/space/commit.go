package space

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
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

// A batch is what one commit writes.
type batch struct {
	remote  []feed.Entry // in the order they were applied
	local   []localOps   // changes of this device that are not in an entry yet
	recent  []localOps   // the same, kept until the commit
	deps    []identity.ID
	nodes   map[tree.NodeID]bool
	records map[tree.NodeID][]byte // of nodes, taken with the batch
	texts   map[string]stored
	docs    map[string]stored
	traces  []trace
	blobs   bool          // some local content is a blob
	done    chan struct{} // closed when durable
	gen     uint64
	sealed  []feed.Entry // made of local
	segment uint64       // last one of the journal that this batch covers
}

// localOps is one change of this device: operations that travel together.
type localOps struct {
	feed identity.ID
	ops  []tree.Op
}

func newBatch() *batch {
	return &batch{
		nodes: make(map[tree.NodeID]bool),
		texts: make(map[string]stored),
		docs:  make(map[string]stored),
		done:  make(chan struct{}),
	}
}

func (b *batch) add(l localOps) {
	b.local = append(b.local, l)
	b.recent = append(b.recent, l)
}

func (b *batch) empty() bool { return len(b.remote) == 0 && len(b.local) == 0 && len(b.docs) == 0 }

// stored is a value to be, or that has been, written to the store.
type stored struct {
	data []byte
	gone bool
	gen  uint64 // of the batch that writes it
}

// overlay holds what is newer than the store. The caller holds mu.
type overlay struct {
	texts map[string]stored
	docs  map[string]stored
	bytes int
}

func newOverlay() overlay {
	return overlay{texts: make(map[string]stored), docs: make(map[string]stored)}
}

func (s *Space) putText(key string, v stored) {
	v.gen = s.batch.gen
	s.over.bytes += len(v.data) - len(s.over.texts[key].data)
	s.over.texts[key] = v
	s.batch.texts[key] = v
}

func (s *Space) putDoc(key string, v stored) {
	v.gen = s.batch.gen
	s.over.bytes += len(v.data) - len(s.over.docs[key].data)
	s.over.docs[key] = v
	s.batch.docs[key] = v
}

// settled drops from the overlay what the store now holds.
func (o *overlay) settled(b *batch) {
	drop := func(over map[string]stored, written map[string]stored) {
		for key := range written {
			if v := over[key]; v.gen <= b.gen {
				o.bytes -= len(v.data)
				delete(over, key)
			}
		}
	}
	drop(o.texts, b.texts)
	drop(o.docs, b.docs)
}

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
		if err := s.commit(); err != nil {
			if errors.Is(err, ErrClosed) {
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
		e, err := feed.Seal(s.device, h, s.key, payload)
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

// pack takes from the front as many whole changes as fit into one entry.
func pack(local []localOps) (ops []tree.Op, rest []localOps) {
	size := 0
	for i, l := range local {
		for _, op := range l.ops {
			size += weigh(&op)
		}
		if i > 0 && (l.feed != local[0].feed || len(ops)+len(l.ops) > feed.MaxOps || size > feed.MaxPayload) {
			return ops, local[i:]
		}
		ops = append(ops, l.ops...)
	}
	return ops, nil
}

// weigh returns no less than op takes in a payload.
func weigh(op *tree.Op) int {
	n := 256 + 48*len(op.Named())
	if op.Place != nil {
		n += len(op.Place.Name)
	}
	if op.Content != nil {
		n += len(op.Content.Data)
	}
	if op.Edit != nil {
		n += len(op.Edit.Change)
	}
	return n
}

// durableWith returns the timeframe after b.
func (s *Space) durableWith(b *batch) feed.Timeframe {
	s.mu.RLock()
	t := maps.Clone(s.durable)
	s.mu.RUnlock()
	for _, e := range slices.Concat(b.remote, b.sealed) {
		t[e.Feed] = feed.Head{Seq: e.Seq, ID: e.ID}
	}
	return t
}

func (b *batch) write(heads feed.Timeframe) func(tx *store.Tx) error {
	return func(tx *store.Tx) error {
		for _, e := range slices.Concat(b.remote, b.sealed) {
			if _, err := tx.PutEntry(e.Feed, e.Seq, e.Raw); err != nil {
				return err
			}
			if err := tx.PutMeta(metaEntry+string(e.ID[:]), binary.BigEndian.AppendUint64(e.Feed[:], e.Seq)); err != nil {
				return err
			}
		}
		if err := b.writeState(tx); err != nil {
			return err
		}
		return putHeads(tx, heads)
	}
}

// putHeads stores a timeframe, in parts if it names more feeds than one can.
func putHeads(tx *store.Tx, heads feed.Timeframe) error {
	feeds := slices.SortedFunc(maps.Keys(heads), identity.ID.Compare)
	for part := 0; part == 0 || len(feeds) > 0; part++ {
		t := make(feed.Timeframe)
		for _, f := range feeds[:min(len(feeds), feed.MaxFeeds)] {
			t[f] = heads[f]
		}
		feeds = feeds[len(t):]
		data, err := t.Encode()
		if err != nil {
			return err
		}
		if err := tx.PutMeta(headsPart(part), data); err != nil {
			return err
		}
	}
	return nil
}

func headsPart(i int) string {
	if i == 0 {
		return metaHeads
	}
	return metaHeads + "/" + strconv.Itoa(i)
}

// getHeads reads what putHeads stored.
func getHeads(tx *store.Tx) (feed.Timeframe, error) {
	heads := make(feed.Timeframe)
	for part := 0; ; part++ {
		data, err := tx.Meta(headsPart(part))
		if errors.Is(err, store.ErrNotFound) {
			return heads, nil
		}
		if err != nil {
			return nil, err
		}
		t, err := feed.DecodeTimeframe(data)
		if err != nil {
			return nil, err
		}
		maps.Copy(heads, t)
	}
}

// writeState writes what follows from the entries.
func (b *batch) writeState(tx *store.Tx) error {
	for _, id := range slices.SortedFunc(maps.Keys(b.records), tree.NodeID.Compare) {
		if err := tx.PutNode(id, b.records[id]); err != nil {
			return err
		}
	}
	if err := b.writeTraces(tx); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(b.texts)) {
		if err := put(b.texts[key], []byte(key), tx.PutText, tx.DeleteText); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.docs)) {
		if err := put(b.docs[key], []byte(key), tx.PutDoc, tx.DeleteDoc); err != nil {
			return err
		}
	}
	return nil
}

func put(v stored, key []byte, set func(key, value []byte) error, del func(key []byte) error) error {
	if v.gone {
		return del(key)
	}
	return set(key, v.data)
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
