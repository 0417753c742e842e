package fusefs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

const (
	// queueLimit bounds what waits to be told to the kernel; add blocks above it.
	queueLimit = 1 << 16

	// noticesInFlight bounds how many notices the kernel may be sitting on. It
	// takes a notice only after reads of that file have ended, and a read can
	// wait for a peer.
	noticesInFlight = 16

	// patience is how long one step of a batch may hold up the next one.
	patience = time.Second

	// raceWindow is longer than a reply takes from here into the kernel. A
	// notice about a file that the kernel does not know yet is repeated after
	// this time, in case such a reply was under way.
	raceWindow = 50 * time.Millisecond
)

// kernel is the part of *fuse.Server that drops what the kernel has cached.
type kernel interface {
	InodeNotify(ino uint64, off, length int64) fuse.Status
	EntryNotify(parent uint64, name string) fuse.Status
	DeleteNotify(parent, child uint64, name string) fuse.Status
}

// An invalidator tells the kernel to drop what it has cached of files that
// changed without passing through it, such as by an edit of a peer.
//
// The kernel may call back into the mount before it has taken a notice, and
// waits for requests that are being served. So notices are sent from run only,
// never from a request (but see outdate), with no lock held. Changes that arrive
// meanwhile merge: a slow kernel costs one map entry for each file and name, and
// no more than queueLimit of them.
type invalidator struct {
	kernel kernel
	log    *slog.Logger
	sent   func(mark uint64) // may be nil
	guard  <-chan struct{}   // may be nil: the first notice waits until it is closed
	wake   chan struct{}     // capacity 1: a token means pending has grown
	slots  chan struct{}     // a token for each notice the kernel has not taken yet

	// epoch counts changes that were announced. A reply that was made before a
	// change and arrives after its notice must not be cached.
	epoch atomic.Uint64

	mu      sync.Mutex // guards the fields below
	space   *sync.Cond // signalled when pending shrinks or closed is set
	closed  bool
	pending notices
	taking  map[vfs.Ino]int // how many notices of a content the kernel has not taken yet
}

// notices are changes not told to the kernel yet. Their order does not matter:
// each says only that the truth has to be asked for again.
type notices struct {
	inodes map[vfs.Ino]bool   // true: its content changed; false: only its attributes
	names  map[dirent]vfs.Ino // what the name stood for if it is deleted, else 0
	mark   uint64             // what live had announced when the latest was added
}

type dirent struct {
	parent vfs.Ino
	name   string
}

func newNotices() notices {
	return notices{inodes: map[vfs.Ino]bool{}, names: map[dirent]vfs.Ino{}}
}

func (n notices) len() int { return len(n.inodes) + len(n.names) }

func newInvalidator(k kernel, log *slog.Logger) *invalidator {
	v := &invalidator{
		kernel: k, log: log,
		wake:    make(chan struct{}, 1),
		slots:   make(chan struct{}, noticesInFlight),
		pending: newNotices(),
		taking:  map[vfs.Ino]int{},
	}
	v.space = sync.NewCond(&v.mu)
	return v
}

// add queues changes. It blocks while the queue is full, so its caller must
// hold no lock and serve no request.
func (v *invalidator) add(changes []vfs.Invalidation) { v.addMarked(changes, 0) }

// addMarked is add; sent is called with the greatest mark when these changes,
// and all before, have been told.
func (v *invalidator) addMarked(changes []vfs.Invalidation, mark uint64) {
	v.epoch.Add(1)
	v.mu.Lock()
	for v.pending.len() > queueLimit && !v.closed {
		v.space.Wait()
	}
	v.pending.mark = max(v.pending.mark, mark)
	for _, c := range changes {
		if c.Content || c.Attr {
			v.pending.inodes[c.Ino] = v.pending.inodes[c.Ino] || c.Content
		}
		if c.Entry || c.Delete {
			child := vfs.Ino(0)
			if c.Delete {
				child = c.Ino
			}
			v.pending.names[dirent{c.Parent, c.Name}] = child
		}
	}
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default: // run has a token already
	}
}

// close makes add return at once from now on.
func (v *invalidator) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.space.Broadcast()
}

// run tells the kernel about queued changes until ctx ends. When it returns,
// notices that the kernel still sits on have been left behind: they end when
// the mount does.
func (v *invalidator) run(ctx context.Context) {
	if v.guard != nil {
		select {
		case <-ctx.Done():
			return
		case <-v.guard:
		}
	}
	early := map[vfs.Ino]bool{} // the kernel did not know these; told again at late
	var late <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
			batch := v.take()
			unknown := v.send(ctx, batch)
			if v.sent != nil && batch.mark > 0 {
				v.sent(batch.mark)
			}
			if late == nil && len(unknown) > 0 {
				late = time.After(raceWindow)
			}
			for ino, content := range unknown {
				early[ino] = early[ino] || content
			}
		case <-late:
			v.mu.Lock()
			v.takes(early)
			v.mu.Unlock()
			v.send(ctx, notices{inodes: early})
			early, late = map[vfs.Ino]bool{}, nil
		}
	}
}

