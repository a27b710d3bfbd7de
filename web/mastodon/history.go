package mastodon

import (
	"html"

	"planet/storage"
)

// StatusEdit is how a post stood at a time.
type StatusEdit struct {
	Content          string       `json:"content"`
	SpoilerText      string       `json:"spoiler_text"`
	Sensitive        bool         `json:"sensitive"`
	CreatedAt        string       `json:"created_at"`
	Account          *Account     `json:"account"`
	Poll             *EditPoll    `json:"poll,omitempty"`
	MediaAttachments []Attachment `json:"media_attachments"`
	Emojis           []Emoji      `json:"emojis"`
}

// EditPoll is what could be chosen then.
type EditPoll struct {
	Options []EditOption `json:"options"`
}

// EditOption is one answer of it.
type EditOption struct {
	Title string `json:"title"`
}

func editPoll(answers []string) *EditPoll {
	if len(answers) == 0 {
		return nil
	}
	p := &EditPoll{}
	for _, title := range answers {
		p.Options = append(p.Options, EditOption{title})
	}
	return p
}

// history shows a post as it was, from the first words to those of now. A picture that was taken away since is seen no more.
func (a *API) history(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	now, err := a.statusOf(c.ctx, c.reader(), p)
	if err != nil {
		return err
	}
	versions, err := a.DB.Versions(c.ctx, p.ID)
	if err != nil {
		return err
	}
	out := []StatusEdit{}
	for i := range versions {
		v := &versions[i]
		e := StatusEdit{Content: v.Content, SpoilerText: v.Summary, Sensitive: v.Sensitive, CreatedAt: stamp(v.WrittenAt), Account: now.Account, Poll: editPoll(v.Answers), MediaAttachments: []Attachment{}, Emojis: []Emoji{}}
		if v.Title != "" {
			e.Content = "<p><strong>" + html.EscapeString(v.Title) + "</strong></p>" + e.Content
		}
		for i, at := range v.Attachments {
			kept, err := a.kept(c, at)
			if err != nil {
				return err
			}
			if kept {
				e.MediaAttachments = append(e.MediaAttachments, a.attachment(p, i, at))
			}
		}
		out = append(out, e)
	}
	e := StatusEdit{Content: now.Content, SpoilerText: now.SpoilerText, Sensitive: now.Sensitive, CreatedAt: now.CreatedAt, Account: now.Account, MediaAttachments: now.MediaAttachments, Emojis: now.Emojis}
	if now.EditedAt != nil {
		e.CreatedAt = *now.EditedAt
	}
	if now.Poll != nil {
		var answers []string
		for _, o := range now.Poll.Options {
			answers = append(answers, o.Title)
		}
		e.Poll = editPoll(answers)
	}
	return c.ok(append(out, e))
}

// kept reports whether something that was attached to a post can still be shown; links to offers never are.
func (a *API) kept(c *call, at storage.Attachment) (bool, error) {
	if at.Rel != "" || at.MediaID == 0 {
		return at.Rel == "", nil
	}
	_, err := a.DB.MediaByID(c.ctx, at.MediaID)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
