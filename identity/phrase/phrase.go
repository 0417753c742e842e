// Package phrase turns the recovery keys of an identity into 24 words that a
// person can write down, and back.
//
// The words are those of BIP-39 with its English list: 256 bits and 8 bits of
// checksum. The keys are derived from the seed that BIP-39 makes of them.
//
// # Concurrency
//
// A Phrase is a value; every function may be called from any goroutine.
package phrase

import (
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/echofs/echofs/identity"
)

// Words is how many words a phrase has.
const Words = 24

const (
	wordBits = 11
	rounds   = 2048
	seedSize = 64
	maxText  = 4 << 10
)

//go:embed english.txt
var english string // 2048 words in alphabetical order, different in their first four letters

// A Phrase is what 24 words stand for.
type Phrase struct{ entropy [32]byte }

// New makes a random phrase.
func New() Phrase {
	var p Phrase
	rand.Read(p.entropy[:]) // never fails
	return p
}

// FromEntropy makes the phrase of what Entropy returned.
func FromEntropy(entropy [32]byte) Phrase { return Phrase{entropy} }

// Entropy returns the bits of the words, which are as secret as they are.
func (p Phrase) Entropy() [32]byte { return p.entropy }

// Clear forgets the words.
func (p *Phrase) Clear() { clear(p.entropy[:]) }

// String does not print the words.
func (p Phrase) String() string { return "24 words" }

// GoString is String.
func (p Phrase) GoString() string { return p.String() }

// Words returns the 24 words.
func (p Phrase) Words() []string {
	list := strings.Fields(english)
	sum := sha256.Sum256(p.entropy[:])
	bits := append(p.entropy[:], sum[0])
	words := make([]string, Words)
	for i := range words {
		n := 0
		for b := i * wordBits; b < (i+1)*wordBits; b++ {
			n = n<<1 | int(bits[b/8]>>(7-b%8)&1)
		}
		words[i] = list[n]
	}
	return words
}

// Parse reads 24 words: in upper or lower case, with any space between them, or
// their first four letters. The error says which word is wrong; it is a
// *WordError if one is not in the list.
func Parse(text string) (Phrase, error) {
	if len(text) > maxText {
		return Phrase{}, fmt.Errorf("%d bytes are not 24 words", len(text))
	}
	typed := strings.Fields(strings.ToLower(text))
	list := strings.Fields(english)
	numbers := make([]int, 0, Words)
	for i, word := range typed {
		n, ok := find(list, word)
		if !ok {
			return Phrase{}, &WordError{Position: i + 1, Word: word, Near: near(list, word)}
		}
		numbers = append(numbers, n)
	}
	if len(numbers) != Words {
		return Phrase{}, fmt.Errorf("these are %d words, not 24", len(numbers))
	}
	p, ok := join(numbers)
	if !ok {
		return Phrase{}, mixedUp(numbers)
	}
	return p, nil
}

// find returns the number of a word, which may be cut after its first four letters.
func find(list []string, word string) (int, bool) {
	n, ok := slices.BinarySearch(list, word)
	if ok {
		return n, true
	}
	return n, len(word) >= 4 && n < len(list) && strings.HasPrefix(list[n], word)
}

// join puts the bits together, and reports whether the checksum is right.
func join(numbers []int) (Phrase, bool) {
	var bits [33]byte
	for i, n := range numbers {
		for b := range wordBits {
			if n>>(wordBits-1-b)&1 == 1 {
				at := i*wordBits + b
				bits[at/8] |= 1 << (7 - at%8)
			}
		}
	}
	p := Phrase{entropy: [32]byte(bits[:32])}
	return p, sha256.Sum256(p.entropy[:])[0] == bits[32]
}

// mixedUp explains words that are all in the list and not a phrase.
func mixedUp(numbers []int) error {
	swapped := 0
	for i := range Words - 1 {
		other := slices.Clone(numbers)
		other[i], other[i+1] = other[i+1], other[i]
		if _, ok := join(other); ok && other[i] != other[i+1] {
			if swapped != 0 {
				swapped = 0
				break
			}
			swapped = i + 1
		}
	}
	if swapped != 0 {
		return fmt.Errorf("these 24 words do not belong together: perhaps words %d and %d changed places, or one is another word of the list", swapped, swapped+1)
	}
	return fmt.Errorf("these 24 words do not belong together: one is another word of the list, or in another place")
}

// A WordError says which word is not in the list.
type WordError struct {
	Position int // from 1
	Word     string
	Near     []string // that may have been meant
}

func (e *WordError) Error() string {
	s := fmt.Sprintf("word %d, %q, is not in the list", e.Position, e.Word)
	if len(e.Near) > 0 {
		s += "; did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return s
}

// near returns the words that are typed most alike, at most three.
func near(list []string, word string) []string {
	if len(word) > 16 {
		return nil
	}
	var found [3][]string // by distance
	for _, w := range list {
		d := distance(word, w)
		if len(word) >= 3 && strings.HasPrefix(w, word) {
			d = 0
		}
		if d < len(found) {
			found[d] = append(found[d], w)
		}
	}
	for _, words := range found {
		if len(words) > 0 {
			return words[:min(3, len(words))]
		}
	}
	return nil
}

// distance counts the letters to insert, delete, replace, or swap with the next.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 0
			if a[i] != b[j] {
				cost = 1
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Keys derives the recovery keys.
func (p Phrase) Keys() (*identity.RecoveryKeys, error) {
	seed, err := p.seed("")
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	sign, err := hkdf.Key(sha256.New, seed, nil, "halo/recovery/sign/1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the recovery keys: %w", err)
	}
	defer clear(sign)
	seal, err := hkdf.Key(sha256.New, seed, nil, "halo/recovery/hpke/1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the recovery keys: %w", err)
	}
	defer clear(seal)
	return identity.NewRecoveryKeys(sign, seal)
}

// seed is the seed of BIP-39. We use no passphrase with it.
func (p Phrase) seed(passphrase string) ([]byte, error) {
	seed, err := pbkdf2.Key(sha512.New, strings.Join(p.Words(), " "), []byte("mnemonic"+passphrase), rounds, seedSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the recovery keys: %w", err)
	}
	return seed, nil
}
