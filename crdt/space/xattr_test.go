package space

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/echofs/echofs/identity/credential"
)

func TestXattr(t *testing.T) {
	a := founded(t)
	b := joined(t, a, "b", credential.Editor)
	id := create(t, a, "doc", "text\n").ID
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"user.a", "one", nil},
		{"user.empty", "", nil},
		{"trusted.a", "x", syscall.EOPNOTSUPP},
		{"posix.mode", "x", syscall.EOPNOTSUPP},
		{"user." + string(bytes.Repeat([]byte("n"), 251)), "x", syscall.ERANGE},
		{"user.b", string(make([]byte, 4097)), syscall.E2BIG},
		{"user.b", string(make([]byte, 4096)), nil},
	} {
		if err := a.SetXattr(id, tt.name, []byte(tt.value)); !errors.Is(err, tt.want) {
			t.Errorf("%.20s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want != nil {
			continue
		}
		if v, err := a.Xattr(id, tt.name); err != nil || string(v) != tt.value {
			t.Errorf("%s: %.20q, %v", tt.name, v, err)
		}
	}
	for i := range MaxXattrs - 3 {
		if err := a.SetXattr(id, fmt.Sprint("user.", i), []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.SetXattr(id, "user.more", []byte{1}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("one too many: %v", err)
	}
	if err := a.SetXattr(id, "user.a", nil); err != nil {
		t.Error(err)
	}
	if _, err := a.Xattr(id, "user.a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
	if err := a.SetMode(id, 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := a.Stat(id); err != nil || info.Mode != ModeSet|0o600 {
		t.Errorf("mode %o, %v", info.Mode, err)
	}
	settle(t, a)
	pull(t, b, a)
	if v, err := b.Xattr(id, "user.1"); err != nil || string(v) != "\x01" {
		t.Errorf("user.1 on the other device: %q, %v", v, err)
	}
	if info, err := b.Stat(id); err != nil || info.Mode != ModeSet|0o600 {
		t.Errorf("mode on the other device %o, %v", info.Mode, err)
	}
	if names, err := b.Xattrs(id); err != nil || slices.Contains(names, "posix.mode") || len(names) != MaxXattrs-1 {
		t.Errorf("%d names: %q, %v", len(names), names, err)
	}
}
