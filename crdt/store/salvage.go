package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Salvaged says what Salvage found.
type Salvaged struct {
	Entries, Credentials, Metas int
	Lost                        int    // values that were there and could not be read
	Kept                        string // where the damaged file is now
}

// Salvage makes a new database from what can be read of a damaged one in dir:
// names, credentials and entries, but none of the state made from them, which
// the caller makes again. The damaged file is kept under another name. Nobody
// may have it open.
func Salvage(dir string) (found Salvaged, err error) {
	path := filepath.Join(dir, fileName)
	work, err := os.MkdirTemp(dir, "salvage-")
	if err != nil {
		return found, fmt.Errorf("salvaging the space's database: %w", err)
	}
	defer os.RemoveAll(work)
	if err := salvage(path, work, &found); err != nil {
		return found, fmt.Errorf("salvaging the space's database: %w", err)
	}
	found.Kept = path + time.Now().UTC().Format(".damaged-20060102-150405")
	if err := os.Rename(path, found.Kept); err != nil {
		return found, err
	}
	if err := os.Rename(filepath.Join(work, fileName), path); err != nil {
		return found, err
	}
	os.Remove(filepath.Join(dir, openMark))
	return found, syncDir(dir)
}

// Undo puts the damaged file back where it was in dir, as it was.
func (f Salvaged) Undo(dir string) error {
	err := os.WriteFile(filepath.Join(dir, openMark), nil, 0o600) // so that the next Open verifies it
	if err == nil {
		err = os.Rename(f.Kept, filepath.Join(dir, fileName))
	}
	if err != nil {
		return fmt.Errorf("putting the damaged database back: %w", err)
	}
	return syncDir(dir)
}

func salvage(path, work string, found *Salvaged) error {
	old := &Store{dir: filepath.Dir(path)}
	err := guard(func() (err error) {
		old.db, err = bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
		return err
	})
	if err != nil {
		return damaged(path, err)
	}
	defer func() { _ = guard(old.db.Close) }()
	fresh, err := Open(work, Options{})
	if err != nil {
		return err
	}
	err = old.View(func(from *Tx) error {
		return fresh.Update(func(to *Tx) error { return copyTo(from, to, found) })
	})
	if cerr := fresh.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyTo copies what is readable. Entries keep the order in which they were
// accepted; those whose place in it is lost come last.
func copyTo(from, to *Tx, found *Salvaged) error {
	var putErr error
	found.Lost += from.readable(metaBucket, func(k, v []byte) {
		found.Metas++
		keepFirst(&putErr, to.PutMeta(string(k), v))
	})
	found.Lost += from.readable(credBucket, func(k, v []byte) {
		if len(v) >= 32 {
			found.Credentials++
			keepFirst(&putErr, to.PutCredential([32]byte(v), v[32:]))
		}
	})
	entry := func(k, raw []byte) {
		if len(k) != 40 {
			return
		}
		pos, err := to.PutEntry([32]byte(k), binary.BigEndian.Uint64(k[32:]), raw)
		keepFirst(&putErr, err)
		if pos > 0 {
			found.Entries++
		}
	}
	found.Lost += from.readable(logBucket, func(_, k []byte) {
		if raw, err := from.get(entryBucket, k); err == nil {
			entry(append([]byte{}, k...), raw)
		}
	})
	found.Lost += from.readable(entryBucket, entry)
	return putErr
}

func keepFirst(first *error, err error) {
	if *first == nil {
		*first = err
	}
}

// readable calls fn for the values of a table that verify, and returns how
// many do not. A damaged page ends the walk and counts as one.
func (t *Tx) readable(b bucket, fn func(k, v []byte)) (lost int) {
	err := guard(func() error {
		bk, err := t.bucket(b)
		if err != nil {
			return err
		}
		c := bk.Cursor()
		for k, sealed := c.First(); k != nil; k, sealed = c.Next() {
			v, err := unseal(b, k, sealed)
			if err != nil {
				lost++
				continue
			}
			fn(append([]byte{}, k...), append([]byte{}, v...))
		}
		return nil
	})
	if err != nil {
		lost++
	}
	return lost
}
