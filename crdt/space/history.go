package space

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// Act is what a version changed.
type Act string

// Acts.
const (
	ActCreated   Act = "created"
	ActEdited    Act = "edited"
	ActRenamed   Act = "renamed"
	ActMoved     Act = "moved"
	ActRemoved   Act = "removed"
	ActUndeleted Act = "undeleted"
	ActResolved  Act = "resolved" // a version that stood beside the file was taken away
)

// Version is one change in the history of a node.
type Version struct {
	ID      string // opaque; for OpenVersion and Restore
	Act     Act
	Kind    Kind
	Time    time.Time // by the clock of its author, for people to see
	Author  identity.ID
	Name    string // of the author
	Device  identity.PublicKey
	Path    string // where the node was then, by the names that folders have now
	Was     string // path before, if it was renamed or moved
	Size    int64  // of the content then; -1 if it is not known here
	Content bool   // OpenVersion gives the bytes
	Fresh   bool   // it is not committed yet, and its time not final
}

// History returns what happened to a node, removed or not, in causal order:
// oldest first, and what happened at the same time on several devices in one
// order for all.
func (s *Space) History(id NodeID) ([]Version, error) {
	p, err := s.pastOf(id)
	if err != nil {
		return nil, s.failPast("history", id, err)
	}
	lines := s.linesOf(p)
	var live []*tree.Trace
	var parent NodeID
	var name string
	placed, began := false, false
	out := make([]Version, 0, len(p.traces))
	for i := range p.traces {
		t := &p.traces[i]
		v := Version{ID: tree.Tag([]tree.Version{t.Version}), Time: time.UnixMilli(t.Time), Fresh: t.Seq == 0}
		if t.Placed {
			switch {
			case !placed:
				v.Act = ActCreated
			case t.Parent != parent:
				v.Act = ActMoved
			case t.Name != name:
				v.Act = ActRenamed
			}
			if placed && v.Act != "" {
				v.Was = s.pathIn(parent, name)
			}
			parent, name, placed = t.Parent, t.Name, true
		}
		if t.Written || t.IsEdit() {
			was := best(live)
			live = replaced(live, t)
			switch is := best(live); {
			case t.Kind == tree.None && is != nil:
				v.Act = ActResolved
			case t.Kind == tree.None:
				v.Act = ActRemoved
			case !began:
				v.Act, began = ActCreated, true
			case was == nil:
				v.Act = ActUndeleted
			default:
				v.Act = ActEdited
			}
		}
		if v.Act == "" {
			continue
		}
		v.Path = s.pathIn(parent, name)
		won := best(live)
		s.describe(&v, t, won, lines)
		if won != nil && won.IsEdit() && !t.IsEdit() && (!t.Written || t.Kind == tree.None) && lines[won.Base] != nil { // renamed, with all edits until then
			if text, err := lines[won.Base].Text(p.edits(won.Base, live)...); err == nil {
				v.Size = int64(len(text))
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// describe fills in who made a version, and what the file was then.
func (s *Space) describe(v *Version, t, content *tree.Trace, lines map[tree.Version]*document.Timeline) {
	if f, ok := s.members.Feed(t.Feed); ok {
		v.Author, v.Device = f.Identity, f.Device
		if profile, ok := s.members.Profile(f.Identity); ok {
			v.Name = profile.Name
		}
	}
	if t.Written && t.Kind != tree.None || t.IsEdit() {
		content = t
	}
	if content == nil {
		return
	}
	switch content.Kind {
	case tree.Dir:
		v.Kind = Dir
		return
	case tree.Symlink:
		v.Kind = Symlink
	}
	v.Content = v.Kind == File
	v.Size = content.Size
	if content.IsEdit() {
		v.Size = -1
		if line := lines[content.Base]; line != nil {
			if n, ok := line.Size(content.Change); ok {
				v.Size = n
			}
		}
	}
}

// pathIn returns the path of a name in a folder, which may be gone.
func (s *Space) pathIn(parent NodeID, name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return join(s.whereLocked(parent), name)
}

// whereLocked is the path of a node, removed or not.
func (s *Space) whereLocked(id NodeID) string {
	path := ""
	for depth := 0; id != Root && depth < maxDepth; depth++ {
		parent, name, ok := s.tree.Where(id)
		if !ok {
			break
		}
		if path == "" {
			path = name
		} else {
			path = name + "/" + path
		}
		id = parent
	}
	return path
}

const maxDepth = 4096

// failPast is fail for a node that may be gone.
func (s *Space) failPast(op string, id NodeID, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &Error{op, s.name, s.whereLocked(id), err}
}

// OpenVersion returns the content that a file had at a version, which is one of
// its History or an Info.Version of it. A chunk of a large file that is not
// here is waited for, as in Open.
func (s *Space) OpenVersion(id NodeID, version string) (*Snapshot, error) {
	p, err := s.pastOf(id)
	if err != nil {
		return nil, s.failPast("open version", id, err)
	}
	won, live, err := p.content(version)
	if err != nil {
		return nil, s.failPast("open version", id, err)
	}
	snap, err := s.snapshot(p, won, live, version)
	if err != nil {
		return nil, s.failPast("open version", id, err)
	}
	return snap, nil
}

// content returns what is live at a version, and the trace among it whose
// content the file has.
func (p *past) content(version string) (won *tree.Trace, live []*tree.Trace, err error) {
	live, err = p.find(version)
	if err != nil {
		return nil, nil, err
	}
	won = live[0] // see tree.Entry.Tag
	if len(live) == 1 && (won.Kind == tree.None || !won.Written && !won.IsEdit()) {
		live = p.live(p.at[won.Version])
		if won = best(live); won == nil {
			return nil, nil, fmt.Errorf("it is removed in version %s: %w", version, os.ErrNotExist)
		}
	}
	return won, live, nil
}

// snapshot returns the content of a trace, as it is with all that is live.
func (s *Space) snapshot(p *past, won *tree.Trace, live []*tree.Trace, version string) (*Snapshot, error) {
	snap := &Snapshot{space: s, version: version, closed: make(chan struct{})}
	switch won.Kind {
	case tree.None:
		return nil, os.ErrNotExist
	case tree.Dir:
		return nil, syscall.EISDIR
	case tree.Symlink:
		return nil, syscall.ELOOP
	case tree.Blob:
		snap.isBlob, snap.ref = true, blob.Ref{Hash: won.Hash, Size: won.Size}
		return snap, nil
	}
	base := won.Base
	if !won.IsEdit() {
		base = won.Version
	}
	edits := p.edits(base, live)
	if len(edits) == 0 {
		op, err := s.opOf(won)
		if err != nil {
			return nil, err
		}
		if op.Content == nil || op.Node != p.node {
			return nil, fmt.Errorf("%w: version %s", store.ErrDamaged, version)
		}
		snap.data = op.Content.Data
		return snap, nil
	}
	line, err := s.line(textKey(p.node, base), edits)
	if err != nil {
		return nil, err
	}
	text, err := line.Text(edits...)
	snap.data = []byte(text)
	return snap, err
}

// linesOf returns the timelines of all texts that a node was, by what they
// began with, as far as they are readable.
func (s *Space) linesOf(p *past) map[tree.Version]*document.Timeline {
	want := make(map[tree.Version][]document.Hash)
	for i := range p.traces {
		if t := &p.traces[i]; t.IsEdit() {
			want[t.Base] = append(want[t.Base], t.Change)
		}
	}
	lines := make(map[tree.Version]*document.Timeline)
	for base, changes := range want {
		line, err := s.line(textKey(p.node, base), changes)
		if err != nil {
			s.log.Warn("an old text cannot be read", "space", s.name, "path", s.Path(p.node), "err", err)
			continue
		}
		lines[base] = line
	}
	return lines
}

// line returns a timeline of a text that holds some changes.
func (s *Space) line(key string, changes []document.Hash) (*document.Timeline, error) {
	if line, ok := s.lines.get(key); ok && hasAll(line, changes) {
		return line, nil
	}
	saved, tail, err := s.storedText(key)
	if err != nil {
		return nil, err
	}
	line, err := document.NewTimeline(saved, tail)
	if err != nil {
		return nil, err
	}
	if !hasAll(line, changes) {
		return nil, fmt.Errorf("%w: a text lacks changes that are in the log (echofs space rebuild makes it again)", store.ErrDamaged)
	}
	s.lines.put(key, line, line.Cost())
	return line, nil
}

func hasAll(line *document.Timeline, changes []document.Hash) bool {
	return !slices.ContainsFunc(changes, func(h document.Hash) bool { return !line.Has(h) })
}

// storedText returns a document as it is stored or will be: saved, and the
// changes since.
func (s *Space) storedText(key string) (saved []byte, tail [][]byte, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = s.view(func(tx *store.Tx) error {
		get := func(key string) ([]byte, error) {
			if v, ok := s.over.docs[key]; ok {
				if v.gone {
					return nil, store.ErrNotFound
				}
				return v.data, nil
			}
			return tx.Doc([]byte(key))
		}
		main, err := get(key)
		if err != nil {
			return err
		}
		if saved, _, err = decodeDoc(main); err != nil {
			return err
		}
		for {
			change, err := get(tailKey(key, len(tail)))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			tail = append(tail, change)
		}
	})
	return saved, tail, err
}

// whole reads a snapshot to its end, so that what is restored is here.
func (p *Snapshot) whole() (Content, error) {
	defer p.Close()
	if data, ok := p.Bytes(); ok {
		return Content{data: data}, nil
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(p, 0, p.Size())); err != nil {
		return Content{}, fmt.Errorf("parts of that version are not on this device: %w", err)
	}
	ref := p.ref
	return Content{ref: &ref}, nil
}
