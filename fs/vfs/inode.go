package vfs

import (
	"encoding/binary"
	"io"
	"sync"
	"syscall"
	"time"
	"weak"

	"github.com/echofs/echofs/crdt/space"
)

// state says where a file's truth is.
type state uint8

const (
	stateShared  state = iota // a node of the space
	stateFresh                // a new file, held back from the space
	stateScratch              // a file of this device
	stateOrphan               // without a name; lives as long as it is open
	stateVirtual              // in the hidden folder of the space
)

// An inode is one file, folder or link as the kernel knows it. Which node of
// the space it stands for may change: in a save dance the kernel's new file
// becomes the old document's next version.
type inode struct {
	fs   *FS
	vol  *volume // nil for the mount root
	ino  Ino
	kind space.Kind

	virtual virtual // of stateVirtual

	// Where it is. Written with vol.mu and mu held, read with either.
	state  state
	node   space.NodeID // shared: what it stands for
	parent space.NodeID // fresh, or moved and not published yet: its folder
	up     *inode       // scratch: its folder
	name   string       // with parent or up
	osIno  uint64       // scratch: number on the disk
	links  []link       // scratch: other names of the same file

	special bool // scratch: a pipe or a socket; immutable
	unnamed bool // orphan: it never had a name and may get one

	mu       sync.Mutex // guards the fields below
	wc       *workingCopy
	handles  map[*Handle]bool
	cur      weak.Pointer[version] // the current text, if somebody remembers it
	shown    weak.Pointer[version] // what processes were shown before the space had it
	shownAt  uint64                // changes then
	pinned   *content              // orphan: what it held
	pages    pages                 // shared: what the kernel may have cached of it
	exec     bool                  // fresh, orphan
	atime    time.Time             // somebody set it; on this device and for as long as the kernel knows the file
	ctime    time.Time             // last change of anything but the content; as atime
	mode     uint32                // fresh, orphan: permissions, with space.ModeSet, if other than exec says
	chmod    bool                  // fresh: somebody asked for them after it was made
	xattrs   map[string][]byte     // fresh, orphan
	mtime    time.Time             // fresh, orphan without a working copy
	key      uint64                // fresh: name in the held log
	inLog    bool                  // fresh: the held log has it
	logged   bool                  // fresh: with its present content
	hold     *hold                 // fresh: whose name it took
	due      time.Time             // fresh: when to publish; zero while being written
	changes  uint64                // of the working copy, counted
	written  time.Time             // when the last of them was
	since    time.Time             // when the first of them was that is not committed
	synced   uint64                // fresh: changes at the last fsync
	syncedAt time.Time
	gone     bool // scratch: not on the disk any more
	forgot   bool // the kernel knows it no more
	inspace  bool // orphan whose node a peer removed: a late save revives it
}

// A link is a name of a scratch file.
type link struct {
	up   *inode
	name string
}

// content is one version of a file, open for reading.
type content struct {
	id    string
	v     *version        // a text, or
	snap  *space.Snapshot // anything else
	mtime time.Time
}

