package cli

import (
	"cmp"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) status() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "status",
		Usage:     "show the daemon, its spaces, its peers and its problems",
		UsageText: "echofs status [--json]",
		Description: `Exits with 3 when no daemon is running.

EXAMPLES
   echofs status
   echofs status --json | jq -r .http`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.Status(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(s)
			}
			c.printStatus(s, time.Now())
			return nil
		},
	})
}

func (c *command) printStatus(s localapi.Status, now time.Time) {
	state := "online"
	if !s.Online {
		state = "offline (echofs online connects)"
	}
	who, id := clean(s.Name), s.Identity
	if s.Locked {
		who, state, id = "locked", "nothing is mounted and nobody connected (echofs halo unlock)", "locked"
	}
	c.ui.printf("%s, %s, up %s\n", who, state, ago(now, s.Started))
	c.ui.printf("mount     %s\nhttp      http://%s\nhome      %s\nidentity  %s\n", clean(s.Mount), s.HTTP, clean(s.Home), id)
	if len(s.Spaces) > 0 {
		c.ui.printf("\n")
		c.printSpaces(s.Spaces)
		c.printFrozen(s.Spaces)
		for _, space := range s.Spaces {
			if space.Missing > 0 {
				c.ui.printf("%s: %s of files still to come\n", clean(space.Name), plural(space.Missing, "piece", "pieces"))
			}
		}
	}
	if len(s.Links) > 0 {
		rows, looks := make([][]string, len(s.Links)), anybodyLooks(s.Links)
		for i, l := range s.Links {
			note := l.Error
			if note == "" {
				note = l.RTT
			}
			rows[i] = []string{l.Name, cmp.Or(l.DeviceName, "-"), cmp.Or(l.Space, "-"), l.State, ago(now, l.Since), note}
			if looks {
				rows[i] = append(rows[i], cmp.Or(l.File, "-"))
			}
		}
		header := []string{"PEER", "DEVICE", "SPACE", "STATE", "FOR", "RTT"}
		if looks {
			header = append(header, "LOOKS AT")
		}
		c.ui.printf("\n")
		c.ui.table(header, rows)
	}
	for _, in := range s.Received {
		c.ui.printf("\n%s invites you to %s: echofs space join %s\n", clean(in.By), clean(in.Space), quoted(in.Space))
	}
	for i, p := range s.Problems {
		if i == 0 {
			c.ui.printf("\nPROBLEMS\n")
		}
		where := ""
		if p.Space != "" {
			where = clean(p.Space) + ": "
		}
		c.ui.printf("%s%s (%s ago, %s)\n", where, clean(p.Message), ago(now, p.Time), plural(p.Count, "time", "times"))
		if p.Next != "" {
			c.ui.printf("  → %s\n", clean(p.Next))
		}
	}
}

func (c *command) online() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "online",
		Usage:       "connect to the peers again",
		UsageText:   "echofs online",
		Description: "Undoes echofs offline.",
		Action:      func(ctx *cli.Context) error { return c.setOnline(ctx, true) },
	})
}

func (c *command) offline() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "offline",
		Usage:     "cut this device off from all peers",
		UsageText: "echofs offline",
		Description: `The files stay usable, and what you change travels when you are online again.
It holds until echofs online, also over a restart of the daemon.`,
		Action: func(ctx *cli.Context) error { return c.setOnline(ctx, false) },
	})
}

func (c *command) setOnline(ctx *cli.Context, online bool) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	_, err = client.SetOnline(ctx.Context, online)
	return err
}
