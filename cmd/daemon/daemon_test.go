package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/keystore"
)

func TestLock(t *testing.T) {
	home := t.TempDir()
	if err := WaitStopped(context.Background(), home); err != nil {
		t.Errorf("nothing ever ran: %v", err)
	}
	unlock, err := lock(home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock(home)
	if e := localapi.AsError(err); e.Code != localapi.Busy || !strings.Contains(e.Message, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second daemon: %+v", e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := WaitStopped(ctx, home); !errors.Is(err, context.Canceled) {
		t.Errorf("while it runs: %v", err)
	}
	stopped := make(chan error)
	go func() { stopped <- WaitStopped(context.Background(), home) }()
	unlock()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if unlock, err = lock(home); err != nil {
		t.Errorf("after it ended: %v", err)
	} else {
		unlock()
	}
}

func TestPartsThatEnd(t *testing.T) {
	tests := []struct {
		name string
		run  func(context.Context) error
		want string
	}{
		{"by itself", func(context.Context) error { return nil }, "part: ended by itself"},
		{"with an error", func(context.Context) error { return errors.New("broken") }, "part: broken"},
		{"with a panic", func(context.Context) error { panic("bug") }, "part: panic: bug"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			failed := make(chan error, 1)
			stop := start(context.Background(), "part", func(err error) { failed <- err }, tt.run)
			if err := <-failed; err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			stop()
		})
	}
}

func TestPartsThatAreStopped(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	ended := false
	stop := start(parent, "part", func(err error) { t.Errorf("failed: %v", err) }, func(ctx context.Context) error {
		<-ctx.Done()
		ended = true
		return ctx.Err()
	})
	cancel() // the end of the daemon's context stops no part out of order
	stop()
	if !ended {
		t.Error("stop returned before the part ended")
	}
}

func TestProblems(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := &problems{now: func() time.Time { now = now.Add(time.Second); return now }}
	log := slog.New(watcher{Handler: slog.DiscardHandler, problems: p})
	log.Info("all is well")
	for range 3 {
		log.With("part", "replicate").With("space", "notes", "peer", "bob").Warn("entry refused", "reason", "bad signature")
	}
	log.Error("damaged", "space", "work")
	got := p.all()
	want := []localapi.Problem{
		{Space: "work", Message: "damaged", Count: 1, Time: time.Unix(1e9+4, 0)},
		{Space: "notes", Message: "entry refused, peer bob, reason bad signature", Count: 3, Time: time.Unix(1e9+3, 0)},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for i := range 2 {
		log.Error("request failed", "op", "read", "err", fmt.Errorf("in vain: %w", blob.ErrMissing{Hash: [32]byte{byte(i)}}))
	}
	if got := p.all(); len(got) != 3 || got[0].Count != 2 || !strings.Contains(got[0].Next, "online") {
		t.Errorf("missing pieces: %+v", got)
	}
	for i := range 2 * maxProblems {
		log.Warn(fmt.Sprint(i))
	}
	if got := p.all(); len(got) != maxProblems || got[0].Message != fmt.Sprint(2*maxProblems-1) {
		t.Errorf("kept %d, latest %q", len(got), got[0].Message)
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:80":   "127.0.0.1:80",
		"0.0.0.0:80":     "127.0.0.1:80",
		"[::]:80":        "127.0.0.1:80",
		"192.168.1.5:80": "192.168.1.5:80",
		"[::1]:80":       "[::1]:80",
	} {
		if got := reachable(in); got != want {
			t.Errorf("reachable(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestIdler(t *testing.T) {
	var i idler
	total := uint64(0)
	for n, tt := range []struct {
		more uint64
		want bool
	}{
		{1000, false}, {quiet + 1, false}, {quiet + 1, false}, {1000, true}, {1000, false}, {10 * quiet, false}, {0, true}, {0, false},
	} {
		total += tt.more
		if got := i.tick(total); got != tt.want {
			t.Errorf("tick %d: got %v", n, got)
		}
	}
}

// TestFailedFirstRun: a run that never was ready leaves the choice of a name
// open, and one with an identity keeps it.
func TestFailedFirstRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Home: t.TempDir(), Mount: t.TempDir(), HTTP: l.Addr().String(), Getenv: func(string) string { return "" }}
	dir := filepath.Join(cfg.Home, "identity")
	fails := func() {
		t.Helper()
		if e := localapi.AsError(Run(context.Background(), cfg, nil)); e.Code != localapi.Busy {
			t.Fatalf("got %+v", e)
		}
	}
	fails()
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an identity is left: %v", err)
	}
	made, err := identity.NewDevice(nil, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.Create(dir, made, nil, keystore.File, nil, keystore.Config{}); err != nil {
		t.Fatal(err)
	}
	fails()
	store, err := keystore.Open(dir, keystore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := store.Unlock(t.Context(), nil); err != nil || kept.Identity() != made.Identity() {
		t.Errorf("the identity is not what it was: %v", err)
	}
}
