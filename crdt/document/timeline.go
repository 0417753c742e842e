package document

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Timeline is a document made for looking back: it gives the text as it was
// at any of its changes. It is written in Go from end to end, needs no
// Automerge document, and takes 24 bytes for each rune ever in the text. It
// does not change, so any goroutine may use it.
type Timeline struct {
	byHash  map[Hash]int
	moments []moment // dependencies first; 0 is the text the document began with
	authors map[[16]byte]int
	actors  [][16]byte
	runs    [][]glyphs // by author: which runes are theirs, ascending
	runes   []glyph    // 0 is the head
	again   map[int32][]int32
}

// A moment is one change.
type moment struct {
	deps []int
	size int64 // of the text then, in bytes
}

// glyph is one rune that is or was in the text.
type glyph struct {
	r      rune
	author int32
	n      uint32 // number of the operation that inserted it
	by     int32  // moment that inserted it
	gone   int32  // moment that deleted it, or 0
	next   int32  // rune behind it, or 0
}

// glyphs says that the operations from lo to hi inserted the runes from first.
type glyphs struct {
	interval
	first int32
}

// A step is one operation of a change.
type step struct {
	at     elements // inserted behind this rune, or deleted
	me     uint32
	insert rune // 0: deleted
}

// NewTimeline reads what Save returned, and changes that came after it.
func NewTimeline(saved []byte, more [][]byte) (*Timeline, error) {
	seed, base, changes, err := unsave(saved)
	if err != nil {
		return nil, fmt.Errorf("looking back: %w", err)
	}
	_, first := firstChange(seed, base)
	t := &Timeline{byHash: map[Hash]int{}, authors: map[[16]byte]int{}, again: map[int32][]int32{}}
	t.begin([16]byte(seed[:16]), first, base)
	for _, raw := range append(changes, more...) {
		if err := t.add(raw); err != nil {
			return nil, fmt.Errorf("looking back: %w", err)
		}
	}
	return t, nil
}

// begin puts the first text in.
func (t *Timeline) begin(actor [16]byte, hash Hash, text string) {
	t.byHash[hash] = 0
	t.moments = append(t.moments, moment{size: int64(len(text))})
	t.runes = append(make([]glyph, 0, len(text)+len(text)/8+64), glyph{author: -1})
	me := t.author(actor)
	for _, r := range text {
		at := int32(len(t.runes))
		t.runes[at-1].next = at
		t.runes = append(t.runes, glyph{r: r, author: int32(me), n: uint32(at) + 1})
	}
	if n := len(t.runes) - 1; n > 0 {
		t.runs[me] = append(t.runs[me], glyphs{interval{2, uint32(n) + 1}, 1})
	}
}

func (t *Timeline) author(a [16]byte) int {
	i, ok := t.authors[a]
	if !ok {
		i = len(t.actors)
		t.authors[a] = i
		t.actors = append(t.actors, a)
		t.runs = append(t.runs, nil)
	}
	return i
}

// add takes in the next change.
func (t *Timeline) add(raw []byte) error {
	steps := make([]step, 0, 16)
	c, err := parse(raw, &steps)
	if err != nil {
		return err
	}
	if _, known := t.byHash[c.Hash]; known {
		return nil
	}
	m := moment{}
	for _, d := range c.Deps {
		i, ok := t.byHash[d]
		if !ok {
			return fmt.Errorf("%w: %x", ErrMissing, d[:6])
		}
		m.deps = append(m.deps, i)
	}
	now := int32(len(t.moments))
	authors := make([]int, len(c.actors))
	for i, a := range c.actors {
		authors[i] = t.author(a)
	}
	t.byHash[c.Hash] = int(now)
	t.moments = append(t.moments, m)
	var grown int64
	for _, s := range steps {
		at, ok := t.find(authors[s.at.actor], s.at.lo)
		if !ok {
			return fmt.Errorf("%w: a rune that is not there", ErrInvalid)
		}
		if s.insert != 0 {
			t.insert(at, glyph{r: s.insert, author: int32(authors[0]), n: s.me, by: now})
			grown += int64(utf8.RuneLen(s.insert))
			continue
		}
		grown -= int64(utf8.RuneLen(t.runes[at].r))
		if t.runes[at].gone == 0 {
			t.runes[at].gone = now
		} else {
			t.again[at] = append(t.again[at], now)
		}
	}
	if len(m.deps) == 1 {
		t.moments[now].size = t.moments[m.deps[0]].size + grown
	} else {
		t.moments[now].size = int64(len(t.text(t.past(int(now)))))
	}
	return nil
}

