package web

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// ServeHTTP checks who asks, then the Host, then on whose behalf, then the path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == SignalPath && s.signal != nil && s.signalHost(r) {
		s.signal.ServeHTTP(w, r)
		return
	}
	if !loopback(r.RemoteAddr) || !s.sameUser(r) {
		misdirected(w, r)
		return
	}
	host := strings.ToLower(r.Host)
	if s.ownHost(host) {
		front(w, r)
		return
	}
	label, ok := strings.CutSuffix(host, s.host(""))
	if !ok || label == "" || len(label) > maxLabel || strings.ContainsRune(label, '.') {
		misdirected(w, r)
		return
	}
	app, ok := s.folders()[label]
	if !ok {
		misdirected(w, r)
		return
	}
	if foreign(r) {
		page(w, r, http.StatusForbidden, "Another page may not load this", "A link to this app works; its files are for the app itself only.")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		page(w, r, http.StatusMethodNotAllowed, "This app can only be read", "Files are changed in the folder of the space, not through this address.")
		return
	}
	t, ok := parsePath(r.URL.EscapedPath())
	if !ok {
		badPath(w, r)
		return
	}
	if t.reserved() {
		notFound(w, r)
		return
	}
	s.serve(w, r, app, t)
}

// ownHost reports whether host is the daemon itself rather than an app.
func (s *Server) ownHost(host string) bool {
	port := ""
	if s.port != 0 && s.port != 80 {
		port = ":" + strconv.Itoa(s.port)
	}
	return host == "localhost"+port || host == "127.0.0.1"+port || host == "[::1]"+port
}

// signalHost reports whether the Host header is one at which signaling may be
// reached: loopback, a configured name, or the very address that was dialled.
// Other names are refused, so that a web page cannot come in by rebinding its
// own name to this machine; an IP address cannot be rebound.
func (s *Server) signalHost(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" || s.hosts[host] {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.Equal(ip)
}

// loopback reports whether an address, with its port, is of this computer.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// foreign reports whether the page of another origin loads a part of itself
// from here. Our headers keep the content from it; this keeps from it whether a
// file is there. Following a link is not foreign. Browsers that do not say get
// no more than the headers allow.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}
