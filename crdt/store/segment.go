package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Every segment begins with this. The last byte is the version.
const (
	segmentMagic = "echofsJ\x01"
	headerLen    = int64(len(segmentMagic))
	frameHead    = 8
	segmentName  = "journal-"
)

// A segment is one file of the journal. The journal's lock guards it.
type segment struct {
	number  uint64
	file    *os.File
	size    int64 // where the next frame goes; -1 when the end is not known any more
	dirty   bool  // written since the last sync
	users   int   // syncs that are using file
	dropped bool
}

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016x", segmentName, n))
}

// listSegments returns the numbers of the segments in dir, ascending.
func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		hex, ok := strings.CutPrefix(e.Name(), segmentName)
		if n, err := strconv.ParseUint(hex, 16, 64); ok && err == nil && len(hex) == 16 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func newSegment(dir string, n uint64) (*segment, error) {
	path := segmentPath(dir, n)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt([]byte(segmentMagic), 0); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return &segment{number: n, file: f, size: headerLen, dirty: true}, nil
}

// openSegment opens a segment and cuts off a torn end, of cut bytes.
func openSegment(dir string, n uint64) (s *segment, cut int64, err error) {
	f, err := os.OpenFile(segmentPath(dir, n), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	s = &segment{number: n, file: f, dirty: true}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	head := make([]byte, headerLen)
	if k, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, 0, err
	} else if k == len(head) && string(head[:7]) == segmentMagic[:7] && head[7] > segmentMagic[7] {
		return nil, 0, fmt.Errorf("%s: %w", f.Name(), ErrNewer)
	}
	if string(head) == segmentMagic {
		if s.size, err = s.frames(func([]byte) error { return nil }); err != nil {
			return nil, 0, err
		}
	} else if _, err := f.WriteAt([]byte(segmentMagic), 0); err != nil { // torn when it was made
		return nil, 0, err
	} else {
		s.size = headerLen
	}
	if cut = fi.Size() - s.size; cut > 0 {
		return s, cut, f.Truncate(s.size)
	}
	return s, 0, nil
}

// empty reports whether a segment holds nothing.
func empty(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Size() <= headerLen
}

// setAside keeps a segment that no replay may use, for a person to look at.
func setAside(path string, bytes *int64) error {
	if fi, err := os.Stat(path); err == nil {
		*bytes += fi.Size()
	}
	return os.Rename(path, path+".cut")
}

// write appends one encoded frame with a single write, and takes back a part
// of it that a full disk left behind.
func (s *segment) write(encoded []byte) error {
	_, err := s.file.WriteAt(encoded, s.size)
	if err != nil {
		if terr := s.file.Truncate(s.size); terr != nil {
			s.size = -1
			return errors.Join(err, terr)
		}
		return err
	}
	s.size += int64(len(encoded))
	s.dirty = true
	return nil
}

// frames calls fn for every whole frame and returns where the last one ends.
// The bytes are valid only during the call.
func (s *segment) frames(fn func(frame []byte) error) (end int64, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, headerLen, 1<<62), 256<<10)
	end = headerLen
	var head [frameHead]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return end, tornOK(err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n == 0 || n > MaxFrame {
			return end, nil
		}
		buf = slices.Grow(buf[:0], int(n))[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return end, tornOK(err)
		}
		if frameSum(s.number, buf) != binary.LittleEndian.Uint32(head[4:]) {
			return end, nil
		}
		if err := fn(buf); err != nil {
			return end, err
		}
		end += frameHead + int64(n)
	}
}

func tornOK(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

func frameSum(number uint64, frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], table), table, frame)
}

// closeIfDropped closes the file of a dropped segment once no sync uses it.
func (s *segment) closeIfDropped() {
	if s.dropped && s.users == 0 {
		s.file.Close()
	}
}
