package daemon

import (
	"net"
	"net/url"
	"slices"

	"github.com/echofs/echofs/net/signaling"
)

// signalURLs are the servers through which peers are found: our own, what we
// were told, and what invitations named.
func (d *daemon) signalURLs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	urls := []string{d.ownURL()}
	for _, u := range slices.Concat(d.settings.Signal, d.settings.Met, d.settings.Guests) {
		if !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	return urls
}

// ownURL is our own signaling server, as this machine reaches it.
func (d *daemon) ownURL() string { return "http://" + reachable(d.web.Addr().String()) }

// Servers of others that are remembered. Guests have their own list, so that
// they cannot push out those by which we find the ones who invited us.
const (
	maxMet    = 16
	maxGuests = 8
)

// meet connects to signaling servers that an invitation named, now and after
// every start.
func (d *daemon) meet(urls []string) error { return d.learn(&d.settings.Met, maxMet, urls) }

// meetGuest is meet for those of a guest: when our own has moved, it cannot find
// us, but we find it.
//
// Only bare hosts count: a guest must not make us ask a device of this network
// for anything but its signaling.
func (d *daemon) meetGuest(urls []string) error {
	return d.learn(&d.settings.Guests, maxGuests, bareHosts(urls))
}

// bareHosts returns the URLs that name a host and nothing there.
func bareHosts(urls []string) []string {
	return slices.DeleteFunc(slices.Clone(urls), func(raw string) bool {
		u, err := url.Parse(raw)
		return err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			u.Path != "" && u.Path != "/" && u.Path != signaling.Path
	})
}

// learn connects to servers and remembers the newest on one of the lists of the
// settings.
func (d *daemon) learn(list *[]string, most int, urls []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range urls {
		if err := d.mesh.AddSignal(u); err != nil {
			d.log.Debug("not a signaling server", "url", u, "err", err)
		} else if !slices.Contains(*list, u) {
			*list = append(*list, u)
		}
	}
	*list = slices.Delete(*list, 0, max(0, len(*list)-most))
	return d.settings.save(d.Home)
}

// remember keeps the settings for the next run.
func (d *daemon) remember() error {
	d.mu.Lock()
	defer d.mu.Unlock()
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

// maxInvited is how many servers an invitation names: a few, since its text
// should be short.
const maxInvited = 4

// urlsForGuests are the servers to name in a new invitation: as urlsForOthers,
// and those of other members, by which a guest finds them while we are away.
func (d *daemon) urlsForGuests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	urls := d.urlsForOthersLocked()
	for _, list := range [][]string{d.settings.Guests, d.settings.Met} {
		for _, u := range slices.Backward(list) { // the newest are the likeliest to be there
			if !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls[:min(len(urls), maxInvited)]
}

// onlyHere reports whether no other machine reaches any of the servers.
func onlyHere(urls []string) bool {
	return !slices.ContainsFunc(urls, func(raw string) bool {
		u, err := url.Parse(raw)
		if err != nil {
			return false
		}
		ip := net.ParseIP(u.Hostname())
		return ip != nil && !ip.IsLoopback() || ip == nil && u.Hostname() != "localhost"
	})
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
