package signaling

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity"
)

var update = flag.Bool("update", false, "write the golden files anew")

// zeros makes the same device every time.
type zeros struct{ n byte }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		z.n++
		p[i] = z.n
	}
	return len(p), nil
}

// plainNote is what is inside the seal, for a device that never changes.
func plainNote(t testing.TB) (plain []byte, e envelope) {
	t.Helper()
	d, err := identity.NewDevice(&zeros{}, "golden")
	if err != nil {
		t.Fatal(err)
	}
	topic := Topic{1, 2, 3}
	e = envelope{topic.ID(), PeerID{4}, PeerID{5}}
	sealed, err := seal(topic.sealer(), d, e, note{Kind: message, Presence: nonce{6}, Instance: nonce{7}, To: nonce{8}, Seq: 9, Body: []byte("body")})
	if err != nil {
		t.Fatal(err)
	}
	aead := topic.sealer()
	plain, err = aead.Open(nil, nil, sealed, e.bytes())
	if err != nil {
		t.Fatal(err)
	}
	return plain, e
}

func TestGolden(t *testing.T) {
	plain, e := plainNote(t)
	var got strings.Builder
	fmt.Fprintf(&got, "topic %x\n", Topic{1, 2, 3}.ID())
	fmt.Fprintf(&got, "seal %x\n", Topic{1, 2, 3}.derive("echo/signal/seal/1"))
	fmt.Fprintf(&got, "note %x\n", plain)
	for _, p := range packets(e) {
		fmt.Fprintf(&got, "packet %x\n", p.encode())
	}
	const file = "testdata/formats.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("a format changed; this needs a new version\n got %s\nwant %s", got.String(), want)
	}
}

func packets(e envelope) []packet {
	return []packet{
		{Kind: joinTopic, Topic: e.Topic},
		{Kind: leave, Topic: e.Topic},
		{Kind: send, Topic: e.Topic, Peer: e.To, Data: []byte("data")},
		{Kind: joined, Topic: e.Topic, Peer: e.From, Peers: []PeerID{e.To}},
		{Kind: refuse, Topic: e.Topic, Text: "full"},
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range packets(envelope{TopicID{1}, PeerID{2}, PeerID{3}}) {
		f.Add(p.encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePacket(data)
		if err == nil && !bytes.Equal(p.encode(), data) {
			t.Errorf("%x came back as %x", data, p.encode())
		}
	})
}

func FuzzNote(f *testing.F) {
	plain, e := plainNote(f)
	golden, err := decodeNote(plain, e.bytes())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNote(data, e.bytes())
		if err == nil && n.Device == golden.Device && !bytes.Equal(data, plain) {
			t.Errorf("a note was forged: %x", data)
		}
	})
}
