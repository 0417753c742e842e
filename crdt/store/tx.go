package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// A Tx is one transaction. A missing key gives ErrNotFound.
type Tx struct {
	tx *bolt.Tx
	s  *Store
}

// Meta returns a named value.
func (t *Tx) Meta(name string) ([]byte, error) { return t.get(metaBucket, []byte(name)) }

// PutMeta sets a named value.
func (t *Tx) PutMeta(name string, value []byte) error {
	return t.put(metaBucket, []byte(name), seal(metaBucket, []byte(name), value))
}

// DeleteMeta removes a named value. Removing what is not there is no error.
func (t *Tx) DeleteMeta(name string) error { return t.delete(metaBucket, []byte(name)) }

// Metas calls fn for the named values whose names begin with prefix, by name.
func (t *Tx) Metas(prefix string, fn func(name string, value []byte) error) error {
	err := t.each(metaBucket, []byte(prefix), func(k, v []byte) error {
		if !strings.HasPrefix(string(k), prefix) {
			return errPast
		}
		return fn(string(k), bytes.Clone(v))
	})
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

func entryKey(feed [32]byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 40), feed[:]...), seq)
}

func posKey(pos uint64) []byte { return binary.BigEndian.AppendUint64(nil, pos) }

// Entry returns one raw entry.
func (t *Tx) Entry(feed [32]byte, seq uint64) ([]byte, error) {
	return t.get(entryBucket, entryKey(feed, seq))
}

// PutEntry stores an entry and appends it to the arrival log. It returns the
// entry's position there: 1, 2, 3… Storing a number of a feed again changes
// nothing and returns 0.
func (t *Tx) PutEntry(feed [32]byte, seq uint64, raw []byte) (pos uint64, err error) {
	key := entryKey(feed, seq)
	if ok, err := t.has(entryBucket, key); ok || err != nil {
		return 0, err
	}
	if err := t.put(entryBucket, key, seal(entryBucket, key, raw)); err != nil {
		return 0, err
	}
	pos = t.LogEnd() + 1
	return pos, t.put(logBucket, posKey(pos), seal(logBucket, posKey(pos), key))
}

// Log calls fn for the entries accepted after a position, in order.
func (t *Tx) Log(after uint64, fn func(pos uint64, feed [32]byte, seq uint64) error) error {
	return t.each(logBucket, posKey(after+1), func(k, v []byte) error {
		if len(k) != 8 || len(v) != 40 {
			return fmt.Errorf("%w: log %x", ErrDamaged, k)
		}
		return fn(binary.BigEndian.Uint64(k), [32]byte(v[:32]), binary.BigEndian.Uint64(v[32:]))
	})
}

// LogEnd returns the position of the last entry, 0 when there is none.
func (t *Tx) LogEnd() uint64 { return t.last(logBucket) }

// Credential returns one raw credential.
func (t *Tx) Credential(id [32]byte) ([]byte, error) {
	pos, err := t.get(credIDBucket, id[:])
	if err != nil {
		return nil, err
	}
	v, err := t.get(credBucket, pos)
	if err != nil {
		return nil, err
	}
	if len(v) < 32 || [32]byte(v) != id {
		return nil, fmt.Errorf("%w: credential %x", ErrDamaged, id)
	}
	return v[32:], nil
}

// PutCredential stores a credential; storing it again changes nothing.
func (t *Tx) PutCredential(id [32]byte, raw []byte) error {
	if ok, err := t.has(credIDBucket, id[:]); ok || err != nil {
		return err
	}
	pos := posKey(t.last(credBucket) + 1)
	if err := t.put(credBucket, pos, seal(credBucket, pos, id[:], raw)); err != nil {
		return err
	}
	return t.put(credIDBucket, id[:], seal(credIDBucket, id[:], pos))
}

// Credentials calls fn for every credential, in the order they were put.
func (t *Tx) Credentials(fn func(id [32]byte, raw []byte) error) error {
	return t.each(credBucket, nil, func(k, v []byte) error {
		if len(v) < 32 {
			return fmt.Errorf("%w: credential %x", ErrDamaged, k)
		}
		return fn([32]byte(v), v[32:])
	})
}

// Node returns one node record.
func (t *Tx) Node(id [16]byte) ([]byte, error) { return t.get(nodeBucket, id[:]) }

// PutNode stores a node record.
func (t *Tx) PutNode(id [16]byte, record []byte) error {
	return t.put(nodeBucket, id[:], seal(nodeBucket, id[:], record))
}

// Nodes calls fn for every node record, ordered by id.
func (t *Tx) Nodes(fn func(id [16]byte, record []byte) error) error {
	return t.each(nodeBucket, nil, func(k, v []byte) error {
		if len(k) != 16 {
			return fmt.Errorf("%w: node %x", ErrDamaged, k)
		}
		return fn([16]byte(k), v)
	})
}

// Text returns a stored text.
func (t *Tx) Text(key []byte) ([]byte, error) { return t.getPacked(textBucket, key) }

// PutText stores a text, compressed.
func (t *Tx) PutText(key, text []byte) error {
	return t.put(textBucket, key, t.s.pack(textBucket, key, text))
}

// DeleteText removes a text. Removing what is not there is no error.
func (t *Tx) DeleteText(key []byte) error { return t.delete(textBucket, key) }

// Doc returns a saved document.
func (t *Tx) Doc(key []byte) ([]byte, error) { return t.getPacked(docBucket, key) }

// PutDoc stores a saved document, compressed.
func (t *Tx) PutDoc(key, doc []byte) error {
	return t.put(docBucket, key, t.s.pack(docBucket, key, doc))
}

// DeleteDoc removes a document. Removing what is not there is no error.
func (t *Tx) DeleteDoc(key []byte) error { return t.delete(docBucket, key) }

// PutTrace stores what history keeps of an operation. A key begins with the node.
func (t *Tx) PutTrace(key, trace []byte) error {
	return t.put(traceBucket, key, seal(traceBucket, key, trace))
}

// Traces calls fn for the traces of one node, ordered by key.
func (t *Tx) Traces(node [16]byte, fn func(key, trace []byte) error) error {
	err := t.each(traceBucket, node[:], func(k, v []byte) error {
		if !bytes.HasPrefix(k, node[:]) {
			return errPast
		}
		return fn(k, v)
	})
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

var errPast = errors.New("past the last one")

// DropMaterialised empties what can be made again from the log: nodes, texts,
// documents and traces.
func (t *Tx) DropMaterialised() error {
	return guard(func() error {
		for _, b := range []bucket{nodeBucket, textBucket, docBucket, traceBucket} {
			if err := t.tx.DeleteBucket(b.name()); err != nil {
				return err
			}
			if _, err := t.tx.CreateBucket(b.name()); err != nil {
				return err
			}
		}
		return nil
	})
}
