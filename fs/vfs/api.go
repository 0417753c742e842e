package vfs

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Ino numbers a file, folder or link while somebody knows it. A number that
// belongs to a published node is the same after a restart.
type Ino uint64

// RootIno is the mount root, the folder that lists the spaces.
const RootIno Ino = 1

// Caller is who asks, as the kernel tells it.
type Caller struct {
	PID      uint32 // a thread; 0 for the kernel itself
	UID, GID uint32
}

// Config is what a file system needs.
type Config struct {
	Dir      string // scratch files and working copies of this device; made if missing
	Log      *slog.Logger
	UID, GID uint32           // owner of everything: the mounter
	Now      func() time.Time // nil is time.Now
	// Who returns what `.space/who` of a space says, from any goroutine; nil:
	// there is no such file.
	Who func(*space.Space) string
	// Pictures returns what is in `.space/people`, under names that differ; nil:
	// there is no such folder.
	Pictures func(*space.Space) []Picture
	// Process maps a thread to its process. Leave it nil outside of tests: the
	// default asks /proc and also tells two processes with one number apart.
	Process func(tid uint32) uint32
}

// Attr is what stat tells.
type Attr struct {
	Ino                 Ino
	Mode                uint32 // S_IF… and permissions
	Size                uint64
	Nlink               uint32
	UID, GID            uint32
	Mtime, Ctime, Atime time.Time
	// Volatile: processes are told different things now; do not cache.
	Volatile bool
	// Apart: Size is for this caller only. The kernel has one size of a file, by
	// which it cuts what readers through its page cache get; that must stay True.
	Apart bool
	True  uint64 // the size of what they get; only with Apart
}

// IsDir reports whether the attributes are those of a folder.
func (a Attr) IsDir() bool { return a.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// SetAttr says what to change; nil leaves as it is.
type SetAttr struct {
	Size         *uint64
	Mode         *uint32
	UID, GID     *uint32
	Mtime, Atime *time.Time
	// Lower: the caller must not keep what set-user-ID and set-group-ID bits give.
	Lower bool
}

// DirEntry is one name in a folder. Mode holds the S_IF… bits only.
type DirEntry struct {
	Name string
	Ino  Ino
	Mode uint32
}

// Flags of Rename, as in renameat2.
const (
	RenameNoReplace = 1
	RenameExchange  = 2
)

// Statfs is the state of the real disk under the file system.
type Statfs struct {
	Blocks, Bfree, Bavail uint64
	Files, Ffree          uint64
	Bsize, NameLen        uint32
}

// Invalidation says what the kernel may hold that is not so any more. Several
// flags may be set.
type Invalidation struct {
	Content bool // drop the pages of Ino and its attributes
	Attr    bool // drop the attributes of Ino
	Entry   bool // Name in Parent appeared or now means Ino
	Delete  bool // Name in Parent is gone; Ino, if not 0, is what it was

	Ino    Ino
	Parent Ino
	Name   string
	Dir    bool   // Ino is a folder
	Kind   uint32 // the S_IF… bits of Ino; 0 if nobody knows
	Moved  bool   // with Delete: what had the name is elsewhere now
	Remote bool   // a peer's change

	// At is where Name is, if programs that watch should hear of the change and
	// may be watching: the kernel may know the folder. From is where it was
	// before, if it moved; then the notice about that name has no At.
	At, From *Place
}

// A Place is a name and the way to its folder, from the mount root.
type Place struct {
	Folder []Step
	Name   string
}

// A Step is one folder on the way. Ino is 0 if the kernel cannot know it.
type Step struct {
	Name string
	Ino  Ino
}
