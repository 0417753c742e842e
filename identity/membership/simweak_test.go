package membership_test

import (
	"sync/atomic"
	"testing"
)

// weakened are rules that the reference leaves out when it is told to, each with
// the number of scenarios within which that has to be found out.
var weakened = []struct {
	rule   string
	within uint64
}{
	{"strong removal", 3000},
	{"back-dating is void", 3000},
	{"what rests on void is void", 3000},
	{"who left has no right", 3000},
	{"leaving prevails", 3000},
	{"who steps down is no senior", 3000},
	{"only seniors lower admins", 3000},
	{"the senior author prevails", 3000},
	{"an invitation raises nobody whom it does not know lowered", 3000},
	{"an invitation ends with its author's right", 3000},
	{"a revoked invitation admits nobody", 3000},
	{"uses", 3000},
	{"a cut device may not add", 3000},
	{"what a cut has not seen is void", 3000},
	{"a cut ends what only its device added", 3000},
	{"a reset undoes cuts", 3000},
	{"a removal seals", 3000},
	{"rights are judged by all that is known", 3000},
	{"a removal ends feeds", 3000},
	{"a cut ends feeds", 3000},
	{"a cut names the entry", 3000},
	{"the first cut of a device ends it", 3000},
	{"adoption", 3000},
	{"what builds on the excluded is out", 3000},
	{"only seniors exclude an admin's entries", 3000},
	{"forks", 3000},
	{"a pin decides a fork", 3000},
}

// TestWeakenedRules: a rule that is left out is found out, by what must hold or
// by comparison with the state, which keeps it.
func TestWeakenedRules(t *testing.T) {
	p := newPool(t)
	for _, tt := range weakened {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			book := p.book()
			var caught atomic.Bool
			for seed := range tt.within {
				if _, err := scenario(p, book, tt.rule, seed); err != nil {
					t.Logf("scenario %d: %v", seed, err)
					caught.Store(true)
					break
				}
			}
			if !caught.Load() {
				t.Errorf("%d scenarios have not found out", tt.within)
			}
		})
	}
}
