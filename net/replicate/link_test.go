package replicate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func profile(t testing.TB, d *identity.Device) identity.Profile {
	t.Helper()
	p, err := identity.VerifyChain(d.Chain(), d.Key())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pipe makes both ends of a link.
func pipe(t testing.TB, a, b *identity.Device) (x, y *mesh.Link) {
	t.Helper()
	exporter := make([]byte, 32)
	if _, err := rand.Read(exporter); err != nil {
		t.Fatal(err)
	}
	s1, s2 := net.Pipe()
	b1, b2 := net.Pipe()
	return &mesh.Link{Peer: profile(t, b), Sync: s1, Blobs: b1, Exporter: exporter, Initiator: true},
		&mesh.Link{Peer: profile(t, a), Sync: s2, Blobs: b2, Exporter: exporter}
}

// connect runs a link between two spaces in memory until cut is called.
func connect(t testing.TB, a, b *Replicator) (cut func()) {
	t.Helper()
	return connectDevices(t, a.space.(*memory).device, b.space.(*memory).device, a, b)
}

// connectDevices is connect for spaces of any kind.
func connectDevices(t testing.TB, da, db *identity.Device, a, b *Replicator) (cut func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x, y := pipe(t, da, db)
	done := make(chan error, 2)
	go func() { done <- a.Link(ctx, x) }()
	go func() { done <- b.Link(ctx, y) }()
	stopped := false
	cut = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range 2 {
			if err := <-done; errors.Is(err, mesh.ErrRefused) {
				t.Errorf("honest peers fell out: %v", err)
			}
		}
	}
	t.Cleanup(cut)
	return cut
}

func same(t *testing.T, spaces ...*memory) {
	t.Helper()
	for _, m := range spaces[1:] {
		a, b := spaces[0].Timeframe(), m.Timeframe()
		if len(a) != len(b) {
			t.Fatalf("%d and %d feeds", len(a), len(b))
		}
		for id := range a {
			if a[id] != b[id] {
				t.Fatalf("feed %s differs", id.Short())
			}
		}
	}
}

func chunkOf(n, size int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%06d.", n)), size/7+1)
}

func TestTwoPeers(t *testing.T) {
	anna := found(t, "Anna")
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	for i := range 100 {
		anna.write(chunkOf(i, 5000))
		ben.write()
	}
	connect(t, New(anna, nil), New(ben, nil))
	anna.waitLog(200)
	ben.waitLog(200)
	ben.waitChunks(100)
	for i := range 20 { // live, both ways
		anna.write()
		ben.write(chunkOf(1000+i, 100))
		anna.waitLog(200 + 2*i + 2)
		ben.waitLog(200 + 2*i + 2)
	}
	anna.waitChunks(120)
	same(t, anna, ben)
	if anna.bad+ben.bad > 0 {
		t.Errorf("refused %d and %d", anna.bad, ben.bad)
	}
}

// TestForwarding makes a line of peers who never meet the ends of it: entries,
// credentials and chunks go through, whoever asks first.
func TestForwarding(t *testing.T) {
	anna := found(t, "Anna")
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	chris := ben.admitBy(anna, "Chris")
	dora := ben.admitBy(anna, "Dora")
	ra, rb, rc, rd := New(anna, nil), New(ben, nil), New(chris, nil), New(dora, nil)
	connect(t, rd, rc)
	connect(t, rc, rb)
	connect(t, rb, ra)
	anna.write(chunkOf(1, 300_000), chunkOf(2, 1_000_000))
	dora.write(chunkOf(3, 200_000))
	for _, m := range []*memory{anna, ben, chris, dora} {
		m.waitLog(2)
		m.waitChunks(3)
	}
	same(t, anna, ben, chris, dora)
}

// admitBy lets host admit a guest whom m has not heard of.
func (m *memory) admitBy(host *memory, name string) *memory {
	return host.admit(newDevice(m.t, name), credential.Editor)
}

