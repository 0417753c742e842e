package membership

import (
	"cmp"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// An Epoch is a key of the space, as its KEY_EPOCHs give it.
type Epoch struct {
	ID    identity.ID // of the first KEY_EPOCH of the key that is in force
	By    identity.ID
	KeyID [8]byte
	Prev  []byte // the earlier keys, encrypted with this one
	boxes map[[8]byte][]byte
}

// Box returns the key as sealed for a device, nil if it is not.
func (e Epoch) Box(device identity.PublicKey) []byte {
	return e.boxes[credential.SealTo(device, nil)]
}

// RecoveryBox returns the key as sealed for a recovery key, nil if it is not.
func (e Epoch) RecoveryBox(seal []byte) []byte {
	return e.boxes[credential.SealTo(identity.PublicKey{}, seal)]
}

// Epochs returns the keys that KEY_EPOCHs in force give the space: first the one
// that entries are written under. Of keys that were made without knowing of each
// other, and that no later one follows, it is the most senior author's.
func (s *State) Epochs() []Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) == 0 {
		return nil
	}
	v := s.now()
	byKey := map[[8]byte]*Epoch{}
	var first []*node // of each key
	var list []*Epoch
	ops := slices.Clone(s.epochs)
	slices.SortFunc(ops, compareAge)
	for _, n := range ops {
		if !v.valid.has(n.index) {
			continue
		}
		if byKey[n.epoch.KeyID] == nil {
			byKey[n.epoch.KeyID] = &Epoch{ID: n.ID, By: n.Identity, KeyID: n.epoch.KeyID, boxes: map[[8]byte][]byte{}}
			first, list = append(first, n), append(list, byKey[n.epoch.KeyID])
		}
	}
	slices.SortFunc(ops, compareSettled) // nobody replaces what a senior sealed
	for _, n := range ops {
		if v.valid.has(n.index) {
			byKey[n.epoch.KeyID].take(&n.epoch)
		}
	}
	followed := func(n *node) bool {
		return slices.ContainsFunc(first, func(m *node) bool { return m.past.has(n.index) })
	}
	order := make([]int, len(first))
	old := make([]bool, len(first))
	for i, n := range first {
		order[i], old[i] = i, followed(n)
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := first[i], first[j]
		switch {
		case old[i] != old[j]:
			if old[j] {
				return -1
			}
			return 1
		case old[i]:
			return compareAge(b, a)
		}
		return cmp.Or(a.rank().compare(b.rank()), compareAge(b, a))
	})
	epochs := make([]Epoch, len(order))
	for i, k := range order {
		epochs[i] = *list[k]
	}
	return epochs
}

// KeyIDs returns the keys that a KEY_EPOCH of the set names, in force or not:
// somebody may have written under a key before they heard that it is void.
func (s *State) KeyIDs() map[[8]byte]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[[8]byte]bool, len(s.epochs))
	for _, n := range s.epochs {
		ids[n.epoch.KeyID] = true
	}
	return ids
}

// take adds what one KEY_EPOCH seals, if none before it has.
func (e *Epoch) take(body *credential.EpochBody) {
	if e.Prev == nil {
		e.Prev = body.Prev
	}
	for _, k := range body.Sealed {
		if e.boxes[k.To] == nil {
			e.boxes[k.To] = k.Box
		}
	}
}
