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
//	committing  held by the one commit or rebuild that runs
//	write       held for a whole change: check, documents, journal, memory. What
//	            must be stored before anything builds on it, a credential or the
//	            name of a feed, is stored with write held; a commit is not
//	mu          guards what readers see. Who holds it may read the store, so that
//	            tree and store are of one moment, but never writes to it, nor
//	            waits for the network or another goroutine
//
// The caches, the queue of events, the wanted chunks and the membership have
// locks of their own, which are taken last and held for moments.
//
// Subscribers are called by Run with no lock held, in order.
package space
