package identity

import (
	"errors"
	"fmt"
	"slices"
)

// A verdict is what a set of statements amounts to.
//
//   - A reset voids everything that is neither in its past nor in its future.
//     Of two resets that do not know each other, the first by (depth, ID) is.
//     What follows begins with the last reset: its devices, its recovery keys.
//   - A revocation that its author was allowed to make, as far as it knew, always
//     counts: two devices that revoke each other are both out.
//   - Everything else by a device counts for nothing if a revocation of the
//     device does not have it in its past, or if the device was added by nobody
//     whose statement counts.
type verdict struct {
	counts   bitset
	live     map[PublicKey]bool
	known    map[PublicKey]DeviceInfo // every device that was ever named
	order    []PublicKey              // of known, in order of (depth, ID)
	recovery struct {
		sign PublicKey
		seal []byte
	}
}

// judge works out what the statements of set, which holds the past of each of
// its members, amount to.
func judge(nodes []*node, set bitset) *verdict {
	var resets, revocations []*node
	for _, n := range nodes {
		if set.has(n.index) && n.is(kindReset) && knows(n, resets) {
			resets = append(resets, n)
		}
	}
	root := nodes[0]
	if len(resets) > 0 {
		root = resets[len(resets)-1]
	}
	v := begin(nodes, root)
	for _, n := range nodes {
		if d, ok := n.added(); ok && set.has(n.index) {
			if _, again := v.known[d.Key]; !again {
				v.known[d.Key] = d
			}
			if !slices.Contains(v.order, d.Key) {
				v.order = append(v.order, d.Key)
			}
		}
		if set.has(n.index) && n.is(kindRevoke) && n.past.has(root.index) {
			revocations = append(revocations, n)
		}
	}
	for _, n := range nodes {
		switch {
		case !set.has(n.index) || !n.past.has(root.index) || n.is(kindReset):
		case n.is(kindRevoke):
			v.counts.set(n.index)
		case (v.live[n.By[0]] || n.newer && n.By[0] == v.recovery.sign) && !denied(n, revocations):
			v.counts.set(n.index)
			v.apply(n)
		}
	}
	for _, r := range revocations {
		v.live[r.Device] = false
	}
	return v
}

// begin returns what the genesis, or a reset with its past, amounts to.
func begin(nodes []*node, root *node) *verdict {
	v := &verdict{counts: newBitset(len(nodes)), known: map[PublicKey]DeviceInfo{}}
	if root.index > 0 {
		before := judge(nodes, root.past)
		v.counts, v.known = before.counts, before.known
	}
	v.counts.set(root.index)
	d, _ := root.added()
	v.known[d.Key] = d
	v.live = map[PublicKey]bool{d.Key: true}
	for _, key := range root.Keep {
		v.live[key] = true
	}
	v.recovery.sign, v.recovery.seal = root.RecoverySign, root.RecoverySeal
	return v
}

// knows reports whether n has all of the resets in its past.
func knows(n *node, resets []*node) bool {
	for _, r := range resets {
		if !n.past.has(r.index) {
			return false
		}
	}
	return true
}

// denied reports whether a revocation of n's author does not know n.
func denied(n *node, revocations []*node) bool {
	for _, r := range revocations {
		if r.Device == n.By[0] && !r.past.has(n.index) {
			return true
		}
	}
	return false
}

// apply takes a statement that counts.
func (v *verdict) apply(n *node) {
	switch {
	case n.is(kindAdd):
		if !v.live[n.Device] { // else two devices added it at the same time
			v.live[n.Device] = true
			v.known[n.Device], _ = n.added()
		}
	case n.is(kindName):
		v.rename(n)
	case n.is(kindRecovery) && v.recovery.seal == nil:
		v.recovery.sign, v.recovery.seal = n.RecoverySign, n.RecoverySeal
	}
}

func (v *verdict) rename(n *node) {
	d := v.known[n.Device]
	d.Name = n.DeviceName
	v.known[n.Device] = d
}

// judgeEach reports whether each statement was allowed as far as its author
// knew. That depends on its own past alone: whoever does not have the statement
// yet will agree.
func (h Halo) judgeEach() error {
	for _, n := range h.nodes[1:] {
		if err := n.allowed(judge(h.nodes, n.past)); err != nil {
			for _, m := range h.nodes {
				if n.past.has(m.index) && m.newer {
					return ErrNewerChain // which may allow it
				}
			}
			return fmt.Errorf("statement %s: %w: %w", n.id.Short(), ErrBadChain, err)
		}
	}
	return nil
}

// allowed reports whether the author of n could state it in the past of n.
func (n *node) allowed(past *verdict) error {
	author := n.By[0]
	recovery := past.recovery.seal != nil && author == past.recovery.sign
	if !past.live[author] && !(recovery && (n.newer || n.Kind == kindReset)) {
		return fmt.Errorf("its author %s was not allowed to", author.Short())
	}
	if n.newer {
		return nil
	}
	if d, ok := n.added(); ok {
		if _, again := past.known[d.Key]; again {
			return fmt.Errorf("the device %s was there before", d.Key.Short())
		}
	}
	switch n.Kind {
	case kindGenesis:
		return errors.New("a second genesis")
	case kindRevoke, kindName:
		if !past.live[n.Device] {
			return fmt.Errorf("there was no device %s", n.Device.Short())
		}
	case kindRecovery:
		if past.recovery.seal != nil {
			return errors.New("there were recovery keys")
		}
	case kindReset:
		if !recovery {
			return errors.New("a reset not by the recovery key")
		}
		for _, key := range n.Keep {
			if !past.live[key] {
				return fmt.Errorf("there was no device %s to keep", key.Short())
			}
		}
	}
	return nil
}
