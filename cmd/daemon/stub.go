// Package daemon is a stub for the moment.
package daemon

import (
	"context"

	"github.com/echofs/echofs/cmd/localapi"
)

func Run(ctx context.Context, cfg Config, ready func(localapi.Status)) error { panic("soon") }
