package vfs

import (
	"hash/fnv"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// A virtual is something in the hidden folder `.space` of a space: it is made
// when somebody asks for it and nobody can change it. Its methods are called
// from any goroutine, with no lock held.
type virtual interface {
	// key names it among all virtual things of its space.
	key() string
	dir() bool
	// stat returns its size and the time of its last change.
	stat() (size int64, mtime time.Time, err error)
	// list and child are those of a folder.
	list() ([]virtualEntry, error)
	child(name string) (virtual, error)
	// renew takes over what another one of the same key knows better.
	renew(virtual)
	// open returns the content of a file.
	open() (*space.Snapshot, error)
}

// A virtualEntry is one name in a virtual folder.
type virtualEntry struct {
	name string
	what virtual
}

// spaceFolder is the name of the hidden folder. No listing has it, so that
// grep -r and cp -r do not fall into it.
const spaceFolder = ".space"

// virtualIno marks the numbers of virtual things.
const virtualIno Ino = scratchIno | freshIno

// Virtual reports whether a number is that of something virtual, whose folders
// change without notice.
func (i Ino) Virtual() bool { return i&virtualIno == virtualIno }

// virtualNode is what the inode of something virtual says it is: no node.
var virtualNode = space.NodeID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// virtualInode returns the inode of something virtual: the one that the kernel
// knows it by, or a new one.
func (v *volume) virtualInode(what virtual) *inode {
	f, key := v.fs, what.key()
	f.mu.Lock()
	defer f.mu.Unlock()
	for ino := v.virtualNumber(key); ; ino = virtualIno | (ino + 1) {
		in := f.inodes[ino]
		if in == nil {
			in = &inode{fs: f, vol: v, ino: ino, state: stateVirtual, node: virtualNode, virtual: what}
			if what.dir() {
				in.kind = space.Dir
			}
			f.inodes[ino] = in
			return in
		}
		if in.vol == v && in.virtual.key() == key {
			in.virtual.renew(what)
			return in
		}
	}
}

// virtualNumber is the number that something virtual has, unless another thing
// has it.
func (v *volume) virtualNumber(key string) Ino {
	h := fnv.New64a()
	h.Write([]byte(key))
	return virtualIno | Ino(h.Sum64()^v.salt)
}

// virtualChild finds a name in a virtual folder, or the hidden folder in the
// root of a space. It reports false if this is neither.
func (f *FS) virtualChild(dir *inode, name string) (in *inode, is bool, err error) {
	if dir.virtual == nil {
		if dir.vol == nil || dir != dir.vol.root || name != spaceFolder {
			return nil, false, nil
		}
		return dir.vol.virtualInode(dir.vol.hidden()), true, nil
	}
	if dir.kind != space.Dir {
		return nil, true, syscall.ENOTDIR
	}
	what, err := dir.virtual.child(name)
	if err != nil {
		return nil, true, spaceErr(err)
	}
	return dir.vol.virtualInode(what), true, nil
}

func (in *inode) virtualList() ([]DirEntry, error) {
	if in.kind != space.Dir {
		return nil, syscall.ENOTDIR
	}
	entries, err := in.virtual.list()
	if err != nil {
		return nil, spaceErr(err)
	}
	out := make([]DirEntry, len(entries))
	for i, e := range entries {
		out[i] = DirEntry{Name: e.name, Ino: in.vol.virtualNumber(e.what.key()), Mode: syscall.S_IFREG}
		if e.what.dir() {
			out[i].Mode = syscall.S_IFDIR
		}
	}
	return out, nil
}

func (in *inode) virtualAttr() (Attr, error) {
	size, mtime, err := in.virtual.stat()
	if err != nil {
		return Attr{}, spaceErr(err)
	}
	in.mu.Lock()
	in.forgot = false
	in.mu.Unlock()
	a := Attr{Ino: in.ino, Nlink: 1, UID: in.fs.cfg.UID, GID: in.fs.cfg.GID, Size: uint64(size), Mode: syscall.S_IFREG | 0o444}
	if in.kind == space.Dir {
		a.Size, a.Mode = 0, syscall.S_IFDIR|0o555
	}
	if in.virtual.key() == spaceFolder { // the ignore file can be made and removed
		a.Mode = in.restrict(Attr{Mode: modeDir}).Mode
	}
	a.setTimes(mtime)
	return a, nil
}

// openVirtual opens a virtual file for reading.
func (in *inode) openVirtual(who proc, flags uint32) (*Handle, error) {
	h := &Handle{in: in, flags: flags, opener: who}
	if h.writes() || flags&syscall.O_TRUNC != 0 {
		return nil, syscall.EROFS
	}
	snap, err := in.virtual.open()
	if err != nil {
		return nil, spaceErr(err)
	}
	h.content = &content{id: snap.Version(), snap: snap}
	_, h.direct = in.virtual.(*whoFile) // of which the kernel knows another size
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.handles == nil {
		in.handles = map[*Handle]bool{}
	}
	in.handles[h] = true
	return h, nil
}

// A virtualDir is a folder of which everything is known.
type virtualDir struct {
	name    string
	entries []virtualEntry
	mtime   time.Time
}

func (d *virtualDir) key() string { return d.name }
func (d *virtualDir) dir() bool   { return true }

func (d *virtualDir) stat() (int64, time.Time, error) { return 0, d.mtime, nil }

func (d *virtualDir) list() ([]virtualEntry, error) { return d.entries, nil }

func (d *virtualDir) child(name string) (virtual, error) { return pick(d.entries, name) }

func (d *virtualDir) renew(virtual) {}

func (d *virtualDir) open() (*space.Snapshot, error) { return nil, syscall.EISDIR }

func pick(entries []virtualEntry, name string) (virtual, error) {
	for _, e := range entries {
		if e.name == name {
			return e.what, nil
		}
	}
	return nil, syscall.ENOENT
}

// hidden is what is in `.space`.
func (v *volume) hidden() virtual {
	root := &pastFolder{past: past{space: v.tree.space, path: "history", began: v.fs.started}, nodes: nodes{ids: []space.NodeID{space.Root}}}
	s := v.tree.space
	entries := []virtualEntry{{"history", root}, {"withdrawn", &withdrawnFolder{s, v.fs.started}}}
	if who := v.fs.cfg.Who; who != nil {
		entries = slices.Insert(entries, 1, virtualEntry{"who", &whoFile{space: s, who: who, now: v.fs.now}})
	}
	if pictures := v.fs.cfg.Pictures; pictures != nil {
		entries = slices.Insert(entries, 1, virtualEntry{"people", &peopleFolder{s, pictures, v.fs.started}})
	}
	return &virtualDir{name: spaceFolder, mtime: v.fs.started, entries: entries}
}
