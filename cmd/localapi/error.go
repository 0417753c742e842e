package localapi

import (
	"context"
	"errors"
)

// Code says what kind of failure an Error is. The command line turns it into an
// exit code.
type Code string

// The codes, and when they are used.
const (
	Failed      Code = "failed"        // anything else
	Usage       Code = "usage"         // the request itself makes no sense
	NotRunning  Code = "not_running"   // no daemon answers
	NotFound    Code = "not_found"     // no such space, app or invitation
	Busy        Code = "busy"          // the name, port, folder or home is taken
	Refused     Code = "refused"       // not allowed, expired or already used
	Unreachable Code = "unreachable"   // no peer answered in time
	Locked      Code = "locked"        // the keys are locked
	NeedsPIN    Code = "needs_pin"     // the invitation takes a PIN
	WrongPIN    Code = "wrong_pin"     // that was not it, and another try is possible
	Mismatch    Code = "other_version" // command and daemon are of different versions
)

// Error is a failure for a person to read: what went wrong and what to do next.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next,omitempty"` // the next step, a sentence or a command
	Err     error  `json:"-"`              // the cause, on the side where it happened
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// AsError turns any error into an Error; one without a code becomes Failed.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: Unreachable, Message: "no answer in time", Next: "try again", Err: err}
	}
	return &Error{Code: Failed, Message: err.Error(), Err: err}
}
