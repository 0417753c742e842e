package web

import (
	"bytes"
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// TestRealSpace serves an app from a space on disk, changes it, and asks again.
func TestRealSpace(t *testing.T) {
	d, err := identity.NewDevice(nil, "Anna")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Create(space.Config{Dir: t.TempDir(), Device: d}, "Our Home")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	make1 := func(parent space.NodeID, name string, n space.New) space.Info {
		t.Helper()
		in, err := s.Create(parent, name, n)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	apps := make1(space.Root, "apps", space.New{Kind: space.Dir})
	app := make1(apps.ID, "notes", space.New{Kind: space.Dir})
	page := make1(app.ID, "index.html", space.New{Content: space.BytesContent([]byte("<title>one</title>"))})
	big := bytes.Repeat([]byte{0, 1, 2, 3, 4, 5, 6, 7}, 40_000)
	blob, err := s.Import(ctx, bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	make1(app.ID, "video.mp4", space.New{Content: blob})
	make1(app.ID, "link", space.New{Kind: space.Symlink, Target: "video.mp4"})

	web := New(Config{Spaces: func() []*space.Space { return []*space.Space{s} }})
	list := web.Apps()
	if len(list) != 1 || list[0].Name != "notes" || list[0].Space != "Our Home" {
		t.Fatalf("%v", list)
	}
	u, err := url.Parse(list[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	first := get(web, "GET", u.Host, "/")
	if got := body(t, first); got != "<title>one</title>" {
		t.Fatalf("%d %q", first.StatusCode, got)
	}
	tag := first.Header.Get("ETag")
	if r := get(web, "GET", u.Host, "/", "If-None-Match", tag); r.StatusCode != 304 {
		t.Errorf("unchanged: %d", r.StatusCode)
	}
	if _, err := s.Save(page.ID, nil, space.BytesContent([]byte("<title>two</title>")), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := body(t, get(web, "GET", u.Host, "/", "If-None-Match", tag)); got != "<title>two</title>" {
		t.Errorf("after a change: %q", got)
	}
	if got := body(t, get(web, "GET", u.Host, "/video.mp4")); got != string(big) {
		t.Errorf("blob of %d bytes", len(got))
	}
	r := get(web, "GET", u.Host, "/link", "Range", "bytes=300001-300004")
	if got := body(t, r); r.StatusCode != 206 || got != string(big[300001:300005]) {
		t.Errorf("range through a link: %d %q", r.StatusCode, got)
	}
	if _, err := s.Move(app.ID, apps.ID, "renamed", false); err != nil {
		t.Fatal(err)
	}
	if r := get(web, "GET", u.Host, "/"); r.StatusCode != 421 {
		t.Errorf("the old address still answers: %d", r.StatusCode)
	}
}
