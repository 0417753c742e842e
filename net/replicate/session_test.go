package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// simEntry is an entry as far as replication cares.
type simEntry struct {
	ref  space.LogRef
	deps map[identity.ID]uint64
}

// simPeer is a device with a space: a log, and credentials that admit peers.
type simPeer struct {
	n       int
	key     byte // of the space; strangers have another
	feed    identity.ID
	log     []simEntry
	at      map[identity.ID]uint64
	creds   []known
	members map[int]bool
	ends    []*simEnd
	puller  *puller
	waiting map[string]simEntry // came before what they build on
	room    int                 // in waiting; more makes it begin anew
	arrived int                 // entries that came, with those that were here
}

// simEnd is one end of a link.
type simEnd struct {
	id    int
	sim   *sim
	self  *simPeer
	other *simEnd
	s     *session
	in    []input  // arrives in order
	todo  []output // not carried out yet
	dirty bool     // the space has changed since the session looked
	dead  error

	heard map[string]int // kinds of message that came
}

// heard is something on its way to a session.
type heard struct{ in input }

type sim struct {
	t     *testing.T
	rnd   *rand.Rand
	peers []*simPeer
	ends  []*simEnd
	links int
	bytes map[string]simEntry // entry by its raw name
	admit map[identity.ID]int // credential → peer that it admits
}

func idOf(kind byte, n int) (id identity.ID) {
	id[0] = kind
	binary.BigEndian.PutUint64(id[1:], uint64(n))
	return id
}

func newSim(t *testing.T, seed uint64, peers int) *sim {
	s := &sim{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), bytes: map[string]simEntry{}, admit: map[identity.ID]int{}}
	for i := range peers {
		s.peers = append(s.peers, &simPeer{n: i, key: 1, feed: idOf('f', i), at: map[identity.ID]uint64{}, members: map[int]bool{}, puller: newPuller(), waiting: map[string]simEntry{}, room: 1000})
	}
	s.invite(s.peers[0], 0)
	return s
}

// invite lets host admit guest, who starts with the host's credentials.
func (s *sim) invite(host *simPeer, guest int) {
	id := idOf('c', len(s.admit))
	s.admit[id] = guest
	s.addCred(host, known{id: id, deps: simHeads(host.creds), raw: id[:]})
	for _, c := range host.creds {
		s.addCred(s.peers[guest], c)
	}
}

func (s *sim) addCred(p *simPeer, c known) {
	have := map[identity.ID]bool{}
	for _, k := range p.creds {
		have[k.id] = true
	}
	if have[c.id] {
		return
	}
	for _, d := range c.deps {
		if !have[d] {
			s.t.Fatalf("peer %d got credential %v before %v", p.n, c.id.Short(), d.Short())
		}
	}
	p.creds = append(p.creds, c)
	p.members[s.admit[c.id]] = true
	p.touch()
}

func simHeads(creds []known) []identity.ID {
	past := map[identity.ID]bool{}
	for _, c := range creds {
		for _, d := range c.deps {
			past[d] = true
		}
	}
	var out []identity.ID
	for _, c := range creds {
		if !past[c.id] {
			out = append(out, c.id)
		}
	}
	return out
}

func (p *simPeer) touch() {
	for _, e := range p.ends {
		e.dirty = true
	}
}

func (s *sim) writeEntry(p *simPeer) {
	e := simEntry{ref: space.LogRef{Feed: p.feed, Seq: p.at[p.feed] + 1}, deps: map[identity.ID]uint64{}}
	for f, n := range p.at {
		e.deps[f] = n
	}
	s.bytes[nameOf(e.ref)] = e
	s.commit(p, e)
}

func nameOf(r space.LogRef) string { return fmt.Sprintf("%x/%d", r.Feed[:9], r.Seq) }

// accept is what a space's Accept does: what builds on something that is not
// here waits.
func (s *sim) accept(p *simPeer, e simEntry) {
	if !s.commit(p, e) {
		if len(p.waiting) >= p.room {
			clear(p.waiting)
		}
		p.waiting[nameOf(e.ref)] = e
		return
	}
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(p.waiting)) { // in order: a seed is to repeat itself
			if s.commit(p, p.waiting[name]) {
				delete(p.waiting, name)
				again = true
			}
		}
	}
}

