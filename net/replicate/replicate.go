// Package replicate keeps a space the same on all devices that share it.
//
// A Replicator is the mesh handler of one space. On each link both sides first
// show that they know the space key, by a MAC over secret material of this very
// link; a stranger learns nothing from that and is told nothing else. Then they
// exchange credential heads and the credentials the other lacks. Only a device
// that is a member by those credentials is told the timeframe. What it lacks of
// that it asks for, and gets it in the order in which this device accepted it,
// which is a causal one.
//
// After that a device sends what it writes itself to all its peers at once. What
// it gets from others it only names to those who do not have it, and who needs
// it asks: so an entry crosses each device's line once, however many peers have
// it, and still reaches those who do not know its author's device. A peer that
// vanishes or is silent is replaced by another that has the same.
//
// Chunks of large files travel on the Blobs stream, so they never delay an
// entry. Each side asks for what it misses, many at a time, from any peer that
// has it.
//
// # Format
//
// Frames of package wire; see messages.go.
//
// # Concurrency
//
// A Replicator may serve any number of links at once. What to send is decided
// in three pure state machines, session (one per link), puller and fetcher (one
// per space); everything around them only moves bytes. Every goroutine that Link
// starts has ended when it returns.
package replicate

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Space is what replication needs of a space; *space.Space is one.
type Space interface {
	Name() string
	Device() identity.PublicKey // this one
	Key() feed.Key              // that is written with
	Keyring() feed.Keyring
	AddKeys(keys []feed.Key) error
	Member(device identity.PublicKey) bool
	// Farewell reports whether a device was a member's and is none any more, and
	// the credentials by which that ended, with their past.
	Farewell(device identity.PublicKey) (creds [][]byte, barred bool)

	CredentialHeads() []identity.ID
	Credentials() [][]byte
	AddCredentials(ctx context.Context, raw [][]byte) error

	Timeframe() feed.Timeframe
	Log(after uint64, max int) ([]space.LogRef, error)
	Entry(feed identity.ID, seq uint64) ([]byte, error)
	Accept(ctx context.Context, raw [][]byte) error
	Notify() (<-chan struct{}, func())

	Forks() [][]byte
	AddForks(proofs [][]byte) error
	StubOf(feed identity.ID, seq uint64) ([]byte, error)
	Compare(stub []byte) (same, proof bool, err error)
	Lineage() uint64 // grows when entries leave the log

	MissingChunks(max int) [][32]byte
	HasChunk(hash [32]byte) bool
	Chunk(hash [32]byte) ([]byte, error)
	PutChunk(hash [32]byte, data []byte) error // verifies data, and does not keep it
}

// Replicator serves the links of one space.
type Replicator struct {
	space  Space
	log    *slog.Logger
	synced chan struct{} // closed by reached
	door   chan struct{} // holds a token for each link whose peer has not proved anything

	refused atomic.Int64 // entries and credentials of peers that were not accepted
	entries atomic.Int64 // entries of peers that came, also those that were here

	mu     sync.Mutex                         // guards the fields below
	known  []known                            // credentials of the space, decoded
	rev    int                                // grows when they change
	author map[identity.ID]identity.PublicKey // of each feed
	mine   map[identity.ID]bool               // feeds of this device; replaced, never changed
	puller *puller
	ticked time.Time
	fetch  *fetcher
	stored int                    // chunks that have come
	stale  bool                   // there may be missing chunks that fetch does not know
	urgent bool                   // and somebody may wait for one
	links  map[int]*link          // by the fetcher's number
	last   int                    // number of the newest link
	goal   map[identity.ID]uint64 // what the first peer had; nil before there was one
	met    bool                   // synced is closed

	present Presence // what peers are told
}

// New returns the handler to join to the space's topic, its Key().Topic().
func New(s Space, log *slog.Logger) *Replicator {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Replicator{
		space: s, log: log, synced: make(chan struct{}), door: make(chan struct{}, maxUnproved),
		author: make(map[identity.ID]identity.PublicKey), mine: make(map[identity.ID]bool),
		puller: newPuller(), ticked: time.Now(), fetch: newFetcher(), links: make(map[int]*link),
	}
}

// credentials returns the credentials of the space in causal order, those that
// wait for others too. rev is another one when they are others. Only those that
// are new are decoded.
func (r *Replicator) credentials() (creds []known, rev int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.space.Credentials()
	same := 0
	for same < min(len(all), len(r.known)) && bytes.Equal(all[same], r.known[same].raw) {
		same++
	}
	if same == len(all) && same == len(r.known) {
		return r.known, r.rev
	}
	have := make(map[string]known, len(r.known)-same)
	for _, k := range r.known[same:] {
		have[string(k.raw)] = k
	}
	out := slices.Clone(r.known[:same])
	mine := maps.Clone(r.mine)
	for _, raw := range all[same:] {
		if k, ok := have[string(raw)]; ok {
			out = append(out, k)
			continue
		}
		op, err := credential.Decode(raw)
		if err != nil {
			r.log.Error("credential of our own space cannot be read", "space", r.space.Name(), "err", err)
			continue
		}
		if op.Kind == credential.FeedOpen && !op.Newer {
			r.author[op.ID] = op.Device
			if op.Device == r.space.Device() {
				mine[op.ID] = true
			}
		}
		out = append(out, known{id: op.ID, deps: op.Deps, raw: raw})
	}
	r.known, r.mine = out, mine
	r.rev++
	return r.known, r.rev
}

// own tells which feeds this device writes. What it returns takes no lock.
func (r *Replicator) own() func(identity.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	mine := r.mine
	return func(f identity.ID) bool { return mine[f] }
}
