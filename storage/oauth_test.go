package storage_test

import (
	"errors"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/storagetest"
)

// TestOAU223WhatNobodyUsesIsForgotten: apps without a token that holds, codes, sessions and keys go after a day; what is in use stays.
func TestOAU223WhatNobodyUsesIsForgotten(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		a := &storage.Actor{IRI: "https://rye.example/users/ana", Type: storage.Person, Username: "ana"}
		must(db.SaveActor(ctx, a))
		u := &storage.User{ActorID: a.ID, Username: "ana", Role: storage.NodeUser}
		must(db.CreateUser(ctx, u))
		var apps []*storage.App
		for _, name := range []string{"used", "left", "never used", "new"} {
			app := &storage.App{ClientID: name, Name: name, RedirectURIs: []string{"https://app.example/"}, Scopes: "read"}
			apps = append(apps, app)
			if name != "new" {
				must(db.SaveApp(ctx, app))
			}
		}
		for _, app := range apps[:2] {
			must(db.SaveGrant(ctx, &storage.Grant{Hash: "code of " + app.Name, AppID: app.ID, UserID: u.ID, ActorID: a.ID, Scopes: "read"}))
			must(db.UseGrant(ctx, "code of "+app.Name, func(*storage.Grant) error { return nil }, &storage.Token{Hash: "token of " + app.Name}))
		}
		must(db.RevokeToken(ctx, "token of left", apps[1].ID))
		must(db.SaveSession(ctx, &storage.Session{Hash: "session", UserID: u.ID, ExpiresAt: db.Now().Add(time.Hour)}))
		must(db.KeepKey(ctx, a.ID, "key", 7))
		first := db.Now()
		db.Now = func() time.Time { return first.Add(25 * time.Hour) }
		must(db.SaveApp(ctx, apps[3]))
		must(db.PruneClients(ctx, db.Now().Add(-24*time.Hour)))
		for i, stays := range []bool{true, false, false, true} {
			if _, err := db.AppByClientID(ctx, apps[i].ClientID); (err == nil) != stays || err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the app that is %s: %v", apps[i].Name, err)
			}
		}
		if tok, err := db.TokenByHash(ctx, "token of used"); err != nil || tok.UserID != u.ID || tok.ActorID != a.ID || tok.Scopes != "read" {
			t.Errorf("the token in use is %+v, %v", tok, err)
		}
		rows := storagetest.Rows(t, db)
		if len(rows["grants"])+len(rows["sessions"])+len(rows["idempotency_keys"]) != 0 {
			t.Errorf("what has expired is %v %v %v", rows["grants"], rows["sessions"], rows["idempotency_keys"])
		}
	})
}

// TestACodeThatComesAgainEndsItsToken (RFC 6749 §4.1.2).
func TestACodeThatComesAgainEndsItsToken(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		a := &storage.Actor{IRI: "https://rye.example/users/ana", Type: storage.Person, Username: "ana"}
		u := &storage.User{Username: "ana", Role: storage.NodeUser}
		app := &storage.App{ClientID: "app", RedirectURIs: []string{"x"}}
		err := db.Transaction(ctx, func(tx *storage.DB) error {
			if err := tx.SaveActor(ctx, a); err != nil {
				return err
			}
			u.ActorID = a.ID
			return errors.Join(tx.CreateUser(ctx, u), tx.SaveApp(ctx, app))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.SaveGrant(ctx, &storage.Grant{Hash: "code", AppID: app.ID, UserID: u.ID, ActorID: a.ID}); err != nil {
			t.Fatal(err)
		}
		no := errors.New("no")
		if err := db.UseGrant(ctx, "code", func(*storage.Grant) error { return no }, &storage.Token{Hash: "t0"}); err != no {
			t.Errorf("what is judged badly: %v", err)
		}
		yes := func(*storage.Grant) error { return nil }
		if err := db.UseGrant(ctx, "code", yes, &storage.Token{Hash: "t1"}); err != nil {
			t.Errorf("the first time: %v", err)
		}
		if err := db.UseGrant(ctx, "code", yes, &storage.Token{Hash: "t2"}); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the second time: %v", err)
		}
		for _, hash := range []string{"t0", "t1", "t2"} {
			if _, err := db.TokenByHash(ctx, hash); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s holds: %v", hash, err)
			}
		}
	})
}
