package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A posixRow is something that programs ask of a disk. Do writes down what it
// was told, line by line. The mount must say what the machine's own file system
// says or, where file systems differ, what is in want.
type posixRow struct {
	name string
	want string // "" is what the machine's own file system says
	do   func(p *asker)
}

// TestPosixTable asks a mount, and the machine's own file system, everything in
// the table.
func TestPosixTable(t *testing.T) {
	folder := serve(t, 1)[0]
	var rows []posixRow
	for _, part := range [][]posixRow{
		holeRows(), copyRows(), mapRows(), lockRows(), nameRows(), openRows(), renameRows(),
		timeRows(), folderRows(), linkRows(), xattrRows(), nodeRows(), unnamedRows(),
	} {
		rows = append(rows, part...)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(folder, strings.ReplaceAll(row.name, " ", "-"))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			got := ask(t, dir, row)
			want := strings.TrimSpace(row.want)
			if want == "" {
				want = ask(t, t.TempDir(), row)
			}
			if got != want {
				t.Errorf("the mount says\n%s", difference(got, want))
			}
		})
	}
}

func ask(t *testing.T, dir string, row posixRow) string {
	t.Helper()
	p := &asker{t: t, dir: dir}
	defer p.closeAll()
	row.do(p)
	return strings.Join(p.said, "\n")
}

// difference shows both, with a mark where they differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out []string
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a == b {
			out = append(out, "  "+a)
		} else {
			out = append(out, "- "+a, "+ "+b+"     (wanted)")
		}
	}
	return strings.Join(out, "\n")
}

// An asker asks one file system, in a folder of its own.
type asker struct {
	t    *testing.T
	dir  string
	said []string
	open []int
}

// say writes one line down. Errors become their names.
func (p *asker) say(what string, values ...any) {
	line := []string{what}
	for _, v := range values {
		if err, is := v.(error); is || v == nil {
			v = errnoName(err)
		}
		line = append(line, fmt.Sprint(v))
	}
	p.said = append(p.said, strings.Join(line, " "))
}

func errnoName(err error) string {
	var e unix.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e) && unix.ErrnoName(e) != "":
		return unix.ErrnoName(e)
	}
	return err.Error()
}

func (p *asker) path(name string) string { return filepath.Join(p.dir, name) }

// need stops the test at something without which the rest makes no sense.
func (p *asker) need(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%v, after:\n%s", err, strings.Join(p.said, "\n"))
	}
}

// write makes a file and closes it.
func (p *asker) write(name, content string) {
	p.t.Helper()
	p.need(os.WriteFile(p.path(name), []byte(content), 0o644))
}

// fd opens a file that must open.
func (p *asker) fd(name string, flags int) int {
	p.t.Helper()
	fd, err := unix.Open(p.path(name), flags|unix.O_CLOEXEC, 0o644)
	p.need(err)
	p.open = append(p.open, fd)
	return fd
}

// tryOpen says how opening goes.
func (p *asker) tryOpen(what, name string, flags int) {
	fd, err := unix.Open(p.path(name), flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		p.open = append(p.open, fd)
	}
	p.say(what, err)
}

func (p *asker) closeAll() {
	for _, fd := range p.open {
		unix.Close(fd)
	}
}

// content says what a file holds, in runs of one byte.
func (p *asker) content(name string) {
	data, err := os.ReadFile(p.path(name))
	p.say(name+" holds", err, runs(data))
}

// contentOf is the same of an open file.
func (p *asker) contentOf(fd int) {
	data := make([]byte, 1<<20)
	n, err := unix.Pread(fd, data, 0)
	p.say("fd holds", err, runs(data[:max(n, 0)]))
}

func runs(data []byte) string {
	if len(data) < 40 {
		return fmt.Sprintf("%q", data)
	}
	var out []string
	for i := 0; i < len(data); {
		j := i
		for j < len(data) && data[j] == data[i] {
			j++
		}
		out = append(out, fmt.Sprintf("%q*%d", data[i], j-i))
		i = j
	}
	return strings.Join(out, " ")
}

// stat says what of a file is the same on every file system.
func (p *asker) stat(name string) unix.Stat_t {
	var st unix.Stat_t
	if err := unix.Lstat(p.path(name), &st); err != nil {
		p.say(name, err)
		return st
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		p.say(name, fmt.Sprintf("mode %o", st.Mode))
	} else {
		p.say(name, fmt.Sprintf("mode %o, size %d, %d links", st.Mode, st.Size, st.Nlink))
	}
	return st
}

// list says which names a folder has.
func (p *asker) list(name string) {
	entries, err := os.ReadDir(p.path(name))
	var names []string
	for _, e := range entries {
		names = append(names, fmt.Sprintf("%q", e.Name()))
	}
	slices.Sort(names)
	p.say("in "+name, err, strings.Join(names, " "))
}

// script runs a program in Python that prints lines.
func (p *asker) script(text string) {
	p.t.Helper()
	out := run(p.t, p.dir, "python3", "-c", text)
	p.said = append(p.said, strings.Split(strings.TrimSpace(out), "\n")...)
}
