package invitation

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is a PIN invitation, which has every field.
func example() Invitation {
	inv := Invitation{
		Kind: PIN, Role: credential.Editor, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Signal: []string{"http://192.0.2.1:4480"}, Name: "Family photos",
	}
	for i := range 32 {
		inv.Space[i], inv.Secret[i], inv.Host[i] = byte(i), byte(100+i), byte(200+i)
	}
	return inv
}

// link is the same as a link.
func link() Invitation {
	inv := example()
	inv.Kind, inv.Host = Link, identity.PublicKey{}
	return inv
}

// device invites a device.
func device() Invitation {
	inv := example()
	inv.Kind, inv.Space, inv.Role = Device, identity.ID{}, credential.None
	return inv
}

func TestStringIsGoldenAndParses(t *testing.T) {
	for name, inv := range map[string]Invitation{"pin": example(), "link": link(), "device": device()} {
		text := inv.String()
		golden(t, name, text)
		if len(text) > MaxQR || inv.Short() != text {
			t.Errorf("%s: %d bytes, too many for a QR code", name, len(text))
		}
		for _, form := range []string{
			text,
			" " + text + "\r\n",
			"<" + text + ">",
			`"` + text + `"`,
			"ECHOFS://Join#" + text[len(Prefix):],
			text[:60] + "\n    " + text[60:100] + "\n" + text[100:],
		} {
			got, err := Parse(form)
			if err != nil || !reflect.DeepEqual(got, inv) {
				t.Errorf("%s: Parse(%q) = %+v, %v", name, form, got, err)
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimSpace(string(want)) {
		t.Errorf("%s has changed: invitations out there would not work\ngot %s", path, got)
	}
}

func TestShortDropsWhatThereIsNoRoomFor(t *testing.T) {
	inv := example()
	inv.Name = strings.Repeat("n", 128)
	for i := range MaxSignal {
		inv.Signal = append(inv.Signal[:i], fmt.Sprintf("http://host-%d.example:4480", i))
	}
	text := inv.Short()
	got, err := Parse(text)
	if err != nil || len(text) > MaxQR {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if got.Secret != inv.Secret || got.Host != inv.Host || len(got.Signal) == 0 || got.Signal[0] != inv.Signal[0] {
		t.Errorf("%+v", got)
	}
}

// encode makes the text of any bytes, with the right checksum.
func encode(data []byte) string {
	return Prefix + base64.RawURLEncoding.EncodeToString(append(data, sum(data)...))
}

func TestParseRefuses(t *testing.T) {
	text := example().String()
	data, err := unwrap(Prefix, text)
	if err != nil {
		t.Fatal(err)
	}
	withBody := func(f func(*body)) string {
		var b body
		if err := codec.Unmarshal(data, &b); err != nil {
			t.Fatal(err)
		}
		f(&b)
		data, err := codec.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return encode(append([]byte{1}, data...))
	}
	typo := []byte(text)
	typo[len(typo)/2] ^= 1
	tests := []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ErrNotInvitation},
		{"words", "please join my space", ErrNotInvitation},
		{"another URL", "https://example.org/join#abc", ErrNotInvitation},
		{"too long", Prefix + strings.Repeat("A", 5*maxBytes), ErrNotInvitation},
		{"prefix only", Prefix, ErrDamaged},
		{"end missing", text[:len(text)-1], ErrDamaged},
		{"much missing", text[:40], ErrDamaged},
		{"letter mistyped", string(typo), ErrDamaged},
		{"not base64", text + "!", ErrDamaged},
		{"doubled", text + text, ErrDamaged},
		{"later version", encode([]byte{2, 9, 9, 9}), ErrNewer},
		{"version 0", encode([]byte{0, 9, 9, 9}), ErrInvalid},
		{"noise", encode([]byte{1, 9, 9, 9}), ErrInvalid},
		{"no kind", withBody(func(b *body) { b.Kind = 0 }), ErrInvalid},
		{"unknown kind", withBody(func(b *body) { b.Kind = 9 }), ErrInvalid},
		{"link with a host", withBody(func(b *body) { b.Kind = Link }), ErrInvalid},
		{"PIN without a host", withBody(func(b *body) { b.Host = identity.PublicKey{} }), ErrInvalid},
		{"PIN without a space", withBody(func(b *body) { b.Space = identity.ID{} }), ErrInvalid},
		{"device with a space", withBody(func(b *body) { b.Kind, b.Role = Device, 0 }), ErrInvalid},
		{"device with a role", withBody(func(b *body) { b.Kind, b.Space = Device, identity.ID{} }), ErrInvalid},
		{"no role", withBody(func(b *body) { b.Role = 0 }), ErrInvalid},
		{"unknown role", withBody(func(b *body) { b.Role = 9 }), ErrInvalid},
		{"no secret", withBody(func(b *body) { b.Secret = [32]byte{} }), ErrInvalid},
		{"no expiry", withBody(func(b *body) { b.Expires = 0 }), ErrInvalid},
		{"expiry far out", withBody(func(b *body) { b.Expires = 1<<63 - 1 }), ErrInvalid},
		{"too many servers", withBody(func(b *body) { b.Signal = make([]string, 9) }), ErrInvalid},
		{"server that is none", withBody(func(b *body) { b.Signal = []string{"localhost"} }), ErrInvalid},
		{"name that clears the screen", withBody(func(b *body) { b.Name = "\x1b[2J" }), ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if inv, err := Parse(tt.text); !errors.Is(err, tt.want) {
				t.Errorf("Parse = %+v, %v; want %v", inv, err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	inv := example()
	if err := inv.Check(inv.Expires.Add(-time.Nanosecond)); err != nil {
		t.Errorf("just before: %v", err)
	}
	if err := inv.Check(inv.Expires); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "2030-01-02 03:04 UTC") {
		t.Errorf("then: %v", err)
	}
}

func TestNew(t *testing.T) {
	a, err := New(example())
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(example())
	if err != nil || a.Secret == b.Secret || a.Secret == example().Secret {
		t.Errorf("the secret is not new: %v", err)
	}
	if back, err := Parse(a.String()); err != nil || !reflect.DeepEqual(back, a) {
		t.Errorf("Parse = %+v, %v", back, err)
	}
	if _, err := New(Invitation{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("New of nothing = %v", err)
	}
	local := example()
	local.Expires = time.Now().Add(time.Hour) // with a zone and nanoseconds
	if inv, err := New(local); err != nil || inv.Expires.Nanosecond() != 0 {
		t.Errorf("New = %+v, %v", inv, err)
	}
}

func TestWhatIsDerivedFromTheSecret(t *testing.T) {
	inv, other := example(), example()
	other.Secret[0]++
	all := map[[32]byte]bool{inv.Secret: true}
	for _, inv := range []Invitation{inv, other, link(), device()} {
		all[inv.Topic()] = true
		all[inv.ID()] = true
	}
	if len(all) != 7 { // a PIN and a device invitation with one secret would be one
		t.Errorf("%d distinct values", len(all))
	}
	if link().Topic() != LinkTopic(link().Pub()) {
		t.Error("members wait elsewhere than guests look")
	}
	if sig := link().Sign(identity.ContextRedeem, []byte("body")); !identity.Verify(link().Pub(), identity.ContextRedeem, []byte("body"), sig) ||
		identity.Verify(link().Pub(), identity.ContextHello, []byte("body"), sig) {
		t.Error("the signature of a link")
	}
}

func TestPIN(t *testing.T) {
	inv, guest := example(), identity.PublicKey{7}
	proof := inv.ProvePIN("012345", []byte("this connection"), guest)
	if !inv.CheckPIN("012345", []byte("this connection"), guest, proof) {
		t.Error("the right proof is refused")
	}
	other, elsewhere := inv, inv
	other.Secret[0]++
	elsewhere.Host[0]++
	for name, taken := range map[string]bool{
		"PIN":        inv.CheckPIN("012346", []byte("this connection"), guest, proof),
		"connection": inv.CheckPIN("012345", []byte("another connection"), guest, proof),
		"guest":      inv.CheckPIN("012345", []byte("this connection"), identity.PublicKey{8}, proof),
		"secret":     other.CheckPIN("012345", []byte("this connection"), guest, proof),
		"host":       elsewhere.CheckPIN("012345", []byte("this connection"), guest, proof),
		"nothing":    inv.CheckPIN("012345", []byte("this connection"), guest, nil),
	} {
		if taken {
			t.Errorf("a proof for another %s is taken", name)
		}
	}
	if code := inv.CheckCode([]byte("this connection")); len(code) != PINDigits || code == inv.CheckCode([]byte("another connection")) {
		t.Errorf("check code %s", code)
	}
	golden(t, "proof", fmt.Sprintf("%x %s", proof, inv.CheckCode([]byte("this connection"))))
}

func TestParsePIN(t *testing.T) {
	for range 100 {
		pin := NewPIN()
		if got, err := ParsePIN(pin[:3] + " " + pin[3:] + "\r\n"); err != nil || got != pin {
			t.Fatalf("%q: %q %v", pin, got, err)
		}
	}
	if got, err := ParsePIN(" 012-345"); err != nil || got != "012345" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "12345", "1234567", "12345a", "１２３４５６", "-+1234", "12345\x00"} {
		if _, err := ParsePIN(bad); !errors.Is(err, ErrBadPIN) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSecretStaysOutOfLogs(t *testing.T) {
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("made", "invitation", example())
	if strings.Contains(buf.String(), "join#") || !strings.Contains(buf.String(), example().Space.Short()) {
		t.Errorf("logged %s", buf.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example().String())
	f.Add(link().String())
	f.Add(device().String())
	f.Add(encode([]byte{2, 1, 2, 3}))
	f.Add(encode([]byte{1, 0xa0}))
	f.Add("echofs://join#")
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []string{text, encode(append([]byte{1}, text...))} { // past the checksum too
			inv, err := Parse(form)
			if err != nil {
				continue
			}
			if short, err := Parse(inv.Short()); err != nil || short.Topic() != inv.Topic() {
				t.Errorf("%q made short does not read back (%v)", form, err)
			}
			again, err := Parse(inv.String())
			if err != nil || !reflect.DeepEqual(again, inv) {
				t.Errorf("%q parses as %+v, which reads back as %+v (%v)", form, inv, again, err)
			}
		}
	})
}

func ExampleParse() {
	_, err := Parse("echofs://join#AacBWCAAAQID")
	fmt.Println(err)
	// Output: the invitation is incomplete or mistyped: copy all of it again
}
