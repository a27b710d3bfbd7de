package mastodon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"regexp"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// shape is what an entity has: each name with what it is. A ? after a kind: it may be null. What is not named may be there as well.
type shape map[string]string

// shapes are the entities with what clients were seen to need (docs/client-api.md): text, time, address, number, bool, another shape, or [] of one.
var shapes = map[string]shape{
	"account": {"id": "id", "username": "text", "acct": "text", "display_name": "text", "note": "text", "url": "address", "uri": "address", "avatar": "address", "avatar_static": "address",
		"header": "address", "header_static": "address", "locked": "bool", "bot": "bool", "created_at": "time", "followers_count": "number", "following_count": "number", "statuses_count": "number",
		"emojis": "[]emoji", "fields": "[]field", "roles": "[]role", "group": "bool", "discoverable": "bool", "last_status_at": "day?"},
	"own":   {"source": "source", "role": "role"},
	"emoji": {}, "role": {"id": "text", "name": "text"}, "field": {"name": "text", "value": "text", "verified_at": "time?"},
	"source": {"privacy": "visibility", "sensitive": "bool", "note": "text", "fields": "[]field", "language": "text", "follow_requests_count": "number"},
	"status": {"id": "id", "uri": "address", "url": "address", "created_at": "time", "account": "account", "content": "text", "emojis": "[]emoji", "mentions": "[]mention", "tags": "[]tag",
		"media_attachments": "[]attachment", "reblogs_count": "number", "favourites_count": "number", "replies_count": "number", "sensitive": "bool", "spoiler_text": "text", "visibility": "visibility",
		"reblog": "status?", "card": "card?", "poll": "poll?", "application": "any?", "language": "text?", "edited_at": "time?", "in_reply_to_id": "id?", "in_reply_to_account_id": "id?"},
	"marked":       {"favourited": "bool", "reblogged": "bool", "bookmarked": "bool", "muted": "bool", "pinned": "bool", "filtered": "[]filtered"},
	"filtered":     {"filter": "filterv2", "keyword_matches": "[]text", "status_matches": "[]text"},
	"filterv2":     {"id": "id", "title": "text", "context": "[]text", "expires_at": "time?", "filter_action": "text"},
	"filter":       {"id": "id", "title": "text", "context": "[]text", "expires_at": "time?", "filter_action": "text", "keywords": "[]keyword", "statuses": "[]filterstatus"},
	"oldfilter":    {"id": "id", "phrase": "text", "context": "[]text", "expires_at": "time?", "whole_word": "bool", "irreversible": "bool"},
	"filterstatus": {"id": "id", "status_id": "id"},
	"keyword":      {"id": "id", "keyword": "text", "whole_word": "bool"},
	"mention":      {"id": "id", "username": "text", "acct": "text", "url": "address"},
	"tag":          {"name": "text", "url": "address", "history": "[]any"},
	"attachment":   {"id": "id", "type": "text", "url": "address", "preview_url": "address", "description": "text?", "blurhash": "text?", "meta": "meta"},
	"meta":         {"original": "size"},
	"size":         {"width": "number", "height": "number", "size": "text", "aspect": "number"},
	"poll":         {"id": "id", "expires_at": "time?", "expired": "bool", "multiple": "bool", "votes_count": "number", "voters_count": "number", "options": "[]option", "emojis": "[]emoji", "voted": "bool", "own_votes": "[]number"},
	"option":       {"title": "text", "votes_count": "number"},
	"card":         {"url": "address", "title": "text", "type": "text", "description": "text", "provider_name": "text", "author_name": "text", "image": "address?", "width": "number", "height": "number", "html": "text", "embed_url": "text", "authors": "[]any"},
	"relationship": {"id": "id", "following": "bool", "showing_reblogs": "bool", "notifying": "bool", "followed_by": "bool", "blocking": "bool", "blocked_by": "bool", "muting": "bool", "muting_notifications": "bool", "requested": "bool", "requested_by": "bool", "domain_blocking": "bool", "endorsed": "bool", "note": "text"},
	"notification": {"id": "id", "type": "text", "created_at": "time", "account": "account"},
	"context":      {"ancestors": "[]status", "descendants": "[]status"},
	"search":       {"accounts": "[]account", "statuses": "[]status", "hashtags": "[]tag"},
	"list":         {"id": "id", "title": "text", "replies_policy": "text", "exclusive": "bool"},
	"statustext":   {"id": "id", "text": "text", "spoiler_text": "text"},
	"edit":         {"content": "text", "spoiler_text": "text", "sensitive": "bool", "created_at": "time", "account": "account", "media_attachments": "[]attachment", "emojis": "[]emoji"},
	"markers":      {"home": "marker", "notifications": "marker"},
	"marker":       {"last_read_id": "text", "version": "number", "updated_at": "time"},
	"featured":     {"id": "id", "name": "text", "url": "address", "statuses_count": "text", "last_status_at": "day?"},
	"pollonce":     {"options": "[]title"}, "title": {"title": "text"}, "edited": {"poll": "pollonce"},
	"scheduled": {"id": "id", "scheduled_at": "time", "params": "params", "media_attachments": "[]attachment"},
	"params": {"text": "text", "poll": "pollparams?", "media_ids": "[]id", "sensitive": "bool", "spoiler_text": "text", "visibility": "visibility", "in_reply_to_id": "id?", "language": "text?",
		"application_id": "id", "idempotency": "text?", "with_rate_limit": "bool", "scheduled_at": "time?"},
	"pollparams":   {"options": "[]text", "expires_in": "number", "multiple": "bool", "hide_totals": "bool"},
	"conversation": {"id": "id", "unread": "bool", "accounts": "[]account", "last_status": "status"},
	"familiar":     {"id": "id", "accounts": "[]account"},
	"announcement": {"id": "id", "content": "text", "starts_at": "time?", "ends_at": "time?", "all_day": "bool", "published_at": "time", "updated_at": "time", "read": "bool", "mentions": "[]mention",
		"statuses": "[]any", "tags": "[]tag", "emojis": "[]emoji", "reactions": "[]reaction"},
	"reaction":  {"name": "text", "count": "number", "me": "bool"},
	"week":      {"week": "text", "statuses": "text", "logins": "text", "registrations": "text"},
	"instance":  {"domain": "text", "title": "text", "version": "text", "source_url": "text", "description": "text", "usage": "any", "thumbnail": "thumbnail", "languages": "[]text", "configuration": "configuration", "registrations": "registrations", "contact": "contact", "rules": "[]any", "api_versions": "any"},
	"thumbnail": {"url": "address"}, "registrations": {"enabled": "bool", "approval_required": "bool"}, "contact": {"email": "text", "account": "account?"},
	"configuration":    {"urls": "urls", "statuses": "any", "polls": "any", "media_attachments": "any", "accounts": "any", "translation": "any", "vapid": "any"},
	"urls":             {"streaming": "text"},
	"oldinstance":      {"uri": "text", "title": "text", "version": "text", "urls": "any", "stats": "any", "configuration": "configuration", "contact_account": "account?", "rules": "[]any", "max_toot_chars": "number"},
	"count":            {"count": "number"},
	"pushsubscription": {"id": "number", "endpoint": "address", "standard": "bool", "server_key": "text", "alerts": "alerts", "policy": "text"},
	"alerts":           {"mention": "bool", "status": "bool", "reblog": "bool", "follow": "bool", "follow_request": "bool", "favourite": "bool", "poll": "bool", "update": "bool", "quote": "bool", "admin.sign_up": "bool", "admin.report": "bool"},
}

