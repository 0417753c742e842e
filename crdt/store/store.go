package store

import (
	"errors"
	"time"
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

// Options tune a Store. The zero value is right for a daemon.
type Options struct {
	// Timeout is how long Open waits for another process to let go of the
	// file. Zero means one second.
	Timeout time.Duration
	// NoSync skips fsync, for tests.
	NoSync bool
}

// A Store is the database of one space.
type Store struct{}

// Open opens or makes the database in dir.
func Open(dir string, o Options) (*Store, error) { panic("store: not written yet") }

// Close closes the database.
func (s *Store) Close() error { panic("store: not written yet") }

// Update runs fn in a transaction that is durable when Update returns nil, and
// undone when fn or Update fails.
func (s *Store) Update(fn func(*Tx) error) error { panic("store: not written yet") }

// View runs fn over an unchanging state. Keep it short: a long View makes the
// file grow.
func (s *Store) View(fn func(*Tx) error) error { panic("store: not written yet") }

// Size returns the size of the file in bytes.
func (s *Store) Size() int64 { panic("store: not written yet") }
