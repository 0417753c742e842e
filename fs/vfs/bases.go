package vfs

import (
	"container/list"
	"sync"
	"time"
)

// A version is a text as some process was shown it. Immutable. The text lives
// as long as somebody was shown it and may yet save.
type version struct {
	id     string // of the space; "" for a text that was never the whole truth
	from   string // with no id: the last version of the space that is all in it, or ""
	text   string
	mtime  time.Time
	opaque bool // no text: only id counts
}

// unseen is a tag that no version has: nothing of the space was seen.
const unseen = "-"

// tag is the version of the space that who was shown v has seen for sure.
func (v *version) tag() string {
	switch {
	case v.id != "":
		return v.id
	case v.from != "":
		return v.from
	}
	return unseen
}

const (
	basesLimit = 32 << 20 // bytes of remembered texts
	basesSweep = 4 << 20  // bytes remembered between two looks for dead processes
	baseCost   = 256      // bytes of one memory beside its text

	// shownMax bounds the versions kept of one file for one process.
	shownMax = 6

	// shownRecently is the time before a save in which reading is not the same
	// as loading: editors read the file once more to copy it to a backup.
	shownRecently = 2 * time.Second

	// announceTime is how long the kernel may answer for a version after it is not
	// current any more, and a program take from that answer to opening the file.
	announceTime = 250 * time.Millisecond
)

// bases remembers which text of which file each process was last shown, within
// a budget of bytes: the least recently used goes first.
type bases struct {
	procs *processes
	now   func() time.Time

	mu    sync.Mutex // guards the fields below
	files map[Ino]map[proc]*base
	news  map[Ino]time.Time // when a new version of one of files was announced last
	lru   *list.List        // of *base, most recent first
	bytes int64
	added int64 // since the last sweep
}

type base struct {
	ino   Ino
	who   proc
	shown []shown   // oldest first
	heard time.Time // the time that it was last told, since it loaded or saved
	since time.Time // when it loaded or saved
	how   outlook   // of what it was told last
	at    *list.Element
}

type shown struct {
	v     *version
	at    time.Time
	maybe bool // it was on offer through the page cache; whether it was read nobody knows
	// told is the time that the process takes for that of v; zero: that of v.
	// Whoever asks for the time before loading another version is told the one of
	// the version it knows, whether or not the other one has arrived by then.
	told time.Time
	// unsure: it was told of a new version and read this one. VS Code throws that
	// away if somebody began to type meanwhile.
	unsure bool
}

// took is the time that the process takes for that of the version.
func (s shown) took() time.Time {
	if !s.told.IsZero() {
		return s.told
	}
	return s.v.mtime
}

// sure is what the process was shown last for sure, or nil.
func (e *base) sure() *shown {
	for i := len(e.shown) - 1; i >= 0; i-- {
		if !e.shown[i].maybe {
			return &e.shown[i]
		}
	}
	return nil
}

// took is the time that the process has for the file before it loads another
// version, which is the last that it was told. It is zero if the process has not
// asked since that version is there: then it takes the true one. Of a version that
// came a moment ago nobody knows, as the kernel may have answered.
func (b *bases) took(e *base) time.Time {
	s := e.sure()
	switch {
	case s == nil, s.v.opaque:
	case !e.heard.IsZero():
		return e.heard
	case b.now().Sub(b.news[e.ino]) < announceTime:
		return s.took()
	}
	return time.Time{}
}

func newBases(procs *processes, now func() time.Time) *bases {
	return &bases{procs: procs, now: now, files: map[Ino]map[proc]*base{}, news: map[Ino]time.Time{}, lru: list.New()}
}

