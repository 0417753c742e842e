package vfs

import "testing"

func TestTrimForgetsTheDead(t *testing.T) {
	f := New(Config{Dir: t.TempDir()})
	lives := f.procs.of(1)
	dead := proc{lives.pid, lives.start + 1}
	for _, who := range []proc{lives, dead} {
		f.bases.show(7, who, &version{id: "a", text: "one\n"}, false)
	}
	f.Trim()
	if f.bases.latest(7, lives) == nil || f.bases.latest(7, dead) != nil {
		t.Error("the living were forgotten, or the dead were not")
	}
	if want := int64(len("one\n") + baseCost); f.bases.bytes != want {
		t.Errorf("%d bytes counted, not %d", f.bases.bytes, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
