package document

import (
	"errors"
	"testing"

	"github.com/echofs/echofs/crdt/textdiff"
)

// poison has Automerge hold a change that the history does not know.
func poison(t *testing.T, d *Doc) {
	t.Helper()
	other := newDoc(t, d.base)
	if err := d.am.LoadIncremental(edit(t, other, 9, d.base+" poison")); err != nil {
		t.Fatal(err)
	}
}

// When Automerge holds something else than it should, the document is made
// again, and no change that every other device accepts is refused.
func TestRenew(t *testing.T) {
	a, b := newDoc(t, "some text"), newDoc(t, "some text")
	poison(t, b)
	apply(t, b, edit(t, a, 1, "some more text"))
	if b.Text() != "some more text" || b.Degraded() != nil {
		t.Errorf("text %q, %v", b.Text(), b.Degraded())
	}
	poison(t, b)
	if _, err := b.Edit(actorOf(2), textdiff.Diff(b.Text(), "lost"), noon); err == nil {
		t.Error("an edit on top of something else worked")
	}
	apply(t, a, edit(t, b, 2, "yet some more text"))
	if a.Text() != b.Text() {
		t.Errorf("texts %q and %q", a.Text(), b.Text())
	}
}

// A document that Automerge cannot hold has the text that others show, is
// stored like any other, and cannot be edited here.
func TestDegraded(t *testing.T) {
	a, b, c := newDoc(t, "some text"), newDoc(t, "some text"), newDoc(t, "some text")
	if err := c.degrade(errors.New("out of order")); err != nil || c.Text() != "some text" {
		t.Fatalf("text %q, %v", c.Text(), err)
	}
	one, two := edit(t, a, 1, "some more text"), edit(t, b, 2, "text")
	apply(t, a, two)
	apply(t, c, two, one)
	three := edit(t, a, 1, a.Text()+", in the end")
	apply(t, c, three)
	if c.Text() != a.Text() || !errors.Is(c.Degraded(), ErrBroken) {
		t.Errorf("text %q, not %q, %v", c.Text(), a.Text(), c.Degraded())
	}
	if err := c.Apply([][]byte{[]byte("garbage")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := c.Edit(actorOf(3), textdiff.Diff(c.Text(), "mine"), noon); !errors.Is(err, ErrBroken) || c.Text() != a.Text() {
		t.Errorf("edit: %v, text %q", err, c.Text())
	}
	l, err := Load(c.Save(), c.Heads())
	if err != nil || l.Text() != a.Text() || l.Degraded() != nil {
		t.Errorf("loaded: %v", err)
	}
}

// Trouble of this device is never the fault of a change.
func TestTroubleIsNotInvalid(t *testing.T) {
	a, b := newDoc(t, "some text"), newDoc(t, "some text")
	poison(t, b)
	b.base = "damaged"
	err := b.Apply([][]byte{edit(t, a, 1, "some more text")})
	if !errors.Is(err, ErrBroken) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	if err := b.Apply(nil); !errors.Is(err, ErrBroken) {
		t.Error("the document is used further:", err)
	}
}
