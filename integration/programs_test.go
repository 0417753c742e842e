package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// What editors say when they think that somebody else changed a file. Our own
// merges must never make them.
var alarms = []string{
	"WARNING", "E211", "W11", "W12", "W13", "W16", "E13:", "E212", "E514", // vim, neovim
	"modified since", "was modified", // nano
	"changed since", "changed on disk", "really edit", // emacs
	"on disk has changed",                     // micro
	"content of the file is newer", "failed:", // VS Code
}

// An editor, as a person uses it who knows how to add a line at the top or at
// the bottom, how to delete the last one, and how to leave.
type editor struct {
	name, how string // for docs/editors.md
	program   string
	install   string // what to give to apt-get install
	args      []string
	opened    string // shown when the file is open
	// top and bottom add a line, drop deletes the last one; save writes without
	// leaving, quit leaves.
	top, bottom      func(s *Terminal, line string)
	drop, save, quit func(s *Terminal)
	// look is what a person does to see what others have done; nil: there is no
	// such key, and the file has to be opened again.
	look  func(s *Terminal)
	looks string // the same for docs/editors.md
	// idle is done before a save, after others have saved.
	idle func(s *Terminal)
}

// typing is a function that types keys.
func typing(keys string) func(*Terminal) { return func(s *Terminal) { s.Type(keys) } }

func vim(name, how string, args ...string) editor {
	return vimLike("vim", "vim", name, how, args...)
}

func vimLike(program, install, name, how string, args ...string) editor {
	return editor{
		name: name, how: how, program: program, install: install, args: args,
		opened: "bottom",
		top:    func(s *Terminal, line string) { s.Type("ggO" + line + escape) },
		bottom: func(s *Terminal, line string) { s.Type("Go" + line + escape) },
		drop:   typing("Gdd"),
		save: func(s *Terminal) {
			s.Type(":w" + enter)
			s.Shows("written")
		},
		quit: typing(":q" + enter),
		look: typing(":e" + enter), looks: "`:e`",
	}
}

func nano(name, how string, args ...string) editor {
	return editor{
		name: name, how: how, program: "nano", install: "nano", args: args,
		opened: "bottom",
		top:    func(s *Terminal, line string) { s.Type(escape + "\\" + line + enter) }, // Alt-\: first line
		bottom: func(s *Terminal, line string) { s.Type(escape + "/" + line) },          // Alt-/: behind the last line
		drop:   typing(escape + "/" + ctrl('P') + ctrl('K')),
		save: func(s *Terminal) {
			s.Type(ctrl('O'))
			s.Shows("File Name to Write")
			s.Type(enter)
			s.Shows("Wrote")
		},
		quit: typing(ctrl('X')),
	}
}

func emacs(name, how string, args ...string) editor {
	return editor{
		name: name, how: how, program: "emacs", install: "emacs-nox", args: append([]string{"-nw", "-Q"}, args...),
		opened: "bottom",
		top:    func(s *Terminal, line string) { s.Type(escape + "<" + line + enter) },
		bottom: func(s *Terminal, line string) { s.Type(escape + ">" + line + enter) },
		drop:   typing(escape + ">" + ctrl('P') + ctrl('K') + ctrl('K')),
		save: func(s *Terminal) {
			s.Type(ctrl('X') + ctrl('S'))
			s.Shows("Wrote")
		},
		quit: typing(ctrl('X') + ctrl('C')),
		look: func(s *Terminal) {
			s.Type(escape + "xrevert-buffer" + enter)
			s.Shows("Revert buffer from file")
			s.Type("yes" + enter)
		},
		looks: "`M-x revert-buffer`",
	}
}

func micro() editor {
	return editor{
		name: "micro", how: "truncates, writes", program: "micro", install: "micro",
		opened: "bottom",
		top:    func(s *Terminal, line string) { s.Type(ctrl('E') + "goto 1" + enter + line + enter) },
		bottom: func(s *Terminal, line string) { s.Type(ctrl('E') + "goto -1" + enter + line + enter) },
		drop:   typing(ctrl('E') + "goto -2" + enter + ctrl('K')),
		save: func(s *Terminal) {
			s.Type(ctrl('S'))
			s.Shows("Saved")
		},
		quit: typing(ctrl('Q')),
		look: typing(ctrl('E') + "reopen" + enter), looks: "`> reopen`",
	}
}

func ed() editor {
	return editor{
		name: "ed", how: "truncates, writes", program: "ed", install: "ed", args: []string{"-p", "ready>"},
		opened: "ready>",
		top:    func(s *Terminal, line string) { s.Type("0a\r" + line + "\r.\r") },
		bottom: func(s *Terminal, line string) { s.Type("$a\r" + line + "\r.\r") },
		drop:   typing("$d\r"),
		save: func(s *Terminal) {
			s.Type("w\r!echo it is''written\r")
			s.Shows("it iswritten")
		},
		quit: typing("q\r"),
		look: typing("e\r"), looks: "`e`",
	}
}

