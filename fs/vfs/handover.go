package vfs

// Publish hands to a space at once what is held back for it: fresh files,
// removals and moves. For whoever is about to be shown the space as it is.
func (f *FS) Publish(name string) error {
	if v := f.volume(name); v != nil {
		return v.publish(true)
	}
	return nil
}
