package localapi

import (
	"context"
	"io"
	"net/http"
)

// Exporting is the part of a Backend by which a space leaves as it is kept.
type Exporting interface {
	// SignedLog writes the signed log of a space; see package signedlog.
	SignedLog(ctx context.Context, space string, w io.Writer) error
}

func exportRoutes(b Exporting) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /v1/spaces/{space}/log": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out := &begun{w: w}
			// Of what has begun the client sees that it has no end.
			if err := b.SignedLog(r.Context(), r.PathValue("space"), out); err != nil && !out.yes {
				reply(w, nil, err)
			}
		}),
	}
}

// begun notes that something was written.
type begun struct {
	w   http.ResponseWriter
	yes bool
}

func (b *begun) Write(data []byte) (int, error) {
	if !b.yes {
		b.yes = true
		b.w.Header().Set("Content-Type", "application/octet-stream")
	}
	return b.w.Write(data)
}

// SignedLog returns the signed log of a space. The caller closes it.
func (c Client) SignedLog(ctx context.Context, space string) (io.ReadCloser, error) {
	res, err := c.send(ctx, "GET", spacePath(space, "/log"), nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
