package space

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/keystore"
)

// crashDir, in the environment, makes the test binary a writer to be killed.
const crashDir = "ECHOFS_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled changes a space and says each change that was acknowledged.
func writeUntilKilled(dir string) error {
	store, err := keystore.Open(filepath.Join(dir, "identity"), keystore.Config{})
	if err != nil {
		return err
	}
	d, err := store.Unlock(context.Background(), nil)
	if err != nil {
		return err
	}
	s, err := Open(Config{Dir: filepath.Join(dir, "space"), Device: d})
	if err != nil {
		return err
	}
	go s.Run(context.Background())
	log, err := s.Lookup(Root, "log.txt")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		p, err := s.Open(log.ID)
		if err != nil {
			return err
		}
		text, _ := p.Bytes()
		version := p.Version()
		line := fmt.Sprintf("%d-%d", os.Getpid(), i)
		if _, err := s.Save(log.ID, &version, BytesContent([]byte(string(text)+line+"\n")), time.Time{}); err != nil {
			return err
		}
		fmt.Println("line", line)
		if _, err := s.Create(Root, line, New{Content: BytesContent([]byte(line))}); err != nil {
			return err
		}
		fmt.Println("file", line)
		if i%3 == 0 {
			f, err := s.Lookup(Root, line)
			if err != nil {
				return err
			}
			fmt.Println("gone", line) // from here on it may be
			if err := s.Remove(f.ID); err != nil {
				return err
			}
			fmt.Println("removed", line)
		}
	}
}

// TestKill9 kills a writer again and again: what it acknowledged is there.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	d, err := identity.NewDevice(nil, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.Create(filepath.Join(dir, "identity"), d, nil, keystore.File, nil, keystore.Config{}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: filepath.Join(dir, "space"), Device: d, Log: testLog(t)}
	s, err := Create(cfg, "home")
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, "log.txt", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	lines, files := map[string]bool{}, map[string]string{}
	for range 15 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := rnd.IntN(300) // messages until the kill
		scan := bufio.NewScanner(out)
		for n := 0; scan.Scan(); n++ {
			what, name, _ := strings.Cut(scan.Text(), " ")
			switch what {
			case "error":
				t.Error(name)
			case "line":
				lines[name] = true
			default:
				files[name] = what
			}
			if n == stop {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		check(t, cfg, lines, files)
	}
	if len(lines) < 100 {
		t.Errorf("only %d lines were written", len(lines))
	}
}

func check(t *testing.T, cfg Config, lines map[string]bool, files map[string]string) {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	log, err := s.Lookup(Root, "log.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := read(t, s, log.ID)
	have := map[string]bool{}
	for l := range strings.SplitSeq(text, "\n") {
		have[l] = true
	}
	for l := range lines {
		if !have[l] {
			t.Errorf("line %s is lost", l)
		}
	}
	for name, what := range files {
		f, err := s.Lookup(Root, name)
		switch {
		case what == "file" && err != nil:
			t.Errorf("file %s is lost", name)
		case what == "removed" && err == nil:
			t.Errorf("file %s is back", name)
		case what == "file":
			if got, _ := read(t, s, f.ID); got != name {
				t.Errorf("file %s holds %q", name, got)
			}
		}
	}
}
