package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the project has beside the Go module that it is made of: a program, the
// way to build it, and what of that nobody else needs.
const (
	projectProgram = `package main

import (
	"fmt"
	"os"

	"github.com/restic/chunker"
)

const greeting = "chunks:"

func main() {
	c, n := chunker.New(os.Stdin, chunker.Pol(0x3DA3358B4DC173)), 0
	for buf := make([]byte, chunker.MaxSize); ; n++ {
		if _, err := c.Next(buf); err != nil {
			break
		}
	}
	fmt.Println(greeting, n)
}
`
	projectMakefile = `bin/cut: go.mod *.go cmd/cut/*.go
	go build -o $@ ./cmd/cut
.PHONY: check clean
check: bin/cut
	go vet ./... && go test -count=1 -run Pol . && head -c 5000000 /dev/zero | bin/cut
clean:
	rm -rf bin
`
)

// A workshop is a shell in a folder of a device.
type workshop struct {
	t   *testing.T
	d   *Device
	dir string // in the mount
	env []string
}

// does runs a script, which must work, and returns what it prints.
func (s workshop) does(script string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = s.d.Path(s.dir)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %s: %v\n%s", s.d.name, script, err, out)
	}
	return string(out)
}

// prints checks what a script prints.
func (s workshop) prints(want, script string) {
	s.t.Helper()
	if got := s.does(script); got != want {
		s.t.Errorf("%s: %s prints %q, want %q", s.d.name, script, got, want)
	}
}

// TestProject works on a real project within a space: Alice clones, builds,
// commits and switches branches while Bob, who is connected, edits what she
// cloned. The repository and what .space/ignore names stay on her device.
func TestProject(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	bare := filepath.Join(w.dir, "bare.git")
	env := []string{
		"LC_ALL=C.UTF-8", "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"BARE=" + bare, "MAKEFLAGS=", "MAKELEVEL=0", // of the make that runs the tests
	}
	projectOrigin(t, env, bare)

	alice.shell(t, env, "notes").does(`echo '/work/bin/' >>.space/ignore`)
	bob.Sees("notes/.space/ignore", "/work/bin/\n")
	alice.shell(t, env, "notes").does(`git clone -q "$BARE" work`)
	a, b := alice.shell(t, env, "notes/work"), bob.shell(t, env, "notes/work")
	shared := func() {
		t.Helper()
		w.Eventually("both have the project", func() error {
			out, err := exec.Command("diff", "-r", "--no-dereference", "-x", ".git", "-x", "bin", a.d.Path(a.dir), b.d.Path(b.dir)).CombinedOutput()
			if err != nil {
				return fmt.Errorf("diff: %w: %.2000s", err, out)
			}
			return nil
		})
		for _, own := range []string{".git", "bin"} {
			if _, err := os.Lstat(bob.Path("notes/work/" + own)); err == nil {
				t.Errorf("bob has alice's %s", own)
			}
		}
	}
	bob.Sees("notes/work/cmd/cut/main.go", projectProgram)
	shared()
	a.prints("", `git status --short`)

	// It builds, and what others edit is built again: make looks at times.
	a.does(`make check`)
	a.prints("chunks: 1\n", `bin/cut <go.mod`)
	a.prints("make: 'bin/cut' is up to date.\n", `make`)
	a.prints("", `git status --short`)
	b.does(`sed -i 's/chunks:/pieces:/' cmd/cut/main.go`)
	edited := strings.ReplaceAll(projectProgram, "chunks:", "pieces:")
	alice.Sees("notes/work/cmd/cut/main.go", edited)
	a.prints(" M cmd/cut/main.go\n", `git status --short`)
	a.does(`make`)
	a.prints("pieces: 1\n", `bin/cut <go.mod`)
	b.does(`go build -o "$BARE.bob" ./cmd/cut`)
	b.prints("pieces: 1\n", `"$BARE.bob" <go.mod`)

	// Commits, branches and what they do to the files.
	a.does(`git checkout -q -b pieces; git commit -qam pieces`)
	a.prints("", `git status --short`)
	a.does(`git mv README.md READ.md; git rm -q LICENSE; mkdir docs; echo how >docs/how.md; git add docs; git commit -qm docs`)
	bob.Sees("notes/work/docs/how.md", "how\n")
	bob.Lacks("notes/work/LICENSE")
	shared()
	a.does(`git checkout -q main`)
	bob.Sees("notes/work/cmd/cut/main.go", projectProgram)
	bob.Lacks("notes/work/docs")
	shared()
	a.prints("", `git status --short`)
	b.does(`echo more >>README.md; rm doc.go; echo new >new.txt`)
	alice.Sees("notes/work/new.txt", "new\n")
	alice.Lacks("notes/work/doc.go")
	a.prints(" M README.md\n D doc.go\n?? new.txt\n", `git status --short`)
	a.does(`git stash -q -u`)
	bob.Lacks("notes/work/new.txt")
	shared()
	a.does(`git stash pop -q`)
	bob.Sees("notes/work/new.txt", "new\n")
	a.does(`git add -A; git commit -qm "by bob"; git merge -q -m merge pieces; git push -q origin main`)
	shared()
	a.prints("", `git status --short`)
	a.does(`git fsck --strict; make clean; make check`)
	a.prints("pieces: 1\n", `bin/cut <go.mod`)

	// A clone elsewhere is what both see.
	a.does(`git clone -q "$BARE" "$BARE.clone"`)
	if out, err := exec.Command("diff", "-r", "-x", ".git", bare+".clone", bob.Path("notes/work")).CombinedOutput(); err != nil {
		t.Errorf("bob has something else than what was pushed: %v\n%s", err, out)
	}
}

func (d *Device) shell(t *testing.T, env []string, dir string) workshop {
	return workshop{t, d, dir, env}
}

// projectOrigin makes a bare repository of a real Go module with a program.
func projectOrigin(t *testing.T, env []string, bare string) {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/restic/chunker").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(work, os.DirFS(strings.TrimSpace(string(module)))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cmd/cut/main.go": projectProgram, "Makefile": projectMakefile, ".gitignore": "/bin/\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(work, name), text)
	}
	cmd := exec.Command("sh", "-ec", `chmod -R u+w .; git init -q -b main; git add .; git commit -qm one; git clone -q --bare . "$BARE"`)
	cmd.Dir, cmd.Env = work, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
