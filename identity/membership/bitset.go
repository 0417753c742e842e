package membership

// A bitset is a set of small numbers: indexes of nodes. Once shared it is not
// changed any more.
type bitset []uint64

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]>>(i%64)&1 == 1 }

func (b bitset) word(i int) uint64 {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// fullSet returns the set of all numbers below n.
func fullSet(n int) bitset {
	b := make(bitset, (n+63)/64)
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] = 1<<(n%64) - 1
	}
	return b
}

// with returns a copy of b that has i too, or b itself if it has i already.
func (b bitset) with(i int) bitset {
	if b.has(i) {
		return b
	}
	c := make(bitset, max(len(b), i/64+1))
	copy(c, b)
	c[i/64] |= 1 << (i % 64)
	return c
}

// union returns a new set of what is in either.
func (b bitset) union(other bitset) bitset {
	c := make(bitset, max(len(b), len(other)))
	copy(c, b)
	for i, w := range other {
		c[i] |= w
	}
	return c
}
