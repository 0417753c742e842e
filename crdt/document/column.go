package document

import (
	"encoding/binary"
	"fmt"
)

// A reader takes numbers off a byte slice. After the first failure it reads
// zeros, so callers may look at err once, at the end.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// uint reads an unsigned LEB128 in its shortest form.
func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int reads a signed LEB128 in its shortest form.
func (r *reader) int() int64 {
	var v int64
	for i := 0; i < len(r.b) && i < 10; i++ {
		c := r.b[i]
		v |= int64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if 7*(i+1) < 64 && c&0x40 != 0 {
			v |= -1 << (7 * (i + 1))
		}
		if n := len(appendInt(nil, v)); n != i+1 {
			break
		}
		r.b = r.b[i+1:]
		return v
	}
	r.fail("bad number")
	return 0
}

// bytes reads n bytes, without copying.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("cut off")
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func appendInt(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// The kinds of records of a run-length encoded column.
const (
	noRecord = iota
	runRecord
	literalRecord
	nullRecord
)

// A column reads a run-length encoded column of numbers row by row. It accepts
// only the bytes that Automerge itself writes for these rows, so there is one
// encoding of a change and nothing unusual reaches the C library.
type column struct {
	r      reader
	absent bool // every row is null
	signed bool
	kind   int
	left   int64 // rows left in the record
	value  int64
	some   bool // a row was not null
}

func newColumn(b []byte, signed bool) *column {
	return &column{r: reader{b: b}, absent: len(b) == 0, signed: signed}
}

func (c *column) number() int64 {
	if c.signed {
		return c.r.int()
	}
	v := c.r.uint()
	if v > 1<<40 {
		c.r.fail("number out of range")
		return 0
	}
	return int64(v)
}

// next returns the next row; ok is false for null.
func (c *column) next() (v int64, ok bool) {
	if c.absent {
		return 0, false
	}
	if c.left == 0 {
		c.record()
	}
	c.left--
	switch c.kind {
	case nullRecord:
		return 0, false
	case literalRecord:
		before, had := c.value, c.some
		if c.value = c.number(); had && before == c.value {
			c.r.fail("a run is written as single values")
		}
		c.some = true
	}
	return c.value, c.r.err == nil
}

// record reads the head of the next record. c.some says from then on whether
// c.value is the row directly before.
func (c *column) record() {
	before := c.kind
	n := c.r.int()
	switch {
	case n > 1 && n <= maxOps:
		last, had := c.value, c.some && before != nullRecord
		c.kind, c.left, c.value = runRecord, n, c.number()
		if had && last == c.value {
			c.r.fail("a run is written in two parts")
		}
		c.some = true
	case n < 0 && n >= -maxOps && before != literalRecord:
		c.kind, c.left = literalRecord, -n
		if before == nullRecord {
			c.some = false
		}
	case n == 0 && before != nullRecord:
		k := c.r.uint()
		if k == 0 || k > maxOps {
			c.r.fail("bad run of nulls")
		}
		c.kind, c.left = nullRecord, int64(k)
	default:
		c.r.fail("bad run of %d", n)
	}
	if c.r.err != nil {
		c.kind, c.left = nullRecord, 1<<62
	}
}

// end reports what went wrong, or that there are more rows than were read.
func (c *column) end() error {
	if c.r.err == nil && !c.absent && (c.left != 0 || len(c.r.b) != 0) {
		c.r.fail("a column is too long")
	}
	if c.r.err == nil && !c.absent && c.kind == nullRecord && !c.some {
		c.r.fail("an empty column")
	}
	return c.r.err
}

// A flags column reads booleans: alternating run lengths, false first.
type flags struct {
	r     reader
	value bool
	left  uint64
	begun bool
}

func (f *flags) next() bool {
	for f.left == 0 && f.r.err == nil {
		if f.begun {
			f.value = !f.value
		}
		f.left = f.r.uint()
		if f.left > maxOps || f.left == 0 && f.begun {
			f.r.fail("bad run of flags")
		}
		f.begun = true
	}
	f.left--
	return f.value
}

func (f *flags) end() error {
	if f.r.err == nil && (f.left != 0 || len(f.r.b) != 0) {
		f.r.fail("a column is too long")
	}
	return f.r.err
}

// rows counts the rows of a column without nulls, such as the actions.
func rows(b []byte, limit int64) (n int64, err error) {
	c := newColumn(b, false)
	for len(c.r.b) > 0 && c.r.err == nil {
		c.record()
		switch c.kind {
		case nullRecord:
			c.r.fail("a row is empty")
		case literalRecord:
			for range min(c.left, limit+1) {
				c.value, c.some = c.number(), true
			}
		}
		if n += c.left; n > limit {
			return 0, fmt.Errorf("%w: more than %d operations", ErrInvalid, limit)
		}
	}
	return n, c.r.err
}
