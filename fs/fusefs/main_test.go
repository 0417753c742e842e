package fusefs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/fs/vfs"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A process that reads a mount which it serves itself can wait for itself. So
// the tests are two processes: this one is the user, and a second run of the
// test binary serves the mounts.

const serveVariable = "ECHOFS_TEST_SERVE"

// shared is the name of the space in every mount of these tests.
const shared = "shared"

// setup tells a serving process what to mount.
type setup struct {
	Dir    string   // for data
	Mounts []string // one device each; all of them share one space
	Debug  bool

	Guarded bool // wait for the helpers first
}

func TestMain(m *testing.M) {
	var err error
	if IsHelper(os.Args) {
		err = Helper(os.Stdin, os.Stdout)
	} else if raw := os.Getenv(serveVariable); raw != "" {
		err = serveProcess(raw)
	} else if raw := os.Getenv(loopbackVariable); raw != "" {
		var dirs [2]string
		if err = json.Unmarshal([]byte(raw), &dirs); err == nil {
			err = loopbackProcess(dirs[0], dirs[1])
		}
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveProcess serves what raw asks for until standard input ends. It fails if
// anything of the mounts is left when it has ended.
func serveProcess(raw string) error {
	var s setup
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return err
	}
	before := goleak.IgnoreCurrent()
	if err := s.serve(); err != nil {
		return err
	}
	var errs []error
	if err := goleak.Find(before); err != nil {
		errs = append(errs, err)
	}
	if n := fuseDescriptors(); n > 0 {
		errs = append(errs, fmt.Errorf("%d descriptors of /dev/fuse are open", n))
	}
	for _, dir := range s.Mounts {
		if ours, err := mountedByUs(dir); err != nil || ours {
			errs = append(errs, fmt.Errorf("%s is still mounted: %v", dir, err))
		}
	}
	return errors.Join(errs...)
}

func (s setup) serve() (err error) {
	level := slog.LevelWarn
	if s.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var spaces []*space.Space
	var closers []func() error
	defer func() {
		for i := len(closers) - 1; i >= 0; i-- {
			err = errors.Join(err, closers[i]())
		}
		cancel()
		running.Wait()
		for _, sp := range spaces {
			err = errors.Join(err, sp.Close())
		}
	}()

	for i, dir := range s.Mounts {
		sp, err := s.openSpace(i, spaces, log)
		if err != nil {
			return fmt.Errorf("space %d: %w", i, err)
		}
		spaces = append(spaces, sp)
		running.Go(func() {
			if err := sp.Run(ctx); err != nil && ctx.Err() == nil {
				log.Error("space ended", "err", err)
			}
		})
		v := vfs.New(vfs.Config{Dir: filepath.Join(s.Dir, fmt.Sprint("scratch", i)), Log: log,
			UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
		if err := v.Add(shared, sp); err != nil {
			return err
		}
		closers = append(closers, v.Close)
		m, err := New(dir, v, Options{Log: log, Debug: s.Debug, Helper: []string{"/proc/self/exe", HelperArg}})
		if err != nil {
			return err
		}
		closers = append(closers, func() error {
			defer m.Wait()
			return m.Unmount()
		})
		if s.Guarded {
			<-m.inval.guard
		}
	}
	for i := range spaces {
		for j := range spaces {
			if i != j {
				running.Go(func() { carry(ctx, spaces[i], spaces[j], log) })
			}
		}
	}
	fmt.Println("ready")
	waitForEnd()
	return nil
}

// waitForEnd returns when the process that started this one says so, or is gone.
func waitForEnd() { io.Copy(io.Discard, os.Stdin) }

// openSpace makes the space of device i: the first one founds it, the others
// are invited by the first.
func (s setup) openSpace(i int, others []*space.Space, log *slog.Logger) (*space.Space, error) {
	dir := filepath.Join(s.Dir, fmt.Sprint("device", i))
	device, err := identity.NewDevice(nil, fmt.Sprint("device ", i))
	if err != nil {
		return nil, err
	}
	cfg := space.Config{Dir: dir, Device: device, Log: log}
	if len(others) == 0 {
		return space.Create(cfg, shared)
	}
	founder := others[0]
	admission, err := founder.Admit(device.Chain(), credential.Editor)
	if err != nil {
		return nil, err
	}
	return space.Join(cfg, shared, admission.Credentials, feed.Key(admission.Key))
}

// carry brings everything one device commits to another one: replication
// without a network.
func carry(ctx context.Context, from, to *space.Space, log *slog.Logger) {
	news, stop := from.Notify()
	defer stop()
	var done uint64
	for {
		if err := to.AddCredentials(ctx, from.Credentials()); err != nil && ctx.Err() == nil {
			log.Error("credentials refused", "err", err)
		}
		refs, err := from.Log(done, 100)
		if err != nil {
			if ctx.Err() == nil {
				log.Error("read log", "err", err)
			}
			return
		}
		var raw [][]byte
		for _, ref := range refs {
			entry, err := from.Entry(ref.Feed, ref.Seq)
			if err != nil {
				log.Error("read entry", "err", err)
				return
			}
			raw = append(raw, entry)
			done = ref.Pos
		}
		if len(raw) > 0 {
			if err := to.Accept(ctx, raw); err != nil && ctx.Err() == nil {
				log.Error("entries refused", "err", err)
			}
			continue
		}
		for got := true; got; { // the first one lists others
			got = false
			for _, hash := range to.MissingChunks(100) {
				if chunk, err := from.Chunk(hash); err == nil {
					if err := to.PutChunk(hash, chunk); err != nil {
						log.Error("chunk refused", "err", err)
						continue
					}
					got = true
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		}
	}
}

// fuseDescriptors counts the descriptors of this process on /dev/fuse.
func fuseDescriptors() int {
	links, _ := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "/dev/fuse" {
			n++
		}
	}
	return n
}

// A server is a running process that serves mounts.
type server struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *lines
}

// serve starts a process that serves n devices of one space and returns the
// space's folder in each mount. It ends with the test.
func serve(t testing.TB, n int) []string {
	t.Helper()
	s := setup{Dir: t.TempDir(), Debug: os.Getenv("ECHOFS_TEST_DEBUG") != ""}
	var folders []string
	for range n {
		dir := t.TempDir()
		s.Mounts = append(s.Mounts, dir)
		folders = append(folders, filepath.Join(dir, shared))
	}
	p := start(t, s)
	t.Cleanup(func() { p.stop(t) })
	return folders
}

func start(t testing.TB, s setup) *server {
	t.Helper()
	return startWith(t, serveVariable, s, nil)
}

// startWith runs this binary once more with a variable set to work, in JSON.
func startWith(t testing.TB, variable string, work any, as *syscall.SysProcAttr) *server {
	t.Helper()
	raw, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	// The link is followed as it is, so that another user may run what it
	// could not find.
	const exe = "/proc/self/exe"
	p := &server{cmd: exec.Command(exe), log: &lines{}}
	p.cmd.Env = append(os.Environ(), variable+"="+string(raw))
	p.cmd.Stderr, p.cmd.SysProcAttr = p.log, as
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		p.stdin.Close()
		p.cmd.Wait()
		t.Fatalf("the serving process did not start: %v\n%s", err, p.log)
	}
	return p
}

// stop ends the process and fails the test if it left anything behind or had
// anything to complain about.
func (p *server) stop(t testing.TB) {
	t.Helper()
	p.stdin.Close()
	watchdog := time.AfterFunc(5*time.Minute, func() {
		t.Logf("the serving process does not end; in its mounts are %q", inMounts())
		p.cmd.Process.Signal(syscall.SIGQUIT) // and says where it is
	})
	err := p.cmd.Wait()
	watchdog.Stop()
	if err != nil || p.log.String() != "" && os.Getenv("ECHOFS_TEST_DEBUG") == "" {
		t.Errorf("the serving process: %v\n%s", err, p.log)
	}
}

// inMounts lists what processes have open in mounts of ours.
func inMounts() (all []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	folders, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range append(links, folders...) {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, os.TempDir()) && strings.Contains(target, "/"+shared) {
			name, _ := os.ReadFile(filepath.Join("/proc", strings.Split(link, "/")[2], "cmdline"))
			all = append(all, fmt.Sprintf("%s of %.200s: %s", link, strings.ReplaceAll(string(name), "\x00", " "), target))
		}
	}
	return all
}

// lines collects what a process prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if os.Getenv("ECHOFS_TEST_DEBUG") != "" {
		os.Stderr.Write(b)
	}
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually fails the test unless ok becomes true in good time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		runtime.Gosched()
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wait passes time in a synctest bubble.
func wait(d time.Duration) { <-time.After(d) }
