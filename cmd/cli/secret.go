package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/echofs/echofs/cmd/localapi"
)

// How secrets come in: typed at a terminal without being shown, or from a file
// descriptor that a program opened for us. Never as an argument or in the
// environment, which other programs can see.

// maxSecret is the longest passphrase.
const maxSecret = 4 << 10

func secretFlag(name, what string) cli.Flag {
	return &cli.IntFlag{Name: name, Value: -1, Usage: "read " + what + " from file descriptor `FD`, up to the end of its first line; 0 is stdin", DefaultText: "ask for it"}
}

// passphrase returns what comes from the descriptor of an option, or is typed.
func (c *command) passphrase(ctx *cli.Context, option, question string) ([]byte, error) {
	if ctx.IsSet(option) {
		secret, err := c.readFD(ctx.Int(option))
		if err != nil {
			return nil, usage(ctx, "--%s %d: %v", option, ctx.Int(option), err)
		}
		return secret, nil
	}
	if !terminal(c.Stdin) {
		return nil, usage(ctx, "it asks for a passphrase, and there is nobody to ask; give it with --%s FD", option)
	}
	return c.typed(question)
}

// newPassphrase is passphrase that has somebody who types it type it twice.
func (c *command) newPassphrase(ctx *cli.Context, option string) ([]byte, error) {
	first, err := c.passphrase(ctx, option, "New passphrase: ")
	if err != nil || ctx.IsSet(option) {
		return first, err
	}
	if utf8.RuneCount(first) < localapi.MinPassphrase {
		clear(first)
		return nil, &localapi.Error{Code: localapi.Usage, Message: fmt.Sprintf("a passphrase needs at least %d characters", localapi.MinPassphrase), Next: "several words are easy to remember and hard to guess"}
	}
	second, err := c.typed("The same again: ")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		clear(first)
		return nil, errors.New("these are two different passphrases; nothing was done")
	}
	return first, nil
}

func (c *command) readFD(fd int) ([]byte, error) {
	var from io.Reader = c.Stdin
	if fd != 0 {
		if fd < 0 || fd == 1 || fd == 2 {
			return nil, errors.New("not a descriptor to read from")
		}
		f := os.NewFile(uintptr(fd), fmt.Sprint("descriptor ", fd))
		if f == nil {
			return nil, os.ErrInvalid
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxSecret+1))
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSpace(line) // as with one that is typed
	if len(line) > maxSecret {
		return nil, fmt.Errorf("more than %d bytes", maxSecret)
	}
	if len(line) == 0 {
		return nil, errors.New("there is nothing in it")
	}
	return line, nil
}

// typed asks for a secret that the terminal does not show.
func (c *command) typed(question string) ([]byte, error) {
	f := c.Stdin.(*os.File) // it is a terminal
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *state
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ECHONL
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETSF, &hidden); err != nil {
		return nil, err
	}
	defer func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, state) }()
	c.ui.notef("%s", question)
	line, err := c.interruptible(c.line)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return []byte(line), err
}

// interruptible reads, and gives up on a signal, so that the caller can put the
// terminal right.
func (c *command) interruptible(read func() (string, error)) (string, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // the process ends soon after a signal, and this with it
		line, err := read()
		got <- answer{line, err}
	}()
	select {
	case a := <-got:
		return a.line, a.err
	case <-signals:
		c.ui.notef("\n")
		return "", context.Canceled
	}
}
