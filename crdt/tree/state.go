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
	place   []*placeWrite
	meta    []*metaWrite
	content []*contentWrite
	attrs   map[string][]*attrWrite // by name; nil if there were never any
	cache   *cache                  // nil while the registers change, or hold one write each
	shown   shown
	forest  forestPlace
}

// cache is what follows from registers that hold several writes. Settle makes
// it, so that reading takes no longer because somebody wrote a lot.
type cache struct {
	place  *placeWrite
	meta   *metaWrite
	groups []group
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
		n.plant()
		s.nodes[op.Node] = n
		s.project.appear(s, n)
	}
	s.project.touch(s, n)
	s.project.changed[n.id] = true
	n.cache = nil
	n.lamport = max(n.lamport, at.Lamport)
	if p := op.Place; p != nil {
		n.place = supersede(n.place, &placeWrite{at, p.Parent, string(p.Name)}, p.Over)
	}
	if m := op.Meta; m != nil {
		n.meta = supersede(n.meta, &metaWrite{at, m.Exec, m.Mtime}, m.Over)
		s.project.noteAttr(n.id)
	}
	if a := op.Attr; a != nil {
		if n.attrs == nil {
			n.attrs = map[string][]*attrWrite{}
		}
		name := string(a.Name)
		n.attrs[name] = supersede(n.attrs[name], &attrWrite{at, string(a.Value), a.Gone}, a.Over)
		s.project.noteAttr(n.id)
	}
	if c := op.Content; c != nil {
		w := &contentWrite{stamp: at, Kind: c.Kind, Size: c.Size}
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
		over := e.Over
		if i, named := slices.BinarySearchFunc(over, e.Base, Version.Compare); !named {
			over = slices.Insert(slices.Clone(over), i, e.Base) // the text is not what it was
		}
		n.content = supersede(n.content, &contentWrite{stamp: at, Kind: Bytes, Base: e.Base, Text: true}, over)
	}
}

// supersede adds w to the live writes and drops those in over, which is sorted.
func supersede[W interface{ at() stamp }](live []W, w W, over []Version) []W {
	find := func(v Version) (int, bool) {
		return slices.BinarySearchFunc(live, v, func(l W, v Version) int { return l.at().Version.Compare(v) })
	}
	var drop []int
	for _, v := range over {
		if i, ok := find(v); ok {
			drop = append(drop, i)
		}
	}
	if len(drop) > 0 {
		kept := drop[0]
		for i := drop[0]; i < len(live); i++ {
			if len(drop) > 0 && drop[0] == i {
				drop = drop[1:]
				continue
			}
			live[kept] = live[i]
			kept++
		}
		clear(live[kept:])
		live = live[:kept]
	}
	i, _ := find(w.at().Version)
	return slices.Insert(live, i, w)
}

// winner returns the live write that counts, or nil.
func winner[W interface{ at() stamp }](live []W) (best W) {
	for i, w := range live {
		if i == 0 || w.at().after(best.at()) {
			best = w
		}
	}
	return best
}

func (n *node) winPlace() *placeWrite {
	if n.cache != nil {
		return n.cache.place
	}
	return winner(n.place)
}

func (n *node) winMeta() *metaWrite {
	if n.cache != nil {
		return n.cache.meta
	}
	return winner(n.meta)
}

// remember makes the cache where there is something to gain.
func (n *node) remember() {
	n.cache = nil
	if len(n.place) > 1 || len(n.meta) > 1 || len(n.content) > 1 {
		n.cache = &cache{winner(n.place), winner(n.meta), n.groups()}
	}
}

// SetSize records the size of the text made by the live edits of base. It is
// known only to the owner of the documents.
func (s *State) SetSize(id NodeID, base Version, size int64) {
	n := s.nodes[id]
	if n == nil {
		return
	}
	for _, w := range n.content {
		if w.Base == base {
			w.Size = size
		}
	}
}
