package vfs

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

var update = flag.Bool("update", false, "write golden files")

func heldSample() []heldRecord {
	return []heldRecord{
		{Kind: heldFresh, Key: 1, Parent: [16]byte{1}, Name: "a", Exec: true, Mtime: time.Unix(1, 2).UnixNano(), Data: []byte("text\n")},
		{Kind: heldFresh, Key: 2, Name: "big", Work: "copy-1"},
		{Kind: heldPlace, Key: 1, Parent: [16]byte{2}, Name: "b", Mtime: -1},
		{Kind: heldRemove, Key: 3, Node: [16]byte{3}, Data: []byte("version")},
		{Kind: heldMove, Key: 4, Node: [16]byte{4}, Parent: [16]byte{5}, Name: "c"},
		{Kind: heldTaken, Key: 1, Node: [16]byte{6}},
		{Kind: heldDone, Key: 3},
		{Kind: heldAttrs, Key: 2, Data: attributes{space.ModeSet | 0o640, map[string][]byte{"user.a": []byte("1"), "user.b": {}}}.encode()},
	}
}

func heldBytes(recs []heldRecord) []byte {
	buf := []byte(heldMagic)
	for _, r := range recs {
		buf = appendHeld(buf, r)
	}
	return buf
}

func TestHeldGolden(t *testing.T) {
	const name = "testdata/held.golden"
	data := heldBytes(heldSample())
	if *update {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Error("the format changed: files of an earlier version cannot be read; give it a new magic")
	}
	if got := heldBytes(decodeHeld(want)); !bytes.Equal(got, want) {
		t.Error("decoding loses something")
	}
	for n := range want { // a torn tail loses the torn record only
		if got := decodeHeld(want[:n]); len(got) > len(heldSample()) {
			t.Fatalf("%d records in %d bytes", len(got), n)
		}
	}
}

// FuzzHeld checks that decoding never panics and that what it accepts is what
// encoding writes.
func FuzzHeld(f *testing.F) {
	f.Add(heldBytes(heldSample()))
	f.Add(heldBytes(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		again := heldBytes(decodeHeld(data))
		if len(data) >= len(heldMagic) && string(data[:len(heldMagic)]) == heldMagic && !bytes.HasPrefix(data, again) {
			t.Error("what was decoded is not what was there")
		}
		outstanding(decodeHeld(data))
	})
}
