package pages

import (
	"context"
	"errors"
	"html"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

// forAnyone are the visibilities of posts that have a page.
var forAnyone = []string{storage.Public, storage.Unlisted}

const (
	postsOnPage   = 20
	repliesOnPage = 100
)

// postCard is a post as lists and its own page show it.
type postCard struct {
	Post    storage.Post
	Author  profileCard
	Content template.HTML
	Page    string // where it is read: here, or at its origin
	Away    bool   // at its origin
	Images  []picture
	Files   []storage.Attachment // what is shown as a link: films, sounds and everything else
	Answers string               // host or page of the post that it answers, when that is not shown beside it
	Boosted *profileCard         // who shares it here, when that is why it is listed
	Pinned  bool
	Offer   *offerCard // that it carries
	Poll    *storage.Poll
	Closed  bool // the poll is over
	Quoted  *postCard
	Quotes  string // the address of what it quotes, as long as nobody has said that it may; then Quoted is shown in its place
}

// picture is one that a post shows: by an address on this node, wherever it comes from.
type picture struct {
	storage.Attachment
	Shown string // what the page loads
	Large string // where a click leads: to the picture itself
}

// pictureTypes are what pages show of other servers; a drawing (SVG) is a document that can do things, and stays a link.
var pictureTypes = []string{"image/jpeg", "image/jpg", "image/png", "image/gif", "image/webp", "image/avif"}

// picture is an attachment as a page shows it, if it is one.
func (p *Pages) picture(a storage.Attachment) (picture, bool) {
	shown := p.Node.MediaURL(a.URL)
	return picture{a, shown, a.URL}, a.Rel == "" && shown != "" && slices.Contains(pictureTypes, a.MediaType)
}

func (p *Pages) postCard(post storage.Post, author *storage.Actor) postCard {
	card := postCard{Post: post, Author: p.profileCard(author), Content: safeHTML(post.Content), Away: !author.Local()}
	if author.Local() {
		card.Page = "/@" + author.Username + "/" + lastSegment(string(post.IRI))
	} else if card.Page = webAddress(post.URL); card.Page == "" {
		card.Page = webAddress(string(post.IRI))
	}
	for _, a := range post.Attachments {
		if i, ok := p.picture(a); ok {
			card.Images = append(card.Images, i)
		} else if a.Rel == "" && webAddress(a.URL) != "" { // the link to an offer is for programs; people get addOffers
			card.Files = append(card.Files, a)
		}
	}
	if post.InReplyTo != "" && hostOf(string(post.InReplyTo)) != p.Node.Host {
		card.Answers = hostOf(string(post.InReplyTo))
	}
	return card
}

func lastSegment(s string) string { return s[strings.LastIndex(s, "/")+1:] }

// postCards finds the authors of posts, and what is shared; what someone says who is not to be seen is left out.
func (p *Pages) postCards(ctx context.Context, posts []storage.Post) ([]postCard, error) {
	shared, err := p.shared(ctx, posts)
	if err != nil {
		return nil, err
	}
	var ids []storage.ID
	for _, post := range slices.Concat(posts, shared) {
		if !slices.Contains(ids, post.ActorID) {
			ids = append(ids, post.ActorID)
		}
	}
	authors, err := p.DB.ActorsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	author := func(id storage.ID) *storage.Actor {
		i := slices.IndexFunc(authors, func(a storage.Actor) bool { return a.ID == id && visible(&a) })
		if i < 0 {
			return nil
		}
		return &authors[i]
	}
	var cards []postCard
	for _, post := range posts {
		by := author(post.ActorID)
		if by == nil {
			continue
		}
		var booster *profileCard
		if post.BoostOfID != nil {
			i := slices.IndexFunc(shared, func(s storage.Post) bool { return s.ID == *post.BoostOfID })
			if i < 0 {
				continue
			}
			card := p.profileCard(by)
			booster, post = &card, shared[i]
			if by = author(post.ActorID); by == nil {
				continue
			}
		}
		card := p.postCard(post, by)
		card.Boosted = booster
		if err := p.addPoll(ctx, &card); err != nil {
			return nil, err
		}
		if err := p.addQuote(ctx, &card); err != nil {
			return nil, err
		}
		cards = append(cards, card)
	}
	var all []*postCard
	for i := range cards {
		if all = append(all, &cards[i]); cards[i].Quoted != nil {
			all = append(all, cards[i].Quoted)
		}
	}
	return cards, p.addOffers(ctx, all...)
}

// shared finds the posts that boosts among these share, as far as visitors may see them.
func (p *Pages) shared(ctx context.Context, posts []storage.Post) ([]storage.Post, error) {
	var out []storage.Post
	for _, post := range posts {
		if post.BoostOfID == nil {
			continue
		}
		of, err := p.DB.PostByID(ctx, *post.BoostOfID)
		if errors.Is(err, storage.ErrNotFound) || err == nil && !readable(of) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *of)
	}
	return out, nil
}

