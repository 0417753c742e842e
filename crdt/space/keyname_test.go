package space

import (
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// An admin whose program is modified seals to one a key, and the earlier keys
// under another, as it would with two keys of one name: nobody takes that key,
// and a good one replaces it.
func TestKeyThatIsAnotherForOthers(t *testing.T) {
	a, b, c := team(t)
	key, other := feed.NewKey(), feed.NewKey()
	prev, err := other.SealRing(a.Keyring())
	if err != nil {
		t.Fatal(err)
	}
	box, err := identity.Seal(b.device.SealKey(), a.epochInfo(key.ID()), key[:])
	if err != nil {
		t.Fatal(err)
	}
	first := a.Key()
	err = a.act(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		return m.NewEpoch(a.device, key.ID(), prev, []credential.SealedKey{{To: credential.SealTo(b.device.Key(), nil), Box: box}}, now)
	})
	if err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b, c)
	if err := b.AddKeys([]feed.Key{key}); err != nil {
		t.Fatal(err)
	}
	if b.Key() != first || b.Keyring().Len() != 1 {
		t.Error("b writes under a key that others cannot have")
	}
	create(t, b, "one", "1")
	everybody(t, a, b, c)
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b, c)
	if b.Key() != a.Key() || c.Key() != a.Key() || a.Key() == first {
		t.Error("a good key does not replace it")
	}
	if got := listing(t, c, Root); got != "one" {
		t.Errorf("c reads %q", got)
	}
}
