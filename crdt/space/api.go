package space

import (
	"log/slog"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// NodeID names a node of a space for ever, wherever it is moved. A version
// shown beside its file because of a conflict has an ID of its own.
type NodeID = tree.NodeID

// Root is the folder of a space that nobody created.
var Root = tree.Root

// Config is what a space needs to open.
type Config struct {
	Dir    string // the space's own folder on this device
	Device *identity.Device
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now; only for what people are shown
}

// Kind says what a node is.
type Kind uint8

// Kinds of node.
const (
	File Kind = iota
	Dir
	Symlink
)

// Info is what is known of a node without reading it.
type Info struct {
	ID, Parent NodeID
	Name       string
	Kind       Kind
	Exec       bool
	Mode       uint32 // permissions, with ModeSet, if they are other than Exec says
	Size       int64
	Mtime      time.Time
	Target     string // of a symbolic link
	Text       bool   // merges
	Version    string // opaque; another content has another version
	Conflict   bool   // a version shown beside its file
	Author     identity.ID
}

// New says what Create makes. Mtime zero means now.
type New struct {
	Kind    Kind
	Exec    bool
	Mtime   time.Time
	Content Content // of a file; the zero Content is empty
	Target  string  // of a symbolic link
}

// Content is bytes on their way into a space: in memory when small or text,
// else already in the chunk store.
type Content struct {
	data []byte
	ref  *blob.Ref
}

// EventOp says what happened to a node.
type EventOp uint8

// Event operations.
const (
	Created EventOp = iota
	Removed
	Moved
	Changed // content
	Attr
	Access // of no node: this device may write the space now, or may not any more
)

// Event tells subscribers of one change to the tree.
type Event struct {
	Op         EventOp
	ID, Parent NodeID
	Name       string
	OldParent  NodeID // of Moved
	OldName    string // of Moved
	Kind       Kind   // what the node is; of Removed, what it was
	Remote     bool   // made on another device
}

// LogRef is one entry in the order in which this device committed them.
type LogRef struct {
	Pos  uint64 // pass the last one to Log to continue
	Feed identity.ID
	Seq  uint64
}

// Admission is what a new member gets.
type Admission struct {
	Credentials [][]byte
	Key         [32]byte // the first of Keys
	Keys        []feed.Key
	Name        string
}
