package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func testSpace() *memory {
	return newMemory("home", map[string]string{
		"secret.txt":                 "not for the web",
		"apps/readme.txt":            "a file beside the apps",
		"apps/notes/index.html":      "<title>notes</title>",
		"apps/notes/app.js":          strings.Repeat("console.log('x');\n", 200),
		"apps/notes/mod.mjs":         "export {}",
		"apps/notes/lib.wasm":        "\x00asm",
		"apps/notes/style.css":       "body{}",
		"apps/notes/a b.txt":         "space in the name",
		"apps/notes/ümlaut.txt":      "umlaut",
		"apps/notes/100%.txt":        "percent",
		"apps/notes/img/logo.svg":    "<svg/>",
		"apps/notes/docs/index.html": "<title>docs</title>",
		"apps/notes/docs/page.html":  "page",
		"apps/notes/empty/x.txt":     "x",
		"apps/notes/none":            "",
		"apps/notes/away.bin":        "away",
		"apps/notes/broken.txt":      "broken",
		"apps/notes/ln-file":         "link:docs/page.html",
		"apps/notes/ln-dir":          "link:docs",
		"apps/notes/docs/up":         "link:../app.js",
		"apps/notes/ln-out":          "link:../../secret.txt",
		"apps/notes/ln-abs":          "link:/etc/passwd",
		"apps/notes/ln-loop":         "link:ln-loop",
		"apps/notes/ln-other":        "link:../other/index.html",
		"apps/notes/.kube/x":         "reserved",
		"apps/other/index.html":      "<title>other</title>",
		"apps/bare/main.js":          "no index",
		"apps/linked":                "link:notes",
	})
}

