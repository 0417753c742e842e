package fusefs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What can be wrong with a mount point. Match them with errors.Is.
var (
	ErrBusy     = errors.New("already mounted")
	ErrNotEmpty = errors.New("folder is not empty")
	ErrNoDevice = errors.New("this system has no FUSE")
)

// A MountError says why a folder could not be mounted and what to do.
type MountError struct {
	Dir  string
	Err  error
	Hint string // the next step, a sentence without its full stop
}

func (e *MountError) Error() string {
	return fmt.Sprintf("mount %s: %v; %s", e.Dir, e.Err, e.Hint)
}

func (e *MountError) Unwrap() error { return e.Err }

const (
	// fsType is how the kernel names our mounts: the type in /proc/mounts.
	fsType  = "fuse." + subtype
	subtype = "echofs"

	// answerTime is how long a mount may take to answer before it counts as
	// held by a daemon that hangs.
	answerTime = 2 * time.Second
)

// prepare makes dir ready to be mounted: it detaches what a killed daemon left
// there and checks everything that can be checked before asking the kernel.
// It returns the absolute path, without symbolic links.
func prepare(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("mount %s: %w", dir, err)
	}
	// The last element may be a dead mount, of which nothing can be read, so
	// only its parent is resolved before the mount table is asked.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	if err := clearStale(path); err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		path = real
		if err := clearStale(path); err != nil {
			return "", err
		}
	}
	if err := checkFolder(path); err != nil {
		return "", err
	}
	return path, checkSystem(path)
}

// clearStale detaches dead mounts of ours from path, topmost first.
func clearStale(path string) error {
	// Mounts stack, but a stack deeper than this is not an accident.
	for range 16 {
		ours, err := mountedByUs(path)
		if err != nil || !ours {
			return err
		}
		switch err := probe(path); {
		case errors.Is(err, unix.ENOTCONN):
			if err := detach(path); err != nil {
				return &MountError{path, fmt.Errorf("detach what a killed daemon left: %w", err),
					"detach it with `fusermount3 -uz " + path + "` (or `umount -l` as root) and start again"}
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &MountError{path, ErrBusy, "the daemon that serves it does not answer; " +
				"end that daemon, or choose another folder"}
		default:
			return &MountError{path, ErrBusy, "another echofs daemon serves it; " +
				"stop that one with `echofs down`, or choose another folder"}
		}
	}
	return &MountError{path, ErrBusy, "too many dead mounts lie over each other; choose another folder"}
}

// probe asks the file system at path for a sign of life.
func probe(path string) error {
	answer := make(chan error, 1)
	go func() { // ends when the daemon behind the mount answers or dies
		var st unix.Stat_t
		err := unix.Lstat(path, &st)
		if err == nil {
			// The attributes of the root may come from the kernel's cache;
			// these numbers never do.
			var fs unix.Statfs_t
			err = unix.Statfs(path, &fs)
		}
		answer <- err
	}()
	timeout := time.NewTimer(answerTime)
	defer timeout.Stop()
	select {
	case err := <-answer:
		return err
	case <-timeout.C:
		return os.ErrDeadlineExceeded
	}
}

// detach takes the topmost mount off path, even if files in it are open.
func detach(path string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(path, unix.MNT_DETACH)
	}
	bin, err := fusermount()
	if err != nil {
		return err
	}
	out, err := exec.Command(bin, "-u", "-z", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// fusermount finds the set-uid program that mounts for users other than root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount", "/bin/fusermount3"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", fmt.Errorf("fusermount3: %w", exec.ErrNotFound)
}

func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &MountError{path, os.ErrNotExist, "create the folder first: `mkdir -p " + path + "`"}
	case errors.Is(err, unix.ENOTCONN):
		return &MountError{path, unix.ENOTCONN, "a dead mount of another program lies there; " +
			"detach it with `fusermount3 -uz " + path + "`"}
	case err != nil:
		return &MountError{path, err, "choose a folder that you may enter"}
	case !info.IsDir():
		return &MountError{path, unix.ENOTDIR, "choose a folder"}
	}
	f, err := os.Open(path)
	if err != nil {
		return &MountError{path, err, "choose a folder that you may read"}
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err == nil {
		return &MountError{path, ErrNotEmpty, "move its files elsewhere, or choose another folder"}
	} else if err != io.EOF {
		return &MountError{path, err, "choose a folder that you may read"}
	}
	return nil
}

// checkSystem finds out whether this process could mount at all.
func checkSystem(path string) error {
	const device = "/dev/fuse"
	if _, err := os.Stat(device); err != nil {
		return &MountError{path, fmt.Errorf("%w: %w", ErrNoDevice, err),
			"load the kernel module with `modprobe fuse`, or start the container with `--device /dev/fuse`"}
	}
	if os.Geteuid() != 0 {
		if _, err := fusermount(); err != nil {
			return &MountError{path, err, "install the package fuse3, which lets users mount"}
		}
		return nil
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return &MountError{path, fmt.Errorf("%w: %w", ErrNoDevice, err),
			"start the container with `--device /dev/fuse`"}
	}
	return f.Close()
}

// explain adds the next step to an error of the mount itself.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM) && os.Geteuid() == 0:
		return &MountError{path, err, "root may not mount here; start the container with `--cap-add SYS_ADMIN`"}
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return &MountError{path, err, "choose a folder that you own"}
	case os.Geteuid() != 0:
		return &MountError{path, err, "choose a folder that you own, and look at what fusermount3 printed"}
	}
	return &MountError{path, err, "look at the kernel's log with `dmesg`"}
}

// mountedByUs reports whether the topmost mount at path is one of ours.
func mountedByUs(path string) (bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, fmt.Errorf("read the mount table: %w", err)
	}
	return topmost(string(table), path) == fsType, nil
}

// topmost returns the type of the file system mounted last at path according
// to a table in the format of /proc/self/mountinfo, or "".
func topmost(table, path string) string {
	found := ""
	for line := range strings.Lines(table) {
		left, right, ok := strings.Cut(line, " - ")
		fields := strings.Fields(left)
		if !ok || len(fields) < 5 || unescape(fields[4]) != path {
			continue
		}
		if kind := strings.Fields(right); len(kind) > 0 {
			found = kind[0]
		}
	}
	return found
}

// unescape undoes the kernel's \ooo for blanks, tabs, newlines and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
