package cli

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) haloShare() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "share",
		Usage:     "print a card, with which anybody can invite you",
		UsageText: "echofs halo share [--expires DURATION] [--qr] [--json] | --revoke [--json]",
		Description: `Prints a card, alone on the last line. Whoever has it can send you invitations
until it expires, without being in a space with you, and can do nothing else with
it: echofs space share NAME --to CARD. What they send waits in echofs space
invitations until you accept or refuse it. It says your name, your identity and
where this device is found, so give it to those whom you want to hear from.

This device takes the invitations when it is online, also after a restart. With
--revoke none of your cards works any more; what they have brought stays.

EXAMPLES
   echofs halo share
   echofs halo share --expires 1h --qr
   echofs halo share --revoke`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "expires", Value: 7 * 24 * time.Hour, Usage: "it ends after `DURATION`, such as 1h or 168h, at most 720h"},
			&cli.BoolFlag{Name: "qr", Usage: "show a QR code, also when this is no terminal"},
			&cli.BoolFlag{Name: "no-qr", Usage: "show no QR code"},
			&cli.BoolFlag{Name: "revoke", Usage: "make all your cards useless"},
			jsonFlag(),
		},
		Action: c.runHaloShare,
	})
}

func (c *command) runHaloShare(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	if ctx.Bool("revoke") {
		if ctx.IsSet("expires") {
			return usage(ctx, "--expires is for a new card; --revoke makes none")
		}
		n, err := client.RevokeCards(ctx.Context)
		switch {
		case err != nil:
			return err
		case ctx.Bool("json"):
			return c.ui.json(map[string]int{"revoked": n})
		case n == 0:
			c.ui.notef("no card of yours was out\n")
		default:
			c.ui.notef("%s of yours cannot be used any more\n", plural(n, "card", "cards"))
		}
		return nil
	}
	if ctx.Duration("expires") <= 0 {
		return usage(ctx, "--expires must be more than zero")
	}
	card, err := client.ShareCard(ctx.Context, localapi.CardRequest{TTL: ctx.Duration("expires")})
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return c.ui.json(card)
	}
	if ctx.Bool("qr") || c.ui.moving && !ctx.Bool("no-qr") { // first: it may be higher than the terminal
		if code := qrCode(card.QR); code != "" {
			c.ui.notef("%s", code)
		}
	}
	c.ui.notef("Your card, until %s. Whoever has it can invite you:\n  echofs space share NAME --to CARD\nYou see that in: echofs space invitations\n",
		card.Expires.Local().Format("Mon 2 Jan 15:04"))
	if card.OnlyHere {
		c.ui.notef("It works on this machine only: no other reaches the servers it names. For others, first:\n  echofs up --http 0.0.0.0:4480 --signal http://HOST:4480    (HOST: a name or address of this machine)\n")
	}
	if now, err := client.Status(ctx.Context); err == nil && !now.Online {
		c.ui.notef("This device is offline, and takes no invitations until it is online again: echofs online\n")
	}
	c.ui.printf("%s\n", card.Card)
	return nil
}
