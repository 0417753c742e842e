package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func traces(t testing.TB, s *Store, node [16]byte) (got []string) {
	t.Helper()
	err := s.View(func(tx *Tx) error {
		return tx.Traces(node, func(key, v []byte) error {
			got = append(got, string(key[16:])+"="+string(v))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func putTraces(t testing.TB, s *Store) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		var errs []error
		for _, k := range []string{"2b", "1a", "2a", "3a", "1b"} {
			key := append([]byte(strings.Repeat(k[:1], 16)), k[1:]...)
			errs = append(errs, tx.PutTrace(key, []byte("trace "+k)))
		}
		return errors.Join(errs...)
	})
}

func TestTraces(t *testing.T) {
	s := open(t, t.TempDir())
	putTraces(t, s)
	two := [16]byte([]byte(strings.Repeat("2", 16)))
	if got, want := traces(t, s, two), []string{"a=trace 2a", "b=trace 2b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := traces(t, s, [16]byte{9}); got != nil {
		t.Errorf("a node without traces has %q", got)
	}
	failed := errors.New("failed")
	err := s.View(func(tx *Tx) error { return tx.Traces(two, func(_, _ []byte) error { return failed }) })
	if !errors.Is(err, failed) {
		t.Errorf("an error of the callback became %v", err)
	}
	update(t, s, (*Tx).DropMaterialised)
	if got := traces(t, s, two); got != nil {
		t.Errorf("left: %q", got)
	}
}

// A database from before there were traces gets their table.
func TestTablesThatAreNew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 3)
	update(t, s, func(tx *Tx) error { return tx.tx.DeleteBucket(traceBucket.name()) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	putTraces(t, s)
	if failed := verifyFill(t, s, 3); failed != 0 {
		t.Errorf("%d values are lost", failed)
	}
}
