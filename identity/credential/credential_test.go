package credential

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

var update = flag.Bool("update", false, "write the golden files")

type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

func device(t testing.TB) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(&counting{}, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func id(b byte) (id identity.ID) {
	for i := range id {
		id[i] = b
	}
	return id
}

func encoded(ext []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return ext
}

// ops returns a good op of each kind.
func ops(d *identity.Device) map[string]Op {
	return map[string]Op{
		"genesis": {Kind: Genesis, Ext: d.Chain(), Time: 1, Nonce: [16]byte{1}},
		"set-role": {Kind: SetRole, Space: id(1), Deps: []identity.ID{id(3), id(2)}, Proof: id(2), Subject: id(4),
			Role: Reader, Cuts: []Cut{{Feed: id(5), Seq: 6, ID: id(7)}}, Time: 1700000000000, Nonce: [16]byte{2}},
		"feed-open": {Kind: FeedOpen, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Nonce: [16]byte{3}},
		"import":    {Kind: Import, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Ext: []byte("chain"), Nonce: [16]byte{4}},
		"leave":     {Kind: SetRole, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Subject: d.Identity(), Nonce: [16]byte{5}},
		"invite": {Kind: Invite, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Role: Editor, Nonce: [16]byte{6},
			Ext: encoded(InviteBody{Pub: d.Key(), Uses: 2, Expires: 1700000000, Label: "friends"}.Encode())},
		"invite-revoke": {Kind: InviteRevoke, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Subject: id(3), Nonce: [16]byte{7}},
		"redeem": {Kind: Redeem, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Subject: id(4), Nonce: [16]byte{8},
			Ext: encoded(RedeemBody{Device: d.Key(), Chain: []byte("chain"), Sig: make([]byte, 64)}.Encode())},
		"device-cut": {Kind: DeviceCut, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Cuts: []Cut{{Feed: id(5), Seq: 6, ID: id(7)}}, Nonce: [16]byte{9},
			Ext: encoded(CutBody{Device: d.Key(), Chain: []byte("chain")}.Encode())},
		"key-epoch": {Kind: KeyEpoch, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Nonce: [16]byte{10},
			Ext: encoded(EpochBody{KeyID: [8]byte{1}, Prev: []byte("prev"), Parts: 2, Part: 1,
				Sealed: []SealedKey{{To: SealTo(d.Key(), nil), Box: []byte("box")}, {To: SealTo(identity.PublicKey{}, []byte("seal")), Box: []byte("box")}}}.Encode())},
		"profile-set": {Kind: ProfileSet, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Nonce: [16]byte{11},
			Ext: encoded(ProfileBody{Name: "Ada L.", Picture: []byte("picture")}.Encode())},
		"exclude": {Kind: Exclude, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Nonce: [16]byte{12},
			Cuts: []Cut{{Feed: id(5), Seq: 7, ID: id(7)}, {Feed: id(5), Seq: 6, ID: id(7)}}},
		"meta": {Kind: Meta, Space: id(1), Deps: []identity.ID{id(2)}, Proof: id(2), Nonce: [16]byte{13}, Ext: []byte("box")},
	}
}

func TestGoldenAndRoundTrip(t *testing.T) {
	d := device(t)
	for name, op := range ops(d) {
		t.Run(name, func(t *testing.T) {
			made, err := Make(d, op)
			raw, id := made.Raw, made.ID
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".hex")
			if *update {
				if err := os.WriteFile(path, []byte(hex.EncodeToString(raw)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(raw) != strings.TrimSpace(string(want)) {
				t.Errorf("%s has changed: every device out there would refuse it\ngot %x", path, raw)
			}
			s, err := Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if s.ID != id || s.Newer || s.Kind != op.Kind || s.Device != d.Key() || s.Identity != d.Identity() || !bytes.Equal(s.Raw, raw) {
				t.Errorf("decoded %+v", s)
			}
		})
	}
}

func TestMakeRefuses(t *testing.T) {
	d := device(t)
	change := func(kind string, f func(*Op)) Op {
		op := ops(d)[kind]
		f(&op)
		return op
	}
	tests := map[string]Op{
		"genesis of a space":       change("genesis", func(o *Op) { o.Space = id(1) }),
		"genesis with a past":      change("genesis", func(o *Op) { o.Deps = []identity.ID{id(1)} }),
		"genesis under a grant":    change("genesis", func(o *Op) { o.Proof = id(1) }),
		"genesis without a chain":  change("genesis", func(o *Op) { o.Ext = nil }),
		"genesis with a subject":   change("genesis", func(o *Op) { o.Subject = id(1) }),
		"grant without a space":    change("set-role", func(o *Op) { o.Space = identity.ID{} }),
		"grant without a past":     change("set-role", func(o *Op) { o.Deps = nil }),
		"grant under no grant":     change("set-role", func(o *Op) { o.Proof = identity.ID{} }),
		"grant to nobody":          change("set-role", func(o *Op) { o.Subject = identity.ID{} }),
		"raising oneself":          change("set-role", func(o *Op) { o.Subject, o.Role, o.Cuts = d.Identity(), Admin, nil }),
		"grant of too much":        change("set-role", func(o *Op) { o.Role = Admin + 1 }),
		"grant with ext":           change("set-role", func(o *Op) { o.Ext = []byte{1} }),
		"grant of editor with cut": change("set-role", func(o *Op) { o.Role = Editor }),
		"cut at nothing":           change("set-role", func(o *Op) { o.Cuts = []Cut{{Feed: id(1)}} }),
		"cuts twice":               change("set-role", func(o *Op) { o.Cuts = []Cut{{Feed: id(1), Seq: 1}, {Feed: id(1), Seq: 2}} }),
		"the same dep twice":       change("set-role", func(o *Op) { o.Deps = []identity.ID{id(1), id(1)} }),
		"too many deps":            change("set-role", func(o *Op) { o.Deps = make([]identity.ID, MaxDeps+1) }),
		"feed with a role":         change("feed-open", func(o *Op) { o.Role = Reader }),
		"feed with ext":            change("feed-open", func(o *Op) { o.Ext = []byte{1} }),
		"import of nothing":        change("import", func(o *Op) { o.Ext = nil }),
		"import of too much":       change("import", func(o *Op) { o.Ext = make([]byte, MaxSize) }),
		"import with a role":       change("import", func(o *Op) { o.Role = Reader }),
		"invite to be nobody":      change("invite", func(o *Op) { o.Role = None }),
		"invite of somebody":       change("invite", func(o *Op) { o.Subject = id(1) }),
		"invite without a body":    change("invite", func(o *Op) { o.Ext = nil }),
		"revocation of nothing":    change("invite-revoke", func(o *Op) { o.Subject = identity.ID{} }),
		"redemption by nobody":     change("redeem", func(o *Op) { o.Subject = identity.ID{} }),
		"redemption of a role":     change("redeem", func(o *Op) { o.Role = Reader }),
		"cut of a person":          change("device-cut", func(o *Op) { o.Subject = id(1) }),
		"cut of one feed twice":    change("device-cut", func(o *Op) { o.Cuts = []Cut{{Feed: id(1), Seq: 1}, {Feed: id(1), Seq: 2}} }),
		"key with cuts":            change("key-epoch", func(o *Op) { o.Cuts = []Cut{{Feed: id(1), Seq: 1}} }),
		"profile of another":       change("profile-set", func(o *Op) { o.Subject = id(1) }),
		"exclusion of nothing":     change("exclude", func(o *Op) { o.Cuts = nil }),
		"exclusion with ext":       change("exclude", func(o *Op) { o.Ext = []byte{1} }),
		"one exclusion twice":      change("exclude", func(o *Op) { o.Cuts[1] = o.Cuts[0] }),
		"empty meta":               change("meta", func(o *Op) { o.Ext = nil }),
		"meta of too much":         change("meta", func(o *Op) { o.Ext = make([]byte, MaxMeta+1) }),
	}
	for name, op := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Make(d, op); !errors.Is(err, ErrInvalid) {
				t.Errorf("Make = %v, want ErrInvalid", err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	d := device(t)
	good, err := Make(d, ops(d)["set-role"])
	if err != nil {
		t.Fatal(err)
	}
	for i := range good.Raw {
		bad := bytes.Clone(good.Raw)
		bad[i] ^= 1 << (i % 8)
		if s, err := Decode(bad); !errors.Is(err, ErrInvalid) {
			t.Fatalf("byte %d changed: %+v, %v", i, s, err)
		}
		if _, err := Decode(good.Raw[:i]); !errors.Is(err, ErrInvalid) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode(make([]byte, MaxSize+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: %v", err)
	}
}

// sign signs any body, as a later release or a liar would.
func sign(t *testing.T, d *identity.Device, body any) []byte {
	t.Helper()
	data, err := codec.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := codec.Marshal(envelope{Body: data, Sig: d.Sign(identity.ContextCredential, data)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestLaterReleases(t *testing.T) {
	d := device(t)
	body := func(version, kind int, more ...any) map[int]any {
		b := map[int]any{1: version, 2: id(1), 3: kind, 4: []identity.ID{id(2)}, 5: d.Key(), 6: d.Identity(), 7: id(2), 13: [16]byte{}}
		for i := 0; i < len(more); i += 2 {
			b[more[i].(int)] = more[i+1]
		}
		return b
	}
	tests := []struct {
		name  string
		body  map[int]any
		newer bool
		fails bool
	}{
		{"known", body(1, int(FeedOpen)), false, false},
		{"the first kind unheard of", body(1, int(Meta)+1), true, false},
		{"kind unheard of", body(1, 1000, 99, "x"), true, false},
		{"version unheard of", body(2, 1, 99, "x"), true, false},
		{"unknown field", body(1, int(FeedOpen), 99, "x"), false, true},
		{"version 0", body(0, int(FeedOpen)), false, true},
		{"later, without a signer", map[int]any{1: 2, 3: 1}, false, true},
		{"later, deps not in order", body(2, 1, 4, []identity.ID{id(2), id(1)}), false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Decode(sign(t, d, tt.body))
			if (err != nil) != tt.fails || s.Newer != tt.newer {
				t.Errorf("Decode = %+v, %v", s, err)
			}
			if err == nil && (s.Space != id(1) || s.Device != d.Key() || len(s.Deps) != 1) {
				t.Errorf("the fields of every version are not there: %+v", s)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	for _, r := range []Role{Reader, Editor, Admin} {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("ParseRole(%v) = %v, %v", r, got, err)
		}
	}
	for _, bad := range []string{"", "none", "ADMIN", "owner"} {
		if _, err := ParseRole(bad); err == nil {
			t.Errorf("ParseRole(%q) has no error", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	d := device(f)
	for _, op := range ops(d) {
		made, err := Make(d, op)
		raw := made.Raw
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{0x82, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, raw []byte) {
		// The body is what matters: the fuzzer cannot sign.
		if env, err := codec.SplitByteStrings(raw, 2); err == nil {
			if op, newer, err := decodeBody(env[0]); err == nil && !newer {
				if again, err := codec.Marshal(op); err != nil || !bytes.Equal(again, env[0]) {
					t.Errorf("%x decodes, but encodes to %x (%v)", env[0], again, err)
				}
			}
		}
		if s, err := Decode(raw); err == nil && len(s.Raw) != len(raw) {
			t.Error("Raw is not what came")
		}
	})
}

// bodies returns good bodies, with how to read them.
func bodies(d *identity.Device) map[string]struct {
	good []byte
	read func([]byte) (interface{ Encode() ([]byte, error) }, error)
} {
	type encoder = interface{ Encode() ([]byte, error) }
	type body = struct {
		good []byte
		read func([]byte) (encoder, error)
	}
	all := ops(d)
	return map[string]body{
		"invite":      {all["invite"].Ext, func(b []byte) (encoder, error) { return DecodeInvite(b) }},
		"redeem":      {all["redeem"].Ext, func(b []byte) (encoder, error) { return DecodeRedeem(b) }},
		"device-cut":  {all["device-cut"].Ext, func(b []byte) (encoder, error) { return DecodeCut(b) }},
		"key-epoch":   {all["key-epoch"].Ext, func(b []byte) (encoder, error) { return DecodeEpoch(b) }},
		"profile-set": {all["profile-set"].Ext, func(b []byte) (encoder, error) { return DecodeProfile(b) }},
	}
}

func TestBodiesRefuse(t *testing.T) {
	d := device(t)
	long := strings.Repeat("x", MaxLabel+1)
	good := EpochBody{KeyID: [8]byte{1}, Parts: 1}
	epoch := func(f func(*EpochBody)) EpochBody { b := good; f(&b); return b }
	tests := map[string]interface{ Encode() ([]byte, error) }{
		"invite without key":     InviteBody{Uses: 1},
		"invite without use":     InviteBody{Pub: d.Key()},
		"invite for too many":    InviteBody{Pub: d.Key(), Uses: MaxUses + 1},
		"invite long ago":        InviteBody{Pub: d.Key(), Uses: 1, Expires: -1},
		"invite with a story":    InviteBody{Pub: d.Key(), Uses: 1, Label: long},
		"invite not in UTF-8":    InviteBody{Pub: d.Key(), Uses: 1, Label: "\xff"},
		"redeem without device":  RedeemBody{Chain: []byte{1}, Sig: make([]byte, 64)},
		"redeem without chain":   RedeemBody{Device: d.Key(), Sig: make([]byte, 64)},
		"redeem without sig":     RedeemBody{Device: d.Key(), Chain: []byte{1}},
		"cut without device":     CutBody{Chain: []byte{1}},
		"cut without chain":      CutBody{Device: d.Key()},
		"cut with a long chain":  CutBody{Device: d.Key(), Chain: make([]byte, identity.MaxChain+1)},
		"epoch without key":      epoch(func(b *EpochBody) { b.KeyID = [8]byte{} }),
		"epoch without parts":    epoch(func(b *EpochBody) { b.Parts = 0 }),
		"epoch after its parts":  epoch(func(b *EpochBody) { b.Part = 1 }),
		"epoch of many parts":    epoch(func(b *EpochBody) { b.Parts = MaxParts + 1 }),
		"epoch of many keys":     epoch(func(b *EpochBody) { b.Prev = make([]byte, MaxPrev+1) }),
		"epoch for many":         epoch(func(b *EpochBody) { b.Sealed = make([]SealedKey, MaxBoxes+1) }),
		"epoch in an empty box":  epoch(func(b *EpochBody) { b.Sealed = []SealedKey{{}} }),
		"epoch in a large box":   epoch(func(b *EpochBody) { b.Sealed = []SealedKey{{Box: make([]byte, MaxBox+1)}} }),
		"profile without a name": ProfileBody{Name: "a\nb"},
		"profile with a film":    ProfileBody{Picture: make([]byte, MaxPicture+1)},
	}
	for name, body := range tests {
		if _, err := body.Encode(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	for name, b := range bodies(d) {
		for i := range b.good {
			if _, err := b.read(b.good[:i]); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s cut at %d: %v", name, i, err)
			}
		}
	}
}

// TestFullEpochFits: as many boxes and earlier keys as a body may have fit.
func TestFullEpochFits(t *testing.T) {
	d := device(t)
	op := ops(d)["key-epoch"]
	b := EpochBody{KeyID: [8]byte{1}, Parts: 1, Prev: make([]byte, MaxPrev)}
	for i := range MaxBoxes {
		b.Sealed = append(b.Sealed, SealedKey{To: [8]byte{byte(i)}, Box: make([]byte, MaxBox)})
	}
	op.Ext = encoded(b.Encode())
	op.Deps = nil
	for i := range MaxDeps {
		op.Deps = append(op.Deps, id(byte(i+1)))
	}
	if _, err := Make(d, op); err != nil {
		t.Error(err)
	}
}

func FuzzBodies(f *testing.F) {
	d := device(f)
	all := bodies(d)
	for _, b := range all {
		f.Add(b.good)
	}
	f.Fuzz(func(t *testing.T, ext []byte) {
		for name, b := range all {
			body, err := b.read(ext)
			if err != nil {
				continue
			}
			if again, err := body.Encode(); err != nil || !bytes.Equal(again, ext) {
				t.Errorf("%s: %x decodes, but encodes to %x (%v)", name, ext, again, err)
			}
		}
	})
}

func BenchmarkMake(b *testing.B) {
	d := device(b)
	op := ops(d)["set-role"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Make(d, op); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	d := device(b)
	made, err := Make(d, ops(d)["set-role"])
	raw := made.Raw
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
