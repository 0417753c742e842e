package daemon

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
)

func someCard() invitation.Card {
	return invitation.Card{
		Identity: identity.ID{8}, Device: identity.PublicKey{9}, Secret: [32]byte{10},
		Expires: time.Unix(1_900_000_000, 0).UTC(), Signal: []string{"http://192.0.2.1:4480"}, Name: "Zoe",
	}
}

func TestCardsAreGolden(t *testing.T) {
	data, err := encodeCards([]invitation.Card{someCard()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "cards.hex")
	if *updateLetters {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(data) != strings.TrimSpace(string(want)) {
		t.Errorf("cards are kept as %x", data)
	}
	if back, err := decodeCards(data); err != nil || !reflect.DeepEqual(back, []invitation.Card{someCard()}) {
		t.Errorf("%+v, %v", back, err)
	}
	if none, err := decodeCards(nil); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func FuzzCards(f *testing.F) {
	data, err := encodeCards([]invitation.Card{someCard()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0xa1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeCards(data)
		if err != nil || len(data) == 0 {
			return
		}
		if back, err := encodeCards(list); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%x reads back as %x, %v", data, back, err)
		}
	})
}
