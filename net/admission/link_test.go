package admission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// invite opens a link into the house.
func (h *house) invite(role credential.Role, uses uint32) (invitation.Invitation, identity.ID) {
	h.t.Helper()
	inv, err := invitation.New(invitation.Invitation{
		Kind: invitation.Link, Space: h.space.ID(), Role: role, Expires: h.now.Add(time.Hour),
		Signal: []string{"https://signal.example/"}, Name: "home",
	})
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.space.OpenInvite(role, uses, inv.Expires, inv.Pub(), "for a friend")
	if err != nil {
		h.t.Fatal(err)
	}
	return inv, id
}

// link is a link of guest to this house, which honours the invitation.
func (h *house) link(guest *identity.Device, id identity.ID) *mesh.Link {
	h.t.Helper()
	return serve(h.t, HostLink(h.space, id, h.common()), h.device, guest)
}

// letIn has a guest use a link here.
func (h *house) letIn(guest *identity.Device, inv invitation.Invitation, id identity.ID) (Result, error) {
	h.t.Helper()
	return try(h.t, guest, inv, Options{Opinion: time.Nanosecond}, h.link(guest, id))
}

// resident is a device that has become a member.
func (h *house) resident(name string, role credential.Role) *house {
	h.t.Helper()
	d := newDevice(h.t, name)
	inv, id := h.invite(role, 1)
	got, err := h.letIn(d, inv, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return move(h.t, d, got)
}

func TestLink(t *testing.T) {
	anna := newHouse(t)
	made, id := anna.invite(credential.Editor, 1)
	inv, err := invitation.Parse(made.String()) // as it reaches the guest
	if err != nil {
		t.Fatal(err)
	}
	ben := newDevice(t, "Ben")
	m := &fakeMesh{links: make(chan *mesh.Link, 1), log: t.Log}
	m.links <- anna.link(ben, id)
	got, err := Join(t.Context(), m, ben, inv, Options{Signal: []string{"https://ben.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Space != anna.space.ID() || got.Name != "home" || got.Role != credential.Editor || got.Keys[0] != anna.space.Key() || len(got.Signal) != 2 {
		t.Errorf("%+v", got)
	}
	if m.topic != invitation.LinkTopic(inv.Pub()) || len(m.signals) != 1 || <-anna.met != "https://ben.example" {
		t.Errorf("met on %x with servers %v", m.topic, m.signals)
	}
	if !anna.member(ben) {
		t.Error("the host does not know its new member")
	}
	if other := move(t, ben, got); other.space.ID() != anna.space.ID() || other.space.Role() != credential.Editor {
		t.Error("the guest's copy is another space")
	}
}

// TestLinkWhileTheInviterIsAway: any member's device lets a guest in, and the
// inviter finds that right.
func TestLinkWhileTheInviterIsAway(t *testing.T) {
	anna := newHouse(t)
	ben := anna.resident("Ben", credential.Reader)
	inv, id := anna.invite(credential.Admin, 1)
	ben.learn(anna)

	chris := newDevice(t, "Chris")
	got, err := ben.letIn(chris, inv, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.Role != credential.Admin || ben.role(chris) != credential.Admin || anna.member(chris) {
		t.Errorf("%v by the guest, %v by the witness", got.Role, ben.role(chris))
	}
	anna.learn(ben)
	if anna.role(chris) != credential.Admin {
		t.Error("the inviter does not know the new member")
	}
	// And the new member can do what an admin can.
	home := move(t, chris, got)
	dora := home.resident("Dora", credential.Editor)
	anna.learn(dora)
	if anna.role(dora.device) != credential.Editor {
		t.Error("the inviter does not know whom the new admin invited")
	}
}

// TestDoubleUseUnderPartition: two witnesses that do not see each other let two
// guests in with an invitation for one. When they meet, exactly one of them is a
// member, the same one everywhere.
func TestDoubleUseUnderPartition(t *testing.T) {
	for range 4 { // which of the two depends on hashes
		anna := newHouse(t)
		ben := anna.resident("Ben", credential.Editor)
		inv, id := anna.invite(credential.Editor, 1)
		ben.learn(anna)

		chris, dora := newDevice(t, "Chris"), newDevice(t, "Dora")
		atAnnas, err1 := anna.letIn(chris, inv, id)
		atBens, err2 := ben.letIn(dora, inv, id)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		all := []*house{anna, ben, move(t, chris, atAnnas), move(t, dora, atBens)}
		for _, h := range all {
			for _, other := range all {
				h.learn(other)
			}
		}
		for _, h := range all {
			if h.member(chris) == h.member(dora) || h.member(chris) != anna.member(chris) || len(h.space.Members()) != 3 {
				t.Fatalf("at %s: Chris is %v, Dora is %v", h.device.Name(), h.role(chris), h.role(dora))
			}
		}
		// The one who lost hears why.
		late := chris
		if anna.member(chris) {
			late = dora
		}
		if _, err := ben.letIn(late, inv, id); !errors.Is(err, ErrUsed) {
			t.Errorf("the one who lost: %v", err)
		}
		// They have the key, which ends.
		if !anna.space.Stale() {
			t.Error("somebody who is no member knows the key, and nobody changes it")
		}
		if err := anna.space.Rotate(t.Context()); err != nil || anna.space.Stale() {
			t.Errorf("after the key has changed: %v", err)
		}
	}
}

func TestLinkForSeveral(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Reader, 3)
	var last *identity.Device
	for range 3 {
		last = newDevice(t, "Guest")
		if _, err := anna.letIn(last, inv, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := anna.letIn(newDevice(t, "Guest"), inv, id); !errors.Is(err, ErrUsed) {
		t.Errorf("a fourth: %v", err)
	}
	if got, err := anna.letIn(last, inv, id); err != nil || got.Role != credential.Reader {
		t.Errorf("the third, again: %v", err)
	}
	if len(anna.space.Members()) != 4 {
		t.Errorf("%d members", len(anna.space.Members()))
	}
}

func TestLinkLostAnswer(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Editor, 1)
	ben := newDevice(t, "Ben")
	lost := anna.link(ben, id)
	lost.Sync = &forgetful{Conn: lost.Sync}
	got, err := try(t, ben, inv, Options{}, lost, anna.link(ben, id))
	if err != nil || got.Keys[0] != anna.space.Key() {
		t.Error(err)
	}
}

// forgetful loses the link with the second frame.
type forgetful struct {
	net.Conn
	n int
}

func (f *forgetful) Read(b []byte) (int, error) {
	if f.n >= 40 { // behind the host's first word
		_, _ = f.Conn.Read(b[:1])
		return 0, errors.New("link lost")
	}
	n, err := f.Conn.Read(b)
	f.n += n
	return n, err
}

func TestLinkRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, h *house, inv *invitation.Invitation, id identity.ID)
		want error
	}{
		{"used by somebody else", func(t *testing.T, h *house, inv *invitation.Invitation, id identity.ID) {
			if _, err := h.letIn(newDevice(t, "Chris"), *inv, id); err != nil {
				t.Fatal(err)
			}
		}, ErrUsed},
		{"withdrawn", func(t *testing.T, h *house, _ *invitation.Invitation, id identity.ID) {
			if err := h.space.CloseInvite(id); err != nil {
				t.Fatal(err)
			}
		}, ErrRevoked},
		{"expired by the host's clock", func(_ *testing.T, h *house, inv *invitation.Invitation, _ identity.ID) {
			h.now = inv.Expires.Add(Tolerance + time.Second)
		}, ErrExpired},
		{"a little late", func(_ *testing.T, h *house, inv *invitation.Invitation, _ identity.ID) {
			h.now = inv.Expires.Add(Tolerance - time.Second)
		}, nil},
		{"long expired by the guest's clock", func(_ *testing.T, _ *house, inv *invitation.Invitation, _ identity.ID) {
			inv.Expires = time.Unix(1e9, 0)
		}, nil},
		{"another key", func(_ *testing.T, _ *house, inv *invitation.Invitation, _ identity.ID) {
			inv.Secret[0] ^= 1
		}, ErrWrong},
		{"another space", func(_ *testing.T, _ *house, inv *invitation.Invitation, _ identity.ID) {
			inv.Space[0] ^= 1
		}, ErrWrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			ben := newDevice(t, "Ben")
			inv, id := h.invite(credential.Editor, 1)
			tt.do(t, h, &inv, id)
			if _, err := h.letIn(ben, inv, id); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if h.member(ben) != (tt.want == nil) {
				t.Errorf("a member: %v", h.member(ben))
			}
		})
	}
}

