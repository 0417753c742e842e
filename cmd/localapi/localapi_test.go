package localapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fake answers with what the caller sent, so that a test sees both directions.
type fake struct {
	HaloBackend
	People
	err  error
	down chan struct{}
}

func (f *fake) Status(context.Context) (Status, error) { return Status{Name: "ann@lab"}, f.err }
func (f *fake) Down(context.Context) error {
	close(f.down)
	return f.err
}

func (f *fake) SetOnline(_ context.Context, online bool) (Status, error) {
	return Status{Online: online}, f.err
}

func (f *fake) CreateSpace(_ context.Context, name string) (Space, error) {
	return Space{Name: name}, f.err
}
func (f *fake) Spaces(context.Context) ([]Space, error) { return []Space{{Name: "notes"}}, f.err }
func (f *fake) Space(_ context.Context, name string) (Space, error) {
	return Space{Name: name}, f.err
}

func (f *fake) Members(_ context.Context, space string) ([]Member, error) {
	return []Member{{Name: space}}, f.err
}

func (f *fake) SetRole(_ context.Context, req MemberRequest) (Member, error) {
	return Member{Name: req.Space + req.Member, Role: req.Role}, f.err
}

func (f *fake) Remove(_ context.Context, req MemberRequest) (Member, error) {
	return Member{Name: req.Space + req.Member}, f.err
}

func (f *fake) Leave(_ context.Context, req LeaveRequest) (Space, error) {
	return Space{Name: req.Space}, f.err
}

func (f *fake) Rotate(_ context.Context, space string) (Space, error) {
	return Space{Name: space}, f.err
}

func (f *fake) Share(_ context.Context, req ShareRequest) (Invitation, error) {
	return Invitation{Space: req.Space, Role: req.Role}, f.err
}

func (f *fake) Invitations(_ context.Context, space string) ([]Invitation, error) {
	return []Invitation{{Space: space}}, f.err
}

func (f *fake) Revoke(_ context.Context, id string) (Invitation, error) {
	return Invitation{ID: id}, f.err
}

func (f *fake) Door(_ context.Context, req DoorRequest) ([]DoorEvent, error) {
	return []DoorEvent{{Number: req.After + 1, Name: req.ID}}, f.err
}

func (f *fake) Answer(_ context.Context, req AnswerRequest) (struct{}, error) {
	if !req.Yes || req.ID != "i" || req.Number != 7 {
		return struct{}{}, errors.New("another answer")
	}
	return struct{}{}, f.err
}

func (f *fake) Join(_ context.Context, req JoinRequest, progress func(JoinStep)) (Space, error) {
	progress(JoinStep{Text: "looking for the inviter"})
	progress(JoinStep{Text: "fetching", Code: "123456"})
	return Space{Name: req.Name}, f.err
}

func (f *fake) Rebuild(_ context.Context, space string) (Space, error) {
	return Space{Name: space}, f.err
}
func (f *fake) Log(_ context.Context, path string) ([]Version, error) {
	return []Version{{Path: path}}, f.err
}

func (f *fake) Diff(_ context.Context, req DiffRequest) (Diff, error) {
	return Diff{Text: req.Path + req.From + req.To}, f.err
}

func (f *fake) Restore(_ context.Context, req RestoreRequest) (Restored, error) {
	return Restored{Path: req.Path + req.Version}, f.err
}

func (f *fake) Removed(_ context.Context, path string) ([]Removed, error) {
	return []Removed{{Path: path}}, f.err
}

func (f *fake) Undelete(_ context.Context, req UndeleteRequest) ([]Restored, error) {
	return []Restored{{Path: req.Path}}, f.err
}

func (f *fake) ShareCard(_ context.Context, req CardRequest) (Card, error) {
	return Card{Name: req.TTL.String()}, f.err
}
func (f *fake) SignedLog(_ context.Context, space string, w io.Writer) error {
	if f.err == nil {
		_, _ = io.WriteString(w, space)
	}
	return f.err
}
func (f *fake) RevokeCards(context.Context) (int, error) { return 7, f.err }

func (f *fake) Apps(context.Context) ([]App, error) { return []App{{Name: "board"}}, f.err }

