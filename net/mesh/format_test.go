package mesh

import (
	"bytes"
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

func FuzzHello(f *testing.F) {
	f.Add(encode(f, hello{Version: helloVersion, Chain: []byte("chain"), Sig: make([]byte, 64)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHello(wire.Frame{Type: helloFrame, Body: data})
		if err == nil && !bytes.Equal(encode(t, h), data) {
			t.Errorf("%x came back as %x", data, encode(t, h))
		}
	})
}
