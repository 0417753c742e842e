package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/echofs/echofs/crdt/space"
)

func TestErrno(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"success", nil, 0},
		{"missing entry", os.ErrNotExist, syscall.ENOENT},
		{"existing entry", fs.ErrExist, syscall.EEXIST},
		{"no permission", os.ErrPermission, syscall.EACCES},
		{"bad argument", os.ErrInvalid, syscall.EINVAL},
		{"closed", os.ErrClosed, syscall.EBADF},
		{"not supported", errors.ErrUnsupported, syscall.ENOTSUP},
		{"an errno", syscall.ENAMETOOLONG, syscall.ENAMETOOLONG},
		{"an errno of a space", &space.Error{Op: "remove", Err: syscall.ENOTEMPTY}, syscall.ENOTEMPTY},
		{"a cause of a space", &space.Error{Op: "rename", Err: os.ErrExist}, syscall.EEXIST},
		{"an errno of the disk", &os.PathError{Op: "write", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{"wrapped twice", fmt.Errorf("a: %w", fmt.Errorf("b: %w", syscall.EXDEV)), syscall.EXDEV},
		{"joined", errors.Join(errors.New("first"), syscall.EDQUOT), syscall.EDQUOT},
		{"a stopping daemon", context.Canceled, syscall.EIO},
		{"a silent peer", context.DeadlineExceeded, syscall.ETIMEDOUT},
		{"errno zero is no success", syscall.Errno(0), syscall.EIO},
		{"unknown cause", errors.New("disk on fire"), syscall.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errno(tt.err); got != tt.want {
				t.Errorf("errno(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}
