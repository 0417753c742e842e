package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) spaceInvitations() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "invitations",
		Usage:     "list invitations: those to a space, or all, and those that were sent to you",
		UsageText: "echofs space invitations [NAME] [--all] [--json]",
		ArgsUsage: "[NAME]",
		Description: `Shows those that somebody can still use; with --all, also what became of the
others. Those that were sent to you are accepted with echofs space join SPACE, and
refused with echofs space revoke ID.

EXAMPLES
   echofs space invitations
   echofs space invitations notes --all`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "also those that are used, expired or withdrawn"},
			jsonFlag(),
		},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			list, err := client.Invitations(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(list)
			}
			c.printInvitations(list, ctx.Bool("all"))
			return nil
		},
	})
}

func (c *command) printInvitations(list []localapi.Invitation, all bool) {
	var rows [][]string
	var received []localapi.Invitation
	for _, in := range list {
		if !all && in.State != localapi.StateOpen {
			continue
		}
		if in.Kind == localapi.KindReceived {
			received = append(received, in)
		}
		state := in.State
		if in.Note != "" {
			state += ", " + in.Note
		}
		used := fmt.Sprintf("%d of %d", len(in.Used), in.Uses)
		if len(in.Used) > 0 {
			used += ": " + strings.Join(in.Used, ", ")
		}
		rows = append(rows, []string{in.ID[:min(8, len(in.ID))], in.Space, in.Role, in.Kind, in.By, in.To, used, in.Expires.Local().Format("2 Jan 15:04"), state})
	}
	if len(rows) == 0 {
		c.ui.notef("no open invitations; make one with: echofs space share NAME\n")
		return
	}
	c.ui.table([]string{"ID", "SPACE", "ROLE", "KIND", "BY", "TO", "USED", "EXPIRES", "STATE"}, rows)
	for _, in := range received {
		c.ui.notef("%s invites you to %s: echofs space join %s\n", clean(in.By), clean(in.Space), quoted(in.Space))
	}
}

func (c *command) spaceRevoke() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "revoke",
		Usage:     "withdraw an invitation, or refuse one that was sent to you",
		UsageText: "echofs space revoke INVITATION [--json]",
		ArgsUsage: "INVITATION",
		Description: `INVITATION is the first digits of its ID, as echofs space invitations shows it.
Who has joined with it stays; to take them out: echofs space remove.

EXAMPLES
   echofs space revoke 3fa2c1`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(ctx *cli.Context) error {
			client, err := c.client(ctx)
			if err != nil {
				return err
			}
			in, err := client.Revoke(ctx.Context, ctx.Args().First())
			if err != nil {
				return err
			}
			if ctx.Bool("json") {
				return c.ui.json(in)
			}
			if in.Kind == localapi.KindReceived {
				c.ui.notef("the invitation to %s is gone from this list\n", clean(in.Space))
				return nil
			}
			c.ui.notef("nobody can join %s with it any more\n", clean(in.Space))
			if n := len(in.Used); n > 0 {
				c.ui.notef("%s joined with it before: %s\n", plural(n, "person", "people"), clean(strings.Join(in.Used, ", ")))
			}
			return nil
		},
	})
}

// withdraw takes back an invitation whose command ends. The context of the
// command has ended already.
func (c *command) withdraw(client localapi.Client, inv localapi.Invitation) {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	if _, err := client.Revoke(ctx, inv.ID); err != nil {
		c.ui.notef("The invitation could not be withdrawn: %v\nDo it with: echofs space revoke %s\n", err, inv.ID[:min(8, len(inv.ID))])
		return
	}
	c.ui.notef("\nThe invitation is withdrawn.\n")
}
