package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

const secondOpinion = 3 * time.Second

// Mesh is what Join needs of a mesh; *mesh.Mesh is one.
type Mesh interface {
	AddSignal(url string) error
	Join(topic [32]byte, h mesh.Handler) (leave func())
}

// Options of a guest. All may be zero.
type Options struct {
	PIN    string            // of an invitation that takes one
	Signal []string          // servers that the host should know
	Code   func(code string) // is told the check code while the host's person is asked
	// Opinion is how long a guest with a link goes on after a refusal: the host
	// may be behind, or be nobody at all, and another one may know better. 0 is
	// three seconds.
	Opinion time.Duration
	// Request makes what a Device says about itself to the host, who acts for the
	// identity it wants to be one of. It may be called again, and then says the same.
	Request func(host identity.Profile) ([]byte, error)
}

// Join waits for a device that honours the invitation and asks it to be let in.
// It tries until ctx ends: give it a deadline. The guest's own clock does not
// decide whether the invitation has expired. The error matches one of Err… of
// this package.
func Join(ctx context.Context, m Mesh, d *identity.Device, inv invitation.Invitation, opt Options) (Result, error) {
	g := &guest{device: d, inv: inv, opt: opt, out: make(chan outcome, 1), lost: make(chan error, 1), refused: make(chan error, 1)}
	for _, url := range inv.Signal {
		if err := m.AddSignal(url); err != nil {
			note(g.lost, fmt.Errorf("signaling server %q: %w", url, err))
		}
	}
	leave := m.Join(inv.Topic(), g)
	defer leave()
	return g.wait(ctx)
}

type outcome struct {
	result Result
	err    error
}

type guest struct {
	device  *identity.Device
	inv     invitation.Invitation
	opt     Options
	out     chan outcome // capacity 1: the first final answer
	lost    chan error   // capacity 1: why the last try failed
	refused chan error   // capacity 1: the last refusal that is not final
}

