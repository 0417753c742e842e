package daemon

import (
	"testing"

	"github.com/echofs/echofs/cmd/localapi"
)

// TestProfileFollows: the profile goes to all spaces once, and follows the HALO
// space.
func TestProfileFollows(t *testing.T) {
	d := unmounted(t)
	d.openPersonal()
	own := d.own()
	if own == nil {
		t.Fatal("there is no HALO space")
	}
	spread := func() {
		t.Helper()
		if err := d.spreadProfile(); err != nil {
			t.Fatal(err)
		}
	}
	set := func(req localapi.ProfileRequest) {
		t.Helper()
		if _, err := d.SetProfile(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	is := func(s *openSpace, name string, picture string) {
		t.Helper()
		if m := s.Members(); len(m) != 1 || m[0].Name != name || string(m[0].Picture) != picture {
			t.Errorf("in %s it is %+v, want %q and %q", s.Name(), m, name, picture)
		}
		before := len(s.Credentials())
		if spread(); len(s.Credentials()) != before {
			t.Errorf("in %s it is said again", s.Name())
		}
	}
	spread()
	is(own, "anna", "")
	ann, png := "Ann", []byte(pngHead)
	set(localapi.ProfileRequest{Name: &ann, Picture: &png})
	is(own, "Ann", pngHead)
	if _, err := d.CreateSpace(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	one, err := d.find("one")
	if err != nil {
		t.Fatal(err)
	}
	spread()
	is(one, "Ann", pngHead)

	// Another device changes it.
	if err := own.SetProfile("Ann Lee", nil); err != nil {
		t.Fatal(err)
	}
	spread()
	is(own, "Ann Lee", "")
	is(one, "Ann Lee", "")
	if p, err := loadProfile(d.Home); err != nil || p.Name != "Ann Lee" || d.personName() != "Ann Lee" {
		t.Errorf("this device thinks %+v, %v", p, err)
	}

	// One that has not heard of that says something older in one space.
	if err := one.SetProfile("Ann", png); err != nil {
		t.Fatal(err)
	}
	is(one, "Ann", pngHead) // they do not argue
	set(localapi.ProfileRequest{Name: &ann})
	is(own, "Ann", "")
	is(one, "Ann", "")

	if err := own.SetProfile("Ann", []byte("a film")); err != nil { // of a later release
		t.Fatal(err)
	}
	spread()
	is(one, "Ann", "")
	if err := own.SetProfile("anna", nil); err != nil { // as the identity is called
		t.Fatal(err)
	}
	spread()
	is(own, "anna", "")
	is(one, "anna", "")
	if got := pictures(one.Space); len(got) != 0 {
		t.Errorf("pictures %v", got)
	}
	set(localapi.ProfileRequest{Picture: &png})
	if got := pictures(one.Space); len(got) != 1 || got[0].Name != "anna.png" || string(got[0].Data) != pngHead {
		t.Errorf("pictures %v", got)
	}
	for _, bad := range []string{"", "a\nb"} {
		if _, err := d.SetProfile(t.Context(), localapi.ProfileRequest{Name: &bad}); localapi.AsError(err).Code != localapi.Usage {
			t.Errorf("called %q: %v", bad, err)
		}
	}
}
