package recovery

import (
	"context"
	"fmt"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/wire"
)

// Mesh is what Find needs of a mesh; *mesh.Mesh is one.
type Mesh interface {
	Join(topic [32]byte, h mesh.Handler) (leave func())
}

// maxHosts is how many hosts a guest listens to: anybody who knows the public key
// of the words can come as many.
const maxHosts = 32

// Find asks those who wait for whoever has keys. self is this device on the mesh,
// anybody. After each answer it goes on for as long as more says, since others may
// know more, though not to more than 32. It tries until ctx ends: give it a deadline. The error matches
// ErrUnreachable.
func Find(ctx context.Context, m Mesh, self identity.PublicKey, keys *identity.RecoveryKeys, more func(all []Help) time.Duration) ([]Help, error) {
	words, _ := keys.Public()
	g := &guest{self: self, keys: keys, found: make(chan Help, maxHosts), lost: make(chan error, 1)}
	leave := m.Join(Topic(words), g)
	defer leave()
	var all []Help
	var enough <-chan time.Time
	for {
		select {
		case h := <-g.found:
			if all = append(all, h); len(all) == maxHosts {
				return all, nil
			}
			enough = time.After(more(all))
			continue
		case <-enough:
		case <-ctx.Done():
		}
		break
	}
	if len(all) > 0 {
		return all, nil
	}
	select {
	case why := <-g.lost:
		return nil, fmt.Errorf("%w: %w (last try: %w)", ErrUnreachable, ctx.Err(), why)
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
}

type guest struct {
	self  identity.PublicKey
	keys  *identity.RecoveryKeys
	found chan Help  // has room for one of each host
	lost  chan error // capacity 1: why the last try failed
}

// Seeks says that guests look for hosts; see mesh.Seeker.
func (g *guest) Seeks() {}

// Link asks on one link. One answer of a host is enough.
func (g *guest) Link(ctx context.Context, l *mesh.Link) error {
	defer closeWhenDone(ctx, l)()
	help, err := g.ask(l)
	if err != nil {
		select {
		case <-g.lost:
		default:
		}
		select {
		case g.lost <- err:
		default:
		}
		return err
	}
	select {
	case g.found <- help:
	default: // too many have answered
	}
	return fmt.Errorf("%w: it has answered", mesh.ErrRefused)
}

func (g *guest) ask(l *mesh.Link) (help Help, err error) {
	conn := wire.NewConn(l.Sync, limits)
	p := proof{Device: g.self, Host: l.Peer.Device, Exporter: l.Exporter}
	if err := conn.Send(frameAsk, ask{Sig: g.keys.Sign(contextAsk, p.encode())}); err != nil {
		return help, fmt.Errorf("asking for help: %w", err)
	}
	words, _ := g.keys.Public()
	size := 0
	for {
		frame, err := readFrame(l, conn)
		if err != nil {
			return help, fmt.Errorf("waiting for help: %w", err)
		}
		if (frame.Type == frameChain) != (help.Chain == nil) && frame.Type != frameRefusal {
			return help, errProtocol
		}
		switch frame.Type {
		case frameChain:
			h, err := identity.ReadHalo(frame.Body)
			if err != nil {
				return help, err
			}
			if sign, _, ok := h.Recovery(); !ok || sign != words {
				return help, fmt.Errorf("it sent the identity of somebody else: %w", identity.ErrNotTheWords)
			}
			help.Host, help.Chain = l.Peer.Device, frame.Body
		case frameBox:
			size += len(frame.Body)
			help.Boxes = append(help.Boxes, frame.Body)
		case frameSpace:
			size += len(frame.Body)
			help.Spaces = append(help.Spaces, frame.Body)
		case frameEnd:
			return help, nil
		case frameRefusal:
			return help, fmt.Errorf("%w: %w", mesh.ErrRefused, errRefused)
		default:
			return help, errProtocol
		}
		if len(help.Boxes) > MaxSpaces || len(help.Spaces) > MaxSpaces || size > MaxHelp {
			return help, errProtocol
		}
	}
}
