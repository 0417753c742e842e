package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
)

// cardFake is the part of a daemon that has cards.
type cardFake struct {
	localapi.Backend
	ttl time.Duration
	out int // cards that are out
}

func (f *cardFake) ShareCard(_ context.Context, req localapi.CardRequest) (localapi.Card, error) {
	f.ttl = req.TTL
	f.out++
	return localapi.Card{Card: "echofs://card#abc", QR: "echofs://card#abc", Expires: time.Unix(1e9, 0), OnlyHere: true}, nil
}

func (f *cardFake) RevokeCards(context.Context) (n int, err error) {
	n, f.out = f.out, 0
	return n, nil
}

func TestHaloShare(t *testing.T) {
	cards := &cardFake{}
	home := start(t, &fake{Backend: cards})
	r := run(home, "", "halo", "share", "--expires", "2h")
	if r.code != exitOK || r.out != "echofs://card#abc\n" || cards.ttl != 2*time.Hour {
		t.Errorf("%+v, for %v", r, cards.ttl)
	}
	if !strings.Contains(r.errOut, "this machine only") || strings.Contains(r.errOut, "█") {
		t.Errorf("said %q", r.errOut)
	}
	if r := run(home, "", "halo", "share", "--qr"); !strings.Contains(r.errOut, "█") || r.out != "echofs://card#abc\n" || cards.ttl != 168*time.Hour {
		t.Errorf("%+v, for %v", r, cards.ttl)
	}
	if r := run(home, "", "halo", "share", "--json"); !strings.Contains(r.out, `"card": "echofs://card#abc"`) {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"--expires -1h", "--revoke --expires 1h"} {
		if r := run(home, "", append([]string{"halo", "share"}, strings.Fields(bad)...)...); r.code != exitUsage {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if r := run(home, "", "halo", "share", "--revoke", "--json"); r.out != "{\n  \"revoked\": 3\n}\n" {
		t.Errorf("%+v", r)
	}
	if r := run(home, "", "halo", "share", "--revoke"); r.code != exitOK || r.out != "" || !strings.Contains(r.errOut, "no card") {
		t.Errorf("%+v", r)
	}
}
