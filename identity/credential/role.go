package credential

import "fmt"

// A Role is what a member of a space may do. Each includes the one before.
type Role uint8

const (
	None   Role = iota // not a member
	Reader             // reads everything
	Editor             // writes entries
	Admin              // admits and removes members
)

// String returns the role in lower case.
func (r Role) String() string {
	switch r {
	case None:
		return "none"
	case Reader:
		return "reader"
	case Editor:
		return "editor"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// ParseRole reads the name of a role that a member can have.
func ParseRole(s string) (Role, error) {
	for _, r := range []Role{Reader, Editor, Admin} {
		if s == r.String() {
			return r, nil
		}
	}
	return None, fmt.Errorf("unknown role %q: want reader, editor or admin", s)
}
