package daemon

import (
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

// maxHosted is how many invitations of a space this device waits for guests of.
const maxHosted = 200

// A guest is an invitation that is being honoured.
type guest struct {
	until time.Time
	leave func()
}

// hostLocked waits for the guests of all invitations of a space that this device
// can honour: every link that some admin made, and the PINs of our own. Those
// that have ended are waited for as well, until they are old, so that a guest
// whose answer got lost gets it, and others hear why not.
func (d *daemon) hostLocked(s *openSpace) {
	now := time.Now()
	if s.Role() >= credential.Reader {
		list := s.OpenInvites()
		for _, in := range list[max(0, len(list)-maxHosted):] {
			if in.Expires.IsZero() && in.Open(now) || !in.Expires.IsZero() && !past(in.Expires, now) {
				d.waitLocked(s, invitation.LinkTopic(in.Pub), in.Expires, func() mesh.Handler {
					return admission.HostLink(host{s.Space, d}, in.ID, d.common(s))
				})
			}
		}
	}
	if s.pins == nil {
		return
	}
	for _, p := range s.pins.All() {
		if !past(p.Invitation.Expires, now) {
			d.waitLocked(s, p.Invitation.Topic(), p.Invitation.Expires, func() mesh.Handler { return d.pinHost(s, p.Invitation) })
		}
	}
}

// waitLocked waits for guests on a topic, unless it does.
func (d *daemon) waitLocked(s *openSpace, topic [32]byte, until time.Time, handler func() mesh.Handler) {
	if _, is := s.guests[topic]; !is {
		s.guests[topic] = guest{until: until, leave: d.mesh.Join(topic, handler())}
	}
}

// common is what every host of a space knows.
func (d *daemon) common(s *openSpace) admission.Common {
	return admission.Common{
		Log:    d.part("admission"),
		Signal: d.urlsForOthers,
		Met: func(urls []string) {
			if err := d.meetGuest(urls); err != nil {
				d.log.Warn("the servers of a new member are not remembered", "space", s.Name(), "err", err)
			}
		},
	}
}

// A host is a space that lets a guest in. The mount keeps new files back for a
// moment, and a new member should not miss those.
type host struct {
	*space.Space
	daemon *daemon
}

// RedeemInvite is Space.RedeemInvite after everything closed in the mount is in
// the space.
func (h host) RedeemInvite(invite identity.ID, chain, sig []byte) (space.Admission, error) {
	h.publish()
	return h.Space.RedeemInvite(invite, chain, sig)
}

func (h host) publish() {
	if err := h.daemon.vfs.Publish(h.Name()); err != nil {
		h.daemon.log.Warn("a new member may miss the newest files for a moment", "space", h.Name(), "err", err)
	}
}

// past tells whether an invitation of that time need not be hosted any more. A
// guest that comes a little late should still be told so.
func past(expires, now time.Time) bool {
	return now.After(expires.Add(2 * admission.Tolerance))
}

// dropInvitations leaves the meeting places of old invitations, goes to those of
// new ones, and withdraws what we made and what has expired: a witness whose
// clock is wrong must not honour it for ever.
func (d *daemon) dropInvitations() {
	now := time.Now()
	d.dropLeft(now)
	for _, s := range d.tend(now) {
		for _, in := range s.OpenInvites() {
			if d.outlived(s, in, now) {
				if err := s.CloseInvite(in.ID); err != nil {
					d.log.Debug("an expired invitation is not withdrawn", "space", s.Name(), "err", err)
				}
			}
		}
	}
}

// tend goes to the meeting places that there should be, and to no other. It
// returns the spaces that are connected.
func (d *daemon) tend(now time.Time) (connected []*openSpace) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tendLocked(now)
}

func (d *daemon) tendLocked(now time.Time) (connected []*openSpace) {
	for _, s := range d.spaces {
		if s.leave == nil {
			continue // the topics are not joined yet
		}
		connected = append(connected, s)
		d.hostLocked(s)
		for topic, g := range s.guests {
			if !g.until.IsZero() && past(g.until, now) {
				go g.leave() // it waits for links, which must not hold the lock up
				delete(s.guests, topic)
			}
		}
	}
	d.hostDevicesLocked(now)
	d.helpLocked()
	d.mailLocked(connected)
	d.cardsLocked(connected, now)
	return connected
}

// outlived reports whether an invitation is ours to withdraw, because its time
// is over.
func (d *daemon) outlived(s *openSpace, in membership.Invitation, now time.Time) bool {
	return in.By == d.device.Identity() && s.Role() == credential.Admin && !in.Revoked &&
		uint32(len(in.Used)) < in.Uses && !in.Expires.IsZero() && past(in.Expires, now)
}
