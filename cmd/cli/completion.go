package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
)

// The program completes its own line when its last argument is
// --generate-bash-completion; the scripts only ask it.
const (
	bashCompletion = `_echofs() {
  local words=("${COMP_WORDS[@]:0:$COMP_CWORD}") cur="${COMP_WORDS[COMP_CWORD]}"
  [[ "$cur" == -* ]] && words+=("$cur")
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o default -F _echofs echofs
`
	zshCompletion = `#compdef echofs
_echofs() {
  local -a opts
  opts=("${(@f)$(${words[1,CURRENT-1]} --generate-bash-completion 2>/dev/null)}")
  compadd -a opts
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
		BashComplete: func(*cli.Context) { c.ui.printf("bash\nzsh\nfish\n") },
	})
}

// completeSpaces offers the names of the spaces.
func (c *command) completeSpaces(ctx *cli.Context) {
	client, err := c.client(ctx)
	if err != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx.Context, time.Second)
	defer cancel()
	spaces, err := client.Spaces(wait)
	if err != nil {
		return
	}
	for _, s := range spaces {
		c.ui.printf("%s\n", clean(s.Name))
	}
}
