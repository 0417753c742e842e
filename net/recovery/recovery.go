// Package recovery is how somebody who has lost all devices gets back, from
// others, what they need to begin anew: their identity and their spaces.
//
// Members of a space wait for each other on a topic that follows from the public
// half of the recovery words. Whoever comes there proves, for this one link, that
// they have the private half, and is then told what the waiting device has of
// them: the chain of their identity, the boxes they left in the spaces both are
// in, and how to join those spaces. A stranger learns nothing.
//
// The guest believes a chain only if it names the words' key, and whoever uses
// Find has to check the rest: a host is some member of some space, or was one.
//
// # Format
//
// Frames on the link's Sync stream. The guest sends one Ask. The host answers
// with a Chain, any number of Boxes and Spaces, and an End, or with a Refusal.
//
// # Concurrency
//
// A Host may serve any number of links at once; Find may be called from any
// goroutine.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// Frames of the protocol.
const (
	frameAsk     wire.Type = 1
	frameChain   wire.Type = 2
	frameBox     wire.Type = 3
	frameSpace   wire.Type = 4
	frameEnd     wire.Type = 5
	frameRefusal wire.Type = 6
)

const (
	// MaxSpace is the most bytes that are told of one space.
	MaxSpace = 60 << 10
	// MaxSpaces is how many spaces, and how many boxes, one host tells of.
	MaxSpaces = 256
	// MaxHelp is the most bytes that one host tells.
	MaxHelp = 8 << 20

	contextAsk = "echo/recovery/1"
	patience   = 20 * time.Second
	maxGuests  = 8 // links that one host serves at once
)

var limits = wire.Limits{
	frameAsk:     256,
	frameChain:   identity.MaxChain,
	frameBox:     credential.MaxMeta,
	frameSpace:   MaxSpace,
	frameEnd:     0,
	frameRefusal: 0,
}

var (
	// ErrUnreachable reports that nobody answered.
	ErrUnreachable = errors.New("nobody who knows you answered")
	errRefused     = errors.New("the other side does not know these words")
	errWords       = errors.New("whoever came does not have the words")
	errProtocol    = errors.New("not what belongs here")
	errCrowd       = errors.New("too many at once")
)

// Topic is where those wait who can help whoever has the words of a public key.
func Topic(words identity.PublicKey) [32]byte {
	return identity.Hash("echo/recovery/topic/1", words[:])
}

// ask is the guest's only message.
type ask struct {
	Sig []byte `cbor:"1,keyasint"` // by the key of the words, of a proof
}

// proof ties an ask to one link.
type proof struct {
	Device   identity.PublicKey `cbor:"1,keyasint"` // the guest's, on this link
	Host     identity.PublicKey `cbor:"2,keyasint"`
	Exporter []byte             `cbor:"3,keyasint"`
}

func (p proof) encode() []byte {
	data, err := codec.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a proof: %v", err)) // a struct of plain fields
	}
	return data
}

// Help is what one host tells.
type Help struct {
	Host   identity.PublicKey // who tells it; Find sets it
	Chain  []byte             // of the identity, as far as the host knows it
	Boxes  [][]byte           // what the identity left in the spaces both are in
	Spaces [][]byte           // how to join those; up to the caller
}

// readFrame reads one frame, with patience.
func readFrame(l *mesh.Link, conn *wire.Conn) (wire.Frame, error) {
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