// TestAnotherHostKnowsBetter: a host that has not heard of something, or is
// nobody, does not keep a guest from being let in by the next one.
func TestAnotherHostKnowsBetter(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Editor, 1)
	late := newHouse(t)
	late.space, late.device = anna.space, newDevice(t, "Slow clock")
	late.now = inv.Expires.Add(Tolerance + time.Hour)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	theirs, mine := pipe(t, eve, ben) // who has the invitation too, and plays the host
	go func() {
		c := wire.NewConn(theirs.Sync, limits)
		if err := c.Send(frameHere, here{id}); err == nil {
			_, _ = c.ReadFrame()
		}
		_ = c.Send(frameRefusal, refusal{Reason: reasonRevoked})
		_ = theirs.Sync.Close()
	}()
	got, err := try(t, ben, inv, Options{Opinion: time.Minute}, mine, late.link(ben, id), anna.link(ben, id))
	if err != nil || got.Keys[0] != anna.space.Key() {
		t.Error(err)
	}
}

// TestReplayOfLinkProof sends what a guest has said on another link.
func TestReplayOfLinkProof(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Editor, 1)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	for _, who := range []*identity.Device{ben, eve} {
		l := anna.link(who, id)
		proof := linkProof{Space: inv.Space, Device: ben.Key(), Exporter: []byte("another link")}
		r := ask(t, l, request{
			Proof: inv.Sign(contextProof, proof.encode()), Chain: who.Chain(),
			Redeem: inv.Sign(identity.ContextRedeem, credential.RedeemMessage(inv.Space, id, ben.Identity(), ben.Key())),
		})
		if r.Reason != reasonWrong {
			t.Errorf("%s: %+v", who.Name(), r)
		}
	}
	if anna.member(ben) || anna.member(eve) {
		t.Error("somebody became a member")
	}
}

