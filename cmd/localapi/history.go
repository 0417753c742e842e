package localapi

import (
	"context"
	"net/http"
	"time"
)

// History is the part of a Backend that looks back. A path begins with the name
// of its space.
type History interface {
	// Log lists what happened to a file or folder, newest first.
	Log(ctx context.Context, path string) ([]Version, error)
	Diff(ctx context.Context, req DiffRequest) (Diff, error)
	// Restore makes a file what it was at a version.
	Restore(ctx context.Context, req RestoreRequest) (Restored, error)
	// Removed lists what can come back to a folder and below it.
	Removed(ctx context.Context, path string) ([]Removed, error)
	// Undelete brings back what was removed last under a path.
	Undelete(ctx context.Context, req UndeleteRequest) ([]Restored, error)
}

// Version is one change of a file or folder.
type Version struct {
	ID     string    `json:"id"`
	Full   string    `json:"full"` // the ID in full; ID is the shortest that tells it from the others
	Change string    `json:"change"`
	Time   time.Time `json:"time"` // by the clock of the author's device
	Name   string    `json:"name"` // of the author
	Author string    `json:"author"`
	Device string    `json:"device"`
	Size   int64     `json:"size"` // -1 if not known
	Path   string    `json:"path"`
	Was    string    `json:"was,omitempty"` // path before the change
	Data   bool      `json:"data"`          // it has bytes to compare and to restore
}

// DiffRequest asks what changed between two versions. No From is the one
// before To; no To is now.
type DiffRequest struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Diff is the difference between two versions.
type Diff struct {
	Text   string `json:"text"` // unified; empty if there is none
	Binary bool   `json:"binary"`
}

// RestoreRequest asks for a version of a file.
type RestoreRequest struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// UndeleteRequest asks for what was removed.
type UndeleteRequest struct {
	Path string `json:"path"`
	All  bool   `json:"all"` // also what was removed below it
}

// Restored is a file that is back.
type Restored struct {
	Path string `json:"path"` // in the mount
}

// Removed is a file or folder that can come back.
type Removed struct {
	Path string    `json:"path"` // begins with the name of the space
	Dir  bool      `json:"dir"`
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
	Name string    `json:"name"` // of who removed it
}

func historyRoutes(b History) map[string]http.Handler {
	return map[string]http.Handler{
		"POST /v1/history/log":      with(b, History.Log),
		"POST /v1/history/diff":     with(b, History.Diff),
		"POST /v1/history/restore":  with(b, History.Restore),
		"POST /v1/history/removed":  with(b, History.Removed),
		"POST /v1/history/undelete": with(b, History.Undelete),
	}
}

// with decodes the body of a request for fn.
func with[B, In, Out any](b B, fn func(B, context.Context, In) (Out, error)) call {
	return func(r *http.Request) (any, error) {
		var in In
		if err := body(r, &in); err != nil {
			return nil, err
		}
		return fn(b, r.Context(), in)
	}
}

// Log lists what happened to a file or folder, newest first.
func (c Client) Log(ctx context.Context, path string) (v []Version, err error) {
	return v, c.do(ctx, "POST", "/v1/history/log", path, &v)
}

// Diff tells two versions of a file apart.
func (c Client) Diff(ctx context.Context, req DiffRequest) (d Diff, err error) {
	return d, c.do(ctx, "POST", "/v1/history/diff", req, &d)
}

// Restore makes a file what it was at a version.
func (c Client) Restore(ctx context.Context, req RestoreRequest) (r Restored, err error) {
	return r, c.do(ctx, "POST", "/v1/history/restore", req, &r)
}

// Removed lists what can come back to a folder and below it.
func (c Client) Removed(ctx context.Context, path string) (r []Removed, err error) {
	return r, c.do(ctx, "POST", "/v1/history/removed", path, &r)
}

// Undelete brings back what was removed last under a path.
func (c Client) Undelete(ctx context.Context, req UndeleteRequest) (r []Restored, err error) {
	return r, c.do(ctx, "POST", "/v1/history/undelete", req, &r)
}
