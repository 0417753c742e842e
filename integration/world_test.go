package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const worldPrefix = "echofs-world-"

// patience is how long something may take that should be quick. It is only
// ever used up by a failure.
const patience = 5 * time.Minute

// A World is a set of devices, each a real daemon in a home and with a mount
// point of its own, below one temporary folder.
type World struct {
	t       testing.TB
	dir     string
	devices []*Device
}

// NewWorld makes an empty world that ends with the test: daemons are stopped,
// and whatever is still mounted is detached and fails the test.
func NewWorld(t testing.TB) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", worldPrefix)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{t: t, dir: dir}
	t.Cleanup(w.end)
	return w
}

func (w *World) end() {
	for _, d := range w.devices {
		if d.running() {
			d.stop(syscall.SIGTERM)
		}
	}
	for _, mount := range mountsBelow(w.dir + "/") {
		w.t.Errorf("%s is still mounted", mount)
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	}
	if w.t.Failed() {
		for _, d := range w.devices {
			w.t.Logf("--- log of %s\n%s", d.name, d.log.tail())
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}

// A Device is one daemon with its home and mount point, and the commands that
// somebody types there.
type Device struct {
	w     *World
	name  string
	home  string
	mount string
	log   *logBuffer
	cmd   *exec.Cmd
	done  chan struct{} // closed when the daemon has ended; err is set then
	err   error
}

// Device makes a device that is not started.
func (w *World) Device(name string) *Device {
	w.t.Helper()
	d := &Device{
		w: w, name: name, log: &logBuffer{},
		home: filepath.Join(w.dir, name+"-home"), mount: filepath.Join(w.dir, name),
	}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.devices = append(w.devices, d)
	return d
}

// Up makes a device and starts it.
func (w *World) Up(name string, args ...string) *Device {
	w.t.Helper()
	d := w.Device(name)
	d.Up(args...)
	return d
}

// Pair makes two started devices that share a space.
func (w *World) Pair(space string) (alice, bob *Device) {
	w.t.Helper()
	alice, bob = w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", space)
	bob.Join(alice.Invite(space))
	return alice, bob
}

// Eventually waits until check returns nil.
func (w *World) Eventually(what string, check func() error) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// command is `echofs …` for this device.
func (d *Device) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, echofs, args...)
	cmd.Env = append(os.Environ(), "ECHOFS_HOME="+d.home, "HOME="+d.w.dir, "XDG_DATA_HOME=", "XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS=", "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=")
	return cmd
}

// upArgs are the arguments of a plain `echofs up` for this device.
func (d *Device) upArgs(args ...string) []string {
	return append([]string{"up", "--mount", d.mount, "--name", d.name, "--http", "127.0.0.1:0", "--log", "info"}, args...)
}

// Up starts the daemon and waits until it is ready.
func (d *Device) Up(args ...string) {
	d.w.t.Helper()
	if err := d.start(args...); err != nil {
		d.w.t.Fatalf("%s up: %v", d.name, err)
	}
}

// start starts the daemon and returns when it is ready or has ended.
func (d *Device) start(args ...string) error {
	ready := make(chan struct{})
	var once sync.Once
	d.cmd = d.command(context.Background(), d.upArgs(args...)...)
	d.cmd.Stderr = d.log
	d.cmd.Stdout = writer(func(p []byte) {
		if bytes.Contains(p, []byte("ready: ")) {
			once.Do(func() { close(ready) })
		}
	})
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	launch <- func() { started <- d.cmd.Start() }
	if err := <-started; err != nil {
		return err
	}
	done := make(chan struct{})
	d.done, d.err = done, nil
	go func(cmd *exec.Cmd) {
		d.err = cmd.Wait()
		close(done)
	}(d.cmd)
	select {
	case <-ready:
		return nil
	case <-done:
		return fmt.Errorf("it ended before it was ready: %w\n%s", d.err, d.log.tail())
	case <-time.After(patience):
		d.stop(syscall.SIGKILL)
		return errors.New("it did not get ready")
	}
}

func (d *Device) running() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// stop sends the daemon a signal and waits until it is gone.
func (d *Device) stop(sig syscall.Signal) error {
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.w.t.Errorf("stopping %s: %v", d.name, err)
	}
	select {
	case <-d.done:
	case <-time.After(patience):
		d.w.t.Errorf("%s does not stop; its goroutines are in its log", d.name)
		_ = d.cmd.Process.Signal(syscall.SIGQUIT)
		<-d.done
	}
	return d.err
}

