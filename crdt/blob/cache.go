package blob

import (
	"container/list"
	"sync"
)

// cacheBytes is how many bytes of verified chunks are kept: enough for a few
// readers that go through their files in pieces of 128 KiB.
const cacheBytes = 16 << 20

// A cache keeps the chunks read last. A chunk that several want at once is
// loaded once.
type cache struct {
	load func(hash [32]byte) ([]byte, error)

	mu      sync.Mutex // guards the fields below
	entries map[[32]byte]*list.Element
	order   *list.List // of *cached, last used first
	bytes   int
	loading map[[32]byte]*loading
}

type cached struct {
	hash [32]byte
	data []byte
}

type loading struct {
	done chan struct{} // closed by the loader when data and err are set
	data []byte
	err  error
}

func newCache(load func([32]byte) ([]byte, error)) *cache {
	return &cache{load: load, entries: map[[32]byte]*list.Element{}, order: list.New(), loading: map[[32]byte]*loading{}}
}

func (c *cache) get(hash [32]byte) ([]byte, error) {
	c.mu.Lock()
	if e, ok := c.entries[hash]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*cached).data, nil
	}
	if l, ok := c.loading[hash]; ok {
		c.mu.Unlock()
		<-l.done
		return l.data, l.err
	}
	l := &loading{done: make(chan struct{})}
	c.loading[hash] = l
	c.mu.Unlock()

	l.data, l.err = c.load(hash)

	c.mu.Lock()
	delete(c.loading, hash)
	if l.err == nil {
		c.addLocked(hash, l.data)
	}
	c.mu.Unlock()
	close(l.done)
	return l.data, l.err
}

func (c *cache) addLocked(hash [32]byte, data []byte) {
	c.entries[hash] = c.order.PushFront(&cached{hash, data})
	c.bytes += len(data)
	for c.bytes > cacheBytes {
		e := c.order.Back()
		old := c.order.Remove(e).(*cached)
		delete(c.entries, old.hash)
		c.bytes -= len(old.data)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.order.Init()
	c.bytes = 0
}