func TestReconnectResumes(t *testing.T) {
	anna := found(t, "Anna")
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	const n = 120
	for i := range n {
		anna.write(chunkOf(i, 20_000))
	}
	ra, rb := New(anna, nil), New(ben, nil)
	for i := 10; i < n; i += 30 { // the link breaks again and again
		cut := connect(t, ra, rb)
		ben.waitChunks(i)
		cut()
		anna.write()
	}
	connect(t, ra, rb)
	ben.waitChunks(n)
	ben.waitLog(n + 4)
	if ben.puts != n {
		t.Errorf("%d chunks came %d times", n, ben.puts)
	}
	same(t, anna, ben)
}

func TestFullMeshAndTwoLinksPerPair(t *testing.T) {
	anna := found(t, "Anna")
	all := []*memory{anna}
	for i := range 4 {
		all = append(all, anna.admit(newDevice(t, fmt.Sprint("Guest ", i)), credential.Editor))
	}
	var rs []*Replicator
	for _, m := range all {
		rs = append(rs, New(m, nil))
	}
	for i := range rs {
		for j := range i {
			connect(t, rs[i], rs[j])
			if j == 0 {
				connect(t, rs[i], rs[j])
			}
		}
	}
	for i := range 30 {
		all[i%len(all)].write(chunkOf(i, 1000))
	}
	for _, m := range all {
		m.waitLog(30)
		m.waitChunks(30)
	}
	same(t, all...)
}

// TestMeshSendsOnce counts what comes in a full mesh: what was written before
// the links and what is written on them.
func TestMeshSendsOnce(t *testing.T) {
	anna := found(t, "Anna")
	all := []*memory{anna}
	for i := range 3 {
		all = append(all, anna.admit(newDevice(t, fmt.Sprint("Guest ", i)), credential.Editor))
	}
	for _, m := range all[1:] {
		if err := m.AddCredentials(t.Context(), anna.Credentials()); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		anna.write()
	}
	var rs []*Replicator
	for _, m := range all {
		rs = append(rs, New(m, nil))
	}
	for i := range rs {
		for j := range i {
			connect(t, rs[i], rs[j])
		}
	}
	for _, m := range all {
		m.waitLog(1000)
	}
	for i := range 400 {
		all[i%2].write()
	}
	for i, m := range all {
		m.waitLog(1400)
		own := len(m.entries[m.feed])
		if n := rs[i].entries.Load(); n > int64(1400-own)*11/10 { // a few may cross while the links begin
			t.Errorf("%d entries came to %s, who lacked %d", n, m.device.Name(), 1400-own)
		}
	}
}

// hostile is a peer played by the test.
type hostile struct {
	t     *testing.T
	link  *mesh.Link
	sync  *wire.Conn
	blobs *wire.Conn
	got   chan wire.Frame // from Sync
	chunk chan wire.Frame // from Blobs
	done  chan error      // what the honest side's Link returned
}

// anyFrames lets the hostile peer send what no honest one would.
var anyFrames = wire.Limits{1: 8 << 20, 2: 8 << 20, 3: 8 << 20, 4: 8 << 20, 5: 8 << 20, 6: 8 << 20, 7: 8 << 20, 8: 8 << 20, 13: 8 << 20, 99: 8 << 20}

