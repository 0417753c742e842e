package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

type inner struct {
	_ struct{} `cbor:",toarray"`
	N int64
	S []byte
}

type outer struct {
	Version uint64             `cbor:"1,keyasint"`
	Name    string             `cbor:"2,keyasint,omitempty"`
	Key     [4]byte            `cbor:"3,keyasint,omitzero"`
	List    []inner            `cbor:"4,keyasint,omitempty"`
	Exec    bool               `cbor:"5,keyasint,omitempty"`
	Map     map[[2]byte]uint64 `cbor:"6,keyasint,omitempty"`
	Next    *outer             `cbor:"7,keyasint,omitempty"`
}

func TestMarshalIsGolden(t *testing.T) {
	got, err := Marshal(outer{
		Version: 300, Name: "ä", Key: [4]byte{1, 2, 3, 4}, List: []inner{{N: -1, S: []byte("x")}}, Exec: true,
		Map: map[[2]byte]uint64{{2, 0}: 7, {1, 9}: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "a601" + "19012c" + "02" + "62c3a4" + "03" + "4401020304" + "04" + "81" + "82204178" + "05f5" + "06" + "a2" + "42010908" + "42020007"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	var back outer
	if err := Unmarshal(got, &back); err != nil {
		t.Errorf("its own encoding: %v", err)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	tests := []struct{ name, hex string }{
		{"nothing", ""},
		{"truncated map", "a201"},
		{"truncated number", "a10119"},
		{"truncated string", "a1010263"},
		{"bytes after the value", "a1010000"},
		{"number longer than needed", "a1011800"},
		{"length longer than needed", "a201010278017a"},
		{"indefinite map", "bf0101ff"},
		{"indefinite string", "a20101027f6161ff"},
		{"keys not in order", "a202616101" + "01"},
		{"key twice", "a201010101"},
		{"tag", "a101c101"},
		{"float", "a101f93c00"},
		{"undefined", "a101f7"},
		{"simple value", "a101f0"},
		{"unknown field", "a201011863" + "01"},
		{"text as a key", "a2010161" + "6101"},
		{"not UTF-8", "a201010261ff"},
		{"array longer than its type", "a20101034501020304" + "05"},
		{"array shorter than its type", "a201010343010203"},
		{"array as byte string", "a20101038401020304"},
		{"empty where absent is meant", "a201010260"},
		{"null where absent is meant", "a2010102f6"},
		{"false where absent is meant", "a2010105f4"},
		{"wrong type", "a1016161"},
		{"negative where unsigned", "a10120"},
		{"too few elements", "a20101048181" + "20"},
		{"too many elements", "a20101048183" + "20417801"},
		{"reserved head", "1c"},
		{"break alone", "ff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			var v outer
			if err := Unmarshal(data, &v); err == nil {
				t.Errorf("Unmarshal(%s) = %+v, want an error", tt.hex, v)
			}
		})
	}
}

type required struct {
	Data []byte            `cbor:"1,keyasint"`
	List []uint64          `cbor:"2,keyasint"`
	Map  map[uint64]uint64 `cbor:"3,keyasint"`
	Next *required         `cbor:"4,keyasint"`
}

// Nothing has one encoding, whether Go calls it nil or empty.
func TestEmptyIsNotNull(t *testing.T) {
	const want = "a4" + "0140" + "0280" + "03a0" + "04f6"
	for _, v := range []required{{}, {Data: []byte{}, List: []uint64{}, Map: map[uint64]uint64{}}} {
		if got, err := Marshal(v); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%#v is %x, %v, want %s", v, got, err, want)
		}
	}
	for _, h := range []string{"a4" + "01f6" + "0280" + "03a0" + "04f6", "a4" + "0140" + "02f6" + "03a0" + "04f6", "a4" + "0140" + "0280" + "03f6" + "04f6"} {
		data, _ := hex.DecodeString(h)
		var v required
		if err := Unmarshal(data, &v); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("Unmarshal(%s) = %+v, %v, want ErrNotCanonical", h, v, err)
		}
	}
	for _, top := range []any{new([]byte), new([]uint64), new(map[uint64]uint64), new(required), new(uint64), new([4]byte)} {
		if err := Unmarshal([]byte{0xf6}, top); err == nil {
			t.Errorf("null is taken for a %T", top)
		}
	}
}

func TestNotCanonicalIsTold(t *testing.T) {
	for _, h := range []string{"a1011800", "a201010101", "a201010260"} {
		data, _ := hex.DecodeString(h)
		var v outer
		if err := Unmarshal(data, &v); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("Unmarshal(%s) = %v, want ErrNotCanonical", h, err)
		}
	}
}

