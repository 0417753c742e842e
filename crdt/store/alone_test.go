package store

import (
	"os"
	"os/exec"
	"testing"
)

// runAlone runs one test again in a process of its own, because it changes
// something that belongs to the whole process.
func runAlone(t *testing.T, name, env string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
