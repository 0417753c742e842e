package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGuard kills what serves a mount while its connection is still in use, as
// it is by a thread that is stuck in the kernel. The helper has to break it.
func TestGuard(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root may take the descriptor away
	}
	t.Run("root", func(t *testing.T) {
		dir := t.TempDir()
		guarded(t, setup{Dir: t.TempDir(), Mounts: []string{dir}, Guarded: true}, nil)
	})
	t.Run("user", func(t *testing.T) {
		const control = "/sys/fs/fuse/connections"
		switch err := unix.Mount("fusectl", control, "fusectl", 0, ""); err {
		case nil:
			t.Cleanup(func() { unix.Unmount(control, unix.MNT_DETACH) })
		case unix.EBUSY: // most systems have it
		default:
			t.Fatal(err)
		}
		dir, data, as := nobodys(t)
		guarded(t, setup{Dir: data, Mounts: []string{dir}, Guarded: true}, as)
	})
}

func guarded(t *testing.T, s setup, as *syscall.SysProcAttr) {
	p := startWith(t, serveVariable, s, as)
	for _, helper := range children(p.cmd.Process.Pid) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", helper, helper))
		if err != nil || !strings.Contains(string(status), "SigBlk:\t0000000000004000\n") {
			t.Errorf("the thread that may hang would be the one to hear of the daemon's death: %v\n%s", err, status)
		}
	}
	device, err := deviceOfProcess(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(device)
	defer detach(s.Mounts[0])
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
	eventually(t, "the connection is broken", func() bool {
		fds := []unix.PollFd{{Fd: int32(device)}}
		_, err := unix.Poll(fds, 10)
		return err == nil && fds[0].Revents&unix.POLLERR != 0
	})
}

// deviceOfProcess is another descriptor of what a process serves.
func deviceOfProcess(pid int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(process)
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return -1, err
	}
	for _, l := range links {
		var fd int
		if target, err := os.Readlink(l); err != nil || target != "/dev/fuse" {
			continue
		}
		if _, err := fmt.Sscan(filepath.Base(l), &fd); err != nil {
			return -1, err
		}
		return unix.PidfdGetfd(process, fd, 0)
	}
	return -1, fs.ErrNotExist
}

// TestHungHelper stops the helper while changes come in. Nobody may wait for it,
// and another one has to take its place.
func TestHungHelper(t *testing.T) {
	s := setup{Dir: t.TempDir(), Mounts: []string{t.TempDir(), t.TempDir()}, Guarded: true}
	p := start(t, s)
	here, there := filepath.Join(s.Mounts[0], shared), filepath.Join(s.Mounts[1], shared)
	write(t, filepath.Join(here, "old"), "text\n")
	arrives(t, filepath.Join(there, "old"), "text\n")
	w := watchAll(t, there, ".")
	for _, pid := range children(p.cmd.Process.Pid) {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := os.Rename(filepath.Join(here, "old"), filepath.Join(here, "new")); err != nil {
		t.Fatal(err)
	}
	arrives(t, filepath.Join(there, "new"), "text\n")
	eventually(t, "the old name is gone", func() bool {
		_, err := os.Stat(filepath.Join(there, "old"))
		return errors.Is(err, fs.ErrNotExist)
	})
	t.Logf("the names are right after %v", time.Since(begun))
	write(t, filepath.Join(here, "last"), "text\n")
	eventually(t, "another helper tells of the last change", func() bool { return w.has(".:last CLOSE_WRITE") })
	t.Logf("programs that watch are told after %v", time.Since(begun))
	for _, pid := range children(p.cmd.Process.Pid) { // and the end of it all does not wait either
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil || strings.Count(p.log.String(), "\n") != 1 {
		t.Errorf("%v\n%s", err, p.log)
	}
}
