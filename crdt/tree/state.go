package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// ErrMissing reports an operation that must wait: one before it in its feed, or
// a version it names, has not been applied.
var ErrMissing = errors.New("operation builds on one that is missing")

// MaxText is the greatest length of a file that merges as text.
const MaxText = 256 << 10

// IsText reports whether data is text: UTF-8 without NUL, and not too long to merge.
func IsText(data []byte) bool {
	return len(data) <= MaxText && utf8.Valid(data) && !slices.Contains(data, 0)
}

// State is the nodes of a space and their projection.
type State struct {
	applied map[[32]byte]uint64 // last operation of each feed
	nodes   map[NodeID]*node
	project projection
}

// node holds the live writes of each register. Each list is sorted by version.
type node struct {
	id      NodeID
	lamport uint64 // greatest of all writes ever, live or not
	folder  bool   // some content of it was a folder: then it stays one
	place   []placeWrite
	meta    []metaWrite
	content []contentWrite
	shown   shown
}

type stamp struct {
	Version
	Lamport uint64
}

// after reports whether a beats b among live writes.
func (a stamp) after(b stamp) bool {
	if a.Lamport != b.Lamport {
		return a.Lamport > b.Lamport
	}
	return a.Version.Compare(b.Version) > 0
}

func (a stamp) at() stamp { return a }

type placeWrite struct {
	stamp
	Parent NodeID
	Name   string
}

type metaWrite struct {
	stamp
	Exec  bool
	Mtime int64
}

type contentWrite struct {
	stamp
	Kind   Kind
	Base   Version  // of an edit: the content whose document it changes
	Hash   [32]byte // of a blob: its name; of other content: SHA-256
	Size   int64
	Text   bool
	Target string
}

// New returns the state of a space in which nothing has happened.
func New() *State {
	return &State{
		applied: make(map[[32]byte]uint64),
		nodes:   make(map[NodeID]*node),
		project: newProjection(),
	}
}

// Applied returns the number of the last operation of a feed.
func (s *State) Applied(feed [32]byte) uint64 { return s.applied[feed] }

