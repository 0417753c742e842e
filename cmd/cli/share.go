package cli

import (
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

func (c *command) spaceShare() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "share",
		Usage:     "invite somebody into a space",
		UsageText: "echofs space share NAME [--role ROLE] [--uses N] [--expires DURATION] [--pin | --to CONTACT|CARD] [--json]",
		ArgsUsage: "NAME",
		Description: `Prints an invitation, alone on the last line. It is a secret: whoever has it may
join until it is used or expires. Send it over a channel you trust. The device of
any member that is online lets the guest in; yours may sleep.

With --pin the guest also needs six digits, which you tell them another way, and
only this device lets them in, after you have said yes: the command waits for
that. Three wrong PINs end the invitation.

With --to it travels by itself to a member of another space of yours, or to
somebody whose card you have (echofs halo share), as soon as both are online. They
see it in "echofs space invitations" and join by the name of the space.

EXAMPLES
   echofs space share notes
   echofs space share notes --role reader --uses 10 --expires 48h
   echofs space share notes --pin
   echofs space share notes --to ben
   echofs space share notes --to 'echofs://card#…'`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "role", Value: "editor", Usage: "what the guest may do: `ROLE` is reader, editor or admin"},
			&cli.IntFlag{Name: "uses", Value: 1, Usage: "let `N` people in with it"},
			&cli.DurationFlag{Name: "expires", Value: 24 * time.Hour, Usage: "it ends after `DURATION`, such as 10m or 48h, at most 720h"},
			&cli.BoolFlag{Name: "pin", Usage: "also ask for a PIN, and ask you at this device"},
			&cli.StringFlag{Name: "to", Usage: "send it to `CONTACT`, a member of another space, by name or first digits of the identity, or whoever made a card"},
			&cli.BoolFlag{Name: "qr", Usage: "show a QR code, also when this is no terminal"},
			&cli.BoolFlag{Name: "no-qr", Usage: "show no QR code"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "with --pin: let in whoever knows the PIN, without asking"},
			jsonFlag(),
		},
		Action: c.runShare,
	})
}

func (c *command) runShare(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	req := localapi.ShareRequest{
		Space: ctx.Args().First(), Role: ctx.String("role"), TTL: ctx.Duration("expires"), Uses: ctx.Int("uses"),
		PIN: ctx.Bool("pin"), To: ctx.String("to"),
	}
	switch {
	case !isRole(req.Role):
		return usage(ctx, "--role %s is not one of reader, editor, admin", req.Role)
	case req.TTL <= 0:
		return usage(ctx, "--expires must be more than zero")
	case req.Uses < 1:
		return usage(ctx, "--uses must be at least 1")
	case ctx.Bool("yes") && !req.PIN:
		return usage(ctx, "--yes is for --pin; without it nobody is asked")
	}
	if req.PIN { // an interrupt withdraws the invitation
		run, stop := signal.NotifyContext(ctx.Context, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		ctx.Context = run
	}
	inv, err := client.Share(ctx.Context, req)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		err = c.ui.json(inv)
	} else {
		c.printInvitation(ctx, client, inv)
	}
	if err == nil && req.PIN {
		return c.attend(ctx, client, inv)
	}
	return err
}

// printInvitation prints what to hand over, the URL alone on the last line.
func (c *command) printInvitation(ctx *cli.Context, client localapi.Client, inv localapi.Invitation) {
	until := inv.Expires.Local().Format("Mon 2 Jan 15:04")
	if inv.URL == "" {
		c.ui.notef("%s is invited to %s as %s, until %s. They see it in: echofs space invitations\nand accept it with: echofs space join %s\nIt is delivered as soon as both of you are online; until then %s says so.\n",
			clean(inv.To), clean(inv.Space), inv.Role, until, quoted(inv.Space), "echofs space invitations "+quoted(inv.Space))
		return
	}
	if ctx.Bool("qr") || c.ui.moving && !ctx.Bool("no-qr") { // first: it may be higher than the terminal
		if code := qrCode(inv.QR); code != "" {
			c.ui.notef("%s", code)
		}
	}
	if inv.Kind == localapi.KindDevice {
		c.ui.notef("Invitation for another device of yours, until %s. There:\n  echofs halo device join INVITATION\n", until)
	} else {
		c.ui.notef("Invitation to %s as %s, for %s, until %s. On the other device:\n  echofs space join INVITATION\n",
			clean(inv.Space), inv.Role, people(inv.Uses), until)
	}
	if inv.PIN != "" {
		c.ui.notef("It takes this PIN, which you tell them another way: %s\n", spaced(inv.PIN))
	}
	if inv.OnlyHere {
		c.ui.notef("It works on this machine only: no other reaches the servers it names. For others, first:\n  echofs up --http 0.0.0.0:4480 --signal http://HOST:4480    (HOST: a name or address of this machine)\n")
	}
	if now, err := client.Status(ctx.Context); err == nil && !now.Online {
		c.ui.notef("This device is offline, and lets nobody in until it is online again: echofs online\n")
	}
	c.ui.printf("%s\n", inv.URL)
}

// people says how many there are.
func people(n int) string {
	if n == 1 {
		return "one person"
	}
	return fmt.Sprintf("%d people", n)
}

// spaced writes six digits so that they can be read aloud.
func spaced(digits string) string {
	if len(digits) != 6 {
		return clean(digits)
	}
	return digits[:3] + " " + digits[3:]
}

// withdrawTime is how long taking an invitation back may take.
const withdrawTime = 5 * time.Second

