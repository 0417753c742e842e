package cli

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) deviceInvite() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "invite",
		Usage:     "make another device one of yours",
		UsageText: "echofs halo device invite [--yes] [--json]",
		Description: `Prints an invitation, alone on the last line, and a PIN. Use both on the other
device within ten minutes: echofs halo device join. Then both devices show six
digits; if they are the same, say yes here. Three wrong PINs end the invitation.

The new device can do everything that this one can: it sees all your spaces, and
may add and revoke devices.

EXAMPLES
   echofs halo device invite`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "qr", Usage: "show a QR code, also when this is no terminal"},
			&cli.BoolFlag{Name: "no-qr", Usage: "show no QR code"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "take whoever knows the PIN, without asking"},
			jsonFlag(),
		},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			inv, err := client.InviteDevice(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				err = c.ui.json(inv)
			} else {
				c.printInvitation(ctx, client, inv)
			}
			if err != nil {
				return err
			}
			return c.attend(ctx, client, inv)
		},
	})
}

func (c *command) deviceJoin() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "join",
		Usage:     "make this device one of yours, with an invitation of another one",
		UsageText: "echofs halo device join INVITATION [--device NAME] [--pin-file FILE] [--protect HOW] [--unlock-fd FD] [--timeout DURATION] [--json]",
		ArgsUsage: "INVITATION",
		Description: `INVITATION is what echofs halo device invite printed; - reads it from stdin. The
PIN is asked for in a terminal; without one, give it with --pin-file; - is stdin,
behind the invitation if that comes from there too.

It works on a home without an identity, before echofs up, and while a daemon runs
whose identity is in no space: that one is given up. Afterwards all your spaces
are here too, as soon as one of your devices, or a member, is online.

EXAMPLES
   echofs halo device join 'echofs://join#…' --device phone`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "device", Usage: "this device is called `NAME` (default: the name of the host)"},
			&cli.StringFlag{Name: "pin-file", Usage: "read the PIN from the first line of `FILE`"},
			&cli.StringFlag{Name: "protect", Usage: "protect the keys by `HOW`: passphrase, keyring or file"},
			secretFlag("unlock-fd", "the passphrase"),
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "give up after `DURATION`, unless the other device asks for you"},
			jsonFlag(),
		},
		Action: c.runDeviceJoin,
	})
}

func (c *command) runDeviceJoin(ctx *cli.Context) (err error) {
	req := localapi.JoinDeviceRequest{
		Invitation: ctx.Args().First(), Name: ctx.String("device"), Protection: ctx.String("protect"), Timeout: ctx.Duration("timeout"),
	}
	if req.Timeout <= 0 {
		return usage(ctx, "--timeout must be more than zero")
	}
	if req.Invitation == "-" {
		if req.Invitation, err = c.line(); err != nil {
			return usage(ctx, "there is no invitation on stdin")
		}
	}
	req.Invitation = strings.TrimSpace(req.Invitation)
	if req.PIN, err = c.pinFrom(ctx); err != nil {
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
	client := c.clientOf(home)
	running, err := c.runs(ctx, client)
	if err != nil {
		return err
	}
	h, err := c.asking(ctx, &req.PIN, func() (localapi.Halo, error) {
		if running {
			return client.JoinDevice(ctx.Context, req, c.joining)
		}
		return daemon.JoinDevice(ctx.Context, daemon.Config{Home: home, Getenv: c.Getenv}, req, c.joining)
	})
	if err := c.printHalo(ctx, h, err); err != nil {
		return err
	}
	if !running {
		c.ui.notef("Next: echofs up, which brings your spaces here\n")
	}
	return nil
}

// pinFrom reads the PIN from where --pin-file says; empty without it.
func (c *command) pinFrom(ctx *cli.Context) (string, error) {
	file := ctx.String("pin-file")
	if file == "" {
		return "", nil
	}
	pin, err := c.secretFrom(file)
	switch {
	case errors.Is(err, io.EOF) || err == nil && pin == "":
		return "", usage(ctx, "there is no PIN in %s", file)
	case errors.Is(err, fs.ErrNotExist):
		return "", usage(ctx, "there is no file %s to read the PIN from", file)
	}
	return pin, err
}

// asking asks for the PIN as often as a try needs one.
func (c *command) asking(ctx *cli.Context, pin *string, try func() (localapi.Halo, error)) (localapi.Halo, error) {
	for {
		h, err := try()
		if err == nil || !terminal(c.Stdin) || ctx.String("pin-file") != "" {
			return h, err
		}
		e := localapi.AsError(err)
		switch {
		case e.Code == localapi.NeedsPIN:
		case e.Code == localapi.WrongPIN, e.Code == localapi.Usage && *pin != "":
			c.ui.notef("%s.\n", cleanLines(e.Message))
		default:
			return h, err
		}
		c.ui.clear()
		if *pin, err = c.question("PIN: "); err != nil {
			return h, err
		}
		if *pin == "" {
			return h, e
		}
	}
}

func (c *command) deviceRevoke() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "revoke",
		Usage:     "end a device that is lost or sold",
		UsageText: "echofs halo device revoke DEVICE [--yes] [--json]",
		ArgsUsage: "DEVICE",
		Description: `It is out of all your spaces, for ever, and their keys change: by this device
where you are admin, else by the device of an admin. What the lost device has on
its disk it keeps, and what it wrote until now stays.

If all your devices are lost: echofs halo recover.

EXAMPLES
   echofs halo device revoke phone`,
		Flags: []cli.Flag{yesFlag(), jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			device := ctx.Args().First()
			if err := c.confirm(ctx, clean(device)+` keeps the files that are on it, and what it knows of the keys until now;
it gets nothing new, and nobody takes anything of it. This cannot be undone.
Revoke `+clean(device)+"?"); err != nil {
				return err
			}
			h, err := client.RevokeDevice(ctx.Context, device)
			if err == nil && ctx.Bool("yes") {
				c.ui.notef("%s keeps the files that are on it, and gets nothing new.\n", clean(device))
			}
			return c.printDevices(ctx, h, err)
		},
	})
}
