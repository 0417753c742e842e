package blob

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fewFiles is how many files are synced one by one, syncers of them at once.
// Beyond that one sync of the whole file system is cheaper, though it also waits
// for what other programs have written.
const (
	fewFiles = 256
	syncers  = 8
)

// Sync makes everything written so far survive a power cut. Of what another
// Sync is busy with it waits for the end.
func (s *Store) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
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
	paths := make([]string, 0, len(files))
	shards := map[string]bool{s.dir: true}
	for h := range files {
		paths = append(paths, s.path(h))
		shards[s.shard(h)] = true
	}
	if err := syncAll(paths); err != nil {
		return err
	}
	return syncAll(slices.Collect(maps.Keys(shards)))
}

func syncAll(paths []string) error {
	errs := make([]error, min(len(paths), syncers))
	var next atomic.Int64
	var all sync.WaitGroup
	for n := range errs {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(paths)) && errs[n] == nil; i = next.Add(1) - 1 {
				errs[n] = syncPath(paths[i])
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it went bad, or somebody took it away: it is missing in any case
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
