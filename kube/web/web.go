// Package web serves the apps that live in spaces.
//
// An app is a folder "apps/APP" of a space. It is served at an origin of its
// own, http://APP--SPACE.localhost:PORT/, from the data of the space and never
// through the mount or the operating system. Every request looks at the space
// as it is now, so a change, made here or by a peer, is what the next request
// gets. Only this computer, and on it only this user, is answered; the one
// exception is the signaling server, which peers may reach too.
//
// # Concurrency
//
// A Server may be used from any goroutine. Listen comes first, Run after it,
// once. Config.Spaces is called for each request and must be quick.
package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// SignalPath is where peers find the signaling server.
const SignalPath = "/.well-known/dx/signal"

const (
	maxConns   = 1024
	maxHeader  = 32 << 10
	headerTime = 5 * time.Second
	readTime   = 30 * time.Second
	idleTime   = 2 * time.Minute
	closeTime  = 2 * time.Second
)

// Config says what a Server serves. Spaces is required.
type Config struct {
	Spaces func() []*space.Space
	Signal http.Handler // answers SignalPath; nil: nothing does
	Hosts  []string     // names, beside loopback and IP addresses, at which Signal is reached
	Log    *slog.Logger
}

// App is one app that can be opened.
type App struct {
	Space string `json:"space"` // name of the space
	Name  string `json:"name"`  // name of the folder
	URL   string `json:"url"`
}

// Server answers HTTP for this daemon.
type Server struct {
	spaces func() []files
	signal http.Handler
	hosts  map[string]bool
	log    *slog.Logger
	packed *packCache
	uid    int

	listener net.Listener // set by Listen
	port     int          // set by Listen; 0: Host headers carry no port
}

// New returns a Server that does not listen yet.
func New(cfg Config) *Server {
	return newServer(cfg, func() []files {
		var out []files
		for _, s := range cfg.Spaces() {
			out = append(out, fromSpace{s})
		}
		return out
	})
}

func newServer(cfg Config, spaces func() []files) *Server {
	s := &Server{
		spaces: spaces,
		signal: cfg.Signal,
		hosts:  make(map[string]bool),
		log:    cfg.Log,
		packed: newPackCache(),
		uid:    os.Getuid(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, h := range cfg.Hosts {
		s.hosts[strings.ToLower(h)] = true
	}
	return s
}

// Listen takes the address, such as "127.0.0.1:0".
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the web address %s is in use by another program (or another echofs): "+
			"choose a free one, or let one be picked with --http 127.0.0.1:0: %w", addr, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("the web address %s is not allowed for this user: "+
			"ports below 1024 need rights, pick another with --http 127.0.0.1:0: %w", addr, err)
	case err != nil:
		return fmt.Errorf("the web address %q cannot be used, it should look like 127.0.0.1:8080 or 127.0.0.1:0: %w", addr, err)
	}
	s.listener = l
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		s.port = a.Port
	}
	return nil
}

// Addr is where the server listens, or nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends and then closes all connections. It needs Listen.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		return errors.New("web server has no address yet")
	}
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withCaller,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{}) // closed when Serve has returned
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-done:
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if h.Shutdown(late) != nil {
			_ = h.Close()
		}
	}()
	err := h.Serve(limit(s.listener, maxConns))
	close(done)
	<-stopped
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("web server: %w", err)
}

// Apps lists the apps that have an index.html.
func (s *Server) Apps() []App {
	var out []App
	for label, f := range s.folders() {
		if _, err := f.files.Lookup(f.id, indexFile); err != nil {
			continue
		}
		out = append(out, App{Space: f.files.Name(), Name: f.name, URL: "http://" + s.host(label) + "/"})
	}
	sortApps(out)
	return out
}

// host is the Host header of a label: what a browser sends.
func (s *Server) host(label string) string {
	if s.port == 0 || s.port == 80 {
		return label + localSuffix
	}
	return label + localSuffix + ":" + strconv.Itoa(s.port)
}

// folder is an app's folder in a space.
type folder struct {
	files files
	id    space.NodeID
	name  string
}

// folders maps each label to its folder. It is computed for each request: a
// handful of lookups in memory.
func (s *Server) folders() map[string]folder {
	var found []folder
	var names []candidate
	for _, f := range s.spaces() {
		apps, err := f.Lookup(space.Root, appsFolder)
		if err != nil || apps.Kind != space.Dir {
			continue
		}
		list, err := f.List(apps.ID)
		if err != nil {
			s.log.Warn("apps of a space cannot be listed", "space", f.Name(), "err", err)
			continue
		}
		id := f.ID()
		sum := sha256.Sum256(id[:])
		for _, a := range list {
			if a.Kind != space.Dir {
				continue
			}
			found = append(found, folder{files: f, id: a.ID, name: a.Name})
			names = append(names, candidate{space: f.Name(), spaceHash: hex.EncodeToString(sum[:]), app: a.Name})
		}
	}
	out := make(map[string]folder, len(found))
	for i, label := range labels(names) {
		out[label] = found[i]
	}
	return out
}
