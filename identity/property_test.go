package identity

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// reference says which devices are live, by the text of the rules, slowly:
// over sets of statements, without an order of evaluation that helps.
func reference(nodes []*node) map[PublicKey]bool {
	knows := func(a, b *node) bool { return a.past.has(b.index) }
	apart := func(a, b *node) bool { return a != b && !knows(a, b) && !knows(b, a) }

	// Of two resets that do not know each other, the first by (depth, ID) is.
	valid := map[*node]bool{}
	root := nodes[0]
	for _, r := range nodes {
		if !r.is(kindReset) {
			continue
		}
		valid[r] = true
		for other := range valid {
			if apart(r, other) {
				delete(valid, r)
			}
		}
		if valid[r] {
			root = r
		}
	}
	var after []*node
	for _, n := range nodes {
		if knows(n, root) && !n.is(kindReset) {
			after = append(after, n)
		}
	}
	live := map[PublicKey]bool{}
	d, _ := root.added()
	live[d.Key] = true
	for _, key := range root.Keep {
		live[key] = true
	}
	// Whose statement counts: nobody denies it, and its author was there.
	for changed := true; changed; {
		changed = false
		for _, n := range after {
			if !n.is(kindAdd) || live[n.Device] || !live[n.By[0]] {
				continue
			}
			denied := false
			for _, r := range after {
				denied = denied || r.is(kindRevoke) && r.Device == n.By[0] && !knows(r, n)
			}
			if !denied {
				live[n.Device], changed = true, true
			}
		}
	}
	for _, r := range after {
		if r.is(kindRevoke) {
			delete(live, r.Device)
		}
	}
	return live
}

// Whatever devices, honest or stolen, state about each other without knowing
// everything: all who know the same agree, and agree with the text.
func TestAnyOrderGivesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPerson(t, "w0")
		resets := 0
		replicas := []string{"a"} // of devices, at some time
		for i := range rapid.IntRange(1, 14).Draw(rt, "steps") {
			who := rapid.SampledFrom(replicas).Draw(rt, "who")
			d := p.devices[who]
			name := fmt.Sprint(who[:1], i)
			switch rapid.SampledFrom([]string{"add", "add", "revoke", "revoke", "tell", "tell", "copy", "name", "reset"}).Draw(rt, "what") {
			case "add":
				if d.Halo().Live(d.Key()) {
					p.add(who, name)
					replicas = append(replicas, name)
				}
			case "revoke":
				if list := d.Halo().Devices(); d.Halo().Live(d.Key()) {
					if err := d.RevokeDevice(rapid.SampledFrom(list).Draw(rt, "whom").Key); err != nil {
						rt.Fatal(err)
					}
				}
			case "tell":
				p.tell(who, rapid.SampledFrom(replicas).Draw(rt, "to"))
			case "copy":
				p.copy(who, name)
				replicas = append(replicas, name)
			case "name":
				if list := d.Halo().Devices(); d.Halo().Live(d.Key()) {
					if err := d.RenameDevice(rapid.SampledFrom(list).Draw(rt, "whom").Key, name); err != nil {
						rt.Fatal(err)
					}
				}
			case "reset":
				var keep []PublicKey
				for _, info := range d.Halo().Devices() {
					if rapid.Bool().Draw(rt, "keep") {
						keep = append(keep, info.Key)
					}
				}
				for w := range resets + 1 {
					n, err := Recover(words(t, fmt.Sprint("w", w)), d.Halo(), name, keep, words(t, fmt.Sprint("w", resets+1)))
					if err == nil {
						p.devices[name] = n
						replicas = append(replicas, name)
						resets++
						break
					}
				}
			}
		}
		check(t, rt, p, replicas)
	})
}

func check(t *testing.T, rt *rapid.T, p *person, replicas []string) {
	merge := func(a, b Halo) Halo {
		h, err := a.Merge(b)
		if err != nil {
			rt.Fatalf("merging: %v", err)
		}
		return h
	}
	order := rapid.Permutation(replicas).Draw(rt, "order")
	var left, right Halo
	for i := range order {
		left = merge(left, p.devices[order[i]].Halo())
		right = merge(p.devices[order[len(order)-1-i]].Halo(), right)
	}
	if !bytes.Equal(left.Chain(), right.Chain()) {
		rt.Fatal("the order of merging matters")
	}
	if again := merge(left, right); !bytes.Equal(again.Chain(), left.Chain()) {
		rt.Fatal("merging twice is not merging once")
	}
	read, err := ReadHalo(left.Chain())
	if err != nil {
		rt.Fatalf("what was merged cannot be read: %v", err)
	}
	want := reference(read.nodes)
	got := map[PublicKey]bool{}
	for _, d := range read.Devices() {
		got[d.Key] = true
	}
	if !maps.Equal(got, want) {
		rt.Fatalf("live are %v, by the text %v", names(read.Devices()), want)
	}
	for _, name := range replicas {
		d := p.devices[name]
		if !read.Covers(d.Halo()) {
			rt.Fatal("a statement is gone")
		}
		if _, known := read.Known(d.Key()); !known || read.Live(d.Key()) == slices.Contains(read.Revoked(), d.Key()) {
			rt.Fatal("a device is neither live nor revoked")
		}
	}
}
