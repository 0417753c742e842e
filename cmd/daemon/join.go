package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
)

// Join accepts an invitation, and returns when the space is mounted and the
// files of who let us in are in it.
func (d *daemon) Join(ctx context.Context, req localapi.JoinRequest, progress func(localapi.JoinStep)) (localapi.Space, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	if req.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	inv, err := d.readInvitation(req)
	if err != nil {
		return localapi.Space{}, err
	}
	if !d.mesh.Online() {
		return localapi.Space{}, &localapi.Error{Code: localapi.Failed, Message: "this device is offline", Next: "connect it first: echofs online"}
	}
	s, err := d.enter(ctx, inv, req, progress)
	if err != nil {
		return localapi.Space{}, err
	}
	progress(localapi.JoinStep{Text: "fetching the files"})
	if err := wait(ctx, s.synced); err != nil {
		return localapi.Space{}, &localapi.Error{
			Code:    localapi.Unreachable,
			Message: "you are in the space, and not all of its files are here yet",
			Next:    "they go on arriving in " + filepath.Join(d.mount, s.Name()) + " while a member is online",
			Err:     err,
		}
	}
	return d.describe(s), nil
}

// readInvitation finds the invitation that is meant and checks what can be
// checked without anybody else.
func (d *daemon) readInvitation(req localapi.JoinRequest) (invitation.Invitation, error) {
	inv, err := invitation.Parse(req.Invitation)
	if errors.Is(err, invitation.ErrNotInvitation) {
		if l, ok, pickErr := d.pickLetter(req.Invitation); ok || pickErr != nil {
			inv, err = l.inv, pickErr
		} else if !strings.Contains(req.Invitation, "://") {
			return inv, &localapi.Error{
				Code:    localapi.NotFound,
				Message: fmt.Sprintf("nobody has sent you an invitation to %q, and an invitation starts with echofs://join#", req.Invitation),
				Next:    "see those that were sent to you: echofs space invitations",
				Err:     err,
			}
		}
	}
	if err != nil {
		return inv, invitationError(err)
	}
	switch inv.Kind {
	case invitation.Device:
		return inv, &localapi.Error{Code: localapi.Usage, Message: "this invitation makes a device one of " + inv.Name + "'s own; it is not one to a space", Next: "on a new device: echofs halo device join INVITATION"}
	case invitation.PIN:
		if req.PIN == "" {
			return inv, &localapi.Error{Code: localapi.NeedsPIN, Message: "this invitation takes a PIN, which the inviter tells you another way", Next: "run it in a terminal, which asks, or give --pin-file FILE, or - for stdin"}
		}
		if _, err := invitation.ParsePIN(req.PIN); err != nil {
			return inv, &localapi.Error{Code: localapi.Usage, Message: "a PIN has six digits", Next: "no try was used up; type it again", Err: err}
		}
	}
	return inv, nil
}

// enter makes this device a member of a space and opens that.
func (d *daemon) enter(ctx context.Context, inv invitation.Invitation, req localapi.JoinRequest, progress func(localapi.JoinStep)) (*openSpace, error) {
	leave, err := d.alone(ctx, inv.Space)
	if err != nil {
		return nil, err
	}
	defer leave()
	if s, err := d.find(inv.Space.String()); err == nil {
		if err := d.mayEnter(s, req.Name); err != nil {
			return nil, err
		}
	} else if req.Name != "" {
		if err := d.checkName(req.Name); err != nil {
			return nil, err
		}
	}
	pin, _ := invitation.ParsePIN(req.PIN) // readInvitation has looked at it
	res, err := ask(ctx, d.mesh, d.device, inv, admission.Options{PIN: pin, Signal: d.urlsForOthers()}, progress)
	if err != nil {
		return nil, err
	}
	if err := d.meet(append(inv.Signal, res.Signal...)); err != nil {
		return nil, err
	}
	d.making.Lock()
	defer d.making.Unlock()
	if s, err := d.find(inv.Space.String()); err == nil {
		if err := d.enterAgain(ctx, s, res); err != nil {
			return nil, err
		}
		d.dropLettersTo(inv.Space)
		return s, nil
	}
	name := d.freeName(req.Name, res.Name, res.Space)
	s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) {
		return space.Join(cfg, name, res.Credentials, res.Keys...)
	})
	if err == nil {
		d.dropLettersTo(inv.Space)
	}
	return s, err
}

// ask has somebody let us in.
func ask(ctx context.Context, m admission.Mesh, device *identity.Device, inv invitation.Invitation, opt admission.Options, progress func(localapi.JoinStep)) (admission.Result, error) {
	steps := make(chan localapi.JoinStep, 8)
	type outcome struct {
		res admission.Result
		err error
	}
	done := make(chan outcome, 1)
	if inv.Kind != invitation.Link {
		progress(localapi.JoinStep{Text: "looking for the inviter"})
	} else {
		progress(localapi.JoinStep{Text: "looking for a member"})
	}
	opt.Code = func(code string) {
		select {
		case steps <- localapi.JoinStep{Text: "waiting until the inviter says yes", Code: code}:
		default: // nobody reads so many
		}
	}
	go func() { // ends with ctx, and its outcome is received below
		res, err := admission.Join(ctx, m, device, inv, opt)
		done <- outcome{res, err}
	}()
	for {
		select {
		case step := <-steps:
			progress(step)
		case o := <-done:
			switch {
			case errors.Is(o.err, admission.ErrUnreachable) && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
				return o.res, ctx.Err()
			case errors.Is(o.err, admission.ErrUnreachable):
				return o.res, unreachable(inv, o.err)
			case o.err != nil:
				return o.res, invitationError(o.err)
			}
			return o.res, nil
		}
	}
}

// alone waits until nobody else here is entering the space: of two guests in one
// daemon the mesh would serve one only.
func (d *daemon) alone(ctx context.Context, id identity.ID) (leave func(), err error) {
	for {
		d.mu.Lock()
		other := d.entering[id]
		if other == nil {
			left := make(chan struct{})
			d.entering[id] = left
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				delete(d.entering, id)
				d.mu.Unlock()
				close(left)
			}, nil
		}
		d.mu.Unlock()
		if err := wait(ctx, other); err != nil {
			return nil, fmt.Errorf("waiting for another join of the space: %w", err)
		}
	}
}

// freeName finds what a joined space is called here.
func (d *daemon) freeName(asked, theirs string, id identity.ID) string {
	for _, name := range []string{asked, theirs, theirs + " (" + id.Short() + ")"} {
		if name != "" && d.checkName(name) == nil {
			return name
		}
	}
	return "space " + id.Short()
}

// wait returns when done is closed.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
