package document

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// The columns of a change that this package knows.
const (
	colObjActor  = 0x01
	colObjCtr    = 0x02
	colKeyActor  = 0x11
	colKeyCtr    = 0x13
	colKeyString = 0x15
	colInsert    = 0x34
	colAction    = 0x42
	colValueMeta = 0x56
	colValueRaw  = 0x57
	colPredCount = 0x70
	colPredActor = 0x71
	colPredCtr   = 0x73
)

const (
	chunkMagic   = "\x85\x6f\x4a\x83"
	changeChunk  = 1
	contentKey   = "content"
	actionSet    = 1
	actionDelete = 3
	actionText   = 4
	valueString  = 6
)

// firstChange returns the change that makes the text object and puts text in
// it, byte for byte as Automerge writes it. Making it here keeps it the same
// in every later version of the library: nobody sends it, everybody derives it.
func firstChange(seed [32]byte, text string) (raw []byte, hash Hash) {
	n := utf8.RuneCountInString(text)
	var keyCtr, meta rle
	keyCtr.null()
	meta.add(0)
	i := 0
	for _, r := range text {
		switch i {
		case 0:
			keyCtr.add(0) // at the head
		case 1:
			keyCtr.add(2) // behind operation 2, the first rune
		default:
			keyCtr.add(1)
		}
		meta.add(int64(utf8.RuneLen(r))<<4 | valueString)
		i++
	}
	type col struct {
		spec byte
		data []byte
	}
	cols := []col{{colKeyString, keyStrings(n)}, {colInsert, insertFlags(n)}, {colAction, actions(n)}, {colValueMeta, meta.bytes(false)},
		{colPredCount, repeated(0, 0, n+1)}}
	if n > 0 {
		cols = append(cols, col{colObjActor, repeated(1, 0, n)}, col{colObjCtr, repeated(1, 1, n)},
			col{colKeyCtr, keyCtr.bytes(true)}, col{colValueRaw, []byte(text)})
	}
	if n > 1 {
		cols = append(cols, col{colKeyActor, repeated(2, 0, n-1)})
	}
	slices.SortFunc(cols, func(a, b col) int { return int(a.spec) - int(b.spec) })

	body := []byte{0, 16} // no dependencies; the actor
	body = append(body, seed[:16]...)
	body = append(body, 1, 1, 0, 0, 0, byte(len(cols))) // seq, first operation, time, message, other actors
	for _, c := range cols {
		body = append(body, c.spec)
		body = binary.AppendUvarint(body, uint64(len(c.data)))
	}
	for _, c := range cols {
		body = append(body, c.data...)
	}
	return chunk(body)
}

// chunk frames the body of a change.
func chunk(body []byte) (raw []byte, hash Hash) {
	framed := binary.AppendUvarint([]byte{changeChunk}, uint64(len(body)))
	framed = append(framed, body...)
	hash = sha256.Sum256(framed)
	raw = append(make([]byte, 0, len(framed)+8), chunkMagic...)
	raw = append(raw, hash[:4]...)
	return append(raw, framed...), hash
}

func keyStrings(n int) []byte {
	b := append([]byte{0x7f, byte(len(contentKey))}, contentKey...)
	if n > 0 {
		b = binary.AppendUvarint(append(b, 0), uint64(n))
	}
	return b
}

func insertFlags(n int) []byte {
	b := []byte{1}
	if n > 0 {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func actions(n int) []byte {
	var a rle
	a.add(actionText)
	for range n {
		a.add(actionSet)
	}
	return a.bytes(false)
}

// repeated returns a column of nulls and then one value n times.
func repeated(nulls int, v int64, n int) []byte {
	var c rle
	for range nulls {
		c.null()
	}
	for range n {
		c.add(v)
	}
	return c.bytes(false)
}

// An rle collects the rows of a column as runs of equal rows.
type rle struct {
	runs []run
}

type run struct {
	value int64
	null  bool
	n     int
}

func (c *rle) add(v int64) { c.push(run{value: v, n: 1}) }
func (c *rle) null()       { c.push(run{null: true, n: 1}) }

func (c *rle) push(r run) {
	if k := len(c.runs) - 1; k >= 0 && c.runs[k].value == r.value && c.runs[k].null == r.null {
		c.runs[k].n++
		return
	}
	c.runs = append(c.runs, r)
}

// bytes encodes the rows as Automerge does: runs of two and more as a count
// and the value, single rows together as a negative count and the values.
func (c *rle) bytes(signed bool) (b []byte) {
	number := func(v int64) {
		if signed {
			b = appendInt(b, v)
		} else {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	for i := 0; i < len(c.runs); {
		switch r := c.runs[i]; {
		case r.null:
			b = binary.AppendUvarint(append(b, 0), uint64(r.n))
			i++
		case r.n > 1:
			b = appendInt(b, int64(r.n))
			number(r.value)
			i++
		default:
			j := i
			for j < len(c.runs) && c.runs[j].n == 1 && !c.runs[j].null {
				j++
			}
			b = appendInt(b, -int64(j-i))
			for ; i < j; i++ {
				number(c.runs[i].value)
			}
		}
	}
	return b
}
