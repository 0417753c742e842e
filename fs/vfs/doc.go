// Package vfs is the file system that the kernel adapter shows: the spaces of
// this device as folders, with the semantics of a disk, and no kernel in it.
//
// # What lives where
//
//   - A shared file is a node of its space. Opened for writing and written to,
//     it has one working copy that every local process sees at once. The copy
//     is committed on fsync, on a flush after a write, and, after a truncation
//     alone, on release.
//   - A fresh file is a new file that no peer has heard of. It is held back
//     until a second after its last close, because most new files with a short
//     life are half of somebody's save: renamed over a document they are an
//     edit of it. At flush its bytes go to the held log (see package-internal
//     type heldLog), so that a close survives the death of the process; opening
//     the space again replays the log.
//   - A document unlinked, or renamed away, is held for a second too: a file
//     made under its name in that time is its next version. After the second
//     the removal or the move is published.
//   - A scratch file, by its name, is one of an editor's own (swap, lock,
//     backup) or belongs to version control. It is an ordinary file on this
//     device's disk and never leaves it.
//
// Fresh files wait in memory up to a bound and then in files. A file that a
// program keeps open is committed when it rests: five seconds after a write, a
// second after one that appends or after an fsync, or when the space is taken
// down.
//
// Every process is a replica (ARCHITECTURE.md, idea 1): the package remembers
// what text each was shown and compares its save with that.
// What stat tells it about a newer version depends on whether it can have unsaved
// changes, and can hear of that version: see outlook. A reader gets one version
// from the start to the end: see package-internal file reading.go.
//
// # Concurrency
//
// Every method may be called from any goroutine. Locks, in the order in which
// they are taken:
//
//	volume.mu   names of one space: fresh files, holds, scratch paths
//	inode.mu    content of one file: working copy, handles. Of several inodes
//	            the one with the smaller number first.
//	FS.mu, heldLog.mu, bases.mu, watchers.mu, resting.mu, volume.timesMu, queue locks   leaves; nothing is called under them
//
// Methods of a space are called with volume.mu or inode.mu held, never with a
// leaf. Events of a space and invalidations only enter queues; each queue is
// emptied by one goroutine that holds no lock while it calls out.
package vfs
