package fusefs

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// A listing is an open folder: what it held when it was last read from the
// start, so that names come neither twice nor never while it changes.
type listing struct {
	mu      sync.Mutex // guards entries; held while they are replaced
	entries []vfs.DirEntry
}

func (f *filesystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.Fh = f.dirs.add(&listing{})
	if vfs.Ino(in.NodeId).Virtual() {
		return fuse.OK
	}
	out.OpenFlags = fuse.FOPEN_CACHE_DIR
	if f.known.fresh(vfs.Ino(in.NodeId)) {
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

func (f *filesystem) ReleaseDir(in *fuse.ReleaseIn) { f.dirs.remove(in.Fh) }

// from returns the entries of an open folder from offset on.
func (f *filesystem) from(in *fuse.ReadIn) ([]vfs.DirEntry, error) {
	l := f.dirs.get(in.Fh)
	if l == nil {
		return nil, syscall.EBADF
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.Offset == 0 || l.entries == nil {
		entries, err := f.vfs.ReadDir(caller(&in.InHeader), vfs.Ino(in.NodeId))
		if err != nil {
			return nil, err
		}
		l.entries = append([]vfs.DirEntry{
			{Name: ".", Ino: vfs.Ino(in.NodeId), Mode: syscall.S_IFDIR},
			{Name: "..", Mode: syscall.S_IFDIR},
		}, entries...)
	}
	return l.entries[min(in.Offset, uint64(len(l.entries))):], nil
}

func (f *filesystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	entries, err := f.from(in)
	if err != nil {
		return f.status("readdir", err)
	}
	for _, e := range entries {
		if !out.AddDirEntry(fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: e.Mode}) {
			break
		}
	}
	return fuse.OK
}

func (f *filesystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	entries, err := f.from(in)
	if err != nil {
		return f.status("readdirplus", err)
	}
	for _, e := range entries {
		entry := out.AddDirLookupEntry(fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: e.Mode})
		if entry == nil {
			break
		}
		if e.Name == "." || e.Name == ".." {
			continue
		}
		// Without an inode the kernel looks the name up itself if it must, and
		// finds out what went wrong.
		if err := f.lookup(&in.InHeader, vfs.Ino(in.NodeId), e.Name, entry); err != nil {
			*entry = fuse.EntryOut{}
		}
	}
	return fuse.OK
}

func (f *filesystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.status("fsyncdir", f.vfs.SyncDir(caller(&in.InHeader), vfs.Ino(in.NodeId)))
}
