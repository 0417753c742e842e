package space

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity/credential"
)

func history(t testing.TB, s *Space, id NodeID) []Version {
	t.Helper()
	h, err := s.History(id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// acts shows a history as act, path and size.
func acts(h []Version) string {
	var b strings.Builder
	for _, v := range h {
		fmt.Fprintf(&b, "%s %s %d\n", v.Act, v.Path, v.Size)
	}
	return b.String()
}

func readVersion(t testing.TB, s *Space, id NodeID, version string) string {
	t.Helper()
	p, err := s.OpenVersion(id, version)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	data, err := io.ReadAll(io.NewSectionReader(p, 0, p.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestHistory(t *testing.T) {
	s := founded(t)
	defer s.Close()
	dir, err := s.Create(Root, "docs", New{Kind: Dir})
	if err != nil {
		t.Fatal(err)
	}
	f := create(t, s, "a.txt", "one\n")
	save(t, s, f.ID, nil, "one\ntwo\n")
	if _, err := s.Move(f.ID, Root, "b.txt", false); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	mtime := time.Unix(5, 0)
	if err := s.SetAttr(f.ID, nil, &mtime); err != nil { // is no version
		t.Fatal(err)
	}
	if _, err := s.Move(f.ID, dir.ID, "b.txt", false); err != nil {
		t.Fatal(err)
	}
	save(t, s, f.ID, nil, "now\x00binary")
	if err := s.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undelete(f.ID); err != nil {
		t.Fatal(err)
	}
	want := "created a.txt 4\nedited a.txt 8\nrenamed b.txt 8\nmoved docs/b.txt 8\nedited docs/b.txt 10\nremoved docs/b.txt 0\nundeleted docs/b.txt 10\n"
	h := history(t, s, f.ID)
	if got := acts(h); got != want {
		t.Errorf("before the commit\n%swant\n%s", got, want)
	}
	settle(t, s)
	h2 := history(t, s, f.ID)
	if got := acts(h2); got != want {
		t.Errorf("after the commit\n%swant\n%s", got, want)
	}
	for i, text := range []string{"one\n", "one\ntwo\n", "one\ntwo\n", "one\ntwo\n", "now\x00binary", "", "now\x00binary"} {
		if h[i].ID != h2[i].ID {
			t.Errorf("version %d was %s and is %s", i, h[i].ID, h2[i].ID)
		}
		if !h2[i].Content {
			continue
		}
		if got := readVersion(t, s, f.ID, h2[i].ID); got != text {
			t.Errorf("version %d: %q, want %q", i, got, text)
		}
	}
	if v := h2[1]; v.Name != "anna" || v.Author != s.device.Identity() || v.Device != s.device.Key() || time.Since(v.Time) > time.Hour {
		t.Errorf("author %+v", v)
	}
	if h2[2].Was != "a.txt" || h2[3].Was != "b.txt" {
		t.Errorf("was %q and %q", h2[2].Was, h2[3].Was)
	}
	if _, err := s.OpenVersion(f.ID, h2[5].ID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a removed version opens: %v", err)
	}
	for _, bad := range []string{"", "x", "-", "-1", "zz-1", "ab-99999", h2[0].ID + ".", h2[0].ID + "x"} {
		if _, err := s.OpenVersion(f.ID, bad); !errors.Is(err, ErrNoVersion) {
			t.Errorf("version %q: %v", bad, err)
		}
	}
	short, num, _ := strings.Cut(h2[0].ID, "-")
	if got := readVersion(t, s, f.ID, short[:4]+"-"+num); got != "one\n" {
		t.Errorf("a short version gives %q", got)
	}
	if _, err := s.History(NodeID{9}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("history of nothing: %v", err)
	}
}

func TestHistoryOfConcurrentEdits(t *testing.T) {
	a := founded(t)
	defer a.Close()
	f := create(t, a, "a.txt", "one\ntwo\nthree\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	defer b.Close()
	pull(t, b, a)
	va := save(t, a, f.ID, nil, "ONE\ntwo\nthree\n").Version
	vb := save(t, b, f.ID, nil, "one\ntwo\nTHREE\n").Version
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	merged := save(t, a, f.ID, nil, "ONE\n2\nTHREE\n").Version
	settle(t, a)
	pull(t, b, a)
	for _, s := range []*Space{a, b} {
		if got := readVersion(t, s, f.ID, va); got != "ONE\ntwo\nthree\n" {
			t.Errorf("anna's: %q", got)
		}
		if got := readVersion(t, s, f.ID, vb); got != "one\ntwo\nTHREE\n" {
			t.Errorf("ben's: %q", got)
		}
		if got := readVersion(t, s, f.ID, merged); got != "ONE\n2\nTHREE\n" {
			t.Errorf("merged: %q", got)
		}
	}
	ha, hb := history(t, a, f.ID), history(t, b, f.ID)
	if len(ha) != 4 || !reflect.DeepEqual(ha, hb) {
		t.Errorf("histories differ:\n%+v\n%+v", ha, hb)
	}
}

func TestRestoreMerges(t *testing.T) {
	a := founded(t)
	defer a.Close()
	f := create(t, a, "a.txt", "one\ntwo\nthree\n")
	first := f.Version
	save(t, a, f.ID, nil, "1\ntwo\nthree\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	defer b.Close()
	pull(t, b, a)
	if _, err := a.Restore(f.ID, first); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, a, f.ID); got != "one\ntwo\nthree\n" {
		t.Errorf("restored %q", got)
	}
	save(t, b, f.ID, nil, "1\ntwo\nthree\nfour\n") // meanwhile
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	for _, s := range []*Space{a, b} {
		if got, _ := read(t, s, f.ID); got != "one\ntwo\nthree\nfour\n" {
			t.Errorf("merged %q", got)
		}
		if got := listing(t, s, Root); got != "a.txt" {
			t.Errorf("listing %q", got)
		}
	}
	if _, err := a.Restore(Root, first); err == nil {
		t.Error("a folder was restored")
	}
}

func TestUndelete(t *testing.T) {
	a := founded(t)
	defer a.Close()
	dir, err := a.Create(Root, "docs", New{Kind: Dir})
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.Create(dir.ID, "a.txt", New{Content: BytesContent([]byte("one\n")), Exec: true})
	if err != nil {
		t.Fatal(err)
	}
	first := f.Version
	save(t, a, f.ID, nil, "one\ntwo\n")
	link, err := a.Create(dir.ID, "link", New{Kind: Symlink, Target: "a.txt"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Undelete(f.ID); !errors.Is(err, os.ErrExist) {
		t.Errorf("undelete of what is there: %v", err)
	}
	settle(t, a)
	for _, id := range []NodeID{f.ID, link.ID, dir.ID} {
		if err := a.Remove(id); err != nil {
			t.Fatal(err)
		}
	}
	lost, err := a.Deleted(Root)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, l := range lost {
		got += fmt.Sprintf("%s %d %d %s\n", l.Path, l.Kind, l.Size, l.Removed.Name)
	}
	if want := "docs 1 0 anna\ndocs/a.txt 0 8 anna\ndocs/link 2 5 anna\n"; got != want {
		t.Errorf("lost\n%swant\n%s", got, want)
	}
	if below, err := a.Deleted(dir.ID); err != nil || len(below) != 2 {
		t.Errorf("below docs: %v, %v", below, err)
	}
	if ids, err := a.LookupGone(dir.ID, "a.txt"); err != nil || len(ids) != 1 || ids[0] != f.ID {
		t.Errorf("lookup: %v, %v", ids, err)
	}
	i, err := a.Undelete(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := read(t, a, f.ID); text != "one\ntwo\n" || a.Path(f.ID) != "docs/a.txt" || !i.Exec {
		t.Errorf("undeleted %s %q, %+v", a.Path(f.ID), text, i)
	}
	if i, err := a.Undelete(link.ID); err != nil || i.Target != "a.txt" {
		t.Errorf("link: %+v, %v", i, err)
	}
	if _, err := a.Undelete(dir.ID); err == nil {
		t.Error("a folder that shows was undeleted")
	}
	if err := a.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(dir.ID, "a.txt", New{}); err != nil {
		t.Fatal(err)
	}
	if i, err := a.Restore(f.ID, first); err != nil || i.Name != "a (undeleted).txt" {
		t.Errorf("restored as %q, %v", i.Name, err)
	}
	if text, _ := read(t, a, f.ID); text != "one\n" {
		t.Errorf("restored %q", text)
	}
	if _, err := a.Undelete(NodeID{7}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("undelete of nothing: %v", err)
	}
}

// An edit that a removal did not see keeps the file, so there is nothing to
// undelete; and one made at the same time as an undelete is not lost.
func TestUndeleteAndConcurrentEdit(t *testing.T) {
	a := founded(t)
	defer a.Close()
	f := create(t, a, "a.txt", "one\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	defer b.Close()
	pull(t, b, a)
	if err := a.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Undelete(f.ID); err != nil {
		t.Fatal(err)
	}
	save(t, b, f.ID, nil, "one\nben\n")
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	var all [2]string
	for i, s := range []*Space{a, b} {
		infos, err := s.List(Root)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range infos {
			text, _ := read(t, s, f.ID)
			all[i] += f.Name + " " + text
			if h := history(t, s, f.ID); len(h) == 0 {
				t.Errorf("%s has no history", f.Name)
			}
		}
	}
	if all[0] != all[1] || !strings.Contains(all[0], "ben") {
		t.Errorf("%q and %q", all[0], all[1])
	}
}

// An old blob whose chunks are elsewhere is fetched when it is read.
func TestOldBlobIsFetched(t *testing.T) {
	a := founded(t)
	defer a.Close()
	f := create(t, a, "a.bin", strings.Repeat("\x00old", 50_000))
	old := f.Version
	save(t, a, f.ID, nil, "\x00new")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	defer b.Close()
	pull(t, b, a)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	more, cancel := b.Notify()
	defer cancel()
	go func() {
		for {
			for _, h := range b.MissingChunks(100) {
				if data, err := a.Chunk(h); err == nil {
					_ = b.PutChunk(h, data)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-more:
			}
		}
	}()
	if _, err := b.Restore(f.ID, old); err != nil {
		t.Fatal(err)
	}
	if text, _ := read(t, b, f.ID); text != strings.Repeat("\x00old", 50_000) {
		t.Error("another content")
	}
}

// What a device was shown at any time is what that version gives later, on
// every device, from the log alone.
func TestHistoryIsWhatWasShown(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			sim := newSimulation(t, seed+100, 3)
			type shown struct {
				node    NodeID
				version string
			}
			was := make(map[shown]string)
			look := func(s *Space) {
				for _, i := range all(t, s) {
					if i.Kind == File {
						e, _ := s.tree.Get(i.ID)
						text, version := read(t, s, i.ID)
						was[shown{e.Node, version}] = text
					}
				}
			}
			for n := range 120 {
				sim.step()
				look(sim.devices[n%3].s)
			}
			sim.finish()
			check := func(s *Space) map[NodeID][]Version {
				look(s)
				for v, text := range was {
					if got := readVersion(t, s, v.node, v.version); got != text {
						t.Fatalf("version %s was %q and is %q", v.version, text, got)
					}
				}
				hs := make(map[NodeID][]Version)
				for v := range was {
					hs[v.node] = history(t, s, v.node)
					for _, h := range hs[v.node] {
						if h.Content && int64(len(readVersion(t, s, v.node, h.ID))) != h.Size {
							t.Fatalf("%+v has another size", h)
						}
					}
				}
				return hs
			}
			want := check(sim.devices[0].s)
			for _, d := range sim.devices[1:] {
				if got := check(d.s); !reflect.DeepEqual(got, want) {
					t.Fatal("devices tell different histories")
				}
			}
			s := sim.devices[1].s
			if err := s.Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := check(s); !reflect.DeepEqual(got, want) {
				t.Fatal("after a rebuild there is another history")
			}
		})
	}
}

// A space from before there was history gets it when it is opened.
func TestHistoryOfAnOldSpace(t *testing.T) {
	s := founded(t)
	f := create(t, s, "a.txt", "one\n")
	save(t, s, f.ID, nil, "one\ntwo\n")
	settle(t, s)
	save(t, s, f.ID, nil, "one\ntwo\nthree\n") // is in the journal
	want := history(t, s, f.ID)
	err := s.db.Update(func(tx *store.Tx) error {
		if err := tx.DropMaterialised(); err != nil {
			return err
		}
		return tx.PutMeta("traces", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(Config{Dir: s.dir, Device: s.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := history(t, s, f.ID)
	if acts(got) != acts(want) || len(got) != 3 {
		t.Errorf("history\n%swant\n%s", acts(got), acts(want))
	}
}

// A document has edits that a removal elsewhere has replaced. The version must
// tell the text with them from the one without: an editor that was shown both
// would else be taken to have typed them again.
func TestVersionTellsTextsApart(t *testing.T) {
	a := founded(t)
	defer a.Close()
	f := create(t, a, "a.txt", "one\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	defer b.Close()
	pull(t, b, a)
	save(t, a, f.ID, nil, "anna\none\n")
	if err := a.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	settle(t, a)
	before := save(t, b, f.ID, nil, "one\nben\n").Version
	pull(t, b, a)
	text, version := read(t, b, f.ID)
	if version == before || text != "anna\none\nben\n" {
		t.Fatalf("%q is version %s, as was another text", text, version)
	}
	save(t, b, f.ID, &version, text+"more\n")
	if got, _ := read(t, b, f.ID); got != text+"more\n" {
		t.Errorf("saved %q", got)
	}
	if got := readVersion(t, b, f.ID, before); got != "one\nben\n" {
		t.Errorf("before the removal came: %q", got)
	}
	if got := readVersion(t, b, f.ID, version); got != text {
		t.Errorf("after it: %q", got)
	}
}

// What is known of removed nodes does not depend on when somebody first asked.
func TestGoneIsKeptUpToDate(t *testing.T) {
	sim := newSimulation(t, 7, 2)
	s := sim.devices[0].s
	moment := s.Moment()
	for range 200 {
		sim.step()
		got := s.allGone()
		if want := s.tree.Gone(); !reflect.DeepEqual(append([]NodeID{}, got...), append([]NodeID{}, want...)) {
			t.Fatalf("knows %v, not %v", got, want)
		}
	}
	if s.Moment() <= moment {
		t.Error("nothing happened")
	}
	removed, err := s.RemovedIn(Root)
	if err != nil || len(removed) == 0 {
		t.Fatalf("removed %v, %v", removed, err)
	}
	for _, g := range removed {
		ids, err := s.LookupGone(Root, g.Name)
		if err != nil || len(ids) == 0 {
			t.Errorf("%s: %v, %v", g.Name, ids, err)
		}
	}
}

// Who looks back while a commit runs disturbs nobody; the race detector checks.
func TestHistoryDuringCommits(t *testing.T) {
	s := founded(t)
	f := create(t, s, "a.txt", "one\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			save(t, s, f.ID, nil, fmt.Sprintf("one\n%d\n", i))
			settle(t, s)
		}
	}()
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
		}
		history(t, s, f.ID)
	}
	if h := history(t, s, f.ID); len(h) != 51 {
		t.Errorf("%d versions", len(h))
	}
}
