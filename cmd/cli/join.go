package cli

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) spaceJoin() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "join",
		Usage:     "accept an invitation",
		UsageText: "echofs space join INVITATION [--pin-file FILE] [--name NAME] [--timeout DURATION] [--json]",
		ArgsUsage: "INVITATION",
		Description: `Returns when the space is in the mount with the files of who let you in, and
prints its folder. INVITATION is what echofs space share printed, or the name of a
space to which somebody has sent you an invitation. INVITATION - reads it from
stdin, which keeps it out of the list of processes and of the shell's history.

One with a PIN asks for that in a terminal. Without one, give it with --pin-file;
- is stdin, behind the invitation if that comes from there too.

EXAMPLES
   echofs space join 'echofs://join#…'
   wl-paste | echofs space join -
   echofs space join 'echofs://join#…' --pin-file pin.txt`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "pin-file", Usage: "read the PIN from the first line of `FILE`"},
			&cli.StringFlag{Name: "name", Usage: "call the space `NAME` on this device"},
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "give up after `DURATION`"},
			jsonFlag(),
		},
		Action: c.runJoin,
	})
}

func (c *command) runJoin(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	req := localapi.JoinRequest{Invitation: ctx.Args().First(), Name: ctx.String("name"), Timeout: ctx.Duration("timeout")}
	if req.Timeout <= 0 {
		return usage(ctx, "--timeout must be more than zero")
	}
	if req.Invitation == "-" {
		if req.Invitation, err = c.line(); err != nil {
			return usage(ctx, "there is no invitation on stdin")
		}
	}
	req.Invitation = strings.TrimSpace(req.Invitation)
	if file := ctx.String("pin-file"); file != "" {
		req.PIN, err = c.secretFrom(file)
		switch {
		case errors.Is(err, io.EOF) || err == nil && req.PIN == "":
			return usage(ctx, "there is no PIN in %s", file)
		case errors.Is(err, fs.ErrNotExist):
			return usage(ctx, "there is no file %s to read the PIN from", file)
		case err != nil:
			return err
		}
	}
	s, err := c.join(ctx, client, req)
	return c.printSpace(ctx, s, err)
}

// join joins, and asks for the PIN as often as that makes sense.
func (c *command) join(ctx *cli.Context, client localapi.Client, req localapi.JoinRequest) (localapi.Space, error) {
	asking := terminal(c.Stdin) && ctx.String("pin-file") == ""
	for {
		s, err := client.Join(ctx.Context, req, c.joining)
		if err == nil || !asking {
			return s, err
		}
		e := localapi.AsError(err)
		switch {
		case e.Code == localapi.NeedsPIN, e.Code == localapi.Usage && req.PIN != "":
			if req.PIN != "" {
				c.ui.notef("%s.\n", cleanLines(e.Message))
			}
		case e.Code == localapi.WrongPIN:
			c.ui.notef("%s.\n", cleanLines(e.Message))
		default:
			return s, err
		}
		c.ui.clear()
		if req.PIN, err = c.question("PIN: "); err != nil {
			return s, err
		}
		if req.PIN == "" {
			return s, e
		}
	}
}

// joining shows what a join waits for.
func (c *command) joining(step localapi.JoinStep) {
	if step.Code != "" {
		c.ui.notef("The PIN is right. The inviter's screen must show the same digits: %s\n", spaced(step.Code))
	}
	c.ui.progress(step.Text)
}
