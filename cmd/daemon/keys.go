package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/keystore"
	"github.com/echofs/echofs/identity/phrase"
)

// tries is how often a person may mistype their passphrase when the daemon starts.
const tries = 3

// A Person is who a new identity is.
type Person struct {
	Name       string // empty: the name of the account
	Device     string // empty: the name of the host
	Protection string // passphrase, keyring or file; empty: keyring if there is one, else file
	Passphrase []byte
}

// Create makes the identity of a home in which there is none. No daemon may be
// running for it. Of cfg it needs Home and Getenv.
func Create(cfg Config, who Person) (localapi.Halo, error) {
	unlock, err := openHome(cfg.Home)
	if err != nil {
		return localapi.Halo{}, err
	}
	defer unlock()
	d := &daemon{plan: plan{Config: cfg}}
	_, err = keystore.Open(d.keysDir(), keystore.Config{})
	if err == nil {
		return localapi.Halo{}, &localapi.Error{Code: localapi.Busy, Message: "there is an identity in " + cfg.Home + " already", Next: "see it with echofs halo info; for another one choose another --home"}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return localapi.Halo{}, d.keysError(err)
	}
	device, store, err := d.createKeys(who)
	if err != nil {
		return localapi.Halo{}, err
	}
	return describeHalo(device, store)
}

func (d *daemon) keysDir() string { return filepath.Join(d.Home, "identity") }

// openKeys opens the key store, or makes one on the first run. device is nil if
// the keys are locked. forget undoes the making: a run that never was ready must
// not decide what the device is called.
func (d *daemon) openKeys(ctx context.Context) (device *identity.Device, forget func() error, err error) {
	ring := keystore.SystemRing(d.Getenv)
	d.store, err = keystore.Open(d.keysDir(), keystore.Config{Ring: ring})
	if errors.Is(err, os.ErrNotExist) {
		device, d.store, err = d.createKeys(Person{Name: d.Name})
		if err != nil {
			return nil, nil, err
		}
		return device, d.store.Destroy, nil
	}
	keep := func() error { return nil }
	if err != nil {
		return nil, nil, d.keysError(err)
	}
	if d.store.Protection() != keystore.Passphrase {
		device, err = d.store.Unlock(ctx, nil)
		if errors.Is(err, keystore.ErrNoRing) {
			d.log.Info("the keys stay locked until echofs halo unlock finds the keyring", "err", err)
			return nil, keep, nil
		}
	} else {
		device, err = d.askPassphrase(ctx)
	}
	if err != nil {
		return nil, nil, d.keysError(err)
	}
	if device != nil && d.Name != "" && d.Name != device.Name() {
		d.log.Warn(fmt.Sprintf("--name is ignored: you are called %s since the identity was made", device.Name()))
	}
	return device, keep, nil
}

// askPassphrase unlocks with what the person types, if there is one.
func (d *daemon) askPassphrase(ctx context.Context) (*identity.Device, error) {
	if d.Passphrase == nil {
		return nil, nil
	}
	for try := 1; ; try++ {
		passphrase, err := d.Passphrase(ctx, try)
		if err != nil || passphrase == nil {
			return nil, err
		}
		device, err := d.store.Unlock(ctx, passphrase)
		clear(passphrase)
		if !errors.Is(err, keystore.ErrWrongPassphrase) || try == tries {
			return device, err
		}
	}
}

func (d *daemon) createKeys(who Person) (*identity.Device, *keystore.Store, error) {
	if err := d.checkNoSpaces(); err != nil {
		return nil, nil, err
	}
	who.Name, who.Device = cmp.Or(who.Name, accountName()), cmp.Or(who.Device, hostName())
	for option, name := range map[string]string{"--name": who.Name, "--device": who.Device} {
		if err := identity.CheckName(name); err != nil {
			return nil, nil, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%s %q: %v", option, name, err), Next: "for example " + option + " ann", Err: err}
		}
	}
	words := phrase.New()
	defer words.Clear()
	recovery, err := words.Keys()
	if err != nil {
		return nil, nil, err
	}
	device, err := identity.NewIdentity(identity.Start{Name: who.Name, DeviceName: who.Device, Recovery: recovery})
	if err != nil {
		return nil, nil, fmt.Errorf("making the identity: %w", err)
	}
	store, err := d.keepKeys(device, &words, who.Protection, who.Passphrase)
	return device, store, err
}

// keepKeys makes the key store. words may be nil.
func (d *daemon) keepKeys(device *identity.Device, words *phrase.Phrase, how string, passphrase []byte) (*keystore.Store, error) {
	protection, err := parseProtection(how)
	if err != nil {
		return nil, err
	}
	ring := keystore.SystemRing(d.Getenv)
	choice := []keystore.Protection{protection}
	if protection == 0 {
		choice = []keystore.Protection{keystore.File}
		if ring != nil {
			choice = []keystore.Protection{keystore.Keyring, keystore.File}
		}
	}
	for i, p := range choice {
		store, err := keystore.Create(d.keysDir(), device, words, p, passphrase, keystore.Config{Ring: ring})
		if err == nil {
			return store, nil
		}
		if !errors.Is(err, keystore.ErrNoRing) || i == len(choice)-1 {
			return nil, d.keysError(err)
		}
	}
	return nil, errors.New("no protection to choose from")
}

// parseProtection reads the name of a protection; that of none is empty.
func parseProtection(name string) (keystore.Protection, error) {
	for _, p := range []keystore.Protection{keystore.Passphrase, keystore.Keyring, keystore.File} {
		if p.String() == name {
			return p, nil
		}
	}
	if name == "" {
		return 0, nil
	}
	return 0, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("keys cannot be protected by %q", name), Next: "choose passphrase, keyring or file"}
}

// keysError gives the errors of the key store a next step.
func (d *daemon) keysError(err error) error {
	if e, ok := errors.AsType[*localapi.Error](err); ok {
		return e // of whoever was asked
	}
	e := &localapi.Error{Code: localapi.Failed, Message: "your keys cannot be used: " + err.Error(), Err: err}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, keystore.ErrWrongPassphrase):
		e.Code, e.Message, e.Next = localapi.Refused, "that is not the passphrase", "try again; after each wrong one the next takes longer"
	case errors.Is(err, keystore.ErrPassphrase):
		e.Code, e.Message, e.Next = localapi.Usage, keystore.ErrPassphrase.Error(), "several words are easy to remember and hard to guess"
	case errors.Is(err, keystore.ErrNoRing):
		e.Message, e.Next = "the keyring of your session does not answer: "+err.Error(), "run the daemon in the desktop session whose keyring has the key, or protect the keys by a passphrase or a file"
	case errors.Is(err, keystore.ErrNoKey):
		e.Next = "put the unlocking key back from a backup; without it, recover the identity with your 24 words on a new home"
	case errors.Is(err, keystore.ErrPermissions):
		e.Next = "correct the permissions; if somebody else could have read the keys, revoke this device from another one"
	case errors.Is(err, keystore.ErrNewer):
		e.Next = "install the release that wrote it, or a later one"
	default:
		e.Next = "correct " + d.keysDir() + ", or restore it from a backup"
	}
	return e
}

// accountName is what a new identity is called when nobody says.
func accountName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "me"
}

// hostName is what a device is called when nobody says.
func hostName() string {
	if host, err := os.Hostname(); err == nil && host != "" {
		host, _, _ = strings.Cut(host, ".")
		return host
	}
	return "device"
}
