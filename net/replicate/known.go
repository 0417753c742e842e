package replicate

import (
	"bytes"
	"maps"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// known is a credential and what it builds on.
type known struct {
	id   identity.ID
	deps []identity.ID
	raw  []byte
}

// lacking returns those of creds, which are in causal order, that a peer lacks,
// and adds them to has. has holds what it sent or was sent; of what it accepted,
// and only of that, it has the past too: accepted says so and is extended here.
func lacking(creds []known, has, accepted map[identity.ID]bool) [][]byte {
	for i := len(creds) - 1; i >= 0; i-- { // newest first
		if accepted[creds[i].id] {
			for _, d := range creds[i].deps {
				accepted[d] = true
			}
		}
	}
	var out [][]byte
	for _, c := range creds {
		if !has[c.id] && !accepted[c.id] {
			has[c.id] = true
			out = append(out, c.raw)
		}
	}
	return out
}

func decodeCredentials(raw [][]byte) (input, error) {
	in := gotCredentials{raw: raw}
	for _, b := range raw {
		op, err := credential.Decode(b)
		if err != nil {
			return nil, err
		}
		in.ids = append(in.ids, op.ID)
	}
	return in, nil
}

// inOrder returns the keys of a map in an order that does not change.
func inOrder[K ~[32]byte, V any](m map[K]V) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return bytes.Compare(a[:], b[:]) })
}
