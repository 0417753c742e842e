package localapi

import (
	"context"
	"net/http"
	"time"
)

// People is the part of a Backend that is about persons: who this one says they
// are, and whom they share spaces with.
type People interface {
	// Contacts lists everybody who is in a space with this person.
	Contacts(ctx context.Context) ([]Contact, error)
	Profile(ctx context.Context) (Profile, error)
	// SetProfile changes what is given, in all spaces.
	SetProfile(ctx context.Context, req ProfileRequest) (Profile, error)
}

// Contact is a person with whom spaces are shared.
type Contact struct {
	Name     string     `json:"name"`
	Identity string     `json:"identity"`
	Online   bool       `json:"online"` // one of their devices is connected
	Devices  int        `json:"devices"`
	Here     []Presence `json:"here"`   // those of their devices that are here
	Spaces   []string   `json:"spaces"` // that both are in, by their names here
}

// Presence is a device that is here.
type Presence struct {
	Device     string    `json:"device"`
	DeviceName string    `json:"deviceName"`
	Self       bool      `json:"self,omitempty"`
	Since      time.Time `json:"since"`
	File       string    `json:"file,omitempty"` // what is being looked at, SPACE/PATH, if they tell
}

// Profile is what a person says of themselves.
type Profile struct {
	Identity      string `json:"identity"`
	Name          string `json:"name"`
	Picture       []byte `json:"picture,omitempty"`
	PictureType   string `json:"pictureType,omitempty"` // png, jpeg or webp
	ShareActivity bool   `json:"shareActivity"`         // tell others which file is looked at on this device
}

// ProfileRequest changes a profile; nil leaves as it is.
type ProfileRequest struct {
	Name          *string `json:"name,omitempty"`
	Picture       *[]byte `json:"picture,omitempty"` // empty: none
	ShareActivity *bool   `json:"shareActivity,omitempty"`
}

func peopleRoutes(b People) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /v1/contacts": call(func(r *http.Request) (any, error) { return b.Contacts(r.Context()) }),
		"GET /v1/profile":  call(func(r *http.Request) (any, error) { return b.Profile(r.Context()) }),
		"POST /v1/profile": with(b, People.SetProfile),
	}
}

// Contacts lists everybody who is in a space with this person.
func (c Client) Contacts(ctx context.Context) (all []Contact, err error) {
	return all, c.do(ctx, "GET", "/v1/contacts", nil, &all)
}

// Profile returns what this person says of themselves.
func (c Client) Profile(ctx context.Context) (p Profile, err error) {
	return p, c.do(ctx, "GET", "/v1/profile", nil, &p)
}

// SetProfile changes what is given, in all spaces.
func (c Client) SetProfile(ctx context.Context, req ProfileRequest) (p Profile, err error) {
	return p, c.do(ctx, "POST", "/v1/profile", req, &p)
}
