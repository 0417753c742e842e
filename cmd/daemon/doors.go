package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

const (
	// doorWait is how long a question about a door waits for news.
	doorWait = 20 * time.Second
	// maxDoorEvents bounds what a door remembers.
	maxDoorEvents = 256
)

// A door is where the guest of a PIN invitation meets the person who made it.
type door struct {
	mu      sync.Mutex // guards the fields below
	changed chan struct{}
	events  []localapi.DoorEvent
	asking  map[int]chan bool // by event; each has capacity 1
}

func newDoor() *door { return &door{changed: make(chan struct{}), asking: map[int]chan bool{}} }

// doorOf returns the door of an invitation.
func (d *daemon) doorOf(id identity.ID) *door {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doorLocked(id)
}

func (d *daemon) doorLocked(id identity.ID) *door {
	if d.doors == nil {
		d.doors = map[identity.ID]*door{}
	}
	if d.doors[id] == nil {
		d.doors[id] = newDoor()
	}
	return d.doors[id]
}

// tell notes an event and returns its number; 0 when there were too many.
func (o *door) tell(e localapi.DoorEvent) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tellLocked(e)
}

func (o *door) tellLocked(e localapi.DoorEvent) int {
	if len(o.events) >= maxDoorEvents {
		return 0
	}
	e.Number = len(o.events) + 1
	o.events = append(o.events, e)
	close(o.changed)
	o.changed = make(chan struct{})
	return e.Number
}

// end notes that nobody is let in any more. Who waits is sent away.
func (o *door) end(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.events); n > 0 && o.events[n-1].Kind == localapi.DoorEnded {
		return
	}
	o.tellLocked(localapi.DoorEvent{Kind: localapi.DoorEnded, Why: why})
	for _, c := range o.asking {
		c <- false
	}
	clear(o.asking)
}

// joined notes that the guest is a member, once.
func (o *door) joined(who identity.Profile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.events); n == 0 || o.events[n-1].Kind != localapi.DoorJoined {
		o.tellLocked(localapi.DoorEvent{Kind: localapi.DoorJoined, Name: who.Name, Identity: who.Identity.String()})
	}
}

// confirm asks the person, and waits for the answer.
func (o *door) confirm(ctx context.Context, g admission.Guest) (bool, error) {
	o.mu.Lock()
	answer := make(chan bool, 1)
	n := o.tellLocked(localapi.DoorEvent{Kind: localapi.DoorGuest, Name: g.Name, Identity: g.Identity.String(), Code: g.Code})
	if n == 0 {
		o.mu.Unlock()
		return false, errors.New("too much has happened at this door")
	}
	o.asking[n] = answer
	o.mu.Unlock()
	select {
	case yes := <-answer:
		return yes, nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.asking, n)
	o.tellLocked(localapi.DoorEvent{Kind: localapi.DoorGone, Name: g.Name, Identity: g.Identity.String()})
	return false, ctx.Err()
}

// since returns the events after one, as soon as there are any.
func (o *door) since(ctx context.Context, after int) []localapi.DoorEvent {
	for {
		o.mu.Lock()
		events, changed := slices.Clone(o.events[min(max(after, 0), len(o.events)):]), o.changed
		o.mu.Unlock()
		if len(events) > 0 {
			return events
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return []localapi.DoorEvent{}
		}
	}
}

// sharePIN makes an invitation with a PIN.
func (d *daemon) sharePIN(s *openSpace, inv invitation.Invitation) (localapi.Invitation, error) {
	if s.pins == nil {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Failed, Message: "the PIN invitations of " + s.Name() + " cannot be read", Next: "see echofs status; a link without --pin works"}
	}
	inv.Kind, inv.Host = invitation.PIN, d.device.Key()
	inv, err := invitation.New(inv)
	if err != nil {
		return localapi.Invitation{}, err
	}
	pin := invitation.NewPIN()
	if err := s.pins.Add(inv, pin, time.Now()); err != nil {
		return localapi.Invitation{}, err
	}
	d.mu.Lock()
	d.hostLocked(s)
	d.mu.Unlock()
	return localapi.Invitation{
		ID: inv.ID().String(), Kind: localapi.KindPIN, Space: s.Name(), Role: inv.Role.String(), Expires: inv.Expires,
		State: localapi.StateOpen, Uses: 1, Used: []string{}, By: d.device.Name(),
		URL: inv.String(), QR: inv.Short(), PIN: pin,
	}, nil
}

