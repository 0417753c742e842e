package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
)

// circle is the part of a daemon that knows people.
type circle struct {
	localapi.Backend
	contacts []localapi.Contact
	profile  localapi.Profile
}

func (p *circle) Contacts(context.Context) ([]localapi.Contact, error) { return p.contacts, nil }

func (p *circle) Profile(context.Context) (localapi.Profile, error) { return p.profile, nil }

func (p *circle) SetProfile(_ context.Context, req localapi.ProfileRequest) (localapi.Profile, error) {
	if req.Name != nil {
		p.profile.Name = *req.Name
	}
	if req.Picture != nil {
		p.profile.Picture, p.profile.PictureType = *req.Picture, "png"
	}
	if req.ShareActivity != nil {
		p.profile.ShareActivity = *req.ShareActivity
	}
	return p.profile, nil
}

func TestPeopleCommands(t *testing.T) {
	p := &circle{
		contacts: []localapi.Contact{
			{Name: evil, Identity: "b0b", Online: true, Spaces: []string{"notes", evil}, Here: []localapi.Presence{{DeviceName: evil, File: "notes/" + evil}, {DeviceName: "desk"}}},
			{Name: "cleo", Identity: "c1e0"},
		},
		profile: localapi.Profile{Name: "ann", Identity: "a11"},
	}
	home := start(t, &fake{Backend: p})
	picture := filepath.Join(t.TempDir(), "ann.png")
	if err := os.WriteFile(picture, []byte("\x89PNG\r\n\x1a\n12"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.png")
	if err := os.WriteFile(large, make([]byte, maxPictureFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		code   int
		out    string
		errOut string
	}{
		{args: []string{"halo", "contacts"}, out: ", desk"},
		{args: []string{"halo", "contacts"}, out: "\ncleo "},
		{args: []string{"halo", "contacts", "--json"}, out: `"online": true`},
		{args: []string{"halo", "profile"}, out: "name      ann\nidentity  a11\npicture   none\nactivity  not shared\n"},
		{args: []string{"halo", "profile", "--name", evil}, out: "picture   none"},
		{args: []string{"halo", "profile", "--name", "Ann Lee", "--picture", picture}, out: "name      Ann Lee\nidentity  a11\npicture   png, 10 bytes\n"},
		{args: []string{"halo", "profile", "--json"}, out: `"shareActivity": false`},
		{args: []string{"halo", "profile", "--picture", ""}, out: "picture   none"},
		{args: []string{"halo", "profile", "--share-activity", "on"}, out: "activity  others see which file"},
		{args: []string{"halo", "profile", "--share-activity", "off"}, out: "activity  not shared"},
		{args: []string{"halo", "profile", "--share-activity", "maybe"}, code: exitUsage, errOut: "neither on nor off"},
		{args: []string{"halo", "profile", "--picture", large}, code: exitUsage, errOut: "16 are allowed"},
		{args: []string{"halo", "profile", "--picture", large + "?"}, code: exitUsage, errOut: "cannot be read"},
		{args: []string{"halo", "profile", "ann"}, code: exitUsage},
	} {
		r := run(home, "", tt.args...)
		if r.code != tt.code || !strings.Contains(r.out, tt.out) || !strings.Contains(r.errOut, tt.errOut) {
			t.Errorf("%q: code %d, out %q, err %q; want %+v", tt.args, r.code, r.out, r.errOut, tt)
		}
		if tt.args[len(tt.args)-1] != "--json" && strings.ContainsAny(r.out+r.errOut, "\x1b\x07\u202e") {
			t.Errorf("a name reaches the terminal: %q", r.out+r.errOut)
		}
	}
	for args, want := range map[string]string{"halo profile --share-activity": "on\noff\n", "halo contacts": ""} {
		if r := run(home, "", append(strings.Fields(args), completionArg)...); r.out != want {
			t.Errorf("%s: %q, want %q", args, r.out, want)
		}
	}
}

// TestLooksAt shows the column only if there is something in it.
func TestLooksAt(t *testing.T) {
	now := time.Now()
	for _, file := range []string{"", "notes/plan.md"} {
		var out bytes.Buffer
		c := &command{ui: &ui{out: &out, err: &out}}
		c.printStatus(localapi.Status{Links: []localapi.Link{
			{Name: "ben", DeviceName: "desk", Space: "notes", State: "up", Since: now, File: file}, {Name: "cleo", Space: "notes", State: "waiting", Since: now},
		}}, now)
		if got := strings.Contains(out.String(), "LOOKS AT"); got != (file != "") || !strings.Contains(out.String(), file) || !strings.Contains(out.String(), "desk") {
			t.Errorf("with %q:\n%s", file, out.String())
		}
	}
}
