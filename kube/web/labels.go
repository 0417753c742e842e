package web

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strings"
)

// A DNS label has at most 63 bytes; "APP--SPACE" shares them.
const (
	maxLabel    = 63
	maxPart     = 30
	separator   = "--"
	shortHash   = 6
	longHash    = 16
	appsFolder  = "apps"
	indexFile   = "index.html"
	localSuffix = ".localhost"
)

// candidate is an app folder before it has a label.
type candidate struct {
	space     string // name of the space
	spaceHash string // hash of the space's ID, the same wherever it is seen
	app       string // name of the folder
}

// labels gives each candidate its own DNS label, "APP--SPACE".
//
// A label is an origin, and with it the app's stored data, so it must never go
// from one app to another. It depends only on the app's own names, except where
// two spaces share a name: then both carry a hash of their ID, so that nobody
// gets an origin by naming a space like somebody else's.
func labels(in []candidate) []string {
	spaces := make(map[string]map[string]bool) // part → hashes of the spaces that have it
	for _, c := range in {
		part := spacePart(c, false)
		if spaces[part] == nil {
			spaces[part] = make(map[string]bool)
		}
		spaces[part][c.spaceHash] = true
	}
	out := make([]string, len(in))
	count := make(map[string]int)
	for i, c := range in {
		twice := len(spaces[spacePart(c, false)]) > 1
		out[i] = appPart(c.app) + separator + spacePart(c, twice)
		count[out[i]]++
	}
	for i, c := range in {
		if count[out[i]] > 1 { // the short hashes were made to collide
			sum := sha256.Sum256([]byte(c.spaceHash + "\x00" + c.app))
			out[i] = cut(out[i], maxLabel-longHash-1) + "-" + hex.EncodeToString(sum[:])[:longHash]
		}
	}
	return out
}

func appPart(name string) string {
	part, lossy := sanitise(name)
	if lossy {
		sum := sha256.Sum256([]byte(name))
		return withHash(part, hex.EncodeToString(sum[:]), "app")
	}
	return part
}

func spacePart(c candidate, twice bool) string {
	part, lossy := sanitise(c.space)
	if lossy || twice {
		return withHash(part, c.spaceHash, "space")
	}
	return part
}

// sanitise turns a name into the characters of a DNS label: a-z, 0-9 and single
// hyphens inside. It reports whether another name could give the same part.
func sanitise(name string) (part string, lossy bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			b.WriteByte(c)
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	part = cut(b.String(), maxPart)
	// "xn--space" would be read as an encoded international name.
	return part, part != name || part == "" || part == "xn"
}

// withHash appends the start of hash to part; base stands in for an empty part.
func withHash(part, hash, base string) string {
	if part == "" {
		part = base
	}
	if len(hash) > shortHash {
		hash = hash[:shortHash]
	}
	return cut(part, maxPart-shortHash-1) + "-" + hash
}

// cut shortens s to at most n bytes and leaves no hyphen at its ends.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Trim(s, "-")
}

// sortApps orders apps by space, then name, for people.
func sortApps(apps []App) {
	sort.Slice(apps, func(i, j int) bool {
		if apps[i].Space != apps[j].Space {
			return apps[i].Space < apps[j].Space
		}
		if apps[i].Name != apps[j].Name {
			return apps[i].Name < apps[j].Name
		}
		return apps[i].URL < apps[j].URL
	})
}