// commit reports false for an entry that has to wait.
func (s *sim) commit(p *simPeer, e simEntry) bool {
	if e.ref.Seq <= p.at[e.ref.Feed] {
		return true
	}
	if author := int(binary.BigEndian.Uint64(e.ref.Feed[1:])); !p.members[author] {
		s.t.Fatalf("peer %d got %s before the credentials of its author", p.n, nameOf(e.ref))
	}
	if e.ref.Seq > p.at[e.ref.Feed]+1 {
		return false
	}
	for f, n := range e.deps {
		if p.at[f] < n {
			return false
		}
	}
	e.ref.Pos = uint64(len(p.log)) + 1
	p.log = append(p.log, e)
	p.at[e.ref.Feed] = e.ref.Seq
	p.touch()
	return true
}

func (p *simPeer) frame() feed.Timeframe {
	tf := feed.Timeframe{}
	for f, n := range p.at {
		tf[f] = feed.Head{Seq: n}
	}
	return tf
}

func (s *sim) device(n int) (key identity.PublicKey) {
	key[0], key[1] = 'd', byte(n)
	return key
}

// authors is what p knows of who writes which feed.
func (s *sim) authors(p *simPeer) map[identity.ID]identity.PublicKey {
	out := map[identity.ID]identity.PublicKey{}
	for n := range p.members {
		out[s.peers[n].feed] = s.device(n)
	}
	return out
}

// pull asks at all ends of p.
func (s *sim) pull(p *simPeer) {
	for _, e := range p.ends {
		if spans := p.puller.ask(e.id, p.frame(), s.authors(p)); spans != nil {
			e.todo = append(e.todo, sendPull{spans})
		}
	}
}

// tick lets time pass for everybody.
func (s *sim) tick() {
	for _, p := range s.peers {
		p.puller.tick(p.frame())
		s.pull(p)
	}
}

func (s *sim) connect(a, b *simPeer) {
	exporter := binary.BigEndian.AppendUint64(nil, s.rnd.Uint64())
	end := func(p *simPeer, initiator bool) *simEnd {
		key := feed.Key{p.key}
		return &simEnd{
			sim: s, self: p, dirty: true, heard: map[string]int{},
			s: newSession(prove(key, exporter, initiator), prove(key, exporter, !initiator)),
		}
	}
	x, y := end(a, true), end(b, false)
	x.other, y.other = y, x
	for _, e := range []*simEnd{x, y} {
		s.links++
		e.id = s.links
		e.self.puller.up(e.id, s.device(e.other.self.n))
		e.self.ends = append(e.self.ends, e)
		s.ends = append(s.ends, e)
		e.feed(started{})
	}
}

func (e *simEnd) cut() {
	for _, x := range []*simEnd{e, e.other} {
		if x.dead == nil {
			x.dead = errors.New("cut")
			x.self.puller.down(x.id)
			x.sim.pull(x.self)
		}
	}
}

func (e *simEnd) feed(in input) {
	outs, err := e.s.step(in)
	if err != nil {
		e.cut()
		e.dead = err
		return
	}
	e.todo = append(e.todo, outs...)
}

// act does one thing at this end, if there is one to do.
func (e *simEnd) act() bool {
	if e.dead != nil {
		return false
	}
	var choices []func()
	if len(e.in) > 0 {
		choices = append(choices, func() {
			in := e.in[0]
			e.in = e.in[1:]
			e.heard[fmt.Sprintf("%T", in)]++
			e.feed(in)
		})
	}
	if len(e.todo) > 0 {
		choices = append(choices, func() {
			o := e.todo[0]
			e.todo = e.todo[1:]
			e.do(o)
		})
	}
	if e.dirty && (len(choices) == 0 || e.sim.rnd.IntN(8) == 0) { // notices may come late
		choices = append(choices, e.look)
	}
	if len(choices) == 0 {
		return false
	}
	choices[e.sim.rnd.IntN(len(choices))]()
	return true
}

func (e *simEnd) look() {
	e.dirty = false
	e.feed(changed{
		member: e.self.members[e.other.self.n],
		creds:  e.self.creds,
		rev:    len(e.self.creds),
		have:   e.self.frame(),
	})
	e.sim.pull(e.self)
}

