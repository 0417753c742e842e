package fusefs

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// holeRows are about room and holes in files.
func holeRows() []posixRow {
	const page = 4096
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	return []posixRow{
		{name: "punch a hole", do: func(p *asker) {
			p.write("f", strings.Repeat("x", 4*page))
			fd := p.fd("f", unix.O_RDWR)
			p.say("within", unix.Fallocate(fd, punch, page, page))
			p.contentOf(fd)
			p.say("not by pages", unix.Fallocate(fd, punch, 100, 50))
			p.contentOf(fd)
			p.say("over the end", unix.Fallocate(fd, punch, 3*page, 10*page))
			p.contentOf(fd)
			p.say("past the end", unix.Fallocate(fd, punch, 100*page, page))
			p.say("sync", unix.Fsync(fd))
			p.stat("f")
			p.content("f")
			p.say("everything", unix.Fallocate(fd, punch, 0, 4*page))
			p.content("f")
		}},
		{name: "punch a hole in a large file", do: func(p *asker) {
			p.write("f", strings.Repeat("x", 3<<20))
			fd := p.fd("f", unix.O_RDWR)
			p.say("punch", unix.Fallocate(fd, punch, 1<<20, 1<<20))
			p.say("close", unix.Close(fd))
			p.open = nil
			p.content("f")
		}},
		{name: "a hole is punched in what others see", do: func(p *asker) {
			p.write("f", strings.Repeat("x", 4*page))
			other := p.fd("f", unix.O_RDONLY)
			p.contentOf(other)
			fd := p.fd("f", unix.O_RDWR)
			p.say("punch", unix.Fallocate(fd, punch, 0, page))
			p.contentOf(other)
		}},
		{name: "punch in a file of this device", do: func(p *asker) {
			p.write("f.tmp", strings.Repeat("x", 4*page))
			fd := p.fd("f.tmp", unix.O_RDWR)
			p.say("punch", unix.Fallocate(fd, punch, 0, page))
			p.contentOf(fd)
			p.content("f.tmp")
		}},
		{name: "write zeros over a range", // not every file system can
			want: "zero ok\nfd holds ok 'x'*10 '\\x00'*10 'x'*80\nkeeping ok\nfd holds ok 'x'*10 '\\x00'*10 'x'*70 '\\x00'*10\n" +
				"longer ok\nf mode 100644, size 200, 1 links\nfd holds ok 'x'*10 '\\x00'*10 'x'*70 '\\x00'*110",
			do: func(p *asker) {
				p.write("f", strings.Repeat("x", 100))
				fd := p.fd("f", unix.O_RDWR)
				p.say("zero", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 10, 10))
				p.contentOf(fd)
				p.say("keeping", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 90, 100))
				p.contentOf(fd)
				p.say("longer", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 90, 110))
				p.stat("f")
				p.contentOf(fd)
			}},
		{name: "ranges that nobody takes out",
			want: "collapse ENOTSUP\ninsert ENOTSUP\npunch with a new size ENOTSUP\nf holds ok 'x'*8192",
			do: func(p *asker) {
				p.write("f", strings.Repeat("x", 2*page))
				fd := p.fd("f", unix.O_RDWR)
				p.say("collapse", unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, page))
				p.say("insert", unix.Fallocate(fd, unix.FALLOC_FL_INSERT_RANGE, 0, page))
				p.say("punch with a new size", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE, 0, page))
				p.content("f")
			}},
		{name: "allocate", do: func(p *asker) {
			p.write("f", "abc")
			fd := p.fd("f", unix.O_RDWR)
			p.say("within", unix.Fallocate(fd, 0, 0, 2))
			p.stat("f")
			p.say("keeping the size", unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100))
			p.stat("f")
			p.say("longer", unix.Fallocate(fd, 0, 1, 9))
			p.stat("f")
			p.contentOf(fd)
			p.say("nothing", unix.Fallocate(fd, 0, 0, 0))
			p.say("before the start", unix.Fallocate(fd, 0, -1, 5))
			p.say("less than nothing", unix.Fallocate(fd, 0, 0, -5))
			p.say("too far", unix.Fallocate(fd, 0, 1<<62, 1<<62))
			p.say("to read", unix.Fallocate(p.fd("f", unix.O_RDONLY), 0, 0, 100))
			p.say("a folder", unix.Fallocate(p.fd(".", unix.O_RDONLY), 0, 0, 100))
		}},
		{name: "more than the disk has", // the machine's own would really be full for a moment
			want: "allocate ENOSPC\nkeeping the size ENOSPC\nof this device ENOSPC\nf mode 100644, size 3, 1 links",
			do: func(p *asker) {
				p.write("f", "abc")
				fd := p.fd("f", unix.O_RDWR)
				p.say("allocate", unix.Fallocate(fd, 0, 0, 1<<43))
				p.say("keeping the size", unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 1<<43))
				p.say("of this device", unix.Fallocate(p.fd("f.tmp", unix.O_RDWR|unix.O_CREAT), 0, 0, 1<<43))
				p.stat("f")
			}},
		{name: "data and holes", do: func(p *asker) {
			p.write("f", strings.Repeat("x", 3*page))
			fd := p.fd("f", unix.O_RDWR)
			for _, whence := range []int{unix.SEEK_DATA, unix.SEEK_HOLE} {
				for _, off := range []int64{0, 1, page, 3*page - 1, 3 * page, 3*page + 1, -1} {
					at, err := unix.Seek(fd, off, whence)
					p.say(fmt.Sprint(whence, " from ", off), at, err)
				}
			}
			_, err := unix.Seek(fd, 0, 77)
			p.say("no such way", err)
		}},
		{name: "sparse file", do: func(p *asker) {
			fd := p.fd("f", unix.O_RDWR|unix.O_CREAT)
			p.say("truncate", unix.Ftruncate(fd, 64<<20))
			n, err := unix.Pwrite(fd, []byte("end"), 64<<20-3)
			p.say("write", n, err)
			p.say("close", unix.Close(fd))
			p.open = nil
			p.stat("f")
			out := run(p.t, p.dir, "sh", "-c", "cp --sparse=always f g && cmp f g && tail -c 3 g")
			p.say("copied", out)
		}},
		{name: "all that is data is found", do: func(p *asker) {
			// Where holes are found is up to the file system; data must not be missed.
			fd := p.fd("f", unix.O_RDWR|unix.O_CREAT)
			const every = 1 << 20
			for i := range int64(4) {
				_, err := unix.Pwrite(fd, []byte("data"), i*every)
				p.need(err)
			}
			seen := 0
			for at := int64(0); ; {
				start, err := unix.Seek(fd, at, unix.SEEK_DATA)
				if err != nil {
					p.say("end", err)
					break
				}
				end, err := unix.Seek(fd, start, unix.SEEK_HOLE)
				p.need(err)
				for i := range int64(4) {
					if start <= i*every && i*every+4 <= end {
						seen++
					}
				}
				at = end
			}
			p.say("seen", seen)
		}},
		{name: "sizes that are too large", // how large a file can be differs
			want: `
negative EINVAL
negative by name EINVAL
largest EFBIG
write at the end of numbers EFBIG
write before the start EINVAL
truncate to read EINVAL
truncate a folder EISDIR
f mode 100644, size 3, 1 links`,
			do: func(p *asker) {
				p.write("f", "abc")
				fd := p.fd("f", unix.O_RDWR)
				p.say("negative", unix.Ftruncate(fd, -1))
				p.say("negative by name", unix.Truncate(p.path("f"), -1))
				p.say("largest", unix.Ftruncate(fd, 1<<63-1))
				_, err := unix.Pwrite(fd, []byte("x"), 1<<63-2)
				p.say("write at the end of numbers", err)
				_, err = unix.Pwrite(fd, []byte("x"), -1)
				p.say("write before the start", err)
				p.say("truncate to read", unix.Ftruncate(p.fd("f", unix.O_RDONLY), 0))
				p.say("truncate a folder", unix.Truncate(p.dir, 0))
				p.stat("f")
			}},
	}
}

