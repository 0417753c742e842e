package replicate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/signaling"
	"github.com/echofs/echofs/net/wire"
)

// An author is a person with a program of their own: it signs what it likes, and
// knows of the members what it likes.
type author struct {
	t      *testing.T
	device *identity.Device
	state  *membership.State
	key    feed.Key
	feed   identity.ID
	last   *feed.Entry
}

// author makes a member whose program is modified.
func (r *realSpace) author(name string, role credential.Role) *author {
	r.t.Helper()
	a := &author{t: r.t.(*testing.T), device: newDevice(r.t, name), state: membership.Of(r.ID()), key: r.Key()}
	if _, err := r.Admit(a.device.Chain(), role); err != nil {
		r.t.Fatal(err)
	}
	a.learn(r)
	a.open(r)
	return a
}

// learn takes in what a space knows of the members.
func (a *author) learn(r *realSpace) {
	a.t.Helper()
	for _, raw := range r.Credentials() {
		op, err := credential.Decode(raw)
		if err == nil {
			_, err = a.state.Add(op)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// open opens a feed, of which the space hears.
func (a *author) open(r *realSpace) {
	a.t.Helper()
	op, err := a.state.OpenFeed(a.device, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	a.tell(r, op)
	a.feed, a.last = op.ID, nil
}

// tell gives a space credentials that the author made.
func (a *author) tell(r *realSpace, ops ...credential.Signed) {
	a.t.Helper()
	for _, op := range ops {
		if _, err := a.state.Add(op); err != nil {
			a.t.Fatal(err)
		}
		if err := r.AddCredentials(a.t.Context(), [][]byte{op.Raw}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// next signs the next entry of the feed, which makes a file; change, if any, does
// something to it before.
func (a *author) next(name string, change func(*feed.Header)) []byte {
	a.t.Helper()
	h := feed.Header{Space: a.state.Space(), Feed: a.feed, Seq: 1, Auth: a.state.Auth(), First: 1, Ops: 1}
	if a.last != nil {
		h.Seq, h.Prev, h.First = a.last.Seq+1, a.last.ID, a.last.Next()
	}
	if change != nil {
		change(&h)
	}
	node := identity.Hash("node", []byte(name))
	payload, err := tree.Encode([]tree.Op{{N: h.First, Lamport: 1, Node: tree.NodeID(node[:16]),
		Place: &tree.Place{Name: []byte(name)}, Content: &tree.Content{Kind: tree.Bytes, Data: []byte(name)}}})
	if err != nil {
		a.t.Fatal(err)
	}
	e, err := feed.Seal(a.device, h, a.key, payload)
	if err != nil {
		a.t.Fatal(err)
	}
	if change == nil {
		a.last = &e
	}
	return e.Raw
}

// An intruder plays a peer on every link it gets, up to where entries may come,
// then does what it came for, and listens until the link ends.
type intruder struct {
	author *author
	keys   []feed.Key // that it proves, the first as that of now
	says   func(to identity.PublicKey, c *wire.Conn)
	asked  func(c *wire.Conn)   // which entry it has in a place
	among  []identity.PublicKey // the honest, whom alone it talks to

	ended chan struct{} // gets a token for each link that has ended
	mu    sync.Mutex
	heard map[wire.Type]int
	creds [][]byte // what it was told of the members
}

func (i *intruder) Link(ctx context.Context, l *mesh.Link) error {
	if !slices.Contains(i.among, l.Peer.Device) {
		return mesh.ErrRefused
	}
	defer func() { i.ended <- struct{}{} }()
	defer context.AfterFunc(ctx, func() { _ = l.Sync.Close() })()
	c := wire.NewConn(l.Sync, syncLimits)
	p := proof{MAC: prove(i.keys[0], l.Exporter, l.Initiator)}
	for _, k := range i.keys[1:] {
		p.Older = append(p.Older, prove(k, l.Exporter, l.Initiator))
	}
	var creds [][]byte
	for _, op := range i.author.state.Ops() {
		creds = append(creds, op.Raw)
	}
	talk := sync.OnceFunc(func() {
		_ = c.Send(frameHeads, heads{i.author.state.Heads()})
		_ = c.Send(frameCredentials, credentials{creds})
		_ = c.Send(frameHave, have{feed.Timeframe{}})
	})
	_ = c.Send(frameProof, p)
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return mesh.ErrRefused // the mesh need not try again
		}
		i.mu.Lock()
		i.heard[f.Type]++
		if m := (credentials{}); f.Type == frameCredentials && f.Decode(&m) == nil {
			i.creds = append(i.creds, m.Raw...)
		}
		i.mu.Unlock()
		switch f.Type {
		case frameProof:
			talk()
		case frameHave:
			if i.says != nil {
				i.says(l.Peer.Device, c)
			}
		case frameAsk:
			if i.asked != nil {
				i.asked(c)
			}
		}
	}
}

// A field is a space of honest devices on a real mesh.
type field struct {
	t      *testing.T
	board  string // the signaling server
	honest []identity.PublicKey
}

func newField(t *testing.T, honest ...*realSpace) *field {
	board := signaling.NewServer(signaling.ServerConfig{})
	web := httptest.NewServer(board)
	t.Cleanup(func() { web.Close(); board.Close() })
	f := &field{t: t, board: web.URL}
	for _, r := range honest {
		f.honest = append(f.honest, r.device.Key())
	}
	return f
}

// comes has a device meet the others where its keys, or those of the space, say.
func (f *field) comes(d *identity.Device, h mesh.Handler, topics ...[32]byte) {
	f.t.Helper()
	m := runMesh(f.t, d, f.board)
	for _, t := range topics {
		f.t.Cleanup(m.Join(t, h))
	}
}

// intrudes has an author meet the others.
func (f *field) intrudes(a *author, says func(to identity.PublicKey, c *wire.Conn), keys ...feed.Key) *intruder {
	f.t.Helper()
	i := &intruder{author: a, keys: keys, says: says, among: f.honest, ended: make(chan struct{}, 1000), heard: map[wire.Type]int{}}
	var topics [][32]byte
	for _, k := range keys {
		topics = append(topics, k.Topic())
	}
	f.comes(a.device, i, topics...)
	return i
}

// TestHostilePeers: over real links, whatever a peer signs, relays or makes up,
// all honest devices refuse it, take what is good, and show the same.
func TestHostilePeers(t *testing.T) {
	anna := createReal(t, "anna")
	ben, cem := anna.welcome("ben"), anna.welcome("cem")
	honest := []*realSpace{anna, ben, cem}
	f := newField(t, honest...)
	first := anna.Key()

	// People who will do something they may not.
	mallory := anna.author("mallory", credential.Editor)
	mona := anna.author("mona", credential.Editor) // what they sign beside, in a feed of its own
	rita := anna.author("rita", credential.Reader)
	xaver := anna.author("xaver", credential.Editor)
	dora := anna.author("dora", credential.Editor)
	eve := anna.author("eve", credential.Editor)
	stolen := dora.second(anna, "phone")
	give(t, anna, decoded(t, mona.next("of mona, before", nil)), decoded(t, xaver.next("of xaver, before", nil)), decoded(t, stolen.next("of the phone, before", nil)))
	backdated := xaver.next("back-dated", nil)
	stale := stolen.next("back-dated by a revoked device", nil)
	if err := anna.SetRole(t.Context(), xaver.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	dora.learn(anna)
	if err := dora.device.RevokeDevice(stolen.device.Key()); err != nil {
		t.Fatal(err)
	}
	cut, err := dora.state.CutDevice(dora.device, stolen.device.Key(), dora.device.Chain(), []credential.Cut{{Feed: stolen.feed, Seq: 1, ID: decoded(t, stolen.before).ID}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dora.tell(anna, cut)
	if err := anna.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*author{mallory, mona, rita, xaver, dora, eve, stolen.author} {
		a.learn(anna)
		a.key = anna.Key()
	}
	old := mallory.state.Auth()

	// Of another space, in which mallory is, too.
	elsewhere := createReal(t, "zoe")
	there := elsewhere.author("mallory there", credential.Editor)
	stranger := &author{t: t, device: newDevice(t, "sven"), state: elsewhere.author("sven there", credential.Admin).state, key: anna.Key()}
	stranger.feed = identity.Hash("feed", []byte("of nobody"))

	bad := map[string][]byte{
		"of a reader":                    rita.next("of a reader", nil),
		"of a stranger":                  stranger.next("of a stranger", func(h *feed.Header) { h.Space, h.Auth = anna.ID(), old }),
		"of a stranger in a known feed":  stranger.next("of a stranger in a known feed", func(h *feed.Header) { h.Space, h.Feed, h.Auth = anna.ID(), eve.feed, old }),
		"back-dated":                     backdated,
		"after the removal":              xaver.next("after the removal", nil),
		"back-dated by a revoked device": stale,
		"after the cut":                  stolen.next("after the cut", nil),
		"of another space":               there.next("of another space", nil),
		"of another space in this feed":  mallory.next("of another space in this feed", func(h *feed.Header) { h.Space = elsewhere.ID() }),
		"that leaves out numbers":        mona.next("that leaves out numbers", func(h *feed.Header) { h.First += 7 }),
		"in the feed of another": mona.next("in the feed of another", func(h *feed.Header) {
			h.Feed, h.Seq, h.Prev, h.First = eve.feed, 1, identity.ID{}, 1
		}),
	}
	forged := credential.Op{
		Space: anna.ID(), Kind: credential.SetRole, Deps: mallory.state.Heads(), Proof: mallory.state.Ops()[0].ID,
		Subject: rita.device.Identity(), Role: credential.Admin, Time: time.Now().UnixMilli(),
	}
	lie, err := credential.Make(mallory.device, forged)
	if err != nil {
		t.Fatal(err)
	}
	good := mallory.next("good", nil)
	outdated := mona.next("knows less than before", func(h *feed.Header) { h.Auth = []identity.ID{mona.state.Ops()[0].ID} })
	better := mallory.next("good as well", nil)
	spoiled := slices.Clone(good)
	spoiled[len(spoiled)/2] ^= 1
	left, right := eve.next("left", func(*feed.Header) {}), eve.next("right", func(*feed.Header) {})

	anna.create("of anna", []byte("of anna"))
	for _, r := range honest {
		topics, err := r.Topics(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		f.comes(r.device, New(r, nil), append(topics, first.Topic(), anna.Key().Topic())...)
	}
	for _, r := range honest {
		r.waitFor("of anna", []byte("of anna"))
	}
	removed := f.intrudes(xaver, nil, first, anna.Key()) // if somebody has told him
	again := f.intrudes(&author{t: t, device: newDevice(t, "xaver in disguise"), state: xaver.state}, nil, first)
	garbage := f.intrudes(dora, func(_ identity.PublicKey, c *wire.Conn) {
		_ = c.WriteFrame(frameEntries, []byte("garbage"))
	}, anna.Key())
	f.intrudes(eve, func(to identity.PublicKey, c *wire.Conn) {
		_ = c.Send(frameEntries, entries{[][]byte{map[bool][]byte{true: left, false: right}[to == ben.device.Key()]}})
	}, anna.Key())
	f.intrudes(mallory, func(_ identity.PublicKey, c *wire.Conn) {
		_ = c.Send(frameCredentials, credentials{[][]byte{lie.Raw}})
		for _, what := range slices.Sorted(maps.Keys(bad)) {
			_ = c.Send(frameEntries, entries{[][]byte{bad[what]}})
		}
		_ = c.Send(frameEntries, entries{[][]byte{spoiled}})
		_ = c.Send(frameEntries, entries{[][]byte{good}})
		_ = c.Send(frameEntries, entries{[][]byte{outdated}})
		_ = c.Send(frameEntries, entries{[][]byte{better, good}})
	}, anna.Key())

	for _, r := range honest {
		for _, name := range []string{"good", "good as well", "of xaver, before", "of the phone, before", "of anna"} {
			r.waitFor(name, []byte(name))
		}
	}
	for _, r := range honest { // all that came before it on its link is decided
		name := "of " + r.device.Name() + ", in the end"
		r.create(name, []byte(name))
		for _, other := range honest {
			other.waitFor(name, []byte(name))
		}
	}
	branch := func(r *realSpace) string {
		_, l := r.read("left")
		_, rr := r.read("right")
		return fmt.Sprint(l == nil, rr == nil)
	}
	forked := func(r *realSpace) bool {
		b := branch(r)
		return len(r.Forks()) == 0 || b == "true true" || b == "false false" || b != branch(anna)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); slices.ContainsFunc(honest, forked); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("a fork is not settled")
		}
	}
	for _, r := range honest {
		for what := range bad {
			if _, err := r.read(what); err == nil {
				t.Errorf("%s takes an entry %s", r.device.Name(), what)
			}
		}
		if _, err := r.read("knows less than before"); err == nil {
			t.Errorf("%s takes an entry whose author knew less than before", r.device.Name())
		}
		if got, want := names(t, r), names(t, anna); !slices.Equal(got, want) {
			t.Errorf("%s has %q, anna %q", r.device.Name(), got, want)
		}
		for _, m := range r.Members() {
			if m.Identity == rita.device.Identity() && m.Role != credential.Reader {
				t.Errorf("by %s rita is %v", r.device.Name(), m.Role)
			}
		}
	}

	// Who was removed is told that, on the topics of both keys, and nothing else.
	<-removed.ended
	<-again.ended
	<-garbage.ended
	removed.mu.Lock()
	defer removed.mu.Unlock()
	for typ := range removed.heard {
		if typ != frameProof && typ != frameHeads && typ != frameCredentials {
			t.Errorf("who was removed got frame %d", typ)
		}
	}
	for _, raw := range removed.creds {
		if op, err := credential.Decode(raw); err != nil || op.Kind == credential.KeyEpoch || op.Kind == credential.DeviceCut {
			t.Errorf("who was removed got a credential of kind %v, %v", op.Kind, err)
		}
	}
	again.mu.Lock()
	defer again.mu.Unlock()
	if len(again.heard) > 1 || again.heard[frameProof] == 0 {
		t.Errorf("who only has an old key got frames %v", again.heard)
	}
}

// A secondDevice is one of an author's.
type secondDevice struct {
	*author
	before []byte // its first entry
}

// second makes another device of an author, of which the space hears.
func (a *author) second(r *realSpace, name string) *secondDevice {
	a.t.Helper()
	j, err := identity.NewDeviceRequest(nil, a.device.Identity(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	chain, err := a.device.AddDevice(j.Request())
	if err != nil {
		a.t.Fatal(err)
	}
	d, err := j.Finish(chain)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := r.ImportChain(chain); err != nil {
		a.t.Fatal(err)
	}
	a.learn(r)
	s := &secondDevice{author: &author{t: a.t, device: d, state: membership.Of(r.ID()), key: a.key}}
	s.learn(r)
	s.open(r)
	return s
}

// next remembers the first.
func (s *secondDevice) next(name string, change func(*feed.Header)) []byte {
	s.t.Helper()
	raw := s.author.next(name, change)
	if s.before == nil {
		s.before = raw
	}
	return raw
}

func decoded(t *testing.T, raw []byte) feed.Entry {
	t.Helper()
	e, err := feed.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// names lists the files of a space.
func names(t *testing.T, r *realSpace) (list []string) {
	t.Helper()
	infos, err := r.List(space.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		list = append(list, i.Name)
	}
	slices.Sort(list)
	return list
}

// TestStrangersHearNothingAfterTheKeyChanged: somebody who knows a key and is no
// member may be one whom another member has just admitted. When the key changes,
// and they do not know the new one, they are not.
func TestStrangersHearNothingAfterTheKeyChanged(t *testing.T) {
	anna := createReal(t, "anna")
	x, y := pipe(t, anna.device, newDevice(t, "eve"))
	done := make(chan error, 1)
	go func() { done <- New(anna, nil).Link(t.Context(), x) }()
	c := wire.NewConn(y.Sync, syncLimits)
	t.Cleanup(func() { _ = y.Sync.Close() })
	read := func(want wire.Type) {
		t.Helper()
		if f, err := c.ReadFrame(); err != nil || f.Type != want {
			t.Fatalf("got frame %d, %v, want %d", f.Type, err, want)
		}
	}
	read(frameProof)
	if err := c.Send(frameProof, proof{MAC: prove(anna.Key(), y.Exporter, y.Initiator)}); err != nil {
		t.Fatal(err)
	}
	read(frameHeads)
	if err := c.Send(frameHeads, heads{}); err != nil {
		t.Fatal(err)
	}
	read(frameCredentials)
	if err := anna.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			break
		}
		t.Errorf("got frame %d", f.Type)
	}
	if err := <-done; !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("the link ended with %v", err)
	}
}

// TestForkOfOneLength: two branches that end at the same number have come to two
// peers that are linked, and each names to the other what is there already. They
// find out all the same.
func TestForkOfOneLength(t *testing.T) {
	anna := createReal(t, "anna")
	mallory, eve := anna.author("mallory", credential.Editor), anna.author("eve", credential.Editor)
	keep := func(*feed.Header) {}
	left, right := decoded(t, eve.next("left", keep)), decoded(t, eve.next("right", keep))
	give(t, anna, left)
	other, err := right.Stub()
	if err != nil {
		t.Fatal(err)
	}
	x, y := pipe(t, anna.device, mallory.device)
	done := make(chan error, 1)
	go func() { done <- New(anna, nil).Link(t.Context(), x) }()
	t.Cleanup(func() { _ = y.Sync.Close(); <-done })
	i := &intruder{author: mallory, keys: []feed.Key{anna.Key()}, among: []identity.PublicKey{anna.device.Key()},
		ended: make(chan struct{}, 1), heard: map[wire.Type]int{}}
	i.says = func(_ identity.PublicKey, c *wire.Conn) {
		_ = c.Send(frameNews, news{map[identity.ID]uint64{eve.feed: 1}})
	}
	i.asked = func(c *wire.Conn) { _ = c.Send(frameStub, stub{other.Raw}) }
	go func() { _ = i.Link(t.Context(), y) }()
	anna.await("aware of the fork", func() bool { return len(anna.Forks()) == 1 })
}