// ask sends a request to the host of a link and returns its refusal.
func ask(t *testing.T, l *mesh.Link, req request) (r refusal) {
	t.Helper()
	conn := wire.NewConn(l.Sync, limits)
	if f, err := conn.ReadFrame(); err != nil || f.Type != frameHere {
		t.Fatalf("began with %d, %v", f.Type, err)
	}
	if err := conn.Send(frameRequest, req); err != nil {
		t.Fatal(err)
	}
	f, err := conn.ReadFrame()
	if err != nil || f.Type != frameRefusal || f.Decode(&r) != nil {
		t.Fatalf("answered with %d, %v", f.Type, err)
	}
	return r
}

// TestLinkGuestWithSomebodyElsesChain has the link and claims to be another.
func TestLinkGuestWithSomebodyElsesChain(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Editor, 1)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	l := anna.link(eve, id)
	proof := linkProof{Space: inv.Space, Device: eve.Key(), Exporter: l.Exporter}
	r := ask(t, l, request{
		Proof: inv.Sign(contextProof, proof.encode()), Chain: ben.Chain(),
		Redeem: inv.Sign(identity.ContextRedeem, credential.RedeemMessage(inv.Space, id, ben.Identity(), ben.Key())),
	})
	if r.Reason != reasonGuest || anna.member(ben) || anna.member(eve) {
		t.Errorf("%+v", r)
	}
}

