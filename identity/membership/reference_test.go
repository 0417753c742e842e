package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A reference answers as the rules are written, one sentence at a time and
// with no thought of speed, to compare a State with.
type reference struct {
	ops   map[identity.ID]credential.Signed
	past  map[identity.ID]map[identity.ID]bool
	depth map[identity.ID]int
}

func newReference(ops []credential.Signed) *reference {
	r := &reference{map[identity.ID]credential.Signed{}, map[identity.ID]map[identity.ID]bool{}, map[identity.ID]int{}}
	for _, op := range ops { // in causal order
		r.ops[op.ID] = op
		r.past[op.ID] = map[identity.ID]bool{}
		for _, dep := range op.Deps {
			r.past[op.ID][dep] = true
			for id := range r.past[dep] {
				r.past[op.ID][id] = true
			}
			r.depth[op.ID] = max(r.depth[op.ID], r.depth[dep]+1)
		}
	}
	return r
}

func (r *reference) grant(id identity.ID) (who identity.ID, role credential.Role, ok bool) {
	switch op := r.ops[id]; op.Kind {
	case credential.Genesis:
		return op.Identity, credential.Admin, true
	case credential.SetRole:
		return op.Subject, op.Role, true
	}
	return identity.ID{}, 0, false
}

// path is the lineage of the right a grant gives; rank, of whoever made it.
func (r *reference) path(id identity.ID) []step {
	if r.ops[id].Kind == credential.Genesis {
		return nil
	}
	return append(slices.Clone(r.path(r.ops[id].Proof)), step{r.depth[id], id})
}

func (r *reference) rank(id identity.ID) []step {
	if r.ops[id].Kind == credential.Genesis {
		return nil
	}
	return r.path(r.ops[id].Proof)
}

func senior(a, b []step) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	for i := range a {
		if a[i].depth != b[i].depth {
			return a[i].depth < b[i].depth
		}
		if c := a[i].id.Compare(b[i].id); c != 0 {
			return c < 0
		}
	}
	return false
}

func (r *reference) closure(heads []identity.ID) map[identity.ID]bool {
	set := map[identity.ID]bool{}
	for _, h := range heads {
		set[h] = true
		for id := range r.past[h] {
			set[id] = true
		}
	}
	return set
}

func (r *reference) leaving(id identity.ID) bool {
	op := r.ops[id]
	return op.Kind == credential.SetRole && op.Subject == op.Identity && op.Role == credential.None
}

func (r *reference) resolve(set map[identity.ID]bool) map[identity.ID]bool {
	var order []identity.ID
	for id := range set {
		if _, _, ok := r.grant(id); ok {
			order = append(order, id)
		}
	}
	slices.SortFunc(order, func(a, b identity.ID) int {
		first := func(x, y identity.ID) bool {
			if gx, gy := r.ops[x].Kind == credential.Genesis, r.ops[y].Kind == credential.Genesis; gx != gy {
				return gx
			}
			if senior(r.rank(x), r.rank(y)) || senior(r.rank(y), r.rank(x)) {
				return senior(r.rank(x), r.rank(y))
			}
			if r.depth[x] != r.depth[y] {
				return r.depth[x] < r.depth[y]
			}
			return x.Compare(y) < 0
		}
		switch {
		case first(a, b):
			return -1
		case first(b, a):
			return 1
		}
		return 0
	})
	valid := map[identity.ID]bool{}
	for _, id := range order {
		if r.counts(id, set, valid) {
			valid[id] = true
		}
	}
	return valid
}

func (r *reference) counts(id identity.ID, set, valid map[identity.ID]bool) bool {
	op := r.ops[id]
	if op.Kind == credential.Genesis || r.leaving(id) {
		return true
	}
	if who, role, ok := r.grant(op.Proof); !ok || who != op.Identity || role != credential.Admin || !r.past[id][op.Proof] || !valid[op.Proof] {
		return false
	}
	for rem := range set {
		if !r.takesBack(rem, op.Proof) {
			continue
		}
		if r.leaving(rem) {
			if r.past[id][rem] {
				return false
			}
		} else if valid[rem] && !r.past[rem][id] {
			return false
		}
	}
	return true
}

func (r *reference) takesBack(k, g identity.ID) bool {
	who, role, ok := r.grant(g)
	other, lower, okK := r.grant(k)
	if !ok || !okK || k == g || other != who || lower >= role || r.ops[k].Kind == credential.Genesis {
		return false
	}
	authority := r.leaving(k) || role < credential.Admin || senior(r.rank(k), r.path(g))
	after := r.past[k][g]
	concurrent := !after && !r.past[g][k]
	return authority && (after || concurrent && (r.leaving(k) || !senior(r.rank(g), r.rank(k))))
}

func (r *reference) role(who identity.ID, heads []identity.ID) credential.Role {
	valid := r.resolve(r.closure(heads))
	best := credential.None
	for g := range valid {
		to, role, _ := r.grant(g)
		if to != who {
			continue
		}
		killed := false
		for k := range valid {
			killed = killed || r.takesBack(k, g)
		}
		if !killed {
			best = max(best, role)
		}
	}
	return best
}
