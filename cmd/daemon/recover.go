package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/invitation"
	"github.com/echofs/echofs/identity/membership"
	"github.com/echofs/echofs/identity/phrase"
	"github.com/echofs/echofs/net/mesh"
	"github.com/echofs/echofs/net/recovery"
)

const (
	// moreHelp is how long somebody who recovers goes on listening after an answer:
	// others may share other spaces.
	moreHelp = 4 * time.Second
	// ownHelp is moreHelp while none of their own devices has answered, of which
	// some are to be kept.
	ownHelp = 30 * time.Second
)

// CheckWords reports what is wrong with recovery words, and with which.
func CheckWords(words string) error {
	p, err := phrase.Parse(words)
	p.Clear()
	if err != nil {
		return &localapi.Error{Code: localapi.Usage, Message: err.Error(), Next: "look at the paper; capital letters and line breaks do not matter", Err: err}
	}
	return nil
}

// RecoverHalo makes the first device of a home one of the person whose words are
// given. No daemon may be running for it. Of cfg it needs Home and Getenv.
func RecoverHalo(ctx context.Context, cfg Config, req localapi.RecoverRequest, progress func(localapi.JoinStep)) (localapi.Recovered, error) {
	unlock, err := openHome(cfg.Home)
	if err != nil {
		return localapi.Recovered{}, err
	}
	defer unlock()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &daemon{plan: plan{Config: cfg}, log: cfg.Log}
	if err := d.checkEmpty("echofs up; it is given up for the one that you recover, if it is in no space"); err != nil {
		return localapi.Recovered{}, err
	}
	if d.settings, err = loadSettings(cfg.Home); err != nil {
		return localapi.Recovered{}, err
	}
	n, out, err := d.regain(ctx, req, nil, progress)
	if err != nil {
		return localapi.Recovered{}, err
	}
	defer n.words.Clear()
	d.noteMet(n.signal)
	if err := d.settings.save(cfg.Home); err != nil {
		return localapi.Recovered{}, err
	}
	if err := d.keepNewcomer(n, keeping{req.Protection, req.Passphrase}); err != nil {
		return localapi.Recovered{}, err
	}
	out.Halo, err = describeHalo(n.device, d.store)
	return out, err
}

// RecoverHalo makes this device one of the person whose words are given, instead
// of that of an identity which is in no space.
func (d *daemon) RecoverHalo(ctx context.Context, req localapi.RecoverRequest, progress func(localapi.JoinStep)) (localapi.Recovered, error) {
	own, err := d.mayBecome()
	if err != nil {
		return localapi.Recovered{}, err
	}
	n, out, err := d.regain(ctx, req, own, progress)
	if err != nil {
		return localapi.Recovered{}, err
	}
	defer n.words.Clear()
	if _, err := d.replaceIdentity(n, keeping{req.Protection, req.Passphrase}); err != nil {
		return localapi.Recovered{}, err
	}
	out.Halo, err = d.Halo(ctx)
	return out, err
}

