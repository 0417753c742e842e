package vfs

import (
	"io"
	"os"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Renames from or to a name of this device.

// scratchToScratch renames on the disk.
func (r *renaming) scratchToScratch() error {
	if r.dst != nil && r.dst.state != stateScratch {
		return syscall.EXDEV
	}
	path, err := r.v.scratchPath(r.to, r.name2)
	if err != nil {
		return err
	}
	old, err := r.v.scratchPath(r.from, r.name)
	if err != nil {
		return err
	}
	if err := os.Rename(old, path); err != nil {
		return err
	}
	if r.src.kind == space.Dir {
		r.v.recount(r.from.node)
		r.v.recount(r.to.node)
	}
	if r.dst != nil {
		r.v.unnamed(r.dst, link{r.to, r.name2})
	}
	r.src.named(link{r.to, r.name2}, true)
	r.v.unnamed(r.src, link{r.from, r.name})
	r.v.listed(r.from)
	r.v.listed(r.to)
	return nil
}

// pipe renames a pipe or a socket, or something over one: each stays what it is.
func (r *renaming) pipe() error {
	v := r.v
	if r.dst != nil {
		if err := v.unlink(r.dst, r.to, r.name2); err != nil {
			return err
		}
		if r.to.state == stateShared {
			if err := v.settleName(r.to.node, r.name2); err != nil {
				return err
			}
		}
		r.dst = nil
	}
	if r.src.pipe() {
		return r.scratchToScratch()
	}
	return r.run()
}

// toScratch renames a shared or fresh file to a name of this device.
func (r *renaming) toScratch() error {
	v, in := r.v, r.src
	switch {
	case in.kind == space.Dir:
		return syscall.EXDEV // mv copies then
	case r.dst != nil && r.dst.state != stateScratch:
		return syscall.EXDEV
	}
	path, err := v.scratchPath(r.to, r.name2)
	if err != nil {
		return err
	}
	if in.kind == space.Symlink {
		return r.linkToScratch(path)
	}
	if h := v.holds[in.node]; in.state == stateShared && h != nil {
		if err := v.settle(h); err != nil {
			return err
		}
	}
	in.mu.Lock()
	if in.state == stateShared {
		err = in.commitLocked()
	}
	if err == nil {
		err = v.copyOut(in, path)
	}
	in.mu.Unlock()
	if err != nil {
		return err
	}
	if r.dst != nil {
		v.unnamed(r.dst, link{r.to, r.name2})
	}
	if in.state == stateShared {
		if err := v.holdNode(backedUp, in, r.from.node, r.name, heldRecord{Kind: heldRemove}); err != nil {
			return err
		}
		delete(v.byNode, in.node)
	} else {
		in.mu.Lock()
		err := v.giveBack(in)
		if err == nil {
			err = v.unlog(in)
		}
		in.mu.Unlock()
		if err != nil {
			return err
		}
		v.unplace(in)
		v.reveals(r.from.node, r.name)
	}
	return r.becomeScratch(path)
}

// becomeScratch lets the kernel's inode go on as the file on the disk.
func (r *renaming) becomeScratch(path string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return err
	}
	in := r.src
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wc != nil {
		in.wc.close()
	}
	in.wc, in.due = nil, time.Time{}
	if in.pinned != nil && in.pinned.snap != nil {
		in.pinned.snap.Close()
	}
	in.pinned = nil
	in.state, in.up, in.name, in.osIno = stateScratch, r.to, r.name2, st.Ino
	r.v.byOS[st.Ino] = in
	r.v.listed(r.to)
	for h := range in.handles {
		if err := h.reopen(path); err != nil {
			return err
		}
	}
	return nil
}

