package daemon

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

func TestUnified(t *testing.T) {
	long := strings.Repeat("same\n", 10)
	tests := []struct{ a, b, want string }{
		{"x\n", "x\n", ""},
		{"", "a\nb\n", "--- A\n+++ B\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"a\nb\n", "", "--- A\n+++ B\n@@ -1,2 +0,0 @@\n-a\n-b\n"},
		{"a\nb\nc\n", "a\nB\nc\n", "--- A\n+++ B\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"a\nb\n", "ab\n", "--- A\n+++ B\n@@ -1,2 +1 @@\n-a\n-b\n+ab\n"},
		{"a", "a\n", "--- A\n+++ B\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"1\n" + long + "2\n", "one\n" + long + "two\n",
			"--- A\n+++ B\n@@ -1,4 +1,4 @@\n-1\n+one\n same\n same\n same\n@@ -9,4 +9,4 @@\n same\n same\n same\n-2\n+two\n"},
	}
	for _, tt := range tests {
		if got := unified(tt.a, tt.b, "A", "B"); got != tt.want {
			t.Errorf("%q to %q:\n%swant\n%s", tt.a, tt.b, got, tt.want)
		}
	}
}

// The hunks of any two texts make the one from the other.
func TestHunksMakeTheNewText(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range rnd.IntN(30) {
			b.WriteString([]string{"a", "b", "é", "\n", "\n", "word "}[rnd.IntN(6)])
		}
		return b.String()
	}
	for range 5000 {
		a, b := text(), text()
		la, lb := lines(a), lines(b)
		var got []string
		at := 0
		for _, h := range lineHunks(a, b, la, lb) {
			got = append(append(got, la[at:h.a1]...), lb[h.b1:h.b2]...)
			at = h.a2
		}
		if got = append(got, la[at:]...); !slices.Equal(got, lb) {
			t.Fatalf("%q to %q makes %q", a, b, got)
		}
	}
}

func TestHistoryOfPaths(t *testing.T) {
	dev, err := identity.NewDevice(nil, "anna")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: dev}, "notes")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir, err := s.Create(space.Root, "docs", space.New{Kind: space.Dir})
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) space.Content { return space.BytesContent([]byte(s)) }
	f, err := s.Create(dir.ID, "a.txt", space.New{Content: text("one\n")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(f.ID, nil, text("one\ntwo\n"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	at := func(path string) *place {
		t.Helper()
		p, err := follow(s, "notes", path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	log, err := at("docs/a.txt").log()
	if err != nil || len(log) != 2 || log[0].Change != "edited" || log[1].Path != "notes/docs/a.txt" || len(log[0].ID) >= len(log[0].Full) {
		t.Fatalf("%+v, %v", log, err)
	}
	for _, tt := range []struct{ from, to, want string }{
		{"", "", " one\n+two\n"},
		{log[1].ID, "", " one\n+two\n"},
		{"", log[1].ID, "@@ -0,0 +1 @@\n+one\n"},
		{log[0].Full, log[1].ID, " one\n-two\n"},
	} {
		d, err := at("docs/a.txt").diff(tt.from, tt.to)
		if err != nil || !strings.HasSuffix(d.Text, tt.want) {
			t.Errorf("from %q to %q: %q, %v", tt.from, tt.to, d.Text, err)
		}
	}
	if _, err := at("docs/a.txt").restore(log[1].ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []space.NodeID{f.ID, dir.ID} {
		if err := s.Remove(id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := follow(s, "notes", "docs/b.txt"); localapi.AsError(err).Code != localapi.NotFound {
		t.Errorf("what never was: %v", err)
	}
	if log, err := at("docs/a.txt").log(); err != nil || log[0].Change != "removed" {
		t.Errorf("%+v, %v", log, err)
	}
	if err := explain(func() error { _, err := at("docs/a.txt").restore("ab-1"); return err }(), "notes/docs/a.txt"); localapi.AsError(err).Code != localapi.NotFound {
		t.Errorf("no such version: %v", err)
	}
	back, err := at("docs").undelete(true)
	if err != nil || len(back) != 2 {
		t.Fatalf("%v, %v", back, err)
	}
	if d, err := at("docs/a.txt").diff(log[0].ID, ""); err != nil || !strings.Contains(d.Text, "-two") {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := at("docs/a.txt").undelete(false); localapi.AsError(err).Code != localapi.NotFound {
		t.Errorf("nothing to undelete: %v", err)
	}
	if _, err := s.Save(f.ID, nil, text("bin\x00ary"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if d, err := at("docs/a.txt").diff("", ""); err != nil || !d.Binary {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := at("").log(); localapi.AsError(err).Code != localapi.Usage {
		t.Errorf("log of a space: %v", err)
	}
	if err := explain(nil, ""); err != nil {
		t.Error(err)
	}
}

func TestShorten(t *testing.T) {
	got := fmt.Sprint(shorten([]string{"abcdef0000000000-1", "abcde00000000000-2", "abcdef0000000000-3"}))
	if want := "[abcdef-1 abcde0-2 abcdef-3]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
