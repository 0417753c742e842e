package localapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Sharing is the part of a Backend that brings people into spaces. An
// invitation is named by the first digits of its ID.
type Sharing interface {
	Share(ctx context.Context, req ShareRequest) (Invitation, error)
	// Join returns when the space is in the mount with the files of who let us in.
	// It calls progress, from one goroutine, with what it is waiting for.
	Join(ctx context.Context, req JoinRequest, progress func(JoinStep)) (Space, error)
	// Invitations lists those of a space; of all spaces, and what others have sent
	// us, if it is empty.
	Invitations(ctx context.Context, space string) ([]Invitation, error)
	// Revoke withdraws an invitation, or forgets one that was sent to us.
	Revoke(ctx context.Context, id string) (Invitation, error)
	// Door returns what has happened at the door that a PIN opens, or nothing
	// after some time without anything.
	Door(ctx context.Context, req DoorRequest) ([]DoorEvent, error)
	// Answer lets a guest at the door in, or sends them away.
	Answer(ctx context.Context, req AnswerRequest) (struct{}, error)
}

// ShareRequest asks for an invitation.
type ShareRequest struct {
	Space string        `json:"space"`
	Role  string        `json:"role"`
	TTL   time.Duration `json:"ttl,omitempty"`  // zero: the default of a day
	Uses  int           `json:"uses,omitempty"` // how many people it lets in; zero: one
	PIN   bool          `json:"pin,omitempty"`  // it also takes a PIN, and an answer at this device
	To    string        `json:"to,omitempty"`   // send it to a member of another space
}

// Kinds of Invitation.
const (
	KindLink     = "link"     // whoever has the URL is let in by any member's device
	KindPIN      = "pin"      // whoever has the URL and the PIN, by the device that made it
	KindReceived = "received" // somebody has sent it to us
	KindDevice   = "device"   // makes a device one of ours, with a PIN
)

// States of an Invitation.
const (
	StateOpen      = "open"
	StateUsed      = "used"
	StateWithdrawn = "withdrawn"
	StateExpired   = "expired"
	StateBurned    = "burned" // too many wrong PINs
)

