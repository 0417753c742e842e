package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/replicate"
)

// peopleAgain is how often peers are told what is looked at, and spaces looked
// through for those that lack the profile.
const peopleAgain = 5 * time.Second

// keepPeople tells peers that this device is here, and has spaces know what the
// person is called, until ctx ends.
func (d *daemon) keepPeople(ctx context.Context) error {
	d.arrived()
	tick := time.NewTicker(peopleAgain)
	defer tick.Stop()
	for {
		d.tellPeers()
		if err := d.spreadProfile(); err != nil && ctx.Err() == nil {
			d.log.Warn("not all spaces have your profile yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// arrived notes that this device is here from now on.
func (d *daemon) arrived() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.here = time.Now()
}

// tellPeers tells the peers of all spaces that this device is here and, if it is
// to, what is looked at.
func (d *daemon) tellPeers() {
	d.mu.Lock()
	share := d.settings.ShareActivity
	d.mu.Unlock()
	for _, s := range d.sorted() {
		file := ""
		if share {
			file = d.vfs.LookedAt(s.Name())
		}
		if !replicate.CanTell(file) {
			file = ""
		}
		d.mu.Lock()
		s.told = replicate.Presence{Since: d.here, File: file}
		r, told := s.replica, s.told
		d.mu.Unlock()
		if r != nil {
			r.Tell(told)
		}
	}
}

// hereIn returns the devices that are here in a space: of others, and this one
// with what it tells.
func (d *daemon) hereIn(s *openSpace, device *identity.Device) []replicate.Peer {
	d.mu.Lock()
	r, told, offline := s.replica, s.told, d.settings.Offline
	d.mu.Unlock()
	var here []replicate.Peer
	if !offline && !told.Since.IsZero() && s.Standing() == space.Present {
		here = append(here, replicate.Peer{Profile: device.Profile(), Presence: told})
	}
	if r == nil {
		return here
	}
	for _, p := range r.Here() {
		if p.Device != device.Key() {
			here = append(here, p)
		}
	}
	return here
}

// presences returns who is here in a space, this device too, by identity.
func (d *daemon) presences(s *openSpace, device *identity.Device) map[identity.ID][]localapi.Presence {
	devices := map[linkEnd]peer{} // of members, whatever their chains say they are called
	devicesOf(s, devices)
	here := map[identity.ID][]localapi.Presence{}
	for _, p := range d.hereIn(s, device) {
		known, is := devices[linkEnd{s.ID(), p.Device}]
		if !is {
			continue // it was a member's a moment ago
		}
		one := localapi.Presence{Device: p.Device.String(), DeviceName: known.device, Self: p.Device == device.Key(), Since: p.Since}
		if p.File != "" {
			one.File = s.Name() + "/" + p.File
		}
		here[known.who] = append(here[known.who], one)
	}
	return here
}

// A linkEnd is a device in a space.
type linkEnd struct {
	space  [32]byte
	device identity.PublicKey
}

// A peer is what is known of a device in a space: whose it is and what it is
// called, and what is looked at there.
type peer struct {
	who                identity.ID
	name, device, file string
}

// devicesOf adds the devices of the members of a space.
func devicesOf(s *openSpace, to map[linkEnd]peer) {
	for _, m := range s.Members() {
		for _, info := range m.Infos {
			to[linkEnd{s.ID(), info.Key}] = peer{who: m.Identity, name: m.Name, device: info.Name}
		}
	}
}

// peersOf adds the devices of the members of a space, with what they look at.
func (d *daemon) peersOf(s *openSpace, to map[linkEnd]peer) {
	devicesOf(s, to)
	for _, p := range d.hereIn(s, d.device) {
		if known, ok := to[linkEnd{s.ID(), p.Device}]; ok && p.File != "" {
			known.file = s.Name() + "/" + p.File
			to[linkEnd{s.ID(), p.Device}] = known
		}
	}
}

// who is what `.space/who` says: a line for each device that is here, this one
// first. It is for between openSession and the end of what that opens.
func (d *daemon) who(device *identity.Device) func(*space.Space) string {
	return func(sp *space.Space) string {
		d.mu.Lock()
		s := d.spaces[sp.ID()]
		d.mu.Unlock()
		if s == nil {
			return "" // it is being opened or closed
		}
		names := map[identity.ID]string{}
		for _, m := range s.Members() {
			names[m.Identity] = m.Name
		}
		return whoText(names, d.presences(s, device), s.Name())
	}
}

// whoText writes a line for each device: the person, the device, since when it is
// here, and the file, a path in the space.
func whoText(names map[identity.ID]string, here map[identity.ID][]localapi.Presence, spaceName string) string {
	type line struct {
		name string
		p    localapi.Presence
	}
	var lines []line
	for who, devices := range here {
		for _, p := range devices {
			lines = append(lines, line{names[who], p})
		}
	}
	slices.SortFunc(lines, func(a, b line) int {
		if a.p.Self != b.p.Self {
			if a.p.Self {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.p.DeviceName, b.p.DeviceName), cmp.Compare(a.p.Device, b.p.Device))
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\tsince %s", oneLine(l.name), oneLine(l.p.DeviceName), l.p.Since.Local().Format("2006-01-02 15:04"))
		if l.p.File != "" {
			fmt.Fprintf(w, "\t%s", oneLine(strings.TrimPrefix(l.p.File, spaceName+"/")))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// oneLine leaves nothing in a name that moves a cursor or hides what follows.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Contacts lists everybody who is in a space with this person, by name.
func (d *daemon) Contacts(context.Context) ([]localapi.Contact, error) {
	online := map[identity.ID]bool{}
	for _, l := range d.mesh.Links() {
		if l.State == mesh.Up {
			online[l.Identity] = true
		}
	}
	all := map[identity.ID]*localapi.Contact{}
	for _, s := range d.sorted() {
		here := d.presences(s, d.device)
		for _, m := range s.Members() {
			if m.Identity == d.device.Identity() {
				continue
			}
			c := all[m.Identity]
			if c == nil {
				c = &localapi.Contact{Name: m.Name, Identity: m.Identity.String(), Here: []localapi.Presence{}}
				all[m.Identity] = c
			}
			c.Online = c.Online || online[m.Identity]
			c.Devices = max(c.Devices, len(m.Devices))
			c.Spaces = append(c.Spaces, s.Name())
			for _, p := range here[m.Identity] {
				c.Here = withPresence(c.Here, p)
			}
		}
	}
	contacts := []localapi.Contact{}
	for _, c := range all {
		contacts = append(contacts, *c)
	}
	slices.SortFunc(contacts, func(a, b localapi.Contact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Identity, b.Identity))
	})
	return contacts, nil
}

// withPresence adds what a device tells in one space to what it tells in others.
func withPresence(all []localapi.Presence, p localapi.Presence) []localapi.Presence {
	for i := range all {
		if old := &all[i]; old.Device == p.Device {
			if p.Since.Before(old.Since) {
				old.Since = p.Since
			}
			old.File = cmp.Or(old.File, p.File)
			return all
		}
	}
	return append(all, p)
}