func TestRequests(t *testing.T) {
	s := serving(testSpace())
	const app = "notes--home.localhost:7777"
	tests := []struct {
		name   string
		method string
		host   string
		target string
		status int
		want   string // part of the body, or the Location
	}{
		{"index", "GET", app, "/", 200, "<title>notes</title>"},
		{"index by name", "GET", app, "/index.html", 200, "<title>notes</title>"},
		{"file", "GET", app, "/mod.mjs", 200, "export {}"},
		{"file in a folder", "GET", app, "/img/logo.svg", 200, "<svg/>"},
		{"empty file", "GET", app, "/none", 200, ""},
		{"space in a name", "GET", app, "/a%20b.txt", 200, "space in the name"},
		{"name beyond ASCII", "GET", app, "/%C3%BCmlaut.txt", 200, "umlaut"},
		{"percent in a name", "GET", app, "/100%25.txt", 200, "percent"},
		{"decoded once only", "GET", app, "/100%2525.txt", 404, ""},
		{"query is ignored", "GET", app, "/mod.mjs?v=1", 200, "export {}"},
		{"head", "HEAD", app, "/mod.mjs", 200, ""},
		{"host in capitals", "GET", "NOTES--HOME.LOCALHOST:7777", "/", 200, "<title>notes</title>"},
		{"folder with its slash", "GET", app, "/docs/", 200, "<title>docs</title>"},
		{"folder without its slash", "GET", app, "/docs", 302, "/docs/"},
		{"folder without its slash, query", "GET", app, "/docs?a=b", 302, "/docs/?a=b"},
		{"folder without index", "GET", app, "/empty/", 404, "no such file"},
		{"file with a slash", "GET", app, "/mod.mjs/", 404, ""},
		{"file as a folder", "GET", app, "/mod.mjs/x", 404, ""},
		{"missing", "GET", app, "/missing.txt", 404, "no such file"},
		{"case matters", "GET", app, "/INDEX.html", 404, ""},
		{"other app", "GET", "other--home.localhost:7777", "/", 200, "<title>other</title>"},
		{"app without index", "GET", "bare--home.localhost:7777", "/", 404, "no index.html"},
		{"app without index, file", "GET", "bare--home.localhost:7777", "/main.js", 200, "no index"},

		{"link to a file", "GET", app, "/ln-file", 200, "page"},
		{"link to a folder", "GET", app, "/ln-dir/page.html", 200, "page"},
		{"link to a folder, no slash", "GET", app, "/ln-dir", 302, "/ln-dir/"},
		{"link upwards inside", "GET", app, "/docs/up", 200, "console"},
		{"link through a link", "GET", app, "/ln-dir/up", 200, "console"},
		{"link out of the app", "GET", app, "/ln-out", 404, ""},
		{"link to another app", "GET", app, "/ln-other", 404, ""},
		{"absolute link", "GET", app, "/ln-abs", 404, ""},
		{"link to itself", "GET", app, "/ln-loop", 404, ""},
		{"app that is a link", "GET", "linked--home.localhost:7777", "/", 421, ""},

		{"dots", "GET", app, "/../../secret.txt", 400, "not allowed"},
		{"encoded dots", "GET", app, "/%2e%2e/other/index.html", 400, ""},
		{"half encoded dots", "GET", app, "/.%2E/other/index.html", 400, ""},
		{"one dot", "GET", app, "/./index.html", 400, ""},
		{"encoded slash", "GET", app, "/docs%2Fpage.html", 400, ""},
		{"encoded slash and dots", "GET", app, "/..%2f..%2fsecret.txt", 400, ""},
		{"backslash", "GET", app, "/docs\\page.html", 400, ""},
		{"encoded backslash", "GET", app, "/..%5csecret.txt", 400, ""},
		{"NUL", "GET", app, "/mod.mjs%00.png", 400, ""},
		{"empty name", "GET", app, "/docs//page.html", 400, ""},
		{"two slashes first", "GET", app, "//evil.example/", 400, ""},
		{"too deep", "GET", app, "/" + strings.Repeat("a/", 70), 400, ""},
		{"too long", "GET", app, "/" + strings.Repeat("a", 5000), 400, ""},
		{"reserved", "GET", app, "/.kube/x", 404, ""},
		{"reserved for the daemon", "GET", app, "/.well-known/dx/signal", 404, ""},

		{"post", "POST", app, "/", 405, "only be read"},
		{"put", "PUT", app, "/x", 405, ""},
		{"delete", "DELETE", app, "/index.html", 405, ""},
		{"options", "OPTIONS", app, "/", 405, ""},
		{"trace", "TRACE", app, "/", 405, ""},

		{"not arrived", "GET", app, "/away.bin", 503, "not arrived"},
		{"broken", "GET", app, "/broken.txt", 500, "could not be read"},

		{"rebinding", "GET", "evil.example:7777", "/", 421, "No app"},
		{"rebinding with our name in it", "GET", "notes--home.localhost.evil.example:7777", "/", 421, ""},
		{"no port", "GET", "notes--home.localhost", "/", 421, ""},
		{"wrong port", "GET", "notes--home.localhost:80", "/", 421, ""},
		{"trailing dot", "GET", "notes--home.localhost.:7777", "/", 421, ""},
		{"sub-domain", "GET", "x.notes--home.localhost:7777", "/", 421, ""},
		{"unknown app", "GET", "nothing--home.localhost:7777", "/", 421, ""},
		{"unknown space", "GET", "notes--work.localhost:7777", "/", 421, ""},
		{"no separator", "GET", "notes.localhost:7777", "/", 421, ""},
		{"file beside the apps", "GET", "readme-txt--home.localhost:7777", "/", 421, ""},
		{"empty label", "GET", ".localhost:7777", "/", 421, ""},
		{"empty host", "GET", "", "/", 421, ""},
		{"user in the host", "GET", "a@notes--home.localhost:7777", "/", 421, ""},
		{"the daemon itself", "GET", "localhost:7777", "/", 404, "echofs is running"},
		{"the daemon by address", "GET", "127.0.0.1:7777", "/", 404, "echofs is running"},
		{"the daemon by IPv6 address", "GET", "[::1]:7777", "/", 404, "echofs is running"},
		{"the daemon shows no files", "GET", "localhost:7777", "/apps/notes/index.html", 404, "echofs is running"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := get(s, tt.method, tt.host, tt.target)
			got := body(t, r)
			if r.StatusCode != tt.status {
				t.Fatalf("status %d, want %d; body %q", r.StatusCode, tt.status, got)
			}
			if tt.status == 302 {
				got = r.Header.Get("Location")
				if got != tt.want {
					t.Errorf("Location %q, want %q", got, tt.want)
				}
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("body %q, want %q in it", got, tt.want)
			}
			if strings.Contains(got, "not for the web") {
				t.Error("a file outside the app was served")
			}
			if r.StatusCode == 405 && r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", r.Header.Get("Allow"))
			}
			for _, h := range []string{"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy",
				"Cross-Origin-Resource-Policy", "Origin-Agent-Cluster", "Permissions-Policy"} {
				if r.Header.Get(h) == "" {
					t.Errorf("no %s", h)
				}
			}
			if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Cache-Control") != "no-cache" ||
				r.Header.Get("Referrer-Policy") != "no-referrer" || r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers %v", r.Header)
			}
		})
	}
}

