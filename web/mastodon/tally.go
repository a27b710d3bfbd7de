package mastodon

import (
	"context"
	"sync"
	"time"

	"planet/storage"
)

// tallies remembers the numbers of accounts for a while: to count them for each post that is shown took a third of the time (docs/performance.md). The account itself, asked
// for alone, has those of now.
type tallies struct {
	mu   sync.Mutex
	kept map[storage.ID]tallied // under mu
}

type tallied struct {
	storage.AccountTally
	at time.Time
}

const (
	tallyLife  = time.Minute
	maxTallied = 20_000
)

func (t *tallies) of(ctx context.Context, db *storage.DB, actors []storage.ID) (map[storage.ID]storage.AccountTally, error) {
	now := db.Now()
	out := make(map[storage.ID]storage.AccountTally, len(actors))
	var missing []storage.ID
	t.mu.Lock()
	for _, id := range actors {
		if k, ok := t.kept[id]; ok && now.Sub(k.at) < tallyLife {
			out[id] = k.AccountTally
		} else {
			missing = append(missing, id)
		}
	}
	t.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	counted, err := db.AccountTallies(ctx, missing)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil || len(t.kept)+len(missing) > maxTallied {
		t.kept = map[storage.ID]tallied{}
	}
	for _, id := range missing {
		out[id] = counted[id]
		t.kept[id] = tallied{counted[id], now}
	}
	return out, nil
}