func (v *invalidator) take() notices {
	v.mu.Lock()
	batch := v.pending
	v.pending = newNotices()
	v.takes(batch.inodes)
	v.mu.Unlock()
	v.space.Broadcast()
	return batch
}

// takes counts contents that are going to be told; mu is held.
func (v *invalidator) takes(inodes map[vfs.Ino]bool) {
	for ino, content := range inodes {
		if content {
			v.taking[ino]++
		}
	}
}

// took takes back one of those counts: the kernel has taken the notice.
func (v *invalidator) took(ino vfs.Ino) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.taking[ino]--; v.taking[ino] == 0 {
		delete(v.taking, ino)
	}
}

// waits reports whether the kernel has yet to drop what it has of a file.
func (v *invalidator) waits(ino vfs.Ino) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pending.inodes[ino] || v.taking[ino] > 0
}

// outdate makes an answer that the kernel is waiting for older than a notice: it
// passes it on to who asked and believes nothing of it. This notice may be sent
// from the request itself, for it drops no pages and waits for no other request.
func (v *invalidator) outdate(ino vfs.Ino) { v.inode(ino, false) }

// send tells the kernel one batch: contents before names, so that whoever finds
// a name finds its new content, and the listings of folders last. It returns
// the inodes that the kernel did not know.
func (v *invalidator) send(ctx context.Context, batch notices) map[vfs.Ino]bool {
	var mu sync.Mutex
	unknown := map[vfs.Ino]bool{}

	contents := v.newStep()
	for ino, content := range batch.inodes {
		contents.tell(ctx, func() {
			status := v.inode(ino, content)
			if content {
				v.took(ino)
			}
			if status == fuse.ENOENT {
				mu.Lock()
				unknown[ino] = content
				mu.Unlock()
			}
		})
	}
	contents.wait(ctx)

	names, folders := v.newStep(), map[vfs.Ino]bool{}
	for at, child := range batch.names {
		folders[at.parent] = true
		names.tell(ctx, func() { v.name(at, child) })
	}
	names.wait(ctx)

	// A name that nobody asked for yet is news to the cached listing only.
	listings := v.newStep()
	for ino := range folders {
		listings.tell(ctx, func() { v.inode(ino, true) })
	}
	listings.wait(ctx)

	mu.Lock() // a step that lost patience may still be writing to the first map
	defer mu.Unlock()
	known := unknown
	unknown = map[vfs.Ino]bool{}
	return known
}

// forget has the kernel drop names now, and waits for that, within reason. It
// may be called from anywhere that serves no request and holds no lock.
func (v *invalidator) forget(names ...dirent) {
	step := v.newStep()
	for _, at := range names {
		step.tell(context.Background(), func() { v.name(at, 0) })
	}
	step.wait(context.Background())
}

func (v *invalidator) inode(ino vfs.Ino, content bool) fuse.Status {
	off := int64(-1) // attributes only
	if content {
		off = 0
	}
	status := v.kernel.InodeNotify(uint64(ino), off, 0)
	v.check("content", status, "inode", ino)
	return status
}

func (v *invalidator) name(at dirent, child vfs.Ino) {
	if child != 0 {
		status := v.kernel.DeleteNotify(uint64(at.parent), uint64(child), at.name)
		if status == fuse.OK || status == fuse.ENOENT {
			return
		}
		// Not empty as far as the kernel knows, or a mount point, or another
		// file by now: dropping the name is enough.
	}
	v.check("name", v.kernel.EntryNotify(uint64(at.parent), at.name), "parent", at.parent, "name", at.name)
}

// check logs what the kernel refused. That it does not know a file is usual,
// and that the mount is going away is nobody's fault.
func (v *invalidator) check(what string, status fuse.Status, args ...any) {
	switch status {
	case fuse.OK, fuse.ENOENT, fuse.ENODEV, fuse.EBADF, fuse.Status(syscall.ENOTCONN), fuse.ENOTDIR:
	default:
		v.log.Warn("the kernel kept an old "+what, append(args, "err", syscall.Errno(status))...)
	}
}

// A step sends notices side by side and waits for all of them, within reason.
type step struct {
	slots chan struct{}
	left  atomic.Int64
	done  chan struct{} // closed when left reaches 0
}

func (v *invalidator) newStep() *step {
	s := &step{slots: v.slots, done: make(chan struct{})}
	s.left.Store(1) // the caller's, given back by wait
	return s
}

// tell runs notice in a goroutine of its own when fewer than noticesInFlight
// are running.
func (s *step) tell(ctx context.Context, notice func()) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	s.left.Add(1)
	go func() {
		defer s.finish()
		defer func() { <-s.slots }()
		notice()
	}()
}

func (s *step) finish() {
	if s.left.Add(-1) == 0 {
		close(s.done)
	}
}

func (s *step) wait(ctx context.Context) {
	s.finish()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-s.done:
	case <-timeout.C:
	case <-ctx.Done():
	}
}
