package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
)

// A place is what a path of a person leads to.
type place struct {
	space *space.Space
	name  string // of the space
	path  string // in it
	// nodes are what has the path now, if anything has, and what was removed
	// under it, the latest first.
	nodes []space.NodeID
	shown bool // the first node is there
}

// place follows a path that begins with the name of a space, also into folders
// that were removed.
func (d *daemon) place(path string) (*place, error) {
	name, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	s, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return follow(s.Space, s.Name(), rest)
}

func follow(s *space.Space, name, rest string) (*place, error) {
	p := &place{space: s, name: name, path: rest, nodes: []space.NodeID{space.Root}, shown: true}
	for step := range strings.SplitSeq(rest, "/") {
		if step == "" || step == "." {
			continue
		}
		var next []space.NodeID
		p.shown = false
		for i, dir := range p.nodes {
			if info, err := s.Lookup(dir, step); err == nil && i == 0 {
				next, p.shown = append(next, info.ID), true
			}
			gone, err := s.LookupGone(dir, step)
			if err != nil {
				return nil, err
			}
			next = append(next, gone...)
		}
		if len(next) == 0 {
			return nil, &localapi.Error{
				Code:    localapi.NotFound,
				Message: "there is no " + name + "/" + rest + " and never was",
				Next:    "see what was removed: echofs undelete; a new file gets its history a second or two after its close",
				Err:     os.ErrNotExist,
			}
		}
		p.nodes = next
	}
	return p, nil
}

// explain gives the failures of history their exit codes.
func explain(err error, path string) error {
	if err == nil {
		return nil
	}
	e := localapi.AsError(err)
	switch {
	case errors.Is(err, space.ErrNoVersion):
		e.Code, e.Next = localapi.NotFound, "see which versions there are: echofs log "+path
	case errors.Is(err, os.ErrNotExist):
		e.Code = localapi.NotFound
	case errors.Is(err, space.ErrReadOnly):
		e.Code, e.Next = localapi.Refused, "ask an admin to make you an editor"
	}
	return e
}

// Log lists what happened to a file or folder.
func (d *daemon) Log(_ context.Context, path string) ([]localapi.Version, error) {
	p, err := d.place(path)
	if err != nil {
		return nil, err
	}
	return p.log()
}

func (p *place) log() ([]localapi.Version, error) {
	if p.nodes[0] == space.Root {
		return nil, &localapi.Error{Code: localapi.Usage, Message: "a space itself has no versions", Next: "name a file or folder in it"}
	}
	history, err := p.space.History(p.nodes[0])
	if err != nil {
		return nil, explain(err, p.full())
	}
	ids := make([]string, len(history))
	for i, v := range history {
		ids[i] = v.ID
	}
	short := shorten(ids)
	out := make([]localapi.Version, 0, len(history))
	for i, v := range slices.Backward(history) {
		was := v.Was
		if was != "" {
			was = p.name + "/" + was
		}
		out = append(out, localapi.Version{
			ID: short[i], Full: v.ID, Change: string(v.Act), Time: v.Time,
			Name: v.Name, Author: v.Author.String(), Device: v.Device.String(),
			Size: v.Size, Path: p.name + "/" + v.Path, Was: was, Data: v.Content,
		})
	}
	return out, nil
}

func (p *place) full() string { return p.name + "/" + p.path }

// shorten cuts the feeds in versions as short as they can be told apart.
func shorten(ids []string) []string {
	n := 4
	for ; n < 16; n++ {
		full := map[string]string{}
		clash := false
		for _, id := range ids {
			feed, _, _ := strings.Cut(id, "-")
			k := feed[:min(n, len(feed))]
			clash = clash || full[k] != "" && full[k] != feed
			full[k] = feed
		}
		if !clash {
			break
		}
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		feed, num, _ := strings.Cut(id, "-")
		out[i] = feed[:min(n, len(feed))] + "-" + num
	}
	return out
}

// maxDiff is the largest file that is compared.
const maxDiff = 4 << 20

// Diff compares two versions of a file.
func (d *daemon) Diff(_ context.Context, req localapi.DiffRequest) (localapi.Diff, error) {
	p, err := d.place(req.Path)
	if err != nil {
		return localapi.Diff{}, err
	}
	diff, err := p.diff(req.From, req.To)
	return diff, explain(err, p.full())
}

func (p *place) diff(from, to string) (localapi.Diff, error) {
	log, err := p.log()
	if err != nil {
		return localapi.Diff{}, err
	}
	log = slices.DeleteFunc(log, func(v localapi.Version) bool { return !v.Data })
	if len(log) == 0 {
		return localapi.Diff{}, &localapi.Error{Code: localapi.Usage, Message: p.full() + " is not a file"}
	}
	at := func(version string) int {
		return slices.IndexFunc(log, func(v localapi.Version) bool { return v.ID == version || v.Full == version })
	}
	if from == "" { // the one before
		i := 0
		if to != "" {
			i = max(at(to), 0)
		}
		for from = "-"; i+1 < len(log); i++ {
			if v := log[i]; v.Change != string(space.ActRenamed) && v.Change != string(space.ActMoved) {
				from = log[i+1].Full
				break
			}
		}
	}
	a, err := p.text(from)
	if err != nil {
		return localapi.Diff{}, err
	}
	b, err := p.text(to)
	if err != nil {
		return localapi.Diff{}, err
	}
	if binary(a) || binary(b) {
		return localapi.Diff{Binary: a != b}, nil
	}
	label := func(version, none string) string {
		switch i := at(version); {
		case version == "":
			return p.full() + "\tnow"
		case version == "-":
			return "/dev/null"
		case i >= 0:
			v := log[i]
			return v.Path + "\t" + v.Time.Local().Format("2006-01-02 15:04:05") + " " + v.Name + " " + v.ID
		}
		return p.full() + "\t" + version
	}
	return localapi.Diff{Text: unified(a, b, label(from, "/dev/null"), label(to, ""))}, nil
}

