package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/automerge/automerge-go"
	"pgregory.net/rapid"

	"github.com/echofs/echofs/crdt/textdiff"
	"github.com/echofs/echofs/crdt/tree"
)

var noon = time.Unix(1_700_000_000, 123_456_789)

func seedOf(n byte) [32]byte { return sha256.Sum256([]byte{n}) }

func actorOf(n byte) (a [16]byte) {
	h := sha256.Sum256([]byte{'a', n})
	copy(a[:], h[:])
	return a
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newDoc(t fataler, text string) *Doc {
	t.Helper()
	d, err := New(seedOf(1), text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// edit makes the document's text into text.
func edit(t fataler, d *Doc, actor byte, text string) []byte {
	t.Helper()
	raw, err := d.Edit(actorOf(actor), textdiff.Diff(d.Text(), text), noon)
	if err != nil {
		t.Fatal(err)
	}
	if d.Text() != text {
		t.Fatalf("text %q, want %q", d.Text(), text)
	}
	return raw
}

func apply(t fataler, d *Doc, changes ...[]byte) {
	t.Helper()
	if err := d.Apply(changes); err != nil {
		t.Fatal(err)
	}
}

// The first change is made in Go. It has to be what Automerge makes.
func TestFirstChangeIsAutomerges(t *testing.T) {
	for _, text := range []string{"", "a", "ab", "abc", "abcd", "é", "aé😀z", "\n\n\n", "ab\ncd\r\n", strings.Repeat("x", 300), strings.Repeat("é😀", 200)} {
		seed := seedOf(7)
		raw, hash := firstChange(seed, text)
		am := automerge.New()
		if err := am.SetActorID(hex.EncodeToString(seed[:16])); err != nil {
			t.Fatal(err)
		}
		if err := am.RootMap().Set(contentKey, automerge.NewText(text)); err != nil {
			t.Fatal(err)
		}
		epoch := time.UnixMilli(0)
		h, err := am.Commit("", automerge.CommitOptions{Time: &epoch})
		if err != nil {
			t.Fatal(err)
		}
		changes, err := am.Changes()
		if err != nil {
			t.Fatal(err)
		}
		if want := changes[0].Save(); !bytes.Equal(raw, want) || Hash(h) != hash {
			t.Errorf("%.20q:\ngot  %x\nwant %x", text, raw, want)
		}
	}
}

// These bytes are derived on every device and never sent. They must not change.
func TestGolden(t *testing.T) {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	raw, _ := firstChange(seed, "hé\n")
	if got, want := hex.EncodeToString(raw), goldenFirst; got != want {
		t.Errorf("first change\ngot  %s\nwant %s", got, want)
	}
	d, err := New(seed, "hé\n")
	if err != nil {
		t.Fatal(err)
	}
	change, err := d.Edit(actorOf(1), []textdiff.Splice{{Pos: 1, Del: 1, Ins: "ey"}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(change), goldenEdit; got != want {
		t.Errorf("edit\ngot  %s\nwant %s", got, want)
	}
	if got, want := hex.EncodeToString(d.Save()), goldenSaved; got != want {
		t.Errorf("saved\ngot  %s\nwant %s", got, want)
	}
}

func TestEditAndApply(t *testing.T) {
	a, b := newDoc(t, "one\ntwo\nthree\n"), newDoc(t, "one\ntwo\nthree\n")
	if !slices.Equal(a.Heads(), b.Heads()) {
		t.Fatal("the first change differs")
	}
	fromA := edit(t, a, 1, "one\nTWO\nthree\n")
	fromB := edit(t, b, 2, "zero\none\ntwo\nthree!\n")
	apply(t, a, fromB)
	apply(t, b, fromA, fromA, fromB)
	if want := "zero\none\nTWO\nthree!\n"; a.Text() != want || b.Text() != want {
		t.Errorf("%q and %q, want %q", a.Text(), b.Text(), want)
	}
	if !slices.Equal(a.Heads(), b.Heads()) || len(a.Heads()) != 2 {
		t.Error("heads", a.Heads(), b.Heads())
	}
	apply(t, b, edit(t, a, 1, "end\n"))
	if b.Text() != "end\n" || len(b.Heads()) != 1 || a.Ops() != b.Ops() {
		t.Error(b.Text(), b.Heads(), a.Ops(), b.Ops())
	}
}

func TestInfo(t *testing.T) {
	d := newDoc(t, "text")
	edit(t, d, 1, "test")
	before := d.Heads()
	info, err := Check(edit(t, d, 1, "the test"))
	if err != nil {
		t.Fatal(err)
	}
	seed := seedOf(1)
	want := Info{Hash: d.Heads()[0], Actor: actorOf(1), Seq: 2, Doc: [16]byte(seed[:]), Deps: before, StartOp: 8, Ops: 4, Time: time.Unix(1_700_000_000, 0)}
	if fmt.Sprint(info) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", info, want)
	}
}

func TestSaveAndLoad(t *testing.T) {
	d := newDoc(t, "")
	for i := range 20 {
		edit(t, d, byte(i%3), d.Text()+fmt.Sprintf("line %d é\n", i))
	}
	l, err := Load(d.Save(), d.Heads())
	if err != nil {
		t.Fatal(err)
	}
	if l.Text() != d.Text() || !slices.Equal(l.Heads(), d.Heads()) || l.Ops() != d.Ops() || !bytes.Equal(l.Save(), d.Save()) {
		t.Error("the loaded document is another")
	}
	apply(t, d, edit(t, l, 1, "short"))
	if d.Text() != "short" {
		t.Error(d.Text())
	}
	if _, err := Load(d.Save(), l.Heads()[:0]); !errors.Is(err, ErrBroken) {
		t.Error("loading with other heads:", err)
	}
	if _, err := Load(d.Save()[:60], d.Heads()); err == nil {
		t.Error("loading half a document worked")
	}
	if _, err := Load(append([]byte{9}, d.Save()[1:]...), d.Heads()); err == nil {
		t.Error("loading an unknown version worked")
	}
}

func TestEditRefuses(t *testing.T) {
	d := newDoc(t, "héllo")
	edit(t, d, 1, "hello")
	before, heads := d.Save(), d.Heads()
	big := strings.Repeat("x", tree.MaxText)
	seed := seedOf(1)
	tests := []struct {
		name    string
		actor   [16]byte
		splices []textdiff.Splice
		want    error
	}{
		{"beyond the end", actorOf(1), []textdiff.Splice{{Pos: 6, Ins: "x"}}, nil},
		{"deleting beyond the end", actorOf(1), []textdiff.Splice{{Pos: 4, Del: 2}}, nil},
		{"out of order", actorOf(1), []textdiff.Splice{{Pos: 3, Ins: "x"}, {Pos: 1, Ins: "y"}}, nil},
		{"negative", actorOf(1), []textdiff.Splice{{Pos: -1, Ins: "x"}}, nil},
		{"overflow", actorOf(1), []textdiff.Splice{{Pos: 1, Del: 1<<63 - 1}}, nil},
		{"not UTF-8", actorOf(1), []textdiff.Splice{{Ins: "\xff"}}, ErrNotText},
		{"NUL", actorOf(1), []textdiff.Splice{{Ins: "a\x00"}}, ErrNotText},
		{"too large", actorOf(1), []textdiff.Splice{{Ins: big}}, ErrTooLarge},
		{"the document's actor", [16]byte(seed[:]), []textdiff.Splice{{Ins: "x"}}, nil},
	}
	for _, tt := range tests {
		_, err := d.Edit(tt.actor, tt.splices, noon)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if raw, err := d.Edit(actorOf(1), nil, noon); raw != nil || err != nil {
		t.Error("an edit that changes nothing:", raw, err)
	}
	if !bytes.Equal(d.Save(), before) || !slices.Equal(d.Heads(), heads) {
		t.Error("a refused edit left something")
	}
	edit(t, d, 1, "still good")
}

func TestNewRefuses(t *testing.T) {
	for text, want := range map[string]error{"\xff": ErrNotText, "a\x00b": ErrNotText, strings.Repeat("x", tree.MaxText+1): ErrTooLarge} {
		if _, err := New(seedOf(1), text); !errors.Is(err, want) {
			t.Errorf("%.5q: %v, want %v", text, err, want)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	a := newDoc(t, "some text")
	one := edit(t, a, 1, "some more text")
	two := edit(t, a, 1, "no more text")
	b := newDoc(t, "some text")
	if err := b.Apply([][]byte{two}); !errors.Is(err, ErrMissing) || errors.Is(err, ErrInvalid) {
		t.Error("a change without what it builds on:", err)
	}
	other, err := New(seedOf(2), "some text")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Apply([][]byte{one}); err == nil {
		t.Error("a change of another document was taken")
	}
	fork := newDoc(t, "some text")
	forked := edit(t, fork, 1, "some forked text")
	if err := a.Apply([][]byte{forked}); !errors.Is(err, ErrInvalid) {
		t.Error("an actor on two copies:", err)
	}
	if err := b.Apply([][]byte{one, forked, two}); !errors.Is(err, ErrInvalid) || b.Text() != "some more text" {
		t.Error("the changes before a refused one:", err, b.Text())
	}
	apply(t, b, two)
	if b.Text() != a.Text() {
		t.Error(b.Text())
	}
}

// A text is replaced by one change as long as that fits into an operation; one
// that does not is refused before Automerge works on it for many seconds.
func TestFullEditOfALargeText(t *testing.T) {
	const room = tree.MaxChange - 1<<10 // beside what a change needs itself
	old := strings.Repeat("0123456789abcde\n", tree.MaxText/16)
	d := newDoc(t, old)
	_, err := d.Edit(actorOf(1), textdiff.Diff(old, strings.Repeat("é", tree.MaxText/2)+"\n"), noon)
	if !errors.Is(err, ErrTooLarge) || d.Text() != old {
		t.Error("a text beyond the limit:", err)
	}
	_, err = d.Edit(actorOf(1), []textdiff.Splice{{Del: len(old), Ins: strings.Repeat("x", tree.MaxChange)}}, noon)
	if !errors.Is(err, ErrTooLarge) || d.Text() != old {
		t.Error("a change beyond the limit:", err)
	}
	new := strings.Repeat("ABCDEFGHIJKLMNO\n", room/16)
	raw := edit(t, d, 1, new)
	if info, err := Check(raw); err != nil || info.Ops != len(old)+len(new) || len(raw) > tree.MaxChange {
		t.Error(info.Ops, len(raw), err)
	}
	_, err = d.Edit(actorOf(1), textdiff.Diff(new, old[:room]), noon)
	if !errors.Is(err, ErrTooLarge) || d.Text() != new {
		t.Error("a document without room:", err)
	}
}

// Replicas that edit and exchange in any order end up equal.
func TestConvergence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 3
		type sent struct{ changes [][]byte }
		var docs [n]*Doc
		var log [n]sent
		var have [n][n]int
		base := rapid.StringMatching(`[a-cé😀\n]{0,12}`).Draw(t, "base")
		for i := range docs {
			docs[i] = newDoc(t, base)
		}
		pull := func(to, from int) { // everything from knows, in causal order
			for changed := true; changed; {
				changed = false
				for author := range n {
					for have[to][author] < have[from][author] {
						raw := log[author].changes[have[to][author]]
						err := docs[to].Apply([][]byte{raw})
						if errors.Is(err, ErrMissing) {
							break
						}
						if err != nil {
							t.Fatal(err)
						}
						have[to][author]++
						changed = true
					}
				}
			}
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i, j := rapid.IntRange(0, n-1).Draw(t, "who"), rapid.IntRange(0, n-1).Draw(t, "other")
			if i != j {
				pull(i, j)
				continue
			}
			d := docs[i]
			runes := utf8.RuneCountInString(d.Text())
			pos := rapid.IntRange(0, runes).Draw(t, "pos")
			s := textdiff.Splice{Pos: pos, Del: rapid.IntRange(0, min(5, runes-pos)).Draw(t, "del"), Ins: rapid.StringMatching(`[x-zé😀]{0,4}`).Draw(t, "ins")}
			if s.Del == 0 && s.Ins == "" {
				continue
			}
			raw, err := d.Edit(actorOf(byte(i)), []textdiff.Splice{s}, noon)
			if err != nil {
				t.Fatal(err)
			}
			log[i].changes = append(log[i].changes, raw)
			have[i][i]++
		}
		for range 2 {
			for i := range n {
				for j := range n {
					pull(i, j)
				}
			}
		}
		for _, d := range docs[1:] {
			if d.Text() != docs[0].Text() || !slices.Equal(d.Heads(), docs[0].Heads()) || d.Ops() != docs[0].Ops() {
				t.Fatalf("%q and %q", docs[0].Text(), d.Text())
			}
		}
		for _, d := range docs {
			if l, err := Load(d.Save(), d.Heads()); err != nil || l.Text() != d.Text() {
				t.Fatalf("loading: %v", err)
			}
			d.Close()
		}
	})
}

// reframe puts the right length and checksum around a changed body.
func reframe(body []byte) []byte {
	raw, _ := chunk(body)
	return raw
}

func body(t fataler, raw []byte) []byte {
	b, _, err := unframe(raw)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

// workload returns a document's first text and honest changes of it.
func workload(t fataler) (base string, changes [][]byte) {
	base = "The quick brown fox é😀\njumps over\n"
	a, b := newDoc(t, base), newDoc(t, base)
	for i := range 4 {
		one := edit(t, a, 1, fmt.Sprintf("%d ", i)+strings.Replace(a.Text(), "o", "00", 1))
		two := edit(t, b, 2, strings.Replace(b.Text(), "e", "", 1)+"more é\n")
		changes = append(changes, one, two)
		if i%2 == 0 {
			apply(t, a, changes...)
			apply(t, b, changes...)
		}
	}
	apply(t, a, changes...)
	return base, append(changes, edit(t, a, 3, "all "+a.Text()[4:]))
}

// Whatever Check and Apply let through must not end the process, which
// Automerge does on bytes it does not expect.
func TestHostileChanges(t *testing.T) {
	base, changes := workload(t)
	r := rand.New(rand.NewPCG(1, 2))
	accepted, inDoc := 0, 0
	for i := range 30_000 {
		k := r.IntN(len(changes))
		b := body(t, changes[k])
		for range 1 + r.IntN(3) {
			switch at := r.IntN(len(b)); r.IntN(6) {
			case 0:
				b[at] ^= 1 << r.IntN(8)
			case 1:
				b[at] = byte(r.Uint32())
			case 2:
				b[at]++
			case 3:
				b[at]--
			case 4:
				b = slices.Delete(b, at, at+1)
			case 5:
				b = slices.Insert(b, at, byte(r.Uint32()))
			}
		}
		raw := reframe(b)
		if _, err := Check(raw); err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			continue
		}
		accepted++
		d := newDoc(t, base)
		apply(t, d, changes[:k]...)
		if err := d.Apply([][]byte{raw}); err == nil {
			inDoc++
		} else if d.broken != nil {
			t.Fatalf("mutation %d: %v", i, err)
		}
	}
	t.Logf("%d passed Check, %d were applied", accepted, inDoc)
}

func FuzzCheck(f *testing.F) {
	base, changes := workload(f)
	for _, c := range changes {
		f.Add(body(f, c))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		raw := reframe(body)
		info, err := Check(raw)
		if err != nil {
			return
		}
		if info.Ops <= 0 || info.Ops > len(body)*maxOps {
			t.Fatal(info)
		}
		d := newDoc(t, base)
		for _, c := range changes {
			// Once raw is in, an honest change that it took the place of is refused.
			took := d.Apply([][]byte{raw}) == nil
			if err := d.Apply([][]byte{c}); err != nil && !took && !errors.Is(err, ErrMissing) {
				t.Fatal(err)
			}
		}
		if d.broken != nil {
			t.Fatal(d.broken)
		}
	})
}

func FuzzLoad(f *testing.F) {
	d := newDoc(f, "text")
	edit(f, d, 1, "a text")
	f.Add(d.Save())
	f.Add([]byte{savedVersion})
	f.Fuzz(func(t *testing.T, saved []byte) {
		if d, err := load(saved); err == nil && !utf8.ValidString(d.Text()) {
			t.Error("not a text")
		}
	})
}

// An op is one operation of a change that a test makes by itself.
type op struct {
	remove bool
	actor  int64 // index in the change's actors: 0 the author, 1 the document's
	ctr    int64 // 0: the head
}

// build makes a change that edits d's document with arbitrary operations.
func build(d *Doc, actor byte, seq uint64, deps []Hash, start uint64, list []op) []byte {
	var objA, objC, keyA, keyC, action, meta, preds, predA, predC rle
	var insert, raw []byte
	var key, pred int64
	flag, n := false, 0
	for _, o := range list {
		objA.add(1)
		objC.add(1)
		if o.ctr == 0 {
			keyA.null()
		} else {
			keyA.add(o.actor)
		}
		keyC.add(o.ctr - key)
		key = o.ctr
		if flag == o.remove {
			insert = binary.AppendUvarint(insert, uint64(n))
			flag, n = !flag, 0
		}
		n++
		if o.remove {
			action.add(actionDelete)
			meta.add(0)
			preds.add(1)
			predA.add(o.actor)
			predC.add(o.ctr - pred)
			pred = o.ctr
		} else {
			action.add(actionSet)
			meta.add(1<<4 | valueString)
			preds.add(0)
			raw = append(raw, 'x')
		}
	}
	insert = binary.AppendUvarint(insert, uint64(n))
	cols := []struct {
		spec byte
		data []byte
	}{{colObjActor, objA.bytes(false)}, {colObjCtr, objC.bytes(false)}, {colKeyActor, keyA.bytes(false)}, {colKeyCtr, keyC.bytes(true)},
		{colInsert, insert}, {colAction, action.bytes(false)}, {colValueMeta, meta.bytes(false)}, {colValueRaw, raw},
		{colPredCount, preds.bytes(false)}, {colPredActor, predA.bytes(false)}, {colPredCtr, predC.bytes(true)}}
	b := binary.AppendUvarint(nil, uint64(len(deps)))
	for _, h := range deps {
		b = append(b, h[:]...)
	}
	a := actorOf(actor)
	b = append(append(b, 16), a[:]...)
	b = binary.AppendUvarint(binary.AppendUvarint(b, seq), start)
	b = append(append(b, 0, 0, 1, 16), d.seed[:]...)
	var head, data []byte
	count := byte(0)
	for _, c := range cols {
		if len(c.data) == 0 || c.spec == colKeyActor && !slices.ContainsFunc(keyA.runs, func(r run) bool { return !r.null }) {
			continue
		}
		count++
		head = binary.AppendUvarint(append(head, c.spec), uint64(len(c.data)))
		data = append(data, c.data...)
	}
	return reframe(append(append(append(b, count), head...), data...))
}

// The builder has to be able to make what is accepted, or the tests that it
// makes something refused prove nothing.
func TestBuild(t *testing.T) {
	d := newDoc(t, "abc")
	apply(t, d, build(d, 1, 1, d.Heads(), 5, []op{{ctr: 0}, {actor: 0, ctr: 5}, {actor: 1, ctr: 3}, {remove: true, actor: 1, ctr: 2}}))
	if d.Text() != "xxbxc" {
		t.Error(d.Text())
	}
}

func TestVet(t *testing.T) {
	repeat := func(n int, o op) []op { return slices.Repeat([]op{o}, n) }
	tests := []struct {
		name  string
		seq   uint64
		start uint64
		ops   []op
	}{
		{"an insertion behind nothing", 1, 5, []op{{actor: 1, ctr: 9}}},
		{"an insertion behind the text object", 1, 5, []op{{actor: 1, ctr: 1}}},
		{"an insertion behind itself", 1, 5, []op{{actor: 0, ctr: 5}}},
		{"an insertion behind a later one", 1, 5, []op{{actor: 0, ctr: 6}, {ctr: 0}}},
		{"deleting what is not there", 1, 5, []op{{remove: true, actor: 1, ctr: 8}}},
		{"deleting the head", 1, 5, []op{{remove: true}}},
		{"deleting a deletion", 1, 5, []op{{remove: true, actor: 1, ctr: 2}, {remove: true, actor: 0, ctr: 5}}},
		{"deleting twice", 1, 5, []op{{remove: true, actor: 1, ctr: 2}, {ctr: 0}, {remove: true, actor: 1, ctr: 2}}},
		{"30,000 deletions of one rune", 1, 5, repeat(30_000, op{remove: true, actor: 1, ctr: 2})},
		{"30,000 insertions in one place", 1, 5, repeat(30_000, op{})},
		{"the wrong number", 2, 5, []op{{}}},
		{"a gap before the first operation", 1, 6, []op{{}}},
		{"operation numbers of others", 1, 4, []op{{}}},
		{"too many operations", 1, 5, typed(MaxChangeOps + 1)},
	}
	for _, tt := range tests {
		d := newDoc(t, "abc")
		if err := d.Apply([][]byte{build(d, 1, tt.seq, d.Heads(), tt.start, tt.ops)}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", tt.name, err)
		}
		if d.Text() != "abc" || d.broken != nil {
			t.Errorf("%s: left %q, %v", tt.name, d.Text(), d.broken)
		}
	}
}

// typed returns n insertions, each behind the one before.
func typed(n int) []op {
	list := make([]op, n)
	for i := range list[1:] {
		list[i+1] = op{actor: 0, ctr: int64(5 + i)}
	}
	return list
}

// A rune that one device deletes again and again is refused, but two devices
// may delete it at the same time.
func TestVetKnowsThePast(t *testing.T) {
	d := newDoc(t, "abc")
	first := d.Heads()
	remove := []op{{remove: true, actor: 1, ctr: 2}}
	apply(t, d, build(d, 1, 1, first, 5, remove))
	one := d.Heads()
	apply(t, d, build(d, 2, 1, first, 5, remove))
	both := d.Heads()
	if err := d.Apply([][]byte{build(d, 1, 2, one, 6, remove)}); !errors.Is(err, ErrInvalid) {
		t.Error("its own deletion again:", err)
	}
	if err := d.Apply([][]byte{build(d, 3, 1, both, 6, remove)}); !errors.Is(err, ErrInvalid) {
		t.Error("a deletion of others again:", err)
	}
	if err := d.Apply([][]byte{build(d, 1, 2, first, 5, []op{{}})}); !errors.Is(err, ErrInvalid) {
		t.Error("an author who forgot his last change:", err)
	}
	insert := build(d, 3, 1, first, 5, []op{{}})
	apply(t, d, insert, build(d, 1, 2, both, 6, []op{{}}))
	if d.Text() != "xxbc" || len(d.Heads()) != 2 {
		t.Error(d.Text(), d.Heads())
	}
}

func TestReclaim(t *testing.T) {
	d := newDoc(t, "text")
	d.Close()
	if _, err := d.Edit(actorOf(1), []textdiff.Splice{{Ins: "x"}}, noon); err == nil {
		t.Error("a closed document was edited")
	}
	Reclaim()
}
