package fusefs

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// errnos says what a program is told for each error that is not an errno
// already. The first match wins; an error that matches nothing becomes EIO.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{os.ErrNotExist, syscall.ENOENT},
	{os.ErrExist, syscall.EEXIST},
	{os.ErrPermission, syscall.EACCES},
	{os.ErrInvalid, syscall.EINVAL},
	{os.ErrClosed, syscall.EBADF},
	{errors.ErrUnsupported, syscall.ENOTSUP},
	// A call is never abandoned because its caller was interrupted, so these
	// mean that the daemon is stopping or gave up waiting for a peer.
	{context.Canceled, syscall.EIO},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
	{os.ErrDeadlineExceeded, syscall.ETIMEDOUT},
}

// errno translates an error of package vfs for the kernel. An errno anywhere
// in the chain is taken as it is.
func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		if e == 0 {
			return syscall.EIO
		}
		return e
	}
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	return syscall.EIO
}
