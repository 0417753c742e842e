package rtc

import (
	"sync"
	"time"
)

// deadline is a point in time that can be waited for and moved.
type deadline struct {
	mu    sync.Mutex // guards the fields below
	at    time.Time
	timer *time.Timer
	fired chan struct{} // closed at the deadline, and when it moves
}

func newDeadline() *deadline { return &deadline{fired: make(chan struct{})} }

// set moves the deadline; the zero time is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	// Whoever waits looks again: the new deadline may be earlier.
	d.fireLocked()
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.fireLocked()
		})
	}
}

func (d *deadline) fireLocked() {
	close(d.fired)
	d.fired = make(chan struct{})
}

// check reports whether the deadline is in the past, and if not returns a
// channel that is closed when it passes or moves.
func (d *deadline) check() (change <-chan struct{}, passed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fired, !d.at.IsZero() && !time.Now().Before(d.at)
}