func binary(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// text reads a file at a version: "" is now, "-" is before it was there.
func (p *place) text(version string) (string, error) {
	var snap *space.Snapshot
	var err error
	switch {
	case version == "-":
		return "", nil
	case version == "" && !p.shown:
		return "", nil // removed
	case version == "":
		snap, err = p.space.Open(p.nodes[0])
	default:
		snap, err = p.space.OpenVersion(p.nodes[0], version)
	}
	if err != nil {
		return "", err
	}
	defer snap.Close()
	if snap.Size() > maxDiff {
		return "", &localapi.Error{Code: localapi.Usage, Message: "the file is too large to compare", Next: "copy both versions out of .space/history and compare them there"}
	}
	data, err := io.ReadAll(io.NewSectionReader(snap, 0, snap.Size()))
	return string(data), err
}

// Restore makes a file what it was at a version.
func (d *daemon) Restore(_ context.Context, req localapi.RestoreRequest) (localapi.Restored, error) {
	p, err := d.place(req.Path)
	if err != nil {
		return localapi.Restored{}, err
	}
	id, err := p.restore(req.Version)
	if err != nil {
		return localapi.Restored{}, explain(err, p.full())
	}
	return d.restored(p.space, id), nil
}

// restore finds the node that has a version among those that had the path.
func (p *place) restore(version string) (space.NodeID, error) {
	var first error
	for _, id := range p.nodes {
		snap, err := p.space.OpenVersion(id, version)
		if err == nil {
			snap.Close()
			info, err := p.space.Restore(id, version)
			return info.ID, err
		}
		if first == nil || errors.Is(first, space.ErrNoVersion) {
			first = err
		}
	}
	return space.NodeID{}, first
}

func (d *daemon) restored(s *space.Space, id space.NodeID) localapi.Restored {
	return localapi.Restored{Path: filepath.Join(d.mount, s.Name(), s.Path(id))}
}

// Removed lists what can come back.
func (d *daemon) Removed(_ context.Context, path string) ([]localapi.Removed, error) {
	var places []*place
	if strings.Trim(path, "/") == "" {
		for _, s := range d.sorted() {
			places = append(places, &place{space: s.Space, name: s.Name(), nodes: []space.NodeID{space.Root}})
		}
	} else {
		p, err := d.place(path)
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	out := []localapi.Removed{}
	for _, p := range places {
		for _, id := range p.nodes {
			lost, err := p.space.Deleted(id)
			if err != nil {
				return nil, explain(err, p.full())
			}
			for _, l := range lost {
				out = append(out, localapi.Removed{
					Path: p.name + "/" + l.Path, Dir: l.Kind == space.Dir, Size: l.Size, Time: l.Removed.Time, Name: l.Removed.Name,
				})
			}
		}
	}
	return out, nil
}

// Undelete brings back what was removed.
func (d *daemon) Undelete(_ context.Context, req localapi.UndeleteRequest) ([]localapi.Restored, error) {
	p, err := d.place(req.Path)
	if err != nil {
		return nil, err
	}
	ids, err := p.undelete(req.All)
	if err != nil {
		return nil, explain(err, p.full())
	}
	out := []localapi.Restored{}
	for _, id := range ids {
		out = append(out, d.restored(p.space, id))
	}
	return out, nil
}

func (p *place) undelete(all bool) (back []space.NodeID, err error) {
	want := p.nodes
	if p.shown && !all {
		want = p.nodes[1:] // what had the name before
	}
	if len(want) == 0 {
		return nil, &localapi.Error{
			Code:    localapi.NotFound,
			Message: "nothing was removed under the name " + p.full(),
			Next:    "see what was removed: echofs undelete; of a folder that is there: echofs undelete --all FOLDER",
		}
	}
	top := want[0]
	if !all || !p.shown {
		info, err := p.space.Undelete(top)
		if err != nil {
			return nil, err
		}
		back = append(back, info.ID)
	}
	if !all {
		return back, nil
	}
	lost, err := p.space.Deleted(top)
	if err != nil {
		return nil, err
	}
	for _, l := range lost {
		info, err := p.space.Undelete(l.ID)
		if errors.Is(err, os.ErrExist) {
			continue // a folder that came back with what is in it
		}
		if err != nil {
			return back, err
		}
		back = append(back, info.ID)
	}
	return back, nil
}
