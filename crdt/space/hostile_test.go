package space

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A rogue is a member whose program signs whatever it likes.
type rogue struct {
	t    testing.TB
	s    *Space // to be who it is
	feed identity.ID
	head feed.Entry
	had  bool
	auth []identity.ID // what it says it knows; nil: all
}

// rogueMember joins a space and opens a feed, which the host knows of then.
func rogueMember(t testing.TB, host *Space, role credential.Role) *rogue {
	t.Helper()
	s := joined(t, host, "mallory", role)
	t.Cleanup(func() { s.Close() })
	r := &rogue{t: t, s: s}
	r.open(host)
	return r
}

// open opens another feed.
func (r *rogue) open(tell ...*Space) {
	r.t.Helper()
	open, err := r.s.members.OpenFeed(r.s.device, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range append(tell, r.s) {
		if err := s.AddCredentials(r.t.Context(), [][]byte{open.Raw}); err != nil {
			r.t.Fatal(err)
		}
	}
	r.feed, r.head, r.had = open.ID, feed.Entry{}, false
}

// version is that of the i-th operation from now on.
func (r *rogue) version(i int) tree.Version {
	first := uint64(1)
	if r.had {
		first = r.head.Next()
	}
	return tree.Version{Feed: r.feed, N: first + uint64(i)}
}

// entry signs the next entry of the feed.
func (r *rogue) entry(ops ...tree.Op) []byte {
	r.t.Helper()
	h := feed.Header{
		Space: r.s.id, Feed: r.feed, Seq: 1, Auth: r.s.members.Auth(), First: r.version(0).N, Ops: uint64(len(ops)),
	}
	if r.auth != nil {
		h.Auth = r.auth
	}
	if r.had {
		h.Seq, h.Prev = r.head.Seq+1, r.head.ID
	}
	for i := range ops {
		ops[i].N = r.version(i).N
		ops[i].Lamport = max(ops[i].Lamport, 1)
	}
	payload, err := tree.Encode(ops)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := feed.Seal(r.s.device, h, r.s.Key(), payload)
	if err != nil {
		r.t.Fatal(err)
	}
	r.head, r.had = e, true
	return e.Raw
}

func id(i int) NodeID { return NodeID{1, byte(i >> 16), byte(i >> 8), byte(i)} }

func file(i int, text string) tree.Op {
	return tree.Op{Node: id(i), Place: &tree.Place{Name: fmt.Append(nil, "f", i)},
		Content: &tree.Content{Kind: tree.Bytes, Data: []byte(text)}}
}

// edit makes an edit of a text that nobody has edited.
func (r *rogue) edit(node NodeID, base tree.Version, text string, splices ...textdiff.Splice) tree.Op {
	r.t.Helper()
	key := textKey(node, base)
	doc, err := newDocument(key, []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	defer doc.Close()
	change, err := doc.Edit(actor(r.feed, key), splices, time.Unix(0, 0))
	if err != nil {
		r.t.Fatal(err)
	}
	return tree.Op{Node: node, Lamport: 2, Edit: &tree.Edit{Base: base, Change: change, Over: []tree.Version{base}}}
}

// An entry may edit 256 texts, whose documents together do not fit into any
// computer. One at a time they do.
func TestManyTextsInOneEntry(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	r := rogueMember(t, a, credential.Editor)
	const texts = 6
	text := strings.Repeat("all work and no play ", 50<<10/21)
	var files, edits []tree.Op
	for i := range texts {
		files = append(files, file(i, text))
	}
	bases := make([]tree.Version, texts)
	for i := range bases {
		bases[i] = r.version(i)
	}
	give(t, a, r.entry(files...))
	for i, base := range bases {
		edits = append(edits, r.edit(id(i), base, text, textdiff.Splice{Ins: "x"}))
	}
	raw := r.entry(edits...)
	e, err := feed.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	a.write.Lock()
	_, edited, err := a.vet(&e, nil)
	if a.docs.cost > docBudget {
		t.Errorf("documents of %d MB are in memory", a.docs.cost>>20)
	}
	a.forget(edited)
	a.write.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	give(t, a, raw)
	settle(t, a)
	for i := range texts {
		if got, _ := read(t, a, id(i)); got != "x"+text {
			t.Errorf("text %d has %d bytes", i, len(got))
		}
	}
	save(t, a, id(0), nil, "y"+text) // over what was closed meanwhile
	settle(t, a)
	if got, _ := read(t, a, id(0)); got != "y"+text {
		t.Errorf("text 0 has %d bytes", len(got))
	}
}

// An edit that builds on a void one of its own entry is void too, and does not
// keep the entry from being decided.
func TestEditOfVoidEdit(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	r := rogueMember(t, a, credential.Editor)
	base := r.version(0)
	give(t, a, r.entry(file(1, "one\n")))
	key := textKey(id(1), base)
	doc, err := newDocument(key, []byte("one\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	var ops []tree.Op
	for range 3 { // the first stays away, so that the second's number is wrong
		change, err := doc.Edit(actor(r.feed, key), []textdiff.Splice{{Ins: "x"}}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, tree.Op{Node: id(1), Edit: &tree.Edit{Base: base, Change: change, Over: []tree.Version{base}}})
	}
	first, err := document.Check(ops[0].Edit.Change)
	if err != nil {
		t.Fatal(err)
	}
	// The same actor and number as the first, in an entry of its own before.
	rival := r.edit(id(1), base, "one\n", textdiff.Splice{Pos: 4, Ins: "rival\n"})
	give(t, a, r.entry(rival))
	give(t, a, r.entry(ops[0], ops[1])) // void, and on a void one
	give(t, a, r.entry(file(2, "after")))
	settle(t, a)
	if got, _ := read(t, a, id(1)); got != "one\nrival\n" {
		t.Errorf("text %q, change %x", got, first.Hash[:4])
	}
	if got := listing(t, a, Root); got != "f1 f2" {
		t.Errorf("listing %q", got)
	}
}

// More people may edit a text at once than one change can build on.
func TestManyAtOnceInOneText(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	f := create(t, a, "a.txt", "base\n")
	settle(t, a)
	e, _ := a.tree.Get(f.ID)
	r := rogueMember(t, a, credential.Editor)
	const people = 70
	for range people {
		give(t, a, r.entry(r.edit(f.ID, e.Key, "base\n", textdiff.Splice{Pos: 5, Ins: "more\n"})))
		r.open(a)
	}
	text, version := read(t, a, f.ID)
	if text != "base\n"+strings.Repeat("more\n", people) {
		t.Fatalf("text %q", text)
	}
	save(t, a, f.ID, &version, text+"mine\n")
	settle(t, a)
	if got, _ := read(t, a, f.ID); got != text+"mine\n" {
		t.Errorf("text %q", got)
	}
}

// Who writes a text of the greatest size anew, whatever it takes, succeeds. And
// two that grow it beyond that lose nothing.
func TestGreatestTexts(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	line := func(s string) string { return strings.Repeat(s+"\n", tree.MaxText/(len(s)+1)) }
	old, all := line("one of them"), line("another, ño less")
	f := create(t, a, "a.txt", old)
	save(t, a, f.ID, nil, all)
	if got, _ := read(t, a, f.ID); got != all {
		t.Errorf("text of %d bytes", len(got))
	}
	g := create(t, a, "b.txt", "middle\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	t.Cleanup(func() { b.Close() })
	pull(t, b, a)
	top, end := strings.Repeat("top\n", 50<<10), strings.Repeat("end\n", 50<<10)
	save(t, a, g.ID, nil, top+"middle\n")
	save(t, b, g.ID, nil, "middle\n"+end)
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	ta, va := read(t, a, g.ID)
	tb, vb := read(t, b, g.ID)
	if ta != top+"middle\n"+end || ta != tb || va != vb {
		t.Fatalf("texts of %d and %d bytes, %s and %s", len(ta), len(tb), va, vb)
	}
	c, err := a.Import(t.Context(), strings.NewReader(ta+"mine\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Save(g.ID, &va, c, time.Time{}); err != nil {
		t.Fatal(err)
	}
	save(t, b, g.ID, &vb, "theirs\n"+tb[:100<<10])
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	if la, lb := listing(t, a, Root), listing(t, b, Root); la != lb || strings.Count(la, ".txt") != 3 {
		t.Errorf("listings %q and %q", la, lb)
	}
}

// Anybody may leave, also many times at the same time. That must not keep the
// others from writing, although an entry can name only few credentials.
func TestManyCredentialsAtOnce(t *testing.T) {
	for _, n := range []int{40, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a := founded(t)
			t.Cleanup(func() { a.Close() })
			create(t, a, "a0", "x")
			settle(t, a)
			b := joined(t, a, "ben", credential.Editor)
			t.Cleanup(func() { b.Close() })
			r := rogueMember(t, a, credential.Reader)
			pull(t, b, a)
			var leave [][]byte
			for range n {
				c, err := r.s.members.SetRole(r.s.device, r.s.device.Identity(), credential.None, nil, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				leave = append(leave, c.Raw)
			}
			for i, s := range []*Space{b, a, b, a} { // b's first entry, and others
				if i < 2 {
					if err := s.AddCredentials(t.Context(), leave); err != nil {
						t.Fatal(err)
					}
				}
				create(t, s, fmt.Sprint("n", i), "x")
				settle(t, s)
				pull(t, a, b)
				pull(t, b, a)
			}
			for _, s := range []*Space{a, b} {
				if got := listing(t, s, Root); got != "a0 n0 n1 n2 n3" {
					t.Errorf("listing %q", got)
				}
			}
			if role := a.members.Role(r.s.device.Identity()); role != credential.None {
				t.Errorf("who left is %v", role)
			}
		})
	}
}

// What somebody wrote before they heard that they may not any more does not
// count: they keep it, and write it again if they may after all.
func TestDemotedBeforeTheCommit(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	b := joined(t, a, "ben", credential.Editor)
	t.Cleanup(func() { b.Close() })
	pull(t, b, a)
	for i := range 2 {
		create(t, b, fmt.Sprint("b", i), "x") // not committed when the news comes
		if err := a.AddCredentials(t.Context(), b.Credentials()); err != nil {
			t.Fatal(err)
		}
		for _, role := range []credential.Role{credential.Reader, credential.Editor} {
			var creds []credential.Signed
			var err error
			if role == credential.Reader {
				var c credential.Signed
				c, err = a.members.SetRole(a.device, b.device.Identity(), role, nil, time.Now())
				creds = append(creds, c)
			} else {
				creds, err = a.members.Admit(a.device, b.device.Chain(), role, time.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range creds {
				for _, s := range []*Space{a, b} {
					if err := s.AddCredentials(t.Context(), [][]byte{c.Raw}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if i == 0 { // else both come at once
				settle(t, b)
			}
		}
		settle(t, b)
		pull(t, a, b)
	}
	for _, s := range []*Space{a, b} {
		if got := listing(t, s, Root); got != "b1" {
			t.Errorf("listing %q", got)
		}
	}
	kept, err := b.Withdrawn()
	if err != nil || len(kept) != 1 || kept[0].Path != "b0" || kept[0].Size != 1 {
		t.Errorf("withdrawn %+v, %v", kept, err)
	}
}

// A device may know more feeds than a timeframe can name.
func TestMoreFeedsThanATimeframe(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	heads := make(feed.Timeframe)
	for i := range 2*feed.MaxFeeds + 10 {
		f := identity.Hash("test", fmt.Append(nil, i))
		heads[f] = feed.Head{Seq: uint64(i%7) + 1, ID: f}
	}
	if err := a.db.Update(func(tx *store.Tx) error { return putHeads(tx, heads) }); err != nil {
		t.Fatal(err)
	}
	err := a.db.View(func(tx *store.Tx) error {
		got, err := getHeads(tx)
		if !maps.Equal(got, heads) {
			t.Errorf("%d feeds of %d", len(got), len(heads))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if part := heads.Part(); part.Check() != nil || len(part) != feed.MaxFeeds {
		t.Errorf("%d feeds to be sent: %v", len(part), part.Check())
	}
}

// Credentials whose past nobody has fill neither the memory nor the disk, and
// one whose past comes later is there after a restart.
func TestCredentialsThatWait(t *testing.T) {
	a := founded(t)
	r := rogueMember(t, a, credential.Reader)
	var early, late [][]byte
	for i := range 2000 {
		op := credential.Op{Space: a.id, Kind: credential.FeedOpen, Deps: []identity.ID{identity.Hash("nobody has", fmt.Append(nil, i))},
			Proof: a.id, Nonce: [16]byte{byte(i), byte(i >> 8)}}
		c, err := credential.Make(r.s.device, op)
		if err != nil {
			t.Fatal(err)
		}
		early = append(early, c.Raw)
	}
	_ = a.AddCredentials(t.Context(), early)
	for range 2 { // the second has the first in its past
		c, err := r.s.members.OpenFeed(r.s.device, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.s.members.Add(c); err != nil {
			t.Fatal(err)
		}
		late = append(late, c.Raw)
	}
	for _, raw := range [][]byte{late[1], late[0]} {
		if err := a.AddCredentials(t.Context(), [][]byte{raw}); err != nil {
			t.Fatal(err)
		}
	}
	have := a.members.Len()
	stored := 0
	err := a.db.View(func(tx *store.Tx) error {
		return tx.Credentials(func([32]byte, []byte) error { stored++; return nil })
	})
	if err != nil || stored != have {
		t.Errorf("%d credentials are stored, %d count: %v", stored, have, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: a.dir, Device: a.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if again.members.Len() != have {
		t.Errorf("%d credentials after a restart, %d before", again.members.Len(), have)
	}
}

// A write need not replace those before it. A node with more of them than one
// write can replace can still be renamed, saved and removed.
func TestManyLiveWritesOfOneNode(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	r := rogueMember(t, a, credential.Editor)
	const n = tree.MaxOver + 100
	var ops []tree.Op
	give(t, a, r.entry(file(1, "x")))
	for i := range n {
		ops = append(ops, tree.Op{Node: id(1), Place: &tree.Place{Name: fmt.Append(nil, "name", i)}, Meta: &tree.Meta{Mtime: int64(i + 1)}})
		if len(ops) == tree.MaxOps || i == n-1 {
			give(t, a, r.entry(ops...))
			ops = nil
		}
	}
	settle(t, a)
	if _, err := a.Move(id(1), Root, "mine", false); err != nil {
		t.Fatal(err)
	}
	save(t, a, id(1), nil, "y")
	exec := true
	if err := a.SetAttr(id(1), &exec, nil); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, a, Root); got != "mine" {
		t.Errorf("listing %q", got)
	}
	if err := a.Remove(id(1)); err != nil {
		t.Fatal(err)
	}
	settle(t, a)
}

// A device whose files come from a backup opens a new feed at its next change,
// before or after it hears from the others, and nothing of either is lost.
func TestRestoredFromBackup(t *testing.T) {
	for _, heard := range []bool{false, true} {
		t.Run(fmt.Sprint(heard), func(t *testing.T) {
			a := founded(t)
			t.Cleanup(func() { a.Close() })
			b := joined(t, a, "ben", credential.Editor)
			pull(t, b, a)
			f := create(t, b, "b.txt", "one\n")
			settle(t, b)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			backup := t.TempDir()
			copyDir(t, b.dir, backup)
			open := func(dir string) *Space {
				s, err := Open(Config{Dir: dir, Device: b.device, Log: testLog(t)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			}
			lost := open(b.dir)
			old := lost.feed
			if old != b.feed {
				t.Fatal("the same files, and another feed")
			}
			save(t, lost, f.ID, nil, "one\ntwo\n")
			settle(t, lost)
			create(t, lost, "c", "x")
			settle(t, lost)
			pull(t, a, lost)

			s := open(backup)
			if heard { // of some of it, and is stopped
				raw, err := a.Entry(old, 2)
				if err != nil {
					t.Fatal(err)
				}
				give(t, s, raw)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(backup)
			}
			create(t, s, "d", "x")
			save(t, s, f.ID, nil, "zero\none\n"+map[bool]string{true: "two\n"}[heard])
			settle(t, s)
			pull(t, s, a)
			pull(t, a, s)
			pull(t, s, a)
			for _, s := range []*Space{a, s} {
				if got := listing(t, s, Root); got != "b.txt c d" {
					t.Errorf("listing %q", got)
				}
				if got, _ := read(t, s, f.ID); got != "zero\none\ntwo\n" {
					t.Errorf("text %q", got)
				}
			}
			if s.feed == old || s.feed.IsZero() {
				t.Errorf("it writes feed %s", s.feed.Short())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if again := open(backup); again.feed != s.feed {
				t.Error("another feed after a restart")
			}
		})
	}
}

// A change in the journal that cannot be replayed costs neither those behind it
// nor, for good, itself.
func TestJournalThatCannotBeReplayed(t *testing.T) {
	s := founded(t)
	create(t, s, "a", "x")
	settle(t, s)
	create(t, s, "b", "x")
	bad := binary.AppendUvarint(append([]byte{frameLocal}, s.feed[:]...), 7)
	if err := s.journal.Append(append(bad, "garbage"...)); err != nil {
		t.Fatal(err)
	}
	create(t, s, "c", "x")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if s, err = Open(Config{Dir: s.dir, Device: s.device, Log: testLog(t)}); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, s, Root); got != "a b c" {
			t.Errorf("listing %q", got)
		}
		settle(t, s)
	}
	s.Close()
	kept, err := filepath.Glob(filepath.Join(s.dir, "journal-*.kept"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	data, err := os.ReadFile(kept[0])
	if err != nil || !bytes.Contains(data, []byte("garbage")) {
		t.Errorf("%d bytes are kept, %v", len(data), err)
	}
}

// Clocks say anything. They decide nothing.
func TestClocksOfOtherTimes(t *testing.T) {
	var spaces []*Space
	for i, year := range []int{2026, -40, 1969, 2300, 9999} {
		now := func() time.Time { return time.Date(year, 2, 3, 4, 5, 6, 7, time.UTC) }
		cfg := Config{Dir: t.TempDir(), Device: device(t, fmt.Sprint("d", i)), Log: testLog(t), Now: now}
		var s *Space
		var err error
		if i == 0 {
			s, err = Create(cfg, "home")
		} else {
			var adm Admission
			if adm, err = spaces[0].Admit(cfg.Device.Chain(), credential.Editor); err != nil {
				t.Fatal(err)
			}
			s, err = Join(cfg, adm.Name, adm.Credentials, adm.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		spaces = append(spaces, s)
	}
	f := create(t, spaces[0], "a.txt", "base\n")
	settle(t, spaces[0])
	for i, s := range spaces {
		pull(t, s, spaces[0])
		text, version := read(t, s, f.ID)
		save(t, s, f.ID, &version, text+fmt.Sprint(i, "\n"))
		create(t, s, fmt.Sprint("n", i), "x")
		settle(t, s)
	}
	for range 2 {
		for _, s := range spaces {
			for _, o := range spaces {
				if o != s {
					pull(t, s, o)
				}
			}
		}
	}
	want := spaces[0].tree.Dump()
	for i, s := range spaces {
		if got := s.tree.Dump(); got != want {
			t.Errorf("%d:\n%s", i, differing(got, want))
		}
		text, _ := read(t, s, f.ID)
		for k := range spaces {
			if !strings.Contains(text, fmt.Sprint(k, "\n")) {
				t.Errorf("%d has %q", i, text)
			}
		}
	}
}
