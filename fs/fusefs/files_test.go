package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTree copies a source tree in, compares it, moves it, and removes it.
func TestTree(t *testing.T) {
	folder := serve(t, 1)[0]
	source := filepath.Join(goroot(t), "src", "net")
	dest := filepath.Join(folder, "net")
	run(t, folder, "cp", "-r", source, dest)
	run(t, folder, "diff", "-r", source, dest)
	run(t, folder, "mv", "net", "moved")
	run(t, folder, "diff", "-r", source, "moved")
	run(t, folder, "rm", "-r", "moved")
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("left after rm -r: %v, %v", names, err)
	}
}

// TestManyEntries lists a folder of ten thousand files, in one go and in many.
func TestManyEntries(t *testing.T) {
	const n = 10_000
	folder := serve(t, 1)[0]
	for i := range n {
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("file%05d", i)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for range 2 { // from the daemon, then from the kernel's cache
		names, err := os.ReadDir(folder)
		if err != nil || len(names) != n {
			t.Fatalf("%d names, %v", len(names), err)
		}
		for i, e := range names {
			if want := fmt.Sprintf("file%05d", i); e.Name() != want || !e.Type().IsRegular() {
				t.Fatalf("name %d is %v", i, e)
			}
		}
	}
	out := run(t, folder, "sh", "-c", "ls -l | wc -l")
	if strings.TrimSpace(out) != fmt.Sprint(n+1) {
		t.Errorf("ls -l prints %s lines", out)
	}
	// Removing while listing must skip nothing.
	run(t, folder, "sh", "-c", "find . -name 'file*' -delete")
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("%d names left, %v", len(names), err)
	}
}

// TestAttributes checks what stat tells after each change.
func TestAttributes(t *testing.T) {
	folder := serve(t, 1)[0]
	path := filepath.Join(folder, "doc")
	write(t, path, "hello")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_600_000_000, 123_456_789)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o755 || info.Size() != 5 || !info.ModTime().Equal(when) {
		t.Errorf("mode %v, size %d, time %v", info.Mode(), info.Size(), info.ModTime())
	}
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "he" {
		t.Errorf("after truncate: %q", got)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Blocks == 0 || st.Namelen != 255 {
		t.Errorf("statfs: %+v, %v", st, err)
	}
}

func TestSync(t *testing.T) {
	folder := serve(t, 1)[0]
	write(t, filepath.Join(folder, "doc"), "hello")
	for _, path := range []string{filepath.Join(folder, "doc"), folder, filepath.Dir(folder)} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		f.Close()
	}
}

func TestAbsence(t *testing.T) {
	folder := serve(t, 1)[0]
	path := filepath.Join(folder, "doc")
	for range 2 { // the second time the absence is cached
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("stat of nothing: %v", err)
		}
		write(t, path, "hello")
		if got := read(t, path); got != "hello" {
			t.Fatalf("read %q", got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]syscall.Errno{
		strings.Repeat("x", 256): syscall.ENAMETOOLONG,
		"no/such/folder":         syscall.ENOENT,
	} {
		if err := unix.Mkdir(filepath.Join(folder, name), 0o755); err != want {
			t.Errorf("mkdir %.10s: %v, want %v", name, err, want)
		}
	}
	if err := unix.Mknod(filepath.Join(folder, "null"), unix.S_IFCHR|0o644, 1<<8|3); err != unix.EPERM {
		t.Errorf("mknod: %v", err)
	}
}

// TestMmap writes and reads through mappings.
func TestMmap(t *testing.T) {
	folder := serve(t, 1)[0]
	for _, size := range []int{10, 4096, 100_000} {
		path := filepath.Join(folder, fmt.Sprint("mapped", size))
		write(t, path, strings.Repeat("a", size))
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		f.Close() // a mapping outlives its descriptor
		copy(mem, "first")
		if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); len(got) != size || !strings.HasPrefix(got, "firsta") {
			t.Errorf("after msync: %d bytes, %.10q", len(got), got)
		}
		copy(mem[size-4:], "last")
		if err := unix.Munmap(mem); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); len(got) != size || !strings.HasSuffix(got, "alast") {
			t.Errorf("after munmap: %d bytes, %.10q", len(got), got)
		}
	}
}