func attack(t *testing.T, r *Replicator, d *identity.Device) *hostile {
	t.Helper()
	mine, theirs := pipe(t, d, r.space.(*memory).device)
	h := &hostile{t: t, link: mine, sync: wire.NewConn(mine.Sync, anyFrames), blobs: wire.NewConn(mine.Blobs, anyFrames),
		got: make(chan wire.Frame, 1000), chunk: make(chan wire.Frame, 1000), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { h.done <- r.Link(ctx, theirs) }()
	pump := func(c *wire.Conn, to chan wire.Frame) {
		defer close(to)
		for {
			f, err := c.ReadFrame()
			if err != nil {
				return
			}
			to <- f
		}
	}
	go pump(h.sync, h.got)
	go pump(h.blobs, h.chunk)
	t.Cleanup(func() {
		cancel()
		_ = mine.Sync.Close()
		_ = mine.Blobs.Close()
		for range h.got {
		}
		for range h.chunk {
		}
	})
	return h
}

func (h *hostile) expect(from chan wire.Frame, want wire.Type) wire.Frame {
	h.t.Helper()
	f, ok := <-from
	if !ok {
		h.t.Fatalf("link ended before frame %d: %v", want, <-h.done)
	}
	if f.Type != want {
		h.t.Fatalf("got frame %d, want %d", f.Type, want)
	}
	return f
}

func (h *hostile) send(c *wire.Conn, typ wire.Type, v any) {
	h.t.Helper()
	if err := c.Send(typ, v); err != nil {
		h.t.Logf("sending: %v", err) // the other side may have hung up already
	}
}

// enter plays an honest member up to the exchange of timeframes.
func (h *hostile) enter(m *memory) {
	h.t.Helper()
	h.expect(h.got, frameProof)
	h.send(h.sync, frameProof, proof{MAC: prove(m.key, h.link.Exporter, h.link.Initiator)})
	h.send(h.sync, frameHeads, heads{m.CredentialHeads()})
	h.send(h.sync, frameCredentials, credentials{m.Credentials()})
	h.expect(h.got, frameHeads)
	f := <-h.got
	if f.Type == frameCredentials {
		f = <-h.got
	}
	if f.Type != frameHave {
		h.t.Fatalf("got frame %d, want a timeframe", f.Type)
	}
	h.send(h.sync, frameHave, have{feed.Timeframe{}})
}

func TestStranger(t *testing.T) {
	anna := found(t, "Anna")
	anna.write(chunkOf(1, 100))
	h := attack(t, New(anna, nil), newDevice(t, "Eve"))
	h.send(h.blobs, frameWant, want{anna.needs})
	h.expect(h.got, frameProof) // which says nothing to who has not the key
	h.send(h.sync, frameProof, proof{MAC: prove(feed.NewKey(), h.link.Exporter, true)})
	if err := <-h.done; !errors.Is(err, mesh.ErrRefused) || !errors.Is(err, errStranger) {
		t.Errorf("link ended with %v", err)
	}
	for f := range h.got {
		t.Errorf("the stranger got frame %d", f.Type)
	}
	for f := range h.chunk {
		t.Errorf("the stranger got frame %d on Blobs", f.Type)
	}
}

// TestCrowdAtTheDoor has strangers that say nothing; members get in as soon as
// one of them is gone, and do not count themselves.
func TestCrowdAtTheDoor(t *testing.T) {
	anna := found(t, "Anna")
	r := New(anna, nil)
	r.door = make(chan struct{}, 1)
	h := attack(t, r, newDevice(t, "Eve"))
	h.expect(h.got, frameProof)
	late := attack(t, r, newDevice(t, "Mallory"))
	if err := <-late.done; !errors.Is(err, errCrowd) || errors.Is(err, mesh.ErrRefused) {
		t.Errorf("link ended with %v", err)
	}
	_ = h.link.Sync.Close()
	<-h.done
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	chris := anna.admit(newDevice(t, "Chris"), credential.Editor)
	connect(t, r, New(ben, nil))
	anna.write()
	ben.waitLog(1)
	connect(t, r, New(chris, nil))
	chris.waitLog(1)
}

func TestMirroredProof(t *testing.T) {
	anna := found(t, "Anna")
	h := attack(t, New(anna, nil), newDevice(t, "Eve"))
	f := h.expect(h.got, frameProof)
	_ = h.sync.WriteFrame(f.Type, f.Body)
	if err := <-h.done; !errors.Is(err, errStranger) {
		t.Errorf("link ended with %v", err)
	}
}

func TestKeyWithoutMembership(t *testing.T) {
	anna := found(t, "Anna")
	anna.write(chunkOf(1, 100))
	eve := newDevice(t, "Eve") // knows the key, is no member
	h := attack(t, New(anna, nil), eve)
	h.send(h.blobs, frameWant, want{anna.needs})
	h.send(h.sync, frameProof, proof{MAC: prove(anna.key, h.link.Exporter, true)})
	h.expect(h.got, frameProof)
	h.expect(h.got, frameHeads)
	h.send(h.sync, frameHeads, heads{})
	h.expect(h.got, frameCredentials)
	h.send(h.sync, frameHave, have{feed.Timeframe{}})
	h.send(h.sync, frameEntries, entries{[][]byte{anna.entries[anna.feed][0].Raw}})
	if err := <-h.done; !errors.Is(err, errProtocol) {
		t.Errorf("link ended with %v", err)
	}
	for f := range h.got {
		t.Errorf("got frame %d", f.Type)
	}
	for f := range h.chunk {
		t.Errorf("got frame %d on Blobs", f.Type)
	}
}

// TestGoalIsSetByMembersOnly sends a timeframe that can never be reached, from
// peers that prove nothing and from one that is no member.
func TestGoalIsSetByMembersOnly(t *testing.T) {
	anna := found(t, "Anna")
	r := New(anna, nil)
	never := have{feed.Timeframe{identity.ID{9}: feed.Head{Seq: 1 << 40, ID: identity.ID{9}}}}
	for _, prove1 := range []bool{false, true} {
		h := attack(t, r, newDevice(t, "Eve"))
		if prove1 {
			h.send(h.sync, frameProof, proof{MAC: prove(anna.key, h.link.Exporter, true)})
			h.send(h.sync, frameHeads, heads{})
		}
		h.send(h.sync, frameHave, never)
		h.send(h.sync, frameSent, struct{}{}) // ends the link in any case
		<-h.done
		if r.goal != nil {
			t.Errorf("proof %v: the goal is set", prove1)
		}
	}
}

// TestWaitingCredentialsTravel passes on a credential whose past is not here.
func TestWaitingCredentialsTravel(t *testing.T) {
	anna := found(t, "Anna")
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	chris := anna.admit(newDevice(t, "Chris"), credential.Editor)
	if err := ben.AddCredentials(t.Context(), chris.Credentials()); err != nil {
		t.Fatal(err)
	}
	connect(t, New(ben, nil), New(chris, nil))
	anna.admit(newDevice(t, "Dora"), credential.Editor)
	all := anna.state.Ops()
	if err := ben.AddCredentials(t.Context(), [][]byte{all[len(all)-1].Raw}); err != nil { // without what it builds on
		t.Fatal(err)
	}
	if len(ben.state.Waiting()) == 0 {
		t.Fatal("it does not wait")
	}
	chris.wait("the credential", func() bool { return len(chris.state.Waiting()) > 0 })
}

// TestGarbage ends the link of a member that sends what is no protocol.
func TestGarbage(t *testing.T) {
	raw := func(b ...byte) func(*hostile) {
		return func(h *hostile) { _, _ = h.link.Sync.Write(b) }
	}
	tests := []struct {
		name string
		do   func(*hostile)
		want error
	}{
		{"unknown version", raw(99, 5, 0, 0, 0, 0), wire.ErrVersion},
		{"unknown type", raw(wire.Version, 99, 0, 0, 0, 0), wire.ErrType},
		{"huge frame", raw(wire.Version, byte(frameEntries), 0xff, 0xff, 0xff, 0xff), wire.ErrTooLarge},
		{"truncated frame", func(h *hostile) {
			_, _ = h.link.Sync.Write([]byte{wire.Version, byte(frameEntries), 0, 0, 1, 0, 1, 2, 3})
			_ = h.link.Sync.Close()
		}, nil},
		{"body is no CBOR", raw(wire.Version, byte(frameEntries), 0, 0, 0, 2, 0xff, 0xff), errProtocol},
		{"entry is garbage", func(h *hostile) { h.send(h.sync, frameEntries, entries{[][]byte{[]byte("garbage")}}) }, errProtocol},
		{"credential is garbage", func(h *hostile) { h.send(h.sync, frameCredentials, credentials{[][]byte{[]byte("garbage")}}) }, errProtocol},
		{"news are garbage", func(h *hostile) { _ = h.sync.WriteFrame(frameNews, []byte{0xff}) }, errProtocol},
		{"pull of what is not there", func(h *hostile) {
			h.send(h.sync, framePull, pull{map[identity.ID]span{{9}: {Upto: 1 << 60}}})
		}, errProtocol},
		{"pull backwards", func(h *hostile) {
			h.send(h.sync, framePull, pull{map[identity.ID]span{{9}: {After: 5, Upto: 2}}})
		}, errProtocol},
		{"sent, though nobody asked", func(h *hostile) { _ = h.sync.WriteFrame(frameSent, nil) }, errProtocol},
		{"sent with a body", func(h *hostile) { _ = h.sync.WriteFrame(frameSent, []byte{1}) }, wire.ErrTooLarge},
		{"news for ever", func(h *hostile) {
			for n := range 100 {
				m := news{map[identity.ID]uint64{}}
				for i := range maxNews {
					m.Seqs[idOf(byte(n), i+1)] = 1
				}
				if h.sync.Send(frameNews, m) != nil {
					return
				}
			}
		}, errProtocol},
		{"proof again", func(h *hostile) { h.send(h.sync, frameProof, proof{}) }, errProtocol},
		{"timeframe again", func(h *hostile) { h.send(h.sync, frameHave, have{feed.Timeframe{}}) }, errProtocol},
		{"chunk nobody asked for", func(h *hostile) { _ = h.blobs.WriteFrame(frameChunk, make([]byte, 100)) }, errProtocol},
		{"short chunk", func(h *hostile) { _ = h.blobs.WriteFrame(frameChunk, make([]byte, 10)) }, errProtocol},
		{"none nobody asked for", func(h *hostile) { h.send(h.blobs, frameNone, want{[][32]byte{{1}}}) }, errProtocol},
		{"unknown type on Blobs", func(h *hostile) { _ = h.blobs.WriteFrame(99, nil) }, wire.ErrType},
		{"far too many questions", func(h *hostile) {
			for range 1 + maxQueued { // answers are not read, so they pile up
				if h.blobs.Send(frameWant, want{make([][32]byte, maxWants)}) != nil {
					return
				}
			}
		}, errProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			anna := found(t, "Anna")
			eve := anna.admit(newDevice(t, "Eve"), credential.Editor)
			h := attack(t, New(anna, nil), eve.device)
			h.enter(eve)
			tt.do(h)
			err := <-h.done
			if tt.want == nil && err == nil || tt.want != nil && (!errors.Is(err, tt.want) || !errors.Is(err, mesh.ErrRefused)) {
				t.Errorf("link ended with %v, want %v", err, tt.want)
			}
		})
	}
}

