package feed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// MaxFeeds is how many feeds a timeframe may name.
const MaxFeeds = codec.MaxElements

// maxTimeframe is the most bytes an encoded timeframe of MaxFeeds can have.
const maxTimeframe = 16 + MaxFeeds*(34+1+9+34)

// A Head is the last entry of a feed that somebody has.
type Head struct {
	_   struct{} `cbor:",toarray"`
	Seq uint64
	ID  identity.ID
}

// A Timeframe says how far somebody has each feed. It may be a field of
// another structure; whoever decodes that calls Check.
type Timeframe map[identity.ID]Head

// Part returns t, or as much of it as can be sent: of more than MaxFeeds feeds
// those that are longest, so that least is sent again.
func (t Timeframe) Part() Timeframe {
	if len(t) <= MaxFeeds {
		return t
	}
	feeds := slices.SortedFunc(maps.Keys(t), func(a, b identity.ID) int {
		return cmp.Or(cmp.Compare(t[b].Seq, t[a].Seq), a.Compare(b))
	})
	part := make(Timeframe, MaxFeeds)
	for _, f := range feeds[:MaxFeeds] {
		part[f] = t[f]
	}
	return part
}

// Encode returns the canonical form.
func (t Timeframe) Encode() ([]byte, error) {
	if t == nil {
		t = Timeframe{}
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return codec.Marshal(t)
}

// DecodeTimeframe reads what Encode wrote.
func DecodeTimeframe(data []byte) (Timeframe, error) {
	if len(data) > maxTimeframe {
		return nil, fmt.Errorf("timeframe of %d bytes, at most %d allowed: %w", len(data), maxTimeframe, ErrInvalid)
	}
	var t Timeframe
	if err := codec.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if t == nil {
		return nil, fmt.Errorf("no timeframe: %w", ErrInvalid)
	}
	return t, t.Check()
}

// Check reports why t is not a timeframe that can be sent or was received.
func (t Timeframe) Check() error {
	if len(t) > MaxFeeds {
		return fmt.Errorf("timeframe of %d feeds, at most %d allowed: %w", len(t), MaxFeeds, ErrInvalid)
	}
	for feed, head := range t {
		if feed.IsZero() || head.Seq == 0 || head.Seq > maxNumber || head.ID.IsZero() {
			return fmt.Errorf("timeframe with an empty head: %w", ErrInvalid)
		}
	}
	return nil
}
