// Package fusefs mounts a file system of package vfs with FUSE.
//
// It translates and it caches, nothing else: what a file is, who is shown what
// and when a save is committed is decided by vfs. The kernel may keep names,
// attributes and pages for long, and is told by the invalidator when something
// changed that did not pass through it.
//
// # What the kernel is allowed to cache
//
//   - Names and attributes for cacheTime, the absence of a name too. Attributes
//     that processes are told differently (vfs.Attr.Volatile) not at all. A size
//     that is one process's own (vfs.Attr.Apart) only that process gets.
//   - Pages across opens, unless a change of the file was announced since the
//     last open. A file that processes read differently, or append to, or of
//     which the kernel has not taken a notice yet, is read and written past the
//     page cache.
//   - Listings of folders, under the same rule.
//
// Writes are never held back by the kernel: vfs must know their order, time and
// author. Locks of files are the kernel's own. An interrupted call is carried
// through, because programs are interrupted for reasons that are not theirs (Go
// programs all the time) and half a save is no save.
//
// # Concurrency
//
// Requests are served concurrently; vfs does the locking. The locks here
// (known.mu, table.mu, listing.mu, invalidator.mu) are leaves, but for
// listing.mu, under which vfs.ReadDir is called. Nothing is sent to the kernel
// while one is held, and notices never from a request, but for the one that the
// kernel takes without waiting for anything: see invalidator.
package fusefs
