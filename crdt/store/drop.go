package store

import (
	"encoding/binary"
	"fmt"
)

// DropFrom takes entries out of the log: of each feed named those from a number
// on. It returns them in the order in which they came.
func (t *Tx) DropFrom(from map[[32]byte]uint64) (raw [][]byte, err error) {
	var at [][]byte
	err = t.each(logBucket, nil, func(k, v []byte) error {
		if len(v) != 40 {
			return fmt.Errorf("%w: log %x", ErrDamaged, k)
		}
		first, named := from[[32]byte(v[:32])]
		if !named || binary.BigEndian.Uint64(v[32:]) < first {
			return nil
		}
		e, err := t.get(entryBucket, v)
		if err != nil {
			return err
		}
		raw = append(raw, e)
		at = append(at, append([]byte{}, k...), append([]byte{}, v...))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(at); i += 2 {
		if err := t.delete(logBucket, at[i]); err != nil {
			return nil, err
		}
		if err := t.delete(entryBucket, at[i+1]); err != nil {
			return nil, err
		}
	}
	return raw, nil
}