// copyRows are about copies inside the kernel.
func copyRows() []posixRow {
	cfr := func(p *asker, what string, from int, off int64, to int, off2 int64, n, flags int) {
		m, err := unix.CopyFileRange(from, &off, to, &off2, n, flags)
		p.say(what, m, err, off, off2)
	}
	return []posixRow{
		{name: "copy_file_range", do: func(p *asker) {
			p.write("a", "0123456789")
			p.write("b", "abcdefghij")
			a, b := p.fd("a", unix.O_RDWR), p.fd("b", unix.O_RDWR)
			cfr(p, "within", a, 2, b, 5, 3, 0)
			p.contentOf(b)
			cfr(p, "to the end", a, 5, b, 8, 100, 0)
			p.contentOf(b)
			cfr(p, "from past the end", a, 50, b, 0, 5, 0)
			cfr(p, "to far past the end", a, 0, b, 50, 5, 0)
			p.contentOf(b)
			cfr(p, "nothing", a, 0, b, 0, 0, 0)
			cfr(p, "flags", a, 0, b, 0, 1, 1)
			cfr(p, "before the start", a, -1, b, 0, 1, 0)
			p.content("a")
			p.content("b")
		}},
		{name: "copy_file_range in one file", do: func(p *asker) {
			p.write("a", "0123456789")
			a, again := p.fd("a", unix.O_RDWR), p.fd("a", unix.O_RDWR)
			cfr(p, "overlapping", a, 0, a, 2, 5, 0)
			cfr(p, "overlapping, opened twice", a, 4, again, 2, 5, 0)
			cfr(p, "apart", a, 0, a, 5, 5, 0)
			p.contentOf(a)
			cfr(p, "after it", a, 0, a, 10, 10, 0)
			p.content("a")
		}},
		{name: "copy_file_range where it cannot", do: func(p *asker) {
			p.write("a", "0123456789")
			p.write("b", "abcdefghij")
			reading, writing := p.fd("a", unix.O_RDONLY), p.fd("b", unix.O_WRONLY)
			cfr(p, "to one that is read", writing, 0, reading, 0, 1, 0)
			cfr(p, "from one that is written", writing, 0, writing, 0, 1, 0)
			cfr(p, "to one that is appended to", reading, 0, p.fd("b", unix.O_RDWR|unix.O_APPEND), 0, 1, 0)
			cfr(p, "from a folder", p.fd(".", unix.O_RDONLY), 0, writing, 0, 1, 0)
			p.content("b")
		}},
		{name: "copy with the kernel", do: func(p *asker) {
			p.write("a", strings.Repeat("0123456789", 50_000))
			p.script(`
import os
a = os.open("a", os.O_RDONLY)
b = os.open("b", os.O_WRONLY|os.O_CREAT|os.O_TRUNC, 0o600)
n = 1
while n: n = os.sendfile(b, a, None, 1 << 20)
os.close(b)
print(open("a", "rb").read() == open("b", "rb").read())
r, w = os.pipe()
a = os.open("a", os.O_RDONLY)
n = os.splice(a, w, 4096)
c = os.open("c", os.O_WRONLY|os.O_CREAT, 0o600)
print(n, os.splice(r, c, 4096))
os.close(c)
print(open("a", "rb").read(4096) == open("c", "rb").read())
`)
			out := run(p.t, p.dir, "sh", "-c", "cp --reflink=auto a d && cmp a d && echo same")
			p.say("cp", out)
		}},
	}
}