func TestRoutesOfSinglePageApps(t *testing.T) {
	s := serving(testSpace())
	const page = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
	tests := []struct {
		name, target, accept, mode string
		status                     int
	}{
		{"a person goes to a route", "/settings/profile", page, "navigate", 200},
		{"an old browser", "/settings", page, "", 200},
		{"a route with a slash", "/settings/", page, "navigate", 200},
		{"a folder without index", "/empty/", page, "navigate", 200},
		{"a script", "/settings", "*/*", "no-cors", 404},
		{"a fetch that takes HTML", "/settings", page, "cors", 404},
		{"a file that is missing", "/settings.js", page, "navigate", 404},
		{"an app without index", "/settings", page, "navigate", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := "notes--home.localhost:7777"
			if strings.Contains(tt.name, "an app without") {
				host = "bare--home.localhost:7777"
			}
			r := get(s, "GET", host, tt.target, "Accept", tt.accept, "Sec-Fetch-Mode", tt.mode)
			got := body(t, r)
			if r.StatusCode != tt.status || tt.status == 200 && !strings.Contains(got, "<title>notes") {
				t.Errorf("status %d, body %q", r.StatusCode, got)
			}
			if tt.status == 200 && !strings.Contains(strings.Join(r.Header.Values("Vary"), ","), "Accept") {
				t.Error("no Vary")
			}
		})
	}
}

func TestOnlyThisComputer(t *testing.T) {
	s := serving(testSpace())
	for remote, want := range map[string]int{
		"127.0.0.1:1": 200, "[::1]:1": 200, "127.8.9.10:1": 200,
		"192.168.1.7:1": 421, "[fe80::1]:1": 421, "garbage": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RemoteAddr = "notes--home.localhost:7777", remote
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %q: %d, want %d", remote, w.Code, want)
		}
	}
}

