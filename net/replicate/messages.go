package replicate

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/wire"
)

// Frames on the Sync stream, in the order in which a peer may first send them.
const (
	frameProof       wire.Type = 1  // proof: the sender knows the space key
	frameHeads       wire.Type = 2  // heads: the sender's credential heads
	frameCredentials wire.Type = 3  // credentials the receiver may lack
	frameHave        wire.Type = 4  // have: the sender's timeframe
	frameEntries     wire.Type = 5  // entries: new ones of the sender's own, and those asked for
	frameNews        wire.Type = 6  // news: what the sender has got since, of other authors
	framePull        wire.Type = 7  // pull: entries the sender lacks and the receiver has
	frameSent        wire.Type = 8  // empty: that was all of the last pull
	frameKeys        wire.Type = 9  // keys: those of the space that the receiver lacks
	frameForks       wire.Type = 10 // forks: proofs that feeds have forked
	frameAsk         wire.Type = 11 // ask: which entry has the receiver in a place?
	frameStub        wire.Type = 12 // stub: this one, without its payload
	framePresence    wire.Type = 13 // presence: what the person at the sender is doing
)

// Frames on the Blobs stream.
const (
	frameWant  wire.Type = 1 // want: chunks the sender asks for
	frameChunk wire.Type = 2 // hash and bytes of one chunk, no CBOR
	frameNone  wire.Type = 3 // want: chunks asked for that the sender has not
	frameOffer wire.Type = 4 // want: chunks of an earlier None that it has now
)

// Limits on what a peer may send, and on what we put into one frame.
const (
	maxEntry   = feed.MaxPayload + 32<<10 // with header, signature and encryption
	maxChunk   = 2<<20 + 64<<10
	maxHeads   = 4096
	maxFrame   = maxEntry + 32<<10
	batchBytes = 128 << 10 // entries or credentials are gathered up to this
	batchItems = 256
	maxWants   = 64   // chunks in one frame
	maxNews    = 1024 // feeds in one frame
	maxForks   = 32   // proofs in one frame
)

var syncLimits = wire.Limits{
	frameProof:       feed.MaxKeys*34 + 64,
	frameHeads:       maxHeads*34 + 64,
	frameCredentials: maxFrame,
	frameHave:        feed.MaxFeeds*80 + 64,
	frameEntries:     maxFrame,
	frameNews:        maxNews*43 + 64,
	framePull:        maxSpans*53 + 64,
	frameSent:        0,
	frameKeys:        feed.MaxKeys*34 + 64,
	frameForks:       maxForks*(2*feed.MaxStub+32) + 64,
	frameAsk:         64,
	frameStub:        feed.MaxStub + 64,
	framePresence:    maxPresenceFile + 64,
}

var blobLimits = wire.Limits{
	frameWant:  maxWants*34 + 64,
	frameChunk: 32 + maxChunk,
	frameNone:  maxWants*34 + 64,
	frameOffer: maxWants*34 + 64,
}

type proof struct {
	MAC   [32]byte   `cbor:"1,keyasint"`           // under the key that the sender writes with
	Older [][32]byte `cbor:"2,keyasint,omitempty"` // under the others it has
}

type keys struct {
	Keys [][32]byte `cbor:"1,keyasint"`
}

type forks struct {
	Proofs [][]byte `cbor:"1,keyasint"`
}

type ask struct {
	Feed identity.ID `cbor:"1,keyasint"`
	Seq  uint64      `cbor:"2,keyasint"`
}

type stub struct {
	Raw []byte `cbor:"1,keyasint"`
}

type heads struct {
	IDs []identity.ID `cbor:"1,keyasint"`
}

type credentials struct {
	Raw [][]byte `cbor:"1,keyasint"`
}

type have struct {
	Timeframe feed.Timeframe `cbor:"1,keyasint"`
}

type entries struct {
	Raw [][]byte `cbor:"1,keyasint"`
}

type news struct {
	Seqs map[identity.ID]uint64 `cbor:"1,keyasint"` // last entry per feed
}

type pull struct {
	Spans map[identity.ID]span `cbor:"1,keyasint"`
}

type want struct {
	Hashes [][32]byte `cbor:"1,keyasint"`
}

// prove returns the MAC by which one end of a link shows that it knows the key.
// Both ends' MACs differ, so none can be sent back.
func prove(key feed.Key, exporter []byte, initiator bool) [32]byte {
	k := hmac.New(sha256.New, key[:])
	k.Write([]byte("echofs/replicate/proof/1"))
	mac := hmac.New(sha256.New, k.Sum(nil))
	if initiator {
		mac.Write([]byte{1})
	} else {
		mac.Write([]byte{2})
	}
	mac.Write(exporter)
	return [32]byte(mac.Sum(nil))
}

// item is an entry of a peer whose structure has been checked.
type item struct {
	feed identity.ID
	seq  uint64
	raw  []byte
}

// decode reads the body of a frame that is a message.
func decode[M any](f wire.Frame) (m M, err error) {
	err = f.Decode(&m)
	return m, err
}

// decodeSync turns a frame of the Sync stream into an input of a session. The
// input means nothing where there is an error.
func decodeSync(f wire.Frame) (input, error) {
	switch f.Type {
	case frameProof:
		m, err := decode[proof](f)
		return gotProof{m.MAC, m.Older}, err
	case frameHeads:
		m, err := decode[heads](f)
		return gotHeads{m.IDs}, err
	case frameCredentials:
		m, err := decode[credentials](f)
		if err != nil {
			return nil, err
		}
		return decodeCredentials(m.Raw)
	case frameHave:
		m, err := decode[have](f)
		if err != nil {
			return nil, err
		}
		return decodeHave(m.Timeframe)
	case frameEntries:
		m, err := decode[entries](f)
		if err != nil {
			return nil, err
		}
		return decodeEntries(m.Raw)
	case frameNews:
		m, err := decode[news](f)
		return gotNews{m.Seqs}, err
	case framePull:
		m, err := decode[pull](f)
		return gotPull{m.Spans}, err
	case frameSent:
		return gotSent{}, nil
	case frameKeys:
		m, err := decode[keys](f)
		return gotKeys{m.Keys}, err
	case frameForks:
		m, err := decode[forks](f)
		return gotForks{m.Proofs}, err
	case frameAsk:
		m, err := decode[ask](f)
		return gotAsk{m}, err
	case frameStub:
		m, err := decode[stub](f)
		return gotStub{m.Raw}, err
	case framePresence:
		return decodePresence(f)
	}
	return nil, fmt.Errorf("frame %d: %w", f.Type, wire.ErrType)
}

func decodeHave(t feed.Timeframe) (input, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	in := gotHave{make(map[identity.ID]uint64, len(t)), t}
	for id, h := range t {
		in.seqs[id] = h.Seq
	}
	return in, nil
}

func decodeEntries(raw [][]byte) (input, error) {
	in := gotEntries{items: make([]item, 0, len(raw))}
	for _, b := range raw {
		e, err := feed.Decode(b)
		if errors.Is(err, feed.ErrNewer) {
			in.newer++
			continue
		}
		if err != nil {
			return nil, err
		}
		in.items = append(in.items, item{feed: e.Feed, seq: e.Seq, raw: b})
	}
	return in, nil
}
