package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/membership"
)

// readSync decodes what the peer sends. Decoding one frame overlaps with
// accepting the one before; when acceptance falls behind, reading stops and with
// it the peer.
func (l *link) readSync(ctx context.Context) error {
	defer close(l.heard)
	err := l.readFrames(ctx)
	// What came before the end counts: a peer may say why it ends.
	done := make(chan struct{})
	select {
	case l.inbox <- drained{done}:
		select {
		case <-done:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	return err
}

// drained is put behind the last input of a link; done is closed when all before
// it have been acted on.
type drained struct{ done chan struct{} }

func (l *link) readFrames(ctx context.Context) error {
	_ = l.mesh.Sync.SetReadDeadline(time.Now().Add(proofTime))
	for {
		f, err := l.sync.ReadFrame()
		if err != nil {
			return fmt.Errorf("reading from peer: %w", err)
		}
		in, err := decodeSync(f)
		if err != nil {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		switch in := in.(type) {
		case gotProof:
			_ = l.mesh.Sync.SetReadDeadline(time.Time{})
		case gotEntries:
			if in.newer > 0 {
				l.r.log.Warn("entries of a peer need a newer release: upgrade", "space", l.r.space.Name(), "from", l.peer.Name, "entries", in.newer)
			}
		}
		select {
		case l.inbox <- in:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acceptAll acts on what the peer sent, in order. Entries that have arrived
// together are accepted together.
func (l *link) acceptAll(ctx context.Context) error {
	for {
		var ins []input
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in := <-l.inbox:
			ins = append(ins, in)
		}
	more:
		for len(ins) < cap(l.inbox) {
			select {
			case in := <-l.inbox:
				ins = append(ins, in)
			default:
				break more
			}
		}
		if err := l.handle(ctx, ins); err != nil {
			return err
		}
	}
}

func (l *link) handle(ctx context.Context, ins []input) error {
	var batch []item
	for _, in := range ins {
		if end, ok := in.(drained); ok {
			err := l.accept(ctx, batch)
			batch = nil
			close(end.done)
			if err != nil {
				return err
			}
			continue
		}
		todo, err := l.step(in)
		if err != nil {
			return err
		}
		for _, o := range todo {
			if a, ok := o.(accept); ok {
				batch = append(batch, a.items...)
				continue
			}
			if err := l.accept(ctx, batch); err != nil {
				return err
			}
			batch = nil
			if err := l.do(ctx, o); err != nil {
				return err
			}
		}
	}
	if err := l.accept(ctx, batch); err != nil {
		return err
	}
	l.r.reached()
	return nil
}

func (l *link) do(ctx context.Context, o output) error {
	switch o := o.(type) {
	case addCreds:
		if err := l.r.space.AddCredentials(ctx, o.raw); err != nil { // the good ones it has taken
			l.r.refused.Add(1)
			if errors.Is(err, membership.ErrFull) {
				l.dropped.Store(true)
			}
			l.r.log.Warn("credentials of a peer", "space", l.r.space.Name(), "from", l.peer.Name, "err", err)
		}
		return ctx.Err()
	case begun:
		l.begun(o)
		return nil
	case addKeys:
		return l.addKeys(o)
	case addForks:
		return l.addForks(ctx, o)
	case compare:
		return l.compare(o)
	case offered:
		return l.offered(o)
	case served:
		return l.served()
	case seen:
		return l.seen(o.presence, time.Now())
	}
	return l.lookAtSpace()
}

// accept hands entries to the space. An entry that is refused is no reason to
// leave the peer: it may only pass it on.
func (l *link) accept(ctx context.Context, items []item) error {
	l.r.entries.Add(int64(len(items)))
	raw := l.news(items)
	if len(raw) == 0 {
		return nil
	}
	err := l.r.space.Accept(ctx, raw)
	bad, err := split(err)
	for _, r := range bad { // which the space has logged
		l.r.refused.Add(1)
		if r.Parted {
			l.seek(r.Feed, r.Seq)
		}
		l.r.log.Debug("entry of a peer refused", "space", l.r.space.Name(), "from", l.peer.Name, "err", r)
	}
	if err != nil {
		return fmt.Errorf("accepting entries: %w", err)
	}
	l.took(items, bad)
	return nil
}

// split takes apart what Accept returns: what was refused, and what went wrong
// on this device.
func split(err error) (refused []*space.Refused, rest error) {
	var one *space.Refused
	switch e := err.(type) {
	case nil:
		return nil, nil
	case interface{ Unwrap() []error }:
		var others []error
		for _, part := range e.Unwrap() {
			r, other := split(part)
			refused = append(refused, r...)
			others = append(others, other)
		}
		return refused, errors.Join(others...)
	}
	if errors.As(err, &one) {
		return []*space.Refused{one}, nil
	}
	return nil, err
}

// news leaves out what the space has already, byte for byte.
func (l *link) news(items []item) [][]byte {
	if len(items) == 0 {
		return nil
	}
	have := l.r.space.Timeframe()
	var out [][]byte
	for _, e := range items {
		if e.seq <= have[e.feed].Seq {
			if old, err := l.r.space.Entry(e.feed, e.seq); err == nil && bytes.Equal(old, e.raw) {
				continue
			}
		}
		out = append(out, e.raw)
	}
	return out
}

// writeSync is the only writer of the Sync stream.
func (l *link) writeSync(ctx context.Context) error {
	for {
		l.mu.Lock()
		outs := l.out
		l.out = nil
		l.mu.Unlock()
		for _, o := range outs {
			if err := l.write(o); err != nil {
				return err
			}
		}
		if len(outs) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		}
	}
}

// lastWords is how long a peer that does not read any more may go on to be heard.
const lastWords = 2 * time.Second

// listen waits until everything is acted on that the peer has sent.
func (l *link) listen(ctx context.Context) {
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	select {
	case <-l.heard:
	case <-limit.C:
	case <-ctx.Done():
	}
}

func (l *link) write(o output) error {
	switch o := o.(type) {
	case sendProof:
		return l.sync.Send(frameProof, o.proof)
	case sendHeads:
		ids := l.r.space.CredentialHeads()
		return l.sync.Send(frameHeads, heads{ids[:min(len(ids), maxHeads)]})
	case sendCreds:
		return inBatches(o.raw, func(raw [][]byte) error { return l.sync.Send(frameCredentials, credentials{raw}) })
	case sendHave:
		return l.sync.Send(frameHave, o.have)
	case readLog:
		refs, err := l.r.space.Log(o.after, logPage)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		creds, rev := l.r.credentials()
		_, err = l.step(logged{refs, creds, rev, l.r.own()})
		return err
	case sendEntries:
		return l.sendEntries(o.refs)
	case sendNews:
		return l.sync.Send(frameNews, news{o.seqs})
	case sendPull:
		return l.sync.Send(framePull, pull{o.spans})
	case sendNoHeads:
		return l.sync.Send(frameHeads, heads{[]identity.ID{}})
	case sendBye:
		return errRemoved
	case sendKeys:
		return l.sync.Send(frameKeys, keys{o.keys})
	case sendForks:
		return l.sync.Send(frameForks, forks{o.proofs})
	case sendAsk:
		return l.sync.Send(frameAsk, o.ask)
	case sendStub:
		return l.sendStub(o)
	case sendPresence:
		return l.sendPresence()
	case sendSent:
		if _, err := l.step(answered{}); err != nil {
			return err
		}
		return l.sync.WriteFrame(frameSent, nil)
	}
	return fmt.Errorf("unknown output %T", o)
}

// logPage is how many entries are read at once; between two pages news of
// another kind, such as credentials, can be sent.
const logPage = 64

func (l *link) sendEntries(refs []space.LogRef) error {
	var batch [][]byte
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := l.sync.Send(frameEntries, entries{batch})
		batch, size = nil, 0
		return err
	}
	for _, ref := range refs {
		raw, err := l.r.space.Entry(ref.Feed, ref.Seq)
		if err != nil {
			return fmt.Errorf("reading entry %d of feed %s: %w", ref.Seq, ref.Feed.Short(), err)
		}
		if size+len(raw) > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, raw)
		size += len(raw)
	}
	return flush()
}

// inBatches calls send with as much at a time as fits a frame.
func inBatches(raw [][]byte, send func([][]byte) error) error {
	for len(raw) > 0 {
		n, size := 0, 0
		for n < len(raw) && n < batchItems && (n == 0 || size+len(raw[n]) <= batchBytes) {
			size += len(raw[n])
			n++
		}
		if err := send(raw[:n]); err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}
