package replicate

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
)

// await returns when what is so, looking whenever the space changes.
func (r *realSpace) await(what string, is func() bool) {
	r.t.Helper()
	changes, cancel := r.Notify()
	defer cancel()
	timeout := time.NewTimer(5 * time.Minute)
	defer timeout.Stop()
	for !is() {
		select {
		case <-changes:
		case <-r.changed:
		case <-timeout.C:
			r.t.Fatalf("%s: never %s", r.device.Name(), what)
		}
	}
}

// meet links two spaces, again and again until the test ends.
func meet(t testing.TB, a, b *realSpace) (cut func()) {
	t.Helper()
	ra, rb := New(a.Space, nil), New(b.Space, nil)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			ended := linkOnce(t, a, b, ra, rb, stop)
			select {
			case <-stop:
				return
			default:
			}
			if ended {
				return
			}
		}
	}()
	var cutOnce bool
	cut = func() {
		if !cutOnce {
			cutOnce = true
			close(stop)
			<-done
		}
	}
	t.Cleanup(cut)
	return cut
}

// linkOnce serves one link. It reports true if the peer was refused.
func linkOnce(t testing.TB, a, b *realSpace, ra, rb *Replicator, stop chan struct{}) bool {
	x, y := pipe(t, a.device, b.device)
	errs := make(chan error, 2)
	go func() { errs <- ra.Link(t.Context(), x) }()
	go func() { errs <- rb.Link(t.Context(), y) }()
	var first error
	select {
	case <-stop:
	case first = <-errs:
		errs <- first
	}
	_ = x.Sync.Close()
	_ = y.Sync.Close()
	one, two := <-errs, <-errs
	return errors.Is(one, mesh.ErrRefused) || errors.Is(two, mesh.ErrRefused)
}

