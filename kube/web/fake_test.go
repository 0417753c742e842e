package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/space"
)

// memory is a space made of a map, for tests: path → content. A content that
// starts with "link:" is a symbolic link, "away" has not arrived, "broken"
// cannot be read.
type memory struct {
	name  string
	id    [32]byte
	files map[string]string
}

func newMemory(name string, files map[string]string) *memory {
	return &memory{name: name, id: sha256.Sum256([]byte("space " + name)), files: files}
}

func (m *memory) ID() [32]byte { return m.id }
func (m *memory) Name() string { return m.name }

func nodeOf(path string) (id space.NodeID) {
	if path == "" {
		return space.Root
	}
	sum := sha256.Sum256([]byte(path))
	copy(id[:], sum[:])
	return id
}

// path finds what an ID was made of.
func (m *memory) path(id space.NodeID) (string, bool) {
	if id == space.Root {
		return "", true
	}
	for p := range m.files {
		for q := p; q != ""; {
			if nodeOf(q) == id {
				return q, true
			}
			i := strings.LastIndexByte(q, '/')
			if i < 0 {
				break
			}
			q = q[:i]
		}
	}
	return "", false
}

func (m *memory) info(path string) (space.Info, bool) {
	in := space.Info{ID: nodeOf(path), Name: path[strings.LastIndexByte(path, '/')+1:]}
	if data, ok := m.files[path]; ok {
		if target, ok := strings.CutPrefix(data, "link:"); ok {
			in.Kind, in.Target = space.Symlink, target
		} else {
			in.Kind, in.Size = space.File, int64(len(data))
		}
		return in, true
	}
	for p := range m.files {
		if strings.HasPrefix(p, path+"/") {
			in.Kind = space.Dir
			return in, true
		}
	}
	return in, false
}

func (m *memory) Lookup(parent space.NodeID, name string) (space.Info, error) {
	dir, ok := m.path(parent)
	if !ok {
		return space.Info{}, os.ErrNotExist
	}
	in, ok := m.info(strings.TrimPrefix(dir+"/"+name, "/"))
	if !ok {
		return space.Info{}, &space.Error{Op: "lookup", Space: m.name, Path: name, Err: os.ErrNotExist}
	}
	return in, nil
}

func (m *memory) List(dir space.NodeID) ([]space.Info, error) {
	base, ok := m.path(dir)
	if !ok {
		return nil, os.ErrNotExist
	}
	seen := map[string]bool{}
	var out []space.Info
	for p := range m.files {
		rest, ok := strings.CutPrefix(p, strings.TrimPrefix(base+"/", "/"))
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if !seen[name] {
			seen[name] = true
			in, err := m.Lookup(dir, name)
			if err != nil {
				return nil, err
			}
			out = append(out, in)
		}
	}
	return out, nil
}

func (m *memory) open(_ context.Context, id space.NodeID) (content, error) {
	p, _ := m.path(id)
	switch data := m.files[p]; data {
	case "away":
		return nil, errNotHere
	case "broken":
		return nil, errors.New("disk on fire")
	default:
		return memoryContent{bytes.NewReader([]byte(data)), data}, nil
	}
}

type memoryContent struct {
	*bytes.Reader
	data string
}

func (c memoryContent) Version() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(c.data))) }
func (c memoryContent) Close() error    { return nil }

// serving returns a server of the spaces, on port 7777.
func serving(spaces ...*memory) *Server {
	s := newServer(Config{}, func() []files {
		var out []files
		for _, m := range spaces {
			out = append(out, m)
		}
		return out
	})
	s.port = 7777
	return s
}

// get makes a request as it would come from a browser on this machine. The
// target is put into the request line as it is.
func get(s http.Handler, method, host, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.Host = host
	r.RemoteAddr = "127.0.0.1:50000"
	r.RequestURI = target
	if u, err := url.ParseRequestURI(target); err == nil { // as net/http does
		r.URL = u
	} else {
		r.URL = &url.URL{Path: target}
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
