package membership_test

import (
	"testing"

	"github.com/echofs/echofs/identity/membership"
)

// weakened are rules that the reference leaves out when it is told to, each with
// the number of scenarios within which that has to be found out, and the number
// within which it has to be found out without comparing with the state, by what
// must hold alone: 0 if that cannot tell.
var weakened = []struct {
	rule   string
	within uint64
	alone  uint64
}{
	{"strong removal", 3000, 20000},
	{"back-dating is void", 3000, 20000},
	{"what rests on void is void", 3000, 20000},
	{"who left has no right", 3000, 20000},
	{"leaving prevails", 3000, 20000},
	{"who steps down is no senior", 3000, 20000},
	{"only seniors lower admins", 3000, 20000},
	{"the senior author prevails", 3000, 20000},
	{"an invitation raises nobody whom it does not know lowered", 3000, 20000},
	{"an invitation ends with its author's right", 3000, 20000},
	{"a revoked invitation admits nobody", 3000, 20000},
	{"uses", 3000, 20000},
	{"a cut device may not add", 3000, 20000},
	{"what a cut has not seen is void", 3000, 20000},
	{"a cut ends what only its device added", 3000, 20000},
	{"a reset undoes cuts", 3000, 20000},
	{"a removal seals", 3000, 20000},
	{"rights are judged by all that is known", 3000, 20000},
	{"a removal ends feeds", 3000, 20000},
	{"a cut ends feeds", 3000, 20000},
	{"a cut names the entry", 3000, 20000},
	{"the first cut of a device ends it", 3000, 0},
	{"adoption", 3000, 20000},
	{"what builds on the excluded is out", 3000, 20000},
	{"only seniors exclude an admin's entries", 3000, 20000},
	{"forks", 3000, 20000},
	{"a pin decides a fork", 3000, 20000},
}

// TestWeakenedRules: a rule that is left out is found out, by what must hold or
// by comparison with the state, which keeps it.
func TestWeakenedRules(t *testing.T) {
	p := newPool(t)
	for _, tt := range weakened {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			seed, err := findOut(p, p.book(), tt.rule, tt.within)
			if err == nil {
				t.Fatalf("%d scenarios have not found out", tt.within)
			}
			t.Logf("scenario %d: %v", seed, err)
			if tt.alone == 0 {
				return
			}
			seed, err = findOut(p, nil, tt.rule, tt.alone)
			if err == nil {
				t.Fatalf("%d scenarios have not found out without the state", tt.alone)
			}
			t.Logf("alone, scenario %d: %v", seed, err)
		})
	}
}

// findOut runs scenarios by weakened rules until one fails; without a book, for
// what must hold of the rules alone.
func findOut(p *pool, book *membership.Book, rule string, within uint64) (uint64, error) {
	for seed := range within {
		if _, err := scenario(p, book, rule, seed); err != nil {
			return seed, err
		}
	}
	return within, nil
}
