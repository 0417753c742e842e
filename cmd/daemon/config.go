package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/echofs/echofs/cmd/localapi"
)

// DefaultHTTP is where apps and signaling are served unless told otherwise.
// The port is fixed, because it is part of the origin of every app.
const DefaultHTTP = "127.0.0.1:4480"

// Config is what Run is told. Home is required. Mount, HTTP and Signal fall
// back to what an earlier run was told, then to defaults.
type Config struct {
	Home    string   // absolute; made if missing
	Mount   string   // folder to mount at
	Name    string   // what a person is called who is new here
	HTTP    string   // host:port; port 0 picks one and keeps it
	Signal  []string // URLs of signaling servers beside our own
	Version string
	Log     *slog.Logger        // nil discards
	Getenv  func(string) string // nil is os.Getenv
	// Helper is the command line with which this program would be Helper; nil
	// leaves programs that watch the mount without news of remote changes.
	Helper []string
	// Passphrase asks for the one that unlocks the keys, for the first, second
	// and third time; nil is no answer. Without it a store that has one stays
	// locked until somebody unlocks it.
	Passphrase func(ctx context.Context, try int) ([]byte, error)
}

// settings is what one run remembers for the next.
type settings struct {
	Mount   string   `json:"mount,omitempty"`
	HTTP    string   `json:"http,omitempty"`    // as it was asked for
	Port    string   `json:"port,omitempty"`    // what a port 0 became
	Signal  []string `json:"signal,omitempty"`  // as they were asked for
	Met     []string `json:"met,omitempty"`     // from invitations
	Guests  []string `json:"guests,omitempty"`  // of those we invited
	Offline bool     `json:"offline,omitempty"` // `echofs offline` holds over a restart

	ShareActivity bool `json:"shareActivity,omitempty"` // tell others which file is looked at

	Names map[string]string `json:"names,omitempty"` // of the spaces, by ID, for when one cannot be opened
}

const maxSettings = 64 << 10

func settingsPath(home string) string { return filepath.Join(home, "settings.json") }

func loadSettings(home string) (settings, error) {
	var s settings
	path := settingsPath(home)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil && info.Size() > maxSettings {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, &localapi.Error{
			Code:    localapi.Failed,
			Message: fmt.Sprintf("the settings in %s cannot be read: %v", path, err),
			Next:    "correct or remove that file; it holds nothing but --mount, --http and --signal",
			Err:     err,
		}
	}
	return s, nil
}

// save replaces the file at once, or not at all.
func (s settings) save(home string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the settings: %w", err)
	}
	path := settingsPath(home)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the settings: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keeping the settings: %w", err)
	}
	return nil
}

// A plan is a Config and the settings, worked out.
type plan struct {
	Config
	next      settings // to remember
	mount     string
	makeMount bool   // it is the default one, which may be made
	listen    string // what to listen at first
	retry     string // what to listen at if that is taken; empty: nothing
}

// resolve works out what to do. It looks at nothing but its arguments.
func resolve(cfg Config, s settings) (plan, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Mount != "" {
		path, err := filepath.Abs(cfg.Mount)
		if err != nil {
			return plan{}, fmt.Errorf("mount point: %w", err)
		}
		s.Mount = path
	}
	p := plan{Config: cfg, mount: s.Mount}
	if p.mount == "" {
		home := cfg.Getenv("HOME")
		if home == "" {
			return plan{}, &localapi.Error{Code: localapi.Usage, Message: "there is no home folder to mount in", Next: "choose an empty folder with --mount DIR"}
		}
		p.mount, p.makeMount = filepath.Join(home, "echofs"), true
	}
	if within(p.mount, cfg.Home) || within(cfg.Home, p.mount) {
		return plan{}, &localapi.Error{
			Code:    localapi.Usage,
			Message: fmt.Sprintf("the mount point %s and the home %s must not contain each other", p.mount, cfg.Home),
			Next:    "choose another folder with --mount DIR",
		}
	}
	if cfg.HTTP != "" {
		if cfg.HTTP != s.HTTP {
			s.Port = ""
		}
		s.HTTP = cfg.HTTP
	}
	p.listen = s.HTTP
	if p.listen == "" {
		p.listen = DefaultHTTP
	}
	host, port, err := net.SplitHostPort(p.listen)
	if err != nil {
		return plan{}, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("--http %s is not HOST:PORT", p.listen), Next: "for example --http 127.0.0.1:0", Err: err}
	}
	if port == "0" && s.Port != "" {
		p.listen, p.retry = net.JoinHostPort(host, s.Port), p.listen
	}
	if len(cfg.Signal) > 0 {
		s.Signal = nil
		for _, raw := range cfg.Signal {
			if err := checkSignal(raw); err != nil {
				return plan{}, err
			}
			s.Signal = append(s.Signal, raw)
		}
	}
	p.next = s
	return p, nil
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// prepareMount makes the default mount point if it is missing. Any other must
// be there: a mistyped path should not become a folder.
func prepareMount(p plan) error {
	if p.makeMount {
		if err := os.MkdirAll(p.mount, 0o755); err == nil || isDeadMount(err) {
			return nil
		} else {
			return fmt.Errorf("making the mount point: %w", err)
		}
	}
	if _, err := os.Stat(p.mount); errors.Is(err, os.ErrNotExist) {
		return &localapi.Error{
			Code:    localapi.NotFound,
			Message: "there is no folder " + p.mount + " to mount at",
			Next:    "make it first: mkdir -p " + p.mount,
			Err:     err,
		}
	}
	return nil
}

// isDeadMount recognises the mount of a daemon that was killed. Mounting takes
// it away.
func isDeadMount(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, os.ErrExist)
}

// checkSignal tells whether somebody who typed a URL can mean a signaling server.
func checkSignal(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		return &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("--signal %s is not a URL of a signaling server", raw), Next: "for example --signal http://192.168.1.5:4480"}
	}
	return nil
}
