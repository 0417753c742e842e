package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

const (
	// deviceTTL is how long another device may take to come.
	deviceTTL = 10 * time.Minute

	giftVersion = 1
	maxGift     = 120 << 10
)

// A gift is what a new device gets from the one that invited it: who it is now,
// and the HALO space, in which it finds the others.
type gift struct {
	Version uint64     `cbor:"1,keyasint"`
	Chain   []byte     `cbor:"2,keyasint"`
	Genesis []byte     `cbor:"3,keyasint"` // of the HALO space
	Keys    []feed.Key `cbor:"4,keyasint"`
}

var errGift = errors.New("the inviting device sent something else than what makes a device")

func decodeGift(data []byte) (g gift, err error) {
	if len(data) > maxGift {
		return g, fmt.Errorf("%w: %d bytes", errGift, len(data))
	}
	if err := codec.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("%w: %w", errGift, err)
	}
	if g.Version != giftVersion || len(g.Keys) == 0 || len(g.Keys) > feed.MaxKeys {
		return g, fmt.Errorf("%w: version %d, %d keys", errGift, g.Version, len(g.Keys))
	}
	return g, nil
}

// InviteDevice makes an invitation for another device of the person.
func (d *daemon) InviteDevice(context.Context) (localapi.Invitation, error) {
	own := d.own()
	if own == nil || own.pins == nil {
		return localapi.Invitation{}, &localapi.Error{Code: localapi.Failed, Message: "this device cannot invite another one: what your devices share cannot be used", Next: "see echofs status"}
	}
	if !d.device.Halo().Live(d.device.Key()) {
		return localapi.Invitation{}, revokedError(identity.ErrRevoked)
	}
	inv, err := invitation.New(invitation.Invitation{
		Kind: invitation.Device, Host: d.device.Key(), Expires: time.Now().Add(deviceTTL),
		Signal: d.urlsForGuests(), Name: d.device.Name(),
	})
	if err != nil {
		return localapi.Invitation{}, err
	}
	pin := invitation.NewPIN()
	if err := own.pins.Add(inv, pin, time.Now()); err != nil {
		return localapi.Invitation{}, err
	}
	d.mu.Lock()
	d.hostDevicesLocked(time.Now())
	d.mu.Unlock()
	return localapi.Invitation{
		ID: inv.ID().String(), Kind: localapi.KindDevice, Expires: inv.Expires, State: localapi.StateOpen,
		Uses: 1, Used: []string{}, By: d.device.Name(), URL: inv.String(), QR: inv.Short(), PIN: pin,
		OnlyHere: onlyHere(inv.Signal),
	}, nil
}

// hostDevicesLocked waits for devices that were invited, and for no others.
func (d *daemon) hostDevicesLocked(now time.Time) {
	own := d.personal
	if own == nil || own.pins == nil || own.leave == nil {
		return
	}
	for _, p := range own.pins.All() {
		if !past(p.Invitation.Expires, now) {
			d.waitLocked(own, p.Invitation.Topic(), p.Invitation.Expires, func() mesh.Handler { return d.deviceHost(own, p.Invitation) })
		}
	}
	for topic, g := range own.guests {
		if past(g.until, now) {
			go g.leave() // it waits for links, which must not hold the lock up
			delete(own.guests, topic)
		}
	}
}

// deviceHost takes in the device that an invitation is for. The caller holds mu.
func (d *daemon) deviceHost(own *openSpace, inv invitation.Invitation) mesh.Handler {
	o := d.doorLocked(inv.ID())
	return admission.HostPIN(admission.PINConfig{
		Common: d.common(own), Invitation: inv, Ledger: own.pins,
		Tried: o.tried, Confirm: o.confirm,
		Admit: func(who identity.Profile, request []byte, again bool) (space.Admission, []byte, error) {
			extra, err := d.addDevice(own, who.Name, request, again)
			if err == nil {
				o.joined(who)
			}
			return space.Admission{}, extra, err
		},
	})
}

// addDevice makes a device one of the person's, in all spaces, and returns the
// gift for it. It is called what the person was asked about. again says that the
// person was asked before: then the device must be the one that was added.
func (d *daemon) addDevice(own *openSpace, name string, request []byte, again bool) ([]byte, error) {
	_, info, err := identity.ReadDeviceRequest(request)
	if err != nil {
		return nil, err
	}
	if info.Name != name {
		return nil, fmt.Errorf("it is called %q in one place and %q in another: %w", name, info.Name, identity.ErrBadRequest)
	}
	if again && !d.device.Halo().Live(info.Key) { // another one, or it was revoked
		return nil, fmt.Errorf("the invitation added another device: %w", admission.ErrUsed)
	}
	chain, err := d.device.AddDevice(request)
	if err != nil {
		return nil, err
	}
	d.spread()
	return codec.Marshal(gift{Version: giftVersion, Chain: chain, Genesis: own.Credentials()[0], Keys: own.Keyring().Keys()})
}

// withdrawDevice withdraws the invitation of a device, if it is one.
func (d *daemon) withdrawDevice(id string) (in localapi.Invitation, is bool, err error) {
	own := d.own()
	if own == nil || own.pins == nil {
		return in, false, nil
	}
	for _, p := range own.pins.All() {
		if p.ID().String() == id {
			d.doorOf(p.ID()).end(localapi.StateWithdrawn)
			return localapi.Invitation{ID: id, Kind: localapi.KindDevice, State: localapi.StateWithdrawn, Used: []string{}}, true, own.pins.Withdraw(p.ID())
		}
	}
	return in, false, nil
}
