package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A Journal holds frames that are appended before they are committed, in
// segment files of its folder: a header, then frames of {length, CRC32C,
// bytes}. The checksum also covers the number of the segment.
type Journal struct {
	dir string

	mu       sync.Mutex // guards the fields below
	synced   *sync.Cond // on mu: a sync or Prepare has ended
	current  *segment
	next     *segment   // made by Prepare; nil: not yet
	making   bool       // Prepare is at work
	sealed   []*segment // oldest first
	buf      []byte
	appended uint64 // frames appended since the journal was opened
	durable  uint64 // how many of them a sync has covered
	syncing  bool
	newFile  bool  // a segment was made since the folder was last synced
	cut      int64 // bytes that a crash tore, found at open
	broken   error // why nothing more is taken
}

// MaxFrame is the greatest length of a frame.
const MaxFrame = 8 << 20

// OpenJournal opens or makes the journal in dir. A frame that a crash tore at
// the end is cut off.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &Journal{dir: dir, newFile: true}
	j.synced = sync.NewCond(&j.mu)
	if err := j.load(); err != nil {
		j.Close()
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return j, nil
}

// load opens the segments. Frames after one that does not verify were never
// synced, or the one would be whole: they are set aside.
func (j *Journal) load() error {
	numbers, err := listSegments(j.dir)
	if err != nil {
		return err
	}
	torn := false
	for _, n := range numbers {
		if torn {
			if empty(segmentPath(j.dir, n)) { // made ahead
				if err := os.Remove(segmentPath(j.dir, n)); err != nil {
					return err
				}
				continue
			}
			if err := setAside(segmentPath(j.dir, n), &j.cut); err != nil {
				return err
			}
			continue
		}
		s, cut, err := openSegment(j.dir, n)
		if err != nil {
			return err
		}
		j.cut += cut
		torn = cut > 0
		if j.current != nil {
			j.sealed = append(j.sealed, j.current)
		}
		j.current = s
	}
	if j.current == nil {
		j.current, err = newSegment(j.dir, 1)
		return err
	}
	j.appended = 1 // what the last process left may not be durable
	return nil
}

// Cut returns how many bytes at the end were torn when the journal was opened.
func (j *Journal) Cut() int64 { return j.cut }

// Append adds a frame. When it returns nil the frame survives the death of the
// process; Sync makes it survive a power cut. When it fails, a full disk for
// example, the journal is as it was and Append may be tried again.
func (j *Journal) Append(frame []byte) error {
	if len(frame) == 0 || len(frame) > MaxFrame {
		return fmt.Errorf("appending to the journal: a frame of %d bytes", len(frame))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	j.buf = appendFrame(j.buf[:0], j.current.number, frame)
	if err := j.current.write(j.buf); err != nil {
		if j.current.file == nil || j.current.size < 0 {
			j.broken = fmt.Errorf("the journal cannot be written: %w", err)
			return j.broken
		}
		return fmt.Errorf("appending to the journal: %w", err)
	}
	if cap(j.buf) > 1<<20 {
		j.buf = nil
	}
	j.appended++
	return nil
}

// Sync makes every frame appended so far durable. Concurrent callers share one
// disk sync.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for want := j.appended; j.durable < want; {
		if j.broken != nil {
			return j.broken
		}
		if j.syncing {
			j.synced.Wait()
			continue
		}
		j.syncLocked()
	}
	return nil
}

// syncLocked syncs what is appended now. It lets go of mu meanwhile; frames
// that arrive then belong to the next sync.
func (j *Journal) syncLocked() {
	upTo, newFile := j.appended, j.newFile
	var dirty []*segment
	for _, s := range append(j.sealed[:len(j.sealed):len(j.sealed)], j.current) {
		if s.dirty {
			s.dirty = false
			s.users++
			dirty = append(dirty, s)
		}
	}
	j.syncing, j.newFile = true, false
	j.mu.Unlock()
	var err error
	for _, s := range dirty {
		if e := unix.Fdatasync(int(s.file.Fd())); e != nil && err == nil {
			err = e
		}
	}
	if newFile && err == nil {
		err = syncDir(j.dir)
	}
	j.mu.Lock()
	for _, s := range dirty {
		s.users--
		s.closeIfDropped()
	}
	j.syncing = false
	if err != nil {
		// The kernel may have dropped what it could not write, so a later
		// sync that succeeds would promise too much.
		j.broken = fmt.Errorf("the journal cannot be synced: %w", err)
	} else {
		j.durable = upTo
	}
	j.synced.Broadcast()
}

