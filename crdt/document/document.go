package document

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/automerge/automerge-go"

	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/crdt/tree"
)

// A Hash names a change.
type Hash [32]byte

var (
	// ErrInvalid reports a change that no honest device makes. The rules are in
	// this package and look at nothing but the change and what it builds on, so
	// every device gives the same verdict. What Automerge says never is one.
	ErrInvalid = errors.New("invalid change")
	// ErrTooLarge reports a text or an edit beyond the limits of a document.
	// The document is as it was; write the file as a whole instead.
	ErrTooLarge = errors.New("too large for a text document")
	// ErrMissing reports a change whose dependencies are not here yet.
	ErrMissing = errors.New("the change builds on one that is missing")
	// ErrNotText reports bytes that are not UTF-8 without NUL.
	ErrNotText = errors.New("not UTF-8 text")
	// ErrBroken reports that Automerge and this package disagree about a
	// document, on this device and now.
	ErrBroken = errors.New("the document is in doubt")
)

// opCost is the memory that one operation takes, measured.
const opCost = 600

// savedVersion begins what Save returns.
const savedVersion = 1

// A Doc is one text with its history.
type Doc struct {
	seed  [16]byte
	base  string // the text of the first change
	saved []byte // the other changes, each behind its length

	text    string
	runes   int // length of text
	history *history
	am      *automerge.Doc // nil while degraded is set
	content *automerge.Text
	actor   [16]byte // set in am
	// degraded says why Automerge is not used: it cannot hold this document.
	degraded error
	broken   error // why the document is of no more use
}

// New makes the document of a text that is about to be edited for the first
// time. The same seed and text give the same bytes on every device.
func New(seed [32]byte, text string) (*Doc, error) {
	if len(text) > tree.MaxText {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(text))
	}
	if !tree.IsText([]byte(text)) {
		return nil, ErrNotText
	}
	_, hash := firstChange(seed, text)
	d := &Doc{seed: [16]byte(seed[:16]), base: text, text: text, runes: utf8.RuneCountInString(text)}
	d.history = newHistory(d.seed, hash, d.runes)
	return d, d.renew(&text)
}

// Load reads what Save returned and checks that it has these heads.
func Load(saved []byte, heads []Hash) (*Doc, error) {
	d, err := load(saved)
	if err == nil && !slices.Equal(d.Heads(), sorted(heads)) {
		err = fmt.Errorf("%w: its last changes are others", ErrBroken)
	}
	if err != nil {
		return nil, fmt.Errorf("loading a document: %w", err)
	}
	return d, nil
}

func load(saved []byte) (*Doc, error) {
	seed, base, changes, err := unsave(saved)
	if err != nil {
		return nil, err
	}
	d, err := New(seed, base)
	if err == nil {
		err = d.Apply(changes)
	}
	return d, err
}

// unsave takes apart what Save returned.
func unsave(saved []byte) (seed [32]byte, base string, changes [][]byte, err error) {
	r := &reader{b: saved}
	if v := r.bytes(1); r.err == nil && v[0] != savedVersion {
		return seed, "", nil, fmt.Errorf("version %d is unknown", v[0])
	}
	copy(seed[:], r.bytes(16))
	base = string(r.bytes(r.uint()))
	for len(r.b) > 0 && r.err == nil {
		changes = append(changes, r.bytes(r.uint()))
	}
	return seed, base, changes, r.err
}

// Save returns the document as bytes for Load: the first text and all changes.
func (d *Doc) Save() []byte {
	b := make([]byte, 0, 32+len(d.base)+len(d.saved))
	b = append(append(b, savedVersion), d.seed[:]...)
	b = binary.AppendUvarint(b, uint64(len(d.base)))
	return append(append(b, d.base...), d.saved...)
}

// Text returns the current text. It costs nothing.
func (d *Doc) Text() string { return d.text }

// Heads returns the last changes, sorted.
func (d *Doc) Heads() []Hash { return sorted(slices.Collect(maps.Keys(d.history.heads))) }

// Ops returns how many operations the document holds.
func (d *Doc) Ops() int { return d.history.ops }

// Cost returns about how many bytes of memory the document holds.
func (d *Doc) Cost() int64 {
	return opCost*int64(d.history.ops) + int64(len(d.text)+len(d.base)+len(d.saved)) + 4096
}

// Has tells whether the document holds a change.
func (d *Doc) Has(h Hash) bool {
	_, ok := d.history.byHash[h]
	return ok
}

// Close gives the document up. Its memory is free once the garbage collector
// has run, and given back to the system by Reclaim.
func (d *Doc) Close() {
	d.am, d.content, d.history = nil, nil, &history{}
	d.broken = errors.New("the document is closed")
}

