package document

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// operations decodes the rows.
func (c *change) operations(cols map[uint64][]byte, steps *[]step) error {
	o := ops{
		change:   c,
		objActor: newColumn(cols[colObjActor], false), objCtr: newColumn(cols[colObjCtr], false),
		keyActor: newColumn(cols[colKeyActor], false), keyCtr: newColumn(cols[colKeyCtr], true),
		insert: &flags{r: reader{b: cols[colInsert]}}, action: newColumn(cols[colAction], false),
		meta: newColumn(cols[colValueMeta], false), raw: cols[colValueRaw],
		predCount: newColumn(cols[colPredCount], false), predActor: newColumn(cols[colPredActor], false),
		predCtr: newColumn(cols[colPredCtr], true),
		used:    make([]bool, len(c.actors)), doc: -1, siblings: map[elements]int{}, steps: steps,
	}
	for i := range c.Ops {
		if err := o.row(uint32(c.StartOp) + uint32(i)); err != nil {
			return err
		}
	}
	for _, col := range []interface{ end() error }{o.objActor, o.objCtr, o.keyActor, o.keyCtr, o.insert, o.action, o.meta, o.predCount, o.predActor, o.predCtr} {
		if err := col.end(); err != nil {
			return err
		}
	}
	if len(o.raw) != 0 || slices.Contains(o.used[1:], false) {
		return fmt.Errorf("%w: bytes or actors that nothing uses", ErrInvalid)
	}
	c.Doc = c.actors[o.doc]
	return c.deletedOnce()
}

// deletedOnce refuses a change that deletes one rune twice: thousands of
// operations on one place take the C library minutes.
func (c *change) deletedOnce() error {
	runs := slices.Clone(c.deleted)
	slices.SortFunc(runs, func(a, b elements) int {
		if a.actor != b.actor {
			return a.actor - b.actor
		}
		return int(a.lo) - int(b.lo)
	})
	for i := 1; i < len(runs); i++ {
		if runs[i].actor == runs[i-1].actor && runs[i].lo <= runs[i-1].hi {
			return fmt.Errorf("%w: it deletes one rune twice", ErrInvalid)
		}
	}
	return nil
}

// ops walks over the rows of all columns at once.
type ops struct {
	*change
	objActor, objCtr, keyActor, keyCtr, action, meta, predCount, predActor, predCtr *column
	insert                                                                          *flags
	raw                                                                             []byte
	used                                                                            []bool // by actor
	doc                                                                             int    // actor of the text object; -1 before the first row
	key, pred                                                                       int64  // running sums of keyCtr and predCtr
	siblings                                                                        map[elements]int
	pairs                                                                           int
	steps                                                                           *[]step
}

var errRow = fmt.Errorf("%w: an operation that is no insertion or deletion in the text", ErrInvalid)

// row takes one operation in. me is its number.
func (o *ops) row(me uint32) error {
	obj, ok1 := o.objActor.next()
	ctr, ok2 := o.objCtr.next()
	if o.doc < 0 && ok1 && obj < int64(len(o.actors)) {
		o.doc = int(obj)
		o.used[o.doc] = true
	}
	if !ok1 || !ok2 || ctr != 1 || obj != int64(o.doc) {
		return errRow
	}
	action, _ := o.action.next()
	meta, hasMeta := o.meta.next()
	preds, hasPreds := o.predCount.next()
	at, err := o.elem(o.keyActor, o.keyCtr, &o.key, me)
	if err != nil || !hasMeta || !hasPreds {
		return errRow
	}
	switch insert := o.insert.next(); {
	case insert && action == actionSet && preds == 0:
		r, err := o.value(meta)
		if err != nil {
			return err
		}
		o.step(step{at, me, r})
		if err := o.sibling(at, me); err != nil {
			return err
		}
		if at.lo != 0 && (at.actor != 0 || uint64(at.lo) < o.StartOp) {
			o.after = appendElement(o.after, at)
		} else if at.lo != 0 && !contains(o.inserted, at.lo) {
			return errRow
		}
		o.inserted = appendNumber(o.inserted, me)
	case !insert && action == actionDelete && meta == 0 && preds == 1:
		pred, err := o.elem(o.predActor, o.predCtr, &o.pred, me)
		if err != nil || pred != at || at.lo == 0 {
			return errRow
		}
		if at.actor == 0 && uint64(at.lo) >= o.StartOp && !contains(o.inserted, at.lo) {
			return errRow
		}
		o.deleted = appendElement(o.deleted, at)
		o.step(step{at, me, 0})
	default:
		return errRow
	}
	return nil
}

func (o *ops) step(s step) {
	if o.steps != nil {
		*o.steps = append(*o.steps, s)
	}
}

// sibling counts an insertion behind at. One behind the operation just before
// it, as in running text, is not looked up.
func (o *ops) sibling(at elements, me uint32) error {
	if at.actor == 0 && at.lo == me-1 {
		return nil
	}
	n := o.siblings[at]
	o.siblings[at] = n + 1
	if o.pairs += n; o.pairs > maxSiblings {
		return fmt.Errorf("%w: it inserts too often in one place", ErrInvalid)
	}
	return nil
}

// elem reads the name of a rune. The head of the text has number 0.
func (o *ops) elem(actors, counters *column, sum *int64, me uint32) (elements, error) {
	a, hasActor := actors.next()
	d, ok := counters.next()
	if !ok || d > maxOps || d < -maxOps {
		return elements{}, errRow
	}
	*sum += d
	switch n := *sum; {
	case n == 0 && !hasActor:
		return elements{}, nil
	case !hasActor || n < 2 || n >= int64(me) || a >= int64(len(o.actors)):
		return elements{}, errRow
	default:
		o.used[a] = true
		return elements{int(a), interval{uint32(n), uint32(n)}}, nil
	}
}

// value takes the rune that an insertion inserts.
func (o *ops) value(meta int64) (rune, error) {
	n := int(meta >> 4)
	if meta&15 != valueString || n < 1 || n > utf8.UTFMax || n > len(o.raw) {
		return 0, errRow
	}
	r, size := utf8.DecodeRune(o.raw[:n])
	if size != n || r == utf8.RuneError && n == 1 || r == 0 {
		return 0, fmt.Errorf("%w: it inserts something that is not text", ErrInvalid)
	}
	o.raw = o.raw[n:]
	return r, nil
}

func appendNumber(runs []interval, n uint32) []interval {
	if k := len(runs) - 1; k >= 0 && runs[k].hi+1 == n {
		runs[k].hi = n
		return runs
	}
	return append(runs, interval{n, n})
}

// appendElement adds a rune to runs in the order in which they are named,
// which for a deletion is mostly ascending.
func appendElement(runs []elements, e elements) []elements {
	if k := len(runs) - 1; k >= 0 && runs[k].actor == e.actor && runs[k].hi+1 == e.lo {
		runs[k].hi = e.hi
		return runs
	}
	return append(runs, e)
}

// contains tells whether n is in one of ascending runs.
func contains(runs []interval, n uint32) bool {
	_, found := slices.BinarySearchFunc(runs, n, interval.side)
	return found
}

// side says on which side of n a run is; 0 when n is in it.
func (r interval) side(n uint32) int {
	switch {
	case r.hi < n:
		return -1
	case r.lo > n:
		return 1
	}
	return 0
}