// Rotate seals the current segment and begins a new one. It returns the number
// of the sealed segment, for Drop. An empty segment is not sealed.
func (j *Journal) Rotate() (sealed uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	if j.current.size == headerLen {
		return j.current.number - 1, nil
	}
	for j.making {
		j.synced.Wait()
	}
	s := j.next
	if s == nil {
		if s, err = newSegment(j.dir, j.current.number+1); err != nil {
			return 0, fmt.Errorf("rotating the journal: %w", err)
		}
		j.newFile = true
	}
	j.sealed = append(j.sealed, j.current)
	j.current, j.next = s, nil
	return s.number - 1, nil
}

// Prepare makes the segment that the next Rotate will begin, so that Rotate need
// not make a file. For when there is nothing more urgent to do.
func (j *Journal) Prepare() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil || j.making || j.next != nil {
		return nil
	}
	n := j.current.number + 1
	j.making = true
	j.mu.Unlock()
	s, err := newSegment(j.dir, n)
	j.mu.Lock()
	j.making = false
	j.synced.Broadcast()
	if err != nil {
		return fmt.Errorf("preparing the journal: %w", err)
	}
	j.next, j.newFile = s, true
	return nil
}

// Drop removes sealed segments up to and including one.
func (j *Journal) Drop(upTo uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.sealed) > 0 && j.sealed[0].number <= upTo {
		s := j.sealed[0]
		if err := os.Remove(segmentPath(j.dir, s.number)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("dropping from the journal: %w", err)
		}
		j.sealed = j.sealed[1:]
		s.dirty, s.dropped = false, true
		s.closeIfDropped()
	}
	return nil
}

// Replay calls fn for every frame still held, oldest first. It holds the
// journal's lock, so fn must not call the journal.
func (j *Journal) Replay(fn func(frame []byte) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range append(j.sealed[:len(j.sealed):len(j.sealed)], j.current) {
		good, err := s.frames(fn)
		if err != nil {
			return err
		}
		if good != s.size {
			return fmt.Errorf("%w: journal %s at byte %d", ErrDamaged, filepath.Base(s.file.Name()), good)
		}
	}
	return nil
}

// Keep gives all segments that hold something a second name, ending in .kept, that Drop does not
// remove: for a person to look at what no replay could use.
func (j *Journal) Keep() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range append(j.sealed[:len(j.sealed):len(j.sealed)], j.current) {
		if s.size == headerLen {
			continue
		}
		path := segmentPath(j.dir, s.number)
		if err := os.Link(path, path+".kept"); err != nil && !os.IsExist(err) {
			return fmt.Errorf("keeping the journal: %w", err)
		}
	}
	return syncDir(j.dir)
}

// Size returns how many bytes of frames the journal holds.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.current.size - headerLen
	for _, s := range j.sealed {
		n += s.size - headerLen
	}
	return n
}

// Close closes the journal. It does not sync.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.syncing || j.making {
		j.synced.Wait()
	}
	for _, s := range append(j.sealed, j.current, j.next) {
		if s != nil && s.file != nil {
			s.file.Close()
		}
	}
	if j.broken == nil {
		j.broken = os.ErrClosed
	}
	return nil
}

func appendFrame(buf []byte, number uint64, frame []byte) []byte {
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(frame)))
	buf = binary.LittleEndian.AppendUint32(buf, frameSum(number, frame))
	return append(buf, frame...)
}
