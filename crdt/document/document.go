package document

import (
	"errors"
	"time"

	"github.com/echofs/echofs/crdt/textdiff"
)

// A Hash names a change.
type Hash [32]byte

var (
	// ErrInvalid reports a change that no honest device makes. It is refused
	// by everybody, so the refusal does not depend on what arrived before.
	ErrInvalid = errors.New("invalid change")
	// ErrTooLarge reports a text or an edit beyond the limits of a document.
	// The document is as it was; write the file as a whole instead.
	ErrTooLarge = errors.New("too large for a text document")
	// ErrMissing reports a change whose dependencies are not here yet.
	ErrMissing = errors.New("the change builds on one that is missing")
)

// A Doc is one text with its history.
type Doc struct{}

// New makes the document of a text that is about to be edited for the first
// time. The same seed and text give the same bytes on every device.
func New(seed [32]byte, text string) (*Doc, error) { panic("document: not written yet") }

// Load reads what Save returned and checks that it has these heads.
func Load(saved []byte, heads []Hash) (*Doc, error) { panic("document: not written yet") }

// Save returns the document as bytes for Load.
func (d *Doc) Save() []byte { panic("document: not written yet") }

// Text returns the current text. It costs nothing.
func (d *Doc) Text() string { panic("document: not written yet") }

// Heads returns the last changes, sorted.
func (d *Doc) Heads() []Hash { panic("document: not written yet") }

// Ops returns how many operations the document holds.
func (d *Doc) Ops() int { panic("document: not written yet") }

// Cost returns about how many bytes of memory the document holds.
func (d *Doc) Cost() int64 { panic("document: not written yet") }

// Has tells whether the document holds a change.
func (d *Doc) Has(h Hash) bool { panic("document: not written yet") }

// Close frees the document.
func (d *Doc) Close() { panic("document: not written yet") }

// Edit makes the splices and returns them as one change for other devices.
// An actor must never be used on two diverging copies of a document.
func (d *Doc) Edit(actor [16]byte, splices []textdiff.Splice, t time.Time) (change []byte, err error) {
	panic("document: not written yet")
}

// Apply adds changes of others, dependencies first. Known changes are skipped.
func (d *Doc) Apply(changes [][]byte) error { panic("document: not written yet") }

// Info is what a change says about itself.
type Info struct {
	Hash    Hash
	Actor   [16]byte
	Seq     uint64 // of the actor in this document: 1, 2, 3…
	Deps    []Hash
	StartOp uint64
	Ops     int // inserted and deleted runes
	Time    time.Time
}

// Check vets a change by itself, in Go, before any of it reaches Automerge.
func Check(change []byte) (Info, error) { panic("document: not written yet") }
