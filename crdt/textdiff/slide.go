package textdiff

// slide moves pure insertions and deletions to whole lines where that says the
// same. An insertion of "- x\n" in a list can equally be read as "x\n- " two
// runes later; only the first merges well with somebody deleting the next line.
func (c *comparison) slide() {
	for i := range c.out {
		lo, hi := 0, len(c.old)
		if i > 0 {
			lo = c.out[i-1].a1
		}
		if i+1 < len(c.out) {
			hi = c.out[i+1].a0
		}
		switch s := &c.out[i]; {
		case s.a0 == s.a1:
			// The bytes in question are in new; before and behind them both texts agree.
			d := slideBy(c.new, s.b0, s.b1, s.a0-lo, hi-s.a1)
			s.move(d)
		case s.b0 == s.b1:
			d := slideBy(c.old, s.a0, s.a1, s.a0-lo, hi-s.a1)
			s.move(d)
		}
	}
}

func (s *span) move(d int) {
	s.a0, s.a1, s.b0, s.b1 = s.a0+d, s.a1+d, s.b0+d, s.b1+d
}

// slideBy returns how far text[from:to] can move, left at most left and right
// at most right bytes, to begin where a line begins. 0 means it should not.
func slideBy(text string, from, to, left, right int) int {
	begins := func(i int) bool { return i == 0 || text[i-1] == '\n' }
	if begins(from) {
		return 0
	}
	for d := 1; d <= min(left, maxSliding) && text[from-d] == text[to-d]; d++ {
		if begins(from - d) {
			return -d
		}
	}
	for d := 1; d <= min(right, maxSliding) && text[from+d-1] == text[to+d-1]; d++ {
		if begins(from + d) {
			return d
		}
	}
	return 0
}
