// Package admission is the handshake behind an invitation.
//
// Host and guest meet on a topic that follows from the invitation. What happens
// there depends on its kind.
//
// A Link can be honoured by any member's device. The guest proves, for this one
// link, that it has the invitation's key, and signs with it who it is. The host
// writes that down as a REDEEM, which is durable before it answers, and hands
// over the credentials and the keys of the space. The guest believes none of it
// before it has checked it: the credentials must be those of the space that the
// invitation names, hold the INVITE with the invitation's key, make the guest a
// member, and know the host's device as that of a member. One that is refused
// goes on for a moment: another host may know better.
//
// With a PIN the guest talks only to the device that the invitation names, and
// proves, for this one link, that it knows the PIN. Three wrong ones, over all
// links, guests and restarts, and the invitation is burned: each failure is
// durable before it is answered. Then both sides show six digits of the link's
// key material, and the host's person decides.
//
// A guest whose answer got lost asks again and gets the same one.
//
// # Format
//
// Frames on the link's Sync stream. The host of a Link begins with Here. The
// guest sends one Request. The host answers with Credentials, in causal order
// and in as many frames as they need, and one Welcome, or with one Refusal, and
// ends the link; before that, a Wait says that its person is being asked.
//
// # Concurrency
//
// A handler may serve any number of links at once; Join may be called from any
// goroutine. The methods of a Desk may be called from any goroutine.
package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// Frames of the protocol.
const (
	frameRequest     wire.Type = 1
	frameCredentials wire.Type = 2
	frameWelcome     wire.Type = 3
	frameRefusal     wire.Type = 4
	frameHere        wire.Type = 5
	frameWait        wire.Type = 6
)

// Limits on what the other side may send.
const (
	maxRequest     = identity.MaxChain + 16<<10
	maxBatch       = 512 << 10 // of credentials in one frame
	maxBatchFrame  = maxBatch + 128<<10
	maxWelcome     = 128 << 10
	maxRefusal     = 1 << 10
	maxCredentials = 1 << 16  // all frames together
	maxAllBytes    = 64 << 20 // of credentials, all frames together
	maxSignal      = invitation.MaxSignal
	maxKeys        = feed.MaxKeys
)

var limits = wire.Limits{
	frameRequest:     maxRequest,
	frameCredentials: maxBatchFrame,
	frameWelcome:     maxWelcome,
	frameRefusal:     maxRefusal,
	frameHere:        64,
	frameWait:        0,
}

// here is what the host of a Link begins with: which INVITE it is about.
type here struct {
	Invite identity.ID `cbor:"1,keyasint"`
}

// request is the guest's only message.
type request struct {
	Proof []byte `cbor:"1,keyasint"` // for this link only
	Chain []byte `cbor:"2,keyasint"` // who the guest is
	// Signal are the guest's signaling servers, so that the two still meet when
	// the host's has moved.
	Signal []string `cbor:"3,keyasint,omitempty"`
	Redeem []byte   `cbor:"4,keyasint,omitempty"` // for the REDEEM; of a Link
}

// linkProof is what the key of a Link signs to prove, on one link, that the guest
// has it.
type linkProof struct {
	Space    identity.ID        `cbor:"1,keyasint"`
	Device   identity.PublicKey `cbor:"2,keyasint"` // the guest's
	Exporter []byte             `cbor:"3,keyasint"`
}

const contextProof = "echo/admission/1"

func (p linkProof) encode() []byte {
	data, err := codec.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a proof: %v", err)) // a struct of plain fields
	}
	return data
}

// credentials is one batch of the space's credentials.
type credentials struct {
	Raw [][]byte `cbor:"1,keyasint"`
}

// welcome is what a new member gets beside the credentials.
type welcome struct {
	Keys   []feed.Key `cbor:"1,keyasint,omitempty"`
	Name   string     `cbor:"2,keyasint,omitempty"`
	Signal []string   `cbor:"3,keyasint,omitempty"`
	Extra  []byte     `cbor:"4,keyasint,omitempty"` // of a Device
}

