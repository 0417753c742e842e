package localapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// maxReply bounds what a client reads of one answer.
const maxReply = 64 << 20

// Client talks to the daemon of one home.
type Client struct {
	Home string
	Up   string // the command that starts its daemon; "" is "echofs up"
}

// Status asks the daemon how it is.
func (c Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, "GET", "/v1/status", nil, &s)
}

// Down asks the daemon to stop. It may still be stopping when Down returns.
func (c Client) Down(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/down", nil, &struct{}{})
}

// SetOnline connects the device to its peers, or cuts it off from all of them.
func (c Client) SetOnline(ctx context.Context, online bool) (s Status, err error) {
	return s, c.do(ctx, "POST", "/v1/online", online, &s)
}

// CreateSpace makes a new space.
func (c Client) CreateSpace(ctx context.Context, name string) (s Space, err error) {
	return s, c.do(ctx, "POST", "/v1/spaces", name, &s)
}

// Spaces lists the spaces of this device.
func (c Client) Spaces(ctx context.Context) (s []Space, err error) {
	return s, c.do(ctx, "GET", "/v1/spaces", nil, &s)
}

// Space tells about one space.
func (c Client) Space(ctx context.Context, name string) (s Space, err error) {
	return s, c.do(ctx, "GET", spacePath(name, ""), nil, &s)
}

// Rebuild makes the files of a space anew from its log.
func (c Client) Rebuild(ctx context.Context, name string) (s Space, err error) {
	return s, c.do(ctx, "POST", spacePath(name, "/rebuild"), nil, &s)
}

// Apps lists the web apps in all spaces.
func (c Client) Apps(ctx context.Context) (a []App, err error) {
	return a, c.do(ctx, "GET", "/v1/apps", nil, &a)
}

func spacePath(name, rest string) string {
	return "/v1/spaces/" + url.PathEscape(name) + rest
}

// do sends a request and decodes the answer into out.
func (c Client) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(out); err != nil {
		return c.broken(err)
	}
	return nil
}

// send sends a request. The answer is a success; its body is the caller's to close.
func (c Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var data []byte
	if in != nil {
		var err error
		if data, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://echofs"+path, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set(protocolHeader, protocol)
	client := http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(c.Home) },
		DisableKeepAlives: true,
	}}
	res, err := client.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		e := new(Error)
		if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(e); err != nil || e.Message == "" {
			return nil, c.broken(err)
		}
		return nil, e
	}
	return res, nil
}

// unreachable explains why a daemon could not be asked.
func (c Client) unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return &Error{
			Code:    NotRunning,
			Message: "no daemon is running for " + c.Home,
			Next:    "start one in another terminal: " + cmp.Or(c.Up, "echofs up"),
			Err:     err,
		}
	case errors.Is(err, os.ErrPermission), ofAnother(c.Home):
		return &Error{
			Code:    Refused,
			Message: "the daemon of " + c.Home + " belongs to another user",
			Next:    "run this command as that user, or choose your own home with --home",
			Err:     err,
		}
	}
	return c.broken(err)
}

// ofAnother tells whether the socket of home belongs to another user, whose
// daemon hangs up on us.
func ofAnother(home string) bool {
	info, err := os.Lstat(SocketPath(home))
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != uint32(os.Geteuid())
}

// broken reports a daemon that went away in the middle of an answer.
func (c Client) broken(err error) error {
	return &Error{
		Code:    Failed,
		Message: fmt.Sprintf("the daemon of %s did not finish its answer: %v", c.Home, err),
		Next:    "see whether it still runs: echofs status",
		Err:     err,
	}
}