var (
	digits  = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)
	instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
)

// fits says what is wrong with a value.
func fits(at, kind string, v any) (wrong []string) {
	if name, may := strings.CutSuffix(kind, "?"); may {
		if v == nil {
			return nil
		}
		kind = name
	}
	bad := func() []string { return []string{fmt.Sprintf("%s is %v, want %s", at, v, kind)} }
	if item, isList := strings.CutPrefix(kind, "[]"); isList {
		list, ok := v.([]any)
		if !ok {
			return bad()
		}
		for i, e := range list {
			wrong = append(wrong, fits(fmt.Sprintf("%s[%d]", at, i), item, e)...)
		}
		return wrong
	}
	text, isText := v.(string)
	ok := true
	switch kind {
	case "any":
		ok = v != nil
	case "text":
		ok = isText
	case "id":
		ok = isText && digits.MatchString(text)
	case "time":
		ok = isText && instant.MatchString(text)
	case "day":
		_, err := time.Parse(time.DateOnly, text)
		ok = err == nil
	case "address":
		ok = isText && strings.HasPrefix(text, "https://")
	case "visibility":
		ok = text == "public" || text == "unlisted" || text == "private" || text == "direct"
	case "number":
		_, ok = v.(float64)
	case "bool":
		_, ok = v.(bool)
	default:
		s, known := shapes[kind]
		o, isObject := v.(map[string]any)
		if ok = known && isObject; ok {
			for name, kind := range s {
				value, there := o[name]
				if !there {
					wrong = append(wrong, at+" has no "+name)
					continue
				}
				wrong = append(wrong, fits(at+"."+name, kind, value)...)
			}
			return wrong
		}
	}
	if !ok {
		return bad()
	}
	return nil
}

