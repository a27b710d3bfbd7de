package mastodon_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// TestAFilterOfSinglePosts: a post is caught by its number, also when it is shared, by her who has the filter alone.
func TestAFilterOfSinglePosts(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		ctx := t.Context()
		bo := d.person("bo")
		hers, his := d.token(d.by, "read write"), d.token(bo, "read write")
		_, err := d.node.Follow(ctx, d.by, "@bo@rye.example")
		must(t, err)
		p := d.says(bo, activitypub.Draft{Text: "spoilers"})
		secret := d.says(bo, activitypub.Draft{Text: "@bo@rye.example to himself", Visibility: storage.Direct})
		type filtered struct {
			Filtered []struct {
				KeywordMatches []string `json:"keyword_matches"`
				StatusMatches  []string `json:"status_matches"`
			}
		}
		var filter struct {
			ID       string
			Statuses []struct {
				ID       string
				StatusID string `json:"status_id"`
			}
		}
		d.reads(hers, "POST", "/api/v2/filters", url.Values{"title": {"spoilers"}, "context[]": {"home"}, "filter_action": {"hide"}}, &filter)
		path := "/api/v2/filters/" + filter.ID + "/statuses"
		d.refuses(hers, "POST", path, url.Values{"status_id": {secret.ID.String()}}, 404, "Record not found")
		d.refuses(his, "POST", path, url.Values{"status_id": {p.ID.String()}}, 404, "Record not found")
		var row, again struct {
			ID       string
			StatusID string `json:"status_id"`
		}
		d.reads(hers, "POST", path, url.Values{"status_id": {p.ID.String()}}, &row)
		d.reads(hers, "POST", path, url.Values{"status_id": {p.ID.String()}}, &again)
		if row.StatusID != p.ID.String() || row != again {
			t.Errorf("it is kept as %+v, then as %+v", row, again)
		}
		var s filtered
		if d.reads(hers, "GET", "/api/v1/statuses/"+p.ID.String(), nil, &s); len(s.Filtered) != 1 || !slices.Equal(s.Filtered[0].StatusMatches, []string{p.ID.String()}) || len(s.Filtered[0].KeywordMatches) != 0 {
			t.Errorf("it is caught as %+v", s.Filtered)
		}
		boost, err := d.node.Boost(ctx, bo, p.ID, "")
		must(t, err)
		if d.reads(hers, "GET", "/api/v1/statuses/"+boost.ID.String(), nil, &s); len(s.Filtered) != 1 || !slices.Contains(s.Filtered[0].StatusMatches, p.ID.String()) {
			t.Errorf("shared, it is caught as %+v", s.Filtered)
		}
		if d.shows(hers, homeline, p) {
			t.Error("what is to be hidden is shown")
		}
		if d.reads(hers, "GET", "/api/v2/filters/"+filter.ID, nil, &filter); len(filter.Statuses) != 1 || filter.Statuses[0].StatusID != p.ID.String() {
			t.Errorf("the filter is %+v", filter)
		}
		// A change of the filter's words leaves its posts.
		d.reads(hers, "PUT", "/api/v2/filters/"+filter.ID, url.Values{"title": {"more"}, "keywords_attributes[0][keyword]": {"wheat"}}, nil)
		d.refuses(his, "GET", "/api/v2/filters/statuses/"+row.ID, nil, 404, "Record not found")
		d.refuses(his, "DELETE", "/api/v2/filters/statuses/"+row.ID, nil, 404, "Record not found")
		if d.reads(hers, "GET", "/api/v2/filters/statuses/"+row.ID, nil, &again); row != again {
			t.Errorf("it is kept as %+v, want %+v", again, row)
		}
		d.reads(hers, "DELETE", "/api/v2/filters/statuses/"+row.ID, nil, nil)
		if !d.shows(hers, homeline, p) {
			t.Error("taken out of the filter, it is not shown")
		}
		// It goes with its post, and with its filter.
		d.reads(hers, "POST", path, url.Values{"status_id": {p.ID.String()}}, nil)
		must(t, d.node.Delete(ctx, bo, p.ID))
		if d.reads(hers, "GET", "/api/v2/filters/"+filter.ID, nil, &filter); len(filter.Statuses) != 0 {
			t.Errorf("of a post that is gone there is %+v", filter.Statuses)
		}
		d.reads(hers, "POST", path, url.Values{"status_id": {d.post.ID.String()}}, nil)
		d.reads(hers, "DELETE", "/api/v2/filters/"+filter.ID, nil, nil)
	})
}

