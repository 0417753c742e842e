package feed

import (
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

func TestTimeframeIsGolden(t *testing.T) {
	tf := Timeframe{id(3): {Seq: 300, ID: id(4)}, id(1): {Seq: 1, ID: id(2)}}
	got, err := tf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	x := func(b byte) string { return "5820" + strings.Repeat(hex.EncodeToString([]byte{b}), 32) }
	if want := "a2" + x(1) + "8201" + x(2) + x(3) + "8219012c" + x(4); hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	back, err := DecodeTimeframe(got)
	if err != nil || !maps.Equal(back, tf) {
		t.Errorf("DecodeTimeframe = %v, %v", back, err)
	}
	if data, err := Timeframe(nil).Encode(); err != nil || hex.EncodeToString(data) != "a0" {
		t.Errorf("the empty one is %x, %v", data, err)
	}
}

func TestTimeframeAsAField(t *testing.T) {
	type hello struct {
		Version int       `cbor:"1,keyasint"`
		Heads   Timeframe `cbor:"2,keyasint"`
	}
	data, err := codec.Marshal(hello{1, Timeframe{id(1): {Seq: 1, ID: id(2)}}})
	if err != nil {
		t.Fatal(err)
	}
	var back hello
	if err := codec.Unmarshal(data, &back); err != nil || back.Heads[id(1)].ID != id(2) || back.Heads.Check() != nil {
		t.Errorf("Unmarshal = %+v, %v", back, err)
	}
}

func TestTimeframeLimits(t *testing.T) {
	large := Timeframe{}
	for i := range MaxFeeds {
		large[identity.ID{1, byte(i >> 8), byte(i)}] = Head{Seq: maxNumber, ID: id(1)}
	}
	data, err := large.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeTimeframe(data); err != nil || len(back) != MaxFeeds {
		t.Errorf("%d feeds: %v", len(back), err)
	}
	large[id(9)] = Head{Seq: 1, ID: id(1)}
	if _, err := large.Encode(); !errors.Is(err, ErrInvalid) {
		t.Errorf("one too many: %v", err)
	}
	for name, tf := range map[string]Timeframe{
		"no feed": {{}: {Seq: 1, ID: id(1)}}, "no number": {id(1): {ID: id(1)}}, "no entry": {id(1): {Seq: 1}}, "too far": {id(1): {Seq: 1 << 60, ID: id(1)}},
	} {
		if _, err := tf.Encode(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		data, err := codec.Marshal(tf)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeTimeframe(data); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s from outside: %v", name, err)
		}
	}
	for _, bad := range [][]byte{nil, {0xf6}, {0x80}, make([]byte, maxTimeframe+1)} {
		if _, err := DecodeTimeframe(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%x: %v", bad[:min(len(bad), 4)], err)
		}
	}
}
