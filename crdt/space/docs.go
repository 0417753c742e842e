package space

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
)

const (
	docBudget  = 64 << 20 // memory of open documents
	docReclaim = 64 << 20 // memory of closed documents after which it is given back
	docTail    = 32       // changes stored one by one before a document is saved whole
	docVersion = 1
)

// docs is the open documents, least recently used last. Everything in them is
// also stored, or will be by the next commit, so closing one loses nothing.
type docs struct {
	open   map[string]*list.Element // of *openDoc
	staged map[string]stored        // what the change at hand will store
	order  list.List
	cost   int64
	freed  int64 // cost of those closed since memory was last given back
}

type openDoc struct {
	key  string
	doc  *document.Doc
	tail int // changes stored behind the saved document
	cost int64
}

// textKey names the text, and the document, that comes from one version.
func textKey(node tree.NodeID, v tree.Version) string {
	key := make([]byte, 0, 56)
	key = append(append(key, node[:]...), v.Feed[:]...)
	return string(binary.BigEndian.AppendUint64(key, v.N))
}

// actor is who a feed is in the document of a key.
func actor(feed [32]byte, key string) [16]byte {
	h := sha256.New()
	h.Write([]byte("echo/actor/1"))
	h.Write(feed[:])
	h.Write([]byte(key))
	return [16]byte(h.Sum(nil))
}

// openText returns the document of a key, if anybody has edited that text yet.
// One that is damaged is made again from the log.
func (s *Space) openText(key string) (*openDoc, error) {
	if el := s.docs.open[key]; el != nil {
		s.docs.order.MoveToFront(el)
		return el.Value.(*openDoc), nil
	}
	doc, tail, err := s.loadText(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		remade, rerr := s.remakeText(key)
		if rerr != nil {
			return nil, errors.Join(err, rerr)
		}
		s.log.Error("a text's document was damaged and is made again from the log", "space", s.name, "err", err)
		doc, tail = remade, docTail // so that the next edit stores it whole
	}
	return s.docs.add(key, doc, tail), nil
}

// loadText reads a document, and says how many changes are stored behind it.
func (s *Space) loadText(key string) (*document.Doc, int, error) {
	main, err := s.storedDoc(key)
	if err != nil {
		return nil, 0, err
	}
	saved, heads, err := decodeDoc(main)
	if err != nil {
		return nil, 0, err
	}
	var tail [][]byte
	for {
		change, err := s.storedDoc(tailKey(key, len(tail)))
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		tail = append(tail, change)
	}
	doc, err := document.Load(saved, heads)
	if err != nil {
		return nil, 0, err
	}
	if err := doc.Apply(tail); err != nil {
		doc.Close()
		return nil, 0, fmt.Errorf("stored document: %w", err)
	}
	return doc, len(tail), nil
}

// remakeText makes the document of a text that was edited from the operations
// that made it.
func (s *Space) remakeText(key string) (*document.Doc, error) {
	for staged := range s.docs.staged {
		if strings.HasPrefix(staged, key) { // what is at hand is not in the log yet
			return nil, errors.New("it is being changed")
		}
	}
	node := NodeID([]byte(key[:16]))
	base := tree.Version{Feed: [32]byte([]byte(key[16:48])), N: binary.BigEndian.Uint64([]byte(key[48:]))}
	begun, err := s.findOp(base)
	if err != nil {
		return nil, err
	}
	p, err := s.pastOf(node)
	if err != nil {
		return nil, err
	}
	if begun.Node != node || begun.Content == nil {
		return nil, errNotText
	}
	doc, err := newDocument(key, begun.Content.Data)
	if err != nil {
		return nil, err
	}
	for i := range p.traces {
		t := &p.traces[i]
		if !t.IsEdit() || t.Base != base {
			continue
		}
		op, err := s.opOf(t)
		if err == nil {
			err = doc.Apply([][]byte{op.Edit.Change})
		}
		if err != nil {
			doc.Close()
			return nil, err
		}
	}
	return doc, nil
}

