package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers sends what pion logs to slog, all of it at debug level: what
// matters comes back to us as an error.
type loggers struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return logger{l.log.With("pion", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) print(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l logger) Trace(string)                  {}
func (l logger) Tracef(string, ...any)         {}
func (l logger) Debug(string)                  {}
func (l logger) Debugf(string, ...any)         {}
func (l logger) Info(msg string)               { l.print("%s", msg) }
func (l logger) Infof(format string, a ...any) { l.print(format, a...) }
func (l logger) Warn(msg string)               { l.print("%s", msg) }
func (l logger) Warnf(format string, a ...any) { l.print(format, a...) }
func (l logger) Error(msg string)              { l.print("%s", msg) }
func (l logger) Errorf(format string, a ...any) {
	l.print(format, a...)
}
