package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDemo runs what `make demo` runs, uses it, and ends it with Ctrl-C.
func TestDemo(t *testing.T) {
	tmp, err := os.MkdirTemp("", worldPrefix)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("env", "--default-signal=INT", "demo/run", echofs) // a job in the background ignores it
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a signal reaches all of it, as from a terminal
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) })
	defer stuck.Stop()

	said := map[string]string{} // what was printed, by the first words of the line
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if key, value, ok := strings.Cut(line, "   "); ok {
			said[key] = strings.TrimSpace(value)
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			break
		}
	}
	ann, bob, apps := said["Ann's folder"], said["Bob's folder"], []string{said["Ann's app"], said["Bob's app"]}
	if ann == "" || bob == "" || slices.Contains(apps, "") {
		t.Fatalf("the demo said %q\n%s", said, errOut.String())
	}

	w := &World{t: t}
	if err := os.WriteFile(ann+"/apps/board/board.txt", []byte("# Seen\n- by Bob\n"), 0o644); err != nil {
		t.Error(err)
	}
	w.Eventually("Bob sees what Ann wrote", func() error {
		got, err := os.ReadFile(bob + "/apps/board/board.txt")
		if err == nil && string(got) != "# Seen\n- by Bob\n" {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
	for _, app := range apps {
		if dom := browse(t, app); !strings.Contains(dom, "by Bob") {
			t.Errorf("Chromium shows\n%s", dom)
		}
	}

	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, errOut.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left := mountsBelow(tmp); len(left) > 0 {
		t.Errorf("still mounted: %s", left)
	}
}
