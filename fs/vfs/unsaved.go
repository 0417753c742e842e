package vfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A buffer is what an editor says of the text in it, beside the file.
type buffer uint8

const (
	unheard buffer = iota // nothing
	clean                 // it is what was loaded or saved last
	unsaved               // somebody typed
)

// bufferOf is what process pid says of its buffer with the file of that name, in
// the folder of this device where files beside it are, and when it said so.
//
//   - vim keeps a swap file for each file that it has open. Its first block says
//     whether the buffer was changed, and is written when that changes.
//   - emacs keeps a symbolic link while a buffer is changed. That there is none
//     says nothing: other programs make none either.
func bufferOf(dir, name string, pid uint32) (is buffer, at time.Time) {
	for _, swap := range swapNames(name) {
		if is, at := swapFile(filepath.Join(dir, swap), pid); is != unheard {
			return is, at
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, ".#"+name)); err == nil {
		if by, ok := lockedBy(target); ok && by == pid {
			return unsaved, time.Time{}
		}
	}
	return unheard, time.Time{}
}

// swapFile is what process pid says in a swap file.
func swapFile(path string, pid uint32) (is buffer, at time.Time) {
	f, err := os.Open(path)
	if err != nil {
		return unheard, at
	}
	defer f.Close()
	info, err := f.Stat()
	header := make([]byte, swapHeaderSize)
	if err == nil {
		_, err = io.ReadFull(f, header)
	}
	if err != nil {
		return unheard, at
	}
	if by, is := swapHeader(header); by == pid {
		return is, info.ModTime()
	}
	return unheard, at
}

// bufferElsewhere is bufferOf for a process that keeps its swap files in a folder
// for all files, as neovim does: there they have the whole path in their name,
// with % for each slash. path is that of the file from the mount root.
func bufferElsewhere(path string, pid uint32) (is buffer, at time.Time) {
	end := "%" + strings.ReplaceAll(path, "/", "%") + ".sw"
	for fd, target := range openFiles(pid) {
		if n := len(target) - 1; n < 0 || !strings.HasSuffix(target[:n], end) || overFUSE(pid, fd) {
			continue
		}
		if is, at := swapFile(fmt.Sprintf("/proc/%d/fd/%s", pid, fd), pid); is != unheard {
			return is, at
		}
	}
	return unheard, at
}

// overFUSE reports whether a descriptor of a process belongs to a file system that
// a process serves. It may be this one, which must not wait for itself.
func overFUSE(pid uint32, fd string) bool {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(info), "mnt_id:")
	id, _, _ := strings.Cut(rest, "\n")
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.HasPrefix(line, strings.TrimSpace(id)+" ") {
			_, kind, ok := strings.Cut(line, " - ")
			return !ok || strings.HasPrefix(kind, "fuse")
		}
	}
	return true
}

// swapNames are the names that vim gives to the swap files of a file: others
// than the first if several have it open.
func swapNames(name string) []string {
	if !strings.HasPrefix(name, ".") {
		name = "." + name
	}
	return []string{name + ".swp", name + ".swo", name + ".swn", name + ".swm"}
}

// The first block of a swap file (memline.c of vim, struct block0): "b0" or an
// encrypted variant of it, then "VIM 9.0" in 10 bytes, sizes, the process that
// made it, names, and the name of the file in 900 bytes, of which the last two
// are flags.
const (
	swapVersion    = 2
	swapPID        = 24
	swapDirty      = 1007
	swapHeaderSize = swapDirty + 1
)

// swapHeader reads who has a file open, and whether that process has changed it.
func swapHeader(b []byte) (pid uint32, is buffer) {
	if len(b) < swapHeaderSize || b[0] != 'b' || !strings.ContainsRune("0cCd", rune(b[1])) || string(b[swapVersion:swapVersion+4]) != "VIM " {
		return 0, unheard
	}
	pid = binary.LittleEndian.Uint32(b[swapPID:])
	switch b[swapDirty] {
	case 0:
		return pid, clean
	case 0x55:
		return pid, unsaved
	}
	return pid, unheard
}

// lockedBy is the process that a lock of emacs names, USER@HOST.PID:BOOT.
func lockedBy(target string) (pid uint32, ok bool) {
	target, _, _ = strings.Cut(target[strings.LastIndexByte(target, '@')+1:], ":")
	n, err := strconv.ParseUint(target[strings.LastIndexByte(target, '.')+1:], 10, 32)
	return uint32(n), err == nil
}
