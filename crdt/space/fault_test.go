package space

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A journal that takes nothing is what a full disk looks like.
func TestFullJournal(t *testing.T) {
	s := founded(t)
	f := create(t, s, "a.txt", "one\n")
	save(t, s, f.ID, nil, "one\ntwo\n")
	if err := s.journal.Close(); err != nil {
		t.Fatal(err)
	}
	_, version := read(t, s, f.ID)
	var e *Error
	if _, err := s.Save(f.ID, nil, BytesContent([]byte("one\ntwo\nthree\n")), time.Time{}); !errors.As(err, &e) {
		t.Errorf("save: %v", err)
	}
	if _, err := s.Create(Root, "b", New{}); !errors.As(err, &e) {
		t.Errorf("create: %v", err)
	}
	if text, v := read(t, s, f.ID); text != "one\ntwo\n" || v != version {
		t.Errorf("after the failed save %q %s", text, v)
	}
	if got := listing(t, s, Root); got != "a.txt" {
		t.Errorf("listing %q", got)
	}
	var err error
	if s.journal, err = store.OpenJournal(s.dir); err != nil {
		t.Fatal(err)
	}
	save(t, s, f.ID, nil, "one\ntwo\nfour\n")
	settle(t, s)
	if text, _ := read(t, s, f.ID); text != "one\ntwo\nfour\n" {
		t.Errorf("text %q", text)
	}
}

