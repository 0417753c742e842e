package web

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

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

// arrivalTime is how long a request waits for content that is on its way.
const arrivalTime = 5 * time.Second

type fromSpace struct{ *space.Space }

func (f fromSpace) ID() [32]byte { return f.Space.ID() }

// open waits until the content begins to be here. A later part that is missing
// is waited for while it is read, until the client goes away.
func (f fromSpace) open(ctx context.Context, id space.NodeID) (content, error) {
	s, err := f.Space.Open(id)
	if err != nil {
		return nil, err
	}
	if _, here := s.Bytes(); here || s.Size() == 0 {
		return s, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	late := time.AfterFunc(arrivalTime, func() { _ = s.Close() })
	_, err = s.ReadAt(make([]byte, 1), 0)
	if !late.Stop() || errors.Is(err, os.ErrClosed) {
		stop()
		_ = s.Close()
		return nil, errNotHere
	}
	if err != nil && !errors.Is(err, io.EOF) {
		stop()
		_ = s.Close()
		return nil, err
	}
	return streaming{s, stop}, nil
}

// streaming is a snapshot whose reads end with the request.
type streaming struct {
	*space.Snapshot
	stop func() bool
}

func (s streaming) Close() error {
	s.stop()
	return s.Snapshot.Close()
}
