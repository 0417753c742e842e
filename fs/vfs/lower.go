package vfs

import (
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// lowered does what a change of owner, to the one that everything has, means for
// the rest of a file: its set-user-ID and set-group-ID bits go, and it changed now.
func (in *inode) lowered(s SetAttr) error {
	if s.Lower && in.kind == space.File {
		if err := in.lower(); err != nil {
			return err
		}
	}
	if s.UID == nil && s.GID == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ctime = in.fs.now()
	if in.state == stateScratch {
		return syscall.Lchown(in.osPath(), -1, -1) // the disk keeps its own
	}
	return nil
}

// Lower takes set-user-ID and set-group-ID bits from a file, as a write by
// anybody but root does.
func (h *Handle) Lower() error { return h.in.lower() }

func (in *inode) lower() error {
	in.mu.Lock()
	mode := in.mode
	switch in.state {
	case stateShared:
		info, err := in.vol.tree.stat(in.node)
		if err != nil {
			in.mu.Unlock()
			return err
		}
		mode = info.Mode
	case stateScratch:
		var st syscall.Stat_t
		if err := syscall.Lstat(in.osPath(), &st); err == nil {
			mode = st.Mode
		}
	}
	in.mu.Unlock()
	less := mode &^ syscall.S_ISUID
	if mode&0o010 != 0 { // without it the bit once meant another thing
		less &^= syscall.S_ISGID
	}
	if less == mode {
		return nil
	}
	return in.setMeta(proc{}, SetAttr{Mode: &less})
}
