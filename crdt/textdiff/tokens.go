package textdiff

import "strings"

// tokens are the parts of a text: a number for each, equal for equal parts,
// and where each begins, with the end of the text as a last place.
type tokens struct {
	id []int32
	at []int
}

// A table numbers parts.
type table map[string]int32

func (t table) number(part string) int32 {
	n, ok := t[part]
	if !ok {
		n = int32(len(t))
		t[part] = n
	}
	return n
}

// lines cuts behind every newline.
func (t table) lines(s string) (out tokens) {
	begin := 0
	for i := range len(s) {
		if s[i] == '\n' {
			out.add(t.number(s[begin:i+1]), begin)
			begin = i + 1
		}
	}
	if begin < len(s) {
		out.add(t.number(s[begin:]), begin)
	}
	out.at = append(out.at, len(s))
	return out
}

// trimmed renumbers lines of s so that those that differ only in the blanks
// around them are equal.
func (t table) trimmed(lines tokens, s string) {
	for i := range lines.id {
		lines.id[i] = t.number(strings.TrimSpace(s[lines.at[i]:lines.at[i+1]]))
	}
}

// words cuts into words and single runes between them.
func (t table) words(s string) (out tokens) {
	begin, inWord := 0, false
	for i, r := range s {
		w := isWord(r)
		if i > begin && !(w && inWord) {
			out.add(t.number(s[begin:i]), begin)
			begin = i
		}
		inWord = w
	}
	if begin < len(s) {
		out.add(t.number(s[begin:]), begin)
	}
	out.at = append(out.at, len(s))
	return out
}

// runes cuts into runes.
func runes(s string) (out tokens) {
	for i, r := range s {
		out.add(r, i)
	}
	out.at = append(out.at, len(s))
	return out
}

func (t *tokens) add(id int32, at int) {
	t.id = append(t.id, id)
	t.at = append(t.at, at)
}

// isWord counts every rune beyond ASCII as part of a word, so that words of
// any script stay whole.
func isWord(r rune) bool {
	return r == '_' || r >= 0x80 || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
