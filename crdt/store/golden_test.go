package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("update", false, "rewrite golden files")

// goldenFile compares with a file of text.
func goldenFile(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the format has changed\ngot\n%swant\n%s", path, got, want)
	}
}

// Every table, key and value that lies on a disk, without the pages of bbolt.
func TestDatabaseFormat(t *testing.T) {
	s := open(t, t.TempDir())
	id := [32]byte{0xaa, 31: 0xbb}
	update(t, s, func(tx *Tx) error {
		if _, err := tx.PutEntry([32]byte{7}, 258, []byte("entry")); err != nil {
			return err
		}
		for _, err := range []error{
			tx.PutMeta("name", []byte("value")),
			tx.PutCredential(id, []byte("credential")),
			tx.PutNode([16]byte{1, 15: 2}, []byte("node")),
			tx.PutText([]byte("text key"), []byte("text")),
			tx.PutDoc([]byte("doc key"), []byte("doc")),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	var b strings.Builder
	if err := s.View(func(tx *Tx) error {
		for i, name := range []string{"meta", "entry", "log", "cred", "credid", "node", "text", "doc"} {
			fmt.Fprintf(&b, "%d %s\n", i, name)
			err := tx.tx.Bucket([]byte(name)).ForEach(func(k, v []byte) error {
				fmt.Fprintf(&b, "%x\n\t%x\n", k, v)
				// The checksum as the format has it, without help of this package.
				table := crc32.MakeTable(crc32.Castagnoli)
				sum := crc32.Update(uint32(i)+1, table, append(bytes.Clone(k), v[4:]...))
				if sum != binary.LittleEndian.Uint32(v) {
					t.Errorf("%s %x: the checksum is not that of the format", name, k)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	goldenFile(t, "testdata/database.txt", b.String())
}

// How zstd compresses may change with its releases; what it made must be read.
func TestPackedFormat(t *testing.T) {
	s := open(t, t.TempDir())
	for packed, want := range map[string]string{
		"00" + "68656c6c6f": "hello",
		"01" + goldenZstd:   strings.Repeat("all work and no play\n", 40),
	} {
		raw, err := hex.DecodeString(packed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.unpack(textBucket, nil, raw); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", packed, got, err, want)
		}
	}
	if got := s.pack(textBucket, nil, []byte("hello"))[sealLen:]; hex.EncodeToString(got) != "0068656c6c6f" {
		t.Errorf("packed %x", got)
	}
}

func TestSegmentFormat(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	appendAll(t, j, "one", "two, longer")
	first, err := j.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "one")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, n := range []uint64{first, first + 1} {
		data, err := os.ReadFile(segmentPath(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "journal-%016x\n\t%x\n", n, data)
	}
	goldenFile(t, "testdata/journal.txt", b.String())
	// What is in the golden file must be read for ever.
	wantFrames(t, openJournal(t, dir), "one", "two, longer", "one")
}

const goldenZstd = "28b52ffd40004802f500005401616c6c20776f726b20616e64206e6f20706c61790a015412042d6162"