func TestLimits(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x81}, n), 0x00) }
	if err := Check(nested(MaxDepth)); err != nil {
		t.Errorf("depth %d: %v", MaxDepth, err)
	}
	if err := Check(nested(MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "deeper") {
		t.Errorf("depth %d: %v", MaxDepth+1, err)
	}
	list := func(n int) []byte { return append([]byte{0x99, byte(n >> 8), byte(n)}, make([]byte, n)...) }
	var v []uint64
	if err := Unmarshal(list(MaxElements), &v); err != nil || len(v) != MaxElements {
		t.Errorf("%d elements: %v", MaxElements, err)
	}
	if err := Check(list(MaxElements + 1)); err == nil {
		t.Errorf("%d elements are not refused", MaxElements+1)
	}
	// A length alone must not cost memory.
	if err := Check([]byte{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("a string of 2^64-1 bytes is not refused")
	}
}

func TestPeekIgnoresWhatItDoesNotKnow(t *testing.T) {
	var head struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	data, _ := hex.DecodeString("a2010918636161")
	if err := Peek(data, &head); err != nil || head.Version != 9 {
		t.Errorf("Peek = %v, version %d", err, head.Version)
	}
	data, _ = hex.DecodeString("a201180118636161")
	if err := Peek(data, &head); err == nil {
		t.Error("Peek takes what is not canonical")
	}
}

func TestSplitByteStrings(t *testing.T) {
	data, _ := Marshal([][]byte{[]byte("ab"), {}, bytes.Repeat([]byte{7}, 300)})
	parts, err := SplitByteStrings(data, 3)
	if err != nil || string(parts[0]) != "ab" || len(parts[1]) != 0 || len(parts[2]) != 300 {
		t.Fatalf("SplitByteStrings = %q, %v", parts, err)
	}
	for _, h := range []string{"", "80", "8241614162", "834161416243", "83416141626162", "8341614162416300", "9f41614162ff", "83580161" + "41624163"} {
		bad, _ := hex.DecodeString(h)
		if parts, err := SplitByteStrings(bad, 3); err == nil {
			t.Errorf("SplitByteStrings(%s) = %q, want an error", h, parts)
		}
	}
}

// Whatever decodes must encode to the same bytes, as any type.
func FuzzUnmarshal(f *testing.F) {
	for _, h := range []string{"a10101", "a6011901" + "2c0262c3a403440102030404818220417805f506a14201" + "0908", "8182f620", "a2f4f5f6" + "f7", "1bffffffffffffffff", "3bffffffffffffffff"} {
		data, _ := hex.DecodeString(h)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var o outer
		same(t, data, &o, Unmarshal(data, &o))
		var r required
		same(t, data, &r, Unmarshal(data, &r))
		var a any
		err := Unmarshal(data, &a)
		same(t, data, &a, err)
		if err == nil {
			if err := Check(data); err != nil {
				t.Fatalf("decoded, but Check says %v", err)
			}
		}
		if parts, err := SplitByteStrings(data, 3); err == nil {
			same(t, data, parts, nil)
		}
	})
}

func same(t *testing.T, data []byte, v any, err error) {
	t.Helper()
	if err != nil {
		return
	}
	again, err := Marshal(v)
	if err != nil {
		t.Fatalf("encoding what was decoded from %x: %v", data, err)
	}
	if !bytes.Equal(again, data) {
		t.Fatalf("%x decodes, but encodes to %x", data, again)
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	data, err := Marshal(outer{Version: 1, Name: "name", Key: [4]byte{1}, List: make([]inner, 8)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var v outer
		if err := Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}
