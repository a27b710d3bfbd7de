package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-mastodon"
)

// TestGoMastodon drives a node by mattn/go-mastodon: what it parsed is compared, not what was sent.
func TestGoMastodon(t *testing.T) {
	s, origin, by := listening(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reg, err := mastodon.RegisterApp(ctx, &mastodon.AppConfig{Server: origin, ClientName: "go-mastodon", Scopes: "read write follow push", RedirectURIs: home})
	must(err)
	a := &app{site: s, id: reg.ClientID, secret: reg.ClientSecret, redirect: home}
	back, _ := url.Parse(reg.AuthURI)
	if back.Path != "/oauth/authorize" {
		t.Errorf("it is sent to %s", reg.AuthURI)
	}
	path := a.asks(url.Values{"scope": {"read write follow push"}})
	a.atHost(origin)
	a.signsIn(path, "by_bakery")
	to, err := url.Parse(a.consents(path, "").Header().Get("Location"))
	must(err)
	c := mastodon.NewClient(&mastodon.Config{Server: origin, ClientID: reg.ClientID, ClientSecret: reg.ClientSecret})
	must(c.GetUserAccessToken(ctx, to.Query().Get("code"), home))

	me, err := c.GetAccountCurrentUser(ctx)
	must(err)
	node, err := c.GetInstance(ctx)
	must(err)
	if me.Acct != "by_bakery" || node.URI != strings.TrimPrefix(origin, "http://") || node.Version[:5] != "4.2.0" {
		t.Errorf("she is %+v at %+v", me, node)
	}
	events, err := c.NewWSClient().StreamingWSUser(ctx)
	must(err)
	time.Sleep(time.Second)
	post, err := c.PostStatus(ctx, &mastodon.Toot{Status: "Hello #go", Visibility: "public", Language: "en"})
	must(err)
	if len(post.Tags) != 1 || post.Tags[0].Name != "go" || post.Account.ID != me.ID {
		t.Errorf("the post is %+v", post)
	}
	for seen := false; !seen; {
		select {
		case e := <-events:
			if u, ok := e.(*mastodon.UpdateEvent); ok {
				seen = u.Status.ID == post.ID
			} else if e, ok := e.(*mastodon.ErrorEvent); ok {
				t.Fatal(e)
			}
		case <-ctx.Done():
			t.Fatal("the stream says nothing")
		}
	}
	go func() {
		for range events { // or its goroutine hangs for ever
		}
	}()
	media, err := c.UploadMediaFromBytes(ctx, pngOf(30, 20, 1))
	must(err)
	shown, err := c.PostStatus(ctx, &mastodon.Toot{Status: "with a picture", MediaIDs: []mastodon.ID{media.ID}})
	must(err)
	if len(shown.MediaAttachments) != 1 || shown.MediaAttachments[0].Meta.Original.Width != 30 {
		t.Errorf("its picture is %+v", shown.MediaAttachments)
	}
	for name, do := range map[string]func() (*mastodon.Status, error){
		"favourite": func() (*mastodon.Status, error) { return c.Favourite(ctx, post.ID) },
		"bookmark":  func() (*mastodon.Status, error) { return c.Bookmark(ctx, post.ID) },
		"reblog":    func() (*mastodon.Status, error) { return c.Reblog(ctx, post.ID) },
	} {
		if _, err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	now, err := c.GetStatus(ctx, post.ID)
	must(err)
	if now.Favourited != true || now.Bookmarked != true || now.Reblogged != true || now.FavouritesCount != 1 || now.ReblogsCount != 1 {
		t.Errorf("it stands as %+v", now)
	}
	pg := &mastodon.Pagination{Limit: 2}
	first, err := c.GetTimelineHome(ctx, pg)
	must(err)
	pg.SinceID, pg.MinID = "", ""
	second, err := c.GetTimelineHome(ctx, pg)
	must(err)
	if len(first) != 2 || len(second) != 1 || second[0].ID >= first[1].ID {
		t.Errorf("the pages are %v and %v", first, second)
	}
	them, err := c.AccountLookup(ctx, "bakery")
	must(err)
	if r, err := c.AccountFollow(ctx, them.ID); err != nil || !r.Following || string(them.ID) != by.Actor.ID.String() {
		t.Errorf("she follows %+v, %v", r, err)
	}
	if found, err := c.Search(ctx, shown.URL, true); err != nil || len(found.Statuses) != 1 || found.Statuses[0].ID != shown.ID {
		t.Errorf("the address finds %+v, %v", found, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	yes, no := mastodon.Sbool(true), mastodon.Sbool(false)
	push, err := c.AddPushSubscription(ctx, origin+"/push", key.PublicKey, make([]byte, 16), mastodon.PushAlerts{Mention: &yes, Follow: &no})
	must(err)
	if push.Endpoint != origin+"/push" || push.ServerKey != s.node.VapidKey() || push.Alerts.Mention == nil || !*push.Alerts.Mention || *push.Alerts.Follow || *push.Alerts.Reblog {
		t.Errorf("the push subscription is %+v", push)
	}
	changed, err := c.UpdatePushSubscription(ctx, &mastodon.PushAlerts{Follow: &yes})
	must(err)
	if got, err := c.GetPushSubscription(ctx); err != nil || got.ID != push.ID || !*got.Alerts.Follow || *got.Alerts.Mention || *changed.Alerts.Follow != yes {
		t.Errorf("it was changed to %+v, %v", got, err)
	}
	must(c.RemovePushSubscription(ctx))
	if _, err := c.GetPushSubscription(ctx); err == nil {
		t.Error("the push subscription was removed, and is there")
	}
	direct, err := c.PostStatus(ctx, &mastodon.Toot{Status: "@bakery between us", Visibility: "direct"})
	must(err)
	if talks, err := c.GetConversations(ctx, nil); err != nil || len(talks) != 1 || talks[0].LastStatus.ID != direct.ID || talks[0].Unread || len(talks[0].Accounts) != 1 || talks[0].Accounts[0].ID != them.ID {
		t.Errorf("her conversations are %+v, %v", talks, err)
	} else if err := c.MarkConversationAsRead(ctx, talks[0].ID); err != nil {
		t.Errorf("to read one: %v", err)
	}
	later := time.Now().Add(time.Hour)
	waits, err := c.PostStatus(ctx, &mastodon.Toot{Status: "later", ScheduledAt: &later})
	if err != nil || waits.ScheduledParams.Text != "later" || waits.ScheduledParams.Visibility != "public" {
		t.Errorf("a post that waits is %+v, %v", waits, err)
	}
	if _, err := c.UpdateStatus(ctx, &mastodon.Toot{Status: "with a picture, edited"}, shown.ID); err != nil {
		t.Fatal(err)
	}
	if vs, err := c.GetStatusHistory(ctx, shown.ID); err != nil || len(vs) != 2 || !strings.Contains(vs[1].Content, "edited") {
		t.Errorf("its versions are %+v, %v", vs, err)
	}
	list, err := c.CreateList(ctx, "Bakers")
	must(err)
	must(c.AddToList(ctx, list.ID, them.ID))
	if in, err := c.GetListAccounts(ctx, list.ID); err != nil || len(in) != 1 {
		t.Errorf("the list has %+v, %v", in, err)
	}
	must(c.RemoveFromList(ctx, list.ID, them.ID))
	must(c.DeleteList(ctx, list.ID))
	must(c.DeleteStatus(ctx, shown.ID))
	var gone *mastodon.APIError
	if _, err := c.GetStatus(ctx, shown.ID); !errors.As(err, &gone) || gone.StatusCode != http.StatusNotFound {
		t.Errorf("what was deleted answers %v", err)
	}
}
