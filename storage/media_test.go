package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/storagetest"
)

// picture adds the row of a picture of an actor.
func picture(t *testing.T, db *storage.DB, a *storage.Actor, name string) *storage.Media {
	t.Helper()
	m := &storage.Media{ActorID: a.ID, Name: strings.Repeat(name, 64) + ".png", MediaType: "image/png", Alt: "bread", Width: 40, Height: 20, Size: 1000, Blurhash: "L", FocusX: -0.5, FocusY: 0.25}
	if err := db.CreateMedia(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func saysIn(t *testing.T, db *storage.DB, a *storage.Actor, iri storage.IRI) *storage.Post {
	t.Helper()
	p := &storage.Post{IRI: iri, ActorID: a.ID, Type: "Note", Visibility: storage.Private, Content: "x", PublishedAt: db.Now()}
	if err := db.SavePost(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMED200OnlyHerOwnPicturesAreAttachedAndOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ana, bo := actor(t, db, "ana", ""), actor(t, db, "bo", "")
		a, b, c, foreign := picture(t, db, ana, "a"), picture(t, db, ana, "b"), picture(t, db, ana, "c"), picture(t, db, bo, "d")
		p, other := saysIn(t, db, ana, "https://rye.example/1"), saysIn(t, db, ana, "https://rye.example/2")

		if err := db.AttachMedia(ctx, []storage.ID{a.ID, foreign.ID}, ana.ID, p.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("another's picture is attached: %v", err)
		}
		if ms, err := db.MediaOf(ctx, p.ID); err != nil || len(ms) != 0 {
			t.Errorf("half of it was attached: %+v, %v", ms, err)
		}
		if err := db.AttachMedia(ctx, []storage.ID{c.ID, a.ID}, ana.ID, p.ID); err != nil {
			t.Fatal(err)
		}
		if err := db.AttachMedia(ctx, []storage.ID{b.ID}, ana.ID, p.ID); err != nil {
			t.Fatal(err)
		}
		for name, ids := range map[string][]storage.ID{"one that is used": {a.ID}, "one that is nobody's": {4711}, "the same twice": {b.ID, b.ID}} {
			if err := db.AttachMedia(ctx, ids, ana.ID, other.ID); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s is attached: %v", name, err)
			}
		}
		if err := db.ShowMedia(ctx, a.ID, ana.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("what is attached becomes an icon: %v", err)
		}
		if err := db.ShowMedia(ctx, foreign.ID, ana.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("another's picture becomes an icon: %v", err)
		}
		order := func(want ...storage.ID) {
			t.Helper()
			ms, err := db.MediaOf(ctx, p.ID)
			if err != nil || len(ms) != len(want) {
				t.Fatalf("the post has %+v, %v", ms, err)
			}
			for i, m := range ms {
				if m.ID != want[i] {
					t.Errorf("picture %d is %s, want %s", i, m.ID, want[i])
				}
			}
		}
		order(c.ID, a.ID, b.ID)
		if err := db.OrderMedia(ctx, []storage.ID{a.ID, b.ID, c.ID}, p.ID); err != nil {
			t.Fatal(err)
		}
		order(a.ID, b.ID, c.ID)
		if ms, err := db.MediaOf(ctx, 0); err != nil || len(ms) != 0 {
			t.Errorf("no post has %d pictures, %v", len(ms), err)
		}

		if err := db.DescribeMedia(ctx, a.ID, "a loaf", 0, 1); err != nil {
			t.Fatal(err)
		}
		got, err := db.MediaByID(ctx, a.ID)
		if err != nil || got.Alt != "a loaf" || got.FocusX != 0 || got.FocusY != 1 || got.PostID != p.ID || got.Width != 40 || got.Blurhash != "L" {
			t.Errorf("it is %+v, %v", got, err)
		}
		if err := db.DescribeMedia(ctx, 4711, "x", 0, 0); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("what is not there is described: %v", err)
		}
	})
}

func TestAFileGoesWithTheLastRowThatNamesIt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		db.Now = func() time.Time { return now }
		ana, bo := actor(t, db, "ana", ""), actor(t, db, "bo", "")
		a, same, loose, icon := picture(t, db, ana, "a"), picture(t, db, bo, "a"), picture(t, db, ana, "b"), picture(t, db, ana, "c")
		p := saysIn(t, db, ana, "https://rye.example/1")
		if err := db.AttachMedia(ctx, []storage.ID{a.ID}, ana.ID, p.ID); err != nil {
			t.Fatal(err)
		}
		if err := db.ShowMedia(ctx, icon.ID, ana.ID); err != nil {
			t.Fatal(err)
		}
		now = now.Add(25 * time.Hour)
		fresh := picture(t, db, ana, "e")
		if ms, err := db.UnattachedMedia(ctx, now.Add(-24*time.Hour), 10); err != nil || len(ms) != 2 || ms[0].ID != same.ID || ms[1].ID != loose.ID {
			t.Errorf("unused are %+v, %v; want those of yesterday that are no icon", ms, err)
		}
		if u, err := db.MediaUsage(ctx); err != nil || u != (storage.MediaUsage{Attached: 2, Unattached: 3, Bytes: 5000}) {
			t.Errorf("usage is %+v, %v", u, err)
		}

		if err := db.DeletePost(ctx, p.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := db.MediaByID(ctx, a.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the picture of a deleted post is found: %v", err)
		}
		if m, err := db.MediaByName(ctx, a.Name); err != nil || m.ID != same.ID {
			t.Errorf("the same picture of somebody else is %+v, %v", m, err)
		}
		freed, err := db.FreedMedia(ctx, 10)
		if err != nil || len(freed) != 1 || freed[0].ID != a.ID {
			t.Fatalf("freed are %+v, %v", freed, err)
		}
		forget := func(m *storage.Media) (last bool) {
			t.Helper()
			err := db.Transaction(ctx, func(tx *storage.DB) (err error) {
				last, err = tx.ForgetMedia(ctx, m)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return last
		}
		if forget(a) {
			t.Error("the file would go though another row names it")
		}
		if forget(fresh) {
			t.Error("what is in use is forgotten")
		}
		if err := db.FreeMedia(ctx, same.ID); err != nil {
			t.Fatal(err)
		}
		if err := db.FreeMedia(ctx, same.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("it is freed twice: %v", err)
		}
		if _, err := db.MediaByName(ctx, a.Name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a freed picture is shown: %v", err)
		}
		if !forget(same) {
			t.Error("the last row went and the file would stay")
		}
		if err := db.FreeMediaOfActor(ctx, ana.ID); err != nil {
			t.Fatal(err)
		}
		if u, err := db.MediaUsage(ctx); err != nil || u.Attached != 0 || u.Unattached != 0 || u.Freed != 3 {
			t.Errorf("after she left usage is %+v, %v", u, err)
		}
	})
}
