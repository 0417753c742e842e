package vfs

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/echofs/echofs/crdt/space"
)

// attributes are the permissions and the extended attributes of a fresh file, as
// the held log keeps them: the mode in 4 bytes, then each attribute, in the order
// of their names: the name after its length in 1 byte, the value after its length
// in 2 bytes. Numbers are little-endian.
type attributes struct {
	mode   uint32 // with space.ModeSet, or 0
	xattrs map[string][]byte
}

var errAttributes = errors.New("held attributes are damaged")

func (a attributes) encode() []byte {
	buf := binary.LittleEndian.AppendUint32(nil, a.mode)
	for _, name := range slices.Sorted(maps.Keys(a.xattrs)) {
		buf = append(append(buf, byte(len(name))), name...)
		value := a.xattrs[name]
		buf = append(binary.LittleEndian.AppendUint16(buf, uint16(len(value))), value...)
	}
	return buf
}

func decodeAttributes(data []byte) (attributes, error) {
	if len(data) < 4 {
		return attributes{}, errAttributes
	}
	a := attributes{mode: binary.LittleEndian.Uint32(data), xattrs: map[string][]byte{}}
	if a.mode&^(0o7777|space.ModeSet) != 0 {
		return attributes{}, errAttributes
	}
	data = data[4:]
	for last := ""; len(data) > 0; {
		n := int(data[0])
		if n == 0 || len(data) < 1+n+2 {
			return attributes{}, errAttributes
		}
		name := string(data[1 : 1+n])
		size := int(binary.LittleEndian.Uint16(data[1+n:]))
		data = data[1+n+2:]
		if name <= last || size > xattrValue || len(data) < size || len(a.xattrs) >= xattrMost {
			return attributes{}, errAttributes
		}
		a.xattrs[name], data, last = slices.Clone(data[:size]), data[size:], name
	}
	return a, nil
}

// logAttrs makes the attributes of a fresh file survive the process, if the held
// log has the file; in.mu is held.
func (in *inode) logAttrs() error {
	if in.state != stateFresh || !in.inLog {
		return nil
	}
	return in.vol.log.append(in.heldAttrs())
}

func (in *inode) heldAttrs() heldRecord {
	return heldRecord{Kind: heldAttrs, Key: in.key, Data: attributes{in.mode, in.xattrs}.encode()}
}

// giveHeld gives a file of the space what the held log kept of its attributes.
func (v *volume) giveHeld(id space.NodeID, data []byte) error {
	if data == nil {
		return nil
	}
	a, err := decodeAttributes(data)
	if err != nil {
		return err
	}
	if a.mode != 0 {
		err = v.tree.setMode(id, a.mode)
	}
	for name, value := range a.xattrs {
		err = errors.Join(err, v.tree.setXattr(id, name, value))
	}
	return err
}
