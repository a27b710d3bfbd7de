package mastodon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// alerts are the kinds of notifications of which an app may want to be told. For some of them nothing happens here.
var alerts = []string{"mention", "status", "reblog", "follow", "follow_request", "favourite", "poll", "update", "quote", "admin.sign_up", "admin.report"}

// What a push says at most: all of it fits into what a push service takes, however it is escaped.
const (
	maxPushTitle = 100 // runes
	maxPushBody  = 140 // runes, as Mastodon's
	maxPushIcon  = 1000
)

// subscribePush replaces what the caller's token had subscribed to.
func (a *API) subscribePush(c *call) error {
	wanted, policy, err := pushWishes(c.form)
	if err != nil {
		return err
	}
	if policy == "" {
		policy = storage.PushAll
	}
	s, err := a.Node.SubscribePush(c.ctx, c.who.Token, activitypub.PushDraft{Endpoint: c.form.Text("subscription[endpoint]"), P256dh: c.form.Text("subscription[keys][p256dh]"),
		Auth: c.form.Text("subscription[keys][auth]"), Standard: c.form.Bool("subscription[standard]", false), Alerts: wanted, Policy: policy, Bearer: oauth.Bearer(c.Request())})
	var wrong *activitypub.InvalidError
	if errors.As(err, &wrong) {
		return invalid(wrong.Msg)
	}
	if err != nil {
		return err
	}
	return c.ok(a.pushEntity(s))
}

func (a *API) showPush(c *call) error {
	s, err := a.DB.PushSubscriptionOf(c.ctx, c.who.Token.ID)
	if err != nil {
		return err
	}
	return c.ok(a.pushEntity(s))
}

// updatePush changes of what the app is told: an alert that the request does not name is off, the policy stays.
func (a *API) updatePush(c *call) error {
	wanted, policy, err := pushWishes(c.form)
	if err != nil {
		return err
	}
	if err := a.DB.SetPushAlerts(c.ctx, c.who.Token.ID, wanted, policy); err != nil {
		return err
	}
	return a.showPush(c)
}

func (a *API) unsubscribePush(c *call) error {
	if err := a.DB.DeletePushSubscription(c.ctx, c.who.Token.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

// pushWishes reads of what, and of whom ("": it does not say), an app wants to be told. Some apps write the policy beside the data.
func pushWishes(f *oauth.Form) (wanted []string, policy string, err error) {
	wanted = []string{}
	for _, kind := range alerts {
		if f.Bool("data[alerts]["+kind+"]", false) {
			wanted = append(wanted, kind)
		}
	}
	policy = cmp.Or(f.Text("data[policy]"), f.Text("policy"))
	if !slices.Contains([]string{"", storage.PushAll, storage.PushFollowed, storage.PushFollower, storage.PushNone}, policy) {
		return nil, "", invalid("Policy is all, followed, follower or none")
	}
	return wanted, policy, nil
}

func (a *API) pushEntity(s *storage.PushSubscription) *PushSubscription {
	e := &PushSubscription{ID: s.ID, Endpoint: s.Endpoint, Standard: s.Standard, ServerKey: a.Node.VapidKey(), Alerts: map[string]bool{}, Policy: s.Policy}
	for _, kind := range alerts {
		e.Alerts[kind] = slices.Contains(s.Alerts, kind)
	}
	return e
}

// PushWords says what a push tells an app: what its notifications would show it now, or nothing where they would not, and where it may not read them any more.
func (a *API) PushWords(ctx context.Context, c *storage.PushClaim) ([]byte, error) {
	s := &c.Subscription
	who, err := a.OAuth.CallerByID(ctx, s.TokenID)
	if err == nil {
		err = who.Need("push")
	}
	var refused *oauth.Error
	if errors.As(err, &refused) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n, err := a.DB.NotificationOf(ctx, s.ActorID, c.NotificationID)
	if isNotFound(err) { // taken back, or read and put away
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if wanted, err := a.pushWanted(ctx, s, n); err != nil || !wanted {
		return nil, err
	}
	shown, err := a.news(ctx, who.Actor, []storage.Notification{*n})
	if err != nil || len(shown) == 0 {
		return nil, err
	}
	bearer, err := a.Node.PushBearer(s)
	if err != nil {
		return nil, err
	}
	return pushMessage(bearer, n.ID, shown[0])
}

// pushWanted reports whether an app wants to hear of a notification, by its kind and by whose doing it is.
func (a *API) pushWanted(ctx context.Context, s *storage.PushSubscription, n *storage.Notification) (bool, error) {
	if !slices.Contains(s.Alerts, storage.Alerts[n.Kind]) {
		return false, nil
	}
	from, to := s.ActorID, n.FromID
	switch s.Policy {
	case storage.PushAll:
		return true, nil
	case storage.PushFollowed:
	case storage.PushFollower:
		from, to = to, from
	default:
		return false, nil
	}
	f, err := a.DB.FollowBetween(ctx, from, to)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil && f.State == storage.FollowAccepted, err
}

// titles are what a push begins with, with the name of who did it.
var titles = map[string]string{
	"mention": "You were mentioned by %s", "status": "%s just posted", "reblog": "%s boosted your post", "follow": "%s is now following you",
	"follow_request": "%s asks to follow you", "favourite": "%s favourited your post", "poll": "A poll by %s has ended",
}

// pushMessage is what an app gets to read, as Mastodon writes it. The id is a number there.
func pushMessage(bearer string, id storage.ID, n *Notification) ([]byte, error) {
	name, body := n.Account.DisplayName, activitypub.PlainText(n.Account.Note)
	if name == "" {
		name = n.Account.Username
	}
	if s := n.Status; s != nil {
		if s.Reblog != nil {
			s = s.Reblog
		}
		if body = s.SpoilerText; body == "" {
			body = activitypub.PlainText(s.Content)
		}
	}
	icon := n.Account.AvatarStatic
	if len(icon) > maxPushIcon {
		icon = ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]any{"access_token": bearer, "preferred_locale": "en", "notification_id": int64(id), "notification_type": n.Type, "icon": icon,
		"title": shortened(fmt.Sprintf(titles[n.Type], name), maxPushTitle), "body": shortened(body, maxPushBody)})
	return bytes.TrimSpace(out.Bytes()), err
}

// shortened cuts a text to so many runes, with a mark where it was cut.
func shortened(text string, limit int) string {
	runes := []rune(strings.TrimSpace(text))
	if len(runes) <= limit {
		return string(runes)
	}
	return strings.TrimSpace(string(runes[:limit-1])) + "…"
}