// attend waits at the door of a PIN invitation until its guest is in. When the
// person gives up, the invitation is withdrawn.
func (c *command) attend(ctx *cli.Context, client localapi.Client, inv localapi.Invitation) error {
	err := c.waitAtDoor(ctx, client, inv)
	if ctx.Err() != nil || errors.Is(err, errUnattended) {
		c.withdraw(client, inv)
	}
	return err
}

// errUnattended is why an invitation ends when nobody is there to say yes.
var errUnattended = &localapi.Error{
	Code:    localapi.Usage,
	Message: "somebody knows the PIN, and there is nobody at this device to say yes",
	Next:    "run it in a terminal, or say --yes to let in whoever knows the PIN; the invitation is withdrawn",
}

func (c *command) waitAtDoor(ctx *cli.Context, client localapi.Client, inv localapi.Invitation) error {
	answers := make(chan string)
	asked := 0 // number of the event whose question is open
	reading := false
	events := make(chan []localapi.DoorEvent)
	failed := make(chan error, 1)
	go c.follow(ctx, client, inv.ID, events, failed)
	for {
		if asked == 0 {
			c.ui.progress("waiting for the guest; Ctrl-C withdraws the invitation")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case answer := <-answers:
			reading = false
			if asked == 0 {
				continue // the guest has gone meanwhile
			}
			if err := c.answer(ctx, client, inv.ID, asked, answer); err != nil {
				return err
			}
			asked = 0
		case list := <-events:
			for _, e := range list {
				done, err := c.atDoor(ctx, inv, e)
				if done || err != nil {
					return err
				}
				switch e.Kind {
				case localapi.DoorGone:
					asked = 0
				case localapi.DoorGuest:
					if ctx.Bool("yes") {
						err = client.Answer(ctx.Context, localapi.AnswerRequest{ID: inv.ID, Number: e.Number, Yes: true})
						if err != nil && localapi.AsError(err).Code != localapi.NotFound {
							return err
						}
						continue
					}
					if asked = e.Number; !reading {
						reading = true
						go c.readAnswer(ctx, answers, failed)
					}
				}
			}
		}
	}
}

// follow passes on what happens at a door.
func (c *command) follow(ctx *cli.Context, client localapi.Client, id string, events chan<- []localapi.DoorEvent, failed chan<- error) {
	for after := 0; ; {
		list, err := client.Door(ctx.Context, localapi.DoorRequest{ID: id, After: after})
		if err != nil {
			failed <- err
			return
		}
		if len(list) == 0 {
			continue
		}
		after = list[len(list)-1].Number
		select {
		case events <- list:
		case <-ctx.Done():
			return
		}
	}
}

// readAnswer reads one line of the person.
func (c *command) readAnswer(ctx *cli.Context, answers chan<- string, failed chan<- error) {
	line, err := c.line()
	if errors.Is(err, io.EOF) {
		err = errUnattended
	}
	if err != nil {
		failed <- err
		return
	}
	select {
	case answers <- line:
	case <-ctx.Done():
	}
}

// answer passes the person's answer on.
func (c *command) answer(ctx *cli.Context, client localapi.Client, id string, number int, line string) error {
	yes := len(line) > 0 && (line[0] == 'y' || line[0] == 'Y')
	err := client.Answer(ctx.Context, localapi.AnswerRequest{ID: id, Number: number, Yes: yes})
	if err != nil && localapi.AsError(err).Code == localapi.NotFound {
		c.ui.notef("They are not there any more; they can try again.\n")
		return nil
	}
	return err
}

// atDoor tells the person of an event. done says that the guest is in.
func (c *command) atDoor(ctx *cli.Context, inv localapi.Invitation, e localapi.DoorEvent) (done bool, err error) {
	who := fmt.Sprintf("%s (%s)", clean(e.Name), e.Identity[:min(8, len(e.Identity))])
	switch e.Kind {
	case localapi.DoorWrong:
		c.ui.notef("%s gave a wrong PIN; tries left: %d\n", who, e.Left)
	case localapi.DoorGone:
		c.ui.notef("\n%s has gone; they can come again.\n", who)
	case localapi.DoorGuest:
		c.ui.notef("%s knows the PIN. Their screen must show the same digits: %s\n", who, spaced(e.Code))
		switch {
		case ctx.Bool("yes"):
		case inv.Kind == localapi.KindDevice:
			c.ui.notef("Make it one of your devices? [y/N] ")
		default:
			c.ui.notef("Let them in? [y/N] ")
		}
	case localapi.DoorJoined:
		if ctx.Bool("json") {
			return true, c.ui.json(e)
		}
		if inv.Kind == localapi.KindDevice {
			c.ui.notef("%s is one of your devices now\n", clean(e.Name))
			return true, nil
		}
		c.ui.notef("%s is in %s as %s\n", clean(e.Name), clean(inv.Space), inv.Role)
		return true, nil
	case localapi.DoorEnded:
		why := map[string]string{
			localapi.StateBurned:    "the PIN was wrong three times, which ends the invitation",
			localapi.StateExpired:   "the invitation has expired",
			localapi.StateWithdrawn: "the invitation was withdrawn",
		}[e.Why]
		if why == "" {
			why = "the invitation has ended: " + clean(e.Why)
		}
		again := "make another: echofs space share " + quoted(inv.Space) + " --pin"
		if inv.Kind == localapi.KindDevice {
			again = "make another: echofs halo device invite"
		}
		return false, &localapi.Error{Code: localapi.Refused, Message: why + ", and nobody was let in", Next: again}
	}
	return false, nil
}

// shellWord is a path as it is typed in a shell.
func shellWord(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-_.+,@", r))
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// quoted is a name as it is typed in a shell.
func quoted(name string) string {
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.') {
			return "'" + clean(name) + "'"
		}
	}
	return name
}