func TestCachingRangesAndCompression(t *testing.T) {
	m := testSpace()
	s := serving(m)
	const host = "notes--home.localhost:7777"
	ask := func(header ...string) *http.Response { return get(s, "GET", host, "/app.js", header...) }

	plain := ask()
	tag, text := plain.Header.Get("ETag"), body(t, plain)
	if !strings.HasPrefix(tag, `"`) || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers %v", plain.Header)
	}
	if plain.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("type %q", plain.Header.Get("Content-Type"))
	}
	if r := ask("If-None-Match", tag); r.StatusCode != 304 || body(t, r) != "" {
		t.Errorf("unchanged: %d", r.StatusCode)
	}

	packed := ask("Accept-Encoding", "br, gzip;q=0.8")
	gzTag, raw := packed.Header.Get("ETag"), body(t, packed)
	if packed.Header.Get("Content-Encoding") != "gzip" || gzTag == tag || len(raw) >= len(text) {
		t.Fatalf("%d bytes, headers %v", len(raw), packed.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(z); err != nil || string(back) != text {
		t.Errorf("unpacked to %d bytes, %v", len(back), err)
	}
	if again := ask("Accept-Encoding", "gzip"); again.Header.Get("ETag") != gzTag || body(t, again) != raw {
		t.Error("packed twice, differently")
	}
	if r := ask("Accept-Encoding", "gzip", "If-None-Match", gzTag); r.StatusCode != 304 {
		t.Errorf("packed and unchanged: %d", r.StatusCode)
	}
	if r := ask("Accept-Encoding", "gzip;q=0"); r.Header.Get("Content-Encoding") != "" {
		t.Error("packed against the wish of the client")
	}

	part := ask("Range", "bytes=8-15", "Accept-Encoding", "gzip")
	if got := body(t, part); part.StatusCode != 206 || got != text[8:16] || part.Header.Get("Content-Encoding") != "" {
		t.Errorf("range: %d %q %v", part.StatusCode, got, part.Header)
	}
	if r := ask("Range", "bytes=-4"); body(t, r) != text[len(text)-4:] {
		t.Error("suffix range")
	}
	if r := ask("Range", "bytes=999999-"); r.StatusCode != 416 {
		t.Errorf("range outside: %d", r.StatusCode)
	}
	if r := ask("Range", "bytes=0-3", "If-Range", `"old"`); r.StatusCode != 200 {
		t.Errorf("range of another version: %d", r.StatusCode)
	}
	if r := ask("Range", "bytes=0-3", "If-Range", tag); r.StatusCode != 206 {
		t.Errorf("range of this version: %d", r.StatusCode)
	}
	if r := ask("If-Match", `"old"`); r.StatusCode != 412 {
		t.Errorf("if-match: %d", r.StatusCode)
	}

	m.files["apps/notes/app.js"] = "changed" // the very next request gets it
	r := ask("If-None-Match", tag)
	if got := body(t, r); r.StatusCode != 200 || got != "changed" || r.Header.Get("ETag") == tag {
		t.Errorf("after a change: %d %q", r.StatusCode, got)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br": false, "br, gzip": true, "*": true, "gzip;q=0": false,
		"gzip; q=0.0": false, "gzip;q=0.1": true, "*;q=0": false, "gzip;q=0, *": false, "gzip;q=x": false, "x-gzip": true,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestTypes(t *testing.T) {
	for name, want := range map[string]string{
		"a.html": "text/html; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "a.js": "text/javascript; charset=utf-8",
		"a.mjs": "text/javascript; charset=utf-8", "a.wasm": "application/wasm", "a.woff2": "font/woff2",
		"a.webmanifest": "application/manifest+json; charset=utf-8", "a.svg": "image/svg+xml; charset=utf-8", "a.json": "application/json; charset=utf-8",
		"a.min.css": "text/css; charset=utf-8", "a.js.map": "application/json; charset=utf-8", "a.avif": "image/avif", "a.mp4": "video/mp4",
		"a.ico": "image/x-icon", "none": "application/octet-stream", "a.": "application/octet-stream", "": "application/octet-stream",
		"a.unknown": "application/octet-stream", "a.txt": "text/plain; charset=utf-8",
	} {
		if got := kindOf(name).mime; got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestLabels(t *testing.T) {
	c := func(app, space string) candidate {
		return candidate{space: space, spaceHash: "0123456789abcdef" + space, app: app}
	}
	tests := []struct {
		name string
		in   []candidate
		want []string
	}{
		{"plain", []candidate{c("notes", "home")}, []string{"notes--home"}},
		{"digits and hyphens", []candidate{c("app-2", "q-3")}, []string{"app-2--q-3"}},
		{"capitals", []candidate{c("Notes", "Home")}, []string{"notes-"}},
		{"blanks and dots", []candidate{c("my app.v2", "home")}, []string{"my-app-v2-"}},
		{"two hyphens", []candidate{c("a--b", "home")}, []string{"a-b-"}},
		{"hyphen at the ends", []candidate{c("-a-", "home")}, []string{"a-"}},
		{"nothing left", []candidate{c("日本", "空")}, []string{"app-"}},
		{"international prefix", []candidate{c("xn", "home")}, []string{"xn-"}},
		{"long", []candidate{c(strings.Repeat("a", 200), strings.Repeat("b", 200))}, []string{strings.Repeat("a", 23) + "-"}},
		{"twins", []candidate{c("my app", "home"), c("my-app", "home"), c("my.app", "home")}, []string{"my-app-", "my-app--home", "my-app-"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := labels(tt.in)
			seen := map[string]bool{}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("%q, want it to start with %q", got[i], tt.want[i])
				}
				if seen[got[i]] || len(got[i]) > 63 || strings.Count(got[i], "--") != 1 {
					t.Errorf("bad label %q", got[i])
				}
				seen[got[i]] = true
			}
		})
	}
	t.Run("spaces of one name", func(t *testing.T) {
		a := candidate{space: "home", spaceHash: "aaaaaaaaaaaaaaaa", app: "notes"}
		b := candidate{space: "home", spaceHash: "bbbbbbbbbbbbbbbb", app: "notes"}
		got, back := labels([]candidate{a, b}), labels([]candidate{b, a})
		if got[0] != "notes--home-aaaaaa" || got[1] != "notes--home-bbbbbb" || back[0] != got[1] || back[1] != got[0] {
			t.Errorf("%q and %q", got, back)
		}
	})
	t.Run("hashes made to collide", func(t *testing.T) {
		a := candidate{space: "home", spaceHash: "aaaaaa1111111111", app: "notes"}
		b := candidate{space: "home", spaceHash: "aaaaaa2222222222", app: "notes"}
		got, back := labels([]candidate{a, b}), labels([]candidate{b, a})
		if got[0] == got[1] || back[0] != got[1] || back[1] != got[0] || len(got[0]) > 63 {
			t.Errorf("%q and %q", got, back)
		}
	})
}

func TestApps(t *testing.T) {
	s := serving(testSpace(), newMemory("work", map[string]string{"apps/notes/index.html": "w"}), newMemory("none", nil))
	apps := s.Apps()
	want := []App{
		{"home", "notes", "http://notes--home.localhost:7777/"},
		{"home", "other", "http://other--home.localhost:7777/"},
		{"work", "notes", "http://notes--work.localhost:7777/"},
	}
	if len(apps) != len(want) {
		t.Fatalf("%v", apps)
	}
	for i := range want {
		if apps[i] != want[i] {
			t.Errorf("%v, want %v", apps[i], want[i])
		}
	}
	for _, a := range apps { // and each can be opened at its URL
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		if r := get(s, "GET", u.Host, u.Path); r.StatusCode != 200 {
			t.Errorf("%s: %d", a.URL, r.StatusCode)
		}
	}
}

func TestSignal(t *testing.T) {
	s := serving(testSpace())
	s.signal = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) })
	s.hosts["signal.example"] = true
	for host, want := range map[string]int{
		"localhost:7777": 299, "127.0.0.1:7777": 299, "[::1]:7777": 299, "localhost": 299, "signal.example": 299, "SIGNAL.example:443": 299,
		"evil.example:7777": 421, "notes--home.localhost:7777": 404, "10.0.0.9:7777": 421, "": 421,
	} {
		if r := get(s, "GET", host, SignalPath); r.StatusCode != want {
			t.Errorf("%q: %d, want %d", host, r.StatusCode, want)
		}
	}
	r := httptest.NewRequest("GET", SignalPath, nil) // from the network, by the address that was dialled
	r.Host, r.RemoteAddr = "10.0.0.9:7777", "10.0.0.77:1234"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 7777}))
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 299 {
		t.Errorf("by address: %d", w.Code)
	}
}

