package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// scratchPath is where a name in a folder is on this device's disk. The folder
// for it is made when it is first needed; v.mu is held.
func (v *volume) scratchPath(dir *inode, name string) (string, error) {
	if dir.state == stateScratch {
		return filepath.Join(dir.osPath(), name), nil
	}
	d := v.folderDir(dir.node)
	if !v.hasScratch(dir.node) {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", err
		}
		v.scratches[dir.node] = true
	}
	return filepath.Join(d, name), nil
}

// osPath is where a scratch file is; v.mu or in.mu is held.
func (in *inode) osPath() string {
	if in.up.state == stateScratch {
		return filepath.Join(in.up.osPath(), in.name)
	}
	return filepath.Join(in.vol.folderDir(in.up.node), in.name)
}

// scratchChild finds a scratch file by name; v.mu is held.
func (v *volume) scratchChild(dir *inode, name string) (*inode, error) {
	path := filepath.Join(v.folderDir(dir.node), name)
	if dir.state == stateScratch {
		path = filepath.Join(dir.osPath(), name)
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return nil, err
	}
	return v.scratchInode(dir, name, &st), nil
}

func (v *volume) scratchInode(dir *inode, name string, st *syscall.Stat_t) *inode {
	kind := space.File
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		kind = space.Dir
	case syscall.S_IFLNK:
		kind = space.Symlink
	}
	in := v.byOS[st.Ino]
	if in != nil && in.kind == kind && in.state == stateScratch && in.special == (kind == space.File && st.Mode&syscall.S_IFMT != syscall.S_IFREG) {
		in.named(link{dir, name}, st.Nlink > 1)
		return in
	}
	in = &inode{fs: v.fs, vol: v, kind: kind, state: stateScratch, up: dir, name: name, osIno: st.Ino}
	in.special = kind == space.File && st.Mode&syscall.S_IFMT != syscall.S_IFREG
	v.fs.enter(in, scratchIno|Ino(st.Ino&uint64(scratchIno-1)))
	v.byOS[st.Ino] = in
	return in
}

// unscratched forgets that an inode is on the disk; v.mu is held. Its open
// handles go on with the file they have. Its number stays taken until the
// kernel forgets it: the disk may use its own number for another file at once.
func (v *volume) unscratched(in *inode) {
	if v.byOS[in.osIno] == in {
		delete(v.byOS, in.osIno)
	}
	in.mu.Lock()
	in.gone = true
	in.mu.Unlock()
}

// named notes a name of a scratch file; more says that the file may have its
// other names still. v.mu is held.
func (in *inode) named(l link, more bool) {
	if in.up == l.up && in.name == l.name {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if !more {
		in.links = nil
	} else if old := (link{in.up, in.name}); !slices.Contains(in.links, old) {
		in.links = append(in.links, old)
	}
	in.up, in.name = l.up, l.name
	in.unlinkLocked(l)
}

// unlinkLocked drops l from the other names.
func (in *inode) unlinkLocked(ls ...link) {
	in.links = slices.DeleteFunc(in.links, func(o link) bool { return slices.Contains(ls, o) })
}

// unnamed notes that a name of a scratch file is gone; v.mu is held. With its
// last name the file is.
func (v *volume) unnamed(in *inode, l link) {
	in.mu.Lock()
	in.unlinkLocked(l)
	last := false
	if in.up == l.up && in.name == l.name {
		if last = len(in.links) == 0; !last {
			in.up, in.name = in.links[0].up, in.links[0].name
			in.links = in.links[1:]
		}
	}
	in.mu.Unlock()
	if last {
		v.unscratched(in)
	}
}

func (v *volume) scratchCreate(who proc, dir *inode, name string, flags, mode uint32) (*inode, *Handle, error) {
	path, err := v.scratchPath(dir, name)
	if err != nil {
		return nil, nil, err
	}
	const pass = syscall.O_ACCMODE | syscall.O_APPEND | syscall.O_TRUNC | syscall.O_EXCL
	file, err := os.OpenFile(path, int(flags&pass)|os.O_CREATE, os.FileMode(mode&0o777|0o600))
	if err != nil {
		return nil, nil, err
	}
	in, err := v.scratchChild(dir, name)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	v.listed(dir)
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.openLocked(who, flags)
	h.os = file
	return in, h, nil
}

func (v *volume) scratchList(path string) ([]DirEntry, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	out := make([]DirEntry, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		st := info.Sys().(*syscall.Stat_t)
		d := DirEntry{Name: e.Name(), Mode: st.Mode & syscall.S_IFMT, Ino: scratchIno | Ino(st.Ino&uint64(scratchIno-1))}
		if in := v.byOS[st.Ino]; in != nil {
			d.Ino = in.ino
		}
		out = append(out, d)
	}
	return out, nil
}

// listed notes that a name of this device came to a folder or went from it.
func (v *volume) listed(dir *inode) {
	if dir.state == stateShared {
		v.touch(dir.node)
	}
}

// scratchAttr asks the disk; in.mu is held.
func (in *inode) scratchAttr(h *Handle) (Attr, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(in.osPath(), &st)
	if err != nil || st.Ino != in.osIno { // the name is gone: ask an open file
		err = syscall.ENOENT
		for other := range in.handles {
			if f, ferr := other.osFile(); ferr == nil && (h == nil || h == other) {
				err = syscall.Fstat(int(f.Fd()), &st)
			}
		}
	}
	if err != nil {
		return Attr{}, err
	}
	return in.restrict(Attr{
		Ino: in.ino, Mode: st.Mode, Size: uint64(st.Size), Nlink: uint32(st.Nlink),
		UID: in.fs.cfg.UID, GID: in.fs.cfg.GID,
		Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()), Atime: time.Unix(st.Atim.Unix()),
	}), nil
}

// contentReader reads one version from the start to the end.
func contentReader(c *content) io.Reader { return io.NewSectionReader(c, 0, c.size()) }

// copyOut writes what a file holds now to a file of this device; in.mu is held.
func (v *volume) copyOut(in *inode, path string) error {
	var r io.Reader
	exec := in.exec
	var mtime time.Time
	if in.wc != nil && (in.state != stateShared || in.wc.dirty) {
		r, mtime = io.NewSectionReader(in.wc, 0, in.wc.size), in.wc.mtime
	} else {
		c, err := in.loadLocked()
		if err != nil {
			return err
		}
		if c.snap != nil {
			defer c.snap.Close()
		}
		r, mtime = contentReader(c), c.mtime
	}
	if in.state == stateShared {
		if info, err := v.tree.stat(in.node); err == nil {
			exec = info.Exec
		}
	}
	mode := os.FileMode(0o644)
	if exec {
		mode = 0o755
	}
	tmp, err := os.CreateTemp(v.workDir(), "out-")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Chtimes(tmp.Name(), mtime, mtime)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
