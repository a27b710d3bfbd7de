package mastodon

import (
	"html"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// configuration is what clients ask before they let somebody write.
func (a *API) configuration() map[string]any {
	return map[string]any{
		"urls":     map[string]any{"streaming": a.streaming(), "status": nil, "about": a.Origin + "/about", "privacy_policy": a.Origin + "/about"},
		"vapid":    map[string]any{"public_key": a.Node.VapidKey()},
		"accounts": map[string]any{"max_featured_tags": 10, "max_pinned_statuses": 5, "max_profile_fields": 20},
		"statuses": map[string]any{"max_characters": activitypub.MaxPostRunes, "max_media_attachments": activitypub.MaxMedia, "characters_reserved_per_url": 23,
			"supported_mime_types": []string{"text/plain"}},
		"media_attachments": map[string]any{"supported_mime_types": []string{"image/jpeg", "image/png", "image/gif", "image/webp"}, "description_limit": activitypub.MaxAlt,
			"image_size_limit": activitypub.MaxUpload, "image_matrix_limit": 33177600, "video_size_limit": 0, "video_frame_rate_limit": 0, "video_matrix_limit": 0},
		"polls": map[string]any{"max_options": activitypub.MaxOptions, "max_characters_per_option": activitypub.MaxOptionRunes, "min_expiration": 300,
			"max_expiration": int(activitypub.MaxPollLife / time.Second)},
		"translation":      map[string]any{"enabled": false},
		"timelines_access": map[string]any{"live_feeds": map[string]any{"local": "public", "remote": "public"}, "hashtag_feeds": map[string]any{"local": "public", "remote": "public"}},
	}
}

func (a *API) streaming() string { return "ws" + strings.TrimPrefix(a.Origin, "http") }

// contact is who looks after the node, as far as that is known.
func (a *API) contact(c *call) (*Account, error) {
	users, err := a.DB.Users(c.ctx)
	if err != nil {
		return nil, err
	}
	for i := range users {
		if users[i].Role == storage.NodeOwner && users[i].SuspendedAt == nil {
			actor, err := a.DB.ActorByID(c.ctx, users[i].ActorID)
			if err != nil {
				return nil, err
			}
			return a.accountOf(c.ctx, actor)
		}
	}
	return nil, nil
}

func (a *API) software() string { return version + " (compatible; PLANET " + a.Version + ")" }

func (a *API) instance(c *call) error {
	contact, err := a.contact(c)
	if err != nil {
		return err
	}
	users, err := a.DB.CountUsers(c.ctx)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{
		"domain": a.Node.Host, "title": a.Node.Name, "version": a.software(), "source_url": "", "description": a.Node.Description,
		"usage": map[string]any{"users": map[string]any{"active_month": users}}, "thumbnail": map[string]any{"url": a.Origin + "/static/card.png"}, "icon": []any{},
		"languages": []string{"en"}, "configuration": a.configuration(), "api_versions": map[string]any{"mastodon": 1},
		"registrations": map[string]any{"enabled": a.Signup == "open", "approval_required": false, "message": nil, "url": nil},
		"contact":       map[string]any{"email": "", "account": contact}, "rules": []any{},
	})
}

func (a *API) instanceV1(c *call) error {
	contact, err := a.contact(c)
	if err != nil {
		return err
	}
	users, err := a.DB.CountUsers(c.ctx)
	if err != nil {
		return err
	}
	posts, err := a.DB.CountLocalPosts(c.ctx)
	if err != nil {
		return err
	}
	peers, err := a.DB.Peers(c.ctx)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{
		"uri": a.Node.Host, "title": a.Node.Name, "short_description": a.Node.Description, "description": a.Node.Description, "email": "", "version": a.software(),
		"urls": map[string]any{"streaming_api": a.streaming()}, "stats": map[string]any{"user_count": users, "status_count": posts, "domain_count": len(peers)},
		"thumbnail": a.Origin + "/static/card.png", "languages": []string{"en"}, "registrations": a.Signup == "open", "approval_required": false, "invites_enabled": a.Signup == "invite",
		"configuration": a.configuration(), "contact_account": contact, "rules": []any{}, "max_toot_chars": activitypub.MaxPostRunes,
	})
}

// peers lists the servers that this node knows, but for those with which it does not speak.
func (a *API) peers(c *call) error {
	names, err := a.DB.Peers(c.ctx)
	if err != nil {
		return err
	}
	return c.ok(names)
}

// weeks is how far activity looks back.
const weeks = 12

// activity is what happened here, week by week, the newest first. Who did something counts as signed in.
func (a *API) activity(c *call) error {
	now := a.DB.Now().UTC()
	monday := now.Truncate(24*time.Hour).AddDate(0, 0, -(int(now.Weekday())+6)%7)
	out := []any{}
	for i := range weeks {
		from := monday.AddDate(0, 0, -7*i)
		w, err := a.DB.BustleBetween(c.ctx, from, from.AddDate(0, 0, 7))
		if err != nil {
			return err
		}
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		out = append(out, map[string]any{"week": number(from.Unix()), "statuses": number(w.Posts), "logins": number(w.People), "registrations": number(w.Joined)})
	}
	return c.ok(out)
}

func (a *API) description(c *call) error {
	return c.ok(map[string]any{"updated_at": stamp(time.Unix(0, 0)), "content": "<p>" + html.EscapeString(a.Node.Description) + "</p>"})
}

// directory lists people and co-ops of this node who want to be found.
func (a *API) directory(c *call) error {
	var all []*storage.Actor
	for _, kind := range []string{storage.Organization, storage.Person} {
		actors, err := a.DB.LocalActors(c.ctx, kind)
		if err != nil {
			return err
		}
		for i := range actors {
			if x := &actors[i]; x.Discoverable && x.DeletedAt == nil && x.SuspendedAt == nil {
				all = append(all, x)
			}
		}
	}
	offset, limit := max(c.form.Int("offset", 0), 0), min(max(c.form.Int("limit", 40), 1), 80)
	all = all[min(offset, len(all)):]
	out, err := a.accounts(c.ctx, all[:min(limit, len(all))])
	if err != nil {
		return err
	}
	return c.ok(out)
}

func (a *API) preferences(c *call) error {
	return c.ok(map[string]any{"posting:default:visibility": "public", "posting:default:sensitive": false, "posting:default:language": nil, "reading:expand:media": "default",
		"reading:expand:spoilers": false, "reading:autoplay:gifs": false})
}
