package vfs

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/echofs/echofs/identity/credential"
)

// withdrawn is what `.space/withdrawn` holds, by the end of its names.
func (p *process) withdrawn() map[string]string {
	p.w.t.Helper()
	out := map[string]string{}
	dir, _, err := p.walk(".space/withdrawn/x")
	if err != nil {
		p.w.t.Fatal(err)
	}
	entries, err := p.w.fs.ReadDir(p.caller(), dir)
	if err != nil {
		p.w.t.Fatal(err)
	}
	for _, e := range entries {
		_, name, _ := strings.Cut(e.Name, "Z-")
		out[name] = p.read(".space/withdrawn/" + e.Name)
	}
	return out
}

// A role changes while files are open: no remount, and nothing is lost.
func TestRoleChangesUnderTheMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newWorld(t)
		a.process(9).write("doc", before)
		a.pass()
		b := a.join(credential.Editor)
		a.send(b)
		p := b.process(10)
		root, _, _ := p.walk("doc")
		h := p.open("doc", syscall.O_RDWR)
		if _, err := h.Write(p.caller(), []byte("mine "), 0); err != nil {
			t.Fatal(err)
		}
		p.write("new.txt", "not in the space yet")
		ctx := context.Background()
		for len(b.told) > 0 {
			<-b.told
		}
		if err := a.space.SetRole(ctx, b.device.Identity(), credential.Reader); err != nil {
			t.Fatal(err)
		}
		if err := b.space.AddCredentials(ctx, a.space.Credentials()); err != nil {
			t.Fatal(err)
		}
		b.pass()

		attrs := false
		for len(b.told) > 0 {
			for _, i := range <-b.told {
				attrs = attrs || i.Attr && i.Ino == p.stat("doc").Ino
			}
		}
		if !attrs {
			t.Error("the kernel goes on with the old permissions")
		}
		if got := p.stat("doc").Mode; got != syscall.S_IFREG|0o444 {
			t.Errorf("mode %o", got)
		}
		_, err := h.Write(p.caller(), []byte("more"), 0)
		wantErr(t, "writing to what was open", err, syscall.EROFS)
		wantErr(t, "allocating", h.Allocate(p.caller(), 0, 1000, 0), syscall.EROFS)
		wantErr(t, "an attribute", b.fs.Setxattr(p.caller(), p.stat("doc").Ino, "user.x", []byte("1"), 0), syscall.EROFS)
		_, err = b.fs.Mknod(p.caller(), root, "pipe", syscall.S_IFIFO|0o600)
		wantErr(t, "a pipe", err, syscall.EROFS)
		mode := uint32(0o755)
		_, err = b.fs.Setattr(p.caller(), p.stat("doc").Ino, nil, SetAttr{Mode: &mode})
		wantErr(t, "a mode", err, syscall.EROFS)
		if err := h.Flush(p.caller()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if err := h.Release(p.caller()); err != nil {
			t.Errorf("Release: %v", err)
		}
		b.pass()
		if got := p.read("doc"); got != before {
			t.Errorf("the file is %q", got)
		}
		kept := p.withdrawn()
		if len(kept) != 2 || kept["new.txt"] != "not in the space yet" || !strings.HasPrefix(kept["doc"], "mine ") {
			t.Errorf("kept %q", kept)
		}

		if err := a.space.SetRole(ctx, b.device.Identity(), credential.Editor); err != nil {
			t.Fatal(err)
		}
		a.send(b)
		if got := p.stat("doc").Mode; got != syscall.S_IFREG|0o644 {
			t.Errorf("mode %o", got)
		}
		p.write("doc", "again")
		b.pass()
		b.send(a)
		if got := a.process(9).read("doc"); got != "again" {
			t.Errorf("the founder has %q", got)
		}
	})
}
