package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

// Invitations to people one knows, or whose card one has. A letter that was sent
// is kept with the space it invites to, until it is delivered; one that came is
// kept with the space it came by, until it is accepted, refused or old. What a
// card brought is kept with the HALO space.

const (
	inboxName  = "inbox"  // Local value of a space
	outboxName = "outbox" // Local value of a space

	maxLetters    = 64 // of one box
	maxLettersOf  = 8  // by one sender in one inbox
	lettersFormat = 1
)

// A letter is an invitation on its way.
type letter struct {
	Invitation []byte      `cbor:"1,keyasint"` // its text
	Who        identity.ID `cbor:"2,keyasint"` // whom it goes to, or who sent it
	Name       string      `cbor:"3,keyasint,omitempty"`
	Via        identity.ID `cbor:"4,keyasint,omitzero"`  // the space that both are in
	Invite     identity.ID `cbor:"5,keyasint,omitzero"`  // the INVITE, of one that was sent
	Done       bool        `cbor:"6,keyasint,omitempty"` // delivered
	Card       []byte      `cbor:"7,keyasint,omitempty"` // its text, of one that is sent to a card instead of Via

	inv  invitation.Invitation
	card invitation.Card
}

// letterBox is how letters are stored.
type letterBox struct {
	Version uint64   `cbor:"1,keyasint"`
	Letters []letter `cbor:"2,keyasint,omitempty"`
}

var errLetters = errors.New("the invitations that were sent cannot be read")

func decodeLetters(data []byte) ([]letter, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var b letterBox
	if err := codec.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", errLetters, err)
	}
	if b.Version != lettersFormat || len(b.Letters) > maxLetters {
		return nil, fmt.Errorf("%w: version %d, %d letters", errLetters, b.Version, len(b.Letters))
	}
	for i := range b.Letters {
		l := &b.Letters[i]
		inv, err := invitation.Parse(string(l.Invitation))
		if err != nil || inv.Kind != invitation.Link || inv.String() != string(l.Invitation) {
			return nil, fmt.Errorf("%w: not an invitation: %w", errLetters, err)
		}
		l.inv = inv
		if l.Via.IsZero() == (len(l.Card) == 0) {
			return nil, fmt.Errorf("%w: by way of a space or a card", errLetters)
		}
		if len(l.Card) == 0 {
			continue
		}
		if l.card, err = invitation.ParseCard(string(l.Card)); err != nil || l.card.String() != string(l.Card) {
			return nil, fmt.Errorf("%w: not a card: %w", errLetters, err)
		}
	}
	return b.Letters, nil
}

func encodeLetters(list []letter) ([]byte, error) {
	return codec.Marshal(letterBox{Version: lettersFormat, Letters: list})
}

// box reads the letters of a space that are not old.
func (d *daemon) box(s *openSpace, name string) []letter {
	data, err := s.Local(name)
	var list []letter
	if err == nil {
		list, err = decodeLetters(data)
	}
	if err != nil {
		d.log.Warn("invitations that were sent cannot be read", "space", s.Name(), "err", err)
	}
	now := time.Now()
	return slices.DeleteFunc(list, func(l letter) bool { return past(l.inv.Expires, now) })
}

// changeBox replaces the letters of a space by what f makes of them.
func (d *daemon) changeBox(s *openSpace, name string, f func([]letter) ([]letter, error)) error {
	d.boxes.Lock()
	defer d.boxes.Unlock()
	list, err := f(d.box(s, name))
	if err != nil {
		return err
	}
	data, err := encodeLetters(list)
	if err != nil {
		return err
	}
	return s.PutLocal(name, data)
}

// A contact is somebody who is with us in some space.
type contact struct {
	localapi.Member
	id  identity.ID
	via *openSpace
}

// contactNamed finds the one contact that is meant. Of those in several spaces
// it takes one where they are connected, if there is one.
func (d *daemon) contactNamed(name string) (contact, error) {
	byID := map[string]contact{}
	var all []localapi.Member
	for _, s := range d.sorted() {
		for _, m := range d.membersOf(s) {
			id, err := identity.ParseID(m.Identity)
			if err != nil || m.Self {
				continue
			}
			old, is := byID[m.Identity]
			if !is {
				all = append(all, m)
			}
			if !is || m.Online && !old.Online {
				byID[m.Identity] = contact{m, id, s}
			}
		}
	}
	m, err := pickMember("your spaces", all, name)
	if err != nil {
		e := localapi.AsError(err)
		if e.Code == localapi.NotFound {
			e.Next = "only members of your other spaces are known by name; ask anybody else for their card (echofs halo share), or give them the URL: echofs space share NAME"
		}
		return contact{}, e
	}
	return byID[m.Identity], nil
}

// A recipient is whom an invitation is sent to.
type recipient struct {
	id     identity.ID
	name   string
	via    identity.ID // the space that both are in
	card   []byte      // the text of their card, if there is no such space
	topics [][32]byte  // where they wait
}

