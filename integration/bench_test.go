package integration

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

// BenchmarkAims measures what echofs aims at, each beside its rival of the same
// run: real daemons of the built binary, go-fuse's loopback, the disk, a bare
// data channel. Rivals and ours take turns, so a busy machine slows all of
// them. What is printed are medians over the rounds; for the operations on
// files, which are short, the best round.
//
// It takes minutes. -bench Aims/tree does one part of it. With BENCH=quick
// everything is smaller and done once: that is to try the benchmark, its
// figures say little.
func BenchmarkAims(b *testing.B) {
	m := &measures{samples: map[string][]float64{}, size: full()}
	if os.Getenv("BENCH") == "quick" {
		m.size = quick()
	}
	for _, part := range []struct {
		name   string
		run    func(*testing.B, int)
		rounds int
	}{
		{"saves", m.saves, 1},
		{"large-file", m.largeFile, 1},
		{"tree", m.tree, m.size.rounds},
		{"files", m.files, 1},
	} {
		for round := range part.rounds {
			b.Run(fmt.Sprint(part.name, "-", round+1), func(b *testing.B) {
				part.run(b, round)
				b.ReportMetric(0, "ns/op") // how long it takes says nothing
			})
		}
	}
	if !b.Failed() {
		m.print()
	}
}

// A size is how much of everything is done.
type size struct {
	rounds int
	saves  int
	large  int           // bytes of the file that crosses
	tree   string        // what is copied, below $(go env GOROOT)
	small  string        // what programs work on, likewise
	idle   time.Duration // before memory is measured
	stream int           // bytes of the file of sequential access
	list   int           // entries of the long listing
}

func full() size {
	return size{rounds: 3, saves: 200, large: 100e6, tree: "src", small: "src/net", idle: 10 * time.Second, stream: 256 << 20, list: 10_000}
}

func quick() size {
	return size{rounds: 1, saves: 20, large: 20e6, tree: "src/encoding", small: "src/encoding", idle: time.Second, stream: 32 << 20, list: 1000}
}

// measures collects samples by name.
type measures struct {
	size       size
	samples    map[string][]float64
	operations []operation // those on files, in order
}

func (m *measures) add(name string, value float64)          { m.samples[name] = append(m.samples[name], value) }
func (m *measures) addTime(name string, took time.Duration) { m.add(name, took.Seconds()) }

// at is the sample with that share of samples below it, or NaN if that part of
// the benchmark was not asked for.
func (m *measures) at(name string, share float64) float64 {
	all := slices.Sorted(slices.Values(m.samples[name]))
	if len(all) == 0 {
		return math.NaN()
	}
	return all[min(len(all)-1, int(share*float64(len(all))))]
}

func (m *measures) median(name string) float64 { return m.at(name, 0.5) }

// best is the round that others disturbed least.
func (m *measures) best(name string) float64 { return m.at(name, 0) }

// A row of the table. Its numbers are of one unit.
type row struct {
	what, unit  string
	ours, rival float64
	than        string  // the rival; empty when there is none
	aim         string  // as the text of the aim
	limit       float64 // the aim as a bound on the ratio, or on ours without a rival
	floor       bool    // the bound is from below
}

