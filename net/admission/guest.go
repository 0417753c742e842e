package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// Mesh is what Join needs of a mesh; *mesh.Mesh is one.
type Mesh interface {
	AddSignal(url string) error
	Join(topic [32]byte, h mesh.Handler) (leave func())
}

// Join waits for the inviting device and asks it to be let in. It tries until
// ctx ends: give it a deadline. signal are servers that the host should know.
// The error matches one of Err… of this package.
func Join(ctx context.Context, m Mesh, d *identity.Device, inv invitation.Invitation, signal []string) (Result, error) {
	if err := inv.Check(time.Now()); err != nil {
		return Result{}, fmt.Errorf("%w (%w)", ErrExpired, err)
	}
	g := &guest{device: d, inv: inv, signal: signals(signal), out: make(chan outcome, 1), lost: make(chan error, 1)}
	for _, url := range inv.Signal {
		if err := m.AddSignal(url); err != nil {
			g.note(fmt.Errorf("signaling server %q: %w", url, err))
		}
	}
	leave := m.Join(inv.Topic(), g)
	defer leave()
	select {
	case o := <-g.out:
		return o.result, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-g.out: // it came at the last moment
		return o.result, o.err
	case why := <-g.lost:
		return Result{}, fmt.Errorf("%w: %w (last try: %w)", ErrUnreachable, ctx.Err(), why)
	default:
		return Result{}, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
}

type outcome struct {
	result Result
	err    error
}

type guest struct {
	device *identity.Device
	inv    invitation.Invitation
	signal []string
	out    chan outcome // capacity 1: the first final answer
	lost   chan error   // capacity 1: why the last try failed
}

// note remembers why a try failed.
func (g *guest) note(err error) {
	select {
	case <-g.lost:
	default:
	}
	select {
	case g.lost <- err:
	default:
	}
}

// Link asks on one link.
func (g *guest) Link(ctx context.Context, l *mesh.Link) error {
	if l.Peer.Device != g.inv.Host {
		// Another guest, or somebody who found the link: neither hears a word.
		return fmt.Errorf("%w: not the inviting device", mesh.ErrRefused)
	}
	defer closeWhenDone(ctx, l)()
	result, final, err := g.ask(l)
	if err != nil && !final {
		g.note(err)
		return err
	}
	select {
	case g.out <- outcome{result, err}:
	default:
	}
	return err
}

// ask makes one try. final says that another one cannot end differently.
func (g *guest) ask(l *mesh.Link) (res Result, final bool, err error) {
	conn := wire.NewConn(l.Sync, limits)
	req := request{Proof: g.inv.Proof(l.Exporter), Chain: g.device.Chain(), Signal: g.signal}
	if err := conn.Send(frameRequest, req); err != nil {
		return res, false, fmt.Errorf("asking to be let in: %w", err)
	}
	var creds [][]byte
	size := 0
	for {
		frame, err := readFrame(l, conn)
		if err != nil {
			return res, bad(err), fmt.Errorf("waiting for the answer: %w", err)
		}
		switch frame.Type {
		case frameCredentials:
			var c credentials
			if err := frame.Decode(&c); err != nil {
				return res, true, fmt.Errorf("reading credentials: %w", err)
			}
			size += len(frame.Body)
			if creds = append(creds, c.Raw...); len(creds) > maxCredentials || size > maxAllBytes {
				return res, true, errors.New("the inviting device sent too many credentials")
			}
		case frameRefusal:
			var r refusal
			if err := frame.Decode(&r); err != nil {
				return res, true, fmt.Errorf("reading the refusal: %w", err)
			}
			return res, r.Reason != reasonFailed, r.err()
		case frameWelcome:
			var w welcome
			if err := frame.Decode(&w); err != nil {
				return res, true, fmt.Errorf("reading the welcome: %w", err)
			}
			res, err := g.accept(creds, w)
			return res, true, err
		default:
			return res, true, fmt.Errorf("the inviting device answered with frame %d", frame.Type)
		}
	}
}

// bad reports whether err means that the other side does not speak our
// protocol, rather than that the link broke.
func bad(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && (errors.Is(err, wire.ErrVersion) || errors.Is(err, wire.ErrType) || errors.Is(err, wire.ErrTooLarge))
}

// accept checks that the answer makes this device a member of the space that
// the invitation names.
func (g *guest) accept(creds [][]byte, w welcome) (Result, error) {
	state := membership.Of(g.inv.Space)
	for _, raw := range creds {
		op, err := credential.Decode(raw)
		if err != nil {
			return Result{}, fmt.Errorf("the inviting device sent a bad credential: %w", err)
		}
		if _, err := state.Add(op); err != nil {
			return Result{}, fmt.Errorf("the inviting device sent a bad credential: %w", err)
		}
	}
	role := state.Role(g.device.Identity())
	if role == credential.None {
		return Result{}, errors.New("the inviting device answered, but its credentials make you no member: ask for a new invitation")
	}
	name := w.Name
	if name == "" {
		name = g.inv.Name
	}
	return Result{
		Space:       g.inv.Space,
		Name:        name,
		Role:        role,
		Credentials: creds,
		Key:         w.Key,
		Signal:      signals(w.Signal),
	}, nil
}
