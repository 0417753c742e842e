package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestSalvage(t *testing.T) {
	const n = 60
	whole := crashed(t, n)
	r := rand.New(rand.NewPCG(5, 6))
	for name, damage := range map[string]func([]byte){
		"a value": func(b []byte) { b[bytes.Index(b, []byte("node 7"))] ^= 1 },
		"an entry": func(b []byte) {
			for i := bytes.Index(b, []byte("entry 33")); i >= 0; i = bytes.Index(b, []byte("entry 33")) {
				b[i] ^= 1
			}
		},
		"pages": func(b []byte) {
			for range 4 {
				clear(b[8192+r.IntN(len(b)-16384):][:4096])
			}
		},
	} {
		dir := t.TempDir()
		b := bytes.Clone(whole)
		damage(b)
		if err := os.WriteFile(filepath.Join(dir, fileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Salvage(dir)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if name != "pages" && (found.Entries < n-1 || found.Credentials != n) {
			t.Errorf("%s: found %+v", name, found)
		}
		if kept, err := os.ReadFile(found.Kept); err != nil || !bytes.Equal(kept, b) {
			t.Errorf("%s: the damaged file was not kept: %v", name, err)
		}
		s := open(t, dir)
		if err := s.Verify(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		entries := 0
		err = s.View(func(tx *Tx) error {
			return tx.Log(0, func(pos uint64, feed [32]byte, seq uint64) error { entries++; return nil })
		})
		if err != nil || entries != found.Entries {
			t.Errorf("%s: %d entries in the log, %d found, %v", name, entries, found.Entries, err)
		}
		s.Close()
	}
}
