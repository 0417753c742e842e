package admission

import (
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
)

// accept believes an answer, or says why not.
func (g *guest) accept(l *mesh.Link, creds [][]byte, w welcome) (Result, error) {
	if g.inv.Kind == invitation.Device {
		return Result{Extra: w.Extra, Name: w.Name, Signal: signals(w.Signal)}, nil
	}
	state := membership.Of(g.inv.Space)
	for _, raw := range creds {
		op, err := credential.Decode(raw)
		if err != nil {
			return Result{}, fmt.Errorf("the inviting device sent a bad credential: %w", err)
		}
		if _, err := state.Add(op); err != nil {
			return Result{}, fmt.Errorf("the inviting device sent a bad credential: %w", err)
		}
	}
	if err := g.check(state, l.Peer.Device); err != nil {
		return Result{}, err
	}
	if err := checkKeys(state, w.Keys); err != nil {
		return Result{}, err
	}
	name := w.Name
	if name == "" || identity.CheckName(name) != nil {
		name = g.inv.Name
	}
	return Result{
		Space: g.inv.Space, Name: name, Role: state.Role(g.device.Identity()),
		Credentials: creds, Keys: w.Keys, Signal: signals(w.Signal),
	}, nil
}

// check reports whether the credentials make this device a member, and the host
// somebody who may say so.
func (g *guest) check(state *membership.State, host identity.PublicKey) error {
	if p, ok := state.Device(g.device.Key()); !ok || p.Identity != g.device.Identity() || state.Role(p.Identity) == credential.None {
		return errors.New("somebody answered, but what they sent makes you no member: ask for a new invitation")
	}
	if _, ok := state.Device(host); !ok {
		return errors.New("somebody answered who is no member of the space by what they sent: ask for a new invitation")
	}
	if g.inv.Kind != invitation.Link {
		return nil
	}
	pub := g.inv.Pub()
	if !slices.ContainsFunc(state.Invitations(), func(in membership.Invitation) bool { return in.Pub == pub }) {
		return errors.New("somebody answered, but this invitation is not one of the space: ask for a new one")
	}
	return nil
}

// checkKeys reports whether the key that entries are written under is there.
func checkKeys(state *membership.State, keys []feed.Key) error {
	if len(keys) == 0 || len(keys) > maxKeys {
		return fmt.Errorf("the inviting device sent %d keys of the space", len(keys))
	}
	epochs := state.Epochs()
	if len(epochs) == 0 {
		return nil
	}
	for _, e := range epochs {
		if slices.ContainsFunc(keys, func(k feed.Key) bool { return k.ID() == e.KeyID }) {
			return nil
		}
	}
	return errors.New("the inviting device did not send the key of the space")
}
