package daemon

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/keystore"
)

// Halo tells about the person.
func (d *daemon) Halo(context.Context) (localapi.Halo, error) {
	d.gate.RLock()
	defer d.gate.RUnlock()
	return d.describePerson()
}

// describePerson is Halo for those who are in the gate.
func (d *daemon) describePerson() (localapi.Halo, error) {
	h, err := describeHalo(d.device, d.store)
	if err != nil || h.Locked {
		return h, err
	}
	h.Name = d.personName()
	online := d.ownPeers()
	for i := range h.Devices {
		dev := &h.Devices[i]
		for key := range online {
			dev.Online = dev.Online || key.String() == dev.Key
		}
		dev.Online = !dev.Revoked && (dev.Online || dev.Self)
	}
	return h, nil
}

// describeHalo tells about a person; device is nil while the keys are locked.
func describeHalo(device *identity.Device, store *keystore.Store) (localapi.Halo, error) {
	h := localapi.Halo{Locked: device == nil, Protection: store.Protection().String()}
	if device == nil {
		return h, nil
	}
	halo := device.Halo()
	h.Identity, h.Name = halo.Identity().String(), halo.Name()
	h.Device, h.DeviceName = device.Key().String(), device.DeviceName()
	words, err := store.Words()
	if err != nil {
		return h, err
	}
	h.Recovery = localapi.NoWords
	if _, _, ok := halo.Recovery(); ok {
		h.Recovery = localapi.PaperWords
	}
	if words != nil {
		h.Recovery = localapi.KeptWords
		words.Clear()
	}
	for _, info := range halo.Devices() {
		h.Devices = append(h.Devices, localapi.HaloDevice{Key: info.Key.String(), Name: info.Name, Self: info.Key == device.Key()})
	}
	for _, key := range halo.Revoked() {
		info, _ := halo.Known(key)
		h.Devices = append(h.Devices, localapi.HaloDevice{Key: key.String(), Name: info.Name, Self: key == device.Key(), Revoked: true})
	}
	return h, nil
}

// LockHalo closes everything that needs the keys, and forgets them.
func (d *daemon) LockHalo(ctx context.Context) (localapi.Halo, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if err := d.closeSession(); err != nil {
		return localapi.Halo{}, err
	}
	debug.FreeOSMemory() // what was in it is not ours any more
	return d.Halo(ctx)
}

// UnlockHalo opens what LockHalo closed.
func (d *daemon) UnlockHalo(ctx context.Context, passphrase []byte) (localapi.Halo, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if h, err := d.Halo(ctx); err != nil || !h.Locked {
		return h, err
	}
	if d.store.Protection() == keystore.Passphrase && len(passphrase) == 0 {
		return localapi.Halo{}, errLocked
	}
	device, err := d.store.Unlock(ctx, passphrase)
	if err != nil {
		return localapi.Halo{}, d.keysError(err)
	}
	debug.FreeOSMemory() // making a key of a passphrase takes a lot
	if err := d.unlockSession(device); err != nil {
		d.store.Lock()
		return localapi.Halo{}, err
	}
	return d.Halo(ctx)
}

func (d *daemon) unlockSession(device *identity.Device) error {
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.root.Err() != nil {
		return context.Cause(d.root)
	}
	return d.openSession(device)
}

// ProtectHalo changes how the keys are protected.
func (d *daemon) ProtectHalo(ctx context.Context, req localapi.ProtectRequest) (localapi.Halo, error) {
	p, err := parseProtection(req.Protection)
	if err == nil && p == 0 {
		err = &localapi.Error{Code: localapi.Usage, Message: "it is not said how to protect the keys", Next: "choose passphrase, keyring or file"}
	}
	if err != nil {
		return localapi.Halo{}, err
	}
	if err := d.store.Check(ctx, req.Old); err != nil {
		return localapi.Halo{}, d.keysError(err)
	}
	if err := d.store.Protect(p, req.New); err != nil {
		return localapi.Halo{}, d.keysError(err)
	}
	debug.FreeOSMemory()
	return describeHalo(d.device, d.store)
}

// RecoveryWords returns the recovery words, while they are kept.
func (d *daemon) RecoveryWords(ctx context.Context, passphrase []byte) ([]string, error) {
	if err := d.store.Check(ctx, passphrase); err != nil {
		return nil, d.keysError(err)
	}
	words, err := d.store.Words()
	if err != nil {
		return nil, d.keysError(err)
	}
	if words == nil {
		return nil, &localapi.Error{
			Code:    localapi.NotFound,
			Message: "the words of this identity were written down, or are on the device that made it; they cannot be shown again",
			Next:    "look for the paper; without it, keep two devices, so that one can stand in for the other",
		}
	}
	defer words.Clear()
	return words.Words(), nil
}

// WordsWritten forgets the recovery words.
func (d *daemon) WordsWritten(context.Context) (localapi.Halo, error) {
	if err := d.store.ForgetWords(); err != nil {
		return localapi.Halo{}, d.keysError(err)
	}
	return describeHalo(d.device, d.store)
}

// RenameDevice gives a device of the person another name.
func (d *daemon) RenameDevice(_ context.Context, device, name string) (localapi.Halo, error) {
	key, err := findDevice(d.device.Halo(), device)
	if err != nil {
		return localapi.Halo{}, err
	}
	if err := identity.CheckName(name); err != nil || name == "" {
		return localapi.Halo{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("a device cannot be called %q", name), Next: "choose a name of at most 128 letters", Err: err}
	}
	if err := d.device.RenameDevice(key, name); err != nil {
		return localapi.Halo{}, revokedError(err)
	}
	d.spread()
	return d.describePerson()
}

// findDevice returns the live device of that name, or whose key begins so.
func findDevice(h identity.Halo, device string) (identity.PublicKey, error) {
	var found []identity.PublicKey
	for _, info := range h.Devices() {
		if info.Name == device || len(device) >= 6 && strings.HasPrefix(info.Key.String(), strings.ToLower(device)) {
			found = append(found, info.Key)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		digits := make([]string, len(found))
		for i, key := range found {
			digits[i] = key.Short()
		}
		slices.Sort(digits)
		return identity.PublicKey{}, &localapi.Error{Code: localapi.Usage, Message: "several devices are called " + device, Next: "name the one you mean by the first digits of its key: " + strings.Join(digits, " or ")}
	}
	return identity.PublicKey{}, &localapi.Error{Code: localapi.NotFound, Message: "you have no device " + device, Next: "see which there are: echofs halo device list"}
}
