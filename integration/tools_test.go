package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A tool saves without a screen: a shell script replaces a line. Scripts run in
// the folder of doc.txt and are told
//
//	FROM, TO  the first line as it is and as it should be
//	N         how often the script has run, this time included
//	OUT       a folder that is not shared
//	GATE      a pipe; reading it waits until others have saved
type tool struct {
	name, how, install string
	setup, save        string
	// held saves too, but waits at the gate with what it has read. Tools without
	// it read nothing, or read and write at once.
	held string
	// lines are the first lines as the saves make them; nil: another one each time.
	lines []string
	// appends says that the tool adds lines at the bottom instead.
	appends bool
}

// text is what doc.txt holds after n saves by the tool, with a second line that
// others make.
func (u tool) text(n int, second string) string {
	if u.appends {
		text := "top\n" + second + "\nbottom\n"
		for i := range n {
			text += fmt.Sprintf("more %d\n", i+1)
		}
		return text
	}
	return u.line(n) + "\n" + second + "\nbottom\n"
}

func (u tool) line(n int) string {
	switch {
	case n < len(u.lines):
		return u.lines[n]
	case n == 0:
		return "top"
	}
	return fmt.Sprintf("top of save %d", n)
}

func (u tool) command(t testing.TB, dir, out, script string, n int) *exec.Cmd {
	t.Helper()
	program, _, _ := strings.Cut(u.name, " ")
	if u.install != "" {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing on this machine: apt-get install --no-install-recommends %s", program, u.install)
		}
	}
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "HOME="+out, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"FROM="+u.line(max(n-1, 0)), "TO="+u.line(n), fmt.Sprint("N=", n), "OUT="+out, "GATE="+out+"/gate")
	return cmd
}

// repository makes one beside doc.txt with the tags v0, v1, v2 and, as
// refs/other/stash, the change from v0 to v1.
const repository = `
	git init -q "$OUT/repo"
	cp -p doc.txt "$OUT/repo"
	( cd "$OUT/repo"; git add doc.txt; git commit -qm 0; git tag v0
	  sed -i "s/^top$/top of save 1/" doc.txt; git stash -q; git update-ref refs/other/stash stash
	  git stash pop -q; git commit -qam 1; git tag v1
	  sed -i "s/^top of save 1$/top of save 2/" doc.txt; git commit -qam 2; git tag v2 )
	git init -q
	git fetch -q "$OUT/repo" "refs/*:refs/fetched/*"
	git reset -q refs/fetched/tags/v0
	git status --short`

// changed makes what doc.txt should be, elsewhere.
const changed = `sed "s/^$FROM$/$TO/" doc.txt >"$OUT/doc.txt"; `

func tools() []tool {
	const perl = ` -pe "s/^$FROM$/$TO/" doc.txt`
	const perlHeld = ` -pe "s/^$FROM$/$TO/; if (eof) { open G, '<', '$GATE'; <G> }" doc.txt`
	const opened = `perl -e 'open F, "+<", "doc.txt" or die; $_ = join "", <F>; `
	const written = `s/^$ENV{FROM}$/$ENV{TO}/m; seek F, 0, 0; truncate F, 0; print F $_; close F or die'`
	return []tool{
		{
			name: "sed -i", how: "temporary file, renamed over", install: "sed",
			save: `sed -i "s/^$FROM$/$TO/" doc.txt`,
			held: `sed -i -e "s/^$FROM$/$TO/" -e '$e cat "$GATE"' doc.txt`,
		},
		{
			name: "sed -i.bak", how: "renames to `doc.bak`, renames a temporary file", install: "sed",
			save: `sed -i.bak "s/^$FROM$/$TO/" doc.txt`,
			held: `sed -i.bak -e "s/^$FROM$/$TO/" -e '$e cat "$GATE"' doc.txt`,
		},
		{name: "perl -i", how: "temporary file, renamed over", install: "perl", save: `perl -i` + perl, held: `perl -i` + perlHeld},
		{name: "perl -i.bak", how: "links to `doc.bak`, renames a temporary file", install: "perl", save: `perl -i.bak` + perl, held: `perl -i.bak` + perlHeld},
		{name: "perl -pi", how: "the same in other words", install: "perl", save: `perl -pi -e "s/^$FROM$/$TO/" doc.txt`},
		{
			name: "perl, r+", how: "reads, truncates and writes by one descriptor", install: "",
			save: opened + written,
			held: opened + `open G, "<", $ENV{GATE} or die; <G>; ` + written,
		},
		{
			name: "patch", how: "temporary file, renamed over", install: "patch",
			save: changed + `diff -u doc.txt "$OUT/doc.txt" >"$OUT/patch" || true; patch -s doc.txt <"$OUT/patch"`,
		},
		{name: "git checkout", how: "unlinks, creates", install: "git", setup: repository, save: `git checkout -q refs/fetched/tags/v$N`},
		{
			name: "git stash", how: "unlinks, creates; here and back", install: "git", setup: repository,
			save:  `if [ $N = 1 ]; then git stash apply -q refs/fetched/other/stash; else git stash -q; fi`,
			lines: []string{"top", "top of save 1", "top"},
		},
		{name: "rsync", how: "temporary file, renamed over", install: "rsync", save: changed + `rsync -I "$OUT/doc.txt" doc.txt`},
		{name: "rsync --inplace", how: "writes in place, truncates", install: "rsync", save: changed + `rsync -I --inplace "$OUT/doc.txt" doc.txt`},
		{name: "cp", how: "truncates, writes", install: "coreutils", save: changed + `cp "$OUT/doc.txt" doc.txt`},
		{name: "cp --remove-destination", how: "unlinks, creates", install: "coreutils", save: changed + `chmod 755 "$OUT/doc.txt"; cp --remove-destination -p "$OUT/doc.txt" doc.txt`},
		{name: "mv", how: "a file made beside it, renamed over", install: "coreutils", save: `cp -p doc.txt new.txt; sed "s/^$FROM$/$TO/" doc.txt >new.txt; mv new.txt doc.txt`},
		{name: "mv -b", how: "renames to `doc~`, renames", install: "coreutils", save: `cp -p doc.txt new.txt; sed "s/^$FROM$/$TO/" doc.txt >new.txt; mv -b new.txt doc.txt`},
		{name: "tee", how: "truncates, writes", install: "coreutils", save: changed + `tee doc.txt <"$OUT/doc.txt" >"$OUT/seen"`},
		{name: "`>`", how: "truncates, writes", save: changed + `cat "$OUT/doc.txt" >doc.txt`},
		{
			name: "`>>`", how: "appends", appends: true,
			save: `echo "more $N" >>doc.txt`,
			held: `{ cat "$GATE"; echo "more $N"; } >>doc.txt`,
		},
	}
}