func TestBadEntriesAreRefused(t *testing.T) {
	anna := found(t, "Anna")
	eve := anna.admit(newDevice(t, "Eve"), credential.Editor)
	reader := anna.admit(newDevice(t, "Reader"), credential.Reader)
	stranger := found(t, "Stranger")
	ra := New(anna, nil)
	h := attack(t, ra, eve.device)
	h.enter(eve)

	var list []feed.Entry
	for range 4 {
		list = append(list, eve.write())
	}
	for _, i := range []int{3, 1, 2} { // out of order: they wait for the first
		h.send(h.sync, frameEntries, entries{[][]byte{list[i].Raw}})
	}
	h.send(h.sync, frameEntries, entries{[][]byte{list[0].Raw, list[0].Raw}}) // and twice
	anna.waitLog(4)

	bad := func(what string, raw []byte) {
		t.Helper()
		before := ra.refused.Load()
		h.send(h.sync, frameEntries, entries{[][]byte{raw}})
		h.send(h.sync, frameEntries, entries{[][]byte{eve.write().Raw}}) // the link lives on
		n := eve.ops
		anna.wait("the next good entry after "+what, func() bool { return len(anna.entries[eve.feed]) == int(n) })
		for ra.refused.Load() == before { // it is counted after the space has decided
			if t.Context().Err() != nil || len(h.done) > 0 {
				t.Fatalf("%s was not refused", what)
			}
			runtime.Gosched()
		}
	}
	bad("an entry of a stranger", stranger.write().Raw)
	h.send(h.sync, frameCredentials, credentials{reader.Credentials()})
	bad("an entry of a reader", reader.write().Raw)
	forged := eve.seal([]byte("entry"))
	sig := slices.Clone(forged.Raw)
	i := bytes.Index(sig, forged.Prev[:])
	if i < 0 {
		t.Fatal("no previous entry in the header")
	}
	sig[i] ^= 1 // the header says something else than what was signed
	bad("a forged entry", sig)
	fork := func() []byte {
		eve.mu.Lock()
		defer eve.mu.Unlock()
		last := eve.entries[eve.feed][len(eve.entries[eve.feed])-1]
		h := last.Header
		h.Time++
		e, err := feed.Seal(eve.device, h, eve.key, []byte("entry"))
		if err != nil {
			t.Fatal(err)
		}
		return e.Raw
	}
	h.send(h.sync, frameEntries, entries{[][]byte{eve.write().Raw}})
	bad("a fork", fork())
	select {
	case err := <-h.done:
		t.Errorf("link ended: %v", err)
	default:
	}
}

