package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountOptions checks what the kernel says about a mount.
func TestMountOptions(t *testing.T) {
	dir := filepath.Dir(serve(t, 1)[0])
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if fields[1] != dir {
			continue
		}
		if fields[0] != "echofs" || fields[2] != "fuse.echofs" {
			t.Errorf("mounted as %s of type %s", fields[0], fields[2])
		}
		for _, want := range []string{"nosuid", "nodev", "default_permissions", fmt.Sprint("max_read=", maxWrite)} {
			if !strings.Contains(","+fields[3]+",", ","+want+",") {
				t.Errorf("options %s lack %s", fields[3], want)
			}
		}
		return
	}
	t.Fatalf("%s is not mounted:\n%s", dir, table)
}

// TestSecondMount checks that a folder served by a living daemon is left alone.
func TestSecondMount(t *testing.T) {
	folder := serve(t, 1)[0]
	dir := filepath.Dir(folder)
	write(t, filepath.Join(folder, "doc"), "hello")
	_, err := prepare(dir)
	var bad *MountError
	if !errors.Is(err, ErrBusy) || !errors.As(err, &bad) || !strings.Contains(bad.Hint, "echofs down") {
		t.Errorf("got %v", err)
	}
	if got := read(t, filepath.Join(folder, "doc")); got != "hello" {
		t.Errorf("the first mount reads %q now", got)
	}
}

// TestHungMount checks that a daemon that does not answer is not waited for.
func TestHungMount(t *testing.T) {
	dir := t.TempDir()
	p := start(t, setup{Dir: t.TempDir(), Mounts: []string{dir}})
	defer p.stop(t)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer p.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "the process stops", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		return err == nil && bytes.Contains(stat, []byte(") T "))
	})
	_, err := prepare(dir)
	var bad *MountError
	if !errors.Is(err, ErrBusy) || !errors.As(err, &bad) || !strings.Contains(bad.Hint, "does not answer") {
		t.Errorf("got %v", err)
	}
}

// TestDeadMount checks that what a killed daemon left is cleared away, and that
// what it had acknowledged is still there.
func TestDeadMount(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		p := start(t, setup{Dir: t.TempDir(), Mounts: []string{dir}})
		write(t, filepath.Join(dir, shared, "doc"), "hello")
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.cmd.Wait()
		// The helper may do this, or find that it need not.
		dev, err := deviceOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		workplace{Mount: dir, Dev: dev}.abort()
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != unix.ENOTCONN {
			t.Fatalf("a mount whose daemon was killed says %v", err)
		}
	}
	if _, err := prepare(dir); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("after detaching: %v, %v", names, err)
	}
}

// TestUnmountFromOutside checks that a mount that its user took away ends like
// any other.
func TestUnmountFromOutside(t *testing.T) {
	dir := t.TempDir()
	p := start(t, setup{Dir: t.TempDir(), Mounts: []string{dir}})
	write(t, filepath.Join(dir, shared, "doc"), "hello")
	var err error
	eventually(t, "nobody looks at the mount, such as the helper that starts", func() bool {
		err = unix.Unmount(dir, 0)
		return err != unix.EBUSY
	})
	if err == unix.EPERM { // not root
		run(t, "/", "fusermount3", "-u", dir)
	} else if err != nil {
		t.Fatal(err)
	}
	p.stop(t)
}

// TestUnmountWithOpenFile checks the lazy detach: the folder is free at once,
// and a file still open works until it is closed.
func TestUnmountWithOpenFile(t *testing.T) {
	dir := t.TempDir()
	p := start(t, setup{Dir: t.TempDir(), Mounts: []string{dir}})
	f, err := os.Create(filepath.Join(dir, shared, "doc"))
	if err != nil {
		t.Fatal(err)
	}
	p.stdin.Close()
	eventually(t, "the mount is gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, shared))
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := f.WriteString("hello"); err != nil {
		t.Errorf("write to an open file of a detached mount: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the serving process: %v\n%s", err, p.log)
	}
	if !strings.Contains(p.log.String(), "detaching the mount lazily") {
		t.Errorf("nothing was said about the open file:\n%s", p.log)
	}
}

// TestFusermount mounts as a user who is not root.
func TestFusermount(t *testing.T) {
	if os.Geteuid() != 0 {
		return // every other test does
	}
	dir, data, asNobody := nobodys(t)
	p := startWith(t, serveVariable, setup{Dir: data, Mounts: []string{dir}}, asNobody)
	defer p.stop(t)
	cmd := exec.Command("sh", "-c", "echo hello > doc && cat doc")
	cmd.Dir, cmd.SysProcAttr = filepath.Join(dir, shared), asNobody
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Errorf("%s%v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, shared)); !errors.Is(err, syscall.EACCES) {
		t.Errorf("root may look into another user's mount: %v", err)
	}
}

// nobodys are two folders of a user who is not root, and how to be that user.
func nobodys(t *testing.T) (dir, data string, as *syscall.SysProcAttr) {
	t.Helper()
	const nobody = 65534
	dir, data = t.TempDir(), t.TempDir()
	for _, d := range []string{dir, data} {
		if err := os.Chown(d, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		for p := d; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, data, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
