package mesh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/net/rtc"
	"github.com/echofs/echofs/net/signaling"
	"github.com/echofs/echofs/net/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := codec.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGolden(t *testing.T) {
	var lines strings.Builder
	for _, v := range []any{
		hello{Version: helloVersion, Chain: []byte("chain"), Sig: []byte("sig")},
		binding{Version: helloVersion, Stream: rtc.Sync, Initiator: true, Topic: signaling.Topic{1}.ID(), Exporter: []byte("exporter"), Link: []byte("link")},
		call{Kind: callOffer, ID: [16]byte{1}, SDP: []byte("v=0")},
	} {
		fmt.Fprintf(&lines, "%T %x\n", v, encode(t, v))
	}
	got := lines.String()
	const file = "testdata/formats.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("a format changed; this needs a new version\n got %s\nwant %s", got, want)
	}
}

func TestHelloChainIsOnOneStream(t *testing.T) {
	for _, main := range []bool{false, true} {
		for _, chain := range [][]byte{nil, []byte("chain")} {
			h := hello{Version: helloVersion, Chain: chain, Sig: []byte("sig")}
			_, err := decodeHello(wire.Frame{Type: helloFrame, Body: encode(t, h)}, main)
			if ok := main == (chain != nil); ok != (err == nil) || !ok && !errors.Is(err, errHello) {
				t.Errorf("main %v, chain %q: %v", main, chain, err)
			}
		}
	}
}

func TestHeartbeats(t *testing.T) {
	var b bytes.Buffer
	c := wire.NewConn(&b, wire.Limits{pingFrame: 8, pongFrame: 8})
	for _, typ := range []wire.Type{pingFrame, pongFrame} {
		if err := c.WriteFrame(typ, binary.BigEndian.AppendUint64(nil, 7)); err != nil {
			t.Fatal(err)
		}
	}
	const want = "0101000000080000000000000007" + "0102000000080000000000000007"
	if got := fmt.Sprintf("%x", b.Bytes()); got != want {
		t.Errorf("ping and pong changed; this needs a new version\n got %s\nwant %s", got, want)
	}
}

func FuzzHello(f *testing.F) {
	f.Add(encode(f, hello{Version: helloVersion, Chain: []byte("chain"), Sig: make([]byte, 64)}), true)
	f.Add(encode(f, hello{Version: helloVersion, Sig: make([]byte, 64)}), false)
	f.Fuzz(func(t *testing.T, data []byte, main bool) {
		h, err := decodeHello(wire.Frame{Type: helloFrame, Body: data}, main)
		if err == nil && !bytes.Equal(encode(t, h), data) {
			t.Errorf("%x came back as %x", data, encode(t, h))
		}
	})
}
