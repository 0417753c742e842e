package daemon

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// sameAsEver compares an encoding with its golden file.
func sameAsEver(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
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
		t.Errorf("%s is kept as %x", name, data)
	}
}

func someRecord(genesis []byte) record {
	return record{
		Version: recordVersion, Name: "notes", Credentials: [][]byte{genesis}, Keys: []feed.Key{{1}, {2}},
		Signal: []string{"https://signal.example"}, Left: true,
	}
}

// founded makes a person and the GENESIS of a space of theirs.
func founded(t testing.TB) (*identity.Device, *identity.RecoveryKeys, []byte) {
	t.Helper()
	keys, err := identity.NewRecoveryKeys([]byte(strings.Repeat("s", 32)), []byte(strings.Repeat("t", 32)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := identity.NewIdentity(identity.Start{Name: "ann", DeviceName: "laptop", Recovery: keys})
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := membership.Found(d, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return d, keys, genesis.Raw
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	data, err := codec.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatDevicesShareIsGolden(t *testing.T) {
	sameAsEver(t, "record", encoded(t, someRecord([]byte("genesis"))))
	sameAsEver(t, "gift", encoded(t, gift{giftVersion, []byte("chain"), []byte("genesis"), []feed.Key{{1}}}))
	sameAsEver(t, "box", encoded(t, box{boxVersion, identity.ID{1}, []byte("sealed")}))
	sameAsEver(t, "box-signed", encoded(t, signedBody{identity.PublicKey{1}, []byte("body"), []byte("sig")}))
	sameAsEver(t, "box-body", encoded(t, boxBody{boxVersion, []byte("halo"), []boxed{{[]byte("notes"), true}, {[]byte("work"), false}}}))
}

func TestRecords(t *testing.T) {
	_, _, genesis := founded(t)
	rec := someRecord(genesis)
	data, err := rec.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, id, err := decodeRecord(data)
	if err != nil || !reflect.DeepEqual(back, rec) || id.IsZero() {
		t.Errorf("%+v of %s, %v", back, id, err)
	}
	for name, change := range map[string]func(*record){
		"of a later release":                  func(r *record) { r.Version++ },
		"without credentials":                 func(r *record) { r.Credentials = nil },
		"without a GENESIS":                   func(r *record) { r.Credentials = [][]byte{[]byte("no")} },
		"without keys":                        func(r *record) { r.Keys = nil },
		"too many keys":                       func(r *record) { r.Keys = make([]feed.Key, feed.MaxKeys+1) },
		"too many servers":                    func(r *record) { r.Signal = make([]string, 9) },
		"a name that no terminal should show": func(r *record) { r.Name = "a\x1b[2Jb" },
		"too large":                           func(r *record) { r.Credentials = append(r.Credentials, make([]byte, maxRecord)) },
	} {
		bad := rec
		change(&bad)
		if _, _, err := decodeRecord(encoded(t, bad)); !errors.Is(err, errRecord) {
			t.Errorf("a record %s: %v", name, err)
		}
	}
}

// Only the words open a box, and only one that a device of the person has signed.
func TestBoxes(t *testing.T) {
	d, keys, genesis := founded(t)
	_, seal := keys.Public()
	body := encoded(t, boxBody{Version: boxVersion, Spaces: []boxed{{Record: encoded(t, someRecord(genesis)), Alone: true}}})
	data, err := sealBox(d, seal, body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openBox(keys, d.Halo(), data)
	if err != nil || len(got.Spaces) != 1 || !got.Spaces[0].Alone {
		t.Errorf("%+v, %v", got, err)
	}
	if b, err := decodeBox(data); err != nil || b.Sum != sumOfBox(seal, body) {
		t.Errorf("%+v, %v", b, err)
	}

	other, err := identity.NewRecoveryKeys([]byte(strings.Repeat("x", 32)), []byte(strings.Repeat("y", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openBox(other, d.Halo(), data); !errors.Is(err, identity.ErrNotSealed) {
		t.Errorf("with other words: %v", err)
	}
	eve, _, _ := founded(t)
	forged, err := sealBox(eve, seal, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openBox(keys, d.Halo(), forged); !errors.Is(err, errBox) {
		t.Errorf("a box that somebody else has signed: %v", err)
	}
}

// What a host says of a space counts if a box names the space, or a device of the
// person has signed something in it.
func TestWhatIsBelievedInARecovery(t *testing.T) {
	d, keys, genesis := founded(t)
	_, _, foreign := founded(t)
	_, id, err := decodeRecord(encoded(t, someRecord(genesis)))
	if err != nil {
		t.Fatal(err)
	}
	f := findings{halo: d.Halo(), keys: keys}
	f.records = map[identity.ID]record{}
	if !f.signedHere(someRecord(genesis)) || f.signedHere(someRecord(foreign)) {
		t.Error("it is not seen who signed")
	}
	more := someRecord(genesis)
	more.Keys, more.Credentials = []feed.Key{{2}, {3}}, [][]byte{genesis, []byte("more")}
	f.add(id, someRecord(genesis))
	f.add(id, more)
	if got := f.records[id]; len(got.Keys) != 3 || len(got.Credentials) != 2 || len(got.Signal) != 1 {
		t.Errorf("together they say %+v", got)
	}
}

func FuzzRecord(f *testing.F) {
	_, _, genesis := founded(f)
	f.Add(encoded(f, someRecord(genesis)))
	f.Add(encoded(f, someRecord([]byte("genesis"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, _, err := decodeRecord(data)
		if err != nil {
			return
		}
		if again, err := rec.encode(); err != nil || string(again) != string(data) {
			t.Errorf("encoded again it is %x, %v", again, err)
		}
	})
}

func FuzzGift(f *testing.F) {
	f.Add(encoded(f, gift{giftVersion, []byte("chain"), []byte("genesis"), []feed.Key{{1}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if g, err := decodeGift(data); err == nil && len(g.Keys) == 0 {
			t.Error("a gift without keys")
		}
	})
}

func FuzzBox(f *testing.F) {
	f.Add(encoded(f, box{boxVersion, identity.ID{1}, []byte("sealed")}))
	f.Add(encoded(f, boxBody{boxVersion, []byte("halo"), []boxed{{[]byte("notes"), true}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decodeBox(data); err != nil && !errors.Is(err, errBox) {
			t.Error(err)
		}
		if _, err := decodeBoxBody(data); err != nil && !errors.Is(err, errBox) {
			t.Error(err)
		}
	})
}

// A record makes a new device a member at once, however much else is in the space.
func TestWhatMakesAMember(t *testing.T) {
	ann, _, _ := founded(t)
	ben, _, _ := founded(t)
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: ann}, "notes")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Admit(ben.Chain(), credential.Editor); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SetMeta(make([]byte, credential.MaxMeta)); err != nil {
			t.Fatal(err)
		}
	}
	all := s.Credentials()
	if got := memberBy(all, ann.Identity()); len(got) != 1 || string(got[0]) != string(all[0]) {
		t.Errorf("a founder needs the GENESIS, not %d credentials", len(got))
	}
	got := memberBy(all, ben.Identity())
	if len(got) < 2 || len(got) > len(all)-2 || string(got[0]) != string(all[0]) {
		t.Errorf("a guest needs %d of %d credentials", len(got), len(all))
	}
	theirs, err := joinAsDevice(space.Config{Dir: t.TempDir(), Device: ben}, "notes", got, s.Keyring().Keys())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if theirs.Role() != credential.Editor || theirs.ReadOnly() {
		t.Errorf("they are %v", theirs.Role())
	}
	if got := memberBy(all, identity.ID{1}); len(got) != 1 {
		t.Errorf("who is nobody gets %d credentials", len(got))
	}
}
