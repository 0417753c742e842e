package identity

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

const (
	// MaxChain is the most bytes a chain may have.
	MaxChain = 48 << 10
	// maxOrdinary is how much of a chain may be other statements than those that
	// end devices, so that a stolen device cannot use up the room for its own end.
	maxOrdinary = 40 << 10
)

var (
	// ErrBadChain reports a chain that proves nothing.
	ErrBadChain = errors.New("the proof of the identity's device is not valid")
	// ErrNewerChain reports a chain that only a later release understands.
	ErrNewerChain = errors.New("the identity was changed by a newer release: upgrade")
	// ErrRevoked reports a device that its identity has revoked.
	ErrRevoked = errors.New("the device was revoked by its identity")
	// ErrOtherIdentity reports the chain of somebody else.
	ErrOtherIdentity = errors.New("the chain is that of another identity")
	// ErrChainFull reports an identity of which no more can be stated.
	ErrChainFull = errors.New("the identity has had too many devices")
)

// A DeviceInfo is what an identity says about one of its devices.
type DeviceInfo struct {
	Key  PublicKey
	Seal []byte // for Seal
	Name string
}

// A Halo is an identity as far as somebody knows it: a set of statements, each
// with its past, that is verified. What they amount to depends on the set
// alone, not on the order in which they arrived. A Halo never changes.
type Halo struct {
	nodes []*node // by (depth, ID), the genesis first
	chain []byte
	state *verdict
}

// A node is a statement and its place.
type node struct {
	statement
	index int
	depth int
	past  bitset // without itself
}

// ReadHalo verifies a chain.
func ReadHalo(chain []byte) (Halo, error) { return readHalo(chain, Halo{}) }

// readHalo is ReadHalo that does not verify again what is in known.
func readHalo(chain []byte, known Halo) (Halo, error) {
	if len(chain) > MaxChain {
		return Halo{}, fmt.Errorf("%d bytes, at most %d allowed: %w", len(chain), MaxChain, ErrBadChain)
	}
	var raws []codec.Raw
	if err := codec.Unmarshal(chain, &raws); err != nil {
		return Halo{}, fmt.Errorf("%w: %w", ErrBadChain, err)
	}
	verified := map[ID]*node{}
	for _, n := range known.nodes {
		verified[n.id] = n
	}
	statements := make([]statement, len(raws))
	for i, raw := range raws {
		s, data, sigs, err := readStatement(raw)
		if v := verified[s.id]; err == nil && (v == nil || !bytes.Equal(v.raw, raw)) {
			identity := s.id // of the first
			if i > 0 {
				identity = statements[0].id
			}
			err = s.verify(identity, data, sigs)
		}
		if err != nil {
			return Halo{}, fmt.Errorf("statement %d: %w: %w", i, ErrBadChain, err)
		}
		statements[i] = s
	}
	h, err := newHalo(statements)
	if err != nil {
		return Halo{}, err
	}
	if !bytes.Equal(h.chain, chain) {
		return Halo{}, fmt.Errorf("statements repeated or not in order: %w", ErrBadChain)
	}
	if err := h.judgeEach(); err != nil {
		return Halo{}, err
	}
	return h, nil
}

// newHalo puts statements in their places. It does not judge them.
func newHalo(statements []statement) (Halo, error) {
	nodes, err := place(statements)
	if err != nil {
		return Halo{}, err
	}
	h := Halo{nodes: nodes}
	ordinary := 0
	raws := make([]codec.Raw, len(nodes))
	for i, n := range nodes {
		raws[i] = n.raw
		if n.newer || n.Kind != kindRevoke && n.Kind != kindReset {
			ordinary += len(n.raw)
		}
	}
	if h.chain, err = codec.Marshal(raws); err != nil {
		return Halo{}, fmt.Errorf("%w: %w", ErrBadChain, err)
	}
	h.state = judge(nodes, h.all())
	if len(h.chain) > MaxChain || ordinary > maxOrdinary {
		return h, ErrChainFull
	}
	return h, nil
}

// place sorts statements by (depth, ID) and works out their pasts.
func place(statements []statement) ([]*node, error) {
	byID := map[ID]*node{}
	for _, s := range statements {
		if byID[s.id] != nil {
			return nil, fmt.Errorf("statement repeated: %w", ErrBadChain)
		}
		byID[s.id] = &node{statement: s, depth: -1}
	}
	// Each round places those whose deps are placed: as many rounds as the
	// chain is deep, of which a chain without end would need more.
	var nodes []*node
	for len(nodes) < len(statements) {
		before := len(nodes)
		for _, s := range statements {
			n := byID[s.id]
			if n.depth >= 0 {
				continue
			}
			depth := 0
			for _, id := range n.Deps {
				d := byID[id]
				if d == nil || d.depth < 0 {
					depth = -1
					break
				}
				depth = max(depth, d.depth+1)
			}
			if n.depth = depth; depth >= 0 {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) == before {
			return nil, fmt.Errorf("a statement without its past: %w", ErrBadChain)
		}
	}
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Or(cmp.Compare(a.depth, b.depth), a.id.Compare(b.id)) })
	for i, n := range nodes {
		n.index, n.past = i, newBitset(len(nodes))
		for _, id := range n.Deps {
			d := byID[id]
			n.past.union(d.past)
			n.past.set(d.index)
		}
	}
	if len(nodes) == 0 || len(nodes) > 1 && nodes[1].depth == 0 {
		return nil, fmt.Errorf("not one beginning: %w", ErrBadChain)
	}
	if g := nodes[0]; g.newer {
		return nil, ErrNewerChain
	} else if g.Kind != kindGenesis {
		return nil, fmt.Errorf("it does not begin with a genesis: %w", ErrBadChain)
	}
	return nodes, nil
}

