package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A copier copies a folder of the mount as it is shown: files, folders, links
// within it, permissions, times and user.* attributes. What cannot be read is
// left out and counted, because a file may not be all here yet.
type copier struct {
	progress func(string)
	files    int
	failed   []string // relative paths
	first    error    // why the first of them
}

// copy copies what is in src into dst, which exists. It ends early with ctx, or
// when dst takes no more.
func (c *copier) copy(ctx context.Context, src, dst string) error {
	var folders []string // to get their times last
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, relErr := filepath.Rel(src, path)
		if relErr != nil || rel == "." {
			return errors.Join(err, relErr)
		}
		if err != nil {
			c.fail(rel, err)
			return nil
		}
		if strings.HasPrefix(rel+"/", ".space/") {
			return fs.SkipDir
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			folders = append(folders, rel)
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				c.fail(rel, err)
				return nil
			}
			c.files++
			return os.Symlink(target, to)
		case !d.Type().IsRegular():
			return nil // pipes and sockets stay on their device
		}
		return c.file(path, to, rel)
	})
	for i := len(folders) - 1; i >= 0; i-- {
		if info, statErr := os.Lstat(filepath.Join(src, folders[i])); statErr == nil {
			to := filepath.Join(dst, folders[i])
			_ = os.Chmod(to, info.Mode().Perm()|0o200) // how it looks; the copy must stay usable
			_ = os.Chtimes(to, time.Time{}, info.ModTime())
		}
	}
	return err
}

// file copies one file. An error means that dst takes no more.
func (c *copier) file(src, dst, rel string) error {
	in, err := os.Open(src)
	if err != nil {
		c.fail(rel, err)
		return nil
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		c.fail(rel, err)
		return nil
	}
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	from := &reader{in: in}
	_, err = io.Copy(out, from)
	if from.err != nil {
		c.fail(rel, from.err)
		return errors.Join(out.Close(), os.Remove(dst))
	}
	attributes(in, out)
	err = errors.Join(err, out.Chmod(info.Mode().Perm()|0o200), out.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", dst, err)
	}
	_ = os.Chtimes(dst, time.Time{}, info.ModTime()) // how it looks
	c.files++
	if c.progress != nil && c.files%100 == 0 {
		c.progress(fmt.Sprintf("%d files copied", c.files))
	}
	return nil
}

func (c *copier) fail(rel string, err error) {
	if c.first == nil {
		c.first = err
	}
	c.failed = append(c.failed, rel)
}

// A reader tells errors of reading from those of writing.
type reader struct {
	in  io.Reader
	err error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// attributes copies user.* attributes, as far as both file systems know them.
func attributes(in, out *os.File) {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(in.Fd()), names)
	if err != nil {
		return
	}
	value := make([]byte, 64<<10)
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		if n, err := unix.Fgetxattr(int(in.Fd()), name, value); err == nil {
			_ = unix.Fsetxattr(int(out.Fd()), name, value[:n], 0)
		}
	}
}
