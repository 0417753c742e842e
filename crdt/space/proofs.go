package space

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
)

// A hostile device can make any number of proofs. Those are kept that say
// something about what is here: it is found out again when it comes.
const (
	maxRivals = 8  // proofs of one place, and as many against each entry that is here: those with the smallest IDs, of which one wins
	maxFar    = 64 // proofs of one feed about places that are not here yet
)

// forks are the proofs there are.
type forks struct {
	proofs map[identity.ID][]feed.Fork // by feed
	lost   map[identity.ID]bool        // entries that lost, by the last judgement
}

func forkKey(f *feed.Fork) string {
	return fmt.Sprintf("%s%s%016x%s%s", metaFork, f.A.Feed[:], f.A.Seq, f.A.ID[:], f.B.ID[:])
}

// loadForks reads the proofs.
func (s *Space) loadForks(tx *store.Tx) error {
	s.forks = forks{proofs: make(map[identity.ID][]feed.Fork), lost: make(map[identity.ID]bool)}
	err := tx.Metas(metaFork, func(_ string, data []byte) error {
		f, err := feed.DecodeFork(data)
		if err != nil {
			return fmt.Errorf("%w: proof of a fork: %w", store.ErrDamaged, err)
		}
		s.forks.proofs[f.A.Feed] = append(s.forks.proofs[f.A.Feed], f)
		return nil
	})
	if err != nil {
		return err
	}
	s.publishForks()
	return tx.Metas(metaLost, func(name string, _ []byte) error {
		id := name[len(metaLost):]
		if len(id) != len(identity.ID{}) {
			return fmt.Errorf("%w: name of an entry that lost", store.ErrDamaged)
		}
		s.forks.lost[identity.ID([]byte(id))] = true
		return nil
	})
}

// Forks returns the proofs that a feed of the space has forked, to pass on.
func (s *Space) Forks() [][]byte {
	if p := s.proofs.Load(); p != nil {
		return *p
	}
	return nil
}

// publishForks makes what Forks returns.
func (s *Space) publishForks() {
	var proofs [][]byte
	for _, list := range s.forks.proofs {
		for _, f := range list {
			if data, err := f.Encode(); err == nil {
				proofs = append(proofs, data)
			}
		}
	}
	slices.SortFunc(proofs, slices.Compare)
	s.proofs.Store(&proofs)
}

// AddForks takes proofs of peers and returns when they are durable. What follows
// from them follows soon, by Run.
func (s *Space) AddForks(proofs [][]byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	var errs []error
	for _, data := range proofs {
		f, err := feed.DecodeFork(data)
		if err == nil {
			err = s.addFork(f)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// addFork takes a proof in, durably. The caller holds write.
func (s *Space) addFork(f feed.Fork) error {
	if f.A.Space != s.id {
		return errors.New("a proof about another space")
	}
	owner, ok := s.members.Feed(f.A.Feed)
	if !ok {
		return nil // whoever has the credential has the proof too
	}
	list := s.forks.proofs[f.A.Feed]
	if slices.ContainsFunc(list, f.Same) {
		return nil
	}
	if matters, err := s.matters(list, &f); err != nil || !matters {
		return err
	}
	if !f.Verify(owner.Device) {
		return errors.New("a proof with a wrong signature")
	}
	list, useless, err := s.thin(append(slices.Clone(list), f), f.A.Seq, f.A.Prev)
	if err != nil || slices.ContainsFunc(useless, f.Same) {
		return err
	}
	data, err := f.Encode()
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *store.Tx) error {
		for i := range useless {
			if err := tx.DeleteMeta(forkKey(&useless[i])); err != nil {
				return err
			}
		}
		return tx.PutMeta(forkKey(&f), data)
	})
	if err != nil {
		return err
	}
	s.forks.proofs[f.A.Feed] = list
	s.publishForks()
	s.complain("a feed has forked: its device, or a copy of its files, wrote two different entries in one place; one of them counts",
		"space", s.name, "device", owner.Device.Short(), "feed", f.A.Feed.Short(), "seq", f.A.Seq)
	s.unjudged.Store(true)
	s.poke()
	s.notify.fire()
	return nil
}

// matters reports whether a proof says something about entries that are here or
// may come next, or there are few yet about later ones.
func (s *Space) matters(list []feed.Fork, f *feed.Fork) (bool, error) {
	head, _ := s.head(f.A.Feed)
	if f.A.Seq > head.Seq+1 {
		far := 0
		for i := range list {
			if list[i].A.Seq > head.Seq+1 {
				far++
			}
		}
		return far < maxFar, nil
	}
	if f.A.Seq == 1 {
		return true, nil
	}
	for _, id := range []identity.ID{f.A.Prev, f.A.ID, f.B.ID} {
		if here, err := s.holds(id); here || err != nil {
			return here, err
		}
	}
	return false, nil
}

// holds reports whether an entry is in the log, or set aside.
func (s *Space) holds(id identity.ID) (bool, error) {
	if known, err := s.knows(id); known || err != nil {
		return known, err
	}
	return s.stored(metaAside + string(id[:]))
}

// thin splits proofs into those to keep and those that are of no use: of one
// place, where there are many, those by which no entry that is here loses, and
// which do not say who wins.
func (s *Space) thin(list []feed.Fork, seq uint64, prev identity.ID) (keep, useless []feed.Fork, err error) {
	var there []feed.Fork
	for _, f := range list {
		if f.A.Seq == seq && f.A.Prev == prev {
			there = append(there, f)
		} else {
			keep = append(keep, f)
		}
	}
	slices.SortFunc(there, func(a, b feed.Fork) int {
		return cmp.Or(a.A.ID.Compare(b.A.ID), a.B.ID.Compare(b.B.ID))
	})
	against := make(map[identity.ID]int) // proofs against entries that are here
	others := 0
	for _, f := range there {
		here, err := s.holds(f.B.ID)
		switch {
		case err != nil:
			return nil, nil, err
		case here && against[f.B.ID] < maxRivals:
			against[f.B.ID]++
		case others < maxRivals:
			others++
		default:
			useless = append(useless, f)
			continue
		}
		keep = append(keep, f)
	}
	return keep, useless, nil
}
