package replicate

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds the format of every frame: what changes here no longer
// understands older releases.
func TestGolden(t *testing.T) {
	id := identity.ID{1, 2, 3}
	mac := prove(feed.Key{7}, []byte("exporter"), true)
	tests := []struct {
		name string
		send func(sync, blobs *wire.Conn) error
	}{
		{"proof", func(s, _ *wire.Conn) error { return s.Send(frameProof, proof{MAC: mac}) }},
		{"heads", func(s, _ *wire.Conn) error { return s.Send(frameHeads, heads{[]identity.ID{id}}) }},
		{"credentials", func(s, _ *wire.Conn) error {
			return s.Send(frameCredentials, credentials{[][]byte{[]byte("credential")}})
		}},
		{"have", func(s, _ *wire.Conn) error {
			return s.Send(frameHave, have{feed.Timeframe{id: feed.Head{Seq: 5, ID: identity.ID{9}}}})
		}},
		{"entries", func(s, _ *wire.Conn) error {
			return s.Send(frameEntries, entries{[][]byte{[]byte("one"), []byte("two")}})
		}},
		{"news", func(s, _ *wire.Conn) error { return s.Send(frameNews, news{map[identity.ID]uint64{id: 7}}) }},
		{"pull", func(s, _ *wire.Conn) error {
			return s.Send(framePull, pull{map[identity.ID]span{id: {After: 5, Upto: 7}}})
		}},
		{"sent", func(s, _ *wire.Conn) error { return s.WriteFrame(frameSent, nil) }},
		{"proof-older", func(s, _ *wire.Conn) error { return s.Send(frameProof, proof{mac, [][32]byte{{5}}}) }},
		{"keys", func(s, _ *wire.Conn) error { return s.Send(frameKeys, keys{[][32]byte{{6}}}) }},
		{"forks", func(s, _ *wire.Conn) error { return s.Send(frameForks, forks{[][]byte{[]byte("proof")}}) }},
		{"ask", func(s, _ *wire.Conn) error { return s.Send(frameAsk, ask{id, 7}) }},
		{"stub", func(s, _ *wire.Conn) error { return s.Send(frameStub, stub{[]byte("stub")}) }},
		{"presence", func(s, _ *wire.Conn) error { return s.Send(framePresence, presence{Age: 60, File: "plan.md"}) }},
		{"want", func(_, b *wire.Conn) error { return b.Send(frameWant, want{[][32]byte{{4}}}) }},
		{"chunk", func(_, b *wire.Conn) error { return b.WriteFrame(frameChunk, append(make([]byte, 32), "bytes"...)) }},
		{"none", func(_, b *wire.Conn) error { return b.Send(frameNone, want{[][32]byte{{4}}}) }},
		{"offer", func(_, b *wire.Conn) error { return b.Send(frameOffer, want{[][32]byte{{4}}}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.send(wire.NewConn(&b, syncLimits), wire.NewConn(&b, blobLimits)); err != nil {
				t.Fatal(err)
			}
			got := hex.EncodeToString(b.Bytes())
			file := filepath.Join("testdata", tt.name+".hex")
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != strings.TrimSpace(string(want)) {
				t.Errorf("is  %s\nwas %s", got, want)
			}
		})
	}
}