// TestAnnouncements: each reads and reacts for herself; what is over is not shown.
func TestAnnouncements(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		_, on := clock(d)
		bo := d.person("bo")
		hers, his := d.token(d.by, "read write"), d.token(bo, "read write")
		soon := db.Now().Add(time.Hour)
		a, err := d.node.CreateAnnouncement(t.Context(), "We move: https://status.example/ <now>", nil)
		must(t, err)
		_, err = d.node.CreateAnnouncement(t.Context(), "For an hour", &soon)
		must(t, err)
		type announcement struct {
			ID, Content string
			Read        bool
			EndsAt      *string `json:"ends_at"`
			Reactions   []struct {
				Name  string
				Count int
				Me    bool
			}
		}
		list := func(token string) (all []announcement) {
			t.Helper()
			d.reads(token, "GET", "/api/v1/announcements", nil, &all)
			return all
		}
		all := list(hers)
		if len(all) != 2 || all[0].ID != a.ID.String() || !strings.Contains(all[0].Content, `href="https://status.example/"`) || !strings.Contains(all[0].Content, "&lt;now&gt;") || all[0].Read || all[0].EndsAt != nil || all[1].EndsAt == nil {
			t.Fatalf("they are %+v", all)
		}
		path := "/api/v1/announcements/" + all[0].ID
		d.reads(hers, "POST", path+"/dismiss", nil, nil)
		d.reads(hers, "POST", path+"/dismiss", nil, nil)
		if mine, other := list(hers), list(his); !mine[0].Read || mine[1].Read || other[0].Read {
			t.Errorf("she has read %+v, he %+v", mine, other)
		}
		bread, flag := url.PathEscape("🍞"), url.PathEscape("🇪🇸")
		d.reads(hers, "PUT", path+"/reactions/"+bread, nil, nil)
		d.reads(hers, "PUT", path+"/reactions/"+bread, nil, nil)
		d.reads(his, "PUT", path+"/reactions/"+bread, nil, nil)
		on(time.Second)
		d.reads(his, "PUT", path+"/reactions/"+flag, nil, nil)
		if r := list(hers)[0].Reactions; len(r) != 2 || r[0].Name != "🍞" || r[0].Count != 2 || !r[0].Me || r[1].Name != "🇪🇸" || r[1].Me {
			t.Errorf("the reactions are %+v", r)
		}
		d.reads(hers, "DELETE", path+"/reactions/"+bread, nil, nil)
		d.refuses(hers, "DELETE", path+"/reactions/"+bread, nil, 404, "Record not found")
		if r := list(hers)[0].Reactions; r[0].Count != 1 || r[0].Me {
			t.Errorf("the reactions are %+v", r)
		}
		for _, no := range []string{"bread", "12", "%3Cb%3E", "a%F0%9F%8D%9E"} {
			d.refuses(hers, "PUT", path+"/reactions/"+no, nil, 422, "emoji")
		}
		for i, e := range []string{"😀", "😁", "😂", "😃", "😄", "😅", "😆"} {
			if w := d.ask(hers, "PUT", path+"/reactions/"+url.PathEscape(e), nil); (w.Code == 200) != (i < 6) {
				t.Errorf("the %d-th different one answers %d %s", i+3, w.Code, w.Body)
			}
		}
		d.refuses(hers, "POST", "/api/v1/announcements/12345/dismiss", nil, 404, "Record not found")
		on(2 * time.Hour)
		if all := list(hers); len(all) != 1 || all[0].ID != a.ID.String() {
			t.Errorf("after an hour they are %+v", all)
		}
		must(t, db.DeleteAnnouncement(t.Context(), a.ID))
		if all := list(hers); len(all) != 0 {
			t.Errorf("removed, they are %+v", all)
		}
	})
}

