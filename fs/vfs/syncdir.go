package vfs

import "errors"

// SyncDir returns when the names in a folder would survive a power cut: those
// that the space has, and those that are held back from it.
func (f *FS) SyncDir(_ Caller, ino Ino) error {
	in, err := f.inode(ino)
	if err != nil || in.vol == nil {
		return err
	}
	return errors.Join(in.vol.log.sync(), in.vol.tree.sync())
}
