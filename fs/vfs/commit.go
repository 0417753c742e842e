package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
	"weak"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/crdt/textdiff"
)

// startCopy is the working copy that a change by who goes to; in.mu is held. A
// truncation to nothing starts an empty one, an append starts from what is
// current, any other write from the version that who knows.
func (in *inode) startCopy(who proc, how change) (*workingCopy, error) {
	w := in.wc
	if in.state != stateShared {
		if w == nil { // an orphan that was only read so far
			w = &workingCopy{dir: in.vol.workDir(), mtime: in.mtime}
			if in.pinned != nil && how != truncate {
				if err := w.fill(io.NewSectionReader(in.pinned, 0, in.pinned.size())); err != nil {
					return nil, err
				}
			}
			in.wc = w
		}
		w.who = who
		return w, nil
	}
	if w != nil && w.dirty {
		if how == truncate {
			w.exact = false
		}
		return w, nil
	}
	if w != nil && how != truncate {
		info, err := in.vol.tree.stat(in.node)
		if err != nil {
			return nil, err
		}
		if w.clean == info.Version || how == rewrite && w.who == who && w.base != nil {
			w.who = who
			return w, nil // goes on from what the last commit wrote
		}
	}
	c, err := in.loadLocked()
	if err != nil {
		return nil, err
	}
	n := &workingCopy{dir: in.vol.workDir(), base: c.version(), who: who, mtime: c.mtime}
	if how != truncate {
		n.exact = true
		if how == rewrite && c.v != nil {
			if known := in.fs.bases.latest(in.ino, who); known != nil && known != c.v {
				n.base = known
				c = &content{v: known}
			}
		}
		if err := n.fill(contentReader(c)); err != nil {
			n.close()
			return nil, err
		}
		n.mtime = c.mtime
	}
	if c.snap != nil {
		c.snap.Close()
	}
	if w != nil {
		w.close()
	}
	in.wc = n
	return n, nil
}

// change is how a working copy begins.
type change uint8

const (
	rewrite  change = iota // bytes in the middle
	truncate               // from nothing
	extend                 // at the end
)

// changed notes a change of the working copy; in.mu is held.
func (in *inode) changed(w *workingCopy) {
	now := in.fs.now()
	if !w.dirty {
		in.since = now
	}
	w.dirty, w.mtime, in.written = true, now, now
	in.logged = false
	in.changes++
	for h := range in.handles { // nobody reads on in what was before
		h.read = time.Time{}
	}
	if in.state != stateOrphan {
		in.vol.rests(in)
	}
}

// commit hands over what was written: to the space, or to the held log. Final
// says that no more is coming for now, so that even an empty file counts.
func (in *inode) commit(final bool) error {
	if err := in.givenUp(final); err != nil {
		return err
	}
	in.importFirst()
	in.mu.Lock()
	if in.state == stateShared && in.kind == space.File {
		err := in.commitLocked()
		in.mu.Unlock()
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		in.vol.lost(in) // removed by a peer a moment ago
		in.mu.Lock()
	}
	skip := in.vol == nil || in.kind != space.File || in.state == stateScratch ||
		in.state == stateOrphan && !in.inspace
	in.mu.Unlock()
	if skip {
		return nil
	}
	v := in.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch in.state {
	case stateShared:
		return in.commitLocked()
	case stateFresh:
		return v.commitFresh(in, final)
	case stateOrphan:
		return v.revive(in)
	}
	return nil
}

// commitFresh decides whose next version a fresh file is, if it took a name
// that is held, and makes it survive the process; v.mu and in.mu are held.
func (v *volume) commitFresh(in *inode, final bool) error {
	if h := in.hold; h != nil {
		if !in.wc.dirty && !final {
			return nil // opened and closed by a shell before it writes
		}
		if v.sameFile(in, h) {
			if err := v.adopt(in, h); err != nil {
				return err
			}
			if err := in.commitLocked(); err != nil {
				return err
			}
			v.keepExec(in)
			in.giveXattrs(in.chmod)
			return v.unlog(in)
		}
		in.hold, h.by = nil, nil
		if err := v.settle(h); err != nil {
			return err
		}
	}
	if in.logged {
		return nil
	}
	return v.logFresh(in)
}

// logFresh makes a fresh file survive the process; v.mu and in.mu are held.
func (v *volume) logFresh(in *inode) error {
	if err := in.wc.hold(&v.fs.held); err != nil {
		return err
	}
	recs := []heldRecord{in.record()}
	if in.mode != 0 || len(in.xattrs) > 0 {
		recs = append(recs, in.heldAttrs())
	}
	if err := v.log.append(recs...); err != nil {
		return err
	}
	in.inLog, in.logged, in.wc.dirty = true, true, false
	return nil
}

// unlog notes that a file is not a fresh one any more; v.mu and in.mu are held.
func (v *volume) unlog(in *inode) error {
	if !in.inLog {
		return nil
	}
	if err := v.log.append(heldRecord{Kind: heldDone, Key: in.key}); err != nil {
		return err
	}
	in.inLog, in.logged = false, false
	return nil
}

// keepExec gives a document the executable bit of the file that became its next
// version; in.mu is held.
func (v *volume) keepExec(in *inode) {
	info, err := v.tree.stat(in.node)
	if err == nil && info.Exec != in.exec {
		err = v.tree.setAttr(in.node, &in.exec, nil)
	}
	if err != nil {
		v.fs.log.Warn("keeping the executable bit", "space", v.name, "file", in.name, "err", err)
	}
}

