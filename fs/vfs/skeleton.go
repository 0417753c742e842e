package vfs

import "github.com/echofs/echofs/crdt/space"

// FS is the file system.
type FS struct{}

// Handle is an open file.
type Handle struct{}

// New makes a file system without spaces.
func New(cfg Config) *FS { panic("todo") }

// Add shows a space as a folder of the mount root.
func (f *FS) Add(name string, s *space.Space) error { panic("todo") }

// Remove takes a space out of the mount root.
func (f *FS) Remove(name string) { panic("todo") }

// Close commits what open handles have written.
func (f *FS) Close() error { panic("todo") }

// Invalidations sets who is told what the kernel should forget. fn is called
// from one goroutine with no lock held.
func (f *FS) Invalidations(fn func([]Invalidation)) { panic("todo") }

func (f *FS) Lookup(c Caller, parent Ino, name string) (Attr, error)             { panic("todo") }
func (f *FS) Getattr(c Caller, ino Ino, h *Handle) (Attr, error)                 { panic("todo") }
func (f *FS) Setattr(c Caller, ino Ino, h *Handle, s SetAttr) (Attr, error)      { panic("todo") }
func (f *FS) Mkdir(c Caller, parent Ino, name string, mode uint32) (Attr, error) { panic("todo") }
func (f *FS) Create(c Caller, parent Ino, name string, flags, mode uint32) (Attr, *Handle, error) {
	panic("todo")
}
func (f *FS) Open(c Caller, ino Ino, flags uint32) (*Handle, error)           { panic("todo") }
func (f *FS) Unlink(c Caller, parent Ino, name string) error                  { panic("todo") }
func (f *FS) Rmdir(c Caller, parent Ino, name string) error                   { panic("todo") }
func (f *FS) Symlink(c Caller, parent Ino, name, target string) (Attr, error) { panic("todo") }
func (f *FS) Readlink(c Caller, ino Ino) (string, error)                      { panic("todo") }
func (f *FS) Link(c Caller, ino, parent Ino, name string) (Attr, error)       { panic("todo") }
func (f *FS) ReadDir(c Caller, ino Ino) ([]DirEntry, error)                   { panic("todo") }
func (f *FS) Statfs(c Caller, ino Ino) (Statfs, error)                        { panic("todo") }
func (f *FS) Getxattr(c Caller, ino Ino, name string) ([]byte, error)         { panic("todo") }
func (f *FS) Listxattr(c Caller, ino Ino) ([]string, error)                   { panic("todo") }
func (f *FS) Forget(ino Ino)                                                  { panic("todo") }
func (f *FS) Rename(c Caller, parent Ino, name string, parent2 Ino, name2 string, flags uint32) error {
	panic("todo")
}

func (h *Handle) Ino() Ino                                              { panic("todo") }
func (h *Handle) Direct() bool                                          { panic("todo") } // not through the page cache
func (h *Handle) Read(c Caller, p []byte, off int64) (int, error)       { panic("todo") }
func (h *Handle) Write(c Caller, p []byte, off int64) (int, error)      { panic("todo") }
func (h *Handle) Flush(c Caller) error                                  { panic("todo") }
func (h *Handle) Fsync(c Caller) error                                  { panic("todo") }
func (h *Handle) Release(c Caller) error                                { panic("todo") }
func (h *Handle) Allocate(c Caller, off, size int64, mode uint32) error { panic("todo") }
