package fusefs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// burst makes a few changes in a folder. With files, some of them are made,
// renamed, replaced and removed; else there are only edits of files, and folders.
func burst(dir string, r *rand.Rand, changes int, files bool) {
	folder := func() string { return filepath.Join(dir, fmt.Sprint("d", r.IntN(6))) }
	file := func() string { return filepath.Join(dir, fmt.Sprint("f", r.IntN(4))) }
	kinds := 4
	if files {
		kinds = 7
	}
	for i := range changes {
		switch r.IntN(kinds) {
		case 0:
			os.Mkdir(folder(), 0o755)
		case 1:
			os.Rename(folder(), folder())
		case 2:
			os.Remove(folder())
		case 3:
			if f, err := os.OpenFile(file(), os.O_WRONLY|os.O_CREATE, 0o644); err == nil {
				fmt.Fprintf(f, "text %d\n", i)
				f.Close()
			}
		case 4:
			os.Remove(file())
		case 5:
			os.Rename(file(), file())
		case 6:
			tmp := file() + ".tmp"
			os.WriteFile(tmp, fmt.Appendf(nil, "saved %d\n", i), 0o644)
			if os.Rename(tmp, file()) != nil {
				os.Remove(tmp)
			}
		}
	}
}

// TestLiveBursts changes a few names on two devices at once, again and again.
// Each time, when everything has been told, programs that know only what they
// are told have to know what there is, on both. The last event of a name is the
// one that counts, and here there are many last ones.
func TestLiveBursts(t *testing.T) {
	rounds := map[bool]int{false: 12, true: 2}
	seed := uint64(1)
	if os.Getenv("STORM") != "" {
		rounds = map[bool]int{false: 150, true: 30}
		seed = uint64(time.Now().UnixNano())
	}
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	folders := serve(t, 2)
	for i := range 4 {
		write(t, filepath.Join(folders[0], fmt.Sprint("f", i)), "text\n")
	}
	if err := os.Mkdir(filepath.Join(folders[0], "marks"), 0o755); err != nil {
		t.Fatal(err)
	}
	settled(t, folders)
	b := &bursts{folders: folders, seed: seed}
	for _, dir := range folders {
		b.programs = append(b.programs, follow(t, dir))
		b.marks = append(b.marks, watchAll(t, dir, "marks"))
	}
	for range rounds[false] {
		b.round(t, 100, false)
	}
	for range rounds[true] {
		b.round(t, 40, true)
	}
}

// bursts are two devices and who looks on.
type bursts struct {
	folders  []string
	programs []*follower
	marks    []*watcher
	seed     uint64
	rounds   int
}

func (b *bursts) round(t *testing.T, changes int, files bool) {
	b.rounds++
	begun := []int{len(b.programs[0].w.all()), len(b.programs[1].w.all())}
	stop := make(chan struct{})
	var writers, lookers sync.WaitGroup
	for side, dir := range b.folders {
		r := rand.New(rand.NewPCG(b.seed, uint64(2*b.rounds+side)))
		writers.Go(func() { burst(dir, r, changes, files) })
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.programs[side].known()
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	lookers.Wait()
	defer func() {
		if !t.Failed() {
			return
		}
		for side, dir := range b.folders {
			t.Logf("round %d, device %d, known:\n%s\nis:\n%s\n%s", b.rounds, side, b.programs[side].known(), names(t, dir), documents(dir))
			for _, e := range b.programs[side].w.all()[begun[side]:] {
				t.Log(side, e)
			}
		}
	}()
	b.settled(t, files)
	eventually(t, "both devices show the same, and programs know it", func() bool {
		is := [2]string{}
		for side, dir := range b.folders {
			is[side] = names(t, dir) + "\n" + documents(dir)
		}
		return is[0] == is[1] && b.programs[0].known() == is[0] && b.programs[1].known() == is[1]
	})
}

// settled returns when both devices have been told of what was done before. A
// file is held back for as long as a file that was closed or removed before it;
// a folder is not held back at all.
func (b *bursts) settled(t *testing.T, files bool) {
	for side, dir := range b.folders {
		mark := filepath.Join(dir, "marks", fmt.Sprintf("%d-%d", side, b.rounds))
		if files {
			write(t, mark, "text\n")
		} else if err := os.Mkdir(mark, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for side := range b.folders {
		last := fmt.Sprintf("marks:%d-%d CREATE", side, b.rounds)
		eventually(t, "the mark is told", func() bool { return b.marks[1-side].has(last) || b.marks[1-side].has(last+"|ISDIR") })
	}
}
