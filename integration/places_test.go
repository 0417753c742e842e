package integration

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInviterMoves: the signaling server of the one who invited is elsewhere
// after a restart, and nobody tells the guest.
func TestInviterMoves(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	alice.Stop()
	alice.Up("--http", "127.0.0.2:0")
	alice.Write("notes/from-alice", "hello\n")
	bob.Sees("notes/from-alice", "hello\n")
	bob.Write("notes/from-bob", "hello\n")
	alice.Sees("notes/from-bob", "hello\n")
}

// TestFrozenDaemon is a process that is stopped for longer than a link stays
// without a sign of life, and goes on as if nothing had happened: first the
// guest, then the one with the signaling server.
func TestFrozenDaemon(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Pair("notes")
	for _, pair := range [][2]*Device{{bob, alice}, {alice, bob}} {
		frozen, other := pair[0], pair[1]
		if err := frozen.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		other.Write("notes/by-"+other.name, frozen.name+" sleeps\n")
		other.Connected(0)
		if err := frozen.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		frozen.Sees("notes/by-"+other.name, frozen.name+" sleeps\n")
		frozen.Write("notes/by-"+frozen.name, "awake\n")
		other.Sees("notes/by-"+frozen.name, "awake\n")
	}
}

// TestJoinTwiceAtOnce: of two joins with one invitation one enters, and the
// other is told so at once.
func TestJoinTwiceAtOnce(t *testing.T) {
	w := NewWorld(t)
	alice, bob := w.Up("alice"), w.Up("bob")
	alice.Run("space", "create", "notes")
	alice.Write("notes/a.md", "hello\n")
	invitation := alice.Invite("notes")
	codes := make(chan int, 2)
	begun := time.Now()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			_, code, errOut := bob.try("space", "join", "--timeout", "4m", invitation)
			if code != 0 && !strings.Contains(errOut, "already") {
				t.Errorf("%d: %s", code, errOut)
			}
			codes <- code
		})
	}
	both.Wait()
	if a, b := <-codes, <-codes; (a == 0) == (b == 0) {
		t.Errorf("exit codes %d and %d", a, b)
	}
	if took := time.Since(begun); took > 3*time.Minute {
		t.Errorf("it took %v", took)
	}
	bob.Sees("notes/a.md", "hello\n")
}
