package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/admission"
)

const (
	defaultTTL = 24 * time.Hour
	maxTTL     = 30 * 24 * time.Hour
)

// Share makes an invitation, and honours it from now on.
func (d *daemon) Share(ctx context.Context, req localapi.ShareRequest) (localapi.Invitation, error) {
	s, err := d.find(req.Space)
	if err != nil {
		return localapi.Invitation{}, err
	}
	role, err := credential.ParseRole(req.Role)
	if err != nil {
		return localapi.Invitation{}, badRole(req.Role, err)
	}
	if req.TTL == 0 {
		req.TTL = defaultTTL
	}
	if req.Uses == 0 {
		req.Uses = 1
	}
	if err := checkShare(req); err != nil {
		return localapi.Invitation{}, err
	}
	if s.Role() < credential.Admin {
		return localapi.Invitation{}, d.notAllowed(s, "invite to", "", membership.ErrNotAllowed)
	}
	inv := invitation.Invitation{
		Kind: invitation.Link, Space: s.ID(), Role: role, Expires: time.Now().Add(req.TTL),
		Signal: d.urlsForGuests(), Name: s.Name(),
	}
	switch {
	case req.PIN:
		made, err := d.sharePIN(s, inv)
		made.OnlyHere = onlyHere(inv.Signal)
		return made, err
	case req.To != "":
		return d.shareTo(s, inv, req.To)
	}
	made, err := d.shareLink(s, inv, req.Uses, "")
	made.OnlyHere = onlyHere(inv.Signal)
	return made, err
}

func checkShare(req localapi.ShareRequest) error {
	bad := func(message, next string) error {
		return &localapi.Error{Code: localapi.Usage, Message: message, Next: next}
	}
	switch {
	case req.TTL < 0 || req.TTL > maxTTL:
		return bad("an invitation lasts from a second to 30 days", "for example --expires 48h")
	case req.Uses < 0 || req.Uses > credential.MaxUses:
		return bad(fmt.Sprintf("an invitation is for 1 to %d people", credential.MaxUses), "for example --uses 5")
	case req.PIN && req.Uses > 1:
		return bad("an invitation with a PIN is for one person", "make one for each, or leave --pin out")
	case req.PIN && req.To != "":
		return bad("an invitation that is sent to somebody needs no PIN", "leave --pin or --to out")
	case req.To != "" && req.Uses > 1:
		return bad("an invitation that is sent to somebody is for one person", "leave --uses or --to out")
	}
	return nil
}

// shareLink publishes a link.
func (d *daemon) shareLink(s *openSpace, inv invitation.Invitation, uses int, label string) (localapi.Invitation, error) {
	inv, err := invitation.New(inv)
	if err != nil {
		return localapi.Invitation{}, err
	}
	id, err := s.OpenInvite(inv.Role, uint32(uses), inv.Expires, inv.Pub(), label)
	if err != nil {
		return localapi.Invitation{}, d.notAllowed(s, "invite to", "", err)
	}
	d.mu.Lock()
	d.hostLocked(s)
	d.mu.Unlock()
	return localapi.Invitation{
		ID: id.String(), Kind: localapi.KindLink, Space: s.Name(), Role: inv.Role.String(), Expires: inv.Expires,
		State: localapi.StateOpen, Uses: uses, Used: []string{}, By: d.device.Name(), To: label,
		URL: inv.String(), QR: inv.Short(),
	}, nil
}

// Invitations lists those of a space, or of all and what others have sent.
func (d *daemon) Invitations(_ context.Context, name string) ([]localapi.Invitation, error) {
	list := []localapi.Invitation{}
	if name != "" {
		s, err := d.find(name)
		if err != nil {
			return nil, err
		}
		return append(list, d.invitationsOf(s)...), nil
	}
	for _, s := range d.sorted() {
		list = append(list, d.invitationsOf(s)...)
	}
	return append(list, d.received()...), nil
}

// invitationsOf lists the invitations of a space, oldest first.
func (d *daemon) invitationsOf(s *openSpace) (list []localapi.Invitation) {
	names := d.namesIn(s)
	now := time.Now()
	sent := d.sentFrom(s)
	for _, in := range s.OpenInvites() {
		i := localapi.Invitation{
			ID: in.ID.String(), Kind: localapi.KindLink, Space: s.Name(), Role: in.Role.String(), Expires: in.Expires,
			State: stateOf(in, now), Uses: int(in.Uses), Used: []string{}, By: names(in.By), To: in.Label,
		}
		for _, who := range in.Used {
			i.Used = append(i.Used, names(who))
		}
		if slices.Contains(sent, in.Pub) && i.State == localapi.StateOpen {
			i.Note = "not delivered yet"
		}
		list = append(list, i)
	}
	if s.pins == nil {
		return list
	}
	for _, p := range s.pins.All() {
		list = append(list, d.describePIN(s, p, names, now))
	}
	return list
}

func (d *daemon) describePIN(s *openSpace, p admission.PINInvitation, names func(identity.ID) string, now time.Time) localapi.Invitation {
	i := localapi.Invitation{
		ID: p.ID().String(), Kind: localapi.KindPIN, Space: s.Name(), Role: p.Invitation.Role.String(), Expires: p.Invitation.Expires,
		State: stateOfPIN(p, now), Uses: 1, Used: []string{}, By: d.device.Name(),
	}
	if p.Admitted {
		i.Used = append(i.Used, names(p.Used))
	} else if i.State == localapi.StateOpen && p.Left < 3 {
		i.Note = fmt.Sprintf("%d wrong PINs, tries left: %d", 3-p.Left, p.Left)
	}
	return i
}

