// Package space is one shared folder: it accepts changes, local and from
// peers, keeps them in a signed log, and shows the tree that follows from them.
//
// A local change is written to the journal and visible when its method
// returns. Run commits: it batches what the journal holds into entries of this
// device's feed, signs them, and writes them with the changed records and texts
// in one transaction. Entries of peers take the same way. Only what is
// committed is sent.
//
// # Concurrency
//
// Every method may be called from any goroutine. Locks, in the order in which
// they are taken:
//
//	write   held for a whole change: check, documents, journal, memory
//	mu      guards what readers see; held briefly, never over a transaction
//	events  guards the queue and the list of subscribers
//
// Subscribers are called by Run with no lock held, in order.
package space
