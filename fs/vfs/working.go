package vfs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	memoryLimit = 1 << 20   // a working copy above this lives in a file
	heldMemory  = 64 << 20  // bytes of fresh files in memory; above this they go to files
	textLimit   = 256 << 10 // a text above this is not merged by the character
	mergeLimit  = 4 << 20   // a text above this is not merged at all
	inlineLimit = 64 << 10  // bytes that are not text and still travel in an entry
	fileLimit   = 100 << 30 // no space takes a file above this, whatever is in it
)

// A working copy is the content of a file between a write and its commit. Its
// inode's mu guards it.
type workingCopy struct {
	dir  string   // where a large one goes
	data []byte   // while small
	lent bool     // the space has data too, so that it must not change
	file *os.File // while large; made in dir, unlinked by close
	size int64

	base  *version // what it was made from, or what was current when it began
	exact bool     // it was made from base; false: the file is being written anew
	who   proc     // whose save it is

	held  *atomic.Int64 // counts the bytes of data, while the copy is held back
	heldN int64         // how many it counts of this one

	ahead *ahead // the import of what is in file, if it has begun

	failed   error // of a write that has not been done again since, as on a full disk
	failedAt int64 // where

	dirty bool      // differs from what was committed
	clean string    // version of the space that the last commit made; "" before one
	mtime time.Time // of the last change
}

func (w *workingCopy) ReadAt(p []byte, off int64) (int, error) {
	if w.file != nil {
		return w.file.ReadAt(p, off)
	}
	if off >= int64(len(w.data)) {
		return 0, io.EOF
	}
	n := copy(p, w.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w *workingCopy) WriteAt(p []byte, off int64) (int, error) {
	n, err := w.writeAt(p, off)
	switch {
	case err != nil:
		w.failed, w.failedAt = err, off+int64(n)
	case off <= w.failedAt && off+int64(n) > w.failedAt:
		w.failed = nil
	}
	return n, err
}

func (w *workingCopy) writeAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if off < 0 || end < off || end > fileLimit {
		return 0, syscall.EFBIG
	}
	w.throwAway()
	if w.file == nil && end > memoryLimit {
		if err := w.spill(); err != nil {
			return 0, err
		}
	}
	if w.file != nil {
		n, err := w.file.WriteAt(p, off)
		if n > 0 { // a full disk must not make it longer
			w.size = max(w.size, off+int64(n))
		}
		return n, err
	}
	w.own()
	w.grow(end)
	copy(w.data[off:], p)
	return len(p), nil
}

// own makes data what nobody else has.
func (w *workingCopy) own() {
	if w.lent {
		w.data, w.lent = bytes.Clone(w.data), false
	}
}

// grow makes a small copy at least n bytes long, with zeros.
func (w *workingCopy) grow(n int64) {
	if n <= int64(len(w.data)) {
		return
	}
	if n <= int64(cap(w.data)) {
		old := len(w.data)
		w.data = w.data[:n]
		clear(w.data[old:])
	} else {
		bigger := make([]byte, n, max(n, min(2*int64(cap(w.data)), memoryLimit)))
		copy(bigger, w.data)
		w.data = bigger
	}
	w.size = n
}

func (w *workingCopy) Truncate(n int64) error {
	switch {
	case n < 0:
		return syscall.EINVAL
	case n > fileLimit:
		return syscall.EFBIG
	}
	w.throwAway()
	if n <= w.failedAt {
		w.failed = nil
	}
	if w.file == nil && n > memoryLimit {
		if err := w.spill(); err != nil {
			return err
		}
	}
	if w.file != nil {
		if err := w.file.Truncate(n); err != nil {
			return err
		}
	} else if w.own(); n <= int64(len(w.data)) {
		w.data = w.data[:n]
	} else {
		w.grow(n)
	}
	w.size = n
	return nil
}

// fill replaces the content by what r holds.
func (w *workingCopy) fill(r io.Reader) error {
	if err := w.Truncate(0); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.WriteAt(buf[:n], w.size); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *workingCopy) spill() error {
	f, err := os.CreateTemp(w.dir, "copy-")
	if err != nil {
		return err
	}
	if _, err := f.Write(w.data); err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	w.file, w.data = f, nil
	return nil
}

// text is the content if it is a text that merges.
func (w *workingCopy) text() (string, bool) {
	if w.file == nil {
		if !isText(w.data) {
			return "", false
		}
		return string(w.data), true
	}
	if w.size > textLimit { // a large one may have shrunk again
		return "", false
	}
	data, err := io.ReadAll(io.NewSectionReader(w.file, 0, w.size))
	if err != nil || !isText(data) {
		return "", false
	}
	return string(data), true
}

// longText is the content if it is a text, of whatever size can be merged.
func (w *workingCopy) longText() (string, bool) { return longText(w, w.size) }

func longText(r io.ReaderAt, size int64) (string, bool) {
	if size > mergeLimit {
		return "", false
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), data); err != nil || !plain(data) {
		return "", false
	}
	return string(data), true
}

// hold counts a copy that waits to be published. When too much waits in memory
// it goes to a file.
func (w *workingCopy) hold(in *atomic.Int64) error {
	w.unhold()
	if w.file == nil && in.Load()+int64(len(w.data)) > heldMemory {
		return w.spill()
	}
	w.held, w.heldN = in, int64(len(w.data))
	in.Add(w.heldN)
	return nil
}

func (w *workingCopy) unhold() {
	if w.held != nil {
		w.held.Add(-w.heldN)
		w.held = nil
	}
}

func (w *workingCopy) close() {
	w.unhold()
	w.throwAway()
	if w.file != nil {
		w.file.Close()
		os.Remove(w.file.Name())
		w.file = nil
	}
	w.data = nil
}

// isText reports whether data merges as text: UTF-8 without NUL, and not too
// large for a document.
func isText(data []byte) bool {
	return len(data) <= textLimit && plain(data)
}

// plain reports whether data is UTF-8 without NUL.
func plain(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }
