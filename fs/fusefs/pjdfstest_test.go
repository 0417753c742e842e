package fusefs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPjdfstest runs a built copy of pjdfstest, in the folder that PJDFSTEST
// names, on a fresh mount: make posix PJDFSTEST=dir. Every failure must be of a
// kind that testdata/pjdfstest.txt gives a reason for, or follow one in its test.
func TestPjdfstest(t *testing.T) {
	dir := os.Getenv("PJDFSTEST")
	if dir == "" {
		return
	}
	known := knownFailures(t)
	folder := serve(t, 1)[0]
	passed, failed, expected, followed := 0, 0, 0, 0
	tests := filepath.Join(dir, "tests")
	err := filepath.WalkDir(tests, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".t" {
			return err
		}
		name, err := filepath.Rel(tests, path)
		if err != nil {
			return err
		}
		work := filepath.Join(folder, strings.ReplaceAll(name, "/", "-"))
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
		cmd := exec.Command("/bin/sh", path)
		cmd.Dir = work
		out, _ := cmd.CombinedOutput() // it tells how it went in what it prints
		impossible := false            // something before in this test
		for line := range strings.Lines(string(out)) {
			switch line = strings.TrimSpace(line); {
			case strings.HasPrefix(line, "ok "):
				passed++
			case !strings.HasPrefix(line, "not ok "):
			case strings.Contains(line, "# TODO"):
			case known.direct(line):
				expected++
				impossible = true
			case impossible && known.follows(name, line):
				followed++
			default:
				failed++
				t.Errorf("%s: %s", name, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d passed, %d failed, %d asked for what is impossible, %d followed from that", passed, failed, expected, followed)
	if passed == 0 {
		t.Error("nothing ran: PJDFSTEST must be a folder with the built program and its tests")
	}
}

// failures are what a shared space cannot do, and what follows from that: checks,
// by test and number, that use what should have been made before.
type failures struct {
	impossible []*regexp.Regexp // what the check says
	following  map[string][]span
}

type span struct{ first, last int }

// direct reports whether a check asks for what is impossible.
func (f failures) direct(line string) bool {
	return slices.ContainsFunc(f.impossible, func(r *regexp.Regexp) bool { return r.MatchString(line) })
}

// follows reports whether a check is one of those that follow.
func (f failures) follows(test, line string) bool {
	var n int
	if _, err := fmt.Sscanf(line, "not ok %d", &n); err != nil {
		return false
	}
	return slices.ContainsFunc(f.following[test], func(s span) bool { return s.first <= n && n <= s.last })
}

// knownFailures reads the list: paragraphs that begin with the reason, in lines
// after #. The other lines are a regular expression after ~, or a test and the
// numbers of its checks that fail because of one before them.
func knownFailures(t *testing.T) failures {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "pjdfstest.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := failures{following: map[string][]span{}}
	reason := false
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
			reason = false
		case fields[0] == "#":
			reason = true
		case !reason:
			t.Fatalf("no reason for %s", fields[0])
		case fields[0] == "~":
			r, err := regexp.Compile(strings.TrimPrefix(lines.Text(), "~ "))
			if err != nil {
				t.Fatal(err)
			}
			out.impossible = append(out.impossible, r)
		default:
			for _, f := range fields[1:] {
				from, to, ok := strings.Cut(f, "-")
				if !ok {
					to = from
				}
				first, err := strconv.Atoi(from)
				last, err2 := strconv.Atoi(to)
				if err = errors.Join(err, err2); err != nil {
					t.Fatalf("%s: %v", fields[0], err)
				}
				out.following[fields[0]] = append(out.following[fields[0]], span{first, last})
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
