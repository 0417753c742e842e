package localapi

import (
	"context"
	"net/http"
	"time"
)

// Cards is the part of a Backend by which strangers reach this person.
type Cards interface {
	// ShareCard makes a card: with it somebody who shares no space with this
	// person can send them an invitation.
	ShareCard(ctx context.Context, req CardRequest) (Card, error)
	// RevokeCards makes all cards useless, and returns how many there were.
	RevokeCards(ctx context.Context) (int, error)
}

// CardRequest asks for a card.
type CardRequest struct {
	TTL time.Duration `json:"ttl,omitempty"` // zero: the default of a week
}

// Card lets whoever has it send invitations to one person.
type Card struct {
	Card     string    `json:"card"` // the text to hand over
	QR       string    `json:"qr"`   // what a QR code of it holds
	Identity string    `json:"identity"`
	Name     string    `json:"name"`
	Expires  time.Time `json:"expires"`

	OnlyHere bool `json:"only_here,omitempty"` // no other machine reaches the servers it names
}

func cardRoutes(b Cards) map[string]http.Handler {
	return map[string]http.Handler{
		"POST /v1/cards":        with(b, Cards.ShareCard),
		"POST /v1/cards/revoke": call(func(r *http.Request) (any, error) { return b.RevokeCards(r.Context()) }),
	}
}

// ShareCard makes a card.
func (c Client) ShareCard(ctx context.Context, req CardRequest) (card Card, err error) {
	return card, c.do(ctx, "POST", "/v1/cards", req, &card)
}

// RevokeCards makes all cards useless, and returns how many there were.
func (c Client) RevokeCards(ctx context.Context) (n int, err error) {
	return n, c.do(ctx, "POST", "/v1/cards/revoke", nil, &n)
}
