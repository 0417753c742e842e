package space

import (
	"errors"
	"strings"
	"testing"
)

// What others write does not take the last of the disk, which what is written
// here may have; when there is room again, it comes.
func TestRoomForOneself(t *testing.T) {
	a, b, _ := team(t)
	create(t, a, "theirs", "theirs\n")
	create(t, a, "large", "\x00"+strings.Repeat("x", 1<<20))
	settle(t, a)
	refs, err := a.Log(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var raws [][]byte
	for _, r := range refs {
		raw, err := a.Entry(r.Feed, r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	if err := b.AddCredentials(t.Context(), a.Credentials()); err != nil {
		t.Fatal(err)
	}
	start(t, b)

	real := b.disk
	b.disk = func() (free, total uint64, err error) { return 1 << 20, 1 << 30, nil }
	if err := b.Accept(t.Context(), raws); !errors.Is(err, ErrNoRoom) {
		t.Errorf("on a full disk: %v", err)
	}
	create(t, b, "mine", "mine\n")
	settle(t, b)
	if got := listing(t, b, Root); got != "mine" {
		t.Errorf("there is %q", got)
	}
	b.disk = real
	if err := b.Accept(t.Context(), raws); err != nil {
		t.Error(err)
	}
	if got := listing(t, b, Root); got != "large mine theirs" {
		t.Errorf("there is %q", got)
	}
	if len(b.MissingChunks(10)) == 0 {
		t.Error("no chunks are missing")
	}
	b.disk = func() (free, total uint64, err error) { return 1 << 20, 1 << 30, nil }
	if got := b.MissingChunks(10); len(got) > 0 {
		t.Errorf("on a full disk %d chunks are asked for", len(got))
	}
}
