package replicate

import (
	"math/rand/v2"
	"testing"
)

// TestFetcherFindsEverything runs random peers that have, lose, gain and refuse
// chunks, and come and go: in the end everything that somebody has is here, and
// nothing was ever asked of two peers at once.
func TestFetcherFindsEverything(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		n := 1 + rnd.IntN(200)
		f := newFetcher()
		var all []chunkID
		for i := range n {
			all = append(all, chunkID{byte(i), byte(i >> 8)})
		}
		here := map[chunkID]bool{}
		has := map[int]map[chunkID]bool{}
		asked := map[chunkID]int{}
		last := 0
		up := func() {
			last++
			has[last] = map[chunkID]bool{}
			for _, h := range all {
				if rnd.IntN(3) == 0 {
					has[last][h] = true
				}
			}
			f.up(last)
		}
		down := func(l int) {
			f.down(l)
			delete(has, l)
			for h, by := range asked {
				if by == l {
					delete(asked, h)
				}
			}
		}
		ask := func(l int) {
			for _, h := range f.ask(l) {
				if asked[h] != 0 {
					t.Fatalf("seed %d: chunk asked of %d and %d", seed, asked[h], l)
				}
				if here[h] {
					t.Fatalf("seed %d: chunk asked that is here", seed)
				}
				asked[h] = l
			}
		}
		answer := func(h chunkID, l int) {
			delete(asked, h)
			switch {
			case !has[l][h]:
				if !f.none(l, h) {
					t.Fatal("none was not expected")
				}
			case rnd.IntN(20) == 0: // wrong bytes: the link is dropped
				f.got(l, h)
				f.failed(h)
				down(l)
			default:
				if !f.got(l, h) {
					t.Fatal("chunk was not expected")
				}
				f.stored(h)
				here[h] = true
			}
		}
		for range 400 {
			switch rnd.IntN(8) {
			case 0:
				up()
			case 1:
				for l := range has {
					if rnd.IntN(2) == 0 {
						down(l)
					}
					break
				}
			case 2:
				for range 20 {
					if h := all[rnd.IntN(n)]; !here[h] {
						f.add([]chunkID{h})
					}
				}
			case 3:
				for l := range has {
					h := all[rnd.IntN(n)]
					has[l][h] = true
					f.offered(l, h)
					break
				}
			default:
				for l := range has {
					ask(l)
					break
				}
				for h, l := range asked {
					answer(h, l)
					break
				}
			}
		}
		up()
		for _, h := range all { // the last peer has everything
			has[last][h] = true
			if !here[h] {
				f.add([]chunkID{h})
			}
		}
		for len(here) < n {
			if _, ok := has[last]; !ok {
				up()
				for _, h := range all {
					has[last][h] = true
				}
			}
			ask(last)
			if len(asked) == 0 {
				t.Fatalf("seed %d: %d of %d chunks, and nothing is asked", seed, len(here), n)
			}
			for h, l := range asked {
				answer(h, l)
				break
			}
		}
		if f.left() != 0 {
			t.Fatalf("seed %d: %d chunks left on the list", seed, f.left())
		}
	}
}

func TestFetcherRefuses(t *testing.T) {
	f := newFetcher()
	f.up(1)
	f.up(2)
	h := chunkID{1}
	f.add([]chunkID{h})
	if got := f.ask(1); len(got) != 1 {
		t.Fatalf("asked for %d", len(got))
	}
	if f.got(2, h) || f.none(2, h) || f.got(3, h) || f.got(1, chunkID{2}) {
		t.Error("an answer nobody asked for was taken")
	}
	if f.none(1, h); len(f.ask(1)) != 0 {
		t.Error("asked again of a peer that has it not")
	}
	f.offered(1, h)
	if len(f.ask(1)) != 1 {
		t.Error("not asked after the offer")
	}
	f.down(1)
	if len(f.ask(2)) != 1 {
		t.Error("not asked of the other peer")
	}
}

func BenchmarkFetcher(b *testing.B) {
	f := newFetcher()
	f.up(1)
	n := 0
	for b.Loop() {
		h := chunkID{byte(n), byte(n >> 8), byte(n >> 16)}
		n++
		f.add([]chunkID{h})
		f.ask(1)
		f.got(1, h)
		f.stored(h)
	}
}

// TestFetcherForgets takes chunks off the list that are not missing any more,
// unless they are on their way.
func TestFetcherForgets(t *testing.T) {
	f := newFetcher()
	f.up(1)
	var all []chunkID
	for i := range maxInFlight + 10 {
		all = append(all, chunkID{byte(i)})
	}
	f.add(all)
	asked := f.ask(1)
	f.only([]chunkID{all[len(all)-1]})
	if f.left() != len(asked)+1 {
		t.Errorf("%d chunks are left, want %d", f.left(), len(asked)+1)
	}
	f.add(all)
	f.up(2)
	for _, h := range f.ask(2) {
		for _, a := range asked {
			if h == a {
				t.Fatal("a chunk was asked of two at once")
			}
		}
	}
	for _, h := range asked {
		if !f.got(1, h) {
			t.Error("what was on its way is not expected any more")
		}
		f.stored(h)
	}
}

// TestSilentSource asks another peer for what one does not answer, and takes
// the answer of whoever is first.
func TestSilentSource(t *testing.T) {
	f := newFetcher()
	f.up(1)
	f.up(2)
	h := chunkID{7}
	f.add([]chunkID{h})
	if len(f.ask(1)) != 1 {
		t.Fatal("not asked")
	}
	for range maxQuiet - 1 {
		f.tick()
		if len(f.ask(2)) != 0 {
			t.Fatal("asked of two too soon")
		}
	}
	f.tick()
	f.add([]chunkID{{8}})
	if n := len(f.ask(1)); n != 0 {
		t.Errorf("the silent one is asked for %d more", n)
	}
	if n := len(f.ask(2)); n != 2 {
		t.Errorf("the other is asked for %d chunks, want 2", n)
	}
	if !f.got(1, h) { // late, and still welcome
		t.Error("a late answer is not expected")
	}
	f.stored(h)
	if !f.got(2, h) {
		t.Error("the other answer is not expected")
	}
	f.down(1)
	f.down(2)
	f.up(3)
	if asks := f.ask(3); len(asks) != 1 || asks[0] != (chunkID{8}) {
		t.Errorf("asked for %v", asks)
	}
}
