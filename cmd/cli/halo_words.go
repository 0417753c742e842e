package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

// wordTries is how often a person may mistype a word.
const wordTries = 3

func (c *command) haloRecovery() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "recovery",
		Usage:     "show your 24 recovery words, once",
		UsageText: "echofs halo recovery [--yes] [--unlock-fd FD] [--json]",
		Description: `Whoever has the words has your identity: they end all your devices and begin
anew with one. Write them on paper, in order, and keep that where you keep what
must not be lost. Do not photograph them or store them in a file.

The words are shown, and then three of them are asked for, so that you know they
are on the paper. After that this device forgets them: they cannot be shown
again, and no other words can take their place.

Without a terminal, --yes prints them in one line, or with --json as a list, and
takes it that they are kept.

EXAMPLES
   echofs halo recovery`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask for words: they are kept"},
			secretFlag("unlock-fd", "the passphrase"),
			jsonFlag(),
		},
		Action: c.runRecovery,
	})
}

func (c *command) runRecovery(ctx *cli.Context) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	asks := !ctx.Bool("yes") && !ctx.Bool("json")
	if asks && (!terminal(c.Stdin) || !terminal(c.Stdout)) || ctx.Bool("json") && !ctx.Bool("yes") {
		return usage(ctx, "it shows words and asks for some of them, and there is nobody to ask; say --yes if they are kept")
	}
	passphrase, err := c.oldPassphrase(ctx, client, false)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	words, err := client.RecoveryWords(ctx.Context, passphrase)
	if err != nil {
		return err
	}
	switch {
	case ctx.Bool("json"):
		err = c.ui.json(words)
	case !asks:
		c.ui.printf("%s\n", strings.Join(words, " "))
	default:
		if err = c.showWords(words); err == nil {
			err = c.askWords(words)
		}
	}
	if err != nil {
		return err
	}
	if _, err := client.WordsWritten(ctx.Context); err != nil {
		return err
	}
	if asks {
		c.ui.notef("The words are on your paper, and nowhere else.\n")
	}
	return nil
}

// showWords shows the words where they do not stay in the terminal's history.
func (c *command) showWords(words []string) error {
	if c.ui.moving {
		c.ui.printf("\x1b[?1049h\x1b[H")
		defer c.ui.printf("\x1b[?1049l")
	}
	c.ui.printf("Your recovery words. Write them down, in this order:\n\n")
	for row := range 6 {
		for column := range 4 {
			i := column*6 + row
			c.ui.printf("   %2d %-10s", i+1, words[i])
		}
		c.ui.printf("\n")
	}
	c.ui.printf("\nPress Enter when they are on paper. ")
	_, err := c.interruptible(c.line)
	return err
}

// askWords asks for three of the words.
func (c *command) askWords(words []string) error {
	for _, i := range []int{2, 10, 19} {
		n := fmt.Sprint(i + 1)
		for try := 1; ; try++ {
			answer, err := c.interruptible(func() (string, error) { return c.question("Word " + n + ": ") })
			if err != nil {
				return err
			}
			if strings.EqualFold(answer, words[i]) {
				break
			}
			if try == wordTries {
				return &localapi.Error{
					Code:    localapi.Failed,
					Message: "that is not word " + n + "; this device keeps the words",
					Next:    "show them again, and compare: echofs halo recovery",
				}
			}
			c.ui.notef("That is not it. Look at the paper once more.\n")
		}
	}
	return nil
}
