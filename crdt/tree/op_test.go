package tree

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

func sampleOps() []Op {
	v := func(b byte, n uint64) Version { return Version{Feed: [32]byte{b}, N: n} }
	return []Op{
		{N: 7, Node: NodeID{1}, Lamport: 1, Place: &Place{Name: []byte("a.txt")}, Meta: &Meta{Exec: true, Mtime: -5},
			Content: &Content{Kind: Bytes, Data: []byte("hello")}},
		{N: 8, Node: NodeID{2}, Lamport: 1, Place: &Place{Name: []byte("d")}, Content: &Content{Kind: Dir}},
		{N: 9, Node: NodeID{1}, Lamport: 2, Edit: &Edit{Base: v(1, 7), Change: []byte{1, 2, 3}, Over: []Version{v(1, 7)}}},
		{N: 10, Node: NodeID{1}, Lamport: 3, Place: &Place{Parent: NodeID{2}, Name: []byte{0xff}, Over: []Version{v(1, 7), v(2, 1)}}},
		{N: 11, Node: NodeID{3}, Lamport: 1, Content: &Content{Kind: Blob, Hash: bytes.Repeat([]byte{9}, 32), Size: 1 << 40}},
		{N: 12, Node: NodeID{4}, Lamport: 1, Content: &Content{Kind: Symlink, Data: []byte("../x")}},
		{N: 13, Node: NodeID{1}, Lamport: 4, Content: &Content{Kind: None, Over: []Version{v(1, 9)}}},
	}
}

// golden compares with a file of hexadecimal lines.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := "testdata/" + name
	text := hex.EncodeToString(data) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s: the format has changed\ngot  %swant %s", name, text, want)
	}
}

func TestPayloadFormat(t *testing.T) {
	data, err := Encode(sampleOps())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "payload.hex", data)
	ops, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(ops, sampleOps()) {
		t.Errorf("got %+v", ops)
	}
}

