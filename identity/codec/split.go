package codec

import "fmt"

// SplitByteStrings reads a canonical array of n byte strings, which is how
// signed things travel, without copying: the parts share data's memory.
func SplitByteStrings(data []byte, n int) ([][]byte, error) {
	if len(data) == 0 {
		return nil, errTruncated
	}
	if data[0]>>5 != majorArray {
		return nil, fmt.Errorf("not an array of %d byte strings", n)
	}
	count, rest, err := head(data)
	if err != nil {
		return nil, err
	}
	if count != uint64(n) {
		return nil, fmt.Errorf("array of %d, want %d byte strings", count, n)
	}
	parts := make([][]byte, n)
	for i := range parts {
		if len(rest) == 0 {
			return nil, errTruncated
		}
		if rest[0]>>5 != majorBytes {
			return nil, fmt.Errorf("element %d is not a byte string", i)
		}
		size, after, err := head(rest)
		if err != nil {
			return nil, err
		}
		if size > uint64(len(after)) {
			return nil, errTruncated
		}
		parts[i], rest = after[:size:size], after[size:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes after the value", len(rest))
	}
	return parts, nil
}
