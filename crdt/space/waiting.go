package space

import (
	"container/list"
	"slices"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// want names what an entry waits for. Exactly one field is set.
type want struct {
	cred   identity.ID   // a credential, perhaps one that opens a feed
	entry  identity.ID   // an entry it names
	seq    feed.Head     // the entry before: its number, and its feed as ID
	key    [8]byte       // that it is encrypted with
	op     tree.Version  // an operation that one of its own names
	change document.Hash // a change that one of its edits builds on
}

// errWait says that an entry builds on something that is not here yet.
type errWait struct{ want }

func (errWait) Error() string { return "builds on what is not here yet" }

// waiting holds entries that came before what they build on, each by the one
// thing it was found to lack, so that it costs nothing until that comes. It is
// bounded; when it is full, the author with most in it makes room. Entries whose
// author is not known yet count as one author's. What was dropped comes again
// when peers next compare.
type waiting struct {
	entries map[identity.ID]*waiter
	on      map[want]map[*waiter]bool
	authors map[identity.ID]*author
	ready   []*waiter // in the order in which what they lacked came
	bytes   int
}

type waiter struct {
	entry  feed.Entry
	want   want
	author identity.ID
	at     *list.Element // in the author's list
}

type author struct {
	bytes   int
	waiters list.List // oldest first
}

const (
	maxWaiting   = 64 << 20
	waiterWeight = 1 << 10 // of an entry beside its bytes
)

func (w *waiter) weight() int { return len(w.entry.Raw) + waiterWeight }

// add keeps an entry until what it wants comes. A zero author is not known.
func (w *waiting) add(e feed.Entry, lacks want, by identity.ID) {
	if w.entries[e.ID] != nil {
		return
	}
	if w.entries == nil {
		w.entries = make(map[identity.ID]*waiter)
		w.on = make(map[want]map[*waiter]bool)
		w.authors = make(map[identity.ID]*author)
	}
	n := &waiter{entry: e, want: lacks, author: by}
	a := w.authors[by]
	if a == nil {
		a = new(author)
		w.authors[by] = a
	}
	n.at = a.waiters.PushBack(n)
	a.bytes += n.weight()
	w.bytes += n.weight()
	w.entries[e.ID] = n
	if w.on[lacks] == nil {
		w.on[lacks] = make(map[*waiter]bool)
	}
	w.on[lacks][n] = true
	for w.bytes > maxWaiting {
		var most *author
		for _, a := range w.authors {
			if most == nil || a.bytes > most.bytes {
				most = a
			}
		}
		w.drop(most.waiters.Front().Value.(*waiter))
	}
}

func (w *waiting) drop(n *waiter) {
	delete(w.entries, n.entry.ID)
	if on := w.on[n.want]; on != nil {
		if delete(on, n); len(on) == 0 {
			delete(w.on, n.want)
		}
	}
	a := w.authors[n.author]
	a.waiters.Remove(n.at)
	a.bytes -= n.weight()
	w.bytes -= n.weight()
	if a.waiters.Len() == 0 {
		delete(w.authors, n.author)
	}
}

// came notes that something is here that entries may wait for.
func (w *waiting) came(what want) {
	from := len(w.ready)
	for n := range w.on[what] {
		w.ready = append(w.ready, n)
	}
	slices.SortFunc(w.ready[from:], func(a, b *waiter) int { return a.entry.ID.Compare(b.entry.ID) })
	delete(w.on, what)
}

// take removes and returns an entry whose want has come.
func (w *waiting) take() (e feed.Entry, ok bool) {
	for len(w.ready) > 0 {
		n := w.ready[0]
		w.ready = w.ready[1:]
		if w.entries[n.entry.ID] == n { // was not dropped meanwhile
			w.drop(n)
			return n.entry, true
		}
	}
	w.ready = nil
	return e, false
}

// cameOps notes operations, and the changes in them.
func (w *waiting) cameOps(feedID identity.ID, ops []tree.Op) {
	if len(w.on) == 0 {
		return
	}
	for i := range ops {
		w.came(want{op: tree.Version{Feed: feedID, N: ops[i].N}})
		if e := ops[i].Edit; e != nil {
			if info, err := document.Check(e.Change); err == nil {
				w.came(want{change: info.Hash})
			}
		}
	}
}
