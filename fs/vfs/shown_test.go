package vfs

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// heard is what programs that watch are told of, since it was called last.
func (w *world) heard() (all []string) {
	synctest.Wait()
	for {
		select {
		case changes := <-w.told:
			for _, i := range changes {
				switch {
				case i.At == nil:
				case i.From != nil:
					all = append(all, i.From.Name+" is now "+i.At.Name)
				case i.Delete:
					all = append(all, i.At.Name+" is gone")
				case i.Entry:
					all = append(all, i.At.Name+" is there")
				case i.Content:
					all = append(all, i.At.Name+" changed")
				}
			}
		default:
			return all
		}
	}
}

// TestShown checks what programs that watch are told where something shows
// otherwise here than the space has it.
func TestShown(t *testing.T) {
	other := space.New{Kind: space.File, Content: space.BytesContent([]byte("a peer's"))}
	for _, tt := range []struct {
		name string
		do   func(w *world, p *process, doc space.NodeID) error
		want []string
	}{
		{"a peer was first", func(w *world, p *process, _ space.NodeID) error {
			p.write("new", "ours")
			_, err := w.space.Create(space.Root, "new", other)
			return err
		}, []string{"new is now new (2)", "new is there"}},
		{"ours goes, theirs shows", func(w *world, p *process, _ space.NodeID) error {
			p.write("new", "ours")
			_, err := w.space.Create(space.Root, "new", other)
			synctest.Wait()
			p.unlink("new")
			return err
		}, []string{"new is there"}},
		{"ours moves on, theirs shows", func(w *world, p *process, _ space.NodeID) error {
			p.write("new", "ours")
			_, err := w.space.Create(space.Root, "new", other)
			synctest.Wait()
			p.rename("new", "newer")
			return err
		}, []string{"new is there"}},
		{"an edit of what was renamed", func(w *world, p *process, doc space.NodeID) error {
			p.rename("doc", "paper")
			w.remote(doc, "edited\n")
			return nil
		}, []string{"paper changed"}},
		{"the removal of what was renamed", func(w *world, p *process, doc space.NodeID) error {
			p.rename("doc", "paper")
			return w.space.Remove(doc)
		}, []string{"paper is gone"}},
		{"a removal that an edit calls off", func(w *world, p *process, doc space.NodeID) error {
			p.unlink("doc")
			w.remote(doc, "edited\n")
			return nil
		}, []string{"doc is there"}},
		{"a removal while somebody writes", func(w *world, p *process, doc space.NodeID) error {
			h := p.open("doc", syscall.O_RDWR)
			p.writeTo(h, 0, "edited\n")
			err := w.space.Remove(doc)
			synctest.Wait()
			p.close(h)
			return err
		}, []string{"doc is gone", "doc is there"}},
		{"a new file for what a peer moved", func(w *world, p *process, doc space.NodeID) error {
			p.unlink("doc")
			_, err := w.space.Move(doc, space.Root, "elsewhere", false)
			synctest.Wait()
			p.write("doc", "edited\n")
			return err
		}, []string{"doc is now elsewhere"}},
		{"a save over what a peer removed", func(w *world, p *process, doc space.NodeID) error {
			p.write("doc.tmp", "saved\n")
			err := w.space.Remove(doc)
			p.rename("doc.tmp", "doc") // perhaps before anybody here knows
			if got := p.read("doc"); got != "saved\n" {
				w.t.Errorf("saved as %q", got)
			}
			return err
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, doc := w.shared("doc", before)
				w.pass()
				w.heard()
				if err := tt.do(w, p, doc); err != nil {
					t.Fatal(err)
				}
				w.pass()
				got := w.heard()
				if tt.want != nil && !slices.Equal(got, tt.want) {
					t.Errorf("told: %s", strings.Join(got, ", "))
				}
			})
		})
	}
}

// TestNews checks which moves of a node are the echo of a move that was made
// here, and what is told of one that ended elsewhere.
func TestNews(t *testing.T) {
	s := &shared{now: time.Now, expect: map[cause][]time.Time{}, recent: map[space.NodeID]time.Time{}}
	node := space.NodeID{1}
	move := func(from, to string) space.Event {
		return space.Event{Op: space.Moved, ID: node, OldName: from, Name: to}
	}
	s.cause(cause{space.Moved, node, spot{name: "a"}, spot{name: "b"}})
	if _, is := s.news(move("a (2)", "a")); !is {
		t.Error("that a name got free is no news")
	}
	if _, is := s.news(move("a", "b")); is {
		t.Error("our own move is news")
	}
	if _, is := s.news(move("a", "b")); !is {
		t.Error("a second one like it is not")
	}
	s.cause(cause{space.Moved, node, spot{name: "b"}, spot{name: "c"}})
	if e, is := s.news(move("b", "c (2)")); !is || e.OldName != "c" || e.Name != "c (2)" {
		t.Errorf("of a move that ended elsewhere is told %v %+v", is, e)
	}
	if len(s.expect) > 0 {
		t.Errorf("still expected: %v", s.expect)
	}
}
