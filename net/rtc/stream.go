package rtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The stream protocol. Each message of a data channel starts with one byte:
// kindData and bytes of the stream, or kindCredit and the number of bytes
// (4 bytes, big endian) that the other side has read and may send anew.
const (
	kindData   = 0
	kindCredit = 1

	maxData    = 16<<10 + 256 // one TLS record in one message
	maxMessage = 64 << 10     // the most a channel can carry
	window     = 2 << 20      // bytes sent and not read; 3 windows < receiveBuffer
	leastMark  = 512 << 10    // bytes pion holds when Write starts to wait, until it holds half
	mostMark   = 1 << 20      // the same on a long path
	markRate   = 48 << 20     // bytes a second that a path is given room for
	chunkSize  = 32 << 10
)

// stream is a data channel as a byte stream.
//
// pion gives neither back pressure to a writer nor a bound for each stream of
// what a reader has not read, so both are here: the marks for the first,
// credit for the second.
type stream struct {
	name  string
	ch    channel
	heard func()

	readMu  sync.Mutex // held for a Read
	writeMu sync.Mutex // held for a Write; guards message
	message []byte     // the message being made
	sendMu  sync.Mutex // held for a message to ch

	readable chan struct{} // capacity 1: a token means queue or err changed
	writable chan struct{} // capacity 1: a token means credit, buffer or err changed
	mark     atomic.Uint64 // between leastMark and mostMark
	readBy   *deadline
	writeBy  *deadline

	mu     sync.Mutex // guards the fields below
	queue  [][]byte   // not yet read
	spare  []byte     // a chunk to use again
	unread int        // bytes in queue
	owed   int        // bytes read since the last credit message
	credit int        // bytes that may still be sent
	err    error      // the stream has ended; what is queued can be read
	closed bool       // by Close: nothing can be read any more
}

func newStream(name string, ch channel, heard func()) *stream {
	s := &stream{
		name: name, ch: ch, heard: heard, credit: window,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		readBy: newDeadline(), writeBy: newDeadline(),
	}
	ch.OnBufferedAmountLow(func() { signal(s.writable) })
	s.tune(0)
	return s
}

// tune sets the mark for a path with that round trip. What pion holds is a
// queue that small messages of other streams wait behind (0.25 MiB: 2 ms, 1 MiB:
// 13 ms on loopback, at the same rate), but on a long path most of it is on its
// way, and too little is slow.
func (s *stream) tune(rtt time.Duration) {
	mark := min(mostMark, leastMark+uint64(rtt.Seconds()*markRate))
	s.mark.Store(mark)
	s.ch.SetBufferedAmountLowThreshold(mark / 2)
	signal(s.writable)
}

// pump moves messages from the channel to the queue until the channel ends.
// It always reads, so that credit arrives and other streams are not held up.
func (s *stream) pump() error {
	buf := make([]byte, maxMessage)
	for {
		n, err := s.ch.Read(buf)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return ErrLost
			}
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		s.heard()
		if err := s.receive(buf[:n]); err != nil {
			return fmt.Errorf("stream %s: %w", s.name, err)
		}
	}
}

