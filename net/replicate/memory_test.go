package replicate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// memory is a space without files: real credentials, a real signed log, and
// chunks that entries name. It accepts by the rules of a real one.
type memory struct {
	t      testing.TB
	device *identity.Device
	key    feed.Key
	state  *membership.State
	feed   identity.ID

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	entries map[identity.ID][]feed.Entry
	log     []space.LogRef
	pending map[identity.ID]map[uint64]feed.Entry
	chunks  map[chunkID][]byte
	needs   []chunkID
	subs    map[chan struct{}]bool
	ops     uint64
	puts    int
	bad     int
}

func newDevice(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func emptyMemory(t testing.TB, d *identity.Device, key feed.Key, state *membership.State) *memory {
	m := &memory{
		t: t, device: d, key: key, state: state,
		entries: map[identity.ID][]feed.Entry{},
		pending: map[identity.ID]map[uint64]feed.Entry{},
		chunks:  map[chunkID][]byte{},
		subs:    map[chan struct{}]bool{},
	}
	m.changed = sync.NewCond(&m.mu)
	return m
}

// found makes a space with its founder.
func found(t testing.TB, name string) *memory {
	t.Helper()
	d := newDevice(t, name)
	genesis, err := membership.Found(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	state := membership.New()
	mustAdd(t, state, genesis)
	m := emptyMemory(t, d, feed.NewKey(), state)
	m.openFeed()
	return m
}

func mustAdd(t testing.TB, s *membership.State, ops ...credential.Signed) {
	t.Helper()
	for _, op := range ops {
		if status, err := s.Add(op); err != nil || status == membership.Pending {
			t.Fatalf("credential: %v %v", status, err)
		}
	}
}

// admit makes d a member and returns its space, as after an invitation.
func (m *memory) admit(d *identity.Device, role credential.Role) *memory {
	m.t.Helper()
	ops, err := m.state.Admit(m.device, d.Chain(), role, time.Now())
	if err != nil {
		m.t.Fatal(err)
	}
	mustAdd(m.t, m.state, ops...)
	state := membership.Of(m.state.Space())
	mustAdd(m.t, state, m.state.Ops()...)
	guest := emptyMemory(m.t, d, m.key, state)
	guest.openFeed()
	m.notify()
	return guest
}

func (m *memory) openFeed() {
	m.t.Helper()
	op, err := m.state.OpenFeed(m.device, time.Now())
	if err != nil {
		return // a reader has no feed
	}
	mustAdd(m.t, m.state, op)
	m.feed = op.ID
}

// seal makes the next entry without accepting it.
func (m *memory) seal(payload []byte) feed.Entry {
	m.t.Helper()
	h := feed.Header{Version: feed.Version, Space: m.state.Space(), Feed: m.feed, Seq: 1, Auth: m.state.Auth(), First: m.ops + 1, Ops: 1, Time: 1}
	for id, list := range m.entries {
		last := list[len(list)-1]
		if id == m.feed {
			h.Seq, h.Prev = last.Seq+1, last.ID
		} else {
			h.Deps = append(h.Deps, last.ID)
		}
	}
	e, err := feed.Seal(m.device, h, m.key, payload)
	if err != nil {
		m.t.Fatal(err)
	}
	return e
}

// write commits an entry that says it needs the chunks, which are kept here.
func (m *memory) write(chunks ...[]byte) feed.Entry {
	m.t.Helper()
	m.mu.Lock()
	payload := []byte("entry")
	for _, c := range chunks {
		h := sha256.Sum256(c)
		m.chunks[h] = c
		payload = append(payload, h[:]...)
	}
	e := m.seal(payload)
	m.ops++
	m.commitLocked(e)
	m.mu.Unlock()
	m.notify()
	return e
}

func (m *memory) commitLocked(e feed.Entry) {
	m.entries[e.Feed] = append(m.entries[e.Feed], e)
	m.log = append(m.log, space.LogRef{Pos: uint64(len(m.log)) + 1, Feed: e.Feed, Seq: e.Seq})
	payload, err := e.Open(m.key)
	if err != nil {
		m.t.Errorf("entry cannot be opened: %v", err)
		return
	}
	for c := range slices.Chunk(payload[len("entry"):], 32) {
		m.needs = append(m.needs, chunkID(c))
	}
}

func (m *memory) notify() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed.Broadcast()
	for c := range m.subs {
		poke(c)
	}
}

// wait returns when ok does, which is called with the lock held.
func (m *memory) wait(what string, ok func() bool) {
	m.t.Helper()
	late := false
	timer := time.AfterFunc(5*time.Minute, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		late = true
		m.changed.Broadcast()
	})
	defer timer.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !ok() {
		if late {
			m.t.Fatalf("%s: waited for %s in vain; log has %d entries, %d chunks", m.device.Name(), what, len(m.log), len(m.chunks))
		}
		m.changed.Wait()
	}
}

func (m *memory) waitLog(n int) {
	m.t.Helper()
	m.wait("entries", func() bool { return len(m.log) >= n })
}

func (m *memory) waitChunks(n int) {
	m.t.Helper()
	m.wait("chunks", func() bool { return len(m.chunks) >= n })
}