func TestDecodeRefuses(t *testing.T) {
	v := Version{Feed: [32]byte{1}, N: 1}
	tests := []struct {
		name string
		op   Op
	}{
		{"the root", Op{Lamport: 1, Meta: &Meta{}}},
		{"nothing", Op{Node: NodeID{1}, Lamport: 1}},
		{"lamport zero", Op{Node: NodeID{1}, Meta: &Meta{}}},
		{"lamport too great", Op{Node: NodeID{1}, Lamport: 1 << 63, Meta: &Meta{}}},
		{"long name", Op{Node: NodeID{1}, Lamport: 1, Place: &Place{Name: make([]byte, MaxName+1)}}},
		{"unknown kind", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: 9}}},
		{"folder with data", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: Dir, Data: []byte{1}}}},
		{"blob without hash", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: Blob, Size: 1}}},
		{"blob of negative size", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: Blob, Hash: make([]byte, 32), Size: -1}}},
		{"bytes with size", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: Bytes, Size: 1}}},
		{"edit of nothing", Op{Node: NodeID{1}, Lamport: 1, Edit: &Edit{Change: []byte{1}, Over: []Version{v}}}},
		{"edit that follows nothing", Op{Node: NodeID{1}, Lamport: 1, Edit: &Edit{Base: v, Change: []byte{1}}}},
		{"edit and content", Op{Node: NodeID{1}, Lamport: 1, Content: &Content{Kind: Dir}, Edit: &Edit{Base: v, Change: []byte{1}, Over: []Version{v}}}},
		{"attribute without a name", Op{Node: NodeID{1}, Lamport: 1, Attr: &Attr{Value: []byte{1}}}},
		{"attribute with a long name", Op{Node: NodeID{1}, Lamport: 1, Attr: &Attr{Name: make([]byte, MaxAttr+1)}}},
		{"attribute with a long value", Op{Node: NodeID{1}, Lamport: 1, Attr: &Attr{Name: []byte("user.a"), Value: make([]byte, MaxValue+1)}}},
		{"attribute that is gone and there", Op{Node: NodeID{1}, Lamport: 1, Attr: &Attr{Name: []byte("user.a"), Value: []byte{1}, Gone: true}}},
		{"version twice", Op{Node: NodeID{1}, Lamport: 1, Meta: &Meta{Over: []Version{v, v}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.op.N = 1
			if _, err := Encode([]Op{tt.op}); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := Decode(make([]byte, MaxPayload+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("huge payload: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := Encode(sampleOps())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(ops)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x decodes and encodes as %x, %v", data, again, err)
		}
	})
}

// recorded returns a state of which every field of a record is used.
func recorded(t testing.TB) *State {
	s := New()
	ops := sampleOps()
	for i := range ops {
		ops[i].N = uint64(i + 1)
		over := func(vs []Version) {
			for j := range vs {
				vs[j] = Version{Feed: [32]byte{1}, N: 1}
			}
		}
		if ops[i].Place != nil && len(ops[i].Place.Over) > 1 {
			ops[i].Place.Over = ops[i].Place.Over[:1]
			over(ops[i].Place.Over)
		}
		if ops[i].Edit != nil {
			ops[i].Edit.Base = Version{Feed: [32]byte{1}, N: 1}
			over(ops[i].Edit.Over)
		}
		if ops[i].Content != nil {
			over(ops[i].Content.Over)
		}
		if err := s.Apply([32]byte{1}, &ops[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.Settle()
	return s
}

func TestRecordFormat(t *testing.T) {
	s := recorded(t)
	golden(t, "record.hex", s.Record(NodeID{1}))
	golden(t, "record-symlink.hex", s.Record(NodeID{4}))
}

func FuzzLoad(f *testing.F) {
	s := recorded(f)
	for id := range s.nodes {
		f.Add(s.Record(id))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		s := New()
		if s.Load(NodeID{1}, record) != nil {
			return
		}
		s.Project()
		s.Dump()
	})
}

func FuzzLegal(f *testing.F) {
	for _, name := range []string{"", ".", "..", "a/b", "\x00", ".space", ".fuse_hidden1", "%2E", strings.Repeat("ä", 200)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := legal(name, NodeID{1, 2, 3})
		if !Legal(got) {
			t.Fatalf("%q is shown as %q", name, got)
		}
		if Legal(name) && got != name {
			t.Fatalf("%q is legal and shown as %q", name, got)
		}
		if m := Mark(got, "conflict abcdef"); !Legal(m) {
			t.Fatalf("%q is marked as %q", got, m)
		}
	})
}

func TestNames(t *testing.T) {
	id := NodeID{0xab, 0xcd, 0xef}
	tests := []struct{ name, want string }{
		{"a.txt", "a.txt"},
		{"100%", "100%"},
		{"\xff", "\xff"},
		{"", "~abcdef"},
		{".", "%2E~abcdef"},
		{"..", "%2E.~abcdef"},
		{"a/b%", "a%2Fb%25~abcdef"},
		{"x\x00", "x%00~abcdef"},
		{".space", "%2Espace~abcdef"},
		{".spaceship", ".spaceship"},
		{strings.Repeat("x", 300), strings.Repeat("x", 248) + "~abcdef"},
	}
	for _, tt := range tests {
		if got := legal(tt.name, id); got != tt.want {
			t.Errorf("%q is shown as %q, want %q", tt.name, got, tt.want)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	b.ReportAllocs()
	s := New()
	n := uint64(0)
	for b.Loop() {
		n++
		id := NodeID{1, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
		name := []byte(id.String())
		op := Op{N: n, Node: id, Lamport: 1, Place: &Place{Name: name}, Meta: &Meta{}, Content: &Content{Kind: Bytes, Data: name}}
		if err := s.Apply([32]byte{1}, &op); err != nil {
			b.Fatal(err)
		}
		s.Settle()
	}
}
