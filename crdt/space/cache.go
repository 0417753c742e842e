package space

import (
	"container/list"
	"sync"
)

const (
	basesBudget = 8 << 20
	linesBudget = 32 << 20
)

// A cache keeps the values that were put last, within a budget of bytes. Any
// goroutine may use it; it takes no other lock.
type cache[V any] struct {
	budget int64

	mu    sync.Mutex // guards the fields below
	items map[string]*list.Element
	order list.List // of *cached[V], oldest first
	cost  int64
}

type cached[V any] struct {
	key   string
	value V
	cost  int64
}

// get returns the value of a key, or zero.
func (c *cache[V]) get(key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.items[key]
	if ok {
		value = el.Value.(*cached[V]).value
	}
	return value, ok
}

// put keeps a value, in place of another one with that key. The last one stays,
// whatever it costs.
func (c *cache[V]) put(key string, value V, cost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = make(map[string]*list.Element)
	}
	if el, ok := c.items[key]; ok {
		c.dropLocked(el)
	}
	c.items[key] = c.order.PushBack(&cached[V]{key, value, cost})
	c.cost += cost
	for c.cost > c.budget && c.order.Len() > 1 {
		c.dropLocked(c.order.Front())
	}
}

func (c *cache[V]) dropLocked(el *list.Element) {
	old := c.order.Remove(el).(*cached[V])
	delete(c.items, old.key)
	c.cost -= old.cost
}

// clear forgets everything; it can be made again from the log.
func (c *cache[V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items, c.cost = nil, 0
	c.order.Init()
}
