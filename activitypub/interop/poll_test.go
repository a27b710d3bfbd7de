package interop

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"planet/storage"
)

// row is a post as the node's database holds it, whoever may see it.
func (s *story) row(t *testing.T, iri string) *storage.Post {
	t.Helper()
	p, err := s.planet.db.PostByIRI(t.Context(), storage.IRI(iri))
	must(t, err)
	return p
}

// arrive waits for a post of the peer's and returns it as the node holds it.
func (s *story) arrive(t *testing.T, iri string) *storage.Post {
	t.Helper()
	eventually(t, "the co-op sees "+iri, func() error {
		_, err := s.seen(t, iri)
		return err
	})
	return s.row(t, iri)
}

// gone waits until Fedify has deleted a note, and the node a post.
func (s *story) gone(t *testing.T, ours, theirs string) {
	t.Helper()
	s.planet.run(t, "post", "delete", ours, "--as", s.name())
	s.peer.ask(t, "delete", map[string]any{"as": "ana", "id": theirs}, nil)
	eventually(t, "both posts are deleted where they went", func() error {
		if !s.peer.state(t).Notes[ours].Deleted {
			return fmt.Errorf("Fedify still has %s", ours)
		}
		if p := s.row(t, theirs); p.DeletedAt == nil || p.Content != "" || len(p.Attachments) > 0 {
			return fmt.Errorf("planet still has %+v", p)
		}
		return nil
	})
}

// picture writes a PNG of two colours and returns where it is.
func picture(t *testing.T, name string, width, height int) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{200, 150, 80, 255}
			if x > width/2 {
				c = color.RGBA{90, 60, 30, 255}
			}
			m.Set(x, y, c)
		}
	}
	file := filepath.Join(t.TempDir(), name)
	f, err := os.Create(file)
	must(t, err)
	must(t, png.Encode(f, m))
	must(t, f.Close())
	return file
}

// planetPictures: a picture with its description, measures and blurhash, the same after an edit of the words, another description,
// and the picture itself at its address.
func (s *story) planetPictures(t *testing.T) {
	said := s.say(t, "--image", picture(t, "loaf.png", 80, 60), "--alt", `A "round" loaf, <cut>`, "Just out of the oven")
	s.pictured = said.IRI
	kept := s.row(t, said.IRI).Attachments
	if len(kept) != 1 || kept[0].Blurhash == "" {
		t.Fatalf("the post has the attachments %+v, want one with a blurhash", kept)
	}
	want := peerNote{
		Type: "Note", ID: said.IRI, AttributedTo: s.baker, Content: said.Content, URL: said.URL, Published: said.Published,
		To: []string{public}, Cc: []string{s.baker + "/followers"},
		Attachments: []peerMedium{{Type: "Document", URL: kept[0].URL, Name: `A "round" loaf, <cut>`, MediaType: "image/png", Width: 80, Height: 60, Blurhash: kept[0].Blurhash}},
	}
	s.wantNote(t, want)

	s.planet.run(t, "post", "edit", said.ID, "Out of the oven for an hour", "--as", s.name())
	now := s.known(t, said.IRI)
	want.Content, want.Updated = now.Content, now.Edited
	s.wantNote(t, want)

	s.planet.run(t, "media", "describe", kept[0].MediaID.String(), "Half a loaf", "--as", s.name())
	now = s.known(t, said.IRI)
	want.Attachments[0].Name, want.Updated = "Half a loaf", now.Edited
	s.wantNote(t, want)

	var got struct {
		Status, Size int
		Type         string
	}
	s.peer.ask(t, "get", map[string]any{"url": kept[0].URL}, &got)
	if got.Status != 200 || got.Type != "image/png" || got.Size == 0 {
		t.Errorf("the picture at %s is %+v", kept[0].URL, got)
	}
}