// TestTagsTogether: any, all and none in the timeline of a hashtag, and how often a hashtag on a profile was used.
func TestTagsTogether(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		token := d.token(d.by, "read write")
		both, rye, wheat := d.says(d.by, activitypub.Draft{Text: "#Rye and #wheat"}), d.says(d.by, activitypub.Draft{Text: "#rye"}), d.says(d.by, activitypub.Draft{Text: "#Wheat"})
		quiet := d.says(d.by, activitypub.Draft{Text: "#rye for few", Visibility: storage.Private})
		shown := d.says(d.by, activitypub.Draft{Text: "#rye with a picture", Media: []storage.ID{d.picture(d.by)}})
		for query, want := range map[string][]*storage.Post{
			"":                       {both, rye, shown},
			"?any[]=Wheat":           {both, rye, shown, wheat},
			"?all[]=wheat":           {both},
			"?none[]=wheat":          {rye, shown},
			"?any[]=wheat&none[]=x":  {both, rye, shown, wheat},
			"?all[]=wheat&any[]=x":   {both},
			"?only_media=true":       {shown},
			"?remote=true":           {},
			"?local=true&none[]=RYE": {},
		} {
			for _, p := range []*storage.Post{both, rye, wheat, quiet, shown} {
				if got, want := d.shows(token, "/api/v1/timelines/tag/rye"+query, p), slices.Contains(want, p); got != want {
					t.Errorf("tag/rye%s has %q: %v, want %v", query, p.Source, got, want)
				}
			}
		}
		var tag struct {
			ID           string
			Count        string  `json:"statuses_count"`
			LastStatusAt *string `json:"last_status_at"`
		}
		if d.reads(token, "POST", "/api/v1/featured_tags", url.Values{"name": {"rye"}}, &tag); tag.Count != "3" || tag.LastStatusAt == nil || *tag.LastStatusAt != db.Now().UTC().Format(time.DateOnly) {
			t.Errorf("the hashtag on her profile is %+v", tag)
		}
		if d.reads(token, "POST", "/api/v1/featured_tags", url.Values{"name": {"barley"}}, &tag); tag.Count != "0" || tag.LastStatusAt != nil {
			t.Errorf("one that she has never used is %+v", tag)
		}
	})
}

// TestTheNodeInNumbers: whom it knows, and what happened week by week.
func TestTheNodeInNumbers(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		d.person("bo")
		gone := time.Now()
		for _, a := range []*storage.Actor{{Domain: "oak.example"}, {Domain: "ash.example", SuspendedAt: &gone}, {Domain: "elm.example"}} {
			a.IRI, a.Type, a.Username = storage.IRI("https://"+a.Domain+"/users/x"), storage.Person, "x"
			must(t, db.SaveActor(t.Context(), a))
		}
		var peers []string
		if d.reads("", "GET", "/api/v1/instance/peers", nil, &peers); !slices.Equal(peers, []string{"elm.example", "oak.example"}) {
			t.Errorf("it knows %v", peers)
		}
		var old struct {
			Stats struct {
				Domains int `json:"domain_count"`
			}
		}
		if d.reads("", "GET", "/api/v1/instance", nil, &old); old.Stats.Domains != 2 {
			t.Errorf("it counts %+v", old)
		}
		var weeks []struct{ Week, Statuses, Logins, Registrations string }
		d.reads("", "GET", "/api/v1/instance/activity", nil, &weeks)
		if len(weeks) != 12 || weeks[0].Statuses != "1" || weeks[0].Logins != "2" || weeks[0].Registrations != "2" || weeks[1].Statuses != "0" {
			t.Errorf("the weeks are %+v", weeks)
		}
	})
}

// TestAProfileWithoutItsPictures: each is taken away alone.
func TestAProfileWithoutItsPictures(t *testing.T) {
	d := newDesk(t)
	must(t, d.node.SetIcon(t.Context(), d.by, d.picture(d.by)))
	must(t, d.node.SetHeader(t.Context(), d.by, d.picture(d.by)))
	token := d.token(d.by, "read write")
	var me struct {
		Avatar, Header string
		Source         *struct{ Note string }
	}
	d.reads(token, "GET", "/api/v1/accounts/verify_credentials", nil, &me)
	face, top := me.Avatar, me.Header
	if !strings.Contains(face, "/media/") || !strings.Contains(top, "/media/") {
		t.Fatalf("with pictures she is %+v", me)
	}
	if d.reads(token, "DELETE", "/api/v1/profile/avatar", nil, &me); strings.Contains(me.Avatar, "/media/") || me.Header != top || me.Source == nil {
		t.Errorf("without a face she is %+v", me)
	}
	if d.reads(token, "DELETE", "/api/v1/profile/header", nil, &me); strings.Contains(me.Header, "/media/") {
		t.Errorf("without either she is %+v", me)
	}
}

