package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/echofs/echofs/cmd/localapi"
	"github.com/echofs/echofs/crdt/blob"
)

// maxProblems bounds what is remembered. The oldest are forgotten.
const maxProblems = 50

// problems remembers what `echofs status` should tell of.
type problems struct {
	now func() time.Time

	mu   sync.Mutex // guards list
	list []localapi.Problem
}

// add remembers a problem, or counts it again.
func (p *problems) add(space, message, next string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.list, func(q localapi.Problem) bool { return q.Space == space && q.Message == message })
	q := localapi.Problem{Space: space, Message: message, Next: next}
	if i >= 0 {
		q = p.list[i]
		p.list = slices.Delete(p.list, i, i+1)
	} else if len(p.list) == maxProblems {
		p.list = slices.Delete(p.list, 0, 1)
	}
	q.Time = p.now()
	q.Count++
	p.list = append(p.list, q)
}

// all returns the problems, latest first.
func (p *problems) all() []localapi.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := append([]localapi.Problem{}, p.list...) // [] in JSON, never null
	slices.Reverse(list)
	return list
}

// A watcher is a log handler that makes problems of warnings and errors, so
// that what a part logs once is not lost on people who do not read logs.
type watcher struct {
	slog.Handler
	problems *problems
	space    string      // from an attribute of the logger
	attrs    []slog.Attr // of the logger
}

func (w watcher) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || w.Handler.Enabled(ctx, level)
}

func (w watcher) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var b strings.Builder
		b.WriteString(r.Message)
		for _, a := range w.attrs {
			fmt.Fprintf(&b, ", %s %s", a.Key, a.Value)
		}
		space, next, missing := w.space, "", false
		r.Attrs(func(a slog.Attr) bool {
			if err, ok := a.Value.Any().(error); ok {
				_, is := errors.AsType[blob.ErrMissing](err)
				missing = missing || is
			}
			switch a.Key {
			case "space":
				space = a.Value.String()
			case "stack": // for the log
			default:
				fmt.Fprintf(&b, ", %s %s", a.Key, a.Value)
			}
			return true
		})
		if missing { // one problem, however many pieces
			b.Reset()
			b.WriteString("a file was read that is not all here, and no connected peer has the rest")
			next = "the rest comes when a device that has the file is online"
		}
		w.problems.add(space, b.String(), next)
	}
	if !w.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

func (w watcher) WithAttrs(attrs []slog.Attr) slog.Handler {
	w.Handler = w.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == "space" {
			w.space = a.Value.String()
		} else if a.Key != "part" {
			w.attrs = append(slices.Clip(w.attrs), a)
		}
	}
	return w
}

func (w watcher) WithGroup(name string) slog.Handler {
	w.Handler = w.Handler.WithGroup(name)
	return w
}
