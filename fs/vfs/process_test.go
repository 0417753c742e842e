package vfs

import (
	"sort"
	"strings"
	"syscall"
)

// A process makes system calls.
type process struct {
	w   *world
	pid uint32
}

func (w *world) process(pid uint32) *process { return &process{w, pid} }

func (p *process) caller() Caller { return Caller{PID: p.pid, UID: 1000, GID: 1000} }

// walk finds the folder of a path and its last part.
func (p *process) walk(path string) (Ino, string, error) {
	parts := strings.Split("s/"+path, "/")
	ino := RootIno
	for _, name := range parts[:len(parts)-1] {
		a, err := p.w.fs.Lookup(p.caller(), ino, name)
		if err != nil {
			return 0, "", err
		}
		ino = a.Ino
	}
	return ino, parts[len(parts)-1], nil
}

func (p *process) lookup(path string) (Attr, error) {
	dir, name, err := p.walk(path)
	if err != nil {
		return Attr{}, err
	}
	return p.w.fs.Lookup(p.caller(), dir, name)
}

func (p *process) must(what string, err error) {
	p.w.t.Helper()
	if err != nil {
		p.w.t.Fatalf("%s: %v", what, err)
	}
}

func (p *process) tryOpen(path string, flags uint32) (*Handle, error) {
	dir, name, err := p.walk(path)
	if err != nil {
		return nil, err
	}
	if flags&syscall.O_CREAT != 0 {
		_, h, err := p.w.fs.Create(p.caller(), dir, name, flags, 0o644)
		return h, err
	}
	a, err := p.w.fs.Lookup(p.caller(), dir, name)
	if err != nil {
		return nil, err
	}
	return p.w.fs.Open(p.caller(), a.Ino, flags)
}

func (p *process) open(path string, flags uint32) *Handle {
	p.w.t.Helper()
	h, err := p.tryOpen(path, flags)
	p.must("open "+path, err)
	return h
}

func (p *process) writeTo(h *Handle, off int64, text string) {
	p.w.t.Helper()
	n, err := h.Write(p.caller(), []byte(text), off)
	p.must("write", err)
	if n != len(text) {
		p.w.t.Fatalf("wrote %d of %d bytes", n, len(text))
	}
}

func (p *process) readFrom(h *Handle) string {
	p.w.t.Helper()
	var out []byte
	buf := make([]byte, 4096)
	for {
		n, err := h.Read(p.caller(), buf, int64(len(out)))
		p.must("read", err)
		if n == 0 {
			return string(out)
		}
		out = append(out, buf[:n]...)
	}
}

func (p *process) flush(h *Handle) {
	p.w.t.Helper()
	p.must("flush", h.Flush(p.caller()))
}

func (p *process) fsync(h *Handle) {
	p.w.t.Helper()
	p.must("fsync", h.Fsync(p.caller()))
}

func (p *process) close(h *Handle) {
	p.w.t.Helper()
	p.must("flush", h.Flush(p.caller()))
	p.must("release", h.Release(p.caller()))
}

func (p *process) read(path string) string {
	p.w.t.Helper()
	h := p.open(path, syscall.O_RDONLY)
	defer p.close(h)
	return p.readFrom(h)
}

// write makes a file of text as cp does.
func (p *process) write(path, text string) {
	p.w.t.Helper()
	h := p.open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	if text != "" {
		p.writeTo(h, 0, text)
	}
	p.close(h)
}

func (p *process) tryRename(from, to string, flags uint32) error {
	d1, n1, err := p.walk(from)
	if err != nil {
		return err
	}
	d2, n2, err := p.walk(to)
	if err != nil {
		return err
	}
	return p.w.fs.Rename(p.caller(), d1, n1, d2, n2, flags)
}

func (p *process) rename(from, to string) {
	p.w.t.Helper()
	p.must("rename "+from+" "+to, p.tryRename(from, to, 0))
}

func (p *process) tryUnlink(path string) error {
	dir, name, err := p.walk(path)
	if err != nil {
		return err
	}
	return p.w.fs.Unlink(p.caller(), dir, name)
}

func (p *process) unlink(path string) {
	p.w.t.Helper()
	p.must("unlink "+path, p.tryUnlink(path))
}

func (p *process) mkdir(path string) {
	p.w.t.Helper()
	dir, name, err := p.walk(path)
	if err == nil {
		_, err = p.w.fs.Mkdir(p.caller(), dir, name, 0o755)
	}
	p.must("mkdir "+path, err)
}

func (p *process) stat(path string) Attr {
	p.w.t.Helper()
	a, err := p.lookup(path)
	if err == nil && a.Volatile { // what the kernel may not keep it asks again
		a, err = p.w.fs.Getattr(p.caller(), a.Ino, nil)
	}
	p.must("stat "+path, err)
	return a
}

func (p *process) set(path string, s SetAttr) {
	p.w.t.Helper()
	a, err := p.lookup(path)
	if err == nil {
		_, err = p.w.fs.Setattr(p.caller(), a.Ino, nil, s)
	}
	p.must("setattr "+path, err)
}

func (p *process) list(path string) []string {
	p.w.t.Helper()
	ino := Ino(0)
	if path == "" {
		a, err := p.w.fs.Lookup(p.caller(), RootIno, "s")
		p.must("lookup", err)
		ino = a.Ino
	} else {
		ino = p.stat(path).Ino
	}
	entries, err := p.w.fs.ReadDir(p.caller(), ino)
	p.must("readdir", err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	sort.Strings(names)
	return names
}
