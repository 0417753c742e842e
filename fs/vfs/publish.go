package vfs

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// publish hands over to the space what is due, or with all everything that is
// held. Only when the space has made it durable does the held log let go.
func (v *volume) publish(all bool) error {
	v.publishing.Lock()
	defer v.publishing.Unlock()
	var done []heldRecord
	var failed error
	for {
		d, ok := v.ready(all)
		if !ok {
			done, v.done = append(done, v.done...), nil
			v.arm()
			v.mu.Unlock()
			break
		}
		key, err := v.publishOne(d)
		if err == nil && key != 0 {
			done = append(done, heldRecord{Kind: heldDone, Key: key})
		}
		if err != nil && !all {
			v.again(d, retryTime)
		}
		v.mu.Unlock()
		failed = errors.Join(failed, err)
	}
	if len(done) == 0 {
		return failed
	}
	if err := v.tree.sync(); err != nil {
		return errors.Join(failed, err) // the log keeps it; a restart finds it published
	}
	return errors.Join(failed, v.log.append(done...))
}

// importPoll is how often a file that is due is looked at while it is imported.
const importPoll = 20 * time.Millisecond

// ready takes the next thing to publish off the queue and returns with v.mu held.
// A large file is imported first; what is due after it does not wait for that,
// unless everything is to be published.
func (v *volume) ready(all bool) (due, bool) {
	for {
		v.mu.Lock()
		d, ok := v.next(all)
		if !ok || d.in == nil {
			return d, ok
		}
		d.in.mu.Lock()
		var a *ahead
		if d.in.state == stateFresh {
			a = v.importAhead(d.in.wc)
		}
		d.in.mu.Unlock()
		if a == nil || a.ended() {
			return d, true
		}
		if !all {
			v.again(d, importPoll)
			v.mu.Unlock()
			continue
		}
		v.queue = slices.Insert(v.queue, 0, d)
		v.mu.Unlock()
		<-a.done
	}
}

// peek is the next thing to publish; v.mu is held. What is out of date goes.
func (v *volume) peek(all bool) (due, bool) {
	for len(v.queue) > 0 {
		d := v.queue[0]
		current := false
		if d.hold != nil {
			current = d.hold.due.Equal(d.at)
		} else {
			d.in.mu.Lock()
			current = d.in.due.Equal(d.at)
			d.in.mu.Unlock()
		}
		if current && (all || !d.at.After(v.fs.now())) {
			return d, true
		}
		if current {
			return due{}, false
		}
		v.queue = v.queue[1:]
	}
	return due{}, false
}

func (v *volume) next(all bool) (due, bool) {
	d, ok := v.peek(all)
	if ok {
		v.queue = v.queue[1:]
	}
	return d, ok
}

// again plans another try; v.mu is held.
func (v *volume) again(d due, after time.Duration) {
	d.at = v.fs.now().Add(after)
	if d.hold != nil {
		d.hold.due = d.at
	} else {
		d.in.mu.Lock()
		d.in.due = d.at
		d.in.mu.Unlock()
	}
	v.enqueue(d)
}

// publishOne publishes one thing. For content it returns the key under which the
// held log keeps that until the space has made it durable; v.mu is held.
func (v *volume) publishOne(d due) (uint64, error) {
	if d.hold != nil {
		if err := v.settleNode(d.hold); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.EROFS) {
			return 0, err
		}
		v.unhold(d.hold)
		return 0, v.log.append(heldRecord{Kind: heldDone, Key: d.hold.key})
	}
	in := d.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state == stateShared { // a commit at release that failed
		return 0, in.commitLocked()
	}
	if in.state != stateFresh || in.wc == nil {
		return 0, nil
	}
	if in.hold != nil { // whoever made it never wrote to it
		err := v.commitFresh(in, true)
		if err != nil || in.state == stateShared {
			if err == nil && !in.writable() {
				in.wc.close()
				in.wc = nil
			}
			return 0, err
		}
	}
	err := v.publishFresh(in)
	if err == syscall.EROFS {
		key := in.key
		if !in.inLog {
			key = 0
		}
		return key, v.withdrawFresh(in)
	}
	if err != nil {
		return 0, err
	}
	if !in.inLog {
		return 0, nil
	}
	in.inLog, in.logged = false, false
	return in.key, v.log.append(heldRecord{Kind: heldTaken, Key: in.key, Node: in.node})
}

// publishFresh makes a node of a fresh file; v.mu and in.mu are held.
func (v *volume) publishFresh(in *inode) error {
	n := space.New{Kind: space.File, Exec: in.exec, Mtime: in.wc.mtime}
	p, err := in.wc.payload()
	if err != nil {
		return err
	}
	dir, name := in.parent, in.name
	var info space.Info
	for try := 0; ; try++ {
		var err error
		info, err = v.tree.create(dir, name, n, p)
		if errors.Is(err, os.ErrExist) && try < 100 { // a peer was first: both stay
			name = alternative(in.name, try)
			continue
		}
		if errors.Is(err, os.ErrNotExist) && dir != space.Root { // a peer removed the folder
			dir = space.Root
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	text, isText := in.wc.text()
	who := in.wc.who
	if w := in.wc; in.writable() { // its author goes on
		w.unhold()
		w.dirty, w.clean, w.exact = false, info.Version, true
		w.base = &version{id: info.Version, text: text, opaque: !isText, mtime: info.Mtime}
	} else {
		w.close()
		in.wc = nil
	}
	in.due = time.Time{}
	v.unplace(in)
	in.state, in.node = stateShared, info.ID
	in.pages.seen = info.Version
	v.byNode[info.ID] = in
	in.giveXattrs(true)
	if isText {
		v.fs.bases.published(in.ino, who, &version{id: info.Version, text: text, mtime: info.Mtime})
	}
	if in.doneLocked() {
		v.dropLocked(in)
	}
	if name != in.name || dir != in.parent {
		v.stepsAside(in, spot{in.parent, in.name}, spot{dir, name})
	}
	return nil
}

// announce tells the kernel that a name may mean something else; v.mu is held.
func (v *volume) announce(dir space.NodeID, name string) {
	if p := v.byNode[dir]; p != nil {
		v.fs.queue.add(Invalidation{Entry: true, Parent: p.ino, Name: name})
	}
}
