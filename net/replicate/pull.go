package replicate

import (
	"fmt"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// stallTime is how long nothing may come before another peer is asked.
const stallTime = 10 * time.Second

// begun lets the puller ask the peer.
func (l *link) begun(b begun) {
	l.r.aim(b.seqs)
	l.suspect(b.ids)
	l.r.mu.Lock()
	l.r.puller.begin(l.id, b.seqs)
	l.r.mu.Unlock()
	poke(l.tell)
	l.pull()
}

func (l *link) offered(o offered) error {
	l.r.mu.Lock()
	ok := l.r.puller.offer(l.id, o.seqs)
	l.r.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: it names too many feeds", errProtocol)
	}
	l.doubt(o.seqs)
	l.pull()
	return nil
}

func (l *link) served() error {
	have := l.r.space.Timeframe()
	l.r.mu.Lock()
	ok := l.r.puller.sent(l.id, have)
	l.r.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: an answer to a question nobody asked", errProtocol)
	}
	l.r.pullAll()
	return nil
}

// took tells the puller what has come and was not refused.
func (l *link) took(items []item, bad []*space.Refused) {
	type place struct {
		feed identity.ID
		seq  uint64
	}
	refused := make(map[place]bool, len(bad))
	for _, b := range bad {
		refused[place{b.Feed, b.Seq}] = true
	}
	good := make([]item, 0, len(items))
	for _, e := range items {
		if !refused[place{e.feed, e.seq}] {
			good = append(good, e)
		}
	}
	have := l.r.space.Timeframe()
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.puller.took(l.id, good, have)
}

// pull asks the peer for what it should be asked for now.
func (l *link) pull() {
	l.r.mu.Lock()
	if l.r.puller.idle(l.id) {
		l.r.mu.Unlock()
		return
	}
	l.r.mu.Unlock()
	l.r.credentials() // so that the authors are known
	have := l.r.space.Timeframe()
	l.r.mu.Lock()
	l.pullLocked(have)
	l.r.mu.Unlock()
}

// pullLocked is called with the Replicator's lock held.
func (l *link) pullLocked(have feed.Timeframe) {
	spans := l.r.puller.ask(l.id, have, l.r.author)
	if len(spans) == 0 {
		return
	}
	l.mu.Lock()
	l.out = append(l.out, sendPull{spans})
	l.mu.Unlock()
	poke(l.wake)
}

// pullAll asks all peers.
func (r *Replicator) pullAll() {
	have := r.space.Timeframe()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.links {
		l.pullLocked(have)
	}
}

// tick asks others for what does not come. Each link calls it now and then.
func (r *Replicator) tick() {
	have := r.space.Timeframe()
	r.mu.Lock()
	due := time.Since(r.ticked) > stallTime*3/4
	if due {
		r.ticked = time.Now()
		r.puller.tick(have)
		r.fetch.tick()
	}
	r.mu.Unlock()
	if due {
		r.pullAll()
		r.wakeAll()
	}
}
