package space

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity/codec"
)

// maxWithdrawn is how many copies are kept of what this device wrote and the
// space does not have. The oldest make room.
const maxWithdrawn = 4096

// Withdrawn is something that was written on this device and is not in the
// space, because this device may not write there any more.
type Withdrawn struct {
	ID   string // pass it to OpenWithdrawn
	Path string // where it was
	Size int64
	Time time.Time
}

// withdrawn is a Withdrawn as it is stored.
type withdrawn struct {
	Path string   `cbor:"1,keyasint"`
	Time int64    `cbor:"2,keyasint"` // nanoseconds
	Data []byte   `cbor:"3,keyasint,omitempty"`
	Hash [32]byte `cbor:"4,keyasint,omitzero"` // of a blob
	Size int64    `cbor:"5,keyasint,omitempty"`
}

// Withdraw keeps content on this device that cannot be written to the space.
func (s *Space) Withdraw(path string, c Content, mtime time.Time) error {
	op, err := s.op(c)
	if err != nil {
		return fmt.Errorf("keeping %s: %w", path, err)
	}
	w := withdrawn{Path: path, Time: mtime.UnixNano(), Data: op.Data, Size: op.Size}
	if c.ref != nil || len(op.Hash) > 0 {
		w.Hash = [32]byte(op.Hash)
		err = s.blobs.Sync()
	}
	if err == nil {
		err = s.db.Update(func(tx *store.Tx) error { return putWithdrawn(tx, w) })
	}
	if err != nil {
		return fmt.Errorf("keeping %s: %w", path, err)
	}
	s.log.Warn("what was written here is not in the space; it is kept in .space/withdrawn", "space", s.name, "path", path)
	s.mu.Lock()
	s.gone.moment++
	s.mu.Unlock()
	return nil
}

func putWithdrawn(tx *store.Tx, w withdrawn) error {
	data, err := codec.Marshal(w)
	if err != nil {
		return err
	}
	var all []string
	err = tx.Metas(metaWithdrawn, func(name string, _ []byte) error {
		all = append(all, name)
		return nil
	})
	if err != nil {
		return err
	}
	next := uint64(1)
	if len(all) > 0 {
		if _, err := fmt.Sscanf(strings.TrimPrefix(all[len(all)-1], metaWithdrawn), "%x", &next); err != nil {
			return fmt.Errorf("%w: %s", store.ErrDamaged, all[len(all)-1])
		}
		next++
	}
	for ; len(all) >= maxWithdrawn; all = all[1:] {
		if err := tx.DeleteMeta(all[0]); err != nil {
			return err
		}
	}
	return tx.PutMeta(fmt.Sprintf("%s%016x", metaWithdrawn, next), data)
}

// dropWithdrawn forgets what is in the space after all.
func dropWithdrawn(tx *store.Tx, w *withdrawn) error {
	data, err := codec.Marshal(w)
	if err != nil {
		return err
	}
	var same []string
	err = tx.Metas(metaWithdrawn, func(name string, v []byte) error {
		if bytes.Equal(v, data) {
			same = append(same, name)
		}
		return nil
	})
	for _, name := range same {
		err = errors.Join(err, tx.DeleteMeta(name))
	}
	return err
}

func decodeWithdrawn(data []byte) (w withdrawn, err error) {
	if err := codec.Unmarshal(data, &w); err != nil {
		return w, fmt.Errorf("%w: withdrawn content: %w", store.ErrDamaged, err)
	}
	return w, nil
}

func (w *withdrawn) isBlob() bool { return w.Hash != [32]byte{} }

// Withdrawn returns what is kept on this device only, oldest first.
func (s *Space) Withdrawn() ([]Withdrawn, error) {
	var out []Withdrawn
	err := s.db.View(func(tx *store.Tx) error {
		return tx.Metas(metaWithdrawn, func(name string, data []byte) error {
			w, err := decodeWithdrawn(data)
			if err != nil {
				return err
			}
			size := int64(len(w.Data))
			if w.isBlob() {
				size = w.Size
			}
			out = append(out, Withdrawn{strings.TrimPrefix(name, metaWithdrawn), w.Path, size, time.Unix(0, w.Time)})
			return nil
		})
	})
	return out, err
}

// OpenWithdrawn returns the content of one of Withdrawn.
func (s *Space) OpenWithdrawn(id string) (*Snapshot, error) {
	var w withdrawn
	err := s.db.View(func(tx *store.Tx) error {
		data, err := tx.Meta(metaWithdrawn + id)
		if errors.Is(err, store.ErrNotFound) {
			return os.ErrNotExist
		}
		if err == nil {
			w, err = decodeWithdrawn(data)
		}
		return err
	})
	if err != nil {
		return nil, s.fail("open withdrawn", Root, err)
	}
	p := &Snapshot{space: s, version: "withdrawn-" + hex.EncodeToString([]byte(id)), data: w.Data, closed: make(chan struct{})}
	if w.isBlob() {
		p.isBlob, p.ref = true, blob.Ref{Hash: w.Hash, Size: w.Size}
	}
	return p, nil
}
