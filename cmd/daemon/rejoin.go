package daemon

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/net/admission"
)

// A space whose member we were until somebody removed us is still here, with
// what was written here and had not got into it. Who is invited again goes on
// with that, and it is written again; see space.Space.Standing.

// mayEnter reports whether an invitation to a space that is here makes sense.
func (d *daemon) mayEnter(s *openSpace, asked string) error {
	switch standing := s.Standing(); {
	case standing == space.Present:
		return &localapi.Error{Code: localapi.Busy, Message: "you are in this space already, as " + s.Name(), Next: "it is at " + filepath.Join(d.mount, s.Name())}
	case standing == space.Cut:
		return &localapi.Error{Code: localapi.Refused, Message: "this device was revoked, and no invitation lets it in again", Next: "make another one of yours: echofs halo device invite"}
	case asked != "" && asked != s.Name():
		return &localapi.Error{Code: localapi.Usage, Message: "this space is here since you were in it before, as " + s.Name(), Next: "leave --name out; nothing was used up"}
	}
	return nil
}

// enterAgain makes a space that is here ours again, by what an invitation has
// brought. The caller holds d.making.
func (d *daemon) enterAgain(ctx context.Context, s *openSpace, res admission.Result) error {
	if err := s.AddCredentials(ctx, res.Credentials); err != nil {
		return fmt.Errorf("entering %s again: %w", s.Name(), err)
	}
	if err := s.AddKeys(res.Keys); err != nil {
		return fmt.Errorf("entering %s again: %w", s.Name(), err)
	}
	if standing := s.Standing(); standing != space.Present {
		return fmt.Errorf("entering %s again: %s", s.Name(), standing)
	}
	s.leave() // its links are of the time before, and so is what they were to bring
	s.untend()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replicateLocked(s)
	d.touch()
	return nil
}
