package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity/codec"
)

// A person has devices that know of each other's statements only when told.
type person struct {
	t       testing.TB
	devices map[string]*Device
}

func words(t testing.TB, name string) *RecoveryKeys {
	t.Helper()
	sign, seal := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(name+"'"))
	keys, err := NewRecoveryKeys(sign[:], seal[:])
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newPerson(t testing.TB, recovery string) *person {
	t.Helper()
	p := &person{t: t, devices: map[string]*Device{}}
	start := Start{Random: &counting{}, Name: "Ada", DeviceName: "a"}
	if recovery != "" {
		start.Recovery = words(t, recovery)
	}
	a, err := NewIdentity(start)
	if err != nil {
		t.Fatal(err)
	}
	p.devices["a"] = a
	return p
}

// add makes a new device known to by, and by's knowledge known to it.
func (p *person) add(by, name string) {
	p.t.Helper()
	j, err := NewDeviceRequest(nil, p.devices[by].Identity(), name)
	if err != nil {
		p.t.Fatal(err)
	}
	chain, err := p.devices[by].AddDevice(j.Request())
	if err != nil {
		p.t.Fatalf("%s adds %s: %v", by, name, err)
	}
	if p.devices[name], err = j.Finish(chain); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) revoke(by, name string) {
	p.t.Helper()
	if err := p.devices[by].RevokeDevice(p.devices[name].Key()); err != nil {
		p.t.Fatalf("%s revokes %s: %v", by, name, err)
	}
}

func (p *person) tell(from, to string) {
	p.t.Helper()
	if _, err := p.devices[to].Learn(p.devices[from].Chain()); err != nil {
		p.t.Fatalf("%s tells %s: %v", from, to, err)
	}
}

// copy makes a replica of a device as it is now: a backup, or what a thief
// keeps from learning more.
func (p *person) copy(name, as string) {
	p.t.Helper()
	d, err := FromSecrets(p.devices[name].Secrets())
	if err != nil {
		p.t.Fatal(err)
	}
	p.devices[as] = d
}

func (p *person) recover(from, words1, name, words2 string, keep ...string) {
	p.t.Helper()
	var keys []PublicKey
	for _, k := range keep {
		keys = append(keys, p.devices[k].Key())
	}
	d, err := Recover(words(p.t, words1), p.devices[from].Halo(), name, keys, words(p.t, words2))
	if err != nil {
		p.t.Fatalf("recovering as %s: %v", name, err)
	}
	p.devices[name] = d
}

// live lists the names of the live devices after everybody told everything, in
// every order, to a stranger.
func (p *person) live() string {
	p.t.Helper()
	var halos []Halo
	for _, d := range p.devices {
		h, err := ReadHalo(d.Chain())
		if err != nil {
			p.t.Fatal(err)
		}
		halos = append(halos, h)
	}
	var first Halo
	for i := range halos {
		all := Halo{}
		for j := range halos {
			var err error
			if all, err = all.Merge(halos[(i+j)%len(halos)]); err != nil {
				p.t.Fatal(err)
			}
		}
		if i == 0 {
			first = all
		} else if !bytes.Equal(first.Chain(), all.Chain()) {
			p.t.Fatal("the order of merging matters")
		}
	}
	again, err := ReadHalo(first.Chain())
	if err != nil {
		p.t.Fatalf("what was merged cannot be read: %v", err)
	}
	return strings.Join(names(again.Devices()), " ")
}

func names(list []DeviceInfo) (names []string) {
	for _, d := range list {
		names = append(names, d.Name)
	}
	return names
}

