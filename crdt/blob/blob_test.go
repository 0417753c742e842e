package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// plainly is a cipher that hides nothing and notices changes.
type plainly struct{}

func (plainly) Seal(dst, plain []byte) []byte {
	sum := sha256.Sum256(plain)
	return append(append(dst, plain...), sum[:4]...)
}

func (plainly) Open(sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, ErrCorrupt
	}
	plain := sealed[:len(sealed)-4]
	if sum := sha256.Sum256(plain); !bytes.Equal(sum[:4], sealed[len(plain):]) {
		return nil, ErrCorrupt
	}
	return plain, nil
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, plainly{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

func write(t testing.TB, s *Store, data []byte) Ref {
	t.Helper()
	ref, err := s.Write(context.Background(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if ref.Size != int64(len(data)) {
		t.Fatalf("size %d of %d bytes", ref.Size, len(data))
	}
	return ref
}

func readAll(t testing.TB, s *Store, ref Ref) ([]byte, error) {
	t.Helper()
	r, err := s.Open(ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

func wantBlob(t testing.TB, s *Store, ref Ref, want []byte) {
	t.Helper()
	if got, err := readAll(t, s, ref); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want the %d that were written", len(got), err, len(want))
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	blobs := map[Ref][]byte{}
	for _, n := range []int{0, 1, 1000, maxInline, maxInline + 1, MaxChunk, 5<<20 + 17} {
		data := noise(1, n)
		blobs[write(t, s, data)] = data
		zeros := make([]byte, n)
		blobs[write(t, s, zeros)] = zeros
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	for ref, data := range blobs {
		wantBlob(t, s, ref, data)
	}
	s.Close()
	s = open(t, dir)
	for ref, data := range blobs {
		wantBlob(t, s, ref, data)
		if missing, known := s.Missing(ref); len(missing) != 0 || !known {
			t.Errorf("%d missing of a whole blob, known %v", len(missing), known)
		}
	}
}

func TestReadAt(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(2, 6<<20)
	r, err := s.Open(write(t, s, data))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(io.NewSectionReader(r, 1<<20, 100_000), data[1<<20:1<<20+100_000]); err != nil {
		t.Error(err)
	}
	p := make([]byte, 100)
	if n, err := r.ReadAt(p, int64(len(data)-30)); n != 30 || err != io.EOF || !bytes.Equal(p[:n], data[len(data)-30:]) {
		t.Error("reading over the end:", n, err)
	}
	if n, err := r.ReadAt(p, int64(len(data))+5); n != 0 || err != io.EOF {
		t.Error("reading beyond the end:", n, err)
	}
	if _, err := r.ReadAt(p, -1); err == nil {
		t.Error("a negative offset was read")
	}
}

// The same bytes must have the same name on every device and in every version.
func TestGolden(t *testing.T) {
	s := open(t, t.TempDir())
	for name, want := range map[string]struct {
		data []byte
		hash string
	}{
		"small": {[]byte("hello\n"), goldenSmall},
		"large": {noise(3, 10<<20), goldenLarge},
	} {
		if got := write(t, s, want.data).Hash; hex.EncodeToString(got[:]) != want.hash {
			t.Errorf("%s: %x, want %s", name, got, want.hash)
		}
	}
}

func TestChunksAreShared(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(4, 20<<20)
	one, err := s.manifest(write(t, s, data))
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.manifest(write(t, s, append([]byte("some bytes in front"), data...)))
	if err != nil {
		t.Fatal(err)
	}
	have := map[[32]byte]bool{}
	for _, c := range one.chunks {
		have[c.hash] = true
	}
	fresh := 0
	for _, c := range two.chunks {
		if !have[c.hash] {
			fresh++
		}
	}
	if fresh > 3 {
		t.Errorf("%d of %d chunks are new after an insertion", fresh, len(two.chunks))
	}
}

// fetch copies a blob as replication does: the manifest, then what is missing.
func fetch(t *testing.T, from, to *Store, ref Ref) {
	t.Helper()
	for range 3 {
		missing, known := to.Missing(ref)
		for _, h := range missing {
			data, err := from.Chunk(h)
			if err != nil {
				t.Fatal(err)
			}
			if err := to.PutChunk(h, data); err != nil {
				t.Fatal(err)
			}
		}
		if known && len(missing) == 0 {
			return
		}
	}
	t.Fatal("the blob is still not complete")
}

func TestFetch(t *testing.T) {
	from, to := open(t, t.TempDir()), open(t, t.TempDir())
	data := append(noise(5, 4<<20), make([]byte, 5<<20)...)
	ref := write(t, from, data)
	if missing, known := to.Missing(ref); known || len(missing) != 1 || missing[0] != ref.Hash {
		t.Errorf("missing %x, known %v", missing, known)
	}
	var missing ErrMissing
	if _, err := to.Open(ref); !errors.As(err, &missing) || missing.Hash != ref.Hash {
		t.Error("opening a blob that is not here:", err)
	}
	b, err := from.Chunk(ref.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.PutChunk(ref.Hash, b); err != nil {
		t.Fatal(err)
	}
	r, err := to.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 10), 0); !errors.As(err, &missing) || missing.Hash == ref.Hash {
		t.Error("reading a chunk that is not here:", err)
	}
	fetch(t, from, to, ref)
	got := make([]byte, len(data))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Error("reading what has arrived meanwhile:", err)
	}
}

func TestPutChunkRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	big := make([]byte, MaxSealed+1)
	for name, put := range map[string]struct {
		hash [32]byte
		data []byte
	}{"other bytes": {sha256.Sum256([]byte("a")), []byte("b")}, "too long": {sha256.Sum256(big), big}} {
		if err := s.PutChunk(put.hash, put.data); !errors.Is(err, ErrCorrupt) || s.Has(put.hash) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chunk that went bad on disk is never handed out; a peer can heal it.
func TestBadChunk(t *testing.T) {
	good := open(t, t.TempDir())
	data := noise(6, 3<<20)
	ref := write(t, good, data)
	for name, damage := range map[string]func([]byte) []byte{
		"a bit":    func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut off":  func(b []byte) []byte { return b[:len(b)-1] },
		"empty":    func(b []byte) []byte { return nil },
		"too long": func(b []byte) []byte { return make([]byte, MaxChunk+10) },
	} {
		for _, manifest := range []bool{true, false} {
			dir := t.TempDir()
			s := open(t, dir)
			fetch(t, good, s, ref)
			hash := ref.Hash
			if !manifest {
				m, err := s.manifest(ref)
				if err != nil {
					t.Fatal(err)
				}
				hash = m.chunks[1].hash
			}
			b, err := os.ReadFile(s.path(hash))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.path(hash), damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			if _, err := readAll(t, s, ref); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v, want ErrCorrupt", name, err)
			}
			if s.Has(hash) {
				t.Errorf("%s: the bad chunk counts as here", name)
			}
			fetch(t, good, s, ref)
			wantBlob(t, s, ref, data)
		}
	}
}

// A chunk that somebody takes away is missing, holds no commit up, and can be
// written again.
func TestChunkIsTakenAway(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(9, 1000)
	ref := write(t, s, data)
	if err := os.Remove(s.path(ref.Hash)); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	s.Trim()
	if _, err := readAll(t, s, ref); !errors.As(err, new(ErrMissing)) || s.Has(ref.Hash) {
		t.Errorf("reading what is gone: %v", err)
	}
	if again := write(t, s, data); again != ref {
		t.Error("another name")
	}
	wantBlob(t, s, ref, data)
}

// After a power cut a file may be there and empty. Writing the same bytes
// again must not take it for a copy.
func TestWriteOverAnEmptyChunk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	data := noise(7, 1000)
	ref := write(t, s, data)
	if err := os.Truncate(s.path(ref.Hash), 0); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	write(t, s, data)
	wantBlob(t, s, ref, data)
}

func TestUnfinishedFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "tmp", "123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	wantNoTemp(t, dir)
}

func wantNoTemp(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("unfinished files %v, %v", left, err)
	}
}

func TestFailingReader(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	boom := errors.New("boom")
	for _, n := range []int{10, 3 << 20} {
		r := io.MultiReader(bytes.NewReader(noise(8, n)), iotest.ErrReader(boom))
		if _, err := s.Write(context.Background(), r); !errors.Is(err, boom) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Write(ctx, bytes.NewReader(noise(8, 3<<20))); !errors.Is(err, context.Canceled) {
		t.Error("cancelled:", err)
	}
	wantNoTemp(t, dir)
}

// A full disk is imitated by a limit on the size of files, in a process of its
// own because the limit is the process's.
func TestFullDisk(t *testing.T) {
	if os.Getenv("BLOB_FULL") != "1" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), "BLOB_FULL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	data := noise(9, 3<<20)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1000, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(context.Background(), bytes.NewReader(data)); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v, want EFBIG", err)
	}
	wantNoTemp(t, dir)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, write(t, s, data), data)
}

