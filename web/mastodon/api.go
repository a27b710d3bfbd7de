// Package mastodon speaks the client API of Mastodon, so that people use the apps they have (docs.joinmastodon.org/client). It is thin: a handler reads what a client
// sent, makes one call into activitypub (what others may see) or storage (what they may not), and writes an entity.
//
// api.go is the table of routes with the scope that each takes; entity.go has the shapes.
package mastodon

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// version is the Mastodon whose API this is: clients switch features on by it (docs/client-api.md).
const version = "4.2.0"

// Config is what the API needs.
type Config struct {
	Node    *activitypub.Node
	DB      *storage.DB
	OAuth   *oauth.Server
	Origin  string
	Version string // of PLANET
	Signup  string // closed, invite, approval or open
}

// API answers clients.
type API struct {
	Config
	hub     hub
	joining sync.Mutex // one person signs up at a time
	tallies tallies
}

// New makes an API.
func New(c Config) *API {
	a := &API{Config: c}
	a.hub.api = a
	return a
}

type caller = oauth.Caller

// call is one request of a client.
type call struct {
	echo.Context
	ctx  context.Context
	form *oauth.Form
	who  *caller // nil for nobody
	app  *caller // of a route for apps by themselves
}

// by is who acts, as whom.
func (c *call) by() activitypub.By { return activitypub.By{User: c.who.User, Actor: c.who.Actor} }

// reader is who reads; nil for anybody.
func (c *call) reader() *storage.Actor {
	if c.who == nil {
		return nil
	}
	return c.who.Actor
}

// The scopes of routes that are none of oauth's.
const (
	open   = ""       // for anybody, and the same for everybody: nobody is known by her token
	stream = "stream" // asks for the token itself: it may stand elsewhere
	anyone = "user"   // any token of a person
	byApp  = "app"    // a token of an app by itself, with write:accounts
	known  = "?"      // with a scope behind it: for anybody; who comes with a token is known, and the token takes the scope
)

// route is a line of the table.
type route struct {
	method, path string
	scope        string
	handle       func(*API, *call) error
}

