package vfs

import (
	"fmt"
	"hash/fnv"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// A Picture is a file in `.space/people`.
type Picture struct {
	Name string
	Data []byte // which nobody changes
}

// peopleFolder is `.space/people`, the pictures of the members.
type peopleFolder struct {
	space    *space.Space
	pictures func(*space.Space) []Picture
	began    time.Time
}

func (d *peopleFolder) key() string                     { return "people" }
func (d *peopleFolder) dir() bool                       { return true }
func (d *peopleFolder) renew(virtual)                   {}
func (d *peopleFolder) stat() (int64, time.Time, error) { return 0, d.began, nil }
func (d *peopleFolder) open() (*space.Snapshot, error)  { return nil, syscall.EISDIR }

func (d *peopleFolder) list() ([]virtualEntry, error) {
	pictures := d.pictures(d.space)
	out := make([]virtualEntry, len(pictures))
	for i, p := range pictures {
		out[i] = virtualEntry{p.Name, &pictureFile{p, d.began}}
	}
	return out, nil
}

func (d *peopleFolder) child(name string) (virtual, error) {
	entries, err := d.list()
	if err != nil {
		return nil, err
	}
	return pick(entries, name)
}

// pictureFile is one of them. Another picture of the same name is another file.
type pictureFile struct {
	picture Picture
	began   time.Time
}

func (f *pictureFile) key() string {
	h := fnv.New64a()
	h.Write(f.picture.Data)
	return fmt.Sprintf("people/%s/%x", f.picture.Name, h.Sum64())
}

func (f *pictureFile) dir() bool     { return false }
func (f *pictureFile) renew(virtual) {}

func (f *pictureFile) stat() (int64, time.Time, error) {
	return int64(len(f.picture.Data)), f.began, nil
}

func (f *pictureFile) list() ([]virtualEntry, error) { return nil, syscall.ENOTDIR }

func (f *pictureFile) child(string) (virtual, error) { return nil, syscall.ENOTDIR }

func (f *pictureFile) open() (*space.Snapshot, error) {
	return space.Made(f.key(), f.picture.Data), nil
}
