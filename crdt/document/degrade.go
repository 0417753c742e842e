package document

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/automerge/automerge-go"
)

// Whether a change counts is decided in Go, before Automerge sees it. So when
// Automerge fails on this device, the change counts all the same: the document
// is made again, and if that fails too it is degraded. Its text is then what a
// Timeline makes of the changes, which is what every other device shows.

// Degraded returns why Automerge cannot hold the document, or nil. A degraded
// document takes changes and has its text, but Edit fails.
func (d *Doc) Degraded() error { return d.degraded }

// follow has Automerge take in changes that the history holds already.
func (d *Doc) follow(batch []byte) error {
	if d.degraded != nil {
		return d.reread()
	}
	err := d.am.LoadIncremental(batch)
	if err == nil {
		err = d.verify(nil)
	}
	if err == nil {
		return nil
	}
	return d.renew(nil) // it may have taken in something else before
}

// renew makes the Automerge document again from what the history holds, or
// degrades the document. want is the text it must have, if that is known.
func (d *Doc) renew(want *string) error {
	err := d.begin()
	if err == nil {
		err = d.verify(want)
	}
	if err != nil {
		return d.degrade(err)
	}
	return nil
}

func (d *Doc) degrade(cause error) error {
	d.am, d.content = nil, nil
	d.degraded = fmt.Errorf("%w: %w", ErrBroken, cause)
	return d.reread()
}

// begin makes an Automerge document of the first text and all changes.
func (d *Doc) begin() error {
	d.actor = [16]byte{}
	_, base, changes, err := unsave(d.Save())
	if err != nil {
		return err
	}
	var seed [32]byte
	copy(seed[:], d.seed[:])
	first, _ := firstChange(seed, base)
	d.am = automerge.New()
	if err := d.am.LoadIncremental(slices.Concat(append([][]byte{first}, changes...)...)); err != nil {
		return err
	}
	v, err := d.am.RootMap().Get(contentKey)
	if err != nil {
		return err
	}
	if v.Kind() != automerge.KindText {
		return errors.New("no text in it")
	}
	d.content = v.Text()
	return nil
}

// reread takes over the text that a Timeline makes of the changes.
func (d *Doc) reread() error {
	line, err := NewTimeline(d.Save(), nil)
	var text string
	if err == nil {
		text, err = line.Text(d.Heads()...)
	}
	if err != nil {
		d.broken = fmt.Errorf("%w: %v", ErrBroken, err) // not by the rules: they have accepted it
		return d.broken
	}
	d.text, d.runes = text, utf8.RuneCountInString(text)
	return nil
}
