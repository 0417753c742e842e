package space

import (
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
)

// Whoever has the same key meets somewhere, even if their clocks differ by a day.
func TestClocksMayDifferByADay(t *testing.T) {
	k := feed.NewKey()
	begin := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for hour := range 48 {
		now := begin.Add(time.Duration(hour)*time.Hour + 17*time.Minute)
		here := make(map[[32]byte]bool)
		for _, topic := range topicsOf(k, now) {
			here[topic] = true
		}
		if len(here) != 2 || !here[k.TopicOn(now.Unix()/86400)] {
			t.Errorf("%v: today's topic is not among them", now)
		}
		for _, off := range []time.Duration{0, time.Minute, -time.Minute, 23 * time.Hour, -24 * time.Hour, 24 * time.Hour} {
			met := false
			for _, topic := range topicsOf(k, now.Add(off)) {
				met = met || here[topic]
			}
			if !met {
				t.Errorf("%v and %v later do not meet", now, off)
			}
		}
		for _, topic := range topicsOf(k, now.Add(72*time.Hour)) {
			if here[topic] {
				t.Errorf("the topics of %v hold three days later", now)
			}
		}
	}
	if got := days(time.Unix(-1, 0)); got != [2]int64{-1, 0} {
		t.Errorf("before 1970: %v", got)
	}
}

// After the key has changed, members who were away are waited for, for a month.
func TestLobby(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	now := time.Date(2026, 11, 26, 13, 0, 0, 0, time.UTC)
	old := a.Key()
	topics := func(at time.Time) map[[32]byte]bool {
		list, err := a.Topics(at)
		if err != nil {
			t.Fatal(err)
		}
		set := make(map[[32]byte]bool)
		for _, topic := range list {
			set[topic] = true
		}
		return set
	}
	if got := topics(now); len(got) != 2 {
		t.Errorf("%d topics", len(got))
	}
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits := func(at time.Time) bool { return topics(at)[topicsOf(old, at)[0]] }
	if !waits(now) || !waits(now.Add(29*24*time.Hour)) {
		t.Error("nobody waits for those who were away")
	}
	if waits(now.Add(31 * 24 * time.Hour)) {
		t.Error("they wait for ever")
	}
	for _, topic := range a.Meeting(now) {
		if !topics(now)[topic] {
			t.Error("the members do not meet")
		}
	}
}
