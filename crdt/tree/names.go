package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxShown is the longest name a file system holds, in bytes.
const maxShown = 255

// Legal reports whether a folder can hold an entry of this name. Bytes that
// are not UTF-8 are legal: they are on the disks of many people.
func Legal(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxShown &&
		!strings.ContainsAny(name, "/\x00") && !reserved(name)
}

// reserved names are shown by the mount itself.
func reserved(name string) bool {
	return name == ".space" || strings.HasPrefix(name, ".fuse_hidden")
}

// legal returns the name that a node called name claims. A name that no file
// system can hold is escaped and marked with the node's ID.
func legal(name string, id NodeID) string {
	if Legal(name) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		first := i == 0 && c == '.' && (name == "." || name == ".." || reserved(name))
		if c == '/' || c == 0 || c == '%' || first {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	mark := "~" + id.String()[:6]
	return cut(b.String(), maxShown-len(mark)) + mark
}

// cut shortens s to at most n bytes, and not within a character.
func cut(s string, n int) string {
	if n = max(n, 0); len(s) <= n {
		return s
	}
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// Mark puts " (text)" before the extension of name.
func Mark(name, text string) string {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
		stem, ext = name[:i], name[i:]
	}
	tail := " (" + text + ")" + ext
	return cut(stem, maxShown-len(tail)) + tail
}

// CopyID is the ID under which one of the versions in a conflict is shown.
func CopyID(id NodeID, version Version) NodeID { return derive("echofs/copy/1", id, version) }

// DetachedID is the ID of the node that such a version becomes when somebody
// changes or moves it: the same on every device.
func DetachedID(id NodeID, version Version) NodeID { return derive("echofs/detached/1", id, version) }

func derive(context string, id NodeID, v Version) NodeID {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s%x%016x", context, id, v.Feed, v.N)
	return NodeID(h.Sum(nil)[:16])
}

// FolderID is the ID of a folder made in parent under name, so that one made
// on two devices is one.
func FolderID(parent NodeID, name string) NodeID {
	h := sha256.New()
	fmt.Fprintf(h, "echofs/folder/1\x00%s%s", parent, name)
	return NodeID(h.Sum(nil)[:16])
}

// tell returns what tells id from others: the first n hexadecimal digits of a
// hash. There are 64; where somebody has taken all the names made of those, each
// further n gives digits of its own, so that there is always another name.
func tell(id NodeID, n int) string {
	h := sha256.Sum256(id[:])
	if n > 2*len(h) {
		h = sha256.Sum256(fmt.Appendf(id[:], "%d", n))
	}
	return hex.EncodeToString(h[:])[:min(n, 2*len(h))]
}
