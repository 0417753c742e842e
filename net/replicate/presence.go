package replicate

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/wire"
)

// Presence is what a device tells its peers of the person at it. It goes to those
// who are connected and is never stored.
type Presence struct {
	Since time.Time // the device has been here for so long
	File  string    // what is being looked at, as a path in the space; empty: nothing, or it is not told
}

// A Peer is a device that is here. Who it is comes of the link, not of what it
// tells.
type Peer struct {
	identity.Profile
	Presence
}

const (
	maxPresenceFile = 1024                  // bytes of a path
	maxPresenceAge  = 100 * 365 * 24 * 3600 // seconds

	// presenceEvery is the least time between two presences on a link.
	presenceEvery = 2 * time.Second
	// presenceBurst is how many may come at once: a device that was frozen finds
	// all that was sent meanwhile.
	presenceBurst = 128
)

// presence is the body of its frame. A time would say how wrong the sender's
// clock is, a duration does not.
type presence struct {
	Age  uint64 `cbor:"1,keyasint"`           // seconds for which the sender has been here
	File string `cbor:"2,keyasint,omitempty"` // a path in the space
}

// CanTell reports whether a path fits a presence.
func CanTell(path string) bool {
	return len(path) <= maxPresenceFile && utf8.ValidString(path) && !containsControl(path)
}

func containsControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return true
		}
	}
	return false
}

func decodePresence(f wire.Frame) (input, error) {
	m, err := decode[presence](f)
	if err != nil {
		return nil, err
	}
	if m.Age > maxPresenceAge || !CanTell(m.File) {
		return nil, fmt.Errorf("presence: %w", wire.ErrBody)
	}
	return gotPresence{m}, nil
}

// Tell says to all peers, those who come later too, what this device is doing.
// What is the same as before is not sent again. A file that does not fit is left
// out.
func (r *Replicator) Tell(p Presence) {
	if !CanTell(p.File) {
		p.File = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present == p {
		return
	}
	r.present = p
	for _, l := range r.links {
		poke(l.tell)
	}
}

// told is what Tell was told last.
func (r *Replicator) told() Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.present
}

// Here returns the devices of members that are connected and have said that they
// are here, by identity and device.
func (r *Replicator) Here() []Peer {
	r.mu.Lock()
	links := make([]*link, 0, len(r.links))
	for _, l := range r.links {
		links = append(links, l)
	}
	r.mu.Unlock()
	var here []Peer
	for _, l := range links {
		if p, ok := l.presence(); ok {
			here = append(here, Peer{l.peer, p})
		}
	}
	slices.SortFunc(here, func(a, b Peer) int {
		if c := a.Identity.Compare(b.Identity); c != 0 {
			return c
		}
		if c := slices.Compare(a.Device[:], b.Device[:]); c != 0 {
			return c
		}
		return b.Since.Compare(a.Since)
	})
	// While a link is replaced there are two to one device.
	return slices.CompactFunc(here, func(a, b Peer) bool { return a.Device == b.Device })
}

// presence is what the peer has said last, if it is a member.
func (l *link) presence() (Presence, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peerIs, !l.peerIs.Since.IsZero() && l.session.exchanging()
}

// tellPresence has the peer told what this device is doing, now and when that
// changes, but not often.
func (l *link) tellPresence(ctx context.Context) error {
	var last Presence
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.tell:
		}
		now := l.r.told()
		l.mu.Lock()
		send := now != last && !now.Since.IsZero() && !l.telling && l.session.exchanging()
		if send {
			l.telling = true
			l.out = append(l.out, sendPresence{})
		}
		l.mu.Unlock()
		if !send {
			continue
		}
		last = now
		poke(l.wake)
		rest.Reset(presenceEvery)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rest.C:
			poke(l.tell) // it may be otherwise by now
		}
	}
}

// sendPresence tells how it is at the moment of sending.
func (l *link) sendPresence() error {
	now := l.r.told()
	l.mu.Lock()
	l.telling = false
	l.mu.Unlock()
	poke(l.tell)
	age := max(0, time.Since(now.Since)/time.Second)
	return l.sync.Send(framePresence, presence{Age: min(uint64(age), maxPresenceAge), File: now.File})
}

// seen keeps what the peer has said, in the place of what it said before.
func (l *link) seen(p presence, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.allowance.take(now) {
		l.peerIs.File = p.File
		if l.peerIs.Since.IsZero() {
			l.peerIs.Since = now.Add(-time.Duration(p.Age) * time.Second)
		}
		return nil
	}
	return fmt.Errorf("%w: its presence never rests", errProtocol)
}

// An allowance bounds how many presences come: as many at once as a frozen
// device could find, and twice as often as they may be sent.
type allowance struct {
	left int
	at   time.Time // when left was right
}

func (a *allowance) take(now time.Time) bool {
	if a.at.IsZero() {
		a.left, a.at = presenceBurst, now
	}
	if n := int(now.Sub(a.at) / (presenceEvery / 2)); n > 0 {
		a.left, a.at = min(presenceBurst, a.left+n), now
	}
	if a.left == 0 {
		return false
	}
	a.left--
	return true
}
