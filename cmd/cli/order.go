package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// How a line is read before the parser sees it, so that people can write what
// they mean in the order they think of it.

// help turns `help space share` and `space help share` into `space share --help`,
// and --version into the command.
func help(app *cli.App, args []string) []string {
	if len(args) == 2 && args[1] == "--version" {
		return []string{args[0], "version"}
	}
	commands, flags := app.Commands, app.Flags
	var path []string
	for i := 1; i < len(args) && len(commands) > 0; i++ {
		arg := args[i]
		if strings.HasPrefix(arg, "-") {
			if takesValue(flags, arg) {
				i++
			}
			continue
		}
		if arg == "help" || arg == "h" {
			return helpFor(args[0], commands, path, args[i+1:])
		}
		at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(arg) })
		if at < 0 {
			return args
		}
		path = append(path, arg)
		commands, flags = commands[at].Subcommands, append(slices.Clone(flags), commands[at].Flags...)
	}
	return args
}

// helpFor is the line that explains what is asked about, of the commands below path.
func helpFor(program string, commands []*cli.Command, path, asked []string) []string {
	if len(asked) == 1 && asked[0] == "help" {
		asked = nil
	}
	line := slices.Concat([]string{program}, path, asked)
	for _, name := range asked {
		at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(name) })
		if at < 0 {
			return line // which reports it
		}
		commands = commands[at].Subcommands
	}
	return append(line, "--help")
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
