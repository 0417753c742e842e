package replicate

import (
	"maps"
	"slices"
)

// Limits of the fetcher.
const (
	maxInFlight = 32 // chunks asked for and not yet answered, per link
	lowInFlight = 16 // with fewer, look for more that is missing
	maxQuiet    = 3  // ticks without an answer after which others are asked
)

type chunkID = [32]byte

// A fetcher decides which missing chunk to ask of which peer. It is pure and
// works on numbers of links. Each chunk is asked of one peer at a time, unless
// that is silent for long; a peer that has it not is not asked again before it
// says that it has it now.
type fetcher struct {
	chunks map[chunkID]*chunk
	queue  []chunkID // asked of nobody now, oldest first; may hold ones long found
	links  map[int]*source
}

type chunk struct {
	queued bool // is in queue
}

type source struct {
	inFlight map[chunkID]bool
	without  map[chunkID]bool // said that it has them not
	quiet    int              // ticks since it last answered, while it should
}

func newFetcher() *fetcher {
	return &fetcher{chunks: make(map[chunkID]*chunk), links: make(map[int]*source)}
}

// add puts missing chunks on the list and says how many were not on it.
func (f *fetcher) add(hashes []chunkID) (added int) {
	for _, h := range hashes {
		if f.chunks[h] == nil {
			f.chunks[h] = &chunk{}
			f.enqueue(h)
			added++
		}
	}
	return added
}

// only takes all others off the list that nobody was asked for: the files they
// belong to have changed.
func (f *fetcher) only(missing []chunkID) {
	keep := make(map[chunkID]bool, len(missing))
	for _, h := range missing {
		keep[h] = true
	}
	for _, s := range f.links {
		for h := range s.inFlight {
			keep[h] = true
		}
	}
	maps.DeleteFunc(f.chunks, func(h chunkID, _ *chunk) bool { return !keep[h] })
	f.queue = slices.DeleteFunc(f.queue, func(h chunkID) bool { return f.chunks[h] == nil })
}

// first puts chunks that somebody waits for at the head of the list.
func (f *fetcher) first(hashes []chunkID) {
	f.add(hashes)
	urgent := make(map[chunkID]bool, len(hashes))
	var head []chunkID
	for _, h := range hashes {
		if c := f.chunks[h]; c.queued && !urgent[h] {
			urgent[h] = true
			head = append(head, h)
		}
	}
	f.queue = append(head, slices.DeleteFunc(f.queue, func(h chunkID) bool { return urgent[h] })...)
}

func (f *fetcher) enqueue(h chunkID) {
	c := f.chunks[h]
	if c == nil || c.queued {
		return
	}
	for _, s := range f.links {
		if s.inFlight[h] && s.quiet < maxQuiet {
			return
		}
	}
	c.queued = true
	f.queue = append(f.queue, h)
}

// tick is called now and then: what a link does not answer is asked of others.
func (f *fetcher) tick() {
	for _, s := range f.links {
		if len(s.inFlight) == 0 {
			s.quiet = 0
			continue
		}
		if s.quiet++; s.quiet == maxQuiet {
			for _, h := range inOrder(s.inFlight) {
				f.enqueue(h)
			}
		}
	}
}

// left is how many chunks are on the list.
func (f *fetcher) left() int { return len(f.chunks) }

// idle reports whether a link could be asked for more.
func (f *fetcher) idle(link int) bool {
	s := f.links[link]
	return s != nil && len(s.inFlight) < lowInFlight
}

// up adds a link. Numbers start at 1 and are not used again.
func (f *fetcher) up(link int) {
	f.links[link] = &source{inFlight: make(map[chunkID]bool), without: make(map[chunkID]bool)}
}

// down removes a link; others are asked for what it owed.
func (f *fetcher) down(link int) {
	s := f.links[link]
	if s == nil {
		return
	}
	delete(f.links, link)
	owed := inOrder(s.inFlight)
	for _, h := range owed {
		f.enqueue(h)
	}
}

// ask picks the chunks to ask of a link now.
func (f *fetcher) ask(link int) []chunkID {
	s := f.links[link]
	if s == nil || s.quiet >= maxQuiet {
		return nil
	}
	var out, keep []chunkID
	for i, h := range f.queue {
		if len(s.inFlight) >= maxInFlight || len(out) >= maxWants {
			keep = append(keep, f.queue[i:]...)
			break
		}
		c := f.chunks[h]
		switch {
		case c == nil: // found meanwhile
		case s.without[h] || s.inFlight[h]:
			keep = append(keep, h)
		default:
			c.queued = false
			s.inFlight[h] = true
			out = append(out, h)
		}
	}
	f.queue = keep
	return out
}

// got notes that a chunk has come. It reports whether it was asked of this link:
// nobody may send what was not asked for.
func (f *fetcher) got(link int, h chunkID) bool {
	s := f.links[link]
	if s == nil || !s.inFlight[h] {
		return false
	}
	delete(s.inFlight, h)
	s.quiet = 0
	return true
}

// stored takes a chunk that has come off the list.
func (f *fetcher) stored(h chunkID) { delete(f.chunks, h) }

// failed has a chunk asked again that has come and could not be used.
func (f *fetcher) failed(h chunkID) { f.enqueue(h) }

// none notes that a link has not got a chunk it was asked for.
func (f *fetcher) none(link int, h chunkID) bool {
	s := f.links[link]
	if s == nil || !s.inFlight[h] {
		return false
	}
	delete(s.inFlight, h)
	s.quiet = 0
	s.without[h] = true
	f.enqueue(h)
	return true
}

// offered notes that a link has a chunk that it had not.
func (f *fetcher) offered(link int, h chunkID) {
	if s := f.links[link]; s != nil {
		delete(s.without, h)
	}
}
