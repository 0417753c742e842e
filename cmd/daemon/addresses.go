package daemon

import (
	"net"
	"net/url"
	"slices"
)

// signalURLs are the servers through which peers are found: our own, what we
// were told, and what invitations named.
func (d *daemon) signalURLs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	urls := []string{d.ownURL()}
	for _, u := range slices.Concat(d.settings.Signal, d.settings.Met) {
		if !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	return urls
}

// ownURL is our own signaling server, as this machine reaches it.
func (d *daemon) ownURL() string { return "http://" + reachable(d.web.Addr().String()) }

// remember keeps the settings, with signaling servers that an invitation named.
func (d *daemon) remember(urls []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range urls {
		if !slices.Contains(d.settings.Met, u) {
			d.settings.Met = append(d.settings.Met, u)
		}
	}
	if n := len(d.settings.Met); n > 16 {
		d.settings.Met = slices.Delete(d.settings.Met, 0, n-16)
	}
	return d.settings.save(d.Home)
}

func (d *daemon) urlsForOthers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.urlsForOthersLocked()
}

// urlsForOthersLocked are the servers to name in invitations: those we were told of
// first, since they are meant to be reachable, and our own.
func (d *daemon) urlsForOthersLocked() []string {
	urls := slices.Clone(d.settings.Signal)
	if own := d.ownURL(); !slices.Contains(urls, own) {
		urls = append(urls, own)
	}
	return urls[:min(len(urls), 8)]
}

// reachable turns the address of a listener into one to connect to from this
// machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// hostsOf returns the names, without addresses, of the hosts in URLs.
func hostsOf(urls []string) (hosts []string) {
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && net.ParseIP(u.Hostname()) == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // of a listener: it has one
	return port
}
