package membership

import (
	"cmp"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A node is a credential in the set.
type node struct {
	credential.Signed
	index int
	depth int    // length of the longest way back to the GENESIS
	past  bitset // all nodes before this one

	// What somebody sees who knows only past.
	validPast bitset
	cutsPast  []deviceCut

	under   *node                 // what it was made under: a grant; for REDEEM the INVITE; nil for GENESIS
	lineage lineage               // of the right that it gives: of grants and INVITEs
	invite  credential.InviteBody // of INVITE
	epoch   credential.EpochBody  // of KEY_EPOCH
	chain   *chain                // of GENESIS, IMPORT, REDEEM and DEVICE_CUT
	ends    identity.PublicKey    // of DEVICE_CUT: the device it names

	excludes []credential.Cut // of EXCLUDE: those of its cuts that its author might exclude
}

// isGrant reports whether n gives a role, or takes one.
func (n *node) isGrant() bool {
	return n.Kind == credential.Genesis || n.Kind == credential.SetRole || n.Kind == credential.Redeem
}

// to returns who receives the grant, and which role.
func (n *node) to() (identity.ID, credential.Role) {
	switch n.Kind {
	case credential.Genesis:
		return n.Identity, credential.Admin
	case credential.Redeem:
		return n.Subject, n.under.Role
	}
	return n.Subject, n.Role
}

// isOwn reports whether a member gives up some of their role, or all by leaving.
func (n *node) isOwn() bool {
	return n.Kind == credential.SetRole && n.Subject == n.Identity
}

// isOwnRevoke reports whether n ends an INVITE of the same author.
func (n *node) isOwnRevoke(invite *node) bool {
	return n.Kind == credential.InviteRevoke && n.Identity == invite.Identity
}

// isSettled reports whether n can be in force or not.
func (n *node) isSettled() bool {
	return n.Kind != credential.FeedOpen && n.Kind != credential.Import
}

// decides reports whether n may change a role or end a device: what entries have
// to name in Auth.
func (n *node) decides() bool {
	switch n.Kind {
	case credential.FeedOpen, credential.Import, credential.KeyEpoch, credential.ProfileSet, credential.Exclude, credential.Meta:
		return false
	}
	return true
}

// rank is the seniority that n acts with.
func (n *node) rank() lineage {
	if n.under == nil {
		return nil
	}
	return n.under.lineage
}

// last reports whether n is settled after everything that admins did: nothing
// that an admin does rests on it.
func (n *node) last() bool {
	return n.Kind == credential.Redeem && n.under.Role < credential.Admin
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
	for i := range l { // a loop of its own: it is asked for very often
		a, b := &l[i], &other[i]
		if a.depth != b.depth {
			return a.depth - b.depth
		}
		if c := a.id.Compare(b.id); c != 0 {
			return c
		}
	}
	return 0
}

// compareSettled is the order in which resolve settles nodes. Every node comes
// after those that can make it void.
func compareSettled(a, b *node) int {
	if x, y := a.last(), b.last(); x != y {
		if y {
			return -1
		}
		return 1
	} else if !x {
		if (a.under == nil) != (b.under == nil) {
			if a.under == nil {
				return -1
			}
			return 1
		}
		if c := a.rank().compare(b.rank()); c != 0 {
			return c
		}
	}
	return compareAge(a, b)
}

// compareAge orders nodes by (depth, ID).
func compareAge(a, b *node) int { return cmp.Or(cmp.Compare(a.depth, b.depth), a.ID.Compare(b.ID)) }

// insertNode inserts n in a sorted list.
func insertNode(list []*node, n *node, compare func(a, b *node) int) []*node {
	at, _ := slices.BinarySearchFunc(list, n, compare)
	return slices.Insert(list, at, n)
}
