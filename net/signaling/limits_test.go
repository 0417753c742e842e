package signaling

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/echofs/echofs/identity/membership"
)

func run(t *testing.T, c *Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestRefusedTopicIsTriedAgain waits for a place on a topic that is full.
func TestRefusedTopicIsTriedAgain(t *testing.T) {
	url := serve(t, ServerConfig{Members: 2})
	var members []*member
	for _, name := range []string{"ann", "ben", "cyd"} {
		c := NewClient(device(t, name), nil)
		c.rejoin = 10 * time.Millisecond
		if err := c.AddURL(url); err != nil {
			t.Fatal(err)
		}
		run(t, c)
		members = append(members, join(t, c, Topic{1}))
		if len(members) == 2 { // the third finds the topic full
			members[0].next(t, Present)
			members[1].next(t, Present)
		}
	}
	members[0].Close()
	members[1].next(t, Gone)
	members[1].next(t, Present)
	members[2].next(t, Present)
}

// TestManyTopics is a device that hosts as many invitations as it may, and a
// space with as many members as it may have.
func TestManyTopics(t *testing.T) {
	if maxMembers < membership.MaxMembers {
		t.Errorf("a topic holds %d devices, a space %d members", maxMembers, membership.MaxMembers)
	}
	const topics = 1100
	url := serve(t, ServerConfig{Rate: 1e6})
	a := newTestClient(t, device(t, "ann"), url)
	z := newTestClient(t, device(t, "zoe"), url)
	var last, first *member
	for i := range topics {
		var topic Topic
		binary.BigEndian.PutUint32(topic[:], uint32(i))
		m := join(t, a, topic)
		if first == nil {
			first = m
		}
		last = m
	}
	join(t, z, Topic{})
	first.next(t, Present)
	var topic Topic
	binary.BigEndian.PutUint32(topic[:], topics-1)
	join(t, z, topic)
	last.next(t, Present)
}

// TestServerCannotRedirect has a server that sends its clients elsewhere.
func TestServerCannotRedirect(t *testing.T) {
	called := make(chan string, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	t.Cleanup(elsewhere.Close)
	tried := make(chan struct{}, 100)
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tried <- struct{}{}
		http.Redirect(w, r, elsewhere.URL+"/secret", http.StatusFound)
	}))
	t.Cleanup(hostile.Close)
	newTestClient(t, device(t, "ann"), hostile.URL)
	<-tried
	<-tried // it has dealt with the first answer
	if len(called) > 0 {
		t.Errorf("the client called %s", <-called)
	}
}

// TestPagesAreRefused is a web page, which a browser lets connect to any
// address and makes say where it comes from.
func TestPagesAreRefused(t *testing.T) {
	url := serve(t, ServerConfig{})
	for _, origin := range []string{"https://evil.example", "null", "", "http://localhost:4480", url} {
		ws, r, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if err == nil {
			ws.CloseNow()
			t.Errorf("a page of %q was let in", origin)
		} else if r == nil || r.StatusCode != http.StatusForbidden {
			t.Errorf("a page of %q: %v", origin, err)
		}
	}
}

// TestWaitingBytesAreBounded is a connection that takes nothing.
func TestWaitingBytesAreBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	box := newOutbox(backlog, cancel)
	for range maxWaiting / maxData {
		if ctx.Err() != nil {
			t.Fatalf("ended with %d bytes waiting", box.bytes.Load())
		}
		box.push(packet{Kind: deliver, Data: make([]byte, maxData)})
	}
	if ctx.Err() == nil {
		t.Errorf("%d packets wait", len(box.packets))
	}
}
