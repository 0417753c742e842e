package vfs

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// What was written and may not be saved, because this device may only read the
// space since, is kept on this device: readable in `.space/withdrawn`.

// withdraw gives up the working copy of a shared file; in.mu is held.
func (in *inode) withdraw() error {
	w := in.wc
	p, err := w.payload()
	if err != nil {
		return err
	}
	if err := in.vol.tree.withdraw(in.vol.tree.space.Path(in.node), p, w.mtime); err != nil {
		return err
	}
	w.dirty = false
	w.close()
	in.wc = nil
	in.fs.queue.add(Invalidation{Content: true, Attr: true, Ino: in.ino})
	return nil
}

// withdrawFresh gives up a file that is not in the space; v.mu and in.mu are held.
func (v *volume) withdrawFresh(in *inode) error {
	p, err := in.wc.payload()
	if err != nil {
		return err
	}
	path := in.name
	if dir := v.tree.space.Path(in.parent); dir != "" {
		path = dir + "/" + in.name
	}
	if err := v.tree.withdraw(path, p, in.wc.mtime); err != nil {
		return err
	}
	v.unplace(in)
	in.state, in.due = stateOrphan, time.Time{}
	in.inLog, in.logged, in.inspace = false, false, false
	in.wc.dirty = false
	if len(in.handles) == 0 {
		in.wc.close()
		in.wc = nil
	}
	v.appears(in.parent, in.name)
	return nil
}

func (s *shared) withdraw(path string, p payload, mtime time.Time) error {
	c, err := s.content(p)
	if err != nil {
		return spaceErr(err)
	}
	return spaceErr(s.space.Withdraw(path, c, mtime))
}

// restricted has the kernel ask again for the permissions of all it knows.
func (v *volume) restricted() (out []Invalidation) {
	v.fs.mu.Lock()
	defer v.fs.mu.Unlock()
	for ino, in := range v.fs.inodes {
		if in.vol == v {
			out = append(out, Invalidation{Attr: true, Ino: ino})
		}
	}
	return out
}

// withdrawnFolder is `.space/withdrawn`.
type withdrawnFolder struct {
	space *space.Space
	began time.Time
}

func (d *withdrawnFolder) key() string                     { return "withdrawn" }
func (d *withdrawnFolder) dir() bool                       { return true }
func (d *withdrawnFolder) renew(virtual)                   {}
func (d *withdrawnFolder) stat() (int64, time.Time, error) { return 0, d.began, nil }
func (d *withdrawnFolder) open() (*space.Snapshot, error)  { return nil, syscall.EISDIR }

func (d *withdrawnFolder) child(name string) (virtual, error) {
	entries, err := d.list()
	if err != nil {
		return nil, err
	}
	return pick(entries, name)
}

func (d *withdrawnFolder) list() ([]virtualEntry, error) {
	all, err := d.space.Withdrawn()
	if err != nil {
		return nil, err
	}
	out := make([]virtualEntry, len(all))
	taken := make(map[string]int)
	for i, w := range all {
		name := w.Time.UTC().Format("2006-01-02T15.04.05Z") + "-" + strings.ReplaceAll(w.Path, "/", "_")
		if len(name) > 200 {
			name = strings.ToValidUTF8(name[:200], "")
		}
		if taken[name]++; taken[name] > 1 {
			name += "-" + strconv.Itoa(taken[name])
		}
		out[i] = virtualEntry{name, &withdrawnFile{d.space, w}}
	}
	return out, nil
}

// withdrawnFile is a file in it.
type withdrawnFile struct {
	space *space.Space
	w     space.Withdrawn
}

func (f *withdrawnFile) key() string                     { return "withdrawn/" + f.w.ID }
func (f *withdrawnFile) dir() bool                       { return false }
func (f *withdrawnFile) renew(virtual)                   {}
func (f *withdrawnFile) stat() (int64, time.Time, error) { return f.w.Size, f.w.Time, nil }
func (f *withdrawnFile) list() ([]virtualEntry, error)   { return nil, syscall.ENOTDIR }
func (f *withdrawnFile) child(string) (virtual, error)   { return nil, syscall.ENOTDIR }
func (f *withdrawnFile) open() (*space.Snapshot, error)  { return f.space.OpenWithdrawn(f.w.ID) }
