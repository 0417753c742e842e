package admission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// wrong returns a PIN that is not pin.
func wrong(pin string) string {
	return pin[:5] + string('0'+(pin[5]-'0'+1)%10)
}

// A door is a house with a PIN invitation, and a person who answers.
type door struct {
	*house
	inv    invitation.Invitation
	pin    string
	shelf  *shelf
	ledger *Ledger
	answer bool
	admit  error // instead of letting in

	mu    sync.Mutex // guards the fields below
	asked []Guest
	tried []int
}

// A shelf keeps values in memory, until it breaks.
type shelf struct {
	mu     sync.Mutex
	value  []byte
	broken bool
}

func (s *shelf) Local(string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, nil
}

func (s *shelf) PutLocal(_ string, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errors.New("disk full")
	}
	s.value = v
	return nil
}

func newDoor(t *testing.T) *door {
	t.Helper()
	h := newHouse(t)
	inv, err := invitation.New(invitation.Invitation{
		Kind: invitation.PIN, Space: h.space.ID(), Host: h.device.Key(), Role: credential.Editor,
		Expires: h.now.Add(time.Hour), Signal: []string{"https://signal.example/"}, Name: "home",
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{house: h, inv: inv, pin: invitation.NewPIN(), shelf: &shelf{}, answer: true}
	d.restart()
	if err := d.ledger.Add(inv, d.pin, h.now); err != nil {
		t.Fatal(err)
	}
	return d
}

// restart reads the ledger anew.
func (d *door) restart() {
	d.t.Helper()
	var err error
	if d.ledger, err = OpenLedger(d.shelf); err != nil {
		d.t.Fatal(err)
	}
}

func (d *door) handler() mesh.Handler {
	return HostPIN(PINConfig{
		Common: d.common(), Invitation: d.inv, Ledger: d.ledger, Pace: time.Nanosecond,
		Tried: func(_ identity.Profile, left int) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.tried = append(d.tried, left)
		},
		Confirm: func(_ context.Context, g Guest) (bool, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.asked = append(d.asked, g)
			return d.answer, nil
		},
		Admit: func(who identity.Profile, chain []byte, again bool) (space.Admission, []byte, error) {
			if d.admit != nil {
				return space.Admission{}, nil, d.admit
			}
			if again && !d.space.Member(who.Device) {
				return space.Admission{}, nil, ErrUsed
			}
			adm, err := d.space.Admit(chain, credential.Editor)
			return adm, nil, err
		},
	})
}

func (d *door) link(guest *identity.Device) *mesh.Link {
	d.t.Helper()
	return serve(d.t, d.handler(), d.device, guest)
}

// comes is one try of a guest.
func (d *door) comes(guest *identity.Device, pin string) error {
	d.t.Helper()
	_, err := try(d.t, guest, d.inv, Options{PIN: pin}, d.link(guest))
	return err
}

func TestPIN(t *testing.T) {
	d := newDoor(t)
	inv, err := invitation.Parse(d.inv.String()) // as it reaches the guest
	if err != nil {
		t.Fatal(err)
	}
	ben := newDevice(t, "Ben")
	m := &fakeMesh{links: make(chan *mesh.Link, 1), log: t.Log}
	m.links <- d.link(ben)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var code string
	long := "https://" + strings.Repeat("x", invitation.MaxURL)
	got, err := Join(ctx, m, ben, inv, Options{PIN: d.pin, Signal: []string{"https://ben.example", long}, Code: func(c string) { code = c }})
	if err != nil {
		t.Fatal(err)
	}
	if got.Space != d.space.ID() || got.Name != "home" || got.Role != credential.Editor || got.Keys[0] != d.space.Key() || len(got.Signal) != 2 {
		t.Errorf("%+v", got)
	}
	if m.topic != inv.Topic() || len(m.signals) != 1 {
		t.Errorf("met on %x with servers %v", m.topic, m.signals)
	}
	if len(d.met) != 1 || <-d.met != "https://ben.example" {
		t.Error("the host did not hear of the guest's server, or of more")
	}
	if len(d.asked) != 1 || d.asked[0].Identity != ben.Identity() || d.asked[0].Code != code || len(code) != 6 {
		t.Errorf("asked %+v, the guest saw %s", d.asked, code)
	}
	if !d.member(ben) {
		t.Error("the host does not know its new member")
	}
	if other := move(t, ben, got); other.space.ID() != d.space.ID() || other.space.Role() != credential.Editor {
		t.Error("the guest's copy is another space")
	}
	if list := d.ledger.All(); len(list) != 1 || !list[0].Admitted || list[0].Open(d.now) {
		t.Errorf("%+v", list)
	}
}

// TestBruteForceOfPIN tries PINs from several devices, over several links, with
// a restart of the host after each.
func TestBruteForceOfPIN(t *testing.T) {
	d := newDoor(t)
	var got []string
	for range 5 {
		got = append(got, fmt.Sprint(d.comes(newDevice(t, "Eve"), wrong(d.pin))))
		d.restart()
	}
	want := []string{PINError{2}.Error(), PINError{1}.Error(), ErrBurned.Error(), ErrBurned.Error(), ErrBurned.Error()}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	ben := newDevice(t, "Ben")
	if err := d.comes(ben, d.pin); !errors.Is(err, ErrBurned) {
		t.Errorf("the right PIN after three wrong ones: %v", err)
	}
	if len(d.space.Members()) != 1 || len(d.asked) != 0 || fmt.Sprint(d.tried) != "[2 1 0]" {
		t.Errorf("%d members, asked %v, tried %v", len(d.space.Members()), d.asked, d.tried)
	}
}

// TestManyTriesAtOnce: guests that come at the same time get no more tries.
func TestManyTriesAtOnce(t *testing.T) {
	d := newDoor(t)
	h := d.handler()
	var mu sync.Mutex
	count := map[string]int{}
	var all sync.WaitGroup
	for range maxGuests {
		eve := newDevice(t, "Eve")
		l := serve(t, h, d.device, eve)
		all.Go(func() {
			_, err := try(t, eve, d.inv, Options{PIN: wrong(d.pin)}, l)
			mu.Lock()
			defer mu.Unlock()
			count[fmt.Sprint(err)]++
		})
	}
	all.Wait()
	if count[PINError{2}.Error()] != 1 || count[PINError{1}.Error()] != 1 || count[ErrBurned.Error()] != maxGuests-2 {
		t.Errorf("%v", count)
	}
}

// TestUncountedTryIsUnanswered: when a try cannot be counted, the guest learns
// nothing of the PIN, be it right or wrong.
func TestUncountedTryIsUnanswered(t *testing.T) {
	d := newDoor(t)
	d.shelf.broken = true
	for _, pin := range []string{d.pin, wrong(d.pin)} {
		r := d.raw(newDevice(t, "Eve"), func(l *mesh.Link, g *identity.Device) []byte {
			return d.inv.ProvePIN(pin, l.Exporter, g.Key())
		})
		if r.Reason != reasonFailed || r.Left != 0 || r.Text != "the try could not be counted" {
			t.Errorf("%+v", r)
		}
	}
	if len(d.asked) != 0 {
		t.Error("a person was asked")
	}
}

// raw sends a request with a proof of its own making and returns the refusal.
func (d *door) raw(guest *identity.Device, proof func(*mesh.Link, *identity.Device) []byte) (r refusal) {
	d.t.Helper()
	l := d.link(guest)
	conn := wire.NewConn(l.Sync, limits)
	if err := conn.Send(frameRequest, request{Proof: proof(l, guest), Chain: guest.Chain()}); err != nil {
		d.t.Fatal(err)
	}
	f, err := conn.ReadFrame()
	if err != nil || f.Type != frameRefusal || f.Decode(&r) != nil {
		d.t.Fatalf("answered with %d, %v", f.Type, err)
	}
	return r
}

// TestReplayOfPINProof sends what a guest that knows the PIN has said on another
// link, and as another guest: it is a wrong PIN like any other.
func TestReplayOfPINProof(t *testing.T) {
	d := newDoor(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	elsewhere := []byte("another link")
	for i, who := range []*identity.Device{ben, eve} {
		r := d.raw(who, func(*mesh.Link, *identity.Device) []byte { return d.inv.ProvePIN(d.pin, elsewhere, ben.Key()) })
		if r.Reason != reasonPIN || r.Left != uint64(2-i) {
			t.Errorf("%s: %+v", who.Name(), r)
		}
	}
	r := d.raw(eve, func(l *mesh.Link, _ *identity.Device) []byte { return d.inv.ProvePIN(d.pin, l.Exporter, ben.Key()) })
	if r.Reason != reasonBurned {
		t.Errorf("%+v", r)
	}
}

func TestPINGuestsThatComeAgain(t *testing.T) {
	d := newDoor(t)
	ben, chris := newDevice(t, "Ben"), newDevice(t, "Chris")
	if err := d.comes(ben, wrong(d.pin)); !errors.Is(err, ErrPIN) || err != (PINError{2}) {
		t.Errorf("wrong PIN: %v", err)
	}
	lost := d.link(ben)
	lost.Sync = deaf{lost.Sync}
	got, err := try(t, ben, d.inv, Options{PIN: d.pin}, lost, d.link(ben))
	if err != nil || got.Keys[0] != d.space.Key() {
		t.Errorf("after a lost answer: %v", err)
	}
	d.restart()
	before := len(d.asked)
	if err := d.comes(ben, d.pin); err != nil || len(d.asked) != before {
		t.Errorf("after that: %v, asked %d times more", err, len(d.asked)-before)
	}
	if err := d.comes(chris, d.pin); !errors.Is(err, ErrUsed) {
		t.Errorf("somebody else: %v", err)
	}
	if err := d.comes(chris, wrong(d.pin)); !errors.Is(err, ErrUsed) {
		t.Errorf("somebody else without the PIN: %v", err) // the same, so it says nothing of the PIN
	}
	if d.member(chris) || len(d.space.Members()) != 2 {
		t.Error("more became members")
	}
}

// TestWhoWasRemovedDoesNotComeBackByTheirPIN: it was for once, although who lost
// the answer may come again.
func TestWhoWasRemovedDoesNotComeBackByTheirPIN(t *testing.T) {
	d := newDoor(t)
	ben := newDevice(t, "Ben")
	if err := d.comes(ben, d.pin); err != nil {
		t.Fatal(err)
	}
	if err := d.space.SetRole(t.Context(), ben.Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	d.restart()
	before := d.space.CredentialHeads()
	if err := d.comes(ben, d.pin); !errors.Is(err, ErrUsed) {
		t.Errorf("got %v", err)
	}
	if d.member(ben) || len(d.asked) != 1 || !slices.Equal(before, d.space.CredentialHeads()) {
		t.Error("they are back, or somebody was asked")
	}
}

// deaf loses the link when the first word of the answer comes.
type deaf struct{ net.Conn }

func (d deaf) Read([]byte) (int, error) {
	var one [1]byte
	_, _ = d.Conn.Read(one[:])
	return 0, errors.New("link lost")
}

func TestPINRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(d *door)
		want error
	}{
		{"the person says no", func(d *door) { d.answer = false }, ErrDenied},
		{"and then it is over", func(d *door) { d.answer = false; _ = d.comes(newDevice(d.t, "Ben"), d.pin) }, ErrRevoked},
		{"expired by the host's clock", func(d *door) { d.now = d.inv.Expires.Add(Tolerance + time.Second) }, ErrExpired},
		{"withdrawn", func(d *door) {
			if err := d.ledger.Withdraw(d.inv.ID()); err != nil {
				d.t.Fatal(err)
			}
		}, ErrRevoked},
		{"not in the ledger", func(d *door) { d.shelf.value = nil; d.restart() }, ErrRevoked},
		{"the host is no admin any more", func(d *door) { d.admit = fmt.Errorf("admitting: %w", membership.ErrNotAllowed) }, ErrHost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			tt.do(d)
			chris := newDevice(t, "Chris")
			if err := d.comes(chris, d.pin); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if d.member(chris) {
				t.Error("became a member all the same")
			}
		})
	}
}

