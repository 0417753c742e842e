package space

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/crdt/tree"
)

const (
	// A text this long that fills an empty file is written as a whole: nobody
	// else's work is in there to be merged with, and a document costs memory.
	maxFirstEdit = 16 << 10
	// A document with more operations than this is written as a whole at the
	// next edit, and so begins anew.
	maxDocOps = 400_000
)

// Save gives a file new content. base is the version its author was shown: of
// text, what they changed since then is carried over what others changed; of
// other content, a version they were not shown stays beside it. A nil base
// means the current version. Content that is there already is no edit.
func (s *Space) Save(id NodeID, base *string, c Content, mtime time.Time) (Info, error) {
	return s.change("save", id, func(ch *change) error {
		e, ok := s.tree.Get(id)
		switch {
		case !ok:
			return os.ErrNotExist
		case e.Kind == tree.Dir:
			return syscall.EISDIR
		case e.Kind == tree.Symlink:
			return syscall.EINVAL
		}
		stale := base != nil && *base != e.Tag
		if c.ref == nil && tree.IsText(c.data) && e.Kind == tree.Bytes && e.Text {
			return ch.saveText(e, base, string(c.data), s.mtime(mtime))
		}
		content, err := s.op(c)
		if err != nil {
			return err
		}
		return ch.saveWhole(e, content, base, stale, s.mtime(mtime))
	})
}

// saveText merges a text into the one that is there.
func (c *change) saveText(e tree.Entry, base *string, text string, mtime int64) error {
	s := c.s
	key := textKey(e.Node, e.Key)
	stale := base != nil && *base != e.Tag
	current, err := s.text(key)
	if err != nil { // what cannot be read must not keep anybody from writing
		s.log.Error("a text cannot be read; what is saved over it is written as a whole",
			"space", s.name, "path", s.tree.Path(e.ID), "err", err)
		return c.saveBytes(e, text, base, stale, mtime)
	}
	merged, splices := text, textdiff.Diff(string(current), text)
	if stale {
		if old, ok := s.textOf(e, *base); ok {
			splices = textdiff.Rebase(textdiff.Diff(old, text), textdiff.Diff(old, string(current)))
			merged = textdiff.Apply(string(current), splices)
		} else {
			s.log.Warn("the version a save was made from is not known; it replaces the current one",
				"space", s.name, "path", s.tree.Path(e.ID))
		}
	}
	if merged == string(current) {
		return c.touch(e, mtime)
	}
	if e.Copy || !tree.IsText([]byte(merged)) || len(current) == 0 && len(merged) > maxFirstEdit {
		return c.saveBytes(e, merged, nil, false, mtime)
	}
	doc, change, err := c.edit(key, current, splices)
	if err != nil { // a save must not fail because of what a document cannot do
		s.docs.drop(key)
		if !errors.Is(err, document.ErrTooLarge) {
			s.log.Warn("a text is written as a whole", "space", s.name, "path", s.tree.Path(e.ID), "err", err)
		}
		return c.saveBytes(e, merged, nil, false, mtime)
	}
	if change == nil { // the splices change nothing
		return c.touch(e, mtime)
	}
	live := s.tree.Live(e.ID)
	op := c.next(e.Node, live.Lamport)
	op.Edit = &tree.Edit{Base: e.Key, Change: change, Over: versions(live.Content, live.Rest)}
	op.Meta = &tree.Meta{Exec: e.Exec, Mtime: mtime, Over: versions(live.Meta)}
	c.edits[op.N] = s.edited(doc, change)
	return nil
}

// edit makes splices in the document of a key, whose text is current.
func (c *change) edit(key string, current []byte, splices []textdiff.Splice) (*openDoc, []byte, error) {
	doc, err := c.s.openText(key)
	if doc == nil && err == nil {
		doc, err = c.s.beginText(key, current)
	}
	if err != nil {
		return nil, nil, err
	}
	if doc.doc.Ops() > maxDocOps {
		return nil, nil, document.ErrTooLarge
	}
	change, err := doc.doc.Edit(actor(c.feed, key), splices, time.UnixMilli(c.s.now().UnixMilli()))
	return doc, change, err
}

// saveBytes is saveWhole of a text.
func (c *change) saveBytes(e tree.Entry, text string, base *string, stale bool, mtime int64) error {
	content, err := c.s.op(Content{data: []byte(text)})
	if err != nil {
		return err
	}
	return c.saveWhole(e, content, base, stale, mtime)
}

// saveWhole writes content that does not merge.
func (c *change) saveWhole(e tree.Entry, content *tree.Content, base *string, stale bool, mtime int64) error {
	s := c.s
	if e.Kind == content.Kind && !e.Edited {
		same := content.Kind == tree.Blob && e.Size == content.Size && bytes.Equal(e.Hash[:], content.Hash)
		if content.Kind == tree.Bytes && e.Size == int64(len(content.Data)) {
			current, err := s.text(textKey(e.Node, e.Key))
			same = err == nil && bytes.Equal(current, content.Data)
		}
		if same {
			return c.touch(e, mtime)
		}
	}
	meta := &tree.Meta{Exec: e.Exec, Mtime: mtime}
	if e.Copy {
		var err error
		c.id, err = c.part(e, e.Parent, e.Name, content, meta)
		return err
	}
	live := s.tree.Live(e.ID)
	content.Over = versions(live.Content, live.Rest)
	if stale {
		// What was not seen stays. Of a base that nobody knows, that is everything.
		seen, _ := s.tree.ParseTag(*base)
		content.Over = versions(live.Rest, slices.DeleteFunc(seen, func(v tree.Version) bool {
			return !slices.Contains(live.Content, v)
		}))
	}
	meta.Over = versions(live.Meta)
	op := c.next(e.Node, live.Lamport)
	op.Content, op.Meta = content, meta
	return nil
}

// touch records that a file was written, though not changed.
func (c *change) touch(e tree.Entry, mtime int64) error {
	if e.Copy || e.Mtime == mtime {
		return nil
	}
	live := c.s.tree.Live(e.ID)
	c.next(e.Node, live.Lamport).Meta = &tree.Meta{Exec: e.Exec, Mtime: mtime, Over: versions(live.Meta)}
	return nil
}

// textOf returns the text that a version of a file was: remembered if somebody
// was shown it, else made again from the log.
func (s *Space) textOf(e tree.Entry, tag string) (string, bool) {
	if text, ok := s.bases.get(tag); ok {
		return string(text), true
	}
	old, err := s.OpenVersion(e.Node, tag)
	if err != nil {
		s.log.Warn("a version cannot be made again", "space", s.name, "version", tag, "err", err)
		return "", false
	}
	defer old.Close()
	data, ok := old.Bytes()
	return string(data), ok && tree.IsText(data)
}
