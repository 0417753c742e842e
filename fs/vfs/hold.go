package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/crdt/textdiff"
)

// holdTime is how long a fresh file is held back after its last close, and a
// removal or a move after its call: longer than any editor takes to save.
const holdTime = time.Second

// holdLarge is the same for a large new file whose name nothing left: it does
// not merge, so that all there is to wait for is a rename right after the close.
// Its bytes go to the chunk store meanwhile.
const holdLarge = 250 * time.Millisecond

// retryTime is the pause after publishing failed, as on a full disk.
const retryTime = 5 * time.Second

type holdKind uint8

const (
	unlinked holdKind = iota // the name was removed
	backedUp                 // the file was renamed to a scratch name
	moved                    // the file was renamed to a shared name
)

// A hold is a document whose name was just taken away. The space does not know
// yet: a file made under the name in time is the document's next version.
type hold struct {
	kind holdKind
	node space.NodeID
	dir  space.NodeID // the place it left
	name string
	in   *inode // what the document was; it may be another file by now
	ino  Ino    // number under which what processes know of the document waits
	seen string // version that whoever took the name away could have seen
	key  uint64
	due  time.Time
	by   *inode // fresh file that took the name and has not been committed yet
}

// A due is something to publish at a time.
type due struct {
	at   time.Time
	in   *inode
	hold *hold
}

// holdNode holds a document that leaves its place; v.mu is held.
func (v *volume) holdNode(kind holdKind, in *inode, dir space.NodeID, name string, to heldRecord) error {
	info, err := v.tree.stat(in.node)
	if err != nil {
		return err
	}
	h := &hold{kind: kind, node: in.node, dir: dir, name: name, in: in, seen: info.Version, key: v.log.key()}
	to.Key, to.Node = h.key, h.node
	if to.Kind == heldRemove {
		to.Data = []byte(h.seen)
	}
	if err := v.log.append(to); err != nil {
		return err
	}
	h.ino = in.ino
	if kind != moved { // the kernel's number goes on as another file, or is forgotten
		h.ino = v.fs.number()
		v.fs.bases.move(in.ino, h.ino)
	}
	v.holds[h.node] = h
	if v.names[dir] == nil {
		v.names[dir] = map[string]*hold{}
	}
	v.names[dir][name] = h
	v.touch(dir)
	v.schedule(h)
	return nil
}

func (v *volume) schedule(h *hold) {
	h.due = v.fs.now().Add(holdTime)
	v.enqueue(due{at: h.due, hold: h})
}

// unhold forgets a hold; v.mu is held.
func (v *volume) unhold(h *hold) {
	if v.holds[h.node] == h {
		delete(v.holds, h.node)
	}
	if v.names[h.dir][h.name] == h {
		delete(v.names[h.dir], h.name)
		if len(v.names[h.dir]) == 0 {
			delete(v.names, h.dir)
		}
	}
	if h.by != nil {
		h.by.hold, h.by = nil, nil
	}
	if h.kind != moved {
		v.fs.bases.forget(h.ino)
	}
	h.due = time.Time{}
}

// take gives the name of a hold to a fresh file; v.mu is held. A removal is
// called off in the log: if we die now, the old document is better than none.
func (v *volume) take(in *inode, h *hold) error {
	if h.kind != moved {
		if err := v.log.append(heldRecord{Kind: heldDone, Key: h.key}); err != nil {
			return err
		}
	}
	h.by, in.hold, h.due = in, h, time.Time{}
	return nil
}

// giveBack undoes take when the fresh file goes before it was committed.
func (v *volume) giveBack(in *inode) error {
	h := in.hold
	if h == nil {
		return nil
	}
	h.by, in.hold = nil, nil
	v.schedule(h)
	if h.kind == moved {
		return nil
	}
	return v.log.append(heldRecord{Kind: heldRemove, Key: h.key, Node: h.node, Data: []byte(h.seen)})
}

// freeHold is the hold on a name that nobody has taken; v.mu is held.
func (v *volume) freeHold(dir space.NodeID, name string) *hold {
	if h := v.names[dir][name]; h != nil && h.by == nil {
		return h
	}
	return nil
}

// settleName publishes what is held at a name, so that the name is free in the
// space too; v.mu is held.
func (v *volume) settleName(dir space.NodeID, name string) error {
	if h := v.names[dir][name]; h != nil {
		return v.settle(h)
	}
	return nil
}

// settleFolder publishes everything that left places in a folder; v.mu is held.
func (v *volume) settleFolder(dir space.NodeID) error {
	var err error
	for _, h := range v.names[dir] {
		err = errors.Join(err, v.settle(h))
	}
	return err
}

// settle publishes a removal or a move; v.mu is held. A document that a peer
// changed since is not removed: edits win.
func (v *volume) settle(h *hold) error {
	err := v.settleNode(h)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	v.unhold(h)
	return v.log.append(heldRecord{Kind: heldDone, Key: h.key})
}

