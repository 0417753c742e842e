package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/replicate"
)

const (
	// newPrefix marks the folder of a space that is being made. One that is left
	// over was never acknowledged to anybody.
	newPrefix = "new-"
	// damagedPrefix marks the folder of a damaged space that was joined anew.
	damagedPrefix = "damaged-"
)

// An openSpace is a space with what runs for it. Its fields are guarded by the
// daemon's mu, the Space guards itself.
type openSpace struct {
	*space.Space
	stop   func()              // ends its committer
	leave  func()              // ends its replication; nil before joinTopics
	untend func()              // ends what goes with that; nil before joinTopics
	synced <-chan struct{}     // closed when a peer's files of the time it connected are all here
	guests map[[32]byte]guest  // invitations, by topic
	mail   map[[32]byte]func() // boxes of letters that are served, by topic; leaves them
	pins   *admission.Ledger   // nil: it cannot be read

	replica *replicate.Replicator // nil before joinTopics
	told    replicate.Presence    // what peers are told of this device
}

// A brokenSpace is one that could not be opened. The daemon goes on without it.
type brokenSpace struct {
	id   string
	name string // as remembered
	err  error
}

func (d *daemon) spacesDir() string { return filepath.Join(d.Home, "spaces") }

func (d *daemon) spaceConfig(dir string) space.Config {
	return space.Config{Dir: filepath.Join(d.spacesDir(), dir), Device: d.device, Log: d.part("space")}
}

// openAll opens the spaces of the home. A damaged one is reported, and the
// others work.
func (d *daemon) openAll() error {
	if err := os.MkdirAll(d.spacesDir(), 0o700); err != nil {
		return fmt.Errorf("making the folder of the spaces: %w", err)
	}
	entries, err := os.ReadDir(d.spacesDir())
	if err != nil {
		return fmt.Errorf("reading the folder of the spaces: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			if err := os.RemoveAll(filepath.Join(d.spacesDir(), e.Name())); err != nil {
				return fmt.Errorf("removing a space that was never finished: %w", err)
			}
			continue
		}
		if _, err := identity.ParseID(e.Name()); err != nil {
			continue
		}
		s, err := space.Open(d.spaceConfig(e.Name()))
		if err == nil {
			err = d.attach(s)
		}
		if err != nil {
			d.setBroken(e.Name(), err)
		}
	}
	return nil
}

// howToMend is the next step after a space could not be opened.
const howToMend = "ask a member for an invitation and join it again (what is damaged is kept), or restore its folder from a backup and restart"

// setBroken notes that a space could not be opened.
func (d *daemon) setBroken(id string, err error) {
	b := brokenSpace{id: id, name: d.settings.Names[id], err: err}
	if b.name == "" {
		b.name = "space " + id[:8]
	}
	d.broken = append(d.broken, b)
	d.problems.add(b.name, fmt.Sprintf("the space cannot be opened, the others work: %v", err), howToMend)
	d.log.Info("a space cannot be opened, the others work", "space", b.name, "err", err)
}

// attach makes an open space part of the daemon: committed and mounted.
func (d *daemon) attach(s *space.Space) error {
	if at, err := leftAt(s); err != nil || !at.IsZero() {
		if err == nil {
			d.attachLeft(s)
		}
		return err
	}
	stop := start(d.ctx, "space "+s.ID().Short(), d.fail, s.Run)
	if err := d.vfs.Add(s.Name(), s); err != nil {
		stop()
		return errors.Join(fmt.Errorf("showing space %s in the mount: %w", s.Name(), err), s.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spaces[s.ID()] = &openSpace{
		Space: s, stop: stop, pins: d.openPINs(s), guests: map[[32]byte]guest{}, mail: map[[32]byte]func(){},
	}
	if d.settings.Names == nil {
		d.settings.Names = map[string]string{}
	}
	if id := s.ID().String(); d.settings.Names[id] != s.Name() {
		d.settings.Names[id] = s.Name()
		if err := d.settings.save(d.Home); err != nil {
			d.log.Warn("the name of a space is not remembered", "space", s.Name(), "err", err)
		}
	}
	return nil
}

// closeSpaces stops and closes all spaces. Nothing writes to them any more. One
// that a slow request is still making is waited for; after it there are none.
func (d *daemon) closeSpaces() (err error) {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	list := slices.Concat(slices.Collect(maps.Values(d.spaces)), slices.Collect(maps.Values(d.left)))
	if d.personal != nil {
		list = append(list, d.personal)
	}
	d.spaces, d.left, d.personal = map[identity.ID]*openSpace{}, nil, nil
	d.mu.Unlock()
	for _, s := range list {
		s.stop()
		if e := s.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("closing space %s: %w", s.Name(), e))
		}
	}
	return err
}

// joinTopics starts the replication of all spaces and honours the invitations
// that still hold.
func (d *daemon) joinTopics() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.spaces {
		d.replicateLocked(s)
	}
	for _, s := range d.left {
		d.replicateLocked(s)
	}
	if d.personal != nil {
		d.replicateLocked(d.personal)
	}
	d.tendLocked(time.Now())
}

