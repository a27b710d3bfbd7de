package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// busy is a book with everything in it: full tiles, holds in every state, a refund, a refusal, an aborted id.
func busy(t testing.TB, db *storage.DB) *books {
	t.Helper()
	b := newBooks(t, db, ledger.Mutual, people...)
	hold := b.pay("hold", "ana", "bo", 50)
	hold.Pending, hold.Timeout, hold.Settles = true, ledger.MaxTimeout, ledger.NewID("invoice")
	still := b.pay("still held", "cleo", "bo", 7)
	still.Pending, still.Timeout = true, ledger.MaxTimeout
	gs := []ledger.Group{{hold}, {ledger.Post{ID: ledger.NewID("post"), Pending: hold.ID, Amount: 20}}, {still}, {b.pay("first", "bo", "cleo", 30)},
		{ledger.Refund{ID: ledger.NewID("refund"), Original: ledger.NewID("pay", "first"), Amount: 10}}, {b.pay("too much", "ana", "bo", 2_000_000)},
		{ledger.Abort{ID: ledger.NewID("abort"), Currency: b.c.Book.ID, Target: ledger.NewID("never")}},
		{ledger.SetLimits{ID: ledger.NewID("limits"), Account: b.account("dov"), Floor: ledger.At(-1_000_000), Decision: "https://coop.example/decisions/1"}}}
	for i := range 560 {
		gs = append(gs, ledger.Group{b.pay(fmt.Sprint(i), people[i%4], people[(i+1)%4], ledger.Amount(1+i%50))})
	}
	rs, err := db.Ledger(context.Background(), gs...)
	b.must(err)
	for i, r := range rs {
		if want := ledger.OKCreated; r.Code != want && (i != 5 || r.Code != ledger.ExceedsFloor) {
			t.Fatalf("act %d: %s", i, r.Code)
		}
	}
	return b
}

// second opens another currency on the node, in which things may go on.
func (b *books) second() *books {
	b.t.Helper()
	iri := "https://coop.example/currencies/hrs"
	u := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "HRS", Kind: ledger.Hours, Rules: ledger.Preset(ledger.Hours, 6000)}
	o := &books{DB: b.DB, t: b.t, c: &storage.Currency{ActorID: b.c.ActorID, Name: "Hours", Book: u}}
	var g ledger.Group
	for _, m := range []string{"eve", "fay"} {
		g = append(g, u.NewAccount("https://coop.example/users/"+m, ledger.Member))
	}
	b.must(b.CreateCurrency(context.Background(), o.c, g))
	return o
}

// ledgerTables are in an order in which they can be filled.
var ledgerTables = []string{"currencies", "accounts", "entries", "openings", "transfers", "outcomes", "tiles"}