// Stop ends the daemon as a service manager does. It must exit with 0.
func (d *Device) Stop() {
	d.w.t.Helper()
	if err := d.stop(syscall.SIGTERM); err != nil {
		d.w.t.Errorf("%s ended with %v", d.name, err)
	}
}

// Kill ends the daemon as a power cut does, as far as the daemon can tell.
func (d *Device) Kill() { _ = d.stop(syscall.SIGKILL) }

// Run runs a command, which must work, and returns its stdout.
func (d *Device) Run(args ...string) string {
	d.w.t.Helper()
	out, code, errOut := d.try(args...)
	if code != 0 {
		d.w.t.Fatalf("%s: echofs %s: exit code %d\n%s", d.name, strings.Join(args, " "), code, errOut)
	}
	return out
}

// Fails runs a command, which must fail with that code and say that.
func (d *Device) Fails(code int, message string, args ...string) {
	d.w.t.Helper()
	_, got, errOut := d.try(args...)
	if got != code || !strings.Contains(errOut, message) {
		d.w.t.Errorf("%s: echofs %s: exit code %d, want %d with %q:\n%s", d.name, strings.Join(args, " "), got, code, message, errOut)
	}
}

func (d *Device) try(args ...string) (out string, code int, errOut string) {
	d.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := d.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		d.w.t.Fatal(err)
	}
	return stdout.String(), cmd.ProcessState.ExitCode(), stderr.String()
}

// Invite makes an invitation.
func (d *Device) Invite(space string, args ...string) string {
	d.w.t.Helper()
	lines := strings.Split(strings.TrimRight(d.Run(append([]string{"space", "share", space}, args...)...), "\n"), "\n")
	return lines[len(lines)-1]
}

// Join accepts an invitation.
func (d *Device) Join(invitation string) {
	d.w.t.Helper()
	d.Run("space", "join", invitation)
}

// status is what the tests read of `echofs status --json`.
type status struct {
	PID    int
	HTTP   string
	Online bool
	Spaces []struct {
		Name  string
		Peers int
	}
	Problems []struct{ Message string }
}

// Status asks the daemon.
func (d *Device) Status() (s status) {
	d.w.t.Helper()
	if err := json.Unmarshal([]byte(d.Run("status", "--json")), &s); err != nil {
		d.w.t.Fatal(err)
	}
	return s
}

// Connected waits until the device has that many peers in its only space.
func (d *Device) Connected(peers int) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("%s has %d peers", d.name, peers), func() error {
		if s := d.Status(); len(s.Spaces) != 1 || s.Spaces[0].Peers != peers {
			return fmt.Errorf("it has %+v", s.Spaces)
		}
		return nil
	})
}

// Path is the path of a file, given as SPACE/PATH.
func (d *Device) Path(name string) string { return filepath.Join(d.mount, name) }

// Write saves a file, and makes the folders above it.
func (d *Device) Write(name, content string) {
	d.w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.Path(name)), 0o755); err != nil {
		d.w.t.Fatal(err)
	}
	if err := os.WriteFile(d.Path(name), []byte(content), 0o644); err != nil {
		d.w.t.Fatal(err)
	}
}

// Sees waits until the device shows that content.
func (d *Device) Sees(name, content string) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("%s sees %s", d.name, name), func() error {
		got, err := os.ReadFile(d.Path(name))
		if err == nil && string(got) != content {
			err = fmt.Errorf("it is %.200q", got)
		}
		return err
	})
}

// Lacks waits until the device does not show a file any more.
func (d *Device) Lacks(name string) {
	d.w.t.Helper()
	d.w.Eventually(fmt.Sprintf("%s lacks %s", d.name, name), func() error {
		_, err := os.Lstat(d.Path(name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
}

// Same waits until two devices show the same tree, byte for byte.
func (w *World) Same(a, b *Device, folder string) {
	w.t.Helper()
	w.Eventually(fmt.Sprintf("%s and %s show the same %s", a.name, b.name, folder), func() error {
		return sameTree(a.Path(folder), b.Path(folder))
	})
}

func sameTree(a, b string) error {
	out, err := exec.Command("diff", "-r", "--no-dereference", a, b).CombinedOutput()
	if err != nil {
		return fmt.Errorf("diff -r: %w: %.2000s", err, out)
	}
	return nil
}

// writer makes an io.Writer of a function.
type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// A logBuffer keeps the end of what a daemon logs.
type logBuffer struct {
	mu   sync.Mutex
	data []byte
}

const logKept = 64 << 10

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	if len(b.data) > 2*logKept {
		b.data = append([]byte(nil), b.data[len(b.data)-logKept:]...)
	}
	return len(p), nil
}

func (b *logBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data[max(0, len(b.data)-logKept):])
}
