package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
)

func lockPath(home string) string { return filepath.Join(home, "lock") }

// lock makes this process the only daemon of home. The kernel lets go of the
// lock when the process dies, however it dies.
func lock(home string) (unlock func(), err error) {
	f, err := os.OpenFile(lockPath(home), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the home: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner := make([]byte, 32)
		n, _ := f.Read(owner) // the number is a courtesy
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking the home: %w", err)
		}
		return nil, &localapi.Error{
			Code:    localapi.Busy,
			Message: fmt.Sprintf("a daemon is running for %s already (process %s)", home, strings.TrimSpace(string(owner[:n]))),
			Next:    "use it, stop it with echofs down, or start another one with its own --home and --mount",
			Err:     err,
		}
	}
	if err := f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("writing the lock of the home: %w", err), f.Close())
		}
	}
	// Closing gives the lock back. The file stays: removing it would let two
	// daemons lock two files of the same name.
	return func() { _ = f.Close() }, nil
}

// WaitStopped returns when no daemon is running for home.
func WaitStopped(ctx context.Context, home string) error {
	f, err := os.Open(lockPath(home))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the lock of the home: %w", err)
	}
	defer f.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
