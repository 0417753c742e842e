package vfs

import (
	"os"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Getattr tells about a file; h may be nil.
func (f *FS) Getattr(c Caller, ino Ino, h *Handle) (Attr, error) {
	in, err := f.inode(ino)
	if err != nil {
		return Attr{}, err
	}
	return in.attr(f.who(c), h)
}

// Setattr changes size, mode and times; h may be nil.
func (f *FS) Setattr(c Caller, ino Ino, h *Handle, s SetAttr) (Attr, error) {
	in, err := f.inode(ino)
	if err != nil {
		return Attr{}, err
	}
	if in.vol == nil {
		return Attr{}, syscall.EPERM
	}
	if in.vol.tree.readOnly() || in.virtual != nil {
		return Attr{}, syscall.EROFS
	}
	if s.UID != nil && *s.UID != f.cfg.UID || s.GID != nil && *s.GID != f.cfg.GID {
		return Attr{}, syscall.EPERM // the owner is the mounter
	}
	if err := in.lowered(s); err != nil {
		return Attr{}, err
	}
	if s.Size != nil && *s.Size == 0 {
		in.vol.mu.Lock()
		err := in.vol.publishStale(in, f.procs.of(c.PID))
		in.vol.mu.Unlock()
		if err != nil {
			return Attr{}, err
		}
	}
	if s.Size != nil {
		if err := in.resize(f.procs.of(c.PID), h, int64(*s.Size)); err != nil {
			return Attr{}, err
		}
	}
	if s.Mode != nil || s.Mtime != nil || s.Atime != nil {
		if err := in.setMeta(f.procs.of(c.PID), s); err != nil {
			return Attr{}, err
		}
	}
	return in.attr(f.who(c), h)
}

// resize truncates or extends. By an open file it is committed with it; by name
// there is no close to wait for.
func (in *inode) resize(who proc, h *Handle, size int64) error {
	switch {
	case in.kind == space.Dir:
		return syscall.EISDIR
	case in.kind == space.Symlink, size < 0:
		return syscall.EINVAL
	}
	in.mu.Lock()
	if in.state == stateScratch {
		path := in.osPath()
		in.mu.Unlock()
		if h != nil {
			f, err := h.osFile()
			if err != nil {
				return err
			}
			return f.Truncate(size)
		}
		return os.Truncate(path, size)
	}
	how := rewrite
	if size == 0 {
		how = truncate
	}
	if in.state == stateShared && (in.wc == nil || !in.wc.dirty) && in.sizeLocked() == size {
		in.mu.Unlock()
		return nil
	}
	w, err := in.startCopy(who, how)
	if err == nil {
		err = w.Truncate(size)
	}
	if err != nil {
		in.mu.Unlock()
		return err
	}
	in.changed(w)
	if h != nil {
		h.cut = true
	}
	wait := h != nil || in.writable()
	if h == nil {
		for other := range in.handles {
			if other.writes() {
				other.cut = true
			}
		}
	}
	in.mu.Unlock()
	if wait {
		return nil
	}
	err = in.commit(true)
	in.vol.released(in, err, true)
	return err
}

// setMeta changes the executable bit and the time of the last change.
func (in *inode) setMeta(who proc, s SetAttr) error {
	v := in.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state == stateScratch {
		return in.scratchMeta(s)
	}
	if s.Atime != nil {
		in.atime = *s.Atime
	}
	in.ctime = in.fs.now()
	var exec *bool
	if s.Mode != nil && in.kind == space.File {
		x := *s.Mode&0o111 != 0
		exec = &x
	}
	if in.state != stateShared {
		old, oldTime := in.exec, in.mtime
		if exec != nil {
			in.exec, in.mode, in.chmod = *exec, kept(fileMode(*exec), *s.Mode), true
		}
		if s.Mtime != nil {
			in.mtime = *s.Mtime
			if in.wc != nil {
				oldTime, in.wc.mtime = in.wc.mtime, *s.Mtime
			}
		}
		changed := in.exec != old || s.Mtime != nil && !oldTime.Equal(*s.Mtime)
		if in.state == stateFresh && in.inLog && changed {
			if err := v.log.append(heldRecord{
				Kind: heldPlace, Key: in.key, Parent: in.parent, Name: in.name,
				Exec: in.exec, Mtime: in.wc.mtime.UnixNano(),
			}); err != nil {
				return err
			}
		}
		if exec != nil {
			return in.logAttrs()
		}
		return nil
	}
	if in.kind == space.Dir && in.node == space.Root {
		return nil
	}
	info, err := v.tree.stat(in.node)
	if err != nil {
		return err
	}
	if s.Mode != nil && in.kind != space.Symlink {
		usual := uint32(modeDir)
		if exec != nil {
			usual = fileMode(*exec)
		}
		if mode := kept(usual, *s.Mode); mode != info.Mode {
			if err := v.tree.setMode(in.node, mode); err != nil {
				return err
			}
		}
	}
	if exec != nil && *exec == info.Exec {
		exec = nil
	}
	mtime := s.Mtime
	if mtime != nil && in.wc != nil && in.wc.dirty {
		in.wc.mtime = *mtime // goes with the content
		mtime = nil
	}
	if mtime != nil && mtime.Equal(info.Mtime) {
		mtime = nil
	}
	if exec == nil && mtime == nil {
		return nil
	}
	if mtime != nil {
		if in.kind == space.Dir {
			v.timesMu.Lock()
			delete(v.times, in.node)
			v.timesMu.Unlock()
		} else if known := in.fs.bases.latest(in.ino, who); known != nil && known.id != info.Version {
			in.fs.bases.show(in.ino, who, &version{id: known.id, text: known.text, mtime: *mtime}, false)
		}
	}
	return v.tree.setAttr(in.node, exec, mtime)
}

func (in *inode) scratchMeta(s SetAttr) error {
	path := in.osPath()
	if s.Mode != nil && in.kind != space.Symlink {
		if err := syscall.Chmod(path, *s.Mode&0o7777); err != nil {
			return err
		}
	}
	if s.Mtime == nil && s.Atime == nil {
		return nil
	}
	return utimes(path, s.Atime, s.Mtime)
}

// utimes sets times to the nanosecond; nil leaves one as it is.
func utimes(path string, atime, mtime *time.Time) error {
	var a, m time.Time // zero: leave
	if atime != nil {
		a = *atime
	}
	if mtime != nil {
		m = *mtime
	}
	return os.Chtimes(path, a, m)
}
