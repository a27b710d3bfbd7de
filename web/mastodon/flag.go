package mastodon

import (
	"planet/activitypub"
	"planet/storage"
)

func (a *API) report(c *call) error {
	id, err := storage.ParseID(c.form.Text("account_id"))
	if err != nil {
		return storage.ErrNotFound
	}
	x, err := a.DB.ActorByID(c.ctx, id)
	if err != nil {
		return err
	}
	complaint := activitypub.Complaint{Whom: string(x.IRI), Comment: c.form.Text("comment"), Forward: c.form.Bool("forward", false)}
	statuses := []string{}
	for _, text := range c.form.List("status_ids") {
		if id, err := storage.ParseID(text); err == nil {
			complaint.Posts = append(complaint.Posts, id)
			statuses = append(statuses, text)
		}
	}
	r, err := a.Node.Report(c.ctx, c.by(), complaint)
	if err != nil {
		return err
	}
	e, err := a.accountOf(c.ctx, x)
	if err != nil {
		return err
	}
	category := c.form.Text("category")
	if category == "" {
		category = "other"
	}
	return c.ok(map[string]any{"id": r.ID.String(), "action_taken": false, "action_taken_at": nil, "category": category, "comment": complaint.Comment, "forwarded": complaint.Forward,
		"created_at": stamp(a.DB.Now()), "status_ids": statuses, "rule_ids": []string{}, "target_account": e})
}