// wait returns the first final answer.
func (g *guest) wait(ctx context.Context) (Result, error) {
	var refusal error
	var enough <-chan time.Time // when to take a refusal for an answer
	for {
		select {
		case o := <-g.out:
			return o.result, o.err
		case refusal = <-g.refused:
			if enough == nil {
				enough = time.After(cmp.Or(g.opt.Opinion, secondOpinion))
			}
			continue
		case <-enough:
		case <-ctx.Done():
		}
		break
	}
	select {
	case o := <-g.out: // it came at the last moment
		return o.result, o.err
	default:
	}
	if refusal != nil {
		return Result{}, refusal
	}
	select {
	case why := <-g.lost:
		return Result{}, fmt.Errorf("%w: %w (last try: %w)", ErrUnreachable, ctx.Err(), why)
	default:
		return Result{}, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
}

// note replaces what a channel of capacity 1 holds.
func note(c chan error, err error) {
	select {
	case <-c:
	default:
	}
	select {
	case c <- err:
	default:
	}
}

// Seeks says that guests look for hosts; see mesh.Seeker.
func (g *guest) Seeks() {}

// Link asks on one link.
func (g *guest) Link(ctx context.Context, l *mesh.Link) error {
	if g.inv.Kind != invitation.Link && l.Peer.Device != g.inv.Host {
		// Another guest, or somebody who found the link: neither hears a word.
		return fmt.Errorf("%w: not the inviting device", mesh.ErrRefused)
	}
	defer closeWhenDone(ctx, l)()
	result, end, err := g.ask(l)
	if err == nil {
		end = final
	}
	switch end {
	case final:
		select {
		case g.out <- outcome{result, err}:
		default:
		}
	case doubtful:
		note(g.refused, err)
		return fmt.Errorf("%w: %w", mesh.ErrRefused, err)
	default:
		note(g.lost, err)
	}
	return err
}

// An end says what a failed try means.
type end int

const (
	again    end = iota // the next try may work
	doubtful            // this host says no; another may not
	final               // no try can end differently
)

// refusalEnds says what a refusal by a host means.
func (g *guest) refusalEnds(r refusal) end {
	switch {
	case r.Reason == reasonFailed:
		return again
	case g.inv.Kind == invitation.Link:
		return doubtful
	}
	return final
}

// no is the end of a try after the host has done what no honest one does. With
// a link, anybody who has it can play the host.
func (g *guest) no() end {
	if g.inv.Kind == invitation.Link {
		return doubtful
	}
	return final
}

// ask makes one try.
func (g *guest) ask(l *mesh.Link) (Result, end, error) {
	conn := wire.NewConn(l.Sync, limits)
	req, end, err := g.request(l, conn)
	if err != nil {
		return Result{}, end, err
	}
	if err := conn.Send(frameRequest, req); err != nil {
		return Result{}, again, fmt.Errorf("asking to be let in: %w", err)
	}
	var creds [][]byte
	size, patience := 0, patience
	for {
		frame, err := readFrame(l, conn, patience)
		if err != nil {
			return Result{}, g.broken(err), fmt.Errorf("waiting for the answer: %w", err)
		}
		switch frame.Type {
		case frameCredentials:
			var c credentials
			if err := frame.Decode(&c); err != nil {
				return Result{}, g.no(), fmt.Errorf("reading credentials: %w", err)
			}
			size += len(frame.Body)
			if creds = append(creds, c.Raw...); len(creds) > maxCredentials || size > maxAllBytes {
				return Result{}, g.no(), errors.New("the inviting device sent too many credentials")
			}
		case frameWait:
			patience = askTime + time.Minute
			if g.opt.Code != nil {
				g.opt.Code(g.inv.CheckCode(l.Exporter))
			}
		case frameRefusal:
			var r refusal
			if err := frame.Decode(&r); err != nil {
				return Result{}, g.no(), fmt.Errorf("reading the refusal: %w", err)
			}
			return Result{}, g.refusalEnds(r), r.err()
		case frameWelcome:
			var w welcome
			if err := frame.Decode(&w); err != nil {
				return Result{}, g.no(), fmt.Errorf("reading the welcome: %w", err)
			}
			res, err := g.accept(l, creds, w)
			return res, g.no(), err
		default:
			return Result{}, g.no(), fmt.Errorf("the inviting device answered with frame %d", frame.Type)
		}
	}
}

// broken says what an error of reading means: the link broke, or the other side
// does not speak our protocol.
func (g *guest) broken(err error) end {
	var e *wire.Error
	if errors.As(err, &e) && (errors.Is(err, wire.ErrVersion) || errors.Is(err, wire.ErrType) || errors.Is(err, wire.ErrTooLarge)) {
		return g.no()
	}
	return again
}

// request makes what the guest says on this link.
func (g *guest) request(l *mesh.Link, conn *wire.Conn) (request, end, error) {
	req := request{Chain: g.device.Chain(), Signal: signals(g.opt.Signal)}
	if g.inv.Kind != invitation.Link {
		req.Proof = g.inv.ProvePIN(g.opt.PIN, l.Exporter, g.device.Key())
		if g.inv.Kind == invitation.Device {
			var err error
			if req.Chain, err = g.opt.Request(l.Peer); err != nil {
				return req, final, err
			}
		}
		return req, again, nil
	}
	frame, err := readFrame(l, conn, patience)
	if err != nil {
		return req, g.broken(err), fmt.Errorf("waiting for the host: %w", err)
	}
	var h here
	if frame.Type != frameHere {
		return req, doubtful, errors.New("this is no host of the invitation")
	}
	if err := frame.Decode(&h); err != nil {
		return req, doubtful, fmt.Errorf("reading the host's first word: %w", err)
	}
	proof := linkProof{Space: g.inv.Space, Device: g.device.Key(), Exporter: l.Exporter}
	req.Proof = g.inv.Sign(contextProof, proof.encode())
	req.Redeem = g.inv.Sign(identity.ContextRedeem, credential.RedeemMessage(g.inv.Space, h.Invite, g.device.Identity(), g.device.Key()))
	return req, again, nil
}
