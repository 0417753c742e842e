package vfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"github.com/echofs/echofs/crdt/space"
)

// A heldLog is the journal of what is held back from a space: the bytes of
// fresh files and the removals and moves of documents, from the moment that
// close, unlink or rename returns until the space has taken them over.
//
// It is a few append-only segments. A record is written with one write before
// the call it stands for returns, so it survives the death of the process, and
// is on the disk after sync. Settled says that the space has durably taken over
// what a key stands for; when nothing is outstanding the log is emptied, and
// while more and more comes, whole segments go, oldest first.
type heldLog struct {
	dir string

	syncing sync.Mutex // held for a sync, so that callers share one; before mu

	mu       sync.Mutex // guards the fields below
	segments []*segment // oldest first; the last one is appended to
	where    map[uint64]*segment
	nextKey  uint64
	nextSeg  uint64
	written  uint64 // records appended
	synced   uint64 // records on the disk
}

type segment struct {
	file *os.File
	size int64
	live int // keys whose latest content is here
}

// A heldRecord is one step of one held thing.
type heldRecord struct {
	Kind   heldKind
	Key    uint64 // names the thing in this log
	Node   space.NodeID
	Parent space.NodeID
	Name   string
	Exec   bool
	Mtime  int64  // ns
	Work   string // file in the work folder that holds the content; "" if Data does
	Data   []byte // content; for removals the version that was seen
	Attrs  []byte // Data of the last heldAttrs of a fresh file; not encoded
}

type heldKind uint8

const (
	heldFresh  heldKind = 1 + iota // a fresh file with its content
	heldPlace                      // new name or attributes of a fresh file
	heldRemove                     // a document was unlinked
	heldMove                       // a document was renamed to Parent and Name
	heldDone                       // nothing is outstanding for Key
	heldTaken                      // the space has made Node of a fresh file, perhaps not durably yet
	heldAttrs                      // permissions and extended attributes of a fresh file, see attributes
)

const (
	heldMagic        = "echofs held 1\n"
	heldSegmentLimit = 64 << 20
	heldRecordLimit  = memoryLimit + 4096 // bytes of one record
)

var errHeldRecord = errors.New("held record is damaged")

// openHeldLog opens the log in dir and returns what it holds, in order.
func openHeldLog(dir string) (*heldLog, []heldRecord, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	l := &heldLog{dir: dir, where: map[uint64]*segment{}, nextKey: 1, nextSeg: 1}
	names, err := filepath.Glob(filepath.Join(dir, "*.held"))
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(names)
	var records []heldRecord
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		recs := decodeHeld(data)
		records = append(records, recs...)
		for _, r := range recs {
			l.nextKey = max(l.nextKey, r.Key+1)
		}
		var n uint64
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.held", &n); err == nil {
			l.nextSeg = max(l.nextSeg, n+1)
		}
	}
	return l, records, nil
}

