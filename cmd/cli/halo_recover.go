package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) haloRecover() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "recover",
		Usage:     "get your identity and spaces back with the 24 words, after all devices are lost",
		UsageText: "echofs halo recover [--signal URL]… [--keep DEVICE]… [--device NAME] [--words-fd FD] [--protect HOW] [--unlock-fd FD] [--timeout DURATION] [--json]",
		Description: `Asks for the words, and then somebody you share a space with: their device must
be online, and be found through a signaling server, which --signal names. It gives
you back who you are and how to join your spaces.

All your devices of before are revoked, for ever, but those that --keep names. The
words end, too: there are new ones, which echofs halo recovery shows.

A space that nobody else is in cannot come back if all devices that had it are
lost. It works on a home without an identity, before echofs up, and while a daemon
runs whose identity is in no space: that one is given up.

EXAMPLES
   echofs halo recover --signal http://192.168.1.5:4480
   echofs halo recover --signal https://signal.example --keep phone
   echofs halo recover --signal https://signal.example --words-fd 3 3<words`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "signal", Usage: "look for others through the signaling server at `URL`"},
			&cli.StringSliceFlag{Name: "keep", Usage: "do not revoke `DEVICE`"},
			&cli.StringFlag{Name: "device", Usage: "this device is called `NAME` (default: the name of the host)"},
			&cli.IntFlag{Name: "words-fd", Value: -1, Usage: "read the words from file descriptor `FD`, up to its end; 0 is stdin", DefaultText: "ask for them"},
			&cli.StringFlag{Name: "protect", Usage: "protect the keys by `HOW`: passphrase, keyring or file"},
			secretFlag("unlock-fd", "the passphrase"),
			&cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "give up after `DURATION` without anybody"},
			jsonFlag(),
		},
		Action: c.runRecover,
	})
}

func (c *command) runRecover(ctx *cli.Context) (err error) {
	req := localapi.RecoverRequest{
		Signal: ctx.StringSlice("signal"), Keep: ctx.StringSlice("keep"), Name: ctx.String("device"),
		Protection: ctx.String("protect"), Timeout: ctx.Duration("timeout"),
	}
	if req.Timeout <= 0 {
		return usage(ctx, "--timeout must be more than zero")
	}
	if req.Words, err = c.words(ctx); err != nil {
		return err
	}
	if req.Protection == "passphrase" {
		if req.Passphrase, err = c.newPassphrase(ctx, "unlock-fd"); err != nil {
			return err
		}
		defer clear(req.Passphrase)
	}
	home, err := c.home(ctx)
	if err != nil {
		return err
	}
	client := localapi.Client{Home: home}
	running, err := c.runs(ctx, client)
	if err != nil {
		return err
	}
	var r localapi.Recovered
	if running {
		r, err = client.RecoverHalo(ctx.Context, req, c.joining)
	} else {
		r, err = daemon.RecoverHalo(ctx.Context, daemon.Config{Home: home, Getenv: c.Getenv}, req, c.joining)
	}
	if err != nil {
		return err
	}
	c.ui.clear()
	if ctx.Bool("json") {
		return c.ui.json(r)
	}
	c.printRecovered(r, running)
	return nil
}

// runs reports whether a daemon runs for a home.
func (c *command) runs(ctx *cli.Context, client localapi.Client) (bool, error) {
	_, err := client.Halo(ctx.Context)
	if err != nil && localapi.AsError(err).Code == localapi.NotRunning {
		return false, nil
	}
	return true, err
}

func (c *command) printRecovered(r localapi.Recovered, running bool) {
	c.ui.printf("%s, on %s\n", clean(r.Halo.Name), clean(r.Halo.DeviceName))
	for _, list := range []struct {
		what  string
		names []string
	}{
		{"spaces that come back", r.Spaces},
		{"spaces that come back when a member is online", r.Waiting},
		{"spaces that nobody else had, which are lost", r.Lost},
		{"devices that are revoked", r.Revoked},
	} {
		if len(list.names) > 0 {
			c.ui.printf("%s: %s\n", list.what, clean(strings.Join(list.names, ", ")))
		}
	}
	if len(r.Spaces)+len(r.Waiting) == 0 {
		c.ui.notef("You are yourself again, and no space could be recovered: have others invite you anew.\n")
	}
	c.ui.notef("The words you typed end with this. Write the new ones down: echofs halo recovery\n")
	c.ui.notef("Keep the old paper until your spaces are here: if they never come, the old words may still be good.\n")
	if !running {
		c.ui.notef("First: echofs up, which brings your spaces here\n")
	}
}

// words returns the recovery words from where --words-fd says, or as they are
// typed, on one line or on several.
func (c *command) words(ctx *cli.Context) (string, error) {
	if ctx.IsSet("words-fd") {
		words, err := c.wordsFrom(ctx.Int("words-fd"))
		if err != nil {
			return "", usage(ctx, "--words-fd %d: %v", ctx.Int("words-fd"), err)
		}
		return words, daemon.CheckWords(words)
	}
	if !terminal(c.Stdin) {
		return "", usage(ctx, "it asks for the words, and there is nobody to ask; give them with --words-fd FD")
	}
	for try := 1; ; try++ {
		words, err := c.typedWords()
		if err != nil {
			return "", err
		}
		if err = daemon.CheckWords(words); err == nil || try == wordTries {
			return words, err
		}
		c.ui.notef("%s.\n", cleanLines(localapi.AsError(err).Message))
	}
}

func (c *command) typedWords() (string, error) {
	c.ui.notef("Your 24 recovery words, on one line or on several:\n")
	var words []string
	for len(words) < 24 {
		line, err := c.interruptible(c.line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if line == "" && len(words) > 0 {
			break
		}
		words = append(words, strings.Fields(line)...)
	}
	return strings.Join(words, " "), nil
}

func (c *command) wordsFrom(fd int) (string, error) {
	var from io.Reader = c.Stdin
	if fd != 0 {
		if fd < 0 || fd == 1 || fd == 2 {
			return "", errors.New("not a descriptor to read from")
		}
		f := os.NewFile(uintptr(fd), fmt.Sprint("descriptor ", fd))
		if f == nil {
			return "", os.ErrInvalid
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxSecret))
	return string(data), err
}
