package signedlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity/credential"
)

var update = flag.Bool("update", false, "write the golden file anew")

func example(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err == nil {
		err = errors.Join(w.Add(Credential, []byte("genesis")), w.Add(Entry, []byte("first")), w.Add(Entry, []byte("second")), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns the records, as "kind body".
func read(data []byte) (list []string, err error) {
	err = Read(bytes.NewReader(data), func(kind Kind, raw []byte) error {
		list = append(list, map[Kind]string{Credential: "credential ", Entry: "entry "}[kind]+string(raw))
		return nil
	})
	return list, err
}

func TestGolden(t *testing.T) {
	data := example(t)
	path := filepath.Join("testdata", "log.hex")
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(data) != strings.TrimSpace(string(want)) {
		t.Errorf("a log is %x", data)
	}
	got, err := read(data)
	if err != nil || strings.Join(got, ", ") != "credential genesis, entry first, entry second" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	data := example(t)
	for i := range data {
		if _, err := read(data[:i]); err == nil {
			t.Errorf("cut after %d bytes, and complete", i)
		}
		other := bytes.Clone(data)
		other[i] ^= 1
		if _, err := read(other); err == nil {
			t.Errorf("byte %d is another, and nobody minds", i)
		}
	}
	if _, err := read(append(bytes.Clone(data), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("it goes on: %v", err)
	}
	if _, err := read([]byte("echolog\x02")); !errors.Is(err, ErrNotLog) {
		t.Errorf("a later version: %v", err)
	}
	stop := errors.New("stop")
	if err := Read(bytes.NewReader(data), func(Kind, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestAddRefuses(t *testing.T) {
	w, err := NewWriter(new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if w.Add(Entry, nil) == nil || w.Add(7, []byte("x")) == nil || w.Add(Credential, make([]byte, credential.MaxSize+1)) == nil {
		t.Error("a record that cannot be read back was written")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte(magic))
	f.Add([]byte(magic + "\x02\x00\x0f\xff\xffx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		w, err := NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if Read(bytes.NewReader(data), w.Add) != nil {
			return
		}
		if err := w.Close(); err != nil || !bytes.Equal(b.Bytes(), data) {
			t.Errorf("%x reads back as %x, %v", data, b.Bytes(), err)
		}
	})
}
