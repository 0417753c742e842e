package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/fs/vfs"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
)

// errLocked is why a session ends, and what requests are told that need one.
var errLocked = &localapi.Error{
	Code:    localapi.Locked,
	Message: "your keys are locked",
	Next:    "unlock them: echofs halo unlock",
}

// openSession opens, in order, what needs the keys: the spaces, the mesh, the
// mount. The caller holds the gate, or nobody else knows of d yet.
func (d *daemon) openSession(device *identity.Device) (err error) {
	ctx, cancel := context.WithCancelCause(d.root)
	var closers []func() error // to be called in reverse
	end := func() error {
		cancel(errLocked)
		var errs []error
		for _, c := range slices.Backward(closers) {
			errs = append(errs, c())
		}
		device.Forget()
		d.device, d.mesh, d.vfs = nil, nil, nil // which hold keys
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	stop := func(stop func()) { closers = append(closers, func() error { stop(); return nil }) }

	d.mu.Lock()
	d.ctx, d.device = ctx, device
	d.spaces, d.left, d.broken = map[identity.ID]*openSpace{}, nil, nil
	d.entering = map[identity.ID]chan struct{}{}
	d.helping, d.carded = map[[32]byte]func(){}, map[[32]byte]func(){}
	d.boxed = nil
	d.mu.Unlock()
	d.vfs = vfs.New(vfs.Config{
		Dir: filepath.Join(d.Home, "scratch"), Log: d.part("vfs"),
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Who: d.who(device), Pictures: pictures,
	})
	closers = append(closers, d.closeSpaces)
	if err := d.openAll(); err != nil {
		return errors.Join(err, d.vfs.Close())
	}
	d.openPersonal()
	d.mesh = mesh.New(mesh.Config{Device: d.device, Signal: d.signalURLs(), Log: d.part("mesh")})
	d.mesh.SetOnline(!d.settings.Offline)
	stop(start(ctx, "mesh", d.fail, d.mesh.Run))
	closers = append(closers, d.vfs.Close) // commits into the spaces

	unmount, err := d.openMount()
	if err != nil {
		return err
	}
	closers = append(closers, unmount)
	d.joinTopics()
	if err := d.remember(); err != nil {
		return err
	}
	stop(start(ctx, "keeper", d.fail, d.keep))
	stop(start(ctx, "keeper of people", d.fail, d.keepPeople))
	stop(start(ctx, "keeper of your own space", d.fail, d.keepPersonal))

	d.mu.Lock()
	d.cancel = cancel
	d.mu.Unlock()
	d.end = end
	return nil
}

// closeSession ends the session, if there is one: what runs in it is told, then
// waited for, then everything is closed.
func (d *daemon) closeSession() error {
	d.mu.Lock()
	if d.cancel != nil {
		d.cancel(errLocked)
	}
	d.mu.Unlock()
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.device == nil {
		return nil
	}
	err := d.end()
	d.store.Lock()
	return err
}

// Unlocked lets a request into the session.
func (d *daemon) Unlocked(ctx context.Context) (session context.Context, leave func(), err error) {
	d.gate.RLock()
	if d.device == nil {
		d.gate.RUnlock()
		return nil, nil, errLocked
	}
	life := d.ctx
	session, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return session, func() {
		unhook()
		cancel(nil)
		d.gate.RUnlock()
	}, nil
}
