package blob

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fewFiles is how many files are synced one by one. For more than that one
// sync of the whole file system is cheaper.
const fewFiles = 8

// Sync makes everything written so far survive a power cut.
func (s *Store) Sync() error {
	s.mu.Lock()
	files := s.unsynced
	s.unsynced = map[[32]byte]struct{}{}
	s.mu.Unlock()
	if len(files) == 0 {
		return nil
	}
	err := s.syncFiles(files)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range files {
		s.unsynced[h] = struct{}{}
	}
	return fmt.Errorf("syncing the chunks: %w", err)
}

func (s *Store) syncFiles(files map[[32]byte]struct{}) error {
	if len(files) > fewFiles {
		d, err := os.Open(s.dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return unix.Syncfs(int(d.Fd()))
	}
	dirs := map[string]bool{s.dir: true}
	for h := range files {
		if err := syncPath(s.path(h)); err != nil {
			return err
		}
		dirs[s.shard(h)] = true
	}
	for d := range dirs {
		if err := syncPath(d); err != nil {
			return err
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
