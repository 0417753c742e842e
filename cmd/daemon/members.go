package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
)

// Members lists who belongs to a space.
func (d *daemon) Members(_ context.Context, name string) ([]localapi.Member, error) {
	s, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return d.membersOf(s), nil
}

func (d *daemon) membersOf(s *openSpace) []localapi.Member {
	online := map[identity.ID]bool{}
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up && l.Swarm == s.ID() {
			online[l.Identity] = true
		}
	}
	members, here := []localapi.Member{}, d.presences(s, d.device)
	for _, m := range s.Members() {
		self := m.Identity == d.device.Identity()
		devices := make([]string, len(m.Devices))
		for i, key := range m.Devices {
			devices[i] = key.String()
		}
		members = append(members, localapi.Member{
			Name: m.Name, Identity: m.Identity.String(), Role: m.Role.String(),
			Devices: devices, Self: self, Online: self || online[m.Identity], Here: here[m.Identity],
		})
	}
	return members
}

// shortestID is how many digits of an identity name a member at least.
const shortestID = 4

// pickMember finds the one member that is meant, by name or by the beginning of
// the identity.
func pickMember(space string, members []localapi.Member, name string) (localapi.Member, error) {
	var found []localapi.Member
	for _, m := range members {
		if m.Name == name {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		for _, m := range members {
			if strings.EqualFold(m.Name, name) || len(name) >= shortestID && strings.HasPrefix(m.Identity, strings.ToLower(name)) {
				found = append(found, m)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return localapi.Member{}, &localapi.Error{
			Code:    localapi.NotFound,
			Message: fmt.Sprintf("nobody in %s is called %s", space, name),
			Next:    "see who is: echofs space members " + space,
		}
	}
	var lines strings.Builder
	for _, m := range found {
		fmt.Fprintf(&lines, "\n%s  %s, %s", m.Identity[:16], m.Name, m.Role)
	}
	return localapi.Member{}, &localapi.Error{
		Code:    localapi.Usage,
		Message: fmt.Sprintf("%d members of %s are called %s:%s", len(found), space, name, lines.String()),
		Next:    "name one by the first digits of the identity, for example " + found[0].Identity[:8],
	}
}

// member finds a space and one of its members.
func (d *daemon) member(req localapi.MemberRequest) (*openSpace, localapi.Member, identity.ID, error) {
	s, err := d.find(req.Space)
	if err != nil {
		return nil, localapi.Member{}, identity.ID{}, err
	}
	m, err := pickMember(s.Name(), d.membersOf(s), req.Member)
	if err != nil {
		return nil, m, identity.ID{}, err
	}
	id, err := identity.ParseID(m.Identity)
	return s, m, id, err
}

// SetRole gives a member another role.
func (d *daemon) SetRole(ctx context.Context, req localapi.MemberRequest) (localapi.Member, error) {
	role, err := credential.ParseRole(req.Role)
	if err != nil {
		return localapi.Member{}, badRole(req.Role, err)
	}
	s, m, id, err := d.member(req)
	if err != nil {
		return m, err
	}
	if m.Self {
		return m, &localapi.Error{Code: localapi.Refused, Message: "nobody gives themselves a role", Next: "ask another admin; to go: echofs space leave " + s.Name()}
	}
	if m.Role == role.String() {
		return m, nil
	}
	if err := s.SetRole(ctx, id, role); err != nil {
		return m, d.notAllowed(s, "change roles in", m.Name, err)
	}
	m.Role = role.String()
	return m, nil
}

// Remove ends the membership of somebody else.
func (d *daemon) Remove(ctx context.Context, req localapi.MemberRequest) (localapi.Member, error) {
	s, m, id, err := d.member(req)
	if err != nil {
		return m, err
	}
	if m.Self {
		return m, &localapi.Error{Code: localapi.Usage, Message: "that is you", Next: "to go yourself: echofs space leave " + s.Name()}
	}
	if err := s.SetRole(ctx, id, credential.None); err != nil {
		return m, d.notAllowed(s, "remove members of", m.Name, err)
	}
	return m, nil
}

// Rotate gives a space another key.
func (d *daemon) Rotate(ctx context.Context, name string) (localapi.Space, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Space{}, err
	}
	if err := s.Rotate(ctx); err != nil {
		return localapi.Space{}, d.notAllowed(s, "change the key of", "", err)
	}
	return d.describe(s), nil
}

// notAllowed says in words why a role does not allow something.
func (d *daemon) notAllowed(s *openSpace, what, who string, err error) error {
	switch {
	case errors.Is(err, membership.ErrSenior):
		return &localapi.Error{
			Code:    localapi.Refused,
			Message: fmt.Sprintf("%s was made admin before you, or by somebody who was", who),
			Next:    "ask an admin who is senior to both of you, first of all the founder: echofs space members " + s.Name(),
			Err:     err,
		}
	case errors.Is(err, membership.ErrNotAllowed), errors.Is(err, space.ErrReadOnly):
		return &localapi.Error{
			Code:    localapi.Refused,
			Message: fmt.Sprintf("only an admin may %s %s, and you are %s", what, s.Name(), s.Role()),
			Next:    "ask one of the admins: echofs space members " + s.Name(),
			Err:     err,
		}
	}
	return err
}

func badRole(role string, err error) error {
	return &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%q is not a role", role), Next: "use reader, editor or admin", Err: err}
}

// onlyAdmin reports whether we are the only admin of a space with others in it.
func onlyAdmin(members []localapi.Member) bool {
	others := slices.ContainsFunc(members, func(m localapi.Member) bool { return !m.Self })
	admin := credential.Admin.String()
	return others && slices.ContainsFunc(members, func(m localapi.Member) bool { return m.Self && m.Role == admin }) &&
		!slices.ContainsFunc(members, func(m localapi.Member) bool { return !m.Self && m.Role == admin })
}
