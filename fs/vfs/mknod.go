package vfs

import (
	"errors"
	"os"
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// Mknod makes a pipe or a socket. It stays on this device, whatever its name:
// what another device would find there leads nowhere. A space holds no devices.
func (f *FS) Mknod(c Caller, parent Ino, name string, mode uint32) (Attr, error) {
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return Attr{}, err
	}
	v := dir.vol
	v.mu.Lock()
	in, err := v.mknod(dir, name, mode)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return in.attr(f.who(c), nil)
}

func (v *volume) mknod(dir *inode, name string, mode uint32) (*inode, error) {
	if _, err := v.child(dir, name); err == nil {
		return nil, syscall.EEXIST
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	switch mode & syscall.S_IFMT {
	case syscall.S_IFIFO, syscall.S_IFSOCK:
	default:
		return nil, syscall.EPERM
	}
	if dir.state == stateOrphan {
		return nil, syscall.ENOENT
	}
	if dir.state == stateShared {
		if err := v.settleName(dir.node, name); err != nil {
			return nil, err
		}
	}
	path, err := v.scratchPath(dir, name)
	if err != nil {
		return nil, err
	}
	if err := syscall.Mknod(path, mode&syscall.S_IFMT|0o600, 0); err != nil {
		return nil, err
	}
	if err := syscall.Chmod(path, mode&0o7777); err != nil {
		return nil, err
	}
	v.listed(dir)
	return v.scratchChild(dir, name)
}

// pipe reports whether an inode is a pipe or a socket.
func (in *inode) pipe() bool { return in.state == stateScratch && in.special }

// hasScratch reports whether a shared folder has files of this device in it;
// v.mu is held.
func (v *volume) hasScratch(dir space.NodeID) bool {
	has, known := v.scratches[dir]
	if !known {
		_, err := os.Lstat(v.folderDir(dir))
		has = err == nil
		if v.scratches == nil || len(v.scratches) >= nlinksKept {
			v.scratches = map[space.NodeID]bool{}
		}
		v.scratches[dir] = has
	}
	return has
}
