package space

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// Space is one shared folder.
type Space struct {
	dir     string
	device  *identity.Device
	log     *slog.Logger
	now     func() time.Time
	id      identity.ID
	name    string
	ring    atomic.Pointer[feed.Keyring] // replaced with write held
	members *membership.State
	db      *store.Store
	view    func(func(*store.Tx) error) error // of db
	disk    func() (free, total uint64, err error)
	journal *store.Journal
	blobs   *blob.Store
	events  events
	chunks  chunks
	notify  notifier
	bases   cache[[]byte]             // texts somebody was shown, by tag
	lines   cache[*document.Timeline] // those somebody looked at, by key of the text
	wake    chan struct{}             // capacity 1: the batch has grown

	write       sync.Mutex  // guards the fields below, and is held for a whole change
	feed        identity.ID // of this device; zero until it may write
	docs        docs
	wait        waiting
	unstored    []credential.Signed           // see storeCredentials
	complaints  int                           // how often complain was called
	auths       map[identity.ID][]identity.ID // of entries in the store, see authOf
	dead        map[identity.ID]bool          // entries of the log that do not count; replaced or added to
	excludes    excludes
	people      people
	forks       forks
	anew        bool                   // everything is in the log: what an edit lacks will never come
	deadChanges map[document.Hash]bool // what dead entries would change in documents; nil: not looked at yet
	opened      map[identity.ID]bool   // rotations whose keys are in the ring, see openEpochs
	found       payloads

	unjudged   atomic.Bool              // entries came by which others may begin or cease to count
	judged     atomic.Uint64            // generation of the members by which dead was found
	lineage    atomic.Uint64            // see Lineage
	proofs     atomic.Pointer[[][]byte] // what Forks returns
	readOnly   atomic.Bool              // what subscribers know, see noteAccess
	cramped    atomic.Bool              // there was no room when last looked at
	committing sync.Mutex               // held by the one commit that runs; taken before write
	busy       atomic.Bool              // the last commit had much to do

	mu       sync.RWMutex // guards the fields below; writers hold write too
	tree     *tree.State
	heads    map[identity.ID]feed.Entry  // last entry of each feed, accepted or sealed
	frontier map[identity.ID]identity.ID // feed → last entry that none other builds on
	fresh    map[identity.ID]bool        // entries not committed yet
	durable  feed.Timeframe
	gone     gone
	over     overlay
	batch    *batch // what the next commit takes
	inflight *batch // what the running commit has taken
	running  bool
	stuck    error // why the last commit failed
	closed   bool
}

// Names of values in the store.
const (
	metaSpace  = "space"
	metaName   = "name"
	metaKeys   = "keys"
	metaHeads  = "heads"
	metaTraces = "traces" // there since every operation leaves one
	metaOwn    = "own"
	metaEntry  = "entry/" // + ID: the entry is in the log

	metaWithdrawn = "withdrawn/" // + number: what is kept on this device only
	metaDead      = "dead/"      // + ID: an entry of the log that does not count
	metaJudged    = "judged"     // the generation of the members by which that was found
	metaFork      = "fork/"      // + feed, number and IDs: proof of a fork
	metaLost      = "lost/"      // + ID: an entry that lost a fork
	metaAside     = "aside/"     // + ID: an entry that left the log
	metaEnded     = "ended/"     // + feed of this device that nothing may be added to
)

// Create founds a space with this device's identity as its founder.
func Create(cfg Config, name string) (*Space, error) {
	now := clock(cfg)
	genesis, err := membership.Found(cfg.Device, now())
	if err != nil {
		return nil, fmt.Errorf("creating space %s: %w", name, err)
	}
	return begin(cfg, name, [][]byte{genesis.Raw}, feed.Ring(feed.NewKey()))
}

// Join makes this device's copy of a space from what a member handed over: all
// keys of the space, or at least the first.
func Join(cfg Config, name string, creds [][]byte, keys ...feed.Key) (*Space, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("space %s: no key", name)
	}
	return begin(cfg, name, creds, feed.Ring(keys...))
}

