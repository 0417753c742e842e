package space

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// Frames of the journal begin with what they hold.
const (
	frameLocal  = 1 // feed, then payloads of operations, each after its length
	frameRemote = 2 // an entry as it travels
)

// replay makes happen again what the journal holds and the store does not.
func (s *Space) replay() {
	lost := false
	err := s.journal.Replay(func(frame []byte) error {
		frame = slices.Clone(frame)
		if len(frame) == 0 {
			return nil
		}
		var err error
		switch frame[0] {
		case frameLocal:
			err = s.replayLocal(frame[1:])
			lost = lost || err != nil
		case frameRemote:
			err = s.replayRemote(frame[1:])
		default:
			err = fmt.Errorf("unknown kind of frame %d", frame[0])
		}
		if err != nil {
			s.log.Error("a change in the journal cannot be replayed", "space", s.name, "err", err)
		}
		s.docs.trim()
		return nil
	})
	if err != nil {
		s.log.Error("the journal is damaged", "space", s.name, "err", err)
	}
	if lost { // peers have the entries of others, but nobody has this
		if err := s.journal.Keep(); err != nil {
			s.log.Error("the journal cannot be kept", "space", s.name, "err", err)
		} else {
			s.log.Error("changes that could not be replayed are kept in files called journal-*.kept", "space", s.name, "dir", s.dir)
		}
	}
	s.tree.Settle()
}

func (s *Space) replayLocal(frame []byte) error {
	if len(frame) < 32 {
		return errors.New("frame is cut short")
	}
	feedID := identity.ID(frame[:32])
	frame = frame[32:]
	if ended, err := s.ended(feedID); ended || err != nil {
		return err // its entries have left the log, and what they did was saved again
	}
	for len(frame) > 0 {
		n, used := binary.Uvarint(frame)
		if used <= 0 || n > uint64(len(frame)-used) {
			return errors.New("frame is cut short")
		}
		ops, err := tree.Decode(frame[used : used+int(n)])
		if err != nil {
			return err
		}
		frame = frame[used+int(n):]
		if ops[0].N <= s.tree.Applied(feedID) {
			continue // is in an entry
		}
		if ops[0].N != s.tree.Applied(feedID)+1 {
			return fmt.Errorf("operation %d after %d", ops[0].N, s.tree.Applied(feedID))
		}
		for i := range ops {
			if err := s.tree.Ready(feedID, ops[0].N, &ops[i]); err != nil {
				return err
			}
		}
		edits, err := s.vetEdits(feedID, ops)
		if err != nil {
			return err
		}
		s.apply(feedID, ops, edits, func() {
			s.batch.add(localOps{feedID, ops})
		}, false)
	}
	return nil
}

func (s *Space) replayRemote(raw []byte) error {
	e, err := feed.Decode(raw)
	if err != nil {
		return err
	}
	ops, edits, err := s.vet(&e, nil)
	if errors.Is(err, errKnown) {
		return nil
	}
	if errors.Is(err, errDead) {
		s.dead[e.ID] = true
		s.applyDead(&e, ops)
		return nil
	}
	if err != nil {
		return err
	}
	s.applyEntry(&e, ops, edits)
	return nil
}
