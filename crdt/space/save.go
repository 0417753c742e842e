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
	data, err := s.text(key)
	if err != nil {
		return err
	}
	current := string(data)
	splices := textdiff.Diff(current, text)
	merged := text
	if base != nil && *base != e.Tag {
		if old, ok := s.textOf(e, *base); ok {
			splices = textdiff.Rebase(textdiff.Diff(old, text), textdiff.Diff(old, current))
			merged = textdiff.Apply(current, splices)
		} else {
			s.log.Warn("the version a save was made from is not known; it replaces the current one",
				"space", s.name, "path", s.tree.Path(e.ID))
		}
	}
	if merged == current {
		return c.touch(e, mtime)
	}
	whole := func() error {
		content, err := s.op(Content{data: []byte(merged)})
		if err != nil {
			return err
		}
		return c.saveWhole(e, content, nil, false, mtime)
	}
	if e.Copy || !tree.IsText([]byte(merged)) || current == "" && len(merged) > maxFirstEdit {
		return whole()
	}
	doc, err := s.openText(key)
	if doc == nil && err == nil {
		doc, err = s.beginText(key, data)
	}
	if err == nil && doc.doc.Ops() > maxDocOps {
		return whole()
	}
	var change []byte
	if err == nil {
		change, err = doc.doc.Edit(actor(c.feed, key), splices, time.UnixMilli(s.now().UnixMilli()))
	}
	if err == nil && len(change) > tree.MaxChange {
		err = document.ErrTooLarge
	}
	if err != nil { // a save must not fail because of what a document cannot do
		s.docs.drop(key)
		if !errors.Is(err, document.ErrTooLarge) {
			s.log.Warn("a text is written as a whole", "space", s.name, "path", s.tree.Path(e.ID), "err", err)
		}
		return whole()
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

var errNotText = errors.New("an edit of what is not text")