// peerPictures: as a Document and as an Image; an edit replaces them. Then each side deletes its post.
func (s *story) peerPictures(t *testing.T) {
	at := func(name string) string { return s.peer.origin + "/pictures/" + name }
	medium := func(kind, name, alt string) map[string]any {
		return map[string]any{"kind": kind, "url": at(name), "type": "image/webp", "alt": alt, "width": 640, "height": 480}
	}
	want := func(name, alt string) storage.Attachment {
		return storage.Attachment{URL: at(name), MediaType: "image/webp", Name: alt, Width: 640, Height: 480}
	}
	var said wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>The mill</p>", "media": []any{
		medium("Document", "mill.webp", "The mill by the <river>"), medium("Image", "wheel.webp", "Its wheel"),
	}}, &said)
	got := s.arrive(t, said.ID)
	if diff := cmp.Diff([]storage.Attachment{want("mill.webp", "The mill by the <river>"), want("wheel.webp", "Its wheel")}, got.Attachments); diff != "" {
		t.Errorf("the pictures as planet holds them (-want +got):\n%s", diff)
	}
	s.peer.ask(t, "edit", map[string]any{"as": "ana", "id": said.ID, "media": []any{medium("Image", "wheel.webp", "Its new wheel")}}, nil)
	eventually(t, "the pictures are edited", func() error {
		if diff := cmp.Diff([]storage.Attachment{want("wheel.webp", "Its new wheel")}, s.row(t, said.ID).Attachments); diff != "" {
			return fmt.Errorf("the pictures as planet holds them (-want +got):\n%s", diff)
		}
		return nil
	})
	s.gone(t, s.pictured, said.ID)
}

// planetAsks: a poll with one answer, in which ana votes and reads the numbers, and one with several.
func (s *story) planetAsks(t *testing.T) {
	said := s.say(t, "--poll", "Rye", "--poll", "Wheat & spelt", "--poll-lasts", "1h", "Which flour?")
	want := peerNote{
		Type: "Question", ID: said.IRI, AttributedTo: s.baker, Content: said.Content, URL: said.URL, Published: said.Published,
		To: []string{public}, Cc: []string{s.baker + "/followers"},
		Poll: &peerPoll{Options: []storage.PollOption{{Name: "Rye"}, {Name: "Wheat & spelt"}}, Ends: said.Published.Add(time.Hour)},
	}
	s.wantNote(t, want)
	var fetched peerNote
	s.peer.ask(t, "fetch", map[string]any{"id": said.IRI}, &fetched)
	if diff := cmp.Diff(want, fetched, sameNote...); diff != "" {
		t.Errorf("the poll as Fedify fetches it (-want +got):\n%s", diff)
	}

	s.peer.ask(t, "vote", map[string]any{"as": "ana", "id": said.IRI, "name": "Wheat & spelt"}, nil)
	want.Poll.Voters, want.Poll.Options[1].Votes = 1, 1
	s.wantNote(t, want) // by the Update that her vote causes, and with no time of an edit
	s.peer.ask(t, "vote", map[string]any{"as": "ana", "id": said.IRI, "name": "Rye"}, nil)
	s.peer.ask(t, "vote", map[string]any{"as": "bruno", "id": said.IRI, "name": "Rye"}, nil)
	s.wantPoll(t, said.IRI, 2, 1, 1)

	s.planet.run(t, "post", "edit", said.ID, "Which flour do you want?", "--as", s.name())
	now := s.known(t, said.IRI)
	want.Content, want.Updated = now.Content, now.Edited
	want.Poll.Voters, want.Poll.Options[0].Votes = 2, 1
	s.wantNote(t, want)

	many := s.say(t, "--poll", "Mon", "--poll", "Tue", "--poll", "Wed", "--poll-multiple", "--poll-lasts", "1h", "Which days?")
	for _, day := range []string{"Mon", "Wed", "Wed"} {
		s.peer.ask(t, "vote", map[string]any{"as": "ana", "id": many.IRI, "name": day}, nil)
	}
	s.wantPoll(t, many.IRI, 1, 1, 0, 1)
	eventually(t, "Fedify knows that somebody has voted", func() error {
		p := s.peer.state(t).Notes[many.IRI].Poll
		if p == nil || !p.Multiple || p.Voters != 1 {
			return fmt.Errorf("the poll as Fedify reads it is %+v", p)
		}
		return nil
	})
	s.poll = said.IRI
}

