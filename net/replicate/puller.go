package replicate

import (
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
)

// Limits of the puller.
const (
	maxSpans = 1024    // feeds asked for in one frame
	maxOffer = 1 << 14 // feeds remembered that a peer offers
	enough   = 32      // entries, or as many times 4 KiB, between two ticks: with fewer a link is stalled
	bulk     = 256     // while more entries than these are on their way from one link, others are asked for none
)

// A span is a part of a feed: the entries after one, up to and with another.
type span struct {
	_     struct{} `cbor:",toarray"`
	After uint64
	Upto  uint64
}

// A puller decides which missing entries to ask of which peer. It is pure and
// works on numbers of links. Each feed is asked of one peer at a time. What the
// author's own device will push by itself is asked of nobody, unless it does
// not come.
//
// Many entries are asked of one link only, which sends them in a causal order:
// entries of two links would wait for each other.
type puller struct {
	links map[int]*offerer
	came  map[identity.ID]uint64 // came without a gap, though it may wait for others; meaningless if less than what is here
	quiet map[identity.ID]*quiet // of what is offered and not here
}

// offerer is a peer that told what it has.
type offerer struct {
	device  identity.PublicKey
	told    map[identity.ID]uint64 // when the link began; its own entries after these it pushes; nil: not yet
	offers  map[identity.ID]uint64 // what it has and we lack
	asked   map[identity.ID]span   // and not answered yet; nil: nothing
	moved   int                    // how much has come since the last tick, or a lot if it was asked since
	stalled bool                   // little of what was asked has come for long: others may be asked too
	vain    map[identity.ID]bool   // it sent not what it was asked for, or what is refused
}

// quiet counts the ticks in which nothing of a feed came.
type quiet struct {
	at    uint64
	ticks int
}

func newPuller() *puller {
	return &puller{
		links: make(map[int]*offerer), came: make(map[identity.ID]uint64),
		quiet: make(map[identity.ID]*quiet),
	}
}

// up adds a link.
func (p *puller) up(link int, device identity.PublicKey) {
	p.links[link] = &offerer{device: device, offers: make(map[identity.ID]uint64), vain: make(map[identity.ID]bool)}
}

// begin notes what the peer of a link has; now it may be asked.
func (p *puller) begin(link int, has map[identity.ID]uint64) {
	if o := p.links[link]; o != nil {
		o.told = has
		p.offer(link, has)
	}
}

// down removes a link; others may be asked for what it owed.
func (p *puller) down(link int) { delete(p.links, link) }

// offer notes what else a peer has. It reports false if that is too much.
func (p *puller) offer(link int, seqs map[identity.ID]uint64) bool {
	o := p.links[link]
	if o == nil {
		return true
	}
	for f, n := range seqs {
		o.offers[f] = max(o.offers[f], n)
	}
	return len(o.offers) <= maxOffer
}

// took notes entries of a link that the space took, or keeps waiting.
func (p *puller) took(link int, items []item, have feed.Timeframe) {
	o := p.links[link]
	for _, e := range items {
		if o != nil {
			o.moved += 1 + len(e.raw)>>12
		}
		if base := max(p.came[e.feed], have[e.feed].Seq); e.seq == base+1 {
			p.came[e.feed] = e.seq
		}
		if o != nil && e.seq > have[e.feed].Seq { // should it get lost while it waits
			o.offers[e.feed] = max(o.offers[e.feed], e.seq)
		}
	}
}

// sent notes that a link has sent all that it was asked for. It reports whether
// anything was.
func (p *puller) sent(link int, have feed.Timeframe) bool {
	o := p.links[link]
	if o == nil || o.asked == nil {
		return false
	}
	for f, s := range o.asked {
		if p.base(f, have) < s.Upto {
			o.vain[f] = true
		}
	}
	o.asked, o.stalled = nil, false
	return true
}

func (p *puller) base(f identity.ID, have feed.Timeframe) uint64 { return max(p.came[f], have[f].Seq) }

// idle reports that a link cannot be asked for anything.
func (p *puller) idle(link int) bool {
	o := p.links[link]
	return o == nil || o.told == nil || o.asked != nil || len(o.offers) == 0
}

// ask returns what to ask of a link now. author names the device that writes a
// feed.
func (p *puller) ask(link int, have feed.Timeframe, author map[identity.ID]identity.PublicKey) map[identity.ID]span {
	if p.idle(link) {
		return nil
	}
	elsewhere := make(map[identity.ID]bool)
	for _, o := range p.links {
		if o.stalled {
			continue
		}
		owed := uint64(0)
		for f, s := range o.asked {
			elsewhere[f] = true
			owed += s.Upto - min(s.Upto, max(s.After, p.base(f, have)))
		}
		if owed > bulk {
			return nil
		}
	}
	o := p.links[link]
	asks := make(map[identity.ID]span)
	for _, f := range inOrder(o.offers) {
		upto, base := o.offers[f], p.base(f, have)
		if upto <= have[f].Seq {
			delete(o.offers, f)
			delete(p.came, f)
			continue
		}
		if q := p.quiet[f]; q == nil || q.ticks == 0 {
			upto = p.unpushed(f, upto, author[f])
		}
		if elsewhere[f] || upto <= base || o.vain[f] {
			continue
		}
		if asks[f] = (span{After: base, Upto: upto}); len(asks) == maxSpans {
			break
		}
	}
	if len(asks) == 0 {
		return nil
	}
	o.asked, o.moved = asks, enough
	return asks
}

// unpushed cuts off what the author of a feed pushes by itself.
func (p *puller) unpushed(f identity.ID, upto uint64, author identity.PublicKey) uint64 {
	if author == (identity.PublicKey{}) {
		return upto
	}
	for _, o := range p.links {
		if o.device == author && o.told != nil {
			upto = min(upto, o.told[f])
		}
	}
	return upto
}

// tick is called now and then. What has not moved since the last call may be
// asked of others; what came and got lost while it waited, or was not usable,
// again: after two ticks, four, eight and so on, as that may be in vain.
func (p *puller) tick(have feed.Timeframe) {
	open := make(map[identity.ID]bool)
	for _, o := range p.links {
		for f, n := range o.offers {
			if n > have[f].Seq {
				open[f] = true
			}
		}
	}
	for f := range p.quiet {
		if !open[f] {
			delete(p.quiet, f)
		}
	}
	for f := range open {
		q, at := p.quiet[f], p.base(f, have)+have[f].Seq
		if q == nil || q.at != at {
			p.quiet[f] = &quiet{at: at}
			continue
		}
		q.ticks++
		if q.ticks&(q.ticks-1) == 0 {
			delete(p.came, f)
			q.at = 2 * have[f].Seq
			for _, o := range p.links {
				delete(o.vain, f)
			}
		}
	}
	for _, o := range p.links {
		o.stalled = o.asked != nil && o.moved < enough
		o.moved = 0
	}
}
