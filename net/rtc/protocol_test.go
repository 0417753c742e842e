package rtc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
)

// nowhere is a channel that takes everything and says nothing.
type nowhere struct{}

func (nowhere) Read([]byte) (int, error)             { return 0, io.EOF }
func (nowhere) Write(p []byte) (int, error)          { return len(p), nil }
func (nowhere) Close() error                         { return nil }
func (nowhere) BufferedAmount() uint64               { return 0 }
func (nowhere) SetBufferedAmountLowThreshold(uint64) {}
func (nowhere) OnBufferedAmountLow(func())           {}

func credit(n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kindCredit}, n)
}

func TestStreamProtocolViolations(t *testing.T) {
	tests := []struct {
		name string
		msgs [][]byte
	}{
		{"empty message", [][]byte{{}}},
		{"unknown kind", [][]byte{{9, 1}}},
		{"short credit", [][]byte{{kindCredit, 0, 0}}},
		{"credit nobody used", [][]byte{credit(1)}},
		{"huge credit", [][]byte{credit(1<<32 - 1)}},
		{"more data than the window", [][]byte{make([]byte, window+1), {kindData, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStream("x", nowhere{}, func() {})
			var err error
			for _, m := range tt.msgs {
				err = errors.Join(err, s.receive(m))
			}
			if !errors.Is(err, errProtocol) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A message format that both sides must agree on.
func TestStreamMessages(t *testing.T) {
	got := append(append([]byte(nil), credit(window/4)...), kindData, 'x')
	if want := []byte{1, 0, 8, 0, 0, 0, 'x'}; !bytes.Equal(got, want) {
		t.Errorf("messages are %x, want %x: this needs a new version", got, want)
	}
}

// When a connection is lost, an idle stream hears of it before a busy one has
// taken over all that had arrived.
func TestLostWithSomethingToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle, busy := newStream("idle", nowhere{}, func() {}), newStream("busy", nowhere{}, func() {})
		lost := func() *Peer {
			return &Peer{done: make(chan struct{}), streams: map[string]*stream{"idle": idle, "busy": busy}, flowing: 2}
		}
		p := lost()
		p.dry(idle, ErrLost)
		read := make(chan string)
		go func() {
			all, err := io.ReadAll(busy)
			if err != nil {
				t.Error(err)
			}
			read <- string(all)
		}()
		synctest.Wait()
		if p.Err() != nil {
			t.Fatal("the connection has ended before the rest was there")
		}
		if err := busy.receive([]byte{kindData, 'x'}); err != nil {
			t.Fatal(err)
		}
		p.dry(busy, ErrLost)
		if got := <-read; got != "x" || !errors.Is(p.Err(), ErrLost) {
			t.Errorf("read %q, %v", got, p.Err())
		}

		p = lost() // a peer that ends one stream of a connection that stays
		p.dry(idle, ErrLost)
		<-p.Done()
		if !errors.Is(p.Err(), ErrLost) {
			t.Error(p.Err())
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{kindData, 1, 2, 3}, []byte{kindData, 4})
	f.Add(credit(5), []byte{kindData})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := newStream("x", nowhere{}, func() {})
		var want []byte
		for _, m := range [][]byte{first, second} {
			if s.receive(m) == nil && m[0] == kindData {
				want = append(want, m[1:]...)
			}
		}
		s.end(ErrLost)
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %x, %v, want %x", got, err, want)
		}
	})
}

func TestHostilePackets(t *testing.T) {
	packet := func(typ uint16, value ...byte) []byte {
		p := make([]byte, 20, 64)
		binary.BigEndian.PutUint16(p, 0x0101)
		binary.BigEndian.PutUint32(p[4:], 0x2112A442)
		p = binary.BigEndian.AppendUint16(p, typ)
		p = binary.BigEndian.AppendUint16(p, uint16(len(value)))
		p = append(p, value...)
		return append(p, make([]byte, (4-len(value)%4)%4)...)
	}
	v4 := []byte{0, 1, 0, 80, 1, 2, 3, 4}
	v6 := append([]byte{0, 2, 0, 80}, make([]byte, 16)...)
	tests := []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"address", packet(0x0020, v4...), false},
		{"IPv6 address", packet(0x0020, v6...), false},
		{"other attribute", packet(0x8022, 1, 2, 3), false},
		{"data", bytes.Repeat([]byte{0x17}, 100), false},
		{"nothing", nil, false},
		{"IPv4 address that is too long", packet(0x0020, append(v4, 5, 6, 7, 8)...), true},
		{"IPv6 family with four bytes", packet(0x0020, 0, 2, 0, 80, 1, 2, 3, 4), true},
		{"empty address", packet(0x0012), true},
		{"address of one byte", packet(0x0016, 1), true},
		{"attribute past the end", packet(0x0006, 1, 2)[:25], true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hostile(tt.packet); got != tt.want {
				t.Errorf("hostile = %v", got)
			}
		})
	}
}

func FuzzHostile(f *testing.F) {
	f.Add([]byte{1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 8, 0, 1, 0, 80, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, p []byte) { hostile(p) })
}
