package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/echofs/echofs/identity/codec"
)

const (
	readBuffer = 16 << 10
	batchSize  = 16 << 10 // Queue writes when this many bytes have gathered
	backlog    = 1 << 20  // writers wait while others have this many unsent
	firstRead  = 64 << 10 // a body grows from here, as its bytes come
)

// A Conn reads and writes frames on a stream. It does not own the stream:
// closing that is how a blocked call is ended.
type Conn struct {
	limits Limits
	r      *bufio.Reader
	w      io.Writer

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond // sent, writing or err changed
	pending []byte     // frames not yet given to w
	spare   []byte     // the buffer that is not pending
	queued  uint64     // bytes ever put into pending
	sent    uint64     // bytes ever given to w
	writing bool       // somebody is writing to w
	err     error      // of w; it stays
}

// NewConn returns a Conn over rw. Both directions use the same limits.
func NewConn(rw io.ReadWriter, limits Limits) *Conn {
	c := &Conn{limits: limits, r: bufio.NewReaderSize(rw, readBuffer), w: rw}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// ReadFrame returns the next frame: io.EOF if the stream ended after the last
// one, an *Error for anything that is not a frame of this protocol. The Conn
// cannot be read after an error.
func (c *Conn) ReadFrame() (Frame, error) { return ReadFrame(c.r, c.limits) }

// ReadFrame reads one frame as Conn.ReadFrame does, and nothing after it: for
// a stream that somebody else reads on.
func ReadFrame(r io.Reader, limits Limits) (Frame, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return Frame{}, &Error{Op: "read", Err: fmt.Errorf("stream ended in a header: %w", err)}
		}
		return Frame{}, err
	}
	f := Frame{Type: Type(head[1])}
	size := binary.BigEndian.Uint32(head[2:])
	fail := func(err error) (Frame, error) {
		return Frame{}, &Error{Op: "read", Type: f.Type, Size: int64(size), Err: err}
	}
	if head[0] != Version {
		return fail(fmt.Errorf("version %d: %w", head[0], ErrVersion))
	}
	limit, known := limits[f.Type]
	if !known {
		return fail(ErrType)
	}
	if int64(size) > int64(limit) {
		return fail(fmt.Errorf("%w: at most %d bytes are allowed", ErrTooLarge, limit))
	}
	body, err := readBody(r, int(size))
	if err != nil {
		return fail(fmt.Errorf("reading the body: %w", err))
	}
	f.Body = body
	return f, nil
}

// readBody reads size bytes. It does not believe the announced size of a large
// body, so that a stream that only announces costs little memory.
func readBody(r io.Reader, size int) ([]byte, error) {
	if size <= firstRead {
		body := make([]byte, size)
		_, err := io.ReadFull(r, body)
		return body, eofInside(err)
	}
	var body bytes.Buffer
	body.Grow(firstRead)
	if _, err := io.CopyN(&body, r, int64(size)); err != nil {
		return nil, eofInside(err)
	}
	return body.Bytes(), nil
}

func eofInside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Decode reads the body of f, canonical CBOR, into v, which points to a zero
// value.
func (f Frame) Decode(v any) error {
	if err := codec.Unmarshal(f.Body, v); err != nil {
		return &Error{Op: "decode", Type: f.Type, Size: int64(len(f.Body)), Err: fmt.Errorf("%w: %w", ErrBody, err)}
	}
	return nil
}

// WriteFrame sends one frame; the stream below has it when this returns. It
// also sends what Queue holds.
func (c *Conn) WriteFrame(t Type, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.addLocked(t, body); err != nil {
		return err
	}
	return c.flushLocked()
}

// Send encodes v as canonical CBOR and sends it as WriteFrame does.
func (c *Conn) Send(t Type, v any) error {
	body, err := codec.Marshal(v)
	if err != nil {
		return &Error{Op: "write", Type: t, Err: err}
	}
	return c.WriteFrame(t, body)
}

// Queue adds a frame to those the next Flush or WriteFrame sends. It writes by
// itself when many bytes have gathered, so it may block.
func (c *Conn) Queue(t Type, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.addLocked(t, body); err != nil {
		return err
	}
	if len(c.pending) < batchSize {
		return nil
	}
	return c.flushLocked()
}

// Flush sends what Queue holds.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushLocked()
}

// addLocked appends a frame to pending.
func (c *Conn) addLocked(t Type, body []byte) error {
	fail := func(err error) error {
		return &Error{Op: "write", Type: t, Size: int64(len(body)), Err: err}
	}
	limit, known := c.limits[t]
	if !known {
		return fail(ErrType)
	}
	if len(body) > limit || len(body) > math.MaxUint32 {
		return fail(fmt.Errorf("%w: at most %d bytes are allowed", ErrTooLarge, limit))
	}
	for c.err == nil && c.writing && len(c.pending) >= backlog {
		c.changed.Wait()
	}
	if c.err != nil {
		return fail(c.err)
	}
	c.pending = append(c.pending, Version, byte(t))
	c.pending = binary.BigEndian.AppendUint32(c.pending, uint32(len(body)))
	c.pending = append(c.pending, body...)
	c.queued += uint64(HeaderSize + len(body))
	return nil
}

// flushLocked returns when everything queued before the call was given to w,
// by this goroutine or by another that was writing already.
func (c *Conn) flushLocked() error {
	target := c.queued
	for c.err == nil && c.sent < target {
		if c.writing {
			c.changed.Wait()
			continue
		}
		batch := c.pending
		c.pending, c.spare = c.spare[:0], nil
		c.writing = true
		c.mu.Unlock()
		_, err := c.w.Write(batch)
		c.mu.Lock()
		c.writing = false
		c.sent += uint64(len(batch))
		if cap(batch) <= backlog {
			c.spare = batch
		}
		if err != nil && c.err == nil {
			c.err = err
		}
		c.changed.Broadcast()
	}
	if c.err != nil {
		return fmt.Errorf("writing frames: %w", c.err)
	}
	return nil
}
