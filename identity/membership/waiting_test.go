package membership

import (
	"errors"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
)

// later signs a kind that this release does not know.
func later(t *testing.T, d *identity.Device, space identity.ID, deps ...identity.ID) credential.Signed {
	t.Helper()
	body, err := codec.Marshal(map[int]any{1: 1, 2: space, 3: 200, 4: deps, 5: d.Key(), 6: d.Identity(), 13: [16]byte{}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := codec.Marshal([][]byte{body, d.Sign(identity.ContextCredential, body)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := credential.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLaterKindsWait(t *testing.T) {
	ada, eve := person(t, "Ada"), person(t, "Eve")
	s := found(t, ada)
	op := later(t, ada, s.Space(), s.Space())
	if status, err := s.Add(op); err != nil || status != Pending {
		t.Fatalf("Add = %v, %v", status, err)
	}
	if w := s.Waiting(); len(w) != 1 || w[0].ID != op.ID || s.Has(op.ID) {
		t.Errorf("waiting: %v", w)
	}
	after, err := credential.Make(ada, credential.Op{Space: s.Space(), Kind: credential.FeedOpen, Deps: []identity.ID{op.ID}, Proof: s.Space()})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := s.Add(after); err != nil || status != Pending || len(s.Waiting()) != 2 {
		t.Errorf("what comes after it: %v, %v", status, err)
	}
	if _, err := s.Add(later(t, eve, s.Space(), s.Space())); !errors.Is(err, ErrInvalid) {
		t.Errorf("a stranger's: %v", err)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	ada, eve := person(t, "Ada"), person(t, "Eve")
	s := found(t, ada)
	junk := func(d *identity.Device, i int) credential.Signed {
		op, err := credential.Make(d, credential.Op{
			Space: s.Space(), Kind: credential.FeedOpen, Proof: s.Space(), Deps: []identity.ID{{1, byte(i >> 8), byte(i)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	honest := junk(ada, 0)
	if status, err := s.Add(honest); err != nil || status != Pending {
		t.Fatal(status, err)
	}
	for i := range maxWaiting + 10 {
		if status, err := s.Add(junk(eve, i+1)); err != nil || status != Pending {
			t.Fatal(status, err)
		}
	}
	w := s.Waiting()
	if len(w) != maxWaiting || w[0].ID != honest.ID {
		t.Errorf("%d wait, a member's first: %v", len(w), w[0].ID == honest.ID)
	}
	for i := range maxWaiting {
		if _, err := s.Add(junk(ada, i+2000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(junk(eve, 5000)); !errors.Is(err, ErrFull) || len(s.Waiting()) != maxWaiting {
		t.Errorf("junk when members fill it: %v", err)
	}
	if len(s.waiting.on) > maxWaiting {
		t.Errorf("%d missing are remembered", len(s.waiting.on))
	}
}