func sorted(h []Hash) []Hash {
	h = slices.Clone(h)
	slices.SortFunc(h, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return h
}

// Edit makes the splices and returns them as one change for other devices, or
// nil when they change nothing. An actor must never be used on two diverging
// copies of a document.
func (d *Doc) Edit(actor [16]byte, splices []textdiff.Splice, t time.Time) (raw []byte, err error) {
	if d.broken != nil {
		return nil, d.broken
	}
	if actor == d.seed {
		return nil, errors.New("editing a document: the actor is the document's own")
	}
	if len(splices) == 0 {
		return nil, nil
	}
	if d.degraded != nil {
		return nil, d.degraded
	}
	if err := d.checkSplices(splices); err != nil {
		return nil, err
	}
	text := textdiff.Apply(d.text, splices)
	if len(text) > tree.MaxText {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(text))
	}
	c, err := d.makeChange(actor, splices, t)
	if err != nil {
		return nil, errors.Join(err, d.renew(nil))
	}
	past, err := d.history.check(c)
	for h := range d.history.heads {
		if err == nil && !slices.Contains(c.Deps, h) {
			err = fmt.Errorf("%w: the change is not on top", ErrBroken)
		}
	}
	if err != nil {
		return nil, errors.Join(err, d.renew(nil))
	}
	d.take(c, past)
	if err := d.verify(&text); err != nil {
		d.broken = err
		return nil, err
	}
	return c.raw, nil
}

// checkSplices refuses splices that do not fit the text or the limits.
func (d *Doc) checkSplices(splices []textdiff.Splice) error {
	at, ops, bytes := 0, 0, 0
	for _, s := range splices {
		if s.Pos < at || s.Del < 0 || s.Del > d.runes-s.Pos {
			return fmt.Errorf("editing a document: splice at %d does not fit a text of %d runes", s.Pos, d.runes)
		}
		if !utf8.ValidString(s.Ins) || strings.IndexByte(s.Ins, 0) >= 0 {
			return fmt.Errorf("editing a document: %w", ErrNotText)
		}
		at = s.Pos + s.Del
		ops += s.Del + utf8.RuneCountInString(s.Ins)
		bytes += len(s.Ins)
	}
	if bytes > tree.MaxChange { // Automerge would find out after many seconds
		return fmt.Errorf("%w: %d bytes inserted", ErrTooLarge, bytes)
	}
	last := uint32(0)
	for h := range d.history.heads {
		last = max(last, d.history.changes[d.history.byHash[h]].last)
	}
	if ops > MaxChangeOps || int(last)+ops > maxOps {
		return fmt.Errorf("%w: %d operations after %d", ErrTooLarge, ops, last)
	}
	return nil
}

// makeChange has Automerge make the splices, and reads back what it made.
func (d *Doc) makeChange(actor [16]byte, splices []textdiff.Splice, t time.Time) (*change, error) {
	if d.actor != actor {
		if err := d.am.SetActorID(hex.EncodeToString(actor[:])); err != nil {
			return nil, err
		}
		d.actor = actor
	}
	var heads []automerge.ChangeHash
	for h := range d.history.heads {
		heads = append(heads, automerge.ChangeHash(h))
	}
	shift := 0
	for _, s := range splices {
		if err := d.content.Splice(s.Pos+shift, s.Del, s.Ins); err != nil {
			return nil, err
		}
		shift += utf8.RuneCountInString(s.Ins) - s.Del
	}
	t = t.Truncate(time.Second) // JavaScript keeps seconds, Go milliseconds
	if _, err := d.am.Commit("", automerge.CommitOptions{Time: &t}); err != nil {
		return nil, err
	}
	changes, err := d.am.Changes(heads...)
	if err != nil {
		return nil, err
	}
	if len(changes) != 1 {
		return nil, fmt.Errorf("%w: %d changes from one edit", ErrBroken, len(changes))
	}
	raw := changes[0].Save()
	if len(raw) > tree.MaxChange {
		return nil, fmt.Errorf("%w: a change of %d bytes", ErrTooLarge, len(raw))
	}
	return parse(raw, nil)
}

// take notes a change that Automerge holds now.
func (d *Doc) take(c *change, past []uint32) {
	d.history.add(c, past)
	d.saved = appendSaved(d.saved, c.raw)
}

// Apply adds changes of others, dependencies first, up to the first that is
// refused; Has tells which are in. Known changes are skipped. ErrInvalid means
// that every device refuses the change, ErrMissing that it may be tried again.
// Any other error is trouble of this device: the document must be closed.
func (d *Doc) Apply(changes [][]byte) error {
	if d.broken != nil {
		return d.broken
	}
	var batch []byte
	var refused error
	for _, raw := range changes {
		c, err := parse(raw, nil)
		if err == nil && d.Has(c.Hash) {
			continue
		}
		var past []uint32
		if err == nil {
			past, err = d.history.check(c)
		}
		if err != nil {
			refused = fmt.Errorf("applying a change: %w", err)
			break
		}
		batch = append(batch, raw...)
		d.take(c, past)
	}
	if batch == nil {
		return refused
	}
	return errors.Join(refused, d.follow(batch))
}

// verify compares Automerge's heads, and the text when it is known, with what
// they must be, and takes the text over. A nil error of Automerge's proves
// neither.
func (d *Doc) verify(want *string) error {
	heads := d.am.Heads()
	if len(heads) != len(d.history.heads) {
		return fmt.Errorf("%w: %d last changes instead of %d", ErrBroken, len(heads), len(d.history.heads))
	}
	for _, h := range heads {
		if !d.history.heads[Hash(h)] {
			return fmt.Errorf("%w: another last change", ErrBroken)
		}
	}
	text, err := d.content.Get()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if want != nil && text != *want || !utf8.ValidString(text) {
		return fmt.Errorf("%w: the text is not what the edits make", ErrBroken)
	}
	d.text, d.runes = text, utf8.RuneCountInString(text)
	return nil
}
