package fusefs

// lockRows are about processes that keep each other out.
func lockRows() []posixRow {
	// try prints whether a new process gets a lock; hold starts one that has it.
	const prelude = `
import errno, fcntl, os, struct, subprocess, sys
def lock(fd, cmd, kind, start, n):
    return fcntl.fcntl(fd, cmd, struct.pack("hhqqi4x", kind, 0, start, n, 0))
TRY = '''
import fcntl, os, struct, sys
fd = os.open("f", os.O_RDWR)
try:
    %s
    print("got it")
except OSError as e:
    print(e.strerror)
'''
FLOCK, SHARED = "fcntl.flock(fd, fcntl.LOCK_EX|fcntl.LOCK_NB)", "fcntl.flock(fd, fcntl.LOCK_SH|fcntl.LOCK_NB)"
POSIX = 'fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", %s, 0, %d, %d, 0))'
OFD = 'fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", %s, 0, %d, %d, 0))'
def attempt(what, how):
    r = subprocess.run([sys.executable, "-c", TRY % how], capture_output=True, text=True)
    print(what, r.stdout.strip() or r.stderr)
def holder(how):
    c = subprocess.Popen([sys.executable, "-c", TRY % how + "\nsys.stdout.flush(); sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print("holder", c.stdout.readline().strip())
    return c
open("f", "w").write("x" * 100)
`
	row := func(name, script string) posixRow {
		return posixRow{name: name, do: func(p *asker) { p.script(prelude + script) }}
	}
	return []posixRow{
		row("flock", `
a = os.open("f", os.O_RDWR)
fcntl.flock(a, fcntl.LOCK_SH)
attempt("shared with shared", SHARED)
attempt("exclusive with shared", FLOCK)
fcntl.flock(a, fcntl.LOCK_EX)
attempt("shared with exclusive", SHARED)
attempt("posix with flock", POSIX % ("fcntl.F_WRLCK", 0, 0))
b = os.dup(a)
os.close(a)
attempt("one of two descriptors closed", FLOCK)
os.close(b)
attempt("both closed", FLOCK)
c = holder(FLOCK)
attempt("held", FLOCK)
c.kill(); c.wait()
attempt("killed", FLOCK)
`),
		row("posix locks", `
a = os.open("f", os.O_RDWR)
lock(a, fcntl.F_SETLK, fcntl.F_WRLCK, 10, 10)
attempt("same range", POSIX % ("fcntl.F_WRLCK", 15, 10))
attempt("same range, to read", POSIX % ("fcntl.F_RDLCK", 15, 10))
attempt("other range", POSIX % ("fcntl.F_WRLCK", 20, 10))
lock(a, fcntl.F_SETLK, fcntl.F_RDLCK, 10, 10)
attempt("read with read", POSIX % ("fcntl.F_RDLCK", 15, 10))
attempt("write with read", POSIX % ("fcntl.F_WRLCK", 15, 10))
lock(a, fcntl.F_SETLK, fcntl.F_UNLCK, 12, 2)
attempt("the middle is free", POSIX % ("fcntl.F_WRLCK", 12, 2))
attempt("what is beside is not", POSIX % ("fcntl.F_WRLCK", 12, 3))
os.close(os.open("f", os.O_RDONLY))
attempt("closed once, all are gone", POSIX % ("fcntl.F_WRLCK", 0, 0))
c = holder(POSIX % ("fcntl.F_WRLCK", 0, 0))
attempt("held", POSIX % ("fcntl.F_WRLCK", 0, 1))
r = struct.unpack("hhqqi4x", lock(a, fcntl.F_GETLK, fcntl.F_WRLCK, 5, 5))
print("who", r[0] == fcntl.F_WRLCK, r[2:4], r[4] == c.pid)
c.kill(); c.wait()
attempt("killed", POSIX % ("fcntl.F_WRLCK", 0, 0))
try: lock(os.open("f", os.O_RDONLY), fcntl.F_SETLK, fcntl.F_WRLCK, 0, 0)
except OSError as e: print("to write what is read:", e.strerror)
`),
		row("locks of open files", `
a, b = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
lock(a, 37, fcntl.F_WRLCK, 0, 10)
try: lock(b, 37, fcntl.F_WRLCK, 5, 10)
except OSError as e: print("the same process:", e.strerror)
attempt("another process", OFD % ("fcntl.F_WRLCK", 0, 10))
attempt("by posix", POSIX % ("fcntl.F_WRLCK", 0, 10))
os.close(b)
attempt("after another was closed", OFD % ("fcntl.F_WRLCK", 0, 10))
os.close(a)
attempt("after it was closed", OFD % ("fcntl.F_WRLCK", 0, 10))
c = holder(OFD % ("fcntl.F_WRLCK", 0, 0))
attempt("held", OFD % ("fcntl.F_WRLCK", 0, 10))
c.kill(); c.wait()
attempt("killed", OFD % ("fcntl.F_WRLCK", 0, 10))
`),
		row("a lock is waited for", `
c = holder(POSIX % ("fcntl.F_WRLCK", 0, 0))
w = subprocess.Popen([sys.executable, "-c", TRY % 'fcntl.fcntl(fd, fcntl.F_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))'], stdout=subprocess.PIPE, text=True)
c.kill(); c.wait()
print("waited", w.communicate()[0].strip())
`),
		row("a lock while the file is written", `
c = holder(FLOCK)
with open("f", "a") as g: g.write("more")
attempt("written", FLOCK)
os.rename("f", "g")
os.rename("g", "f")
attempt("renamed", FLOCK)
c.kill(); c.wait()
open("g", "w").write("new")
c = holder(FLOCK)
os.rename("g", "f")
attempt("replaced", FLOCK)
c.kill(); c.wait()
`),
	}
}
