package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// protocol is the version of the API. Command and daemon must agree on it.
const protocol = "1"

const (
	protocolHeader = "Echofs-Protocol"
	versionHeader  = "Echofs-Version"

	maxBody = 64 << 10 // of a request
)

// Serve answers requests on l until ctx ends, and closes l. Requests under way
// are then cancelled and get a moment to answer.
func Serve(ctx context.Context, l net.Listener, b Backend, version string, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           Handler(b, version, log),
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			err = srv.Close()
			done <- err
			return
		}
		done <- nil
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the command socket: %w", err)
	}
	return <-done
}

// Handler is the API as an HTTP handler.
func Handler(b Backend, version string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	for pattern, call := range routes(b) {
		mux.Handle(pattern, call)
	}
	for _, part := range []map[string]http.Handler{sharingRoutes(b), memberRoutes(b), historyRoutes(b), haloRoutes(b), cardRoutes(b), exportRoutes(b), peopleRoutes(b)} {
		for pattern, call := range part {
			mux.Handle(pattern, call)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, &Error{Code: Usage, Message: "the daemon knows no request " + r.Method + " " + r.URL.Path})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("a command ran into a bug", "request", r.Method+" "+r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				reply(w, nil, &Error{
					Code:    Failed,
					Message: fmt.Sprintf("the daemon ran into a bug: %v", p),
					Next:    "its log says more; please report it",
				})
			}
		}()
		w.Header().Set(protocolHeader, protocol)
		w.Header().Set(versionHeader, version)
		if got := r.Header.Get(protocolHeader); got != protocol {
			reply(w, nil, &Error{
				Code:    Mismatch,
				Message: fmt.Sprintf("the daemon is echofs %s, this command is of another version", version),
				Next:    "restart the daemon with the same version: echofs down, then echofs up",
			})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if gate, ok := b.(Gate); ok && !needsNoKeys(r.URL.Path) {
			session, leave, err := gate.Unlocked(r.Context())
			if err != nil {
				reply(w, nil, err)
				return
			}
			defer leave()
			r = r.WithContext(session)
		}
		mux.ServeHTTP(w, r)
	})
}

// A call answers one kind of request with a value or an error.
type call func(r *http.Request) (any, error)

func (c call) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, err := c(r)
	reply(w, v, err)
}

func routes(b Backend) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /v1/status": call(func(r *http.Request) (any, error) { return b.Status(r.Context()) }),
		"POST /v1/down":  call(func(r *http.Request) (any, error) { return struct{}{}, b.Down(r.Context()) }),
		"POST /v1/online": call(func(r *http.Request) (any, error) {
			var online bool
			if err := body(r, &online); err != nil {
				return nil, err
			}
			return b.SetOnline(r.Context(), online)
		}),
		"GET /v1/spaces": call(func(r *http.Request) (any, error) { return b.Spaces(r.Context()) }),
		"POST /v1/spaces": call(func(r *http.Request) (any, error) {
			var name string
			if err := body(r, &name); err != nil {
				return nil, err
			}
			return b.CreateSpace(r.Context(), name)
		}),
		"GET /v1/spaces/{space}": call(func(r *http.Request) (any, error) {
			return b.Space(r.Context(), r.PathValue("space"))
		}),
		"POST /v1/spaces/{space}/rebuild": call(func(r *http.Request) (any, error) {
			return b.Rebuild(r.Context(), r.PathValue("space"))
		}),
		"GET /v1/apps": call(func(r *http.Request) (any, error) { return b.Apps(r.Context()) }),
	}
}

// body decodes the body of a request.
func body(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &Error{Code: Usage, Message: "the daemon does not understand the request: " + err.Error(), Err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &Error{Code: Usage, Message: "the daemon does not understand the request: more than one value"}
	}
	return nil
}

// reply sends v, or err when there is one.
func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := AsError(err)
		w.WriteHeader(httpStatus(e.Code))
		v = e
	}
	// A client that hangs up does not want the answer.
	_ = json.NewEncoder(w).Encode(v)
}

func httpStatus(c Code) int {
	switch c {
	case Usage, NeedsPIN:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Busy:
		return http.StatusConflict
	case Refused, WrongPIN:
		return http.StatusForbidden
	case Unreachable:
		return http.StatusGatewayTimeout
	case Locked:
		return http.StatusLocked
	case Mismatch:
		return http.StatusUpgradeRequired
	default:
		return http.StatusInternalServerError
	}
}
