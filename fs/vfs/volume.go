package vfs

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// A volume is one space as a file system: the nodes of the space, and over them
// what is different on this device for the moment.
type volume struct {
	fs          *FS
	name        string
	tree        *shared
	dir         string // this device's own files of the space
	salt        uint64
	root        *inode
	log         *heldLog
	cancel      context.CancelFunc
	unsubscribe func()

	imports imports

	publishing sync.Mutex // held by who publishes; before mu

	mu     sync.Mutex // guards the fields below and where inodes are
	closed bool
	byNode map[space.NodeID]*inode
	byOS   map[uint64]*inode // scratch files, by their number on the disk

	// overlay has the names that are not in the space yet: fresh files, and
	// documents that were moved. holds has the documents whose place in the
	// space is no longer true, by node and by the name they left.
	overlay map[space.NodeID]map[string]*inode
	holds   map[space.NodeID]*hold
	names   map[space.NodeID]map[string]*hold

	ignored   ignored
	scratches map[space.NodeID]bool // whether shared folders have files of this device in them

	queue []due // what to publish, soonest first
	timer *time.Timer
	done  []heldRecord // what the held log lets go of after the next sync

	resting resting // open files that nobody has closed for long

	late []*inode // what Forget was too early for; guarded by fs.mu

	timesMu  sync.Mutex // leaf; guards the fields below
	times    map[space.NodeID]time.Time
	nlinks   map[space.NodeID]uint32
	recounts uint64
}

// folder is the folder behind an inode.
func folder(in *inode) error {
	if in.kind != space.Dir {
		return syscall.ENOTDIR
	}
	return nil
}

// child finds a name in a folder; v.mu is held.
func (v *volume) child(dir *inode, name string) (*inode, error) {
	if err := folder(dir); err != nil {
		return nil, err
	}
	if dir.state == stateOrphan {
		return nil, syscall.ENOENT
	}
	if dir.state == stateScratch {
		return v.scratchChild(dir, name)
	}
	if in := v.overlay[dir.node][name]; in != nil {
		return in, nil
	}
	if scratchName(name, true) || scratchName(name, false) {
		in, err := v.scratchChild(dir, name)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return in, err
		}
	}
	info, err := v.tree.lookup(dir.node, name)
	switch {
	case err == nil && v.holds[info.ID] == nil:
		return v.nodeInode(info), nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	case !v.hasScratch(dir.node):
		return nil, syscall.ENOENT
	}
	return v.scratchChild(dir, name) // a pipe, or a name that was once ignored
}

// nodeInode is the inode of a node; v.mu is held.
func (v *volume) nodeInode(info space.Info) *inode {
	if in := v.byNode[info.ID]; in != nil {
		if in.kind == info.Kind {
			if v.holds[info.ID] == nil && (in.parent != info.Parent || in.name != info.Name) {
				in.mu.Lock()
				in.parent, in.name = info.Parent, info.Name
				in.mu.Unlock()
			}
			return in
		}
		v.orphan(in) // a peer made something else of the node
	}
	in := &inode{fs: v.fs, vol: v, kind: info.Kind, node: info.ID, state: stateShared, parent: info.Parent, name: info.Name}
	v.fs.enter(in, nodeIno(v, info.ID))
	v.byNode[info.ID] = in
	return in
}

// fresh makes a new file with no name yet; v.mu is held.
func (v *volume) fresh(exec bool) *inode {
	in := &inode{fs: v.fs, vol: v, kind: space.File, state: stateFresh, exec: exec, key: v.log.key()}
	in.wc = &workingCopy{dir: v.workDir(), mtime: v.fs.now()}
	v.fs.enter(in, freshIno)
	return in
}

// place gives a file a name over the space; v.mu and in.mu are held.
func (v *volume) place(in *inode, dir space.NodeID, name string) {
	if v.overlay[dir] == nil {
		v.overlay[dir] = map[string]*inode{}
	}
	v.overlay[dir][name] = in
	in.parent, in.name = dir, name
	v.touch(dir)
}

// unplace takes a name over the space away; v.mu is held.
func (v *volume) unplace(in *inode) {
	if v.overlay[in.parent][in.name] != in {
		return
	}
	delete(v.overlay[in.parent], in.name)
	if len(v.overlay[in.parent]) == 0 {
		delete(v.overlay, in.parent)
	}
	v.touch(in.parent)
}

// orphan takes an inode away from what it stands for, which is gone or has
// become another inode's; v.mu is held.
func (v *volume) orphan(in *inode) {
	in.mu.Lock()
	in.pinLocked()
	if v.byNode[in.node] == in && in.state == stateShared {
		delete(v.byNode, in.node)
	}
	in.state = stateOrphan
	unused := len(in.handles) == 0
	if unused && in.wc != nil {
		in.wc.close()
		in.wc = nil
	}
	in.mu.Unlock()
}

// touch notes that a folder's listing changed now.
func (v *volume) touch(dir space.NodeID) {
	v.timesMu.Lock()
	defer v.timesMu.Unlock()
	v.times[dir] = v.fs.now()
}

func (v *volume) touched(dir space.NodeID) time.Time {
	v.timesMu.Lock()
	defer v.timesMu.Unlock()
	t := v.times[dir]
	if t.IsZero() && dir == space.Root {
		return v.fs.started
	}
	return t
}

// empty reports whether a shared folder shows nothing; v.mu is held.
func (v *volume) empty(dir space.NodeID) (bool, error) {
	if len(v.overlay[dir]) > 0 {
		return false, nil
	}
	infos, err := v.tree.list(dir)
	if err != nil {
		return false, err
	}
	for _, info := range infos {
		if v.holds[info.ID] == nil {
			return false, nil
		}
	}
	entries, err := os.ReadDir(v.folderDir(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	return len(entries) == 0, nil
}

// close commits and publishes everything and lets the space go.
func (v *volume) close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil
	}
	v.closed = true
	if v.timer != nil {
		v.timer.Stop()
	}
	v.mu.Unlock()
	v.resting.close()
	v.unsubscribe()
	err := v.commitAll()
	v.mu.Lock()
	for _, names := range v.overlay {
		for _, in := range names {
			in.mu.Lock()
			if in.state == stateFresh {
				v.enqueueFresh(in)
			}
			in.mu.Unlock()
		}
	}
	for _, h := range v.sortedHolds() {
		v.schedule(h)
	}
	v.mu.Unlock()
	err = errors.Join(err, v.publish(true))
	v.cancel()
	v.imports.close()
	return errors.Join(err, v.log.close())
}

// commitAll commits what open handles have written: their release may be lost.
func (v *volume) commitAll() error {
	v.fs.mu.Lock()
	var all []*inode
	for _, in := range v.fs.inodes {
		if in.vol == v {
			all = append(all, in)
		}
	}
	v.fs.mu.Unlock()
	var err error
	for _, in := range all {
		err = errors.Join(err, in.commit(true))
	}
	return err
}
