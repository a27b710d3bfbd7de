package mastodon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// waits is what these stories look at of a post that waits.
type waits struct {
	ID          string
	ScheduledAt string `json:"scheduled_at"`
	Params      struct {
		Text        string
		MediaIDs    []string `json:"media_ids"`
		Visibility  string
		SpoilerText string `json:"spoiler_text"`
		Idempotency *string
		Poll        *struct {
			Options   []string
			ExpiresIn int `json:"expires_in"`
		}
	}
	MediaAttachments []struct{ ID, Description string } `json:"media_attachments"`
	Planet           *struct {
		Problem string
		GivenUp bool `json:"given_up"`
	}
}

// clock lets a test say what time it is.
func clock(d *desk) (now func() time.Time, on func(time.Duration)) {
	var mu sync.Mutex
	at := time.Now().UTC().Truncate(time.Second)
	d.db.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	d.node.Now = d.db.Now
	return d.db.Now, func(by time.Duration) { mu.Lock(); defer mu.Unlock(); at = at.Add(by) }
}

func (d *desk) picture(by activitypub.By) storage.ID {
	d.t.Helper()
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewRGBA(image.Rect(0, 0, 30, 20))); err != nil {
		d.t.Fatal(err)
	}
	m, err := d.node.Upload(d.t.Context(), by, &pic, activitypub.Description{Alt: "a loaf"})
	if err != nil {
		d.t.Fatal(err)
	}
	return m.ID
}

// refuses asks, and wants a refusal with some words.
func (d *desk) refuses(token, method, path string, form url.Values, code int, words string) {
	d.t.Helper()
	w := d.ask(token, method, path, strings.NewReader(form.Encode()))
	if w.Code != code || !strings.Contains(w.Body.String(), words) {
		d.t.Errorf("%s %s %v answers %d %s, want %d %q", method, path, form, w.Code, w.Body, code, words)
	}
}

const scheduled = "/api/v1/scheduled_statuses"

