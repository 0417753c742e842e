package feed

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

const goldenChunk = "01f24c0dc0a354cfd1fdcd4600fd0b3a3ed8ab95133767df08868dd98ca677510753e341df482651a1d026e514004ac7c8b107befbaae4df6fe9218608fba607cf26d623636c585f"

func TestChunk(t *testing.T) {
	plain := []byte("a piece of a large file")
	sealed := key().SealChunk([]byte("before"), plain)
	if !bytes.HasPrefix(sealed, []byte("before")) || len(sealed) != 6+len(plain)+ChunkOverhead {
		t.Fatalf("%d bytes", len(sealed))
	}
	sealed = sealed[6:]
	if hex.EncodeToString(sealed) != goldenChunk {
		t.Errorf("a sealed chunk is %x", sealed)
	}
	if !bytes.Equal(key().SealChunk(nil, plain), sealed) {
		t.Error("the same bytes are sealed in two ways")
	}
	if bytes.Contains(sealed, plain[:8]) || bytes.Equal(Key(id(1)).SealChunk(nil, plain)[9:], sealed[9:]) {
		t.Error("not secret")
	}
	ring := Ring(Key(id(1)), key())
	if got, err := ring.OpenChunk(sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("OpenChunk = %q, %v", got, err)
	}
	if _, err := Ring(Key(id(1))).OpenChunk(sealed); !errors.Is(err, ErrKey) {
		t.Errorf("without the key: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := ring.OpenChunk(bad); err == nil {
			t.Errorf("byte %d does not matter", i)
		}
	}
}

func FuzzChunk(f *testing.F) {
	f.Add(key().SealChunk(nil, []byte("bytes")))
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, err := Ring(key()).OpenChunk(data)
		if err == nil && len(data) != len(plain)+ChunkOverhead {
			t.Errorf("%d bytes open to %d", len(data), len(plain))
		}
	})
}

func BenchmarkSealChunk(b *testing.B) {
	plain := make([]byte, 1<<20)
	b.SetBytes(int64(len(plain)))
	var buf []byte
	for b.Loop() {
		buf = key().SealChunk(buf[:0], plain)
	}
}

func BenchmarkOpenChunk(b *testing.B) {
	sealed := key().SealChunk(nil, make([]byte, 1<<20))
	ring := Ring(key())
	b.SetBytes(int64(len(sealed)))
	for b.Loop() {
		if _, err := ring.OpenChunk(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
