package space

import (
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/identity/credential"
)

// team is three spaces of one founder and two editors, who know each other.
func team(t *testing.T) (a, b, c *Space) {
	t.Helper()
	a = founded(t)
	b, c = joined(t, a, "ben", credential.Editor), joined(t, a, "cem", credential.Editor)
	for _, s := range []*Space{a, b, c} {
		t.Cleanup(func() { s.Close() })
	}
	everybody(t, a, b, c)
	return a, b, c
}

// everybody exchanges all until nothing changes any more.
func everybody(t *testing.T, all ...*Space) {
	t.Helper()
	for range 3 {
		for _, to := range all {
			for _, from := range all {
				if to == from {
					continue
				}
				settle(t, from)
				if err := to.AddForks(from.Forks()); err != nil {
					t.Fatal(err)
				}
				if err := give2(t, to, from); err != nil {
					t.Logf("%v", err)
				}
				settle(t, to)
			}
		}
	}
}

// give2 gives everything that from has to to, and says what was refused.
func give2(t *testing.T, to, from *Space) error {
	t.Helper()
	if err := to.AddCredentials(t.Context(), from.Credentials()); err != nil {
		t.Fatal(err)
	}
	refs, err := from.Log(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var errs []string
	for _, r := range refs {
		raw, err := from.Entry(r.Feed, r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		e, err := feed.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.acceptOne(&e); len(err) > 0 {
			errs = append(errs, err[0].Error())
		}
	}
	settle(t, to)
	if len(errs) > 0 {
		return &Refused{Reason: strings.Join(errs, "; ")}
	}
	return nil
}

func giveAll(t *testing.T, to *Space, raw ...[]byte) {
	t.Helper()
	for _, r := range raw {
		e, err := feed.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := to.acceptOne(&e); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
}

// same checks that spaces have the same tree, texts and log.
func same(t *testing.T, all ...*Space) {
	t.Helper()
	want := all[0]
	for _, s := range all[1:] {
		if got := s.tree.Dump(); got != want.tree.Dump() {
			t.Errorf("trees differ:\n%s\n%s", got, want.tree.Dump())
		}
		for f, h := range want.Timeframe() {
			if s.Timeframe()[f] != h {
				t.Errorf("feed %s is %d here, %d there", f.Short(), s.Timeframe()[f].Seq, h.Seq)
			}
		}
		if len(s.Timeframe()) != len(want.Timeframe()) {
			t.Errorf("%d feeds, %d there", len(s.Timeframe()), len(want.Timeframe()))
		}
	}
}

func contentOf(t *testing.T, s *Space, name string) string {
	t.Helper()
	info, err := s.Lookup(Root, name)
	if err != nil {
		return err.Error()
	}
	text, _ := read(t, s, info.ID)
	return text
}

// What a removed member wrote after the cut goes, on every device, unless an
// editor had built on it before they heard.
func TestRemovalWithdraws(t *testing.T) {
	a, b, c := team(t)
	create(t, c, "before", "before\n")
	everybody(t, a, b, c)

	// Cut off from the founder, c writes two more files; b edits one of them.
	create(t, c, "adopted", "one\n")
	settle(t, c)
	pull(t, b, c)
	info, err := b.Lookup(Root, "adopted")
	if err != nil {
		t.Fatal(err)
	}
	save(t, b, info.ID, nil, "one\ntwo\n")
	settle(t, b)
	create(t, c, "withdrawn", "gone\n")
	settle(t, c)
	give2(t, b, c)
	if got := listing(t, b, Root); got != "adopted before withdrawn" {
		t.Fatalf("b has %q", got)
	}
	events := make(chan []Event, 100)
	b.Subscribe(func(e []Event) { events <- e })

	if err := a.SetRole(t.Context(), c.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b)
	for _, s := range []*Space{a, b} {
		if got := listing(t, s, Root); got != "adopted before" {
			t.Errorf("%s has %q", s.device.Name(), got)
		}
		if got := contentOf(t, s, "adopted"); got != "one\ntwo\n" {
			t.Errorf("%s has %q", s.device.Name(), got)
		}
	}
	same(t, a, b)
	b.events.deliver()
	removed := false
	for len(events) > 0 {
		for _, e := range <-events {
			removed = removed || e.Op == Removed && e.Name == "withdrawn" && e.Remote
		}
	}
	if !removed {
		t.Error("subscribers do not hear of what is withdrawn")
	}

	// The removed device keeps what it had, and may not write.
	pull(t, c, a)
	settle(t, c)
	if got := listing(t, c, Root); got != "adopted before withdrawn" || c.Standing() != Expelled || !c.ReadOnly() {
		t.Errorf("c has %q, %v", got, c.Standing())
	}
	if _, err := c.Create(Root, "more", New{}); err == nil {
		t.Error("the removed write on")
	}

	// A restart changes nothing, and neither does a rebuild.
	settle(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: b.dir, Device: b.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	settle(t, again)
	same(t, a, again)
	if err := again.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, a, again)

	// Who comes back is judged by what they may do now.
	if _, err := a.Admit(c.device.Chain(), credential.Editor); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, again, c)
	if got := listing(t, c, Root); got != "adopted before withdrawn" {
		t.Errorf("after coming back: %q", got)
	}
	same(t, a, again, c)
}

// Whatever a removed member's program signs afterwards is kept out by all who
// know, whoever brings it, and however it is dated.
func TestRemovedMemberCannotWrite(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	b := joined(t, a, "ben", credential.Editor)
	t.Cleanup(func() { b.Close() })
	r := rogueMember(t, a, credential.Editor)
	everybody(t, a, b)
	old := r.s.members.Auth()
	give(t, a, r.entry(file(1, "honest")))
	everybody(t, a, b)
	if err := a.SetRole(t.Context(), r.s.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b)
	if err := r.s.AddCredentials(t.Context(), a.Credentials()); err != nil {
		t.Fatal(err)
	}
	open := r.head
	news := r.entry(file(2, "now")) // by the credentials as they are
	if err := b.Accept(t.Context(), [][]byte{news}); err == nil {
		t.Error("an entry of a removed member is taken")
	}
	r.head = open
	r.auth = old
	start(t, b)
	backdated := r.entry(file(3, "back-dated"))
	if err := b.Accept(t.Context(), [][]byte{backdated}); err != nil {
		t.Errorf("what may have been written before has to be kept: %v", err)
	}
	if got := listing(t, b, Root); got != "f1" {
		t.Errorf("the removed wrote: %q", got)
	}
}

// Three spaces, two of which get another branch of an equivocator's feed: the
// known fault was that they never agreed again.
func TestEquivocatorDoesNotSplitASpace(t *testing.T) {
	a, b, c := team(t)
	r := rogueMember(t, a, credential.Editor)
	everybody(t, a, b, c)
	common := r.entry(file(1, "common"))
	for _, s := range []*Space{a, b, c} {
		give(t, s, common)
	}
	fork := r.head
	left := []([]byte){r.entry(file(2, "left")), r.entry(file(3, "left 2"))}
	r.head = fork
	right := []([]byte){r.entry(file(4, "right")), r.entry(file(5, "right 2")), r.entry(file(6, "right 3"))}
	giveAll(t, a, left...)
	giveAll(t, b, right...)
	settle(t, a)
	settle(t, b)

	// Both build on what they were given, and write things of their own.
	for _, s := range []*Space{a, b} {
		name, mine := "f2", "a"
		if s == b {
			name, mine = "f4", "b"
		}
		info, err := s.Lookup(Root, name)
		if err != nil {
			t.Fatal(err)
		}
		create(t, s, "own "+mine, "of "+mine+"\n")
		save(t, s, info.ID, nil, mine+" was here\n")
		settle(t, s)
	}
	everybody(t, a, b, c)
	create(t, c, "unrelated", "goes on\n")
	everybody(t, a, b, c)
	parted(t, a, b, c)
	everybody(t, a, b, c)
	same(t, a, b, c)
	got := listing(t, c, Root)
	for _, want := range []string{"f1", "own a", "own b", "unrelated"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	if l, r := strings.Contains(got, "f3"), strings.Contains(got, "f5"); l == r {
		t.Errorf("no branch has won: %q", got)
	}
	// What the honest wrote into the file of the losing branch is there.
	all := ""
	for _, i := range all2(t, c) {
		text, _ := read(t, c, i.ID)
		all += text
	}
	for _, want := range []string{"a was here", "b was here"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is lost in %q", want, all)
		}
	}
	// Everything goes on.
	for i, s := range []*Space{a, b, c} {
		create(t, s, "later "+string(rune('a'+i)), "x")
	}
	everybody(t, a, b, c)
	same(t, a, b, c)
	if err := c.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, a, c)
}

func all2(t *testing.T, s *Space) []Info {
	var out []Info
	for _, i := range all(t, s) {
		if i.Kind == File {
			out = append(out, i)
		}
	}
	return out
}

// parted finds the forks between spaces as replication does.
func parted(t *testing.T, all ...*Space) {
	t.Helper()
	for _, x := range all {
		for _, y := range all {
			for f, head := range x.Timeframe() {
				low, high := uint64(0), min(head.Seq, y.Timeframe()[f].Seq)
				for low < high { // the first number at which they differ
					mid := (low + high + 1) / 2
					stub, err := y.StubOf(f, mid)
					if err != nil {
						t.Fatal(err)
					}
					same, _, err := x.Compare(stub)
					if err != nil {
						t.Fatal(err)
					}
					if same {
						low = mid
					} else {
						high = mid - 1
					}
				}
				if stub, err := y.StubOf(f, low+1); err == nil && low < min(head.Seq, y.Timeframe()[f].Seq) {
					if _, _, err := x.Compare(stub); err != nil {
						t.Fatal(err)
					}
				}
				settle(t, x)
			}
		}
	}
}

// An edit that builds on what does not count is void everywhere, in whatever
// order things come, and does not stop the feed.
func TestEditOfWhatDoesNotCount(t *testing.T) {
	a, b, c := team(t)
	r := rogueMember(t, a, credential.Editor)
	everybody(t, a, b, c)
	dead := rogueMember(t, a, credential.Editor)
	everybody(t, a, b, c)
	base := dead.version(0)
	lost := dead.entry(file(1, "text\n"))
	edit := dead.edit(id(1), base, "text\n", textdiff.Splice{Ins: "x"})
	lostEdit := dead.entry(edit)
	if err := a.SetRole(t.Context(), dead.s.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	// r names neither entry as what it builds on, though it does.
	void := r.entry(r.edit(id(1), base, "text\n", textdiff.Splice{Ins: "y"}), file(2, "living"))
	giveAll(t, b, lost, lostEdit, void) // hears of the removal later
	everybody(t, a, b, c)
	giveAll(t, c, void, lost, lostEdit)
	everybody(t, a, b, c)
	same(t, a, b, c)
	if got := listing(t, a, Root); got != "f2" {
		t.Errorf("listing %q", got)
	}
	if err := b.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
}

// An admin takes an entry out, and what was built on it.
func TestExclude(t *testing.T) {
	a, b, c := team(t)
	create(t, c, "poison", "poison\n")
	create(t, b, "good", "good\n")
	everybody(t, a, b, c)
	var cut credential.Cut
	for f, h := range c.Timeframe() {
		if owner, ok := c.members.Feed(f); ok && owner.Device == c.device.Key() {
			cut = credential.Cut{Feed: f, Seq: h.Seq, ID: h.ID}
		}
	}
	if err := b.Exclude([]credential.Cut{cut}); err == nil {
		t.Error("an editor excludes")
	}
	if err := a.Exclude([]credential.Cut{cut}); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b, c)
	same(t, a, b, c)
	if got := listing(t, b, Root); got != "good" {
		t.Errorf("listing %q", got)
	}
	kept, err := c.Withdrawn()
	if err != nil || len(kept) != 1 || kept[0].Path != "poison" {
		t.Errorf("its author keeps %v, %v", kept, err)
	}
	create(t, c, "next", "x") // in a new feed
	everybody(t, a, b, c)
	if got := listing(t, b, Root); got != "good next" {
		t.Errorf("listing %q", got)
	}
}

// Who was removed reads nothing that is written under the next key; who is there,
// joins later or comes back reads all of it.
func TestRotation(t *testing.T) {
	a, b, c := team(t)
	create(t, a, "one", "1")
	everybody(t, a, b, c)
	if a.Stale() {
		t.Error("stale without reason")
	}
	if err := b.Rotate(t.Context()); err == nil {
		t.Error("an editor changes the key")
	}
	first := a.Key()
	if err := a.SetRole(t.Context(), c.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	if !a.Stale() {
		t.Error("the removed has the key")
	}
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Stale() || a.Key() == first {
		t.Error("the key is the same")
	}
	// That c leaves as well, which it does not know to be in vain, uses up no key.
	if err := c.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.AddCredentials(t.Context(), c.Credentials()); err != nil {
		t.Fatal(err)
	}
	if a.Stale() {
		t.Error("another key, against somebody who does not have the newest")
	}
	create(t, a, "two", "2")
	settle(t, a)
	// c gets everything by some way, and cannot read it.
	give2(t, c, a)
	if c.Keyring().Len() != 1 {
		t.Error("the removed has the new key")
	}
	if got := listing(t, c, Root); got != "one" {
		t.Errorf("the removed reads %q", got)
	}
	// Entries may come before the credential with their key.
	refs, err := a.Log(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		raw, err := a.Entry(ref.Feed, ref.Seq)
		if err != nil {
			t.Fatal(err)
		}
		e, err := feed.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := b.acceptOne(&e); len(errs) > 0 {
			t.Error(errs)
		}
	}
	everybody(t, a, b)
	if got := listing(t, b, Root); got != "one two" || b.Key() != a.Key() {
		t.Errorf("b reads %q", got)
	}
	// Who joins later reads all of it.
	d := joined(t, a, "dora", credential.Editor)
	t.Cleanup(func() { d.Close() })
	everybody(t, a, b, d)
	if got := listing(t, d, Root); got != "one two" || d.Key() != a.Key() {
		t.Errorf("d reads %q", got)
	}
	// The keys survive a restart.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: b.dir, Device: b.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if again.Key() != a.Key() || again.Keyring().Len() != 2 {
		t.Error("a key is forgotten")
	}
	// c comes back by an admission, which hands the keys over.
	adm, err := a.Admit(c.device.Chain(), credential.Editor)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddKeys(adm.Keys); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, c)
	if got := listing(t, c, Root); got != "one two" {
		t.Errorf("c reads %q", got)
	}
}
