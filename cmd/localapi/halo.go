package localapi

import (
	"context"
	"net/http"
	"time"
)

// MinPassphrase is how many characters a passphrase has at least.
const MinPassphrase = 8

// HaloBackend is the part of a Backend that is about the person.
type HaloBackend interface {
	Halo(ctx context.Context) (Halo, error)
	// LockHalo closes everything that needs the keys, and forgets them.
	LockHalo(ctx context.Context) (Halo, error)
	// UnlockHalo undoes LockHalo. The passphrase is looked at only if there is one.
	UnlockHalo(ctx context.Context, passphrase []byte) (Halo, error)
	ProtectHalo(ctx context.Context, req ProtectRequest) (Halo, error)
	// RecoveryWords returns the recovery words, until WordsWritten.
	RecoveryWords(ctx context.Context, passphrase []byte) ([]string, error)
	// WordsWritten forgets the recovery words: the person has them on paper.
	WordsWritten(ctx context.Context) (Halo, error)
	// RenameDevice takes the name of a device or the first digits of its key.
	RenameDevice(ctx context.Context, device, name string) (Halo, error)
	// RevokeDevice ends a device of the person for ever, named like that.
	RevokeDevice(ctx context.Context, device string) (Halo, error)
	// InviteDevice makes an invitation for another device of the person. Its door
	// is asked about like that of a PIN invitation to a space.
	InviteDevice(ctx context.Context) (Invitation, error)
	// JoinDevice makes this device one of the inviter's own, instead of that of an
	// identity which is in no space. It returns when the person's spaces are known.
	JoinDevice(ctx context.Context, req JoinDeviceRequest, progress func(JoinStep)) (Halo, error)
	// RecoverHalo does that with the recovery words, which are others afterwards.
	RecoverHalo(ctx context.Context, req RecoverRequest, progress func(JoinStep)) (Recovered, error)
}

// A Gate is a Backend that is sometimes locked.
type Gate interface {
	// Unlocked lets in a request that needs the keys, or says that they are
	// locked. session ends when they are about to be; leave must be called.
	Unlocked(ctx context.Context) (session context.Context, leave func(), err error)
}

// What Halo.Recovery can be.
const (
	NoWords    = "none"
	KeptWords  = "to be written down"
	PaperWords = "written down"
)

// Halo is the person as this device knows them.
type Halo struct {
	Locked     bool         `json:"locked"`
	Protection string       `json:"protection"`           // passphrase, keyring or file
	Identity   string       `json:"identity,omitempty"`   // this and all below is unknown while locked
	Name       string       `json:"name,omitempty"`       // of the person
	Device     string       `json:"device,omitempty"`     // key of this device
	DeviceName string       `json:"deviceName,omitempty"` // of this device
	Recovery   string       `json:"recovery"`
	Devices    []HaloDevice `json:"devices,omitempty"` // the live ones first, in the order in which they were added
}

// HaloDevice is a device of the person.
type HaloDevice struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Self    bool   `json:"self"`
	Online  bool   `json:"online"` // connected with this device now
	Revoked bool   `json:"revoked"`
}

// ProtectRequest changes how the keys of this device are protected.
type ProtectRequest struct {
	Protection string `json:"protection"`
	Old        []byte `json:"old,omitempty"` // passphrase, if there is one
	New        []byte `json:"new,omitempty"` // passphrase, if there is to be one
}

// RenameRequest gives a device another name.
type RenameRequest struct {
	Device string `json:"device"`
	Name   string `json:"name"`
}

// JoinDeviceRequest accepts an invitation for a device.
type JoinDeviceRequest struct {
	Invitation string        `json:"invitation"` // its URL
	PIN        string        `json:"pin,omitempty"`
	Name       string        `json:"name,omitempty"`       // of the device; empty: that of the host
	Protection string        `json:"protection,omitempty"` // of the keys, as for a new identity
	Passphrase []byte        `json:"passphrase,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"` // how long to wait for the inviter; zero: for ever
}

// RecoverRequest gets an identity back by its words.
type RecoverRequest struct {
	Words      string        `json:"words"`
	Signal     []string      `json:"signal,omitempty"` // servers where those who know the person may be
	Keep       []string      `json:"keep,omitempty"`   // devices that are not revoked, by name or first digits of the key
	Name       string        `json:"name,omitempty"`   // of this device; empty: that of the host
	Protection string        `json:"protection,omitempty"`
	Passphrase []byte        `json:"passphrase,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"` // how long to look for somebody; zero: for ever
}

// Recovered is what came back. Spaces are by name.
type Recovered struct {
	Halo    Halo     `json:"halo"`
	Spaces  []string `json:"spaces"`            // somebody has them
	Waiting []string `json:"waiting"`           // known, and here as soon as a member is online
	Lost    []string `json:"lost,omitempty"`    // nobody else was in them
	Revoked []string `json:"revoked,omitempty"` // devices that are out
}

