package vfs

import (
	"errors"
	"os"
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// Lookup finds a name in a folder.
func (f *FS) Lookup(c Caller, parent Ino, name string) (Attr, error) {
	parent, name = f.alias(parent, name)
	dir, err := f.inode(parent)
	if err != nil {
		return Attr{}, err
	}
	if len(name) > 255 {
		return Attr{}, syscall.ENAMETOOLONG
	}
	if dir.vol == nil {
		if dir.kind != space.Dir {
			return Attr{}, syscall.ENOTDIR
		}
		v := f.volume(name)
		if v == nil {
			return Attr{}, syscall.ENOENT
		}
		return v.root.attr(f.who(c), nil)
	}
	if in, is, err := f.virtualChild(dir, name); is {
		if err != nil {
			return Attr{}, err
		}
		return in.attr(f.who(c), nil)
	}
	v := dir.vol
	v.mu.Lock()
	in, err := v.child(dir, name)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return in.attrOf(f.who(c), nil, false)
}

// ReadDir lists a folder, without "." and "..".
func (f *FS) ReadDir(_ Caller, ino Ino) ([]DirEntry, error) {
	dir, err := f.inode(ino)
	if err != nil {
		return nil, err
	}
	if dir.vol == nil {
		return f.rootEntries(), nil
	}
	if dir.virtual != nil {
		list, err := dir.virtualList()
		if err == nil && dir.virtual.key() == spaceFolder {
			list = append(list, dir.vol.ignoreEntry()...)
		}
		return list, err
	}
	if err := folder(dir); err != nil {
		return nil, err
	}
	v := dir.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	switch dir.state {
	case stateOrphan:
		return nil, nil
	case stateScratch:
		return v.scratchList(dir.osPath())
	}
	infos, err := v.tree.list(dir.node)
	if err != nil {
		return nil, err
	}
	over := v.overlay[dir.node]
	out := make([]DirEntry, 0, len(infos)+len(over))
	for _, info := range infos {
		if len(v.holds) > 0 && v.holds[info.ID] != nil {
			continue
		}
		if dir == v.root && info.Name == ignoreNode {
			continue // it shows as .space/ignore
		}
		if _, hidden := over[info.Name]; hidden {
			continue // a peer made the same name; both show when ours is published
		}
		e := DirEntry{Name: info.Name, Mode: kindMode(info.Kind)}
		if in := v.byNode[info.ID]; in != nil {
			e.Ino = in.ino
		} else {
			e.Ino = nodeIno(v, info.ID)
		}
		out = append(out, e)
	}
	for name, in := range over {
		if dir == v.root && name == ignoreNode {
			continue
		}
		out = append(out, DirEntry{Name: name, Ino: in.ino, Mode: kindMode(in.kind)})
	}
	local, err := v.scratchList(v.folderDir(dir.node))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return append(out, local...), nil
}

func kindMode(k space.Kind) uint32 {
	switch k {
	case space.Dir:
		return syscall.S_IFDIR
	case space.Symlink:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

// parentFor finds the folder in which a name is to be changed.
func (f *FS) parentFor(parent Ino, name string) (*inode, error) {
	dir, err := f.inode(parent)
	if err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	if dir.vol == nil {
		return nil, syscall.EPERM // folders of the root are spaces: echofs space create
	}
	if err := folder(dir); err != nil {
		return nil, err
	}
	if dir.vol.tree.readOnly() || dir.virtual != nil || dir == dir.vol.root && name == spaceFolder {
		return nil, syscall.EROFS
	}
	return dir, nil
}

// Mkdir makes a folder.
func (f *FS) Mkdir(c Caller, parent Ino, name string, mode uint32) (Attr, error) {
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return Attr{}, err
	}
	v := dir.vol
	v.mu.Lock()
	in, err := v.mkdir(dir, name, mode)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return in.attr(f.who(c), nil)
}

// free reports whether something can be made at a name: EEXIST if there is
// something, ENOENT if the folder is gone; mu is held.
func (v *volume) free(dir *inode, name string) error {
	if _, err := v.child(dir, name); err == nil {
		return syscall.EEXIST
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if dir.state == stateOrphan {
		return syscall.ENOENT
	}
	return nil
}

func (v *volume) mkdir(dir *inode, name string, mode uint32) (*inode, error) {
	if err := v.free(dir, name); err != nil {
		return nil, err
	}
	if dir.state == stateScratch || scratchName(name, true) || v.ignores(dir, name, true) {
		path, err := v.scratchPath(dir, name)
		if err != nil {
			return nil, err
		}
		if err := os.Mkdir(path, os.FileMode(mode&0o777|0o700)); err != nil {
			return nil, err
		}
		v.recount(dir.node)
		v.listed(dir)
		return v.scratchChild(dir, name)
	}
	if err := v.settleName(dir.node, name); err != nil {
		return nil, err
	}
	info, err := v.tree.create(dir.node, name, space.New{Kind: space.Dir, Mtime: v.fs.now()}, payload{})
	if err != nil {
		return nil, err
	}
	v.touch(dir.node)
	v.recount(dir.node)
	if mode := kept(modeDir, mode); mode != 0 {
		if err := v.tree.setMode(info.ID, mode); err != nil {
			return nil, err
		}
	}
	return v.nodeInode(info), nil
}

// Rmdir removes an empty folder.
func (f *FS) Rmdir(_ Caller, parent Ino, name string) error {
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return err
	}
	v := dir.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	in, err := v.child(dir, name)
	if err != nil {
		return err
	}
	if err := folder(in); err != nil {
		return err
	}
	if in.state == stateScratch {
		if err := syscall.Rmdir(in.osPath()); err != nil {
			return err
		}
		v.recount(dir.node)
		v.listed(dir)
		v.unscratched(in)
		return nil
	}
	if err := v.clear(in); err != nil {
		return err
	}
	if err := v.tree.remove(in.node); err != nil {
		return err
	}
	delete(v.scratches, in.node)
	os.Remove(v.folderDir(in.node)) // empty; one that is left behind harms nobody
	v.touch(dir.node)
	v.recount(dir.node)
	v.orphan(in)
	return nil
}

// clear makes sure that a shared folder is empty, in the space too; v.mu is
// held.
func (v *volume) clear(in *inode) error {
	if empty, err := v.empty(in.node); err != nil {
		return err
	} else if !empty {
		return syscall.ENOTEMPTY
	}
	return v.settleFolder(in.node)
}
