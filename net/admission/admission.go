// Package admission is the handshake behind an invitation.
//
// Host and guest meet on a topic that follows from the invitation's secret. The
// guest first makes sure that it talks to the device named in the invitation;
// then it proves, for this one link, that it has the secret, and shows who it
// is. The host redeems the invitation, which is durable before it answers, and
// hands over what a member needs: the credentials and the key of the space. A
// guest whose answer got lost asks again and gets the same one.
//
// # Format
//
// Frames on the link's Sync stream. The guest sends one Request, the host
// answers with Credentials, in causal order and in as many frames as they need,
// and one Welcome, or with one Refusal, and the host ends the link.
//
// # Concurrency
//
// A handler may serve any number of links at once; Join may be called from any
// goroutine.
package admission

import (
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/wire"
)

// Frames of the protocol.
const (
	frameRequest     wire.Type = 1
	frameCredentials wire.Type = 2
	frameWelcome     wire.Type = 3
	frameRefusal     wire.Type = 4
)

// Limits on what the other side may send.
const (
	maxRequest     = identity.MaxChain + 8<<10
	maxBatch       = 512 << 10 // of credentials in one frame
	maxBatchFrame  = maxBatch + 128<<10
	maxWelcome     = 16 << 10
	maxRefusal     = 1 << 10
	maxCredentials = 1 << 16  // all frames together
	maxAllBytes    = 64 << 20 // of credentials, all frames together
	maxSignal      = invitation.MaxSignal
)

var limits = wire.Limits{
	frameRequest:     maxRequest,
	frameCredentials: maxBatchFrame,
	frameWelcome:     maxWelcome,
	frameRefusal:     maxRefusal,
}

// request is the guest's only message.
type request struct {
	Proof []byte `cbor:"1,keyasint"` // for this link only
	Chain []byte `cbor:"2,keyasint"` // who the guest is
	// Signal are the guest's signaling servers, so that the two still meet when
	// the host's has moved.
	Signal []string `cbor:"3,keyasint,omitempty"`
}

// credentials is one batch of the space's credentials.
type credentials struct {
	Raw [][]byte `cbor:"1,keyasint"`
}

// welcome is what a new member gets beside the credentials.
type welcome struct {
	Key    feed.Key `cbor:"1,keyasint"`
	Name   string   `cbor:"2,keyasint"`
	Signal []string `cbor:"3,keyasint,omitempty"`
}

// refusal says why not. Text is for versions that do not know Reason.
type refusal struct {
	Reason reason `cbor:"1,keyasint"`
	Text   string `cbor:"2,keyasint,omitempty"`
}

type reason uint8

const (
	reasonWrong   reason = 1 // not the secret of a live invitation
	reasonExpired reason = 2
	reasonUsed    reason = 3
	reasonRevoked reason = 4
	reasonFailed  reason = 5 // the host could not do it; a later try may work
	reasonGuest   reason = 6 // the guest's chain is not acceptable
)

// Why a guest was not let in. Match with errors.Is.
var (
	ErrExpired     = errors.New("the invitation has expired: ask for a new one")
	ErrUsed        = errors.New("the invitation was used already, each lets in one person: ask for a new one")
	ErrRevoked     = errors.New("the invitation was withdrawn: ask for a new one")
	ErrWrong       = errors.New("the inviting device does not know this invitation: ask for a new one")
	ErrFailed      = errors.New("the inviting device could not complete the invitation: try again")
	ErrUnreachable = errors.New("the inviting device did not answer: it must be online while you join, " +
		"so start echofs there (\"echofs up\") and try again")
)

// signals returns those of urls that count.
func signals(urls []string) []string {
	urls = slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return len(u) > invitation.MaxURL })
	return urls[:min(len(urls), maxSignal)]
}

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
	}
	return fmt.Errorf("the inviting device refused (%d): %q", r.Reason, r.Text)
}

// Result is what a guest needs to join the space on this device.
type Result struct {
	Space       identity.ID
	Name        string
	Role        credential.Role // what the invitation promised
	Credentials [][]byte
	Key         feed.Key
	Signal      []string // signaling servers of the space
}
