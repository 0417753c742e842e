package vfs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// FS is the file system: a root that lists the spaces, and the spaces.
type FS struct {
	cfg      Config
	log      *slog.Logger
	started  time.Time
	procs    *processes
	bases    *bases
	watchers *watchers
	looking  looking
	queue    *notices
	held     atomic.Int64 // bytes of fresh files in memory

	mu        sync.Mutex // guards the fields below
	closed    bool
	inodes    map[Ino]*inode
	volumes   map[string]*volume
	nextFresh Ino
}

// New makes a file system without spaces.
func New(cfg Config) *FS {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &FS{
		cfg: cfg, log: cfg.Log, started: cfg.Now(),
		procs:    &processes{now: cfg.Now, custom: cfg.Process},
		watchers: &watchers{now: cfg.Now},
		queue:    &notices{},
		inodes:   map[Ino]*inode{},
		volumes:  map[string]*volume{},
		// Numbers of fresh files do not come again after a restart.
		nextFresh: freshIno | Ino(cfg.Now().UnixNano())&^(freshIno|scratchIno),
	}
	f.bases = newBases(f.procs, cfg.Now)
	f.inodes[RootIno] = &inode{fs: f, ino: RootIno, kind: space.Dir}
	return f
}

// Add shows a space as a folder of the mount root. What an earlier run had held
// back from the space when it died is handed over first.
func (f *FS) Add(name string, s *space.Space) error {
	if err := checkName(name); err != nil {
		return err
	}
	f.mu.Lock()
	taken := f.volumes[name] != nil
	closed := f.closed
	f.mu.Unlock()
	if taken {
		return &os.PathError{Op: "add", Path: name, Err: os.ErrExist}
	}
	if closed {
		return os.ErrClosed
	}
	v, err := newVolume(f, name, s)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.volumes[name] = v
	f.inodes[v.root.ino] = v.root
	f.mu.Unlock()
	f.queue.add(Invalidation{Entry: true, Ino: v.root.ino, Parent: RootIno, Name: name, Dir: true, Kind: syscall.S_IFDIR, At: &Place{Name: name}})
	return nil
}

// Remove takes a space out of the mount root. What is held back is published
// and what open handles have written is committed; they fail from then on.
func (f *FS) Remove(name string) {
	f.mu.Lock()
	v := f.volumes[name]
	delete(f.volumes, name)
	f.mu.Unlock()
	if v == nil {
		return
	}
	if err := v.close(); err != nil {
		f.log.Error("closing a space", "space", name, "err", err)
	}
	f.queue.add(Invalidation{Delete: true, Ino: v.root.ino, Parent: RootIno, Name: name, Dir: true, Kind: syscall.S_IFDIR, At: &Place{Name: name}})
}

// Close commits what open handles have written and publishes what is held back.
func (f *FS) Close() error {
	f.mu.Lock()
	f.closed = true
	vols := f.volumes
	f.volumes = map[string]*volume{}
	f.mu.Unlock()
	var err error
	for _, v := range vols {
		err = errors.Join(err, v.close())
	}
	f.queue.close()
	return err
}

// Invalidations sets who is told what the kernel should forget. fn is called
// from one goroutine at a time, in order, with no lock held; it may block.
func (f *FS) Invalidations(fn func([]Invalidation)) { f.queue.to(fn) }

// inode finds what the kernel knows by a number.
func (f *FS) inode(ino Ino) (*inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.inodes[ino]
	if in == nil {
		return nil, syscall.ESTALE
	}
	return in, nil
}

// enter gives a new inode its number: the wanted one, or the next that is free.
func (f *FS) enter(in *inode, want Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if want == freshIno {
		f.nextFresh++
		want = f.nextFresh
	}
	for f.inodes[want] != nil {
		want++
	}
	in.ino = want
	f.inodes[want] = in
}

// number is one that no inode has and none will get.
func (f *FS) number() Ino {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextFresh++
	return f.nextFresh
}

func (f *FS) now() time.Time { return f.cfg.Now() }

// who returns a function that finds the caller's process when it is needed.
func (f *FS) who(c Caller) func() proc {
	return func() proc { return f.procs.of(c.PID) }
}

// rootEntries lists the spaces.
func (f *FS) rootEntries() []DirEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]DirEntry, 0, len(f.volumes))
	for name, v := range f.volumes {
		out = append(out, DirEntry{Name: name, Ino: v.root.ino, Mode: syscall.S_IFDIR})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (f *FS) volume(name string) *volume {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.volumes[name]
}

// Statfs tells the state of the real disk.
func (f *FS) Statfs(Caller, Ino) (Statfs, error) {
	var s syscall.Statfs_t
	dir := f.cfg.Dir
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Dir(dir)
	}
	if err := syscall.Statfs(dir, &s); err != nil {
		return Statfs{}, err
	}
	return Statfs{
		Blocks: s.Blocks, Bfree: s.Bfree, Bavail: s.Bavail,
		Files: s.Files, Ffree: s.Ffree, Bsize: uint32(s.Bsize), NameLen: 255,
	}, nil
}

// newVolume opens the parts of this device that belong to a space.
func newVolume(f *FS, name string, s *space.Space) (*volume, error) {
	ctx, cancel := context.WithCancel(context.Background())
	id := s.ID()
	v := &volume{
		fs: f, name: name, cancel: cancel,
		tree:    &shared{space: s, ctx: ctx, now: f.now, expect: map[cause][]time.Time{}, recent: map[space.NodeID]time.Time{}},
		dir:     filepath.Join(f.cfg.Dir, id.String()),
		salt:    binary.LittleEndian.Uint64(id[:8]),
		byNode:  map[space.NodeID]*inode{},
		byOS:    map[uint64]*inode{},
		overlay: map[space.NodeID]map[string]*inode{},
		holds:   map[space.NodeID]*hold{},
		names:   map[space.NodeID]map[string]*hold{},
		times:   map[space.NodeID]time.Time{},
		nlinks:  map[space.NodeID]uint32{},
		imports: imports{slots: make(chan struct{}, importsAtOnce)},
	}
	for _, d := range []string{v.workDir(), v.scratchDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			cancel()
			return nil, err
		}
	}
	if err := v.recover(); err != nil {
		cancel()
		return nil, err
	}
	v.root = &inode{fs: f, vol: v, kind: space.Dir, node: space.Root}
	f.enter(v.root, nodeIno(v, space.Root))
	v.byNode[space.Root] = v.root
	v.unsubscribe = s.Subscribe(v.events)
	return v, nil
}

func (v *volume) workDir() string    { return filepath.Join(v.dir, "work") }
func (v *volume) scratchDir() string { return filepath.Join(v.dir, "scratch") }
func (v *volume) heldDir() string    { return filepath.Join(v.dir, "held") }

// folderDir is where scratch files of a shared folder live.
func (v *volume) folderDir(dir space.NodeID) string {
	return filepath.Join(v.scratchDir(), hex.EncodeToString(dir[:]))
}
