package vfs

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echofs/echofs/crdt/textdiff"
)

// nearest is the version that who made text from: the one it has loaded, and
// where several could be that, the one that text differs from least; of what is
// opaque the latest. Nil if it was shown none.
func (b *bases) nearest(ino Ino, who proc, text string, opaque bool) *version {
	b.mu.Lock()
	var could []shown
	if e := b.files[ino][who]; e != nil {
		b.lru.MoveToFront(e.at)
		could = append(could, settled(e.shown, b.now())...)
	}
	b.mu.Unlock()
	if len(could) == 0 {
		return nil
	}
	best, least := could[len(could)-1].v, difference{lines: -1}
	if len(could) == 1 || opaque {
		return best
	}
	for i := len(could) - 1; i >= 0; i-- { // of equal ones the latest
		if could[i].v.opaque {
			continue
		}
		d := differenceOf(could[i].v.text, text)
		if least.lines < 0 || d.less(least) {
			best, least = could[i].v, d
		}
	}
	return best
}

// settled drops what cannot be loaded any more: everything before the last
// version that was read for sure and long enough ago.
func settled(s []shown, now time.Time) []shown {
	for i := len(s) - 1; i > 0; i-- {
		recently := shownRecently
		if s[i].unsure {
			recently = newsTime
		}
		if !s[i].maybe && now.Sub(s[i].at) > recently {
			return s[i:]
		}
	}
	return s
}

// A difference is how far two texts are apart: lines that only one of them has,
// then runes. A change shown as people would make it is no measure of its own:
// the more lines differ, the more it finds in them that is alike by chance.
type difference struct{ lines, runes int }

func (d difference) less(o difference) bool {
	return d.lines < o.lines || d.lines == o.lines && d.runes < o.runes
}

func differenceOf(a, b string) (d difference) {
	count := map[string]int{}
	for line := range strings.Lines(a) {
		count[line]++
	}
	for line := range strings.Lines(b) {
		count[line]--
	}
	for _, n := range count {
		d.lines += max(n, -n)
	}
	for _, s := range textdiff.Diff(a, b) {
		d.runes += s.Del + utf8.RuneCountInString(s.Ins)
	}
	return d
}