// started drops the segments of an earlier run: what they held is settled.
func (l *heldLog) started() error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.held"))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := map[string]bool{}
	for _, s := range l.segments {
		mine[s.file.Name()] = true
	}
	for _, name := range names {
		if !mine[name] {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// key is a new name for something to hold.
func (l *heldLog) key() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextKey++
	return l.nextKey - 1
}

// append writes records with one write. They take effect in order.
func (l *heldLog) append(recs ...heldRecord) error {
	var buf []byte
	for _, r := range recs {
		buf = appendHeld(buf, r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seg, err := l.segmentLocked()
	if err != nil {
		return err
	}
	if n, err := seg.file.WriteAt(buf, seg.size); err != nil {
		if n > 0 {
			seg.file.Truncate(seg.size) // best effort: the checksum refuses a torn tail
		}
		return err
	}
	seg.size += int64(len(buf))
	l.written++
	for _, r := range recs {
		switch r.Kind {
		case heldFresh, heldRemove, heldMove:
			if old := l.where[r.Key]; old != nil {
				old.live--
			}
			l.where[r.Key] = seg
			seg.live++
		case heldDone:
			if old := l.where[r.Key]; old != nil {
				old.live--
				delete(l.where, r.Key)
			}
		}
	}
	l.dropLocked()
	return nil
}

// segmentLocked is the segment to append to.
func (l *heldLog) segmentLocked() (*segment, error) {
	if n := len(l.segments); n > 0 && l.segments[n-1].size < heldSegmentLimit {
		return l.segments[n-1], nil
	}
	name := filepath.Join(l.dir, fmt.Sprintf("%010d.held", l.nextSeg))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(heldMagic); err != nil {
		f.Close()
		os.Remove(name)
		return nil, err
	}
	l.nextSeg++
	s := &segment{file: f, size: int64(len(heldMagic))}
	l.segments = append(l.segments, s)
	return s, nil
}

// dropLocked removes segments at the front in which nothing is outstanding. The
// last one is emptied instead, once it has grown a little.
func (l *heldLog) dropLocked() {
	for len(l.segments) > 1 && l.segments[0].live == 0 {
		s := l.segments[0]
		l.segments = l.segments[1:]
		s.file.Close()
		os.Remove(s.file.Name())
	}
	if len(l.segments) == 1 && l.segments[0].live == 0 && l.segments[0].size > int64(len(heldMagic)) {
		s := l.segments[0]
		if s.file.Truncate(int64(len(heldMagic))) == nil {
			s.size = int64(len(heldMagic))
		}
	}
}

// sync makes everything appended so far durable. Concurrent callers share one.
func (l *heldLog) sync() error {
	l.mu.Lock()
	want := l.written
	l.mu.Unlock()
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	done, upto := l.synced >= want, l.written
	var files []*os.File
	for _, s := range l.segments {
		files = append(files, s.file)
	}
	l.mu.Unlock()
	if done {
		return nil
	}
	for _, f := range files {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
	if err := syncDir(l.dir); err != nil {
		return err
	}
	l.mu.Lock()
	l.synced = max(l.synced, upto)
	l.mu.Unlock()
	return nil
}

func (l *heldLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, s := range l.segments {
		err = errors.Join(err, s.file.Close())
		if s.live == 0 && len(l.segments) == 1 {
			os.Remove(s.file.Name())
		}
	}
	l.segments = nil
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// A frame is: length and CRC-32C of the body, each 4 bytes little-endian; the
// body is kind, exec (1 byte each), key, mtime (8), node, parent (16), then
// name, work (each after its length in 2 bytes) and data to the end.
const heldFixed = 1 + 1 + 8 + 8 + 16 + 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendHeld(buf []byte, r heldRecord) []byte {
	at := len(buf)
	buf = append(buf, make([]byte, 8)...)
	exec := byte(0)
	if r.Exec {
		exec = 1
	}
	buf = append(buf, byte(r.Kind), exec)
	buf = binary.LittleEndian.AppendUint64(buf, r.Key)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Mtime))
	buf = append(buf, r.Node[:]...)
	buf = append(buf, r.Parent[:]...)
	for _, s := range []string{r.Name, r.Work} {
		buf = binary.LittleEndian.AppendUint16(buf, uint16(len(s)))
		buf = append(buf, s...)
	}
	buf = append(buf, r.Data...)
	body := buf[at+8:]
	binary.LittleEndian.PutUint32(buf[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(buf[at+4:], crc32.Checksum(body, castagnoli))
	return buf
}

// decodeHeld reads the records of a segment up to the first damaged one: what
// follows it was never acknowledged.
func decodeHeld(data []byte) []heldRecord {
	if len(data) < len(heldMagic) || string(data[:len(heldMagic)]) != heldMagic {
		return nil
	}
	data = data[len(heldMagic):]
	var out []heldRecord
	for len(data) > 0 {
		r, rest, err := nextHeld(data)
		if err != nil {
			return out
		}
		out, data = append(out, r), rest
	}
	return out
}

func nextHeld(data []byte) (heldRecord, []byte, error) {
	if len(data) < 8 {
		return heldRecord{}, nil, io.ErrUnexpectedEOF
	}
	n, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
	data = data[8:]
	if n > heldRecordLimit || n < heldFixed+4 || int64(n) > int64(len(data)) {
		return heldRecord{}, nil, errHeldRecord
	}
	body, rest := data[:n], data[n:]
	if crc32.Checksum(body, castagnoli) != sum {
		return heldRecord{}, nil, errHeldRecord
	}
	r := heldRecord{Kind: heldKind(body[0]), Exec: body[1] == 1}
	if r.Kind < heldFresh || r.Kind > heldAttrs || body[1] > 1 {
		return heldRecord{}, nil, errHeldRecord
	}
	r.Key = binary.LittleEndian.Uint64(body[2:])
	r.Mtime = int64(binary.LittleEndian.Uint64(body[10:]))
	copy(r.Node[:], body[18:])
	copy(r.Parent[:], body[34:])
	body = body[heldFixed:]
	for _, s := range []*string{&r.Name, &r.Work} {
		if len(body) < 2 {
			return heldRecord{}, nil, errHeldRecord
		}
		k := int(binary.LittleEndian.Uint16(body))
		if len(body) < 2+k {
			return heldRecord{}, nil, errHeldRecord
		}
		*s, body = string(body[2:2+k]), body[2+k:]
	}
	if len(body) > 0 {
		r.Data = append([]byte(nil), body...)
	}
	return r, rest, nil
}