// TestOtherOrigins is a page elsewhere that tries to find out what an app holds.
func TestOtherOrigins(t *testing.T) {
	s := serving(testSpace())
	for _, tt := range []struct {
		site, mode, dest string
		status           int
	}{
		{"", "", "", 200},
		{"none", "navigate", "document", 200},
		{"same-origin", "no-cors", "script", 200},
		{"same-origin", "cors", "empty", 200},
		{"cross-site", "navigate", "document", 200},
		{"cross-site", "navigate", "iframe", 403},
		{"cross-site", "no-cors", "script", 403},
		{"cross-site", "cors", "empty", 403},
		{"same-site", "no-cors", "image", 403},
		{"cross-site", "", "", 403},
	} {
		for _, path := range []string{"/mod.mjs", "/missing.mjs"} {
			want := tt.status
			if want == 200 && path == "/missing.mjs" {
				want = 404
			}
			r := get(s, "GET", "notes--home.localhost:7777", path, "Sec-Fetch-Site", tt.site, "Sec-Fetch-Mode", tt.mode, "Sec-Fetch-Dest", tt.dest)
			if r.StatusCode != want {
				t.Errorf("%s %s %s %s: %d, want %d", tt.site, tt.mode, tt.dest, path, r.StatusCode, want)
			}
		}
	}
}

