package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/echofs/echofs/cmd/localapi"
)

// The program completes its own line when its last argument is completionArg;
// the scripts only ask it. What it answers may be a name that a peer chose: the
// scripts must not let the shell expand it.
const completionArg = "--generate-bash-completion"

const (
	bashCompletion = `_echofs() {
  local words=("${COMP_WORDS[@]:0:$COMP_CWORD}") cur="${COMP_WORDS[COMP_CWORD]}" line
  [[ "$cur" == -* ]] && words+=("$cur")
  COMPREPLY=()
  while IFS= read -r line; do
    printf -v line %q "$line"
    [[ "$line" == "$cur"* ]] && COMPREPLY+=("$line")
  done < <("${words[@]}" --generate-bash-completion 2>/dev/null)
}
complete -o default -F _echofs echofs
`
	zshCompletion = `#compdef echofs
_echofs() {
  local -a line opts
  line=("${(@)words[1,CURRENT-1]}")
  [[ "${words[CURRENT]}" == -* ]] && line+=("${words[CURRENT]}")
  opts=("${(@f)$("${line[@]}" --generate-bash-completion 2>/dev/null)}")
  opts=("${(@)opts:#}")
  if (( $#opts )); then compadd -a opts; else _files; fi
}
compdef _echofs echofs
`
)

func (c *command) completion() *cli.Command {
	return c.leaf(&cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands in your shell",
		UsageText: "echofs completion bash|zsh|fish",
		ArgsUsage: "SHELL",
		Description: `EXAMPLES
   source <(echofs completion bash)                                in ~/.bashrc
   source <(echofs completion zsh)                                 in ~/.zshrc
   echofs completion fish > ~/.config/fish/completions/echofs.fish`,
		Action: func(ctx *cli.Context) error {
			switch shell := ctx.Args().First(); shell {
			case "bash":
				c.ui.printf("%s", bashCompletion)
			case "zsh":
				c.ui.printf("%s", zshCompletion)
			case "fish":
				script, err := ctx.App.ToFishCompletion()
				if err != nil {
					return err
				}
				c.ui.printf("%s", script)
			default:
				return usage(ctx, "%q is not one of bash, zsh, fish", shell)
			}
			return nil
		},
	})
}

// complete answers what may stand at the end of args, the line so far without
// completionArg: a command, an option, its value, or an argument.
func (c *command) complete(ctx context.Context, app *cli.App, args []string) {
	helping := len(args) > 1 && (args[1] == "help" || args[1] == "h")
	if helping {
		args = args[1:]
	}
	commands, flags := app.Commands, app.Flags
	var cmd *cli.Command
	home, given := "", []string(nil) // the arguments that are there already
	for i := 1; i < len(args); i++ {
		arg, last := args[i], i == len(args)-1
		switch at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(arg) }); {
		case arg == "--":
			if last {
				c.offerOptions(flags)
			}
			return
		case strings.HasPrefix(arg, "-") && arg != "-":
			name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch {
			case !takesValue(flags, arg) && !joined:
				if last {
					c.offerOptions(flags)
					return
				}
			case joined:
			case last:
				c.offerValues(ctx, home, name)
				return
			default:
				i++
				value = args[i]
			}
			if name == "home" {
				home = value
			}
		case at >= 0:
			cmd, commands, flags = commands[at], commands[at].Subcommands, slices.Concat(flags, commands[at].Flags)
		default:
			given = append(given, arg)
		}
	}
	switch {
	case len(commands) > 0 && len(given) == 0:
		for _, sub := range commands {
			c.offer(sub.Name)
		}
	case cmd != nil && !helping && len(given) < len(strings.Fields(cmd.ArgsUsage)):
		c.offerArguments(ctx, home, cmd, given)
	}
}

func (c *command) offer(words ...string) {
	for _, w := range words {
		if clean(w) == strings.ReplaceAll(w, `\`, `\\`) { // what cannot be shown cannot be typed
			c.ui.printf("%s\n", w)
		}
	}
}

func (c *command) offerOptions(flags []cli.Flag) {
	var names []string
	for _, f := range flags {
		if name := "--" + f.Names()[0]; !slices.Contains(names, name) { // each command has its own --home
			names = append(names, name)
		}
	}
	c.offer(append(names, "--help")...)
}

func (c *command) offerValues(ctx context.Context, home, option string) {
	switch option {
	case "role":
		c.offer("reader", "editor", "admin")
	case "protect":
		c.offer("passphrase", "keyring", "file")
	case "share-activity":
		c.offer("on", "off")
	case "log":
		c.offer("debug", "info", "warn", "error")
	case "space":
		c.offerSpaces(ctx, home)
	case "to":
		c.offerContacts(ctx, home)
	}
}

func (c *command) offerArguments(ctx context.Context, home string, cmd *cli.Command, given []string) {
	switch wants := strings.Fields(cmd.ArgsUsage)[len(given)]; {
	case wants == "MEMBER":
		c.offerMembers(ctx, home, given[0])
		return
	case wants == "DEVICE":
		c.offerDevices(ctx, home)
		return
	case wants == "HOW":
		c.offer("passphrase", "keyring", "file")
		return
	case wants == "ROLE":
		c.offer("reader", "editor", "admin")
		return
	case len(given) > 0:
		return
	}
	switch cmd.Name {
	case "completion":
		c.offer("bash", "zsh", "fish")
	case "info", "share", "members", "role", "remove", "leave", "invitations", "rotate", "export", "fork", "rebuild":
		c.offerSpaces(ctx, home)
	case "join", "revoke":
		if cmd.ArgsUsage == "INVITATION" {
			c.offerInvitations(ctx, home, cmd.Name)
		}
	case "open":
		client, err := c.clientAt(home)
		if err != nil {
			return
		}
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		apps, err := client.Apps(wait)
		if err != nil {
			return
		}
		for _, a := range apps {
			if _, err := pickApp(apps, "", a.Name); err == nil {
				c.offer(a.Name)
			} else {
				c.offer(a.Space + "/" + a.Name)
			}
		}
	}
}

func (c *command) offerSpaces(ctx context.Context, home string) {
	client, err := c.clientAt(home)
	if err != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	spaces, err := client.Spaces(wait)
	if err != nil {
		return
	}
	for _, s := range spaces {
		c.offer(s.Name)
	}
}

func (c *command) offerMembers(ctx context.Context, home, space string) {
	client, err := c.clientAt(home)
	if err != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	members, err := client.Members(wait, space)
	if err != nil {
		return
	}
	for _, m := range members {
		if !m.Self {
			c.offer(m.Name)
		}
	}
}

func (c *command) offerContacts(ctx context.Context, home string) {
	client, err := c.clientAt(home)
	if err != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	contacts, err := client.Contacts(wait)
	if err != nil {
		return
	}
	for _, who := range contacts {
		c.offer(who.Name)
	}
}

// offerInvitations offers those that can be revoked, or joined by the name of
// the space.
func (c *command) offerInvitations(ctx context.Context, home, verb string) {
	client, err := c.clientAt(home)
	if err != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := client.Invitations(wait, "")
	if err != nil {
		return
	}
	for _, in := range list {
		switch {
		case verb == "join" && in.Kind == localapi.KindReceived:
			c.offer(in.Space)
		case verb == "revoke" && (in.Kind == localapi.KindReceived || in.State == localapi.StateOpen):
			c.offer(in.ID[:min(8, len(in.ID))])
		}
	}
}
