package daemon

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/net/mesh"
)

var _ localapi.Backend = (*daemon)(nil)

// Status tells how the daemon is.
func (d *daemon) Status(ctx context.Context) (localapi.Status, error) {
	d.gate.RLock()
	defer d.gate.RUnlock()
	return d.status(ctx)
}

// status is Status for those who are in the gate.
func (d *daemon) status(ctx context.Context) (localapi.Status, error) {
	if d.device == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return localapi.Status{
			Version: d.Version, PID: os.Getpid(), Started: d.started,
			Home: d.Home, Mount: d.mount, HTTP: d.web.Addr().String(),
			Locked: true, Online: !d.settings.Offline, Signal: []string{},
			Spaces: []localapi.Space{}, Links: []localapi.Link{}, Problems: d.problems.all(), Received: []localapi.Invitation{},
		}, nil
	}
	spaces, err := d.Spaces(ctx)
	if err != nil {
		return localapi.Status{}, err
	}
	return localapi.Status{
		Version: d.Version, PID: os.Getpid(), Started: d.started,
		Home: d.Home, Mount: d.mount, HTTP: d.web.Addr().String(),
		Identity: d.device.Identity().String(), Device: d.device.Key().String(), Name: d.personName(),
		Online: d.mesh.Online(), Signal: d.signalURLs(),
		Spaces: spaces, Links: d.links(), Problems: d.problems.all(), Received: d.received(),
	}, nil
}

// links tells about the peers, with the names of the spaces that connect them.
func (d *daemon) links() []localapi.Link {
	names, people := map[[32]byte]string{}, map[linkEnd]peer{}
	frozen := map[[32]byte]bool{}
	for _, s := range d.sorted() {
		names[s.ID()] = s.Name()
		frozen[s.ID()] = s.Standing() != space.Present
		d.peersOf(s, people)
	}
	if own := d.own(); own != nil { // the HALO space has no name: nobody sees it
		frozen[own.ID()] = own.Standing() != space.Present
		devicesOf(own, people)
	}
	links := []localapi.Link{}
	for _, l := range d.mesh.Links() {
		if names[l.Swarm] == "" && l.State != mesh.Up && l.State != mesh.Connecting {
			continue // others who wait for the same guests, or a guest who has gone
		}
		if frozen[l.Swarm] && l.State != mesh.Up {
			continue // they hang up on us, and that is as it should be
		}
		if _, member := people[linkEnd{l.Swarm, l.Device}]; names[l.Swarm] != "" && !member && l.State == mesh.Refused {
			continue // somebody who was removed
		}
		link := localapi.Link{
			Name: l.Name, Device: l.Device.String(), Space: names[l.Swarm],
			State: string(l.State), Since: l.Since,
		}
		if p, known := people[linkEnd{l.Swarm, l.Device}]; known {
			link.Name, link.DeviceName = cmp.Or(p.name, link.Name), p.device
			if l.State == mesh.Up {
				link.File = p.file
			}
		}
		if !l.Identity.IsZero() {
			link.Identity = l.Identity.String()
		}
		if l.RTT > 0 {
			link.RTT = l.RTT.Round(10 * time.Microsecond).String()
		}
		if l.Err != nil && l.State != mesh.Up {
			link.Error = strings.ReplaceAll(l.Err.Error(), "\n", ": ") // of joined errors
		}
		links = append(links, link)
	}
	return links
}

// Down stops the daemon, after the answer is on its way.
func (d *daemon) Down(context.Context) error {
	d.fail(errDown)
	return nil
}

// SetOnline connects the device, or cuts it off, and remembers that.
func (d *daemon) SetOnline(ctx context.Context, online bool) (localapi.Status, error) {
	d.mu.Lock()
	was := !d.settings.Offline
	d.settings.Offline = !online
	err := d.settings.save(d.Home)
	d.mu.Unlock()
	if err != nil {
		return localapi.Status{}, err
	}
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.device != nil {
		if online && !was {
			d.arrived()
		}
		d.mesh.SetOnline(online)
		d.tellPeers()
	}
	return d.status(ctx)
}

// Spaces lists the spaces.
func (d *daemon) Spaces(context.Context) ([]localapi.Space, error) {
	spaces := []localapi.Space{}
	for _, s := range d.sorted() {
		spaces = append(spaces, d.describe(s))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.broken {
		spaces = append(spaces, localapi.Space{Name: b.name, ID: b.id, Error: b.err.Error()})
	}
	return spaces, nil
}

// Space tells about one space.
func (d *daemon) Space(_ context.Context, name string) (localapi.Space, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// missingShown bounds how many missing pieces are counted.
const missingShown = 10_000

func (d *daemon) describe(s *openSpace) localapi.Space {
	frame := s.Timeframe()
	var entries uint64
	for _, head := range frame {
		entries += head.Seq
	}
	peers := 0
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up && l.Swarm == s.ID() {
			peers++
		}
	}
	frozen, kept := "", 0
	if standing := s.Standing(); standing != space.Present {
		frozen = standing.String()
	}
	if list, err := s.Withdrawn(); err == nil {
		kept = len(list)
	}
	return localapi.Space{
		Frozen: frozen, Kept: kept,
		Name: s.Name(), ID: s.ID().String(), Role: s.Role().String(),
		Path:    filepath.Join(d.mount, s.Name()),
		Members: len(s.Members()), Peers: peers,
		Feeds: len(frame), Entries: entries, Missing: len(s.MissingChunks(missingShown)),
	}
}

// CreateSpace makes a space.
func (d *daemon) CreateSpace(_ context.Context, name string) (localapi.Space, error) {
	d.making.Lock()
	defer d.making.Unlock()
	if err := d.checkName(name); err != nil {
		return localapi.Space{}, err
	}
	s, err := d.newSpace(func(cfg space.Config) (*space.Space, error) { return space.Create(cfg, name) })
	if err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// Rebuild makes the files of a space anew from its log.
func (d *daemon) Rebuild(ctx context.Context, name string) (localapi.Space, error) {
	s, err := d.find(name)
	if err != nil {
		return localapi.Space{}, err
	}
	if err := s.Rebuild(ctx); err != nil {
		return localapi.Space{}, err
	}
	return d.describe(s), nil
}

// Apps lists the web apps.
func (d *daemon) Apps(context.Context) ([]localapi.App, error) {
	for _, s := range d.openSpaces() {
		// Somebody who has just copied an app in wants to see it.
		if err := d.vfs.Publish(s.Name()); err != nil {
			d.log.Warn("the newest apps may be missing for a moment", "space", s.Name(), "err", err)
		}
	}
	apps := []localapi.App{}
	for _, a := range d.web.Apps() {
		apps = append(apps, localapi.App{
			Name: a.Name, Space: a.Space, URL: a.URL,
			Path: filepath.Join(d.mount, a.Space, "apps", a.Name),
		})
	}
	return apps, nil
}
