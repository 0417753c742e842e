package fusefs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// notPosix lists the tests of posixtest.All that a shared space does not pass,
// and why.
var notPosix = map[string]string{
	"FcntlFlockLocksFile": "wrong on every file system: a process does not lock itself out; go-fuse leaves it out too",
	"Link":                "a file of a shared tree has one name; link says EPERM",
	"LinkUnlinkRename":    "as Link",
	"SymlinkReadlink":     "links to absolute paths lead somewhere else on each device; see TestSymlinks",
	"OpenSymlinkRace":     "as SymlinkReadlink, and go-fuse leaves it out too",
}

func TestPosix(t *testing.T) {
	folder := serve(t, 1)[0]
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		if _, ok := notPosix[name]; ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(folder, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, dir)
		})
	}
}
