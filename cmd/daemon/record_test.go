package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/kube/web"
	"github.com/echofs/echofs/net/recovery"
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

// Of records that cannot be read no box is made: it would be empty, and take the
// place of those that are not.
func TestNoBoxWithoutRecords(t *testing.T) {
	ann, _, _ := founded(t)
	d := &daemon{device: ann, log: slog.New(slog.DiscardHandler)}
	if err := d.keepBoxes(&records{}, time.Unix(1_800_000_000, 0)); err != nil || d.boxed != nil {
		t.Errorf("a box of %d bytes, %v", len(d.boxed), err)
	}
}

// A stolen device can leave a box that says it is the newest and is empty; when
// the device is revoked the box is made anew.
func TestBoxesOfARevokedDevice(t *testing.T) {
	d := unmounted(t)
	ann, keys, _ := founded(t)
	d.device = ann
	joining, err := identity.NewDeviceRequest(nil, ann.Identity(), "stolen")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ann.AddDevice(joining.Request())
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := joining.Finish(chain)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) { return space.Create(cfg, "notes") })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prove(); err != nil {
		t.Fatal(err)
	}
	k := &records{space: s.Space, all: map[identity.ID]record{}}
	body, err := d.boxBody(k)
	if err != nil {
		t.Fatal(err)
	}
	_, seal := keys.Public()
	bad := encoded(t, box{boxVersion, sumOfBox(seal, body), []byte("nothing")})
	theirs, err := joinAsDevice(space.Config{Dir: t.TempDir(), Device: stolen}, "notes", s.Credentials(), s.Keyring().Keys())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(theirs.SetMeta(bad), s.AddCredentials(t.Context(), theirs.Credentials()), theirs.Close()); err != nil {
		t.Fatal(err)
	}
	if s.MetaBy(ann.Identity()) != stolen.Key() {
		t.Fatal("it is not seen who left the box")
	}
	if err := ann.RevokeDevice(stolen.Key()); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for range 2 { // at first it waits whether something else changes
		if err := d.keepBoxes(k, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	if _, err := openBox(keys, ann.Halo(), s.Meta(ann.Identity())); err != nil || s.MetaBy(ann.Identity()) != ann.Key() {
		t.Errorf("the box is what the stolen device left: %v", err)
	}
	heads := s.CredentialHeads()
	if err := d.keepBoxes(k, now); err != nil || !slices.Equal(heads, s.CredentialHeads()) {
		t.Errorf("it is made again and again: %v", err)
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
	_, theirs, err := decodeRecord(encoded(t, someRecord(foreign)))
	if err != nil {
		t.Fatal(err)
	}
	if !f.signedHere(someRecord(genesis), id) || f.signedHere(someRecord(foreign), theirs) {
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

// A hostile member tells whatever it likes: it brings nobody into a space that
// they are not in, and keeps nobody out of one that they are in.
func TestWhatAHostileHostTells(t *testing.T) {
	d, keys, genesis := founded(t)
	_, _, foreign := founded(t)
	at := time.Unix(1_800_000_000, 0)
	second, err := membership.Found(d, at)
	if err != nil {
		t.Fatal(err)
	}
	told := func(f *findings, recs ...record) {
		var help recovery.Help
		for _, rec := range recs {
			help.Spaces = append(help.Spaces, encoded(t, rec))
		}
		f.collect([]recovery.Help{help})
	}

	// What the person signed in another space does not make them a member of Eve's.
	bait := someRecord(foreign)
	bait.Credentials = append(bait.Credentials, genesis, second.Raw)
	f := findings{halo: d.Halo(), keys: keys}
	if told(&f, bait); len(f.records) != 0 {
		t.Errorf("they would join %+v", f.records)
	}

	// Nor does what it adds to a space of theirs make that useless.
	poison := someRecord(genesis)
	poison.Credentials = append(poison.Credentials, foreign, []byte("nonsense"))
	poison.Signal = []string{"http://10.0.0.1/admin?do=it", "http://10.0.0.2:4480"}
	poison.Keys = nil
	for i := range feed.MaxKeys {
		poison.Keys = append(poison.Keys, feed.Key{9, byte(i), byte(i >> 8)})
	}
	told(&f, poison, someRecord(genesis))
	_, id, err := decodeRecord(encoded(t, someRecord(genesis)))
	if err != nil {
		t.Fatal(err)
	}
	rec := f.records[id]
	if len(rec.Credentials) != 1 || slices.Contains(rec.Signal, poison.Signal[0]) || len(rec.Keys) > feed.MaxKeys-keptForOthers {
		t.Errorf("it became a record of %d credentials and %d keys at %q", len(rec.Credentials), len(rec.Keys), rec.Signal)
	}
	s, err := joinAsDevice(space.Config{Dir: t.TempDir(), Device: d}, "notes", rec.Credentials, rec.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// Of the servers, those that were known first stay.
	f.records = map[identity.ID]record{}
	f.add(id, someRecord(genesis))
	many := someRecord(genesis)
	many.Signal = nil
	for i := range 8 {
		many.Signal = append(many.Signal, fmt.Sprintf("http://10.0.0.%d:4480", i))
	}
	f.add(id, many)
	if got := f.records[id].Signal; len(got) != 8 || got[0] != someRecord(nil).Signal[0] {
		t.Errorf("the servers are %q", got)
	}

	// What all say together can still be written down.
	large := someRecord(genesis)
	large.Credentials = append(large.Credentials, make([]byte, maxRecord-2000))
	large.Keys = nil
	for i := range feed.MaxKeys {
		large.Keys = append(large.Keys, feed.Key{byte(i), byte(i >> 8), 1})
	}
	f.add(id, large)
	if _, _, err := decodeRecord(encoded(t, f.records[id])); err != nil {
		t.Error(err)
	}
}

// Whoever has the words of before a recovery hears nothing of any space, though
// some do not know of the recovery yet.
func TestOldWordsBringNothing(t *testing.T) {
	d := unmounted(t)
	d.web = web.New(web.Config{Log: d.log})
	if err := d.web.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	defer func() { _ = d.web.Run(stopped) }() // which closes it
	ann, old, _ := founded(t)
	next, err := identity.NewRecoveryKeys([]byte(strings.Repeat("u", 32)), []byte(strings.Repeat("v", 32)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.Recover(old, ann.Halo(), "new", nil, next)
	if err != nil {
		t.Fatal(err)
	}
	oldPub, _ := old.Public()
	nextPub, _ := next.Public()
	for _, name := range []string{"one", "two"} {
		s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) { return space.Create(cfg, name) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Admit(ann.Chain(), credential.Editor); err != nil {
			t.Fatal(err)
		}
	}
	if help, known := d.help(ann.Identity(), oldPub); !known || len(help.Spaces) != 2 {
		t.Errorf("before: %d spaces, %v", len(help.Spaces), known)
	}
	if err := d.sorted()[0].ImportChain(again.Chain()); err != nil {
		t.Fatal(err)
	}
	if help, known := d.help(ann.Identity(), oldPub); known || help.Chain != nil || help.Boxes != nil || help.Spaces != nil {
		t.Errorf("the old words bring %d spaces", len(help.Spaces))
	}
	if help, known := d.help(ann.Identity(), nextPub); !known || len(help.Spaces) != 2 {
		t.Errorf("the new words bring %d spaces, %v", len(help.Spaces), known)
	}
	if err := d.sorted()[0].SetRole(t.Context(), ann.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	if help, known := d.help(ann.Identity(), nextPub); !known || len(help.Spaces) != 1 {
		t.Errorf("removed from one space: %d spaces, %v", len(help.Spaces), known)
	}
	if err := d.sorted()[1].SetRole(t.Context(), ann.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	if help, known := d.help(ann.Identity(), nextPub); known {
		t.Errorf("removed from all spaces: %d spaces", len(help.Spaces))
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
