package fusefs

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPjdfstest runs a built copy of pjdfstest, in the folder that PJDFSTEST
// names, on a fresh mount: make posix PJDFSTEST=dir. Every failure must be in
// testdata/pjdfstest.txt, with a reason.
func TestPjdfstest(t *testing.T) {
	dir := os.Getenv("PJDFSTEST")
	if dir == "" {
		return
	}
	known := knownFailures(t)
	folder := serve(t, 1)[0]
	passed, failed, expected := 0, 0, 0
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
		for line := range strings.Lines(string(out)) {
			switch line = strings.TrimSpace(line); {
			case strings.HasPrefix(line, "ok "):
				passed++
			case !strings.HasPrefix(line, "not ok "):
			case strings.Contains(line, "# TODO"):
			case known.has(name, line):
				expected++
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
	t.Logf("%d passed, %d failed, %d failed as expected", passed, failed, expected)
	if passed == 0 {
		t.Error("nothing ran: PJDFSTEST must be a folder with the built program and its tests")
	}
}

// failures are patterns of lines by patterns of tests.
type failures []struct{ test, line *regexp.Regexp }

func (f failures) has(test, line string) bool {
	for _, k := range f {
		if k.test.MatchString(test) && k.line.MatchString(line) {
			return true
		}
	}
	return false
}

// knownFailures reads the list: paragraphs of a reason, in lines that begin with
// #, and of lines with a pattern of tests and a pattern of what they print.
func knownFailures(t *testing.T) failures {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "pjdfstest.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out failures
	reason := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		test, pattern, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			t.Fatalf("no reason for %q", line)
		default:
			k := struct{ test, line *regexp.Regexp }{}
			for to, text := range map[**regexp.Regexp]string{&k.test: "^(?:" + test + ")$", &k.line: pattern} {
				if *to, err = regexp.Compile(text); err != nil {
					t.Fatal(fmt.Errorf("%q: %w", line, err))
				}
			}
			out = append(out, k)
		}
	}
	return out
}
