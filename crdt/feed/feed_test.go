package feed

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "write the golden files")

type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

func device(t testing.TB) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(&counting{}, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func id(b byte) (id identity.ID) {
	for i := range id {
		id[i] = b
	}
	return id
}

func key() Key { return Key(id(0x4b)) }

func second() Header {
	return Header{
		Space: id(1), Feed: id(2), Seq: 2, Prev: id(3), Deps: []identity.ID{id(5), id(4)}, Auth: []identity.ID{id(6)},
		Time: 1700000000000, First: 8, Ops: 3,
	}
}

func first() Header {
	return Header{Space: id(1), Feed: id(2), Seq: 1, Auth: []identity.ID{id(7), id(6)}, First: 1, Ops: 7}
}

func mustSeal(t testing.TB, h Header, payload []byte) Entry {
	t.Helper()
	e, err := Seal(device(t), h, key(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSealAndOpen(t *testing.T) {
	noise := make([]byte, MaxPayload)
	r := rand.NewChaCha8([32]byte{})
	r.Read(noise)
	for name, payload := range map[string][]byte{
		"empty": {}, "short": []byte("hello"), "largest": make([]byte, MaxPayload), "largest noise": noise,
	} {
		t.Run(name, func(t *testing.T) {
			e := mustSeal(t, second(), payload)
			got, err := Decode(e.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != e.ID || got.Prev != id(3) || got.Deps[0] != id(4) || got.KeyID != key().ID() || got.Next() != 11 {
				t.Errorf("decoded %+v", got.Header)
			}
			if !got.Verify(device(t).Key()) || !e.Verify(device(t).Key()) {
				t.Error("its own signature")
			}
			if got.Verify(identity.PublicKey(id(9))) {
				t.Error("somebody else's signature")
			}
			for _, e := range []Entry{e, got} {
				if back, err := e.Open(key()); err != nil || !bytes.Equal(back, payload) {
					t.Errorf("Open = %d bytes, %v", len(back), err)
				}
			}
			if _, err := got.Open(Key(id(9))); !errors.Is(err, ErrKey) {
				t.Errorf("Open with another key = %v", err)
			}
		})
	}
}

func TestSealLeavesTheCallersSlicesAlone(t *testing.T) {
	h := second()
	mustSeal(t, h, nil)
	if h.Deps[0] != id(5) {
		t.Error("Deps was sorted in place")
	}
}

// What is in the golden files must decode for ever, and be signed and
// encrypted the same way. Compression may change: only what it gives back is
// compared.
func TestGolden(t *testing.T) {
	for name, h := range map[string]Header{"first": first(), "second": second()} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".hex")
			if *update {
				e, err := seal(device(t), h, key(), []byte("payload payload payload"), [nonceSize]byte{1, 2, 3})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(hex.EncodeToString(e.Raw)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			e, err := Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !e.Verify(device(t).Key()) {
				t.Error("the signature does not verify any more")
			}
			if p, err := e.Open(key()); err != nil || string(p) != "payload payload payload" {
				t.Errorf("Open = %q, %v", p, err)
			}
			again, err := codec.Marshal(e.Header)
			if err != nil || !bytes.Equal(again, e.body) {
				t.Errorf("the header encodes differently now: %x", again)
			}
		})
	}
	if got := fmt.Sprintf("%x %x", key().ID(), key().Topic()); got != goldenKey {
		t.Errorf("key ID and topic are %s", got)
	}
}

const goldenKey = "f24c0dc0a354cfd1 b3bfc2f788913fa52758cf39a4dc1974d7ee4314a592271fd19a6110fbfbcc79"

func TestSealRefuses(t *testing.T) {
	many := func(n int) []identity.ID {
		ids := make([]identity.ID, n)
		for i := range ids {
			ids[i][0], ids[i][1] = byte(i), 1
		}
		return ids
	}
	tests := []struct {
		name   string
		change func(*Header)
	}{
		{"no space", func(h *Header) { h.Space = identity.ID{} }},
		{"no feed", func(h *Header) { h.Feed = identity.ID{} }},
		{"entry 0", func(h *Header) { h.Seq = 0 }},
		{"no previous entry", func(h *Header) { h.Prev = identity.ID{} }},
		{"previous entry of the first", func(h *Header) { h.Seq, h.First = 1, 1 }},
		{"first entry that does not start at operation 1", func(h *Header) { h.Seq, h.Prev = 1, identity.ID{} }},
		{"fewer operations than entries", func(h *Header) { h.First = 1 }},
		{"no operations", func(h *Header) { h.Ops = 0 }},
		{"too many operations", func(h *Header) { h.Ops = MaxOps + 1 }},
		{"numbers that overflow", func(h *Header) { h.Seq, h.First = 1<<63, 1<<64-1 }},
		{"no authority", func(h *Header) { h.Auth = nil }},
		{"too much authority", func(h *Header) { h.Auth = many(MaxAuth + 1) }},
		{"authority twice", func(h *Header) { h.Auth = []identity.ID{id(1), id(1)} }},
		{"too many deps", func(h *Header) { h.Deps = many(MaxDeps + 1) }},
		{"dep twice", func(h *Header) { h.Deps = []identity.ID{id(1), id(1)} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := second()
			tt.change(&h)
			if _, err := Seal(device(t), h, key(), nil); !errors.Is(err, ErrInvalid) {
				t.Errorf("Seal = %v, want ErrInvalid", err)
			}
		})
	}
	if _, err := Seal(device(t), second(), key(), make([]byte, MaxPayload+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("payload too large: %v", err)
	}
	h := second()
	h.Auth, h.Deps = many(MaxAuth), many(MaxDeps)
	if _, err := Seal(device(t), h, key(), nil); err != nil {
		t.Errorf("as much as allowed: %v", err)
	}
}

// No byte of an entry can be changed without somebody noticing.
func TestEveryChangeIsNoticed(t *testing.T) {
	e := mustSeal(t, second(), []byte("hello"))
	for i := range e.Raw {
		bad := bytes.Clone(e.Raw)
		bad[i] ^= 1 << (i % 8)
		if got, err := Decode(bad); err == nil && got.Verify(device(t).Key()) {
			t.Fatalf("byte %d changed and it still verifies", i)
		} else if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Decode(e.Raw[:i]); !errors.Is(err, ErrInvalid) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode(make([]byte, MaxEntry+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: %v", err)
	}
}

// forge seals anything under a good signature, as a hostile member can.
func forge(t *testing.T, h Header, sealed []byte) Entry {
	t.Helper()
	e := mustSeal(t, h, nil)
	h = e.Header
	h.Size, h.PayloadHash = uint64(len(sealed)), sumOf(sealed)
	body, err := codec.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := codec.Marshal([][]byte{body, device(t).Sign(identity.ContextEntry, body), sealed})
	if err != nil {
		t.Fatal(err)
	}
	e, err = Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOpenRefusesWhatAHostileMemberSeals(t *testing.T) {
	aad := func(e Entry, size int) []byte {
		h := e.Header
		h.Size = uint64(size)
		data, err := h.additionalData()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	e := mustSeal(t, second(), nil)
	encrypt := func(h Entry, packed []byte) []byte {
		sealed, err := key().encrypt([nonceSize]byte{1}, aad(h, overhead+len(packed)), packed)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := w.EncodeAll(make([]byte, 1<<30), nil)
	half := w.EncodeAll(make([]byte, MaxPayload/2+1), nil)
	other := mustSeal(t, first(), nil)
	twoKeys := encrypt(e, pack([]byte("x")))
	twoKeys[nonceSize] ^= 1 // a commitment to some other key

	tests := []struct {
		name   string
		sealed []byte
		want   error
	}{
		{"not compressed", encrypt(e, []byte("plain")), ErrInvalid},
		{"a bomb", encrypt(e, bomb), ErrInvalid},
		{"two frames that are too much together", encrypt(e, append(bytes.Clone(half), half...)), ErrInvalid},
		{"the payload of another entry", encrypt(other, pack([]byte("x"))), ErrInvalid},
		{"noise", make([]byte, 200), ErrKey},
		{"another commitment", twoKeys, ErrKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p, err := forge(t, second(), tt.sealed).Open(key()); !errors.Is(err, tt.want) {
				t.Errorf("Open = %d bytes, %v; want %v", len(p), err, tt.want)
			}
		})
	}
	if p, err := forge(t, second(), encrypt(e, pack([]byte("x")))).Open(key()); err != nil || string(p) != "x" {
		t.Errorf("the forger is broken: %q, %v", p, err)
	}
}

func TestFollows(t *testing.T) {
	one := mustSeal(t, first(), nil)
	next := func(change func(*Header)) *Header {
		h := second()
		h.Prev = one.ID
		change(&h)
		return &h
	}
	tests := []struct {
		name string
		prev *Entry
		h    *Header
		ok   bool
	}{
		{"the first", nil, &one.Header, true},
		{"the second", &one, next(func(*Header) {}), true},
		{"the second without the first", nil, next(func(*Header) {}), false},
		{"the first again", &one, &one.Header, false},
		{"a gap in entries", &one, next(func(h *Header) { h.Seq = 3 }), false},
		{"a gap in operations", &one, next(func(h *Header) { h.First = 9 }), false},
		{"an operation twice", &one, next(func(h *Header) { h.First = 7 }), false},
		{"another past", &one, next(func(h *Header) { h.Prev = id(3) }), false},
		{"another feed", &one, next(func(h *Header) { h.Feed = id(9) }), false},
		{"another space", &one, next(func(h *Header) { h.Space = id(9) }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.h.Follows(tt.prev); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("Follows = %v", err)
			}
		})
	}
}

func TestLaterVersionIsTold(t *testing.T) {
	body, _ := codec.Marshal(map[int]any{1: 2, 77: "later"})
	raw, _ := codec.Marshal([][]byte{body, make([]byte, 64), {}})
	if _, err := Decode(raw); !errors.Is(err, ErrNewer) {
		t.Errorf("Decode = %v, want ErrNewer", err)
	}
}

func TestKeysStayOutOfLogs(t *testing.T) {
	k := key()
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %s %+v %#v", k, k, k, k)} {
		if strings.Contains(s, "75") || strings.Contains(strings.ToLower(s), "4b") {
			t.Errorf("printed %s", s)
		}
	}
	if a, b := NewKey(), NewKey(); a == b {
		t.Error("keys repeat")
	}
}

func BenchmarkSeal(b *testing.B) {
	bench(b, func(payload []byte) func() {
		d, h, k := device(b), second(), key()
		return func() {
			if _, err := Seal(d, h, k, payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeVerify(b *testing.B) {
	bench(b, func(payload []byte) func() {
		e, dev := mustSeal(b, second(), payload), device(b).Key()
		return func() {
			got, err := Decode(e.Raw)
			if err != nil || !got.Verify(dev) {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	bench(b, func(payload []byte) func() {
		e, k := mustSeal(b, second(), payload), key()
		return func() {
			if _, err := e.Open(k); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bench(b *testing.B, prepare func(payload []byte) func()) {
	text := bytes.Repeat([]byte("func (e Entry) Verify(device identity.PublicKey) bool {\n"), MaxPayload/56)
	for _, size := range []int{200, 10 << 10, len(text)} {
		b.Run(fmt.Sprintf("%d", size), func(b *testing.B) {
			run := prepare(text[:size])
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				run()
			}
		})
	}
}
