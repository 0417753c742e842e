// Package daemon is the one place where the parts of echofs are put together.
//
// Run opens them in order, each in what it needs of the ones before. The lock on
// the home, the key store, the web server with its signaling and the command
// socket live as long as the daemon. What needs the keys is a session: the
// spaces, the mesh, the mount. Locking the keys ends it, unlocking opens another.
// Everything is closed in reverse order, so that the mount commits into spaces
// that are still open, and the lock on the home goes last.
//
// # Concurrency
//
// Run may be called once per process. Everything it starts has ended when it
// returns. The daemon is its own backend for package localapi: those methods
// may be called from any goroutine, and those that need the keys only between
// Unlocked and the leave it returns.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/fs/fusefs"
	"github.com/echofs/echofs/fs/vfs"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/keystore"
	"github.com/echofs/echofs/kube/web"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/signaling"
)

// unmountTime is how long a mount may go on after it was detached from its folder.
const unmountTime = time.Second

// errDown is why a daemon ends that was asked to.
var errDown = errors.New("asked to stop")

// A daemon is the running whole.
type daemon struct {
	plan
	log      *slog.Logger
	started  time.Time
	problems *problems
	root     context.Context // ends when the daemon is to stop
	fail     context.CancelCauseFunc
	store    *keystore.Store
	web      *web.Server

	changing sync.Mutex // held while keys are locked or unlocked; before gate

	gate   sync.RWMutex     // read by requests in the session, written to open and close it; before making
	end    func() error     // closes the session
	ctx    context.Context  // ends with the session; the life of what requests start
	device *identity.Device // nil: locked
	mesh   *mesh.Mesh
	vfs    *vfs.FS

	touched chan struct{} // capacity 1: a space has come or gone here

	making sync.Mutex // held from choosing the name of a new space until it is one of spaces; before mu

	profiles sync.Mutex // held while the profile is changed or published; before mu

	boxes sync.Mutex // held from reading the letters of a space until they are written; after mu

	mu       sync.Mutex // guards what follows
	settings settings
	cancel   context.CancelCauseFunc // of ctx
	spaces   map[identity.ID]*openSpace
	personal *openSpace                    // the HALO space, which nobody sees; nil: it cannot be used
	boxed    []byte                        // what the recovery box of this person is to hold
	helping  map[[32]byte]func()           // whom we can help to recover, by topic; leaves it
	carded   map[[32]byte]func()           // cards that we made or send to, by topic; leaves it
	doors    map[identity.ID]*door         // by PIN invitation
	left     map[identity.ID]*openSpace    // spaces that were left, which go on telling so
	entering map[identity.ID]chan struct{} // spaces that are being joined; closed when that has ended
	broken   []brokenSpace
	here     time.Time // since when this device is in reach of others
	profile  *profile  // as it is kept in the home; nil: it was not read yet
}

// Run is the daemon. It calls ready once everything is up, and returns after
// ctx ends, or a client asks it to stop, or a part fails; by then it has
// committed, unmounted and closed everything.
func Run(ctx context.Context, cfg Config, ready func(localapi.Status)) error {
	unlock, err := openHome(cfg.Home)
	if err != nil {
		return err
	}
	defer unlock()

	remembered, err := loadSettings(cfg.Home)
	if err != nil {
		return err
	}
	p, err := resolve(cfg, remembered)
	if err != nil {
		return err
	}
	protect(p.Log)

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d := &daemon{
		plan: p, started: time.Now(), root: ctx, fail: fail,
		problems: &problems{now: time.Now},
		settings: p.next, touched: make(chan struct{}, 1),
	}
	d.log = slog.New(watcher{Handler: p.Log.Handler(), problems: d.problems})
	if err := d.run(ctx, ready); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errDown) && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// openHome makes a home, and this process the only one that uses it.
func openHome(home string) (unlock func(), err error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, &localapi.Error{
			Code:    localapi.Failed,
			Message: fmt.Sprintf("the home %s cannot be made: %v", home, err),
			Next:    "choose another folder with --home DIR or ECHOFS_HOME",
			Err:     err,
		}
	}
	return lock(home)
}

