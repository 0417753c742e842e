package vfs

import (
	"bytes"
	"fmt"
	"syscall"

	ignore "github.com/sabhiram/go-gitignore"

	"github.com/echofs/echofs/crdt/space"
)

// The file `.space/ignore` of a space extends the list of what stays on a device,
// in the syntax of gitignore. It is shared like any other; in the space it has a
// name in the root, which no listing has. What is shared already stays shared.
const (
	ignoreName = "ignore"
	ignoreNode = ".echofs-ignore"

	ignoreBytes = 64 << 10 // a file with more is not read
	ignoreLines = 1000
)

// ignored is what the file said last.
type ignored struct {
	version string
	rules   *ignore.GitIgnore // nil: nothing
}

// alias is where a name in the hidden folder really is.
func (f *FS) alias(parent Ino, name string) (Ino, string) {
	if name == ignoreName && parent.Virtual() {
		if in, err := f.inode(parent); err == nil && in.virtual != nil && in.virtual.key() == spaceFolder {
			return in.vol.root.ino, ignoreNode
		}
	}
	return parent, name
}

// ignores reports whether something new of that name stays on this device,
// because the space says so; v.mu is held.
func (v *volume) ignores(dir *inode, name string, folder bool) bool {
	if dir.state != stateShared || name == ignoreNode {
		return false
	}
	rules := v.ignoreRules()
	if rules == nil {
		return false
	}
	path := name
	if dir.node != space.Root {
		path = v.tree.space.Path(dir.node) + "/" + name
	}
	return rules.MatchesPath(path) || folder && rules.MatchesPath(path+"/")
}

// ignoreRules are those of the present version of the file; v.mu is held.
func (v *volume) ignoreRules() *ignore.GitIgnore {
	info, err := v.tree.lookup(space.Root, ignoreNode)
	if err != nil || info.Kind != space.File {
		return nil
	}
	if info.Version == v.ignored.version {
		return v.ignored.rules
	}
	v.ignored = ignored{version: info.Version}
	if v.ignored.rules, err = v.readIgnore(info); err != nil {
		v.fs.log.Warn("not using .space/ignore", "space", v.name, "err", err)
	}
	return v.ignored.rules
}

func (v *volume) readIgnore(info space.Info) (rules *ignore.GitIgnore, err error) {
	if !info.Text || info.Size > ignoreBytes {
		return nil, syscall.EFBIG
	}
	snap, err := v.tree.open(info.ID)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	data, _ := snap.Bytes()
	lines := bytes.Split(data, []byte{'\n'})
	if len(lines) > ignoreLines {
		return nil, syscall.EFBIG
	}
	text := make([]string, len(lines))
	for i, line := range lines {
		text[i] = string(line)
	}
	defer func() { // a peer wrote the patterns
		if p := recover(); p != nil {
			rules, err = nil, fmt.Errorf("patterns: %v", p)
		}
	}()
	return ignore.CompileIgnoreLines(text...), nil
}

// aliased adds to what the kernel is told of the file's name in the root the one
// that people know.
func (v *volume) aliased(all []Invalidation) []Invalidation {
	for _, i := range all {
		if i.Name == ignoreNode && i.Parent == v.root.ino && (i.Entry || i.Delete) {
			i.Parent, i.Name, i.Remote = v.virtualNumber(spaceFolder), ignoreName, false
			i.At, i.From = nil, nil
			all = append(all, i)
		}
	}
	return all
}

// ignored reports whether what is renamed stays on this device under its new
// name because the space says so. A document stays shared, and so does its name.
func (r *renaming) ignored(folder bool) bool {
	if r.src.state == stateShared || r.dst != nil && r.dst.state != stateScratch {
		return false
	}
	return r.v.freeHold(r.to.node, r.name2) == nil && r.v.ignores(r.to, r.name2, folder)
}

// ignoreEntry is the file in the listing of the hidden folder, if there is one.
func (v *volume) ignoreEntry() []DirEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	in, err := v.child(v.root, ignoreNode)
	if err != nil {
		return nil
	}
	return []DirEntry{{Name: ignoreName, Ino: in.ino, Mode: kindMode(in.kind)}}
}
