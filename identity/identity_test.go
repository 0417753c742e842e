package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// counting is a source of randomness that is the same every time.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

func device(t testing.TB, start byte, name string) *Device {
	t.Helper()
	d, err := NewDevice(&counting{start}, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
		t.Errorf("%s has changed: every device out there would read it differently\ngot %x", path, got)
	}
}

func TestID(t *testing.T) {
	id := Hash("context", []byte("body"))
	// printf 'context\0body' | sha256sum
	if got, want := id.String(), "6b6fb5b546319659b768538634a066ec6249d0c1edbfcff0b4397df79b464e73"; got != want {
		t.Errorf("Hash = %s, want %s", got, want)
	}
	back, err := ParseID(id.String())
	if err != nil || back != id {
		t.Errorf("ParseID = %v, %v", back, err)
	}
	for _, bad := range []string{"", "00", id.String() + "0", strings.Repeat("g", 64), strings.Repeat("é", 32)} {
		if _, err := ParseID(bad); !errors.Is(err, ErrBadID) {
			t.Errorf("ParseID(%q) = %v", bad, err)
		}
	}
	if Hash("a", []byte("b")) == Hash("ab", nil) {
		t.Error("the context is not kept apart from the body")
	}
	if (ID{}).Compare(id) >= 0 || id.Compare(ID{}) <= 0 || id.Compare(id) != 0 {
		t.Error("Compare")
	}
}

func TestSignaturesAreForOneContext(t *testing.T) {
	d := device(t, 0, "Ada")
	sig := d.Sign(ContextHello, []byte("body"))
	if !Verify(d.Key(), ContextHello, []byte("body"), sig) {
		t.Error("its own signature")
	}
	if Verify(d.Key(), ContextEntry, []byte("body"), sig) || Verify(d.Key(), "", []byte("body"), sig) ||
		Verify(d.Key(), ContextHello, []byte("bodY"), sig) || Verify(device(t, 9, "Bob").Key(), ContextHello, []byte("body"), sig) ||
		Verify(d.Key(), ContextHello, []byte("body"), sig[:63]) || Verify(d.Key(), ContextHello, []byte("body"), nil) {
		t.Error("a signature for something else verifies")
	}
	if ed25519.Verify(d.Key().key(), []byte("body"), sig) {
		t.Error("a signature for a context verifies without one")
	}
}

func (k PublicKey) key() ed25519.PublicKey { return k[:] }

func TestChainIsGolden(t *testing.T) {
	d := device(t, 0, "Ada")
	golden(t, "chain.hex", d.Chain())
	p, err := VerifyChain(d.Chain(), d.Key())
	if err != nil {
		t.Fatal(err)
	}
	if p != d.Profile() || p.Identity != d.Identity() || p.Device != d.Key() || p.Name != "Ada" {
		t.Errorf("the chain proves %+v, the device says %+v", p, d.Profile())
	}
}

func TestNames(t *testing.T) {
	for _, ok := range []string{"", "Ada", "Ада Лавлейс", strings.Repeat("x", MaxName), "🙂 family 👨‍👩‍👧"} {
		if err := CheckName(ok); err != nil {
			t.Errorf("CheckName(%q) = %v", ok, err)
		}
	}
	for _, bad := range []string{"a\nb", "\x1b[2J", "a\u202eb", "\xff", strings.Repeat("x", MaxName+1), "\u2028"} {
		if err := CheckName(bad); !errors.Is(err, ErrBadName) {
			t.Errorf("CheckName(%q) = %v", bad, err)
		}
		if _, err := NewDevice(nil, bad); !errors.Is(err, ErrBadName) {
			t.Errorf("NewDevice(%q) = %v", bad, err)
		}
	}
}

func TestPrivateKeyIsNeverPrinted(t *testing.T) {
	d := device(t, 0, "Ada")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, d); got != d.String() {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestNewDeviceWithoutRandomness(t *testing.T) {
	if _, err := NewDevice(io.LimitReader(&counting{}, 40), "Ada"); err == nil {
		t.Error("no error from a source that ends")
	}
}

func TestTLSCertificate(t *testing.T) {
	cert, err := device(t, 0, "Ada").TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	server := tls.Server(a, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
	var got PublicKey
	client := tls.Client(b, &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			copy(got[:], cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey))
			return nil
		},
	})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got != device(t, 0, "Ada").Key() {
		t.Error("the certificate has another key")
	}
}

