package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// TestRetryOnNewMembers looks at a space that gets a member.
func TestRetryOnNewMembers(t *testing.T) {
	anna, err := identity.NewDevice(nil, "Anna")
	if err != nil {
		t.Fatal(err)
	}
	ben, err := identity.NewDevice(nil, "Ben")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: anna}, "home")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	committing := make(chan error, 1)
	go func() { committing <- s.Run(ctx) }()
	calls, done := make(chan struct{}, 10), make(chan error, 1)
	go func() { done <- onNewMembers(ctx, s, func() { calls <- struct{}{} }) }()

	in, err := s.Invite(credential.Editor, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	admit := func() {
		t.Helper()
		if _, err := s.Redeem(in.SecretHash, ben.Chain(), time.Now()); err != nil && !errors.Is(err, space.ErrUsed) {
			t.Fatal(err)
		}
	}
	admit()
	for len(calls) == 0 { // the watcher may have begun after the first change
		if in, err = s.Invite(credential.Editor, time.Hour); err != nil {
			t.Fatal(err)
		}
		if ben, err = identity.NewDevice(nil, "Ben"); err != nil {
			t.Fatal(err)
		}
		admit()
	}
	cancel()
	if err := errors.Join(<-committing, <-done); err != nil && !strings.Contains(err.Error(), "canceled") {
		t.Error(err)
	}
}
