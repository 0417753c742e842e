package vfs

import (
	"weak"

	"github.com/echofs/echofs/crdt/space"
)

// showFresh notes that who was shown what a file holds that the space does not
// have yet; in.mu is held.
func (in *inode) showFresh(who proc) {
	w := in.wc
	if w == nil {
		return
	}
	if v := in.shown.Value(); v != nil && in.shownAt == in.changes && v.mtime.Equal(w.mtime) {
		in.fs.bases.show(in.ino, who, v, false)
		return
	}
	text, ok := w.text()
	if !ok {
		return
	}
	v := &version{text: text, mtime: w.mtime}
	in.shown, in.shownAt = weak.Make(v), in.changes
	in.fs.bases.show(in.ino, who, v, false)
}

// publishStale publishes a fresh file at once that who is about to write anew,
// if who knows another version of it: as a document both versions merge. v.mu is
// held.
func (v *volume) publishStale(in *inode, who proc) error {
	if in.kind != space.File {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state != stateFresh || in.wc == nil || in.hold != nil || !in.logged || in.wc.size > textLimit {
		return nil
	}
	known := v.fs.bases.latest(in.ino, who)
	if known == nil || known.id != "" {
		return nil
	}
	if text, ok := in.wc.text(); !ok || text == known.text {
		return nil
	}
	if err := v.publishFresh(in); err != nil {
		return err
	}
	if !in.inLog {
		return nil
	}
	in.inLog, in.logged = false, false
	v.done = append(v.done, heldRecord{Kind: heldDone, Key: in.key})
	if v.timer != nil && !v.closed {
		v.timer.Reset(0)
	}
	return v.log.append(heldRecord{Kind: heldTaken, Key: in.key, Node: in.node})
}