func (e *simEnd) do(o output) {
	p, to := e.self, e.other
	switch o := o.(type) {
	case sendProof:
		to.in = append(to.in, gotProof{o.MAC, o.Older})
	case sendHeads:
		to.in = append(to.in, gotHeads{simHeads(p.creds)})
	case sendCreds:
		in := gotCredentials{raw: o.raw}
		for _, b := range o.raw {
			in.ids = append(in.ids, identity.ID(b))
		}
		to.in = append(to.in, in)
	case sendHave:
		in := gotHave{seqs: map[identity.ID]uint64{}}
		for f, h := range o.Timeframe {
			in.seqs[f] = h.Seq
		}
		to.in = append(to.in, in)
	case readLog:
		var refs []space.LogRef
		for _, l := range p.log[o.after:min(int(o.after)+3, len(p.log))] {
			refs = append(refs, l.ref)
		}
		// The space may change before the session hears what the log held.
		e.todo = append([]output{heard{logged{refs, p.creds, len(p.creds), func(f identity.ID) bool { return f == p.feed }}}}, e.todo...)
	case heard:
		e.feed(o.in)
	case sendEntries:
		if !p.members[to.self.n] {
			e.sim.t.Fatalf("peer %d sent entries to %d, which is no member", p.n, to.self.n)
		}
		var in gotEntries
		for _, r := range o.refs {
			name := nameOf(r)
			if p.at[r.Feed] < r.Seq {
				e.sim.t.Fatalf("peer %d sent %s, which it has not", p.n, name)
			}
			in.items = append(in.items, item{feed: r.Feed, seq: r.Seq, raw: []byte(name)})
		}
		to.in = append(to.in, in)
	case addCreds:
		for _, b := range o.raw {
			for _, q := range e.sim.peers {
				for _, c := range q.creds {
					if string(c.raw) == string(b) {
						e.sim.addCred(p, c)
					}
				}
			}
		}
	case accept:
		for _, it := range o.items {
			p.arrived++
			e.sim.accept(p, e.sim.bytes[string(it.raw)])
		}
		p.puller.took(e.id, o.items, p.frame())
	case sendNews:
		to.in = append(to.in, gotNews(o))
	case sendPull:
		to.in = append(to.in, gotPull(o))
	case sendSent:
		e.feed(answered{})
		to.in = append(to.in, gotSent{})
	case begun:
		p.puller.begin(e.id, o.seqs)
		e.sim.pull(p)
	case offered:
		p.puller.offer(e.id, o.seqs)
		e.sim.pull(p)
	case served:
		if !p.puller.sent(e.id, p.frame()) {
			e.sim.t.Fatalf("peer %d was served without asking", p.n)
		}
		e.sim.pull(p)
	case look:
		e.look()
	default:
		e.sim.t.Fatalf("unknown output %T", o)
	}
}

// settle runs until nothing is left to do.
func (s *sim) settle() {
	for steps := 0; ; steps++ {
		busy := false
		for _, e := range s.ends {
			if e.act() {
				busy = true
			}
		}
		if !busy {
			return
		}
		if steps > 1_000_000 {
			s.t.Fatal("it never settles")
		}
	}
}

func (s *sim) forget() {
	live := s.ends[:0]
	for _, e := range s.ends {
		if e.dead == nil {
			live = append(live, e)
		}
	}
	s.ends = live
	for _, p := range s.peers {
		mine := p.ends[:0]
		for _, e := range p.ends {
			if e.dead == nil {
				mine = append(mine, e)
			}
		}
		p.ends = mine
	}
}

func (s *sim) run(steps int) {
	joined := 1
	for range steps {
		switch r := s.rnd.IntN(100); {
		case r < 3 && joined < len(s.peers) && s.rnd.IntN(8) == 0: // while the others are busy
			s.invite(s.peers[s.rnd.IntN(joined)], joined)
			joined++
		case r < 13:
			s.writeEntry(s.peers[s.rnd.IntN(joined)])
		case r < 17 && len(s.ends) < 4*len(s.peers): // duplicates of links are welcome
			a, b := s.rnd.IntN(len(s.peers)), s.rnd.IntN(len(s.peers))
			if a != b {
				s.connect(s.peers[a], s.peers[b])
			}
		case r < 19 && len(s.ends) > 0:
			s.ends[s.rnd.IntN(len(s.ends))].cut()
			s.forget()
		case r < 20 && s.rnd.IntN(5) == 0: // partition: everything is cut
			for _, e := range s.ends {
				e.cut()
			}
			s.forget()
		default:
			for range min(len(s.ends), 12) {
				s.ends[s.rnd.IntN(len(s.ends))].act()
			}
		}
	}
	for ; joined < len(s.peers); joined++ {
		s.invite(s.peers[s.rnd.IntN(joined)], joined)
	}
}

