package mastodon_test

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
)

// between is the desk of ana at rye.example, which is one of two nodes, with oli at the other.
func between(t *testing.T, db *storage.DB) (d *desk, net *aptest.Network, oak *aptest.Node, oli activitypub.By) {
	t.Helper()
	net = aptest.New(t)
	net.Database = func(host string) *storage.DB {
		if host == "rye.example" {
			return db
		}
		return storagetest.New(t)
	}
	rye := net.Add("rye.example")
	oak = net.Add("oak.example")
	srv, err := web.New(web.Config{Node: rye.Node, DB: db, Origin: rye.Origin, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(srv.Stop)
	d = &desk{t: t, db: db, node: rye.Node, web: srv, by: rye.Person("ana")}
	return d, net, oak, oak.Person("oli")
}

// talk is what these stories look at of a conversation.
type talk struct {
	ID         string
	Unread     bool
	Accounts   []struct{ Acct string }
	LastStatus struct{ ID, Content string } `json:"last_status"`
}

const talks = "/api/v1/conversations"

// TestDirectPostsAreConversations: by thread, each side with its own, from another server too.
func TestDirectPostsAreConversations(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d, net, oak, oli := between(t, db)
		ctx := t.Context()
		bo := d.person("bo")
		hers, his := d.token(d.by, "read write"), d.token(bo, "read write")
		list := func(token, query string) (all []talk) {
			t.Helper()
			d.reads(token, "GET", talks+query, nil, &all)
			return all
		}
		direct := func(node *activitypub.Node, by activitypub.By, text string, answers *storage.Post) *storage.Post {
			t.Helper()
			draft := activitypub.Draft{Text: text, Visibility: storage.Direct}
			if answers != nil {
				draft.InReplyTo = answers.IRI
			}
			p, err := node.Publish(ctx, by, draft)
			must(t, err)
			net.Deliver()
			return p
		}
		d.says(bo, activitypub.Draft{Text: "@ana@rye.example in public"})
		first := direct(d.node, bo, "@ana@rye.example flour?", nil)
		if all := list(hers, ""); len(all) != 1 || !all[0].Unread || all[0].LastStatus.ID != first.ID.String() || len(all[0].Accounts) != 1 || all[0].Accounts[0].Acct != "bo" {
			t.Fatalf("she has %+v", all)
		}
		if all := list(his, ""); len(all) != 1 || all[0].Unread || all[0].Accounts[0].Acct != "ana" {
			t.Errorf("he has %+v", all)
		}
		answer := direct(d.node, d.by, "@bo@rye.example tomorrow", first)
		if all := list(hers, ""); len(all) != 1 || all[0].Unread || all[0].LastStatus.ID != answer.ID.String() {
			t.Errorf("with an answer of hers she has %+v", all)
		}
		if all := list(his, ""); len(all) != 1 || !all[0].Unread {
			t.Errorf("with an answer of hers he has %+v", all)
		}
		far := direct(oak.Node, oli, "@ana@rye.example from far", nil)
		kept, err := db.PostByIRI(ctx, far.IRI)
		must(t, err)
		all := list(hers, "?limit=1")
		if len(all) != 1 || all[0].Accounts[0].Acct != "oli@oak.example" || all[0].LastStatus.ID != kept.ID.String() {
			t.Fatalf("the newest is %+v", all)
		}
		link := d.ask(hers, "GET", talks+"?limit=1", nil).Header().Get("Link")
		if !strings.Contains(link, "max_id="+kept.ID.String()) {
			t.Errorf("the list goes on at %q", link)
		}
		if all := list(hers, "?max_id="+kept.ID.String()); len(all) != 1 || all[0].LastStatus.ID != answer.ID.String() {
			t.Errorf("the second page is %+v", all)
		}
		if back := list(hers, "?min_id="+answer.ID.String()); len(back) != 1 || back[0].ID != all[0].ID {
			t.Errorf("and back: %+v", back)
		}
		// It is read, by her alone.
		var one talk
		if d.reads(hers, "POST", talks+"/"+all[0].ID+"/read", nil, &one); one.Unread || one.ID != all[0].ID {
			t.Errorf("read, it is %+v", one)
		}
		if all := list(hers, "?limit=1"); all[0].Unread {
			t.Error("what she has read is unread")
		}
		if d.reads(hers, "POST", talks+"/"+all[0].ID+"/unread", nil, &one); !one.Unread || !list(hers, "?limit=1")[0].Unread {
			t.Errorf("to be read again, it is %+v", one)
		}
		d.refuses(his, "POST", talks+"/"+all[0].ID+"/unread", nil, 404, "Record not found")
		d.refuses(his, "POST", talks+"/"+all[0].ID+"/read", nil, 404, "Record not found")
		d.refuses(his, "DELETE", talks+"/"+all[0].ID, nil, 404, "Record not found")
		// What is taken back makes the one before it the last.
		must(t, d.node.Delete(ctx, d.by, answer.ID))
		if all := list(his, ""); len(all) != 1 || all[0].LastStatus.ID != first.ID.String() {
			t.Errorf("after the answer was taken back he has %+v", all)
		}
		must(t, d.node.Delete(ctx, bo, first.ID))
		if all := list(his, ""); len(all) != 0 {
			t.Errorf("after all was taken back he has %+v", all)
		}
		// Out of the list, and back with the next post.
		d.reads(hers, "DELETE", talks+"/"+all[0].ID, nil, nil)
		if all := list(hers, ""); len(all) != 0 {
			t.Errorf("deleted, there are %+v", all)
		}
		direct(oak.Node, oli, "@ana@rye.example are you there?", far)
		if all := list(hers, ""); len(all) != 1 || !all[0].Unread || !strings.Contains(all[0].LastStatus.Content, "are you there") {
			t.Errorf("after another post there are %+v", all)
		}
		// Whoever blocks her is not shown to her.
		direct(d.node, bo, "@ana@rye.example flour again", nil)
		if all := list(hers, ""); len(all) != 2 || all[0].Accounts[0].Acct != "bo" {
			t.Errorf("with another one there are %+v", all)
		}
		_, err = d.node.Block(ctx, bo, "@ana@rye.example")
		must(t, err)
		if all := list(hers, ""); len(all) != 1 || all[0].Accounts[0].Acct != "oli@oak.example" {
			t.Errorf("with one who blocks her she has %+v", all)
		}
		_, err = d.node.Unblock(ctx, bo, "@ana@rye.example")
		must(t, err)
		// Who is muted begins none.
		_, err = d.node.Mute(ctx, d.by, "@bo@rye.example", 0)
		must(t, err)
		direct(d.node, bo, "@ana@rye.example hello?", nil)
		if all := list(hers, ""); len(all) != 2 || !strings.Contains(all[0].LastStatus.Content, "flour again") {
			t.Errorf("who is muted talks to her: %+v", all)
		}
	})
}

