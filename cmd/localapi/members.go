package localapi

import (
	"context"
	"net/http"
)

// Membership is the part of a Backend that says who belongs to a space. A
// member is named by name, if only one has it, or by the first digits of their
// identity.
type Membership interface {
	Members(ctx context.Context, space string) ([]Member, error)
	SetRole(ctx context.Context, req MemberRequest) (Member, error)
	// Remove ends a membership. The answer says who it was.
	Remove(ctx context.Context, req MemberRequest) (Member, error)
	// Leave ends our own membership and takes the space out of the mount.
	Leave(ctx context.Context, req LeaveRequest) (Space, error)
	// Rotate gives the space another key.
	Rotate(ctx context.Context, space string) (Space, error)
}

// Member is an identity in a space.
type Member struct {
	Name     string   `json:"name"`
	Identity string   `json:"identity"`
	Role     string   `json:"role"`
	Devices  []string `json:"devices"`
	Self     bool     `json:"self"`
	Online   bool     `json:"online"` // one of its devices is connected, or it is ours

	Here []Presence `json:"here,omitempty"` // its devices that are here
}

// MemberRequest asks for something that concerns one member.
type MemberRequest struct {
	Space  string `json:"space"`
	Member string `json:"member"`
	Role   string `json:"role,omitempty"` // of SetRole
}

// LeaveRequest ends our own membership.
type LeaveRequest struct {
	Space string `json:"space"`
	Force bool   `json:"force,omitempty"` // also as the only admin among others
}

func memberRoutes(b Membership) map[string]http.Handler {
	return map[string]http.Handler{
		"POST /v1/members":        with(b, Membership.Members),
		"POST /v1/members/role":   with(b, Membership.SetRole),
		"POST /v1/members/remove": with(b, Membership.Remove),
		"POST /v1/members/leave":  with(b, Membership.Leave),
		"POST /v1/members/rotate": with(b, Membership.Rotate),
	}
}

// Members lists the members of a space.
func (c Client) Members(ctx context.Context, space string) (m []Member, err error) {
	return m, c.do(ctx, "POST", "/v1/members", space, &m)
}

// SetRole gives a member another role.
func (c Client) SetRole(ctx context.Context, req MemberRequest) (m Member, err error) {
	return m, c.do(ctx, "POST", "/v1/members/role", req, &m)
}

// Remove ends a membership and tells whose it was.
func (c Client) Remove(ctx context.Context, req MemberRequest) (m Member, err error) {
	return m, c.do(ctx, "POST", "/v1/members/remove", req, &m)
}

// Leave ends our own membership and takes the space out of the mount.
func (c Client) Leave(ctx context.Context, req LeaveRequest) (s Space, err error) {
	return s, c.do(ctx, "POST", "/v1/members/leave", req, &s)
}

// Rotate gives a space another key.
func (c Client) Rotate(ctx context.Context, space string) (s Space, err error) {
	return s, c.do(ctx, "POST", "/v1/members/rotate", space, &s)
}
