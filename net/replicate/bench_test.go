package replicate

import (
	"testing"

	"github.com/echofs/echofs/identity/credential"
)

// BenchmarkLiveEntry is the time from a commit until the other side has it,
// without disk and network.
func BenchmarkLiveEntry(b *testing.B) {
	anna := found(b, "Anna")
	ben := anna.admit(newDevice(b, "Ben"), credential.Editor)
	connect(b, New(anna, nil), New(ben, nil))
	anna.write()
	ben.waitLog(1)
	n := 1
	for b.Loop() {
		anna.write()
		n++
		ben.waitLog(n)
	}
}

// BenchmarkCatchUp sends 1,000 small entries to a new peer.
func BenchmarkCatchUp(b *testing.B) {
	anna := found(b, "Anna")
	for range 1000 {
		anna.write()
	}
	for b.Loop() {
		ben := anna.admit(newDevice(b, "Ben"), credential.Editor)
		cut := connect(b, New(anna, nil), New(ben, nil))
		ben.waitLog(1000)
		cut()
	}
}

// BenchmarkChunks sends chunks of 1 MB.
func BenchmarkChunks(b *testing.B) {
	anna := found(b, "Anna")
	ben := anna.admit(newDevice(b, "Ben"), credential.Editor)
	connect(b, New(anna, nil), New(ben, nil))
	b.SetBytes(1 << 20)
	n := 0
	for b.Loop() {
		anna.write(chunkOf(n, 1<<20))
		n++
		ben.waitChunks(n)
		ben.mu.Lock()
		for h := range ben.chunks {
			ben.chunks[h] = nil // keep the memory small
		}
		ben.mu.Unlock()
	}
}