// run opens everything, waits, and closes everything.
func (d *daemon) run(ctx context.Context, ready func(localapi.Status)) (err error) {
	device, forget, err := d.openKeys(ctx)
	if err != nil {
		return err
	}
	used := false // somebody may have seen the identity
	defer func() {
		if err != nil && !used {
			err = errors.Join(err, forget())
		}
	}()

	signals := signaling.NewServer(signaling.ServerConfig{Log: d.part("signaling")})
	d.web = web.New(web.Config{Spaces: d.openSpaces, Signal: signals, Hosts: hostsOf(d.settings.Signal), Log: d.part("web")})
	if err := d.listen(); err != nil {
		return err
	}
	defer start(ctx, "web server", d.fail, d.web.Run)()
	defer func() { err = errors.Join(err, signals.Close()) }()

	if device != nil {
		if err := d.openSession(device); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, d.closeSession()) }()

	socket, err := localapi.Listen(d.Home)
	if err != nil {
		return err
	}
	used = true
	defer start(ctx, "command socket", d.fail, func(ctx context.Context) error {
		return localapi.Serve(ctx, socket, d, d.Version, d.part("api"))
	})()
	if ready != nil {
		s, err := d.Status(ctx)
		if err != nil {
			return err
		}
		ready(s)
	}
	<-ctx.Done()
	return nil
}

// part is the logger of one part.
func (d *daemon) part(name string) *slog.Logger { return d.log.With("part", name) }

// listen takes the address of the web server.
func (d *daemon) listen() error {
	err := d.web.Listen(d.plan.listen)
	if err != nil && d.retry != "" {
		err = d.web.Listen(d.retry) // the port picked last time is taken
	}
	if err == nil {
		d.settings.Port = portOf(d.web.Addr().String())
		return nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return &localapi.Error{
			Code:    localapi.Busy,
			Message: fmt.Sprintf("another program listens at %s", d.plan.listen),
			Next:    "choose another address with --http, for example --http 127.0.0.1:0, which picks a free port",
			Err:     err,
		}
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return &localapi.Error{
			Code:    localapi.Failed,
			Message: fmt.Sprintf("--http %s is not an address of this machine", d.plan.listen),
			Next:    "choose one that ip addr lists, or 0.0.0.0 for all of them",
			Err:     err,
		}
	}
	return &localapi.Error{Code: localapi.Failed, Message: "the web server cannot start: " + err.Error(), Next: "choose another address with --http", Err: err}
}

// openMount mounts. unmount returns when nothing is mounted any more, or soon
// after that has begun.
func (d *daemon) openMount() (unmount func() error, err error) {
	if err := prepareMount(d.plan); err != nil {
		return nil, err
	}
	mount, err := fusefs.New(d.mount, d.vfs, fusefs.Options{Log: d.part("fuse"), Helper: d.Helper})
	if err != nil {
		return nil, mountError(err)
	}
	gone := make(chan struct{})    // closed when nothing is mounted any more
	leaving := make(chan struct{}) // closed before we unmount
	go func() {
		defer close(gone)
		mount.Wait()
		select {
		case <-leaving:
		default:
			d.fail(errors.New("somebody else unmounted " + d.mount))
		}
	}()
	return func() error {
		close(leaving)
		err := mount.Unmount()
		select {
		case <-gone:
		case <-time.After(unmountTime): // a program still has a file open; closing the vfs commits it
		}
		return err
	}, nil
}

// mountError gives the errors of mounting their exit codes.
func mountError(err error) error {
	e := &localapi.Error{Code: localapi.Failed, Message: err.Error(), Err: err}
	if m, ok := errors.AsType[*fusefs.MountError](err); ok {
		e.Message, e.Next = fmt.Sprintf("cannot mount at %s: %v", m.Dir, m.Err), m.Hint
	}
	switch {
	case errors.Is(err, fusefs.ErrBusy), errors.Is(err, fusefs.ErrNotEmpty):
		e.Code = localapi.Busy
	case errors.Is(err, os.ErrNotExist):
		e.Code = localapi.NotFound
	}
	return e
}

// keep does what has to be done from time to time, until ctx ends.
func (d *daemon) keep(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	memory := idler{busy: true}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.dropInvitations()
			if memory.tick(allocated()) {
				d.vfs.Trim()
				for _, s := range d.openSpaces() {
					s.Trim()
				}
				debug.FreeOSMemory()
			}
		}
	}
}

// openSpaces is what the web server serves.
func (d *daemon) openSpaces() []*space.Space {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*space.Space, 0, len(d.spaces))
	for _, s := range d.spaces {
		list = append(list, s.Space)
	}
	slices.SortFunc(list, func(a, b *space.Space) int { return a.ID().Compare(b.ID()) })
	return list
}