// everything is a chain with each kind of statement.
func everything(t testing.TB) Halo {
	t.Helper()
	a := device(t, 0, "Ada")
	if err := a.SetRecovery(words(t, "w")); err != nil {
		t.Fatal(err)
	}
	j, err := NewDeviceRequest(&counting{77}, a.Identity(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddDevice(j.Request()); err != nil {
		t.Fatal(err)
	}
	if err := a.RenameDevice(j.Key(), "B"); err != nil {
		t.Fatal(err)
	}
	d, err := recoverWith(&counting{99}, words(t, "w"), a.Halo(), "new", []PublicKey{a.Key(), j.Key()}, words(t, "v"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RevokeDevice(j.Key()); err != nil {
		t.Fatal(err)
	}
	return d.Halo()
}

func TestEveryStatementIsGolden(t *testing.T) {
	h := everything(t)
	golden(t, "everything.hex", h.Chain())
	if got := names(h.Devices()); !slices.Equal(got, []string{"Ada", "new"}) {
		t.Errorf("live are %q", got)
	}
}

func TestRequestIsGolden(t *testing.T) {
	j, err := NewDeviceRequest(&counting{}, ID{1}, "b")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "request.hex", j.Request())
	identity, info, err := ReadDeviceRequest(j.Request())
	if err != nil || identity != (ID{1}) || info.Key != j.Key() || info.Name != "b" {
		t.Errorf("ReadDeviceRequest = %v, %v, %v", identity, info, err)
	}
}

func TestSealing(t *testing.T) {
	d := device(t, 0, "Ada")
	box, err := Seal(d.SealKey(), "for this", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := d.OpenSealed("for this", box); err != nil || string(plain) != "secret" {
		t.Errorf("OpenSealed = %q, %v", plain, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"for that":       func() ([]byte, error) { return d.OpenSealed("for that", box) },
		"another device": func() ([]byte, error) { return device(t, 9, "Bob").OpenSealed("for this", box) },
		"changed":        func() ([]byte, error) { b := bytes.Clone(box); b[len(b)-1] ^= 1; return d.OpenSealed("for this", b) },
		"cut":            func() ([]byte, error) { return d.OpenSealed("for this", box[:40]) },
		"nothing":        func() ([]byte, error) { return d.OpenSealed("for this", nil) },
	} {
		if plain, err := open(); !errors.Is(err, ErrNotSealed) {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	bad := map[string][]byte{"empty": {}, "short": d.SealKey()[1:], "low order": append(bytes.Clone(d.SealKey()[:SealKeySize-32]), make([]byte, 32)...)}
	bad["no polynomial"] = bytes.Clone(d.SealKey())
	bad["no polynomial"][0], bad["no polynomial"][1] = 0xff, 0xff
	for name, key := range bad {
		if err := checkSealKey(key); !errors.Is(err, ErrBadSealKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDeviceRequest(f *testing.F) {
	j, err := NewDeviceRequest(&counting{}, ID{1}, "b")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(j.Request())
	f.Add(j.Request()[:60])
	f.Fuzz(func(t *testing.T, request []byte) {
		if _, d, err := ReadDeviceRequest(request); err == nil && (CheckName(d.Name) != nil || checkSealKey(d.Seal) != nil) {
			t.Errorf("%x asks for %+v", request, d)
		}
	})
}

func FuzzReadHalo(f *testing.F) {
	d := device(f, 0, "Ada")
	f.Add(d.Chain())
	f.Add(d.Chain()[:100])
	f.Add(everything(f).Chain())
	f.Add(bytes.Repeat([]byte{0x83}, 40))
	f.Fuzz(func(t *testing.T, chain []byte) {
		h, err := ReadHalo(chain)
		if err == nil && (h.Identity().IsZero() || CheckName(h.Name()) != nil || !bytes.Equal(h.Chain(), chain)) {
			t.Errorf("%x proves %+v", chain, h)
		}
	})
}
