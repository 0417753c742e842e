package space

import (
	"testing"

	"github.com/echofs/echofs/identity/credential"
)

// An admin changes the key and is removed by somebody who does not know of it.
// What others wrote under that key meanwhile can be read by everybody all the
// same, and the founder is not bound to the key.
func TestKeyOfARemovedAdmin(t *testing.T) {
	a, b, c := team(t)
	if err := a.SetRole(t.Context(), b.device.Identity(), credential.Admin); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, b, c)
	first := a.Key()
	if err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	give2(t, c, b)
	if c.Key() != b.Key() || c.Key() == first {
		t.Fatal("c does not write under the new key")
	}
	create(t, c, "under", "it\n")
	settle(t, c)
	if err := a.SetRole(t.Context(), b.device.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, c)
	if a.Key() != first || c.Key() != first {
		t.Error("the key of somebody who was removed is written with")
	}
	if err := a.AddKeys(c.Keyring().Keys()); err != nil {
		t.Fatal(err)
	}
	everybody(t, a, c)
	if got := contentOf(t, a, "under"); got != "it\n" {
		t.Errorf("a reads %q", got)
	}
	same(t, a, c)
}
