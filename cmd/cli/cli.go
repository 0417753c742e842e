// Package cli is the command line of echofs: one file per group of verbs, each
// a thin layer over package localapi, except `up`, which is the daemon.
//
// Run has no state of its own. Everything it touches (arguments, terminal,
// environment) comes in Env, so that tests run commands as functions.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/daemon"
	"github.com/echofs/echofs/cmd/localapi"
)

// Env is what a command sees of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Helper         []string // see daemon.Config
}

// The exit codes, as `echofs help` explains them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitNotFound    = 4
	exitBusy        = 5
	exitRefused     = 6
	exitUnreachable = 7
)

const exitCodes = `   0  it worked
   1  it failed; the message says why
   2  the command makes no sense as it was typed
   3  no daemon is running for this home
   4  there is no space, app, file or version of that name
   5  something is taken: the home, the port, the mount point, the name
   6  refused: the invitation is used, expired or damaged, or your role does not allow it
   7  no peer answered in time`

// Run executes one command and returns its exit code. args includes the name
// of the program.
func Run(ctx context.Context, env Env, args []string) int {
	c := &command{Env: env, ui: newUI(env)}
	app := c.app()
	if n := len(args) - 1; n > 0 && args[n] == completionArg {
		c.complete(ctx, app, args[:n])
		return exitOK
	}
	err := app.RunContext(ctx, reorder(app, help(app, args)))
	if err == nil {
		return exitOK
	}
	e := localapi.AsError(err)
	if errors.Is(err, context.Canceled) {
		e = &localapi.Error{Message: "interrupted"}
	}
	c.ui.failure(e)
	return exitCode(e.Code)
}

func exitCode(code localapi.Code) int {
	switch code {
	case localapi.Usage:
		return exitUsage
	case localapi.NotRunning:
		return exitNotRunning
	case localapi.NotFound:
		return exitNotFound
	case localapi.Busy:
		return exitBusy
	case localapi.Refused:
		return exitRefused
	case localapi.Unreachable:
		return exitUnreachable
	default:
		return exitFailed
	}
}

// A command is one run of the program.
type command struct {
	Env
	ui *ui
}

func (c *command) app() *cli.App {
	return &cli.App{
		Name:      "echofs",
		Usage:     "shared folders that merge",
		UsageText: "echofs [--home DIR] COMMAND [ARGUMENTS]",
		Description: `A daemon (echofs up) mounts your spaces as folders and keeps them in step with
the other devices in them, directly and encrypted. All other commands talk to
the daemon. Start with:

   echofs up                    in one terminal; it stays in the foreground
   echofs space create notes    in another
   echofs space share notes     prints an invitation for somebody else`,
		Version:                Version(),
		HideVersion:            true,
		HideHelpCommand:        true, // see help
		Writer:                 c.Stdout,
		ErrWriter:              c.Stderr,
		Reader:                 c.Stdin,
		Suggest:                false,
		UseShortOptionHandling: false,
		CustomAppHelpTemplate:  appHelp,
		ExitErrHandler:         func(*cli.Context, error) {}, // Run prints errors
		OnUsageError:           usageError,
		Flags:                  []cli.Flag{homeFlag()},
		Action:                 c.group,
		Commands: []*cli.Command{
			c.up(), c.down(), c.status(), c.online(), c.offline(),
			c.space(), c.appCommands(),
			c.log(), c.diff(), c.restore(), c.undelete(),
			c.completion(), c.version(),
		},
	}
}

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

func homeFlag() cli.Flag {
	return &cli.StringFlag{Name: "home", Usage: "use the daemon whose home is `DIR`"}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"}
}

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

// nearest finds what somebody may have meant.
func nearest(got string, names []string) string {
	best, limit := "", 3
	for _, name := range names {
		if d := distance(got, name); d < limit {
			best, limit = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
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
		if m[2] == "ttl" || m[2] == "timeout" {
			return fmt.Sprintf("--%s %s is not a duration, such as 10m or 48h", m[2], m[1])
		}
		return fmt.Sprintf("--%s cannot be %s", m[2], m[1])
	}
	return message
}

// home is the folder of the daemon that a command means.
func (c *command) home(ctx *cli.Context) (string, error) {
	for _, scope := range ctx.Lineage() {
		if dir := scope.String("home"); dir != "" {
			return c.homeAt(dir)
		}
	}
	return c.homeAt("")
}

// homeAt is the folder that --home dir means; it may be empty.
func (c *command) homeAt(dir string) (string, error) {
	if dir == "" {
		dir = c.Getenv("ECHOFS_HOME")
	}
	if dir == "" {
		if data := c.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
			dir = filepath.Join(data, "echofs")
		} else if home := c.Getenv("HOME"); home != "" {
			dir = filepath.Join(home, ".local", "share", "echofs")
		} else {
			return "", &localapi.Error{
				Code:    localapi.Usage,
				Message: "there is no home folder to keep things in",
				Next:    "choose one with --home DIR or ECHOFS_HOME",
			}
		}
	}
	return filepath.Abs(dir)
}

// client is the connection to the daemon that a command means.
func (c *command) client(ctx *cli.Context) (localapi.Client, error) {
	home, err := c.home(ctx)
	return localapi.Client{Home: home}, err
}

// clientAt is the connection to the daemon that --home dir means.
func (c *command) clientAt(dir string) (localapi.Client, error) {
	home, err := c.homeAt(dir)
	return localapi.Client{Home: home}, err
}

// help turns `help space share` into `space share --help`.
func help(app *cli.App, args []string) []string {
	if len(args) < 2 || args[1] != "help" && args[1] != "h" {
		return args
	}
	commands, asked := app.Commands, args[2:]
	if len(asked) == 1 && asked[0] == "help" {
		asked = nil
	}
	for _, name := range asked {
		at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(name) })
		if at < 0 {
			return append([]string{args[0]}, asked...) // which reports it
		}
		commands = commands[at].Subcommands
	}
	return slices.Concat(args[:1], asked, []string{"--help"})
}

// reorder moves options in front of the other arguments of the last command on
// the line, because people write `share notes --role reader` and the parser
// stops at the first argument that is not an option.
func reorder(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	out := []string{args[0]}
	commands, flags := app.Commands, app.Flags
	var options, rest []string
	deepest := false // no command can follow any more
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		if strings.HasPrefix(arg, "-") && arg != "-" {
			options = append(options, arg)
			if takesValue(flags, arg) && i+1 < len(args) {
				i++
				options = append(options, args[i])
			}
			continue
		}
		at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(arg) })
		if deepest || at < 0 {
			deepest = true
			rest = append(rest, arg)
			continue
		}
		out = append(append(out, options...), arg)
		options = nil
		commands, flags = commands[at].Subcommands, append(slices.Clone(flags), commands[at].Flags...)
	}
	return append(append(out, options...), rest...)
}

// takesValue tells whether the argument after option is its value.
func takesValue(flags []cli.Flag, option string) bool {
	name := strings.TrimLeft(option, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			doc, ok := f.(cli.DocGenerationFlag)
			return ok && doc.TakesValue()
		}
	}
	return false
}

// Version is the version of this build: a release's tag, or the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// Main runs the program for a person or a script and returns its exit code.
func Main(ctx context.Context) int {
	if daemon.IsHelper(os.Args) {
		return daemon.Helper(os.Stdin, os.Stdout)
	}
	return Run(ctx, Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Helper: daemon.HelperCommand()}, os.Args)
}
