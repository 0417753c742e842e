package vfs

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/echofs/echofs/crdt/space"
)

// past is the part of everything in `.space/history` that is the same. The
// folders there are those of the space, with what was removed from them; a file
// is a folder of its versions.
type past struct {
	space *space.Space
	path  string
	began time.Time // of the daemon: folders have no better time
}

func (p *past) key() string { return p.path }
func (p *past) dir() bool   { return true }

func (p *past) stat() (int64, time.Time, error) { return 0, p.began, nil }

func (p *past) open() (*space.Snapshot, error) { return nil, syscall.EISDIR }

func (p *past) below(name string) past {
	return past{space: p.space, path: p.path + "/" + name, began: p.began}
}

// nodes are those that have or had a path. The kernel may know the path for
// longer than they stay the same.
type nodes struct {
	mu  sync.Mutex // guards ids, which are replaced as a whole
	ids []space.NodeID
}

func (n *nodes) get() []space.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ids
}

func (n *nodes) set(ids []space.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids = ids
}

// pastFolder is a folder as it is and was: of several nodes, if one of that
// name was removed before.
type pastFolder struct {
	past
	nodes nodes
}

func (d *pastFolder) key() string { return d.path + "/" }

func (d *pastFolder) renew(from virtual) { d.nodes.set(from.(*pastFolder).nodes.get()) }

// pastName is what had a name in a folder: what has it now first.
type pastName struct {
	kind  space.Kind
	nodes []space.NodeID
}

// names returns everything that is or was in the folder.
func (d *pastFolder) names(only string) (map[string]*pastName, error) {
	names := make(map[string]*pastName)
	add := func(id space.NodeID, name string, kind space.Kind) {
		if kind == space.Symlink || only != "" && name != only {
			return
		}
		is := names[name]
		if is == nil {
			names[name] = &pastName{kind: kind, nodes: []space.NodeID{id}}
		} else if is.kind == kind {
			is.nodes = append(is.nodes, id)
		}
	}
	ids := d.nodes.get()
	for _, node := range ids {
		infos, err := d.space.List(node)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, err
		}
		for _, i := range infos {
			add(i.ID, i.Name, i.Kind)
		}
	}
	for _, node := range ids {
		removed, err := d.space.RemovedIn(node)
		if err != nil {
			return nil, err
		}
		for _, g := range removed {
			add(g.ID, g.Name, g.Kind)
		}
	}
	return names, nil
}

func (d *pastFolder) make(name string, is *pastName) virtual {
	if is.kind == space.Dir {
		return &pastFolder{past: d.below(name), nodes: nodes{ids: is.nodes}}
	}
	return &pastFile{past: d.below(name), nodes: nodes{ids: is.nodes}}
}

func (d *pastFolder) list() ([]virtualEntry, error) {
	names, err := d.names("")
	if err != nil {
		return nil, err
	}
	out := make([]virtualEntry, 0, len(names))
	for name, is := range names {
		out = append(out, virtualEntry{name, d.make(name, is)})
	}
	slices.SortFunc(out, func(a, b virtualEntry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func (d *pastFolder) child(name string) (virtual, error) {
	names, err := d.names(name)
	if err != nil {
		return nil, err
	}
	is := names[name]
	if is == nil {
		return nil, syscall.ENOENT
	}
	return d.make(name, is), nil
}

// pastFile is the folder of a file's versions.
type pastFile struct {
	past
	nodes nodes

	mu      sync.Mutex // guards the fields below
	entries []virtualEntry
	at      uint64 // moment at which they were so
}

func (d *pastFile) renew(from virtual) { d.nodes.set(from.(*pastFile).nodes.get()) }

func (d *pastFile) stat() (int64, time.Time, error) {
	entries, err := d.list()
	if err != nil || len(entries) == 0 {
		return 0, d.began, err
	}
	return entries[len(entries)-1].what.stat()
}

func (d *pastFile) list() ([]virtualEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	moment := d.space.Moment()
	if d.entries != nil && d.at == moment {
		return d.entries, nil
	}
	entries := []virtualEntry{}
	taken := make(map[string]int)
	for _, node := range slices.Backward(d.nodes.get()) {
		history, err := d.space.History(node)
		if err != nil {
			return nil, err
		}
		for _, v := range history {
			if !v.Content || v.Fresh || v.Act != space.ActCreated && v.Act != space.ActEdited && v.Act != space.ActUndeleted {
				continue
			}
			name := versionName(v)
			if taken[name]++; taken[name] > 1 {
				name += "-" + strconv.Itoa(taken[name])
			}
			entries = append(entries, virtualEntry{name, &pastVersion{past: d.below(name), node: node, v: v}})
		}
	}
	slices.SortFunc(entries, func(a, b virtualEntry) int { return strings.Compare(a.name, b.name) })
	d.entries, d.at = entries, moment
	return entries, nil
}

func (d *pastFile) child(name string) (virtual, error) {
	entries, err := d.list()
	if err != nil {
		return nil, err
	}
	return pick(entries, name)
}

// versionName is the time and the author, in letters that no shell or remote
// copy takes for anything else.
func versionName(v space.Version) string {
	who := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, v.Name)
	if who == "" {
		who = v.Author.Short()
	}
	for len(who) > 100 {
		r := []rune(who)
		who = string(r[:len(r)*3/4])
	}
	return v.Time.UTC().Format("2006-01-02T15.04.05Z") + "-" + who
}

// pastVersion is one version of a file.
type pastVersion struct {
	past
	node space.NodeID
	v    space.Version
}

func (f *pastVersion) key() string   { return f.path + "/" + f.v.ID }
func (f *pastVersion) dir() bool     { return false }
func (f *pastVersion) renew(virtual) {}

func (f *pastVersion) stat() (int64, time.Time, error) {
	if f.v.Size >= 0 {
		return f.v.Size, f.v.Time, nil
	}
	snap, err := f.open()
	if err != nil {
		return 0, f.v.Time, err
	}
	defer snap.Close()
	return snap.Size(), f.v.Time, nil
}

func (f *pastVersion) list() ([]virtualEntry, error) { return nil, syscall.ENOTDIR }

func (f *pastVersion) child(string) (virtual, error) { return nil, syscall.ENOTDIR }

func (f *pastVersion) open() (*space.Snapshot, error) { return f.space.OpenVersion(f.node, f.v.ID) }
