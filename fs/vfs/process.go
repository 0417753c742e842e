package vfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// proc names a process for as long as the machine runs: numbers are used again,
// start times are not. The zero proc is the kernel or somebody unknown.
type proc struct {
	pid   uint32
	start uint64
}

// processes maps the thread IDs that the kernel gives to processes.
type processes struct {
	now    func() time.Time
	custom func(tid uint32) uint32 // nil: ask /proc

	mu    sync.Mutex // guards the field below
	known map[uint32]knownProc
}

type knownProc struct {
	proc proc
	at   time.Time
}

const (
	// procFresh is how long an answer of /proc is believed: much shorter than
	// it takes to go once through all process numbers.
	procFresh = time.Second
	procKept  = 1024 // answers kept before all are forgotten
)

func (p *processes) of(tid uint32) proc {
	if tid == 0 {
		return proc{}
	}
	if p.custom != nil {
		return proc{pid: p.custom(tid)}
	}
	now := p.now()
	p.mu.Lock()
	k, ok := p.known[tid]
	p.mu.Unlock()
	if ok && now.Sub(k.at) < procFresh {
		return k.proc
	}
	who := proc{pid: groupOf(tid)}
	who.start = startOf(who.pid)
	p.mu.Lock()
	if p.known == nil || len(p.known) >= procKept {
		p.known = map[uint32]knownProc{}
	}
	p.known[tid] = knownProc{who, now}
	p.mu.Unlock()
	return who
}

// real reports whether /proc knows the processes.
func (p *processes) real() bool { return p.custom == nil }

// alive reports whether the process still runs.
func (p *processes) alive(who proc) bool {
	return !p.real() || startOf(who.pid) == who.start
}

// groupOf is the process of a thread; an unknown thread is its own.
func groupOf(tid uint32) uint32 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return tid
	}
	_, rest, ok := bytes.Cut(status, []byte("\nTgid:"))
	if !ok {
		return tid
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 32)
	if err != nil {
		return tid
	}
	return uint32(n)
}

// startOf is when a process started, in clock ticks since boot; 0 if it is gone.
func startOf(pid uint32) uint64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, second field, is in parentheses and may hold anything.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return n
}