// begin writes a new space's folder. One that is complete is not written again.
func begin(cfg Config, name string, creds [][]byte, ring feed.Keyring) (*Space, error) {
	members := membership.New()
	for _, raw := range creds {
		c, err := credential.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("space %s: %w", name, err)
		}
		if _, err := members.Add(c); err != nil {
			return nil, fmt.Errorf("space %s: %w", name, err)
		}
	}
	if members.Space().IsZero() {
		return nil, fmt.Errorf("space %s: no credential founds it", name)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	db, err := store.Open(cfg.Dir, store.Options{})
	if err != nil {
		return nil, err
	}
	id := members.Space()
	err = db.Update(func(tx *store.Tx) error {
		have, err := tx.Meta(metaSpace)
		if err == nil && identity.ID(have) != id {
			return fmt.Errorf("%s holds another space", cfg.Dir)
		}
		if errors.Is(err, store.ErrNotFound) {
			if err := tx.PutMeta(metaTraces, tracesNow); err != nil {
				return err
			}
		}
		for _, c := range members.Ops() {
			if err := tx.PutCredential(c.ID, c.Raw); err != nil {
				return err
			}
		}
		return errors.Join(tx.PutMeta(metaSpace, id[:]), tx.PutMeta(metaName, []byte(name)), putRing(tx, ring))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("space %s: %w", name, err)
	}
	return Open(cfg)
}

func clock(cfg Config) func() time.Time {
	if cfg.Now != nil {
		return cfg.Now
	}
	return time.Now
}

// Open opens a space of this device and replays its journal.
func Open(cfg Config) (*Space, error) {
	s := &Space{
		dir: cfg.Dir, device: cfg.Device, log: cfg.Log, now: clock(cfg),
		wake:     make(chan struct{}, 1),
		tree:     tree.New(),
		heads:    make(map[identity.ID]feed.Entry),
		frontier: make(map[identity.ID]identity.ID),
		fresh:    make(map[identity.ID]bool),
		durable:  make(feed.Timeframe),
		over:     newOverlay(),
		batch:    newBatch(),
	}
	s.bases.budget, s.lines.budget = basesBudget, linesBudget
	s.disk = func() (free, total uint64, err error) { return diskOf(s.dir) }
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.events.wake = make(chan struct{}, 1)
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening space in %s: %w", cfg.Dir, err), s.closeFiles())
	}
	return s, nil
}

func (s *Space) open() (err error) {
	if _, err := os.Stat(s.dir); err != nil {
		return err
	}
	salvaged, err := s.openStore()
	if err != nil {
		return err
	}
	s.view = s.db.View
	s.chunks.fire = s.notify.fire
	if s.blobs, err = blob.Open(filepath.Join(s.dir, "blobs"), chunkKeys{s}); err != nil {
		return err
	}
	if s.journal, err = store.OpenJournal(s.dir); err != nil {
		return err
	}
	if err := s.loadIdentity(); err != nil {
		return err
	}
	if err := s.noteOwn(); err != nil {
		return err
	}
	if err := s.loadTree(salvaged); err != nil {
		return err
	}
	if err := s.traceAll(); err != nil {
		return err
	}
	s.readOnly.Store(s.Role() < credential.Editor)
	s.replay()
	s.chunks.want(s.tree)
	return nil
}

