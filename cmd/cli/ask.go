package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

// How we ask a person. Questions go to stderr, so that stdout stays for the
// result. Whoever is not at a terminal is never asked: the command says which
// option answers in advance.

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

// errNo is the end of a command whose person said no.
var errNo = &localapi.Error{Code: localapi.Failed, Message: "nothing was done"}

// confirm asks whether to go on, unless --yes says so.
func (c *command) confirm(ctx *cli.Context, question string) error {
	if ctx.Bool("yes") {
		return nil
	}
	if !terminal(c.Stdin) {
		return usage(ctx, "it asks first, and there is nobody to ask; say --yes")
	}
	yes, err := c.yes(question)
	if err != nil {
		return err
	}
	if !yes {
		return errNo
	}
	return nil
}

// yes asks a question whose answer is no, unless it begins with y.
func (c *command) yes(question string) (bool, error) {
	answer, err := c.question(question + " [y/N] ")
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}

// question asks and returns one line of stdin, without spaces around it.
func (c *command) question(text string) (string, error) {
	c.ui.notef("%s", text)
	line, err := c.line()
	if errors.Is(err, io.EOF) {
		c.ui.notef("\n")
		return "", nil
	}
	return line, err
}

// maxLine is the longest line that is read from stdin.
const maxLine = 64 << 10

// line reads one line of stdin, without spaces around it. io.EOF means that
// there is none.
func (c *command) line() (string, error) {
	if c.input == nil {
		c.input = bufio.NewReader(c.Stdin)
	}
	var b strings.Builder
	for b.Len() < maxLine {
		r, err := c.input.ReadByte()
		if err != nil && b.Len() == 0 {
			return "", err
		}
		if err != nil || r == '\n' {
			break
		}
		b.WriteByte(r)
	}
	return strings.TrimSpace(b.String()), nil
}

// secretFrom reads the first line of a file, or of stdin if it is "-".
func (c *command) secretFrom(name string) (string, error) {
	if name == "-" {
		return c.line()
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}
