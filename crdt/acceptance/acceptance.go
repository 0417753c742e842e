// Package acceptance says which entries of a space count.
//
// An entry is refused for ever if it is not LocalOK: that depends on its own
// past only. Of the others, Dead says which do not count now: those that no
// entry that stands builds on, that were excluded, or that lost a fork. It is a
// function of the credentials and entries alone.
//
// # Concurrency
//
// There is no state here; every function may be called from any goroutine.
package acceptance

import (
	"iter"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/membership"
)

// An Entry is what matters of an entry's header.
type Entry struct {
	ID, Feed   identity.ID
	Seq        uint64
	Prev       identity.ID // zero if Seq is 1
	Deps, Auth []identity.ID
}

// A Fork is a feed with two entries of one number.
type Fork struct {
	Feed identity.ID
	Seq  uint64
	A, B identity.ID
}

// LocalOK reports why an entry can never count, whatever else is known: its
// author was not editor by the credentials it names, or its device was cut. The
// answer stays the same for ever.
func LocalOK(m *membership.State, e Entry) error { return nil }

// Dead returns those of entries, which come in causal order, that do not count.
func Dead(m *membership.State, entries iter.Seq[Entry], forks []Fork) map[identity.ID]bool {
	return nil
}
