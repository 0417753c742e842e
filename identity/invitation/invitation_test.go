package invitation

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
)

func example() Invitation {
	inv := Invitation{
		Role: credential.Editor, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Signal: []string{"ws://192.0.2.1:8080/.well-known/dx/signal"}, Name: "Family photos",
	}
	for i := range 32 {
		inv.Space[i], inv.Secret[i], inv.Host[i] = byte(i), byte(100+i), byte(200+i)
	}
	return inv
}

const golden = "echofs://join#AacBWCAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHwJYIGRlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn-AgYKDA1ggyMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5ucEAgUacN1VJQaBeCl3czovLzE5Mi4wLjIuMTo4MDgwLy53ZWxsLWtub3duL2R4L3NpZ25hbAdtRmFtaWx5IHBob3Rvc_F06oU"

func TestStringIsGoldenAndParses(t *testing.T) {
	inv := example()
	text := inv.String()
	if text != golden {
		t.Errorf("the form has changed: invitations out there would not work\ngot %s", text)
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
			t.Errorf("Parse(%q) = %+v, %v", form, got, err)
		}
	}
}

// encode makes the text of any bytes, with the right checksum.
func encode(data []byte) string {
	return Prefix + base64.RawURLEncoding.EncodeToString(append(data, sum(data)...))
}

func TestParseRefuses(t *testing.T) {
	text := example().String()
	data, err := unwrap(text)
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
	proof := inv.Proof([]byte("this connection"))
	if !inv.CheckProof([]byte("this connection"), proof) {
		t.Error("the right proof is refused")
	}
	if inv.CheckProof([]byte("another connection"), proof) || other.CheckProof([]byte("this connection"), proof) || inv.CheckProof([]byte("this connection"), nil) {
		t.Error("a wrong proof is taken")
	}
	hash, topic := inv.SecretHash(), inv.Topic()
	all := map[string]bool{string(inv.Secret[:]): true, string(hash[:]): true, string(topic[:]): true, string(proof): true}
	if len(all) != 4 || inv.Topic() == other.Topic() || inv.SecretHash() == other.SecretHash() {
		t.Error("what is derived is not distinct")
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
	f.Add(encode([]byte{2, 1, 2, 3}))
	f.Add(encode([]byte{1, 0xa0}))
	f.Add("echofs://join#")
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []string{text, encode(append([]byte{1}, text...))} { // past the checksum too
			inv, err := Parse(form)
			if err != nil {
				continue
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