// Feeds returns the feeds that operations came from, sorted.
func (s *State) Feeds() [][32]byte {
	feeds := make([][32]byte, 0, len(s.applied))
	for f := range s.applied {
		feeds = append(feeds, f)
	}
	slices.SortFunc(feeds, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	return feeds
}

// Has reports whether the operation v has been applied.
func (s *State) Has(v Version) bool { return v.N > 0 && v.N <= s.applied[v.Feed] }

// Ready returns nil when everything that op names has been applied. Only the
// order within one payload is left to Apply: ops come before it in that feed.
func (s *State) Ready(feed [32]byte, first uint64, op *Op) error {
	for _, v := range op.Named() {
		if v.Feed == feed && v.N >= first && v.N < op.N {
			continue
		}
		if !s.Has(v) {
			return fmt.Errorf("%w: %x #%d", ErrMissing, v.Feed[:4], v.N)
		}
	}
	return nil
}

// Apply adds one operation. Operations of a feed come in order, and after what
// they name; otherwise ErrMissing is returned and nothing changes.
func (s *State) Apply(feed [32]byte, op *Op) error {
	if op.N != s.applied[feed]+1 {
		return fmt.Errorf("%w: operation %d of feed %x after %d", ErrMissing, op.N, feed[:4], s.applied[feed])
	}
	if err := op.check(); err != nil {
		return err
	}
	if err := s.Ready(feed, op.N, op); err != nil {
		return err
	}
	s.applied[feed] = op.N
	s.apply(stamp{Version{Feed: feed, N: op.N}, op.Lamport}, op)
	return nil
}

// Skip counts an operation without applying it: one that every device finds
// invalid once it looks at what the operation builds on.
func (s *State) Skip(feed [32]byte, n uint64) error {
	if n != s.applied[feed]+1 {
		return fmt.Errorf("%w: operation %d of feed %x after %d", ErrMissing, n, feed[:4], s.applied[feed])
	}
	s.applied[feed] = n
	return nil
}

func (s *State) apply(at stamp, op *Op) {
	n := s.nodes[op.Node]
	if n == nil {
		n = &node{id: op.Node}
		s.nodes[op.Node] = n
	}
	s.project.touch(s, n)
	n.lamport = max(n.lamport, at.Lamport)
	if p := op.Place; p != nil {
		n.place = supersede(n.place, placeWrite{at, p.Parent, string(p.Name)}, p.Over)
	}
	if m := op.Meta; m != nil {
		n.meta = supersede(n.meta, metaWrite{at, m.Exec, m.Mtime}, m.Over)
		s.project.noteAttr(n.id)
	}
	if c := op.Content; c != nil {
		w := contentWrite{stamp: at, Kind: c.Kind, Size: c.Size}
		switch c.Kind {
		case Dir:
			n.folder = true
		case Bytes:
			w.Size, w.Hash, w.Text = int64(len(c.Data)), sha256.Sum256(c.Data), IsText(c.Data)
		case Symlink:
			w.Size, w.Hash, w.Target = int64(len(c.Data)), sha256.Sum256(c.Data), string(c.Data)
		case Blob:
			w.Hash = [32]byte(c.Hash)
		}
		n.content = supersede(n.content, w, c.Over)
	}
	if e := op.Edit; e != nil {
		n.content = supersede(n.content, contentWrite{stamp: at, Kind: Bytes, Base: e.Base, Text: true}, e.Over)
	}
	s.project.update(s, n)
}

// supersede adds w to the live writes and drops those in over. A fresh slice
// is made, so that what readers hold does not change under them.
func supersede[W interface{ at() stamp }](live []W, w W, over []Version) []W {
	out := make([]W, 0, 1)
	for _, l := range live {
		if !slices.ContainsFunc(over, func(v Version) bool { return v == l.at().Version }) {
			out = append(out, l)
		}
	}
	i, _ := slices.BinarySearchFunc(out, w, func(a, b W) int { return a.at().Version.Compare(b.at().Version) })
	return slices.Insert(out, i, w)
}

// winner returns the live write that counts, or nil.
func winner[W interface{ at() stamp }](live []W) *W {
	var best *W
	for i := range live {
		if best == nil || live[i].at().after((*best).at()) {
			best = &live[i]
		}
	}
	return best
}

// SetSize records the size of the text made by the live edits of base. It is
// known only to the owner of the documents.
func (s *State) SetSize(id NodeID, base Version, size int64) {
	n := s.nodes[id]
	if n == nil {
		return
	}
	out := slices.Clone(n.content)
	for i := range out {
		if out[i].Base == base {
			out[i].Size = size
		}
	}
	n.content = out
}

// A group is the live content versions of a node that are one content: the
// edits of one document, or writes of the same bytes.
type group struct {
	best  contentWrite // the winner among them
	key   Version      // the content written or, of edits, their base
	live  []Version    // sorted
	plain bool         // no edits
}

// groups returns what the node holds, the winner first. Content that is a
// folder comes before everything else in a node that is one.
func (n *node) groups() []group {
	if len(n.content) == 1 { // nearly always
		w := n.content[0]
		if w.Kind == None {
			return nil
		}
		return []group{newGroup(w)}
	}
	var gs []group
next:
	for _, w := range n.content {
		if w.Kind == None {
			continue
		}
		g := newGroup(w)
		for i := range gs {
			same := gs[i].key == g.key || gs[i].plain && g.plain &&
				gs[i].best.Kind == w.Kind && gs[i].best.Hash == w.Hash && gs[i].best.Size == w.Size
			if !same {
				continue
			}
			gs[i].live = append(gs[i].live, w.Version)
			gs[i].plain = gs[i].plain && g.plain
			if w.after(gs[i].best.stamp) {
				gs[i].best = w
				if gs[i].plain {
					gs[i].key = g.key
				}
			}
			continue next
		}
		gs = append(gs, g)
	}
	slices.SortFunc(gs, func(a, b group) int {
		if n.folder && (a.best.Kind == Dir) != (b.best.Kind == Dir) {
			if a.best.Kind == Dir {
				return -1
			}
			return 1
		}
		if a.best.after(b.best.stamp) {
			return -1
		}
		return 1
	})
	return gs
}

func newGroup(w contentWrite) group {
	g := group{best: w, key: w.Version, live: []Version{w.Version}, plain: true}
	if !w.Base.IsZero() {
		g.key, g.plain = w.Base, false
	}
	return g
}
