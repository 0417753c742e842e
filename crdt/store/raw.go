package store

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// bucket returns a table. It is missing only in a new or damaged file.
func (t *Tx) bucket(b bucket) (*bolt.Bucket, error) {
	bk := t.tx.Bucket(b.name())
	if bk == nil {
		return nil, fmt.Errorf("table %s: %w", b.name(), ErrNotFound)
	}
	if b == logBucket || b == credBucket {
		bk.FillPercent = 0.95 // only ever appended to
	}
	return bk, nil
}

// with runs fn on the verified value of key, which stays in the database's
// memory.
func (t *Tx) with(b bucket, key []byte, fn func(v []byte) error) error {
	return guard(func() error {
		bk, err := t.bucket(b)
		if err != nil {
			return err
		}
		sealed := bk.Get(key)
		if sealed == nil {
			return fmt.Errorf("%s %x: %w", b.name(), key, ErrNotFound)
		}
		v, err := unseal(b, key, sealed)
		if err != nil {
			return err
		}
		return fn(v)
	})
}

func (t *Tx) get(b bucket, key []byte) (out []byte, err error) {
	err = t.with(b, key, func(v []byte) error {
		out = append(make([]byte, 0, len(v)), v...)
		return nil
	})
	return out, err
}

func (t *Tx) getPacked(b bucket, key []byte) (out []byte, err error) {
	err = t.with(b, key, func(v []byte) (err error) {
		out, err = t.s.unpack(b, key, v)
		return err
	})
	return out, err
}

func (t *Tx) has(b bucket, key []byte) (ok bool, err error) {
	err = guard(func() error {
		bk, err := t.bucket(b)
		if err == nil {
			ok = bk.Get(key) != nil
		}
		return err
	})
	return ok, err
}

// put stores a value that is sealed already and that nobody changes any more.
func (t *Tx) put(b bucket, key, sealed []byte) error {
	return guard(func() error {
		bk, err := t.bucket(b)
		if err != nil {
			return err
		}
		return bk.Put(key, sealed)
	})
}

func (t *Tx) delete(b bucket, key []byte) error {
	return guard(func() error {
		bk, err := t.bucket(b)
		if err != nil {
			return err
		}
		return bk.Delete(key)
	})
}

// last returns the greatest position in a table, 0 when it is empty.
func (t *Tx) last(b bucket) (pos uint64) {
	_ = guard(func() error {
		bk, err := t.bucket(b)
		if err != nil {
			return err
		}
		if k, _ := bk.Cursor().Last(); len(k) == 8 {
			pos = binary.BigEndian.Uint64(k)
		}
		return nil
	})
	return pos
}

// each calls fn for the verified values of a table from a key on. fn runs
// outside the guard, so that a panic of the caller stays the caller's.
func (t *Tx) each(b bucket, from []byte, fn func(k, v []byte) error) error {
	var c *bolt.Cursor
	var key, value []byte
	step := func(advance func() (k, v []byte)) (more bool, err error) {
		err = guard(func() error {
			k, sealed := advance()
			if k == nil {
				return nil
			}
			v, err := unseal(b, k, sealed)
			if err != nil {
				return err
			}
			more = true
			key, value = append(key[:0], k...), append(value[:0], v...)
			return nil
		})
		return more, err
	}
	err := guard(func() error {
		bk, err := t.bucket(b)
		if err == nil {
			c = bk.Cursor()
		}
		return err
	})
	if err != nil {
		return err
	}
	more, err := step(func() (k, v []byte) { return c.Seek(from) })
	for more && err == nil {
		if err = fn(key, value); err != nil {
			return err
		}
		more, err = step(c.Next)
	}
	return err
}

// Verify reads the whole database and checks every value.
func (s *Store) Verify() error {
	err := s.View(func(t *Tx) error {
		for b := bucket(0); b < buckets; b++ {
			if bk := t.peek(b); bk == nil {
				continue // a crash came before the first commit
			}
			if err := t.each(b, nil, func(k, v []byte) error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return damaged(s.db.Path(), err)
	}
	return nil
}

func (t *Tx) peek(b bucket) (bk *bolt.Bucket) {
	_ = guard(func() error {
		bk = t.tx.Bucket(b.name())
		return nil
	})
	return bk
}
