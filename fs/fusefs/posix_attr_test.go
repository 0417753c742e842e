package fusefs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// timeRows are about times.
func timeRows() []posixRow {
	utimes := func(p *asker, what, name string, a, m unix.Timespec, flags int) {
		p.say(what, unix.UtimesNanoAt(unix.AT_FDCWD, p.path(name), []unix.Timespec{a, m}, flags))
	}
	times := func(p *asker, name string) {
		var st unix.Stat_t
		err := unix.Lstat(p.path(name), &st)
		if st.Mode&unix.S_IFMT == unix.S_IFLNK { // following it is reading it
			st.Atim = unix.Timespec{}
		}
		p.say(name, err, st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec)
	}
	omit, now := unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW}
	return []posixRow{
		{name: "times to the nanosecond", do: func(p *asker) {
			p.write("f", "f")
			p.write("f.tmp", "f")
			p.need(os.Mkdir(p.path("d"), 0o755))
			p.need(os.Symlink("f", p.path("l")))
			for _, name := range []string{"f", "f.tmp", "d", "l"} {
				utimes(p, "both", name, unix.Timespec{Sec: 1_000_000_001, Nsec: 123_456_789}, unix.Timespec{Sec: 1_100_000_001, Nsec: 987_654_321}, unix.AT_SYMLINK_NOFOLLOW)
				times(p, name)
				utimes(p, "the first", name, unix.Timespec{Sec: 1_200_000_000, Nsec: 1}, omit, unix.AT_SYMLINK_NOFOLLOW)
				times(p, name)
				utimes(p, "the second", name, omit, unix.Timespec{Sec: 1_300_000_000, Nsec: 999_999_999}, unix.AT_SYMLINK_NOFOLLOW)
				times(p, name)
				utimes(p, "none", name, omit, omit, unix.AT_SYMLINK_NOFOLLOW)
				times(p, name)
			}
			utimes(p, "through a link", "l", unix.Timespec{Sec: 5}, unix.Timespec{Sec: 6}, 0)
			times(p, "f")
			utimes(p, "nothing", "no", omit, omit, 0)
			utimes(p, "too many nanoseconds", "f", unix.Timespec{Nsec: 1e9}, omit, 0)
			utimes(p, "1969", "f", unix.Timespec{Sec: -5}, unix.Timespec{Sec: -5, Nsec: 5}, 0)
			times(p, "f")
			utimes(p, "2033", "f", unix.Timespec{Sec: 2_000_000_000}, unix.Timespec{Sec: 2_000_000_000, Nsec: 5}, 0)
			times(p, "f")
		}},
		{name: "now", do: func(p *asker) {
			p.write("f", "f")
			utimes(p, "old", "f", unix.Timespec{Sec: 5}, unix.Timespec{Sec: 6}, 0)
			before := time.Now().Add(-time.Second)
			utimes(p, "now", "f", now, now, 0)
			info, err := os.Stat(p.path("f"))
			p.say("is now", err, info.ModTime().After(before))
			var st unix.Stat_t
			p.need(unix.Stat(p.path("f"), &st))
			p.say("both", st.Atim.Sec-st.Mtim.Sec)
			utimes(p, "one", "f", now, unix.Timespec{Sec: 6}, 0)
			p.need(unix.Stat(p.path("f"), &st))
			p.say("the other", st.Mtim.Sec, time.Unix(st.Atim.Unix()).After(before))
		}},
		{name: "what changes which time", do: func(p *asker) {
			for _, name := range []string{"f", "g", "new"} {
				p.write(name, name)
			}
			for _, name := range []string{"d", "e"} {
				p.need(os.Mkdir(p.path(name), 0o755))
			}
			old := unix.Timespec{Sec: 1_000_000_000}
			all := []string{"f", "d", "e"}
			step := func(what string, do func() error) {
				var before [3]unix.Stat_t
				for i, name := range all {
					p.need(unix.UtimesNanoAt(unix.AT_FDCWD, p.path(name), []unix.Timespec{old, old}, 0))
					p.need(unix.Stat(p.path(name), &before[i]))
				}
				// A clock that ticks so rarely that two changes have one time is one
				// that file systems have.
				for start := before[2].Ctim; ; {
					p.write("tick", "x")
					var st unix.Stat_t
					p.need(unix.Stat(p.path("tick"), &st))
					if st.Mtim != start {
						break
					}
				}
				err := do()
				line := []any{err}
				for i, name := range all {
					var st unix.Stat_t
					p.need(unix.Stat(p.path(name), &st))
					line = append(line, name, fmt.Sprintf("m%t c%t", st.Mtim != before[i].Mtim, st.Ctim != before[i].Ctim))
				}
				p.say(what, line...)
			}
			step("write", func() error { return os.WriteFile(p.path("f"), []byte("other"), 0) })
			step("append", func() error {
				f := os.NewFile(uintptr(p.fd("f", unix.O_WRONLY|unix.O_APPEND)), "f")
				_, err := f.WriteString("more")
				p.open = nil
				return firstOf(err, f.Close())
			})
			step("truncate", func() error { return os.Truncate(p.path("f"), 2) })
			step("truncate to the same", func() error { return os.Truncate(p.path("f"), 2) })
			step("chmod", func() error { return os.Chmod(p.path("f"), 0o600) })
			step("chown to oneself", func() error { return os.Chown(p.path("f"), os.Getuid(), os.Getgid()) })
			step("the first time", func() error {
				return unix.UtimesNanoAt(unix.AT_FDCWD, p.path("f"), []unix.Timespec{{Sec: 3}, omit}, 0)
			})
			step("read", func() error { _, err := os.ReadFile(p.path("f")); return err })
			step("create in d", func() error { return os.WriteFile(p.path("d/n"), nil, 0o644) })
			step("write in d", func() error { return os.WriteFile(p.path("d/n"), []byte("n"), 0o644) })
			step("rename in d", func() error { return os.Rename(p.path("d/n"), p.path("d/m")) })
			step("rename from d to e", func() error { return os.Rename(p.path("d/m"), p.path("e/m")) })
			step("unlink in e", func() error { return os.Remove(p.path("e/m")) })
			step("mkdir in d", func() error { return os.Mkdir(p.path("d/s"), 0o755) })
			step("rmdir in d", func() error { return os.Remove(p.path("d/s")) })
			step("symlink in d", func() error { return os.Symlink("x", p.path("d/l")) })
			step("unlink in d", func() error { return os.Remove(p.path("d/l")) })
			step("mkfifo in d", func() error { return unix.Mkfifo(p.path("d/p"), 0o600) })
			step("unlink in d", func() error { return os.Remove(p.path("d/p")) })
			step("of this device in d", func() error { return os.WriteFile(p.path("d/x.tmp"), nil, 0o644) })
			step("unlink in d", func() error { return os.Remove(p.path("d/x.tmp")) })
			step("set an attribute", func() error { return unix.Setxattr(p.path("f"), "user.a", []byte("b"), 0) })
			step("remove an attribute", func() error { return unix.Removexattr(p.path("f"), "user.a") })
		}},
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// folderRows are about folders.
func folderRows() []posixRow {
	links := func(p *asker, name string) {
		var st unix.Stat_t
		p.say(name+" links", unix.Stat(p.path(name), &st), st.Nlink)
	}
	return []posixRow{
		{name: "links of folders", // not every file system counts them
			want: ". links ok 2\n. links ok 3\n. links ok 4\na links ok 2\na links ok 3\nb links ok 3\na links ok 2\n" +
				". links ok 5\n. links ok 5\n. links ok 4\n. links ok 3\nb links ok 2",
			do: func(p *asker) {
				links(p, ".")
				p.need(os.Mkdir(p.path("a"), 0o755))
				links(p, ".")
				p.need(os.Mkdir(p.path("b"), 0o755))
				links(p, ".")
				links(p, "a")
				p.need(os.Mkdir(p.path("a/sub"), 0o755))
				links(p, "a")
				p.need(os.Rename(p.path("a/sub"), p.path("b/sub")))
				links(p, "b")
				links(p, "a")
				p.need(os.Mkdir(p.path(".git"), 0o755)) // of this device
				links(p, ".")
				p.write("file", "")
				links(p, ".")
				p.need(os.Remove(p.path(".git")))
				links(p, ".")
				p.need(unix.Rename(p.path("a"), p.path("b/sub"))) // over an empty one
				links(p, ".")
				p.need(os.Remove(p.path("b/sub")))
				links(p, "b")
			}},
		{name: "removing folders", do: func(p *asker) {
			p.need(os.MkdirAll(p.path("d/sub"), 0o755))
			p.write("f", "")
			p.write("d/.hidden", "")
			p.write("d/x.tmp", "")
			p.say("not empty", unix.Rmdir(p.path("d")))
			p.say("a file", unix.Rmdir(p.path("f")))
			p.say("nothing", unix.Rmdir(p.path("no")))
			p.say("unlink a folder", unix.Unlink(p.path("d/sub")))
			p.say("sub", unix.Rmdir(p.path("d/sub")), "hidden", os.Remove(p.path("d/.hidden")))
			p.say("with a file of this device", unix.Rmdir(p.path("d")))
			p.say("file", os.Remove(p.path("d/x.tmp")), "folder", unix.Rmdir(p.path("d")))
			p.list(".")
		}},
		{name: "standing in a folder that is gone", do: func(p *asker) {
			p.script(`
import os
os.mkdir("d"); os.chdir("d"); os.rmdir("../d")
def tell(what, f):
    try: print(what, f())
    except OSError as e: print(what, e.strerror)
tell("cwd", os.getcwd)
tell("list", lambda: os.listdir("."))
tell("stat", lambda: os.stat(".").st_nlink)
tell("create", lambda: os.open("f", os.O_CREAT|os.O_WRONLY))
tell("mkdir", lambda: os.mkdir("x"))
tell("symlink", lambda: os.symlink("x", "y"))
tell("up", lambda: os.stat("../d"))
tell("mkfifo", lambda: os.mkfifo("p"))
tell("rename into", lambda: os.rename("/proc/self/cwd/../nothing", "x"))
`)
		}},
		{name: "listing while names come and go", do: func(p *asker) {
			p.need(os.Mkdir(p.path("d"), 0o755))
			for i := range 500 {
				p.write(fmt.Sprintf("d/stays%04d", i), "")
				p.write(fmt.Sprintf("d/goes%04d", i), "")
			}
			fd := p.fd("d", unix.O_RDONLY|unix.O_DIRECTORY)
			seen := map[string]int{}
			buf := make([]byte, 2048)
			for round := 0; ; round++ {
				n, err := unix.Getdents(fd, buf)
				p.need(err)
				if n == 0 {
					break
				}
				_, _, names := unix.ParseDirent(buf[:n], -1, nil)
				for _, name := range names {
					seen[name]++
				}
				if round < 500 {
					os.Remove(p.path(fmt.Sprintf("d/goes%04d", 499-round)))
					p.write(fmt.Sprintf("d/comes%04d", round), "")
				}
			}
			once, twice := 0, 0
			for name, n := range seen {
				if strings.HasPrefix(name, "stays") && n == 1 {
					once++
				}
				if n > 1 {
					twice++
				}
			}
			p.say("what stayed was seen once", once)
			p.say("nothing was seen twice", twice)
			_, err := unix.Seek(fd, 0, 0)
			p.say("rewind", err)
			again := 0
			for {
				n, err := unix.Getdents(fd, buf)
				p.need(err)
				if n == 0 {
					break
				}
				_, _, names := unix.ParseDirent(buf[:n], -1, nil)
				again += len(names)
			}
			entries, err := os.ReadDir(p.path("d"))
			p.say("as many as there are", again == len(entries), err)
		}},
		{name: "telldir and seekdir", do: func(p *asker) {
			p.need(os.Mkdir(p.path("d"), 0o755))
			for i := range 200 {
				p.write(fmt.Sprintf("d/%04d", i), "")
			}
			fd := p.fd("d", unix.O_RDONLY|unix.O_DIRECTORY)
			// The place after each batch, and what came next.
			type mark struct {
				at   int64
				next []string
			}
			var marks []mark
			buf := make([]byte, 1024)
			for {
				at, err := unix.Seek(fd, 0, 1)
				p.need(err)
				n, err := unix.Getdents(fd, buf)
				p.need(err)
				if n == 0 {
					break
				}
				_, _, names := unix.ParseDirent(buf[:n], -1, nil)
				marks = append(marks, mark{at, names})
			}
			p.say("several batches", len(marks) > 3)
			same := true
			for _, m := range slices.Backward(marks) {
				_, err := unix.Seek(fd, m.at, 0)
				p.need(err)
				n, err := unix.Getdents(fd, buf)
				p.need(err)
				_, _, names := unix.ParseDirent(buf[:n], -1, nil)
				n = min(len(names), len(m.next)) // how many come at once may differ
				same = same && n > 0 && slices.Equal(names[:n], m.next[:n])
			}
			p.say("each place leads to the same names", same)
		}},
		{name: "rm -r and find -delete", do: func(p *asker) {
			out := run(p.t, p.dir, "sh", "-c", `for i in 1 2 3 4 5; do for j in 1 2 3 4 5; do mkdir -p a/$i/$j b/$i/$j; for k in 1 2 3; do echo x > a/$i/$j/$k; echo x > b/$i/$j/$k; done; done; done
find a -type f | wc -l; rm -r a; find b -delete; ls -a; cp -a /proc/self/status c 2>/dev/null; mv c d; ls`)
			p.say(out)
		}},
	}
}

// linkRows are about symbolic links. Of those that leave the space see
// TestSymlinks.
func linkRows() []posixRow {
	return []posixRow{
		{name: "symbolic links", do: func(p *asker) {
			p.write("f", "text")
			p.need(os.MkdirAll(p.path("d/e"), 0o755))
			for link, target := range map[string]string{"l": "f", "dl": "d", "d/up": "../f", "d/e/up": "../../f", "self": ".", "far": "./d/e/up", "nowhere": "no/where"} {
				p.say(link, os.Symlink(target, p.path(link)) == nil)
				p.said = p.said[:len(p.said)-1] // maps have no order
			}
			for _, link := range []string{"l", "d/up", "d/e/up", "far", "nowhere", "self/l", "dl/up"} {
				p.say("leads", readlink(p.path(link)))
				p.content(link)
			}
			p.stat("l")
			p.say("mode through it", os.Chmod(p.path("l"), 0o600))
			p.stat("f")
			p.say("empty", unix.Symlink("", p.path("x")))
			p.say("of a file", readlink(p.path("f")))
			p.say("of nothing", readlink(p.path("no")))
			p.say("too long", unix.Symlink(strings.Repeat("x", 4096), p.path("x")))
			p.say("long", unix.Symlink(strings.Repeat("x/", 2000)+"x", p.path("x")))
			p.say("leads far", len(readlink(p.path("x"))))
			buf := make([]byte, 2)
			n, err := unix.Readlink(p.path("d/up"), buf)
			p.say("in a short buffer", n, err)
			p.say("moved", os.Rename(p.path("l"), p.path("m")), readlink(p.path("m")))
			p.say("removed", os.Remove(p.path("dl")))
			p.list("d")
			p.list(".")
		}},
		{name: "forty links", do: func(p *asker) {
			p.write("0", "end")
			for i := range 41 {
				p.need(os.Symlink(fmt.Sprint(i), p.path(fmt.Sprint(i+1))))
			}
			p.content("40")
			p.tryOpen("one more", "41", unix.O_RDONLY)
		}},
		{name: "a link that takes the place of a file", do: func(p *asker) {
			p.write("f", "f")
			p.write("t", "t")
			out := run(p.t, p.dir, "sh", "-c", "ln -sf t f; cat f; ln -sfn t f; readlink f; rm f; cat t; ln -s t f; echo new > f; cat t; sed -i s/new/newer/ f; cat t; readlink f || cat f")
			p.say(out)
		}},
	}
}

// xattrRows are about extended attributes. How many a file can have differs.
func xattrRows() []posixRow {
	set := func(p *asker, what, file, name, value string, flags int) {
		p.say(what, unix.Setxattr(p.path(file), name, []byte(value), flags))
	}
	get := func(p *asker, file, name string) {
		buf := make([]byte, 100)
		n, err := unix.Lgetxattr(p.path(file), name, buf)
		p.say(file+" "+name, err, fmt.Sprintf("%q", buf[:max(n, 0)]))
	}
	list := func(p *asker, file string) {
		buf := make([]byte, 10_000)
		n, err := unix.Llistxattr(p.path(file), buf)
		var names []string
		for _, name := range strings.Split(string(buf[:max(n, 0)]), "\x00") {
			if strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.echofs.") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		p.say(file+" has", err, names)
	}
	basic := `
set ok
f user.a ok "value"
create what is there EEXIST
replace what is not ENODATA
replace ok
create ok
empty ok
f user.a ok "other"
f user.b ok "b"
f user.empty ok ""
f user.no ENODATA ""
short buffer ERANGE
size 5 ok
f has ok [user.a user.b user.empty]
remove ok
remove again ENODATA
f has ok [user.b user.empty]
name of 255 ok
name of 256 ERANGE
nothing ENOENT
no name ENOTSUP
any kind ENOTSUP
a folder ok
d user.a ok "value"
a link's own EPERM
through a link ok
f user.l ok "value"
bytes ok
f user.bytes ok "\x00\xff\n"
flags EINVAL
after a save
f user.b ok "b"
after a rename
g user.b ok "b"
g has ok [user.b user.bytes user.empty user.l user.nnnnn]`
	do := func(p *asker, f, g string) {
		file := func(s string) string { // f and g in what is said
			return strings.NewReplacer(f, "f", g, "g").Replace(s)
		}
		from := len(p.said)
		p.write(f, "text")
		p.need(os.Mkdir(p.path("d"), 0o755))
		p.need(os.Symlink(f, p.path("l")))
		set(p, "set", f, "user.a", "value", 0)
		get(p, f, "user.a")
		set(p, "create what is there", f, "user.a", "x", unix.XATTR_CREATE)
		set(p, "replace what is not", f, "user.b", "x", unix.XATTR_REPLACE)
		set(p, "replace", f, "user.a", "other", unix.XATTR_REPLACE)
		set(p, "create", f, "user.b", "b", unix.XATTR_CREATE)
		set(p, "empty", f, "user.empty", "", 0)
		for _, name := range []string{"a", "b", "empty", "no"} {
			get(p, f, "user."+name)
		}
		_, err := unix.Getxattr(p.path(f), "user.a", make([]byte, 2))
		p.say("short buffer", err)
		n, err := unix.Getxattr(p.path(f), "user.a", nil)
		p.say("size", n, err)
		list(p, f)
		p.say("remove", unix.Removexattr(p.path(f), "user.a"))
		p.say("remove again", unix.Removexattr(p.path(f), "user.a"))
		list(p, f)
		set(p, "name of 255", f, "user."+strings.Repeat("n", 250), "x", 0)
		set(p, "name of 256", f, "user."+strings.Repeat("n", 251), "x", 0)
		set(p, "nothing", "no", "user.a", "x", 0)
		set(p, "no name", f, "user", "x", 0)
		set(p, "any kind", f, "kind.a", "x", 0)
		set(p, "a folder", "d", "user.a", "value", 0)
		get(p, "d", "user.a")
		p.say("a link's own", unix.Lsetxattr(p.path("l"), "user.a", []byte("x"), 0))
		set(p, "through a link", "l", "user.l", "value", 0)
		get(p, f, "user.l")
		set(p, "bytes", f, "user.bytes", "\x00\xff\n", 0)
		get(p, f, "user.bytes")
		set(p, "flags", f, "user.a", "x", 9)
		p.say("after a save")
		p.write(f, "text, edited")
		get(p, f, "user.b")
		p.say("after a rename")
		p.need(os.Rename(p.path(f), p.path(g)))
		get(p, g, "user.b")
		list(p, g)
		for i := from; i < len(p.said); i++ {
			p.said[i] = strings.ReplaceAll(file(p.said[i]), strings.Repeat("n", 250), "nnnnn")
		}
	}
	return []posixRow{
		{name: "extended attributes", want: basic, do: func(p *asker) { do(p, "file", "gile") }},
		{name: "extended attributes of a file of this device", want: basic, do: func(p *asker) { do(p, "x.tmp", "y.tmp") }},
		{name: "as many attributes as there can be",
			want: "largest value ok\ntoo large a value E2BIG\ntoo many ENOSPC\nnone is lost 32\none less ok\none more ok",
			do: func(p *asker) {
				p.write("f", "text")
				set(p, "largest value", "f", "user.large", strings.Repeat("v", 4096), 0)
				set(p, "too large a value", "f", "user.larger", strings.Repeat("v", 4097), 0)
				var err error
				n := 1
				for ; err == nil && n < 1000; n++ {
					err = unix.Setxattr(p.path("f"), fmt.Sprint("user.", n), []byte("v"), 0)
				}
				p.say("too many", err)
				buf := make([]byte, 64<<10)
				size, err := unix.Listxattr(p.path("f"), buf)
				p.need(err)
				p.say("none is lost", strings.Count(strings.ReplaceAll(string(buf[:size]), "user.echofs.", "ours."), "user."))
				p.say("one less", unix.Removexattr(p.path("f"), "user.1"))
				set(p, "one more", "f", "user.again", "v", 0)
			}},
		{name: "what a file is in its space", want: `
user.echofs.id true
user.echofs.version true
user.echofs.status true
user.echofs.authors true
user.echofs.other ENODATA
set ENOTSUP
remove ENOTSUP
copied`,
			do: func(p *asker) {
				p.write("f", "text")
				eventually(p.t, "the file has an ID", func() bool {
					n, err := unix.Getxattr(p.path("f"), "user.echofs.id", make([]byte, 100))
					return err == nil && n > 0
				})
				for _, name := range []string{"id", "version", "status", "authors"} {
					n, err := unix.Getxattr(p.path("f"), "user.echofs."+name, make([]byte, 1000))
					p.need(err)
					p.say("user.echofs."+name, n > 0)
				}
				get2 := func(name string) error {
					_, err := unix.Getxattr(p.path("f"), name, make([]byte, 10))
					return err
				}
				p.say("user.echofs.other", get2("user.echofs.other"))
				set(p, "set", "f", "user.echofs.id", "x", 0)
				p.say("remove", unix.Removexattr(p.path("f"), "user.echofs.id"))
				run(p.t, p.dir, "cp", "-a", "f", "g") // with those that can be set
				p.say("copied")
			}},
	}
}

// nodeRows are about pipes, sockets and devices.
func nodeRows() []posixRow {
	return []posixRow{
		{name: "pipes", do: func(p *asker) {
			p.say("mkfifo", unix.Mkfifo(p.path("p"), 0o640))
			p.stat("p")
			p.script(`
import os, threading
t = threading.Thread(target=lambda: open("p", "w").write("through"))
t.start(); print(open("p").read()); t.join()
try: os.open("p", os.O_WRONLY|os.O_NONBLOCK)
except OSError as e: print(e.strerror)
`)
			p.say("rename", os.Rename(p.path("p"), p.path("q")))
			p.say("chmod", os.Chmod(p.path("q"), 0o600))
			p.stat("q")
			p.write("f", "f")
			p.say("a file over it", os.Rename(p.path("f"), p.path("q")))
			p.content("q")
			p.say("truncate", unix.Truncate(p.path("q"), 0), "gone", os.Remove(p.path("q")))
		}},
		{name: "sockets", do: func(p *asker) {
			// A path of a socket is at most 108 bytes long.
			dir := p.fd(".", unix.O_RDONLY|unix.O_DIRECTORY)
			l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/s", dir))
			p.need(err)
			var st unix.Stat_t
			p.say("socket", unix.Lstat(p.path("s"), &st), fmt.Sprintf("%o", st.Mode&unix.S_IFMT))
			c, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/s", dir))
			p.say("connect", err)
			if err == nil {
				c.Close()
			}
			_, err = unix.Open(p.path("s"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			p.say("open", err)
			p.say("bound twice", errnoName(listen(fmt.Sprintf("/proc/self/fd/%d/s", dir))))
			l.Close()
			p.list(".")
		}},
		{name: "devices", want: "null EPERM\ndisk EPERM\nin . ok \"f\"", do: func(p *asker) {
			p.say("null", unix.Mknod(p.path("null"), unix.S_IFCHR|0o666, 1<<8|3))
			p.say("disk", unix.Mknod(p.path("disk"), unix.S_IFBLK|0o666, 1<<8|3))
			p.need(unix.Mknod(p.path("f"), unix.S_IFREG|0o644, 0))
			p.list(".")
		}},
		{name: "free space", want: "size true\nfree true\nname 255\nas on the disk true\nfstatvfs true", do: func(p *asker) {
			var st, disk unix.Statfs_t
			p.need(unix.Statfs(p.dir, &st))
			p.need(unix.Statfs(os.TempDir(), &disk))
			p.say("size", st.Blocks > 0 && uint64(st.Blocks)*uint64(st.Bsize) == uint64(disk.Blocks)*uint64(disk.Bsize))
			p.say("free", st.Bavail <= st.Bfree && st.Bfree <= st.Blocks)
			p.say("name", st.Namelen)
			// Others use the disk while we look.
			near := func(a, b uint64) bool { return max(a, b)-min(a, b) < 1<<30 }
			p.say("as on the disk", near(uint64(st.Bavail)*uint64(st.Bsize), uint64(disk.Bavail)*uint64(disk.Bsize)))
			p.need(unix.Fstatfs(p.fd(".", unix.O_RDONLY), &disk))
			p.say("fstatvfs", disk.Type == st.Type && disk.Blocks == st.Blocks)
		}},
		{name: "calls about the disk", do: func(p *asker) {
			p.write("f", "text")
			fd, dir := p.fd("f", unix.O_RDWR), p.fd(".", unix.O_RDONLY)
			p.say("fsync", unix.Fsync(fd), unix.Fsync(dir))
			p.say("fdatasync", unix.Fdatasync(fd))
			p.say("syncfs", unix.Syncfs(fd))
			p.say("sync_file_range", unix.SyncFileRange(fd, 0, 0, 2))
			p.say("fadvise", unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL), unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
			p.say("readahead", readahead(fd))
			p.say("access", unix.Access(p.path("f"), unix.R_OK|unix.W_OK), unix.Access(p.path("no"), unix.F_OK))
			p.say("chown to oneself", unix.Chown(p.path("f"), os.Getuid(), os.Getgid()), unix.Chown(p.path("f"), -1, -1), unix.Lchown(p.path("f"), -1, os.Getgid()))
			p.content("f")
		}},
	}
}

func listen(path string) error {
	l, err := net.Listen("unix", path)
	if err == nil {
		l.Close()
	}
	return err
}

func readahead(fd int) error {
	if _, _, e := unix.Syscall(unix.SYS_READAHEAD, uintptr(fd), 0, 4096); e != 0 {
		return e
	}
	return nil
}

// unnamedRows are about files that have no name, and about second names.
func unnamedRows() []posixRow {
	return []posixRow{
		{name: "a file without a name", do: func(p *asker) {
			fd, err := unix.Open(p.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
			p.say("open", err)
			p.need(err)
			p.open = append(p.open, fd)
			p.list(".")
			n, err := unix.Write(fd, []byte("text"))
			p.say("write", n, err)
			var st unix.Stat_t
			p.say("fstat", unix.Fstat(fd, &st), st.Size, st.Nlink, fmt.Sprintf("%o", st.Mode))
			p.contentOf(fd)
			p.say("a name", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p.path("f"), unix.AT_SYMLINK_FOLLOW))
			p.list(".")
			p.stat("f")
			p.content("f")
			n, err = unix.Write(fd, []byte(" and more"))
			p.say("write", n, err)
			p.content("f")
			p.say("a name that is taken", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p.path("f"), unix.AT_SYMLINK_FOLLOW))
		}},
		{name: "a file that never gets a name", do: func(p *asker) {
			fd, err := unix.Open(p.dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
			p.need(err)
			_, err = unix.Write(fd, []byte("text"))
			p.say("write", err)
			p.say("a name", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p.path("f"), unix.AT_SYMLINK_FOLLOW))
			p.say("close", unix.Close(fd))
			p.list(".")
		}},
		{name: "second names are refused", want: `
link EPERM
link of a folder EPERM
over something EEXIST
of nothing ENOENT
in nothing ENOENT
elsewhere EXDEV
of a link EPERM
f mode 100644, size 4, 1 links
in . ok "d" "f" "l"`,
			do: func(p *asker) {
				p.write("f", "text")
				p.need(os.Mkdir(p.path("d"), 0o755))
				p.need(os.Symlink("f", p.path("l")))
				p.say("link", unix.Link(p.path("f"), p.path("g")))
				p.say("link of a folder", unix.Link(p.path("d"), p.path("g")))
				p.say("over something", unix.Link(p.path("f"), p.path("l")))
				p.say("of nothing", unix.Link(p.path("no"), p.path("g")))
				p.say("in nothing", unix.Link(p.path("f"), p.path("no/g")))
				p.say("elsewhere", unix.Link(p.path("f"), filepath.Join(p.t.TempDir(), "g")))
				p.say("of a link", unix.Link(p.path("l"), p.path("g")))
				p.stat("f")
				p.list(".")
			}},
		{name: "programs that give second names",
			want: `
git clone --local 0
2
git status 0
git worktree 0
rsync 0
rsync --link-dest 0
diff 0
ln 1
cp -l 1
ln -s 0
mv 0
mv -n 0
perl -i.bak 0
ONE
one
install 0
tar 2
the rest 0`,
			do: func(p *asker) {
				out := run(p.t, p.dir, "sh", "-c", `exec 2>&1; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a GIT_CONFIG_GLOBAL=/dev/null
say() { what=$1; shift; "$@" >/dev/null 2>&1; echo "$what $?"; }
git init -q -b main src; echo text > src/f; git -C src add f; git -C src commit -qm one
say 'git clone --local' git clone --local src dst
stat -c %h dst/.git/objects/*/* | sort -u
say 'git status' git -C dst diff --exit-code
say 'git worktree' git -C src worktree add ../tree
mkdir a; echo one > a/1; echo two > a/2
say 'rsync' rsync -a a/ b/
say 'rsync --link-dest' rsync -a --link-dest=../b a/ c/
say 'diff' diff -r a c
say 'ln' ln a/1 a/3
say 'cp -l' cp -l a/1 a/3
say 'ln -s' ln -s 1 a/3
say 'mv' mv a/1 a/4
say 'mv -n' mv -n a/4 a/5
say 'perl -i.bak' perl -i.bak -pe s/one/ONE/ a/5
cat a/5 a/5.bak
say 'install' install -m 644 a/5 a/6
python3 -c 'import io, tarfile
t = tarfile.open("t.tar", "w")
for name, kind, to in ("x/1", b"0", ""), ("x/2", b"1", "x/1"), ("x/3", b"0", ""):
    i = tarfile.TarInfo(name); i.type, i.linkname, i.size = kind, to, 5 * (kind == b"0")
    t.addfile(i, io.BytesIO(b"text\n"))
t.close()'
say 'tar' tar xf t.tar
say 'the rest' cmp x/1 x/3`)
				p.said = append(p.said, strings.TrimSpace(out))
			}},
		{name: "second names on this device", do: func(p *asker) {
			p.need(os.Mkdir(p.path(".git"), 0o755))
			p.write(".git/a", "text")
			p.say("link", unix.Link(p.path(".git/a"), p.path(".git/b")))
			p.stat(".git/a")
			p.write(".git/b", "other")
			p.content(".git/a")
			p.say("unlink", os.Remove(p.path(".git/a")))
			p.stat(".git/b")
		}},
	}
}
