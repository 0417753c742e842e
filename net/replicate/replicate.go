// Package replicate keeps a space the same on all devices that share it.
//
// A Replicator is the mesh handler of one space. On each link both sides first
// show that they know the space key, by a MAC over secret material of this very
// link; a stranger learns nothing from that and is told nothing else. Then they
// exchange credential heads and the credentials the other lacks. Only a device
// that is a member by those credentials is told the timeframe; then missing
// entries follow in the order in which this device accepted them, which is a
// causal one, and every later commit at once. Entries of others are passed on
// like one's own: they are signed. What a peer has, said it has, or was sent is
// never sent to it again on the same link.
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
// in two pure state machines, session (one per link) and fetcher (one per
// space); everything around them only moves bytes. Every goroutine that Link
// starts has ended when it returns.
package replicate

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Space is what replication needs of a space; *space.Space is one.
type Space interface {
	Name() string
	Key() feed.Key
	Member(device identity.PublicKey) bool

	CredentialHeads() []identity.ID
	Credentials() [][]byte
	AddCredentials(ctx context.Context, raw [][]byte) error

	Timeframe() feed.Timeframe
	Log(after uint64, max int) ([]space.LogRef, error)
	Entry(feed identity.ID, seq uint64) ([]byte, error)
	Accept(ctx context.Context, raw [][]byte) error
	Notify() (<-chan struct{}, func())

	MissingChunks(max int) [][32]byte
	HasChunk(hash [32]byte) bool
	Chunk(hash [32]byte) ([]byte, error)
	PutChunk(hash [32]byte, data []byte) error
}

// Replicator serves the links of one space.
type Replicator struct {
	space  Space
	log    *slog.Logger
	synced chan struct{} // closed by reached

	refused atomic.Int64

	mu     sync.Mutex // guards the fields below
	known  []known    // credentials of the space, decoded
	heads  []identity.ID
	fetch  *fetcher
	stored int                    // chunks that have come
	stale  bool                   // there may be missing chunks that fetch does not know
	urgent bool                   // and somebody may wait for one
	links  map[int]*link          // by the fetcher's number
	last   int                    // number of the newest link
	goal   map[identity.ID]uint64 // what the first peer had; nil before there was one
	met    bool                   // synced is closed
}

// New returns the handler to join to the space's topic, its Key().Topic().
func New(s Space, log *slog.Logger) *Replicator {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Replicator{space: s, log: log, synced: make(chan struct{}), fetch: newFetcher(), links: make(map[int]*link)}
}

// Refused counts the entries and credentials of peers that were not accepted.
func (r *Replicator) Refused() int64 { return r.refused.Load() }

// credentials returns the credentials of the space in causal order. They are
// decoded again only when the heads have changed.
func (r *Replicator) credentials() []known {
	r.mu.Lock()
	defer r.mu.Unlock()
	heads := r.space.CredentialHeads()
	if r.known != nil && slices.Equal(heads, r.heads) {
		return r.known
	}
	have := make(map[string]known, len(r.known))
	for _, k := range r.known {
		have[string(k.raw)] = k
	}
	var out []known
	for _, raw := range r.space.Credentials() {
		if k, ok := have[string(raw)]; ok {
			out = append(out, k)
			continue
		}
		op, err := credential.Decode(raw)
		if err != nil {
			r.log.Error("credential of our own space cannot be read", "space", r.space.Name(), "err", err)
			continue
		}
		out = append(out, known{id: op.ID, deps: op.Deps, raw: raw})
	}
	r.known, r.heads = out, heads
	return out
}
