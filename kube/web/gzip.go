package web

import (
	"bytes"
	"compress/gzip"
	"container/list"
	"strconv"
	"strings"
	"sync"
)

// Files outside these bounds are sent as they are.
const (
	minGzip   = 512
	maxGzip   = 8 << 20
	gzipCache = 16 << 20 // bytes of packed content kept
)

// acceptsGzip reads an Accept-Encoding header.
func acceptsGzip(header string) bool {
	star, named, gz := false, false, false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		on := true
		if k, v, ok := strings.Cut(strings.TrimSpace(params), "="); ok && strings.EqualFold(strings.TrimSpace(k), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			on = err == nil && q > 0
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			named, gz = true, on
		case "*":
			star = on
		}
	}
	if named {
		return gz
	}
	return star
}

// pack compresses data. It returns nil when that does not make it smaller.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, 6)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() >= len(data) {
		return nil, nil
	}
	return b.Bytes(), nil
}

// packCache keeps the packed form of content by its tag, the least recently
// asked for leaves first. A nil value says that packing does not pay.
type packCache struct {
	mu    sync.Mutex // guards the fields below
	byTag map[string]*list.Element
	order *list.List // of *packed entries, most recent first
	size  int
}

type packedEntry struct {
	tag  string
	data []byte
}

func newPackCache() *packCache {
	return &packCache{byTag: make(map[string]*list.Element), order: list.New()}
}

func (c *packCache) get(tag string) (data []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byTag[tag]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*packedEntry).data, true
}

func (c *packCache) put(tag string, data []byte) {
	const overhead = 256 // so that nil entries do not gather without end
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byTag[tag]; ok {
		return
	}
	c.byTag[tag] = c.order.PushFront(&packedEntry{tag, data})
	c.size += len(data) + overhead
	for c.size > gzipCache && c.order.Len() > 1 {
		last := c.order.Remove(c.order.Back()).(*packedEntry)
		delete(c.byTag, last.tag)
		c.size -= len(last.data) + overhead
	}
}
