package web

import (
	"context"
	"errors"
	"io"

	"github.com/echofs/echofs/crdt/space"
)

// files is what a space is to this package; tests bring another.
type files interface {
	ID() [32]byte
	Name() string
	Lookup(parent space.NodeID, name string) (space.Info, error)
	List(dir space.NodeID) ([]space.Info, error)
	open(ctx context.Context, id space.NodeID) (content, error)
}

// content is one version of a file.
type content interface {
	io.ReaderAt
	Size() int64
	Version() string
	Close() error
}

// errNotHere says that other devices still hold the content.
var errNotHere = errors.New("content has not arrived")

type fromSpace struct{ *space.Space }

func (f fromSpace) open(_ context.Context, id space.NodeID) (content, error) {
	return f.Space.Open(id)
}

func (f fromSpace) ID() [32]byte { return f.Space.ID() }
