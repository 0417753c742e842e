package daemon

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

func TestWhoText(t *testing.T) {
	at := time.Date(2026, 11, 26, 2, 45, 30, 0, time.Local)
	ann, ben, odd := identity.ID{1}, identity.ID{2}, identity.ID{3}
	got := whoText(map[identity.ID]string{ann: "Ann Lee", ben: "ben", odd: "\x1b[2Jodd"}, map[identity.ID][]localapi.Presence{
		ben: {{DeviceName: "laptop", Since: at.Add(time.Hour), File: "notes/plan.md"}, {DeviceName: "desk", Since: at}},
		ann: {{DeviceName: "lab", Self: true, Since: at, File: "notes/a\tb"}},
		odd: {{DeviceName: "a\u202eb", Since: at}},
	}, "notes")
	want := "Ann Lee  lab     since 2026-11-26 02:45  a\ufffdb\n" +
		"\ufffd[2Jodd  a\ufffdb     since 2026-11-26 02:45\n" +
		"ben      desk    since 2026-11-26 02:45\n" +
		"ben      laptop  since 2026-11-26 03:45  plan.md\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := whoText(nil, nil, "notes"); got != "" {
		t.Errorf("nobody is %q", got)
	}
}

func TestWithPresence(t *testing.T) {
	at := time.Date(2026, 11, 26, 2, 45, 0, 0, time.UTC)
	var all []localapi.Presence
	for _, p := range []localapi.Presence{
		{Device: "a", Since: at}, {Device: "b", Since: at}, {Device: "a", Since: at.Add(-time.Hour), File: "x/y"}, {Device: "a", Since: at, File: "z/z"},
	} {
		all = withPresence(all, p)
	}
	if len(all) != 2 || all[0] != (localapi.Presence{Device: "a", Since: at.Add(-time.Hour), File: "x/y"}) || all[1] != (localapi.Presence{Device: "b", Since: at}) {
		t.Errorf("got %+v", all)
	}
}

const (
	pngHead  = "\x89PNG\r\n\x1a\nrest"
	jpegHead = "\xff\xd8\xff\xe0rest"
	webpHead = "RIFF\x10\x00\x00\x00WEBPVP8 "
)

func TestPictureType(t *testing.T) {
	for data, want := range map[string]string{
		pngHead: "png", jpegHead: "jpeg", webpHead: "webp",
		"": "", "\x89PNG": "", "RIFF1234WAVE": "", "RIFF": "", "<svg/>": "", "GIF89a": "",
		pngHead + strings.Repeat("x", credential.MaxPicture-len(pngHead)):   "png",
		pngHead + strings.Repeat("x", credential.MaxPicture-len(pngHead)+1): "",
	} {
		got, err := pictureType([]byte(data))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q is %q, %v; want %q", data, got, err, want)
		}
	}
}

func TestProfileFile(t *testing.T) {
	home := t.TempDir()
	if p, err := loadProfile(home); err != nil || !p.empty() {
		t.Errorf("of a new home: %+v, %v", p, err)
	}
	large := append([]byte(pngHead), make([]byte, credential.MaxPicture-len(pngHead))...)
	want := profile{Name: strings.Repeat("n", identity.MaxName), Picture: large}
	if err := want.save(home); err != nil {
		t.Fatal(err)
	}
	got, err := loadProfile(home)
	if err != nil || got.Name != want.Name || !bytes.Equal(got.Picture, want.Picture) || got.mark() != want.mark() {
		t.Errorf("back comes %.40q with %d bytes, %v", got.Name, len(got.Picture), err)
	}
	for _, bad := range []string{`{`, `{"name":"a\u0007"}`, `{"picture":"aGFsbG8="}`, `{"name":"` + strings.Repeat("x", maxProfile) + `"}`} {
		if err := os.WriteFile(profilePath(home), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := loadProfile(home); err == nil || !p.empty() {
			t.Errorf("%.20s is %+v", bad, p)
		}
	}
	marks := map[[32]byte]bool{}
	for _, p := range []profile{{}, {Name: "a"}, {Name: "a", Picture: []byte("b")}, {Name: "ab"}, {Picture: []byte("ab")}} {
		marks[p.mark()] = true
	}
	if len(marks) != 5 {
		t.Errorf("of five profiles only %d differ", len(marks))
	}
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{"ann": "ann", "Ann Lee": "Ann_Lee", "../../etc": "______etc", "Zoë-1": "Zoë-1", "a/b\x00": "a_b_", "": ""} {
		if got := fileName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
