package feed

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

const (
	goldenRing   = "8258204b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b58200101010101010101010101010101010101010101010101010101010101010101"
	goldenSealed = "010000000000000000000000000000000000000000000000819634c161dad6b8cbc2bd1f35bf304cfe30a61ddf835f26f257b4a079dc35db85e456e97a26bf42b9b9eb2af2b375eb944b55a62bf41c442c2fcbaf97c7c85c765eadd2dfaaa5ebed5beb3567d108b281a225eb0f8a43d984b19b7c1de170a903cf86ef07bd8750f85e9531359dc0746e14a63959"
	goldenDay    = "6852bd57c9b99a3ad86f2c72f841e222a0e720f2497566dbc6dfe4cda2024575"
)

func TestKeyringIsGolden(t *testing.T) {
	r := Ring(key(), Key(id(1)))
	data, err := r.Encode()
	if err != nil || hex.EncodeToString(data) != goldenRing {
		t.Errorf("a ring is %x, %v", data, err)
	}
	sealed, err := key().sealRing(r, [nonceSize]byte{1})
	if err != nil || hex.EncodeToString(sealed) != goldenSealed {
		t.Errorf("a sealed ring is %x, %v", sealed, err)
	}
	back, err := key().OpenRing(sealed)
	if err != nil || back.Len() != 2 || back.Keys()[1] != Key(id(1)) {
		t.Errorf("OpenRing = %v, %v", back.Len(), err)
	}
	if _, err := Key(id(1)).OpenRing(sealed); !errors.Is(err, ErrKey) {
		t.Errorf("another key opens it: %v", err)
	}
	if got := key().TopicOn(20000); hex.EncodeToString(got[:]) != goldenDay {
		t.Errorf("the topic of a day is %x", got)
	}
	if key().TopicOn(20000) == key().TopicOn(20001) || key().TopicOn(1) == Key(id(1)).TopicOn(1) {
		t.Error("topics repeat")
	}
}

func TestKeyring(t *testing.T) {
	var r Keyring
	for i := range MaxKeys {
		k := Key{byte(i >> 8), byte(i)}
		more, ok := r.With(k)
		if !ok {
			t.Fatalf("key %d is refused", i)
		}
		if _, ok := r.Get(k.ID()); ok {
			t.Fatal("a ring changed")
		}
		r = more
	}
	if _, ok := r.With(key()); ok {
		t.Error("one too many is taken")
	}
	if _, ok := r.With(Key{0, 7}); ok {
		t.Error("a key is taken twice")
	}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeKeyring(data); err != nil || back.Len() != MaxKeys {
		t.Errorf("the largest ring: %d, %v", back.Len(), err)
	}
	sealed, err := key().SealRing(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key().OpenRing(sealed); err != nil {
		t.Error(err)
	}
	if _, err := key().OpenRing(append(sealed, make([]byte, 100)...)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a sealed ring that is too long: %v", err)
	}

	h := second()
	e, err := Seal(device(t), h, Key(id(2)), []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Ring(key(), Key(id(2)), Key(id(3))).Open(&e); err != nil || string(p) != "text" {
		t.Errorf("Open = %q, %v", p, err)
	}
	if _, err := Ring(key()).Open(&e); !errors.Is(err, ErrKey) {
		t.Errorf("Open without the key = %v", err)
	}
}

func FuzzKeyring(f *testing.F) {
	for _, r := range []Keyring{{}, Ring(key()), Ring(key(), Key(id(1)))} {
		data, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeKeyring(data)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x decodes, but encodes to %x (%v)", data, again, err)
		}
	})
}