// mapRows are about files in memory.
func mapRows() []posixRow {
	mapped := func(p *asker, fd, size, prot, flags int) []byte {
		p.t.Helper()
		m, err := unix.Mmap(fd, 0, size, prot, flags)
		p.need(err)
		return m
	}
	const rw = unix.PROT_READ | unix.PROT_WRITE
	return []posixRow{
		{name: "shared mapping", do: func(p *asker) {
			p.write("f", strings.Repeat("a", 10_000))
			fd := p.fd("f", unix.O_RDWR)
			m := mapped(p, fd, 10_000, rw, unix.MAP_SHARED)
			other := mapped(p, p.fd("f", unix.O_RDONLY), 10_000, unix.PROT_READ, unix.MAP_SHARED)
			copy(m[5000:], "xxx")
			p.contentOf(fd) // read sees what is in memory
			p.say("the other mapping", string(other[4999:5004]))
			n, err := unix.Pwrite(fd, []byte("yyy"), 7000)
			p.say("write", n, err, string(m[6999:7004]), string(other[6999:7004]))
			p.say("msync", unix.Msync(m, unix.MS_SYNC))
			p.content("f")
			copy(m, "zzz")
			p.say("unmap", unix.Munmap(m), unix.Munmap(other))
			p.content("f")
		}},
		{name: "private mapping", do: func(p *asker) {
			p.write("f", strings.Repeat("a", 5000))
			fd := p.fd("f", unix.O_RDONLY)
			m := mapped(p, fd, 5000, rw, unix.MAP_PRIVATE)
			copy(m, "xxx")
			p.contentOf(fd)
			p.say("unmap", unix.Munmap(m))
			p.content("f")
		}},
		{name: "mappings that are refused", do: func(p *asker) {
			p.write("f", "abc")
			_, err := unix.Mmap(p.fd("f", unix.O_RDONLY), 0, 3, rw, unix.MAP_SHARED)
			p.say("to write what is read", err)
			_, err = unix.Mmap(p.fd("f", unix.O_WRONLY), 0, 3, unix.PROT_READ, unix.MAP_SHARED)
			p.say("to read what is written", err)
			_, err = unix.Mmap(p.fd(".", unix.O_RDONLY), 0, 3, unix.PROT_READ, unix.MAP_SHARED)
			p.say("a folder", err)
		}},
		{name: "a mapping outlives the name", do: func(p *asker) {
			p.write("f", strings.Repeat("a", 5000))
			fd := p.fd("f", unix.O_RDWR)
			m := mapped(p, fd, 5000, rw, unix.MAP_SHARED)
			p.say("close", unix.Close(fd))
			p.open = nil
			p.say("unlink", os.Remove(p.path("f")))
			copy(m[10:], "xxx")
			p.say("memory", runs(m))
			p.say("unmap", unix.Munmap(m))
			p.list(".")
		}},
		{name: "a program runs from the mount", do: func(p *asker) {
			out := run(p.t, p.dir, "sh", "-c", "cp /bin/true t && ./t && echo ran && cp /bin/echo e && ./e echoed")
			p.say(out)
			p.script(`
import os, subprocess
subprocess.run(["cp", "/bin/sleep", "s"], check=True)
c = subprocess.Popen(["./s", "1000"])
try:
    os.open("s", os.O_WRONLY)
except OSError as e:
    print(e.strerror)
c.kill(); c.wait()
`)
		}},
	}
}
