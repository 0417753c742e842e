package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/identity/codec"
)

const (
	attemptLimit = 15 * time.Second // from the offer to an authenticated link
	answerLimit  = 8 * time.Second  // of those, until the answer
)

// Kinds of calls.
const (
	callOffer  = 1
	callAnswer = 2
	callMe     = 3 // the one who does not dial asks for a connection
)

// A call is a signaling message of the mesh.
type call struct {
	Kind uint64   `cbor:"1,keyasint"`
	ID   [16]byte `cbor:"2,keyasint,omitzero"` // of the attempt
	SDP  []byte   `cbor:"3,keyasint,omitempty"`
}

var errCall = errors.New("not a call")

func (c call) encode() []byte {
	data, err := codec.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("encoding a call: %v", err)) // a struct of plain fields
	}
	return data
}

func decodeCall(data []byte) (call, error) {
	var c call
	if err := codec.Unmarshal(data, &c); err != nil {
		return call{}, fmt.Errorf("%w: %w", errCall, err)
	}
	if c.Kind < callOffer || c.Kind > callMe {
		return call{}, fmt.Errorf("%w: kind %d", errCall, c.Kind)
	}
	return c, nil
}

// offer is a call that can be answered.
type offer struct {
	from route
	call call
}

// answer is what an attempt waits for.
type answer struct {
	id  [16]byte
	sdp chan []byte // capacity 1
}

// askForCall tells the peer that its link is not alive here: it may not have
// noticed.
func (k *keeper) askForCall() {
	k.mu.Lock()
	routes := append([]route(nil), k.routes...)
	k.mu.Unlock()
	if len(routes) > 0 {
		// If the message is lost the peer's heartbeat finds out.
		_ = routes[len(routes)-1].send(call{Kind: callMe})
	}
}

// dial returns an attempt to call the peer.
func (k *keeper) dial(to route) func(context.Context) (*live, error) {
	return func(ctx context.Context) (*live, error) {
		conn, sdp, err := k.swarm.mesh.rtc.Offer(ctx)
		if err != nil {
			return nil, err
		}
		a := &answer{sdp: make(chan []byte, 1)}
		rand.Read(a.id[:])
		k.mu.Lock()
		k.answer = a
		k.mu.Unlock()
		err = to.send(call{Kind: callOffer, ID: a.id, SDP: sdp})
		if err == nil {
			err = a.wait(ctx, conn.Accept)
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return k.swarm.secure(ctx, conn, k.device, to, true)
	}
}

func (a *answer) wait(ctx context.Context, accept func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	select {
	case sdp := <-a.sdp:
		return accept(sdp)
	case <-ctx.Done():
		return fmt.Errorf("waiting for the peer's answer: %w", ctx.Err())
	}
}

// accept returns an attempt to answer the peer's call.
func (k *keeper) accept(o *offer) func(context.Context) (*live, error) {
	return func(ctx context.Context) (*live, error) {
		conn, sdp, err := k.swarm.mesh.rtc.Answer(ctx, o.call.SDP)
		if err != nil {
			return nil, err
		}
		if err := o.from.send(call{Kind: callAnswer, ID: o.call.ID, SDP: sdp}); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return k.swarm.secure(ctx, conn, k.device, o.from, false)
	}
}
