package vfs

import (
	"os"
	"strings"
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// travels reports whether a symbolic link at depth folders below the root of
// its space (0: in the root) may be shared: it must be relative and stay in the
// space, since on another device the same path leads elsewhere. A ".." after a
// name is not accepted: if that name were a link itself, it could lead anywhere.
func travels(target string, depth int) bool {
	if target == "" || strings.HasPrefix(target, "/") {
		return false
	}
	down := false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return false
			}
		default:
			down = true
		}
	}
	return true
}

// Symlink makes a symbolic link. One that is shared must lead to the same place
// on every device, so it is relative and stays in its space.
func (f *FS) Symlink(c Caller, parent Ino, name, target string) (Attr, error) {
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return Attr{}, err
	}
	if len(target) > 4095 {
		return Attr{}, syscall.ENAMETOOLONG
	}
	v := dir.vol
	v.mu.Lock()
	in, err := v.symlink(dir, name, target)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return in.attr(f.who(c), nil)
}

func (v *volume) symlink(dir *inode, name, target string) (*inode, error) {
	if err := v.free(dir, name); err != nil {
		return nil, err
	}
	if dir.state == stateScratch || scratchName(name, false) || v.ignores(dir, name, false) {
		path, err := v.scratchPath(dir, name)
		if err != nil {
			return nil, err
		}
		if err := os.Symlink(target, path); err != nil {
			return nil, err
		}
		v.listed(dir)
		return v.scratchChild(dir, name)
	}
	if !travels(target, v.depth(dir.node)) {
		return nil, syscall.EPERM
	}
	if err := v.settleName(dir.node, name); err != nil {
		return nil, err
	}
	info, err := v.tree.create(dir.node, name, space.New{Kind: space.Symlink, Target: target, Mtime: v.fs.now()}, payload{})
	if err != nil {
		return nil, err
	}
	v.touch(dir.node)
	return v.nodeInode(info), nil
}

// depth is how many folders below the root of the space a folder is.
func (v *volume) depth(dir space.NodeID) int {
	n := 0
	for dir != space.Root && n < 4096 {
		info, err := v.tree.stat(dir)
		if err != nil {
			break
		}
		dir = info.Parent
		n++
	}
	return n
}

// Readlink is where a symbolic link leads. A peer may have made any: one that
// would lead out of the space is refused, and so is one that would since a folder
// around it moved.
func (f *FS) Readlink(_ Caller, ino Ino) (string, error) {
	in, err := f.inode(ino)
	if err != nil {
		return "", err
	}
	if in.kind != space.Symlink {
		return "", syscall.EINVAL
	}
	v := in.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	if in.state == stateScratch {
		return os.Readlink(in.osPath())
	}
	info, err := v.tree.stat(in.node)
	if err == nil && !travels(info.Target, v.depth(info.Parent)) {
		err = syscall.EPERM
	}
	return info.Target, err
}

// linksIn is what the kernel has cached of links in a folder that moved: they may
// lead out of the space now; v.mu is held.
func (v *volume) linksIn(folder space.NodeID) []Invalidation {
	var out []Invalidation
	for _, in := range v.byNode {
		if in.kind == space.Symlink && v.within(in.node, folder) {
			out = append(out, Invalidation{Content: true, Ino: in.ino})
		}
	}
	return out
}

// within reports whether a node is somewhere in a folder.
func (v *volume) within(node, folder space.NodeID) bool {
	for range maxSteps {
		info, err := v.tree.stat(node)
		if err != nil || info.Parent == space.Root {
			return false
		}
		if node = info.Parent; node == folder {
			return true
		}
	}
	return false
}
