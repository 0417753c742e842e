package textdiff

import "unicode/utf8"

// Rebase carries mine over theirs. Both were made on the same text; the result
// is mine as splices on the text that theirs made.
//
// Whatever theirs inserted stays, whatever mine inserts is inserted, and a rune
// of the common text survives when neither deleted it. Where both insert at one
// place, theirs comes first.
func Rebase(mine, theirs []Splice) []Splice {
	if len(theirs) == 0 {
		return mine
	}
	r := rebaser{theirs: theirs}
	for _, m := range mine {
		r.emit(r.gap(m.Pos), 0, m.Ins)
		for at, end := m.Pos, m.Pos+m.Del; at < end; {
			n, kept := r.run(at, end)
			if kept {
				r.emit(at+r.shift, n, "")
			}
			at += n
		}
	}
	return r.out
}

// A rebaser walks over theirs once, as mine is walked over.
type rebaser struct {
	theirs []Splice // those that do not lie wholly before the place we are at
	shift  int      // how far those before have moved the text, with the insertion of the first of theirs when it is passed
	passed bool     // the insertion of the first of theirs is in shift
	out    []Splice
}

// pass takes in everything of theirs that lies before the rune at place at.
func (r *rebaser) pass(at int) {
	for len(r.theirs) > 0 && r.theirs[0].Pos <= at {
		t := r.theirs[0]
		if !r.passed {
			r.shift += utf8.RuneCountInString(t.Ins)
			r.passed = true
		}
		if t.Pos+t.Del > at {
			return // at is inside what they deleted
		}
		r.shift -= t.Del
		r.theirs, r.passed = r.theirs[1:], false
	}
}

// gap returns where a place of the common text is now.
func (r *rebaser) gap(at int) int {
	r.pass(at)
	if r.passed { // they deleted around it: where the hole is
		return r.theirs[0].Pos + r.shift
	}
	return at + r.shift
}

// run returns how many runes from at on, up to end, share one fate, and
// whether theirs kept them.
func (r *rebaser) run(at, end int) (n int, kept bool) {
	r.pass(at)
	if r.passed {
		t := r.theirs[0]
		return min(end, t.Pos+t.Del) - at, false
	}
	if len(r.theirs) > 0 {
		end = min(end, r.theirs[0].Pos)
	}
	return end - at, true
}

// emit adds a splice, joined to the last one where they touch.
func (r *rebaser) emit(pos, del int, ins string) {
	if del == 0 && ins == "" {
		return
	}
	if k := len(r.out) - 1; k >= 0 && r.out[k].Pos+r.out[k].Del == pos {
		r.out[k].Del += del
		r.out[k].Ins += ins
		return
	}
	r.out = append(r.out, Splice{Pos: pos, Del: del, Ins: ins})
}
