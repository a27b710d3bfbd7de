package activitypub_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// leaf walks a collection from its first page to the last and returns the pages.
func leaf(t *testing.T, net *aptest.Network, address string, change ...func(*http.Request)) (pages []map[string]any) {
	t.Helper()
	whole := open(t, net, address, change...)
	seen := map[string]bool{}
	next, _ := whole["first"].(string)
	for next != "" {
		if seen[next] || len(seen) > 100 {
			t.Fatalf("%s is led to again", next)
		}
		seen[next] = true
		page := open(t, net, next, change...)
		if page["type"] != "OrderedCollectionPage" || page["partOf"] != address || page["totalItems"] != whole["totalItems"] {
			t.Errorf("%s is %v, part of %v, with %v", next, page["type"], page["partOf"], page["totalItems"])
		}
		list(t, page, "orderedItems")
		pages = append(pages, page)
		next, _ = page["next"].(string)
	}
	return pages
}

func TestTheOutboxIsReadToItsEnd(t *testing.T) {
	for _, visible := range []int{0, 1, 20, 40, 45} {
		t.Run(fmt.Sprint(visible), func(t *testing.T) {
			net, rye, baker, ann := stage(t)
			befriend(t, net, ann, baker.Actor)
			var want []string
			say := func(visibility string) *storage.Post {
				return publish(t, rye, baker, activitypub.Draft{Text: visibility + " bread for @ann@far.example", Visibility: visibility})
			}
			for i := range visible {
				kind := storage.Public
				if i%3 == 0 {
					kind = storage.Unlisted
				}
				want = append(want, string(say(kind).IRI))
				if i%10 == 0 {
					say(storage.Private)
					say(storage.Direct)
					if err := rye.Delete(t.Context(), baker, say(storage.Public).ID); err != nil {
						t.Fatal(err)
					}
					net.Sleep(time.Second)
				}
			}
			slices.Reverse(want)
			outbox := string(baker.Actor.Outbox)
			for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "to a follower who is mentioned": signedBy(ann)} {
				if whole := open(t, net, outbox, change); whole["type"] != "OrderedCollection" || whole["totalItems"] != float64(visible) || whole["orderedItems"] != nil {
					t.Errorf("%s: the outbox is %v", name, whole)
				}
				var got []string
				for _, page := range leaf(t, net, outbox, change) {
					items, _ := list(t, page, "orderedItems")
					for _, raw := range items {
						create := raw.(map[string]any)
						note, _ := create["object"].(map[string]any)
						if create["type"] != "Create" || create["actor"] != string(baker.Actor.IRI) || create["id"] != fmt.Sprint(note["id"])+"/activity" {
							t.Errorf("%s: an item is %v", name, create)
						}
						for _, m := range []map[string]any{create, note} {
							_, to := list(t, m, "to")
							_, cc := list(t, m, "cc")
							if !slices.Contains(append(to, cc...), asPublic) {
								t.Errorf("%s: %v is for %v and %v", name, m["id"], to, cc)
							}
						}
						list(t, note, "tag")
						got = append(got, fmt.Sprint(note["id"]))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: the pages hold %d posts %v, want %d, newest first: %v", name, len(got), got, len(want), want)
				}
			}
		})
	}
}

func TestNewPostsDoNotShiftThePagesOfAReader(t *testing.T) {
	net, rye, baker, _ := stage(t)
	for range 25 {
		rye.Say(baker, "bread")
	}
	outbox := string(baker.Actor.Outbox)
	first := open(t, net, outbox+"?page=true")
	next, _ := first["next"].(string)
	before := open(t, net, next)["orderedItems"].([]any)
	rye.Say(baker, "more bread")
	after := open(t, net, next)["orderedItems"].([]any)
	if len(before) != 5 || len(after) != 5 {
		t.Errorf("the second page has %d posts, then %d; want 5", len(before), len(after))
	}
}

