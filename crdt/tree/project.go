package tree

import "slices"

// projection is what follows from the nodes, kept up to date operation by
// operation. What it holds is a function of the nodes, not of the way there:
//
//   - A node is in the folder its place says. In a cycle of folders the one with
//     the smallest ID is in the root instead. So is a node whose parent is no folder.
//   - A node is shown when it has content, a folder also when something in it is.
//   - Of several nodes with one name in a folder the smallest ID keeps the name.
//   - A content that is not the node's first group is shown as a copy beside it,
//     if it is one of the first 64.
type projection struct {
	folders map[NodeID]*folder
	waiting map[NodeID]map[NodeID]bool // no folder (yet) → nodes whose place is in it
	copies  map[NodeID]copyRef         // shown copies

	before  map[NodeID]Entry // what touched entries were before the change
	attr    map[NodeID]bool
	changed map[NodeID]bool // nodes to bring up to date
	unnamed map[NodeID]bool // folders in which names must be given out again
}

type copyRef struct {
	node NodeID
	key  Version
	name string
}

// shown is the projected part of a node.
type shown struct {
	raw    NodeID // parent as placed, may be part of a cycle
	placed bool   // raw is set
	cut    bool   // of its cycle the one that is in the root
	up     NodeID // folder it is in
	claim  string // name it wants there
	name   string // name it has there
	linked bool   // it is in up's claims
	copies []NodeID
}

// folder is the shown entries of one folder.
type folder struct {
	claims  map[string][]NodeID // who wants a name, sorted
	crowded map[string]bool     // names that several want
	split   map[NodeID]bool     // nodes with copies
	extra   map[string]NodeID   // names given to others than their claimants
}

func newProjection() projection {
	return projection{
		folders: make(map[NodeID]*folder),
		waiting: make(map[NodeID]map[NodeID]bool),
		copies:  make(map[NodeID]copyRef),
		before:  make(map[NodeID]Entry),
		attr:    make(map[NodeID]bool),
		changed: make(map[NodeID]bool),
		unnamed: make(map[NodeID]bool),
	}
}

func (p *projection) noteAttr(id NodeID) { p.attr[id] = true }

// touch remembers how a node and its copies are shown, before they change.
func (p *projection) touch(s *State, n *node) {
	p.touchEntry(s, n.id)
	for _, c := range n.shown.copies {
		p.touchEntry(s, c)
	}
}

func (p *projection) touchEntry(s *State, id NodeID) {
	if _, ok := p.before[id]; !ok {
		e, _ := s.Get(id)
		p.before[id] = e
	}
}

// appear puts a new node above those that are placed in it already.
func (p *projection) appear(s *State, n *node) {
	for id := range p.waiting[n.id] {
		s.nodes[id].join(n)
	}
}

// update brings the projection of n up to date with its registers.
func (p *projection) update(s *State, n *node) {
	n.remember()
	raw := Root
	if w := n.winPlace(); w != nil {
		raw = w.Parent
	}
	if n.shown.placed && raw == n.shown.raw {
		p.link(s, n)
	} else {
		p.reparent(s, n, raw)
	}
	if n.folder {
		if waiting := p.waiting[n.id]; waiting != nil {
			delete(p.waiting, n.id)
			for id := range waiting {
				p.link(s, s.nodes[id])
			}
		}
	}
}

// reparent moves one edge of the graph of placements. An edge is on at most one
// cycle, so only that of the old edge and that of the new one are concerned.
func (p *projection) reparent(s *State, n *node, raw NodeID) {
	freed := p.unplace(s, n)
	n.shown.raw, n.shown.placed = raw, true
	if up := s.nodes[raw]; up != nil {
		if up.root() == n { // the edge closes a cycle
			least := up.leastAbove()
			least.shown.cut = true
			if least != n {
				least.part()
				n.join(up)
			}
			p.link(s, least) // first, so that the folders are a tree at every step
		} else {
			n.join(up)
		}
	}
	p.link(s, n)
	if freed != nil {
		p.link(s, freed)
	}
}

// unplace takes n from where it is placed. It returns the node that was cut of
// the cycle which that opens, unless that is n.
func (p *projection) unplace(s *State, n *node) (freed *node) {
	if !n.shown.placed {
		return nil
	}
	if waiting := p.waiting[n.shown.raw]; waiting != nil {
		delete(waiting, n.id)
		if len(waiting) == 0 {
			delete(p.waiting, n.shown.raw)
		}
	}
	if n.shown.cut {
		n.shown.cut = false
		return nil
	}
	r := n.root()
	opens := r.shown.cut && n.isAbove(s.nodes[r.shown.raw])
	n.part()
	if !opens {
		return nil
	}
	r.shown.cut = false
	r.join(s.nodes[r.shown.raw])
	return r
}

