package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// testLog shows what a space complains about when its test fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer{t}, nil))
}

type writer struct{ t testing.TB }

func (w writer) Write(p []byte) (int, error) {
	defer func() { recover() }() // the test may have ended
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func device(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// start runs a space until the test ends or stop is called.
func start(t testing.TB, s *Space) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func founded(t testing.TB) *Space {
	t.Helper()
	s, err := Create(Config{Dir: t.TempDir(), Device: device(t, "anna"), Log: testLog(t)}, "home")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// joined makes another member's copy of the space.
func joined(t testing.TB, host *Space, name string, role credential.Role) *Space {
	t.Helper()
	d := device(t, name)
	adm, err := host.Admit(d.Chain(), role)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Join(Config{Dir: t.TempDir(), Device: d, Log: testLog(t)}, adm.Name, adm.Credentials, adm.Keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settle commits what a space that does not run has pending.
func settle(t testing.TB, s *Space) {
	t.Helper()
	for range 2 { // a verdict may have this device write something again
		if err := errors.Join(s.commit(), s.judge(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
}

// pull gives to everything that from has and to has not.
func pull(t testing.TB, to, from *Space) {
	t.Helper()
	if err := to.AddCredentials(t.Context(), from.Credentials()); err != nil {
		t.Fatal(err)
	}
	refs, err := from.Log(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	have := to.Timeframe()
	for _, r := range refs {
		if r.Seq <= have[r.Feed].Seq {
			continue
		}
		raw, err := from.Entry(r.Feed, r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		give(t, to, raw)
	}
	settle(t, to)
}

// give has a space that does not run accept an entry.
func give(t testing.TB, to *Space, raw []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // do not wait for the commit
	if err := to.Accept(ctx, [][]byte{raw}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func create(t testing.TB, s *Space, name, text string) Info {
	t.Helper()
	i, err := s.Create(Root, name, New{Content: BytesContent([]byte(text))})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func read(t testing.TB, s *Space, id NodeID) (text, version string) {
	t.Helper()
	p, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	data, err := io.ReadAll(io.NewSectionReader(p, 0, p.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data), p.Version()
}

func save(t testing.TB, s *Space, id NodeID, base *string, text string) Info {
	t.Helper()
	i, err := s.Save(id, base, BytesContent([]byte(text)), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func listing(t testing.TB, s *Space, dir NodeID) string {
	t.Helper()
	infos, err := s.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

func TestFilesAndFolders(t *testing.T) {
	s := founded(t)
	start(t, s)
	dir, err := s.Create(Root, "docs", New{Kind: Dir})
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(dir.ID, "a.txt", New{Content: BytesContent([]byte("hello")), Exec: true})
	if err != nil {
		t.Fatal(err)
	}
	if f.Size != 5 || !f.Exec || !f.Text || f.Parent != dir.ID {
		t.Errorf("created %+v", f)
	}
	if _, err := s.Create(dir.ID, "link", New{Kind: Symlink, Target: "a.txt"}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, s, dir.ID); got != "a.txt link" {
		t.Errorf("listing %q", got)
	}
	if got := s.Path(f.ID); got != "docs/a.txt" {
		t.Errorf("path %q", got)
	}
	if _, err := s.Move(f.ID, Root, "b.txt", false); err != nil {
		t.Fatal(err)
	}
	if text, _ := read(t, s, f.ID); text != "hello" {
		t.Errorf("text %q", text)
	}
	create(t, s, "c.txt", "other")
	if _, err := s.Move(f.ID, Root, "c.txt", true); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, s, Root); got != "c.txt docs" {
		t.Errorf("listing %q", got)
	}
	if i, err := s.Lookup(Root, "c.txt"); err != nil || i.ID != f.ID {
		t.Errorf("lookup %+v %v", i, err)
	}
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"exists", fail1(s.Create(Root, "docs", New{Kind: Dir})), os.ErrExist},
		{"no parent", fail1(s.Create(NodeID{9}, "x", New{})), os.ErrNotExist},
		{"parent is a file", fail1(s.Create(f.ID, "x", New{})), syscall.ENOTDIR},
		{"long name", fail1(s.Create(Root, strings.Repeat("x", 256), New{})), syscall.ENAMETOOLONG},
		{"name with slash", fail1(s.Create(Root, "a/b", New{})), syscall.EINVAL},
		{"not empty", s.Remove(dir.ID), syscall.ENOTEMPTY},
		{"no such node", s.Remove(NodeID{9}), os.ErrNotExist},
		{"into itself", fail1(s.Move(dir.ID, dir.ID, "x", false)), syscall.EINVAL},
		{"folder over file", fail1(s.Move(dir.ID, Root, "c.txt", true)), syscall.ENOTDIR},
		{"file over folder", fail1(s.Move(f.ID, Root, "docs", true)), syscall.EISDIR},
		{"save of a folder", fail1(s.Save(dir.ID, nil, Content{}, time.Time{})), syscall.EISDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e *Error
			if !errors.Is(tt.err, tt.want) || !errors.As(tt.err, &e) {
				t.Errorf("got %v, want %v", tt.err, tt.want)
			}
		})
	}
}

func fail1[T any](_ T, err error) error { return err }

func TestSaveMergesWhatOthersWrote(t *testing.T) {
	s := founded(t)
	start(t, s)
	f := create(t, s, "a.txt", "one\ntwo\nthree\n")
	_, base := read(t, s, f.ID)
	save(t, s, f.ID, &base, "one\ntwo\nthree\nfour\n")
	save(t, s, f.ID, &base, "zero\none\ntwo\nthree\n")
	text, version := read(t, s, f.ID)
	if want := "zero\none\ntwo\nthree\nfour\n"; text != want {
		t.Errorf("text %q, want %q", text, want)
	}
	if i := save(t, s, f.ID, &version, text); i.Version != version {
		t.Errorf("saving the same bytes made version %s of %s", i.Version, version)
	}
	if i, _ := s.Stat(f.ID); i.Size != int64(len(text)) {
		t.Errorf("size %d", i.Size)
	}
}

func TestVersionIsMadeAgainFromTheLog(t *testing.T) {
	s := founded(t)
	f := create(t, s, "a.txt", "one\n")
	_, v1 := read(t, s, f.ID)
	save(t, s, f.ID, &v1, "one\ntwo\n")
	_, v2 := read(t, s, f.ID)
	save(t, s, f.ID, &v2, "one\ntwo\nthree\n")
	settle(t, s)
	for _, tt := range []struct{ tag, want string }{{v1, "one\n"}, {v2, "one\ntwo\n"}} {
		s.bases.clear()
		e, _ := s.tree.Get(f.ID)
		if text, ok := s.textOf(e, tt.tag); !ok || text != tt.want {
			t.Errorf("version %s is %q, want %q", tt.tag, text, tt.want)
		}
	}
}

func TestTextToBinaryAndBack(t *testing.T) {
	s := founded(t)
	start(t, s)
	f := create(t, s, "a", "text")
	save(t, s, f.ID, nil, "bin\x00ary")
	if i, _ := s.Stat(f.ID); i.Text {
		t.Error("binary is text")
	}
	save(t, s, f.ID, nil, "text again")
	if text, _ := read(t, s, f.ID); text != "text again" {
		t.Errorf("text %q", text)
	}
	big := bytes.Repeat([]byte("0123456789abcdef\x00"), 60_000)
	c, err := s.Import(t.Context(), bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(f.ID, nil, c, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if text, _ := read(t, s, f.ID); text != string(big) {
		t.Errorf("blob of %d bytes came back as %d", len(big), len(text))
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTwoDevices(t *testing.T) {
	a := founded(t)
	f := create(t, a, "a.txt", "one\ntwo\nthree\n")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	if text, _ := read(t, b, f.ID); text != "one\ntwo\nthree\n" {
		t.Fatalf("text %q", text)
	}
	_, va := read(t, a, f.ID)
	_, vb := read(t, b, f.ID)
	save(t, a, f.ID, &va, "ONE\ntwo\nthree\n")
	save(t, b, f.ID, &vb, "one\ntwo\nTHREE\n")
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	pull(t, a, b)
	for _, s := range []*Space{a, b} {
		if text, _ := read(t, s, f.ID); text != "ONE\ntwo\nTHREE\n" {
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
		t.Errorf("rebuilt tree differs:\n%s\n%s", got, before)
	}
	if text, _ := read(t, a, f.ID); text != "ONE\ntwo\nTHREE\n" {
		t.Errorf("rebuilt text %q", text)
	}
	_, va = read(t, a, f.ID)
	save(t, a, f.ID, &va, "ONE\ntwo\nTHREE\nfour\n")
}

func TestConcurrentBinaryWritesAreBothKept(t *testing.T) {
	a := founded(t)
	f := create(t, a, "pic.bin", "\x00")
	settle(t, a)
	b := joined(t, a, "ben", credential.Editor)
	pull(t, b, a)
	save(t, a, f.ID, nil, "\x00from a")
	save(t, b, f.ID, nil, "\x00from b")
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	infos, err := a.List(Root)
	if err != nil || len(infos) != 2 {
		t.Fatalf("listing %+v %v", infos, err)
	}
	texts := map[string]bool{}
	var copyInfo Info
	for _, i := range infos {
		text, _ := read(t, a, i.ID)
		texts[text] = true
		if i.Conflict {
			copyInfo = i
		}
	}
	if !texts["\x00from a"] || !texts["\x00from b"] {
		t.Errorf("kept %v", texts)
	}
	if !strings.HasPrefix(copyInfo.Name, "pic (conflict ") || !strings.HasSuffix(copyInfo.Name, ").bin") {
		t.Errorf("copy is called %q", copyInfo.Name)
	}
	t.Run("saving the copy makes a file of it", func(t *testing.T) {
		i := save(t, a, copyInfo.ID, nil, "\x00changed")
		if i.Name != copyInfo.Name || i.Conflict {
			t.Errorf("got %+v", i)
		}
		if got := listing(t, a, Root); got != "pic "+copyInfo.Name[4:]+" pic.bin" {
			t.Errorf("listing %q", got)
		}
	})
	t.Run("removing the file leaves the copy", func(t *testing.T) {
		if err := b.Remove(f.ID); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, b, Root); got != copyInfo.Name {
			t.Errorf("listing %q", got)
		}
	})
	settle(t, a)
	settle(t, b)
	pull(t, a, b)
	pull(t, b, a)
	if a.tree.Dump() != b.tree.Dump() {
		t.Errorf("trees differ:\n%s\n%s", a.tree.Dump(), b.tree.Dump())
	}
}

func TestEntriesInAnyOrderAndForged(t *testing.T) {
	a := founded(t)
	b := joined(t, a, "ben", credential.Editor)
	reader := joined(t, a, "rita", credential.Reader)
	var raws [][]byte
	for i := range 5 {
		create(t, a, fmt.Sprint(i), "x")
		settle(t, a)
	}
	refs, err := a.Log(0, 100)
	if err != nil || len(refs) != 5 {
		t.Fatalf("log %v %v", refs, err)
	}
	for _, r := range refs {
		raw, err := a.Entry(r.Feed, r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	if _, err := reader.Create(Root, "x", New{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a reader wrote: %v", err)
	}
	start(t, b)
	if err := b.AddCredentials(t.Context(), a.Credentials()); err != nil {
		t.Fatal(err)
	}
	for i := len(raws) - 1; i >= 0; i-- {
		if err := b.Accept(t.Context(), [][]byte{raws[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if got := listing(t, b, Root); got != "0 1 2 3 4" {
		t.Errorf("listing %q", got)
	}
	if err := b.Accept(t.Context(), raws); err != nil {
		t.Errorf("known entries: %v", err)
	}
	create(t, a, "late", "x")
	settle(t, a)
	raw, err := a.Entry(refs[0].Feed, 6)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(raw); i += 7 {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		var refused *Refused
		if err := b.Accept(t.Context(), [][]byte{bad}); err != nil && !errors.As(err, &refused) {
			t.Errorf("forged at %d: %v", i, err)
		}
		if _, err := b.Lookup(Root, "late"); err == nil {
			t.Fatalf("forged at %d: accepted", i)
		}
	}
	if err := b.Accept(t.Context(), [][]byte{raw}); err != nil {
		t.Errorf("the entry itself after forgeries: %v", err)
	}
	if _, err := b.Lookup(Root, "late"); err != nil {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	s := founded(t)
	got := make(chan Event, 100)
	s.Subscribe(func(evs []Event) {
		for _, e := range evs {
			got <- e
		}
	})
	stop := start(t, s)
	f := create(t, s, "a", "x")
	save(t, s, f.ID, nil, "xy")
	if _, err := s.Move(f.ID, Root, "b", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	stop()
	close(got)
	var ops []EventOp
	for e := range got {
		if e.Op != Attr {
			ops = append(ops, e.Op)
		}
	}
	if fmt.Sprint(ops) != fmt.Sprint([]EventOp{Created, Changed, Moved, Removed}) {
		t.Errorf("events %v", ops)
	}
}
