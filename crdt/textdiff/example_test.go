package textdiff_test

import (
	"fmt"

	"github.com/echofs/echofs/crdt/textdiff"
)

// Somebody edits a text that another has changed since it was opened.
func Example() {
	opened := "milk\nbread\n"
	current := "milk\nbread\neggs\n"
	saved := "oat milk\nbread\n"

	mine := textdiff.Diff(opened, saved)
	theirs := textdiff.Diff(opened, current)
	fmt.Print(textdiff.Apply(current, textdiff.Rebase(mine, theirs)))
	// Output:
	// oat milk
	// bread
	// eggs
}
