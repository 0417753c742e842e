package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// nameRows are about what a name may be.
func nameRows() []posixRow {
	long, longer := strings.Repeat("n", 255), strings.Repeat("n", 256)
	return []posixRow{
		{name: "names of 255 and 256 bytes", do: func(p *asker) {
			p.write("f", "text")
			for _, name := range []string{long, longer, strings.Repeat("é", 127) + "x", strings.Repeat("é", 128)} {
				n := len(name)
				p.tryOpen(fmt.Sprint("create ", n), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
				p.say(fmt.Sprint("stat ", n), unix.Stat(p.path(name), &unix.Stat_t{}))
				p.say(fmt.Sprint("unlink ", n), unix.Unlink(p.path(name)))
				p.say(fmt.Sprint("mkdir ", n), unix.Mkdir(p.path(name), 0o755))
				p.say(fmt.Sprint("rmdir ", n), unix.Rmdir(p.path(name)))
				p.say(fmt.Sprint("symlink ", n), unix.Symlink("f", p.path(name)))
				p.say(fmt.Sprint("unlink ", n), unix.Unlink(p.path(name)))
				p.say(fmt.Sprint("mkfifo ", n), unix.Mkfifo(p.path(name), 0o644))
				p.say(fmt.Sprint("unlink ", n), unix.Unlink(p.path(name)))
				p.say(fmt.Sprint("rename ", n), unix.Rename(p.path("f"), p.path(name)))
				p.say(fmt.Sprint("rename back ", n), unix.Rename(p.path(name), p.path("f")))
			}
			p.say("link", unix.Link(p.path("f"), p.path(longer)))
			p.list(".")
		}},
		{name: "paths of 4095 and 4096 bytes", do: func(p *asker) {
			// The folders are made one below the other; then a path from the
			// deepest but one is as long as a path can be.
			fd := p.fd(".", unix.O_RDONLY|unix.O_DIRECTORY)
			part := strings.Repeat("d", 200)
			top := fd
			for range 25 {
				p.need(unix.Mkdirat(fd, part, 0o755))
				next, err := unix.Openat(fd, part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
				p.need(err)
				p.open = append(p.open, next)
				fd = next
			}
			file, err := unix.Openat(fd, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
			p.need(err)
			n, err := unix.Write(file, []byte("deep"))
			p.say("write", n, err, unix.Close(file))
			path := strings.Repeat(part+"/", 20)
			for _, n := range []int{4095, 4096, 4097} {
				long := strings.Repeat("./", (n-len(path))/2) + path
				long = long + strings.Repeat("/", n-len(long))
				p.say(fmt.Sprint("stat ", n), unix.Fstatat(top, long, &unix.Stat_t{}, 0))
				p.say(fmt.Sprint("mkdir ", n), unix.Mkdirat(top, long, 0o755))
			}
			var st unix.Stat_t
			p.say("fstat", unix.Fstatat(fd, "f", &st, 0), st.Size)
			out := run(p.t, p.dir, "sh", "-c", "find . -type f | wc -c; rm -r d*; ls | wc -l")
			p.say(strings.Join(strings.Fields(strings.ReplaceAll(out, p.dir, "")), " "))
		}},
		{name: "names of any bytes", do: func(p *asker) {
			names := []string{
				"\xff\xfe", "latin\xe9", "new\nline", "tab\t", "back\\slash", "a:b", "con", "nul.txt", "trailing ", "trailing.", " ",
				"*", "?", "\"", "'", "|", "<>", "\x01", "\x7f", "...", "-rf", "~", "a\u202eb", "\u200b", "😀", "\ufeffbom", "%2f", "a (conflict 1a2b3c).txt",
			}
			for _, name := range names {
				p.say(fmt.Sprintf("%q", name), os.WriteFile(p.path(name), []byte(name), 0o644))
			}
			p.list(".")
			for _, name := range names {
				data, err := os.ReadFile(p.path(name))
				p.say(fmt.Sprintf("%q", name), err, string(data) == name)
				p.say("moved", os.Rename(p.path(name), p.path("x"+name)), unix.Mkdir(p.path(name), 0o755), os.Remove(p.path(name)))
			}
			p.list(".")
		}},
		{name: "one letter written in two ways", do: func(p *asker) {
			// é in one code point and in two; capitals and small letters.
			for _, name := range []string{"caf\u00e9", "cafe\u0301", "Readme", "README", "readme", "ß", "SS", "ss", "\u212b", "\u00c5", "A\u030a"} {
				p.say(fmt.Sprintf("%+q", name), os.WriteFile(p.path(name), []byte(name), 0o644))
			}
			p.list(".")
			p.content("caf\u00e9")
			p.content("cafe\u0301")
			p.say("rename over the twin", os.Rename(p.path("Readme"), p.path("README")))
			p.content("README")
			p.say("unlink one", os.Remove(p.path("caf\u00e9")))
			p.list(".")
		}},
		{name: "names that lead elsewhere", do: func(p *asker) {
			p.write("f", "text")
			p.need(os.Mkdir(p.path("d"), 0o755))
			dir := p.fd(".", unix.O_RDONLY|unix.O_DIRECTORY)
			p.say("mkdir .", unix.Mkdirat(dir, ".", 0o755))
			p.say("mkdir ..", unix.Mkdirat(dir, "..", 0o755))
			p.say("mkdir empty", unix.Mkdirat(dir, "", 0o755))
			p.say("rmdir .", unix.Unlinkat(dir, ".", unix.AT_REMOVEDIR))
			p.say("rmdir d/.", unix.Rmdir(p.dir+"/d/."))
			p.say("rmdir d/..", unix.Rmdir(p.dir+"/d/.."))
			p.say("rename .", unix.Renameat(dir, ".", dir, "e"))
			p.say("rename ..", unix.Renameat(dir, "d/..", dir, "e"))
			p.say("file as a folder", unix.Fstatat(dir, "f/x", &unix.Stat_t{}, 0))
			p.say("file with a slash", unix.Fstatat(dir, "f/", &unix.Stat_t{}, 0))
			_, err := unix.Openat(dir, "new/", unix.O_CREAT|unix.O_WRONLY, 0o644)
			p.say("create with a slash", err)
			p.say("rename with a slash", unix.Renameat(dir, "f", dir, "g/"))
			p.say("rename a folder with a slash", unix.Renameat(dir, "d/", dir, "e/"))
			p.say("mkdir with a slash", unix.Mkdirat(dir, "x/", 0o755))
			p.say("unlink with a slash", unix.Unlinkat(dir, "f/", 0))
			p.say("in nothing", unix.Mkdirat(dir, "no/x", 0o755))
			p.list(".")
		}},
		{name: "making what is there", do: func(p *asker) {
			p.write("f", "text")
			p.need(os.Mkdir(p.path("d"), 0o755))
			p.need(os.Symlink("nowhere", p.path("l")))
			p.need(unix.Mkfifo(p.path("p"), 0o644))
			p.write("s.tmp", "text") // of this device
			for _, name := range []string{"f", "d", "l", "p", "s.tmp"} {
				p.say(name, unix.Mkdir(p.path(name), 0o755), unix.Symlink("x", p.path(name)),
					unix.Mkfifo(p.path(name), 0o644), unix.Mknod(p.path(name), unix.S_IFREG|0o644, 0), unix.Link(p.path("f"), p.path(name)))
				p.tryOpen("exclusively", name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
			}
			p.list(".")
		}},
	}
}

// openRows are about opening, and about files whose name goes.
func openRows() []posixRow {
	return []posixRow{
		{name: "flags of open", do: func(p *asker) {
			p.write("f", "text")
			p.need(os.Mkdir(p.path("d"), 0o755))
			p.need(os.Symlink("f", p.path("l")))
			p.need(os.Symlink("nowhere", p.path("dangling")))
			p.need(os.Symlink("loop", p.path("loop")))
			p.tryOpen("nothing", "no", unix.O_RDONLY)
			p.tryOpen("a folder to write", "d", unix.O_WRONLY)
			p.tryOpen("a folder to create", "d", unix.O_RDONLY|unix.O_CREAT)
			p.tryOpen("a folder to truncate", "d", unix.O_RDONLY|unix.O_TRUNC)
			p.tryOpen("a file as a folder", "f", unix.O_RDONLY|unix.O_DIRECTORY)
			p.tryOpen("a link", "l", unix.O_RDONLY)
			p.tryOpen("a link itself", "l", unix.O_RDONLY|unix.O_NOFOLLOW)
			p.tryOpen("a loop", "loop", unix.O_RDONLY)
			p.tryOpen("through a link", "l", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
			p.tryOpen("dangling, exclusively", "dangling", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
			p.tryOpen("dangling", "dangling", unix.O_RDONLY)
			p.tryOpen("dangling, to create", "dangling", unix.O_WRONLY|unix.O_CREAT)
			p.tryOpen("only the path", "f", unix.O_PATH)
			p.tryOpen("synchronous", "f", unix.O_WRONLY|unix.O_SYNC)
			p.tryOpen("without access time", "f", unix.O_RDONLY|unix.O_NOATIME)
			p.tryOpen("to read, truncating", "f", unix.O_RDONLY|unix.O_TRUNC)
			p.content("f")
			p.list(".")
		}},
		{name: "reading and writing what is not open for it", do: func(p *asker) {
			p.write("f", "text")
			r, w, d := p.fd("f", unix.O_RDONLY), p.fd("f", unix.O_WRONLY), p.fd(".", unix.O_RDONLY)
			buf := make([]byte, 10)
			_, err := unix.Read(w, buf)
			p.say("read", err)
			_, err = unix.Write(r, buf)
			p.say("write", err)
			_, err = unix.Read(d, buf)
			p.say("read a folder", err)
			n, err := unix.Pread(r, buf, 4)
			p.say("read at the end", n, err)
			n, err = unix.Pread(r, buf, 400)
			p.say("read past the end", n, err)
			_, err = unix.Pread(r, buf, -1)
			p.say("read before the start", err)
			n, err = unix.Write(w, nil)
			p.say("write nothing", n, err)
			n, err = unix.Pwrite(w, nil, 100)
			p.say("write nothing far away", n, err)
			n, err = unix.Preadv(r, [][]byte{buf[:1], buf[1:3], buf[3:]}, 0)
			p.say("read in pieces", n, err, string(buf[:n]))
			n, err = unix.Pwritev(w, [][]byte{[]byte("a"), []byte("bc"), []byte("def")}, 1)
			p.say("write in pieces", n, err)
			p.content("f")
		}},
		{name: "append and truncate", do: func(p *asker) {
			p.write("f", "old\n")
			fd := p.fd("f", unix.O_WRONLY|unix.O_APPEND)
			other := p.fd("f", unix.O_WRONLY|unix.O_APPEND)
			for i := range 3 {
				_, err := fmt.Fprintln(os.NewFile(uintptr(dup(p, fd)), "fd"), "one", i)
				p.need(err)
				_, err = unix.Write(other, []byte("two\n"))
				p.need(err)
			}
			p.content("f")
			n, err := unix.Pwrite(fd, []byte("pwrite\n"), 0)
			p.say("pwrite", n, err)
			at, err := unix.Seek(fd, 0, 0)
			p.say("seek", at, err)
			n, err = unix.Write(fd, []byte("seek\n"))
			p.say("write", n, err)
			at, err = unix.Seek(fd, 0, 1)
			p.say("where", at, err)
			data, err := os.ReadFile(p.path("f"))
			p.say(string(data), err)
			p.say("truncate", unix.Ftruncate(fd, 4))
			_, err = unix.Write(other, []byte("after\n"))
			p.say("write", err)
			p.content("f")
			both := p.fd("f", unix.O_RDWR|unix.O_APPEND|unix.O_TRUNC)
			p.content("f")
			_, err = unix.Write(both, []byte("new\n"))
			p.say("write", err)
			_, err = unix.Write(fd, []byte("first\n"))
			p.say("write", err)
			p.contentOf(both)
			_, err = unix.FcntlInt(uintptr(both), unix.F_SETFL, 0)
			p.say("append no more", err)
			n, err = unix.Pwrite(both, []byte("N"), 0)
			p.say("pwrite", n, err)
			p.content("f")
		}},
		{name: "unlink while open", do: func(p *asker) {
			p.write("f", "text")
			fd := p.fd("f", unix.O_RDWR)
			p.say("unlink", unix.Unlink(p.path("f")))
			p.list(".")
			p.contentOf(fd)
			var st unix.Stat_t
			p.say("fstat", unix.Fstat(fd, &st), st.Size, st.Nlink)
			n, err := unix.Pwrite(fd, []byte("more"), 4)
			p.say("write", n, err)
			p.say("truncate", unix.Ftruncate(fd, 6))
			p.contentOf(fd)
			p.write("f", "another")
			var st2 unix.Stat_t
			p.need(unix.Stat(p.path("f"), &st2))
			p.say("another file", st.Ino != st2.Ino)
			p.contentOf(fd)
			again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			p.say("opened once more", err)
			p.open = append(p.open, again)
			p.contentOf(again)
			p.say("mode", unix.Fchmod(fd, 0o600), "sync", unix.Fsync(fd), "lock", unix.Flock(fd, unix.LOCK_EX))
			p.say("fstat", unix.Fstat(fd, &st), fmt.Sprintf("%o", st.Mode), st.Size, st.Nlink)
			p.say("close", unix.Close(fd))
			p.contentOf(again)
			p.open = p.open[1:]
			p.content("f")
		}},
		{name: "rename over an open file", do: func(p *asker) {
			p.write("f", "old text")
			p.write("new", "new text")
			reader, writer := p.fd("f", unix.O_RDONLY), p.fd("f", unix.O_RDWR)
			p.say("rename", unix.Rename(p.path("new"), p.path("f")))
			p.content("f")
			p.contentOf(reader)
			p.contentOf(writer)
			var st unix.Stat_t
			p.say("fstat", unix.Fstat(reader, &st), st.Size, st.Nlink)
			n, err := unix.Pwrite(writer, []byte("OLD"), 0)
			p.say("write to what is gone", n, err)
			p.contentOf(reader)
			p.say("close", unix.Close(writer))
			p.open = p.open[:1]
			p.content("f")
		}},
		{name: "umask", do: func(p *asker) {
			out := run(p.t, p.dir, "sh", "-c", `umask 027; touch f f.tmp; mkdir d .git; mkfifo p; ln -s f l; umask 0; touch g; mkdir e; umask 0777; touch h; mkdir i
stat -c '%A %n' f f.tmp d .git p g e h i; python3 -c 'import os; os.umask(0o077); os.close(os.open("j", os.O_CREAT|os.O_WRONLY, 0o7777)); os.mkdir("k", 0o7777)'; stat -c '%a %n' j k; chmod 7777 j; stat -c %a j; chmod 644 h; chmod 755 i; ls`)
			p.say(out)
		}},
		{name: "create without permissions", do: func(p *asker) {
			fd, err := unix.Open(p.path("f"), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o000)
			p.say("create", err)
			n, err := unix.Write(fd, []byte("text"))
			p.say("write", n, err, unix.Close(fd))
			p.stat("f")
		}},
		{name: "mode of a new file", do: func(p *asker) {
			for _, mode := range []uint32{0o400, 0o444, 0o600, 0o640, 0o700, 0o711, 0o755} {
				name := fmt.Sprintf("%o", mode)
				fd, err := unix.Open(p.path(name), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
				p.need(err)
				p.need(unix.Close(fd))
				p.stat(name)
				p.say("mkdir", unix.Mkdir(p.path("d"+name), mode))
				p.stat("d" + name)
			}
			p.need(os.Chmod(p.path("d400"), 0o700))
			p.need(os.Chmod(p.path("d444"), 0o700))
		}},
		{name: "two descriptors of one open file", do: func(p *asker) {
			fd := p.fd("f", unix.O_RDWR|unix.O_CREAT)
			two := dup(p, fd)
			p.open = append(p.open, two)
			unix.Write(fd, []byte("one "))
			p.say("close one", unix.Close(fd))
			p.open = p.open[1:]
			n, err := unix.Write(two, []byte("two"))
			p.say("write by the other", n, err)
			p.content("f")
		}},
		{name: "a temporary file by O_EXCL in a race", do: func(p *asker) {
			p.script(`
import os, threading
won = []
def take():
    try:
        os.close(os.open("lock", os.O_CREAT|os.O_EXCL|os.O_WRONLY)); won.append(1)
    except FileExistsError: pass
t = [threading.Thread(target=take) for _ in range(16)]
[x.start() for x in t]; [x.join() for x in t]
print(len(won))
won.clear()
def make():
    try: os.mkdir("d"); won.append(1)
    except FileExistsError: pass
t = [threading.Thread(target=make) for _ in range(16)]
[x.start() for x in t]; [x.join() for x in t]
print(len(won))
`)
		}},
	}
}

func dup(p *asker, fd int) int {
	p.t.Helper()
	two, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	p.need(err)
	return two
}

// renameRows are about renameat2.
func renameRows() []posixRow {
	rename := func(p *asker, from, to string, flags uint) {
		what := fmt.Sprintf("%s to %s with %d", from, to, flags)
		p.say(what, unix.Renameat2(unix.AT_FDCWD, p.path(from), unix.AT_FDCWD, p.path(to), flags))
	}
	setup := func(p *asker) {
		p.write("f", "ff")
		p.write("g", "g")
		for _, d := range []string{"d", "e", "full/x"} {
			p.need(os.MkdirAll(p.path(d), 0o755))
		}
		p.write("full/x/y", "y")
		p.need(os.Symlink("f", p.path("l")))
	}
	show := func(p *asker) {
		p.need(filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
			p.need(err)
			rel, _ := filepath.Rel(p.dir, path)
			if rel != "." {
				p.stat(rel)
			}
			return nil
		}))
	}
	return []posixRow{
		{name: "rename over something", do: func(p *asker) {
			setup(p)
			rename(p, "f", "f", 0)
			rename(p, "no", "f", 0)
			rename(p, "f", "no/f", 0)
			rename(p, "f", "d", 0)
			rename(p, "d", "f", 0)
			rename(p, "d", "full", 0)
			rename(p, "d", "d/sub", 0)
			rename(p, "full", "full/x/z", 0)
			rename(p, "full/x", "full", 0)
			rename(p, "d", "e", 0)
			rename(p, "l", "g", 0)
			rename(p, "f", "l", 0)
			show(p)
			p.say("g leads", readlink(p.path("g")))
		}},
		{name: "rename without replacing", do: func(p *asker) {
			setup(p)
			rename(p, "f", "g", unix.RENAME_NOREPLACE)
			rename(p, "f", "f", unix.RENAME_NOREPLACE)
			rename(p, "f", "d", unix.RENAME_NOREPLACE)
			rename(p, "d", "e", unix.RENAME_NOREPLACE)
			rename(p, "f", "new", unix.RENAME_NOREPLACE)
			rename(p, "full", "other", unix.RENAME_NOREPLACE)
			show(p)
		}},
		{name: "exchange", do: func(p *asker) {
			setup(p)
			rename(p, "f", "g", unix.RENAME_EXCHANGE)
			p.content("f")
			rename(p, "f", "no", unix.RENAME_EXCHANGE)
			rename(p, "d", "full", unix.RENAME_EXCHANGE)
			show(p)
			rename(p, "e", "f", unix.RENAME_EXCHANGE) // file and folder
			rename(p, "l", "d", unix.RENAME_EXCHANGE)
			show(p)
			rename(p, "full", "full", unix.RENAME_EXCHANGE)
			rename(p, "d", "d/x", unix.RENAME_EXCHANGE)
		}},
		{name: "exchange with a file of this device", do: func(p *asker) {
			p.write("f", "shared")
			p.write("f.tmp", "of this device")
			rename(p, "f", "f.tmp", unix.RENAME_EXCHANGE)
			p.content("f")
			p.content("f.tmp")
			p.write("g.tmp", "g")
			rename(p, "f.tmp", "g.tmp", unix.RENAME_EXCHANGE)
			p.content("f.tmp")
			p.content("g.tmp")
			rename(p, "g.tmp", "f.tmp", unix.RENAME_NOREPLACE)
			p.list(".")
		}},
		{name: "exchange with what was just made", do: func(p *asker) {
			setup(p)
			for _, other := range []string{"g", "d", "l"} {
				p.write("new", "just made")
				rename(p, "new", other, unix.RENAME_EXCHANGE)
				p.say("now", readlink(p.path("new")))
				p.stat("new")
				p.stat(other)
				p.content(other)
				p.need(os.RemoveAll(p.path("new")))
			}
		}},
		{name: "flags of rename that cannot be", // not every file system leaves something behind
			want: "f to g with 4 EINVAL\nf to g with 3 EINVAL\nf to g with 8 EINVAL\nin . ok \"f\"",
			do: func(p *asker) {
				p.write("f", "f")
				rename(p, "f", "g", unix.RENAME_WHITEOUT)
				rename(p, "f", "g", unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE)
				rename(p, "f", "g", 8)
				p.list(".")
			}},
		{name: "rename out of the file system", want: "f EXDEV\nd EXDEV", do: func(p *asker) {
			// Two mounts on one machine; a temporary folder is on another file system.
			p.write("f", "f")
			p.need(os.Mkdir(p.path("d"), 0o755))
			out := p.t.TempDir()
			p.say("f", unix.Rename(p.path("f"), filepath.Join(out, "f")))
			p.say("d", unix.Rename(p.path("d"), filepath.Join(out, "d")))
		}},
	}
}

func readlink(path string) string {
	target, err := os.Readlink(path)
	var e syscall.Errno
	if err != nil {
		e, _ = err.(*os.PathError).Err.(syscall.Errno)
		return unix.ErrnoName(e)
	}
	return target
}