// Chain returns the statements for ReadHalo on another device. The caller must
// not change it.
func (h Halo) Chain() []byte { return h.chain }

// Identity returns the identity; that of the zero Halo is zero.
func (h Halo) Identity() ID {
	if len(h.nodes) == 0 {
		return ID{}
	}
	return h.nodes[0].id
}

// Name returns what the person was called when the identity was made.
func (h Halo) Name() string {
	if len(h.nodes) == 0 {
		return ""
	}
	return h.nodes[0].Name
}

// Devices returns the live devices in the order in which they were added.
func (h Halo) Devices() []DeviceInfo { return h.list(true) }

// Revoked returns the devices that were named once and are not live: revoked,
// left out of a reset, or added by nobody who was allowed to.
func (h Halo) Revoked() []PublicKey {
	var keys []PublicKey
	for _, d := range h.list(false) {
		keys = append(keys, d.Key)
	}
	return keys
}

func (h Halo) list(live bool) (list []DeviceInfo) {
	if h.state == nil {
		return nil
	}
	for _, key := range h.state.order {
		if h.state.live[key] == live {
			d, _ := h.Known(key)
			list = append(list, d)
		}
	}
	return list
}

// Live reports whether key is a device of the identity now.
func (h Halo) Live(key PublicKey) bool { return h.state != nil && h.state.live[key] }

// Known returns the device of that key, also if it is not live any more.
func (h Halo) Known(key PublicKey) (DeviceInfo, bool) {
	if h.state == nil {
		return DeviceInfo{}, false
	}
	d, ok := h.state.known[key]
	return d, ok
}

// Recovery returns the keys of the recovery words, if there are any: one to
// verify with, one for Seal.
func (h Halo) Recovery() (sign PublicKey, seal []byte, ok bool) {
	if h.state == nil {
		return PublicKey{}, nil, false
	}
	return h.state.recovery.sign, h.state.recovery.seal, h.state.recovery.seal != nil
}

// Resets returns how often the recovery words were used.
func (h Halo) Resets() int {
	n := 0
	for _, m := range h.nodes {
		if m.is(kindReset) && h.state.counts.has(m.index) {
			n++
		}
	}
	return n
}

// Covers reports whether h has every statement that other has.
func (h Halo) Covers(other Halo) bool {
	own := map[ID]bool{}
	for _, n := range h.nodes {
		own[n.id] = true
	}
	for _, n := range other.nodes {
		if !own[n.id] {
			return false
		}
	}
	return true
}

// Merge returns the identity with the statements of both. A zero Halo has none.
// If they are too many, those that count for nothing are left out.
func (h Halo) Merge(other Halo) (Halo, error) {
	switch {
	case len(other.nodes) == 0:
		return h, nil
	case len(h.nodes) == 0:
		return other, nil
	case h.Identity() != other.Identity():
		return Halo{}, ErrOtherIdentity
	}
	return unite(h.statements(), other.statements())
}

func (h Halo) statements() []statement {
	list := make([]statement, len(h.nodes))
	for i, n := range h.nodes {
		list[i] = n.statement
	}
	return list
}

// unite makes a Halo of verified and judged statements.
func unite(a, b []statement) (Halo, error) {
	byID := map[ID]statement{}
	for _, s := range slices.Concat(a, b) {
		// A key can sign the same twice; everybody keeps the same signature.
		if have, ok := byID[s.id]; !ok || bytes.Compare(s.raw, have.raw) < 0 {
			byID[s.id] = s
		}
	}
	list := make([]statement, 0, len(byID))
	for _, s := range byID {
		list = append(list, s)
	}
	h, err := newHalo(list)
	if !errors.Is(err, ErrChainFull) {
		return h, err
	}
	needed := newBitset(len(h.nodes))
	for _, n := range h.nodes {
		if h.state.counts.has(n.index) {
			needed.set(n.index)
			needed.union(n.past)
		}
	}
	list = list[:0]
	for _, n := range h.nodes {
		if needed.has(n.index) {
			list = append(list, n.statement)
		}
	}
	h, err = newHalo(list)
	if err != nil {
		return Halo{}, err
	}
	return h, nil
}
