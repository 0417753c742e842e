package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) space() *cli.Command {
	return c.branch(&cli.Command{
		Name:  "space",
		Usage: "make, list, share and join spaces",
		Description: `A space is one shared folder with its own list of members. It stands in the
mount under its name.`,
		Subcommands: []*cli.Command{
			c.spaceCreate(), c.spaceList(), c.spaceInfo(), c.spaceShare(),
			c.spaceJoin(), c.spaceMembers(), c.spaceRole(), c.spaceRemove(), c.spaceLeave(),
			c.spaceRotate(), c.spaceExport(), c.spaceFork(), c.spaceRebuild(),
		},
	})
}

func (c *command) spaceCreate() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "create",
		Usage:       "make a new space",
		UsageText:   "echofs space create NAME [--json]",
		ArgsUsage:   "NAME",
		Description: "Prints the folder of the space.\n\nEXAMPLES\n   cd \"$(echofs space create notes)\"",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.CreateSpace(ctx.Context, ctx.Args().First())
			return c.printSpace(ctx, s, err)
		},
	})
}

// printSpace prints where a space is.
func (c *command) printSpace(ctx *cli.Context, s localapi.Space, err error) error {
	if err != nil {
		return err
	}
	c.ui.clear()
	if ctx.Bool("json") {
		return c.ui.json(s)
	}
	c.ui.printf("%s\n", clean(s.Path))
	return nil
}

func (c *command) spaceList() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "list",
		Aliases:     []string{"ls"},
		Usage:       "list the spaces of this device",
		UsageText:   "echofs space list [--json]",
		Description: "EXAMPLES\n   echofs space list --json | jq -r '.[].path'",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			spaces, err := client.Spaces(ctx.Context)
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(spaces)
			}
			if len(spaces) == 0 {
				c.ui.notef("no spaces yet; make one with: echofs space create NAME\n")
				return nil
			}
			c.printSpaces(spaces)
			return nil
		},
	})
}

func (c *command) printSpaces(spaces []localapi.Space) {
	rows := make([][]string, len(spaces))
	for i, s := range spaces {
		if s.Error != "" {
			rows[i] = []string{s.Name, "-", "-", "-", "cannot be opened, see echofs status"}
			continue
		}
		rows[i] = []string{s.Name, s.Role, fmt.Sprint(s.Members), fmt.Sprint(s.Peers), s.Path}
	}
	c.ui.table([]string{"SPACE", "ROLE", "MEMBERS", "CONNECTED", "FOLDER"}, rows)
}

func (c *command) spaceInfo() *cli.Command {
	return c.leaf(&cli.Command{
		Name:        "info",
		Usage:       "tell about one space",
		UsageText:   "echofs space info NAME [--json]",
		ArgsUsage:   "NAME",
		Description: "NAME is its name here or the first digits of its ID.\n\nEXAMPLES\n   echofs space info notes",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.Space(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(s)
			}
			c.ui.printf("%s\nid       %s\nfolder   %s\nrole     %s\nmembers  %d, connected devices %d\nlog      %s in %s\n",
				clean(s.Name), s.ID, clean(s.Path), s.Role, s.Members, s.Peers,
				plural(int(s.Entries), "entry", "entries"), plural(s.Feeds, "feed", "feeds"))
			if s.Missing > 0 {
				c.ui.printf("missing  %s of files, which no connected peer has sent yet\n", plural(s.Missing, "piece", "pieces"))
			}
			return nil
		},
	})
}

func (c *command) spaceShare() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "share",
		Usage:     "invite somebody into a space",
		UsageText: "echofs space share NAME [--role reader|editor|admin] [--ttl DURATION] [--json]",
		ArgsUsage: "NAME",
		Description: `Prints an invitation, alone on the last line. It is a secret: whoever has it
first may join, once, until it expires. Send it over a channel you trust. This
device must be up and online when it is used.

EXAMPLES
   echofs space share notes
   echofs space share notes --role reader --ttl 10m
   echofs space share notes | tail -n 1 | qrencode -t utf8`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "role", Value: "editor", Usage: "what the guest may do: `ROLE` is reader, editor or admin"},
			&cli.DurationFlag{Name: "ttl", Value: 24 * time.Hour, Usage: "the invitation expires after `DURATION`, such as 10m or 48h"},
			jsonFlag(),
		},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			role, ttl := ctx.String("role"), ctx.Duration("ttl")
			if !isRole(role) {
				return usage(ctx, "--role %s is not one of reader, editor, admin", role)
			}
			if ttl <= 0 {
				return usage(ctx, "--ttl must be more than zero")
			}
			inv, err := client.Share(ctx.Context, ctx.Args().First(), localapi.ShareRequest{Role: role, TTL: ttl})
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(inv)
			}
			c.ui.notef("Invitation to %s as %s, for one person, until %s. On the other device:\n  echofs space join INVITATION\n",
				clean(inv.Space), inv.Role, inv.Expires.Local().Format("Mon 2 Jan 15:04"))
			if now, err := client.Status(ctx.Context); err == nil && !now.Online {
				c.ui.notef("This device is offline, and nobody can join until it is online again: echofs online\n")
			}
			c.ui.printf("%s\n", inv.URL)
			return nil
		},
	})
}

func (c *command) spaceJoin() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "join",
		Usage:     "accept an invitation",
		UsageText: "echofs space join INVITATION [--name NAME] [--timeout DURATION] [--json]",
		ArgsUsage: "INVITATION",
		Description: `Returns when the space is in the mount with the files the inviter has, and
prints its folder. INVITATION - reads it from stdin, which keeps it out of the
list of processes and of the shell's history.

EXAMPLES
   echofs space join 'echofs://join#…'
   wl-paste | echofs space join -`,
		Flags: []cli.Flag{
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
	invitation := ctx.Args().First()
	if invitation == "-" {
		line, err := c.line()
		if err != nil {
			return usage(ctx, "there is no invitation on stdin")
		}
		invitation = line
	}
	if ctx.Duration("timeout") <= 0 {
		return usage(ctx, "--timeout must be more than zero")
	}
	s, err := client.Join(ctx.Context, localapi.JoinRequest{
		Invitation: strings.TrimSpace(invitation),
		Name:       ctx.String("name"),
		Timeout:    ctx.Duration("timeout"),
	}, c.ui.progress)
	return c.printSpace(ctx, s, err)
}

func (c *command) spaceRebuild() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "rebuild",
		Usage:     "make the files of a space anew from its log",
		UsageText: "echofs space rebuild NAME [--json]",
		ArgsUsage: "NAME",
		Description: `Use it when echofs status reports a damaged store. The signed log is the truth;
everything else is dropped and made again. Files stay where they are.

EXAMPLES
   echofs space rebuild notes`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			c.ui.progress("rebuilding")
			s, err := client.Rebuild(ctx.Context, ctx.Args().First())
			return c.printSpace(ctx, s, err)
		},
	})
}
