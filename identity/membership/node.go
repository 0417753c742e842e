package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A node is a credential in the set.
type node struct {
	credential.Signed
	index     int
	depth     int    // length of the longest way back to the GENESIS
	past      bitset // all nodes before this one
	validPast bitset // the grants in past that are in force for somebody who knows only past

	// Grants only: GENESIS and SET_ROLE.
	under   *node   // the grant it was made under; nil for GENESIS
	lineage lineage // of the right that it gives
}

func (n *node) isGrant() bool {
	return n.Kind == credential.Genesis || n.Kind == credential.SetRole
}

// to returns who receives the grant, and which role.
func (n *node) to() (identity.ID, credential.Role) {
	if n.Kind == credential.Genesis {
		return n.Identity, credential.Admin
	}
	return n.Subject, n.Role
}

// isLeaving reports whether a member ends their own membership.
func (n *node) isLeaving() bool {
	return n.Kind == credential.SetRole && n.Subject == n.Identity
}

// rank is the seniority that n acts with.
func (n *node) rank() lineage {
	if n.under == nil {
		return nil
	}
	return n.under.lineage
}

// A lineage says through which grants a right came from the founder. The
// founder's is empty. Less is senior.
type lineage []step

type step struct {
	depth int
	id    identity.ID
}

func (l lineage) compare(other lineage) int {
	if len(l) != len(other) {
		return len(l) - len(other)
	}
	return slices.CompareFunc(l, other, func(a, b step) int {
		if a.depth != b.depth {
			return a.depth - b.depth
		}
		return a.id.Compare(b.id)
	})
}

// compareGrants is the order in which resolve settles grants. Every grant
// comes after those that can make it void.
func compareGrants(a, b *node) int {
	if (a.under == nil) != (b.under == nil) {
		if a.under == nil {
			return -1
		}
		return 1
	}
	if c := a.rank().compare(b.rank()); c != 0 {
		return c
	}
	if a.depth != b.depth {
		return a.depth - b.depth
	}
	return a.ID.Compare(b.ID)
}