// vscode needs node, and a package that is installed when it is first used.
func vscode(w *World) editor {
	w.t.Helper()
	dir := nodePackage(w, "vscode")
	command := func(s *Terminal, line string) {
		s.Type(line + enter)
		s.Shows("it is done")
	}
	return editor{
		name: "VS Code", how: "its sequence, replayed with node and @parcel/watcher: truncates, writes, syncs; watches the folder",
		program: "node", install: "nodejs", args: []string{filepath.Join(dir, "editor.js")},
		opened: "it is open",
		top:    func(s *Terminal, line string) { command(s, "top "+line) },
		bottom: func(s *Terminal, line string) { command(s, "bottom "+line) },
		drop:   func(s *Terminal) { command(s, "drop") },
		save:   func(s *Terminal) { command(s, "save") },
		quit:   typing("quit" + enter),
		// It prints what it loads; see matrix.
		look:  func(s *Terminal) { s.Shows(`\nlast\n`) },
		looks: "nothing: its watcher is told",
	}
}

// until types keys, again and again, until the program prints text. It may need
// to be asked more than once: just after a save vim is told of that.
func (s *Terminal) until(text, keys string) {
	s.w.t.Helper()
	tries := 0
	s.w.Eventually(fmt.Sprintf("%s shows %q", s.name, text), func() error {
		s.mu.Lock()
		fresh := printed(s.output[s.seen:])
		found := strings.Contains(fresh, text)
		if found {
			s.seen = len(s.output)
		}
		s.mu.Unlock()
		if found {
			return nil
		}
		if tries++; tries%50 == 1 {
			s.Type(keys)
		}
		return fmt.Errorf("it shows %q", tailOf(fresh, 500))
	})
}

// commonEditors are those that everybody has.
func commonEditors() []editor {
	return []editor{
		vim("vim", "backupcopy=auto, with swap file"),
		vim("vim, in place", "backupcopy=yes: copies to `doc~`, truncates, writes", "--cmd", "autocmd VimEnter * set backupcopy=yes"),
		vim("vim, by renaming", "backupcopy=no: renames to `doc~`, creates", "--cmd", "autocmd VimEnter * set backupcopy=no"),
		nano("nano", "truncates, writes"),
	}
}

// editorsWithScreen are those that need only to be installed.
func editorsWithScreen() []editor {
	auto := vim("vim, autoread", "with `autoread`; `:checktime` after others have saved", "--cmd", "set autoread")
	auto.idle = typing(":checktime" + enter)
	auto.look = func(s *Terminal) { s.until("last", ":checktime"+enter) }
	auto.looks = "`:checktime`, which loads nothing into a changed buffer"
	revert := emacs("emacs, auto-revert", "with `global-auto-revert-mode`, which watches", "--eval", "(global-auto-revert-mode)")
	revert.look = func(s *Terminal) { s.Shows("last") }
	revert.looks = "nothing: it is told"
	neovim := vimLike("nvim", "neovim", "neovim", "defaults")
	neovim.idle, neovim.look, neovim.looks = auto.idle, auto.look, auto.looks
	common := commonEditors()
	nanos := slices.IndexFunc(common, func(e editor) bool { return e.program == "nano" })
	return slices.Concat(common[:nanos],
		[]editor{auto, neovim},
		common[nanos:],
		[]editor{
			nano("nano -B", "copies to `doc~`, truncates, writes", "-B"),
			emacs("emacs -nw", "lock link, renames to `doc~`, creates"),
			revert,
			micro(),
			ed(),
		})
}

// open opens a file and waits until its text is on the screen.
func (e editor) open(w *World, dir, file string) *Terminal {
	w.t.Helper()
	s := e.start(w, dir, file)
	s.Shows(e.opened)
	return s
}

func (e editor) start(w *World, dir, file string) *Terminal {
	w.t.Helper()
	if _, err := exec.LookPath(e.program); err != nil {
		w.t.Fatalf("%s is missing on this machine: apt-get install --no-install-recommends %s", e.program, e.install)
	}
	return w.Terminal(dir, e.program, append(e.args[:len(e.args):len(e.args)], file)...)
}

var installing sync.Mutex // one installation at a time

// nodePackage installs what a folder of testdata needs in a copy of it that
// lives as long as the tests, and returns that.
func nodePackage(w *World, name string) string {
	w.t.Helper()
	installing.Lock()
	defer installing.Unlock()
	dir := filepath.Join(os.TempDir(), "node-"+name)
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=5")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("installing the packages of testdata/%s (is node there? apt-get install nodejs npm): %v\n%s", name, err, out)
	}
	return dir
}
