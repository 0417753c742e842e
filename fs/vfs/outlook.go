package vfs

import (
	"strings"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// An outlook is what stat should tell a process about a file of which it knows
// another version than the current one. Editors compare times, and sizes, with
// those that they remember: before they save, to warn of what others did, and
// when they hear of a change, to load it. Of the one we want nothing, since a save
// is merged, and of the other all.
type outlook uint8

const (
	// asKnown is the version that the process knows. It may have a buffer with
	// unsaved changes.
	asKnown outlook = iota

	// asNews is the true size with a time just before the known one. VS Code loads
	// a file into a buffer without unsaved changes if either is another one; before
	// it saves it asks only if the time is newer and the size another one
	// (fileService.ts, validateReadFile and validateWriteFile).
	asNews

	// asSize is the true size with the known time, or if that says nothing, asNews.
	// vim loads a file if either is another one, and asks before it saves if the
	// time is (fileio.c, buf_check_timestamp; bufwrite.c, check_mtime).
	asSize

	// asIs is the truth.
	asIs
)

const (
	// newsTime is how long a process that watches is told of a change after it was
	// announced. Editors that ask whenever the time is another one may ask then.
	newsTime = 10 * time.Second

	// settleTime is longer than vim takes from saying that it has saved to asking
	// for the time of that.
	settleTime = time.Second
)

// outlook finds out how to tell who about the file. It must be called without
// locks: it asks /proc and the disk.
func (in *inode) outlook(who proc) outlook {
	if in.vol == nil || in.kind != space.File || in.virtual != nil || !in.fs.bases.known(in.ino) {
		return asKnown
	}
	v := in.vol
	in.mu.Lock()
	node, shared := in.node, in.state == stateShared
	follows := in.followedBy(who)
	in.mu.Unlock()
	info, err := v.tree.stat(node)
	if !shared || err != nil {
		return asKnown
	}
	e, behind := in.fs.bases.standing(in.ino, who, info.Version)
	if !behind {
		return asKnown
	}
	beside, folder := "", Ino(0)
	v.mu.Lock()
	parent, name := in.parent, in.name
	at := v.where(parent, name)
	if v.hasScratch(parent) {
		beside = v.folderDir(parent)
	}
	if p := v.byNode[parent]; p != nil {
		folder = p.ino
	}
	v.mu.Unlock()
	if at == nil {
		return asKnown
	}
	if follows {
		return asIs
	}
	is, said, vim := unheard, time.Time{}, asSize
	if beside != "" {
		is, said = bufferOf(beside, name, who.pid)
	}
	if is == unheard && in.fs.procs.real() {
		is, said = bufferElsewhere(at.path(), who.pid)
		vim = asNews // neovim does not look at the size
	}
	switch {
	case is == unheard:
	case is == unsaved, !e.news.After(e.since):
		return asKnown
	case in.fs.now().Sub(said).Abs() < settleTime: // it saves, and asks what time that was
		return asKnown
	default:
		return vim
	}
	if !e.news.After(e.since) || in.fs.now().Sub(e.news) >= newsTime || !in.fs.watchers.watches(who, in.ino, folder) {
		return asKnown
	}
	return asNews
}

// path is the way to a place from the mount root.
func (p *Place) path() string {
	var b strings.Builder
	for _, step := range p.Folder {
		b.WriteString(step.Name + "/")
	}
	return b.String() + p.Name
}

// A standing is how a process stands to a file.
type standing struct {
	since time.Time // when it loaded or saved it last
	news  time.Time // when a new version was announced last
}

// standing also reports whether who knows a text that is not the current version.
func (b *bases) standing(ino Ino, who proc, id string) (standing, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.files[ino][who]
	if e == nil {
		return standing{}, false
	}
	last := e.sure()
	return standing{since: e.since, news: b.news[ino]}, last != nil && !last.v.opaque && last.v.id != id
}

// announced notes that a new version of a file is announced now.
func (b *bases) announced(ino Ino) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.files[ino]) > 0 {
		b.news[ino] = b.now()
	}
}

// A telling is how to tell somebody, who may remember it or not.
type telling struct {
	outlook
	asks bool
}

// tell is what stat should tell who about a file whose current version has this
// id, size and time. Programs ask for the time before they load, and compare it
// before they save.
func (b *bases) tell(ino Ino, who proc, id string, size int64, mtime time.Time, how telling) (int64, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.files[ino][who]
	if e == nil {
		return size, mtime
	}
	s := e.sure()
	switch {
	case s == nil, s.v.opaque, s.v.id == id && s.told.IsZero():
		return size, mtime
	case s.v.id == id, how.outlook == asKnown:
		size, mtime = int64(len(s.v.text)), s.took()
	case how.outlook == asNews, how.outlook == asSize && size == int64(len(s.v.text)):
		mtime = s.took().Add(-time.Millisecond)
	case how.outlook == asSize:
		mtime = s.took()
	}
	if how.asks {
		e.heard, e.how = mtime, how.outlook
	}
	return size, mtime
}
