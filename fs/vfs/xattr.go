package vfs

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// Names of the attributes that tell what a file is in its space. Nobody sets them.
const (
	xattrOurs    = "user.echofs."
	xattrID      = xattrOurs + "id"
	xattrVersion = xattrOurs + "version"
	xattrStatus  = xattrOurs + "status"
	xattrAuthors = xattrOurs + "authors"
)

// Limits of the attributes of one file. They are those of the space.
const (
	xattrName   = 255
	xattrValue  = 4096
	xattrMost   = space.MaxXattrs
	xattrCreate = 1 // flags of setxattr
	xattrChange = 2
)

// Getxattr reads an extended attribute.
func (f *FS) Getxattr(_ Caller, ino Ino, name string) ([]byte, error) {
	in, err := f.inode(ino)
	if err != nil {
		return nil, err
	}
	if in.vol == nil || in.virtual != nil {
		return nil, syscall.ENODATA
	}
	if strings.HasPrefix(name, xattrOurs) {
		return in.ourXattr(name)
	}
	in.vol.mu.Lock()
	defer in.vol.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch in.state {
	case stateShared:
		value, err := in.vol.tree.space.Xattr(in.node, name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, syscall.ENODATA
		}
		return value, spaceErr(err)
	case stateScratch:
		return osXattr(func(buf []byte) (int, error) { return syscall.Getxattr(in.osPath(), name, buf) })
	}
	if value, ok := in.xattrs[name]; ok {
		return value, nil
	}
	return nil, syscall.ENODATA
}

func (in *inode) ourXattr(name string) ([]byte, error) {
	in.mu.Lock()
	status, state, node := in.statusLocked(), in.state, in.node
	in.mu.Unlock()
	switch {
	case name == xattrStatus:
		return []byte(status), nil
	case state != stateShared:
	case name == xattrID:
		return []byte(node.String()), nil
	case name == xattrVersion:
		info, err := in.vol.tree.stat(node)
		return []byte(info.Version), err
	case name == xattrAuthors:
		return in.vol.tree.authors(node)
	}
	return nil, syscall.ENODATA
}

// authors lists who wrote the versions of a file, the last one first, one a line.
func (s *shared) authors(id space.NodeID) ([]byte, error) {
	versions, err := s.space.History(id)
	if err != nil {
		return nil, spaceErr(err)
	}
	var lines []string
	for _, v := range slices.Backward(versions) {
		line := v.Name + " <" + v.Author.String() + ">"
		if v.Content && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

func (in *inode) statusLocked() string {
	switch in.state {
	case stateFresh:
		return "held back until a second after it is closed"
	case stateScratch:
		return "local to this device"
	case stateOrphan:
		return "deleted"
	}
	if w := in.wc; w != nil && w.dirty {
		if err := w.broken(); err != nil {
			return "not saved: " + err.Error()
		}
		return "being written"
	}
	if in.kind != space.File {
		return "shared"
	}
	switch info, err := in.vol.tree.stat(in.node); {
	case err != nil || info.Text || info.Size == 0:
		return "shared"
	case info.Size > textLimit:
		return "shared as a whole: it is larger than a text that merges letter by letter"
	}
	return "shared as a whole: it is no text in UTF-8"
}

// Listxattr lists the extended attributes.
func (f *FS) Listxattr(_ Caller, ino Ino) ([]string, error) {
	in, err := f.inode(ino)
	if err != nil || in.vol == nil || in.virtual != nil {
		return nil, err
	}
	in.vol.mu.Lock()
	defer in.vol.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch in.state {
	case stateShared:
		names, err := in.vol.tree.space.Xattrs(in.node)
		return append(names, xattrID, xattrVersion, xattrStatus, xattrAuthors), spaceErr(err)
	case stateScratch:
		list, err := osXattr(func(buf []byte) (int, error) { return syscall.Listxattr(in.osPath(), buf) })
		names := []string{xattrStatus}
		for name := range bytes.SplitSeq(list, []byte{0}) {
			if bytes.HasPrefix(name, []byte("user.")) {
				names = append(names, string(name))
			}
		}
		return names, err
	}
	names := []string{xattrStatus}
	for name := range in.xattrs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Setxattr sets an extended attribute, with the flags of the system call.
func (f *FS) Setxattr(_ Caller, ino Ino, name string, value []byte, flags uint32) error {
	if value == nil {
		value = []byte{}
	}
	return f.changeXattr(ino, name, value, flags)
}

// Removexattr removes an extended attribute.
func (f *FS) Removexattr(_ Caller, ino Ino, name string) error {
	return f.changeXattr(ino, name, nil, xattrChange)
}

func (f *FS) changeXattr(ino Ino, name string, value []byte, flags uint32) error {
	in, err := f.inode(ino)
	switch {
	case err != nil:
		return err
	case in.vol == nil, in.virtual != nil, in.vol.tree.readOnly():
		return syscall.EROFS
	case !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, xattrOurs):
		return syscall.EOPNOTSUPP
	case in.kind == space.Symlink:
		return syscall.EPERM
	case len(name) > xattrName:
		return syscall.ERANGE
	case len(value) > xattrValue:
		return syscall.E2BIG
	}
	v := in.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ctime = in.fs.now()
	if in.state == stateScratch {
		if value == nil {
			return syscall.Removexattr(in.osPath(), name)
		}
		return syscall.Setxattr(in.osPath(), name, value, int(flags))
	}
	_, has := in.xattrs[name]
	if in.state == stateShared {
		_, err := v.tree.space.Xattr(in.node, name)
		has = err == nil
	}
	switch {
	case flags&xattrCreate != 0 && has:
		return syscall.EEXIST
	case flags&xattrChange != 0 && !has:
		return syscall.ENODATA
	case in.state == stateShared:
		return v.tree.setXattr(in.node, name, value)
	case value == nil:
		delete(in.xattrs, name)
	case !has && len(in.xattrs) >= xattrMost:
		return syscall.ENOSPC
	default:
		if in.xattrs == nil {
			in.xattrs = map[string][]byte{}
		}
		in.xattrs[name] = slices.Clone(value)
	}
	return in.logAttrs()
}

// giveXattrs gives a node what a fresh file had before it was one; in.mu is held.
func (in *inode) giveXattrs(mode bool) {
	t := in.vol.tree
	var err error
	if mode {
		err = t.setMode(in.node, in.mode)
	}
	for name, value := range in.xattrs {
		err = errors.Join(err, t.setXattr(in.node, name, value))
	}
	if err != nil {
		in.fs.log.Warn("setting attributes", "space", in.vol.name, "file", in.name, "err", err)
	}
	in.xattrs, in.mode = nil, 0
}

// osXattr calls get with a buffer that is large enough.
func osXattr(get func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 64<<10)
	n, err := get(buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
