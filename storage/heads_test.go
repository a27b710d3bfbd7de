package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// copyOf copies a SQLite database with what lies beside it into a directory; wal cuts the write-ahead log.
func copyOf(t *testing.T, dsn, dir string, wal func([]byte) []byte) string {
	t.Helper()
	to := filepath.Join(dir, "planet.db")
	for _, tail := range []string{"", "-wal", "-heads"} {
		raw, err := os.ReadFile(dsn + tail)
		if err != nil {
			t.Fatal(err)
		}
		if tail == "-wal" && wal != nil {
			raw = wal(raw)
		}
		if err := os.WriteFile(to+tail, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func openAt(t *testing.T, dsn string) (*storage.DB, *storage.Currency) {
	t.Helper()
	db, err := storage.Open(context.Background(), storage.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := db.CurrencyByCode(context.Background(), "GRN")
	if err != nil {
		t.Fatal(err)
	}
	return db, c
}

// A database that lost its newest payments is sound in itself. What the node has signed, kept beside it, says that it is too short.
func TestF22ADatabaseOlderThanWhatItSigned(t *testing.T) {
	ctx := context.Background()
	b := newBooks(t, storagetest.New(t), ledger.Mutual, "ana", "bo")
	now := b.Now()
	b.DB.Now = func() time.Time { return now }
	pay := func(id string) {
		t.Helper()
		r, err := b.Pay(ctx, storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{b.pay(id, "ana", "bo", 1)}})
		if b.must(err); !r.Code.OK() {
			t.Fatal(r.Code)
		}
		now = now.Add(2 * storage.HeadsEvery)
	}
	for i := range 20 {
		pay(fmt.Sprint(i))
	}
	if err := b.Transaction(ctx, func(tx *storage.DB) error { return tx.SetSetting(ctx, "a", "b") }); err != nil { // a commit after the last payment
		t.Fatal(err)
	}

	whole, c := openAt(t, copyOf(t, b.DSN(), t.TempDir(), nil))
	if found, err := whole.CheckBooks(ctx); err != nil || len(found) > 0 {
		t.Fatalf("the whole copy: %v, %v", found, err)
	}
	if _, err := whole.Verify(ctx, c); err != nil {
		t.Fatalf("the whole copy: %v", err)
	}

	shorter, c := openAt(t, copyOf(t, b.DSN(), t.TempDir(), func(wal []byte) []byte { return bytes.Clone(wal[:len(wal)*3/4]) }))
	if c.Book.Next >= 23 || c.Book.Next < 3 {
		t.Fatalf("the cut log left %d entries: the test cuts in the wrong place", c.Book.Next)
	}
	if _, err := shorter.Verify(ctx, c); err == nil || !strings.Contains(err.Error(), storage.RolledBack) {
		t.Errorf("verify of a database with a log cut off: %v", err)
	}
	found, err := shorter.CheckBooks(ctx)
	if err != nil || len(found) != 1 || !strings.HasPrefix(found[0].What, storage.RolledBack) {
		t.Fatalf("at start: %v, %v", found, err)
	}
	// Freezing it was a commit of its own: what the node had signed before is still there at the next start.
	dsn := shorter.DSN()
	if err := shorter.Close(); err != nil {
		t.Fatal(err)
	}
	shorter, c = openAt(t, dsn)
	if _, err := shorter.Verify(ctx, c); err == nil || !strings.Contains(err.Error(), storage.RolledBack) {
		t.Errorf("verify after the next start: %v", err)
	}
	p := b.pay("again", "ana", "bo", 1)
	if _, err := shorter.Pay(ctx, storage.Submission{Currency: p.Currency, Group: ledger.Group{p}}); !errors.Is(err, storage.ErrFrozen) {
		t.Errorf("a payment: %v", err)
	}
	if err := shorter.Resume(ctx, c, "https://coop.example/decisions/1"); err != nil {
		t.Fatal(err)
	}
	if c, err = shorter.CurrencyByCode(ctx, "GRN"); err != nil || c.Book.Epoch == 0 {
		t.Fatalf("epoch %d, %v: it goes on in a new one", c.Book.Epoch, err)
	}
	if _, err := shorter.Verify(ctx, c); err != nil {
		t.Errorf("after it went on: %v", err)
	}
	if r, err := shorter.Pay(ctx, storage.Submission{Currency: p.Currency, Group: ledger.Group{p}}); err != nil || !r.Code.OK() {
		t.Errorf("a payment after it went on: %s, %v", r.Code, err)
	}
	if found, err := shorter.CheckBooks(ctx); err != nil || len(found) > 0 {
		t.Errorf("the next start: %v, %v", found, err)
	}

	// A file that nobody signed, or none, says nothing.
	for _, text := range []string{"", "{", `{"GRN": "coop.example/currencies/grn\n999\nAAAA\n\n— coop.example/currencies/grn AAAA\n"}`} {
		dsn := copyOf(t, b.DSN(), t.TempDir(), nil)
		if err := os.WriteFile(dsn+"-heads", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		db, _ := openAt(t, dsn)
		if found, err := db.CheckBooks(ctx); err != nil || len(found) > 0 {
			t.Errorf("%q: %v, %v", text, found, err)
		}
	}
}
