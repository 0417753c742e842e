package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/keystore"
	"github.com/echofs/echofs/identity/phrase"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

// firstSight is how long a new device waits for what another one has.
const firstSight = 30 * time.Second

// A newcomer is a device that an invitation, or the recovery words, have made one
// of somebody's.
type newcomer struct {
	device *identity.Device
	gift   gift
	signal []string // servers where the others are found

	words   *phrase.Phrase         // that hold from now on; nil if others have them
	records map[identity.ID]record // of the spaces that are known
}

// A keeping says how the keys of a newcomer are kept.
type keeping struct {
	protection string
	passphrase []byte
}

// JoinDevice makes the first device of a home one of the inviter's. No daemon may
// be running for it. Of cfg it needs Home and Getenv.
func JoinDevice(ctx context.Context, cfg Config, req localapi.JoinDeviceRequest, progress func(localapi.JoinStep)) (localapi.Halo, error) {
	unlock, err := openHome(cfg.Home)
	if err != nil {
		return localapi.Halo{}, err
	}
	defer unlock()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &daemon{plan: plan{Config: cfg}, log: cfg.Log}
	if err := d.checkEmpty("echofs up; the invitation is accepted then, if the identity is in no space"); err != nil {
		return localapi.Halo{}, err
	}
	if d.settings, err = loadSettings(cfg.Home); err != nil {
		return localapi.Halo{}, err
	}
	n, err := d.become(ctx, req, nil, progress)
	if err != nil {
		return localapi.Halo{}, err
	}
	d.noteMet(n.signal)
	if err := d.settings.save(cfg.Home); err != nil {
		return localapi.Halo{}, err
	}
	if err := d.keepNewcomer(n, keeping{req.Protection, req.Passphrase}); err != nil {
		return localapi.Halo{}, err
	}
	return describeHalo(n.device, d.store)
}

// checkEmpty reports whether a home has no identity yet, and nothing of one.
func (d *daemon) checkEmpty(next string) error {
	_, err := keystore.Open(d.keysDir(), keystore.Config{})
	if err == nil {
		return &localapi.Error{Code: localapi.Busy, Message: "there is an identity in " + d.Home + " already", Next: "start its daemon first: " + next + "; or choose another --home"}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return d.keysError(err)
	}
	return d.checkNoSpaces()
}

// JoinDevice makes this device one of the inviter's own, instead of that of an
// identity which is in no space.
func (d *daemon) JoinDevice(ctx context.Context, req localapi.JoinDeviceRequest, progress func(localapi.JoinStep)) (localapi.Halo, error) {
	own, err := d.mayBecome()
	if err != nil {
		return localapi.Halo{}, err
	}
	n, err := d.become(ctx, req, own, progress)
	if err != nil {
		return localapi.Halo{}, err
	}
	synced, err := d.replaceIdentity(n, keeping{req.Protection, req.Passphrase})
	if err != nil {
		return localapi.Halo{}, err
	}
	progress(localapi.JoinStep{Text: "looking what spaces you are in"})
	ctx, cancel := context.WithTimeout(ctx, firstSight)
	defer cancel()
	_ = wait(ctx, synced) // what comes later comes later
	return d.Halo(ctx)
}

// mayBecome reports whether the identity of this device can be given up, and
// returns our signaling servers.
func (d *daemon) mayBecome() ([]string, error) {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.device == nil {
		return nil, errLocked
	}
	d.mu.Lock()
	spaces := len(d.spaces) + len(d.broken)
	d.mu.Unlock()
	home := "use another home for the other identity: echofs --home DIR halo device join or recover"
	if spaces > 0 {
		return nil, &localapi.Error{Code: localapi.Refused, Message: fmt.Sprintf("you are %s here, in %d spaces; a home is of one identity", d.device.Name(), spaces), Next: "leave them first: echofs space leave NAME; or " + home}
	}
	if len(d.device.Halo().Devices()) > 1 {
		return nil, &localapi.Error{Code: localapi.Refused, Message: "you are " + d.device.Name() + " here, and have other devices; a home is of one identity", Next: home}
	}
	return d.signalURLs(), nil
}

// readDeviceInvitation checks what can be checked without anybody else.
func readDeviceInvitation(req localapi.JoinDeviceRequest) (inv invitation.Invitation, pin string, err error) {
	if inv, err = invitation.Parse(req.Invitation); err != nil {
		return inv, "", deviceError(err)
	}
	if inv.Kind != invitation.Device {
		return inv, "", &localapi.Error{Code: localapi.Usage, Message: "this invitation is to a space, not for a device", Next: "accept it with: echofs space join INVITATION"}
	}
	if req.PIN == "" {
		return inv, "", &localapi.Error{Code: localapi.NeedsPIN, Message: "this invitation takes a PIN, which your other device shows", Next: "run it in a terminal, which asks, or give --pin-file FILE, or - for stdin"}
	}
	if pin, err = invitation.ParsePIN(req.PIN); err != nil {
		return inv, "", &localapi.Error{Code: localapi.Usage, Message: "a PIN has six digits", Next: "no try was used up; type it again", Err: err}
	}
	return inv, pin, nil
}