// link puts n where it belongs and follows what that changes above it.
func (p *projection) link(s *State, n *node) {
	for n != nil {
		up := p.parent(s, n)
		claim := ""
		if w := n.winPlace(); w != nil {
			claim = w.Name
		}
		claim = legal(claim, n.id)
		groups := n.groups()
		visible := len(groups) > 0 || n.folder && p.folders[n.id].count() > 0
		beside := n.beside(groups)
		copies := copyIDs(n.id, beside)
		old := n.shown
		same := old.linked == visible && (!visible || old.up == up && old.claim == claim)
		if same && slices.Equal(old.copies, copies) {
			n.shown.up = up
			return
		}
		p.touch(s, n)
		if old.linked {
			p.remove(s, n)
		}
		n.shown.up, n.shown.claim, n.shown.linked, n.shown.copies = up, claim, visible, copies
		for i, id := range copies {
			p.touchEntry(s, id)
			p.copies[id] = copyRef{node: n.id, key: beside[i].key}
		}
		if visible {
			p.add(s, n)
		} else {
			n.shown.name = ""
		}
		if old.linked && old.up != up {
			p.link(s, s.nodes[old.up])
		}
		n = s.nodes[up]
	}
}

// parent returns the folder n is in.
func (p *projection) parent(s *State, n *node) NodeID {
	raw := n.shown.raw
	if raw == Root || n.shown.cut {
		return Root
	}
	if up := s.nodes[raw]; up != nil && up.folder {
		return raw
	}
	if p.waiting[raw] == nil {
		p.waiting[raw] = make(map[NodeID]bool)
	}
	p.waiting[raw][n.id] = true
	return Root
}

func copyIDs(id NodeID, beside []group) []NodeID {
	if len(beside) == 0 {
		return nil
	}
	ids := make([]NodeID, len(beside))
	for i, g := range beside {
		ids[i] = CopyID(id, g.key)
	}
	return ids
}

func (f *folder) count() int {
	if f == nil {
		return 0
	}
	return len(f.claims)
}

func (p *projection) folder(id NodeID) *folder {
	f := p.folders[id]
	if f == nil {
		f = &folder{claims: make(map[string][]NodeID)}
		p.folders[id] = f
	}
	return f
}

func (p *projection) add(s *State, n *node) {
	f := p.folder(n.shown.up)
	name := n.shown.claim
	ids := f.claims[name]
	i, _ := slices.BinarySearchFunc(ids, n.id, NodeID.Compare)
	ids = slices.Insert(ids, i, n.id)
	f.claims[name] = ids
	if len(ids) > 1 {
		if f.crowded == nil {
			f.crowded = make(map[string]bool)
		}
		f.crowded[name] = true
	}
	if len(n.shown.copies) > 0 {
		if f.split == nil {
			f.split = make(map[NodeID]bool)
		}
		f.split[n.id] = true
	}
	n.shown.name = name
	p.disturb(n.shown.up, f)
}

func (p *projection) remove(s *State, n *node) {
	f := p.folder(n.shown.up)
	p.disturb(n.shown.up, f)
	name := n.shown.claim
	ids := slices.DeleteFunc(f.claims[name], func(id NodeID) bool { return id == n.id })
	if len(ids) == 0 {
		delete(f.claims, name)
	} else {
		f.claims[name] = ids
	}
	if len(ids) < 2 {
		delete(f.crowded, name)
	}
	delete(f.split, n.id)
	for _, c := range n.shown.copies {
		delete(p.copies, c)
	}
	p.disturb(n.shown.up, f)
}

// disturb notes that names of a folder must be given out again, which is so
// only where not every node simply has the name it claims.
func (p *projection) disturb(id NodeID, f *folder) {
	if len(f.crowded) > 0 || len(f.split) > 0 || len(f.extra) > 0 {
		p.unnamed[id] = true
	}
}

// giveNames gives out the names of a folder: claims first, then others by ID.
func (p *projection) giveNames(s *State, id NodeID) {
	f := p.folders[id]
	if f == nil {
		return
	}
	old := f.extra
	f.extra = make(map[string]NodeID)
	give := func(id NodeID, want func(mark string) string) string {
		for n := 6; ; n++ {
			name := want(tell(id, n))
			if _, taken := f.extra[name]; !taken && len(f.claims[name]) == 0 {
				f.extra[name] = id
				return name
			}
		}
	}
	var losers []NodeID
	for name := range f.crowded {
		first := s.nodes[f.claims[name][0]]
		p.rename(s, first, name)
		losers = append(losers, f.claims[name][1:]...)
	}
	slices.SortFunc(losers, NodeID.Compare)
	for _, l := range losers {
		n := s.nodes[l]
		p.rename(s, n, give(l, func(m string) string { return Mark(n.shown.claim, m) }))
	}
	for _, name := range old { // who lost a rival has its own name back
		if n := s.nodes[name]; n != nil && n.shown.linked && n.shown.up == id && len(f.claims[n.shown.claim]) == 1 {
			p.rename(s, n, n.shown.claim)
		}
	}
	split := make([]NodeID, 0, len(f.split))
	for n := range f.split {
		split = append(split, n)
	}
	slices.SortFunc(split, NodeID.Compare)
	for _, nid := range split {
		n := s.nodes[nid]
		for _, c := range n.shown.copies {
			ref := p.copies[c]
			p.touchEntry(s, c)
			ref.name = give(c, func(m string) string { return Mark(n.shown.name, "conflict "+m) })
			p.copies[c] = ref
		}
	}
	if len(f.extra) == 0 {
		f.extra = nil
	}
}

func (p *projection) rename(s *State, n *node, name string) {
	if n.shown.name != name {
		p.touch(s, n)
		n.shown.name = name
	}
}