// serve runs a server for b in a new home until the test ends.
func serve(t *testing.T, home string, b Backend) Client {
	t.Helper()
	l, err := Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, b, "test", slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(SocketPath(home)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return Client{Home: home}
}

func TestRoundTrips(t *testing.T) {
	ctx := context.Background()
	c := serve(t, t.TempDir(), &fake{down: make(chan struct{})})
	var steps []JoinStep
	tests := []struct {
		name string
		call func() (any, error)
		want any
	}{
		{"status", func() (any, error) { return c.Status(ctx) }, Status{Name: "ann@lab"}},
		{"online", func() (any, error) { return c.SetOnline(ctx, true) }, Status{Online: true}},
		{"create", func() (any, error) { return c.CreateSpace(ctx, "a/b?c") }, Space{Name: "a/b?c"}},
		{"spaces", func() (any, error) { return c.Spaces(ctx) }, []Space{{Name: "notes"}}},
		{"space with odd name", func() (any, error) { return c.Space(ctx, "a/b?c%2f") }, Space{Name: "a/b?c%2f"}},
		{"members", func() (any, error) { return c.Members(ctx, "a/b") }, []Member{{Name: "a/b"}}},
		{"role", func() (any, error) { return c.SetRole(ctx, MemberRequest{"s", "m", "admin"}) }, Member{Name: "sm", Role: "admin"}},
		{"remove", func() (any, error) { return c.Remove(ctx, MemberRequest{Space: "s", Member: "m"}) }, Member{Name: "sm"}},
		{"leave", func() (any, error) { return c.Leave(ctx, LeaveRequest{Space: "s"}) }, Space{Name: "s"}},
		{"rotate", func() (any, error) { return c.Rotate(ctx, "s") }, Space{Name: "s"}},
		{"share", func() (any, error) { return c.Share(ctx, ShareRequest{Space: "n", Role: "reader", TTL: time.Hour}) }, Invitation{Space: "n", Role: "reader"}},
		{"invitations", func() (any, error) { return c.Invitations(ctx, "n") }, []Invitation{{Space: "n"}}},
		{"revoke", func() (any, error) { return c.Revoke(ctx, "i") }, Invitation{ID: "i"}},
		{"door", func() (any, error) { return c.Door(ctx, DoorRequest{"i", 6}) }, []DoorEvent{{Number: 7, Name: "i"}}},
		{"answer", func() (any, error) { return nil, c.Answer(ctx, AnswerRequest{"i", 7, true}) }, nil},
		{"rebuild", func() (any, error) { return c.Rebuild(ctx, "n") }, Space{Name: "n"}},
		{"card", func() (any, error) { return c.ShareCard(ctx, CardRequest{TTL: time.Hour}) }, Card{Name: "1h0m0s"}},
		{"revoke cards", func() (any, error) { return c.RevokeCards(ctx) }, 7},
		{"signed log", func() (any, error) {
			r, err := c.SignedLog(ctx, "a/b")
			if err != nil {
				return nil, err
			}
			data, err := io.ReadAll(r)
			return string(data), errors.Join(err, r.Close())
		}, "a/b"},
		{"apps", func() (any, error) { return c.Apps(ctx) }, []App{{Name: "board"}}},
		{"log", func() (any, error) { return c.Log(ctx, "n/a b") }, []Version{{Path: "n/a b"}}},
		{"diff", func() (any, error) { return c.Diff(ctx, DiffRequest{"p", "1", "2"}) }, Diff{Text: "p12"}},
		{"restore", func() (any, error) { return c.Restore(ctx, RestoreRequest{"p", "1"}) }, Restored{"p1"}},
		{"removed", func() (any, error) { return c.Removed(ctx, "n") }, []Removed{{Path: "n"}}},
		{"undelete", func() (any, error) { return c.Undelete(ctx, UndeleteRequest{Path: "n"}) }, []Restored{{"n"}}},
		{"join", func() (any, error) {
			return c.Join(ctx, JoinRequest{Name: "n"}, func(s JoinStep) { steps = append(steps, s) })
		}, Space{Name: "n"}},
		{"down", func() (any, error) { return nil, c.Down(ctx) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.call()
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if want := []JoinStep{{Text: "looking for the inviter"}, {Text: "fetching", Code: "123456"}}; !reflect.DeepEqual(steps, want) {
		t.Errorf("progress %v, want %v", steps, want)
	}
}

func TestErrorsCross(t *testing.T) {
	ctx := context.Background()
	sent := &Error{Code: NotFound, Message: "there is no space notes", Next: "see echofs space list"}
	c := serve(t, t.TempDir(), &fake{err: sent})
	for name, call := range map[string]func() error{
		"plain":    func() error { _, err := c.Space(ctx, "notes"); return err },
		"streamed": func() error { _, err := c.Join(ctx, JoinRequest{}, nil); return err },
	} {
		got, ok := errors.AsType[*Error](call())
		if !ok || *got != *sent {
			t.Errorf("%s: got %+v, want %+v", name, got, sent)
		}
	}
}

func TestBugsAreAnswered(t *testing.T) {
	c := serve(t, t.TempDir(), nil) // a Backend that is not there: every call panics
	_, err := c.Status(context.Background())
	if e := AsError(err); e.Code != Failed || !strings.Contains(e.Message, "ran into a bug") {
		t.Errorf("got %+v", e)
	}
}

func TestNoDaemon(t *testing.T) {
	home := t.TempDir()
	check := func(what string) {
		t.Helper()
		_, err := Client{Home: home}.Status(context.Background())
		if e := AsError(err); e.Code != NotRunning || !strings.Contains(e.Next, "echofs up") {
			t.Errorf("%s: got %+v", what, e)
		}
	}
	check("no socket")
	// A daemon that was killed leaves its socket.
	l, err := Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.(*listener).UnixListener.Close()
	check("dead socket")
	serve(t, home, &fake{}) // and the next one takes its place
	if _, err := (Client{Home: home}).Status(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	for _, home := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		c := serve(t, home, &fake{})
		for path, want := range map[string]os.FileMode{
			SocketPath(home):               os.ModeSocket | 0o600,
			filepath.Dir(SocketPath(home)): os.ModeDir | 0o700,
		} {
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
		if _, err := c.Status(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherVersion(t *testing.T) {
	r := httptest.NewRequest("GET", "/v1/status", nil)
	r.Header.Set(protocolHeader, "99")
	w := httptest.NewRecorder()
	Handler(&fake{}, "1.2", slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	if w.Code != http.StatusUpgradeRequired || !strings.Contains(w.Body.String(), "echofs down") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzRequest sends any body to any path: the answer is always JSON.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{`true`, `"notes"`, `{"role":"reader"}`, `{"invitation":"x"}`, `{"x":1}`, `"a" "b"`, "", "[[[["} {
		for _, path := range []string{"/v1/online", "/v1/spaces", "/v1/spaces/x/share", "/v1/join", "/v2", "/v1/spaces/%2F"} {
			f.Add(path, body)
		}
	}
	h := Handler(&fake{}, "test", slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, path, body string) {
		if path == "/v1/down" || !strings.HasPrefix(path, "/") {
			return
		}
		r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader(body)))
		r.URL.Path = path
		r.Header.Set(protocolHeader, protocol)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("POST %q %q: %d %s", path, body, w.Code, w.Body)
		}
	})
}
