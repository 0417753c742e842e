package fusefs

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HelperArg is the only argument of the command line with which a mount starts
// its helper. The program then calls Helper before anything else.
const HelperArg = "live-edits-helper"

// IsHelper reports whether this process was started to be a helper.
func IsHelper(args []string) bool { return len(args) == 2 && args[1] == HelperArg }

// A deed is what the helper does in the mount so that the kernel raises the
// events of a change that is in the tree already. It changes nothing: the
// daemon knows who asks, and answers with what is so.
type deed uint8

const (
	deedCreate deed = iota // make an empty file, folder or link
	deedModify             // open for writing, set a time, close
	deedAttrib             // set both times
	deedDelete
	deedRename
	deedEnd // nothing more
)

// A task is one deed. Folders are relative to the mount, "" is the mount itself.
type task struct {
	Deed            deed
	Dir, Name       string
	OldDir, OldName string // deedRename: from here
	Kind            uint32 // S_IF… of what it is about
	Target          string // deedCreate of a symbolic link
	Written         bool   // deedCreate of a file: it has content
}

// A place of work is the first thing a helper is told, and its thread the first
// that it tells.
type workplace struct {
	Mount string
	Dev   uint64 // of the mount: the same folder may be something else one day
}

type started struct{ Thread int }

// An outcome is the errno of a task. Left says that the mount is gone.
type outcome struct {
	Errno unix.Errno
	Left  bool
}

var errNotMounted = errors.New("not mounted")

// Helper is the process that carries out tasks in a mount until in ends. It
// holds no keys and nothing of the daemon's but these two pipes, and it touches
// nothing outside the mount, whatever lies at its path. It is a process of its
// own because whoever waits for a mount cannot be ended before the daemon is.
func Helper(in io.Reader, out io.Writer) error {
	runtime.LockOSThread() // the daemon knows it by its thread
	if err := checkDevices(); err != nil {
		return err
	}
	from, to := gob.NewDecoder(in), gob.NewEncoder(out)
	var at workplace
	if err := from.Decode(&at); err != nil {
		return err
	}
	// The signal must not wait for this thread, which may be waiting for the mount.
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &unix.Sigset_t{Val: [16]uint64{1 << (orphaned - 1)}}, nil); err != nil {
		return err
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, orphaned)
	daemon := unix.Getppid()
	go at.guard(daemon, died)
	if err := to.Encode(started{unix.Gettid()}); err != nil {
		return err
	}
	for {
		var t task
		if err := from.Decode(&t); err != nil {
			at.outlive(daemon) // it would have said so
			return err
		}
		if t.Deed == deedEnd {
			return nil
		}
		err := at.do(t)
		var o outcome
		if err != nil {
			o.Errno, o.Left = errno(err), err == errNotMounted
		}
		if err := to.Encode(o); err != nil {
			return err
		}
	}
}

// orphaned is the signal that a helper gets when its daemon dies.
const orphaned = unix.SIGTERM

// guard ends the mount when the daemon is killed. One that is killed while the
// kernel takes a notice of it cannot end: the kernel waits for a request to this
// same daemon, and does so for ever unless somebody breaks the connection.
//
// The signal says only that the daemon may be dying: it can be sent by others.
func (at workplace) guard(daemon int, died <-chan os.Signal) {
	for range died {
		if at.outlive(daemon) {
			os.Exit(1)
		}
	}
}

