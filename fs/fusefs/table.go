package fusefs

import (
	"sync"

	"github.com/echofs/echofs/fs/vfs"
)

// A table gives numbers to what the kernel has open.
type table[T any] struct {
	mu   sync.RWMutex
	last uint64
	open map[uint64]T
}

func newTable[T any]() *table[T] { return &table[T]{open: map[uint64]T{}} }

func (t *table[T]) add(v T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.open[t.last] = v
	return t.last
}

func (t *table[T]) get(n uint64) T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.open[n]
}

func (t *table[T]) remove(n uint64) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.open[n]
	delete(t.open, n)
	return v
}

// known counts how often the kernel has been told each inode, less what it has
// forgotten, and notes which of them changed.
type known struct {
	mu     sync.Mutex // guards the field below
	inodes map[vfs.Ino]*inode
}

type inode struct {
	lookups uint64
	// stale: a change was announced and the file was not opened since.
	stale bool
}

func newKnown() *known { return &known{inodes: map[vfs.Ino]*inode{}} }

// add counts one more lookup.
func (k *known) add(ino vfs.Ino) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.inodes[ino]
	if i == nil {
		i = &inode{}
		k.inodes[ino] = i
	}
	i.lookups++
}

// drop takes n lookups back and reports whether none is left.
func (k *known) drop(ino vfs.Ino, n uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.inodes[ino]
	if i == nil {
		return false
	}
	if i.lookups > n {
		i.lookups -= n
		return false
	}
	delete(k.inodes, ino)
	return true
}

// changed notes that what the kernel has cached of these inodes is old.
func (k *known) changed(changes []vfs.Invalidation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range changes {
		if c.Content {
			k.markStale(c.Ino)
		}
		if c.Entry || c.Delete {
			k.markStale(c.Parent)
		}
	}
}

func (k *known) markStale(ino vfs.Ino) {
	if i := k.inodes[ino]; i != nil {
		i.stale = true
	}
}

// fresh reports whether no change of the inode was announced since the last
// call, that is whether the kernel may keep what it has.
func (k *known) fresh(ino vfs.Ino) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.inodes[ino]
	if i == nil {
		return false
	}
	stale := i.stale
	i.stale = false
	return !stale
}
