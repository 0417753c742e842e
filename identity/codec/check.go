package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

var errTruncated = errors.New("truncated")

// Check reports whether data is exactly one canonical value: definite
// lengths, shortest integers, map keys sorted and distinct, valid UTF-8, no
// tags, no floats, within the limits. It allocates nothing.
func Check(data []byte) error {
	rest, err := skip(data, 0)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes after the value", len(rest))
	}
	return nil
}

const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
)

// skip checks the first value in data and returns what follows it.
func skip(data []byte, depth int) ([]byte, error) {
	if len(data) == 0 {
		return nil, errTruncated
	}
	major := data[0] >> 5
	if major > majorMap {
		return skipSimple(data)
	}
	n, rest, err := head(data)
	if err != nil {
		return nil, err
	}
	switch major {
	case majorBytes, majorText:
		if n > uint64(len(rest)) {
			return nil, errTruncated
		}
		if major == majorText && !utf8.Valid(rest[:n]) {
			return nil, errors.New("text is not UTF-8")
		}
		return rest[n:], nil
	case majorArray, majorMap:
		if n > MaxElements {
			return nil, fmt.Errorf("%d elements, at most %d allowed", n, MaxElements)
		}
		if depth == MaxDepth {
			return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
		}
		if major == majorMap {
			return skipPairs(rest, n, depth+1)
		}
		for range n {
			if rest, err = skip(rest, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return rest, nil
}

func skipPairs(data []byte, n uint64, depth int) ([]byte, error) {
	var previous []byte
	for i := range n {
		rest, err := skip(data, depth)
		if err != nil {
			return nil, err
		}
		key := data[:len(data)-len(rest)]
		if i > 0 && bytes.Compare(previous, key) >= 0 {
			return nil, fmt.Errorf("map keys repeated or not in order: %w", ErrNotCanonical)
		}
		previous = key
		if data, err = skip(rest, depth); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// skipSimple checks a value that is not a number, string, array or map.
func skipSimple(data []byte) ([]byte, error) {
	switch data[0] {
	case 0xf4, 0xf5, 0xf6: // false, true, null
		return data[1:], nil
	}
	if data[0]>>5 == majorTag {
		return nil, errors.New("tags are not allowed")
	}
	return nil, errors.New("floats and other simple values are not allowed")
}

// head reads the argument of the first value, which must use the fewest bytes.
func head(data []byte) (uint64, []byte, error) {
	info := data[0] & 0x1f
	data = data[1:]
	if info < 24 {
		return uint64(info), data, nil
	}
	if info > 27 {
		return 0, nil, errors.New("indefinite lengths are not allowed")
	}
	size := 1 << (info - 24)
	if len(data) < size {
		return 0, nil, errTruncated
	}
	var n, least uint64
	switch size {
	case 1:
		n, least = uint64(data[0]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(data)), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(data)), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(data), 1<<32
	}
	if n < least {
		return 0, nil, fmt.Errorf("number longer than needed: %w", ErrNotCanonical)
	}
	return n, data[size:], nil
}