// find returns where a rune is, named by its author and number. Number 0 is
// the head.
func (t *Timeline) find(author int, n uint32) (int32, bool) {
	if n == 0 {
		return 0, true
	}
	runs := t.runs[author]
	i, found := slices.BinarySearchFunc(runs, n, func(r glyphs, n uint32) int { return r.side(n) })
	if !found {
		return 0, false
	}
	return runs[i].first + int32(n-runs[i].lo), true
}

// insert puts a rune behind another one, and behind what others put there that
// is younger: the order that Automerge gives them on every device.
func (t *Timeline) insert(behind int32, e glyph) {
	for next := t.runes[behind].next; next != 0 && t.younger(&t.runes[next], &e); next = t.runes[behind].next {
		behind = next
	}
	at := int32(len(t.runes))
	e.next = t.runes[behind].next
	t.runes[behind].next = at
	t.runes = append(t.runes, e)
	runs := t.runs[e.author]
	if k := len(runs) - 1; k >= 0 && runs[k].hi+1 == e.n && runs[k].first+int32(runs[k].hi-runs[k].lo)+1 == at {
		runs[k].hi = e.n
		return
	}
	t.runs[e.author] = append(runs, glyphs{interval{e.n, e.n}, at})
}

func (t *Timeline) younger(a, b *glyph) bool {
	return cmp.Or(cmp.Compare(a.n, b.n), bytes.Compare(t.actors[a.author][:], t.actors[b.author][:])) > 0
}

// past returns which moments some others build on, themselves among them.
func (t *Timeline) past(of ...int) []bool {
	past := make([]bool, len(t.moments))
	for todo := of; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !past[i] {
			past[i] = true
			todo = append(todo, t.moments[i].deps...)
		}
	}
	return past
}

// text returns the text that some moments make.
func (t *Timeline) text(past []bool) string {
	var b strings.Builder
	b.Grow(len(t.runes))
	for i := t.runes[0].next; i != 0; i = t.runes[i].next {
		e := &t.runes[i]
		if !past[e.by] || e.gone != 0 && (past[e.gone] ||
			slices.ContainsFunc(t.again[i], func(g int32) bool { return past[g] })) {
			continue
		}
		b.WriteRune(e.r)
	}
	return b.String()
}

// Has reports whether a change is in the timeline.
func (t *Timeline) Has(h Hash) bool {
	_, ok := t.byHash[h]
	return ok
}

// Text returns the text that some changes and all they build on make; with no
// change it is the text that the document began with.
func (t *Timeline) Text(changes ...Hash) (string, error) {
	of := []int{0}
	for _, h := range changes {
		i, ok := t.byHash[h]
		if !ok {
			return "", fmt.Errorf("looking back: %w: %x", ErrMissing, h[:6])
		}
		of = append(of, i)
	}
	return t.text(t.past(of...)), nil
}

// Size returns the length in bytes of the text as it was at a change.
func (t *Timeline) Size(change Hash) (int64, bool) {
	i, ok := t.byHash[change]
	if !ok {
		return 0, false
	}
	return t.moments[i].size, true
}

// Cost returns about how many bytes of memory the timeline holds.
func (t *Timeline) Cost() int64 { return 24*int64(cap(t.runes)) + 160*int64(len(t.moments)) + 4096 }
