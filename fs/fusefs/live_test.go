package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLiveEdits does things on one device and checks that a program that
// watches on the other one hears what it would have, had they been done there.
func TestLiveEdits(t *testing.T) {
	save := func(path, text string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	}
	tests := []struct {
		name  string
		do    func(dir string) error
		watch []string // "." is the folder
		last  string   // the event after which nothing more comes
	}{
		{"create", func(d string) error { return os.WriteFile(d+"/new", []byte("text\n"), 0o644) }, []string{"."}, ".:new CLOSE_WRITE"},
		{"create empty", func(d string) error { return os.WriteFile(d+"/new", nil, 0o644) }, []string{"."}, ".:new CLOSE_WRITE"},
		{"mkdir", func(d string) error { return os.Mkdir(d+"/newdir", 0o755) }, []string{"."}, ".:newdir CREATE|ISDIR"},
		{"symlink", func(d string) error { return os.Symlink("doc", d+"/link") }, []string{"."}, ".:link CREATE"},
		{"edit", func(d string) error { return save(d+"/doc", "a longer text\nand more\n") }, []string{".", "doc"}, "doc: CLOSE_WRITE"},
		{"chmod", func(d string) error { return os.Chmod(d+"/doc", 0o755) }, []string{".", "doc"}, "doc: ATTRIB"},
		{"rename", func(d string) error { return os.Rename(d+"/doc", d+"/doc2") }, []string{".", "doc"}, "doc: MOVE_SELF"},
		{"move", func(d string) error { return os.Rename(d+"/doc", d+"/sub/doc") }, []string{".", "doc", "sub"}, "doc: MOVE_SELF"},
		{"rename over", func(d string) error { return os.Rename(d+"/doc", d+"/other") }, []string{".", "doc", "other"}, "doc: MOVE_SELF"},
		{"rename folder", func(d string) error { return os.Rename(d+"/sub", d+"/sub2") }, []string{".", "sub"}, "sub: MOVE_SELF"},
		{"delete", func(d string) error { return os.Remove(d + "/doc") }, []string{".", "doc"}, "doc: IGNORED"},
		{"delete unseen", func(d string) error { return os.Remove(d + "/unseen") }, []string{"."}, ".:unseen DELETE"},
		{"rmdir", func(d string) error { return os.Remove(d + "/empty") }, []string{".", "empty"}, "empty: IGNORED"},
		{"delete all", func(d string) error { return os.RemoveAll(d + "/tree") }, []string{".", "tree", "tree/a"}, ".:tree DELETE|ISDIR"},
		{"file to folder", func(d string) error {
			if err := os.Remove(d + "/doc"); err != nil {
				return err
			}
			return os.Mkdir(d+"/doc", 0o755)
		}, []string{".", "doc"}, ".:doc CREATE|ISDIR"},
		{"move out and delete", func(d string) error {
			if err := os.Rename(d+"/tree/a/x", d+"/x"); err != nil {
				return err
			}
			return os.RemoveAll(d + "/tree")
		}, []string{".", "tree"}, ".:tree DELETE|ISDIR"},
	}
	prepare := func(dir string) {
		for _, d := range []string{"", "sub", "empty", "tree", "tree/a"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{"doc", "other", "unseen", "tree/a/x", "tree/b"} {
			write(t, filepath.Join(dir, f), "text of "+f+"\n")
		}
	}
	locals, folders := t.TempDir(), serve(t, 2)
	if err := os.Mkdir(filepath.Join(folders[0], "marks"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		prepare(filepath.Join(locals, tt.name))
		prepare(filepath.Join(folders[0], tt.name))
	}
	for _, tt := range tests {
		for _, f := range []string{"tree/a/x", "tree/b", "doc", "other"} {
			arrives(t, filepath.Join(folders[1], tt.name, f), "text of "+f+"\n")
		}
	}
	settled(t, folders)

	var wants, gots []*watcher
	for _, tt := range tests {
		for _, side := range []struct {
			watch, do string
			to        *[]*watcher
		}{{locals, locals, &wants}, {folders[1], folders[0], &gots}} {
			*side.to = append(*side.to, watchAll(t, filepath.Join(side.watch, tt.name), tt.watch...))
			if err := tt.do(filepath.Join(side.do, tt.name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, tt := range tests {
		for _, w := range []*watcher{wants[i], gots[i]} {
			eventually(t, fmt.Sprintf("%s: %s", tt.name, tt.last), func() bool { return w.has(tt.last) })
		}
	}
	settled(t, folders)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, want := by(gots[i].all()), by(wants[i].all())
			if got != want {
				t.Errorf("told:\n%s\nof the same change here:\n%s", got, want)
			}
		})
	}
}

// settled returns when all that was done on one device has been told on the other
// one: what is done last is told last.
func settled(t testing.TB, folders []string) {
	t.Helper()
	eventually(t, "the folder for marks", func() bool {
		_, err := os.Stat(filepath.Join(folders[1], "marks"))
		return err == nil
	})
	mark := fmt.Sprint("mark", time.Now().UnixNano())
	write(t, filepath.Join(folders[0], "marks", mark), "text\n")
	w := watchAll(t, folders[1], "marks")
	eventually(t, "the mark is told", func() bool { return w.has("marks:" + mark + " CLOSE_WRITE") })
}
