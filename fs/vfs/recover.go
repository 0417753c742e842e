package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// recover opens the held log and hands to the space what an earlier run had
// acknowledged and not published. Doing it twice does no harm, so dying in the
// middle of it does not either.
func (v *volume) recover() error {
	log, records, err := openHeldLog(v.heldDir())
	if err != nil {
		return fmt.Errorf("opening what was held back: %w", err)
	}
	v.log = log
	for _, r := range outstanding(records) {
		if err := v.replay(r); err != nil {
			return fmt.Errorf("publishing %q, which was held back: %w", r.Name, err)
		}
	}
	if len(records) > 0 {
		if err := v.tree.sync(); err != nil {
			return err
		}
	}
	if err := log.started(); err != nil {
		return err
	}
	// Working copies that nobody acknowledged.
	left, err := os.ReadDir(v.workDir())
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := os.Remove(filepath.Join(v.workDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// outstanding is what is left of a log, in the order in which it began.
func outstanding(records []heldRecord) []heldRecord {
	at := map[uint64]int{}
	var out []heldRecord
	for _, r := range records {
		i, known := at[r.Key]
		switch {
		case r.Kind == heldDone:
			if known {
				out[i].Kind = heldDone
			}
			delete(at, r.Key)
		case r.Kind == heldTaken:
			if known {
				out[i].Node = r.Node
			}
		case r.Kind == heldPlace:
			if known {
				out[i].Parent, out[i].Name, out[i].Exec, out[i].Mtime = r.Parent, r.Name, r.Exec, r.Mtime
			}
		case r.Kind == heldAttrs:
			if known {
				out[i].Attrs = r.Data
			}
		case known:
			r.Attrs = out[i].Attrs
			out[i] = r
		default:
			at[r.Key] = len(out)
			out = append(out, r)
		}
	}
	kept := out[:0]
	for _, r := range out {
		if r.Kind != heldDone {
			kept = append(kept, r)
		}
	}
	return kept
}

func (v *volume) replay(r heldRecord) error {
	switch r.Kind {
	case heldRemove:
		info, err := v.tree.stat(r.Node)
		if errors.Is(err, os.ErrNotExist) || err == nil && info.Version != string(r.Data) {
			return nil // gone already, or somebody edited it: edits win
		}
		if err != nil {
			return err
		}
		return v.tree.remove(r.Node)
	case heldMove:
		info, err := v.tree.stat(r.Node)
		if errors.Is(err, os.ErrNotExist) || err == nil && info.Parent == r.Parent && info.Name == r.Name {
			return nil
		}
		if err != nil {
			return err
		}
		return v.somewhere(r.Parent, r.Name, func(dir space.NodeID, name string) error {
			return v.tree.move(r.Node, dir, name, false)
		})
	}
	return v.replayFresh(r)
}

func (v *volume) replayFresh(r heldRecord) error {
	if r.Node != (space.NodeID{}) {
		if _, err := v.tree.stat(r.Node); err == nil {
			return nil // the space has it, and perhaps a later version of it
		}
	}
	p := payload{data: r.Data}
	if r.Work != "" {
		f, err := os.Open(filepath.Join(v.workDir(), filepath.Base(r.Work)))
		if errors.Is(err, os.ErrNotExist) {
			return nil // published before, and its copy removed
		}
		if err != nil {
			return err
		}
		defer f.Close()
		p.file = f
	}
	n := space.New{Kind: space.File, Exec: r.Exec, Mtime: time.Unix(0, r.Mtime)}
	return v.somewhere(r.Parent, r.Name, func(dir space.NodeID, name string) error {
		if id, err := v.hasFile(dir, name, p); err != nil || id != (space.NodeID{}) {
			return errors.Join(err, v.giveHeld(id, r.Attrs))
		}
		if s, ok := p.file.(io.Seeker); ok {
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
		info, err := v.tree.create(dir, name, n, p)
		if err != nil {
			return err
		}
		return v.giveHeld(info.ID, r.Attrs)
	})
}

// hasFile finds a file of that name and content in the space.
func (v *volume) hasFile(dir space.NodeID, name string, p payload) (space.NodeID, error) {
	var none space.NodeID
	info, err := v.tree.lookup(dir, name)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Kind != space.File {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	snap, err := v.tree.open(info.ID)
	if err != nil {
		return none, err
	}
	defer snap.Close()
	mine := p.file
	if mine == nil {
		mine = bytes.NewReader(p.data)
	}
	if same, err := sameBytes(io.NewSectionReader(snap, 0, snap.Size()), mine); err != nil || !same {
		return none, err
	}
	return info.ID, nil
}

// somewhere tries to put something at a name, and if that is taken, or the
// folder is gone, beside it or in the root.
func (v *volume) somewhere(dir space.NodeID, name string, put func(space.NodeID, string) error) error {
	at := name
	for try := 0; ; try++ {
		err := put(dir, at)
		switch {
		case errors.Is(err, os.ErrExist) && try < 100:
			at = alternative(name, try)
		case errors.Is(err, os.ErrNotExist) && dir != space.Root:
			dir, at = space.Root, name
		default:
			return err
		}
	}
}

func sameBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, aerr := io.ReadFull(a, x)
		m, berr := io.ReadFull(b, y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if aerr == io.EOF || aerr == io.ErrUnexpectedEOF {
			return berr == io.EOF || berr == io.ErrUnexpectedEOF, nil
		}
		if err := errors.Join(aerr, berr); err != nil {
			return false, err
		}
	}
}
