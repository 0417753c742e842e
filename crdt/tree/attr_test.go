package tree

import (
	"bytes"
	"slices"
	"testing"
)

func TestAttrFormat(t *testing.T) {
	feed := [32]byte{1}
	ops := []Op{
		{N: 1, Node: NodeID{1}, Lamport: 1, Place: &Place{Name: []byte("a")}, Content: &Content{Kind: Bytes}},
		{N: 2, Node: NodeID{1}, Lamport: 2, Attr: &Attr{Name: []byte("user.a"), Value: []byte("x")}},
		{N: 3, Node: NodeID{1}, Lamport: 3, Attr: &Attr{Name: []byte("user.b"), Value: []byte("y")}},
		{N: 4, Node: NodeID{1}, Lamport: 4, Attr: &Attr{Name: []byte("user.a"), Gone: true, Over: []Version{{Feed: feed, N: 2}}}},
		{N: 5, Node: NodeID{1}, Lamport: 5, Attr: &Attr{Name: []byte(ModeAttr), Value: []byte{0x01, 0x80}}},
	}
	data, err := Encode(ops)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "payload-attr.hex", data)
	back, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	for i := range back {
		if err := s.Apply(feed, &back[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.Settle()
	record := s.Record(NodeID{1})
	golden(t, "record-attr.hex", record)

	loaded := New()
	if err := loaded.Load(NodeID{1}, record); err != nil {
		t.Fatal(err)
	}
	loaded.SetApplied(feed, 5)
	loaded.Project()
	for _, s := range []*State{s, loaded} {
		names, ever := s.Attrs(NodeID{1})
		if want := []string{ModeAttr, "user.b"}; !slices.Equal(names, want) || ever != 3 {
			t.Errorf("attributes %q of %d", names, ever)
		}
		if v, ok := s.Attr(NodeID{1}, "user.b"); v != "y" || !ok {
			t.Errorf("user.b is %q, %v", v, ok)
		}
		if e, _ := s.Get(NodeID{1}); e.Mode != hasMode|0o600 {
			t.Errorf("mode %o", e.Mode)
		}
		if !bytes.Equal(s.Record(NodeID{1}), record) {
			t.Error("another record")
		}
	}
}

// Two devices set an attribute at once: the later write counts, on both, until
// somebody who saw both writes anew.
func TestAttrConcurrent(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	first := Op{N: 1, Node: NodeID{1}, Lamport: 1, Attr: &Attr{Name: []byte("user.a"), Value: []byte("one")}}
	second := Op{N: 1, Node: NodeID{1}, Lamport: 2, Attr: &Attr{Name: []byte("user.a"), Value: []byte("two")}}
	both := Op{N: 2, Node: NodeID{1}, Lamport: 3, Attr: &Attr{Name: []byte("user.a"), Gone: true,
		Over: []Version{{Feed: a, N: 1}, {Feed: b, N: 1}}}}
	for _, swap := range []bool{false, true} {
		s := New()
		feeds, ops := [][32]byte{a, b}, []Op{first, second}
		if swap {
			slices.Reverse(feeds)
			slices.Reverse(ops)
		}
		for i := range ops {
			if err := s.Apply(feeds[i], &ops[i]); err != nil {
				t.Fatal(err)
			}
		}
		if v, _ := s.Attr(NodeID{1}, "user.a"); v != "two" {
			t.Errorf("user.a is %q", v)
		}
		if err := s.Apply(a, &both); err != nil {
			t.Fatal(err)
		}
		if v, ok := s.Attr(NodeID{1}, "user.a"); ok {
			t.Errorf("user.a is %q still", v)
		}
	}
}
