package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"planet/storage"
	"planet/storage/storagetest"
)

// founded is a co-op with an empty audit log.
func founded(t *testing.T, db *storage.DB, name string) *storage.Actor {
	t.Helper()
	a := actor(t, db, name, "")
	if err := db.CreateCoop(t.Context(), &storage.Coop{ActorID: a.ID, Joining: storage.JoiningApproval, Approvals: 1}); err != nil {
		t.Fatal(err)
	}
	return a
}

func person(t *testing.T, db *storage.DB, name string) *storage.User {
	t.Helper()
	u := &storage.User{ActorID: actor(t, db, name, "").ID, Username: name, Role: storage.NodeUser}
	if err := db.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

// note appends an entry as activitypub does.
func note(t *testing.T, db *storage.DB, coop storage.ID, act string) {
	t.Helper()
	err := db.AppendAudit(t.Context(), coop, func(seq int64, previous string) ([]byte, error) {
		return json.Marshal(map[string]any{"act": act, "previous": previous, "seq": seq})
	})
	if err != nil {
		t.Error(err)
	}
}

func verify(t *testing.T, db *storage.DB, coop storage.ID) (n int64, err error) {
	err = db.VerifyAudit(t.Context(), coop, func(e storage.AuditEntry) error {
		n = e.Seq
		return nil
	})
	return n, err
}

func TestAuditEntriesAreKept(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		bakery, mill := founded(t, db, "bakery"), founded(t, db, "mill")
		for i := range 5 {
			note(t, db, bakery.ID, fmt.Sprint("act ", i))
		}
		note(t, db, mill.ID, "act")
		for _, sql := range []string{"UPDATE audit_entries SET hash = ''", "DELETE FROM audit_entries WHERE seq = 5"} {
			if err := db.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got %v", sql, err)
			}
		}
		if n, err := verify(t, db, bakery.ID); n != 5 || err != nil {
			t.Errorf("got %d entries, %v", n, err)
		}
		if n, err := verify(t, db, mill.ID); n != 1 || err != nil {
			t.Errorf("got %d entries, %v", n, err)
		}
		if err := db.VerifyAudit(t.Context(), db.NewID(), nil); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		failed := errors.New("no")
		if err := db.AppendAudit(t.Context(), mill.ID, func(int64, string) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
		if err := db.VerifyAudit(t.Context(), bakery.ID, func(storage.AuditEntry) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
	})
}

