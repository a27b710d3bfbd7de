package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"planet/storage"
	"planet/storage/storagetest"
)

// TestTheMigrationFindsTheConversationsThatThereAre: those of an older database are those that would have been kept all along.
func TestTheMigrationFindsTheConversationsThatThereAre(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ana, bo, far := actor(t, db, "ana", ""), actor(t, db, "bo", ""), actor(t, db, "oli", "oak.example")
		say := func(id int, from *storage.Actor, thread, visibility string, to ...*storage.Actor) *storage.Post {
			t.Helper()
			p := &storage.Post{IRI: storage.IRI(fmt.Sprintf("%s/%d", from.IRI, id)), ActorID: from.ID, Type: "Note", Conversation: thread, Visibility: visibility, PublishedAt: db.Now()}
			for _, a := range to {
				p.Mentions = append(p.Mentions, storage.Mention{ActorID: a.ID, IRI: a.IRI})
			}
			if err := db.SavePost(ctx, p); err != nil {
				t.Fatal(err)
			}
			return p
		}
		say(1, ana, "one", storage.Direct, bo)
		say(2, bo, "one", storage.Direct, ana)
		say(3, far, "two", storage.Direct, ana, bo)
		say(4, far, "", storage.Direct, ana) // without a name
		say(5, ana, "three", storage.Public, bo)
		gone := say(6, bo, "four", storage.Direct, ana)
		if err := db.DeletePost(ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		list := func() (out []string) {
			t.Helper()
			for _, a := range []*storage.Actor{ana, bo, far} {
				cs, err := db.Conversations(ctx, a.ID, storage.Page{})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range cs {
					out = append(out, fmt.Sprint(a.Username, " ", c.Thread, " ", c.LastPostID))
				}
			}
			return out
		}
		want := list()
		if len(want) != 5 {
			t.Fatalf("they are %v", want)
		}
		raw, err := os.ReadFile(filepath.Join("migrations", db.Dialect(), "0008_reading.sql"))
		if err != nil {
			t.Fatal(err)
		}
		_, insert, _ := strings.Cut(string(raw), "INSERT INTO conversations")
		insert, _, _ = strings.Cut(insert, ";")
		storagetest.Exec(t, db, "DELETE FROM conversations")
		storagetest.Exec(t, db, "INSERT INTO conversations"+insert)
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("it finds %v, want %v", got, want)
		}
	})
}