// show notes that who was shown v now; with maybe, that it could have been.
func (b *bases) show(ino Ino, who proc, v *version, maybe bool) {
	if who == (proc{}) || v == nil {
		return
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(ino, who)
	if n := len(e.shown); n > 0 && (e.shown[n-1].v == v || v.id != "" && e.shown[n-1].v.id == v.id && e.shown[n-1].v.mtime.Equal(v.mtime)) {
		last := &e.shown[n-1]
		last.at, last.maybe = now, last.maybe && maybe
		return
	}
	b.bytes -= e.cost()
	next := shown{v: v, at: now, maybe: maybe}
	if !maybe {
		if took := b.took(e); !took.Equal(v.mtime) {
			next.told = took
		}
		// Older ones stay only while they may be what the process has loaded.
		e.shown = settled(e.shown, now)
		switch {
		case e.heard.IsZero():
		case e.how == asNews:
			next.unsure = true
		case e.how == asSize:
			e.shown = e.shown[:0] // vim does nothing else with what it reads now
		}
		e.heard, e.since = time.Time{}, now
	}
	e.shown = append(e.shown, next)
	if len(e.shown) > shownMax {
		e.shown = append(e.shown[:1:1], e.shown[len(e.shown)-shownMax+1:]...)
	}
	b.bytes += e.cost()
	b.added += int64(len(v.text)) + baseCost
	b.trim()
}

// wrote notes that who knows exactly v: it has just saved it.
func (b *bases) wrote(ino Ino, who proc, v *version) {
	if who == (proc{}) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(ino, who)
	b.bytes -= e.cost()
	e.shown = append(e.shown[:0], shown{v: v, at: b.now()})
	e.heard, e.since = time.Time{}, b.now()
	b.bytes += e.cost()
	b.added += int64(len(v.text)) + baseCost
	b.trim()
}

// published notes that a text which processes were shown before the space had
// it is v now, and that who wrote it.
func (b *bases) published(ino Ino, who proc, v *version) {
	b.mu.Lock()
	for _, e := range b.files[ino] {
		for i := range e.shown {
			if e.shown[i].v.id == "" && e.shown[i].v.text == v.text {
				e.shown[i].v = v
			}
		}
	}
	if len(b.files[ino]) > 0 {
		b.news[ino] = b.now()
	}
	b.mu.Unlock()
	b.wrote(ino, who, v)
}

// latest is the text that who knows; nil if it knows none, or something that
// does not merge.
func (b *bases) latest(ino Ino, who proc) *version {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.files[ino][who]
	if e == nil {
		return nil
	}
	if s := e.sure(); s != nil && !s.v.opaque {
		return s.v
	}
	return nil
}

// retimed notes that somebody else gave another time to version id, as by saving
// it unchanged: that is no news for who has it.
func (b *bases) retimed(ino Ino, id string, mtime time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.files[ino] {
		for i := range e.shown {
			if s := &e.shown[i]; s.v.id == id && !s.v.opaque && s.told.IsZero() && !s.v.mtime.Equal(mtime) {
				s.told = s.v.mtime
			}
		}
	}
}

// differ reports whether a live process knows another version than id, or takes
// another time for that of id.
func (b *bases) differ(ino Ino, id string) bool {
	b.mu.Lock()
	var who []proc
	for p, e := range b.files[ino] {
		if s := e.shown[len(e.shown)-1]; !s.v.opaque && (s.v.id != id || !s.told.IsZero()) {
			who = append(who, p)
		}
	}
	b.mu.Unlock()
	for _, p := range who {
		if b.procs.alive(p) {
			return true
		}
		b.mu.Lock()
		if e := b.files[ino][p]; e != nil {
			b.drop(e)
		}
		b.mu.Unlock()
	}
	return false
}

// known reports whether any process was shown the file.
func (b *bases) known(ino Ino) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.files[ino]) > 0
}

// move gives what is known of one inode to another that takes over its file.
func (b *bases) move(from, to Ino) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.files[to] {
		b.drop(e)
	}
	m := b.files[from]
	if len(m) == 0 {
		return
	}
	delete(b.files, from)
	b.files[to] = m
	if at, ok := b.news[from]; ok {
		b.news[to] = at
		delete(b.news, from)
	}
	for _, e := range m {
		e.ino = to
	}
}

// forget drops what is known of an inode.
func (b *bases) forget(ino Ino) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.files[ino] {
		b.drop(e)
	}
}

func (b *bases) entry(ino Ino, who proc) *base {
	m := b.files[ino]
	if m == nil {
		m = map[proc]*base{}
		b.files[ino] = m
	}
	e := m[who]
	if e == nil {
		e = &base{ino: ino, who: who}
		e.at = b.lru.PushFront(e)
		m[who] = e
	} else {
		b.lru.MoveToFront(e.at)
	}
	return e
}

func (e *base) cost() int64 {
	n := int64(0)
	for _, s := range e.shown {
		n += int64(len(s.v.text)) + baseCost
	}
	return n
}

func (b *bases) drop(e *base) {
	b.bytes -= e.cost()
	b.lru.Remove(e.at)
	delete(b.files[e.ino], e.who)
	if len(b.files[e.ino]) == 0 {
		delete(b.files, e.ino)
		delete(b.news, e.ino)
	}
}

// trim keeps the budget, dead processes first.
func (b *bases) trim() {
	if b.added > basesSweep {
		b.sweep()
	}
	for b.bytes > basesLimit && b.lru.Len() > 1 {
		b.drop(b.lru.Back().Value.(*base))
	}
}
