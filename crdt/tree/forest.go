package tree

// forestPlace is the place of a node in the forest of who is placed in whom: a link/cut tree (Sleator and
// Tarjan). Each way to a root is cut into paths, each path is a splay tree, so
// that the questions below take the logarithm of the number of nodes, however
// deep somebody makes the folders.
//
// The edges are those to the node a node is placed in, if that exists, but of
// every circle not the one of the smallest ID.
type forestPlace struct {
	up    *node    // in the splay tree, or from its top to where the path hangs
	kids  [2]*node // nearer to the root, farther from it
	size  int32    // nodes in this part of the splay tree
	least *node    // of these, the one with the smallest ID
}

func (n *node) plant() { n.forest = forestPlace{size: 1, least: n} }

func (n *node) isTop() bool {
	up := n.forest.up
	return up == nil || up.forest.kids[0] != n && up.forest.kids[1] != n
}

func (n *node) pull() {
	f := &n.forest
	f.size, f.least = 1, n
	for _, k := range f.kids {
		if k == nil {
			continue
		}
		f.size += k.forest.size
		if k.forest.least.id.Compare(f.least.id) < 0 {
			f.least = k.forest.least
		}
	}
}

func (n *node) side() int {
	if n.forest.up.forest.kids[1] == n {
		return 1
	}
	return 0
}

func (n *node) rotate() {
	up, side, top := n.forest.up, n.side(), n.forest.up.isTop()
	if !top {
		up.forest.up.forest.kids[up.side()] = n
	}
	n.forest.up = up.forest.up
	inner := n.forest.kids[1-side]
	up.forest.kids[side] = inner
	if inner != nil {
		inner.forest.up = up
	}
	n.forest.kids[1-side], up.forest.up = up, n
	up.pull()
	n.pull()
}

func (n *node) splay() {
	for !n.isTop() {
		if up := n.forest.up; !up.isTop() {
			if up.side() == n.side() {
				up.rotate()
			} else {
				n.rotate()
			}
		}
		n.rotate()
	}
}

// expose makes the way from n to its root one path, with n on top.
func (n *node) expose() {
	var below *node
	for m := n; m != nil; m = m.forest.up {
		m.splay()
		m.forest.kids[1] = below
		m.pull()
		below = m
	}
	n.splay()
}

// root returns the node at the end of the way up from n.
func (n *node) root() *node {
	n.expose()
	m := n
	for m.forest.kids[0] != nil {
		m = m.forest.kids[0]
	}
	m.splay()
	return m
}

// depth returns how many nodes are above n.
func (n *node) depth() int {
	n.expose()
	return int(n.forest.size) - 1
}

// leastAbove returns the smallest of n and the nodes above it.
func (n *node) leastAbove() *node {
	n.expose()
	return n.forest.least
}

// isAbove reports whether n is m or above it.
func (n *node) isAbove(m *node) bool {
	m.expose()
	n.splay()
	return n == m || m.forest.up != nil
}

// join puts n, a root, below up, which is not below n.
func (n *node) join(up *node) {
	n.expose()
	n.forest.up = up
}

// part takes n from the node it is below, if there is one.
func (n *node) part() {
	n.expose()
	if above := n.forest.kids[0]; above != nil {
		above.forest.up = nil
		n.forest.kids[0] = nil
		n.pull()
	}
}
