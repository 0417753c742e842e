package vfs

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/echofs/echofs/crdt/space"
)

// What a new file was given stays when the daemon is killed before the space has it.
func TestAttributesOfANewFileSurvive(t *testing.T) {
	mode := uint32(0o640)
	for name, order := range map[string][]string{
		"after it was written":  {"write", "mode", "xattr"},
		"before it was written": {"mode", "xattr", "write"},
		"and it is written on":  {"write", "mode", "xattr", "write"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.process(10)
				h := p.open("doc", wr|creat)
				for _, do := range order {
					switch do {
					case "write":
						p.writeTo(h, 0, before)
						p.flush(h)
					case "mode":
						p.set("doc", SetAttr{Mode: &mode})
					case "xattr":
						p.must("setxattr", w.fs.Setxattr(p.caller(), h.Ino(), "user.a", []byte("1"), 0))
						p.must("setxattr", w.fs.Setxattr(p.caller(), h.Ino(), "user.gone", []byte("2"), 0))
						p.must("removexattr", w.fs.Removexattr(p.caller(), h.Ino(), "user.gone"))
					}
				}
				w.crash()
				info, err := w.space.Stat(w.node("doc"))
				if err != nil || info.Mode != space.ModeSet|mode {
					t.Errorf("mode %o, %v", info.Mode, err)
				}
				if v, err := w.space.Xattr(info.ID, "user.a"); err != nil || string(v) != "1" {
					t.Errorf("attribute %q, %v", v, err)
				}
				if v, err := w.space.Xattr(info.ID, "user.gone"); err == nil {
					t.Errorf("a removed attribute is back: %q", v)
				}
			})
		})
	}
}

func FuzzHeldAttributes(f *testing.F) {
	f.Add(attributes{}.encode())
	f.Add(attributes{space.ModeSet | 0o4755, map[string][]byte{"user.a": []byte("1"), "user.b": nil}}.encode())
	f.Add([]byte("\x00\x00\x00\x00\x01a\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := decodeAttributes(data); err == nil && !bytes.Equal(a.encode(), data) {
			t.Errorf("%x decodes to what encodes as %x", data, a.encode())
		}
	})
}
