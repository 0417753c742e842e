package identity

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A script is bytes that decide what happens.
type script []byte

func (s *script) next(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

// history makes statements of devices that know whatever a script says they
// know, however absurd, as far as the rules allow each of them. They are not
// signed: nothing here looks at signatures.
func history(t testing.TB, s script) []statement {
	t.Helper()
	key := func(n int) (k PublicKey) { k[0], k[31] = byte(n), 1; return k }
	seal := make([]byte, SealKeySize)
	keys := 3 // identity, first device, first recovery
	state := func(b body) statement {
		b.Version = statementVersion
		data := mustMarshal(t, b)
		return statement{body: b, id: Hash(ContextIdentity, data), raw: mustMarshal(t, [][]byte{data, nil})}
	}
	genesis := body{Kind: kindGenesis, By: []PublicKey{key(0), key(1)}, Seal: seal}
	if s.next(4) > 0 {
		genesis.RecoverySign, genesis.RecoverySeal = key(2), seal
	}
	list := []statement{state(genesis)}
	for len(s) > 0 && len(list) < 24 {
		h, err := newHalo(list)
		if err != nil {
			t.Fatal(err)
		}
		b := body{Kind: kind(2 + s.next(6))}
		if s.next(3) == 0 { // somebody who knows everything, else somebody who knows something
			b.Deps = h.heads(h.all())
		}
		for range 1 + s.next(3) {
			if len(b.Deps) < maxDeps {
				b.Deps = append(b.Deps, list[len(list)-1-s.next(len(list))].id)
			}
		}
		slices.SortFunc(b.Deps, ID.Compare)
		b.Deps = slices.Compact(b.Deps)
		past := newBitset(len(h.nodes))
		for _, n := range h.nodes {
			if slices.Contains(b.Deps, n.id) {
				past.union(n.past)
				past.set(n.index)
			}
		}
		knows := judge(h.nodes, past)
		var live []PublicKey
		for _, k := range knows.order {
			if knows.live[k] {
				live = append(live, k)
			}
		}
		somebody := func() PublicKey { // mostly somebody who is there
			if len(live) == 0 || s.next(8) == 0 {
				return key(1 + s.next(keys-1))
			}
			return live[s.next(len(live))]
		}
		b.By = []PublicKey{somebody()}
		if b.Kind == kindReset && s.next(8) > 0 {
			b.By[0] = knows.recovery.sign
		}
		switch b.Kind {
		case kindAdd:
			b.Device, b.Seal, b.Consent = key(keys), seal, make([]byte, 64)
			if s.next(8) == 0 {
				b.Device = somebody() // who may be there
			}
			keys++
		case kindRevoke, kindName:
			b.Device = somebody()
		case kindRecovery:
			b.RecoverySign, b.RecoverySeal = key(keys), seal
			keys++
		case kindReset:
			b.By = append(b.By, key(keys))
			b.Seal, b.RecoverySign, b.RecoverySeal = seal, key(keys+1), seal
			keys += 2
			for _, k := range live {
				if s.next(2) == 0 {
					b.Keep = append(b.Keep, k)
				}
			}
			slices.SortFunc(b.Keep, func(a, b PublicKey) int { return slices.Compare(a[:], b[:]) })
		}
		next := state(b)
		next.newer = b.Kind > kindReset
		h, err = newHalo(append(slices.Clone(list), next))
		if err != nil {
			continue // said before, or the chain is full
		}
		i := slices.IndexFunc(h.nodes, func(n *node) bool { return n.id == next.id })
		if h.nodes[i].allowed(judge(h.nodes, h.nodes[i].past)) == nil {
			list = append(list, next)
		}
	}
	return list
}

// checkRules compares what a history amounts to with the text of the rules, for
// everybody who knows all of it, or a part with its past.
func checkRules(t testing.TB, s script) (statements int) {
	list := history(t, s)
	all, err := newHalo(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := all.judgeEach(); err != nil {
		t.Fatalf("knowing more forbids what was allowed: %v", err)
	}
	if got, want := liveOf(all), reference(all.nodes); !maps.Equal(got, want) {
		t.Fatalf("live are %v, by the text %v", got, want)
	}
	rnd := rand.New(rand.NewPCG(uint64(len(s)), 1))
	merged := Halo{}
	for _, i := range rnd.Perm(len(all.nodes)) {
		n := all.nodes[i]
		var part []statement
		for _, m := range all.nodes {
			if m == n || n.past.has(m.index) {
				part = append(part, m.statement)
			}
		}
		h, err := newHalo(part)
		if err != nil {
			t.Fatal(err)
		}
		if merged, err = merged.Merge(h); err != nil {
			t.Fatal(err)
		}
		if got, want := liveOf(merged), reference(merged.nodes); !maps.Equal(got, want) {
			t.Fatalf("of a part live are %v, by the text %v", got, want)
		}
	}
	if !bytes.Equal(merged.Chain(), all.Chain()) {
		t.Fatal("the parts are not the whole")
	}
	return len(list)
}

func liveOf(h Halo) map[PublicKey]bool {
	live := map[PublicKey]bool{}
	for _, d := range h.Devices() {
		live[d.Key] = true
	}
	return live
}

func TestRules(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	total := 0
	for range 800 {
		s := make(script, 40+rnd.IntN(300))
		for i := range s {
			s[i] = byte(rnd.Uint32())
		}
		total += checkRules(t, s)
	}
	if total < 800*8 {
		t.Errorf("%d statements in 800 histories: they are too dull", total)
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, s []byte) { checkRules(t, s) })
}