func stateOfPIN(p admission.PINInvitation, now time.Time) string {
	switch {
	case p.Admitted:
		return localapi.StateUsed
	case p.Left == 0:
		return localapi.StateBurned
	case p.Withdrawn:
		return localapi.StateWithdrawn
	case !p.Open(now):
		return localapi.StateExpired
	}
	return localapi.StateOpen
}

func stateOf(in membership.Invitation, now time.Time) string {
	switch {
	case uint32(len(in.Used)) >= in.Uses:
		return localapi.StateUsed
	case in.Revoked:
		return localapi.StateWithdrawn
	case !in.Expires.IsZero() && now.After(in.Expires):
		return localapi.StateExpired
	}
	return localapi.StateOpen
}

// namesIn names those who are or were in a space.
func (d *daemon) namesIn(s *openSpace) func(identity.ID) string {
	byID := map[identity.ID]string{}
	for _, m := range s.Members() {
		byID[m.Identity] = m.Name
	}
	return func(who identity.ID) string {
		if name := byID[who]; name != "" {
			return name
		}
		return who.Short()
	}
}

// shortestInvitation is how many digits of its ID name an invitation at least.
const shortestInvitation = 4

// Revoke withdraws an invitation, or forgets one that was sent to us.
func (d *daemon) Revoke(ctx context.Context, prefix string) (localapi.Invitation, error) {
	if in, is, err := d.withdrawDevice(prefix); is {
		return in, err
	}
	all, err := d.Invitations(ctx, "")
	if err != nil {
		return localapi.Invitation{}, err
	}
	in, err := pickInvitation(all, prefix)
	if err != nil {
		return in, err
	}
	if in.Kind == localapi.KindReceived {
		return in, d.dropLetter(in.ID)
	}
	if in.State != localapi.StateOpen {
		return in, &localapi.Error{Code: localapi.Refused, Message: "the invitation is " + in.State + " already", Next: "see the others: echofs space invitations " + in.Space}
	}
	s, err := d.find(in.Space)
	if err != nil {
		return in, err
	}
	id, err := identity.ParseID(in.ID)
	if err != nil {
		return in, err
	}
	in.State = localapi.StateWithdrawn
	if in.Kind == localapi.KindPIN {
		err = s.pins.Withdraw(id)
		d.doorOf(id).end(localapi.StateWithdrawn)
		return in, err
	}
	if err := s.CloseInvite(id); err != nil {
		return in, d.notAllowed(s, "withdraw an invitation of somebody else to", in.By, err)
	}
	d.dropSent(s, id)
	return in, nil
}

// pickInvitation finds the one invitation that is meant.
func pickInvitation(all []localapi.Invitation, prefix string) (localapi.Invitation, error) {
	var found []localapi.Invitation
	for _, in := range all {
		if len(prefix) >= shortestInvitation && strings.HasPrefix(in.ID, strings.ToLower(prefix)) {
			found = append(found, in)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%d invitations begin with %s", len(found), prefix), Next: "give more digits: echofs space invitations"}
	}
	return localapi.Invitation{}, &localapi.Error{Code: localapi.NotFound, Message: "there is no invitation " + prefix, Next: "see which there are, by the first digits of their ID: echofs space invitations"}
}

// invitationError gives the failures of an invitation their exit codes.
func invitationError(err error) error {
	e := localapi.AsError(err)
	for _, refused := range []error{
		invitation.ErrDamaged, invitation.ErrNewer, invitation.ErrInvalid,
		admission.ErrExpired, admission.ErrUsed, admission.ErrRevoked, admission.ErrWrong, admission.ErrBurned, admission.ErrHost,
	} {
		if errors.Is(err, refused) {
			e.Code, e.Next = localapi.Refused, "ask the inviter for a new one: echofs space share NAME"
			e.Message, _, _ = strings.Cut(refused.Error(), ": ")
		}
	}
	switch {
	case errors.Is(err, admission.ErrPIN):
		e.Code, e.Message = localapi.WrongPIN, err.Error()
		e.Next = "look at the PIN again; after three wrong ones the invitation is over"
	case errors.Is(err, admission.ErrDenied):
		e.Code, e.Next = localapi.Refused, "speak with them, and ask for a new invitation"
	case errors.Is(err, invitation.ErrNotInvitation):
		e.Code, e.Next = localapi.Usage, "give it the last line that echofs space share printed"
	case errors.Is(err, invitation.ErrDamaged):
		e.Next = "copy all of it again, from echofs://join# to the last letter"
	case errors.Is(err, invitation.ErrNewer):
		e.Next = "upgrade echofs"
	case errors.Is(err, admission.ErrFailed):
		e.Next = "try the same invitation again"
	}
	return e
}

// unreachable says why nobody let us in.
func unreachable(inv invitation.Invitation, err error) error {
	e := &localapi.Error{
		Code:    localapi.Unreachable,
		Message: "no device of a member answered in time",
		Next:    "use the same invitation again once a member's daemon is up and online",
		Err:     err,
	}
	if inv.Kind == invitation.PIN {
		e.Message = "the inviting device did not answer in time"
		e.Next = "use the same invitation again while echofs space share waits for you there"
	}
	if expired := inv.Check(time.Now()); expired != nil {
		e.Message += "; by the clock of this device the invitation expired " + inv.Expires.Local().Format("Mon 2 Jan 15:04")
		e.Next = "ask the inviter for a new one: echofs space share NAME"
	}
	return e
}