// Whoever gets at the database can change it. The first entry that is not what it was is named, whatever was done.
func TestAnAuditLogThatWasTamperedWithNamesTheEntry(t *testing.T) {
	hash := func(db *storage.DB, coop storage.ID, seq int64) string {
		es, err := db.Audit(t.Context(), coop, seq+1, 1)
		if err != nil || len(es) != 1 {
			t.Fatalf("%+v, %v", es, err)
		}
		return es[0].Hash
	}
	for name, c := range map[string]struct {
		sql    func(db *storage.DB, coop storage.ID) string
		broken int64
		says   string
	}{
		"a word is changed": {func(*storage.DB, storage.ID) string {
			return `UPDATE audit_entries SET entry = replace(entry, 'act 2', 'act 9') WHERE seq = 3`
		}, 3, "changed"},
		"a hash is changed":     {func(*storage.DB, storage.ID) string { return `UPDATE audit_entries SET hash = '00' WHERE seq = 2` }, 2, "changed"},
		"an entry is taken out": {func(*storage.DB, storage.ID) string { return `DELETE FROM audit_entries WHERE seq = 3` }, 3, "missing"},
		"the end is cut off":    {func(*storage.DB, storage.ID) string { return `DELETE FROM audit_entries WHERE seq > 3` }, 4, "missing"},
		"all of it is gone":     {func(*storage.DB, storage.ID) string { return `DELETE FROM audit_entries` }, 1, "missing"},
		"two change places": {func(*storage.DB, storage.ID) string {
			return `UPDATE audit_entries SET seq = 9 WHERE seq = 2; UPDATE audit_entries SET seq = 2 WHERE seq = 3; UPDATE audit_entries SET seq = 3 WHERE seq = 9`
		}, 2, "written as entry 3"},
		"an entry is no JSON": {func(*storage.DB, storage.ID) string {
			return `UPDATE audit_entries SET entry = '', hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' WHERE seq = 4`
		}, 4, "not JSON"},
		"one is added past the node": {func(db *storage.DB, coop storage.ID) string {
			const entry = `{"previous":"%s","seq":6}`
			return fmt.Sprintf("INSERT INTO audit_entries VALUES (%d, 6, '"+entry+"', '%s')", coop, hash(db, coop, 5), storage.AuditHash(fmt.Sprintf(entry, hash(db, coop, 5))))
		}, 6, "not written by the node"},
		"the last is written anew, with its hash": {func(db *storage.DB, coop storage.ID) string {
			entry := fmt.Sprintf(`{"previous":"%s","seq":5}`, hash(db, coop, 4))
			return fmt.Sprintf("UPDATE audit_entries SET entry = '%s', hash = '%s' WHERE seq = 5", entry, storage.AuditHash(entry))
		}, 5, "remembers another hash"},
		"one in the middle is written anew, with its hash": {func(db *storage.DB, coop storage.ID) string {
			entry := fmt.Sprintf(`{"previous":"%s","seq":2}`, hash(db, coop, 1))
			return fmt.Sprintf("UPDATE audit_entries SET entry = '%s', hash = '%s' WHERE seq = 2", entry, storage.AuditHash(entry))
		}, 3, "does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			db := storagetest.New(t)
			coop := founded(t, db, "bakery")
			for i := range 5 {
				note(t, db, coop.ID, fmt.Sprint("act ", i))
			}
			storagetest.Exec(t, db, "DROP TRIGGER audit_entries_keep_update; DROP TRIGGER audit_entries_keep_delete")
			storagetest.Exec(t, db, c.sql(db, coop.ID))
			var broken *storage.AuditError
			n, err := verify(t, db, coop.ID)
			if !errors.As(err, &broken) || broken.Seq != c.broken || broken.CoopID != coop.ID || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want entry %d, which %s", err, c.broken, c.says)
			}
			if n >= c.broken && c.says != "remembers another hash" && c.says != "not written by the node" {
				t.Errorf("entry %d was handed out as sound", n)
			}
			if err := db.SetSetting(t.Context(), "origin", "https://rye.example"); err != nil {
				t.Fatal(err)
			}
			if err := storage.Check(t.Context(), db); !errors.As(err, &broken) {
				t.Errorf("the check of the whole database says %v", err)
			}
		})
	}
}

// Two copies of a node write one log: no number is drawn twice, and none is left out.
func TestTwoCopiesOfANodeWriteOneAuditLog(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		copied := storagetest.Again(t, db)
		bakery, mill := founded(t, db, "bakery"), founded(t, db, "mill")
		var wg sync.WaitGroup
		for i := range 80 {
			wg.Go(func() {
				writer := []*storage.DB{db, copied}[i%2]
				note(t, writer, []storage.ID{bakery.ID, mill.ID}[i/2%2], fmt.Sprint("act ", i))
			})
		}
		wg.Wait()
		for _, coop := range []*storage.Actor{bakery, mill} {
			if n, err := verify(t, db, coop.ID); n != 40 || err != nil {
				t.Errorf("%s has %d entries, %v; want 40", coop.Username, n, err)
			}
		}
	})
}