// recipientNamed finds whom a contact or a card means.
func (d *daemon) recipientNamed(to string) (recipient, error) {
	if strings.Contains(to, "://") {
		return d.recipientOf(to)
	}
	c, err := d.contactNamed(to)
	if err != nil {
		return recipient{}, err
	}
	r := recipient{id: c.id, name: c.Name, via: c.via.ID()}
	for _, topic := range topicsOf(c.via) {
		r.topics = append(r.topics, admission.InboxTopic(topic, c.id))
	}
	return r, nil
}

// shareTo makes an invitation and sends it to somebody who is in another space
// with us, or whose card we have.
func (d *daemon) shareTo(s *openSpace, inv invitation.Invitation, to string) (localapi.Invitation, error) {
	r, err := d.recipientNamed(to)
	if err != nil {
		return localapi.Invitation{}, err
	}
	if slices.ContainsFunc(d.membersOf(s), func(m localapi.Member) bool { return m.Identity == r.id.String() }) {
		return localapi.Invitation{}, &localapi.Error{
			Code: localapi.Busy, Message: fmt.Sprintf("%s is in %s already", r.name, s.Name()),
			Next: "to change what they may do: echofs space role " + s.Name() + " " + r.name + " ROLE",
		}
	}
	made, err := d.shareLink(s, inv, 1, r.name)
	if err != nil {
		return made, err
	}
	invite, err := identity.ParseID(made.ID)
	if err != nil {
		return made, err
	}
	err = d.changeBox(s, outboxName, func(list []letter) ([]letter, error) {
		if len(list) >= maxLetters {
			return nil, &localapi.Error{Code: localapi.Busy, Message: fmt.Sprintf("%d invitations of %s wait to be delivered", len(list), s.Name()), Next: "withdraw some: echofs space invitations " + s.Name()}
		}
		return append(list, letter{Invitation: []byte(made.URL), Who: r.id, Name: r.name, Via: r.via, Card: r.card, Invite: invite}), nil
	})
	if err != nil {
		return made, errors.Join(err, s.CloseInvite(invite))
	}
	d.tend(time.Now())
	for _, topic := range r.topics {
		d.mesh.Retry(topic) // where they may have got another one before
	}
	made.URL, made.QR = "", "" // it travels by itself
	made.Note = "on its way"
	return made, nil
}

// memberOf tells for whom a device acts in a space.
func memberOf(s *openSpace) func(identity.PublicKey) (identity.ID, bool) {
	return func(device identity.PublicKey) (identity.ID, bool) {
		for _, m := range s.Members() {
			if slices.Contains(m.Devices, device) {
				return m.Identity, true
			}
		}
		return identity.ID{}, false
	}
}

// mailLocked waits for letters from the members of each space, and comes to
// where those wait who are to get one from us.
func (d *daemon) mailLocked(connected []*openSpace) {
	for _, via := range connected {
		want := map[[32]byte]func() mesh.Handler{}
		for _, topic := range topicsOf(via) {
			for _, to := range d.recipients(connected, via.ID()) {
				want[admission.InboxTopic(topic, to)] = func() mesh.Handler { return d.postman(via, to) }
			}
			want[admission.InboxTopic(topic, d.device.Identity())] = func() mesh.Handler { return d.inbox(via) }
		}
		for topic, leave := range via.mail {
			if want[topic] == nil {
				go leave() // it waits for links, which must not hold the lock up
				delete(via.mail, topic)
			}
		}
		for topic, handler := range want {
			if via.mail[topic] == nil {
				via.mail[topic] = d.mesh.Join(topic, handler())
			}
		}
	}
}

// topicsOf returns where the members of a space meet now.
func topicsOf(s *openSpace) [][32]byte { return s.Meeting(time.Now()) }

// recipients returns who is to get a letter by way of a space.
func (d *daemon) recipients(spaces []*openSpace, via identity.ID) (all []identity.ID) {
	for _, s := range spaces {
		for _, l := range d.box(s, outboxName) {
			if l.Via == via && !l.Done && !slices.Contains(all, l.Who) {
				all = append(all, l.Who)
			}
		}
	}
	return all
}

// postman brings somebody their letters.
func (d *daemon) postman(via *openSpace, to identity.ID) mesh.Handler {
	return admission.Postman{
		To: to, Member: memberOf(via),
		Letters: func() (list []invitation.Invitation) {
			for _, s := range d.sorted() {
				for _, l := range d.box(s, outboxName) {
					if l.Via == via.ID() && l.Who == to && !l.Done {
						list = append(list, l.inv)
					}
				}
			}
			return list
		},
		Delivered: d.delivered,
	}
}

// delivered notes that a letter has arrived.
func (d *daemon) delivered(inv invitation.Invitation) {
	is := func(l letter) bool { return l.inv.ID() == inv.ID() }
	for _, s := range d.sorted() {
		if !slices.ContainsFunc(d.box(s, outboxName), is) {
			continue
		}
		err := d.changeBox(s, outboxName, func(list []letter) ([]letter, error) {
			for i := range list {
				list[i].Done = list[i].Done || is(list[i])
			}
			return list, nil
		})
		if err != nil {
			d.log.Warn("that an invitation was delivered is not remembered", "space", s.Name(), "err", err)
		}
	}
}

