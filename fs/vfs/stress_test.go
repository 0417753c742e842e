package vfs

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// TestStress lets processes and a peer work on the same few names at once. It
// checks nothing but that all of it ends, the race detector is silent, and what
// the space has in the end is what is shown.
func TestStress(t *testing.T) {
	w := newWorld(t)
	w.fs.Invalidations(func([]Invalidation) {})
	names := []string{"a", "b", "c", "d.bak", "e~"}
	var wg sync.WaitGroup
	for pid := range uint32(6) {
		wg.Go(func() {
			p := w.process(100 + pid)
			r := rand.New(rand.NewPCG(uint64(pid), 2))
			for range 300 {
				a, b := names[r.IntN(len(names))], names[r.IntN(len(names))]
				switch r.IntN(8) {
				case 0, 1, 2:
					flags := wr | creat
					if r.IntN(2) == 0 {
						flags |= trunc
					}
					if h, err := p.tryOpen(a, flags); err == nil {
						h.Write(p.caller(), []byte(randomText(r)), 0)
						h.Flush(p.caller())
						h.Release(p.caller())
					}
				case 3:
					p.tryRename(a, b, 0)
				case 4:
					p.tryRename(a, b, RenameExchange)
				case 5:
					p.tryUnlink(a)
				case 6:
					if h, err := p.tryOpen(a, syscall.O_RDONLY); err == nil {
						h.Read(p.caller(), make([]byte, 4096), 0)
						h.Release(p.caller())
					}
				default:
					if at, err := p.lookup(a); err == nil {
						now := time.Unix(int64(r.IntN(1000)), 0)
						w.fs.Setattr(p.caller(), at.Ino, nil, SetAttr{Mtime: &now})
						w.fs.Getxattr(p.caller(), at.Ino, xattrStatus)
					}
				}
			}
		})
	}
	wg.Go(func() { // somebody else changes the space
		r := rand.New(rand.NewPCG(9, 9))
		for i := range 200 {
			infos, err := w.space.List(space.Root)
			if err != nil {
				t.Error(err)
				return
			}
			if len(infos) == 0 {
				continue
			}
			f := infos[r.IntN(len(infos))]
			switch r.IntN(4) {
			case 0:
				w.space.Remove(f.ID)
			case 1:
				w.space.Move(f.ID, space.Root, fmt.Sprint("moved", i), false)
			default:
				w.space.Save(f.ID, &f.Version, space.BytesContent([]byte(randomText(r))), time.Now())
			}
		}
	})
	wg.Wait()
	if err := w.fs.volumes["s"].publish(true); err != nil {
		t.Error(err)
	}
	p := w.process(1)
	shown := p.list("")
	var shared []string
	for _, name := range shown {
		if !scratchName(name, false) {
			shared = append(shared, name)
			p.read(name)
		}
	}
	equal(t, "shown", shared, w.published())
}