func TestWhoIsRemovedGetsNothingMore(t *testing.T) {
	a := createReal(t, "anna")
	b, c := a.welcome("ben"), a.welcome("cem")
	meet(t, a, b)
	meet(t, a, c)
	cutBC := meet(t, b, c)
	a.create("before", []byte("before"))
	for _, r := range []*realSpace{b, c} {
		r.waitFor("before", []byte("before"))
	}
	cutBC() // b hears of it by a
	if err := a.SetRole(t.Context(), c.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.await("removed", func() bool { return c.Standing() == space.Expelled })
	a.create("after", []byte("after"))
	b.waitFor("after", []byte("after"))
	if b.Key() != a.Key() || b.Keyring().Len() != 2 {
		t.Error("the new key is not written with")
	}

	// Whatever c tries, nobody gives it anything.
	for _, r := range []*realSpace{a, b} {
		rep, mine := New(r.Space, nil), New(c.Space, nil)
		if !linkOnce(t, r, c, rep, mine, make(chan struct{})) {
			t.Errorf("%s goes on with a removed member", r.device.Name())
		}
	}
	if _, err := c.read("after"); err == nil {
		t.Error("the removed has a new file")
	}
	if c.Keyring().Len() != 1 || len(c.Timeframe()) != 1 {
		t.Errorf("the removed has %d keys and %d feeds", c.Keyring().Len(), len(c.Timeframe()))
	}
	heads := a.CredentialHeads()
	for _, raw := range c.Credentials() {
		if op, err := credential.Decode(raw); err == nil && slices.Contains(heads, op.ID) {
			t.Errorf("the removed has a credential of kind %d that came after", op.Kind)
		}
	}
}

func TestWhoWasAwayGetsTheNewKey(t *testing.T) {
	a := createReal(t, "anna")
	b, c := a.welcome("ben"), a.welcome("cem")
	if err := a.SetRole(t.Context(), c.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.create("new", []byte("under the new key"))
	meet(t, b, a)
	b.waitFor("new", []byte("under the new key"))
	b.create("reply", []byte("reply"))
	a.waitFor("reply", []byte("reply"))
	if b.Key() != a.Key() {
		t.Error("two keys are written with")
	}
}

// A member whom somebody admitted that had not heard of the new key gets it from
// whoever has it.
func TestWhoWasAdmittedMeanwhileGetsTheNewKey(t *testing.T) {
	a := createReal(t, "anna")
	b := a.welcome("ben")
	if err := a.SetRole(t.Context(), b.device.Identity(), credential.Admin); err != nil {
		t.Fatal(err)
	}
	cut := meet(t, a, b)
	b.await("admin", func() bool { return b.Role() == credential.Admin })
	cut()
	d := b.welcome("dora") // by b, at the same time as
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.create("new", []byte("under the new key"))
	meet(t, a, b)
	meet(t, b, d)
	d.waitFor("new", []byte("under the new key"))
	if d.Keyring().Len() != 2 {
		t.Errorf("%d keys", d.Keyring().Len())
	}
}

// A rogue is an editor whose program signs two of each.
type rogue struct {
	t      *testing.T
	device *identity.Device
	state  *membership.State
	space  *space.Space
	feed   identity.ID
}

func newRogue(t *testing.T, host *realSpace) *rogue {
	t.Helper()
	r := &rogue{t: t, device: newDevice(t, "mallory"), space: host.Space}
	if _, err := host.Admit(r.device.Chain(), credential.Editor); err != nil {
		t.Fatal(err)
	}
	r.state = membership.Of(host.ID())
	for _, raw := range host.Credentials() {
		op, err := credential.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.state.Add(op); err != nil {
			t.Fatal(err)
		}
	}
	open, err := r.state.OpenFeed(r.device, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.state.Add(open); err != nil {
		t.Fatal(err)
	}
	if err := host.AddCredentials(t.Context(), [][]byte{open.Raw}); err != nil {
		t.Fatal(err)
	}
	r.feed = open.ID
	return r
}

// branch signs entries that follow prev, each of which makes a file.
func (r *rogue) branch(prev *feed.Entry, names ...string) (out []feed.Entry) {
	r.t.Helper()
	for _, name := range names {
		h := feed.Header{Space: r.space.ID(), Feed: r.feed, Seq: 1, Auth: r.state.Auth(), First: 1, Ops: 1}
		if prev != nil {
			h.Seq, h.Prev, h.First = prev.Seq+1, prev.ID, prev.Next()
		}
		hash := identity.Hash("node", []byte(name))
		node := tree.NodeID(hash[:16])
		payload, err := tree.Encode([]tree.Op{{N: h.First, Lamport: 1, Node: node,
			Place: &tree.Place{Name: []byte(name)}, Content: &tree.Content{Kind: tree.Bytes, Data: []byte(name)}}})
		if err != nil {
			r.t.Fatal(err)
		}
		e, err := feed.Seal(r.device, h, r.space.Key(), payload)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, e)
		prev = &out[len(out)-1]
	}
	return out
}

func give(t *testing.T, to *realSpace, entries ...feed.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := to.Accept(t.Context(), [][]byte{e.Raw}); err != nil {
			t.Fatal(err)
		}
	}
}

// An equivocator gives each of two peers another branch, long ones that part in
// the middle. They find out by themselves, agree, and lose nothing of their own.
func TestAForkIsFoundAndSettled(t *testing.T) {
	a := createReal(t, "anna")
	b, c := a.welcome("ben"), a.welcome("cem")
	r := newRogue(t, a)
	for _, to := range []*realSpace{b, c} {
		if err := to.AddCredentials(t.Context(), a.Credentials()); err != nil {
			t.Fatal(err)
		}
	}
	common := r.branch(nil, "c1", "c2", "c3", "c4", "c5")
	last := &common[len(common)-1]
	left, right := r.branch(last, "l1", "l2", "l3", "l4"), r.branch(last, "r1", "r2", "r3", "r4", "r5", "r6")
	give(t, a, append(slices.Clone(common), left...)...)
	give(t, b, append(slices.Clone(common), right...)...)
	a.create("anna's", []byte("of anna"))
	b.create("ben's", []byte("of ben"))

	meet(t, a, b)
	meet(t, b, c)
	c.create("cem's", []byte("of cem"))
	all := []*realSpace{a, b, c}
	for _, s := range all {
		for name, text := range map[string]string{"anna's": "of anna", "ben's": "of ben", "cem's": "of cem", "c5": "c5"} {
			s.waitFor(name, []byte(text))
		}
	}
	one := func(s *realSpace) string {
		_, l := s.read("l4")
		_, r := s.read("r6")
		return map[bool]string{true: "left", false: ""}[l == nil] + map[bool]string{true: "right", false: ""}[r == nil]
	}
	for _, s := range all {
		s.await("one branch", func() bool {
			return (one(s) == "left" || one(s) == "right") && len(s.Forks()) == 1
		})
	}
	for _, s := range all {
		s.await("the same branch", func() bool { return one(s) == one(a) })
	}
	a.create("later", []byte("goes on"))
	for _, s := range all {
		s.waitFor("later", []byte("goes on"))
	}
}

// A reader's entries, and a stranger's, are refused by both, over the real link
// and whoever passes them on.
func TestReadersEntriesDoNotTravel(t *testing.T) {
	a := createReal(t, "anna")
	b := a.welcome("ben")
	r := newRogue(t, a)
	meet(t, a, b)
	if err := a.SetRole(t.Context(), r.device.Identity(), credential.Reader); err != nil {
		t.Fatal(err)
	}
	for _, raw := range a.Credentials() {
		if op, err := credential.Decode(raw); err == nil {
			_, _ = r.state.Add(op)
		}
	}
	for _, e := range r.branch(nil, "bad") {
		for _, to := range []*realSpace{a, b} {
			var refused *space.Refused
			to.await("credentials", func() bool { return slices.Equal(to.CredentialHeads(), a.CredentialHeads()) })
			if err := to.Accept(t.Context(), [][]byte{e.Raw}); !errors.As(err, &refused) {
				t.Errorf("%s takes a reader's entry: %v", to.device.Name(), err)
			}
		}
	}
	a.create("good", []byte("good"))
	b.waitFor("good", []byte("good"))
	if _, err := b.read("bad"); err == nil {
		t.Error("a reader wrote")
	}
}