func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if c.snap != nil {
		return c.snap.ReadAt(p, off)
	}
	if off >= int64(len(c.v.text)) {
		return 0, io.EOF
	}
	n := copy(p, c.v.text[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// version is what a process that was shown c knows.
func (c *content) version() *version {
	if c.v != nil {
		return c.v
	}
	return &version{id: c.id, opaque: true, mtime: c.mtime}
}

func (c *content) size() int64 {
	if c.snap != nil {
		return c.snap.Size()
	}
	return int64(len(c.v.text))
}

// writable reports whether somebody has the file open for writing.
func (in *inode) writable() bool {
	for h := range in.handles {
		if h.writes() {
			return true
		}
	}
	return false
}

// loadLocked is the current version of a shared file. A text in it is the same
// *version for everybody as long as anybody remembers it.
func (in *inode) loadLocked() (*content, error) {
	info, err := in.vol.tree.stat(in.node)
	if err != nil {
		return nil, err
	}
	if info.Kind != space.File {
		return nil, syscall.EIO // replaced by something else; the kernel is being told
	}
	if v := in.cur.Value(); v != nil && v.id == info.Version && v.mtime.Equal(info.Mtime) && info.Text {
		return &content{id: v.id, v: v, mtime: info.Mtime}, nil
	}
	snap, err := in.vol.tree.open(in.node)
	if err != nil {
		return nil, err
	}
	c := &content{id: snap.Version(), mtime: info.Mtime}
	if data, ok := snap.Bytes(); ok && isText(data) {
		snap.Close()
		c.v = &version{id: c.id, text: string(data), mtime: info.Mtime}
		in.cur = weak.Make(c.v)
		return c, nil
	}
	c.snap = snap
	return c, nil
}

// pinLocked keeps the content of a file whose name goes while it is open.
func (in *inode) pinLocked() {
	if len(in.handles) == 0 || in.kind != space.File || in.pinned != nil {
		return
	}
	if in.state == stateShared {
		if c, err := in.loadLocked(); err == nil {
			in.pinned = c
		}
		if info, err := in.vol.tree.stat(in.node); err == nil {
			in.exec, in.mode, in.mtime = info.Exec, info.Mode, info.Mtime
		}
	}
}

// nodeIno is the number of a node: the same in every run, unless another node
// has it already.
func nodeIno(vol *volume, node space.NodeID) Ino {
	x := vol.salt
	x = (x ^ binary.LittleEndian.Uint64(node[:8])) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x = (x ^ binary.LittleEndian.Uint64(node[8:])) * 0xbf58476d1ce4e5b9
	x ^= x >> 32
	return max(Ino(x&(1<<62-1)), RootIno+1)
}

// Numbers of files that are not published have one of these bits.
const (
	scratchIno Ino = 1 << 62
	freshIno   Ino = 1 << 63
)

const (
	modeDir  = syscall.S_IFDIR | 0o755
	modeFile = syscall.S_IFREG | 0o644
	modeLink = syscall.S_IFLNK | 0o777
)

// attr is what who is told about the file that it asks for; h may be nil.
func (in *inode) attr(who func() proc, h *Handle) (Attr, error) { return in.attrOf(who, h, true) }

// attrOf is attr; asks is false if who may only be on the way to open it.
func (in *inode) attrOf(who func() proc, h *Handle, asks bool) (Attr, error) {
	how := asKnown
	if h == nil && in.vol != nil && in.kind == space.File && in.fs.bases.known(in.ino) {
		how = in.outlook(who())
	}
	a, err := in.attrs(who, h, telling{how, asks})
	if err == nil && in.vol != nil {
		in.mu.Lock()
		if in.state != stateScratch {
			if !in.atime.IsZero() {
				a.Atime = in.atime
			}
			if in.ctime.After(a.Ctime) {
				a.Ctime = in.ctime
			}
		}
		in.mu.Unlock()
	}
	return a, err
}

func (in *inode) attrs(who func() proc, h *Handle, how telling) (Attr, error) {
	f := in.fs
	a := Attr{Ino: in.ino, Nlink: 1, UID: f.cfg.UID, GID: f.cfg.GID}
	if in.vol == nil {
		a.Mode = syscall.S_IFDIR | 0o555
		a.setTimes(f.started)
		return a, nil
	}
	if in.virtual != nil {
		return in.virtualAttr()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.forgot = false
	if in.state == stateScratch {
		return in.scratchAttr(h)
	}
	if in.kind == space.Dir && in.node == space.Root {
		a.Mode = modeDir
		a.setTimes(in.vol.touched(space.Root))
		var err error
		if a.Nlink, err = in.vol.links(space.Root); err != nil {
			return Attr{}, err
		}
		return in.restrict(a), nil
	}
	if in.state == stateShared {
		info, err := in.vol.tree.stat(in.node)
		if err != nil {
			return Attr{}, err
		}
		a.setTimes(info.Mtime)
		switch in.kind {
		case space.Dir:
			a.Mode = permissions(modeDir, info.Mode)
			if a.Nlink, err = in.vol.links(in.node); err != nil {
				return Attr{}, err
			}
			if t := in.vol.touched(in.node); t.After(info.Mtime) {
				a.setTimes(t)
			}
			return in.restrict(a), nil
		case space.Symlink:
			a.Mode, a.Size = modeLink, uint64(len(info.Target))
			return a, nil
		}
		a.Mode, a.Size = permissions(fileMode(info.Exec), info.Mode), uint64(info.Size)
		if w := in.wc; w != nil && w.dirty {
			a.Size = uint64(w.size)
			a.setTimes(w.mtime)
			a.Volatile = w.exact && w.base != nil && w.base.id != info.Version
			return in.restrict(a), nil
		}
		switch c, reading := in.readBy(who, h, info.Version); {
		case c != nil:
			a.Size = uint64(c.size())
			a.setTimes(c.mtime)
			a.Volatile = true
		case f.bases.known(in.ino) && f.bases.differ(in.ino, info.Version):
			a.Volatile = true
			if h == nil {
				size, mtime := f.bases.tell(in.ino, who(), info.Version, info.Size, info.Mtime, how)
				a.Size = uint64(size)
				a.setTimes(mtime)
			}
		default:
			a.Volatile = reading
		}
		in.sizeForAll(&a, h, info)
		return in.restrict(a), nil
	}
	if in.kind != space.File { // removed, and somebody still stands in it
		a.Mode, a.Nlink = modeDir, 0
		if in.kind == space.Symlink {
			a.Mode = modeLink
		}
		return in.restrict(a), nil
	}
	a.Mode = permissions(fileMode(in.exec), in.mode)
	a.setTimes(in.mtime)
	switch {
	case in.wc != nil:
		a.Size = uint64(in.wc.size)
		a.setTimes(in.wc.mtime)
	case in.pinned != nil:
		a.Size = uint64(in.pinned.size())
	}
	if in.state == stateOrphan {
		a.Nlink = 0
	}
	return in.restrict(a), nil
}

func (a *Attr) setTimes(t time.Time) { a.Mtime, a.Ctime, a.Atime = t, t, t }

func fileMode(exec bool) uint32 {
	if exec {
		return modeFile | 0o111
	}
	return modeFile
}

// permissions is a mode with the permissions that are kept, if some are.
func permissions(mode, kept uint32) uint32 {
	if kept == 0 {
		return mode
	}
	return mode&^0o7777 | kept&0o7777
}

// kept is what to keep of wanted permissions, where without any they are those of mode.
func kept(mode, wanted uint32) uint32 {
	if mode&0o7777 == wanted&0o7777 {
		return 0
	}
	return wanted&0o7777 | space.ModeSet
}

// restrict takes away the write bits in a space that this device may only read.
func (in *inode) restrict(a Attr) Attr {
	if in.vol.tree.readOnly() {
		a.Mode &^= 0o222
	}
	return a
}
