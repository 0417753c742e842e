package tree

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

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

// Tag names a content by the versions that make it.
func Tag(live []Version) string {
	var b strings.Builder
	for i, v := range live {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(hex.EncodeToString(v.Feed[:8]))
		b.WriteByte('-')
		b.WriteString(strconv.FormatUint(v.N, 10))
	}
	return b.String()
}

// ParseTag returns the versions that a tag names, if all are known here.
func (s *State) ParseTag(tag string) ([]Version, bool) {
	var versions []Version
	for part := range strings.SplitSeq(tag, ".") {
		feed, num, ok := strings.Cut(part, "-")
		if !ok {
			return nil, false
		}
		n, err := strconv.ParseUint(num, 10, 64)
		if err != nil {
			return nil, false
		}
		found := false
		for f, last := range s.applied {
			if hex.EncodeToString(f[:8]) == feed && n <= last && n > 0 {
				if found {
					return nil, false // two feeds begin alike
				}
				versions, found = append(versions, Version{Feed: f, N: n}), true
			}
		}
		if !found {
			return nil, false
		}
	}
	return versions, true
}