// regain finds out what there is of the person, and makes the new device in
// memory.
func (d *daemon) regain(ctx context.Context, req localapi.RecoverRequest, own []string, progress func(localapi.JoinStep)) (n newcomer, out localapi.Recovered, err error) {
	for _, raw := range req.Signal { // else it would look for nobody, for a minute
		if err := checkSignal(raw); err != nil {
			return n, out, err
		}
	}
	if err := CheckWords(req.Words); err != nil {
		return n, out, err
	}
	words, err := phrase.Parse(req.Words)
	if err != nil {
		return n, out, err
	}
	defer words.Clear()
	keys, err := words.Keys()
	if err != nil {
		return n, out, err
	}
	name := cmp.Or(req.Name, hostName())
	if err := identity.CheckName(name); err != nil {
		return n, out, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("--device %q: %v", name, err), Next: "for example --device laptop", Err: err}
	}
	if _, err := parseProtection(req.Protection); err != nil {
		return n, out, err
	}
	found, err := d.askForHelp(ctx, keys, slices.Concat(req.Signal, own), req, progress)
	if err != nil {
		return n, out, err
	}
	halo, err := chainsOf(found)
	if err != nil {
		return n, out, err
	}
	var keep []identity.PublicKey
	for _, device := range req.Keep {
		key, err := findDevice(halo, device)
		if err != nil {
			return n, out, err
		}
		keep = append(keep, key)
	}
	next := phrase.New()
	nextKeys, err := next.Keys()
	if err != nil {
		return n, out, err
	}
	if n.device, err = identity.Recover(keys, halo, name, keep, nextKeys); err != nil {
		return n, out, err
	}
	n.words = &next
	for _, info := range halo.Devices() {
		if !slices.Contains(keep, info.Key) {
			out.Revoked = append(out.Revoked, info.Name)
		}
	}
	f := findings{halo: halo, keys: keys, keep: len(keep) > 0}
	f.collect(found)
	n.records = f.records
	if f.keep && f.personal != nil {
		n.gift.Genesis, n.gift.Keys = f.personal.Credentials[0], f.personal.Keys
	}
	for _, rec := range f.records {
		n.signal = append(n.signal, rec.Signal...)
	}
	n.signal = append(n.signal, req.Signal...) // last, since the last are kept
	out.Spaces, out.Waiting, out.Lost = f.names(f.offered), f.names(f.waiting), f.lost
	return n, out, nil
}

// askForHelp asks those who wait for the words.
func (d *daemon) askForHelp(ctx context.Context, keys *identity.RecoveryKeys, signal []string, req localapi.RecoverRequest, progress func(localapi.JoinStep)) ([]recovery.Help, error) {
	if len(signal) == 0 {
		return nil, &localapi.Error{Code: localapi.Usage, Message: "it is not said where to look for those who know you", Next: "name the signaling server of somebody you share a space with: --signal URL, which their echofs status shows"}
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	stranger, err := identity.NewDevice(nil, "somebody")
	if err != nil {
		return nil, err
	}
	m := mesh.New(mesh.Config{Device: stranger, Signal: signal, Log: d.part("mesh")})
	life, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer start(life, "mesh of somebody", fail, m.Run)()
	progress(localapi.JoinStep{Text: "looking for somebody who knows you"})
	found, err := recovery.Find(life, m, stranger.Key(), keys, func(all []recovery.Help) time.Duration {
		if len(req.Keep) > 0 && !slices.ContainsFunc(all, isOwn) {
			return ownHelp
		}
		return moreHelp
	})
	if errors.Is(err, recovery.ErrUnreachable) {
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, ctx.Err()
		}
		return nil, &localapi.Error{
			Code:    localapi.Unreachable,
			Message: "nobody who knows these words answered in time",
			Next:    "try again while somebody you share a space with is online, and name the signaling server they use with --signal URL; the words of before an earlier recovery do not work any more",
			Err:     err,
		}
	}
	return found, err
}

// isOwn reports whether it is a device of the person who helps.
func isOwn(help recovery.Help) bool {
	halo, err := identity.ReadHalo(help.Chain)
	return err == nil && halo.Live(help.Host)
}

// chainsOf puts what all hosts know of the identity together.
func chainsOf(found []recovery.Help) (halo identity.Halo, err error) {
	for _, help := range found {
		h, err := identity.ReadHalo(help.Chain)
		if err != nil {
			return halo, err
		}
		if halo, err = halo.Merge(h); err != nil {
			return halo, fmt.Errorf("those who answered know different people by these words: %w", err)
		}
	}
	return halo, nil
}

// findings is what the help of all hosts amounts to.
type findings struct {
	halo identity.Halo
	keys *identity.RecoveryKeys
	keep bool // some devices go on, and have what nobody else has

	personal *record
	records  map[identity.ID]record
	offered  map[identity.ID]bool // by somebody who is in the space
	waiting  map[identity.ID]bool // until a member is met
	lost     []string             // names of spaces that nobody else is in
}