// disarm takes the guards of the append-only tables away, as somebody may who has the file in hand, and keeps a copy of everything for mend.
func disarm(t testing.TB, db *storage.DB) {
	t.Helper()
	if db.Dialect() == "postgres" {
		storagetest.Exec(t, db, "SET session_replication_role = replica")
	} else {
		for _, name := range []string{"entries_keep_update", "entries_keep_delete", "tiles_keep_update", "tiles_keep_delete", "outcomes_keep_update", "outcomes_keep_delete",
			"transfers_keep_delete", "transfers_keep_terms", "accounts_keep_delete", "accounts_keep_terms", "openings_keep_update", "openings_keep_delete",
			"currencies_keep_terms", "currencies_keep_delete"} {
			storagetest.Exec(t, db, "DROP TRIGGER "+name)
		}
	}
	for _, table := range ledgerTables {
		storagetest.Exec(t, db, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
}

// mend puts the books back to what they were at disarm.
func mend(t testing.TB, db *storage.DB) {
	t.Helper()
	for _, table := range ledgerTables {
		storagetest.Exec(t, db, "DELETE FROM "+table)
		storagetest.Exec(t, db, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
	}
}

func TestPAY305TheBooksAreAppendOnly(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := busy(t, db)
		before := storagetest.Rows(t, db)
		for _, statement := range []string{
			"UPDATE entries SET leaf = leaf WHERE seq = 3", "UPDATE entries SET seq = seq + 10000 WHERE seq = 3", "DELETE FROM entries WHERE seq = 3",
			"UPDATE tiles SET hashes = root", "DELETE FROM tiles",
			"UPDATE outcomes SET code = 'ok_created'", "DELETE FROM outcomes WHERE code = 'exceeds_floor'",
			"DELETE FROM transfers WHERE seq = 9", "UPDATE transfers SET amount = amount + 1 WHERE seq = 9", "UPDATE transfers SET debit = credit WHERE seq = 9",
			"UPDATE transfers SET uid = debit WHERE seq = 9", "UPDATE transfers SET settles = NULL", "UPDATE transfers SET digest = uid WHERE seq = 9",
			"UPDATE transfers SET at = at + 1 WHERE seq = 9", "UPDATE transfers SET expires = 1 WHERE seq = 9", "UPDATE transfers SET code = 3 WHERE seq = 9",
			"UPDATE transfers SET seq = 9999 WHERE seq = 9", "UPDATE transfers SET refund_of = uid WHERE seq = 9",
			"DELETE FROM accounts", "UPDATE accounts SET role = 'issuer'", "UPDATE accounts SET opened_at = 1", "UPDATE accounts SET uid = currency_id || 'x'",
			"DELETE FROM openings WHERE seq = 3", "UPDATE openings SET opening = salt WHERE seq = 3", "UPDATE openings SET salt = opening WHERE seq = 3",
			"UPDATE openings SET seq = 9999, salt = NULL WHERE seq = 3",
			"DELETE FROM currencies", "UPDATE currencies SET scale = 3 ", "UPDATE currencies SET kind = 'gift'", "UPDATE currencies SET iri = 'https://rye.example/'",
		} {
			if db.Dialect() == "postgres" {
				statement = strings.Replace(statement, "currency_id || 'x'", `'\x01'`, 1)
			}
			if err := db.Exec(t.Context(), statement); err == nil {
				t.Errorf("%s: went through", statement)
			}
		}
		if db.Dialect() == "postgres" {
			for _, table := range []string{"entries", "openings", "transfers", "outcomes", "tiles", "accounts"} {
				if err := db.Exec(t.Context(), "TRUNCATE "+table); err == nil {
					t.Errorf("%s: TRUNCATE went through", table)
				}
			}
		}
		if after := storagetest.Rows(t, db); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Error("something changed")
		}
		b.verify()
	})
}

// harm is one thing that goes wrong in a database, in a way that leaves it readable.
type harm struct {
	name      string
	do        string // SQL; flip(column) is the column with one byte changed
	says      string // part of what Verify answers
	seq       ledger.Seq
	seenEarly bool // the check at start sees it as well
}

