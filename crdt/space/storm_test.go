package space

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity/credential"
)

// A storm is entries of rogues who know every rule and keep to few.
type storm struct {
	rnd    *rand.Rand
	rogues []*rogue
	texts  map[tree.Version]string // bases that exist
	nodes  map[tree.Version]NodeID
	all    []tree.Version // operations so far
	edits  []tree.Op
}

func pick[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

func (st *storm) node() NodeID {
	switch st.rnd.IntN(6) {
	case 0:
		return tree.FolderID(Root, "d")
	case 1:
		return tree.CopyID(id(st.rnd.IntN(8)), pick(st.rnd, st.all))
	}
	return id(st.rnd.IntN(8))
}

func (st *storm) over() []tree.Version {
	var over []tree.Version
	for range st.rnd.IntN(4) {
		over = append(over, pick(st.rnd, st.all))
	}
	slices.SortFunc(over, tree.Version.Compare)
	return slices.Compact(over)
}

func (st *storm) lamport() uint64 {
	return []uint64{1, 2, uint64(st.rnd.IntN(50) + 1), tree.MaxLamport}[st.rnd.IntN(4)]
}

// op makes an operation whose version will be at.
func (st *storm) op(r *rogue, at tree.Version) tree.Op {
	rnd := st.rnd
	op := tree.Op{Node: st.node(), Lamport: st.lamport()}
	if rnd.IntN(2) == 0 {
		parent := Root
		if rnd.IntN(2) == 0 {
			parent = st.node()
		}
		names := []string{"a.txt", "b", "", "..", ".space", "a/b", strings.Repeat("ä", 200), "a (conflict 123456).txt", "d"}
		op.Place = &tree.Place{Parent: parent, Name: []byte(pick(rnd, names)), Over: st.over()}
	}
	if rnd.IntN(4) == 0 {
		op.Meta = &tree.Meta{Exec: rnd.IntN(2) == 0, Mtime: rnd.Int64(), Over: st.over()}
	}
	switch k := rnd.IntN(10); {
	case k < 3:
		text := pick(rnd, []string{"", "one\n", "one\ntwo\n", "\x00"})
		op.Content = &tree.Content{Kind: tree.Bytes, Data: []byte(text), Over: st.over()}
		st.texts[at], st.nodes[at] = text, op.Node
	case k == 3:
		op.Content = &tree.Content{Kind: tree.Dir, Over: st.over()}
	case k == 4:
		op.Content = &tree.Content{Kind: tree.None, Over: st.over()}
	case k == 5:
		op.Content = &tree.Content{Kind: tree.Symlink, Data: []byte("x"), Over: st.over()}
	case len(st.texts) > 0:
		bases := make([]tree.Version, 0, len(st.texts))
		for v := range st.texts {
			bases = append(bases, v)
		}
		slices.SortFunc(bases, tree.Version.Compare)
		base := pick(rnd, bases)
		text := strings.ReplaceAll(st.texts[base], "\x00", "")
		e := r.edit(st.nodes[base], base, text, textdiff.Splice{Ins: fmt.Sprint(rnd.IntN(10))})
		if len(st.edits) > 0 && rnd.IntN(4) == 0 { // somebody else's, or one's own again
			e.Edit.Change = pick(rnd, st.edits).Edit.Change
		}
		if rnd.IntN(8) == 0 {
			e.Edit.Base = pick(rnd, st.all)
		}
		if over := st.over(); len(over) > 0 && rnd.IntN(2) == 0 {
			e.Edit.Over = over
		}
		op.Edit = e.Edit
		if rnd.IntN(8) > 0 {
			op.Node = st.nodes[base]
		}
		st.edits = append(st.edits, op)
	}
	if op.Place == nil && op.Meta == nil && op.Content == nil && op.Edit == nil {
		op.Meta = &tree.Meta{Mtime: 1}
	}
	return op
}

// differing returns the lines in which two texts differ.
func differing(a, b string) string {
	var out strings.Builder
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range la {
		if !slices.Contains(lb, l) {
			out.WriteString("- " + l + "\n")
		}
	}
	for _, l := range lb {
		if !slices.Contains(la, l) {
			out.WriteString("+ " + l + "\n")
		}
	}
	return out.String()
}

// Whatever members send, those who have the same entries see the same, however
// the entries came, and see it again after a restart and after a rebuild.
func TestHostileStorm(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a := founded(t)
			b := joined(t, a, "ben", credential.Editor)
			st := &storm{rnd: rand.New(rand.NewPCG(seed, 7)), texts: map[tree.Version]string{}, nodes: map[tree.Version]NodeID{}}
			for range 3 {
				st.rogues = append(st.rogues, rogueMember(t, a, credential.Editor))
			}
			if err := b.AddCredentials(t.Context(), a.Credentials()); err != nil {
				t.Fatal(err)
			}
			for _, r := range st.rogues {
				if err := r.s.AddCredentials(t.Context(), a.Credentials()); err != nil {
					t.Fatal(err)
				}
			}
			st.all = []tree.Version{st.rogues[0].version(0)}
			var raw [][]byte
			raw = append(raw, st.rogues[0].entry(file(0, "zero\n")))
			st.texts[st.all[0]], st.nodes[st.all[0]] = "zero\n", id(0)
			for range 60 {
				r := pick(st.rnd, st.rogues)
				var ops []tree.Op
				var versions []tree.Version
				for i := range st.rnd.IntN(6) + 1 {
					at := r.version(i)
					ops = append(ops, st.op(r, at))
					versions = append(versions, at)
				}
				st.all = append(st.all, versions...)
				raw = append(raw, r.entry(ops...))
			}
			pictures := make([]string, 2)
			for i, s := range []*Space{a, b} {
				order := st.rnd.Perm(len(raw))
				if i == 0 {
					slices.Sort(order)
				}
				for k, at := range order {
					give(t, s, raw[at])
					if i == 1 && k%10 == 9 {
						settle(t, s)
					}
					if k == len(order)/2 || k == len(order)-1 { // kill
						old := s
						old.Close()
						var err error
						if s, err = Open(Config{Dir: old.dir, Device: old.device, Log: old.log, Now: time.Now}); err != nil {
							t.Fatal(err)
						}
						for _, again := range order[:k+1] { // what waited is lost
							give(t, s, raw[again])
						}
					}
				}
				settle(t, s)
				var feeds []string
				for _, r := range st.rogues {
					feeds = append(feeds, fmt.Sprint(s.Timeframe()[r.feed].Seq, " of ", r.head.Seq))
				}
				picture := func() string {
					var sb strings.Builder
					fmt.Fprintln(&sb, feeds)
					sb.WriteString(s.tree.Dump())
					for _, f := range all(t, s) {
						if f.Kind == File {
							text, v := read(t, s, f.ID)
							fmt.Fprintf(&sb, "%s %q %s %d\n", f.ID, text, v, f.Size)
							if int(f.Size) != len(text) {
								t.Errorf("size %d of %q", f.Size, text)
							}
						}
					}
					return sb.String()
				}
				pictures[i] = picture()
				if err := s.Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := picture(); got != pictures[i] {
					t.Errorf("%d rebuilt, and before:\n%s", i, differing(got, pictures[i]))
				}
				s.Close()
			}
			if pictures[0] != pictures[1] {
				t.Errorf("a and b differ:\n%s", differing(pictures[0], pictures[1]))
			}
		})
	}
}

