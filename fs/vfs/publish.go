package vfs

import (
	"errors"
	"io"
	"os"
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
		ready, err := v.prepare(all)
		v.mu.Lock()
		d, ok := v.next(all)
		if !ok {
			v.arm()
			v.mu.Unlock()
			break
		}
		if err == nil {
			var key uint64
			if key, err = v.publishOne(d, ready); err == nil && key != 0 {
				done = append(done, heldRecord{Kind: heldDone, Key: key})
			}
		}
		if err != nil && !all {
			v.again(d)
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

// prepared is content imported ahead, without a lock, for a file that is due.
type prepared struct {
	in      *inode
	at      time.Time
	content space.Content
}

// prepare imports the content of the next due file if it is large.
func (v *volume) prepare(all bool) (*prepared, error) {
	v.mu.Lock()
	d, ok := v.peek(all)
	if !ok || d.in == nil {
		v.mu.Unlock()
		return nil, nil
	}
	d.in.mu.Lock()
	var file *os.File
	var size int64
	if d.in.state == stateFresh && d.in.wc != nil && d.in.wc.file != nil {
		file, size = d.in.wc.file, d.in.wc.size
	}
	d.in.mu.Unlock()
	v.mu.Unlock()
	if file == nil {
		return nil, nil
	}
	// A writer that comes now changes the time that the file is due, and then
	// what was imported here is not used.
	c, err := v.tree.space.Import(v.tree.ctx, io.NewSectionReader(file, 0, size))
	if err != nil {
		return nil, spaceErr(err)
	}
	return &prepared{d.in, d.at, c}, nil
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
func (v *volume) again(d due) {
	d.at = v.fs.now().Add(retryTime)
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
func (v *volume) publishOne(d due, ready *prepared) (uint64, error) {
	if d.hold != nil {
		if err := v.settleNode(d.hold); err != nil && !errors.Is(err, os.ErrNotExist) {
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
	if err := v.publishFresh(in, ready); err != nil {
		return 0, err
	}
	if !in.inLog {
		return 0, nil
	}
	in.inLog, in.logged = false, false
	return in.key, v.log.append(heldRecord{Kind: heldTaken, Key: in.key, Node: in.node})
}

// publishFresh makes a node of a fresh file; v.mu and in.mu are held.
func (v *volume) publishFresh(in *inode, ready *prepared) error {
	n := space.New{Kind: space.File, Exec: in.exec, Mtime: in.wc.mtime}
	p := payload{data: in.wc.data}
	if in.wc.file != nil {
		p.file = io.NewSectionReader(in.wc.file, 0, in.wc.size)
		if ready != nil && ready.in == in && ready.at.Equal(in.due) {
			p.ready = &ready.content
		}
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
	in.wc.close()
	in.wc, in.due = nil, time.Time{}
	v.unplace(in)
	in.state, in.node = stateShared, info.ID
	v.byNode[info.ID] = in
	if isText {
		v.fs.bases.published(in.ino, who, &version{id: info.Version, text: text, mtime: info.Mtime})
	}
	if name != in.name || dir != in.parent {
		v.announce(in.parent, in.name)
		v.announce(dir, name)
	}
	return nil
}

// announce tells the kernel that a name may mean something else; v.mu is held.
func (v *volume) announce(dir space.NodeID, name string) {
	if p := v.byNode[dir]; p != nil {
		v.fs.queue.add(Invalidation{Entry: true, Parent: p.ino, Name: name})
	}
}

// show tells the kernel of a node that it may not know; v.mu is held.
func (v *volume) show(info space.Info) {
	v.touch(info.Parent)
	if p := v.byNode[info.Parent]; p != nil {
		ino := nodeIno(v, info.ID)
		if in := v.byNode[info.ID]; in != nil {
			ino = in.ino
		}
		v.fs.queue.add(Invalidation{
			Entry: true, Ino: ino, Parent: p.ino, Name: info.Name, Dir: info.Kind == space.Dir, Remote: true,
		})
	}
}