// wantPoll waits until the node has these numbers of a poll.
func (s *story) wantPoll(t *testing.T, iri string, voters int64, votes ...int64) {
	t.Helper()
	eventually(t, "the numbers of "+iri, func() error {
		p, err := s.planet.db.PollOf(t.Context(), s.row(t, iri).ID)
		must(t, err)
		var got []int64
		for _, o := range p.Options {
			got = append(got, o.Votes)
		}
		if p.Voters != voters || !slices.Equal(got, votes) {
			return fmt.Errorf("%d voters and %v votes, want %d and %v", p.Voters, got, voters, votes)
		}
		return nil
	})
}

// peerAsks: the co-op votes in polls of ana's, one vote for each choice; numbers, an edit and the end arrive by Update.
func (s *story) peerAsks(t *testing.T) {
	days := []string{"Mon", "Tue & Wed", "Thu"}
	var one, many wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>Which day?</p>", "options": days, "lasts": 3600}, &one)
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>Which days?</p>", "options": days, "lasts": 3600, "multiple": true}, &many)
	for iri, multiple := range map[string]bool{one.ID: false, many.ID: true} {
		got, err := s.planet.db.PollOf(t.Context(), s.arrive(t, iri).ID)
		must(t, err)
		ends := one.Published.Add(time.Hour)
		want := &storage.Poll{Multiple: multiple, Options: []storage.PollOption{{Name: "Mon"}, {Name: "Tue & Wed"}, {Name: "Thu"}}, EndsAt: &ends}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(storage.Poll{}, "PostID"), cmpopts.EquateApproxTime(2*time.Second)); diff != "" {
			t.Errorf("the poll as planet holds it (-want +got):\n%s", diff)
		}
	}
	s.planet.run(t, "post", "vote", one.ID, "Tue & Wed", "--as", s.name())
	if out, err := s.planet.try(t, "", "post", "vote", one.ID, "Mon", "--as", s.name()); err == nil {
		t.Errorf("a second vote is taken: %s", out)
	}
	s.planet.run(t, "post", "vote", many.ID, "Mon", "Thu", "--as", s.name())
	eventually(t, "the co-op's votes are with Fedify", func() error {
		var got []string
		for _, v := range s.peer.state(t).Votes {
			if v.Actor == s.baker && strings.HasPrefix(v.ID, s.baker) {
				got = append(got, v.Object+" "+v.Name)
			}
		}
		slices.Sort(got)
		want := []string{one.ID + " Tue & Wed", many.ID + " Mon", many.ID + " Thu"}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the votes are %q, want %q", got, want)
		}
		return nil
	})

	s.peer.ask(t, "tally", map[string]any{"as": "ana", "id": one.ID, "options": days, "votes": []int{2, 5, 0}, "voters": 7}, nil)
	s.peer.ask(t, "tally", map[string]any{"as": "ana", "id": many.ID, "options": days, "votes": []int{4, 1, 1}, "voters": 5, "multiple": true}, nil)
	s.wantPoll(t, one.ID, 7, 2, 5, 0)
	s.wantPoll(t, many.ID, 5, 4, 1, 1)
	if p := s.row(t, one.ID); p.EditedAt != nil {
		t.Errorf("new numbers count as an edit at %s", p.EditedAt)
	}
	s.peer.ask(t, "edit", map[string]any{"as": "ana", "id": many.ID, "content": "<p>Which days suit you?</p>"}, nil)
	eventually(t, "the poll is edited", func() error {
		if p := s.row(t, many.ID); p.EditedAt == nil || p.Content != "<p>Which days suit you?</p>" {
			return fmt.Errorf("it says %q, edited %v", p.Content, p.EditedAt)
		}
		return nil
	})
	s.wantPoll(t, many.ID, 5, 4, 1, 1)

	s.peer.ask(t, "tally", map[string]any{"as": "ana", "id": one.ID, "options": days, "votes": []int{2, 6, 1}, "voters": 9, "close": true}, nil)
	s.wantPoll(t, one.ID, 9, 2, 6, 1)
	if p, err := s.planet.db.PollOf(t.Context(), s.row(t, one.ID).ID); err != nil || p.ClosedAt == nil {
		t.Errorf("the poll is %+v, %v, want it closed", p, err)
	}
	s.gone(t, s.poll, one.ID)
}
