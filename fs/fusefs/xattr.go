package fusefs

import (
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// GetXAttr answers for the user's own attributes. The kernel asks for access
// lists and capabilities of its own accord; there are none.
func (f *filesystem) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, "user.") {
		return 0, fuse.ENODATA
	}
	value, err := f.vfs.Getxattr(caller(in), vfs.Ino(in.NodeId), name)
	if err != nil {
		return 0, f.status("getxattr", err)
	}
	return reply(value, dest)
}

func (f *filesystem) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	names, err := f.vfs.Listxattr(caller(in), vfs.Ino(in.NodeId))
	if err != nil {
		return 0, f.status("listxattr", err)
	}
	var list []byte
	for _, name := range names {
		list = append(append(list, name...), 0)
	}
	return reply(list, dest)
}

// reply copies a value of an attribute. An empty dest asks for its size only;
// go-fuse turns ERANGE into that.
func reply(value, dest []byte) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

func (f *filesystem) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	if !strings.HasPrefix(name, "user.") {
		return fuse.Status(syscall.ENOTSUP)
	}
	return f.status("setxattr", f.vfs.Setxattr(caller(&in.InHeader), vfs.Ino(in.NodeId), name, value, in.Flags))
}

func (f *filesystem) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if !strings.HasPrefix(name, "user.") {
		return fuse.ENODATA
	}
	return f.status("removexattr", f.vfs.Removexattr(caller(in), vfs.Ino(in.NodeId), name))
}