// loadIdentity reads what the space is and who belongs to it.
func (s *Space) loadIdentity() error {
	return s.db.View(func(tx *store.Tx) error {
		id, err := tx.Meta(metaSpace)
		if err != nil {
			return err
		}
		name, err := tx.Meta(metaName)
		if err != nil {
			return err
		}
		if err := s.loadRing(tx); err != nil {
			return err
		}
		if len(id) != len(s.id) {
			return fmt.Errorf("%w: identity of the space", store.ErrDamaged)
		}
		s.id, s.name = identity.ID(id), string(name)
		s.members = membership.Of(s.id)
		err = tx.Credentials(func(id [32]byte, raw []byte) error {
			c, err := credential.Decode(append([]byte(nil), raw...))
			if err != nil {
				return fmt.Errorf("credential %x: %w", id[:4], err)
			}
			if _, err := s.members.Add(c); err != nil {
				s.log.Warn("a stored credential does not count", "space", s.name, "err", err)
			}
			return nil
		})
		return errors.Join(err, s.loadOwn(tx))
	})
}

// openStore opens the database. Of a damaged one it takes over the log, if all
// of that is readable; then the state has to be made again.
func (s *Space) openStore() (salvaged bool, err error) {
	s.db, err = store.Open(s.dir, store.Options{})
	if !errors.Is(err, store.ErrDamaged) {
		return false, err
	}
	found, serr := store.Salvage(s.dir)
	if serr != nil {
		return false, errors.Join(err, serr)
	}
	if found.Lost > 0 {
		return false, errors.Join(err, found.Undo(s.dir))
	}
	s.log.Error("the space's database was damaged; what follows from its log is made again",
		"dir", s.dir, "entries", found.Entries, "kept", found.Kept, "err", err)
	s.db, err = store.Open(s.dir, store.Options{})
	return true, err
}

// loadTree reads the state made from the log, or makes it again.
func (s *Space) loadTree(salvaged bool) error {
	err := s.db.View(func(tx *store.Tx) error {
		if err := s.loadHeads(tx); err != nil || salvaged {
			return err
		}
		return tx.Nodes(func(id [16]byte, record []byte) error {
			if err := s.tree.Load(id, record); err != nil {
				return fmt.Errorf("%w: %w", store.ErrDamaged, err)
			}
			return nil
		})
	})
	switch {
	case errors.Is(err, store.ErrDamaged) && len(s.heads) == len(s.durable) && len(s.heads) > 0:
		s.log.Error("the tree is damaged; rebuilding it from the log", "space", s.name, "err", err)
		return s.rebuild(context.Background())
	case err != nil:
		return err
	case salvaged:
		return s.rebuild(context.Background())
	}
	s.tree.Project()
	return nil
}

// Run commits and tells subscribers until ctx ends, then commits what is left.
func (s *Space) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	done := make(chan struct{})
	eventsCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(done)
		s.events.run(eventsCtx)
	}()
	err := s.commitLoop(ctx)
	s.mu.Lock()
	s.running = false
	s.mu.Unlock()
	stop()
	<-done
	return err
}

// Close ends the use of the space. What is not committed stays in the journal.
func (s *Space) Close() error {
	s.write.Lock()
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	s.docs.closeAll()
	s.write.Unlock()
	if was {
		return nil
	}
	s.committing.Lock() // a running commit ends first
	defer s.committing.Unlock()
	return s.closeFiles()
}

// Trim gives memory back that makes work faster, for when there is none.
func (s *Space) Trim() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return
	}
	s.bases.clear()
	s.lines.clear()
	s.blobs.Trim()
	if err := s.db.Trim(); err != nil {
		s.log.Debug("memory is not given back", "space", s.name, "err", err)
	}
}

func (s *Space) closeFiles() error {
	var errs []error
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.blobs != nil {
		errs = append(errs, s.blobs.Close())
	}
	return errors.Join(errs...)
}

// ID returns the ID of the space, that of its GENESIS.
func (s *Space) ID() identity.ID { return s.id }

// Name returns what the user of this device calls the space.
func (s *Space) Name() string { return s.name }

// Members returns the present members, founder first.
func (s *Space) Members() []membership.Member { return s.members.Members() }

// Member reports whether a device belongs to a present member.
func (s *Space) Member(device identity.PublicKey) bool {
	_, ok := s.members.Device(device)
	return ok
}