// commitLocked saves the working copy of a shared file; in.mu is held. One that
// may not be saved any more is kept on this device.
func (in *inode) commitLocked() error {
	err := in.saveLocked()
	if err == syscall.EROFS {
		return in.withdraw()
	}
	return err
}

func (in *inode) saveLocked() error {
	w := in.wc
	if w == nil || !w.dirty {
		return nil
	}
	if err := w.broken(); err != nil {
		return err
	}
	if info, err := in.vol.tree.stat(in.node); err == nil && in.pages.seen != "" && info.Version != in.pages.seen {
		in.renewed() // the kernel may not have heard of what this goes over
	}
	text, isText := w.text()
	base := w.base
	if !w.exact {
		if v := in.fs.bases.nearest(in.ino, w.who, text, !isText); v != nil {
			base = v
		}
	}
	if !isText {
		// A text that has outgrown its document merges once more, by its
		// characters; what comes after that stays beside it.
		if text, isText = w.longText(); !isText || base == nil || base.opaque {
			return in.saveOpaque(w, base)
		}
	}
	merged, tag, err := in.mergeLocked(base, text)
	if err != nil {
		return err
	}
	mtime := w.mtime
	if merged != text { // it is not what was saved then
		mtime = mtime.Add(time.Millisecond)
	}
	info, err := in.vol.tree.save(in.node, tag, payload{data: []byte(merged)}, mtime)
	if err != nil {
		return err
	}
	w.dirty, w.clean = false, info.Version
	v := &version{id: info.Version, text: text, mtime: info.Mtime}
	if len(merged) > textLimit && merged == text {
		v.id = info.Version
		in.pages.seen = v.id
	} else if id, same := in.holdsText(text); same {
		v.id = id
		in.cur = weak.Make(v)
		in.pages.seen = id
	} else {
		// Others' edits are in it too, which the kernel and this process have
		// not seen: the process keeps what it wrote as what it knows.
		v.id, v.mtime = "", w.mtime
		if base != nil && !base.opaque {
			v.from = base.tag()
		}
		in.fs.queue.add(Invalidation{Content: true, Attr: true, Ino: in.ino})
		in.renewed()
		in.vol.announceAgain(in, mergeTime)
	}
	in.fs.bases.published(in.ino, w.who, v)
	w.base, w.exact = v, true
	return nil
}

// mergeLocked carries what turned base into text over what others turned it
// into since. It returns the result and the version of the space that the
// result is an edit of: what arrives from now on the space merges itself.
func (in *inode) mergeLocked(base *version, text string) (string, *string, error) {
	if base == nil || base.opaque {
		if base != nil {
			return text, &base.id, nil
		}
		return text, nil, nil
	}
	c, err := in.loadLocked()
	if err != nil {
		return "", nil, err
	}
	current, ok := "", false
	if c.v != nil {
		current, ok = c.v.text, true
	} else {
		current, ok = longText(c.snap, c.snap.Size())
		c.snap.Close()
	}
	if !ok { // it is no text any more: both stay
		tag := base.tag()
		return text, &tag, nil
	}
	if current == base.text {
		return text, &c.id, nil
	}
	mine := textdiff.Diff(base.text, text)
	theirs := textdiff.Diff(base.text, current)
	return textdiff.Apply(current, textdiff.Rebase(mine, theirs)), &c.id, nil
}

// saveOpaque saves what does not merge. If the space has got a version that this
// process was not shown, both stay.
func (in *inode) saveOpaque(w *workingCopy, base *version) error {
	p, err := w.payload()
	if err != nil {
		return err
	}
	var tag *string
	if base != nil {
		t := base.tag()
		tag = &t
		if id, same := in.holdsText(base.text); same && !base.opaque {
			tag = &id
		}
	}
	info, err := in.vol.tree.save(in.node, tag, p, w.mtime)
	if err != nil {
		return err
	}
	v := &version{id: info.Version, opaque: true, mtime: info.Mtime}
	w.dirty, w.clean, w.base, w.exact = false, info.Version, v, true
	in.pages.seen = info.Version
	in.fs.bases.wrote(in.ino, w.who, v)
	return nil
}

// holdsText reports whether the space has exactly text now, and as which version.
func (in *inode) holdsText(text string) (string, bool) {
	snap, err := in.vol.tree.open(in.node)
	if err != nil {
		return "", false
	}
	defer snap.Close()
	data, ok := snap.Bytes()
	return snap.Version(), ok && string(data) == text
}

// revive gives a name again to a file that a peer removed while somebody here
// was writing to it: edits win; v.mu and in.mu are held.
func (v *volume) revive(in *inode) error {
	if in.wc == nil || !in.wc.dirty {
		return nil
	}
	dir := in.parent
	if _, err := v.tree.stat(dir); err != nil && dir != space.Root {
		dir = space.Root
	}
	name := in.name
	for try := 0; try < 100; try++ {
		if _, err := v.tree.lookup(dir, name); errors.Is(err, os.ErrNotExist) && v.overlay[dir][name] == nil {
			break
		}
		name = alternative(in.name, try)
	}
	in.state, in.inspace, in.key = stateFresh, false, v.log.key()
	v.place(in, dir, name)
	if err := v.logFresh(in); err != nil {
		return err
	}
	if !in.writable() {
		v.enqueueFresh(in)
	}
	v.appears(dir, name)
	return nil
}
