package vfs

import (
	"fmt"
	"testing"
)

// A listener that does not come back costs one invalidation for each file and
// name, and hears of the last state of each when it does.
func TestNoticesAreBounded(t *testing.T) {
	n := &notices{}
	stuck, more := make(chan struct{}), make(chan []Invalidation)
	first, began := true, make(chan struct{})
	n.to(func(i []Invalidation) {
		if first {
			first = false
			close(began)
			<-stuck
			return
		}
		more <- i
	})
	n.add(Invalidation{Attr: true, Ino: 1})
	<-began
	for i := range 100_000 {
		n.add(
			Invalidation{Content: i == 50_000, Attr: true, Ino: Ino(i%100 + 2)},
			Invalidation{Delete: true, Parent: 1, Name: fmt.Sprint(i % 50)},
			Invalidation{Entry: true, Parent: 1, Name: fmt.Sprint(i % 50), Ino: Ino(i)},
		)
	}
	n.mu.Lock()
	waiting := len(n.pending)
	n.mu.Unlock()
	if waiting > 3*noticesLoose {
		t.Errorf("%d invalidations wait", waiting)
	}
	close(stuck)
	content, entry := map[Ino]bool{}, map[string]Invalidation{}
	for _, i := range <-more {
		if i.Content || i.Attr {
			content[i.Ino] = content[i.Ino] || i.Content
		} else {
			entry[i.Name] = i
		}
	}
	if len(content) != 100 || !content[50_000%100+2] {
		t.Errorf("heard of %d files, changed content: %v", len(content), content[50_000%100+2])
	}
	for name, i := range entry {
		if !i.Entry || i.Delete || i.Ino < 99_950 {
			t.Errorf("%s: heard %+v last", name, i)
		}
	}
	if len(entry) != 50 {
		t.Errorf("heard of %d names", len(entry))
	}
}

// A move of which one end is superseded still says that the other one is free.
func TestMergedMoves(t *testing.T) {
	at := func(name string) *Place { return &Place{Folder: []Step{{"s", 1}}, Name: name} }
	move := func(from, to string) []Invalidation {
		return []Invalidation{
			{Delete: true, Moved: true, Parent: 1, Name: from},
			{Entry: true, Parent: 1, Name: to, At: at(to), From: at(from)},
		}
	}
	all := append(move("a", "b"), Invalidation{Delete: true, Parent: 1, Name: "b", At: at("b")})
	got := merged(append(all, move("c", "d")...))
	if len(got) != 4 {
		t.Fatalf("merged to %+v", got)
	}
	for i, want := range []struct {
		name string
		told bool
	}{{"a", true}, {"b", true}, {"c", false}, {"d", true}} {
		if got[i].Name != want.name || (got[i].At != nil) != want.told {
			t.Errorf("%d: %+v, want %+v", i, got[i], want)
		}
	}
}