// TestWrongBytes asks another peer after one has sent wrong bytes, and drops
// the one that did.
func TestWrongBytes(t *testing.T) {
	anna := found(t, "Anna")
	eve := anna.admit(newDevice(t, "Eve"), credential.Editor)
	ben := anna.admit(newDevice(t, "Ben"), credential.Editor)
	rb := New(ben, nil)
	h := attack(t, rb, eve.device)
	h.enter(eve)
	e := anna.write(chunkOf(1, 50_000), chunkOf(2, 50_000))
	h.send(h.sync, frameCredentials, credentials{anna.Credentials()})
	h.send(h.sync, frameEntries, entries{[][]byte{e.Raw}})
	f := h.expect(h.chunk, frameWant)
	var w want
	if err := f.Decode(&w); err != nil || len(w.Hashes) != 2 {
		t.Fatalf("asked for %d chunks, %v", len(w.Hashes), err)
	}
	_ = h.blobs.WriteFrame(frameChunk, append(w.Hashes[0][:], "wrong bytes"...))
	if err := <-h.done; !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("link ended with %v", err)
	}
	connect(t, rb, New(anna, nil))
	ben.waitChunks(2)
}

func TestChunkNotInTheSpace(t *testing.T) {
	anna := found(t, "Anna")
	eve := anna.admit(newDevice(t, "Eve"), credential.Editor)
	h := attack(t, New(anna, nil), eve.device)
	h.enter(eve)
	h.send(h.blobs, frameWant, want{[][32]byte{{42}, {}}})
	for range 2 {
		var w want
		if err := h.expect(h.chunk, frameNone).Decode(&w); err != nil || len(w.Hashes) != 1 {
			t.Errorf("%v %v", w, err)
		}
	}
	select {
	case err := <-h.done:
		t.Errorf("link ended: %v", err)
	default:
	}
}