// TestPeopleSignUpByAnApp: where the node takes them, each flaw by its field, and with a token that works.
func TestPeopleSignUpByAnApp(t *testing.T) {
	type answer struct {
		Error   string
		Details map[string][]struct{ Error, Description string }
		Token   string `json:"access_token"`
		Kind    string `json:"token_type"`
		Scope   string
		Created int64 `json:"created_at"`
	}
	ask := func(d *desk, token string, form url.Values) (code int, a answer) {
		t.Helper()
		w := d.ask(token, "POST", "/api/v1/accounts", strings.NewReader(form.Encode()))
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		return w.Code, a
	}
	good := func(name string) url.Values {
		return url.Values{"username": {name}, "email": {name + "@mail.example"}, "password": {"a long enough password"}, "agreement": {"true"}, "locale": {"ca"}}
	}
	with := func(form url.Values, key, value string) url.Values { form.Set(key, value); return form }

	closed := newDeskWith(t, "closed")
	if code, a := ask(closed, closed.appToken("write:accounts"), good("dana")); code != 403 || a.Error == "" {
		t.Errorf("a closed node answers %d %+v", code, a)
	}

	d := newDeskWith(t, "open")
	token := d.appToken("read write:accounts")
	for _, c := range []struct {
		form        url.Values
		field, code string
	}{
		{with(good("dana"), "username", ""), "username", "ERR_BLANK"},
		{with(good("dana"), "username", "d@na"), "username", "ERR_INVALID"},
		{with(good("dana"), "username", "dаna"), "username", "ERR_INVALID"}, // with a Cyrillic а
		{with(good("dana"), "username", "Admin"), "username", "ERR_RESERVED"},
		{with(good("dana"), "username", "ANA"), "username", "ERR_TAKEN"},
		{with(good("dana"), "email", "dana"), "email", "ERR_INVALID"},
		{with(good("dana"), "password", ""), "password", "ERR_BLANK"},
		{with(good("dana"), "password", "short"), "password", "ERR_TOO_SHORT"},
		{with(good("dana"), "agreement", "false"), "agreement", "ERR_ACCEPTED"},
	} {
		code, a := ask(d, token, c.form)
		if code != 422 || len(a.Details) != 1 || len(a.Details[c.field]) != 1 || a.Details[c.field][0].Error != c.code || a.Details[c.field][0].Description == "" || !strings.HasPrefix(a.Error, "Validation failed: ") {
			t.Errorf("%v answers %d %+v, want %s of %s", c.form, code, a, c.code, c.field)
		}
	}
	if code, a := ask(d, token, url.Values{}); code != 422 || len(a.Details) != 3 {
		t.Errorf("an empty form answers %d %+v", code, a)
	}
	if _, err := d.db.UserByName(t.Context(), "dana"); err == nil {
		t.Fatal("what was refused made somebody")
	}
	code, a := ask(d, d.appToken("read write payments"), good("Dana"))
	if code != 200 || a.Kind != "Bearer" || a.Scope != "read write" || a.Created == 0 {
		t.Fatalf("it answers %d %+v", code, a)
	}
	var me struct{ Acct string }
	if d.reads(a.Token, "GET", "/api/v1/accounts/verify_credentials", nil, &me); me.Acct != "dana" {
		t.Errorf("the token is of %+v", me)
	}
	if code, a := ask(d, token, with(good("eva"), "email", "DANA@mail.example")); code != 422 || a.Details["email"][0].Error != "ERR_TAKEN" {
		t.Errorf("an address that is taken answers %d %+v", code, a)
	}
	var node struct{ Registrations struct{ Enabled bool } }
	if d.reads("", "GET", "/api/v2/instance", nil, &node); !node.Registrations.Enabled {
		t.Error("an open node says that it is not")
	}

	d = newDeskWith(t, "invite")
	token = d.appToken("write:accounts")
	if d.reads("", "GET", "/api/v2/instance", nil, &node); node.Registrations.Enabled {
		t.Error("a node for those who are invited says that it is open")
	}
	if code, a := ask(d, token, good("dana")); code != 422 || a.Details["invite_code"][0].Error != "ERR_BLANK" {
		t.Errorf("without an invitation it answers %d %+v", code, a)
	}
	if code, a := ask(d, token, with(good("dana"), "invite_code", "made-up")); code != 422 || a.Details["invite_code"][0].Error != "ERR_INVALID" {
		t.Errorf("with a made-up one it answers %d %+v", code, a)
	}
	code1 := d.invite(1)
	if code, a := ask(d, token, with(good("dana"), "invite_code", "https://rye.example/invite/"+code1)); code != 200 || a.Token == "" {
		t.Errorf("with the link of one it answers %d %+v", code, a)
	}
	if code, a := ask(d, token, with(good("eva"), "invite_code", code1)); code != 422 || a.Details["invite_code"][0].Error != "ERR_INVALID" {
		t.Errorf("with one that is used up it answers %d %+v", code, a)
	}
}