// TestCopyAndSeek checks what the kernel does on its own.
func TestCopyAndSeek(t *testing.T) {
	folder := serve(t, 1)[0]
	data := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(data)
	write(t, filepath.Join(folder, "from"), string(data))
	from, err := os.Open(filepath.Join(folder, "from"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(folder, "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for left := len(data); left > 0; {
		n, err := unix.CopyFileRange(int(from.Fd()), nil, int(to.Fd()), nil, left, 0)
		if err != nil || n == 0 {
			t.Fatalf("copy_file_range: %d, %v", n, err)
		}
		left -= n
	}
	if got := read(t, to.Name()); got != string(data) {
		t.Error("copy_file_range copied something else")
	}
	if off, err := unix.Seek(int(from.Fd()), 5, unix.SEEK_DATA); err != nil || off != 5 {
		t.Errorf("SEEK_DATA: %d, %v", off, err)
	}
	if off, err := unix.Seek(int(from.Fd()), 5, unix.SEEK_HOLE); err != nil || off != int64(len(data)) {
		t.Errorf("SEEK_HOLE: %d, %v", off, err)
	}
}

// TestLocks checks that flock and POSIX locks exclude another process.
func TestLocks(t *testing.T) {
	folder := serve(t, 1)[0]
	path := filepath.Join(folder, "lock")
	write(t, path, "")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("flock", "-n", path, "true").Run(); err == nil {
		t.Error("flock let a second process in")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	run(t, folder, "flock", "-n", path, "true")
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	const probe = `import fcntl,sys; fcntl.lockf(open(sys.argv[1],"r+"), fcntl.LOCK_EX|fcntl.LOCK_NB)`
	if err := exec.Command("python3", "-c", probe, path).Run(); err == nil {
		t.Error("fcntl let a second process in")
	}
}

// TestSymlinks checks that links lead to where they say, and that those which
// would lead out of the space are refused.
func TestSymlinks(t *testing.T) {
	folder := serve(t, 1)[0]
	write(t, filepath.Join(folder, "doc"), "hello")
	link := filepath.Join(folder, "link")
	if err := os.Symlink("doc", link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is cached
		if target, err := os.Readlink(link); err != nil || target != "doc" {
			t.Errorf("leads to %q, %v", target, err)
		}
	}
	if got := read(t, link); got != "hello" {
		t.Errorf("read %q", got)
	}
	for _, target := range []string{"/etc/passwd", "../doc"} {
		if err := os.Symlink(target, link+"2"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a link to %s: %v", target, err)
		}
	}
}

func TestExtendedAttributes(t *testing.T) {
	folder := serve(t, 1)[0]
	path := filepath.Join(folder, "doc")
	write(t, path, "hello")
	buf := make([]byte, 1000)
	eventually(t, "the file has an ID", func() bool { // once it is published
		n, err := unix.Getxattr(path, "user.echofs.id", buf)
		return err == nil && n > 0
	})
	if _, err := unix.Getxattr(path, "user.echofs.id", buf[:1]); err != unix.ERANGE {
		t.Errorf("a short buffer: %v", err)
	}
	if _, err := unix.Getxattr(path, "user.nothing", buf); err != unix.ENODATA {
		t.Errorf("no such attribute: %v", err)
	}
	if _, err := unix.Getxattr(path, "security.capability", buf); err != unix.ENODATA {
		t.Errorf("capabilities: %v", err)
	}
	n, err := unix.Listxattr(path, buf)
	if err != nil || !bytes.Contains(buf[:n], []byte("user.echofs.id\x00")) {
		t.Errorf("names: %q, %v", buf[:max(n, 0)], err)
	}
	run(t, folder, "cp", "-a", "doc", "copy") // asks for access lists
}

// TestInterruptedSave checks that a program interrupted while it saves, as Go
// programs are all the time, saves everything.
func TestInterruptedSave(t *testing.T) {
	folder := serve(t, 1)[0]
	const script = `
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for i in range(300):
    fd = os.open("doc", os.O_WRONLY|os.O_CREAT|os.O_TRUNC, 0o644)
    data = (b"%d\n" % i) * 1000
    while data:
        data = data[os.write(fd, data):]
    if i % 10 == 0: os.fsync(fd)
    os.close(fd)
signal.setitimer(signal.ITIMER_REAL, 0)
`
	run(t, folder, "python3", "-c", script)
	if got := read(t, filepath.Join(folder, "doc")); got != strings.Repeat("299\n", 1000) {
		t.Errorf("%d bytes, %.20q", len(got), got)
	}
}

// TestAppend checks that lines of several processes never overwrite each other.
func TestAppend(t *testing.T) {
	folder := serve(t, 1)[0]
	path := filepath.Join(folder, "log")
	write(t, path, "")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for j := range 200 {
				if _, err := fmt.Fprintf(f, "writer %d line %d\n", i, j); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	lines := map[string]int{}
	for line := range strings.Lines(read(t, path)) {
		lines[line]++
	}
	for i := range 4 {
		for j := range 200 {
			if line := fmt.Sprintf("writer %d line %d\n", i, j); lines[line] != 1 {
				t.Fatalf("%d times %q", lines[line], line)
			}
		}
	}
}

func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// run runs a program in dir and returns what it printed. It must succeed and
// complain about nothing.
func run(t testing.TB, dir string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, tail(out), tail(complaints))
	}
	return out.String()
}

func tail(b bytes.Buffer) string {
	const most = 2000
	s := b.String()
	return s[max(0, len(s)-most):]
}

// A pipe and a socket work between the processes of this device, and nobody else
// is shown them.
func TestPipe(t *testing.T) {
	folders := serve(t, 2)
	pipe, moved := filepath.Join(folders[0], "pipe"), filepath.Join(folders[0], "moved")
	if err := unix.Mkfifo(pipe, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pipe, moved); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(moved, &st); err != nil || st.Mode != unix.S_IFIFO|0o640 {
		t.Fatalf("mode %o, %v", st.Mode, err)
	}
	go os.WriteFile(moved, []byte("through the pipe"), 0)
	if got := read(t, moved); got != "through the pipe" {
		t.Errorf("read %q", got)
	}
	listener, err := net.Listen("unix", filepath.Join(folders[0], "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("unix", filepath.Join(folders[0], "socket"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	write(t, filepath.Join(folders[0], "doc"), "text")
	eventually(t, "the document arrives", func() bool {
		_, err := os.Stat(filepath.Join(folders[1], "doc"))
		return err == nil
	})
	for _, name := range []string{"moved", "socket"} {
		if _, err := os.Lstat(filepath.Join(folders[1], name)); !os.IsNotExist(err) {
			t.Errorf("%s on the other device: %v", name, err)
		}
	}
}