// TestExpiryIsTheHosts: a guest whose clock is wrong is let in, and so is one
// who is a little late.
func TestExpiryIsTheHosts(t *testing.T) {
	d := newDoor(t)
	d.now = d.inv.Expires.Add(Tolerance - time.Second)
	d.inv.Expires = d.inv.Expires.Add(-24 * time.Hour * 365) // what the guest's clock would refuse
	ben := newDevice(t, "Ben")
	if err := d.comes(ben, d.pin); err != nil || !d.member(ben) {
		t.Error(err)
	}
}

// TestOtherDeviceHearsNothing meets somebody on the topic who is not the device
// of the invitation, such as one in the middle: there is nobody else a guest
// would show that it knows the PIN.
func TestOtherDeviceHearsNothing(t *testing.T) {
	d := newDoor(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	theirs, mine := pipe(t, eve, ben)
	heard := make(chan int, 1)
	go func() {
		var b [1]byte
		n, _ := theirs.Sync.Read(b[:])
		heard <- n
	}()
	got, err := try(t, ben, d.inv, Options{PIN: d.pin}, mine, d.link(ben)) // and then the real one
	if err != nil || got.Keys[0] != d.space.Key() {
		t.Errorf("%v", err)
	}
	if n := <-heard; n != 0 {
		t.Error("the guest talked to another device")
	}
}

// TestPINGuestWithSomebodyElsesChain knows the PIN and claims to be another.
func TestPINGuestWithSomebodyElsesChain(t *testing.T) {
	d := newDoor(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	l := d.link(eve)
	conn := wire.NewConn(l.Sync, limits)
	if err := conn.Send(frameRequest, request{Proof: d.inv.ProvePIN(d.pin, l.Exporter, eve.Key()), Chain: ben.Chain()}); err != nil {
		t.Fatal(err)
	}
	var r refusal
	if f, err := conn.ReadFrame(); err != nil || f.Type != frameRefusal || f.Decode(&r) != nil || r.Reason != reasonGuest {
		t.Errorf("%v %+v %v", f.Type, r, err)
	}
	if d.member(ben) || d.member(eve) {
		t.Error("somebody became a member")
	}
}