// At 572 entries: 5 open the book, seq 5 to 11 are the acts of busy, then payments; tiles 0/0 and 0/1 are full; the last 60 are in no full tile.
var harms = []harm{
	{"a byte of an old entry", "UPDATE entries SET leaf = flip(leaf) WHERE seq = 100", "first in entry 100", 100, true},
	{"a byte of the newest entry", "UPDATE entries SET leaf = flip(leaf) WHERE seq = 571", "first in entry 571", 571, true},
	{"the id of an entry", "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE seq = 21) WHERE seq = 20", "first in entry 20", 20, true},
	{"a byte of an opening", "UPDATE openings SET opening = flip(opening) WHERE seq = 101", "first in entry 101", 101, true},
	{"a byte of a salt", "UPDATE openings SET salt = flip(salt) WHERE seq = 102", "first in entry 102", 102, true},
	{"a salt taken, and the opening changed", "UPDATE openings SET salt = NULL, opening = (SELECT opening FROM openings WHERE seq = 104) WHERE seq = 103", "first in entry 103", 103, false},
	{"an entry is missing", "DELETE FROM entries WHERE seq = 300", "first in entry 300: it is missing", 300, true},
	{"the newest entry is missing", "DELETE FROM entries WHERE seq = 571", "first in entry 571: it is missing", 571, true},
	{"an opening is missing", "DELETE FROM openings WHERE seq = 301", "first in entry 301: its opening is missing", 301, true},
	{"a counter", "UPDATE accounts SET credits_posted = credits_posted + 1 WHERE ref LIKE '%bo'", "the account of https://coop.example/users/bo says", storage.NoEntry, true},
	{"two counters that hide each other", "UPDATE accounts SET credits_posted = credits_posted + 1, debits_posted = debits_posted + 1 WHERE ref LIKE '%bo'", "the account of https://coop.example/users/bo says", storage.NoEntry, false},
	{"what is held", "UPDATE accounts SET debits_pending = 0 WHERE ref LIKE '%cleo'", "the account of https://coop.example/users/cleo says", storage.NoEntry, true},
	{"a limit", "UPDATE accounts SET floor = -9000000 WHERE ref LIKE '%ana'", "the account of https://coop.example/users/ana says", storage.NoEntry, false},
	{"an account moved last elsewhere", "UPDATE accounts SET last_moved = 400 WHERE ref LIKE '%ana'", "moved last in entry", storage.NoEntry, false},
	{"an account is missing", "DELETE FROM accounts WHERE ref LIKE '%dov'", "the account of https://coop.example/users/dov is missing", storage.NoEntry, true},
	{"the amount of a transfer", "UPDATE transfers SET amount = amount + 1 WHERE seq = 150", "first in entry 150", 150, false},
	{"the digest of a transfer", "UPDATE transfers SET digest = flip(digest) WHERE seq = 151", "first in entry 151", 151, false},
	{"the state of a transfer", "UPDATE transfers SET state = 2, posted = 0 WHERE seq = 152", "first in entry 152", 152, false},
	{"a hold is over", "UPDATE transfers SET state = 2, resolved_at = at WHERE seq = 7", "first in entry 7", 7, false},
	{"a balance in a statement", "UPDATE transfers SET debit_after = debit_after + 1 WHERE seq = 153", "first in entry 153", 153, false},
	{"the way of a statement", "UPDATE transfers SET credit_prev = credit_prev - 1 WHERE seq = 154", "first in entry 154", 154, false},
	{"a transfer is missing", "DELETE FROM transfers WHERE seq = 155", "its transfer is missing", 155, false},
	{"a transfer too many", "INSERT INTO transfers SELECT currency_id, 9999, flip(uid), debit, credit, amount, code, state, held, expires, settles, refund_of, posted, refunded, at, resolved_at, digest, moved_seq, debit_after, credit_after, debit_prev, credit_prev FROM transfers WHERE seq = 156", "that no entry made", 9999, false},
	{"what came of an id", "UPDATE outcomes SET digest = flip(digest) WHERE seq = 6", "is remembered otherwise than its entry says", 6, false},
	{"the place of an id", "UPDATE outcomes SET seq = 8 WHERE seq = 6", "is remembered otherwise than its entry says", 6, false},
	{"an id is forgotten", "DELETE FROM outcomes WHERE seq = 6", "an id that was used is forgotten", 6, false},
	{"an id failed and is a transfer", "INSERT INTO outcomes SELECT uid, digest, 'exceeds_floor', 0, 0 FROM transfers WHERE seq = 157", "failed, and is a transfer", storage.NoEntry, false},
	{"a byte of a tile", "UPDATE tiles SET hashes = flip(hashes) WHERE idx = 1", "tile 0/1 is not what the entries 256 to 511 give", storage.NoEntry, false},
	{"the root of a tile", "UPDATE tiles SET root = flip(root) WHERE idx = 0", "tile 0/0 is not what", storage.NoEntry, true},
	{"a tile is missing", "DELETE FROM tiles WHERE idx = 1", "tile 0/1 is missing", storage.NoEntry, true},
	{"a tile too many", "INSERT INTO tiles SELECT currency_id, 1, idx, hashes, root FROM tiles WHERE idx = 0", "it has no full tile 1/0", storage.NoEntry, true},
	{"the frontier", "UPDATE currencies SET frontier = flip(frontier) WHERE code = 'GRN'", "frontier", storage.NoEntry, true},
	{"the checkpoint", "UPDATE currencies SET checkpoint = replace(checkpoint, '572', '573') WHERE code = 'GRN'", "its checkpoint", storage.NoEntry, true},
	{"a byte of the signature", "UPDATE currencies SET checkpoint = replace(checkpoint, 'https://x', 'y') || 'A' WHERE code = 'GRN'", "its checkpoint", storage.NoEntry, true},
	{"the key", "UPDATE currencies SET secret = flip(secret) WHERE code = 'GRN'", "its checkpoint", storage.NoEntry, true},
	{"fewer entries than there are", "UPDATE currencies SET next = 571 WHERE code = 'GRN'", "frontier", storage.NoEntry, true},
	{"the rules", "UPDATE currencies SET floor = NULL WHERE code = 'GRN'", "its row says", storage.NoEntry, false},
	{"the time of the newest entry", "UPDATE currencies SET last = last + 1 WHERE code = 'GRN'", "its row says", storage.NoEntry, false},
}

