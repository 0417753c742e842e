package replicate

import "github.com/echofs/echofs/identity"

// Synced is closed once everything is here that the first peer had when it
// connected: for a device that has just joined, the files of the inviter.
func (r *Replicator) Synced() <-chan struct{} { return r.synced }

// aim notes what the first peer has.
func (r *Replicator) aim(has map[identity.ID]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.goal == nil {
		r.goal = make(map[identity.ID]uint64, len(has))
		for feed, seq := range has {
			r.goal[feed] = seq
		}
	}
}

// reached closes synced when the goal is met. It is called after every change.
func (r *Replicator) reached() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.goal == nil || r.met {
		return
	}
	have := r.space.Timeframe()
	for feed, seq := range r.goal {
		if have[feed].Seq < seq {
			return
		}
	}
	r.met = true
	close(r.synced)
}
