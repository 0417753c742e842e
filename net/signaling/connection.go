package signaling

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// maxWaiting is how many bytes may wait for one connection: more than the
// greetings of all members of a full topic.
const maxWaiting = 2 << 20

// An outbox holds the packets that wait for the other side of a connection.
type outbox struct {
	packets chan []byte
	bytes   atomic.Int64       // in packets
	cancel  context.CancelFunc // ends the connection
}

func newOutbox(packets int, cancel context.CancelFunc) outbox {
	return outbox{packets: make(chan []byte, packets), cancel: cancel}
}

// push never blocks: the connection to one who does not take its packets ends.
func (o *outbox) push(p packet) {
	data := p.encode()
	if o.bytes.Add(int64(len(data))) <= maxWaiting {
		select {
		case o.packets <- data:
			return
		default:
		}
	}
	o.cancel()
}

// write sends what is pushed until ctx ends or a write fails.
func (o *outbox) write(ctx context.Context, conn *websocket.Conn) {
	for {
		select {
		case data := <-o.packets:
			o.bytes.Add(-int64(len(data)))
			if conn.Write(ctx, websocket.MessageBinary, data) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive returns when the other side has not answered for ttl, or ctx ends.
func keepAlive(ctx context.Context, conn *websocket.Conn, ttl time.Duration) {
	tick := time.NewTicker(ttl / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(ctx, ttl/2)
		err := conn.Ping(ctx)
		cancel()
		if err != nil {
			return
		}
	}
}
