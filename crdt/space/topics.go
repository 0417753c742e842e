package space

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/echofs/echofs/crdt/feed"
)

const (
	// lobbyTime is how long after a key has changed members who were away meanwhile
	// are still waited for where it had them meet.
	lobbyTime = 30 * 24 * time.Hour
	// maxLobbies bounds the earlier keys whose meeting places are waited at.
	maxLobbies = 8
)

// days returns the two days whose topics hold at a time: today, and the one that
// is nearer of yesterday and tomorrow. So clocks may differ by a day.
func days(now time.Time) [2]int64 {
	const day = 24 * 60 * 60
	at := now.Unix() - day/2
	first := at / day
	if at < 0 && at%day != 0 {
		first--
	}
	return [2]int64{first, first + 1}
}

// Meeting returns the topics on which the members of the space meet now, by this
// device's clock.
func (s *Space) Meeting(now time.Time) (topics [][32]byte) { return topicsOf(s.Key(), now) }

func topicsOf(k feed.Key, now time.Time) (topics [][32]byte) {
	for _, day := range days(now) {
		topics = append(topics, k.TopicOn(day))
	}
	return topics
}

// Topics returns Meeting, and where members wait who have not heard of the newest
// key yet, for some weeks.
func (s *Space) Topics(now time.Time) ([][32]byte, error) {
	current := s.Key()
	topics := topicsOf(current, now)
	keys := s.Keyring().Keys()
	lobbies := 0
	for i := len(keys) - 1; i >= 0 && lobbies < maxLobbies; i-- { // newest first
		if keys[i] == current {
			continue
		}
		since, err := s.superseded(keys[i].ID(), now)
		if err != nil {
			return topics, err
		}
		if now.Sub(since) < lobbyTime {
			topics = append(topics, topicsOf(keys[i], now)...)
			lobbies++
		}
	}
	return topics, nil
}

// superseded returns when this device first saw that a key is not written with
// any more: now, if it had not.
func (s *Space) superseded(key [8]byte, now time.Time) (time.Time, error) {
	name := fmt.Sprintf("superseded/%x", key)
	data, err := s.Local(name)
	if err != nil {
		return now, err
	}
	if len(data) == 8 {
		return time.Unix(int64(binary.BigEndian.Uint64(data)), 0), nil
	}
	return now, s.PutLocal(name, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())))
}
