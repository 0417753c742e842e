package space

import (
	"errors"
	"fmt"

	"github.com/echofs/echofs/identity"
)

// Causes of an Error beside os.ErrNotExist, os.ErrExist and syscall.Errno.
var (
	// ErrReadOnly reports a change to a space that this identity may only read.
	ErrReadOnly = errors.New("space is read-only")
	// ErrNoVersion reports a version that a node never had.
	ErrNoVersion = errors.New("no such version")
	// ErrClosed reports the use of a space after Close.
	ErrClosed = errors.New("space is closed")
)

// Error says which operation failed on which entry of a space. Match the cause
// with errors.Is.
type Error struct {
	Op    string // method name in lower case, such as "rename"
	Space string // name of the space
	Path  string // slash-separated, relative to the space
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s/%s: %v", e.Op, e.Space, e.Path, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Refused says why an entry of a peer's feed was not accepted.
type Refused struct {
	Feed   identity.ID
	Seq    uint64
	Reason string
	Parted bool // it continues another branch of its feed, which has forked before
}

func (e *Refused) Error() string {
	return fmt.Sprintf("entry %d of feed %s refused: %s", e.Seq, e.Feed.Short(), e.Reason)
}
