package store

import (
	"bytes"
	"testing"
)

func TestTrim(t *testing.T) {
	s, err := Open(t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	value := bytes.Repeat([]byte("value "), 1000)
	for round := range byte(3) {
		if err := s.Update(func(tx *Tx) error { return tx.PutMeta(string('a'+round), value) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Trim(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.View(func(tx *Tx) error {
		for key := range byte(3) {
			if got, err := tx.Meta(string('a' + key)); err != nil || !bytes.Equal(got, value) {
				t.Errorf("%d: %d bytes, %v", key, len(got), err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Trim() == nil {
		t.Error("a closed store was trimmed")
	}
}