func (v *volume) settleNode(h *hold) error {
	info, err := v.tree.stat(h.node)
	if err != nil {
		if h.kind == moved {
			v.unplace(h.in)
			v.gone(h.in)
		}
		return err
	}
	if h.kind != moved {
		if info.Version != h.seen {
			v.unhold(h)
			v.appears(info.Parent, info.Name)
			return nil
		}
		return v.tree.remove(h.node)
	}
	in := h.in
	dir, name := in.parent, in.name
	for try := 0; ; try++ {
		err := v.tree.move(h.node, dir, name, false)
		if errors.Is(err, os.ErrExist) && try < 100 { // a peer was first
			name = alternative(in.name, try)
			continue
		}
		if errors.Is(err, os.ErrNotExist) && dir != space.Root { // the folder went meanwhile
			dir = space.Root
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	v.unplace(in)
	if name != in.name || dir != in.parent {
		v.stepsAside(in, spot{in.parent, in.name}, spot{dir, name})
	}
	return nil
}

// sameFile reports whether a fresh file that took a held name is the next
// version of the document that left it. After a plain rename only the content
// can tell: "mv doc archive; echo > doc" makes a new file.
func (v *volume) sameFile(in *inode, h *hold) bool {
	if h.kind != moved {
		return true
	}
	mine, ok := in.wc.text()
	if !ok {
		return false
	}
	h.in.mu.Lock()
	defer h.in.mu.Unlock()
	old, err := h.in.loadLocked()
	return err == nil && old.v != nil && alike(old.v.text, mine)
}

// alike reports whether half of two texts is the same.
func alike(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if len(a)+len(b) > inlineLimit {
		return textdiff.Similarity(a, b) >= 0.5
	}
	kept := len(b)
	for _, s := range textdiff.Diff(a, b) {
		kept -= len(s.Ins)
	}
	return 2*kept*2 >= len(a)+len(b)
}

// adopt makes a fresh file the next version of a held document, not committed
// yet; v.mu and in.mu are held. After a rename to a shared name, that name
// keeps the old content as a fresh file.
func (v *volume) adopt(in *inode, h *hold) error {
	if h.kind == moved {
		if err := v.leaveCopy(h); err != nil {
			return err
		}
	}
	v.fs.bases.move(h.ino, in.ino)
	v.unhold(h)
	v.unplace(in)
	in.state, in.node = stateShared, h.node
	v.byNode[h.node] = in
	in.due = time.Time{}
	in.wc.dirty, in.wc.exact, in.wc.base = true, false, nil
	if c, err := in.loadLocked(); err == nil {
		in.wc.base = c.version()
		if c.snap != nil {
			c.snap.Close()
		}
	}
	if info, err := v.tree.stat(h.node); err == nil && (info.Parent != in.parent || info.Name != in.name) {
		v.stepsAside(in, spot{in.parent, in.name}, spot{info.Parent, info.Name}) // a peer moved it
	}
	return nil
}

// leaveCopy turns the inode of a moved document into a fresh file with the
// content that the document has now.
func (v *volume) leaveCopy(h *hold) error {
	x := h.in
	x.mu.Lock()
	defer x.mu.Unlock()
	c, err := x.loadLocked()
	if err != nil {
		return err
	}
	info, err := v.tree.stat(h.node)
	if err != nil {
		return err
	}
	wc := &workingCopy{dir: v.workDir(), mtime: info.Mtime}
	if err := wc.fill(io.NewSectionReader(c, 0, c.size())); err != nil {
		return err
	}
	wc.mtime = info.Mtime
	if v.byNode[h.node] == x {
		delete(v.byNode, h.node)
	}
	x.state, x.wc, x.exec, x.mtime = stateFresh, wc, info.Exec, info.Mtime
	x.key = v.log.key()
	if err := v.log.append(heldRecord{Kind: heldDone, Key: h.key}, x.record()); err != nil {
		return err
	}
	x.inLog, x.logged, x.wc.dirty = true, true, false
	v.enqueueFresh(x)
	return nil
}

// record is what the held log says about a fresh file; in.mu is held.
func (in *inode) record() heldRecord {
	r := heldRecord{
		Kind: heldFresh, Key: in.key, Parent: in.parent, Name: in.name,
		Exec: in.exec, Mtime: in.wc.mtime.UnixNano(), Data: in.wc.data,
	}
	if in.wc.file != nil {
		r.Work, r.Data = filepath.Base(in.wc.file.Name()), nil
	}
	return r
}

// enqueueFresh plans the publication of a fresh file that nobody writes to;
// v.mu and in.mu are held.
func (v *volume) enqueueFresh(in *inode) {
	wait := holdTime
	if v.importAhead(in.wc) != nil && in.hold == nil && v.names[in.parent][in.name] == nil {
		wait = holdLarge
	}
	in.due = v.fs.now().Add(wait)
	v.enqueue(due{at: in.due, in: in})
}

// enqueue keeps the queue in order of time; v.mu is held.
func (v *volume) enqueue(d due) {
	i := len(v.queue)
	for i > 0 && v.queue[i-1].at.After(d.at) {
		i--
	}
	v.queue = append(v.queue, due{})
	copy(v.queue[i+1:], v.queue[i:])
	v.queue[i] = d
	if i == 0 {
		v.arm()
	}
}

// arm sets the timer for the head of the queue; v.mu is held.
func (v *volume) arm() {
	if len(v.queue) == 0 || v.closed {
		return
	}
	wait := max(v.queue[0].at.Sub(v.fs.now()), 0)
	if v.timer == nil {
		v.timer = time.AfterFunc(wait, func() {
			if err := v.publish(false); err != nil {
				v.fs.log.Warn("publishing files of this device", "space", v.name, "err", err)
			}
		})
		return
	}
	v.timer.Reset(wait)
}

// alternative is a name beside one that is taken.
func alternative(name string, try int) string {
	ext := filepath.Ext(name)
	if ext == name {
		ext = ""
	}
	suffix := " (" + string(rune('2'+try%8)) + ")"
	for ; try >= 8; try -= 8 {
		suffix = "'" + suffix
	}
	stem := name[:len(name)-len(ext)]
	if over := len(stem) + len(suffix) + len(ext) - 255; over > 0 {
		stem = stem[:max(len(stem)-over, 0)]
	}
	return stem + suffix + ext
}

// sortedHolds is every hold, oldest first; v.mu is held.
func (v *volume) sortedHolds() []*hold {
	out := make([]*hold, 0, len(v.holds))
	for _, h := range v.holds {
		out = append(out, h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}
