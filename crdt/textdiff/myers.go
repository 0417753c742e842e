package textdiff

import "slices"

// unreached marks a diagonal on which no point can be reached.
const unreached = -1 << 40

// A differ compares two token sequences with the linear-space algorithm of
// Myers. One search for a middle point takes at most maxSearch edits, all
// together budget steps; what is too unlike for that is cut at the tokens that
// occur once on both sides, and where there are none it counts as replaced.
type differ struct {
	a, b   []int32
	budget *int
	fwd    []int
	rev    []int
	out    []span
}

const maxSearch = 1500

// compare returns which tokens of a became which of b, in ascending order.
func compare(a, b []int32, budget *int) []span {
	d := &differ{a: a, b: b, budget: budget}
	d.between(0, len(a), 0, len(b))
	return d.out
}

// between compares a[a0:a1] with b[b0:b1].
func (d *differ) between(a0, a1, b0, b1 int) {
	for a0 < a1 && b0 < b1 && d.a[a0] == d.b[b0] {
		a0, b0 = a0+1, b0+1
	}
	for a0 < a1 && b0 < b1 && d.a[a1-1] == d.b[b1-1] {
		a1, b1 = a1-1, b1-1
	}
	if a0 == a1 || b0 == b1 {
		d.out = appendSpan(d.out, span{a0, a1, b0, b1})
		return
	}
	if d.hopeless(a0, a1, b0, b1) {
		d.anchored(a0, a1, b0, b1)
		return
	}
	x, y, ok := d.middle(a0, a1, b0, b1)
	if !ok || (x == a0 && y == b0) || (x == a1 && y == b1) {
		d.anchored(a0, a1, b0, b1)
		return
	}
	d.between(a0, x, b0, y)
	d.between(x, a1, y, b1)
}

// hopeless tells whether so many tokens have no partner that the search for a
// middle would give up.
func (d *differ) hopeless(a0, a1, b0, b1 int) bool {
	if *d.budget <= 0 {
		return true
	}
	if a1-a0+b1-b0 < 2*maxSearch {
		return false
	}
	count := make(map[int32]int, a1-a0)
	for _, t := range d.a[a0:a1] {
		count[t]++
	}
	alone := 0
	for _, t := range d.b[b0:b1] {
		if count[t] > 0 {
			count[t]--
		} else {
			alone++
		}
	}
	for _, n := range count {
		alone += n
	}
	*d.budget -= (a1 - a0 + b1 - b0) / 4
	return alone > 2*maxSearch
}

// middle finds a point on a shortest path, searching from both ends.
func (d *differ) middle(a0, a1, b0, b1 int) (x, y int, ok bool) {
	n, m := a1-a0, b1-b0
	if need := n + m + 3; len(d.fwd) < need {
		d.fwd, d.rev = make([]int, need), make([]int, need)
	}
	fwd, rev, off := d.fwd, d.rev, m+1
	fwd[off+1], rev[off+1] = 0, 0
	delta := n - m
	odd := delta&1 != 0
	for edits := 0; edits <= min(maxSearch, (n+m+1)/2); edits++ {
		if *d.budget -= 2*edits + 2; *d.budget < 0 {
			return 0, 0, false
		}
		lo, hi := -edits+2*max(0, edits-m), edits-2*max(0, edits-n)
		for k := lo; k <= hi; k += 2 {
			x := step(fwd, off, k, edits, n, m)
			if x < 0 {
				continue
			}
			for y := x - k; x < n && y < m && d.a[a0+x] == d.b[b0+y]; y++ {
				x++
			}
			fwd[off+k] = x
			if kr := delta - k; odd && kr > -edits && kr < edits && x+rev[off+kr] >= n {
				return a0 + x, b0 + x - k, true
			}
		}
		for k := lo; k <= hi; k += 2 {
			x := step(rev, off, k, edits, n, m)
			if x < 0 {
				continue
			}
			for y := x - k; x < n && y < m && d.a[a1-1-x] == d.b[b1-1-y]; y++ {
				x++
			}
			rev[off+k] = x
			if kf := delta - k; !odd && kf >= -edits && kf <= edits && x+fwd[off+kf] >= n {
				return a1 - x, b1 - (x - k), true
			}
		}
	}
	return 0, 0, false
}

// step returns how far diagonal k is reached with one more edit, and notes it
// when it is not reached at all.
func step(v []int, off, k, edits, n, m int) int {
	if edits == 0 {
		return 0
	}
	best := unreached
	if k < edits && k+1 <= n { // a token of b inserted: down from the diagonal above
		if x := v[off+k+1]; x >= 0 && x-k <= m {
			best = x
		}
	}
	if k > -edits && k-1 >= -m { // a token of a deleted: right from the one below
		if x := v[off+k-1] + 1; x > 0 && x <= n && x > best {
			best = x
		}
	}
	if best < 0 {
		v[off+k] = unreached
	}
	return best
}

// anchored cuts where a token occurs exactly once on both sides, in the
// longest order common to both, and compares what lies between.
func (d *differ) anchored(a0, a1, b0, b1 int) {
	pairs := d.unique(a0, a1, b0, b1)
	if len(pairs) == 0 {
		d.out = appendSpan(d.out, span{a0, a1, b0, b1})
		return
	}
	for _, p := range pairs {
		d.between(a0, p[0], b0, p[1])
		a0, b0 = p[0]+1, p[1]+1
	}
	d.between(a0, a1, b0, b1)
}

// unique returns the pairs of places of such tokens, in ascending order.
func (d *differ) unique(a0, a1, b0, b1 int) [][2]int {
	type places struct{ a, b int } // -1 not seen, -2 seen more than once
	seen := make(map[int32]places, a1-a0)
	for i, t := range d.a[a0:a1] {
		if _, dup := seen[t]; dup {
			seen[t] = places{-2, -1}
		} else {
			seen[t] = places{a0 + i, -1}
		}
	}
	for i, t := range d.b[b0:b1] {
		p, ok := seen[t]
		switch {
		case !ok:
		case p.b == -1:
			p.b = b0 + i
			seen[t] = p
		default:
			p.b = -2
			seen[t] = p
		}
	}
	var pairs [][2]int
	for _, t := range d.a[a0:a1] {
		if p := seen[t]; p.a >= 0 && p.b >= 0 {
			pairs = append(pairs, [2]int{p.a, p.b})
		}
	}
	*d.budget -= a1 - a0 + b1 - b0
	return rising(pairs)
}

// rising returns the longest run of pairs, whose first numbers rise, in which
// the second numbers rise too.
func rising(pairs [][2]int) [][2]int {
	var tails []int // index of the pair that ends the best run of each length
	before := make([]int, len(pairs))
	for i, p := range pairs {
		k, _ := slices.BinarySearchFunc(tails, p[1], func(j, y int) int { return pairs[j][1] - y })
		before[i] = -1
		if k > 0 {
			before[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, i)
		} else {
			tails[k] = i
		}
	}
	if len(tails) == 0 {
		return nil
	}
	out := make([][2]int, len(tails))
	for i, k := tails[len(tails)-1], len(tails)-1; k >= 0; i, k = before[i], k-1 {
		out[k] = pairs[i]
	}
	return out
}
