package mastodon

import (
	"context"
	"slices"

	"planet/storage"
)

// stored lists how storage calls notifications that were asked for by the names of clients.
func stored(names []string) (out []string) {
	for in, name := range storage.Alerts {
		if slices.Contains(names, name) {
			out = append(out, in)
		}
	}
	return out
}

func (a *API) notifications(c *call) error {
	p := c.page(40, 80)
	wanted := []string{}
	for in := range storage.Alerts {
		wanted = append(wanted, in)
	}
	if types := c.form.List("types"); len(types) > 0 {
		wanted = stored(types)
	}
	unwanted := stored(c.form.List("exclude_types"))
	wanted = slices.DeleteFunc(wanted, func(k string) bool { return slices.Contains(unwanted, k) })
	var from storage.ID
	if text := c.form.Text("account_id"); text != "" {
		var err error
		if from, err = storage.ParseID(text); err != nil {
			return storage.ErrNotFound
		}
	}
	rows, err := a.DB.NotificationsOf(c.ctx, c.who.Actor.ID, wanted, from, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(n *storage.Notification) storage.ID { return n.ID })
	out, err := a.news(c.ctx, c.who.Actor, rows)
	if err != nil {
		return err
	}
	return c.ok(out)
}

// news makes entities of notifications; those about a post that is gone are left out.
func (a *API) news(ctx context.Context, reader *storage.Actor, rows []storage.Notification) ([]*Notification, error) {
	var people, posts []storage.ID
	for _, n := range rows {
		people, posts = append(people, n.FromID), append(posts, n.PostID)
	}
	known, err := a.accountsByID(ctx, people)
	if err != nil {
		return nil, err
	}
	kept, err := a.DB.PostsByID(ctx, posts)
	if err != nil {
		return nil, err
	}
	list := []storage.Post{}
	for _, p := range kept {
		list = append(list, *p)
	}
	statuses, err := a.statusesByID(ctx, reader, list)
	if err != nil {
		return nil, err
	}
	out := []*Notification{}
	for _, n := range rows {
		e := &Notification{ID: n.ID.String(), Type: storage.Alerts[n.Kind], CreatedAt: stamp(n.CreatedAt), GroupKey: "ungrouped-" + n.ID.String(), Account: known[n.FromID]}
		if n.PostID != 0 {
			if e.Status = statuses[n.PostID.String()]; e.Status == nil || hidden(e.Status, "notifications") || e.Status.Muted && e.Type == "mention" {
				continue
			}
			if e.Type == "mention" {
				e.Account = e.Status.Account // of an order, the node tells what somebody did
			}
		}
		if e.Account == nil || e.Type == "" || e.Type == "mention" && e.Status == nil {
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

// one is the notification in the path, if it is the caller's.
func (a *API) one(c *call) (*storage.Notification, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.DB.NotificationOf(c.ctx, c.who.Actor.ID, id)
}

func (a *API) showNotification(c *call) error {
	n, err := a.one(c)
	if isNotFound(err) { // a push carries the id as a number, and apps in JavaScript round it
		id, bad := c.id()
		if bad != nil {
			return err
		}
		n, err = a.DB.NotificationNear(c.ctx, c.who.Actor.ID, id)
	}
	if err != nil {
		return err
	}
	out, err := a.news(c.ctx, c.who.Actor, []storage.Notification{*n})
	if err != nil {
		return err
	}
	if len(out) == 0 {
		return storage.ErrNotFound
	}
	return c.ok(out[0])
}

func (a *API) clearNotifications(c *call) error {
	if err := a.DB.ForgetNotifications(c.ctx, c.who.Actor.ID, 0); err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) dismissNotification(c *call) error {
	n, err := a.one(c)
	if err != nil {
		return err
	}
	if err := a.DB.ForgetNotifications(c.ctx, c.who.Actor.ID, n.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) unreadCount(c *call) error {
	rows, err := a.DB.Markers(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	var last storage.ID
	for _, m := range rows {
		if m.Timeline == storage.MarkerNotifications {
			last = m.LastRead
		}
	}
	wanted := []string{}
	for in := range storage.Alerts {
		wanted = append(wanted, in)
	}
	news, err := a.DB.NotificationsOf(c.ctx, c.who.Actor.ID, wanted, 0, storage.Page{MinID: last, Limit: 100})
	if err != nil {
		return err
	}
	return c.ok(map[string]int{"count": len(news)})
}
