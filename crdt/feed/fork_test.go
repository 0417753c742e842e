package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/echofs/echofs/identity"
)

const goldenFork = "8a758e0b3df8df59"

// rivals are two entries for one place.
func rivals(t testing.TB) (a, b Entry) {
	t.Helper()
	var es [2]Entry
	for i := range es {
		e, err := seal(device(t), second(), key(), []byte{byte(i)}, [nonceSize]byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		es[i] = e
	}
	if es[1].ID.Compare(es[0].ID) < 0 {
		return es[1], es[0]
	}
	return es[0], es[1]
}

func stub(t testing.TB, e Entry) Stub {
	t.Helper()
	s, err := e.Stub()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFork(t *testing.T) {
	a, b := rivals(t)
	f, err := NewFork(stub(t, b), stub(t, a))
	if err != nil || f.A.ID != a.ID {
		t.Fatalf("NewFork = %v, %v", f.A.ID, err)
	}
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:8]) != goldenFork {
		t.Errorf("a proof has another form: %x of %d bytes", sum[:8], len(data))
	}
	back, err := DecodeFork(data)
	if err != nil || back.A.ID != a.ID || back.B.ID != b.ID || back.A.Seq != 2 {
		t.Errorf("DecodeFork = %+v, %v", back, err)
	}
	if !back.Verify(device(t).Key()) || back.Verify(identity.PublicKey(id(9))) {
		t.Error("whose signatures are these?")
	}
	other := mustSeal(t, first(), nil)
	for name, pair := range map[string][2]Entry{"one entry": {a, a}, "two places": {a, other}} {
		if _, err := NewFork(stub(t, pair[0]), stub(t, pair[1])); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if wrong, err := (Fork{f.B, f.A}).Encode(); err != nil {
		t.Error(err)
	} else if _, err := DecodeFork(wrong); !errors.Is(err, ErrInvalid) {
		t.Errorf("in the wrong order: %v", err)
	}
}

func FuzzFork(f *testing.F) {
	a, b := rivals(f)
	proof, err := NewFork(stub(f, a), stub(f, b))
	if err != nil {
		f.Fatal(err)
	}
	data, err := proof.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(stub(f, a).Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := DecodeStub(data); err == nil {
			s.Verify(identity.PublicKey{})
		}
		p, err := DecodeFork(data)
		if err != nil {
			return
		}
		if again, err := p.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x decodes, but encodes to %x (%v)", data, again, err)
		}
	})
}
