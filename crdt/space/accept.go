package space

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// Accept takes entries of peers and returns when they are durable. Entries that
// build on what is not here wait in memory and are not reported; one that is
// refused is named in the error, a join of *Refused, and keeps nothing else out.
// On a disk that is nearly full it takes nothing: ErrNoRoom.
func (s *Space) Accept(ctx context.Context, raw [][]byte) error {
	if err := s.room(); err != nil {
		return err
	}
	var refused []error
	entries := make([]feed.Entry, 0, len(raw))
	for _, r := range raw {
		e, err := feed.Decode(r)
		if err != nil {
			refused = append(refused, &Refused{Reason: err.Error()})
			continue
		}
		entries = append(entries, e)
	}
	var last *batch
	for i := range entries {
		b, err := s.acceptOne(&entries[i])
		if b != nil {
			last = b
		}
		if err != nil {
			refused = append(refused, err...)
		}
		s.settledSoon()
	}
	if last != nil {
		if err := s.durably(ctx, last); err != nil {
			refused = append(refused, err)
		}
	}
	return errors.Join(refused...)
}

// durably waits until b is committed, or cannot be for now.
func (s *Space) durably(ctx context.Context, b *batch) error {
	for {
		look := time.NewTimer(2 * retryAfter)
		select {
		case <-b.done:
			look.Stop()
			return nil
		case <-ctx.Done():
			look.Stop()
			return ctx.Err()
		case <-look.C:
		}
		s.mu.RLock()
		err, closed := s.stuck, s.closed
		s.mu.RUnlock()
		if closed {
			return ErrClosed
		}
		if err != nil {
			return fmt.Errorf("entries cannot be committed: %w", err)
		}
	}
}

// acceptOne takes one entry and those that waited for it. It returns the batch
// they are in, or nil.
func (s *Space) acceptOne(e *feed.Entry) (*batch, []error) {
	u := s.unpack(e)
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil, []error{ErrClosed}
	}
	var refused []error
	took, err := s.takeEntry(e, u)
	if err != nil {
		refused = append(refused, err)
	}
	if !took {
		return nil, refused
	}
	refused = append(refused, s.retryWaiting()...)
	s.docs.trim()
	s.poke()
	return s.batch, refused
}

// takeEntry vets one entry and applies it. It reports whether it was applied.
func (s *Space) takeEntry(e *feed.Entry, u *unpacked) (bool, error) {
	var lacks errWait
	ops, edits, err := s.vet(e, u)
	switch {
	case errors.As(err, &lacks):
		var author identity.ID // known when the signature is good
		if owner, ok := s.members.Feed(e.Feed); ok {
			author = owner.Identity
		}
		s.wait.add(*e, lacks.want, author)
		return false, nil
	case errors.Is(err, errKnown):
		return false, nil
	case errors.Is(err, errDead):
		return s.takeDead(e, ops)
	case errors.As(err, new(errParted)):
		return false, &Refused{Feed: e.Feed, Seq: e.Seq, Reason: err.Error(), Parted: true}
	case errors.As(err, new(hereError)):
		s.log.Error("entry cannot be taken now", "space", s.name, "feed", e.Feed.Short(), "seq", e.Seq, "err", err)
		return false, err
	case err != nil:
		bad := &Refused{Feed: e.Feed, Seq: e.Seq, Reason: err.Error()}
		s.complain("entry refused", "space", s.name, "feed", e.Feed.Short(), "seq", e.Seq, "reason", bad.Reason)
		return false, bad
	}
	if err := s.beforeEntry(e); err != nil {
		s.forget(edits)
		return false, err
	}
	s.applyEntry(e, ops, edits)
	return true, nil
}

// beforeEntry makes what must survive before an entry is applied. The journal
// has it before anything shows it, so that what the user does next, perhaps
// building on it, can be replayed after a crash.
func (s *Space) beforeEntry(e *feed.Entry) error {
	if err := s.storeCredentials(); err != nil {
		return err
	}
	if e.Feed == s.feed { // from before this device lost some of its files
		if err := s.retire(); err != nil {
			return err
		}
	}
	return s.journal.Append(append([]byte{frameRemote}, e.Raw...))
}

// takeDead takes an entry that does not count now.
func (s *Space) takeDead(e *feed.Entry, ops []tree.Op) (bool, error) {
	if err := s.beforeEntry(e); err != nil {
		return false, err
	}
	// Nobody does wrong here: whoever is removed may not have heard of it.
	s.log.Debug("an entry is kept and does not count", "space", s.name, "feed", e.Feed.Short(), "seq", e.Seq)
	s.dead[e.ID] = true
	s.deadChanges = nil
	s.applyDead(e, ops)
	return true, nil
}

// applyDead numbers the operations of an entry that does not count. ops may be
// nil where nobody waits for them.
func (s *Space) applyDead(e *feed.Entry, ops []tree.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := e.First; n < e.Next(); n++ {
		if err := s.tree.Skip(e.Feed, n); err != nil {
			s.log.Error("operation out of order", "space", s.name, "err", err)
		}
	}
	s.batch.remote = append(s.batch.remote, *e)
	s.batch.dead = append(s.batch.dead, e.ID)
	s.fresh[e.ID] = true
	head := *e
	head.Raw = nil
	s.heads[e.Feed] = head
	s.wait.cameOps(e.Feed, ops)
	s.wait.came(want{entry: e.ID})
	s.wait.came(want{seq: feed.Head{Seq: e.Seq, ID: e.Feed}})
}

// applyEntry makes a vetted entry happen in memory.
func (s *Space) applyEntry(e *feed.Entry, ops []tree.Op, edits map[uint64]edited) {
	s.apply(e.Feed, ops, edits, func() {
		s.batch.remote = append(s.batch.remote, *e)
		s.fresh[e.ID] = true
		head := *e
		head.Raw = nil
		s.heads[e.Feed] = head
		for f, id := range s.frontier {
			if slices.Contains(e.Deps, id) {
				delete(s.frontier, f)
			}
		}
		s.frontier[e.Feed] = e.ID
	}, true)
	s.wait.came(want{entry: e.ID})
	s.wait.came(want{seq: feed.Head{Seq: e.Seq, ID: e.Feed}})
}

// retryWaiting takes what waited for what has come, until nothing more fits.
func (s *Space) retryWaiting() []error {
	var refused []error
	for e, ok := s.wait.take(); ok; e, ok = s.wait.take() {
		if _, err := s.takeEntry(&e, nil); err != nil {
			refused = append(refused, err)
		}
	}
	return refused
}

// complain logs what an author does wrong, and once it is a lot only some of
// it: a log must not fill the disk. The caller holds write.
func (s *Space) complain(what string, args ...any) {
	if s.complaints++; s.complaints <= 100 || s.complaints%1000 == 0 {
		s.log.Warn(what, append(args, "complaints", s.complaints)...)
	}
}
