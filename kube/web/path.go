package web

import (
	"net/url"
	"strings"
)

// Limits on what a request may name.
const (
	maxPath     = 4096
	maxSegments = 64
	maxLinks    = 8 // symbolic links followed for one request
)

// target is the path of a request, decoded once and checked.
type target struct {
	segments []string // none for "/"
	folder   bool     // the path ended in a slash
}

// parsePath decodes the path of a request, exactly once. It refuses whatever
// could mean one thing to us and another to somebody else: encoded slashes,
// backslashes, NUL, "." and "..", and empty names. ok is false for those.
func parsePath(escaped string) (t target, ok bool) {
	if len(escaped) > maxPath || !strings.HasPrefix(escaped, "/") {
		return target{}, false
	}
	rest := escaped[1:]
	if rest == "" {
		return target{folder: true}, true
	}
	if strings.HasSuffix(rest, "/") {
		t.folder = true
		rest = rest[:len(rest)-1]
	}
	if strings.Count(rest, "/") >= maxSegments {
		return target{}, false
	}
	for raw := range strings.SplitSeq(rest, "/") {
		name, err := url.PathUnescape(raw)
		if err != nil || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
			return target{}, false
		}
		t.segments = append(t.segments, name)
	}
	return t, true
}

// String is the path as it is written in a URL. It starts with exactly one
// slash, so it never names another host.
func (t target) String() string {
	var b strings.Builder
	for _, s := range t.segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	if t.folder || len(t.segments) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// reserved reports whether the daemon, not the app, answers for the path.
func (t target) reserved() bool {
	s := t.segments
	return len(s) > 0 && (s[0] == ".kube" || s[0] == ".well-known" && len(s) > 1 && s[1] == "dx")
}

// join carries a relative link target over dir, a path within the app. It fails
// for a target that is absolute or leads outside the app.
func join(dir []string, link string) (path []string, ok bool) {
	if link == "" || strings.HasPrefix(link, "/") || strings.ContainsAny(link, "\\\x00") {
		return nil, false
	}
	path = append(path, dir...)
	for s := range strings.SplitSeq(link, "/") {
		switch s {
		case "", ".":
		case "..":
			if len(path) == 0 {
				return nil, false
			}
			path = path[:len(path)-1]
		default:
			path = append(path, s)
		}
	}
	return path, len(path) <= maxSegments
}
