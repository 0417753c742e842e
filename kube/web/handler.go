package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// serve answers with the file or folder at t within the app.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, app folder, t target) {
	info, err := app.resolve(t.segments)
	if err == nil && info.Kind == space.Dir {
		if !t.folder {
			t.folder = true
			to := t.String()
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			secure(w.Header(), pagePolicy)
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			return
		}
		info, err = app.resolve(append(t.segments[:len(t.segments):len(t.segments)], indexFile))
	} else if err == nil && t.folder {
		err = os.ErrNotExist // a file with a slash behind it
	}
	if err == nil && info.Kind != space.File {
		err = os.ErrNotExist
	}
	if err != nil && errors.Is(err, os.ErrNotExist) && len(t.segments) > 0 && navigation(r, t) {
		// Single-page apps keep their routes in the path: the app decides.
		w.Header().Add("Vary", "Accept, Sec-Fetch-Mode")
		info, err = app.resolve([]string{indexFile})
		if err == nil && info.Kind != space.File {
			err = os.ErrNotExist
		}
	}
	switch {
	case err == nil:
		s.send(w, r, app, info)
	case errors.Is(err, os.ErrNotExist) && len(t.segments) == 0:
		noIndex(w, r)
	case errors.Is(err, os.ErrNotExist):
		notFound(w, r)
	default:
		s.log.Warn("file of an app cannot be found", "space", app.files.Name(), "app", app.name, "err", err)
		broken(w, r)
	}
}

// navigation reports whether a person goes to t, rather than a page loading a
// file that is not there.
func navigation(r *http.Request, t target) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	if n := len(t.segments); n > 0 && strings.ContainsRune(t.segments[n-1], '.') {
		return false
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		mime, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(mime), "text/html") {
			return true
		}
	}
	return false
}

// resolve walks from the app's folder. Symbolic links are followed within the
// app only.
func (f folder) resolve(path []string) (space.Info, error) {
	for links := 0; links <= maxLinks; links++ {
		at := space.Info{ID: f.id, Kind: space.Dir}
		redirected := false
		for i, name := range path {
			if at.Kind != space.Dir {
				return space.Info{}, os.ErrNotExist
			}
			next, err := f.files.Lookup(at.ID, name)
			if err != nil {
				return space.Info{}, err
			}
			if next.Kind == space.Symlink {
				to, ok := join(path[:i], next.Target)
				if !ok {
					return space.Info{}, os.ErrNotExist
				}
				path = append(to, path[i+1:]...)
				if len(path) > maxSegments {
					return space.Info{}, os.ErrNotExist
				}
				redirected = true
				break
			}
			at = next
		}
		if !redirected {
			return at, nil
		}
	}
	return space.Info{}, os.ErrNotExist
}

// send answers with the content of one file.
func (s *Server) send(w http.ResponseWriter, r *http.Request, app folder, info space.Info) {
	c, err := app.files.open(r.Context(), info.ID)
	switch {
	case errors.Is(err, errNotHere):
		notHere(w, r)
		return
	case errors.Is(err, os.ErrNotExist): // deleted since it was looked up
		notFound(w, r)
		return
	case err != nil:
		s.log.Warn("file of an app cannot be opened", "space", app.files.Name(), "app", app.name, "err", err)
		broken(w, r)
		return
	}
	defer func() { _ = c.Close() }()

	k := kindOf(info.Name)
	id := app.files.ID()
	tag := tagOf(id[:], info.ID[:], c.Version())
	var body io.ReadSeeker = io.NewSectionReader(c, 0, c.Size())
	h := w.Header()
	secure(h, appPolicy)
	h.Set("Content-Type", k.mime)
	if k.compress {
		h.Add("Vary", "Accept-Encoding")
		if r.Header.Get("Range") == "" && acceptsGzip(strings.Join(r.Header.Values("Accept-Encoding"), ",")) {
			data, err := s.pack(tag, c)
			if err != nil {
				s.log.Warn("file of an app cannot be read", "space", app.files.Name(), "app", app.name, "err", err)
				broken(w, r)
				return
			}
			if data != nil {
				tag += "-gz" // another representation is another strong tag
				h.Set("Content-Encoding", "gzip")
				body = bytes.NewReader(data)
			}
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	// No modification time: a file can get an older one with newer content.
	http.ServeContent(w, r, "", time.Time{}, body)
}

// pack returns the compressed content, or nil where that does not pay.
func (s *Server) pack(tag string, c content) ([]byte, error) {
	if c.Size() < minGzip || c.Size() > maxGzip {
		return nil, nil
	}
	if data, ok := s.packed.get(tag); ok {
		return data, nil
	}
	plain := make([]byte, c.Size())
	if _, err := io.ReadFull(io.NewSectionReader(c, 0, c.Size()), plain); err != nil {
		return nil, err
	}
	data, err := pack(plain)
	if err != nil {
		return nil, err
	}
	s.packed.put(tag, data)
	return data, nil
}

func tagOf(space, node []byte, version string) string {
	h := sha256.New()
	h.Write(space)
	h.Write(node)
	h.Write([]byte(version))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
