package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

// What every command has in common: how it is explained, how its arguments are
// counted, and what is said when it was typed wrongly.

const appHelp = `{{.Name}} - {{.Usage}}

USAGE
   {{.UsageText}}

{{.Description}}

COMMANDS{{range .VisibleCommands}}
   {{join .Names ", "}}{{"\t"}}{{.Usage}}{{end}}

   echofs help COMMAND explains each, with examples. Every listing has --json.

OPTIONS
   --home DIR  where the daemon keeps everything, so several can run side by side
               (or ECHOFS_HOME; default: $XDG_DATA_HOME/echofs or ~/.local/share/echofs)

EXIT CODES
` + exitCodes + `

ENVIRONMENT
   ECHOFS_HOME  the same as --home
   NO_COLOR     no colours, whatever its value
   BROWSER      the browser that "echofs app open" starts
`

const commandHelp = `{{.HelpName}} - {{.Usage}}

USAGE
   {{.UsageText}}
{{if .Description}}
{{.Description}}
{{end}}{{if .VisibleCommands}}
COMMANDS{{range .VisibleCommands}}
   {{join .Names ", "}}{{"\t"}}{{.Usage}}{{end}}
{{end}}{{if .VisibleFlags}}
OPTIONS{{range .VisibleFlags}}
   {{.}}{{end}}
{{end}}`

// leaf completes a command that does something.
func (c *command) leaf(cmd *cli.Command) *cli.Command {
	cmd.CustomHelpTemplate = commandHelp
	cmd.OnUsageError = usageError
	for _, f := range cmd.Flags {
		if f, ok := f.(*cli.BoolFlag); ok {
			f.DisableDefaultText = true // who does not say --json does not get it
		}
	}
	cmd.Flags = append(cmd.Flags, homeFlag())
	cmd.HideHelpCommand = true
	action, args := cmd.Action, strings.Fields(cmd.ArgsUsage)
	cmd.Action = func(ctx *cli.Context) error {
		least := len(args)
		for least > 0 && strings.HasPrefix(args[least-1], "[") {
			least-- // may be left out
		}
		if n := ctx.NArg(); n < least || n > len(args) {
			return usage(ctx, "it takes %s", describe(args))
		}
		return action(ctx)
	}
	return cmd
}

// branch completes a command that only has commands below it.
func (c *command) branch(cmd *cli.Command) *cli.Command {
	cmd.CustomHelpTemplate = commandHelp
	cmd.OnUsageError = usageError
	cmd.Flags = append(cmd.Flags, homeFlag())
	cmd.Action = c.group
	cmd.HideHelpCommand = true
	cmd.UsageText = "echofs " + cmd.Name + " COMMAND [ARGUMENTS]"
	return cmd
}

// group is what a command does that only has commands below it.
func (c *command) group(ctx *cli.Context) error {
	if !ctx.Args().Present() {
		return cli.ShowSubcommandHelp(ctx)
	}
	got := ctx.Args().First()
	commands := ctx.App.Commands
	if ctx.Command != nil && len(ctx.Command.Subcommands) > 0 {
		commands = ctx.Command.Subcommands
	}
	var names []string
	for _, sub := range commands {
		names = append(names, sub.Names()...)
	}
	if near := nearest(got, names); near != "" {
		return usage(ctx, "there is no command %q; did you mean %q?", got, near)
	}
	return usage(ctx, "there is no command %q", got)
}

func describe(args []string) string {
	switch len(args) {
	case 0:
		return "no arguments"
	case 1:
		return "one argument, " + args[0]
	default:
		return fmt.Sprintf("%d arguments: %s", len(args), strings.Join(args, " "))
	}
}

// usage is the error of a command that was typed wrongly.
func usage(ctx *cli.Context, format string, args ...any) error {
	name := ctx.App.Name
	if ctx.Command != nil && ctx.Command.HelpName != "" {
		name = ctx.Command.HelpName
	}
	return &localapi.Error{
		Code:    localapi.Usage,
		Message: name + ": " + fmt.Sprintf(format, args...),
		Next:    "see " + name + " --help",
	}
}

func usageError(ctx *cli.Context, err error, _ bool) error {
	return usage(ctx, "%s", flagError(err))
}

// The complaints of package flag, which writes options with one dash.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	lonelyFlag  = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	badValue    = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^ :]+): .*$`)
)

// flagError says in our words what is wrong with an option.
func flagError(err error) string {
	message := err.Error()
	if m := unknownFlag.FindStringSubmatch(message); m != nil {
		return "there is no option --" + m[1]
	}
	if m := lonelyFlag.FindStringSubmatch(message); m != nil {
		return "--" + m[1] + " needs a value"
	}
	if m := badValue.FindStringSubmatch(message); m != nil {
		if m[2] == "expires" || m[2] == "timeout" {
			return fmt.Sprintf("--%s %s is not a duration, such as 10m or 48h", m[2], m[1])
		}
		return fmt.Sprintf("--%s cannot be %s", m[2], m[1])
	}
	return message
}
