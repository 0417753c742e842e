package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{NoSync: true, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t testing.TB, s *Store, fn func(*Tx) error) {
	t.Helper()
	if err := s.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// fill puts something in every table.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		for i := range n {
			id := [32]byte{byte(i), byte(i >> 8), 1}
			_, e1 := tx.PutEntry([32]byte{7}, uint64(i+1), fmt.Appendf(nil, "entry %d", i))
			err := errors.Join(e1,
				tx.PutMeta(fmt.Sprintf("name%d", i), []byte("value")),
				tx.PutCredential(id, fmt.Appendf(nil, "credential %d", i)),
				tx.PutNode([16]byte(id[:16]), fmt.Appendf(nil, "node %d", i)),
				tx.PutText(id[:], []byte(strings.Repeat("text ", i))),
				tx.PutDoc(id[:], []byte(strings.Repeat("doc ", i))))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// verifyFill reads what fill put, and returns how many reads failed. Wrong
// bytes fail the test.
func verifyFill(t testing.TB, s *Store, n int) (failed int) {
	t.Helper()
	check := func(got []byte, err error, want string) {
		t.Helper()
		if err != nil {
			failed++
		} else if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	err := s.View(func(tx *Tx) error {
		for i := range n {
			id := [32]byte{byte(i), byte(i >> 8), 1}
			b, err := tx.Entry([32]byte{7}, uint64(i+1))
			check(b, err, fmt.Sprintf("entry %d", i))
			b, err = tx.Meta(fmt.Sprintf("name%d", i))
			check(b, err, "value")
			b, err = tx.Credential(id)
			check(b, err, fmt.Sprintf("credential %d", i))
			b, err = tx.Node([16]byte(id[:16]))
			check(b, err, fmt.Sprintf("node %d", i))
			b, err = tx.Text(id[:])
			check(b, err, strings.Repeat("text ", i))
			b, err = tx.Doc(id[:])
			check(b, err, strings.Repeat("doc ", i))
		}
		return nil
	})
	if err != nil {
		failed++
	}
	return failed
}

func TestRoundTripAcrossReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 100)
	if n := verifyFill(t, s, 100); n != 0 {
		t.Fatal(n, "reads failed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, openMark)); !os.IsNotExist(err) {
		t.Error("a clean close left the mark:", err)
	}
	s = open(t, dir)
	if n := verifyFill(t, s, 100); n != 0 {
		t.Fatal(n, "reads failed after reopening")
	}
}

func TestLog(t *testing.T) {
	s := open(t, t.TempDir())
	a, b := [32]byte{1}, [32]byte{2}
	update(t, s, func(tx *Tx) error {
		for i, e := range []struct {
			feed [32]byte
			seq  uint64
			want uint64
		}{{b, 1, 1}, {a, 1, 2}, {b, 2, 3}, {a, 1, 0}} {
			if pos, err := tx.PutEntry(e.feed, e.seq, []byte{9}); err != nil || pos != e.want {
				t.Errorf("entry %d: position %d, %v, want %d", i, pos, err, e.want)
			}
		}
		return nil
	})
	var got []string
	err := s.View(func(tx *Tx) error {
		if end := tx.LogEnd(); end != 3 {
			t.Error("log ends at", end)
		}
		return tx.Log(1, func(pos uint64, feed [32]byte, seq uint64) error {
			got = append(got, fmt.Sprint(pos, feed[0], seq))
			return nil
		})
	})
	if want := []string{"2 1 1", "3 2 2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("log after 1: %v, %v, want %v", got, err, want)
	}
}

func TestCredentialsKeepTheirOrder(t *testing.T) {
	s := open(t, t.TempDir())
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.PutCredential([32]byte{9}, []byte("a")), tx.PutCredential([32]byte{1}, []byte("b")),
			tx.PutCredential([32]byte{9}, []byte("again")))
	})
	var got string
	err := s.View(func(tx *Tx) error {
		return tx.Credentials(func(id [32]byte, raw []byte) error {
			got += fmt.Sprint(id[0], string(raw), " ")
			return nil
		})
	})
	if err != nil || got != "9a 1b " {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMissing(t *testing.T) {
	s := open(t, t.TempDir())
	err := s.View(func(tx *Tx) error {
		for name, get := range map[string]func() ([]byte, error){
			"meta":       func() ([]byte, error) { return tx.Meta("x") },
			"entry":      func() ([]byte, error) { return tx.Entry([32]byte{}, 1) },
			"credential": func() ([]byte, error) { return tx.Credential([32]byte{}) },
			"node":       func() ([]byte, error) { return tx.Node([16]byte{}) },
			"text":       func() ([]byte, error) { return tx.Text([]byte("x")) },
			"doc":        func() ([]byte, error) { return tx.Doc([]byte("x")) },
		} {
			if _, err := get(); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedUpdateIsUndone(t *testing.T) {
	s := open(t, t.TempDir())
	boom := errors.New("boom")
	err := s.Update(func(tx *Tx) error {
		if err := tx.PutMeta("a", []byte("b")); err != nil {
			t.Error(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Error("got", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic of the caller was swallowed")
			}
		}()
		_ = s.Update(func(tx *Tx) error { panic("mine") })
	}()
	update(t, s, func(tx *Tx) error {
		if _, err := tx.Meta("a"); !errors.Is(err, ErrNotFound) {
			t.Error("an undone value is there:", err)
		}
		return nil
	})
}

func TestDropMaterialised(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, 10)
	update(t, s, (*Tx).DropMaterialised)
	err := s.View(func(tx *Tx) error {
		if err := tx.Nodes(func([16]byte, []byte) error { return errors.New("a node is left") }); err != nil {
			t.Error(err)
		}
		id := [32]byte{3, 0, 1}
		_, textErr := tx.Text(id[:])
		_, docErr := tx.Doc(id[:])
		_, entryErr := tx.Entry([32]byte{7}, 4)
		if !errors.Is(textErr, ErrNotFound) || !errors.Is(docErr, ErrNotFound) || entryErr != nil {
			t.Error(textErr, docErr, entryErr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, Options{Timeout: 10 * time.Millisecond}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx *Tx) error { return tx.PutMeta("format", []byte{99}) })
	s.Close()
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

// crashed returns the bytes of a filled database that was not closed.
func crashed(t testing.TB, n int) []byte {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, n)
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever happens to the file, the process goes on, nothing wrong is ever
// read, and after a crash a damaged value is found when the file is opened.
func TestDamage(t *testing.T) {
	const n = 60
	whole := crashed(t, n)
	r := rand.New(rand.NewPCG(1, 2))
	tests := map[string]func([]byte) []byte{
		"empty":       func(b []byte) []byte { return b[:0] },
		"text":        func(b []byte) []byte { return []byte("this is not a database\n") },
		"half":        func(b []byte) []byte { return b[:len(b)/2] },
		"all zero":    func(b []byte) []byte { return make([]byte, len(b)) },
		"meta pages":  func(b []byte) []byte { clear(b[:8192]); return b },
		"other pages": func(b []byte) []byte { clear(b[8192:]); return b },
		"noise": func(b []byte) []byte {
			for i := range b[8192:] {
				b[8192+i] = byte(r.Uint32())
			}
			return b
		},
	}
	for i := range 100 {
		tests[fmt.Sprintf("byte %d", i)] = func(b []byte) []byte {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			return b
		}
		tests[fmt.Sprintf("page %d", i)] = func(b []byte) []byte {
			p := r.IntN(len(b)/4096) * 4096
			q := r.IntN(len(b)/4096) * 4096
			copy(b[p:p+4096], b[q:])
			return b
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		damage := tests[name]
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), damage(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 { // as after a crash
			if err := os.WriteFile(filepath.Join(dir, openMark), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir, Options{NoSync: true})
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%s: %v, want ErrDamaged", name, err)
			}
			continue
		}
		verifyFill(t, s, n)
		_ = s.Update(func(tx *Tx) error {
			for i := range 20 {
				if err := tx.PutMeta(fmt.Sprint("new", i), make([]byte, 1000)); err != nil {
					return err
				}
			}
			return nil
		})
		s.Close()
	}
}

func TestCutFileWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 300)
	if err := os.Truncate(filepath.Join(dir, fileName), 8192); err != nil {
		t.Fatal(err)
	}
	err := s.View(func(tx *Tx) error { return tx.Nodes(func([16]byte, []byte) error { return nil }) })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("reading a file that lost its pages: %v, want ErrDamaged", err)
	}
}

// The layout of a value must not change by accident.
func TestGoldenValues(t *testing.T) {
	s := open(t, t.TempDir())
	got := hex.EncodeToString(seal(nodeBucket, []byte("key"), []byte("value"))) + " " +
		hex.EncodeToString(s.pack(textBucket, []byte("key"), []byte("short")))
	want := "67f1655b76616c7565 619885410073686f7274"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzUnpack(f *testing.F) {
	s := open(f, f.TempDir())
	f.Add(s.pack(textBucket, []byte("k"), bytes.Repeat([]byte("hello "), 50))[sealLen:])
	f.Add([]byte{packedRaw, 'x'})
	f.Add([]byte{packedZstd, 0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, packed []byte) {
		if out, err := s.unpack(textBucket, []byte("k"), packed); err == nil && len(out) > maxValue {
			t.Errorf("%d bytes", len(out))
		}
	})
}