// A commit that fails is made again, with the same entries.
func TestCommitFailsOnce(t *testing.T) {
	s := founded(t)
	settle(t, s)
	create(t, s, "a.txt", "one\n")
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.commit(); err == nil {
		t.Fatal("a commit without a store worked")
	}
	signed := s.inflight.sealed[0].ID
	var err error
	if s.db, err = store.Open(s.dir, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s.view = s.db.View
	f := create(t, s, "b.txt", "two\n")
	settle(t, s)
	settle(t, s)
	raw, err := s.Entry(s.feed, 1)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := feed.Decode(raw); err != nil || e.ID != signed {
		t.Errorf("entry 1 is another now: %v", err)
	}
	if text, _ := read(t, s, f.ID); text != "two\n" || s.Timeframe()[s.feed].Seq != 2 {
		t.Errorf("text %q, timeframe %v", text, s.Timeframe())
	}
}

// Edits that no honest device makes are counted and ignored by everybody, and
// what their author does next still arrives.
func TestPoisonedEdits(t *testing.T) {
	a := founded(t)
	f := create(t, a, "a.txt", "one\n")
	dir, err := a.Create(Root, "dir", New{Kind: Dir})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	ea, _ := a.tree.Get(f.ID)
	base := ea.Key
	save(t, a, f.ID, nil, "one\ntwo\n") // a change by another author
	stolen := a.batch.local[0].ops[0].Edit.Change
	tests := []struct {
		name   string
		node   NodeID
		base   tree.Version
		change []byte
	}{
		{"garbage", f.ID, base, []byte("garbage")},
		{"another author's change", f.ID, base, stolen},
		{"an edit of a folder", dir.ID, tree.Version{Feed: base.Feed, N: 2}, stolen},
	}
	for _, tt := range tests {
		_, err := b.change("poison", tt.node, func(c *change) error {
			op := c.next(tt.node, b.tree.Live(tt.node).Lamport)
			op.Edit = &tree.Edit{Base: tt.base, Change: tt.change, Over: []tree.Version{tt.base}}
			c.edits[op.N] = edited{void: true}
			return nil
		})
		if err != nil {
			t.Fatal(tt.name, err)
		}
	}
	save(t, b, f.ID, nil, "zero\none\n")
	settle(t, b)
	settle(t, a)
	pull(t, a, b)
	pull(t, b, a)
	for _, s := range []*Space{a, b} {
		if text, _ := read(t, s, f.ID); text != "zero\none\ntwo\n" {
			t.Errorf("text %q", text)
		}
	}
	if a.tree.Dump() != b.tree.Dump() {
		t.Errorf("trees differ:\n%s\n%s", a.tree.Dump(), b.tree.Dump())
	}
	before := a.tree.Dump()
	if err := a.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.tree.Dump(); got != before {
		t.Errorf("rebuilt\n%s\nbefore\n%s", got, before)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	var w waiting
	raw := make([]byte, 1<<20)
	cred := func(i int) want { return want{cred: identity.Hash("test", []byte{byte(i)})} }
	honest := identity.ID{1}
	w.add(feed.Entry{ID: honest, Raw: raw}, want{entry: honest}, honest)
	for i := range 200 { // half of them by one author, half by nobody known
		w.add(feed.Entry{ID: cred(i).cred, Raw: raw}, cred(i), identity.ID{2 * byte(i%2)})
	}
	if w.bytes > maxWaiting || w.bytes < maxWaiting/2 {
		t.Errorf("%d bytes wait", w.bytes)
	}
	w.came(want{entry: honest})
	if e, ok := w.take(); !ok || e.ID != honest {
		t.Error("what waited is gone because of others")
	}
	for i := range 200 {
		w.came(cred(i))
	}
	n := 0
	for _, ok := w.take(); ok; _, ok = w.take() {
		n++
	}
	if w.bytes != 0 || n < 50 || len(w.entries)+len(w.on)+len(w.authors) != 0 {
		t.Errorf("%d bytes wait after all %d were taken", w.bytes, n)
	}
}

// A reader's entry is refused wherever it comes from.
func TestReadersEntryIsRefused(t *testing.T) {
	a := founded(t)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	create(t, b, "b", "x")
	settle(t, b)
	pull(t, a, b) // what was written before still counts
	demoted, err := a.members.SetRole(a.device, b.device.Identity(), credential.Reader, a.cutsOf(b.device.Identity()), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Space{a, b} {
		if err := s.AddCredentials(t.Context(), [][]byte{demoted.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Create(Root, "c", New{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a reader created: %v", err)
	}
	// b writes all the same.
	ops := []tree.Op{{N: 2, Node: NodeID{7}, Lamport: 1, Place: &tree.Place{Name: []byte("c")}, Content: &tree.Content{Kind: tree.Bytes}}}
	payload, err := tree.Encode(ops)
	if err != nil {
		t.Fatal(err)
	}
	head := b.heads[b.feed]
	e, err := feed.Seal(b.device, feed.Header{Space: b.id, Feed: b.feed, Seq: 2, Prev: head.ID, Auth: b.members.Auth(), First: 2, Ops: 1}, b.Key(), payload)
	if err != nil {
		t.Fatal(err)
	}
	start(t, a)
	var refused *Refused
	if err := a.Accept(t.Context(), [][]byte{e.Raw}); !errors.As(err, &refused) || refused.Feed != b.feed || refused.Seq != 2 {
		t.Errorf("a reader's entry: %v", err)
	}
	if got := listing(t, a, Root); got != "b" {
		t.Errorf("listing %q", got)
	}
}

// Damage to what was made from the log is repaired from it when the space opens.
func TestDamagedRecord(t *testing.T) {
	s := founded(t)
	f := create(t, s, "a.txt", "one\n")
	save(t, s, f.ID, nil, "one\ntwo\n")
	settle(t, s)
	want := s.tree.Dump()
	err := s.db.Update(func(tx *store.Tx) error { return tx.PutNode(f.ID, []byte("junk")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s, err = Open(Config{Dir: s.dir, Device: s.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.tree.Dump(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if text, _ := read(t, s, f.ID); text != "one\ntwo\n" {
		t.Errorf("text %q", text)
	}
	save(t, s, f.ID, nil, "one\ntwo\nthree\n")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Create(Root, "b", New{}); !errors.Is(err, ErrClosed) {
		t.Errorf("create after close: %v", err)
	}
}

// Credentials that could not be stored are, before anything rests on them.
func TestCredentialsOnAFullDisk(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	r := rogueMember(t, a, credential.Editor)
	b := joined(t, a, "ben", credential.Editor)
	r.open() // b does not know that feed
	raw := r.entry(file(1, "one\n"))
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.AddCredentials(t.Context(), r.s.Credentials()); err == nil {
		t.Error("credentials were stored without a store")
	}
	var err error
	if b.db, err = store.Open(b.dir, store.Options{}); err != nil {
		t.Fatal(err)
	}
	b.view = b.db.View
	give(t, b, raw)
	save(t, b, id(1), nil, "one\ntwo\n") // acknowledged, and in the journal only
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: b.dir, Device: b.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if text, _ := read(t, again, id(1)); text != "one\ntwo\n" {
		t.Errorf("text %q", text)
	}
}

// A text that this device cannot read any more must not keep anybody from
// saving over it, and what a save was not made from stays, for who can read it.
func TestSaveOverAnUnreadableText(t *testing.T) {
	s := founded(t)
	f, g := create(t, s, "a.txt", "one\n"), create(t, s, "b.txt", "one\n")
	base := save(t, s, g.ID, nil, "one\ntwo\n").Version
	save(t, s, f.ID, nil, "one\ntwo\n")
	save(t, s, g.ID, nil, "one\ntwo\nthree\n")
	settle(t, s)
	s.bases.clear()
	err := s.db.Update(func(tx *store.Tx) error {
		for _, id := range []NodeID{f.ID, g.ID} {
			e, _ := s.tree.Get(id)
			if err := tx.DeleteText([]byte(textKey(e.Node, e.Key))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(f.ID); err == nil {
		t.Fatal("the text can be read")
	}
	save(t, s, f.ID, nil, "one\ntwo\nmine\n")
	save(t, s, g.ID, &base, "one\ntwo\nmine\n")
	settle(t, s)
	for _, id := range []NodeID{f.ID, g.ID} {
		if text, _ := read(t, s, id); text != "one\ntwo\nmine\n" {
			t.Errorf("text %q", text)
		}
	}
	if got := listing(t, s, Root); strings.Count(got, ".txt") != 3 || !strings.Contains(got, "b (conflict") {
		t.Errorf("listing %q", got)
	}
	other := joined(t, s, "ben", credential.Editor)
	pull(t, other, s)
	copies := other.tree.Copies(g.ID)
	if len(copies) != 1 {
		t.Fatalf("%d versions beside the file", len(copies))
	}
	if text, _ := read(t, other, copies[0]); text != "one\ntwo\nthree\n" {
		t.Errorf("elsewhere the other version is %q", text)
	}
}

// An entry refused for its author's doing is no reason to leave the peer that
// passes it on; trouble of this device is.
func TestWhoseFault(t *testing.T) {
	tests := []struct {
		err  error
		here bool
	}{
		{errTooMuch, false},
		{errWait{want{cred: [32]byte{1}}}, false},
		{store.ErrDamaged, true},
		{document.ErrBroken, true},
	}
	for _, tt := range tests {
		if err := here(tt.err); !errors.Is(err, tt.err) || errors.As(err, new(hereError)) != tt.here {
			t.Errorf("%v: %v", tt.err, err)
		}
	}
	if here(nil) != nil {
		t.Error("nothing is trouble")
	}
}

// A document that this device cannot read any more is made again from the log:
// what others do to the text still arrives, and still merges.
func TestDamagedDocument(t *testing.T) {
	a := founded(t)
	f := create(t, a, "a.txt", "one\n")
	save(t, a, f.ID, nil, "one\ntwo\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	save(t, b, f.ID, nil, "zero\none\ntwo\n")
	settle(t, b)
	pull(t, a, b)
	settle(t, a)
	damage := func() {
		t.Helper()
		e, _ := a.tree.Get(f.ID)
		a.write.Lock()
		defer a.write.Unlock()
		a.docs.closeAll()
		err := a.db.Update(func(tx *store.Tx) error { return tx.PutDoc([]byte(textKey(e.Node, e.Key)), []byte("damaged")) })
		if err != nil {
			t.Fatal(err)
		}
	}
	damage()
	save(t, b, f.ID, nil, "zero\none\ntwo\ntheirs\n")
	settle(t, b)
	pull(t, a, b)
	settle(t, a)
	damage()
	save(t, a, f.ID, nil, "mine\nzero\none\ntwo\ntheirs\n")
	save(t, b, f.ID, nil, "zero\none\ntwo\ntheirs\nat the same time\n")
	settle(t, a)
	settle(t, b)
	pull(t, b, a)
	pull(t, a, b)
	const want = "mine\nzero\none\ntwo\ntheirs\nat the same time\n"
	ta, va := read(t, a, f.ID)
	tb, vb := read(t, b, f.ID)
	if ta != want || tb != want || va != vb {
		t.Errorf("%q %s and %q %s", ta, va, tb, vb)
	}
	if got := listing(t, a, Root); got != "a.txt" {
		t.Errorf("listing %q", got)
	}
}

// A space whose database is damaged where it can be made again opens, with all
// that was in it; where entries are lost it does not, and the file stays as it is.
func TestDamagedDatabase(t *testing.T) {
	for _, table := range []string{"node", "entry"} {
		s := founded(t)
		f := create(t, s, "a.txt", "one\n")
		save(t, s, f.ID, nil, "one\ntwo\n")
		settle(t, s)
		cfg, path := Config{Dir: s.dir, Device: s.device, Log: testLog(t)}, filepath.Join(s.dir, "space.db")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			k, v := tx.Bucket([]byte(table)).Cursor().First()
			return tx.Bucket([]byte(table)).Put(k, append(bytes.Clone(v), 0))
		})
		if err := errors.Join(err, db.Close(), os.WriteFile(path+".open", nil, 0o600)); err != nil { // as if the process had died
			t.Fatal(err)
		}
		s, err = Open(cfg)
		if table == "entry" {
			if _, again := Open(cfg); !errors.Is(err, store.ErrDamaged) || !errors.Is(again, store.ErrDamaged) {
				t.Errorf("with a damaged entry: %v, then %v", err, again)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if text, _ := read(t, s, f.ID); text != "one\ntwo\n" {
			t.Errorf("text %q", text)
		}
		save(t, s, f.ID, nil, "one\ntwo\nthree\n")
		settle(t, s)
		if h := history(t, s, f.ID); len(h) != 3 {
			t.Errorf("%d versions", len(h))
		}
	}
}
