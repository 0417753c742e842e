package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
)

const (
	maxInlineBinary = 64 << 10 // bytes that are not text travel inline up to here
	chunkPatience   = 30 * time.Second
)

// BytesContent is content that the caller has in memory and will not change.
func BytesContent(data []byte) Content { return Content{data: data} }

// Import reads all of r. What is not text and not small goes to the chunk store.
func (s *Space) Import(ctx context.Context, r io.Reader) (Content, error) {
	head, err := io.ReadAll(io.LimitReader(r, tree.MaxText+1))
	if err != nil {
		return Content{}, s.fail("import", Root, err)
	}
	if inline(head) {
		return Content{data: head}, nil
	}
	ref, err := s.blobs.Write(ctx, io.MultiReader(bytes.NewReader(head), r))
	if err != nil {
		return Content{}, s.fail("import", Root, err)
	}
	return Content{ref: &ref}, nil
}

func inline(data []byte) bool { return len(data) <= maxInlineBinary || tree.IsText(data) }

// op returns the operation's form of c.
func (s *Space) op(c Content) (*tree.Content, error) {
	if c.ref == nil && !inline(c.data) {
		ref, err := s.blobs.Write(context.Background(), bytes.NewReader(c.data))
		if err != nil {
			return nil, err
		}
		c.ref = &ref
	}
	if c.ref != nil {
		return &tree.Content{Kind: tree.Blob, Hash: c.ref.Hash[:], Size: c.ref.Size}, nil
	}
	return &tree.Content{Kind: tree.Bytes, Data: c.data}, nil
}

// Snapshot is the immutable content of one version of a file.
type Snapshot struct {
	space   *Space
	version string
	data    []byte
	ref     blob.Ref
	isBlob  bool

	mu     sync.Mutex // guards reader
	reader *blob.Reader
	closed chan struct{} // closed by Close
	once   sync.Once
}

// Made returns content that is in no space, under a name for it.
func Made(version string, data []byte) *Snapshot {
	return &Snapshot{version: version, data: data, closed: make(chan struct{})}
}

// Open returns the current content of a file.
func (s *Space) Open(id NodeID) (*Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, s.failLocked("open", id, ErrClosed)
	}
	e, ok := s.tree.Get(id)
	switch {
	case !ok:
		return nil, s.failLocked("open", id, os.ErrNotExist)
	case e.Kind == tree.Dir:
		return nil, s.failLocked("open", id, syscall.EISDIR)
	case e.Kind == tree.Symlink:
		return nil, s.failLocked("open", id, syscall.ELOOP)
	}
	p := &Snapshot{space: s, version: e.Tag, closed: make(chan struct{})}
	if e.Kind == tree.Blob {
		p.isBlob, p.ref = true, blob.Ref{Hash: e.Hash, Size: e.Size}
		return p, nil
	}
	data, err := s.textLocked(textKey(e.Node, e.Key))
	if err != nil {
		return nil, s.failLocked("open", id, err)
	}
	p.data = data
	if e.Text {
		s.remember(e.Tag, data)
	}
	return p, nil
}

// remember keeps a text that somebody was shown, to compare a save with.
func (s *Space) remember(tag string, text []byte) {
	s.bases.put(tag, text, int64(len(text))+128)
}

// textLocked returns the text of a key as it is now. The caller holds mu, so
// that what the tree says and what the store holds belong together.
func (s *Space) textLocked(key string) (data []byte, err error) {
	if v, ok := s.over.texts[key]; ok {
		if v.gone {
			return nil, store.ErrNotFound
		}
		return v.data, nil
	}
	err = s.view(func(tx *store.Tx) (err error) {
		data, err = tx.Text([]byte(key))
		return err
	})
	return data, err
}

func (s *Space) text(key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.textLocked(key)
}

// Size returns the length of the content.
func (p *Snapshot) Size() int64 {
	if p.isBlob {
		return p.ref.Size
	}
	return int64(len(p.data))
}

// Version names the content; pass it to Save as the base.
func (p *Snapshot) Version() string { return p.version }

// Bytes returns the content if it is in memory. The caller must not change it.
func (p *Snapshot) Bytes() ([]byte, bool) { return p.data, !p.isBlob }

// ReadAt implements io.ReaderAt. Of a blob that is still on its way it waits
// for the chunk.
func (p *Snapshot) ReadAt(b []byte, off int64) (int, error) {
	if !p.isBlob {
		if off < 0 {
			return 0, syscall.EINVAL
		}
		if off >= int64(len(p.data)) {
			return 0, io.EOF
		}
		n := copy(b, p.data[off:])
		if n < len(b) {
			return n, io.EOF
		}
		return n, nil
	}
	timeout := time.NewTimer(chunkPatience)
	defer timeout.Stop()
	calm := func() {}
	defer func() { calm() }()
	for {
		arrived := p.space.chunks.arrivals()
		n, err := p.tryReadAt(b, off)
		var missing blob.ErrMissing
		if !errors.As(err, &missing) {
			return n, err
		}
		before := calm
		calm = p.space.chunks.urge(missing.Hash)
		before()
		select {
		case <-arrived:
			timeout.Reset(chunkPatience)
		case <-timeout.C:
			return 0, fmt.Errorf("no connected peer has it: %w", err)
		case <-p.closed:
			return 0, os.ErrClosed
		}
	}
}

func (p *Snapshot) tryReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	if p.reader == nil {
		r, err := p.space.blobs.Open(p.ref)
		if err != nil {
			p.mu.Unlock()
			return 0, err
		}
		p.reader = r
	}
	r := p.reader
	p.mu.Unlock()
	return r.ReadAt(b, off)
}

// Close releases the snapshot and ends reads that wait.
func (p *Snapshot) Close() error {
	var err error
	p.once.Do(func() {
		close(p.closed)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.reader != nil {
			err = p.reader.Close()
		}
	})
	return err
}
