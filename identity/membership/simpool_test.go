package membership_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/membership"
)

// Devices of everybody in the simulation.
const (
	devA     = iota // the first
	devB            // added by A, and sometimes stolen
	devC            // added by B
	devN            // made by the recovery words
	nDevices = 4
)

// Chains of everybody in the simulation: who states what about the devices.
const (
	chainA      = iota // A is a device
	chainAB            // and B
	chainEndsB         // A revokes B
	chainEndsA         // B revokes A
	chainABC           // B adds C
	chainReset         // the recovery words keep A, which B had revoked, and add N
	chainKnowsC        // A knows of C and revokes B
	chainCEndsA        // C revokes A
	nChains
)

const nPeople = 5

// A pool is people with real chains, made once for all scenarios.
type pool struct {
	people []*poolPerson
	byText map[string]identity.Halo
}

type poolPerson struct {
	id    identity.ID
	keys  [nDevices]identity.PublicKey
	halos [nChains]identity.Halo

	mu     sync.Mutex // guards the field below
	merged map[uint64]uint64
}

// noise is a source of bytes that are the same every time.
func noise(seed string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

func newPool(t testing.TB) *pool {
	t.Helper()
	p := &pool{byText: map[string]identity.Halo{}}
	for i := range nPeople {
		person := newPoolPerson(t, fmt.Sprint("person ", i))
		p.people = append(p.people, person)
		for k, h := range person.halos {
			p.byText[chainText(i, k)] = h
		}
	}
	return p
}

// chainText stands for a chain in the simulation.
func chainText(person, chain int) string { return fmt.Sprintf("%d.%d", person, chain) }

func newPoolPerson(t testing.TB, name string) *poolPerson {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	words := func(name string) *identity.RecoveryKeys {
		sign, seal := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(name+"'"))
		keys, err := identity.NewRecoveryKeys(sign[:], seal[:])
		must(err)
		return keys
	}
	random := noise(name)
	a, err := identity.NewIdentity(identity.Start{Random: random, Name: name, DeviceName: "A", Recovery: words(name)})
	must(err)
	// again makes another copy of a device, with another future.
	again := func(d *identity.Device) *identity.Device {
		d, err := identity.FromSecrets(d.Secrets())
		must(err)
		return d
	}
	add := func(by *identity.Device, name string) *identity.Device {
		j, err := identity.NewDeviceRequest(random, by.Identity(), name)
		must(err)
		chain, err := by.AddDevice(j.Request())
		must(err)
		d, err := j.Finish(chain)
		must(err)
		return d
	}
	revoke := func(by *identity.Device, key identity.PublicKey) identity.Halo {
		by = again(by)
		must(by.RevokeDevice(key))
		return by.Halo()
	}
	p := &poolPerson{id: a.Identity(), merged: map[uint64]uint64{}}
	p.halos[chainA] = a.Halo()
	b := add(a, "B")
	p.halos[chainAB] = b.Halo()
	p.halos[chainEndsB] = revoke(a, b.Key())
	p.halos[chainEndsA] = revoke(b, a.Key())
	thief := again(b)
	c := add(thief, "C")
	p.halos[chainABC] = c.Halo()
	knowing := again(a)
	_, err = knowing.Learn(c.Chain())
	must(err)
	p.halos[chainKnowsC] = revoke(knowing, b.Key())
	p.halos[chainCEndsA] = revoke(c, a.Key())
	n, err := identity.Recover(words(name), p.halos[chainEndsA], "N", []identity.PublicKey{a.Key()}, words(name+" next"))
	must(err)
	p.halos[chainReset] = n.Halo()
	p.keys = [nDevices]identity.PublicKey{a.Key(), b.Key(), c.Key(), n.Key()}
	return p
}

// book returns a new book that reads the chains of the pool.
func (p *pool) book() *membership.Book {
	return membership.NewBook(func(text []byte) (identity.Halo, error) {
		h, ok := p.byText[string(text)]
		if !ok {
			return identity.Halo{}, identity.ErrBadChain
		}
		return h, nil
	})
}

// live returns the devices of a person that are live by some chains together.
func (p *pool) live(person int, chains uint64) uint64 {
	who := p.people[person]
	who.mu.Lock()
	defer who.mu.Unlock()
	if devices, ok := who.merged[chains]; ok {
		return devices
	}
	var h identity.Halo
	for set := chains; set != 0; set &= set - 1 {
		var err error
		if h, err = h.Merge(who.halos[bits.TrailingZeros64(set)]); err != nil {
			panic(err)
		}
	}
	devices := uint64(0)
	for d, key := range who.keys {
		if h.Live(key) {
			devices |= 1 << d
		}
	}
	who.merged[chains] = devices
	return devices
}

// known returns the devices that a chain names.
func (p *pool) known(person, chain int) uint64 {
	devices := uint64(0)
	for d, key := range p.people[person].keys {
		if _, ok := p.people[person].halos[chain].Known(key); ok {
			devices |= 1 << d
		}
	}
	return devices
}

// covers reports whether a chain says all that another does.
func (p *pool) covers(person, chain, other int) bool {
	return p.people[person].halos[chain].Covers(p.people[person].halos[other])
}

func TestPool(t *testing.T) {
	p := newPool(t)
	want := [nChains]uint64{
		chainA: 1 << devA, chainAB: 1<<devA | 1<<devB, chainEndsB: 1 << devA, chainEndsA: 1 << devB, chainABC: 1<<devA | 1<<devB | 1<<devC,
		chainReset: 1<<devA | 1<<devN, chainKnowsC: 1<<devA | 1<<devC, chainCEndsA: 1<<devB | 1<<devC,
	}
	for i := range p.people {
		for k, devices := range want {
			if got := p.live(i, 1<<k); got != devices {
				t.Errorf("chain %d: live are %b, want %b", k, got, devices)
			}
		}
		if got := p.live(i, 1<<chainEndsB|1<<chainABC); got != 1<<devA {
			t.Errorf("what a revoked device adds lives: %b", got)
		}
		if got := p.live(i, 1<<nChains-1); got != 1<<devA|1<<devN {
			t.Errorf("after a reset: %b", got)
		}
	}
	if slices.Contains(p.people[0].keys[:], identity.PublicKey{}) {
		t.Error("a device without a key")
	}
}

func ids(seed uint64, n int) identity.ID {
	var id identity.ID
	binary.BigEndian.PutUint64(id[:], seed)
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}
