package mastodon_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// post is what these stories look at of a status.
type post struct {
	ID       string
	Content  string
	Reblog   *struct{ ID string }
	Muted    bool
	Filtered []struct {
		KeywordMatches []string `json:"keyword_matches"`
	}
}

// reads asks, and reads what comes.
func (d *desk) reads(token, method, path string, form url.Values, out any) {
	d.t.Helper()
	var w = d.ask(token, method, path, nil)
	if form != nil {
		w = d.ask(token, method, path, strings.NewReader(form.Encode()))
	}
	if w.Code != 200 {
		d.t.Fatalf("%s %s answers %d %s", method, path, w.Code, w.Body)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			d.t.Fatal(err)
		}
	}
}

// shows reports whether a timeline has a post, or what shares it.
func (d *desk) shows(token, path string, p *storage.Post) bool {
	d.t.Helper()
	var all []post
	d.reads(token, "GET", path, nil, &all)
	return slices.ContainsFunc(all, func(s post) bool { return s.ID == p.ID.String() || s.Reblog != nil && s.Reblog.ID == p.ID.String() })
}

func (d *desk) says(by activitypub.By, draft activitypub.Draft) *storage.Post {
	d.t.Helper()
	p, err := d.node.Publish(d.t.Context(), by, draft)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

const homeline = "/api/v1/timelines/home"

// TestWhatSomebodyWantsToRead: how ana follows bo, what she reads apart, and what she does not want to hear of.
func TestWhatSomebodyWantsToRead(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		bo, cleo := d.person("bo"), d.person("cleo")
		token := d.token(d.by, "read write follow")
		follow := "/api/v1/accounts/" + bo.Actor.ID.String() + "/follow"
		want := func(what string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		news := func(kind string) (n int) {
			t.Helper()
			var all []struct{ Type string }
			d.reads(token, "GET", "/api/v1/notifications?types[]="+kind, nil, &all)
			return len(all)
		}

		// With notify she is told of what bo writes, and of no answer; without boosts she does not see what he shares.
		d.reads(token, "POST", follow, url.Values{"notify": {"true"}, "reblogs": {"false"}}, nil)
		first := d.says(bo, activitypub.Draft{Text: "Flour is here"})
		d.says(bo, activitypub.Draft{Text: "and salt", InReplyTo: first.IRI})
		other := d.says(cleo, activitypub.Draft{Text: "Whom ana does not follow"})
		if _, err := d.node.Boost(t.Context(), bo, other.ID, ""); err != nil {
			t.Fatal(err)
		}
		want("what bo writes", d.shows(token, homeline, first), true)
		want("what bo shares", d.shows(token, homeline, other), false)
		if n := news("status"); n != 1 {
			t.Errorf("she was told of %d posts, want 1", n)
		}
		d.reads(token, "POST", follow, url.Values{"notify": {"false"}, "reblogs": {"true"}}, nil)
		want("what bo shares, once she wants it", d.shows(token, homeline, other), true)
		d.says(bo, activitypub.Draft{Text: "Yeast is here"})
		if n := news("status"); n != 1 {
			t.Errorf("she was told of %d posts after she did not want that any more", n)
		}

		// In a list of its own, and for that not at home.
		var list struct{ ID string }
		d.reads(token, "POST", "/api/v1/lists", url.Values{"title": {"Mill"}, "exclusive": {"true"}}, &list)
		d.reads(token, "POST", "/api/v1/lists/"+list.ID+"/accounts", url.Values{"account_ids[]": {bo.Actor.ID.String()}}, nil)
		want("in the list", d.shows(token, "/api/v1/timelines/list/"+list.ID, first), true)
		want("at home, while the list is exclusive", d.shows(token, homeline, first), false)
		d.reads(token, "PUT", "/api/v1/lists/"+list.ID, url.Values{"exclusive": {"false"}}, nil)
		want("at home, when it is not", d.shows(token, homeline, first), true)

		// A hashtag that she follows brings what is public.
		tagged, quiet := d.says(cleo, activitypub.Draft{Text: "Barley #Rye"}), d.says(cleo, activitypub.Draft{Text: "Barley, quietly #rye", Visibility: storage.Unlisted})
		want("a hashtag before", d.shows(token, homeline, tagged), false)
		d.reads(token, "POST", "/api/v1/tags/RYE/follow", nil, nil)
		want("a hashtag that she follows", d.shows(token, homeline, tagged), true)
		want("what is not for everyone", d.shows(token, homeline, quiet), false)

		// Words that she does not want to read: whole ones, and hidden ones.
		grain, buck := d.says(bo, activitypub.Draft{Text: "No WHEAT, today"}), d.says(bo, activitypub.Draft{Text: "buckwheat pancakes"})
		var filter struct{ ID string }
		d.reads(token, "POST", "/api/v2/filters", url.Values{"title": {"wheat"}, "context[]": {"home"}, "keywords_attributes[0][keyword]": {"wheat"}, "keywords_attributes[0][whole_word]": {"true"}}, &filter)
		var s post
		if d.reads(token, "GET", "/api/v1/statuses/"+grain.ID.String(), nil, &s); len(s.Filtered) != 1 || !slices.Equal(s.Filtered[0].KeywordMatches, []string{"WHEAT"}) {
			t.Errorf("the filter says %+v", s.Filtered)
		}
		if d.reads(token, "GET", "/api/v1/statuses/"+buck.ID.String(), nil, &s); len(s.Filtered) != 0 {
			t.Errorf("part of a word is caught: %+v", s.Filtered)
		}
		want("what only warns", d.shows(token, homeline, grain), true)
		d.reads(token, "PUT", "/api/v2/filters/"+filter.ID, url.Values{"filter_action": {"hide"}}, nil)
		want("what hides", d.shows(token, homeline, grain), false)
		want("and only where it should", d.shows(token, "/api/v1/accounts/"+bo.Actor.ID.String()+"/statuses", grain), true)

		// A conversation that is enough.
		d.says(bo, activitypub.Draft{Text: "@ana@rye.example which?", InReplyTo: d.post.IRI})
		if n := news("mention"); n != 1 {
			t.Errorf("she was told of %d answers, want 1", n)
		}
		if d.reads(token, "POST", "/api/v1/statuses/"+d.post.ID.String()+"/mute", nil, &s); !s.Muted {
			t.Error("it is not muted")
		}
		if n := news("mention"); n != 0 {
			t.Errorf("she is told of %d answers in a conversation that she has muted", n)
		}
	})
}

