package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/admission"
	"github.com/echofs/echofs/net/mesh"
)

// Cards, by which strangers can send this person an invitation. Those that are
// out are kept with the HALO space on this device, which waits on their topics.

const (
	cardsName   = "cards" // Local value of the HALO space
	cardsFormat = 1
	maxCards    = 16 // that are out at a time

	defaultCardTTL = 7 * 24 * time.Hour
)

// cardBox is how cards are stored.
type cardBox struct {
	Version uint64   `cbor:"1,keyasint"`
	Cards   [][]byte `cbor:"2,keyasint,omitempty"` // their texts
}

var errCards = errors.New("the cards that are out cannot be read")

func decodeCards(data []byte) (list []invitation.Card, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	var b cardBox
	if err := codec.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", errCards, err)
	}
	if b.Version != cardsFormat || len(b.Cards) > maxCards {
		return nil, fmt.Errorf("%w: version %d, %d cards", errCards, b.Version, len(b.Cards))
	}
	for _, text := range b.Cards {
		c, err := invitation.ParseCard(string(text))
		if err != nil || c.String() != string(text) {
			return nil, fmt.Errorf("%w: not a card: %w", errCards, err)
		}
		list = append(list, c)
	}
	return list, nil
}

func encodeCards(list []invitation.Card) ([]byte, error) {
	b := cardBox{Version: cardsFormat}
	for _, c := range list {
		b.Cards = append(b.Cards, []byte(c.String()))
	}
	return codec.Marshal(b)
}

// cards returns those that are out.
func (d *daemon) cards(own *openSpace) []invitation.Card {
	data, err := own.Local(cardsName)
	var list []invitation.Card
	if err == nil {
		list, err = decodeCards(data)
	}
	if err != nil {
		d.log.Warn("cards that are out do not work", "err", err)
	}
	now := time.Now()
	return slices.DeleteFunc(list, func(c invitation.Card) bool { return past(c.Expires, now) })
}

// changeCards replaces the cards by what f makes of them.
func (d *daemon) changeCards(own *openSpace, f func([]invitation.Card) ([]invitation.Card, error)) error {
	d.boxes.Lock()
	defer d.boxes.Unlock()
	list, err := f(d.cards(own))
	if err != nil {
		return err
	}
	data, err := encodeCards(list)
	if err != nil {
		return err
	}
	return own.PutLocal(cardsName, data)
}

// cardSpace is where the cards are kept.
func (d *daemon) cardSpace() (*openSpace, error) {
	own := d.own()
	if own == nil {
		return nil, &localapi.Error{Code: localapi.Failed, Message: "this device can have no cards: what your devices share cannot be used", Next: "see echofs status"}
	}
	return own, nil
}

// ShareCard makes a card, and waits for letters by it from now on.
func (d *daemon) ShareCard(_ context.Context, req localapi.CardRequest) (localapi.Card, error) {
	if req.TTL == 0 {
		req.TTL = defaultCardTTL
	}
	if req.TTL < 0 || req.TTL > maxTTL {
		return localapi.Card{}, &localapi.Error{Code: localapi.Usage, Message: "a card lasts from a second to 30 days", Next: "for example --expires 48h"}
	}
	own, err := d.cardSpace()
	if err != nil {
		return localapi.Card{}, err
	}
	card, err := invitation.NewCard(invitation.Card{
		Identity: d.device.Identity(), Device: d.device.Key(), Expires: time.Now().Add(req.TTL),
		Signal: d.urlsForGuests(), Name: d.personName(),
	})
	if err != nil {
		return localapi.Card{}, err
	}
	err = d.changeCards(own, func(list []invitation.Card) ([]invitation.Card, error) {
		if len(list) >= maxCards {
			return nil, &localapi.Error{Code: localapi.Busy, Message: fmt.Sprintf("%d cards of yours are out", len(list)), Next: "make all of them useless: echofs halo share --revoke"}
		}
		return append(list, card), nil
	})
	if err != nil {
		return localapi.Card{}, err
	}
	d.tend(time.Now())
	return localapi.Card{
		Card: card.String(), QR: card.Short(), Identity: card.Identity.String(), Name: card.Name, Expires: card.Expires,
		OnlyHere: onlyHere(card.Signal),
	}, nil
}