// routes is every address of the API, in the order of Mastodon's documentation.
var routes = []route{
	{"GET", "/api/v1/instance", open, (*API).instanceV1},
	{"GET", "/api/v2/instance", open, (*API).instance},
	{"GET", "/api/v1/instance/peers", open, (*API).peers},
	{"GET", "/api/v1/instance/rules", open, (*API).none},
	{"GET", "/api/v1/instance/activity", open, (*API).activity},
	{"GET", "/api/v1/instance/extended_description", open, (*API).description},
	{"GET", "/api/v1/instance/privacy_policy", open, (*API).description},
	{"GET", "/api/v1/instance/translation_languages", open, (*API).nothing},
	{"GET", "/api/v1/custom_emojis", open, (*API).none},
	{"GET", "/api/v1/announcements", anyone, (*API).announcements},
	{"POST", "/api/v1/announcements/:id/dismiss", "write:accounts", (*API).dismissAnnouncement},
	{"PUT", "/api/v1/announcements/:id/reactions/:name", "write:favourites", (*API).react},
	{"DELETE", "/api/v1/announcements/:id/reactions/:name", "write:favourites", (*API).unreact},
	{"GET", "/api/v1/directory", open, (*API).directory},
	{"GET", "/api/v1/trends", open, (*API).none},
	{"GET", "/api/v1/trends/tags", open, (*API).none},
	{"GET", "/api/v1/trends/statuses", open, (*API).none},
	{"GET", "/api/v1/trends/links", open, (*API).none},
	{"GET", "/api/v1/suggestions", "read", (*API).none},
	{"GET", "/api/v2/suggestions", "read", (*API).none},

	{"POST", "/api/v1/accounts", byApp, (*API).signUp},
	{"GET", "/api/v1/accounts/verify_credentials", "read:accounts", (*API).verifyCredentials},
	{"PATCH", "/api/v1/accounts/update_credentials", "write:accounts", (*API).updateCredentials},
	{"DELETE", "/api/v1/profile/avatar", "write:accounts", (*API).deleteAvatar},
	{"DELETE", "/api/v1/profile/header", "write:accounts", (*API).deleteHeader},
	{"GET", "/api/v1/preferences", "read:accounts", (*API).preferences},
	{"GET", "/api/v1/accounts/relationships", "read:follows", (*API).relationships},
	{"GET", "/api/v1/accounts/familiar_followers", "read:follows", (*API).familiarFollowers},
	{"GET", "/api/v1/accounts/lookup", open, (*API).lookup},
	{"GET", "/api/v1/accounts/search", "read:accounts", (*API).searchAccounts},
	{"GET", "/api/v1/accounts/:id", known + "read:accounts", (*API).showAccount},
	{"GET", "/api/v1/accounts/:id/statuses", known + "read:statuses", (*API).accountStatuses},
	{"GET", "/api/v1/accounts/:id/followers", open, (*API).followers},
	{"GET", "/api/v1/accounts/:id/following", open, (*API).following},
	{"GET", "/api/v1/accounts/:id/featured_tags", open, (*API).featuredTagsOf},
	{"GET", "/api/v1/accounts/:id/lists", "read:lists", (*API).listsOf},
	{"GET", "/api/v1/accounts/:id/identity_proofs", "read:accounts", (*API).none},
	{"POST", "/api/v1/accounts/:id/follow", "write:follows", (*API).follow},
	{"POST", "/api/v1/accounts/:id/unfollow", "write:follows", (*API).unfollow},
	{"POST", "/api/v1/accounts/:id/remove_from_followers", "write:follows", (*API).removeFollower},
	{"POST", "/api/v1/accounts/:id/block", "write:blocks", (*API).block},
	{"POST", "/api/v1/accounts/:id/unblock", "write:blocks", (*API).unblock},
	{"POST", "/api/v1/accounts/:id/mute", "write:mutes", (*API).mute},
	{"POST", "/api/v1/accounts/:id/unmute", "write:mutes", (*API).unmute},
	{"POST", "/api/v1/accounts/:id/note", "write:accounts", (*API).setNote},
	{"GET", "/api/v1/follow_requests", "read:follows", (*API).followRequests},
	{"POST", "/api/v1/follow_requests/:id/authorize", "write:follows", (*API).authorizeFollow},
	{"POST", "/api/v1/follow_requests/:id/reject", "write:follows", (*API).rejectFollow},
	{"GET", "/api/v1/blocks", "read:blocks", (*API).blocks},
	{"GET", "/api/v1/mutes", "read:mutes", (*API).mutes},
	{"GET", "/api/v1/domain_blocks", "read:blocks", (*API).domainBlocks},
	{"POST", "/api/v1/domain_blocks", "write:blocks", (*API).blockDomain},
	{"DELETE", "/api/v1/domain_blocks", "write:blocks", (*API).unblockDomain},
	{"GET", "/api/v1/endorsements", "read:accounts", (*API).none},
	{"GET", "/api/v1/featured_tags", "read:accounts", (*API).featuredTags},
	{"POST", "/api/v1/featured_tags", "write:accounts", (*API).featureTag},
	{"DELETE", "/api/v1/featured_tags/:id", "write:accounts", (*API).unfeatureTag},
	{"GET", "/api/v1/featured_tags/suggestions", "read:accounts", (*API).none},
	{"GET", "/api/v1/followed_tags", "read:follows", (*API).followedTags},

	{"GET", "/api/v1/timelines/home", "read:statuses", (*API).home},
	{"GET", "/api/v1/timelines/public", known + "read:statuses", (*API).public},
	{"GET", "/api/v1/timelines/tag/:tag", known + "read:statuses", (*API).tagTimeline},
	{"GET", "/api/v1/timelines/list/:id", "read:lists", (*API).listTimeline},
	{"GET", "/api/v1/tags/:tag", known + "read:follows", (*API).showTag},
	{"POST", "/api/v1/tags/:tag/follow", "write:follows", (*API).followTag},
	{"POST", "/api/v1/tags/:tag/unfollow", "write:follows", (*API).unfollowTag},
	{"GET", "/api/v1/lists", "read:lists", (*API).lists},
	{"POST", "/api/v1/lists", "write:lists", (*API).createList},
	{"GET", "/api/v1/lists/:id", "read:lists", (*API).showList},
	{"PUT", "/api/v1/lists/:id", "write:lists", (*API).updateList},
	{"DELETE", "/api/v1/lists/:id", "write:lists", (*API).deleteList},
	{"GET", "/api/v1/lists/:id/accounts", "read:lists", (*API).listAccounts},
	{"POST", "/api/v1/lists/:id/accounts", "write:lists", (*API).addListAccounts},
	{"DELETE", "/api/v1/lists/:id/accounts", "write:lists", (*API).removeListAccounts},
	{"GET", "/api/v2/filters", "read:filters", (*API).filters},
	{"POST", "/api/v2/filters", "write:filters", (*API).createFilter},
	{"GET", "/api/v2/filters/:id", "read:filters", (*API).showFilter},
	{"PUT", "/api/v2/filters/:id", "write:filters", (*API).updateFilter},
	{"DELETE", "/api/v2/filters/:id", "write:filters", (*API).deleteFilter},
	{"GET", "/api/v2/filters/:id/keywords", "read:filters", (*API).filterKeywords},
	{"POST", "/api/v2/filters/:id/keywords", "write:filters", (*API).addKeyword},
	{"GET", "/api/v2/filters/:id/statuses", "read:filters", (*API).filterPosts},
	{"POST", "/api/v2/filters/:id/statuses", "write:filters", (*API).addFilterPost},
	{"GET", "/api/v2/filters/statuses/:id", "read:filters", (*API).showFilterPost},
	{"DELETE", "/api/v2/filters/statuses/:id", "write:filters", (*API).deleteFilterPost},
	{"GET", "/api/v2/filters/keywords/:id", "read:filters", (*API).showKeyword},
	{"PUT", "/api/v2/filters/keywords/:id", "write:filters", (*API).updateKeyword},
	{"DELETE", "/api/v2/filters/keywords/:id", "write:filters", (*API).deleteKeyword},
	{"GET", "/api/v1/filters", "read:filters", (*API).oldFilters},
	{"POST", "/api/v1/filters", "write:filters", (*API).createOldFilter},
	{"GET", "/api/v1/filters/:id", "read:filters", (*API).showOldFilter},
	{"PUT", "/api/v1/filters/:id", "write:filters", (*API).updateOldFilter},
	{"DELETE", "/api/v1/filters/:id", "write:filters", (*API).deleteOldFilter},
	{"GET", "/api/v1/conversations", "read:statuses", (*API).conversations},
	{"POST", "/api/v1/conversations/:id/read", "write:conversations", (*API).readConversation},
	{"POST", "/api/v1/conversations/:id/unread", "write:conversations", (*API).unreadConversation},
	{"DELETE", "/api/v1/conversations/:id", "write:conversations", (*API).deleteConversation},
	{"GET", "/api/v1/scheduled_statuses", "read:statuses", (*API).scheduledStatuses},
	{"GET", "/api/v1/scheduled_statuses/:id", "read:statuses", (*API).showScheduled},
	{"PUT", "/api/v1/scheduled_statuses/:id", "write:statuses", (*API).reschedule},
	{"DELETE", "/api/v1/scheduled_statuses/:id", "write:statuses", (*API).unschedule},

	{"POST", "/api/v1/statuses", "write:statuses", (*API).publish},
	{"GET", "/api/v1/statuses", known + "read:statuses", (*API).showStatuses},
	{"GET", "/api/v1/statuses/:id", known + "read:statuses", (*API).showStatus},
	{"PUT", "/api/v1/statuses/:id", "write:statuses", (*API).edit},
	{"DELETE", "/api/v1/statuses/:id", "write:statuses", (*API).delete},
	{"GET", "/api/v1/statuses/:id/context", known + "read:statuses", (*API).thread},
	{"GET", "/api/v1/statuses/:id/source", "read:statuses", (*API).source},
	{"GET", "/api/v1/statuses/:id/history", known + "read:statuses", (*API).history},
	{"GET", "/api/v1/statuses/:id/card", known + "read:statuses", (*API).card},
	{"GET", "/api/v1/statuses/:id/reblogged_by", known + "read:accounts", (*API).rebloggedBy},
	{"GET", "/api/v1/statuses/:id/favourited_by", known + "read:accounts", (*API).favouritedBy},
	{"POST", "/api/v1/statuses/:id/favourite", "write:favourites", (*API).favourite},
	{"POST", "/api/v1/statuses/:id/unfavourite", "write:favourites", (*API).unfavourite},
	{"POST", "/api/v1/statuses/:id/reblog", "write:statuses", (*API).reblog},
	{"POST", "/api/v1/statuses/:id/unreblog", "write:statuses", (*API).unreblog},
	{"POST", "/api/v1/statuses/:id/bookmark", "write:bookmarks", (*API).bookmark},
	{"POST", "/api/v1/statuses/:id/unbookmark", "write:bookmarks", (*API).unbookmark},
	{"POST", "/api/v1/statuses/:id/mute", "write:mutes", (*API).muteThread},
	{"POST", "/api/v1/statuses/:id/unmute", "write:mutes", (*API).unmuteThread},
	{"POST", "/api/v1/statuses/:id/pin", "write:accounts", (*API).pin},
	{"POST", "/api/v1/statuses/:id/unpin", "write:accounts", (*API).unpin},
	{"GET", "/api/v1/favourites", "read:favourites", (*API).favourites},
	{"GET", "/api/v1/bookmarks", "read:bookmarks", (*API).bookmarks},
	{"GET", "/api/v1/polls/:id", known + "read:statuses", (*API).showPoll},
	{"POST", "/api/v1/polls/:id/votes", "write:statuses", (*API).vote},
	{"POST", "/api/v2/media", "write:media", (*API).upload},
	{"POST", "/api/v1/media", "write:media", (*API).upload},
	{"GET", "/api/v1/media/:id", "write:media", (*API).showMedia},
	{"PUT", "/api/v1/media/:id", "write:media", (*API).describeMedia},

	{"GET", "/api/v1/notifications", "read:notifications", (*API).notifications},
	{"GET", "/api/v1/notifications/unread_count", "read:notifications", (*API).unreadCount},
	{"GET", "/api/v1/notifications/:id", "read:notifications", (*API).showNotification},
	{"POST", "/api/v1/notifications/clear", "write:notifications", (*API).clearNotifications},
	{"POST", "/api/v1/notifications/:id/dismiss", "write:notifications", (*API).dismissNotification},
	{"GET", "/api/v1/markers", "read:statuses", (*API).markers},
	{"POST", "/api/v1/markers", "write:statuses", (*API).setMarkers},
	{"POST", "/api/v1/push/subscription", "push", (*API).subscribePush},
	{"GET", "/api/v1/push/subscription", "push", (*API).showPush},
	{"PUT", "/api/v1/push/subscription", "push", (*API).updatePush},
	{"DELETE", "/api/v1/push/subscription", "push", (*API).unsubscribePush},
	{"POST", "/api/v1/reports", "write:reports", (*API).report},
	{"GET", "/api/v2/search", known + "read:search", (*API).search},

	{"GET", "/api/v1/streaming", stream, (*API).stream},
	{"GET", "/api/v1/streaming/health", open, (*API).streamHealth},
	{"GET", "/api/v1/streaming/user", stream, streamOf("user")},
	{"GET", "/api/v1/streaming/user/notification", stream, streamOf("user:notification")},
	{"GET", "/api/v1/streaming/public", stream, streamOf("public")},
	{"GET", "/api/v1/streaming/public/local", stream, streamOf("public:local")},
	{"GET", "/api/v1/streaming/public/remote", stream, streamOf("public:remote")},
	{"GET", "/api/v1/streaming/hashtag", stream, streamOf("hashtag")},
	{"GET", "/api/v1/streaming/hashtag/local", stream, streamOf("hashtag:local")},
	{"GET", "/api/v1/streaming/list", stream, streamOf("list")},
	{"GET", "/api/v1/streaming/direct", stream, streamOf("direct")},
}