func TestFollowersAreCountedForAllAndNamedToSigners(t *testing.T) {
	net, rye, baker, ann := stage(t)
	pending := newcomer(net, "elm.example", "pau", 11)
	farFollowers(t, net, rye, baker.Actor, 25, func(int) http.Handler { return http.NotFoundHandler() })
	befriend(t, net, ann, baker.Actor)
	profile := *baker.Actor
	profile.Locked = true
	if err := rye.UpdateProfile(t.Context(), baker, &profile); err != nil {
		t.Fatal(err)
	}
	if got, _ := post(t, net, pending.Request(ryeInbox, pending.Activity("Follow", "1", baker.Actor.IRI))); got != 202 {
		t.Fatal(got)
	}
	followers := string(baker.Actor.Followers)
	for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "with a broken signature": broken(ann)} {
		// Mastodon takes a collection without `first` for a hidden one.
		if whole := open(t, net, followers, change); whole["totalItems"] != 26.0 || whole["first"] != nil || whole["orderedItems"] != nil {
			t.Errorf("%s: followers are %v", name, whole)
		}
		for _, page := range []string{"?page=true", "?page=1", "?page=true&max_id=9000000000000000000"} {
			if s := ask(t, net, followers+page, change); s.status != 401 || s.header.Get("Content-Type") != problems || strings.Contains(s.body, "orderedItems") {
				t.Errorf("%s: %s is %d %s, want 401", name, page, s.status, s.body)
			}
		}
	}
	var got []string
	for _, page := range leaf(t, net, followers, signedBy(ann)) {
		_, items := list(t, page, "orderedItems")
		got = append(got, items...)
	}
	slices.Sort(got)
	if len(got) != 26 || len(slices.Compact(got)) != 26 || !slices.Contains(got, ann.ID()) || slices.Contains(got, pending.ID()) {
		t.Errorf("the pages name %d: %v", len(got), got)
	}
	if s := ask(t, net, followers+"?page=true", signedBy(ann)); s.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("the names may be kept by others: %q", s.header.Get("Cache-Control"))
	}
}

func TestFollowingIsCountedForAllAndNamedToSigners(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana, bo := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana"), oak.Person("bo")
	follows(t, net, oak, ana, "@baker@rye.example")
	follows(t, net, oak, ana, "@bo@oak.example")
	following := string(ana.Actor.Following)
	if whole := open(t, net, following); whole["totalItems"] != 2.0 || whole["first"] != nil {
		t.Errorf("following is %v", whole)
	}
	pages := leaf(t, net, following, signedBy(hand(t, net, rye, baker.Actor)))
	if len(pages) != 1 {
		t.Fatalf("%d pages, want one", len(pages))
	}
	if _, items := list(t, pages[0], "orderedItems"); !slices.Equal(items, []string{string(bo.Actor.IRI), string(baker.Actor.IRI)}) {
		t.Errorf("ana follows %v, want bo and the baker", items)
	}
}

func TestABadPageIsAProblem(t *testing.T) {
	net, rye, baker, ann := stage(t)
	rye.Say(baker, "bread")
	for _, collection := range []storage.IRI{baker.Actor.Outbox, baker.Actor.Followers, baker.Actor.Following} {
		for _, bad := range []string{"x", "-1", "1.5", "+1", "%201", "99999999999999999999", "1%00", "0x1", "''"} {
			s := ask(t, net, string(collection)+"?page=true&max_id="+bad, signedBy(ann))
			if s.status != 400 || s.header.Get("Content-Type") != problems {
				t.Errorf("%s with max_id=%s is %d %q, want 400 with a problem", collection, bad, s.status, s.header.Get("Content-Type"))
				continue
			}
			if doc := decode(t, s.body); doc["status"] != 400.0 || doc["title"] != "Bad Request" || doc["detail"] == "" || doc["type"] == "" {
				t.Errorf("the problem is %s", s.body)
			}
		}
	}
	// A page below everything is empty, and the last.
	if page := open(t, net, string(baker.Actor.Outbox)+"?page=true&max_id=1"); len(page["orderedItems"].([]any)) != 0 || page["next"] != nil {
		t.Errorf("the page below all is %v", page)
	}
}

func TestNothingIsPinnedYet(t *testing.T) {
	net, rye, baker, _ := stage(t)
	rye.Say(baker, "bread")
	for _, address := range []string{string(baker.Actor.Featured), "https://rye.example/actor/featured", "https://rye.example/ledger/featured"} {
		c := open(t, net, address)
		if items, _ := list(t, c, "orderedItems"); c["type"] != "OrderedCollection" || c["totalItems"] != 0.0 || len(items) != 0 {
			t.Errorf("%s is %v", address, c)
		}
	}
}

