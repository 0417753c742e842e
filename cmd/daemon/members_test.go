package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// TestTendSpace follows a space that gets a member, and loses one.
func TestTendSpace(t *testing.T) {
	var devices []*identity.Device
	for _, name := range []string{"Anna", "Ben"} {
		d, err := identity.NewDevice(nil, name)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: devices[0]}, "home")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	committing, tending := make(chan error, 1), make(chan error, 1)
	go func() { committing <- s.Run(ctx) }()
	met, retried := make(chan [][32]byte, 10), make(chan struct{}, 100)
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	go func() {
		tending <- tendSpace(ctx, s, meeting{
			meet:  func(topics ...[32]byte) { met <- topics },
			retry: func() { retried <- struct{}{} },
			now:   func() time.Time { return now },
			log:   slog.New(slog.DiscardHandler),
			soon:  time.Millisecond,
		})
	}()
	before := <-met
	if !slices.Equal(before, s.Meeting(now)) || slices.Contains(before, [32]byte(s.ID())) || slices.Contains(before, s.Key().Topic()) {
		t.Errorf("meets at %x", before)
	}
	if _, err := s.Admit(devices[1].Chain(), credential.Editor); err != nil {
		t.Fatal(err)
	}
	<-retried
	if err := s.SetRole(ctx, devices[1].Identity(), credential.None); err != nil {
		t.Fatal(err)
	}
	after := <-met // the key is changed without being asked for
	if s.Stale() || !slices.Equal(after[:2], s.Meeting(now)) || len(after) != 4 {
		t.Errorf("meets at %d places", len(after))
	}
	for _, topic := range before {
		if !slices.Contains(after, topic) {
			t.Error("who was away is not waited for")
		}
	}
	cancel()
	if err := errors.Join(<-committing, <-tending); err != nil && !strings.Contains(err.Error(), "canceled") {
		t.Error(err)
	}
}