// TestOneDomainIsEnough: what one person blocks a domain for.
func TestOneDomainIsEnough(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d, net, oak, oli := between(t, db)
		ctx := t.Context()
		bo := d.person("bo")
		hers, his := d.token(d.by, "read write follow"), d.token(bo, "read write follow")
		do := func(what any, err error) { t.Helper(); must(t, err) }
		do(d.node.Follow(ctx, d.by, "@oli@oak.example"))
		do(d.node.Follow(ctx, bo, "@oli@oak.example"))
		net.Deliver()
		do(oak.Follow(ctx, oli, "@ana@rye.example"))
		net.Deliver()
		mine := d.says(d.by, activitypub.Draft{Text: "Fresh #bread"})
		net.Deliver()
		said := oak.Say(oli, "Good @ana@rye.example #bread")
		net.Deliver()
		kept := func(p *storage.Post) *storage.Post {
			t.Helper()
			k, err := db.PostByIRI(ctx, p.IRI)
			must(t, err)
			return k
		}
		do(d.node.Boost(ctx, bo, kept(said).ID, ""))
		do(d.node.Follow(ctx, d.by, "@bo@rye.example"))
		remote, err := db.ActorByID(ctx, kept(said).ActorID)
		must(t, err)
		type sight struct{ home, public, tag, news, search, followed, follows bool }
		look := func(token string) (s sight) {
			t.Helper()
			p := kept(said)
			s.home, s.public, s.tag = d.shows(token, homeline, p), d.shows(token, "/api/v1/timelines/public", p), d.shows(token, "/api/v1/timelines/tag/bread", p)
			var news []struct{ Account struct{ Acct string } }
			d.reads(token, "GET", "/api/v1/notifications", nil, &news)
			s.news = slices.ContainsFunc(news, func(n struct{ Account struct{ Acct string } }) bool { return n.Account.Acct == "oli@oak.example" })
			var found []struct{ Acct string }
			d.reads(token, "GET", "/api/v1/accounts/search?q=oli", nil, &found)
			s.search = len(found) > 0
			var r []struct {
				Following      bool
				FollowedBy     bool `json:"followed_by"`
				DomainBlocking bool `json:"domain_blocking"`
			}
			d.reads(token, "GET", "/api/v1/accounts/relationships?id[]="+remote.ID.String(), nil, &r)
			s.followed, s.follows = r[0].Following, r[0].FollowedBy
			if r[0].DomainBlocking != (token == hers && !s.home) {
				t.Errorf("domain_blocking is %v", r[0].DomainBlocking)
			}
			return s
		}
		if got, want := look(hers), (sight{true, true, true, true, true, true, true}); got != want {
			t.Fatalf("before: %+v, want %+v", got, want)
		}
		d.refuses(hers, "POST", "/api/v1/domain_blocks", url.Values{"domain": {"rye.example"}}, 422, "this node itself")
		d.refuses(hers, "POST", "/api/v1/domain_blocks", url.Values{"domain": {"no domain"}}, 422, "Validation failed")
		d.refuses(hers, "POST", "/api/v1/domain_blocks", url.Values{}, 422, "blank")
		d.reads(hers, "POST", "/api/v1/domain_blocks", url.Values{"domain": {"OAK.example"}}, nil)
		d.reads(hers, "POST", "/api/v1/domain_blocks?domain=bücher.example", nil, nil)
		net.Deliver()
		if got, want := look(hers), (sight{}); got != want {
			t.Errorf("blocked: %+v, want %+v", got, want)
		}
		if got := look(his); !got.home || !got.public || !got.followed {
			t.Errorf("somebody else sees %+v", got)
		}
		var names []string
		if d.reads(hers, "GET", "/api/v1/domain_blocks", nil, &names); !slices.Equal(names, []string{"xn--bcher-kva.example", "oak.example"}) {
			t.Errorf("she blocks %v", names)
		}
		if link := d.ask(hers, "GET", "/api/v1/domain_blocks?limit=1", nil).Header().Get("Link"); !strings.Contains(link, `rel="next"`) {
			t.Errorf("the list goes on at %q", link)
		}
		// The other server knows that the follows have ended, in both directions.
		for _, pair := range [][2]string{{"@oli@oak.example", "@ana@rye.example"}, {"@ana@rye.example", "@oli@oak.example"}} {
			a, err := oak.Resolve(ctx, pair[0])
			must(t, err)
			b, err := oak.Resolve(ctx, pair[1])
			must(t, err)
			if f, err := oak.DB.FollowBetween(ctx, a.ID, b.ID); err == nil {
				t.Errorf("at oak %s still follows %s: %+v", pair[0], pair[1], f)
			}
		}
		// Nothing that comes is told, nor begins a conversation; it is not in the thread for her.
		answer, err := oak.Publish(ctx, oli, activitypub.Draft{Text: "@ana@rye.example why?", InReplyTo: mine.IRI})
		must(t, err)
		do(oak.Publish(ctx, oli, activitypub.Draft{Text: "@ana@rye.example why, directly?", Visibility: storage.Direct}))
		do(oak.Follow(ctx, oli, "@ana@rye.example"))
		net.Deliver()
		if got, want := look(hers), (sight{}); got != want {
			t.Errorf("after an answer from there: %+v, want %+v", got, want)
		}
		var all []talk
		if d.reads(hers, "GET", talks, nil, &all); len(all) != 0 {
			t.Errorf("a direct post from there is %+v", all)
		}
		var thread struct{ Descendants []struct{ ID string } }
		if d.reads(hers, "GET", "/api/v1/statuses/"+mine.ID.String()+"/context", nil, &thread); len(thread.Descendants) != 0 {
			t.Errorf("in the thread she sees %+v", thread.Descendants)
		}
		if d.reads(his, "GET", "/api/v1/statuses/"+mine.ID.String()+"/context", nil, &thread); len(thread.Descendants) != 1 || thread.Descendants[0].ID != kept(answer).ID.String() {
			t.Errorf("in the thread he sees %+v", thread.Descendants)
		}
		d.refuses(hers, "POST", "/api/v1/accounts/"+remote.ID.String()+"/follow", url.Values{}, 403, "does not want to hear from")
		// Taken back, as toot does it: with JSON or a form in the body of a DELETE.
		d.reads(hers, "DELETE", "/api/v1/domain_blocks", url.Values{"domain": {"oak.example"}}, nil)
		d.reads(hers, "DELETE", "/api/v1/domain_blocks?domain=b%C3%BCcher.example", nil, nil)
		if d.reads(hers, "GET", "/api/v1/domain_blocks", nil, &names); len(names) != 0 {
			t.Errorf("she blocks %v", names)
		}
		if got := look(hers); !got.home || !got.public || !got.search || got.followed || got.follows {
			t.Errorf("after it was taken back: %+v", got)
		}
	})
}

