package daemon

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
)

var updateLetters = flag.Bool("update", false, "write the golden files anew")

func someLetters() []letter {
	inv := invitation.Invitation{
		Kind: invitation.Link, Space: identity.ID{1}, Secret: [32]byte{2}, Role: credential.Editor,
		Expires: time.Unix(1_900_000_000, 0).UTC(), Name: "home",
	}
	return []letter{
		{Invitation: []byte(inv.String()), Who: identity.ID{3}, Name: "Ben", Via: identity.ID{4}, inv: inv},
		{Invitation: []byte(inv.String()), Who: identity.ID{5}, Via: identity.ID{6}, Invite: identity.ID{7}, Done: true, inv: inv},
		{Invitation: []byte(inv.String()), Who: identity.ID{8}, Name: "Zoe", Card: []byte(someCard().String()), Invite: identity.ID{9}, inv: inv, card: someCard()},
	}
}

func TestLettersAreGolden(t *testing.T) {
	data, err := encodeLetters(someLetters())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "letters.hex")
	if *updateLetters {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(data) != strings.TrimSpace(string(want)) {
		t.Errorf("letters are kept as %x", data)
	}
	if back, err := decodeLetters(data); err != nil || len(back) != 3 || back[2].card.Name != "Zoe" || back[1].Invite != (identity.ID{7}) || back[0].inv.Name != "home" {
		t.Errorf("%+v, %v", back, err)
	}
	if none, err := decodeLetters(nil); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func FuzzLetters(f *testing.F) {
	data, err := encodeLetters(someLetters())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0xa1, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeLetters(data)
		if err != nil || len(data) == 0 {
			return
		}
		if back, err := encodeLetters(list); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%x reads back as %x, %v", data, back, err)
		}
	})
}

func TestPickMember(t *testing.T) {
	all := []localapi.Member{
		{Name: "ben", Identity: strings.Repeat("ab", 32), Role: "editor"},
		{Name: "Ann", Identity: strings.Repeat("cd", 32)},
		{Name: "ben", Identity: "ab12" + strings.Repeat("00", 30)},
		{Name: "abab", Identity: strings.Repeat("ef", 32)},
	}
	tests := []struct {
		name string
		want string // identity, or part of the error
	}{
		{"Ann", all[1].Identity}, {"ann", all[1].Identity}, {"cdcd", all[1].Identity}, {"CDCD", all[1].Identity},
		{"abab", all[3].Identity}, // a name before an ID
		{"ababab", all[0].Identity}, {"ab12", all[2].Identity},
		{"ben", "2 members of notes are called ben:\nabababababababab  ben, editor"},
		{"ab", "nobody in notes"}, {"", "nobody in notes"}, {"zoe", "nobody in notes"},
	}
	for _, tt := range tests {
		m, err := pickMember("notes", all, tt.name)
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && m.Identity != tt.want {
			t.Errorf("%q: %+v, %v", tt.name, m, err)
		}
		if err != nil && localapi.AsError(err).Next == "" {
			t.Errorf("%q: nothing to do next", tt.name)
		}
	}
}

func TestOnlyAdmin(t *testing.T) {
	me, ben, admin := localapi.Member{Self: true, Role: "admin"}, localapi.Member{Role: "editor"}, localapi.Member{Role: "admin"}
	for want, lists := range map[bool][][]localapi.Member{
		true:  {{me, ben}},
		false: {{me}, {me, admin}, {me, ben, admin}, {{Self: true, Role: "editor"}, admin}, {{Self: true, Role: "editor"}, ben}, {ben}},
	} {
		for _, list := range lists {
			if onlyAdmin(list) != want {
				t.Errorf("%+v: %v", list, !want)
			}
		}
	}
}

// TestDoor has a person and guests at a door.
func TestDoor(t *testing.T) {
	o := newDoor()
	kinds := func(after int) (list []string) {
		for _, e := range o.since(t.Context(), after) {
			list = append(list, e.Kind)
		}
		return list
	}
	answers := make(chan bool, 1)
	guest := admission.Guest{Profile: identity.Profile{Name: "Ben"}, Code: "654321"}
	go func() {
		yes, err := o.confirm(t.Context(), guest)
		answers <- yes && err == nil
	}()
	if got := o.since(t.Context(), 0); len(got) != 1 || got[0].Kind != localapi.DoorGuest || got[0].Code != "654321" || got[0].Number != 1 {
		t.Fatalf("%+v", got)
	}
	o.mu.Lock()
	o.asking[1] <- true
	delete(o.asking, 1)
	o.mu.Unlock()
	if !<-answers {
		t.Error("the answer was yes")
	}
	o.joined(guest.Profile)
	o.joined(guest.Profile) // whose answer got lost

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.confirm(gone, guest); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() {
		yes, err := o.confirm(t.Context(), guest)
		answers <- yes || err != nil
	}()
	if got := kinds(4); len(got) != 1 || got[0] != localapi.DoorGuest {
		t.Errorf("%v", got)
	}
	o.end(localapi.StateWithdrawn)
	o.end(localapi.StateWithdrawn)
	if <-answers {
		t.Error("who waits at a door that closes is let in")
	}
	if got := strings.Join(kinds(0), " "); got != "guest joined guest gone guest ended" {
		t.Error(got)
	}
	for range 2 * maxDoorEvents {
		o.tell(localapi.DoorEvent{Kind: localapi.DoorWrong})
	}
	if _, err := o.confirm(t.Context(), guest); err == nil || len(kinds(0)) != maxDoorEvents {
		t.Errorf("%d events, %v", len(kinds(0)), err)
	}
}