// In a storm, those who just use their files can go on, lose nothing of what
// they save, and see the same in the end.
func TestHonestInAStorm(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a := founded(t)
			t.Cleanup(func() { a.Close() })
			b := joined(t, a, "ben", credential.Editor)
			t.Cleanup(func() { b.Close() })
			st := &storm{rnd: rand.New(rand.NewPCG(seed, 9)), texts: map[tree.Version]string{}, nodes: map[tree.Version]NodeID{}}
			for range 2 {
				st.rogues = append(st.rogues, rogueMember(t, a, credential.Editor))
			}
			for _, s := range []*Space{b, st.rogues[0].s, st.rogues[1].s} {
				if err := s.AddCredentials(t.Context(), a.Credentials()); err != nil {
					t.Fatal(err)
				}
			}
			st.all = []tree.Version{st.rogues[0].version(0)}
			raw := [][]byte{st.rogues[0].entry(file(0, "zero\n"))}
			st.texts[st.all[0]], st.nodes[st.all[0]] = "zero\n", id(0)
			for i := range 80 {
				r := pick(st.rnd, st.rogues)
				at := r.version(0)
				op := st.op(r, at)
				st.all = append(st.all, at)
				raw = append(raw, r.entry(op))
				s := []*Space{a, b}[i%2]
				give(t, s, pick(st.rnd, raw))
				give(t, s, raw[len(raw)-1])
				infos := all(t, s)
				if len(infos) == 0 {
					continue
				}
				f := pick(st.rnd, infos)
				var err error
				switch k := st.rnd.IntN(6); {
				case k < 3 && f.Kind == File:
					text, version := read(t, s, f.ID)
					text += fmt.Sprint("saved ", i, "\n")
					var now Info
					if now, err = s.Save(f.ID, &version, BytesContent([]byte(text)), time.Time{}); err == nil {
						if got, _ := read(t, s, now.ID); got != text {
							t.Errorf("saved %q, got %q", text, got)
						}
					} else {
						t.Errorf("a save failed: %v", err)
					}
				case k == 3:
					_, err = s.Move(f.ID, Root, fmt.Sprint("moved", i), true)
				case k == 4:
					err = s.Remove(f.ID)
				default:
					exec := !f.Exec
					err = s.SetAttr(f.ID, &exec, nil)
				}
				if err != nil && !isExpected(err) {
					t.Errorf("%v of %+v", err, f)
				}
				if st.rnd.IntN(5) == 0 {
					settle(t, s)
				}
			}
			for range 3 {
				for _, s := range []*Space{a, b} {
					for _, r := range raw {
						give(t, s, r)
					}
					settle(t, s)
				}
				pull(t, a, b)
				pull(t, b, a)
			}
			if x, y := a.tree.Dump(), b.tree.Dump(); x != y {
				t.Errorf("a and b differ:\n%s", differing(x, y))
			}
			for _, f := range all(t, a) {
				if f.Kind != File {
					continue
				}
				x, _ := read(t, a, f.ID)
				if y, _ := read(t, b, f.ID); x != y {
					t.Errorf("%s is %q and %q", f.Name, x, y)
				}
			}
			for i, s := range []*Space{a, b} {
				before := s.tree.Dump()
				if err := s.Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := s.tree.Dump(); got != before {
					t.Errorf("%d rebuilt, and before:\n%s", i, differing(got, before))
				}
			}
		})
	}
}
