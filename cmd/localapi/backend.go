package localapi

import "context"

// Backend is what the daemon does for its local clients. Spaces are named by
// their name on this device or by the first digits of their ID.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	// Down asks the daemon to stop. It returns before the daemon has stopped.
	Down(ctx context.Context) error
	SetOnline(ctx context.Context, online bool) (Status, error)

	CreateSpace(ctx context.Context, name string) (Space, error)
	Spaces(ctx context.Context) ([]Space, error)
	Space(ctx context.Context, name string) (Space, error)
	// Rebuild makes the space's files anew from its log.
	Rebuild(ctx context.Context, space string) (Space, error)

	Apps(ctx context.Context) ([]App, error)

	Sharing
	Membership
	History
	HaloBackend
	Cards
	Exporting
	People
}