// Invitation lets others into a space.
type Invitation struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Space   string    `json:"space"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	State   string    `json:"state"`
	Uses    int       `json:"uses"`           // how many people it lets in
	Used    []string  `json:"used"`           // the names of those who came
	By      string    `json:"by"`             // who made it
	To      string    `json:"to,omitempty"`   // whom it was sent to
	Note    string    `json:"note,omitempty"` // such as whether it has arrived

	URL string `json:"url,omitempty"` // the secret itself, only when it is made
	QR  string `json:"qr,omitempty"`  // what a QR code of it holds
	PIN string `json:"pin,omitempty"` // only when it is made

	OnlyHere bool `json:"onlyHere,omitempty"` // no other machine reaches the servers it names; told when it is made
}

// JoinRequest accepts an invitation.
type JoinRequest struct {
	Invitation string `json:"invitation"`     // its URL, or the name or ID of one that was sent to us
	PIN        string `json:"pin,omitempty"`  // if it takes one
	Name       string `json:"name,omitempty"` // what to call the space here; empty: its own name

	Timeout time.Duration `json:"timeout,omitempty"` // how long to wait for somebody; zero: for ever
}

// JoinStep is what a join waits for.
type JoinStep struct {
	Text string `json:"text"`
	Code string `json:"code,omitempty"` // six digits that both sides must see
}

// DoorRequest asks for what happened after event number After.
type DoorRequest struct {
	ID    string `json:"id"`
	After int    `json:"after"`
}

// Kinds of DoorEvent.
const (
	DoorGuest  = "guest"  // somebody knows the PIN and waits
	DoorWrong  = "wrong"  // somebody did not know it; Left tries remain
	DoorGone   = "gone"   // the guest of before is not waiting any more
	DoorJoined = "joined" // the guest is a member
	DoorEnded  = "ended"  // nobody is let in any more
)

// DoorEvent is something that happened at a door. Events count from 1.
type DoorEvent struct {
	Number   int    `json:"number"`
	Kind     string `json:"kind"`
	Name     string `json:"name,omitempty"`
	Identity string `json:"identity,omitempty"`
	Code     string `json:"code,omitempty"` // six digits that the guest sees too
	Left     int    `json:"left,omitempty"`
	Why      string `json:"why,omitempty"` // a State, of DoorEnded
}

// AnswerRequest answers the guest of an event.
type AnswerRequest struct {
	ID     string `json:"id"`
	Number int    `json:"number"`
	Yes    bool   `json:"yes"`
}

func sharingRoutes(b Sharing) map[string]http.Handler {
	return map[string]http.Handler{
		"POST /v1/share":              with(b, Sharing.Share),
		"POST /v1/join":               http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { join(w, r, b) }),
		"POST /v1/invitations":        with(b, Sharing.Invitations),
		"POST /v1/invitations/revoke": with(b, Sharing.Revoke),
		"POST /v1/invitations/door":   with(b, Sharing.Door),
		"POST /v1/invitations/answer": with(b, Sharing.Answer),
	}
}

// An event is one line of the answer to a join: what is happening, and at the
// end the space or the error.
type event struct {
	Step  *JoinStep `json:"step,omitempty"`
	Space *Space    `json:"space,omitempty"`
	Error *Error    `json:"error,omitempty"`
}

// join answers with one JSON value per line, as things happen.
func join(w http.ResponseWriter, r *http.Request, b Sharing) {
	var req JoinRequest
	if err := body(r, &req); err != nil {
		reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, out := json.NewEncoder(w), http.NewResponseController(w)
	send := func(e event) {
		// A client that hung up cancels the request's context: the join ends by that.
		_ = enc.Encode(e)
		_ = out.Flush()
	}
	s, err := b.Join(r.Context(), req, func(step JoinStep) { send(event{Step: &step}) })
	if err != nil {
		send(event{Error: AsError(err)})
		return
	}
	send(event{Space: &s})
}

// Share makes an invitation to a space.
func (c Client) Share(ctx context.Context, req ShareRequest) (i Invitation, err error) {
	return i, c.do(ctx, "POST", "/v1/share", req, &i)
}

// Join accepts an invitation and returns when the space is there. It calls
// progress with what it is waiting for.
func (c Client) Join(ctx context.Context, req JoinRequest, progress func(JoinStep)) (Space, error) {
	res, err := c.send(ctx, "POST", "/v1/join", req)
	if err != nil {
		return Space{}, err
	}
	defer res.Body.Close()
	d := json.NewDecoder(io.LimitReader(res.Body, maxReply))
	for {
		var e event
		if err := d.Decode(&e); err != nil {
			return Space{}, c.broken(err)
		}
		switch {
		case e.Error != nil:
			return Space{}, e.Error
		case e.Space != nil:
			return *e.Space, nil
		case e.Step != nil && progress != nil:
			progress(*e.Step)
		}
	}
}

// Invitations lists those of a space, or of all and what others have sent us.
func (c Client) Invitations(ctx context.Context, space string) (i []Invitation, err error) {
	return i, c.do(ctx, "POST", "/v1/invitations", space, &i)
}

// Revoke withdraws an invitation, or forgets one that was sent to us.
func (c Client) Revoke(ctx context.Context, id string) (i Invitation, err error) {
	return i, c.do(ctx, "POST", "/v1/invitations/revoke", id, &i)
}

// Door tells what has happened at the door that a PIN opens.
func (c Client) Door(ctx context.Context, req DoorRequest) (e []DoorEvent, err error) {
	return e, c.do(ctx, "POST", "/v1/invitations/door", req, &e)
}

// Answer lets a guest at the door in, or sends them away.
func (c Client) Answer(ctx context.Context, req AnswerRequest) error {
	return c.do(ctx, "POST", "/v1/invitations/answer", req, &struct{}{})
}
