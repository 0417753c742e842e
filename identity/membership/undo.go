package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// RemoveUndoing makes the credential that ends the membership of an identity as
// SetRole does, and undoes some of what it did: the removal does not have those
// credentials in its past, nor what builds on them, and so they are void. It is
// the remedy for an admin who excluded what should stay, or admitted whom they
// should not. Like every removal it takes a senior if they are admin.
func (s *State) RemoveUndoing(d *identity.Device, who identity.ID, undo []identity.ID, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.SetRole, credential.Admin, now, "removing a member", func(op *credential.Op) error {
		if who == d.Identity() {
			return fmt.Errorf("nobody undoes what they did themselves: %w", ErrNotAllowed)
		}
		var gone []*node
		for _, id := range undo {
			n := s.byID[id]
			if n == nil || n.Identity != who || !s.needsRight(n) {
				return fmt.Errorf("%s is nothing of theirs that could be undone: %w", id.Short(), ErrNotAllowed)
			}
			if s.byID[op.Proof].lineage.compare(n.under.lineage) >= 0 {
				return ErrSenior
			}
			gone = append(gone, n)
		}
		rest := slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool {
			return slices.ContainsFunc(gone, func(g *node) bool { return n == g || n.past.has(g.index) })
		})
		heads := maximalIn(rest)
		if len(heads) > credential.MaxDeps || !slices.Contains(rest, s.byID[op.Proof]) {
			return fmt.Errorf("too much builds on it: %w", ErrNotAllowed)
		}
		op.Deps = sortedIDs(heads)
		op.Subject, op.Cuts = who, s.theirs(who, cuts)
		return nil
	})
}

// maximalIn returns those of many nodes, in causal order, that are in the past of
// no other.
func maximalIn(nodes []*node) []*node {
	var past bitset
	var heads []*node
	for _, n := range slices.Backward(nodes) {
		if !past.has(n.index) {
			heads = append(heads, n)
		}
		past = past.union(n.past)
	}
	return heads
}
