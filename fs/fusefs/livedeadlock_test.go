package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoDeadlock has programs ask for something while a peer changes it, so that
// the kernel is told of changes, and the helper does them again, in the middle
// of each kind of request. A notice waits for requests of that file or folder,
// and some requests wait for a notice: where one was sent by who serves the
// other, this would never end.
func TestNoDeadlock(t *testing.T) {
	long := "0000\n" + strings.Repeat("a line of text\n", 1000)
	remove := func(err error) error {
		if os.IsNotExist(err) || os.IsExist(err) {
			return nil
		}
		return err
	}
	touch := func(dir string, i int) error {
		return os.Chmod(filepath.Join(dir, "doc"), []os.FileMode{0o644, 0o755}[i%2])
	}
	comeAndGo := func(dir string, i int) error {
		name := filepath.Join(dir, fmt.Sprint("d", i/2%3))
		if i%2 == 0 {
			return remove(os.Mkdir(name, 0o755))
		}
		return remove(os.Remove(name))
	}
	save := func(sync bool) func(string, int) error {
		return func(dir string, i int) error {
			f, err := os.OpenFile(filepath.Join(dir, "doc"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := fmt.Fprintf(f, "%04d\n", i); err != nil || !sync {
				return err
			}
			return f.Sync()
		}
	}
	edit := save(false)
	tests := []struct {
		name        string
		here, there func(dir string, i int) error
	}{
		{"content, in reads", func(dir string, _ int) error {
			_, err := os.ReadFile(filepath.Join(dir, "doc"))
			return err
		}, edit},
		{"content, in page faults", func(dir string, _ int) error {
			f, err := os.Open(filepath.Join(dir, "doc"))
			if err != nil {
				return err
			}
			defer f.Close()
			mem, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			_ = mem[0]
			return unix.Munmap(mem)
		}, edit},
		{"content, in writes", edit, edit},
		{"content, in syncs", save(true), edit},
		{"attributes, in writes", edit, touch},
		{"attributes, in syncs", save(true), touch},
		{"attributes, in lookups", func(dir string, _ int) error {
			_, err := os.Stat(filepath.Join(dir, "doc"))
			return err
		}, touch},
		{"attributes, in changes of them", touch, touch},
		{"names, in creations", func(dir string, i int) error {
			name := filepath.Join(dir, fmt.Sprint("f", i%3))
			f, err := os.Create(name)
			if err != nil {
				return err
			}
			return f.Close()
		}, comeAndGo},
		{"names, in removals", func(dir string, i int) error {
			name := filepath.Join(dir, fmt.Sprint("f", i%3, ".tmp"))
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				return err
			}
			return os.Remove(name)
		}, comeAndGo},
		{"names, in lookups of them", func(dir string, i int) error {
			_, err := os.Stat(filepath.Join(dir, fmt.Sprint("d", i%3)))
			return remove(err)
		}, comeAndGo},
		{"names, in lookups below them", func(dir string, i int) error {
			_, err := os.Stat(filepath.Join(dir, fmt.Sprint("d", i%3), "sub", "doc"))
			return remove(err)
		}, comeAndGo},
		{"names, in listings", func(dir string, _ int) error {
			_, err := os.ReadDir(dir)
			return err
		}, comeAndGo},
		{"names, in changes of them", comeAndGo, comeAndGo},
		{"names, in renames", func(dir string, i int) error {
			err := os.Rename(filepath.Join(dir, fmt.Sprint("d", i%3)), filepath.Join(dir, fmt.Sprint("d", (i+1)%3)))
			return remove(err)
		}, comeAndGo},
		{"renames, in renames", func(dir string, i int) error {
			err := os.Rename(filepath.Join(dir, fmt.Sprint("d", i%4)), filepath.Join(dir, fmt.Sprint("d", (i+1)%4)))
			return remove(err)
		}, func(dir string, i int) error {
			if i%5 == 0 {
				return remove(os.Mkdir(filepath.Join(dir, fmt.Sprint("d", i%4)), 0o755))
			}
			err := os.Rename(filepath.Join(dir, fmt.Sprint("d", (i+2)%4)), filepath.Join(dir, fmt.Sprint("d", i%4)))
			return remove(err)
		}},
	}
	folders := serve(t, 2)
	if err := os.Mkdir(filepath.Join(folders[0], "marks"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if err := os.Mkdir(filepath.Join(folders[0], tt.name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folders[0], tt.name, "doc"), long)
	}
	for _, tt := range tests {
		arrives(t, filepath.Join(folders[1], tt.name, "doc"), long)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watchAll(t, folders[1], tt.name, tt.name+"/doc")
			count := 100
			if strings.HasSuffix(tt.name, "syncs") { // the disk takes its time
				count = 10
			}
			ended := make(chan struct{})
			var both sync.WaitGroup
			for side, do := range []func(string, int) error{tt.there, tt.here} {
				both.Go(func() {
					for i := range count {
						if err := do(filepath.Join(folders[side], tt.name), i); err != nil {
							t.Errorf("device %d, %d: %v", side, i, err)
							return
						}
					}
				})
			}
			go func() {
				both.Wait()
				close(ended)
			}()
			eventually(t, "an end", func() bool {
				select {
				case <-ended:
					return true
				default:
					return false
				}
			})
		})
	}
	settled(t, folders)
}
