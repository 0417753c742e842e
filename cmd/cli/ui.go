package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/echofs/echofs/cmd/localapi"
)

// The rules of what we print:
//
//   - Results go to stdout, everything else to stderr.
//   - Colours and moving lines only on a terminal, and no colours with NO_COLOR.
//   - A failure is one line that says what went wrong and one that says what to do.
//   - What a peer chose (names) is escaped: it must not move the cursor, change a
//     title, or reorder a line.

// A ui prints for people.
type ui struct {
	out, err io.Writer
	colour   bool // stderr takes colours
	bold     bool // stdout takes colours
	moving   bool // stderr takes moving lines
	pending  bool // a moving line is shown
}

func newUI(env Env) *ui {
	plain := env.Getenv("NO_COLOR") != "" || env.Getenv("TERM") == "dumb"
	return &ui{
		out: env.Stdout, err: env.Stderr,
		colour: terminal(env.Stderr) && !plain,
		bold:   terminal(env.Stdout) && !plain,
		moving: terminal(env.Stderr) && env.Getenv("TERM") != "dumb",
	}
}

func terminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// printf prints a result. What a peer chose must have gone through clean.
func (u *ui) printf(format string, args ...any) { fmt.Fprintf(u.out, format, args...) }

// notef tells something beside the result.
func (u *ui) notef(format string, args ...any) {
	u.clear()
	fmt.Fprintf(u.err, format, args...)
}

// progress shows what is being waited for: one moving line on a terminal, else nothing.
func (u *ui) progress(step string) {
	if !u.moving {
		return
	}
	u.clear()
	fmt.Fprintf(u.err, "%s …", clean(step))
	u.pending = true
}

func (u *ui) clear() {
	if u.pending {
		fmt.Fprint(u.err, "\r\x1b[K")
		u.pending = false
	}
}

// failure prints an error and the next step.
func (u *ui) failure(e *localapi.Error) {
	u.clear()
	label, message := "echofs:", cleanLines(e.Message)
	if strings.HasPrefix(message, "echofs") {
		command, rest, _ := strings.Cut(message, ": ")
		label, message = command+":", rest
	}
	if u.colour {
		label = "\x1b[1;31m" + label + "\x1b[0m"
	}
	fmt.Fprintf(u.err, "%s %s\n", label, message)
	if e.Next != "" {
		fmt.Fprintf(u.err, "  → %s\n", cleanLines(e.Next))
	}
}

// json prints a value for programs.
func (u *ui) json(v any) error {
	enc := json.NewEncoder(u.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows in columns, with a header on a terminal in bold.
func (u *ui) table(header []string, rows [][]string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
	first, rest, _ := strings.Cut(b.String(), "\n")
	if u.bold {
		first = "\x1b[1m" + first + "\x1b[0m"
	}
	u.printf("%s\n%s", first, rest)
}

// clean makes one line of what may come from a peer: control characters and
// those that reorder or hide text are shown as escapes.
func clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// cleanLines is clean for our own sentences, which may have several lines and
// backslashes, with names of others in them.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(clean(line), `\\`, `\`)
	}
	return strings.Join(lines, "\n  ")
}

// ago tells a time the way people do.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
