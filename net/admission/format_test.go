package admission

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"net"
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
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	got := hex.EncodeToString(data)
	file := filepath.Join("testdata", name+".hex")
	if *update {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimSpace(string(want)) {
		t.Errorf("%s is  %s\nwas %s", name, got, want)
	}
}

// TestGolden holds the format of every frame.
func TestGolden(t *testing.T) {
	for name, send := range map[string]func(*wire.Conn) error{
		"request-pin": func(c *wire.Conn) error {
			return c.Send(frameRequest, request{Proof: []byte("proof"), Chain: []byte("chain")})
		},
		"request-link": func(c *wire.Conn) error {
			return c.Send(frameRequest, request{[]byte("proof"), []byte("chain"), []string{"https://signal.example"}, []byte("redeem")})
		},
		"credentials": func(c *wire.Conn) error { return c.Send(frameCredentials, credentials{[][]byte{[]byte("one")}}) },
		"welcome": func(c *wire.Conn) error {
			return c.Send(frameWelcome, welcome{[]feed.Key{{1}, {2}}, "home", []string{"https://signal.example"}, nil})
		},
		"welcome-device": func(c *wire.Conn) error { return c.Send(frameWelcome, welcome{Extra: []byte("chain")}) },
		"refusal":        func(c *wire.Conn) error { return c.Send(frameRefusal, refusal{reasonPIN, "wrong PIN", 2}) },
		"here":           func(c *wire.Conn) error { return c.Send(frameHere, here{identity.ID{1}}) },
		"wait":           func(c *wire.Conn) error { return c.WriteFrame(frameWait, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := send(wire.NewConn(&b, limits)); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
	golden(t, "proof", linkProof{identity.ID{1}, identity.PublicKey{2}, []byte("exporter")}.encode())
}

// TestLongestChainFits sends the longest request that a guest can make.
func TestLongestChainFits(t *testing.T) {
	c := wire.NewConn(new(bytes.Buffer), limits)
	if err := c.Send(frameRequest, request{
		Proof: make([]byte, 64), Chain: make([]byte, identity.MaxChain), Redeem: make([]byte, 64),
		Signal: slices.Repeat([]string{strings.Repeat("x", invitation.MaxURL)}, maxSignal),
	}); err != nil {
		t.Error(err)
	}
	if err := c.Send(frameWelcome, welcome{
		Keys: make([]feed.Key, maxKeys), Name: strings.Repeat("x", 100), Extra: make([]byte, identity.MaxChain),
		Signal: slices.Repeat([]string{strings.Repeat("x", invitation.MaxURL)}, maxSignal),
	}); err != nil {
		t.Error(err)
	}
}

// example is an invitation that is the same every time.
func example() invitation.Invitation {
	return invitation.Invitation{
		Kind: invitation.PIN, Space: identity.ID{1}, Secret: [32]byte{2}, Host: identity.PublicKey{3},
		Role: credential.Editor, Expires: time.Unix(1_900_000_000, 0).UTC(), Name: "home",
	}
}

func TestLedgerIsGolden(t *testing.T) {
	s := &shelf{}
	l, err := OpenLedger(s)
	if err != nil {
		t.Fatal(err)
	}
	inv := example()
	if err := l.Add(inv, "012345", time.Unix(1_800_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	if left, err := l.failed(inv.ID()); err != nil || left != 2 {
		t.Fatal(left, err)
	}
	if err := errors.Join(l.claim(inv.ID(), identity.ID{4}), l.admitted(inv.ID()), l.Withdraw(inv.ID())); err != nil {
		t.Fatal(err)
	}
	golden(t, "ledger", s.value)
	again, err := OpenLedger(s)
	if err != nil || !reflect.DeepEqual(again.All(), l.All()) {
		t.Errorf("%+v, %v", again, err)
	}
	want := PINInvitation{Invitation: inv, Left: 2, Used: identity.ID{4}, Admitted: true, Withdrawn: true}
	if got := l.All(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v", got)
	}
	if err := l.Withdraw(identity.ID{9}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestLedgerForgetsAndIsBounded(t *testing.T) {
	l, err := OpenLedger(&shelf{})
	if err != nil {
		t.Fatal(err)
	}
	inv := example()
	for i := range 2 * maxRecords {
		inv.Secret[1], inv.Secret[2] = byte(i), byte(i>>8)
		if err = l.Add(inv, "012345", inv.Expires.Add(-time.Hour)); err != nil {
			break
		}
	}
	if err == nil || len(l.All()) < 100 || len(l.shelf.(*shelf).value) > maxLedger {
		t.Fatalf("%d are kept in %d bytes", len(l.All()), len(l.shelf.(*shelf).value))
	}
	later := inv
	later.Expires = inv.Expires.Add(100 * time.Hour)
	if err := l.Add(later, "012345", inv.Expires.Add(keepFor+time.Second)); err != nil || len(l.All()) != 1 {
		t.Errorf("%d are kept after they ended long ago, %v", len(l.All()), err)
	}
}

func FuzzLedger(f *testing.F) {
	s := &shelf{}
	l, err := OpenLedger(s)
	if err != nil {
		f.Fatal(err)
	}
	if err := l.Add(example(), "012345", time.Unix(1, 0)); err != nil {
		f.Fatal(err)
	}
	f.Add(s.value)
	f.Add([]byte{0xa1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeLedger(data)
		if err != nil {
			return
		}
		if back, err := encodeLedger(list); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%x reads back as %x, %v", data, back, err)
		}
	})
}

func FuzzHost(f *testing.F) {
	guest, err := identity.NewDevice(nil, "Ben")
	if err != nil {
		f.Fatal(err)
	}
	link := example()
	link.Kind, link.Host = invitation.Link, identity.PublicKey{}
	exporter := make([]byte, 32)
	proof := linkProof{link.Space, guest.Key(), exporter}.encode()
	for _, r := range []request{
		{link.Sign(contextProof, proof), guest.Chain(), nil, []byte("redeem")}, {link.Sign(contextProof, proof), nil, nil, nil},
		{example().ProvePIN("012345", exporter, guest.Key()), guest.Chain(), []string{"http://a"}, nil},
	} {
		var b bytes.Buffer
		if err := wire.NewConn(&b, limits).Send(frameRequest, r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := OpenLedger(&shelf{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(example(), "012345", time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		now := func() time.Time { return time.Unix(1, 0) }
		for _, h := range []mesh.Handler{
			HostLink(nobody{link}, identity.ID{1}, Common{Now: now}),
			HostPIN(PINConfig{Common: Common{Now: now}, Invitation: example(), Ledger: l, Pace: time.Nanosecond,
				Confirm: nobody{}.confirm, Admit: nobody{}.admit}),
		} {
			c := &script{in: bytes.NewReader(data)}
			_ = h.Link(t.Context(), &mesh.Link{Peer: guest.Profile(), Sync: c, Blobs: c, Exporter: exporter})
		}
	})
}

func FuzzGuest(f *testing.F) {
	host, err := identity.NewDevice(nil, "Anna")
	if err != nil {
		f.Fatal(err)
	}
	ben, err := identity.NewDevice(nil, "Ben")
	if err != nil {
		f.Fatal(err)
	}
	genesis, err := membership.Found(host, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	link := example()
	link.Kind, link.Host, link.Space = invitation.Link, identity.PublicKey{}, genesis.ID
	var b bytes.Buffer
	c := wire.NewConn(&b, limits)
	if err := errors.Join(c.Send(frameHere, here{identity.ID{1}}), c.Send(frameCredentials, credentials{[][]byte{genesis.Raw}}),
		c.WriteFrame(frameWait, nil), c.Send(frameWelcome, welcome{Keys: []feed.Key{{1}}, Name: "x"}),
		c.Send(frameRefusal, refusal{reasonUsed, "used", 0})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, inv := range []invitation.Invitation{link, example()} {
			g := &guest{device: ben, inv: inv}
			c := &script{in: bytes.NewReader(data)}
			if _, _, err := g.ask(&mesh.Link{Peer: host.Profile(), Sync: c, Blobs: c, Exporter: make([]byte, 32)}); err == nil {
				t.Fatal("let in by garbage")
			}
		}
	})
}

// script is a connection on which everything the other side says is known.
type script struct{ in *bytes.Reader }

func (s *script) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

var errNobody = errors.New("nobody is let in here")

// nobody is a space that lets nobody in.
type nobody struct{ inv invitation.Invitation }

func (n nobody) ID() identity.ID { return n.inv.Space }

func (n nobody) OpenInvites() []membership.Invitation {
	return []membership.Invitation{{ID: identity.ID{1}, Pub: n.inv.Pub(), Uses: 1}}
}

func (nobody) RedeemInvite(identity.ID, []byte, []byte) (space.Admission, error) {
	return space.Admission{}, errNobody
}

func (nobody) Member(identity.PublicKey) bool { return false }

func (nobody) confirm(context.Context, Guest) (bool, error) { return true, nil }

func (nobody) admit(identity.Profile, []byte, bool) (space.Admission, []byte, error) {
	return space.Admission{}, nil, errNobody
}
