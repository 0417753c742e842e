package membership

import (
	"errors"
	"testing"

	"github.com/echofs/echofs/identity/credential"
)

// Whoever could bring strangers' chains into a space could bring any number.
func TestOnlyAdminsImportStrangers(t *testing.T) {
	anna, ben, stranger := person(t, "anna"), person(t, "ben"), person(t, "stranger")
	a := found(t, anna)
	a.admit(ben, credential.Editor)
	b := a.as(ben)
	grant := b.to[ben.Identity()][0]
	op := credential.Op{Space: b.space, Kind: credential.Import, Deps: b.Heads(), Proof: grant.ID, Ext: stranger.Chain()}
	c, err := credential.Make(ben, op)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := a.Add(c); !errors.Is(err, ErrInvalid) {
		t.Errorf("an editor's import of a stranger: %v, %v", status, err)
	}
	a.setRole(ben, credential.Admin)
	b.learn(a)
	if made, err := b.Admit(ben, stranger.Chain(), credential.Reader, epoch); err != nil || len(made) != 2 {
		t.Errorf("an admin admits: %d credentials, %v", len(made), err)
	}
}
