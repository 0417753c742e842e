package daemon

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity/credential"
)

const (
	// meetAgain is how often it is looked whether another day has begun.
	meetAgain = time.Minute
	// rotateWithin is how long admins' devices wait at random before one of them
	// changes the key of a space that somebody has left: mostly the first is done
	// before the others begin. Two keys do no harm.
	rotateWithin = 20 * time.Second
)

// A meeting is what a space needs to be tended.
type meeting struct {
	meet  func(topics ...[32]byte)
	retry func() // try refused peers again
	now   func() time.Time
	log   *slog.Logger
	soon  time.Duration // how long to wait at most before the key is changed
}

// tendSpace keeps a space at its meeting places, which follow from its key and
// the day, has refused peers tried again when the members have changed, and
// changes the key when somebody has it who should not.
func tendSpace(ctx context.Context, s *space.Space, m meeting) error {
	changes, cancel := s.Notify()
	defer cancel()
	tick := time.NewTicker(meetAgain)
	defer tick.Stop()
	rotate := time.NewTimer(0)
	rotate.Stop()
	waiting := false
	heads := s.CredentialHeads()
	var at [][32]byte
	for {
		topics, err := s.Topics(m.now())
		if err != nil {
			m.log.Warn("the meeting places of a space are not all known", "space", s.Name(), "err", err)
		}
		if !slices.Equal(topics, at) {
			m.meet(topics...)
			at = topics
		}
		if !waiting && mayRotate(s) {
			waiting = true
			if _, here := s.StaleBy(); here {
				rotate.Reset(0)
			} else {
				rotate.Reset(rand.N(m.soon))
			}
		}
		select {
		case <-changes:
		case <-tick.C:
		case <-rotate.C:
			waiting = false
			if mayRotate(s) {
				if err := s.Rotate(ctx); err != nil {
					m.log.Warn("the key of a space could not be changed", "space", s.Name(), "err", err)
					waiting = true
					rotate.Reset(meetAgain)
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := s.CredentialHeads(); !slices.Equal(now, heads) {
			heads = now
			m.retry()
		}
	}
}

// mayRotate reports whether this device can change a key that somebody has who
// is no member any more.
func mayRotate(s *space.Space) bool {
	return s.Role() == credential.Admin && s.Standing() == space.Present && s.Stale()
}
