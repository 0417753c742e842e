package keystore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makePrivate makes dir for its owner alone. A folder that is there already
// must be private, or empty, and then it is made so.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder: %w", dir, ErrPermissions)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 && owned(info) {
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
		if info, err = os.Lstat(dir); err != nil {
			return err
		}
	}
	if err := checkPrivate(dir, info, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// readPrivate reads a file that nobody else can read or replace.
func readPrivate(path string) ([]byte, error) {
	dir := filepath.Dir(path)
	dirInfo, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: %w", path, ErrPermissions)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(dir, dirInfo, 0o700); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrPermissions)
	}
	if err := checkPrivate(path, info, 0o600); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", path, maxFile, ErrDamaged)
	}
	return data, nil
}

func checkPrivate(path string, info fs.FileInfo, want fs.FileMode) error {
	if !owned(info) {
		return fmt.Errorf("%s belongs to another user: %w", path, ErrPermissions)
	}
	if perm := info.Mode().Perm(); perm&^want != 0 {
		return fmt.Errorf("%s has mode %04o: run chmod %o %s: %w", path, perm, want, path, ErrPermissions)
	}
	return nil
}

func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// writeDurably makes a file that after a power cut is there whole or not at
// all: new file, sync, rename, sync of the folder.
func writeDurably(path string, data []byte) (err error) {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
