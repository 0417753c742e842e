package textdiff

// A Splice replaces Del runes at Pos by Ins. Pos counts runes of the old text;
// the splices of one edit are in ascending order and do not overlap.
type Splice struct {
	Pos, Del int
	Ins      string
}

// Diff returns the splices that turn old into new.
func Diff(old, new string) []Splice { panic("textdiff: not written yet") }

// Apply returns text with the splices made.
func Apply(text string, splices []Splice) string { panic("textdiff: not written yet") }

// Rebase carries mine over theirs.
func Rebase(mine, theirs []Splice) []Splice { panic("textdiff: not written yet") }

// Similarity tells how much of a and b is alike: 0 nothing, 1 all.
func Similarity(a, b string) float64 { panic("textdiff: not written yet") }
