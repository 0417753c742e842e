package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrDamaged reports bytes on disk that are not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrBusy reports a space that another process has open.
	ErrBusy = errors.New("the space is open in another process")
	// ErrNotFound reports a key that is not in the store.
	ErrNotFound = errors.New("not in the store")
	// ErrNewer reports a file made by a newer version of echofs.
	ErrNewer = errors.New("made by a newer version of echofs; upgrade echofs")
)

const (
	fileName = "space.db"
	// openMark exists while the database is open. Finding it at Open means
	// the last process died, so everything is verified before use.
	openMark = "space.db.open"
	// format is the version of the layout in the package comment.
	format = 1
	// mapSize is reserved address space, not memory. While the file fits in
	// it, growing never has to wait for readers to finish.
	mapSize = 1 << 30
	// maxValue limits what a damaged length can make us allocate.
	maxValue = 64 << 20
)

// Options tune a Store. The zero value is right for a daemon.
type Options struct {
	// Timeout is how long Open waits for another process to let go of the
	// file. Zero means one second.
	Timeout time.Duration
	// NoSync skips fsync, for tests.
	NoSync bool
}

// A Store is the database of one space.
type Store struct {
	dir string
	db  *bolt.DB
	enc *zstd.Encoder
	dec *zstd.Decoder

	mu     sync.Mutex // guards the fields below
	broken error      // why no more writes are taken
	closed bool
}

// Open opens or makes the database in dir.
func Open(dir string, o Options) (*Store, error) {
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the space's database: %w", err)
	}
	s := &Store{dir: dir}
	var err error
	if s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true)); err != nil {
		return nil, err
	}
	if s.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxValue),
		zstd.WithDecoderLowmem(true)); err != nil {
		return nil, err
	}
	if err := s.open(o); err != nil {
		s.dec.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(o Options) error {
	path := filepath.Join(s.dir, fileName)
	_, statErr := os.Stat(path)
	err := guard(func() (err error) {
		s.db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:         o.Timeout,
			NoSync:          o.NoSync,
			FreelistType:    bolt.FreelistMapType,
			InitialMmapSize: mapSize,
			NoStatistics:    true,
		})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s: %w", path, ErrBusy)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch),
		errors.Is(err, ErrDamaged):
		return damaged(path, err)
	case err != nil:
		return fmt.Errorf("opening the space's database: %w", err)
	}
	if err := s.prepare(path, o, os.IsNotExist(statErr)); err != nil {
		s.shut()
		return err
	}
	return nil
}

// prepare verifies the database after a crash, makes its buckets when it is
// new, and leaves the mark that a clean Close removes.
func (s *Store) prepare(path string, o Options, fresh bool) error {
	mark := filepath.Join(s.dir, openMark)
	if _, err := os.Stat(mark); err == nil {
		if err := s.Verify(); err != nil {
			return err
		}
	} else if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return fmt.Errorf("opening the space's database: %w", err)
	}
	var version []byte
	err := s.View(func(t *Tx) (err error) {
		version, err = t.Meta("format")
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		if err := s.Update(makeBuckets); err != nil {
			return fmt.Errorf("making the space's database: %w", err)
		}
	case err != nil:
		return damaged(path, err)
	case len(version) != 1 || version[0] != format:
		return fmt.Errorf("%s: %w", path, ErrNewer)
	case s.lacksTables():
		if err := s.Update(makeBuckets); err != nil {
			return fmt.Errorf("adding to the space's database: %w", err)
		}
	}
	if fresh && !o.NoSync {
		return syncDir(s.dir)
	}
	return nil
}

// lacksTables reports a database made before the last table was thought of.
func (s *Store) lacksTables() (lacks bool) {
	_ = s.View(func(t *Tx) error {
		lacks = t.peek(buckets-1) == nil
		return nil
	})
	return lacks
}

func makeBuckets(t *Tx) error {
	for b := bucket(0); b < buckets; b++ {
		if _, err := t.tx.CreateBucketIfNotExists(b.name()); err != nil {
			return err
		}
	}
	return t.PutMeta("format", []byte{format})
}

// damaged says what to do about a file that cannot be used.
func damaged(path string, err error) error {
	if !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("%s: %w (run 'echofs space rebuild NAME'; if the space does not open at all, leave it and join it again)", path, err)
}

// Close closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	broken := s.broken
	s.mu.Unlock()
	if err := s.shut(); err != nil {
		return fmt.Errorf("closing the space's database: %w", err)
	}
	if broken != nil {
		return nil // the mark stays, so the next Open verifies
	}
	return os.Remove(filepath.Join(s.dir, openMark))
}

// shut closes the file. A panic in the middle of a write may have left bbolt's
// locks taken; then the file is left to the end of the process.
func (s *Store) shut() error {
	defer s.dec.Close()
	s.mu.Lock()
	stuck := s.broken != nil
	s.mu.Unlock()
	if !stuck {
		return s.db.Close()
	}
	done := make(chan error, 1)
	go func() { done <- guard(s.db.Close) }()
	select {
	case err := <-done:
		return err
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

// Update runs fn in a transaction that is durable when Update returns nil, and
// undone when fn or Update fails. A full disk is an error that wraps ENOSPC
// and may be tried again.
func (s *Store) Update(fn func(*Tx) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	tx, err := s.begin(true)
	if err != nil {
		return s.fail(err)
	}
	defer s.rollback(tx)
	if err := fn(&Tx{tx: tx, s: s}); err != nil {
		return err
	}
	if err := guard(tx.Commit); err != nil {
		if errors.Is(err, ErrDamaged) || errors.Is(err, syscall.EIO) {
			return s.fail(err)
		}
		return fmt.Errorf("writing the space's database: %w", err)
	}
	return nil
}

// View runs fn over an unchanging state. Keep it short: a long View makes the
// file grow.
func (s *Store) View(fn func(*Tx) error) error {
	tx, err := s.begin(false)
	if err != nil {
		return err
	}
	defer s.rollback(tx)
	return fn(&Tx{tx: tx, s: s})
}

func (s *Store) begin(writable bool) (tx *bolt.Tx, err error) {
	err = guard(func() (err error) {
		tx, err = s.db.Begin(writable)
		return err
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, os.ErrClosed
	}
	return tx, err
}

// rollback ends a transaction that was not committed.
func (s *Store) rollback(tx *bolt.Tx) {
	err := guard(tx.Rollback)
	if errors.Is(err, ErrDamaged) {
		s.fail(err)
	}
}

// usable returns why no more writes are taken.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// fail remembers that the file cannot be trusted with more writes.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil && !errors.Is(err, os.ErrClosed) {
		s.broken = damaged(filepath.Join(s.dir, fileName), err)
	}
	if s.broken == nil {
		return err
	}
	return s.broken
}

// Size returns the size of the file in bytes.
func (s *Store) Size() int64 {
	fi, err := os.Stat(filepath.Join(s.dir, fileName))
	if err != nil {
		return 0
	}
	return fi.Size()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