func TestClusterConverges(t *testing.T) {
	for seed := range uint64(150) {
		s := newSim(t, seed, 2+int(seed%7))
		s.run(3000)
		s.forget()
		for i := range s.peers { // heal to a line: everything must be forwarded
			if i > 0 {
				s.connect(s.peers[i-1], s.peers[i])
			}
		}
		s.settle()
		for range 8 { // what got lost while it waited, or is owed by a link that is stuck, is asked for again in time
			s.tick()
			s.settle()
		}
		for _, p := range s.peers[1:] {
			if len(p.log) != len(s.peers[0].log) || len(p.creds) != len(s.peers[0].creds) {
				t.Fatalf("seed %d: peer %d has %d entries and %d credentials, peer 0 has %d and %d",
					seed, p.n, len(p.log), len(p.creds), len(s.peers[0].log), len(s.peers[0].creds))
			}
		}
		for _, e := range s.ends {
			if errors.Is(e.dead, errProtocol) || errors.Is(e.dead, errStranger) {
				t.Fatalf("seed %d: honest peers fell out: %v", seed, e.dead)
			}
		}
	}
}

func TestStrangerLearnsNothing(t *testing.T) {
	s := newSim(t, 1, 2)
	s.writeEntry(s.peers[0])
	s.peers[1].key = 2
	s.peers[0].members[1] = true // even if its device were a member once
	s.connect(s.peers[0], s.peers[1])
	stranger := s.peers[1].ends[0]
	s.settle()
	if stranger.dead == nil {
		t.Fatal("the link lives")
	}
	for kind := range stranger.heard {
		if kind != "replicate.gotProof" {
			t.Errorf("the stranger was sent %s", kind)
		}
	}
	if len(s.peers[1].log) != 0 || len(s.peers[1].creds) != 0 {
		t.Error("the stranger has something")
	}
}

func TestKeyAloneGivesNoEntries(t *testing.T) {
	s := newSim(t, 1, 2)
	s.writeEntry(s.peers[0])
	s.connect(s.peers[0], s.peers[1]) // knows the key, was never admitted
	s.settle()
	guest := s.peers[1].ends[0]
	if guest.heard["replicate.gotHave"]+guest.heard["replicate.gotEntries"] > 0 {
		t.Fatalf("no member, but was sent %v", guest.heard)
	}
	s.invite(s.peers[0], 1) // on the open link
	s.settle()
	if len(s.peers[1].log) != 1 {
		t.Fatal("the entry did not come after admission")
	}
}

// TestEqualPeersSendNothing connects peers that have the same: heads and
// timeframes say so, and that is all.
func TestEqualPeersSendNothing(t *testing.T) {
	s := newSim(t, 1, 3)
	s.invite(s.peers[0], 1)
	s.invite(s.peers[0], 2)
	for range 5 {
		s.writeEntry(s.peers[0])
	}
	s.connect(s.peers[0], s.peers[2])
	s.settle()
	for _, c := range s.peers[2].creds {
		s.addCred(s.peers[1], c)
	}
	for _, e := range s.peers[0].log {
		s.commit(s.peers[1], e)
	}
	s.connect(s.peers[1], s.peers[2])
	s.settle()
	for _, e := range s.peers[1].ends {
		if n := e.heard["replicate.gotCredentials"] + e.heard["replicate.gotEntries"]; n != 0 {
			t.Errorf("was sent %v", e.heard)
		}
	}
}

