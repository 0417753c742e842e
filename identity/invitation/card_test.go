package invitation

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

func exampleCard() Card {
	c := Card{Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Signal: []string{"http://192.0.2.1:4480"}, Name: "Ann"}
	for i := range 32 {
		c.Identity[i], c.Secret[i], c.Device[i] = byte(i), byte(100+i), byte(200+i)
	}
	return c
}

func TestCardIsGoldenAndParses(t *testing.T) {
	c := exampleCard()
	text := c.String()
	golden(t, "card", text)
	if len(text) > MaxQR || c.Short() != text {
		t.Errorf("%d bytes, too many for a QR code", len(text))
	}
	for _, form := range []string{text, " <" + text + ">\r\n", "ECHOFS://Card#" + text[len(CardPrefix):], text[:60] + "\n  " + text[60:]} {
		if got, err := ParseCard(form); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("ParseCard(%q) = %+v, %v", form, got, err)
		}
	}
	if _, err := Parse(text); !errors.Is(err, ErrNotInvitation) {
		t.Errorf("a card is no invitation: %v", err)
	}
	if _, err := ParseCard(example().String()); !errors.Is(err, ErrNotCard) {
		t.Errorf("an invitation is no card: %v", err)
	}
}

func TestLongCardFitsAQRCode(t *testing.T) {
	c := exampleCard()
	c.Name = strings.Repeat("n", 128)
	for i := range MaxSignal {
		c.Signal = append(c.Signal[:i], fmt.Sprintf("http://host-%d.example:4480", i))
	}
	got, err := ParseCard(c.Short())
	if err != nil || len(c.Short()) > MaxQR || got.Topic() != c.Topic() || len(got.Signal) == 0 {
		t.Errorf("%d bytes: %+v, %v", len(c.Short()), got, err)
	}
}

func TestParseCardRefuses(t *testing.T) {
	text := exampleCard().String()
	data, err := unwrap(CardPrefix, text)
	if err != nil {
		t.Fatal(err)
	}
	with := func(f func(*cardBody)) string {
		var b cardBody
		if err := codec.Unmarshal(data, &b); err != nil {
			t.Fatal(err)
		}
		f(&b)
		data, err := codec.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return wrap(CardPrefix, data)
	}
	typo := []byte(text)
	typo[len(typo)/2] ^= 1
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"nothing":           {"", ErrNotCard},
		"a name":            {"ben", ErrNotCard},
		"prefix only":       {CardPrefix, ErrDamaged},
		"cut":               {text[:len(text)-1], ErrDamaged},
		"mistyped":          {string(typo), ErrDamaged},
		"later version":     {CardPrefix + strings.TrimPrefix(encode([]byte{2, 9, 9}), Prefix), ErrNewer},
		"noise":             {CardPrefix + strings.TrimPrefix(encode([]byte{1, 9, 9}), Prefix), ErrInvalid},
		"no identity":       {with(func(b *cardBody) { b.Identity = identity.ID{} }), ErrInvalid},
		"no device":         {with(func(b *cardBody) { b.Device = identity.PublicKey{} }), ErrInvalid},
		"no secret":         {with(func(b *cardBody) { b.Secret = [32]byte{} }), ErrInvalid},
		"no expiry":         {with(func(b *cardBody) { b.Expires = 0 }), ErrInvalid},
		"expiry far out":    {with(func(b *cardBody) { b.Expires = 1<<63 - 1 }), ErrInvalid},
		"too many servers":  {with(func(b *cardBody) { b.Signal = make([]string, 9) }), ErrInvalid},
		"no server":         {with(func(b *cardBody) { b.Signal = []string{"localhost"} }), ErrInvalid},
		"name that escapes": {with(func(b *cardBody) { b.Name = "\x1b[2J" }), ErrInvalid},
	} {
		if c, err := ParseCard(tt.text); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestNewCard(t *testing.T) {
	a, err := NewCard(exampleCard())
	if err != nil || a.Secret == exampleCard().Secret {
		t.Fatalf("the secret is not new: %v", err)
	}
	if _, err := NewCard(Card{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("NewCard of nothing = %v", err)
	}
	if err := a.Check(a.Expires.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if err := a.Check(a.Expires); !errors.Is(err, ErrCardExpired) {
		t.Error(err)
	}
	if s := a.LogValue().String(); strings.Contains(s, "#") {
		t.Errorf("logged %s", s)
	}
}

func TestCardProof(t *testing.T) {
	c, sender := exampleCard(), identity.PublicKey{7}
	proof := c.Prove([]byte("this connection"), sender)
	other, elsewhere := c, c
	other.Secret[0]++
	elsewhere.Device[0]++
	if !c.Proves([]byte("this connection"), sender, proof) {
		t.Error("the right proof is refused")
	}
	for name, taken := range map[string]bool{
		"connection": c.Proves([]byte("another"), sender, proof),
		"sender":     c.Proves([]byte("this connection"), identity.PublicKey{8}, proof),
		"secret":     other.Proves([]byte("this connection"), sender, proof),
		"device":     elsewhere.Proves([]byte("this connection"), sender, proof),
		"nothing":    c.Proves([]byte("this connection"), sender, nil),
	} {
		if taken {
			t.Errorf("a proof for another %s is taken", name)
		}
	}
	golden(t, "card-proof", fmt.Sprintf("%x %x", proof, c.Topic()))
}

func FuzzParseCard(f *testing.F) {
	f.Add(exampleCard().String())
	f.Add(example().String())
	f.Add("echofs://card#")
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []string{text, wrap(CardPrefix, []byte(text))} { // past the checksum too
			c, err := ParseCard(form)
			if err != nil {
				continue
			}
			if short, err := ParseCard(c.Short()); err != nil || short.Topic() != c.Topic() {
				t.Errorf("%q made short does not read back (%v)", form, err)
			}
			if again, err := ParseCard(c.String()); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%q reads back as %+v (%v)", form, again, err)
			}
		}
	})
}