func (r row) String() string {
	value := r.ours
	rival, ratio := "", ""
	if r.than != "" {
		value = r.ours / r.rival
		rival, ratio = fmt.Sprintf("%s  %s", number(r.rival, r.unit), r.than), fmt.Sprintf("%.2f", value)
	}
	verdict := ""
	if r.limit > 0 {
		verdict = "missed"
		if value <= r.limit && !r.floor || value >= r.limit && r.floor {
			verdict = "met"
		}
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", r.what, number(r.ours, r.unit), rival, ratio, r.aim, verdict)
}

func number(v float64, unit string) string {
	switch {
	case unit == "s" && v < 1e-3:
		return fmt.Sprintf("%.1f µs", v*1e6)
	case unit == "s" && v < 1:
		return fmt.Sprintf("%.2f ms", v*1e3)
	default:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
}

// print writes the table.
func (m *measures) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "\nmeasure\tours\trival\tratio\taim\t\n")
	rows := m.aims()
	for _, op := range m.operations {
		ours, aim := m.best(op.name+" ours"), ""
		if op.aim > 0 {
			aim = fmt.Sprintf("≤ %g ×", op.aim)
		}
		rows = append(rows,
			row{what: op.name, unit: "s", ours: ours, rival: m.best(op.name + " loopback"), than: "loopback", aim: aim, limit: op.aim},
			row{unit: "s", ours: ours, rival: m.best(op.name + " disk"), than: "disk"})
	}
	for _, r := range rows {
		if !math.IsNaN(r.ours + r.rival) {
			fmt.Fprintln(w, r)
		}
	}
}

func (m *measures) aims() []row {
	basis := m.median("round trip") + m.median("fsync")
	files, bytes, large := m.median("tree files"), m.median("tree bytes")/1e6, float64(m.size.large)/1e6
	bare := max(large/m.median("large bare 16"), large/m.median("large bare 64"))
	return []row{
		{what: "save to visible, p50", unit: "s", ours: m.median("save"), aim: "< 15 ms", limit: 0.015},
		{unit: "s", ours: m.median("save"), rival: basis, than: "round trip + fsync", aim: "< 10 ×", limit: 10},
		{what: "save to visible, p99", unit: "s", ours: m.at("save", 0.99), rival: m.at("round trip", 0.99) + m.at("fsync", 0.99), than: "round trip + fsync, p99"},
		{what: "  the round trip alone", unit: "s", ours: m.median("round trip")},
		{what: fmt.Sprintf("copy %.0f files in", files), unit: "files/s", ours: files / m.median("copy ours"), rival: files / m.median("copy loopback"), than: "loopback", aim: "≥ 1/4 of the rate", limit: 0.25, floor: true},
		{unit: "files/s", ours: files / m.median("copy ours"), rival: files / m.median("copy disk"), than: "disk"},
		{unit: "MB/s", ours: bytes / m.median("copy ours"), rival: bytes / m.median("copy loopback"), than: "loopback"},
		{what: "arrived after the copy", unit: "s", ours: m.median("arrived"), rival: m.median("copy ours"), than: "writing", aim: "≤ 2 × later", limit: 2},
		{what: fmt.Sprintf("%.0f MB file, from the first write", large), unit: "MB/s", ours: large / m.median("large whole"), rival: bare, than: "bare channel", aim: "≥ 70 %", limit: 0.7, floor: true},
		{what: "  from its close", unit: "MB/s", ours: large / m.median("large sent"), rival: large / m.median("large bare 16"), than: "bare, 16 KiB messages"},
		{unit: "MB/s", ours: large / m.median("large sent"), rival: large / m.median("large bare 64"), than: "bare, 64 KiB messages"},
		{what: "memory after the copy", unit: "MB", ours: m.median("memory writer"), aim: "≤ 200 MB", limit: 200},
		{what: "  of the receiver", unit: "MB", ours: m.median("memory reader"), aim: "≤ 200 MB", limit: 200},
		{what: "  after a restart", unit: "MB", ours: m.median("memory restart"), aim: "≤ 200 MB", limit: 200},
		{what: "start to mounted", unit: "s", ours: m.median("start"), aim: "< 1 s", limit: 1},
		{what: "grep -r, fresh mount", unit: "s", ours: m.median("grep ours"), rival: m.median("grep loopback"), than: "loopback", aim: "≤ 1.5 ×", limit: 1.5},
		{what: "grep -r, again", unit: "s", ours: m.median("grep again ours"), rival: m.median("grep again loopback"), than: "loopback", aim: "≤ 1.5 ×", limit: 1.5},
	}
}
