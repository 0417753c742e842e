package vfs

import (
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// whoFile is `.space/who`: a text about those who are here, made when somebody
// asks for it.
type whoFile struct {
	space *space.Space
	who   func(*space.Space) string
	now   func() time.Time

	mu   sync.Mutex // guards the fields below
	text string     // as it was when last asked for
	at   time.Time  // since when it is so, as far as is known
}

// ask returns the text of now, and since when it is known to be so.
func (f *whoFile) ask() (string, time.Time) {
	text := f.who(f.space)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.IsZero() || text != f.text {
		f.text, f.at = text, f.now()
	}
	return text, f.at
}

func (f *whoFile) key() string   { return "who" }
func (f *whoFile) dir() bool     { return false }
func (f *whoFile) renew(virtual) {}

func (f *whoFile) stat() (int64, time.Time, error) {
	text, at := f.ask()
	return int64(len(text)), at, nil
}

func (f *whoFile) list() ([]virtualEntry, error) { return nil, syscall.ENOTDIR }

func (f *whoFile) child(string) (virtual, error) { return nil, syscall.ENOTDIR }

func (f *whoFile) open() (*space.Snapshot, error) {
	text, _ := f.ask()
	return space.Made("who", []byte(text)), nil
}