// RecoverHalo gets an identity back by its words. It calls progress with what it
// is waiting for.
func (c Client) RecoverHalo(ctx context.Context, req RecoverRequest, progress func(JoinStep)) (Recovered, error) {
	res, err := c.send(ctx, "POST", "/v1/halo/recover", req)
	if err != nil {
		return Recovered{}, err
	}
	return answers[Recovered](c, res, progress)
}

// InviteDevice makes an invitation for another device of the person.
func (c Client) InviteDevice(ctx context.Context) (i Invitation, err error) {
	return i, c.do(ctx, "POST", "/v1/halo/device/invite", nil, &i)
}

// RevokeDevice ends a device of the person for ever.
func (c Client) RevokeDevice(ctx context.Context, device string) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/device/revoke", device, &h)
}

// JoinDevice makes this device one of the inviter's own. It calls progress with
// what it is waiting for.
func (c Client) JoinDevice(ctx context.Context, req JoinDeviceRequest, progress func(JoinStep)) (Halo, error) {
	res, err := c.send(ctx, "POST", "/v1/halo/device/join", req)
	if err != nil {
		return Halo{}, err
	}
	return answers[Halo](c, res, progress)
}

// Halo tells about the person.
func (c Client) Halo(ctx context.Context) (h Halo, err error) {
	return h, c.do(ctx, "GET", "/v1/halo", nil, &h)
}

// LockHalo closes everything that needs the keys.
func (c Client) LockHalo(ctx context.Context) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/lock", nil, &h)
}

// UnlockHalo undoes LockHalo.
func (c Client) UnlockHalo(ctx context.Context, passphrase []byte) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/unlock", passphrase, &h)
}

// ProtectHalo changes how the keys are protected.
func (c Client) ProtectHalo(ctx context.Context, req ProtectRequest) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/protect", req, &h)
}

// RecoveryWords returns the recovery words, until WordsWritten.
func (c Client) RecoveryWords(ctx context.Context, passphrase []byte) (words []string, err error) {
	return words, c.do(ctx, "POST", "/v1/halo/recovery", passphrase, &words)
}

// WordsWritten makes the daemon forget the recovery words.
func (c Client) WordsWritten(ctx context.Context) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/recovery/written", nil, &h)
}

// RenameDevice gives a device of the person another name.
func (c Client) RenameDevice(ctx context.Context, req RenameRequest) (h Halo, err error) {
	return h, c.do(ctx, "POST", "/v1/halo/rename", req, &h)
}

// needsNoKeys lists the requests that a locked daemon answers, too.
func needsNoKeys(path string) bool {
	switch path {
	case "/v1/status", "/v1/down", "/v1/online", "/v1/halo", "/v1/halo/lock", "/v1/halo/unlock", "/v1/halo/device/join", "/v1/halo/recover":
		return true
	}
	return false
}

func haloRoutes(b HaloBackend) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /v1/halo":       call(func(r *http.Request) (any, error) { return b.Halo(r.Context()) }),
		"POST /v1/halo/lock": call(func(r *http.Request) (any, error) { return b.LockHalo(r.Context()) }),
		"POST /v1/halo/unlock": call(func(r *http.Request) (any, error) {
			var passphrase []byte
			if err := body(r, &passphrase); err != nil {
				return nil, err
			}
			defer clear(passphrase)
			return b.UnlockHalo(r.Context(), passphrase)
		}),
		"POST /v1/halo/protect": call(func(r *http.Request) (any, error) {
			var req ProtectRequest
			if err := body(r, &req); err != nil {
				return nil, err
			}
			defer clear(req.Old)
			defer clear(req.New)
			return b.ProtectHalo(r.Context(), req)
		}),
		"POST /v1/halo/recovery": call(func(r *http.Request) (any, error) {
			var passphrase []byte
			if err := body(r, &passphrase); err != nil {
				return nil, err
			}
			defer clear(passphrase)
			return b.RecoveryWords(r.Context(), passphrase)
		}),
		"POST /v1/halo/recovery/written": call(func(r *http.Request) (any, error) { return b.WordsWritten(r.Context()) }),
		"POST /v1/halo/device/invite":    call(func(r *http.Request) (any, error) { return b.InviteDevice(r.Context()) }),
		"POST /v1/halo/device/revoke":    with(b, HaloBackend.RevokeDevice),
		"POST /v1/halo/device/join":      stream(b, HaloBackend.JoinDevice),
		"POST /v1/halo/recover":          stream(b, HaloBackend.RecoverHalo),
		"POST /v1/halo/rename": call(func(r *http.Request) (any, error) {
			var req RenameRequest
			if err := body(r, &req); err != nil {
				return nil, err
			}
			return b.RenameDevice(r.Context(), req.Device, req.Name)
		}),
	}
}
