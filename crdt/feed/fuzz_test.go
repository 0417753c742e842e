package feed

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

func sumOf(data []byte) identity.ID { return sha256.Sum256(data) }

func FuzzDecode(f *testing.F) {
	for _, h := range []Header{first(), second()} {
		e := mustSeal(f, h, []byte("payload"))
		f.Add(e.Raw)
		f.Add(e.body)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := Decode(raw); err == nil {
			again, err := codec.Marshal(e.Header)
			if err != nil || !bytes.Equal(again, e.body) {
				t.Errorf("the header of %x encodes to %x", raw, again)
			}
			e.Verify(identity.PublicKey{})
			e.Open(Key{})
		}
		// The header alone: the fuzzer cannot match the hash of the payload.
		var h Header
		if codec.Unmarshal(raw, &h) == nil && h.check() == nil {
			if h.Next() < h.First || h.Next() <= h.Seq {
				t.Errorf("%+v is taken as good", h)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack([]byte("payload")))
	f.Add(pack(make([]byte, 1000)))
	f.Fuzz(func(t *testing.T, packed []byte) {
		if p, err := unpack(packed); err == nil && len(p) > MaxPayload {
			t.Errorf("%d bytes", len(p))
		}
	})
}

func FuzzTimeframe(f *testing.F) {
	for _, t := range []Timeframe{{}, {id(1): {Seq: 1, ID: id(2)}}, {id(1): {Seq: 1, ID: id(2)}, id(3): {Seq: 1 << 40, ID: id(4)}}} {
		data, err := t.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tf, err := DecodeTimeframe(data)
		if err != nil {
			return
		}
		if again, err := tf.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x decodes, but encodes to %x (%v)", data, again, err)
		}
	})
}
