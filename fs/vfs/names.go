package vfs

import (
	"path"
	"strings"
	"syscall"
)

// scratchPatterns are names of files that stay on this device: what editors and
// tools write beside a document for themselves. Databases' side files must
// follow an extension, so that a diary named my-journal is shared.
var scratchPatterns = []string{
	".*.sw?", ".sw?", "4913", ".#*", "#*#", "*~", ".~lock.*#", "lu*.tmp", "*.vsctmp",
	"*.tmp", "*.temp", "*.bak", "*.orig", "*.rej", "*.part", "*.crdownload",
	".goutputstream-*", ".nfs*", ".fuse_hidden*", "._*", ".DS_Store", "Thumbs.db", "desktop.ini",
	"*.*-journal", "*.*-wal", "*.*-shm",
}

// scratchFolders are names of folders, or of files that stand for them, that
// stay on this device with everything in them.
var scratchFolders = map[string]bool{".git": true, ".hg": true, ".svn": true, ".jj": true, ".bzr": true}

// scratchName reports whether something of that name is local to the device. A
// folder is only by the names of version control: folders named x.tmp or x.bak
// are people's own.
func scratchName(name string, folder bool) bool {
	if scratchFolders[name] {
		return true
	}
	if folder {
		return false
	}
	for _, p := range scratchPatterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// checkName refuses what no disk takes as a name.
func checkName(name string) error {
	switch {
	case len(name) > 255:
		return syscall.ENAMETOOLONG
	case name == "":
		return syscall.ENOENT
	case name == "." || name == "..", strings.ContainsAny(name, "/\x00"):
		return syscall.EINVAL
	}
	return nil
}