// TestAKeyMakesOnePost: an app that asks again, or several times at once, gets the same post (Idempotency-Key).
func TestAKeyMakesOnePost(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDeskOn(t, db)
		bo := d.person("bo")
		mine, his := d.token(d.by, "write"), d.token(bo, "write")
		before, err := db.CountLocalPosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		ids := make([]string, 12)
		for i := range ids {
			wg.Go(func() {
				w := d.askKeyed(mine, "the same", "Only once")
				var s post
				if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				ids[i] = s.ID
			})
		}
		wg.Wait()
		if slices.ContainsFunc(ids, func(id string) bool { return id != ids[0] }) {
			t.Errorf("they got %v", ids)
		}
		d.askKeyed(his, "the same", "somebody else's key")
		d.askKeyed(mine, "another", "another key")
		if n, err := db.CountLocalPosts(t.Context()); err != nil || n != before+3 {
			t.Errorf("%d posts came of it, %v; want 3", n-before, err)
		}
	})
}

// TestTheRolesOfAMember are hers and her fellows' to see, and nobody else's.
func TestTheRolesOfAMember(t *testing.T) {
	d := newDesk(t)
	bo, eve := d.person("bo"), d.person("eve")
	coop, err := d.node.FoundCoop(t.Context(), d.by.User, activitypub.NewCoop{Username: "bakery", Title: "The Bakery"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.node.GiveRole(t.Context(), activitypub.By{User: d.by.User, Actor: coop}, bo.User, storage.RoleTreasurer); err != nil {
		t.Fatal(err)
	}
	names := func(token, path string) (out []string) {
		var e struct{ Roles []struct{ Name string } }
		d.reads(token, "GET", path, nil, &e)
		for _, r := range e.Roles {
			out = append(out, r.Name)
		}
		return out
	}
	path := "/api/v1/accounts/" + bo.Actor.ID.String()
	for _, c := range []struct {
		who, token, path, want string
	}{
		{"bo", d.token(bo, "read"), "/api/v1/accounts/verify_credentials", "[treasurer of bakery]"}, {"bo", d.token(bo, "read"), path, "[treasurer of bakery]"},
		{"ana", d.token(d.by, "read"), path, "[treasurer of bakery]"}, {"eve", d.token(eve, "read"), path, "[]"}, {"nobody", "", path, "[]"},
	} {
		if got := fmt.Sprint(names(c.token, c.path)); got != c.want {
			t.Errorf("%s sees %s at %s, want %s", c.who, got, c.path, c.want)
		}
	}
}
