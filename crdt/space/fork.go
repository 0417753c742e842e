package space

import (
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
)

// A feed forks when its device, or a copy of its files, signs two entries for
// one place. Both together are the proof. It is kept and passed on, and on
// every device the same branch wins. The log holds that one only: the other,
// and whatever was built on it, is set aside, in case that a cut pins it later.

// errParted says that an entry continues another branch of its feed than the
// one that is here.
type errParted struct{ seq uint64 }

func (e errParted) Error() string {
	return fmt.Sprintf("the feed has forked at entry %d or before", e.seq)
}

// rival looks at an entry whose number another one has here.
func (s *Space) rival(e *feed.Entry) error {
	raw, err := s.entryRaw(e.Feed, e.Seq)
	if err != nil {
		return here(err)
	}
	ours, err := feed.Decode(raw)
	if err != nil {
		return here(err)
	}
	if ours.Prev != e.Prev {
		return errParted{e.Seq}
	}
	a, err := ours.Stub()
	if err != nil {
		return here(err)
	}
	b, err := e.Stub()
	if err != nil {
		return here(err)
	}
	f, err := feed.NewFork(a, b)
	if err == nil {
		err = s.addFork(f)
	}
	if err != nil {
		return here(err)
	}
	return fmt.Errorf("the feed has forked: another entry has this number")
}

// entryRaw returns an entry of the log, or about to be in it.
func (s *Space) entryRaw(f identity.ID, seq uint64) (raw []byte, err error) {
	s.mu.RLock()
	for _, b := range []*batch{s.batch, s.inflight} {
		if b == nil {
			continue
		}
		for _, list := range [][]feed.Entry{b.remote, b.sealed} {
			for i := range list {
				if list[i].Feed == f && list[i].Seq == seq {
					raw = list[i].Raw
				}
			}
		}
	}
	s.mu.RUnlock()
	if raw != nil {
		return raw, nil
	}
	err = s.view(func(tx *store.Tx) (err error) {
		raw, err = tx.Entry(f, seq)
		return err
	})
	return raw, err
}

// StubOf returns an entry of the log without its payload, for a peer that looks
// for the place where a feed has parted; nil if there is none with that number.
func (s *Space) StubOf(f identity.ID, seq uint64) ([]byte, error) {
	raw, err := s.Entry(f, seq)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := feed.Decode(raw)
	if err != nil {
		return nil, err
	}
	stub, err := e.Stub()
	return stub.Raw, err
}

// Compare tells whether an entry that a peer has is the one in the log here. If
// it is not, and follows the same one, that is the proof of a fork, which it
// takes in. same is false also where there is none with that number.
func (s *Space) Compare(stub []byte) (same, proof bool, err error) {
	theirs, err := feed.DecodeStub(stub)
	if err != nil {
		return false, false, err
	}
	raw, err := s.StubOf(theirs.Feed, theirs.Seq)
	if err != nil || raw == nil {
		return false, false, err
	}
	ours, err := feed.DecodeStub(raw)
	if err != nil || ours.ID == theirs.ID {
		return err == nil, false, err
	}
	f, err := feed.NewFork(ours, theirs)
	if err != nil {
		return false, false, nil // they part before
	}
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return false, false, ErrClosed
	}
	return false, true, s.addFork(f)
}

// Lineage grows whenever entries leave the log: what a peer was told before does
// not hold any more.
func (s *Space) Lineage() uint64 { return s.lineage.Load() }

// rivals are the entries of one place.
type rivals struct {
	feed identity.ID
	ids  []identity.ID // smallest first
	all  []acceptance.Entry
}

// places gathers what the proofs say by place.
func (s *Space) places() []rivals {
	type place struct {
		feed identity.ID
		seq  uint64
		prev identity.ID
	}
	at := make(map[place]*rivals)
	var order []place
	for _, list := range s.forks.proofs {
		for i := range list {
			for _, stub := range []*feed.Stub{&list[i].A, &list[i].B} {
				p := place{stub.Feed, stub.Seq, stub.Prev}
				r := at[p]
				if r == nil {
					r = &rivals{feed: stub.Feed}
					at[p] = r
					order = append(order, p)
				}
				if !slices.Contains(r.ids, stub.ID) {
					r.ids = append(r.ids, stub.ID)
					r.all = append(r.all, head(&stub.Header, stub.ID))
				}
			}
		}
	}
	out := make([]rivals, 0, len(order))
	for _, p := range order {
		r := at[p]
		slices.SortFunc(r.ids, identity.ID.Compare)
		out = append(out, *r)
	}
	return out
}

// pairs are the forks of a place as package acceptance takes them.
func (r *rivals) pairs() (out []acceptance.Fork) {
	for i, a := range r.ids {
		for _, b := range r.ids[i+1:] {
			out = append(out, acceptance.Fork{Feed: r.feed, Seq: r.all[0].Seq, A: a, B: b})
		}
	}
	return out
}

// losers returns all but the winner, given what is dead for any reason.
func (r *rivals) losers(dead map[identity.ID]bool) []identity.ID {
	winner := r.ids[0]
	if i := slices.IndexFunc(r.ids, func(id identity.ID) bool { return !dead[id] }); i >= 0 {
		winner = r.ids[i]
	}
	return slices.DeleteFunc(slices.Clone(r.ids), func(id identity.ID) bool { return id == winner })
}
