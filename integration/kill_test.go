package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestKillInStorm kills a daemon ten times while changes of both devices go
// through one folder, from the moment of mounting on. Each time everything of it
// must end, although the kernel may be waiting for it on its behalf, and the next
// one must start.
func TestKillInStorm(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("storm")
	far := newStorm(alice.Path("storm"))
	defer far.stop()
	for round := range 10 {
		near := newStorm(bob.Path("storm"))
		defer near.stop()
		near.reach(w, int64(round*round*4))
		if round%3 == 2 { // changes of the other device come in as well
			mark := fmt.Sprint("storm/mark", round)
			alice.Write(mark, "text\n")
			bob.Sees(mark, "text\n")
			near.reach(w, near.done.Load()+int64(round))
		}
		bob.Kill()
		near.end()
		w.Eventually("nothing of the daemon is left", func() error { return processesOf(bob) })
		bob.Up()
	}
	far.end()
	alice.Write("storm/last", "text\n")
	bob.Sees("storm/last", "text\n")
	bob.Stop()
	alice.Stop()
	w.Eventually("nothing of the daemons is left", func() error { return errors.Join(processesOf(bob), processesOf(alice)) })
}

// processesOf is an error that lists the daemon of a device and its helper, if
// they are there, with their states. Those that have ended are not.
func processesOf(d *Device) error {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	var left []string
	for _, p := range all {
		stat, err := os.ReadFile(p + "/stat")
		if err != nil {
			continue // just ended
		}
		if exe, err := os.Readlink(p + "/exe"); err != nil || exe != echofs {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		own, parent := filepath.Base(p), fields[1]
		line, _ := os.ReadFile(p + "/cmdline")
		above, _ := os.Readlink("/proc/" + parent + "/exe") // none of what has ended
		daemon := fmt.Sprint(d.cmd.Process.Pid)
		if own == daemon || parent == daemon || strings.Contains(string(line), "helper") && above != echofs {
			left = append(left, fmt.Sprintf("%s (%s)", own, fields[0]))
		}
	}
	if len(left) > 0 {
		return errors.New("left: " + strings.Join(left, ", "))
	}
	return nil
}

// A storm changes everything in a folder.
type storm struct {
	done  atomic.Int64
	stop  func()
	group sync.WaitGroup
}

// end stops it and waits for that.
func (s *storm) end() {
	s.stop()
	s.group.Wait()
}

func newStorm(dir string) *storm {
	s, stop := &storm{}, make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(stop) })
	s.group.Go(func() { s.run(dir, stop) })
	s.group.Go(func() { // and somebody who looks on
		for running(stop) {
			if _, err := os.ReadDir(dir); errors.Is(err, syscall.ENOTCONN) {
				return
			}
		}
	})
	return s
}

func running(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
		return true
	}
}

// run goes on until it is to stop, or the daemon is dead.
func (s *storm) run(dir string, stop <-chan struct{}) {
	at := func(kind string, i int) string { return filepath.Join(dir, fmt.Sprint(kind, i%20)) }
	for i := 0; running(stop); i++ {
		var err error
		switch i % 4 {
		case 0:
			err = os.WriteFile(at("f", i), fmt.Appendf(nil, "text %d\n", i), 0o644)
		case 1:
			err = os.Mkdir(at("d", i), 0o755)
		case 2:
			err = os.Rename(at("d", i-1), at("d", i))
		case 3:
			err = os.Remove(at("d", i-1))
		}
		if errors.Is(err, syscall.ENOTCONN) {
			return
		}
		s.done.Add(1)
	}
}

func (s *storm) reach(w *World, n int64) {
	w.Eventually(fmt.Sprint(n, " changes"), func() error {
		if done := s.done.Load(); done < n {
			return fmt.Errorf("%d until now", done)
		}
		return nil
	})
}
