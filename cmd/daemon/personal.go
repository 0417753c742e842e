package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/net/mesh"
)

// The HALO space of a person: their devices are its only members, and nobody
// sees it. It has a file for each space they are in, by which all their devices
// get into the same spaces.

const (
	personalName = "halo"
	// recordsDir is the folder of the records.
	recordsDir = "spaces"
	// seenName is, with a space's ID, where a device notes what it has done about
	// the record of that space.
	seenName = "seen/"
	// lookAgain is how often it is looked for what nobody told.
	lookAgain = 5 * time.Second
	// maxFollowed is how many spaces may be here before no more are joined only
	// because another device of the person, which may be stolen, is in them.
	maxFollowed = 1024
)

// What a device has done about a record.
const (
	seenIn   = "in"
	seenLeft = "left"
)

func (d *daemon) personalDir() string { return filepath.Join(d.Home, "personal") }

// openPersonal opens the HALO space, or makes it. Without it everything else
// works.
func (d *daemon) openPersonal() {
	s, err := space.Open(space.Config{Dir: d.personalDir(), Device: d.device, Log: d.part("space")})
	if err == nil && founderOf(s) != d.device.Identity() {
		err = errors.Join(s.Close(), os.RemoveAll(d.personalDir()), os.ErrNotExist) // of a start that never was
	}
	if errors.Is(err, os.ErrNotExist) && len(d.device.Halo().Devices()) > 1 {
		err = errors.New("it is gone, and your other devices have another copy")
	} else if errors.Is(err, os.ErrNotExist) {
		err = makePersonal(d.personalDir(), func(cfg space.Config) (*space.Space, error) {
			cfg.Device = d.device
			return space.Create(cfg, personalName)
		})
		if err == nil {
			s, err = space.Open(space.Config{Dir: d.personalDir(), Device: d.device, Log: d.part("space")})
		}
	}
	if err != nil {
		d.problems.add("", fmt.Sprintf("the list of your spaces, which your devices share, cannot be used: %v", err), "restore "+d.personalDir()+" from a backup and restart; until then spaces do not come and go on all your devices by themselves")
		return
	}
	open := &openSpace{
		Space: s, stop: start(d.ctx, "your own space", d.fail, s.Run), pins: d.openPINs(s),
		guests: map[[32]byte]guest{}, mail: map[[32]byte]func(){},
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.personal = open
}

// founderOf returns who founded a space; zero if it cannot be read.
func founderOf(s *space.Space) identity.ID {
	for _, raw := range s.Credentials() {
		if c, err := credential.Decode(raw); err == nil && c.Kind == credential.Genesis {
			return c.Identity
		}
	}
	return identity.ID{}
}

// makePersonal makes the folder of a HALO space, complete or not at all.
func makePersonal(dir string, make func(space.Config) (*space.Space, error)) error {
	tmp := dir + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	s, err := make(space.Config{Dir: tmp})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	// It has to be there before the keys are, by which the words of before end.
	return errors.Join(syncDir(tmp), os.Rename(tmp, dir), syncDir(filepath.Dir(dir)))
}

// syncDir makes the names in a folder survive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// own returns the HALO space; nil if there is none.
func (d *daemon) own() *openSpace {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.personal
}

// touch has the records looked at.
func (d *daemon) touch() {
	select {
	case d.touched <- struct{}{}:
	default: // it will be
	}
}

// keepPersonal keeps the records and the spaces of this device the same until ctx
// ends.
func (d *daemon) keepPersonal(ctx context.Context) error {
	own := d.own()
	if own == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	changes, cancel := own.Notify()
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	k := &records{space: own.Space, seen: map[identity.ID]string{}}
	for {
		if own.Standing() == space.Present { // else this device was revoked
			if err := d.reconcile(ctx, k); err != nil && ctx.Err() == nil {
				d.log.Warn("your devices may not have the same spaces", "err", err)
			}
			if err := d.keepBoxes(k, time.Now()); err != nil && ctx.Err() == nil {
				d.log.Warn("the recovery words may not bring all your spaces back", "err", err)
			}
		}
		select {
		case <-changes:
			k.stale = true
		case <-d.touched:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reconcile does what the records say, and writes down what was done here.
func (d *daemon) reconcile(ctx context.Context, k *records) error {
	if err := k.read(); err != nil {
		return err
	}
	here, left, broken := d.placeOfSpaces()
	var errs []error
	count := len(here)
	for _, id := range slices.SortedFunc(maps.Keys(k.all), identity.ID.Compare) {
		rec := k.all[id]
		seen, err := k.lastSeen(id)
		if err != nil {
			return err
		}
		switch s := here[id]; {
		case broken[id]:
			continue
		case s != nil && rec.Left && seen == seenLeft: // joined again, here
			rec.Left = false
			err = errors.Join(k.write(id, rec), k.see(id, seenIn))
		case s != nil && rec.Left: // left on another device
			if err = d.putAway(s); err == nil {
				err = k.see(id, seenLeft)
			}
		case s != nil:
			if next, news := d.recordOf(s, d.device.Identity(), rec); news {
				err = k.write(id, next)
			}
			err = errors.Join(err, k.see(id, seenIn))
		case rec.Left:
			err = k.see(id, seenLeft)
		case left[id] && seen == seenIn: // left here
			rec.Left = true
			err = errors.Join(k.write(id, rec), k.see(id, seenLeft))
		case count >= maxFollowed:
			err = fmt.Errorf("%s, in which you are on another device: this device is in %d spaces, and joins no more by itself", rec.Name, count)
		default:
			count++
			if err = d.follow(ctx, id, rec); err == nil {
				err = k.see(id, seenIn)
			}
		}
		errs = append(errs, err)
	}
	for id, s := range here {
		if _, known := k.all[id]; !known {
			rec, _ := d.recordOf(s, d.device.Identity(), record{})
			errs = append(errs, k.write(id, rec), k.see(id, seenIn))
		}
	}
	return errors.Join(errs...)
}

// placeOfSpaces tells which spaces are here, which were left here, and which
// cannot be opened.
func (d *daemon) placeOfSpaces() (here map[identity.ID]*openSpace, left, broken map[identity.ID]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	here, left, broken = maps.Clone(d.spaces), map[identity.ID]bool{}, map[identity.ID]bool{}
	for id := range d.left {
		left[id] = true
	}
	for _, b := range d.broken {
		if id, err := identity.ParseID(b.id); err == nil {
			broken[id] = true
		}
	}
	return here, left, broken
}

// recordOf returns what to write about a space that who is in, and whether that is
// more than what is written.
func (d *daemon) recordOf(s *openSpace, who identity.ID, was record) (rec record, news bool) {
	rec = was
	if rec.Name == "" {
		rec.Name, news = s.Name(), true
	}
	ring := feed.Ring(rec.Keys...)
	for _, k := range s.Keyring().Keys() {
		if more, ok := ring.With(k); ok {
			ring, news = more, true
		}
	}
	if !news {
		return was, false
	}
	rec.Version, rec.Keys, rec.Signal = recordVersion, ring.Keys(), d.urlsForGuests()
	rec.Credentials = memberBy(s.Credentials(), who)
	return rec, true
}

// follow joins a space that another device of the person is in.
func (d *daemon) follow(ctx context.Context, id identity.ID, rec record) error {
	leave, err := d.alone(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	if err := d.meet(rec.Signal); err != nil {
		return err
	}
	d.making.Lock()
	defer d.making.Unlock()
	if here, _, _ := d.placeOfSpaces(); here[id] != nil {
		return nil
	}
	name := d.freeName("", rec.Name, id)
	_, err = d.newSpace(func(cfg space.Config) (*space.Space, error) {
		return joinAsDevice(cfg, name, rec.Credentials, rec.Keys)
	})
	if err != nil {
		return fmt.Errorf("joining %s, in which you are on another device: %w", rec.Name, err)
	}
	d.log.Info("a space in which you are on another device", "space", name)
	return nil
}

// joinAsDevice makes this device's copy of a space that another device of the
// person is in. If the credentials make the person a member, this device may
// write at once.
func joinAsDevice(cfg space.Config, name string, creds [][]byte, keys []feed.Key) (*space.Space, error) {
	s, err := space.Join(cfg, name, creds, keys...)
	if err != nil {
		return nil, err
	}
	if err := s.Prove(); err != nil && !errors.Is(err, space.ErrNotAllowed) {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ownPeers returns the devices of the person that are connected.
func (d *daemon) ownPeers() map[identity.PublicKey]bool {
	peers := map[identity.PublicKey]bool{}
	if d.mesh == nil {
		return peers
	}
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up && l.Identity == d.device.Identity() {
			peers[l.Device] = true
		}
	}
	return peers
}