func TestListenAndRun(t *testing.T) {
	s := serving(testSpace())
	if err := s.Run(t.Context()); err == nil {
		t.Error("ran without an address")
	}
	if err := s.Listen("nonsense"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:0") {
		t.Errorf("nonsense: %v", err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := serving().Listen(s.Addr().String()); err == nil || !strings.Contains(err.Error(), "--http 127.0.0.1:0") {
		t.Errorf("busy port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr().String()+"/img/logo.svg", nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.Apps()[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = u.Host
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if got := body(t, r); got != "<svg/>" || r.StatusCode != 200 {
		t.Errorf("%d %q", r.StatusCode, got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// crowd is a listener to which others connect.
type crowd chan net.Conn

func (c crowd) Accept() (net.Conn, error) { return <-c, nil }
func (c crowd) Close() error              { return nil }
func (c crowd) Addr() net.Addr            { return nil }

// comer is a connection from somewhere.
type comer struct {
	net.Conn
	from   string
	closed bool
}

func (c *comer) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1}
}
func (c *comer) Close() error { c.closed = true; return nil }

func TestOthersLeaveRoom(t *testing.T) {
	c := make(crowd, 10)
	l := limit(c, 4)
	var in []net.Conn
	for range 3 {
		c <- &comer{from: "10.0.0.9"}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, conn)
	}
	late, own := &comer{from: "10.0.0.9"}, &comer{from: "127.0.0.1"}
	c <- late
	c <- own
	if conn, err := l.Accept(); err != nil || conn.(*counted).Conn != own || !late.closed {
		t.Fatalf("the fourth of another computer was let in: %v", err)
	}
	_ = in[0].Close()
	_ = in[0].Close() // which frees one place
	c <- &comer{from: "10.0.0.9"}
	if _, err := l.Accept(); err != nil || len(l.slots) != 4 || len(l.away) != 3 {
		t.Errorf("%d connections, %d of others, %v", len(l.slots), len(l.away), err)
	}
}

func TestUserOfAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	mine := serving().uid
	c := &caller{remote: in.RemoteAddr(), local: in.LocalAddr()}
	if !c.is(mine) || !c.known || c.uid != mine {
		t.Errorf("our own connection is by user %d (known: %v)", c.uid, c.known)
	}
	other := &caller{remote: in.RemoteAddr(), local: in.LocalAddr()}
	other.once.Do(func() { other.uid, other.known = 4242, true })
	if other.is(mine) {
		t.Error("another user was let in")
	}
	stranger := &caller{remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, local: in.LocalAddr()}
	if stranger.is(mine) {
		t.Error("a connection that the kernel does not know was let in")
	}
	elsewhere := &caller{}
	elsewhere.once.Do(func() {}) // as where there is no table
	if !elsewhere.is(mine) {
		t.Error("nobody is let in where users cannot be told apart")
	}
	if s := kernelAddr(net.ParseIP("127.0.0.1").To4(), 80); s != "0100007F:0050" && s != "7F000001:0050" {
		t.Errorf("address is written %q", s)
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range [][2]string{
		{"notes--home.localhost:7777", "/"}, {"notes--home.localhost:7777", "/docs/page.html"},
		{"notes--home.localhost:7777", "/%2e%2e/secret.txt"}, {"notes--home.localhost:7777", "/ln-out"},
		{"localhost:7777", "/.well-known/dx/signal"}, {"[::1]", "//x"}, {"evil.example", "/..;/"}, {"", "%"},
	} {
		f.Add(seed[0], seed[1])
	}
	s := serving(testSpace())
	s.signal = http.NotFoundHandler()
	f.Fuzz(func(t *testing.T, host, target string) {
		r := get(s, "GET", host, target, "Accept", "text/html")
		got := body(t, r)
		if strings.Contains(got, "not for the web") || strings.Contains(got, "beside the apps") {
			t.Fatalf("%q %q escaped", host, target)
		}
		if strings.Contains(got, "<title>other") && !strings.EqualFold(host, "other--home.localhost:7777") {
			t.Fatalf("%q %q gave another app's file", host, target)
		}
		if l := r.Header.Get("Location"); l != "" && (!strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//") || strings.ContainsAny(l, "\\\r\n")) {
			t.Fatalf("redirect to %q", l)
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add("notes", "home", "Notes", "home")
	f.Add("日本", "", "--", "xn")
	f.Fuzz(func(t *testing.T, app1, space1, app2, space2 string) {
		in := []candidate{
			{space: space1, spaceHash: "1111111111111111", app: app1},
			{space: space2, spaceHash: "2222222222222222", app: app2},
		}
		got := labels(in)
		back := labels([]candidate{in[1], in[0]})
		if got[0] == got[1] || got[0] != back[1] || got[1] != back[0] {
			t.Fatalf("%q, %q", got, back)
		}
		for _, l := range got {
			if len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.HasPrefix(l, "xn--") ||
				strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Fatalf("bad label %q", l)
			}
		}
	})
}

func TestPackCacheForgets(t *testing.T) {
	c := newPackCache()
	big := bytes.Repeat([]byte{1}, gzipCache/4)
	for _, tag := range []string{"a", "b", "c", "d", "e", "f"} {
		c.put(tag, big)
	}
	if _, ok := c.get("a"); ok || c.size > gzipCache {
		t.Errorf("keeps %d bytes", c.size)
	}
	if _, ok := c.get("f"); !ok {
		t.Error("forgot the newest")
	}
}

func BenchmarkRequest(b *testing.B) {
	s := serving(testSpace())
	b.ReportAllocs()
	for b.Loop() {
		get(s, "GET", "notes--home.localhost:7777", "/mod.mjs")
	}
}
