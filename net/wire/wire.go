// Package wire cuts a byte stream into frames.
//
// A frame is {version 1 byte, type 1 byte, length 4 bytes big endian, body}.
// Each protocol gives its own list of types and the largest body it accepts
// of each; anything else ends the stream with an error that says what came.
// Bodies are canonical CBOR (Send, Frame.Decode) or plain bytes.
//
// # Concurrency
//
// Any number of goroutines may write to a Conn; frames never mix. Those that
// write at the same moment share one write to the stream below. One goroutine
// at a time may read.
package wire

import (
	"errors"
	"fmt"
)

// Version is the first byte of every frame.
const Version = 1

// HeaderSize is the number of bytes before the body of a frame.
const HeaderSize = 6

// A Type says what a frame holds. Each protocol has its own numbers.
type Type uint8

// Limits lists the types a protocol knows, and the largest body of each.
type Limits map[Type]int

// A Frame is one message. Body belongs to whoever read it.
type Frame struct {
	Type Type
	Body []byte
}

// Errors of a stream that does not hold the frames we expect. A stream that
// ends inside a frame gives io.ErrUnexpectedEOF, one that ends between two
// frames io.EOF.
var (
	ErrVersion  = errors.New("frame of an unknown version: the other side runs a newer echofs, or this is not echofs")
	ErrType     = errors.New("frame of an unknown type")
	ErrTooLarge = errors.New("frame is too large")
	ErrBody     = errors.New("frame body is malformed")
)

// Error says which frame could not be read or written.
type Error struct {
	Op   string // "read", "write" or "decode"
	Type Type
	Size int64 // announced size of the body
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s frame type %d, %d bytes: %v", e.Op, e.Type, e.Size, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
