package tree

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// IDs and names that every device derives by itself: were one to derive others,
// it would show another tree.
func TestDerivedNames(t *testing.T) {
	var id NodeID
	var feed [32]byte
	for i := range id {
		id[i] = byte(i * 17)
	}
	for i := range feed {
		feed[i] = byte(255 - i)
	}
	v := Version{Feed: feed, N: 1<<40 + 7}
	var b strings.Builder
	for _, name := range []string{"", "Notes", "ä/\xff"} {
		fmt.Fprintf(&b, "folder %q in the root %s, in %s %s\n", name, FolderID(Root, name), id, FolderID(id, name))
	}
	fmt.Fprintf(&b, "copy of %s #%d %s\n", id, v.N, CopyID(id, v))
	fmt.Fprintf(&b, "detached %s\n", DetachedID(id, v))
	for _, n := range []int{6, 7, 64, 65, 66} {
		fmt.Fprintf(&b, "tell %d %s\n", n, tell(id, n))
	}
	for _, name := range []string{
		"", ".", "..", "a/b", "x\x00y", "100%", "50%/x", ".space", ".spaces", ".fuse_hidden0001", ".profile", "\xff\xfe",
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("ä", 128), strings.Repeat("/", 100),
	} {
		fmt.Fprintf(&b, "legal %q %q\n", name, legal(name, id))
	}
	for _, name := range []string{
		"a", "a.txt", "a.tar.gz", ".profile", ".a.b", "a.", "a.fifteen-letters", "a.sixteen-letters.",
		"x.123456789012345", "x.1234567890123456", strings.Repeat("y", 251) + ".txt", strings.Repeat("é", 127), strings.Repeat("\x80", 255),
	} {
		fmt.Fprintf(&b, "mark %q %q %q\n", name, Mark(name, "0123ab"), Mark(name, "conflict 0123ab"))
	}
	fmt.Fprintf(&b, "mark too long %d bytes\n", len(Mark("a.txt", strings.Repeat("+", 300))))
	const path = "testdata/names.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, lines := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		if i >= len(got) || i >= len(lines) || got[i] != lines[i] {
			t.Fatalf("%s:%d: the names have changed\ngot  %s", path, i+1, got[min(i, len(got)-1)])
		}
	}
}