// refusal says why not. Text is for versions that do not know Reason.
type refusal struct {
	Reason reason `cbor:"1,keyasint"`
	Text   string `cbor:"2,keyasint,omitempty"`
	Left   uint64 `cbor:"3,keyasint,omitempty"` // tries, after a wrong PIN
}

type reason uint8

const (
	reasonWrong   reason = 1  // not the secret of a live invitation
	reasonExpired reason = 2  // by the host's clock
	reasonUsed    reason = 3  // by others
	reasonRevoked reason = 4  // withdrawn, or never made
	reasonFailed  reason = 5  // the host could not do it; a later try may work
	reasonGuest   reason = 6  // the guest's chain is not acceptable
	reasonPIN     reason = 7  // wrong PIN; Left tries remain
	reasonBurned  reason = 8  // too many wrong PINs
	reasonDenied  reason = 9  // the host's person said no
	reasonHost    reason = 10 // the host may not admit, or not any more
)

// Why a guest was not let in. Match with errors.Is.
var (
	ErrExpired     = errors.New("the invitation has expired: ask for a new one")
	ErrUsed        = errors.New("the invitation was used already: ask for a new one")
	ErrRevoked     = errors.New("the invitation was withdrawn: ask for a new one")
	ErrWrong       = errors.New("the inviting device does not know this invitation: ask for a new one")
	ErrFailed      = errors.New("the inviting device could not complete the invitation: try again")
	ErrPIN         = errors.New("the PIN is wrong")
	ErrBurned      = errors.New("the PIN was wrong three times, which ends the invitation: ask for a new one")
	ErrDenied      = errors.New("the other side said no")
	ErrHost        = errors.New("the inviting device may not let anybody in any more: ask an admin of the space for a new one")
	ErrUnreachable = errors.New("nobody who could let you in answered")
)

// A PINError is a wrong PIN; it matches ErrPIN.
type PINError struct{ Left int } // tries that remain

func (e PINError) Error() string {
	return fmt.Sprintf("%v; tries left: %d", ErrPIN, e.Left)
}

// Is makes it match ErrPIN.
func (e PINError) Is(target error) bool { return target == ErrPIN }

// err translates a refusal.
func (r refusal) err() error {
	switch r.Reason {
	case reasonExpired:
		return ErrExpired
	case reasonUsed:
		return ErrUsed
	case reasonRevoked:
		return ErrRevoked
	case reasonWrong:
		return ErrWrong
	case reasonFailed:
		return ErrFailed
	case reasonPIN:
		return PINError{Left: int(min(r.Left, maxTries))}
	case reasonBurned:
		return ErrBurned
	case reasonDenied:
		return ErrDenied
	case reasonHost:
		return ErrHost
	}
	return fmt.Errorf("the inviting device refused (%d): %q", r.Reason, r.Text)
}

// A Result is what a guest needs to join the space on this device.
type Result struct {
	Space       identity.ID
	Name        string
	Role        credential.Role // by the credentials
	Credentials [][]byte
	Keys        []feed.Key
	Signal      []string // signaling servers of the space
	Extra       []byte   // of a Device: what its host answered
}

// patience is how long one side waits for the other's next frame.
const patience = 20 * time.Second

// signals returns those of urls that count.
func signals(urls []string) []string {
	urls = slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return len(u) > invitation.MaxURL })
	return urls[:min(len(urls), maxSignal)]
}

// readFrame reads one frame, with patience.
func readFrame(l *mesh.Link, conn *wire.Conn, patience time.Duration) (wire.Frame, error) {
	_ = l.Sync.SetReadDeadline(time.Now().Add(patience))
	return conn.ReadFrame()
}

// closeWhenDone ends blocked calls on the link when ctx ends.
func closeWhenDone(ctx context.Context, l *mesh.Link) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = l.Sync.Close()
		_ = l.Blobs.Close()
	})
}

// An answer is what a guest that is let in gets.
type answer struct {
	space.Admission
	extra []byte
}