// RevokeCards makes all cards useless, and returns how many there were.
func (d *daemon) RevokeCards(context.Context) (n int, err error) {
	own, err := d.cardSpace()
	if err != nil {
		return 0, err
	}
	err = d.changeCards(own, func(list []invitation.Card) ([]invitation.Card, error) {
		n = len(list)
		return nil, nil
	})
	d.tend(time.Now())
	return n, err
}

// recipientOf finds whom a card means.
func (d *daemon) recipientOf(text string) (recipient, error) {
	card, err := invitation.ParseCard(text)
	if err == nil {
		err = card.Check(time.Now())
	}
	if err != nil {
		return recipient{}, cardError(err)
	}
	if card.Identity == d.device.Identity() {
		return recipient{}, &localapi.Error{Code: localapi.Usage, Message: "this card is your own", Next: "somebody else sends you an invitation with it; your devices are in your spaces anyway"}
	}
	if err := d.meet(card.Signal); err != nil {
		return recipient{}, err
	}
	name := card.Name
	if name == "" {
		name = card.Identity.Short()
	}
	return recipient{id: card.Identity, name: name, card: []byte(card.String()), topics: [][32]byte{card.Topic()}}, nil
}

// cardError gives what is wrong with a card its exit code.
func cardError(err error) error {
	e := localapi.AsError(err)
	e.Code, e.Next = localapi.Refused, "ask them for a new one: echofs halo share"
	switch {
	case errors.Is(err, invitation.ErrNotCard):
		e.Code, e.Message, e.Next = localapi.Usage, invitation.ErrNotCard.Error(), "give it the last line that echofs halo share printed there"
	case errors.Is(err, invitation.ErrDamaged):
		e.Message, e.Next = "the card is incomplete or mistyped", "copy all of it again, from "+invitation.CardPrefix+" to the last letter"
	case errors.Is(err, invitation.ErrNewer):
		e.Message, e.Next = "the card was made by a newer release", "upgrade echofs"
	case errors.Is(err, invitation.ErrInvalid):
		e.Message = "not a valid card"
	case errors.Is(err, invitation.ErrCardExpired):
		e.Message = "the card has expired"
	}
	return e
}

// cardsLocked waits for letters by the cards that are out, and comes to where
// those wait whose card we have and who are to get one.
func (d *daemon) cardsLocked(connected []*openSpace, now time.Time) {
	want := map[[32]byte]func() mesh.Handler{}
	for _, s := range connected {
		for _, l := range d.box(s, outboxName) {
			if len(l.Card) > 0 && !l.Done && !past(l.card.Expires, now) {
				want[l.card.Topic()] = func() mesh.Handler { return d.cardPostman(l.card) }
			}
		}
	}
	if own := d.personal; own != nil && own.leave != nil {
		for _, card := range d.cards(own) {
			want[card.Topic()] = func() mesh.Handler { return d.cardInbox(own, card) }
		}
	}
	for topic, leave := range d.carded {
		if want[topic] == nil {
			go leave() // it waits for links, which must not hold the lock up
			delete(d.carded, topic)
		}
	}
	for topic, handler := range want {
		if d.carded[topic] == nil {
			d.carded[topic] = d.mesh.Join(topic, handler())
		}
	}
}

// cardInbox takes letters from those who have a card.
func (d *daemon) cardInbox(own *openSpace, card invitation.Card) mesh.Handler {
	return admission.CardInbox{
		Card: card, Log: d.part("admission"),
		Keep: func(from identity.Profile, inv invitation.Invitation) error {
			if !slices.ContainsFunc(d.cards(own), func(c invitation.Card) bool { return c.Secret == card.Secret }) {
				return errors.New("the card was withdrawn")
			}
			return d.keepLetter(own, from, inv)
		},
	}
}

// cardPostman brings the one who has made a card their letters.
func (d *daemon) cardPostman(card invitation.Card) mesh.Handler {
	return admission.CardPostman{
		Card: card, Self: d.device.Key(),
		Letters: func() (list []invitation.Invitation) {
			for _, s := range d.sorted() {
				for _, l := range d.box(s, outboxName) {
					if len(l.Card) > 0 && l.card.Secret == card.Secret && !l.Done {
						list = append(list, l.inv)
					}
				}
			}
			return list
		},
		Delivered: d.delivered,
	}
}
