package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// maxWrite is the largest read or write in one request, as large as Linux lets
// it be: who writes a megabyte at a time takes a quarter less time than with
// 128 KiB. A buffer of that size is kept for each request that is being served.
const maxWrite = 1 << 20

// Options tunes a mount. The zero value is good.
type Options struct {
	Log   *slog.Logger // nil discards
	Debug bool         // log every request

	// Helper is a command line that runs Helper, normally that of this program
	// itself with HelperArg. Through it programs that watch files hear of
	// remote changes, and it ends the mount if this process is killed; without
	// it nobody does.
	Helper []string
}

// A Mount shows a vfs.FS in a folder.
type Mount struct {
	dir    string
	log    *slog.Logger
	server *fuse.Server
	inval  *invalidator
	stop   context.CancelFunc // ends the invalidator
	served chan struct{}      // closed when the last request was answered
	told   sync.WaitGroup     // the invalidator

	endLive context.CancelFunc // ends live
	live    sync.WaitGroup     // live, and the helper
}

// New mounts v at dir, an empty folder, and serves it until Unmount, or until
// somebody else unmounts it. A mount that a killed daemon left at dir is
// detached first. The error says what to do; it is a *MountError if dir or the
// system are to blame.
//
// A file system is mounted once. After the last request v has to be closed, to
// commit what programs had open.
func New(dir string, v *vfs.FS, opts Options) (*Mount, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	path, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	fs := newFilesystem(v, log)
	fs.inval = newInvalidator(nil, log)
	server, err := fuse.NewServer(fs, path, mountOptions(log, opts.Debug))
	if err != nil {
		return nil, explain(path, err)
	}
	fs.inval.kernel = server
	if err := closeOnExec(); err != nil {
		log.Warn("a process that is started may keep the mount alive", "err", err)
	} else if len(opts.Helper) > 0 {
		fs.live.launch = func(ctx context.Context) (worker, error) { return launchHelper(ctx, opts.Helper, path) }
	}
	fs.live.forget = fs.inval.forget
	fs.live.lost, fs.inval.sent, fs.inval.guard = fs.inval.add, fs.live.told, fs.live.guard
	v.Invalidations(func(changes []vfs.Invalidation) {
		changes, mark := fs.live.announce(changes)
		fs.known.changed(changes)
		fs.inval.addMarked(changes, mark)
	})

	ctx, stop := context.WithCancel(context.Background())
	live, endLive := context.WithCancel(context.Background())
	m := &Mount{dir: path, log: log, server: server, inval: fs.inval, stop: stop, endLive: endLive, served: make(chan struct{})}
	go func() {
		defer close(m.served)
		server.Serve()
	}()
	m.told.Go(func() { m.inval.run(ctx) })
	// The library opens a file of the mount for a moment. A process that started
	// meanwhile, such as a helper, would have it open as long as it lives, and
	// the mount could not be unmounted.
	syscall.ForkLock.RLock()
	err = server.WaitMount()
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, errors.Join(explain(path, err), m.Unmount())
	}
	m.live.Go(func() { fs.live.run(live) })
	return m, nil
}

func mountOptions(log *slog.Logger, debug bool) *fuse.MountOptions {
	level := slog.LevelWarn
	if debug {
		level = slog.LevelDebug
	}
	return &fuse.MountOptions{
		Name:              subtype,
		FsName:            subtype,
		DirectMountStrict: os.Geteuid() == 0,
		DirectMountFlags:  syscall.MS_NOSUID | syscall.MS_NODEV,
		// The kernel checks permissions by itself, which spares a request for
		// each. Never auto_unmount: it hangs.
		Options:  []string{"default_permissions", "nosuid", "nodev"},
		MaxWrite: maxWrite,
		// Pages are dropped when we say so, not when a time looks new.
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		// There are no access lists. Believing that there could be, the kernel
		// remembers having asked; else it asks each time that ls -l does.
		EnableAcl: true,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | // truncation comes with the open, not before it
			fuse.CAP_HANDLE_KILLPRIV_V2 | // no question about set-uid bits before each write
			fuse.CAP_READDIRPLUS_AUTO | // attributes with the names, if somebody wants them
			fuse.CAP_DIRECT_IO_ALLOW_MMAP, // files past the page cache can be mapped
		// The write-back cache would hide order, time and author of writes.
		DisabledCapabilities: fuse.CAP_WRITEBACK_CACHE,
		Debug:                debug,
		Logger:               slog.NewLogLogger(log.Handler(), level),
	}
}

// Dir is the mount point: absolute, without symbolic links.
func (m *Mount) Dir() string { return m.dir }

// Wait returns when the mount is gone and everything it started has ended.
// After a lazy detach that is when the last open file was closed.
func (m *Mount) Wait() {
	<-m.served
	m.end()
}

// end stops the invalidator. Notices the kernel still sits on return by
// themselves, because there is no mount any more.
func (m *Mount) end() {
	m.inval.close()
	m.endLive()
	m.live.Wait()
	m.stop()
	m.told.Wait()
}

// Unmount takes the mount away. If files in it are open after several tries, it
// is detached lazily: the folder is free, and those files go on to work until
// they are closed or this process ends. It may be called more than once.
func (m *Mount) Unmount() error {
	select {
	case <-m.served:
		m.end()
		return nil // somebody else was faster
	default:
	}
	m.endLive() // the helper works in the mount
	m.live.Wait()
	err := m.server.Unmount()
	if err == nil {
		m.Wait()
		return nil
	}
	if ours, tableErr := mountedByUs(m.dir); tableErr == nil && !ours {
		return nil // detached before
	}
	m.log.Warn("files are open; detaching the mount lazily", "dir", m.dir, "err", err)
	if err := detach(m.dir); err != nil {
		return fmt.Errorf("unmount %s: %w", m.dir, err)
	}
	return nil
}