// TestEveryEntityIsWhole walks all that can be read, on a node where there is something of everything.
func TestEveryEntityIsWhole(t *testing.T) {
	storagetest.Each(t, everyEntityIsWhole)
}

// Nothing that an app reads, or that making it took, goes through a whole table.
func TestNoEntityTakesAWholeTable(t *testing.T) {
	db, ran := storagetest.Failing(t)
	everyEntityIsWhole(t, db)
	ran.WantIndexes(t, db, "SELECT DISTINCT domain", " LIKE ") // the list of all servers; searches
}

func everyEntityIsWhole(t *testing.T, db *storage.DB) {
	d := newDeskOn(t, db)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bo := d.person("bo")
	coop, err := d.node.FoundCoop(ctx, d.by.User, activitypub.NewCoop{Username: "bakery", Title: "Bakery", Place: "Girona", Hours: "Tu-Sa", Links: []storage.Link{{Name: "Shop", URL: "https://shop.example/"}}})
	must(err)
	bakery := activitypub.By{User: d.by.User, Actor: coop}
	_, err = d.node.Follow(ctx, d.by, "@bo@rye.example")
	must(err)
	_, err = d.node.Follow(ctx, d.by, "@bakery@rye.example")
	must(err)
	_, err = d.node.Follow(ctx, bo, "@ana@rye.example")
	must(err)
	var pic bytes.Buffer
	must(png.Encode(&pic, image.NewRGBA(image.Rect(0, 0, 30, 20))))
	m, err := d.node.Upload(ctx, bakery, &pic, activitypub.Description{Alt: "a loaf"})
	must(err)
	lat, lon := 41.98, 2.82
	_, err = d.node.PublishOffer(ctx, bakery, activitypub.OfferDraft{Title: "Sourdough", Text: "Fridays.", Price: "4.50", Currency: "EUR", Quantity: "20", Place: "Girona", Latitude: &lat, Longitude: &lon, Fuzz: "exact", Media: []storage.ID{m.ID}})
	must(err)
	reply, err := d.node.Publish(ctx, bo, activitypub.Draft{Text: "@ana@rye.example wheat or rye?", InReplyTo: d.post.IRI, Summary: "flour", Sensitive: true, Language: "en"})
	must(err)
	_, err = d.node.Like(ctx, bo, d.post.ID)
	must(err)
	_, err = d.node.Boost(ctx, bo, d.post.ID, "")
	must(err)
	_, err = d.node.Like(ctx, d.by, reply.ID)
	must(err)
	must(d.node.Bookmark(ctx, d.by, reply.ID, true))
	must(d.node.Pin(ctx, d.by, d.post.ID))
	_, err = d.node.Edit(ctx, d.by, d.post.ID, activitypub.Draft{Text: "Fresher #bread"})
	must(err)
	list := &storage.List{ActorID: d.by.Actor.ID, Title: "Bakers", Replies: "list"}
	must(d.db.SaveList(ctx, list))
	must(d.db.SetListMember(ctx, list.ID, bo.Actor.ID, true))
	filter := &storage.Filter{ActorID: d.by.Actor.ID, Title: "Wheat", Contexts: []string{"home"}, Action: "warn", Keywords: []storage.FilterKeyword{{Keyword: "wheat", WholeWord: true}}}
	must(d.db.SaveFilter(ctx, filter))
	inFilter := &storage.FilterPost{FilterID: filter.ID, PostID: reply.ID}
	must(d.db.AddFilterPost(ctx, inFilter))
	waits, err := d.node.Schedule(ctx, d.by, activitypub.Draft{Text: "Later", InReplyTo: reply.IRI, Media: []storage.ID{d.picture(d.by)}}, time.Now().Add(time.Hour), 7)
	must(err)
	asks, err := d.node.Schedule(ctx, d.by, activitypub.Draft{Text: "Which?", Poll: &activitypub.PollDraft{Options: []string{"a", "b"}, Lasts: time.Hour}}, time.Now().Add(time.Hour), 7)
	must(err)
	d.says(bo, activitypub.Draft{Text: "@ana@rye.example between us", Visibility: storage.Direct})
	must(d.node.BlockDomain(ctx, d.by, "loud.example"))
	cleo := d.person("cleo")
	_, err = d.node.Follow(ctx, bo, "@cleo@rye.example")
	must(err)
	told, err := d.node.CreateAnnouncement(ctx, "We move", nil)
	must(err)
	must(d.db.React(ctx, told.ID, d.by.Actor.ID, "🍞", 8))
	must(d.db.SaveFollowedTag(ctx, &storage.FollowedTag{ActorID: d.by.Actor.ID, Name: "rye"}))
	must(d.db.SaveFollowedTag(ctx, &storage.FollowedTag{ActorID: d.by.Actor.ID, Name: "bread", Featured: true}))
	news, err := d.db.Notifications(ctx, d.by.Actor.ID, storage.Page{})
	must(err)
	token := d.token(d.by, "read write follow push")
	post, her := d.post.ID.String(), "/api/v1/accounts/"+d.by.Actor.ID.String()
	for _, c := range []struct{ path, kind string }{
		{"/api/v1/instance", "oldinstance"}, {"/api/v2/instance", "instance"}, {"/api/v1/directory", "[]account"},
		{"/api/v1/accounts/verify_credentials", "account"}, {"/api/v1/accounts/verify_credentials", "own"}, {"/api/v1/accounts/" + coop.ID.String(), "account"}, {"/api/v1/accounts/lookup?acct=bo", "account"},
		{"/api/v1/accounts/search?q=b", "[]account"}, {"/api/v1/accounts/relationships?id[]=" + bo.Actor.ID.String(), "[]relationship"},
		{her + "/statuses", "[]status"}, {her + "/statuses?pinned=true", "[]marked"}, {her + "/followers", "[]account"}, {her + "/following", "[]account"}, {her + "/featured_tags", "[]featured"},
		{"/api/v1/accounts/" + bo.Actor.ID.String() + "/lists", "[]list"},
		{"/api/v1/timelines/home", "[]status"}, {"/api/v1/timelines/home", "[]marked"}, {"/api/v1/timelines/public", "[]status"}, {"/api/v1/timelines/tag/bread", "[]status"},
		{"/api/v1/timelines/list/" + list.ID.String(), "[]status"}, {"/api/v1/tags/bread", "tag"}, {"/api/v1/followed_tags", "[]tag"},
		{"/api/v1/statuses/" + post, "status"}, {"/api/v1/statuses/" + post, "marked"}, {"/api/v1/statuses?id[]=" + post, "[]status"}, {"/api/v1/statuses/" + post + "/context", "context"},
		{"/api/v1/statuses/" + post + "/source", "statustext"}, {"/api/v1/statuses/" + post + "/history", "[]edit"}, {"/api/v1/statuses/" + post + "/favourited_by", "[]account"},
		{"/api/v1/statuses/" + post + "/reblogged_by", "[]account"}, {"/api/v1/polls/" + post, "poll"}, {"/api/v1/favourites", "[]status"}, {"/api/v1/bookmarks", "[]status"},
		{"/api/v1/notifications", "[]notification"}, {"/api/v1/notifications/" + news[0].ID.String(), "notification"}, {"/api/v1/notifications/unread_count", "count"},
		{"/api/v1/markers?timeline[]=home&timeline[]=notifications", "markers"}, {"/api/v2/search?q=bread", "search"}, {"/api/v2/search?q=" + d.post.URL + "&resolve=true", "search"},
		{"/api/v1/lists", "[]list"}, {"/api/v1/lists/" + list.ID.String() + "/accounts", "[]account"}, {"/api/v2/filters", "[]filter"}, {"/api/v1/filters", "[]oldfilter"},
		{"/api/v1/scheduled_statuses", "[]scheduled"}, {"/api/v1/scheduled_statuses/" + waits.ID.String(), "scheduled"}, {"/api/v1/scheduled_statuses/" + asks.ID.String(), "scheduled"},
		{"/api/v1/conversations", "[]conversation"}, {"/api/v1/domain_blocks", "[]text"}, {"/api/v1/accounts/familiar_followers?id[]=" + cleo.Actor.ID.String(), "[]familiar"},
		{"/api/v1/announcements", "[]announcement"}, {"/api/v1/instance/activity", "[]week"}, {"/api/v1/statuses/" + post + "/history", "[]edited"},
		{"/api/v2/filters/" + filter.ID.String() + "/statuses", "[]filterstatus"}, {"/api/v2/filters/statuses/" + inFilter.ID.String(), "filterstatus"},
		{"/api/v2/filters/" + filter.ID.String() + "/keywords", "[]keyword"}, {"/api/v1/featured_tags", "[]featured"},
	} {
		w := d.ask(token, "GET", c.path, nil)
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
			t.Errorf("%s answers %d %s", c.path, w.Code, w.Body)
			continue
		}
		if rows, isList := v.([]any); isList && len(rows) == 0 {
			t.Errorf("%s: nothing is there, so nothing is shown to be whole", c.path)
		}
		for _, wrong := range fits(c.path, c.kind, v) {
			t.Error(wrong)
		}
	}
	// The offer has a card, the co-op its fields, the caught post its filter.
	var home []struct {
		Content string
		Card    *struct{ Title, Description string }
		Planet  *struct {
			Proposal struct{ ID, Purpose, Title, Price, Code, Unit, Place string }
		}
		Account  struct{ Fields []struct{ Name string } }
		Filtered []struct{ Filter struct{ Title string } }
	}
	must(json.Unmarshal(d.ask(token, "GET", "/api/v1/timelines/home", nil).Body.Bytes(), &home))
	offered, caught := false, false
	for _, s := range home {
		if s.Card != nil {
			if p := s.Planet.Proposal; p.ID == "" || p.Purpose != "offer" || p.Title != "Sourdough" || p.Price != "4.50" || p.Code != "EUR" || p.Unit != "one" || p.Place != "Girona" {
				t.Errorf("the proposal is %+v", p)
			}
			offered = s.Card.Title == "Sourdough" && strings.Contains(s.Card.Description, "4.50 EUR") && strings.Contains(s.Card.Description, "Girona") && len(s.Account.Fields) == 3
		}
		if strings.Contains(s.Content, "wheat") {
			caught = len(s.Filtered) == 1 && s.Filtered[0].Filter.Title == "Wheat"
		}
	}
	if !offered || !caught {
		t.Errorf("in the home timeline the offer is shown: %v; the filter works: %v", offered, caught)
	}
}
