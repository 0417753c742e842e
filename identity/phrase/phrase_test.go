package phrase

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheListIsThatOfBIP39(t *testing.T) {
	if sum := crc32.ChecksumIEEE([]byte(english)); sum != 0xc1dbd296 {
		t.Errorf("the checksum of the list is %08x", sum)
	}
	list := strings.Fields(english)
	if len(list) != 2048 || !slices.IsSorted(list) {
		t.Error("not 2048 words in order")
	}
	heads := map[string]string{}
	for _, w := range list {
		head := w[:min(4, len(w))]
		if heads[head] != "" {
			t.Errorf("%s and %s begin alike", heads[head], w)
		}
		heads[head] = w
	}
}

// The vectors of BIP-39 with 24 words; their passphrase is TREZOR.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) < 8*3 {
		t.Fatalf("%d lines", len(lines))
	}
	for v := range slices.Chunk(lines, 3) {
		entropy, err := hex.DecodeString(v[0])
		if err != nil {
			t.Fatal(err)
		}
		p := FromEntropy([32]byte(entropy))
		if got := strings.Join(p.Words(), " "); got != v[1] {
			t.Errorf("%s is %q, want %q", v[0], got, v[1])
		}
		if back, err := Parse(v[1]); err != nil || back != p {
			t.Errorf("Parse(%q) = %v, %v", v[1], back.Entropy(), err)
		}
		if seed, err := p.seed("TREZOR"); err != nil || hex.EncodeToString(seed) != v[2] {
			t.Errorf("the seed of %q is %x, %v", v[1], seed, err)
		}
	}
}

func TestKeysAreGolden(t *testing.T) {
	keys, err := FromEntropy([32]byte{}).Keys()
	if err != nil {
		t.Fatal(err)
	}
	sign, seal := keys.Public()
	const golden, goldenSeal = "5ee5ed0c0dee192a", "91e305bd9399b87a"
	if got := hex.EncodeToString(sign[:8]); got != golden || hex.EncodeToString(seal[len(seal)-8:]) != goldenSeal {
		t.Errorf("everybody's words stand for other keys now: %s, %x", got, seal[len(seal)-8:])
	}
}

func TestParse(t *testing.T) {
	p := FromEntropy([32]byte{1, 2, 3, 200, 17})
	words := p.Words()
	short := make([]string, Words)
	for i, w := range words {
		short[i] = strings.ToUpper(w[:min(4, len(w))])
	}
	for _, ok := range []string{strings.Join(words, " "), "  " + strings.Join(words, "\n\t ") + "\n", strings.Join(short, " ")} {
		if back, err := Parse(ok); err != nil || back != p {
			t.Errorf("Parse(%q) = %v", ok, err)
		}
	}
	replaced := func(i int, w string) string {
		other := slices.Clone(words)
		other[i] = w
		return strings.Join(other, " ")
	}
	tests := []struct{ name, text, want string }{
		{"nothing", "", "these are 0 words, not 24"},
		{"one too few", strings.Join(words[1:], " "), "these are 23 words, not 24"},
		{"one too many", strings.Join(words, " ") + " zoo", "these are 25 words, not 24"},
		{"much too long", strings.Repeat("zoo ", 4096), "bytes are not 24 words"},
		{"a letter wrong", replaced(6, "abandom"), `word 7, "abandom", is not in the list; did you mean abandon?`},
		{"letters swapped", replaced(0, "aobut"), `word 1, "aobut", is not in the list; did you mean about?`},
		{"beginning of several", replaced(2, "acc"), `word 3, "acc", is not in the list; did you mean access or accident or account?`},
		{"nothing like it", replaced(23, "qqqqqqqq"), `word 24, "qqqqqqqq", is not in the list`},
		{"control characters", replaced(23, "\x1b[0m"), `word 24, "\x1b[0m", is not in the list`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %v, want %q", err, tt.want)
			}
			if we, ok := errors.AsType[*WordError](err); ok != strings.HasPrefix(tt.want, "word") {
				t.Errorf("a WordError: %v", we)
			}
		})
	}
	told := 0
	for i := range Words - 1 {
		other := slices.Clone(words)
		other[i], other[i+1] = other[i+1], other[i]
		_, err := Parse(strings.Join(other, " "))
		if err == nil && words[i] != words[i+1] && !lucky(other) {
			t.Errorf("words %d and %d swapped are taken", i+1, i+2)
		}
		if err != nil && strings.Contains(err.Error(), fmt.Sprintf("words %d and %d changed places", i+1, i+2)) {
			told++
		}
	}
	if told == 0 {
		t.Error("words that changed places are never told")
	}
}

// lucky reports whether words happen to be another phrase: one in 256 is.
func lucky(words []string) bool {
	p, err := Parse(strings.Join(words, " "))
	return err == nil && slices.Equal(p.Words(), words)
}

func TestNewIsRandomAndSecret(t *testing.T) {
	p, q := New(), New()
	if p == q {
		t.Error("two phrases are the same")
	}
	for _, s := range []string{fmt.Sprint(p), fmt.Sprintf("%v %+v %#v %s", p, p, p, p)} {
		if strings.Contains(s, p.Words()[0]) && !strings.Contains("24 words", p.Words()[0]) {
			t.Errorf("a phrase prints as %s", s)
		}
	}
	p.Clear()
	if e := p.Entropy(); !bytes.Equal(e[:], make([]byte, 32)) {
		t.Error("Clear forgets nothing")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(strings.Join(FromEntropy([32]byte{7}).Words(), " "))
	f.Add("abandon abandon abandn")
	f.Add(strings.Repeat("zoo ", 24))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if back, err := Parse(strings.Join(p.Words(), " ")); err != nil || back != p {
			t.Errorf("%q is read as %q, and that as %v", text, p.Words(), err)
		}
	})
}