// deviceError is invitationError for a device.
func deviceError(err error) error {
	e := localapi.AsError(invitationError(err))
	switch {
	case e.Code == localapi.Refused && errors.Is(err, invitation.ErrNewer), e.Code == localapi.WrongPIN:
	case errors.Is(err, admission.ErrDenied):
		e.Message, e.Next = "the other device said no", "make another invitation there: echofs halo device invite"
	case errors.Is(err, admission.ErrUnreachable):
		e.Next = "use the same invitation again while echofs halo device invite waits on the other device"
	case e.Code == localapi.Refused:
		e.Next = "make another one on your other device: echofs halo device invite"
	case errors.Is(err, invitation.ErrNotInvitation):
		e.Next = "give it the last line that echofs halo device invite printed"
	}
	return e
}

// become has the inviter make a new device one of theirs. It comes as a stranger.
func (d *daemon) become(ctx context.Context, req localapi.JoinDeviceRequest, own []string, progress func(localapi.JoinStep)) (n newcomer, err error) {
	inv, pin, err := readDeviceInvitation(req)
	if err != nil {
		return n, err
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	name := cmp.Or(req.Name, hostName())
	if err := identity.CheckName(name); err != nil {
		return n, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("--device %q: %v", name, err), Next: "for example --device laptop", Err: err}
	}
	if _, err := parseProtection(req.Protection); err != nil {
		return n, err
	}
	stranger, err := identity.NewDevice(nil, name)
	if err != nil {
		return n, err
	}
	m := mesh.New(mesh.Config{Device: stranger, Signal: own, Log: d.part("mesh")})
	life, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer start(life, "mesh of a new device", fail, m.Run)()
	var joining *identity.Joining
	opt := admission.Options{PIN: pin, Signal: own, Request: func(host identity.Profile) ([]byte, error) {
		if joining == nil {
			var err error
			if joining, err = identity.NewDeviceRequest(nil, host.Identity, name); err != nil {
				return nil, err
			}
		}
		return joining.Request(), nil
	}}
	res, err := ask(life, m, stranger, inv, opt, progress)
	if err != nil {
		return n, deviceError(err)
	}
	if n.gift, err = decodeGift(res.Extra); err != nil {
		return n, err
	}
	if n.device, err = joining.Finish(n.gift.Chain); err != nil {
		return n, fmt.Errorf("%w: %w", errGift, err)
	}
	n.signal = slices.Concat(inv.Signal, res.Signal)
	return n, nil
}

// noteMet remembers signaling servers without connecting to them.
func (d *daemon) noteMet(urls []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range urls {
		if !slices.Contains(d.settings.Met, u) {
			d.settings.Met = append(d.settings.Met, u)
		}
	}
	d.settings.Met = slices.Delete(d.settings.Met, 0, max(0, len(d.settings.Met)-maxMet))
}

// keepNewcomer makes a new device that of this home: first the HALO space, which
// nobody opens without its keys.
func (d *daemon) keepNewcomer(n newcomer, how keeping) error {
	if err := os.RemoveAll(d.personalDir()); err != nil {
		return err
	}
	err := makePersonal(d.personalDir(), func(cfg space.Config) (*space.Space, error) {
		cfg.Device = n.device
		if n.gift.Genesis == nil {
			s, err := space.Create(cfg, personalName)
			return n.fill(s, err)
		}
		s, err := joinAsDevice(cfg, personalName, [][]byte{n.gift.Genesis}, n.gift.Keys)
		return n.fill(s, err)
	})
	if err != nil {
		return fmt.Errorf("keeping what your devices share: %w", err)
	}
	d.store, err = d.keepKeys(n.device, n.words, how.protection, how.passphrase)
	return err
}

// fill writes the records that are known into a HALO space.
func (n newcomer) fill(s *space.Space, err error) (*space.Space, error) {
	if err != nil {
		return nil, err
	}
	k := &records{space: s, all: map[identity.ID]record{}}
	for id, rec := range n.records {
		if err := k.write(id, rec); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// replaceIdentity makes a new device that of this home, in place of the one that
// is there. synced is closed when what the other devices have is here.
func (d *daemon) replaceIdentity(n newcomer, how keeping) (synced <-chan struct{}, err error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if _, err := d.mayBecome(); err != nil { // it may have changed meanwhile
		return nil, err
	}
	if err := d.closeSession(); err != nil {
		return nil, err
	}
	before, aside := d.store, d.keysDir()+".before"
	if err := errors.Join(os.RemoveAll(aside), os.Rename(d.keysDir(), aside)); err != nil {
		return nil, err
	}
	d.noteMet(n.signal)
	if err := d.keepNewcomer(n, how); err != nil {
		d.store = before
		return nil, errors.Join(err, os.RemoveAll(d.keysDir()), os.Rename(aside, d.keysDir()))
	}
	ring := keystore.SystemRing(d.Getenv)
	if old, err := keystore.Open(aside, keystore.Config{Ring: ring}); err == nil {
		if err := old.Destroy(); err != nil {
			d.log.Warn("the keys of the identity of before are not all removed", "err", err)
		}
	}
	if err := d.unlockSession(n.device); err != nil {
		return nil, err
	}
	if own := d.own(); own != nil {
		return own.synced, nil
	}
	never := make(chan struct{})
	return never, nil
}

// checkNoSpaces reports whether there are spaces of an identity that is gone.
func (d *daemon) checkNoSpaces() error {
	if left, _ := filepath.Glob(filepath.Join(d.spacesDir(), "*", "*")); len(left) > 0 {
		return &localapi.Error{Code: localapi.Failed, Message: "the identity of this device is gone, and its spaces are still there", Next: "restore " + d.keysDir() + " from a backup; to start anew, move " + d.Home + " away"}
	}
	return nil
}
