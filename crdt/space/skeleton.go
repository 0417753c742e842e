package space

import (
	"context"
	"io"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// Space is one shared folder.
type Space struct{}

// Snapshot is the immutable content of one version of a file.
type Snapshot struct{}

func (p *Snapshot) Size() int64                             { panic("todo") }
func (p *Snapshot) ReadAt(b []byte, off int64) (int, error) { panic("todo") }
func (p *Snapshot) Bytes() ([]byte, bool)                   { panic("todo") } // false for a blob
func (p *Snapshot) Version() string                         { panic("todo") }
func (p *Snapshot) Close() error                            { panic("todo") }

func Create(cfg Config, name string) (*Space, error)                             { panic("todo") }
func Open(cfg Config) (*Space, error)                                            { panic("todo") }
func Join(cfg Config, name string, creds [][]byte, key feed.Key) (*Space, error) { panic("todo") }
func (s *Space) Run(ctx context.Context) error                                   { panic("todo") }
func (s *Space) Close() error                                                    { panic("todo") }
func (s *Space) ID() identity.ID                                                 { panic("todo") }
func (s *Space) Name() string                                                    { panic("todo") }
func (s *Space) Role() credential.Role                                           { panic("todo") }
func (s *Space) Key() feed.Key                                                   { panic("todo") }
func (s *Space) ReadOnly() bool                                                  { panic("todo") }
func (s *Space) Lookup(parent NodeID, name string) (Info, error)                 { panic("todo") }
func (s *Space) Stat(id NodeID) (Info, error)                                    { panic("todo") }
func (s *Space) List(dir NodeID) ([]Info, error)                                 { panic("todo") }
func (s *Space) Path(id NodeID) string                                           { panic("todo") }
func (s *Space) Open(id NodeID) (*Snapshot, error)                               { panic("todo") }
func (s *Space) Import(ctx context.Context, r io.Reader) (Content, error)        { panic("todo") }
func BytesContent(data []byte) Content                                           { panic("todo") }
func (s *Space) Create(parent NodeID, name string, n New) (Info, error)          { panic("todo") }
func (s *Space) Save(id NodeID, base *string, c Content, mtime time.Time) (Info, error) {
	panic("todo")
}
func (s *Space) Move(id, parent NodeID, name string, replace bool) (Info, error) { panic("todo") }
func (s *Space) Exchange(a, b NodeID) error                                      { panic("todo") }
func (s *Space) Remove(id NodeID) error                                          { panic("todo") }
func (s *Space) SetAttr(id NodeID, exec *bool, mtime *time.Time) error           { panic("todo") }
func (s *Space) Sync(ctx context.Context) error                                  { panic("todo") }
func (s *Space) Subscribe(fn func([]Event)) (cancel func())                      { panic("todo") }
func (s *Space) Timeframe() feed.Timeframe                                       { panic("todo") }
func (s *Space) CredentialHeads() []identity.ID                                  { panic("todo") }
func (s *Space) Credentials() [][]byte                                           { panic("todo") }
func (s *Space) AddCredentials(ctx context.Context, raw [][]byte) error          { panic("todo") }
func (s *Space) Log(after uint64, max int) ([]LogRef, error)                     { panic("todo") }
func (s *Space) Entry(feed identity.ID, seq uint64) ([]byte, error)              { panic("todo") }
func (s *Space) Accept(ctx context.Context, raw [][]byte) error                  { panic("todo") }
func (s *Space) Notify() (<-chan struct{}, func())                               { panic("todo") }
func (s *Space) MissingChunks(max int) [][32]byte                                { panic("todo") }
func (s *Space) HasChunk(hash [32]byte) bool                                     { panic("todo") }
func (s *Space) Chunk(hash [32]byte) ([]byte, error)                             { panic("todo") }
func (s *Space) PutChunk(hash [32]byte, data []byte) error                       { panic("todo") }
func (s *Space) Member(device identity.PublicKey) bool                           { panic("todo") }
func (s *Space) Members() []membership.Member                                    { panic("todo") }

// Invite makes an invitation and keeps it, so that Redeem honours it.
func (s *Space) Invite(role credential.Role, ttl time.Duration) (Invite, error) {
	panic("todo")
}
func (s *Space) Invitations() []Invite { panic("todo") }
func (s *Space) Redeem(secretHash [32]byte, chain []byte, now time.Time) (Admission, error) {
	panic("todo")
}
func (s *Space) Rebuild(ctx context.Context) error { panic("todo") }