// receive handles one message.
func (s *stream) receive(msg []byte) error {
	if len(msg) == 0 {
		return fmt.Errorf("%w: empty message", errProtocol)
	}
	kind, body := msg[0], msg[1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind {
	case kindData:
		// What was read and not yet given back is still out of the window.
		if s.unread+s.owed+len(body) > window {
			return fmt.Errorf("%w: sent more than it may", errProtocol)
		}
		s.enqueueLocked(body)
		signal(s.readable)
	case kindCredit:
		if len(body) != 4 {
			return fmt.Errorf("%w: credit of %d bytes", errProtocol, len(body))
		}
		n := binary.BigEndian.Uint32(body)
		if n > window || s.credit+int(n) > window {
			return fmt.Errorf("%w: more credit than was used", errProtocol)
		}
		s.credit += int(n)
		signal(s.writable)
	default:
		return fmt.Errorf("%w: message kind %d", errProtocol, kind)
	}
	return nil
}

func (s *stream) enqueueLocked(body []byte) {
	s.unread += len(body)
	for len(body) > 0 {
		last := len(s.queue) - 1
		if last < 0 || len(s.queue[last]) == cap(s.queue[last]) {
			chunk := s.spare
			if s.spare = nil; chunk == nil {
				chunk = make([]byte, 0, chunkSize)
			}
			s.queue = append(s.queue, chunk)
			last++
		}
		chunk := s.queue[last]
		n := copy(chunk[len(chunk):cap(chunk)], body)
		s.queue[last] = chunk[:len(chunk)+n]
		body = body[n:]
	}
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	for {
		change, passed := s.readBy.check()
		if passed {
			return 0, os.ErrDeadlineExceeded
		}
		n, give, err := s.take(p)
		if give > 0 {
			s.grant(give)
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-s.readable:
		case <-change:
		}
	}
}

// take copies queued bytes to p. give is the credit that is due.
func (s *stream) take(p []byte) (n, give int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		signal(s.readable) // for the next reader
		return 0, 0, net.ErrClosed
	}
	for len(s.queue) > 0 && n < len(p) {
		head := s.queue[0]
		c := copy(p[n:], head)
		n += c
		if c < len(head) {
			s.queue[0] = head[c:]
			break
		}
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if s.spare == nil && cap(head) == chunkSize {
			s.spare = head[:0]
		}
	}
	if n == 0 && s.err != nil {
		signal(s.readable)
		if errors.Is(s.err, ErrLost) {
			return 0, 0, io.EOF
		}
		return 0, 0, s.err
	}
	s.unread -= n
	if s.owed += n; s.owed >= window/4 && s.err == nil {
		give, s.owed = s.owed, 0
	}
	return n, give, nil
}

// grant tells the other side that it may send n more bytes.
func (s *stream) grant(n int) {
	msg := make([]byte, 5)
	msg[0] = kindCredit
	binary.BigEndian.PutUint32(msg[1:], uint32(n))
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	// An error here ends the pump too, which reports it.
	_, _ = s.ch.Write(msg)
}

// Write implements net.Conn. It blocks while the other side does not read or
// the path is full.
func (s *stream) Write(p []byte) (n int, err error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	for len(p) > 0 {
		c, err := s.reserve(min(len(p), maxData))
		if err != nil {
			return n, err
		}
		s.message = append(append(s.message[:0], kindData), p[:c]...)
		if err := s.send(s.message); err != nil {
			return n, err
		}
		n += c
		p = p[c:]
	}
	return n, nil
}

func (s *stream) send(msg []byte) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if _, err := s.ch.Write(msg); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

// reserve waits until up to want bytes may be sent and returns how many.
func (s *stream) reserve(want int) (int, error) {
	full := s.ch.BufferedAmount() >= s.mark.Load()
	for {
		change, passed := s.writeBy.check()
		if passed {
			return 0, os.ErrDeadlineExceeded
		}
		full = full && s.ch.BufferedAmount() > s.mark.Load()/2
		s.mu.Lock()
		switch {
		case s.closed || s.err != nil:
			err := s.err
			if s.closed {
				err = net.ErrClosed
			}
			s.mu.Unlock()
			signal(s.writable) // for the next writer
			return 0, err
		case !full && (s.credit >= want || s.credit >= maxData/2):
			n := min(want, s.credit)
			s.credit -= n
			s.mu.Unlock()
			return n, nil
		}
		s.mu.Unlock()
		select {
		case <-s.writable:
		case <-change:
		}
	}
}

// end makes the stream return err after what has arrived.
func (s *stream) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	signal(s.readable)
	signal(s.writable)
}

// Close implements net.Conn: reads and writes here end at once. The channel
// itself lives as long as the Peer.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	signal(s.readable)
	signal(s.writable)
	return nil
}

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	s.readBy.set(t)
	s.writeBy.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { s.readBy.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error { s.writeBy.set(t); return nil }

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return addr(s.name) }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return addr(s.name) }

// addr is the name of a stream.
type addr string

func (addr) Network() string  { return "webrtc" }
func (a addr) String() string { return string(a) }

// signal puts a token into a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}
