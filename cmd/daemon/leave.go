package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

const (
	// leftName is where a space notes when it was left.
	leftName = "left"
	// tellFor is how long a space that was left goes on telling its members so,
	// out of sight; then its data is removed.
	tellFor = 7 * 24 * time.Hour
)

// Leave ends our own membership. The space is out of the mount at once; it goes
// on out of sight, because the members have to hear of it.
func (d *daemon) Leave(ctx context.Context, req localapi.LeaveRequest) (localapi.Space, error) {
	d.making.Lock()
	defer d.making.Unlock()
	s, err := d.find(req.Space)
	if err != nil {
		return localapi.Space{}, err
	}
	about := d.describe(s)
	if !req.Force && onlyAdmin(d.membersOf(s)) {
		return about, &localapi.Error{
			Code:    localapi.Refused,
			Message: "you are the only admin of " + s.Name() + ": without you nobody can invite or remove anybody",
			Next:    "make somebody admin first: echofs space role " + s.Name() + " MEMBER admin; or leave all the same with --force",
		}
	}
	if err := d.vfs.Publish(s.Name()); err != nil {
		d.log.Warn("the newest files may not be shared", "space", s.Name(), "err", err)
	}
	if about.Role != "none" { // else somebody removed us
		if err := s.Leave(ctx); err != nil {
			return about, err
		}
	}
	if err := d.putAwayHeld(s); err != nil {
		return about, err
	}
	d.touch()
	return about, nil
}

// putAway takes a space out of the mount that was left.
func (d *daemon) putAway(s *openSpace) error {
	d.making.Lock()
	defer d.making.Unlock()
	return d.putAwayHeld(s)
}

// putAwayHeld is putAway for who holds d.making.
func (d *daemon) putAwayHeld(s *openSpace) error {
	if err := s.PutLocal(leftName, strconv.AppendInt(nil, time.Now().Unix(), 10)); err != nil {
		return fmt.Errorf("leaving %s: %w", s.Name(), err)
	}
	d.vfs.Remove(s.Name())
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.spaces, s.ID())
	delete(d.settings.Names, s.ID().String())
	for topic, g := range s.guests {
		go g.leave() // it waits for links, which must not hold the lock up
		delete(s.guests, topic)
	}
	for topic, leave := range s.mail {
		go leave()
		delete(s.mail, topic)
	}
	d.hideLocked(s)
	return d.settings.save(d.Home)
}

// leftAt tells when a space was left; zero: it was not.
func leftAt(s *space.Space) (time.Time, error) {
	v, err := s.Local(leftName)
	if err != nil || v == nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(string(v), 10, 64)
	return time.Unix(seconds, 0), err
}

// attachLeft runs a space that was left, without showing it.
func (d *daemon) attachLeft(s *space.Space) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hideLocked(&openSpace{Space: s, stop: start(d.ctx, "space "+s.ID().Short(), d.fail, s.Run), guests: map[[32]byte]guest{}})
}

func (d *daemon) hideLocked(s *openSpace) {
	if d.left == nil {
		d.left = map[identity.ID]*openSpace{}
	}
	d.left[s.ID()] = s
}

// dropLeft forgets spaces that were left long ago.
func (d *daemon) dropLeft(now time.Time) {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	var old []identity.ID
	for id, s := range d.left {
		if at, err := leftAt(s.Space); err == nil && now.Sub(at) > tellFor {
			old = append(old, id)
		}
	}
	d.mu.Unlock()
	for _, id := range old {
		if err := d.forget(id); err != nil {
			d.log.Warn("a space that was left cannot be removed", "space", id.Short(), "err", err)
		}
	}
}

// forget closes a space that was left and removes its data. The caller holds
// d.making.
func (d *daemon) forget(id identity.ID) error {
	d.mu.Lock()
	s := d.left[id]
	delete(d.left, id)
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	if s.leave != nil {
		s.leave()
	}
	s.stop()
	return errors.Join(s.Close(), os.RemoveAll(filepath.Join(d.spacesDir(), id.String())))
}
