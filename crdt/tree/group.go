package tree

import "slices"

// A group is the live content versions of a node that are one content: the
// edits of one document and what they began with, or other writes of the same
// bytes.
type group struct {
	best  *contentWrite // the winner among them
	key   Version       // of a document, what the edits began with; else the winner
	live  []Version     // sorted
	plain bool          // no edits
}

// same is what content writes that are no document must share to be one group.
type same struct {
	kind Kind
	hash [32]byte
	size int64
}

// groups returns what the node holds, the winner first. Content that is a
// folder comes before everything else in a node that is one. What is returned
// must not be changed.
func (n *node) groups() []group {
	if n.cache != nil {
		return n.cache.groups
	}
	if len(n.content) == 1 { // nearly always
		return single(n.content[0])
	}
	gs := gather(n.content)
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

func single(w *contentWrite) []group {
	if w.Kind == None {
		return nil
	}
	g := group{best: w, key: w.Version, live: []Version{w.Version}, plain: true}
	if !w.Base.IsZero() {
		g.key, g.plain = w.Base, false
	}
	return []group{g}
}

// gather puts the writes that are one content together.
func gather(content []*contentWrite) (gs []group) {
	edited := make(map[Version]int) // base → its group, -1 before there is one
	for _, w := range content {
		if !w.Base.IsZero() {
			edited[w.Base] = -1
		}
	}
	plain := make(map[same]int)
	for _, w := range content {
		if w.Kind == None {
			continue
		}
		base := w.Base
		if base.IsZero() {
			base = w.Version
		}
		i, doc := edited[base]
		if doc = doc && w.Kind == Bytes; !doc {
			var ok bool
			if i, ok = plain[same{w.Kind, w.Hash, w.Size}]; !ok {
				i = -1
			}
		}
		if i < 0 {
			i = len(gs)
			gs = append(gs, group{best: w, key: base, plain: !doc})
			if doc {
				edited[base] = i
			} else {
				plain[same{w.Kind, w.Hash, w.Size}] = i
			}
		}
		g := &gs[i]
		g.live = append(g.live, w.Version)
		if w.after(g.best.stamp) {
			g.best = w
		}
		if g.plain {
			g.key = g.best.Version
		}
	}
	return gs
}

// maxCopies is how many versions are shown beside a node. Others are kept, and
// shown when somebody has dealt with some of these.
const maxCopies = 64

// beside returns the groups that are shown beside the node.
func (n *node) beside(groups []group) []group {
	if len(groups) > 0 && (!n.folder || groups[0].best.Kind == Dir) {
		groups = groups[1:]
	}
	return groups[:min(len(groups), maxCopies)]
}