// TestWaitingCredentialsArePassedOn changes the credentials without changing
// how many there are, and asks for all of them again.
func TestWaitingCredentialsArePassedOn(t *testing.T) {
	s := newSession([32]byte{1}, [32]byte{2})
	sends := func(in input) (n int) {
		t.Helper()
		outs, err := s.step(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outs {
			if c, ok := o.(sendCreds); ok {
				n += len(c.raw)
			}
		}
		return n
	}
	one := []known{{id: idOf('c', 1)}, {id: idOf('c', 2), deps: []identity.ID{idOf('x', 9)}}}
	other := []known{{id: idOf('c', 1)}, {id: idOf('c', 3), deps: []identity.ID{idOf('x', 9)}}}
	for i, tt := range []struct {
		in   input
		want int
	}{
		{gotProof{mac: [32]byte{2}}, 0},
		{gotHeads{[]identity.ID{idOf('c', 1)}}, 0},
		{changed{creds: one, rev: 1}, 1},
		{changed{creds: one, rev: 1}, 0},
		{changed{creds: other, rev: 2}, 1},
		{gotHeads{[]identity.ID{idOf('c', 1)}}, 0}, // it had no room for them
		{changed{creds: other, rev: 2}, 1},
	} {
		if n := sends(tt.in); n != tt.want {
			t.Errorf("step %d: sent %d credentials, want %d", i, n, tt.want)
		}
	}
}

// TestLogGrowsWhileItIsRead commits an entry between the reading of the log and
// the moment when the session hears what was read.
func TestLogGrowsWhileItIsRead(t *testing.T) {
	s := newSession([32]byte{1}, [32]byte{2})
	grown := changed{member: true}
	own := func(identity.ID) bool { return true }
	reads := func(in input) (n int) {
		t.Helper()
		outs, err := s.step(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outs {
			if _, ok := o.(readLog); ok {
				n++
			}
		}
		return n
	}
	for _, in := range []input{gotProof{mac: [32]byte{2}}, gotHeads{}, grown} {
		if reads(in) != 0 {
			t.Fatal("the log was read too early")
		}
	}
	for i, tt := range []struct {
		in   input
		want int
	}{
		{gotHave{seqs: map[identity.ID]uint64{}}, 1},
		{grown, 0},    // it is being read
		{logged{}, 1}, // nothing was there, but it has grown since
		{logged{}, 0}, // and now it is at its end
		{grown, 1},
		{logged{refs: []space.LogRef{{Pos: 1, Seq: 1}}, own: own}, 1},
		{logged{}, 0},
	} {
		if n := reads(tt.in); n != tt.want {
			t.Errorf("step %d: %d reads, want %d", i, n, tt.want)
		}
	}
}

func manyFeeds() gotNews {
	in := gotNews{map[identity.ID]uint64{}}
	for i := range maxKnown + 1 {
		in.seqs[idOf('x', i)] = 1
	}
	return in
}

// mesh makes n peers that all know and are linked to each other.
func fullMesh(t *testing.T, seed uint64, n int) *sim {
	s := newSim(t, seed, n)
	for i := 1; i < n; i++ {
		s.invite(s.peers[0], i)
	}
	for _, p := range s.peers {
		for _, c := range s.peers[0].creds {
			s.addCred(p, c)
		}
	}
	for i := range n {
		for j := range i {
			s.connect(s.peers[i], s.peers[j])
		}
	}
	s.settle()
	return s
}

// TestEntriesCrossEachLineOnce writes in a full mesh: nobody gets anything twice,
// and what is new comes without being asked for.
func TestEntriesCrossEachLineOnce(t *testing.T) {
	for seed := range uint64(20) {
		s := fullMesh(t, seed, 5)
		for i := range 200 {
			s.writeEntry(s.peers[i%3])
			for range 20 {
				s.ends[s.rnd.IntN(len(s.ends))].act()
			}
		}
		s.settle()
		for i, p := range s.peers {
			own := int(p.at[p.feed])
			if len(p.log) != 200 || p.arrived != 200-own {
				t.Errorf("seed %d: peer %d has %d of 200 entries, %d came, want %d", seed, i, len(p.log), p.arrived, 200-own)
			}
			for _, e := range p.ends {
				if n := e.heard["replicate.gotPull"]; n > 0 {
					t.Errorf("seed %d: peer %d was asked %d times", seed, i, n)
				}
			}
		}
	}
}

// TestCatchUpInAMesh lets a device join that lacks everything: it gets it once,
// though all others have it.
func TestCatchUpInAMesh(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(t, seed, 6)
		for i := 1; i < 6; i++ {
			s.invite(s.peers[0], i)
		}
		s.connect(s.peers[0], s.peers[1])
		s.settle()
		for i := range 500 {
			s.writeEntry(s.peers[i%2])
			s.settle()
		}
		for _, p := range s.peers[2:5] {
			s.connect(p, s.peers[0])
		}
		s.settle()
		late := s.peers[5]
		late.room = 64 // they have to come in a causal order
		for _, p := range s.peers[:5] {
			s.connect(late, p)
		}
		s.settle()
		if len(late.log) != 500 || late.arrived != 500 {
			t.Errorf("seed %d: has %d of 500 entries, %d came", seed, len(late.log), late.arrived)
		}
	}
}

// TestProviderVanishes cuts the link that a peer is catching up by; the author
// is not reachable.
func TestProviderVanishes(t *testing.T) {
	for seed := range uint64(50) {
		s := newSim(t, seed, 4)
		for i := 1; i < 4; i++ {
			s.invite(s.peers[0], i)
		}
		s.connect(s.peers[0], s.peers[1])
		s.connect(s.peers[0], s.peers[2])
		for range 300 {
			s.writeEntry(s.peers[0])
		}
		s.settle()
		late := s.peers[3]
		s.connect(late, s.peers[1])
		s.connect(late, s.peers[2])
		for late.arrived < 20+int(seed) {
			for range 20 {
				s.ends[s.rnd.IntN(len(s.ends))].act()
			}
		}
		for _, e := range late.ends {
			if late.puller.links[e.id].asked != nil {
				e.cut()
				break
			}
		}
		s.forget()
		for range 10 { // while new ones come
			s.writeEntry(s.peers[0])
		}
		s.settle()
		if len(late.log) != 310 {
			t.Errorf("seed %d: has %d of 310 entries", seed, len(late.log))
		}
		if late.arrived > 310+300 {
			t.Errorf("seed %d: %d entries came", seed, late.arrived)
		}
	}
}

// TestSilentProvider asks another peer when one that named entries sends
// nothing, and when an author's own device does not push.
func TestSilentProvider(t *testing.T) {
	for _, author := range []bool{false, true} {
		s := newSim(t, 1, 4)
		for i := 1; i < 4; i++ {
			s.invite(s.peers[0], i)
		}
		s.connect(s.peers[0], s.peers[1])
		s.connect(s.peers[0], s.peers[2])
		for range 100 {
			s.writeEntry(s.peers[0])
		}
		s.settle()
		late := s.peers[3]
		silent := s.peers[1]
		if author {
			silent = s.peers[0]
		}
		s.connect(late, silent)
		s.settle()
		if len(late.log) != 100 {
			t.Fatal("did not catch up")
		}
		dead := late.ends[0].other
		quiet := s.ends[:0:0]
		for _, e := range s.ends { // alive, and sends nothing
			if e != dead {
				quiet = append(quiet, e)
			}
		}
		s.ends = quiet
		if !author {
			late.puller.offer(late.ends[0].id, map[identity.ID]uint64{s.peers[0].feed: 150})
			s.pull(late)
		}
		for range 50 {
			s.writeEntry(s.peers[0])
		}
		s.connect(late, s.peers[2])
		s.settle()
		for range 3 {
			s.tick()
			s.settle()
		}
		if len(late.log) != 150 {
			t.Errorf("author %v: has %d of 150 entries", author, len(late.log))
		}
	}
}

// TestLiarDoesNotBlockOthers has a peer that claims to have everything and sends
// now and then an entry, if any, while the author of one feed goes on writing.
func TestLiarDoesNotBlockOthers(t *testing.T) {
	p := newPuller()
	feeds := []identity.ID{idOf('f', 1), idOf('f', 2)}
	have := feed.Timeframe{}
	p.up(1, identity.PublicKey{1})
	p.begin(1, map[identity.ID]uint64{feeds[0]: 1 << 60, feeds[1]: 1 << 60})
	if len(p.ask(1, have, nil)) != 2 {
		t.Fatal("the first peer was not asked")
	}
	p.up(2, identity.PublicKey{2})
	p.begin(2, map[identity.ID]uint64{feeds[1]: 1000})
	if p.ask(2, have, nil) != nil {
		t.Fatal("two peers were asked for many")
	}
	for n := range uint64(4) {
		have[feeds[0]] = feed.Head{Seq: n + 1}
		p.took(3, []item{{feed: feeds[0], seq: n + 1}}, have)
		p.took(1, []item{{feed: feeds[1], seq: n + 1}}, have)
		p.tick(have)
	}
	if asks := p.ask(2, have, nil); asks[feeds[1]].Upto != 1000 {
		t.Errorf("the honest peer is asked for %v", asks)
	}
}

// TestWhatWaitedAndWasLost loses entries that wait, as a space does that has too
// many of them.
func TestWhatWaitedAndWasLost(t *testing.T) {
	s := newSim(t, 1, 3)
	s.invite(s.peers[0], 1)
	s.invite(s.peers[0], 2)
	late := s.peers[2]
	s.connect(s.peers[0], s.peers[1])
	s.settle()
	s.connect(late, s.peers[1])
	s.settle()
	for range 30 {
		s.writeEntry(s.peers[0])
		for s.peers[1].at[s.peers[0].feed] < s.peers[0].at[s.peers[0].feed] {
			s.ends[0].act()
			s.ends[1].act()
		}
		s.writeEntry(s.peers[1])
	}
	late.room = 3 // the entries of 1 come at once, what they build on is asked for
	s.settle()
	for range 20 {
		s.tick()
		s.settle()
	}
	if len(late.log) != 60 {
		t.Errorf("has %d of 60 entries, %d came", len(late.log), late.arrived)
	}
}

func TestSessionRefuses(t *testing.T) {
	mine, theirs := [32]byte{1}, [32]byte{2}
	fresh := func() *session { return newSession(mine, theirs) }
	proved := func() *session {
		s := fresh()
		_, _ = s.step(gotProof{mac: theirs})
		return s
	}
	open := func() *session {
		s := proved()
		_, _ = s.step(gotHeads{})
		_, _ = s.step(changed{member: true})
		_, _ = s.step(gotHave{seqs: map[identity.ID]uint64{}})
		return s
	}
	some := gotEntries{items: []item{{seq: 1}}}
	tests := []struct {
		name string
		s    *session
		in   input
		want error
	}{
		{"wrong proof", fresh(), gotProof{mac: [32]byte{9}}, errStranger},
		{"our own proof sent back", fresh(), gotProof{mac: mine}, errStranger},
		{"heads first", fresh(), gotHeads{}, errProtocol},
		{"credentials first", fresh(), gotCredentials{}, errProtocol},
		{"timeframe first", fresh(), gotHave{}, errProtocol},
		{"entries first", fresh(), some, errProtocol},
		{"news first", fresh(), gotNews{}, errProtocol},
		{"pull first", fresh(), gotPull{}, errProtocol},
		{"pull before timeframes", proved(), gotPull{}, errProtocol},
		{"news before timeframes", proved(), gotNews{}, errProtocol},
		{"sent before timeframes", proved(), gotSent{}, errProtocol},
		{"pull of what was not named", open(), gotPull{map[identity.ID]span{{1}: {Upto: 1}}}, errProtocol},
		{"too many feeds", open(), manyFeeds(), errProtocol},
		{"proof twice", proved(), gotProof{mac: theirs}, errProtocol},
		{"credentials before heads", proved(), gotCredentials{}, errProtocol},
		{"entries before our timeframe", proved(), some, errProtocol},
		{"heads twice", open(), gotHeads{}, nil},
		{"timeframe twice", open(), gotHave{}, errProtocol},
		{"entries", open(), some, nil},
		{"credentials", open(), gotCredentials{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.s.step(tt.in); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("asking without reading", func(t *testing.T) {
		s := open()
		s.said[identity.ID{1}] = 5
		ask := gotPull{map[identity.ID]span{{1}: {Upto: 5}}}
		if outs, err := s.step(ask); err != nil || len(outs) != 2 {
			t.Fatal(outs, err)
		}
		if _, err := s.step(ask); !errors.Is(err, errProtocol) {
			t.Errorf("got %v", err)
		}
		_, _ = s.step(answered{})
		if _, err := s.step(ask); err != nil {
			t.Error(err)
		}
	})
	t.Run("heads for ever", func(t *testing.T) {
		s := open()
		var err error
		for range maxHeadsSent + 1 {
			_, e := s.step(gotHeads{})
			err = errors.Join(err, e)
		}
		if !errors.Is(err, errProtocol) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("entries after the peer was removed", func(t *testing.T) {
		s := open()
		if _, err := s.step(changed{member: false}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.step(some); !errors.Is(err, errProtocol) {
			t.Errorf("got %v", err)
		}
	})
}
