package vfs

import (
	"errors"
	"os"

	"github.com/echofs/echofs/crdt/space"
)

// links is how many links a shared folder has: its name, its own "." and the
// ".." of each folder in it. To count them takes a listing, so the number is kept
// until a folder comes or goes there.
func (v *volume) links(dir space.NodeID) (uint32, error) {
	v.timesMu.Lock()
	n, known := v.nlinks[dir]
	began := v.recounts
	v.timesMu.Unlock()
	if known {
		return n, nil
	}
	infos, err := v.tree.list(dir)
	if err != nil {
		return 0, err
	}
	n = 2
	for _, i := range infos {
		if i.Kind == space.Dir {
			n++
		}
	}
	local, err := os.ReadDir(v.folderDir(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	for _, e := range local {
		if e.IsDir() {
			n++
		}
	}
	v.timesMu.Lock()
	defer v.timesMu.Unlock()
	if v.recounts == began {
		if len(v.nlinks) >= nlinksKept {
			clear(v.nlinks)
		}
		v.nlinks[dir] = n
	}
	return n, nil
}

const nlinksKept = 4096 // folders whose links are known before all are forgotten

// recount notes that folders may have come or gone in a folder.
func (v *volume) recount(dir space.NodeID) {
	v.timesMu.Lock()
	defer v.timesMu.Unlock()
	v.recounts++
	delete(v.nlinks, dir)
}
