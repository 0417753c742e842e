package fusefs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestAppends lets several processes on two devices append to one file at once.
// Every line is there in the end: whole, once.
func TestAppends(t *testing.T) {
	const processes, count = 3, 25
	folders := serve(t, 2)
	write(t, filepath.Join(folders[0], "log"), "start\n")
	eventually(t, "the other device has the file", func() bool {
		_, err := os.Stat(filepath.Join(folders[1], "log"))
		return err == nil
	})
	var all sync.WaitGroup
	for d, folder := range folders {
		for p := range processes {
			all.Go(func() {
				// Half of them open the file for each line, half keep it open.
				script := fmt.Sprintf(`for i in $(seq %d); do echo "device %d process %d line $i" >> log; done`, count, d, p)
				if p%2 == 0 {
					script = fmt.Sprintf(`for i in $(seq %d); do echo "device %d process %d line $i"; done >> log`, count, d, p)
				}
				cmd := exec.Command("/bin/sh", "-c", script)
				cmd.Dir = folder
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
	all.Wait()
	var texts [2]string
	eventually(t, "both devices have the same lines", func() bool {
		for d, folder := range folders {
			data, err := os.ReadFile(filepath.Join(folder, "log"))
			if err != nil {
				t.Fatal(err)
			}
			texts[d] = string(data)
		}
		return texts[0] == texts[1] && strings.Count(texts[0], "\n") >= 1+2*processes*count
	})
	seen := map[string]int{}
	for line := range strings.Lines(texts[0]) {
		seen[line]++
	}
	for d := range folders {
		for p := range processes {
			for i := range count {
				line := fmt.Sprintf("device %d process %d line %d\n", d, p, i+1)
				if seen[line] != 1 {
					t.Errorf("%d times: %s", seen[line], line)
				}
				delete(seen, line)
			}
		}
	}
	for line, n := range seen {
		if line != "start\n" || n != 1 {
			t.Errorf("%d times: %q", n, line)
		}
	}
	names, err := os.ReadDir(folders[0])
	if err != nil || len(names) != 1 {
		t.Errorf("the folder has %v, %v", names, err)
	}
}
