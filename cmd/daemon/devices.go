package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// cutAfter is how long a device waits before it cuts off in a space what another
// device has revoked: that one does it itself, and knows best what still counts.
const cutAfter = time.Minute

// tendDevices keeps what a space and this device know of the person's devices the
// same. It cuts none off before synced is closed: what the others have is not to
// be lost.
func (d *daemon) tendDevices(ctx context.Context, s *space.Space, synced <-chan struct{}) error {
	changes, cancel := s.Notify()
	defer cancel()
	cut := time.NewTimer(cutAfter)
	cut.Stop()
	waiting := false
	var heads []identity.ID
	for {
		if now := s.CredentialHeads(); !slices.Equal(now, heads) {
			heads = now
			d.learnFrom(s)
			d.prove(s)
		}
		if synced == nil && !waiting && d.mayCut(s) {
			waiting = true
			after := cutAfter
			if len(d.device.Halo().Devices()) == 1 {
				after = 0 // nobody else does it
			}
			cut.Reset(after)
		}
		select {
		case <-changes:
		case <-synced:
			synced = nil
		case <-cut.C:
			waiting = false
			if d.mayCut(s) {
				if err := s.CutRevoked(); err != nil {
					d.log.Warn("a revoked device of yours is not cut off", "space", s.Name(), "err", err)
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayCut reports whether this device can cut another one of the person off.
func (d *daemon) mayCut(s *space.Space) bool {
	return s.Uncut() && s.Standing() == space.Present
}

// learnFrom takes in what a space knows of the person's devices.
func (d *daemon) learnFrom(s *space.Space) {
	news := s.Halo(d.device.Identity())
	if d.device.Halo().Covers(news) {
		return
	}
	changed, err := d.device.Learn(news.Chain())
	if err != nil {
		d.log.Warn("what other devices of yours have changed is not known here", "err", err)
		return
	}
	if changed {
		d.spread()
		d.noteRevoked()
	}
}

// noteRevoked tells the person when this device is theirs no more.
func (d *daemon) noteRevoked() {
	if !d.device.Halo().Live(d.device.Key()) {
		d.problems.add("", "this device was revoked by another of your devices: it keeps the files it has, and gets and sends nothing any more",
			"to use it again, start with a new home: echofs --home DIR halo device join INVITATION")
	}
}

// spread makes known in all spaces what this device knows of the person's devices.
func (d *daemon) spread() {
	for _, s := range d.withOwn() {
		d.prove(s.Space)
	}
}

// prove is spread in one space.
func (d *daemon) prove(s *space.Space) {
	if s.Standing() == space.Expelled || !d.device.Halo().Live(d.device.Key()) {
		return
	}
	if err := s.Prove(); err != nil && !errors.Is(err, space.ErrNotAllowed) && !errors.Is(err, space.ErrClosed) {
		d.log.Warn("a space does not know of all your devices", "space", s.Name(), "err", err)
	}
}

// withOwn returns all spaces, the HALO space too.
func (d *daemon) withOwn() []*openSpace {
	list := d.sorted()
	if own := d.own(); own != nil {
		list = append(list, own)
	}
	return list
}

// RevokeDevice ends a device of the person, in all spaces and for ever.
func (d *daemon) RevokeDevice(ctx context.Context, device string) (localapi.Halo, error) {
	key, err := findDevice(d.device.Halo(), device)
	if err != nil {
		return localapi.Halo{}, err
	}
	if key == d.device.Key() {
		return localapi.Halo{}, &localapi.Error{Code: localapi.Usage, Message: "that is this device", Next: "revoke it from another device of yours; to stop using it here, remove its home"}
	}
	if err := d.device.RevokeDevice(key); err != nil {
		return localapi.Halo{}, revokedError(err)
	}
	var errs []error
	for _, s := range d.withOwn() {
		if s.Standing() != space.Present {
			continue
		}
		var err error
		if len(s.Timeframe()) > 0 { // else what is cut off is not known yet; see tendDevices
			err = s.CutRevoked()
		}
		if err == nil && s.Role() == credential.Admin && s.Stale() {
			err = s.Rotate(ctx) // else an admin's device does
		}
		if err == nil {
			err = s.Prove() // where the device had never shown up
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return localapi.Halo{}, &localapi.Error{
			Code:    localapi.Failed,
			Message: "the device is revoked, and not all spaces know yet: " + err.Error(),
			Next:    "this device goes on trying; see echofs status",
			Err:     err,
		}
	}
	return d.describePerson()
}

// revokedError explains why a device can state nothing about its identity.
func revokedError(err error) error {
	switch {
	case errors.Is(err, identity.ErrRevoked):
		return &localapi.Error{Code: localapi.Refused, Message: "this device was revoked and can change nothing any more", Err: err}
	case errors.Is(err, identity.ErrChainFull):
		return &localapi.Error{Code: localapi.Failed, Message: "you have had more devices than one identity can name", Next: "recover it with your 24 words, which begins anew", Err: err}
	}
	return err
}
