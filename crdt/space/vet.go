package space

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

var errKnown = errors.New("known already")

// hereError is trouble of this device, such as a damaged disk, that says nothing
// about the entry.
type hereError struct{ error }

func (e hereError) Unwrap() error { return e.error }

// here says of an error that it is this device's, unless it is one of those that
// say something about the entry.
func here(err error) error {
	if err == nil || errors.As(err, new(errWait)) || errors.Is(err, errTooMuch) {
		return err
	}
	return hereError{err}
}

// unpacked is what an entry holds whose signature is good.
type unpacked struct {
	ops []tree.Op
	err error
}

// unpack does what takes long about vetting, so that no editor has to wait for
// it: call it without locks. Of an entry that is known, or that vet has to
// refuse or have wait first, it returns nil.
func (s *Space) unpack(e *feed.Entry) *unpacked {
	owner, ok := s.members.Feed(e.Feed)
	if head, _ := s.head(e.Feed); !ok || e.Seq != head.Seq+1 || e.Space != s.id || !e.Verify(owner.Device) {
		return nil
	}
	ops, err := s.opsOf(e)
	return &unpacked{ops, err}
}

// vet checks an entry against everything the author could know, and prepares
// its edits. Nothing is changed but documents in memory. It returns errWait
// if the entry may become acceptable later, and another error if it never can.
// u is what unpack made of the entry, or nil. The caller holds write.
func (s *Space) vet(e *feed.Entry, u *unpacked) ([]tree.Op, map[uint64]edited, error) {
	if e.Space != s.id {
		return nil, nil, errors.New("it belongs to another space")
	}
	if known, err := s.knows(e.ID); err != nil {
		return nil, nil, here(err)
	} else if known {
		return nil, nil, errKnown
	}
	owner, ok := s.members.Feed(e.Feed)
	if !ok {
		return nil, nil, errWait{want{cred: e.Feed}}
	}
	if u == nil && !e.Verify(owner.Device) {
		return nil, nil, errors.New("its signature is wrong")
	}
	if s.forks.lost[e.ID] {
		return nil, nil, errors.New("it lost a fork")
	}
	if err := s.vetAuthor(e, owner.Identity); err != nil {
		return nil, nil, err
	}
	if _, ok := s.Keyring().Get(e.KeyID); !ok {
		return nil, nil, errWait{want{key: e.KeyID}}
	}
	if u == nil || errors.Is(u.err, feed.ErrKey) { // perhaps the key has come since
		u = new(unpacked)
		u.ops, u.err = s.opsOf(e)
	}
	ops := u.ops
	if u.err != nil {
		return nil, nil, u.err
	}
	if ops[0].N != e.First || uint64(len(ops)) != e.Ops {
		return nil, nil, fmt.Errorf("it numbers its operations from %d, its header from %d", ops[0].N, e.First)
	}
	for i := range ops {
		if lacks, ok := s.lacks(e, &ops[i]); ok {
			return nil, nil, errWait{want{op: lacks}}
		}
	}
	if s.deadOnArrival(e) {
		return ops, nil, errDead
	}
	edits, err := s.vetEdits(e.Feed, ops)
	return ops, edits, here(err)
}

// vetAuthor checks the place of an entry in its feed, what it builds on, and
// that its author might write as far as the author knew.
func (s *Space) vetAuthor(e *feed.Entry, author identity.ID) error {
	last, had := s.head(e.Feed)
	if e.Seq <= last.Seq {
		return s.rival(e)
	}
	if e.Seq > last.Seq+1 {
		return errWait{want{seq: feed.Head{Seq: e.Seq - 1, ID: e.Feed}}}
	}
	if s.tree.Applied(e.Feed) != e.First-1 {
		if e.Feed == s.feed {
			return errors.New("this device is writing that feed")
		}
		return errors.New("it numbers its operations wrongly")
	}
	var prev *feed.Entry
	if had {
		prev = &last
	}
	if had && e.Prev != last.ID {
		return errParted{last.Seq}
	}
	if err := e.Follows(prev); err != nil {
		return err
	}
	for _, id := range e.Auth {
		if !s.members.Has(id) {
			return errWait{want{cred: id}}
		}
	}
	for _, dep := range e.Deps {
		known, err := s.knows(dep)
		if err != nil {
			return here(err)
		}
		if s.forks.lost[dep] {
			return errors.New("it builds on what lost a fork")
		}
		if !known {
			return errWait{want{entry: dep}}
		}
		auth, err := s.authOf(dep)
		if err != nil {
			return here(err)
		}
		if !s.members.Covers(e.Auth, auth) {
			return errors.New("its author knew less of the members than what it builds on")
		}
	}
	if had && !s.members.Covers(e.Auth, last.Auth) {
		return errors.New("its author knew less of the members than before")
	}
	if role := s.members.RoleAt(author, e.Auth); role < credential.Editor {
		return fmt.Errorf("its author was %s, not editor", role)
	}
	return acceptance.LocalOK(s.members, head(&e.Header, e.ID))
}

// lacks returns an operation that op, of e, names and that is not here.
func (s *Space) lacks(e *feed.Entry, op *tree.Op) (tree.Version, bool) {
	for _, v := range op.Named() {
		if within := v.Feed == e.Feed && v.N >= e.First && v.N < op.N; !within && !s.tree.Has(v) {
			return v, true
		}
	}
	return tree.Version{}, false
}

// head returns the last entry of a feed.
func (s *Space) head(f identity.ID) (feed.Entry, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.heads[f]
	return e, ok
}

// knows reports whether an entry is in the log or about to be.
func (s *Space) knows(id identity.ID) (bool, error) {
	s.mu.RLock()
	fresh := s.fresh[id]
	for _, h := range s.heads {
		fresh = fresh || h.ID == id
	}
	s.mu.RUnlock()
	if fresh {
		return true, nil
	}
	return s.stored(metaEntry + string(id[:]))
}

// stored reports whether the store has a value of a name.
func (s *Space) stored(name string) (has bool, err error) {
	err = s.view(func(tx *store.Tx) error {
		_, err := tx.Meta(name)
		has = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return has, err
}

// maxAuths bounds the entries whose Auth is remembered: each may be read from
// the store for every small entry that names it.
const maxAuths = 4096

// authOf returns what the author of a known entry knew of the members.
func (s *Space) authOf(id identity.ID) ([]identity.ID, error) {
	s.mu.RLock()
	for _, h := range s.heads {
		if h.ID == id {
			s.mu.RUnlock()
			return h.Auth, nil
		}
	}
	for _, b := range []*batch{s.batch, s.inflight} {
		if b == nil {
			continue
		}
		for _, e := range b.remote {
			if e.ID == id {
				s.mu.RUnlock()
				return e.Auth, nil
			}
		}
	}
	s.mu.RUnlock()
	auth, ok := s.auths[id]
	if ok {
		return auth, nil
	}
	err := s.view(func(tx *store.Tx) error {
		at, err := tx.Meta(metaEntry + string(id[:]))
		if err != nil {
			return err
		}
		if len(at) != 40 {
			return fmt.Errorf("%w: place of an entry", store.ErrDamaged)
		}
		e, err := readEntry(tx, identity.ID(at[:32]), binary.BigEndian.Uint64(at[32:]))
		auth = e.Auth
		return err
	})
	if err == nil {
		if s.auths == nil || len(s.auths) >= maxAuths {
			s.auths = make(map[identity.ID][]identity.ID)
		}
		s.auths[id] = auth
	}
	return auth, err
}
