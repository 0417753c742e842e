package wire

import "io"

// A Conn reads and writes frames on a stream. It does not own the stream:
// closing that is how a blocked call is ended.
type Conn struct {
	rw     io.ReadWriter
	limits Limits
}

// NewConn returns a Conn over rw. Both directions use the same limits.
func NewConn(rw io.ReadWriter, limits Limits) *Conn { return &Conn{rw: rw, limits: limits} }

// ReadFrame returns the next frame.
func (c *Conn) ReadFrame() (Frame, error) { panic("not yet") }

// WriteFrame sends one frame; it has reached the stream below when this
// returns. It also sends what Queue holds.
func (c *Conn) WriteFrame(t Type, body []byte) error { panic("not yet") }

// Send encodes v as canonical CBOR and sends it as WriteFrame does.
func (c *Conn) Send(t Type, v any) error { panic("not yet") }

// Queue adds a frame to those the next Flush or WriteFrame sends. It writes by
// itself when many bytes have gathered, so it may block.
func (c *Conn) Queue(t Type, body []byte) error { panic("not yet") }

// Flush sends what Queue holds.
func (c *Conn) Flush() error { panic("not yet") }

// Decode reads the body of f into v, strictly.
func (f Frame) Decode(v any) error { panic("not yet") }
