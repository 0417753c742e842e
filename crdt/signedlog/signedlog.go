// Package signedlog is the file that the signed log of a space is exported to:
// its credentials and entries exactly as they travel. It holds no key: whoever
// has only the file can check who has written and when, and not read what.
//
// # Format
//
// "echolog" and version byte 1, then records: kind (1 byte), length (4 bytes,
// big endian), body. The last is the end, whose body is the SHA-256 of all bytes
// before it: a file without it is not complete.
//
// # Concurrency
//
// A Writer belongs to one goroutine.
package signedlog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity/credential"
)

// A Kind says what a record is.
type Kind byte

// The kinds.
const (
	Credential Kind = 1
	Entry      Kind = 2
	end        Kind = 255
)

const (
	magic    = "echolog\x01"
	headSize = 5
)

// Why a log is not read. Match with errors.Is.
var (
	ErrNotLog  = errors.New("not a signed log of this version")
	ErrDamaged = errors.New("the signed log is damaged or not complete")
)

// limit returns how long a record of a kind may be; 0: there is none.
func limit(kind Kind) int {
	switch kind {
	case Credential:
		return credential.MaxSize
	case Entry:
		return feed.MaxEntry
	case end:
		return sha256.Size
	}
	return 0
}

// A Writer writes a log.
type Writer struct {
	w   io.Writer
	sum hash.Hash
}

// NewWriter begins a log on w.
func NewWriter(w io.Writer) (*Writer, error) {
	lw := &Writer{w: w, sum: sha256.New()}
	return lw, lw.write([]byte(magic))
}

func (w *Writer) write(data []byte) error {
	w.sum.Write(data)
	_, err := w.w.Write(data)
	return err
}

// Add writes one record.
func (w *Writer) Add(kind Kind, raw []byte) error {
	if len(raw) == 0 || len(raw) > limit(kind) {
		return fmt.Errorf("a record of kind %d and %d bytes: %w", kind, len(raw), ErrDamaged)
	}
	return w.write(append(binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(raw))), raw...))
}

// Close ends the log. It does not close what the log is written to.
func (w *Writer) Close() error {
	return w.Add(end, w.sum.Sum(nil))
}

// Read calls f for each record of a log, and returns nil only when it was
// complete. What it has passed to f before is as it was written only then.
func Read(r io.Reader, f func(kind Kind, raw []byte) error) error {
	sum := sha256.New()
	in := bufio.NewReader(r)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic {
		return errors.Join(ErrNotLog, err)
	}
	sum.Write(head)
	for {
		var head [headSize]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		kind, n := Kind(head[0]), int64(binary.BigEndian.Uint32(head[1:]))
		if n == 0 || n > int64(limit(kind)) {
			return fmt.Errorf("%w: a record of kind %d and %d bytes", ErrDamaged, kind, n)
		}
		var body bytes.Buffer // which grows with what there is, not with what was announced
		if _, err := io.CopyN(&body, in, n); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if kind == end {
			if !bytes.Equal(body.Bytes(), sum.Sum(nil)) {
				return fmt.Errorf("%w: its sum is another", ErrDamaged)
			}
			if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: it goes on after its end: %w", ErrDamaged, err)
			}
			return nil
		}
		sum.Write(head[:])
		sum.Write(body.Bytes())
		if err := f(kind, body.Bytes()); err != nil {
			return err
		}
	}
}
