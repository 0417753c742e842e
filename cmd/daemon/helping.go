package daemon

import (
	"maps"
	"slices"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/recovery"
)

// maxHelped is how many people this device waits for who may have lost all their
// devices.
const maxHelped = 256

// helpLocked waits for the people of all spaces that have recovery words, and for
// nobody else.
func (d *daemon) helpLocked() {
	type person struct {
		who   identity.ID
		words identity.PublicKey
	}
	people := map[[32]byte]person{}
	// Always in the same order, or topics would come and go where they are too
	// many; and first those of our own person, whose place nobody takes by claiming
	// their words.
	spaces := make([]*openSpace, 0, len(d.spaces)+1)
	if d.personal != nil {
		spaces = append(spaces, d.personal)
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.spaces), identity.ID.Compare) {
		spaces = append(spaces, d.spaces[id])
	}
	for _, s := range spaces {
		if s.leave == nil || s.Standing() != space.Present {
			continue
		}
		for _, m := range s.Members() {
			words, _, ok := s.Halo(m.Identity).Recovery()
			if !ok || len(people) == maxHelped {
				continue
			}
			topic := recovery.Topic(words)
			if _, taken := people[topic]; !taken {
				people[topic] = person{m.Identity, words}
			}
		}
	}
	for topic, p := range people {
		if d.helping[topic] == nil {
			help := func() (recovery.Help, bool) { return d.help(p.who, p.words) }
			d.helping[topic] = d.mesh.Join(topic, recovery.NewHost(d.device.Key(), p.words, help, d.part("recovery")))
		}
	}
	for topic, leave := range d.helping {
		if _, wanted := people[topic]; !wanted {
			go leave() // it waits for links, which must not hold the lock up
			delete(d.helping, topic)
		}
	}
}

// help returns what there is of somebody who has the words of a public key. What
// all spaces know says whether these are still their words: whoever has those of
// before a recovery hears nothing, also of a space that does not know of it yet.
func (d *daemon) help(who identity.ID, words identity.PublicKey) (help recovery.Help, known bool) {
	var halo identity.Halo
	if who == d.device.Identity() {
		halo = d.device.Halo()
	}
	for _, s := range d.withOwn() {
		merged, err := halo.Merge(s.Halo(who))
		if err != nil {
			d.log.Warn("an identity that is being recovered is not known in one piece", "err", err)
			continue
		}
		halo = merged
	}
	if sign, _, ok := halo.Recovery(); !ok || sign != words {
		return recovery.Help{}, false
	}
	for _, s := range d.withOwn() {
		member := slices.ContainsFunc(s.Members(), func(m membership.Member) bool {
			return m.Identity == who && m.Role > credential.None
		})
		if !member || s.Standing() != space.Present {
			continue
		}
		known = true
		if box := s.Meta(who); box != nil && !slices.ContainsFunc(help.Boxes, func(b []byte) bool { return string(b) == string(box) }) {
			help.Boxes = append(help.Boxes, box)
		}
		if s == d.own() {
			continue // its place is in the box
		}
		rec, _ := d.recordOf(s, who, record{})
		if data, err := rec.encode(); err == nil {
			help.Spaces = append(help.Spaces, data)
		}
	}
	if who == d.device.Identity() {
		if box, err := d.freshBox(); err == nil {
			help.Boxes = append(help.Boxes, box)
		}
	}
	help.Chain = halo.Chain()
	return help, known
}

// freshBox makes a recovery box as it is to be now.
func (d *daemon) freshBox() ([]byte, error) {
	d.mu.Lock()
	body := d.boxed
	d.mu.Unlock()
	_, seal, ok := d.device.Halo().Recovery()
	if !ok || body == nil {
		return nil, errBox
	}
	return sealBox(d.device, seal, body)
}
