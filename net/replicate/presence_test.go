package replicate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/net/wire"
)

// awaitHere waits until r sees exactly these, as "name device file".
func awaitHere(t *testing.T, r *Replicator, want ...string) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	for {
		var got []string
		for _, p := range r.Here() {
			got = append(got, strings.TrimSpace(p.Name+" "+p.File))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("here are %q, want %q", got, want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestPresence(t *testing.T) {
	anna := found(t, "Anna")
	ben, cleo := anna.admit(newDevice(t, "Ben"), credential.Editor), anna.admit(newDevice(t, "Cleo"), credential.Reader)
	a, b, c := New(anna, nil), New(ben, nil), New(cleo, nil)
	began := time.Now().Add(-time.Hour)
	a.Tell(Presence{Since: began, File: "plan.md"})
	b.Tell(Presence{Since: began, File: "two\nlines"}) // which is left out
	cut := connect(t, a, b)
	cutC := connect(t, a, c)
	awaitHere(t, a, "Ben") // Cleo's device says nothing of itself
	awaitHere(t, b, "Anna plan.md")
	awaitHere(t, c, "Anna plan.md")
	if since := b.Here()[0].Since; since.After(began.Add(30*time.Minute)) || since.Before(began.Add(-time.Minute)) {
		t.Errorf("Anna has been here since %v, told %v", since, began)
	}
	a.Tell(Presence{Since: began})
	b.Tell(Presence{Since: began, File: "notes/b.md"})
	awaitHere(t, a, "Ben notes/b.md")
	awaitHere(t, b, "Anna")
	cutC()
	cut()
	awaitHere(t, a)
	awaitHere(t, b)
}

// TestHostilePresence: what is no presence, or never rests, ends the link.
func TestHostilePresence(t *testing.T) {
	for name, bad := range map[string]presence{
		"a second line":   {File: "a\nb"},
		"a longer name":   {File: strings.Repeat("x", maxPresenceFile+1)},
		"of another age":  {Age: maxPresenceAge + 1},
		"no UTF-8":        {File: "\xff"},
		"reordered lines": {File: "a\u202eb"},
	} {
		t.Run(name, func(t *testing.T) {
			anna := found(t, "Anna")
			d := newDevice(t, "Ben")
			m := anna.admit(d, credential.Editor)
			h := attack(t, New(anna, nil), d)
			h.enter(m)
			h.send(h.sync, framePresence, bad)
			if err := <-h.done; !errors.Is(err, errProtocol) && !isGarbage(err) {
				t.Errorf("the link ended with %v", err)
			}
		})
	}
	t.Run("at the door", func(t *testing.T) {
		s := newSession([32]byte{}, [32]byte{1})
		if _, err := s.step(gotPresence{presence{Age: 1}}); !errors.Is(err, errProtocol) {
			t.Errorf("of a stranger it is taken: %v", err)
		}
		s.proved = true
		if _, err := s.step(gotPresence{presence{Age: 1}}); !errors.Is(err, errProtocol) {
			t.Errorf("of no member it is taken: %v", err)
		}
	})
}

func TestPresenceAllowance(t *testing.T) {
	var a allowance
	now := time.Now()
	count := func() (n int) {
		for a.take(now) {
			n++
		}
		return n
	}
	if n := count(); n != presenceBurst {
		t.Errorf("%d came at once", n)
	}
	now = now.Add(10 * presenceEvery)
	if n := count(); n != 20 {
		t.Errorf("%d came after a rest of ten", n)
	}
	now = now.Add(time.Hour)
	if n := count(); n != presenceBurst {
		t.Errorf("%d came after an hour", n)
	}
	honest := allowance{}
	for i := range 10 * presenceBurst {
		if now = now.Add(presenceEvery); !honest.take(now) {
			t.Fatalf("number %d of an honest peer is too many", i)
		}
	}
}

// FuzzPresence: what is decoded can be shown on one line.
func FuzzPresence(f *testing.F) {
	f.Add([]byte{0xa1, 0x01, 0x18, 0x3c})
	f.Add([]byte{0xa2, 0x01, 0x18, 0x3c, 0x02, 0x61, 'a'})
	f.Add([]byte{0xa2, 0x01, 0x00, 0x02, 0x61, '\n'})
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := decodePresence(wire.Frame{Type: framePresence, Body: body})
		if err != nil {
			return
		}
		p := in.(gotPresence)
		if !CanTell(p.File) || p.Age > maxPresenceAge || strings.ContainsAny(p.File, "\n\x1b") {
			t.Errorf("%+v is taken", p)
		}
	})
}