// addPoll shows how a poll stands.
func (p *Pages) addPoll(ctx context.Context, card *postCard) error {
	if card.Post.Type != storage.Question {
		return nil
	}
	poll, err := p.DB.PollOf(ctx, card.Post.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	card.Poll, card.Closed = poll, err == nil && !poll.Open(p.DB.Now())
	return err
}

// addQuote shows what a post quotes when the quoted author's server allows it (FEP-044f), else only where that is.
func (p *Pages) addQuote(ctx context.Context, card *postCard) error {
	if card.Post.Quote == "" {
		return nil
	}
	card.Quotes = webAddress(string(card.Post.Quote))
	if !card.Post.QuoteAllowed {
		return nil
	}
	quoted, err := p.DB.PostByIRI(ctx, card.Post.Quote)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (!readable(quoted) || quoted.BoostOfID != nil) {
		return nil
	}
	if err != nil {
		return err
	}
	author, err := p.DB.ActorByID(ctx, quoted.ActorID)
	if err != nil || !visible(author) {
		return err
	}
	q := p.postCard(*quoted, author)
	card.Quoted = &q
	return p.addPoll(ctx, card.Quoted)
}

// before reads ?before=, the id that a list goes on from. One more than a page is asked for, to know whether there are more.
func before(c echo.Context) (storage.Page, error) {
	page := storage.Page{Limit: postsOnPage + 1}
	if s := c.QueryParam("before"); s != "" {
		id, err := storage.ParseID(s)
		if err != nil {
			return page, &activitypub.Problem{Status: http.StatusBadRequest, Code: "before", Detail: "The list cannot be continued from there."}
		}
		page.MaxID = id
	}
	return page, nil
}

// older cuts a list to a page, and says where it goes on.
func older(c echo.Context, posts []storage.Post) ([]storage.Post, string) {
	if len(posts) <= postsOnPage {
		return posts, ""
	}
	posts = posts[:postsOnPage]
	return posts, c.Request().URL.Path + "?before=" + posts[postsOnPage-1].ID.String()
}

type postPage struct {
	Post    postCard
	Likes   int64
	Boosts  int64
	Parent  *postCard // what it answers, if visitors may see that
	Replies []postCard
	More    bool // replies that are not shown
}

// Post is the page of a post of this node that anyone may read.
func (p *Pages) Post(c echo.Context) error {
	ctx := c.Request().Context()
	author, err := p.speaker(c)
	if err != nil {
		return err
	}
	id, err := storage.ParseID(c.Param("id"))
	if err != nil {
		return storage.ErrNotFound
	}
	post, err := p.DB.PostByIRI(ctx, author.IRI+storage.IRI("/statuses/"+id.String()))
	if err != nil {
		return err
	}
	if !readable(post) || post.ActorID != author.ID || post.BoostOfID != nil {
		return storage.ErrNotFound
	}
	body := postPage{Post: p.postCard(*post, author)}
	if err := p.addPoll(ctx, &body.Post); err != nil {
		return err
	}
	if err := p.addOffers(ctx, &body.Post); err != nil {
		return err
	}
	if body.Likes, err = p.DB.CountLikes(ctx, post.ID); err != nil {
		return err
	}
	if body.Boosts, err = p.DB.CountBoosts(ctx, post.ID); err != nil {
		return err
	}
	if body.Parent, err = p.parent(ctx, post); err != nil {
		return err
	}
	if body.Parent != nil {
		body.Post.Answers = ""
	}
	replies, err := p.DB.Replies(ctx, post.IRI, forAnyone, storage.Page{Limit: repliesOnPage + 1})
	if err != nil {
		return err
	}
	if body.More = len(replies) > repliesOnPage; body.More {
		replies = replies[:repliesOnPage]
	}
	slices.Reverse(replies) // oldest first, as they were said
	if body.Replies, err = p.postCards(ctx, replies); err != nil {
		return err
	}
	v := view{Title: body.Post.Author.Name + ": " + excerpt(post, 70), Description: excerpt(post, 300), Canonical: p.Origin + body.Post.Page, Alternate: string(post.IRI),
		Kind: "article", Image: body.Post.Author.Picture, Creator: body.Post.Author.Handle, Published: &post.PublishedAt,
		NoIndex: !author.Indexable || post.Visibility != storage.Public, Body: body}
	if len(body.Post.Images) > 0 && !post.Sensitive {
		v.Image = body.Post.Images[0].Shown
	}
	if body.Post.Offer != nil {
		return p.offer(c, body, v)
	}
	return p.render(c, http.StatusOK, "post", v)
}

// readable reports whether a visitor may see a post.
func readable(post *storage.Post) bool {
	return post.DeletedAt == nil && slices.Contains(forAnyone, post.Visibility)
}

// parent finds the post that another one answers: nil when it is not here, or not for visitors.
func (p *Pages) parent(ctx context.Context, post *storage.Post) (*postCard, error) {
	if post.InReplyToID == nil {
		return nil, nil
	}
	parent, err := p.DB.PostByID(ctx, *post.InReplyToID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !readable(parent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cards, err := p.postCards(ctx, []storage.Post{*parent})
	if err != nil || len(cards) == 0 {
		return nil, err
	}
	return &cards[0], nil
}

// excerpt is a post's beginning for previews: of what is behind a content warning only the warning.
func excerpt(post *storage.Post, n int) string {
	if post.Summary != "" {
		return clip(post.Summary, n)
	}
	if post.Sensitive {
		return "A post"
	}
	if post.Title != "" {
		return clip(post.Title, n)
	}
	if post.Source != "" {
		return clip(post.Source, n)
	}
	return clip(plain(post.Content), n)
}

var (
	breaks = regexp.MustCompile(`(?i)</?(p|br|li|ul|ol|pre|blockquote)\b[^>]*>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// plain is the text of sanitised HTML on one line. It is text: templates escape it like any other.
func plain(sanitised string) string {
	s := tags.ReplaceAllString(breaks.ReplaceAllString(sanitised, " "), "")
	return strings.Join(strings.Fields(html.UnescapeString(s)), " ")
}

// clip cuts a text to n characters, at a word if there is one near.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	s = string(runes[:n-1])
	if i := strings.LastIndex(s, " "); i > len(s)*2/3 {
		s = s[:i]
	}
	return s + "…"
}

type tagPage struct {
	Name   string
	Posts  []postCard
	Older  string
	Newest bool
}

// tag lists the public posts with a hashtag.
func (p *Pages) tag(c echo.Context) error {
	ctx := c.Request().Context()
	name := strings.ToLower(c.Param("name"))
	if name == "" || len(name) > 255 {
		return storage.ErrNotFound
	}
	from, err := before(c)
	if err != nil {
		return err
	}
	posts, err := p.DB.TagTimeline(ctx, name, from)
	if err != nil {
		return err
	}
	body := tagPage{Name: name, Newest: from.MaxID == 0}
	posts, body.Older = older(c, posts)
	if body.Posts, err = p.postCards(ctx, posts); err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "tag", view{Title: "#" + name, Description: "Public posts with #" + name + " that " + p.Node.Host + " knows of.", NoIndex: true, Body: body})
}
