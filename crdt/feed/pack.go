package feed

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Both are safe for concurrent use, hold no data between calls, and cost too
// much to make for each entry.
var (
	compressor   = sync.OnceValue(newCompressor)
	decompressor = sync.OnceValue(newDecompressor)
)

func newCompressor() *zstd.Encoder {
	w, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(MaxPayload),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // the encryption authenticates
	if err != nil {
		panic(err) // the options above are constants
	}
	return w
}

func newDecompressor() *zstd.Decoder {
	r, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(2),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(MaxPayload),
		zstd.WithDecoderMaxMemory(MaxPayload))
	if err != nil {
		panic(err) // the options above are constants
	}
	return r
}

func pack(payload []byte) []byte {
	return compressor().EncodeAll(payload, nil)
}

// unpack refuses what would become larger than a payload may be before it
// takes the memory for it.
func unpack(packed []byte) ([]byte, error) {
	payload, err := decompressor().DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompressing: %w: %w", err, ErrInvalid)
	}
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("payload of %d bytes, at most %d allowed: %w", len(payload), MaxPayload, ErrInvalid)
	}
	return payload, nil
}