// linkToScratch moves a shared symbolic link to a name of this device.
func (r *renaming) linkToScratch(path string) error {
	info, err := r.v.tree.stat(r.src.node)
	if err != nil {
		return err
	}
	if r.dst != nil {
		if err := os.Remove(path); err != nil {
			return err
		}
		r.v.unnamed(r.dst, link{r.to, r.name2})
	}
	if err := os.Symlink(info.Target, path); err != nil {
		return err
	}
	if err := r.v.tree.remove(r.src.node); err != nil {
		return err
	}
	delete(r.v.byNode, r.src.node)
	r.v.touch(r.from.node)
	return r.becomeScratch(path)
}

// scratchToShared renames a file of this device to a shared name: it becomes a
// fresh file, and then what that means under the new name.
func (r *renaming) scratchToShared() error {
	v, in := r.v, r.src
	if in.kind != space.File {
		return syscall.EXDEV
	}
	path := in.osPath()
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	wc := &workingCopy{dir: v.workDir(), mtime: st.ModTime(), who: r.who}
	if st.Size() > memoryLimit {
		wc.file, err = adoptFile(path, v.workDir())
		wc.size = st.Size()
	} else {
		var data []byte
		data, err = os.ReadFile(path)
		wc.data, wc.size = data, int64(len(data))
	}
	if err != nil {
		return err
	}
	if h := v.freeHold(r.to.node, r.name2); h != nil && h.in == in && h.kind == backedUp {
		if done, err := v.putBack(h, wc); done || err != nil {
			return err
		}
	}
	in.mu.Lock()
	delete(v.byOS, in.osIno)
	in.state, in.wc, in.exec, in.key, in.logged = stateFresh, wc, st.Mode()&0o111 != 0, v.log.key(), false
	in.parent, in.name = r.to.node, r.name2
	free := v.freeHold(r.to.node, r.name2) != nil
	document := r.dst != nil && r.dst.state == stateShared && r.dst.kind == space.File
	if !free && !document { // else the space gets it at once
		err = v.logFresh(in)
	}
	in.mu.Unlock()
	if err == nil {
		err = r.fresh()
	}
	if err != nil {
		in.mu.Lock()
		if uerr := v.unlog(in); uerr != nil {
			v.fs.log.Warn("undoing a rename", "space", v.name, "file", r.name, "err", uerr)
		}
		in.state, in.wc, in.up, in.name = stateScratch, nil, r.from, r.name
		v.byOS[in.osIno] = in
		in.mu.Unlock()
		return err
	}
	os.Remove(path)
	v.listed(r.from)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state == stateFresh && !in.writable() {
		v.enqueueFresh(in)
	}
	return nil
}

// putBack calls a backup off: the document gets its name again, and nobody has
// written anything; v.mu is held. It reports false if the content is another.
func (v *volume) putBack(h *hold, wc *workingCopy) (bool, error) {
	in := h.in
	snap, err := v.tree.open(h.node)
	if err != nil {
		return false, nil
	}
	defer snap.Close()
	same, err := sameBytes(io.NewSectionReader(snap, 0, snap.Size()), io.NewSectionReader(wc, 0, wc.size))
	if err != nil || !same {
		return false, err
	}
	if err := v.log.append(heldRecord{Kind: heldDone, Key: h.key}); err != nil {
		return false, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	os.Remove(in.osPath())
	wc.close()
	delete(v.byOS, in.osIno)
	in.state, in.node, in.parent, in.name = stateShared, h.node, h.dir, h.name
	v.byNode[h.node] = in
	v.fs.bases.move(h.ino, in.ino)
	v.unhold(h)
	v.touch(h.dir)
	return true, nil
}

// adoptFile takes a large file of this device over as a working copy. The name
// it had stays until the caller removes it.
func adoptFile(path, dir string) (*os.File, error) {
	tmp, err := os.CreateTemp(dir, "copy-")
	if err != nil {
		return nil, err
	}
	name := tmp.Name()
	tmp.Close()
	if err := os.Remove(name); err != nil {
		return nil, err
	}
	if err := os.Link(path, name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR, 0)
}
