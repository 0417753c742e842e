package fusefs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestReadersSeeWholeVersions has programs read a file in pieces while another
// device saves it again and again. Whatever they read is one version of it. (Not
// proven for who reads the same descriptor again from the start without a pause:
// the kernel keeps one size for all, and may be told another one at the wrong time.)
func TestReadersSeeWholeVersions(t *testing.T) {
	const versions = 24
	folders := serve(t, 2)
	here, there := filepath.Join(folders[0], "doc"), filepath.Join(folders[1], "doc")
	write(t, here, versionText(0))
	arrives(t, there, versionText(0))

	done := make(chan struct{})
	var readers sync.WaitGroup
	reader := func(name string, read func() ([]byte, error)) {
		readers.Go(func() {
			rounds, last := 0, ""
			for ended := false; !ended; rounds++ {
				select {
				case <-done: // once more
					ended = true
				default:
				}
				text, err := read()
				if err == nil {
					err = wholeVersion(string(text))
				}
				if err != nil {
					t.Errorf("%s, round %d: %v", name, rounds, err)
					return
				}
				last, _, _ = strings.Cut(string(text), "\n")
			}
			t.Logf("%s: %d rounds, the last saw %s", name, rounds, last)
		})
	}
	for i := range 2 {
		reader(fmt.Sprint("pieces ", i), func() ([]byte, error) { return openPieces(there) })
	}
	reader("read file", func() ([]byte, error) { return os.ReadFile(there) })
	reader("dd", func() ([]byte, error) { return exec.Command("dd", "if="+there, "bs=4096", "status=none").Output() })
	reader("sed", func() ([]byte, error) { return exec.Command("sed", "-n", "p", there).Output() })

	for i := range versions {
		write(t, here, versionText(i+1))
		if i%8 == 0 {
			arrives(t, there, versionText(i+1))
		}
	}
	arrives(t, there, versionText(versions))
	close(done)
	readers.Wait()
}

// versionText is a text that says on each line which version it is and how many
// lines there are. Versions grow and shrink.
func versionText(i int) string {
	lines := 300 + (i*7919)%900
	return strings.Repeat(fmt.Sprintf("version %d has %d lines of text\n", i, lines), lines)
}

func wholeVersion(text string) error {
	first, _, _ := strings.Cut(text, "\n")
	var version, lines int
	if _, err := fmt.Sscanf(first, "version %d has %d lines of text", &version, &lines); err != nil {
		return fmt.Errorf("%d bytes begin with %.60q", len(text), first)
	}
	if want := versionText(version); text != want {
		at := 0
		for at < len(text) && at < len(want) && text[at] == want[at] {
			at++
		}
		return fmt.Errorf("%d bytes begin as version %d of %d bytes, and go on at %d with %.60q", len(text), version, len(want), at, text[at:])
	}
	return nil
}

// TestReaderBetweenChanges has a file change between any two reads of a program.
func TestReaderBetweenChanges(t *testing.T) {
	folders := serve(t, 2)
	here, there := filepath.Join(folders[0], "doc"), filepath.Join(folders[1], "doc")
	write(t, here, versionText(0))
	arrives(t, there, versionText(0))
	for _, tt := range []struct {
		name string
		warm bool // the kernel has the pages that are read first
	}{{"first read", false}, {"read before", true}} {
		t.Run(tt.name, func(t *testing.T) {
			next := 1
			if tt.warm {
				if _, err := openPieces(there); err != nil {
					t.Fatal(err)
				}
			}
			f, err := os.Open(there)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var text []byte
			buf := make([]byte, 4096)
			for {
				n, err := f.Read(buf)
				text = append(text, buf[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if next < 3 { // in the middle of it
					write(t, here, versionText(next))
					eventually(t, "the next version arrives", func() bool {
						other, err := exec.Command("cat", there).Output()
						return err == nil && string(other) == versionText(next)
					})
					next++
				}
			}
			if err := wholeVersion(string(text)); err != nil {
				t.Error(err)
			}
			eventually(t, "the descriptor shows what is new", func() bool {
				text, err := pieces(f)
				return err == nil && string(text) == versionText(next-1)
			})
		})
	}
}

func openPieces(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return pieces(f)
}

// pieces reads a file from its start as a program with a small buffer does.
func pieces(f *os.File) ([]byte, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		text = append(text, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
