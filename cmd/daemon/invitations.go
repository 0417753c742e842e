package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/admission"
)

// A guest is an invitation that is being honoured.
type guest struct {
	until time.Time
	leave func()
}

// Share makes an invitation and waits for its guest from now on.
func (d *daemon) Share(_ context.Context, name string, req localapi.ShareRequest) (localapi.Invitation, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Invitation{}, err
	}
	role, err := credential.ParseRole(req.Role)
	if err != nil || role == credential.None {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%q is not a role", req.Role), Next: "use reader, editor or admin", Err: err}
	}
	ttl := req.TTL
	if ttl == 0 {
		ttl = 24 * time.Hour
	}
	if ttl < 0 || ttl > 30*24*time.Hour {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Usage, Message: "an invitation lasts from a second to 30 days"}
	}
	in, err := s.Invite(role, ttl)
	if errors.Is(err, space.ErrNotAdmin) || errors.Is(err, membership.ErrNotAllowed) || errors.Is(err, space.ErrReadOnly) {
		return localapi.Invitation{}, &localapi.Error{
			Code:    localapi.Refused,
			Message: fmt.Sprintf("only an admin may invite to %s, and you are %s", s.Name(), s.Role()),
			Next:    "ask one of the admins: echofs space members " + s.Name(),
			Err:     err,
		}
	}
	if err != nil {
		return localapi.Invitation{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hostLocked(s, in)
	inv := admission.Invitation(s.Space, d.device.Key(), in, d.urlsForOthersLocked())
	return localapi.Invitation{URL: inv.String(), Space: s.Name(), Role: role.String(), Expires: in.Expires}, nil
}

// Join accepts an invitation, and returns when the space is mounted and the
// files of the inviter are in it.
func (d *daemon) Join(ctx context.Context, req localapi.JoinRequest, progress func(string)) (localapi.Space, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	if req.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}

	inv, err := invitation.Parse(req.Invitation)
	if err == nil {
		err = inv.Check(time.Now())
	}
	if err != nil {
		return localapi.Space{}, invitationError(err)
	}
	if !d.mesh.Online() {
		return localapi.Space{}, &localapi.Error{Code: localapi.Failed, Message: "this device is offline", Next: "connect it first: echofs online"}
	}
	s, err := d.enter(ctx, inv, req.Name, progress)
	if err != nil {
		return localapi.Space{}, err
	}
	progress("fetching the files")
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

// enter makes this device a member of a space and opens that. name is what the
// space is to be called here, if that was asked for.
func (d *daemon) enter(ctx context.Context, inv invitation.Invitation, name string, progress func(string)) (*openSpace, error) {
	leave, err := d.alone(ctx, inv.Space)
	if err != nil {
		return nil, err
	}
	defer leave()
	if s, err := d.find(inv.Space.String()); err == nil {
		return nil, &localapi.Error{Code: localapi.Busy, Message: "you are in this space already, as " + s.Name(), Next: "it is at " + filepath.Join(d.mount, s.Name())}
	}
	if name != "" {
		if err := d.checkName(name); err != nil {
			return nil, err
		}
	}
	progress("looking for the inviter")
	res, err := admission.Join(ctx, d.mesh, d.device, inv, d.urlsForOthers())
	if err != nil {
		return nil, invitationError(err)
	}
	if err := d.meet(append(inv.Signal, res.Signal...)); err != nil {
		return nil, err
	}
	d.making.Lock()
	defer d.making.Unlock()
	name = d.freeName(name, res.Name, res.Space)
	return d.newSpace(func(cfg space.Config) (*space.Space, error) {
		return space.Join(cfg, name, res.Credentials, res.Key)
	})
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

// invitationError gives the failures of an invitation their exit codes.
func invitationError(err error) error {
	e := localapi.AsError(err)
	for _, refused := range []error{
		invitation.ErrExpired, invitation.ErrDamaged, invitation.ErrNewer,
		admission.ErrExpired, admission.ErrUsed, admission.ErrRevoked, admission.ErrWrong,
	} {
		if errors.Is(err, refused) {
			e.Code, e.Next = localapi.Refused, "ask the inviter for a new one: echofs space share NAME"
			e.Message, _, _ = strings.Cut(refused.Error(), ": ")
		}
	}
	switch {
	case errors.Is(err, invitation.ErrNotInvitation):
		e.Code, e.Next = localapi.Usage, "give it the last line that echofs space share printed"
	case errors.Is(err, invitation.ErrNewer):
		e.Next = "upgrade echofs"
	case errors.Is(err, admission.ErrUnreachable):
		e.Code, e.Message = localapi.Unreachable, "the inviting device did not answer in time"
		e.Next = "use the same invitation again once the inviter's daemon is up and online"
	}
	return e
}

// hostLocked waits for the guest of an invitation.
func (d *daemon) hostLocked(s *openSpace, in space.Invite) {
	if _, hosted := s.guests[in.SecretHash]; hosted || d.past(in.Expires) {
		return
	}
	inv := admission.Invitation(s.Space, d.device.Key(), in, d.urlsForOthersLocked())
	s.guests[in.SecretHash] = guest{
		until: in.Expires,
		leave: d.mesh.Join(inv.Topic(), admission.Host(admission.HostConfig{
			Space: host{s.Space, d}, Invitation: inv, Log: d.part("admission"),
			Signal: d.urlsForOthers,
			Met: func(urls []string) {
				if err := d.meetGuest(urls); err != nil {
					d.log.Warn("the servers of a new member are not remembered", "space", s.Name(), "err", err)
				}
			},
		})),
	}
}

// A host is a space that lets a guest in. The mount keeps new files back for a
// moment, and a new member should not miss those.
type host struct {
	*space.Space
	daemon *daemon
}

// Redeem is Space.Redeem after everything closed in the mount is in the space.
func (h host) Redeem(secret [32]byte, chain []byte, now time.Time) (space.Admission, error) {
	if err := h.daemon.vfs.Publish(h.Name()); err != nil {
		h.daemon.log.Warn("a new member may miss the newest files for a moment", "space", h.Name(), "err", err)
	}
	return h.Space.Redeem(secret, chain, now)
}

// past tells whether an invitation of that time need not be hosted any more. A
// guest that comes a little late should still be told so.
func (d *daemon) past(expires time.Time) bool {
	return time.Now().After(expires.Add(10 * time.Minute))
}

// dropInvitations leaves the meeting places of old invitations.
func (d *daemon) dropInvitations() {
	d.dropLeft(time.Now())
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.spaces {
		for hash, g := range s.guests {
			if d.past(g.until) {
				go g.leave() // it waits for links, which must not hold the lock up
				delete(s.guests, hash)
			}
		}
	}
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