// The same with the last admins: whoever looks at the co-op's row first decides.
func TestTwoCopiesOfANodeLeaveOneAdmin(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		copied := storagetest.Again(t, db)
		for round := range 5 {
			coop := founded(t, db, fmt.Sprint("bakery", round))
			users := []*storage.User{person(t, db, fmt.Sprint("ana", round)), person(t, db, fmt.Sprint("bo", round))}
			for _, u := range users {
				if err := db.AddMember(t.Context(), &storage.Member{UserID: u.ID, CoopID: coop.ID, Role: storage.RoleAdmin}); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for i, node := range []*storage.DB{db, copied} {
				wg.Go(func() {
					err := node.Transaction(t.Context(), func(tx *storage.DB) error {
						if _, err := tx.LockCoop(t.Context(), coop.ID); err != nil {
							return err
						}
						admins, err := tx.Holders(t.Context(), coop.ID, storage.RoleAdmin)
						if err != nil || len(admins) < 2 {
							return err
						}
						return tx.RemoveMember(t.Context(), coop.ID, users[i].ID, "")
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if admins, err := db.Holders(t.Context(), coop.ID, storage.RoleAdmin); err != nil || len(admins) != 1 {
				t.Errorf("%d admins are left, %v", len(admins), err)
			}
		}
	})
}

func TestWhatACoopDecidesIsKept(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		coop, other, bo := founded(t, db, "bakery"), founded(t, db, "mill"), person(t, db, "bo")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(db.UpdateCoop(ctx, &storage.Coop{ActorID: coop.ID, Joining: storage.JoiningOpen, Approvals: 3, AuditSeq: 99}))
		got, err := db.Coop(ctx, coop.ID)
		must(err)
		if got.Joining != storage.JoiningOpen || got.Approvals != 3 || got.AuditSeq != 0 {
			t.Errorf("got %+v", got)
		}
		for want := 1; want <= 2; want++ {
			a := &storage.Agreement{CoopID: coop.ID, Source: fmt.Sprint("text ", want), Content: "<p>"}
			must(db.AddAgreement(ctx, a))
			if a.Version != want {
				t.Errorf("got version %d, want %d", a.Version, want)
			}
		}
		newest, err := db.Agreement(ctx, coop.ID, 0)
		must(err)
		first, err := db.Agreement(ctx, coop.ID, 1)
		must(err)
		if newest.Version != 2 || first.Source != "text 1" {
			t.Errorf("got %+v and %+v", newest, first)
		}
		if _, err := db.Agreement(ctx, other.ID, 0); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		for _, want := range []bool{true, false} {
			fresh, err := db.AcceptAgreement(ctx, &storage.Acceptance{CoopID: coop.ID, Version: 1, UserID: bo.ID})
			if err != nil || fresh != want {
				t.Errorf("got %t, %v; want %t", fresh, err, want)
			}
		}
		if _, err := db.AcceptAgreement(ctx, &storage.Acceptance{CoopID: coop.ID, Version: 7, UserID: bo.ID}); err == nil {
			t.Error("a version that is not there was accepted")
		}
		if v, err := db.Accepted(ctx, coop.ID, bo.ID); v != 1 || err != nil {
			t.Errorf("she accepted %d, %v", v, err)
		}
		r := &storage.JoinRequest{CoopID: coop.ID, UserID: bo.ID}
		must(db.CreateJoinRequest(ctx, r))
		if err := db.CreateJoinRequest(ctx, &storage.JoinRequest{CoopID: coop.ID, UserID: bo.ID}); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a second request: got %v", err)
		}
		r.State = storage.JoinRefused
		must(db.EndJoinRequest(ctx, r))
		if err := db.EndJoinRequest(ctx, r); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a second answer: got %v", err)
		}
		must(db.CreateJoinRequest(ctx, &storage.JoinRequest{CoopID: coop.ID, UserID: bo.ID}))

		c := &storage.Contribution{CoopID: coop.ID, UserID: bo.ID, Day: "2026-11-30", Minutes: 90, Words: "baked"}
		must(db.SaveContribution(ctx, c))
		c.State = storage.ContributionConfirmed
		must(db.EndContribution(ctx, c))
		for name, sql := range map[string]string{
			"a contribution": "UPDATE contributions SET minutes = 600", "its answer": "UPDATE contributions SET state = 'kept'", "that it was": "DELETE FROM contributions",
			"an agreement": "UPDATE agreements SET source = ''", "that it was set": "DELETE FROM agreements WHERE version = 2", "who accepted": "DELETE FROM acceptances", "when": "UPDATE acceptances SET version = 2",
		} {
			if err := db.Exec(ctx, sql); err == nil {
				t.Errorf("%s was changed", name)
			}
		}
		for name, f := range map[string]storage.ContributionFilter{"all": {}, "hers": {User: bo.ID}, "confirmed": {State: storage.ContributionConfirmed}, "the day": {From: "2026-11-30", To: "2026-11-30"}} {
			if cs, err := db.Contributions(ctx, coop.ID, f); err != nil || len(cs) != 1 {
				t.Errorf("%s: got %+v, %v", name, cs, err)
			}
		}
		for name, f := range map[string]storage.ContributionFilter{"somebody else's": {User: 7}, "kept": {State: storage.ContributionKept}, "later": {From: "2026-12-01"}, "earlier": {To: "2026-11-29"}} {
			if cs, err := db.Contributions(ctx, coop.ID, f); err != nil || len(cs) != 0 {
				t.Errorf("%s: got %+v, %v", name, cs, err)
			}
		}
	})
}
