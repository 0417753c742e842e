package identity

// A bitset is a set of the indexes of nodes.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

// meets reports whether two sets of the same size have an element in common.
func (b bitset) meets(other bitset) bool {
	for i := range b {
		if b[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

// union adds the elements of a set of the same size.
func (b bitset) union(other bitset) {
	for i := range b {
		b[i] |= other[i]
	}
}
