package tree

import "slices"

// tag names the content of a group. A document holds also edits that a removal
// or another content has replaced on another device, so what is live beside
// its edits tells one text from another too. It comes last.
func (n *node) tag(g group) string {
	if g.plain || len(n.content) == len(g.live) {
		return Tag(g.live)
	}
	live := slices.Clone(g.live)
	for _, w := range n.content {
		if !slices.Contains(g.live, w.Version) {
			live = append(live, w.Version)
		}
	}
	return Tag(live)
}