// inbox takes letters from the members of a space.
func (d *daemon) inbox(s *openSpace) mesh.Handler {
	return admission.Inbox{
		Member: memberOf(s), Log: d.part("admission"),
		Keep: func(from identity.Profile, inv invitation.Invitation) error { return d.keepLetter(s, from, inv) },
	}
}

// keepLetter keeps an invitation that came. Nothing else happens until its
// person accepts it.
func (d *daemon) keepLetter(s *openSpace, from identity.Profile, inv invitation.Invitation) error {
	if past(inv.Expires, time.Now()) || inv.Expires.After(time.Now().Add(2*maxTTL)) {
		return invitation.ErrExpired
	}
	return d.changeBox(s, inboxName, func(list []letter) ([]letter, error) {
		text := inv.String()
		theirs := 0
		for _, l := range list {
			if string(l.Invitation) == text {
				return list, nil // again
			}
			if l.Who == from.Identity {
				theirs++
			}
		}
		if theirs >= maxLettersOf || len(list) >= maxLetters {
			return nil, errors.New("too many invitations wait for an answer")
		}
		return append(list, letter{Invitation: []byte(text), Who: from.Identity, Name: from.Name, Via: s.ID()}), nil
	})
}

// A received letter is one in the inbox of a space.
type received struct {
	letter
	via  *openSpace
	card bool // it came by our card: we know nothing of the sender
}

func (r received) describe() localapi.Invitation {
	by, way := cmp.Or(r.Name, r.Who.Short()), "by way of "+r.via.Name()
	if r.card {
		by, way = by+" ("+r.Who.Short()+")", "by your card"
	}
	return localapi.Invitation{
		ID: r.inv.ID().String(), Kind: localapi.KindReceived, Space: r.inv.Name, Role: r.inv.Role.String(), Expires: r.inv.Expires,
		State: localapi.StateOpen, Uses: 1, Used: []string{}, By: by, Note: way,
	}
}

// letters returns what others have sent us, for spaces that we are not in.
func (d *daemon) letters() (all []received) {
	own := d.own()
	for _, s := range d.withOwn() {
		for _, l := range d.box(s, inboxName) {
			if _, err := d.find(l.inv.Space.String()); err != nil {
				all = append(all, received{l, s, s == own})
			}
		}
	}
	return all
}

// received describes what others have sent us.
func (d *daemon) received() []localapi.Invitation {
	list := []localapi.Invitation{}
	for _, l := range d.letters() {
		list = append(list, l.describe())
	}
	return list
}

// pickLetter finds the one letter that is meant, by the name of its space or the
// first digits of its ID.
func (d *daemon) pickLetter(name string) (l received, ok bool, err error) {
	var found []received
	for _, l := range d.letters() {
		if l.inv.Name == name || len(name) >= shortestInvitation && strings.HasPrefix(l.inv.ID().String(), strings.ToLower(name)) {
			found = append(found, l)
		}
	}
	if len(found) > 1 {
		var lines strings.Builder
		for _, l := range found {
			fmt.Fprintf(&lines, "\n%s  %s from %s", l.inv.ID().Short(), l.inv.Name, l.Name)
		}
		return l, false, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("%d invitations are called %s:%s", len(found), name, lines.String()), Next: "name one by the first digits"}
	}
	if len(found) == 0 {
		return l, false, nil
	}
	return found[0], true, nil
}

// dropLetter forgets an invitation that was sent to us.
func (d *daemon) dropLetter(id string) error {
	return d.dropLetters(func(l letter) bool { return l.inv.ID().String() == id })
}

// dropLettersTo forgets the invitations to a space that we are in now.
func (d *daemon) dropLettersTo(space identity.ID) {
	if err := d.dropLetters(func(l letter) bool { return l.inv.Space == space }); err != nil {
		d.log.Warn("an invitation that was accepted is still listed", "err", err)
	}
}

func (d *daemon) dropLetters(which func(letter) bool) (err error) {
	for _, s := range d.withOwn() {
		if slices.ContainsFunc(d.box(s, inboxName), which) {
			err = errors.Join(err, d.changeBox(s, inboxName, func(list []letter) ([]letter, error) {
				return slices.DeleteFunc(list, which), nil
			}))
		}
	}
	return err
}

// sentFrom returns the keys of the invitations to a space that wait to be
// delivered.
func (d *daemon) sentFrom(s *openSpace) (keys []identity.PublicKey) {
	for _, l := range d.box(s, outboxName) {
		if !l.Done {
			keys = append(keys, l.inv.Pub())
		}
	}
	return keys
}

// dropSent forgets a letter whose invitation was withdrawn.
func (d *daemon) dropSent(s *openSpace, invite identity.ID) {
	err := d.changeBox(s, outboxName, func(list []letter) ([]letter, error) {
		return slices.DeleteFunc(list, func(l letter) bool { return l.Invite == invite }), nil
	})
	if err != nil {
		d.log.Warn("an invitation that was withdrawn is still being delivered", "space", s.Name(), "err", err)
	}
}
