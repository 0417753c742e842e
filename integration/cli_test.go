package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The exit codes that `echofs help` promises.
const (
	exitUsage       = 2
	exitNotRunning  = 3
	exitNotFound    = 4
	exitBusy        = 5
	exitRefused     = 6
	exitUnreachable = 7
)

func TestTwoDevices(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "notes")
	alice.Write("notes/before.txt", "written before anybody joined\n")
	alice.Write("notes/folder/deep.bin", strings.Repeat("\x00\xff", 200_000))
	bob.Join(alice.Invite("notes"))

	// A join returns when the files of the inviter are there.
	if got, err := os.ReadFile(bob.Path("notes/before.txt")); err != nil || string(got) != "written before anybody joined\n" {
		t.Errorf("after the join: %q, %v", got, err)
	}
	bob.Write("notes/after.txt", "from bob\n")
	alice.Sees("notes/after.txt", "from bob\n")
	alice.Write("notes/after.txt", "from bob\nand alice\n")
	bob.Sees("notes/after.txt", "from bob\nand alice\n")
	if err := os.Rename(bob.Path("notes/after.txt"), bob.Path("notes/folder/moved.txt")); err != nil {
		t.Fatal(err)
	}
	alice.Lacks("notes/after.txt")
	alice.Sees("notes/folder/moved.txt", "from bob\nand alice\n")
	if err := os.Remove(alice.Path("notes/before.txt")); err != nil {
		t.Fatal(err)
	}
	bob.Lacks("notes/before.txt")
	w.Same(alice, bob, "notes")

	if out := alice.Run("space", "members", "notes"); !strings.Contains(out, "bob") || !strings.Contains(out, "admin") || !strings.Contains(out, "editor") {
		t.Errorf("the members are\n%s", out)
	}
}

func TestThreeDevicesForward(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	carol := w.Up("carol")
	carol.Join(alice.Invite("notes"))
	alice.Write("notes/a.txt", "a\n")
	carol.Sees("notes/a.txt", "a\n")

	// Carol is away while alice writes, and alice is gone when carol comes back:
	// bob hands on what alice signed.
	carol.Run("offline")
	alice.Write("notes/b.txt", "b\n")
	bob.Sees("notes/b.txt", "b\n")
	bob.Run("offline")
	alice.Run("offline")
	carol.Write("notes/c.txt", "c\n")
	bob.Run("online")
	carol.Run("online")
	carol.Sees("notes/b.txt", "b\n")
	bob.Sees("notes/c.txt", "c\n")
	alice.Run("online")
	alice.Sees("notes/c.txt", "c\n")
	w.Same(alice, carol, "notes")
}

func TestOffline(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Write("notes/text.txt", "one\ntwo\nthree\n")
	bob.Sees("notes/text.txt", "one\ntwo\nthree\n")

	bob.Run("offline")
	alice.Connected(0)
	bob.Write("notes/text.txt", "one\ntwo\nthree from bob\n")
	bob.Sees("notes/text.txt", "one\ntwo\nthree from bob\n")
	alice.Write("notes/text.txt", "one from alice\ntwo\nthree\n")
	bob.Stop()
	bob.Up() // being offline holds over a restart
	if bob.Status().Online {
		t.Error("bob is online after a restart")
	}
	bob.Sees("notes/text.txt", "one\ntwo\nthree from bob\n")

	bob.Run("online")
	merged := "one from alice\ntwo\nthree from bob\n"
	alice.Sees("notes/text.txt", merged)
	bob.Sees("notes/text.txt", merged)
	w.Same(alice, bob, "notes")
}

func TestKillAndUp(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	for i := range 50 {
		bob.Write(fmt.Sprintf("notes/%d.txt", i), fmt.Sprintln("file", i))
	}
	bob.Kill()
	if _, err := os.ReadDir(bob.mount); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a dead mount should be left: %v", err)
	}
	bob.Fails(exitNotRunning, "start one in another terminal", "status")
	bob.Up()
	for i := range 50 {
		name := fmt.Sprintf("notes/%d.txt", i)
		if got, err := os.ReadFile(bob.Path(name)); err != nil || string(got) != fmt.Sprintln("file", i) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	alice.Sees("notes/49.txt", "file 49\n")
	w.Same(alice, bob, "notes")
}

func TestDownStopsAndLeavesNothing(t *testing.T) {
	w := NewWorld(t)
	alice := w.Up("alice")
	alice.Run("space", "create", "notes")
	alice.Write("notes/x", "kept")
	alice.Run("down")
	if left := mountsBelow(alice.mount); len(left) > 0 {
		t.Errorf("still mounted: %s", left)
	}
	<-alice.done
	if alice.err != nil {
		t.Errorf("the daemon ended with %v", alice.err)
	}
	alice.Fails(exitNotRunning, "no daemon is running", "down")
	alice.Up()
	alice.Sees("notes/x", "kept")
}