// pinHost lets in the guest of a PIN invitation. The caller holds mu.
func (d *daemon) pinHost(s *openSpace, inv invitation.Invitation) mesh.Handler {
	o := d.doorLocked(inv.ID())
	return admission.HostPIN(admission.PINConfig{
		Common: d.common(s), Invitation: inv, Ledger: s.pins,
		Tried: o.tried, Confirm: o.confirm,
		Admit: func(who identity.Profile, chain []byte, again bool) (space.Admission, []byte, error) {
			if again && !s.Member(who.Device) {
				return space.Admission{}, nil, fmt.Errorf("%s was removed: %w", who.Name, admission.ErrUsed)
			}
			host{s.Space, d}.publish()
			adm, err := s.Admit(chain, inv.Role)
			if err == nil && !s.Member(who.Device) { // the chain is old: the device was revoked
				return space.Admission{}, nil, fmt.Errorf("the device of %s does not act for them any more: %w", who.Name, admission.ErrUsed)
			}
			if err == nil {
				o.joined(who)
			}
			return adm, nil, err
		},
	})
}

// pinInvitation finds a PIN invitation by its ID.
func (d *daemon) pinInvitation(id string) (admission.PINInvitation, error) {
	for _, s := range d.withOwn() {
		if s.pins == nil {
			continue
		}
		for _, p := range s.pins.All() {
			if p.ID().String() == id {
				return p, nil
			}
		}
	}
	return admission.PINInvitation{}, &localapi.Error{Code: localapi.NotFound, Message: "there is no invitation with a PIN " + id, Next: "see which there are: echofs space invitations"}
}

// Door returns what has happened at the door that a PIN opens.
func (d *daemon) Door(ctx context.Context, req localapi.DoorRequest) ([]localapi.DoorEvent, error) {
	p, err := d.pinInvitation(req.ID)
	if err != nil {
		return nil, err
	}
	o := d.doorOf(p.ID())
	if !p.Open(time.Now()) && !p.Admitted {
		o.end(stateOfPIN(p, time.Now()))
	}
	ctx, cancel := context.WithTimeout(ctx, doorWait)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	return o.since(ctx, req.After), nil
}

// Answer lets the guest of an event in, or sends them away.
func (d *daemon) Answer(_ context.Context, req localapi.AnswerRequest) (struct{}, error) {
	p, err := d.pinInvitation(req.ID)
	if err != nil {
		return struct{}{}, err
	}
	o := d.doorOf(p.ID())
	o.mu.Lock()
	defer o.mu.Unlock()
	answer := o.asking[req.Number]
	if answer == nil {
		return struct{}{}, &localapi.Error{Code: localapi.NotFound, Message: "the guest is not waiting any more", Next: "they can come again with the same invitation and PIN"}
	}
	delete(o.asking, req.Number)
	answer <- req.Yes
	if !req.Yes {
		o.tellLocked(localapi.DoorEvent{Kind: localapi.DoorEnded, Why: localapi.StateWithdrawn})
	}
	return struct{}{}, nil
}

// openPINs reads the PIN invitations of a space. Without them, links still work.
func (d *daemon) openPINs(s *space.Space) *admission.Ledger {
	pins, err := admission.OpenLedger(s)
	if err != nil {
		d.problems.add(s.Name(), fmt.Sprintf("invitations with a PIN do not work: %v", err), "links without --pin work; export the space and join it anew to mend it")
		return nil
	}
	return pins
}

// tried tells that somebody gave a wrong PIN, and how often that may still happen.
func (o *door) tried(who identity.Profile, left int) {
	o.tell(localapi.DoorEvent{Kind: localapi.DoorWrong, Name: who.Name, Identity: who.Identity.String(), Left: left})
	if left == 0 {
		o.end(localapi.StateBurned)
	}
}
