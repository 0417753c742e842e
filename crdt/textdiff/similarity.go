package textdiff

// Similarity tells how much of a and b is alike: 0 nothing, 1 all. It takes
// one pass over both and is meant for telling which of a few texts another was
// made from, not for judging two that are far apart.
func Similarity(a, b string) float64 {
	if a == b {
		return 1
	}
	longest := max(len(a), len(b))
	p, n := 0, min(len(a), len(b))
	for p < n && a[p] == b[p] {
		p++
	}
	q := 0
	for q < n-p && a[len(a)-1-q] == b[len(b)-1-q] {
		q++
	}
	ends := float64(p+q) / float64(longest)
	x, y := a[p:len(a)-q], b[p:len(b)-q]
	if x == "" || y == "" {
		return ends
	}
	common := 0
	seen := make(map[uint64]int, len(x)/8)
	shingles(x, func(h uint64, size int) { seen[h] += size })
	shingles(y, func(h uint64, size int) {
		k := min(seen[h], size)
		seen[h] -= k
		common += k
	})
	return (float64(p+q) + float64(min(common, len(x), len(y)))) / float64(longest)
}

// shingles calls fn with a hash of every word and the two words before it, and
// the length of the word with what lies in front of it. Three words in a row
// say more than one: most texts share their small words.
func shingles(s string, fn func(hash uint64, size int)) {
	const seed, prime = 14695981039346656037, 1099511628211
	var before, last uint64
	h, begin, inWord := uint64(seed), 0, false
	end := func(i int) {
		fn((before*prime^last)*prime^h, i-begin)
		before, last, h, begin = last, h, seed, i
	}
	for i := range len(s) {
		w := s[i] >= 0x80 || isWord(rune(s[i]))
		if inWord && !w {
			end(i)
		}
		h = (h ^ uint64(s[i])) * prime
		inWord = w
	}
	if begin < len(s) {
		end(len(s))
	}
}