func TestInterruptWithOpenFile(t *testing.T) {
	w := NewWorld(t)
	alice := w.Up("alice")
	alice.Run("space", "create", "notes")
	f, err := os.Create(alice.Path("notes/open.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("not yet closed\n"); err != nil {
		t.Fatal(err)
	}
	if err := alice.stop(syscall.SIGINT); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if left := mountsBelow(alice.mount); len(left) > 0 {
		t.Errorf("still mounted: %s", left)
	}
	alice.Up()
	alice.Sees("notes/open.txt", "not yet closed\n")
}

func TestOneDaemonPerHome(t *testing.T) {
	w := NewWorld(t)
	alice := w.Up("alice")
	alice.Fails(exitBusy, "a daemon is running", "up", "--mount", w.Device("other").mount)
	if got := alice.Status().PID; got != alice.cmd.Process.Pid {
		t.Errorf("daemon %d answers, want %d", got, alice.cmd.Process.Pid)
	}
}

func TestBusyPort(t *testing.T) {
	w := NewWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	alice := w.Device("alice")
	alice.Fails(exitBusy, "--http 127.0.0.1:0", "up", "--mount", alice.mount, "--http", l.Addr().String())
}

func TestPortIsKept(t *testing.T) {
	w := NewWorld(t)
	alice := w.Up("alice")
	before := alice.Status().HTTP
	alice.Stop()
	alice.Up()
	if after := alice.Status().HTTP; after != before {
		t.Errorf("the port went from %s to %s: every app would lose its data", before, after)
	}
	alice.Stop()
	l, err := net.Listen("tcp", before)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	alice.Up() // somebody took it: another one does
	if after := alice.Status().HTTP; after == before {
		t.Errorf("two programs listen at %s", after)
	}
}

func TestMountPoints(t *testing.T) {
	w := NewWorld(t)
	alice := w.Device("alice")
	full := filepath.Join(w.dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	alice.Fails(exitBusy, "not empty", "up", "--mount", full, "--http", "127.0.0.1:0")
	alice.Fails(exitNotFound, "mkdir -p", "up", "--mount", filepath.Join(w.dir, "missing"), "--http", "127.0.0.1:0")
	alice.Fails(1, "echofs", "up", "--mount", file, "--http", "127.0.0.1:0")
	alice.Fails(exitUsage, "must not contain each other", "up", "--mount", filepath.Join(alice.home, "mnt"), "--http", "127.0.0.1:0")
	if left := mountsBelow(w.dir + "/"); len(left) > 0 {
		t.Errorf("still mounted: %s", left)
	}
	alice.Up() // a failed start does no harm to the next
}

func TestInvitations(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	carol := w.Up("carol")

	used := alice.Invite("notes")
	carol.Join(used)
	dave := w.Up("dave")
	dave.Fails(exitRefused, "already", "space", "join", used)
	dave.Fails(exitRefused, "incomplete", "space", "join", used[:len(used)-5])
	dave.Fails(exitNotFound, "an invitation starts with", "space", "join", "hello")
	carol.Fails(exitBusy, "already", "space", "join", alice.Invite("notes"))
	bob.Fails(exitRefused, "only an admin", "space", "share", "notes")

	late := alice.Invite("notes")
	for _, d := range []*Device{alice, bob, carol} {
		d.Run("offline")
	}
	dave.Fails(exitUnreachable, "answered in time", "space", "join", "--timeout", "2s", late)
	for _, d := range []*Device{alice, bob, carol} {
		d.Run("online")
	}

	// A reader sees everything and writes nothing.
	dave.Join(alice.Invite("notes", "--role", "reader"))
	alice.Write("notes/x.txt", "x\n")
	dave.Sees("notes/x.txt", "x\n")
	if err := os.WriteFile(dave.Path("notes/y.txt"), nil, 0o644); !errors.Is(err, syscall.EROFS) && !errors.Is(err, os.ErrPermission) {
		t.Errorf("a reader wrote: %v", err)
	}
	w.Same(alice, dave, "notes")
}

func TestApp(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	if out := alice.Run("app", "list"); out != "" {
		t.Errorf("apps before there is one: %q", out)
	}
	copyBoard(t, alice.Path("notes/apps/board"))
	bob.Sees("notes/apps/board/board.txt", read(t, "demo/board/board.txt"))

	for _, d := range []*Device{alice, bob} {
		url := strings.TrimSpace(d.Run("app", "open", "board", "--print"))
		if want := "http://board--notes.localhost:"; !strings.HasPrefix(url, want) {
			t.Fatalf("the URL is %s, want %s…", url, want)
		}
		get := func(host, path string) (int, string) {
			t.Helper()
			req, err := http.NewRequest("GET", "http://"+d.Status().HTTP+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(body)
		}
		host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
		if code, body := get(host, "/"); code != 200 || !strings.Contains(body, "<title>Board</title>") {
			t.Errorf("%s: %d %s", d.name, code, body)
		}
		if code, _ := get(d.Status().HTTP+".evil.example", "/"); code != http.StatusMisdirectedRequest {
			t.Errorf("%s answers a foreign Host with %d", d.name, code)
		}
		if code, _ := get(host, "/../../x.txt"); code == 200 {
			t.Errorf("%s serves what is outside of the app", d.name)
		}
	}

	// Whoever changes the file, the next request has it.
	bob.Write("notes/apps/board/board.txt", "# Done\n- nothing is left\n")
	alice.Sees("notes/apps/board/board.txt", "# Done\n- nothing is left\n")
	dom := browse(t, strings.TrimSpace(alice.Run("app", "open", "board", "--print")))
	if !strings.Contains(dom, "nothing is left") {
		t.Errorf("Chromium shows\n%s", dom)
	}
}

// browse opens a page in a real browser and returns what it has become.
func browse(t *testing.T, url string) string {
	t.Helper()
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom", url)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, errOut.String())
	}
	return string(out)
}

func copyBoard(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", "demo/board", dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCommandsWithoutDaemon(t *testing.T) {
	w := NewWorld(t)
	alice := w.Device("alice")
	for _, args := range []string{"status", "down", "online", "offline", "space list", "space create x", "space info x", "space members x", "space share x", "app list", "app open x"} {
		alice.Fails(exitNotRunning, "start one in another terminal", strings.Fields(args)...)
	}
	if out := alice.Run("version"); !strings.HasPrefix(out, "echofs ") {
		t.Errorf("version prints %q", out)
	}
}