// TestAPostRemembersWhatItSaid: its versions in their order, with pictures, warning and answers of their time, of this node and of another.
func TestAPostRemembersWhatItSaid(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d, net, oak, oli := between(t, db)
		ctx := t.Context()
		token := d.token(d.by, "read write")
		type version struct {
			Content          string
			SpoilerText      string    `json:"spoiler_text"`
			CreatedAt        time.Time `json:"created_at"`
			Account          struct{ Acct string }
			MediaAttachments []struct{ Description string } `json:"media_attachments"`
			Poll             *struct{ Options []struct{ Title string } }
		}
		history := func(p *storage.Post) (vs []version) {
			t.Helper()
			d.reads(token, "GET", "/api/v1/statuses/"+p.ID.String()+"/history", nil, &vs)
			for i, v := range vs {
				if i > 0 && !v.CreatedAt.After(vs[i-1].CreatedAt) {
					t.Errorf("version %d is of %s, after one of %s", i, v.CreatedAt, vs[i-1].CreatedAt)
				}
			}
			return vs
		}
		edit := func(node *activitypub.Node, by activitypub.By, p *storage.Post, draft activitypub.Draft) {
			t.Helper()
			net.Sleep(time.Minute)
			_, err := node.Edit(ctx, by, p.ID, draft)
			must(t, err)
			net.Deliver()
		}
		pic := d.picture(d.by)
		p := d.says(d.by, activitypub.Draft{Text: "one", Summary: "bread", Media: []storage.ID{pic}})
		if vs := history(p); len(vs) != 1 || !strings.Contains(vs[0].Content, "one") || !vs[0].CreatedAt.Equal(p.PublishedAt) {
			t.Errorf("never edited, it has %+v", vs)
		}
		edit(d.node, d.by, p, activitypub.Draft{Text: "two"})
		net.Sleep(time.Minute)
		_, err := d.node.Describe(ctx, d.by, pic, activitypub.Description{Alt: "a brown loaf"})
		must(t, err)
		edit(d.node, d.by, p, activitypub.Draft{Text: "three", Media: []storage.ID{}})
		vs := history(p)
		if len(vs) != 4 {
			t.Fatalf("it has %d versions: %+v", len(vs), vs)
		}
		if vs[0].SpoilerText != "bread" || !strings.Contains(vs[0].Content, "one") || !strings.Contains(vs[1].Content, "two") || vs[1].SpoilerText != "" || !strings.Contains(vs[3].Content, "three") || vs[0].Account.Acct != "ana" {
			t.Errorf("they are %+v", vs)
		}
		if len(vs[0].MediaAttachments) != 0 || len(vs[3].MediaAttachments) != 0 {
			t.Errorf("a picture that was taken away is shown: %+v", vs)
		}

		do := func(_ any, err error) { t.Helper(); must(t, err) }
		do(d.node.Follow(ctx, d.by, "@oli@oak.example"))
		net.Deliver()
		q, err := oak.Publish(ctx, oli, activitypub.Draft{Text: "rye?", Poll: &activitypub.PollDraft{Options: []string{"yes", "no"}, Lasts: time.Hour}})
		must(t, err)
		net.Deliver()
		edit(oak.Node, oli, q, activitypub.Draft{Text: "rye or wheat?"})
		kept, err := db.PostByIRI(ctx, q.IRI)
		must(t, err)
		vs = history(kept)
		if len(vs) != 2 || !strings.Contains(vs[0].Content, "rye?") || !strings.Contains(vs[1].Content, "wheat") || vs[0].Poll == nil || len(vs[0].Poll.Options) != 2 || vs[0].Poll.Options[1].Title != "no" {
			t.Errorf("what another server edited has %+v", vs)
		}
		// They go with the post.
		must(t, d.node.Delete(ctx, d.by, p.ID))
		d.refuses(token, "GET", "/api/v1/statuses/"+p.ID.String()+"/history", nil, 404, "Record not found")
		if left, err := db.Versions(ctx, p.ID); err != nil || len(left) != 0 {
			t.Errorf("of a deleted post %d versions are left, %v", len(left), err)
		}
		// And are bounded: the first one and the newest.
		r := d.says(d.by, activitypub.Draft{Text: "the first"})
		for i := range 105 {
			at := r.PublishedAt.Add(time.Duration(i+1) * time.Second)
			r.EditedAt, r.Content = &at, "<p>again</p>"
			must(t, db.SavePost(ctx, r))
		}
		left, err := db.Versions(ctx, r.ID)
		if err != nil || len(left) != 100 || !strings.Contains(left[0].Content, "the first") {
			t.Errorf("%d versions, %v, beginning with %q", len(left), err, left[0].Content)
		}
	})
}

// TestFamiliarFollowers: whom she follows and who follow somebody.
func TestFamiliarFollowers(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	bo, cleo, dana := d.person("bo"), d.person("cleo"), d.person("dana")
	for _, f := range []struct {
		by   activitypub.By
		whom string
	}{{d.by, "@bo@rye.example"}, {d.by, "@cleo@rye.example"}, {bo, "@dana@rye.example"}, {cleo, "@ana@rye.example"}} {
		_, err := d.node.Follow(ctx, f.by, f.whom)
		must(t, err)
	}
	var out []struct {
		ID       string
		Accounts []struct{ Acct string }
	}
	d.reads(d.token(d.by, "read"), "GET", "/api/v1/accounts/familiar_followers?id[]="+dana.Actor.ID.String()+"&id[]="+cleo.Actor.ID.String(), nil, &out)
	raw, _ := json.Marshal(out)
	if len(out) != 2 || out[0].ID != dana.Actor.ID.String() || len(out[0].Accounts) != 1 || out[0].Accounts[0].Acct != "bo" || len(out[1].Accounts) != 0 {
		t.Errorf("they are %s", raw)
	}
}