// What a client may send at most: with a picture, and without.
const (
	maxUpload = 17 << 20
	maxBody   = 1 << 20
)

// Register adds the routes. Whatever else is asked below /api is answered as Mastodon answers what it does not know.
func (a *API) Register(e *echo.Echo) {
	for _, r := range routes {
		e.Add(r.method, r.path, func(c echo.Context) error { return a.serve(c, r) })
	}
	e.Any("/api/*", func(echo.Context) error { return echo.ErrNotFound })
}

// serve asks who calls and whether she may, reads what she sent, and answers.
func (a *API) serve(c echo.Context, r route) error {
	req := c.Request()
	k := &call{Context: c, ctx: req.Context()}
	h := c.Response().Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Vary", "Authorization, Origin")
	if err := a.admit(k, r); err != nil {
		return err
	}
	limit := int64(maxBody)
	if r.scope == "write:media" || r.scope == "write:accounts" {
		limit = maxUpload
	}
	defer func() {
		if req.MultipartForm != nil {
			_ = req.MultipartForm.RemoveAll()
		}
	}()
	var err error
	if k.form, err = oauth.ReadForm(c.Response(), req, limit); err != nil {
		return err
	}
	return r.handle(a, k)
}

// admit finds who calls, and refuses whom the route is not for (security.md OAU 213).
func (a *API) admit(k *call, r route) error {
	scope, anybody := strings.CutPrefix(r.scope, known)
	anybody = anybody || r.scope == open
	if r.scope == stream || anybody && k.Request().Header.Get("Authorization") == "" {
		return nil
	}
	who, err := a.OAuth.Caller(k.Request())
	switch {
	case err != nil:
		return err
	case r.scope == byApp:
		if who.User != nil || who.App == nil || !who.Scopes.Allow("write:accounts") {
			return &oauth.Error{Status: http.StatusForbidden, Code: "This action is outside the authorized scopes", Description: "it takes a token of the app itself, with write:accounts"}
		}
		k.app = who
		return nil
	case r.scope == open, anybody && who.User == nil:
		return nil
	case r.scope == anyone && who.User != nil:
	default:
		if err := who.Need(scope); err != nil {
			return err
		}
	}
	k.who = who
	return nil
}

// id reads the id in the path.
func (c *call) id() (storage.ID, error) {
	id, err := storage.ParseID(c.Param("id"))
	if err != nil {
		return 0, storage.ErrNotFound
	}
	return id, nil
}

func (c *call) ok(v any) error { return c.JSON(http.StatusOK, v) }

func isNotFound(err error) bool { return errors.Is(err, storage.ErrNotFound) }

// invalid is an answer to what cannot be.
func invalid(text string) error {
	return &oauth.Error{Status: http.StatusUnprocessableEntity, Code: "Validation failed: " + text}
}

// none is the answer where there is a list, and nothing in it.
func (a *API) none(c *call) error { return c.ok([]any{}) }

// nothing is the answer where there is an object, and nothing in it.
func (a *API) nothing(c *call) error { return c.ok(struct{}{}) }

// seconds reads a number of seconds.
func seconds(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 10*365*24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}