// replicateLocked connects a space with its other devices.
func (d *daemon) replicateLocked(s *openSpace) {
	r := replicate.New(s.Space, d.part("replicate"))
	s.synced, s.replica = r.Synced(), r
	if d.spaces[s.ID()] == s && !d.here.IsZero() { // else tellPeers tells it in a while
		s.told = replicate.Presence{Since: d.here}
		r.Tell(s.told)
	}
	meet, leave := d.mesh.Gather(s.ID(), r)
	s.leave = leave
	stopTending := start(d.ctx, "meetings of space "+s.ID().Short(), d.fail, func(ctx context.Context) error {
		return tendSpace(ctx, s.Space, meeting{meet, func() { d.mesh.Retry(s.ID()) }, time.Now, d.part("space"), rotateWithin})
	})
	stop := s.stop
	stopProving := start(d.ctx, "devices in space "+s.ID().Short(), d.fail, func(ctx context.Context) error {
		return d.tendDevices(ctx, s.Space, r.Synced())
	})
	s.untend = func() {
		stopTending()
		stopProving()
	}
	s.stop = func() {
		s.untend()
		stop()
	}
}

// find returns the space of that name, or the only one whose ID begins so.
func (d *daemon) find(name string) (*openSpace, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var byID []*openSpace
	for id, s := range d.spaces {
		if s.Name() == name {
			return s, nil
		}
		if len(name) >= 6 && strings.HasPrefix(id.String(), name) {
			byID = append(byID, s)
		}
	}
	if len(byID) == 1 {
		return byID[0], nil
	}
	for _, b := range d.broken {
		if b.name == name || len(name) >= 6 && strings.HasPrefix(b.id, name) {
			return nil, &localapi.Error{Code: localapi.Failed, Message: fmt.Sprintf("the space %s cannot be opened: %v", b.name, b.err), Next: howToMend, Err: b.err}
		}
	}
	return nil, &localapi.Error{Code: localapi.NotFound, Message: "there is no space " + name, Next: "see which there are: echofs space list"}
}

// sorted returns the spaces by name.
func (d *daemon) sorted() []*openSpace {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*openSpace, 0, len(d.spaces))
	for _, s := range d.spaces {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *openSpace) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

// checkName tells whether a new space can have that name here.
func (d *daemon) checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 100 || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || identity.CheckName(name) != nil {
		return &localapi.Error{
			Code:    localapi.Usage,
			Message: fmt.Sprintf("a space cannot be called %q", name),
			Next:    "use letters, digits, spaces, - and _, at most 100 of them, and no dot or - at the beginning",
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.spaces {
		if s.Name() == name {
			return &localapi.Error{Code: localapi.Busy, Message: "there is a space " + name + " already", Next: "choose another name"}
		}
	}
	return nil
}

// newSpace makes a space with make, in a folder that gets its final name only
// when the space is complete, and takes it in. The caller holds d.making.
func (d *daemon) newSpace(make func(space.Config) (*space.Space, error)) (*openSpace, error) {
	if d.ctx.Err() != nil {
		return nil, context.Cause(d.ctx)
	}
	tmp, err := os.MkdirTemp(d.spacesDir(), newPrefix)
	if err != nil {
		return nil, fmt.Errorf("making the folder of the space: %w", err)
	}
	defer os.RemoveAll(tmp)
	s, err := make(d.spaceConfig(filepath.Base(tmp)))
	if err != nil {
		return nil, err
	}
	id := s.ID()
	if err := s.Close(); err != nil {
		return nil, fmt.Errorf("keeping the new space: %w", err)
	}
	if err := d.forget(id); err != nil { // left, and joined again
		return nil, fmt.Errorf("removing the copy that was left: %w", err)
	}
	if err := d.setAside(id.String()); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, filepath.Join(d.spacesDir(), id.String())); err != nil {
		return nil, fmt.Errorf("keeping the new space: %w", err)
	}
	if s, err = space.Open(d.spaceConfig(id.String())); err != nil {
		return nil, err
	}
	if err := d.attach(s); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	open := d.spaces[id]
	d.replicateLocked(open)
	d.touch()
	return open, nil
}

// setAside makes room for a space that is joined again because its data here is
// damaged. Nothing is deleted: it may hold what nobody else has.
func (d *daemon) setAside(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.broken, func(b brokenSpace) bool { return b.id == id })
	if i < 0 {
		return nil
	}
	aside := filepath.Join(d.spacesDir(), fmt.Sprintf("%s%s-%d", damagedPrefix, id, time.Now().Unix()))
	if err := os.Rename(filepath.Join(d.spacesDir(), id), aside); err != nil {
		return fmt.Errorf("setting the damaged space aside: %w", err)
	}
	d.broken = slices.Delete(d.broken, i, i+1)
	return nil
}