// A chunk is verified once, not for each piece that is read of it.
func TestReadingInPiecesLoadsOnce(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(10, 4<<20)
	ref := write(t, s, data)
	loads := map[[32]byte]int{}
	inner := s.cache.load
	s.cache.load = func(h [32]byte) ([]byte, error) { loads[h]++; return inner(h) }
	r, err := s.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < r.Size(); off += 128 << 10 {
		if _, err := r.ReadAt(make([]byte, 1000), off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	for h, n := range loads {
		if n != 1 {
			t.Errorf("%x was loaded %d times", h[:4], n)
		}
	}
	if n := len(r.chunks) + 1; len(loads) != n {
		t.Errorf("%d loads of %d chunks", len(loads), n)
	}
}

func TestConcurrency(t *testing.T) {
	s := open(t, t.TempDir())
	data := [][]byte{noise(11, 3<<20), noise(12, 100), noise(11, 3<<20)}
	var wg sync.WaitGroup
	for range 3 {
		for _, d := range data {
			wg.Go(func() {
				ref, err := s.Write(context.Background(), bytes.NewReader(d))
				if err != nil {
					t.Error(err)
					return
				}
				wantBlob(t, s, ref, d)
				if err := s.Sync(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(func(h [32]byte) ([]byte, error) { return make([]byte, MaxChunk), nil })
	for i := range 30 {
		if _, err := c.get([32]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if c.bytes > cacheBytes || c.order.Len() != len(c.entries) {
		t.Errorf("%d bytes in %d entries, %d in order", c.bytes, len(c.entries), c.order.Len())
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(encodeInline([]byte("hello")))
	f.Add(encodeChunks([]chunkRef{{[32]byte{1}, 5}, {[32]byte{2}, 7}}))
	f.Add([]byte(strings.Repeat("\x01", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		if again := encodeChunks(m.chunks); !m.inline && !bytes.Equal(again, b) {
			t.Errorf("%x was read, %x would be written", b, again)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	s := open(b, b.TempDir())
	data := noise(13, 32<<20)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		data[i*1000%len(data)]++
		clear(s.good) // write every chunk again
		write(b, s, data)
	}
}

func BenchmarkWriteSmall(b *testing.B) {
	s := open(b, b.TempDir())
	data := noise(14, 20_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16)
		write(b, s, data)
	}
}

func BenchmarkReadAt(b *testing.B) {
	s := open(b, b.TempDir())
	r, err := s.Open(write(b, s, noise(15, 64<<20)))
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := r.ReadAt(p, off); err != nil {
			b.Fatal(err)
		}
		off = (off + int64(len(p))) % (r.Size() - int64(len(p)))
	}
}

func BenchmarkSync(b *testing.B) {
	s := open(b, b.TempDir())
	data := noise(16, 20_000)
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16)
		write(b, s, data)
		if err := s.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// What is here and is no manifest, or not of this size, cannot be fetched
// better: asking for it again would never end.
func TestNothingToFetch(t *testing.T) {
	s := open(t, t.TempDir())
	ref := write(t, s, []byte("small"))
	other := noise(9, 4000)
	if err := s.PutChunk(sha256.Sum256(other), other); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]Ref{
		"another size":   {ref.Hash, ref.Size + 1},
		"not a manifest": {sha256.Sum256(other), int64(len(other))},
	} {
		if missing, known := s.Missing(bad); len(missing) != 0 || !known {
			t.Errorf("%s: %d missing, known %v", name, len(missing), known)
		}
		if _, err := s.Open(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: opening it gives %v", name, err)
		}
	}
	absent := Ref{[32]byte{1}, 7}
	if missing, known := s.Missing(absent); len(missing) != 1 || missing[0] != absent.Hash || known {
		t.Errorf("absent: %x missing, known %v", missing, known)
	}
	// One that went bad on the disk counts as absent: a peer has it.
	s.cache.clear()
	if err := os.WriteFile(s.path(ref.Hash), []byte("smell"), 0o600); err != nil {
		t.Fatal(err)
	}
	if missing, known := s.Missing(ref); len(missing) != 1 || missing[0] != ref.Hash || known {
		t.Errorf("bad on the disk: %x missing, known %v", missing, known)
	}
}

func TestManifestBytes(t *testing.T) {
	if got := hex.EncodeToString(encodeInline([]byte("hello"))); got != goldenInline {
		t.Errorf("inline: %s", got)
	}
	got := encodeChunks([]chunkRef{{[32]byte{0xaa, 31: 0xbb}, 1 << 20}, {[32]byte{0xcc, 31: 0xdd}, 1<<20 + 513}})
	if hex.EncodeToString(got) != goldenChunks {
		t.Errorf("chunks: %x", got)
	}
	m, err := decodeManifest(got)
	if err != nil || m.inline || m.size != 1<<20+513 || len(m.chunks) != 2 || m.chunks[1].hash != ([32]byte{0xcc, 31: 0xdd}) {
		t.Errorf("decoded %+v, %v", m, err)
	}
}
