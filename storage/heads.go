package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"planet/ledger/proof"
)

// heads keeps the newest checkpoint of each currency in a file beside a SQLite database, outside of it. A database that is older than what its node has
// signed (an old copy put in its place, a write-ahead log cut off) is sound in itself; the file is what contradicts it (F22).
// It is written after commits, once a second at most, and is never turned back.
type heads struct {
	path  string
	at    time.Time         // of the last look; the writer's alone
	known map[string]string // code to checkpoint, as in the file
	told  bool              // that it cannot be written
}

// headsEvery is how often the file is written while payments go on.
const headsEvery = time.Second

// keepHeads brings the file up to date with what is committed, as conn sees it. It runs on the writer's goroutine and connection, where no slow reader is waited
// for; or when both have ended.
func (db *DB) keepHeads(conn interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, now bool) {
	h := db.heads
	if h == nil || !now && db.Now().Sub(h.at) < headsEvery {
		return
	}
	h.at = db.Now()
	rows, err := conn.QueryContext(context.Background(), "SELECT code, checkpoint FROM currencies")
	if err != nil { // not migrated yet, or about to close: the next commit comes back to it
		return
	}
	defer rows.Close()
	if h.known == nil {
		h.known = h.read()
	}
	changed := false
	for rows.Next() {
		var code, checkpoint string
		if rows.Scan(&code, &checkpoint) == nil && later(checkpoint, h.known[code]) {
			h.known[code], changed = checkpoint, true
		}
	}
	if !changed || rows.Err() != nil {
		return
	}
	if err := h.write(); err != nil && !h.told {
		h.told = true
		db.Log.Warn("the newest checkpoints cannot be kept beside the database", "err", err)
	}
}

func (h *heads) read() map[string]string {
	known := map[string]string{}
	if raw, err := os.ReadFile(h.path); err == nil {
		_ = json.Unmarshal(raw, &known) // what cannot be read proves nothing
	}
	return known
}

// write replaces the file. It is not waited for on the disk: a file that is a little older proves a little less.
func (h *heads) write() error {
	raw, err := json.MarshalIndent(h.known, "", "  ")
	if err != nil {
		return err
	}
	temp := h.path + ".new"
	if err := os.WriteFile(temp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, h.path)
}

// later says whether a checkpoint is of a later epoch, or of a longer log of the same, than another.
func later(a, b string) bool {
	epochA, sizeA := headOfNote(a)
	epochB, sizeB := headOfNote(b)
	return epochA > epochB || epochA == epochB && sizeA > sizeB
}

// headOfNote reads epoch and size of a checkpoint; of what is none, zeros.
func headOfNote(note string) (epoch uint32, size int64) {
	lines := strings.SplitN(note, "\n", 3)
	if len(lines) < 3 {
		return 0, 0
	}
	o, err := proof.ParseOrigin(lines[0])
	if err != nil {
		return 0, 0
	}
	size, _ = strconv.ParseInt(lines[1], 10, 64)
	return o.Epoch, size
}

// keptHead is the checkpoint of a currency in the file; "": none. Ask before the database is read: it is never newer than what is committed.
func (db *DB) keptHead(code string) string {
	if db.heads == nil {
		return ""
	}
	return db.heads.read()[code]
}

// checkKept compares a book with the checkpoint that was kept beside it. A *DamageError says that the database is older than what its node has signed, or another.
// What the currency's key did not sign, and what is of an epoch that has ended, says nothing.
func (db *DB) checkKept(ctx context.Context, c *Currency, note string) error {
	epoch, size := headOfNote(note)
	if epoch == 0 || epoch < c.Book.Epoch+1 {
		return nil
	}
	vkey, err := c.VkeyAt(epoch)
	if err != nil {
		return nil
	}
	key, err := proof.NewVerifier(vkey)
	if err != nil {
		return nil
	}
	cp, _, err := proof.Open([]byte(note), key)
	switch {
	case err != nil:
		return nil
	case epoch > c.Book.Epoch+1:
		return &DamageError{Code: c.Book.Code, Seq: NoEntry, What: fmt.Sprintf(RolledBack+"this node signed %d entries in an epoch that began later than this copy of its database was made", size)}
	}
	return db.Continues(ctx, c, cp)
}
