package admission

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
)

// askTime is how long the host's person has to answer.
const askTime = 5 * time.Minute

// A Guest is somebody who knows the PIN and waits to be let in.
type Guest struct {
	identity.Profile
	Code string // the six digits that both sides see
}

// PINConfig says what the host of a PIN invitation does.
type PINConfig struct {
	Common
	Invitation invitation.Invitation
	Ledger     *Ledger // has the invitation
	// Tried is told of each wrong PIN; may be nil.
	Tried func(who identity.Profile, left int)
	// Confirm asks the host's person. It ends with ctx.
	Confirm func(ctx context.Context, g Guest) (bool, error)
	// Admit lets the guest in, durably; chain is what the guest sent. again says
	// that this guest was let in before, and lost the answer or says so: nobody is
	// asked, so it may answer the same and must change nothing. An error that
	// matches ErrUsed tells a guest who was removed since.
	Admit func(peer identity.Profile, chain []byte, again bool) (space.Admission, []byte, error)
	// Pace is the least time between two tries; 0 is a second.
	Pace time.Duration
}

// HostPIN returns the handler to join to the topic of a PIN invitation. It is
// needed until the invitation has expired or ended; a used one should stay for
// some minutes, so that a guest whose answer got lost can ask again.
func HostPIN(cfg PINConfig) mesh.Handler {
	if cfg.Pace == 0 {
		cfg.Pace = time.Second
	}
	cfg.Common = cfg.complete()
	p := &pinHost{PINConfig: cfg, pace: rate.NewLimiter(rate.Every(cfg.Pace), 1)}
	return newHost(cfg.Common, nil, p.judge)
}

type pinHost struct {
	PINConfig
	pace *rate.Limiter
	one  sync.Mutex // held from looking at a try until its outcome is durable
}

// judge decides.
func (p *pinHost) judge(ctx context.Context, l *mesh.Link, req request, wait func() error) (answer, *refusal) {
	rec, no := p.try(ctx, l, req)
	if no != nil {
		return answer{}, no
	}
	if !rec.Admitted {
		if no := p.ask(ctx, l, wait); no != nil {
			return answer{}, no
		}
	}
	adm, extra, err := p.Admit(l.Peer, req.Chain, rec.Admitted)
	if err == nil {
		err = p.Ledger.admitted(p.Invitation.ID())
	}
	if err != nil {
		p.Log.Warn("a guest with a PIN could not be let in", "err", err)
		return answer{}, cannot(err)
	}
	return answer{Admission: adm, extra: extra}, nil
}

// try looks at one proof. Whatever it finds is durable before it is told.
func (p *pinHost) try(ctx context.Context, l *mesh.Link, req request) (record, *refusal) {
	p.one.Lock()
	defer p.one.Unlock()
	if err := p.pace.Wait(ctx); err != nil {
		return record{}, &refusal{Reason: reasonFailed, Text: "too many tries at once"}
	}
	id := p.Invitation.ID()
	rec, no := p.look(id, l.Peer.Identity)
	if no != nil {
		return rec, no
	}
	if !p.Invitation.CheckPIN(rec.PIN, l.Exporter, l.Peer.Device, req.Proof) {
		left, err := p.Ledger.failed(id)
		if err != nil {
			return rec, p.broken(err)
		}
		if p.Tried != nil {
			p.Tried(l.Peer, left)
		}
		if left == 0 {
			return rec, &refusal{Reason: reasonBurned, Text: "too many wrong PINs"}
		}
		return rec, &refusal{Reason: reasonPIN, Text: "wrong PIN", Left: uint64(left)}
	}
	if p.Invitation.Kind != invitation.Device {
		if no := checkGuest(l, req); no != nil {
			return rec, no
		}
	}
	if err := p.Ledger.claim(id, l.Peer.Identity); err != nil {
		return rec, p.broken(err)
	}
	return rec, nil
}

func (p *pinHost) broken(err error) *refusal {
	p.Log.Error("a try with a PIN cannot be counted", "err", err)
	return &refusal{Reason: reasonFailed, Text: "the try could not be counted"}
}

// look reports whether the invitation is open for who. It says nothing of the
// PIN to anybody for whom it is not.
func (p *pinHost) look(id, who identity.ID) (record, *refusal) {
	rec, ok := p.Ledger.get(id)
	switch {
	case !ok:
		return rec, &refusal{Reason: reasonRevoked, Text: "not known"}
	case rec.Tries >= maxTries:
		return rec, &refusal{Reason: reasonBurned, Text: "too many wrong PINs"}
	case rec.Withdrawn:
		return rec, &refusal{Reason: reasonRevoked, Text: "withdrawn"}
	case !rec.Used.IsZero() && rec.Used != who:
		return rec, &refusal{Reason: reasonUsed, Text: "used"}
	case rec.Used.IsZero() && p.Now().After(time.Unix(rec.Expires, 0).Add(Tolerance)):
		return rec, &refusal{Reason: reasonExpired, Text: "expired"}
	}
	return rec, nil
}

// ask waits for the answer of the host's person.
func (p *pinHost) ask(ctx context.Context, l *mesh.Link, wait func() error) *refusal {
	if err := wait(); err != nil {
		return &refusal{Reason: reasonFailed, Text: "link lost"}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	yes, err := p.Confirm(ctx, Guest{Profile: l.Peer, Code: p.Invitation.CheckCode(l.Exporter)})
	if err != nil {
		return &refusal{Reason: reasonFailed, Text: "nobody answered on the inviting device"}
	}
	if !yes {
		if err := p.Ledger.Withdraw(p.Invitation.ID()); err != nil && !errors.Is(err, ErrNotFound) {
			return p.broken(err)
		}
		return &refusal{Reason: reasonDenied, Text: "no"}
	}
	if _, no := p.look(p.Invitation.ID(), l.Peer.Identity); no != nil { // withdrawn meanwhile
		return no
	}
	return nil
}