// outlive ends the mount if the daemon dies within seconds.
func (at workplace) outlive(daemon int) bool {
	for range 500 {
		if unix.Getppid() != daemon || dead(daemon) {
			at.abort()
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// dead reports whether a process has ended, or is killed and only waits for
// threads that are stuck, which can be its first.
func dead(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return true
			}
		case "SigPnd", "ShdPnd":
			if set, err := strconv.ParseUint(value, 16, 64); err == nil && set&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}

// abort breaks the connection of the mount to its daemon and leaves the mount:
// programs are to be told that nobody serves it, and not to write below it.
func (at workplace) abort() {
	if dev, err := deviceOf(at.Mount); err != nil || dev != at.Dev {
		return
	}
	// In use, it is not unmounted. Opening it this way asks nobody.
	if busy, err := unix.Open(at.Mount, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(busy)
	}
	if err := unix.Unmount(at.Mount, unix.MNT_FORCE); err == nil || err == unix.EBUSY {
		return
	}
	// Not root: the file that does it belongs to whoever mounted.
	f, err := os.OpenFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", unix.Minor(at.Dev)), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString("1")
}

// checkDevices refuses descriptors of /dev/fuse. With one of them open here, a
// mount would outlive its daemon, and this process wait for it for ever.
func checkDevices() error {
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, l := range links {
		if target, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil && target == "/dev/fuse" {
			return errors.New("started with a descriptor of /dev/fuse")
		}
	}
	return nil
}

// root opens the mount. It is not kept open, so that it can be unmounted.
func (at workplace) root() (int, error) {
	fd, err := unix.Open(at.Mount, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Dev != at.Dev {
		unix.Close(fd)
		return -1, errNotMounted
	}
	return fd, nil
}

// folder opens a folder of the mount: never outside it, never by a link.
func folder(root int, dir string) (int, error) {
	if dir == "" {
		dir = "."
	}
	how := &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	return unix.Openat2(root, dir, how)
}

func (at workplace) do(t task) error {
	root, err := at.root()
	if err != nil {
		return err
	}
	defer unix.Close(root)
	dir, err := folder(root, t.Dir)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if strings.Contains(t.Name, "/") || strings.Contains(t.OldName, "/") {
		return unix.EINVAL
	}
	switch t.Deed {
	case deedCreate:
		return create(dir, t)
	case deedModify:
		return modify(dir, t.Name)
	case deedAttrib:
		return unix.UtimesNanoAt(dir, t.Name, touchBoth, unix.AT_SYMLINK_NOFOLLOW)
	case deedDelete:
		flags := 0
		if t.Kind == unix.S_IFDIR {
			flags = unix.AT_REMOVEDIR
		}
		return unix.Unlinkat(dir, t.Name, flags)
	case deedRename:
		old, err := folder(root, t.OldDir)
		if err != nil {
			return err
		}
		defer unix.Close(old)
		return rename(old, t.OldName, dir, t.Name)
	}
	return unix.EINVAL
}

// rename renames. Where somebody has just looked up a folder by its new name,
// the kernel knows it there, and cannot take it back while it renames: ESTALE.
// It can when the old name is looked up by itself.
func rename(old int, from string, dir int, to string) error {
	for range 20 {
		err := unix.Renameat(old, from, dir, to)
		if err != unix.ESTALE {
			return err
		}
		var st unix.Stat_t
		_ = unix.Fstatat(old, from, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.ESTALE
}

var (
	touchBoth     = []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}  // ATTRIB
	touchModified = []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}} // MODIFY
)

// writing opens a file only for the events of opening and closing.
const writing = unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

func create(dir int, t task) error {
	switch t.Kind {
	case unix.S_IFDIR:
		return unix.Mkdirat(dir, t.Name, 0o755)
	case unix.S_IFLNK:
		return unix.Symlinkat(t.Target, dir, t.Name)
	}
	fd, err := unix.Openat(dir, t.Name, writing|unix.O_CREAT|unix.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if t.Written {
		return unix.UtimesNanoAt(fd, "", touchModified, unix.AT_EMPTY_PATH)
	}
	return nil
}

// modify does it by name where a file cannot be opened, such as a link or a
// program that runs: no CLOSE_WRITE then, but that cannot be done locally either.
func modify(dir int, name string) error {
	fd, err := unix.Openat(dir, name, writing, 0)
	if err != nil {
		return unix.UtimesNanoAt(dir, name, touchModified, unix.AT_SYMLINK_NOFOLLOW)
	}
	defer unix.Close(fd)
	return unix.UtimesNanoAt(fd, "", touchModified, unix.AT_EMPTY_PATH)
}