func TestWhichDevicesAreLive(t *testing.T) {
	tests := []struct {
		name string
		do   func(p *person)
		want string
	}{
		{"one", func(*person) {}, "a"},
		{"added by each other", func(p *person) { p.add("a", "b"); p.add("b", "c") }, "a b c"},
		{"added at the same time", func(p *person) { p.add("a", "b"); p.add("b", "c"); p.add("a", "d") }, ""},
		{"revoked", func(p *person) { p.add("a", "b"); p.revoke("a", "b") }, "a"},
		{"the first revoked by a later one", func(p *person) { p.add("a", "b"); p.revoke("b", "a") }, "b"},
		{"itself", func(p *person) { p.add("a", "b"); p.revoke("b", "b") }, "a"},
		{"itself, the last", func(p *person) { p.revoke("a", "a") }, ""},
		{"each other: both are out", func(p *person) { p.add("a", "b"); p.revoke("a", "b"); p.revoke("b", "a") }, ""},
		{"each other, and a third stays", func(p *person) {
			p.add("a", "b")
			p.add("a", "c")
			p.tell("a", "b")
			p.revoke("a", "b")
			p.revoke("b", "a")
		}, "c"},
		{"what a device added before its revocation was known stays", func(p *person) {
			p.add("a", "b")
			p.add("b", "c")
			p.tell("b", "a")
			p.revoke("a", "b")
		}, "a c"},
		{"what a thief adds without knowing of the revocation is void", func(p *person) {
			p.add("a", "b")
			p.revoke("a", "b")
			p.add("b", "c")
			p.add("c", "d")
		}, "a"},
		{"what a thief adds long after, dated back", func(p *person) {
			p.add("a", "b")
			p.copy("b", "old b")
			p.revoke("a", "b")
			p.tell("a", "b")
			p.add("a", "laptop")
			p.add("old b", "c")
		}, "a laptop"},
		{"a thief's devices may still deny", func(p *person) {
			p.add("a", "b")
			p.add("a", "x")
			p.tell("a", "b")
			p.revoke("a", "b")
			p.add("b", "c")
			p.revoke("c", "x")
		}, "a"},
		{"two revoke the same", func(p *person) {
			p.add("a", "b")
			p.add("a", "c")
			p.tell("a", "b")
			p.revoke("a", "c")
			p.revoke("b", "c")
		}, "a b"},
		{"reset", func(p *person) { p.add("a", "b"); p.recover("a", "w", "new", "v") }, "new"},
		{"reset keeps devices", func(p *person) {
			p.add("a", "b")
			p.add("a", "c")
			p.recover("a", "w", "new", "v", "c", "a")
			p.tell("new", "c")
			p.add("c", "d")
			p.tell("c", "a")
			p.revoke("a", "new")
		}, "a c d"},
		{"reset against an addition at the same time", func(p *person) {
			p.add("a", "b")
			p.copy("a", "old a")
			p.recover("a", "w", "new", "v", "b")
			p.add("old a", "c")
			p.add("b", "d")
			p.add("d", "e")
		}, "b new"},
		{"reset against a revocation at the same time", func(p *person) {
			p.add("a", "b")
			p.add("a", "c")
			p.tell("a", "b")
			p.recover("a", "w", "new", "v", "c")
			p.revoke("b", "c")
			p.revoke("b", "a")
		}, "c new"},
		{"reset against a recovery key at the same time", func(p *person) {
			p.add("a", "b")
			p.recover("a", "w", "new", "v")
			p.recover("new", "v", "newer", "u")
		}, "newer"},
		{"a kept device goes on after a void addition of its own", func(p *person) {
			p.add("a", "b")
			p.copy("a", "old a")
			p.recover("a", "w", "new", "v", "b")
			p.add("b", "void")
			p.tell("new", "b")
			p.add("b", "good")
		}, "b new good"},
		{"reset of those who revoked each other keeps one", func(p *person) {
			p.add("a", "b")
			p.revoke("a", "b")
			p.revoke("b", "a")
			p.tell("a", "b")
			p.recover("b", "w", "new", "v", "a")
		}, "a new"},
		{"revoked after a reset", func(p *person) {
			p.add("a", "b")
			p.recover("a", "w", "new", "v", "b")
			p.revoke("new", "b")
			p.add("b", "c")
		}, "new"},
		{"two resets one after the other", func(p *person) {
			p.add("a", "b")
			p.recover("a", "w", "c", "v", "b")
			p.recover("c", "v", "d", "u")
			p.add("c", "e")
		}, "d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPerson(t, "w")
			tt.do(p)
			got := p.live()
			if tt.name == "added at the same time" {
				s := strings.Fields(got)
				slices.Sort(s)
				if got = strings.Join(s, " "); got == "a b c d" {
					got = ""
				}
			}
			if got != tt.want {
				t.Errorf("live are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTwoResetsAtTheSameTime(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	p.recover("a", "w", "one", "v")
	p.recover("a", "w", "two", "u")
	p.add("one", "one's")
	p.add("two", "two's")
	if got := p.live(); got != "one one's" && got != "two two's" {
		t.Errorf("live are %q, want those of one reset", got)
	}
}

func TestADeviceIsNeverBack(t *testing.T) {
	p := newPerson(t, "w")
	a := p.devices["a"]
	j, err := NewDeviceRequest(nil, a.Identity(), "b")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := a.AddDevice(j.Request())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.AddDevice(j.Request()); err != nil || !bytes.Equal(again, chain) {
		t.Errorf("asking twice: %v", err)
	}
	if err := a.RevokeDevice(j.Key()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddDevice(j.Request()); err == nil {
		t.Error("a revoked device is added again")
	}
	if err := a.RevokeDevice(j.Key()); !errors.Is(err, ErrNoDevice) {
		t.Errorf("revoking twice = %v, want ErrNoDevice", err)
	}
	b, err := j.Finish(chain)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Learn(a.Chain()); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := b.Learn(a.Chain()); err != nil || changed {
		t.Error("the same is news twice", err)
	}
	if err := b.RenameDevice(a.Key(), "x"); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revoked device acts: %v", err)
	}
	if _, err := VerifyChain(b.Chain(), b.Key()); !errors.Is(err, ErrRevoked) {
		t.Errorf("VerifyChain of a revoked device = %v, want ErrRevoked", err)
	}
	if h := b.Halo(); !slices.Equal(h.Revoked(), []PublicKey{b.Key()}) {
		t.Errorf("Revoked = %v", h.Revoked())
	}
	if info, ok := b.Halo().Known(b.Key()); !ok || !bytes.Equal(info.Seal, b.SealKey()) {
		t.Error("a revoked device is not known")
	}
}

func TestNamesOfDevices(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	a, b := p.devices["a"], p.devices["b"]
	if a.DeviceName() != "a" || b.DeviceName() != "b" || b.Name() != "Ada" {
		t.Errorf("%q, %q of %q", a.DeviceName(), b.DeviceName(), b.Name())
	}
	if err := b.RenameDevice(a.Key(), "desk"); err != nil {
		t.Fatal(err)
	}
	p.tell("b", "a")
	if err := a.RenameDevice(a.Key(), "desk 2"); err != nil {
		t.Fatal(err)
	}
	p.recover("a", "w", "new", "v", "a")
	if got := names(p.devices["new"].Halo().Devices()); !slices.Equal(got, []string{"desk 2", "new"}) {
		t.Errorf("devices are called %q", got)
	}
	if err := a.RenameDevice(a.Key(), "a\nb"); !errors.Is(err, ErrBadName) {
		t.Errorf("a bad name = %v", err)
	}
	if n := p.devices["new"].Halo().Resets(); n != 1 {
		t.Errorf("%d resets", n)
	}
}

func TestRecoveryKeys(t *testing.T) {
	p := newPerson(t, "")
	a := p.devices["a"]
	if _, _, ok := a.Halo().Recovery(); ok {
		t.Error("there are recovery keys")
	}
	if _, err := Recover(words(t, "w"), a.Halo(), "new", nil, words(t, "v")); !errors.Is(err, ErrNotTheWords) {
		t.Errorf("recovering without = %v", err)
	}
	if err := a.SetRecovery(words(t, "w")); err != nil {
		t.Fatal(err)
	}
	if err := a.SetRecovery(words(t, "v")); err == nil {
		t.Error("a device replaces the recovery keys")
	}
	wantSign, wantSeal := words(t, "w").Public()
	if sign, seal, ok := a.Halo().Recovery(); !ok || sign != wantSign || !bytes.Equal(seal, wantSeal) {
		t.Error("other recovery keys")
	}
	if _, err := Recover(words(t, "v"), a.Halo(), "new", nil, words(t, "v")); !errors.Is(err, ErrNotTheWords) {
		t.Errorf("recovering with other words = %v", err)
	}
	d, err := Recover(words(t, "w"), a.Halo(), "new", nil, words(t, "v"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(words(t, "w"), d.Halo(), "again", nil, words(t, "u")); !errors.Is(err, ErrNotTheWords) {
		t.Errorf("the used words = %v", err)
	}
	if d.Identity() != a.Identity() || d.Halo().Live(a.Key()) {
		t.Error("not the same identity without its old device")
	}
	box, err := Seal(wantSeal, "info", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := words(t, "w").OpenSealed("info", box); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestLearnRefuses(t *testing.T) {
	p := newPerson(t, "w")
	a := p.devices["a"]
	if _, err := a.Learn(device(t, 50, "Bob").Chain()); !errors.Is(err, ErrOtherIdentity) {
		t.Errorf("another's chain = %v", err)
	}
	if _, err := a.Learn([]byte("noise")); !errors.Is(err, ErrBadChain) {
		t.Errorf("noise = %v", err)
	}
	p.copy("a", "b")
	p.add("b", "c")
	full := errors.New("the disk is full")
	a.Persist(func(s Secrets) error { return full })
	before := a.Chain()
	if changed, err := a.Learn(p.devices["b"].Chain()); !errors.Is(err, full) || changed || !bytes.Equal(a.Chain(), before) {
		t.Errorf("what is not stored counts: %v, %v", changed, err)
	}
	var kept []byte
	a.Persist(func(s Secrets) error { kept = s.Chain; return nil })
	if changed, err := a.Learn(p.devices["b"].Chain()); err != nil || !changed || !bytes.Equal(kept, a.Chain()) {
		t.Errorf("%v, %v", changed, err)
	}
}

// A thief must not be able to fill the chain so that nothing can be said any
// more about the device they stole.
func TestAFullChain(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	a, b := p.devices["a"], p.devices["b"]
	var err error
	for i := 0; err == nil; i++ {
		var j *Joining
		if j, err = NewDeviceRequest(nil, b.Identity(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		_, err = b.AddDevice(j.Request())
	}
	if !errors.Is(err, ErrChainFull) || len(b.Halo().Devices()) < 20 {
		t.Errorf("%d devices, then %v", len(b.Halo().Devices()), err)
	}
	p.tell("b", "a")
	if err := a.RevokeDevice(b.Key()); err != nil {
		t.Errorf("revoking in a full chain: %v", err)
	}
	for _, d := range a.Halo().Devices() {
		if d.Key != a.Key() {
			if err := a.RevokeDevice(d.Key); err != nil {
				t.Errorf("revoking in a full chain: %v", err)
			}
		}
	}
	if _, err := ReadHalo(a.Chain()); err != nil {
		t.Error(err)
	}
	if _, err := Recover(words(t, "w"), a.Halo(), "new", nil, words(t, "v")); err != nil {
		t.Errorf("recovering in a full chain: %v", err)
	}
}

func TestAFullChainDropsWhatIsVoid(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	a, b := p.devices["a"], p.devices["b"]
	p.revoke("a", "b")
	p.add("a", "c")
	for i := 0; ; i++ {
		j, err := NewDeviceRequest(nil, b.Identity(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.AddDevice(j.Request()); err != nil {
			break
		}
	}
	if _, err := a.Learn(b.Chain()); err != nil {
		t.Errorf("learning more than fits: %v", err)
	}
	if changed, err := b.Learn(a.Chain()); err != nil || !changed {
		t.Errorf("learning of a revocation in a full chain: %v", err)
	}
	if got := names(b.Halo().Devices()); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("live are %q", got)
	}
}

// What a later release states is kept, passed on, and stands in the past.
func TestLaterStatements(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	a := p.devices["a"]
	for _, head := range []struct{ version, kind int }{{1, 40}, {2, 2}, {1, 7}} {
		h := a.Halo()
		data, err := codec.Marshal(map[int]any{1: head.version, 2: head.kind, 3: h.heads(h.all()), 4: []PublicKey{a.Key()}, 77: "later"})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := codec.Marshal([][]byte{data, a.Sign(ContextIdentity, data)})
		if err != nil {
			t.Fatal(err)
		}
		var raws []codec.Raw
		if err := codec.Unmarshal(h.Chain(), &raws); err != nil {
			t.Fatal(err)
		}
		chain, err := codec.Marshal(append(raws, raw))
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := a.Learn(chain); err != nil || !changed {
			t.Fatalf("version %d, kind %d: %v, %v", head.version, head.kind, changed, err)
		}
	}
	p.tell("a", "b")
	p.add("b", "c")
	if got := p.live(); got != "a b c" {
		t.Errorf("live are %q", got)
	}
	if !bytes.Contains(p.devices["c"].Chain(), []byte("later")) {
		t.Error("a later statement was dropped")
	}
}

func TestReadHaloRefuses(t *testing.T) {
	p := newPerson(t, "w")
	p.add("a", "b")
	p.add("b", "c")
	a, bob := p.devices["a"], device(t, 100, "Bob")
	var raws, his []codec.Raw
	for chain, to := range map[*Device]*[]codec.Raw{p.devices["c"]: &raws, bob: &his} {
		if err := codec.Unmarshal(chain.Chain(), to); err != nil {
			t.Fatal(err)
		}
	}
	list := func(raws ...codec.Raw) []byte {
		data, err := codec.Marshal(raws)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	by := func(d *Device, b body, more ...ed) codec.Raw {
		b.Version = statementVersion
		s, err := b.sign(append([]ed{d.private}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return s.raw
	}
	tamper := func(raw codec.Raw, part int) codec.Raw {
		var parts [][]byte
		if err := codec.Unmarshal(raw, &parts); err != nil {
			t.Fatal(err)
		}
		parts[part] = bytes.Clone(parts[part])
		parts[part][len(parts[part])-1] ^= 1
		out, _ := codec.Marshal(parts)
		return out
	}
	genesis, add := a.Halo().nodes[0].id, a.Halo().nodes[1].id
	j, _ := NewDeviceRequest(nil, bob.Identity(), "his")
	c, sig, _ := readRequest(j.Request())
	newer, _ := codec.Marshal([][]byte{mustMarshal(t, map[int]any{1: 2, 2: 1, 4: []PublicKey{a.Key()}}), nil})
	signedNewer := mustMarshal(t, map[int]any{1: 2, 2: 1, 4: []PublicKey{a.Key()}})
	tests := []struct {
		name  string
		chain []byte
		want  error
	}{
		{"nothing", nil, ErrBadChain},
		{"noise", []byte("noise"), ErrBadChain},
		{"no statement", list(), ErrBadChain},
		{"truncated", a.Chain()[:50], ErrBadChain},
		{"too long", make([]byte, MaxChain+1), ErrBadChain},
		{"out of order", list(raws[0], raws[2], raws[1]), ErrBadChain},
		{"repeated", list(raws[0], raws[1], raws[1]), ErrBadChain},
		{"without a past", list(raws[0], raws[2]), ErrBadChain},
		{"without a genesis", list(raws[1], raws[2]), ErrBadChain},
		{"two beginnings", list(raws[0], his[0]), ErrBadChain},
		{"a signature of the genesis changed", list(tamper(raws[0], 1)), ErrBadChain},
		{"the other signature of the genesis changed", list(tamper(raws[0], 2)), ErrBadChain},
		{"the signature of the genesis by the recovery key changed", list(tamper(raws[0], 3)), ErrBadChain},
		{"body changed", list(raws[0], tamper(raws[1], 0)), ErrBadChain},
		{"added by a stranger", list(raws[0], by(bob, body{Kind: kindRevoke, Deps: []ID{genesis}, Device: a.Key()})), ErrBadChain},
		{"device added without its consent", list(raws[0], by(a, body{Kind: kindAdd, Deps: []ID{genesis}, Device: bob.Key(), Seal: bob.SealKey(), Consent: make([]byte, 64)})), ErrBadChain},
		{"device that consented to another identity", list(raws[0], by(a, body{Kind: kindAdd, Deps: []ID{genesis}, Device: c.Device, Seal: c.Seal, DeviceName: c.Name, Consent: sig})), ErrBadChain},
		{"revocation of a device that is not there", list(raws[0], by(a, body{Kind: kindRevoke, Deps: []ID{genesis}, Device: bob.Key()})), ErrBadChain},
		{"revocation of a device that is not there yet", list(raws[0], raws[1], by(a, body{Kind: kindRevoke, Deps: []ID{genesis}, Device: p.devices["b"].Key()})), ErrBadChain},
		{"second recovery", list(raws[0], by(a, recoveryBody(t, genesis), words(t, "mine").sign)), ErrBadChain},
		{"reset by a device", list(raws[0], by(a, body{Kind: kindReset, Deps: []ID{genesis}, Seal: bob.SealKey(), RecoverySign: bob.Key(), RecoverySeal: bob.SealKey()}, bob.private, bob.private)), ErrBadChain},
		{"own addition in the future", list(raws[0], raws[1], by(p.devices["c"], body{Kind: kindRevoke, Deps: []ID{add}, Device: a.Key()})), ErrBadChain},
		{"a later genesis, not signed", list(codec.Raw(newer)), ErrBadChain},
		{"a later genesis", list(codec.Raw(mustMarshal(t, [][]byte{signedNewer, a.Sign(ContextIdentity, signedNewer)}))), ErrNewerChain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if h, err := ReadHalo(tt.chain); !errors.Is(err, tt.want) {
				t.Errorf("ReadHalo = %v, %v; want %v", names(h.Devices()), err, tt.want)
			}
		})
	}
	if _, err := VerifyChain(a.Chain(), bob.Key()); !errors.Is(err, ErrBadChain) {
		t.Errorf("a chain for another's device: %v", err)
	}
}

type ed = ed25519.PrivateKey

func recoveryBody(t *testing.T, dep ID) body {
	b := body{Kind: kindRecovery, Deps: []ID{dep}}
	b.RecoverySign, b.RecoverySeal = words(t, "mine").Public()
	return b
}

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := codec.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Nobody takes the words of somebody else for theirs: whoever looks for their
// own identity by its recovery key finds no other.
func TestRecoveryKeysSign(t *testing.T) {
	a := device(t, 1, "a")
	victims, others := words(t, "victim"), words(t, "other")
	for _, k := range []kind{kindGenesis, kindRecovery, kindReset} {
		b := body{Version: statementVersion, Kind: k}
		keys := []ed{others.sign, a.private}
		switch k {
		case kindRecovery:
			keys = keys[1:]
		default:
			b.Seal = a.SealKey()
		}
		b.RecoverySign, b.RecoverySeal = victims.Public()
		if _, err := b.sign(keys...); err == nil {
			t.Errorf("kind %d names recovery keys that did not sign", k)
		}
		if _, err := b.sign(append(keys, others.sign)...); err == nil {
			t.Errorf("kind %d names recovery keys, and others signed", k)
		}
		if _, err := b.sign(append(keys, victims.sign)...); err != nil {
			t.Errorf("kind %d: %v", k, err)
		}
	}
}
