// Package replicate keeps a space the same on all devices that share it.
package replicate

import (
	"context"
	"log/slog"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
)

// Space is what replication needs of a space; *space.Space is one.
type Space interface {
	Key() feed.Key
	Name() string
	Member(identity.PublicKey) bool
}

// Replicator is the mesh handler of one space.
type Replicator struct {
	space Space
	log   *slog.Logger
}

// New returns the handler to join to the space's topic, its Key().Topic().
func New(s Space, log *slog.Logger) *Replicator { return &Replicator{space: s, log: log} }

// Link serves one peer.
func (r *Replicator) Link(ctx context.Context, l *mesh.Link) error { panic("not yet") }
