package feed

import "github.com/echofs/echofs/identity"

// MaxFeeds is how many feeds a timeframe may name.
const MaxFeeds = 4096

// A Head is the last entry of a feed that somebody has.
type Head struct {
	_   struct{} `cbor:",toarray"`
	Seq uint64
	ID  identity.ID
}

// A Timeframe says how far somebody has each feed. As a value of another
// structure it encodes as Encode does.
type Timeframe map[identity.ID]Head

// Encode returns the canonical form.
func (t Timeframe) Encode() ([]byte, error) { panic("to be written") }

// DecodeTimeframe reads what Encode wrote.
func DecodeTimeframe(data []byte) (Timeframe, error) { panic("to be written") }

// Check reports why t, decoded as part of another structure, is no timeframe.
func (t Timeframe) Check() error { panic("to be written") }