func TestRepliesShowWhatIsForEveryoneOnly(t *testing.T) {
	net, rye, baker, ann := stage(t)
	p := rye.Say(baker, "bread")
	shown := publish(t, rye, baker, activitypub.Draft{Text: "and rolls", InReplyTo: p.IRI, Visibility: storage.Unlisted})
	publish(t, rye, baker, activitypub.Draft{Text: "but", InReplyTo: p.IRI, Visibility: storage.Private})
	publish(t, rye, baker, activitypub.Draft{Text: "@ann@far.example", InReplyTo: p.IRI, Visibility: storage.Direct})
	gone := publish(t, rye, baker, activitypub.Draft{Text: "sorry", InReplyTo: p.IRI})
	if err := rye.Delete(t.Context(), baker, gone.ID); err != nil {
		t.Fatal(err)
	}
	note := ann.Note("n", "two please", string(baker.Actor.IRI))
	note["object"].(map[string]any)["inReplyTo"] = string(p.IRI)
	if got, body := post(t, net, ann.Request(ryeInbox, note)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	c := open(t, net, string(p.IRI)+"/replies")
	_, items := list(t, c, "items")
	slices.Sort(items)
	want := []string{ann.ID() + "/notes/n", string(shown.IRI)}
	slices.Sort(want)
	if !slices.Equal(items, want) || c["totalItems"] != 2.0 {
		t.Errorf("the replies are %v of %v, want %v", items, c["totalItems"], want)
	}
}

func TestWantsActivity(t *testing.T) {
	const profile = `profile="https://www.w3.org/ns/activitystreams"`
	for _, c := range []struct {
		who, accept string
		want        bool
	}{
		{"nobody says anything", "", false},
		{"curl", "*/*", false},
		{"Firefox", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8", false},
		{"Firefox since 128", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
		{"Chrome", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7", false},
		{"an image in a page", "image/avif,image/webp,*/*", false},
		{"lynx", "text/html, text/plain, text/sgml, */*;q=0.01", false},
		{"a script", "application/json", false},
		{"a script that takes all", "application/json, */*;q=0.1", false},
		{"Mastodon", "application/activity+json, application/ld+json", true},
		{"Mastodon's search", `application/ld+json; ` + profile + `, application/activity+json, text/html;q=0.1`, true},
		{"Mastodon before 4", `application/activity+json, application/ld+json; ` + profile + `, text/html;q=0.1`, true},
		{"GoToSocial", `application/activity+json,application/ld+json;` + profile, true},
		{"GoToSocial with qualities", `application/ld+json;` + profile + `;q=1.0,application/activity+json;q=0.9`, true},
		{"Pleroma", `application/activity+json`, true},
		{"Mitra", `application/ld+json; ` + profile, true},
		{"Misskey", `application/activity+json, application/ld+json; ` + profile, true},
		{"Lemmy", `application/activity+json, application/ld+json; ` + profile, true},
		{"Fedify", `application/activity+json, application/ld+json; ` + profile, true},
		{"JSON-LD without a profile", `application/ld+json`, true},
		{"with a charset", "application/activity+json; charset=utf-8", true},
		{"in capitals", "Application/Activity+JSON", true},
		{"with blanks", "  application/activity+json ; q=0.5 ", true},
		{"anything below it", "application/activity+json, */*;q=0.1", true},
		{"a page first", "text/html, application/activity+json;q=0.9", false},
		{"a page as much", "text/html, application/activity+json", true},
		{"a page less", "text/html;q=0.5, application/activity+json;q=0.6", true},
		{"XHTML first", "application/xhtml+xml, application/activity+json;q=0.9", false},
		{"the better of both", `application/activity+json;q=0.1, application/ld+json;q=0.9, text/html;q=0.5`, true},
		{"refused", "application/activity+json;q=0", false},
		{"refused, the other not", "application/activity+json;q=0, application/ld+json", true},
		{"a quality that is none", "application/activity+json;q=much, text/html;q=0.1", false},
		{"something like it", "application/activity+jsonp, text/plain", false},
	} {
		if got := activitypub.WantsActivity(c.accept); got != c.want {
			t.Errorf("%s: %q is %v, want %v", c.who, c.accept, got, c.want)
		}
	}
}