// beginText makes the document of a text that nobody has edited yet.
func (s *Space) beginText(key string, base []byte) (*openDoc, error) {
	doc, err := newDocument(key, base)
	if err != nil {
		return nil, err
	}
	return s.docs.add(key, doc, -1), nil
}

// newDocument makes the document of a text, the same on every device.
func newDocument(key string, base []byte) (*document.Doc, error) {
	return document.New(sha256.Sum256([]byte("echo/seed/1"+key)), string(base))
}

func (d *docs) add(key string, doc *document.Doc, tail int) *openDoc {
	if d.open == nil {
		d.open = make(map[string]*list.Element)
	}
	o := &openDoc{key: key, doc: doc, tail: tail, cost: doc.Cost()}
	d.open[key] = d.order.PushFront(o)
	d.cost += o.cost
	return o
}

// trim closes documents beyond the budget. Call it when no openDoc is in use.
func (d *docs) trim() {
	for d.cost > docBudget && d.order.Len() > 1 {
		d.drop(d.order.Back().Value.(*openDoc).key)
	}
}

// drop closes a document, if it is open.
func (d *docs) drop(key string) {
	if el := d.open[key]; el != nil {
		o := d.order.Remove(el).(*openDoc)
		delete(d.open, key)
		d.cost -= o.cost
		d.freed += o.cost
		o.doc.Close()
	}
}

func (d *docs) closeAll() {
	for key := range d.open {
		d.drop(key)
	}
}

// reclaim gives the memory of closed documents back, when it is much.
func (s *Space) reclaim() {
	s.write.Lock()
	much := s.docs.freed > docReclaim
	if much {
		s.docs.freed = 0
	}
	s.write.Unlock()
	if much {
		document.Reclaim()
	}
}

// edited says what a change that o now holds does once it happens. Until then
// what will be stored is staged, so that o may be closed and opened meanwhile.
func (s *Space) edited(o *openDoc, change []byte) edited {
	s.docs.cost -= o.cost
	o.cost = o.doc.Cost()
	s.docs.cost += o.cost
	e := edited{key: o.key, text: o.doc.Text()}
	put := func(key string, v stored) {
		if s.docs.staged == nil {
			s.docs.staged = make(map[string]stored)
		}
		s.docs.staged[key] = v
		e.puts = append(e.puts, docPut{key, v})
	}
	if o.tail >= 0 && o.tail < docTail {
		put(tailKey(o.key, o.tail), stored{data: change})
		o.tail++
		return e
	}
	for i := range o.tail {
		put(tailKey(o.key, i), stored{gone: true})
	}
	put(o.key, stored{data: encodeDoc(o.doc)})
	o.tail = 0
	return e
}

// docPut is a value for the document store.
type docPut struct {
	key string
	stored
}

func tailKey(key string, i int) string {
	return string(binary.BigEndian.AppendUint32([]byte(key), uint32(i)))
}

func encodeDoc(d *document.Doc) []byte {
	saved := d.Save()
	heads := d.Heads()
	b := append([]byte{docVersion}, binary.AppendUvarint(nil, uint64(len(heads)))...)
	for _, h := range heads {
		b = append(b, h[:]...)
	}
	return append(b, saved...)
}

func decodeDoc(b []byte) (saved []byte, heads []document.Hash, err error) {
	bad := fmt.Errorf("%w: stored document", store.ErrDamaged)
	if len(b) < 2 || b[0] != docVersion {
		return nil, nil, bad
	}
	n, used := binary.Uvarint(b[1:])
	b = b[1+max(used, 0):]
	if used <= 0 || n > uint64(len(b))/32 {
		return nil, nil, bad
	}
	for range n {
		heads = append(heads, document.Hash(b[:32]))
		b = b[32:]
	}
	return b, heads, nil
}

// storedDoc returns a value of the document store as it is or will be. The
// caller holds write.
func (s *Space) storedDoc(key string) (data []byte, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.docs.staged[key]
	if !ok {
		v, ok = s.over.docs[key]
	}
	if ok {
		if v.gone {
			return nil, store.ErrNotFound
		}
		return v.data, nil
	}
	err = s.view(func(tx *store.Tx) (err error) {
		data, err = tx.Doc([]byte(key))
		return err
	})
	return data, err
}
