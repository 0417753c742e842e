package tree

import (
	"bytes"
	"reflect"
	"testing"
)

// sampleTraces are those of sampleOps, and where each was.
func sampleTraces() (traces []Trace, nodes []NodeID) {
	for _, op := range sampleOps() {
		t, ok := TraceOf([32]byte{7}, &op)
		if !ok {
			continue
		}
		t.Seq, t.Time = 3, 1_700_000_000_123
		if op.Edit != nil {
			t.Change = [32]byte{5}
		}
		traces, nodes = append(traces, t), append(nodes, op.Node)
	}
	return traces, nodes
}

func TestTraceFormat(t *testing.T) {
	traces, nodes := sampleTraces()
	var all []byte
	for i, tr := range traces {
		key, value := tr.Key(nodes[i]), tr.Encode()
		all = append(append(all, key...), value...)
		got, err := DecodeTrace(key, value)
		if err != nil || !reflect.DeepEqual(got, tr) {
			t.Errorf("%+v, %v, want %+v", got, err, tr)
		}
		for n := range value {
			if _, err := DecodeTrace(key, value[:n]); err == nil {
				t.Errorf("%d bytes of a trace are readable", n)
			}
		}
	}
	golden(t, "traces.hex", all)
	if _, ok := TraceOf([32]byte{7}, &Op{N: 1, Node: NodeID{1}, Lamport: 1, Meta: &Meta{Exec: true}}); ok {
		t.Error("attributes alone leave a trace")
	}
}

// The store's order is that of history.
func TestTraceKeys(t *testing.T) {
	a := Trace{Version: Version{Feed: [32]byte{9}, N: 1}, Lamport: 1}
	b := Trace{Version: Version{Feed: [32]byte{1}, N: 1}, Lamport: 2}
	c := Trace{Version: Version{Feed: [32]byte{1}, N: 256}, Lamport: 2}
	for _, p := range [][2]Trace{{a, b}, {b, c}, {a, c}} {
		if bytes.Compare(p[0].Key(Root), p[1].Key(Root)) >= 0 || !p[1].After(&p[0]) || p[0].After(&p[1]) {
			t.Errorf("%v comes after %v", p[0], p[1])
		}
	}
}

// No operation leaves these: they would be written down as something else.
func TestImpossibleTraces(t *testing.T) {
	edit := Trace{Version: Version{Feed: [32]byte{7}, N: 3}, Base: Version{Feed: [32]byte{1}, N: 1}}
	content := edit
	content.Base, content.Written = Version{}, true
	flags := func(tr Trace, f byte) []byte {
		b := tr.Encode()
		b[1] = f
		return b
	}
	both := append(flags(content, 6)[:6:6], edit.Encode()[4:]...)
	void := edit.Encode()
	i := bytes.Index(void, append(edit.Base.Feed[:], 1))
	void[i+32] = 0
	for name, value := range map[string][]byte{
		"an edit that is content": both,
		"an edit of nothing":      void,
		"flags that nobody knows": flags(edit, 12),
	} {
		if got, err := DecodeTrace(edit.Key(Root), value); err == nil {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}

func FuzzDecodeTrace(f *testing.F) {
	traces, nodes := sampleTraces()
	for i, t := range traces {
		f.Add(t.Key(nodes[i]), t.Encode())
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		tr, err := DecodeTrace(key, value)
		if err != nil {
			return
		}
		again, err := DecodeTrace(tr.Key(NodeID(key[:16])), tr.Encode())
		if err != nil || !reflect.DeepEqual(again, tr) {
			t.Fatalf("%+v encodes as %+v, %v", tr, again, err)
		}
	})
}