// flipped writes the expression that changes the eleventh byte of a column.
func flipped(dialect, statement string) string {
	for {
		before, rest, ok := strings.Cut(statement, "flip(")
		if !ok {
			return statement
		}
		col, after, _ := strings.Cut(rest, ")")
		if dialect == "postgres" {
			statement = fmt.Sprintf("%sset_byte(%s, 10, get_byte(%s, 10) # 1)%s", before, col, col, after)
		} else { // there is no operator for it: put in a byte that was not there
			statement = fmt.Sprintf("%sCAST(substr(%s, 1, 10) || CASE WHEN substr(%s, 11, 1) = x'31' THEN x'32' ELSE x'31' END || substr(%s, 12) AS BLOB)%s", before, col, col, col, after)
		}
	}
}

// Verify says what is wrong, the check at start freezes what it sees, and nothing else stops.
func TestF18DamageIsFoundAndOnlyItsCurrencyStops(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		db.KeepNoHeads() // mend turns the database back
		grain := busy(t, db)
		hours := grain.second()
		disarm(t, db)
		for i, h := range harms {
			if db.Dialect() == "postgres" && i%4 != 0 {
				continue // the verifier is the same, and there it takes ten seconds
			}
			t.Run(h.name, func(t *testing.T) {
				defer mend(t, db)
				b, ctx := &books{DB: db, t: t, c: grain.c}, t.Context()
				storagetest.Exec(t, db, flipped(db.Dialect(), h.do))
				c, err := db.CurrencyByCode(ctx, "GRN")
				b.must(err)
				_, err = db.Verify(ctx, c)
				var damage *storage.DamageError
				if !errors.As(err, &damage) {
					t.Fatalf("Verify says %v, want damage", err)
				}
				if damage.Code != "GRN" || damage.Seq != h.seq || !strings.Contains(damage.Error(), h.says) {
					t.Errorf("Verify says %q of entry %d, want %q of %d", damage, damage.Seq, h.says, h.seq)
				}
				found, err := db.CheckBooks(ctx)
				b.must(err)
				if early := len(found) == 1 && found[0].Code == "GRN"; early != h.seenEarly || len(found) > 1 {
					t.Errorf("the check at start says %v, want it to see: %t", found, h.seenEarly)
				}
				if !h.seenEarly {
					b.must(db.Freeze(ctx, c.ID, damage.Error()))
				}
				_, err = db.Pay(ctx, storage.Submission{Currency: c.Book.ID, Group: ledger.Group{b.pay("late", "ana", "bo", 1)}})
				if !errors.Is(err, storage.ErrFrozen) || !strings.Contains(err.Error(), "GRN is damaged") {
					t.Errorf("a payment into the damaged book: %v, want ErrFrozen and why", err)
				}
				if err := db.Resume(ctx, c, "https://coop.example/decisions/9"); err == nil {
					t.Error("a damaged book went on")
				}
				hours.wantPayment("beside " + h.name)
				b.must(db.Exec(ctx, "UPDATE actors SET name = 'still writing'"))
			})
		}
		grain.verify()
		grain.wantPayment("after all")
	})
}

// wantPayment pays, and the payment is in the book.
func (b *books) wantPayment(id string) {
	b.t.Helper()
	from, to := "ana", "bo"
	if b.c.Book.Code == "HRS" {
		from, to = "eve", "fay"
	}
	r, err := b.Pay(context.Background(), storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{b.pay(b.c.Book.Code+id, from, to, 1)}})
	if err != nil || r.Code != ledger.OKCreated {
		b.t.Fatalf("%s: %s, %v", id, r.Code, err)
	}
}