func (m *memory) Device() identity.PublicKey       { return m.device.Key() }
func (m *memory) Name() string                     { return "test" }
func (m *memory) Key() feed.Key                    { return m.key }
func (m *memory) CredentialHeads() []identity.ID   { return m.state.Heads() }
func (m *memory) Member(d identity.PublicKey) bool { _, ok := m.state.Device(d); return ok }

func (m *memory) Credentials() (out [][]byte) {
	for _, op := range m.state.Ops() {
		out = append(out, op.Raw)
	}
	for _, op := range m.state.Waiting() {
		out = append(out, op.Raw)
	}
	return out
}

func (m *memory) AddCredentials(_ context.Context, raw [][]byte) error {
	for _, b := range raw {
		op, err := credential.Decode(b)
		if err != nil {
			return err
		}
		if _, err := m.state.Add(op); err != nil {
			return err
		}
	}
	m.notify()
	return nil
}

func (m *memory) Timeframe() feed.Timeframe {
	m.mu.Lock()
	defer m.mu.Unlock()
	tf := feed.Timeframe{}
	for id, list := range m.entries {
		last := list[len(list)-1]
		tf[id] = feed.Head{Seq: last.Seq, ID: last.ID}
	}
	return tf
}

func (m *memory) Log(after uint64, most int) ([]space.LogRef, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log[after:min(int(after)+most, len(m.log))]), nil
}

func (m *memory) Entry(id identity.ID, seq uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if list := m.entries[id]; seq >= 1 && seq <= uint64(len(list)) {
		return list[seq-1].Raw, nil
	}
	return nil, errors.New("no such entry")
}

func (m *memory) Accept(_ context.Context, raw [][]byte) error {
	m.mu.Lock()
	var errs []error
	for _, b := range raw {
		e, err := feed.Decode(b)
		if err == nil {
			err = m.acceptLocked(e)
		}
		if err != nil {
			m.bad++
			errs = append(errs, err)
		}
	}
	m.mu.Unlock()
	m.notify()
	return errors.Join(errs...)
}

func (m *memory) acceptLocked(e feed.Entry) error {
	refuse := func(why string) error { return &space.Refused{Feed: e.Feed, Seq: e.Seq, Reason: why} }
	owner, ok := m.state.Feed(e.Feed)
	switch {
	case !ok:
		return refuse("nobody's feed")
	case !e.Verify(owner.Device):
		return refuse("wrong signature")
	case m.state.RoleAt(owner.Identity, e.Auth) < credential.Editor:
		return refuse("author may not write")
	}
	list := m.entries[e.Feed]
	if e.Seq <= uint64(len(list)) {
		if list[e.Seq-1].ID != e.ID {
			return refuse("fork")
		}
		return nil
	}
	if e.Seq > uint64(len(list))+1 {
		if m.pending[e.Feed] == nil {
			m.pending[e.Feed] = map[uint64]feed.Entry{}
		}
		m.pending[e.Feed][e.Seq] = e
		return nil
	}
	var prev *feed.Entry
	if len(list) > 0 {
		prev = &list[len(list)-1]
	}
	if err := e.Follows(prev); err != nil {
		return refuse(err.Error())
	}
	m.commitLocked(e)
	if next, ok := m.pending[e.Feed][e.Seq+1]; ok {
		delete(m.pending[e.Feed], next.Seq)
		return m.acceptLocked(next)
	}
	return nil
}

func (m *memory) Notify() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{}, 1)
	m.subs[c] = true
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs, c)
	}
}

func (m *memory) MissingChunks(most int) (out [][32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.needs {
		if _, ok := m.chunks[h]; !ok && len(out) < most {
			out = append(out, h)
		}
	}
	return out
}

func (m *memory) HasChunk(h [32]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.chunks[h]
	return ok
}

func (m *memory) Chunk(h [32]byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chunks[h]; ok {
		return c, nil
	}
	return nil, errors.New("no such chunk")
}

func (m *memory) PutChunk(h [32]byte, data []byte) error {
	if sha256.Sum256(data) != h {
		return errors.New("bytes do not match their hash")
	}
	m.mu.Lock()
	m.chunks[h] = bytes.Clone(data)
	m.puts++
	m.mu.Unlock()
	m.notify()
	return nil
}

func (m *memory) Keyring() feed.Keyring { return feed.Ring(m.key) }

func (m *memory) AddKeys([]feed.Key) error { return nil }

func (m *memory) Farewell(identity.PublicKey) ([][]byte, bool) { return nil, false }

func (m *memory) Forks() [][]byte { return nil }

func (m *memory) AddForks([][]byte) error { return nil }

func (m *memory) StubOf(f identity.ID, seq uint64) ([]byte, error) {
	raw, err := m.Entry(f, seq)
	if err != nil {
		return nil, err
	}
	e, err := feed.Decode(raw)
	if err != nil {
		return nil, err
	}
	s, err := e.Stub()
	return s.Raw, err
}

func (m *memory) Compare([]byte) (same, proof bool, err error) { return true, false, nil }

func (m *memory) Lineage() uint64 { return 0 }
