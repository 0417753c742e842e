package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// A Terminal is a program that believes a person sits in front of it.
type Terminal struct {
	w    *World
	name string
	cmd  *exec.Cmd
	pty  *os.File
	done chan struct{} // closed when the program has ended; err is set then
	err  error

	mu     sync.Mutex // guards the fields below
	output []byte     // everything it has printed
	seen   int        // how much of output was waited for
}

// keys for Terminal.Type.
const (
	enter  = "\r"
	escape = "\x1b"
)

func ctrl(letter byte) string { return string(letter & 0x1f) }

// Terminal starts a program in a folder, on a terminal of 24 lines.
func (w *World) Terminal(dir, name string, args ...string) *Terminal {
	w.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=vt100", "HOME="+w.home(), "LC_ALL=C.UTF-8", "VIMINIT=", "EXINIT=")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	term := &Terminal{w: w, name: name, cmd: cmd, pty: f, done: make(chan struct{})}
	go term.watch()
	w.t.Cleanup(term.end)
	return term
}

// home is a home folder without anybody's settings, for editors.
func (w *World) home() string {
	dir := filepath.Join(w.dir, "settings")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// watch collects what the program prints until it ends.
func (s *Terminal) watch() {
	defer close(s.done)
	buf := make([]byte, 4096)
	for {
		n, err := s.pty.Read(buf)
		s.mu.Lock()
		s.output = append(s.output, buf[:n]...)
		s.mu.Unlock()
		if err != nil { // EIO once the program is gone
			break
		}
	}
	s.err = s.cmd.Wait()
}

// end kills a program that a failed test left running.
func (s *Terminal) end() {
	s.cmd.Process.Kill()
	<-s.done
	s.pty.Close()
	if s.w.t.Failed() {
		s.w.t.Logf("--- screen of %s\n%s", s.name, tailOf(s.plain(), 2000))
	}
}

// Type types keys.
func (s *Terminal) Type(keys string) {
	s.w.t.Helper()
	if _, err := s.pty.WriteString(keys); err != nil {
		s.w.t.Fatalf("typing into %s: %v", s.name, err)
	}
}

// Shows waits until the program prints one of texts after what was waited for
// before, and returns which.
func (s *Terminal) Shows(texts ...string) string {
	s.w.t.Helper()
	var found string
	s.w.Eventually(fmt.Sprintf("%s shows %q", s.name, texts), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		fresh := printed(s.output[s.seen:])
		for _, text := range texts {
			if strings.Contains(fresh, text) {
				found, s.seen = text, len(s.output)
				return nil
			}
		}
		select {
		case <-s.done:
			s.w.t.Fatalf("%s ended (%v) and never showed %q:\n%s", s.name, s.err, texts, tailOf(printed(s.output), 2000))
		default:
		}
		return fmt.Errorf("it shows %q", tailOf(fresh, 500))
	})
	return found
}

// Ends waits until the program has ended, which it must do well.
func (s *Terminal) Ends() {
	s.w.t.Helper()
	s.Gone()
	if s.err != nil {
		s.w.t.Errorf("%s: %v\n%s", s.name, s.err, tailOf(s.plain(), 1000))
	}
}

// Gone waits until the program has ended.
func (s *Terminal) Gone() {
	s.w.t.Helper()
	s.w.Eventually(s.name+" ends", func() error {
		select {
		case <-s.done:
			return nil
		default:
			return fmt.Errorf("it shows %q", tailOf(s.plain(), 500))
		}
	})
}

// NeverShowed fails the test if the program has printed one of texts.
func (s *Terminal) NeverShowed(texts ...string) {
	s.w.t.Helper()
	all := s.plain()
	for _, text := range texts {
		if i := strings.Index(all, text); i >= 0 {
			s.w.t.Errorf("%s showed %q", s.name, all[max(0, i-100):min(len(all), i+200)])
		}
	}
}

func (s *Terminal) plain() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return printed(s.output)
}

// printed takes the control sequences of a VT100 out of output.
func printed(output []byte) string {
	return string(control.ReplaceAll(output, nil))
}

var control = regexp.MustCompile("\x1b\\[[0-9;?>]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78MDEHc]|\x1b[\\]P][^\x07\x1b]*(\x07|\x1b\\\\)|[\x00\x07\x0e\x0f]")

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

func TestPrinted(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                              "plain",
		"\x1b[1;24r\x1b[?25l\x1b[mdoc\x1b[K": "doc",
		"\x1b(B\x1b=a\x1b>b\x0f":             "ab",
		"\x1b]0;title\x07c":                  "c",
		"\x1b[>c\x1b[2;1H":                   "",
	} {
		if got := printed([]byte(in)); got != want {
			t.Errorf("printed(%q) = %q, want %q", in, got, want)
		}
	}
}