// FuzzSync feeds what a peer may send to the decoder and a session.
func FuzzSync(f *testing.F) {
	anna := found(f, "Anna")
	e := anna.write()
	for _, seed := range []struct {
		typ wire.Type
		v   any
	}{
		{frameProof, proof{MAC: [32]byte{1}}}, {frameProof, proof{[32]byte{1}, [][32]byte{{2}}}}, {frameKeys, keys{[][32]byte{{3}}}},
		{frameForks, forks{[][]byte{{4}}}}, {frameAsk, ask{identity.ID{5}, 6}}, {frameStub, stub{[]byte{7}}},
		{frameHeads, heads{anna.CredentialHeads()}}, {frameCredentials, credentials{anna.Credentials()}},
		{frameHave, have{anna.Timeframe()}}, {frameEntries, entries{[][]byte{e.Raw}}},
		{frameNews, news{map[identity.ID]uint64{e.Feed: 3}}}, {framePull, pull{map[identity.ID]span{e.Feed: {Upto: 1}}}},
		{framePresence, presence{Age: 60, File: "plan.md"}}, {framePresence, presence{File: "a\nb"}},
	} {
		var b bytes.Buffer
		if err := wire.NewConn(&b, syncLimits).Send(seed.typ, seed.v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), true)
		f.Add(b.Bytes(), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, member bool) {
		c := wire.NewConn(bytes.NewBuffer(data), syncLimits)
		s := newSession([32]byte{}, [32]byte{1})
		s.proved = member
		p := newPuller()
		p.up(1, identity.PublicKey{1})
		for {
			fr, err := c.ReadFrame()
			if err != nil {
				return
			}
			in, err := decodeSync(fr)
			if err != nil {
				return
			}
			outs, err := s.step(in)
			if err != nil {
				return
			}
			for _, o := range outs {
				switch o := o.(type) {
				case begun:
					p.begin(1, o.seqs)
				case offered:
					p.offer(1, o.seqs)
				case accept:
					p.took(1, o.items, anna.Timeframe())
				case served:
					p.sent(1, anna.Timeframe())
				}
			}
			p.ask(1, anna.Timeframe(), nil)
			p.tick(anna.Timeframe())
			if _, err := s.step(changed{member: member}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzBlobs feeds what a member may send on Blobs to a link that has asked for
// two chunks.
func FuzzBlobs(f *testing.F) {
	good := chunkOf(1, 100)
	hash := sha256.Sum256(good)
	for _, seed := range []func(*wire.Conn) error{
		func(c *wire.Conn) error { return c.Send(frameWant, want{[][32]byte{hash, {2}}}) },
		func(c *wire.Conn) error { return c.WriteFrame(frameChunk, append(hash[:], good...)) },
		func(c *wire.Conn) error { return c.WriteFrame(frameChunk, append(hash[:], "wrong"...)) },
		func(c *wire.Conn) error { return c.WriteFrame(frameChunk, []byte("short")) },
		func(c *wire.Conn) error { return c.Send(frameNone, want{[][32]byte{hash}}) },
		func(c *wire.Conn) error { return c.Send(frameOffer, want{[][32]byte{hash}}) },
	} {
		var b bytes.Buffer
		if err := seed(wire.NewConn(&b, blobLimits)); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	anna := found(f, "Anna")
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(anna, nil)
		l := &link{r: r, blobs: wire.NewConn(bytes.NewBuffer(data), blobLimits), wakeBlob: make(chan struct{}, 1), asked: map[chunkID]bool{{2}: true}}
		r.attach(l)
		r.fetch.add([]chunkID{hash, {3}})
		r.fetch.ask(l.id)
		for {
			fr, err := l.blobs.ReadFrame()
			if err != nil {
				return
			}
			if l.gotBlobFrame(fr) != nil {
				return
			}
			if len(l.wants) > maxQueued || r.fetch.left() > 2 {
				t.Fatal("limits do not hold")
			}
		}
	})
}
