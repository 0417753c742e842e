package fusefs

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTime = 10 * time.Second       // a helper may take to start, on a busy machine
	askTime   = 200 * time.Millisecond // to end when it is asked to: it holds nothing, and may be killed
	endTime   = time.Second            // to end when it is killed
)

// process is a helper that runs.
type process struct {
	cmd     *exec.Cmd
	running atomic.Pointer[os.Process]
	killed  atomic.Bool // or will be when it runs
	stdin   io.WriteCloser
	to      *gob.Encoder
	tid     int
	replies chan outcome  // holds one, which is what may be on its way; closed when it has ended
	ended   chan struct{} // closed when it has been reaped
}

// launchHelper starts command for the mount at dir.
func launchHelper(ctx context.Context, command []string, dir string) (*process, error) {
	at := workplace{Mount: dir}
	var err error
	if at.Dev, err = deviceOf(dir); err != nil {
		return nil, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"GOMAXPROCS=1", "GOGC=20"} // small rather than fast
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C is for the daemon
		Pdeathsig: orphaned,
	}
	p := &process{cmd: cmd, replies: make(chan outcome, 1), ended: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.stdin.Close()
		return nil, err
	}
	up := make(chan error, 1)
	go p.mind(stdout, at, up)
	timeout := time.NewTimer(startTime)
	defer timeout.Stop()
	select {
	case err = <-up:
	case <-timeout.C:
		err = errors.New("does not start")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		p.stop(false)
		return nil, fmt.Errorf("helper: %w", err)
	}
	return p, nil
}

// mind starts the process and lives as long as it does. The signal that ends it
// together with the daemon comes when the thread that started it ends, so this
// one is kept.
func (p *process) mind(stdout io.Reader, at workplace, up chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	if err := p.cmd.Start(); err != nil {
		close(p.replies)
		p.stdin.Close()
		up <- err
		return
	}
	p.running.Store(p.cmd.Process)
	if p.killed.Load() {
		p.cmd.Process.Kill()
	}
	p.to = gob.NewEncoder(p.stdin)
	from := gob.NewDecoder(stdout)
	var s started
	err := p.to.Encode(at)
	if err == nil {
		err = from.Decode(&s)
	}
	p.tid = s.Thread
	up <- err
	for err == nil {
		var o outcome
		if err = from.Decode(&o); err == nil {
			p.replies <- o
		}
	}
	close(p.replies)
	p.cmd.Wait() // how it ended does not matter
}

func (p *process) thread() int { return p.tid }

func (p *process) do(ctx context.Context, t task) (syscall.Errno, error) {
	if err := p.to.Encode(t); err != nil { // a task is smaller than a pipe holds: this does not block
		return 0, err
	}
	timeout := time.NewTimer(deedTime)
	defer timeout.Stop()
	select {
	case o, ok := <-p.replies:
		switch {
		case !ok:
			return 0, io.ErrUnexpectedEOF
		case o.Left:
			return 0, errNotMounted
		}
		return o.Errno, nil
	case <-timeout.C:
		return 0, os.ErrDeadlineExceeded
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *process) gone() <-chan struct{} { return p.ended }

// stop asks the process to end, then kills it. If not even that ends it, it
// waits for a mount, and is left behind until that is answered or gone.
func (p *process) stop(gently bool) {
	defer p.stdin.Close()
	if gently && p.to.Encode(task{Deed: deedEnd}) == nil && p.endsIn(askTime) {
		return
	}
	p.killed.Store(true)
	if running := p.running.Load(); running != nil {
		running.Kill()
	}
	p.endsIn(endTime)
}

func (p *process) endsIn(d time.Duration) bool {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case <-p.ended:
		return true
	case <-timeout.C:
		return false
	}
}

// closeOnExec keeps the device out of processes that are started from here:
// with a copy of it, they would keep the mount alive when this process dies.
func closeOnExec() error {
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, l := range links {
		var fd int
		if target, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil && target == "/dev/fuse" {
			if _, err := fmt.Sscan(l.Name(), &fd); err == nil {
				unix.CloseOnExec(fd)
			}
		}
	}
	return nil
}

// deviceOf is the number of the device mounted last at path, from the mount
// table: asking the mount itself would be a request to this process.
func deviceOf(path string) (uint64, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	var dev uint64
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		var major, minor uint32
		if len(fields) < 5 || unescape(fields[4]) != path {
			continue
		}
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err == nil {
			dev = unix.Mkdev(major, minor)
		}
	}
	if dev == 0 {
		return 0, errNotMounted
	}
	return dev, nil
}