// TestRevokedDeviceWithItsOldLink: who steals a device finds the link there by
// which it came, and a chain in which it is live.
func TestRevokedDeviceWithItsOldLink(t *testing.T) {
	anna := newHouse(t)
	inv, id := anna.invite(credential.Editor, 1)
	stolen := newDevice(t, "Ben")
	if _, err := anna.letIn(stolen, inv, id); err != nil {
		t.Fatal(err)
	}
	j, err := identity.NewDeviceRequest(nil, stolen.Identity(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := stolen.AddDevice(j.Request())
	if err != nil {
		t.Fatal(err)
	}
	laptop, err := j.Finish(chain)
	if err != nil {
		t.Fatal(err)
	}
	if err := laptop.RevokeDevice(stolen.Key()); err != nil {
		t.Fatal(err)
	}
	if err := anna.space.ImportChain(laptop.Chain()); err != nil {
		t.Fatal(err)
	}
	if err := anna.space.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if anna.member(stolen) || !anna.member(laptop) || stolen.Identity() != laptop.Identity() {
		t.Fatal("the wrong device is revoked")
	}
	l := anna.link(stolen, id)
	proof := linkProof{Space: inv.Space, Device: stolen.Key(), Exporter: l.Exporter}
	r := ask(t, l, request{
		Proof: inv.Sign(contextProof, proof.encode()), Chain: stolen.Chain(),
		Redeem: inv.Sign(identity.ContextRedeem, credential.RedeemMessage(inv.Space, id, stolen.Identity(), stolen.Key())),
	})
	if r.Reason != reasonGuest {
		t.Errorf("%+v", r)
	}
}

// TestTwoHosts have nothing to say to each other.
func TestTwoHosts(t *testing.T) {
	anna := newHouse(t)
	_, id := anna.invite(credential.Editor, 1)
	mine, theirs := pipe(t, anna.device, newDevice(t, "Ben"))
	done := make(chan error, 1)
	go func() { done <- HostLink(anna.space, id, anna.common()).Link(t.Context(), mine) }()
	conn := wire.NewConn(theirs.Sync, limits)
	if f, err := conn.ReadFrame(); err != nil || f.Type != frameHere {
		t.Fatalf("began with %d, %v", f.Type, err)
	}
	if err := conn.Send(frameHere, here{id}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, mesh.ErrRefused) || !errors.Is(err, errTwoHost) {
		t.Error(err)
	}
}

// TestBadHosts answers a guest with what no honest host would.
func TestBadHosts(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	inv, id := h.invite(credential.Editor, 1)
	_, _ = other.invite(credential.Editor, 1)
	ben := newDevice(t, "Ben")
	member := newHouse(t) // where Ben is a member, and the invitation unknown
	if _, err := member.space.Admit(ben.Chain(), credential.Reader); err != nil {
		t.Fatal(err)
	}
	ring := []feed.Key{h.space.Key()}
	any := wire.Limits{frameHere: 64, frameCredentials: 1 << 20, frameWelcome: 1 << 20, frameRefusal: 1 << 20, 99: 1 << 20}
	tests := []struct {
		name string
		do   func(c *wire.Conn, raw net.Conn)
		want string
	}{
		{"no member after all", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{h.space.Credentials()})
			_ = c.Send(frameWelcome, welcome{Keys: ring, Name: "home"})
		}, "no member"},
		{"credentials of another space", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{other.space.Credentials()})
			_ = c.Send(frameWelcome, welcome{Keys: ring, Name: "home"})
		}, "bad credential"},
		{"no credentials", func(c *wire.Conn, _ net.Conn) { _ = c.Send(frameWelcome, welcome{Keys: ring, Name: "home"}) }, "no member"},
		{"garbage credential", func(c *wire.Conn, _ net.Conn) {
			_ = c.Send(frameCredentials, credentials{[][]byte{{1, 2, 3}}})
			_ = c.Send(frameWelcome, welcome{})
		}, "bad credential"},
		{"no end of credentials", func(c *wire.Conn, _ net.Conn) {
			big := credentials{[][]byte{make([]byte, maxBatch)}}
			for c.Send(frameCredentials, big) == nil {
			}
		}, "too many credentials"},
		{"unknown frame", func(c *wire.Conn, _ net.Conn) { _ = c.WriteFrame(99, nil) }, "unknown type"},
		{"unknown version", func(_ *wire.Conn, raw net.Conn) { _, _ = raw.Write([]byte{77, 1, 0, 0, 0, 0}) }, "unknown version"},
		{"huge frame", func(_ *wire.Conn, raw net.Conn) { _, _ = raw.Write([]byte{wire.Version, 2, 255, 0, 0, 0}) }, "too large"},
		{"garbage body", func(c *wire.Conn, _ net.Conn) { _ = c.WriteFrame(frameWelcome, []byte{255}) }, "malformed"},
		{"strange refusal", func(c *wire.Conn, _ net.Conn) { _ = c.Send(frameRefusal, refusal{Reason: 77, Text: "because\x1b[2J"}) }, `"because\x1b[2J"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			theirs, mine := pipe(t, h.device, ben)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c := wire.NewConn(theirs.Sync, wire.Limits{frameRequest: maxRequest})
				if err := wire.NewConn(theirs.Sync, limits).Send(frameHere, here{id}); err == nil {
					if _, err := c.ReadFrame(); err == nil {
						tt.do(wire.NewConn(theirs.Sync, any), theirs.Sync)
					}
				}
				_ = theirs.Sync.Close()
			}()
			_, err := try(t, ben, inv, Options{Opinion: time.Nanosecond}, mine)
			<-done
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestHostsThatMayNotSaySo hand over true credentials, and are no members; or
// make the guest a member without the invitation.
func TestHostsThatMayNotSaySo(t *testing.T) {
	anna := newHouse(t)
	ben, eve := newDevice(t, "Ben"), newDevice(t, "Eve")
	inv, id := anna.invite(credential.Editor, 1)
	forged := inv
	forged.Secret[0] ^= 1
	if _, err := anna.letIn(ben, inv, id); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host *identity.Device
		inv  invitation.Invitation
		keys []feed.Key
		want string
	}{
		{eve, inv, []feed.Key{anna.space.Key()}, "no member of the space"},
		{anna.device, forged, []feed.Key{anna.space.Key()}, "not one of the space"},
		{anna.device, inv, nil, "sent 0 keys"},
		{anna.device, inv, []feed.Key{anna.space.Key()}, ""},
	} {
		g := &guest{device: ben, inv: tt.inv}
		_, err := g.accept(&mesh.Link{Peer: tt.host.Profile()}, anna.space.Credentials(), welcome{Keys: tt.keys})
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	anna := newHouse(t)
	inv, _ := anna.invite(credential.Editor, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Join(ctx, &fakeMesh{}, newDevice(t, "Ben"), inv, Options{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// TestCrowdWithOneInvitation has guests that say nothing.
func TestCrowdWithOneInvitation(t *testing.T) {
	h := newHost(Common{}, nil, func(context.Context, *mesh.Link, request, func() error) (answer, *refusal) {
		return answer{}, &refusal{Reason: reasonFailed}
	})
	d := newDevice(t, "Eve")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2*maxGuests)
	for range 2 * maxGuests {
		_, theirs := pipe(t, d, d)
		go func() { done <- h.Link(ctx, theirs) }()
	}
	for range maxGuests { // the others wait for a word
		if err := <-done; !errors.Is(err, errCrowd) || errors.Is(err, mesh.ErrRefused) {
			t.Errorf("link ended with %v", err)
		}
	}
	cancel()
	for range maxGuests {
		if err := <-done; errors.Is(err, errCrowd) {
			t.Error("more were sent away than had to be")
		}
	}
}

// TestWhatALinkSays: whoever sees the topic, the ID or a proof learns no secret.
func TestWhatALinkSays(t *testing.T) {
	anna := newHouse(t)
	inv, _ := anna.invite(credential.Editor, 1)
	proof := linkProof{Space: inv.Space, Device: anna.device.Key(), Exporter: make([]byte, 32)}
	for _, public := range [][]byte{inv.Sign(contextProof, proof.encode()), slices.Concat(anna.space.Credentials()...)} {
		if strings.Contains(string(public), string(inv.Secret[:])) {
			t.Error("the secret is in what others see")
		}
	}
}
