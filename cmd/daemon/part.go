package daemon

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// start runs a part of the daemon in a goroutine until the returned stop is
// called; stop waits for it. A part that ends early, or panics, ends the
// daemon: fail is called with the reason, and everything is closed in order,
// so that not even a panic leaves a mount behind.
func start(ctx context.Context, name string, fail func(error), run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := guarded(ctx, run)
		switch {
		case ctx.Err() == nil && err == nil:
			fail(fmt.Errorf("%s: ended by itself", name))
		case err != nil && !errors.Is(err, context.Canceled):
			fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// guarded turns a panic of run into an error.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx)
}