// collect goes through the help. Boxes are trusted, since a device of the person
// has signed them; what a host says of a space is if the box names the space, or
// a device of the person has signed one of its credentials.
func (f *findings) collect(found []recovery.Help) {
	f.records, f.offered, f.waiting = map[identity.ID]record{}, map[identity.ID]bool{}, map[identity.ID]bool{}
	boxes := map[identity.ID]boxed{}
	for _, help := range found {
		for _, data := range help.Boxes {
			body, err := openBox(f.keys, f.halo, data)
			if err != nil {
				continue // of an earlier recovery, say
			}
			if rec, _, err := decodeRecord(body.Personal); err == nil && f.personal == nil {
				f.personal = &rec
			}
			for _, b := range body.Spaces {
				if rec, id, err := decodeRecord(b.Record); err == nil {
					f.add(id, rec)
					boxes[id] = b
				}
			}
		}
	}
	for _, help := range found {
		for _, data := range help.Spaces {
			rec, id, err := decodeRecord(data)
			if err != nil {
				continue
			}
			rec = asToldByAHost(rec)
			if have, named := f.records[id]; named || f.signedHere(rec, id) {
				if room := max(0, feed.MaxKeys-keptForOthers-len(have.Keys)); len(rec.Keys) > room {
					rec.Keys = slices.DeleteFunc(rec.Keys, func(k feed.Key) bool {
						if slices.Contains(have.Keys, k) {
							return false
						}
						room--
						return room < 0
					})
				}
				f.add(id, rec)
				f.offered[id] = true
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(boxes), identity.ID.Compare) {
		switch b := boxes[id]; {
		case f.offered[id]:
		case b.Alone && !f.keep:
			f.lost = append(f.lost, f.records[id].Name)
			delete(f.records, id)
		default:
			f.waiting[id] = true
		}
	}
}

// keptForOthers is how many places for keys no host fills: a space whose ring is
// full of one host's inventions would never learn its own.
const keptForOthers = 32

// asToldByAHost leaves of a record what a host, whoever it is, can do no harm
// with: if not all credentials are of the space, the GENESIS alone, or nobody
// could join by it; and servers that are asked for nothing but their signaling.
func asToldByAHost(rec record) record {
	members := membership.New()
	for _, raw := range rec.Credentials {
		c, err := credential.Decode(raw)
		if err == nil {
			_, err = members.Add(c)
		}
		if err != nil {
			rec.Credentials = rec.Credentials[:1]
			break
		}
	}
	rec.Signal = bareHosts(rec.Signal)
	return rec
}

// add takes a record, with the credentials of who has most of them, the keys of
// all, and the servers of the first. Together they are still a record.
func (f *findings) add(id identity.ID, rec record) {
	have, known := f.records[id]
	if !known {
		f.records[id] = rec
		return
	}
	ring := feed.Ring(have.Keys...)
	for _, k := range rec.Keys {
		ring, _ = ring.With(k)
	}
	have.Keys = ring.Keys()
	if len(rec.Credentials) > len(have.Credentials) {
		have.Credentials = rec.Credentials
	}
	have.Signal = slices.Clone(have.Signal)
	for _, url := range rec.Signal {
		if len(have.Signal) < invitation.MaxSignal && !slices.Contains(have.Signal, url) {
			have.Signal = append(have.Signal, url)
		}
	}
	if data, err := have.encode(); err != nil || len(data) > maxRecord {
		have.Credentials = have.Credentials[:1] // members have the others
	}
	f.records[id] = have
}

// signedHere reports whether the person has made one of a space's credentials, by
// a device of theirs. One that they made in another space says nothing.
func (f *findings) signedHere(rec record, id identity.ID) bool {
	return slices.ContainsFunc(rec.Credentials, func(raw []byte) bool {
		c, err := credential.Decode(raw)
		if err != nil || c.ID != id && c.Space != id || c.Identity != f.halo.Identity() {
			return false
		}
		_, known := f.halo.Known(c.Device)
		return known
	})
}

func (f *findings) names(of map[identity.ID]bool) []string {
	names := []string{}
	for id := range of {
		names = append(names, f.records[id].Name)
	}
	slices.Sort(names)
	return names
}
