package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// echofs is the binary under test. TestMain builds it.
var echofs string

// launch runs f on a thread that lives as long as the tests. Daemons are started
// there and told to stop when it ends, so that even a test that runs into its
// time limit leaves no daemon and no mount behind.
var launch = make(chan func())

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if raw := os.Getenv(rivalVariable); raw != "" {
		if err := rivalMain(raw); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		fmt.Fprintln(os.Stderr, "the tests mount real file systems, and this machine has no FUSE: modprobe fuse, or give the container --device /dev/fuse")
		return 1
	}
	dir, err := os.MkdirTemp("", "echofs-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil { // so that what is left behind is known to be ours
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	echofs = filepath.Join(dir, "echofs")
	if out, err := exec.Command("go", "build", "-o", echofs, "../cmd/echofs").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		return 1
	}
	go func() {
		runtime.LockOSThread()
		for f := range launch {
			f()
		}
	}()
	code := m.Run()
	if left := mountsBelow(dir + "/"); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left mounts behind: %s\n", strings.Join(left, " "))
		return 1
	}
	return code
}

// mountsBelow lists the mount points whose path begins with prefix.
func mountsBelow(prefix string) (list []string) {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		panic(err) // no Linux is without it
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], prefix) {
			list = append(list, fields[1])
		}
	}
	return list
}
