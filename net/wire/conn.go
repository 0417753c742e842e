package wire

import (
	"bufio"
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
	growth     = 16       // and that much at a time
	record     = 16 << 10 // bytes that TLS encrypts as one
)

// A Conn reads and writes frames on a stream. It does not own the stream:
// closing that is how a blocked call is ended.
type Conn struct {
	limits Limits
	r      *bufio.Reader
	w      io.Writer
	bodies chan []byte // capacity 1: memory for the next large body

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
	c := &Conn{limits: limits, r: bufio.NewReaderSize(rw, readBuffer), w: rw, bodies: make(chan []byte, 1)}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// ReadFrame returns the next frame: io.EOF if the stream ended after the last
// one, an *Error for anything that is not a frame of this protocol. The Conn
// cannot be read after an error.
func (c *Conn) ReadFrame() (Frame, error) {
	return readFrame(c.r, c.limits, func(size int) []byte {
		if size <= firstRead {
			return nil
		}
		select {
		case body := <-c.bodies:
			return body
		default:
			return nil
		}
	})
}

// Reuse gives the memory of a frame back that nobody looks at any more.
func (c *Conn) Reuse(f Frame) {
	if cap(f.Body) <= firstRead {
		return
	}
	select {
	case c.bodies <- f.Body[:0]:
	default:
	}
}

// ReadFrame reads one frame as Conn.ReadFrame does, and nothing after it: for
// a stream that somebody else reads on.
func ReadFrame(r io.Reader, limits Limits) (Frame, error) {
	return readFrame(r, limits, func(int) []byte { return nil })
}

func readFrame(r io.Reader, limits Limits, memory func(size int) []byte) (Frame, error) {
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
	body, err := readBody(r, int(size), memory(int(size)))
	if err != nil {
		return fail(fmt.Errorf("reading the body: %w", err))
	}
	f.Body = body
	return f, nil
}

// readBody reads size bytes, into memory if that is enough. It does not believe
// the announced size of a large body, so that a stream that only announces costs
// little memory.
func readBody(r io.Reader, size int, memory []byte) ([]byte, error) {
	body := memory[:0]
	for len(body) < size {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(size, max(firstRead, growth*len(body)))), body...)
		}
		n, err := io.ReadFull(r, body[len(body):min(size, cap(body))])
		if body = body[:len(body)+n]; err != nil {
			return nil, eofInside(err)
		}
	}
	return body, nil
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

// WriteLarge sends the frame whose body is head and tail, as WriteFrame does. It
// does not copy them, but for the first bytes, which go with the frame's header.
func (c *Conn) WriteLarge(t Type, head, tail []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(head) + len(tail)
	if err := c.beginLocked(t, size); err != nil {
		return err
	}
	for c.writing && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return &Error{Op: "write", Type: t, Size: int64(size), Err: c.err}
	}
	c.headerLocked(t, size)
	c.pending = append(c.pending, head...)
	n := min(len(tail), record-len(c.pending)%record)
	c.pending = append(c.pending, tail[:n]...)
	c.queued += uint64(HeaderSize + size)
	return c.writeLocked(tail[n:])
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
	if err := c.beginLocked(t, len(body)); err != nil {
		return err
	}
	c.headerLocked(t, len(body))
	c.pending = append(c.pending, body...)
	c.queued += uint64(HeaderSize + len(body))
	return nil
}

// beginLocked checks a frame and waits until there is room for it.
func (c *Conn) beginLocked(t Type, size int) error {
	fail := func(err error) error { return &Error{Op: "write", Type: t, Size: int64(size), Err: err} }
	limit, known := c.limits[t]
	if !known {
		return fail(ErrType)
	}
	if size > limit || size > math.MaxUint32 {
		return fail(fmt.Errorf("%w: at most %d bytes are allowed", ErrTooLarge, limit))
	}
	for c.err == nil && c.writing && len(c.pending) >= backlog {
		c.changed.Wait()
	}
	if c.err != nil {
		return fail(c.err)
	}
	return nil
}

func (c *Conn) headerLocked(t Type, size int) {
	c.pending = append(c.pending, Version, byte(t))
	c.pending = binary.BigEndian.AppendUint32(c.pending, uint32(size))
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
		_ = c.writeLocked(nil)
	}
	return c.failedLocked()
}

// writeLocked writes what is pending and then tail. Nobody else is writing.
func (c *Conn) writeLocked(tail []byte) error {
	batch := c.pending
	c.pending, c.spare = c.spare[:0], nil
	c.writing = true
	c.mu.Unlock()
	_, err := c.w.Write(batch)
	if err == nil && len(tail) > 0 {
		_, err = c.w.Write(tail)
	}
	c.mu.Lock()
	c.writing = false
	c.sent += uint64(len(batch) + len(tail))
	if cap(batch) <= backlog {
		c.spare = batch
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
	return c.failedLocked()
}

func (c *Conn) failedLocked() error {
	if c.err != nil {
		return fmt.Errorf("writing frames: %w", c.err)
	}
	return nil
}