// TestAPostWaitsForItsTime: it is shown, moved, kept with its picture for longer than a picture is kept, and published once.
func TestAPostWaitsForItsTime(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		ctx := t.Context()
		now, on := clock(d)
		token := d.token(d.by, "read write")
		at := func(in time.Duration) string { return now().Add(in).Format(time.RFC3339) }
		d.refuses(token, "POST", "/api/v1/statuses", url.Values{"status": {"x"}, "scheduled_at": {at(4 * time.Minute)}}, 422, "Validation failed: Scheduled at")
		d.refuses(token, "POST", "/api/v1/statuses", url.Values{"status": {"x"}, "scheduled_at": {"soon"}}, 422, `"Record invalid"`)
		d.refuses(token, "POST", "/api/v1/statuses", url.Values{"status": {" "}, "scheduled_at": {at(time.Hour)}}, 422, "Text can't be blank")
		d.refuses(token, "POST", "/api/v1/statuses", url.Values{"status": {"to nobody"}, "visibility": {"direct"}, "scheduled_at": {at(time.Hour)}}, 422, "direct post")
		d.refuses(token, "POST", "/api/v1/statuses", url.Values{"status": {"x"}, "media_ids[]": {"12345"}, "scheduled_at": {at(time.Hour)}}, 404, "not found")

		pic := d.picture(d.by)
		var first, second, again waits
		d.reads(token, "POST", "/api/v1/statuses", url.Values{"status": {"Loaf of #rye"}, "media_ids[]": {pic.String()}, "spoiler_text": {"food"}, "visibility": {"unlisted"}, "scheduled_at": {at(48 * time.Hour)}}, &first)
		if first.ScheduledAt != now().Add(48*time.Hour).Format("2006-01-02T15:04:05.000Z") || first.Params.Text != "Loaf of #rye" || first.Params.SpoilerText != "food" || first.Params.Visibility != "unlisted" ||
			len(first.MediaAttachments) != 1 || first.MediaAttachments[0].Description != "a loaf" || len(first.Params.MediaIDs) != 1 || first.Params.MediaIDs[0] != pic.String() {
			t.Errorf("it is shown as %+v", first)
		}
		d.reads(token, "POST", "/api/v1/statuses", url.Values{"status": {"Which?"}, "poll[options][]": {"a", "b"}, "poll[expires_in]": {"3600"}, "scheduled_at": {at(time.Hour)}}, &second)
		if second.Params.Poll == nil || second.Params.Poll.ExpiresIn != 3600 || len(second.Params.Poll.Options) != 2 {
			t.Errorf("the poll is shown as %+v", second.Params.Poll)
		}
		var all []waits
		if d.reads(token, "GET", scheduled+"?limit=1", nil, &all); len(all) != 1 || all[0].ID != second.ID {
			t.Errorf("the first page is %+v", all)
		}
		if link := d.ask(token, "GET", scheduled+"?limit=1", nil).Header().Get("Link"); !strings.Contains(link, "max_id="+second.ID) {
			t.Errorf("the list goes on at %q", link)
		}
		if d.reads(token, "GET", scheduled+"?max_id="+second.ID, nil, &all); len(all) != 1 || all[0].ID != first.ID {
			t.Errorf("the second page is %+v", all)
		}
		d.refuses(token, "PUT", scheduled+"/"+first.ID, url.Values{"scheduled_at": {at(time.Minute)}}, 422, "Scheduled at")
		if d.reads(token, "PUT", scheduled+"/"+first.ID, url.Values{"scheduled_at": {at(72 * time.Hour)}}, &again); again.ScheduledAt != now().Add(72*time.Hour).Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("moved, it is at %s", again.ScheduledAt)
		}

		// Nobody sees it before, whoever looks for it; the picture stays.
		posts := func() int { t.Helper(); n, err := db.CountLocalPosts(ctx); must(t, err); return int(n) }
		before := posts()
		on(59 * time.Minute)
		must(t, d.node.PublishScheduled(ctx))
		if n := posts(); n != before {
			t.Errorf("%d posts were published before their time", n-before)
		}
		on(time.Minute)
		must(t, d.node.PublishScheduled(ctx))
		must(t, d.node.PublishScheduled(ctx))
		if n := posts(); n != before+1 {
			t.Errorf("%d posts came of one", n-before)
		}
		on(70 * time.Hour)
		_, err := d.node.TidyMedia(ctx)
		must(t, err)
		on(time.Hour)
		// Several copies of the node look at once.
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := d.node.PublishScheduled(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := posts(); n != before+2 {
			t.Errorf("%d posts came of two", n-before)
		}
		var mine []struct {
			Content          string
			SpoilerText      string `json:"spoiler_text"`
			Visibility       string
			MediaAttachments []struct{ ID string } `json:"media_attachments"`
			Poll             *struct {
				ExpiresAt time.Time `json:"expires_at"`
			}
		}
		d.reads(token, "GET", "/api/v1/accounts/"+d.by.Actor.ID.String()+"/statuses?limit=2", nil, &mine)
		if len(mine) != 2 || !strings.Contains(mine[0].Content, "Loaf of") || mine[0].SpoilerText != "food" || mine[0].Visibility != "unlisted" || len(mine[0].MediaAttachments) != 1 || mine[0].MediaAttachments[0].ID != pic.String() {
			t.Errorf("published, they are %+v", mine)
		}
		if p := mine[1].Poll; p == nil || now().Sub(p.ExpiresAt) != 70*time.Hour {
			t.Errorf("the poll did not begin when it was published: %+v", p)
		}
		if d.reads(token, "GET", scheduled, nil, &all); len(all) != 0 {
			t.Errorf("these wait still: %+v", all)
		}

		// What is taken back is not published, and its picture is free again.
		other := d.picture(d.by)
		d.reads(token, "POST", "/api/v1/statuses", url.Values{"status": {"Never"}, "media_ids[]": {other.String()}, "scheduled_at": {at(time.Hour)}}, &first)
		d.reads(token, "DELETE", scheduled+"/"+first.ID, nil, nil)
		d.refuses(token, "GET", scheduled+"/"+first.ID, nil, 404, "Record not found")
		d.refuses(token, "DELETE", scheduled+"/"+first.ID, nil, 404, "Record not found")
		on(25 * time.Hour)
		must(t, d.node.PublishScheduled(ctx))
		if n := posts(); n != before+2 {
			t.Errorf("%d posts came of two and one that was taken back", n-before)
		}
		if tidied, err := d.node.TidyMedia(ctx); err != nil || tidied.Unattached != 1 {
			t.Errorf("tidied %+v, %v; want the one picture that nothing will show", tidied, err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAKeyMakesOnePostThatWaits: also after it was published, an app that asks again gets what came of it.
func TestAKeyMakesOnePostThatWaits(t *testing.T) {
	d := newDesk(t)
	now, on := clock(d)
	token := d.token(d.by, "read write")
	var one, two waits
	ask := func(out any) {
		t.Helper()
		w := d.askForm(token, "a key", url.Values{"status": {"Once"}, "scheduled_at": {now().Add(20 * time.Minute).Format(time.RFC3339)}})
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		must(t, json.Unmarshal(w.Body.Bytes(), out))
	}
	ask(&one)
	ask(&two)
	if one.ID != two.ID || one.Params.Idempotency == nil || *one.Params.Idempotency != "a key" {
		t.Errorf("the same key made %s and %s", one.ID, two.ID)
	}
	on(20 * time.Minute)
	must(t, d.node.PublishScheduled(t.Context()))
	var s struct {
		ID, Content string
	}
	if ask(&s); !strings.Contains(s.Content, "Once") {
		t.Errorf("after it was published the key stands for %+v", s)
	}
	var all []waits
	if d.reads(token, "GET", scheduled, nil, &all); len(all) != 0 {
		t.Errorf("the key made another one: %+v", all)
	}
}

// TestWhatCannotBePublishedIsKeptWithTheReason: a role that is lost, a person who is suspended, a co-op that is gone, an answer to what is not there any more.
func TestWhatCannotBePublishedIsKeptWithTheReason(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		ctx := t.Context()
		now, on := clock(d)
		coop, err := d.node.FoundCoop(ctx, d.by.User, activitypub.NewCoop{Username: "bakery", Title: "Bakery"})
		must(t, err)
		bo, cleo := d.person("bo"), d.person("cleo")
		must(t, d.node.GiveRole(ctx, activitypub.By{User: d.by.User, Actor: coop}, bo.User, storage.RoleEditor))
		later := now().Add(time.Hour)
		plan := func(by activitypub.By, draft activitypub.Draft) storage.ID {
			t.Helper()
			s, err := d.node.Schedule(ctx, by, draft, later, 0)
			must(t, err)
			return s.ID
		}
		asCoop := plan(activitypub.By{User: bo.User, Actor: coop}, activitypub.Draft{Text: "as the bakery"})
		hers := plan(cleo, activitypub.Draft{Text: "as cleo"})
		answer := plan(d.by, activitypub.Draft{Text: "I agree", InReplyTo: d.says(d.by, activitypub.Draft{Text: "soon gone"}).IRI})
		fine := plan(d.by, activitypub.Draft{Text: "and this is fine"})
		rows, err := db.ScheduledByID(ctx, d.by.Actor.ID, answer)
		must(t, err)
		must(t, d.node.TakeRole(ctx, activitypub.By{User: d.by.User, Actor: coop}, bo.User, storage.RoleEditor))
		must(t, d.node.Delete(ctx, d.by, rows.Draft.InReplyToID))
		suspended := now()
		cleo.User.SuspendedAt = &suspended
		must(t, db.UpdateUser(ctx, cleo.User))
		before, err := db.CountLocalPosts(ctx)
		must(t, err)
		on(time.Hour)
		must(t, d.node.PublishScheduled(ctx))
		if n, err := db.CountLocalPosts(ctx); err != nil || n != before+1 {
			t.Errorf("%d of four were published, %v; want one", n-before, err)
		}
		for _, c := range []struct {
			what  string
			actor storage.ID
			id    storage.ID
			words string
		}{{"a lost role", coop.ID, asCoop, "bo"}, {"a suspended person", cleo.Actor.ID, hers, "suspended"}, {"an answer to nothing", d.by.Actor.ID, answer, "not found"}} {
			s, err := db.ScheduledByID(ctx, c.actor, c.id)
			if err != nil || s.NextAt != nil || !strings.Contains(s.Problem, c.words) {
				t.Errorf("%s: %+v, %v; want it given up for %q", c.what, s, err, c.words)
			}
		}
		if _, err := db.ScheduledByID(ctx, d.by.Actor.ID, fine); err == nil {
			t.Error("what was published waits still")
		}
		// She is told in the list, and another time tries again.
		token := d.token(d.by, "read write")
		var all []waits
		if d.reads(token, "GET", scheduled, nil, &all); len(all) != 1 || all[0].Planet == nil || !all[0].Planet.GivenUp || !strings.Contains(all[0].Planet.Problem, "not found") {
			t.Errorf("she is told %+v", all)
		}
		var again waits
		d.reads(token, "PUT", scheduled+"/"+answer.String(), url.Values{"scheduled_at": {now().Add(time.Hour).Format(time.RFC3339)}}, &again)
		if again.Planet != nil {
			t.Errorf("with another time it still has the problem %+v", again.Planet)
		}
		// A co-op that is gone takes what waited along.
		must(t, d.node.DeleteActor(ctx, activitypub.By{User: d.by.User, Actor: coop}))
		if _, err := db.ScheduledByID(ctx, coop.ID, asCoop); err == nil {
			t.Error("what a co-op that is gone wanted to say is kept")
		}
	})
}

// TestOnlySoManyPostsWait: 25 for one day, 300 in all.
func TestOnlySoManyPostsWait(t *testing.T) {
	d := newDesk(t)
	now, _ := clock(d)
	ctx := t.Context()
	day := now().Truncate(24 * time.Hour).Add(24 * time.Hour) // what waits begins with a whole one, also shortly before midnight
	plan := func(at time.Time) error {
		_, err := d.node.Schedule(ctx, d.by, activitypub.Draft{Text: "x"}, at, 0)
		return err
	}
	for i := range activitypub.MaxScheduled {
		if err := plan(day.Add(time.Duration(i/activitypub.MaxScheduledADay+1) * 24 * time.Hour)); err != nil {
			t.Fatalf("the %d-th: %v", i+1, err)
		}
		if i == activitypub.MaxScheduledADay-1 {
			if err := plan(day.Add(47 * time.Hour)); err == nil || !strings.Contains(err.Error(), "for that day") {
				t.Errorf("one too many on a day: %v", err)
			}
		}
	}
	if err := plan(day.Add(100 * 24 * time.Hour)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(activitypub.MaxScheduled)) {
		t.Errorf("one too many: %v", err)
	}
	bo := d.person("bo")
	if _, err := d.node.Schedule(ctx, bo, activitypub.Draft{Text: "x"}, day.Add(48*time.Hour), 0); err != nil {
		t.Errorf("somebody else's do not count: %v", err)
	}
}
