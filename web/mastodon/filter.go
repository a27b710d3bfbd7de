package mastodon

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"planet/storage"
)

// contexts are where a filter may work.
var contexts = []string{"home", "notifications", "public", "thread", "account"}

// Filter is what somebody does not want to read.
type Filter struct {
	ID        string         `json:"id"`
	Title     string         `json:"title"`
	Context   []string       `json:"context"`
	ExpiresAt *string        `json:"expires_at"`
	Action    string         `json:"filter_action"`
	Keywords  []Keyword      `json:"keywords,omitzero"` // not within a FilterResult
	Statuses  []FilterStatus `json:"statuses,omitzero"`
}

// FilterStatus is a single post of a filter.
type FilterStatus struct {
	ID       string `json:"id"`
	StatusID string `json:"status_id"`
}

// Keyword is a word of a filter.
type Keyword struct {
	ID        string `json:"id"`
	Keyword   string `json:"keyword"`
	WholeWord bool   `json:"whole_word"`
}

// FilterResult says that a post has something in it that its reader does not want to read.
type FilterResult struct {
	Filter         Filter   `json:"filter"`
	KeywordMatches []string `json:"keyword_matches"`
	StatusMatches  []string `json:"status_matches"`
}

func filterToWire(f *storage.Filter) Filter {
	return Filter{ID: f.ID.String(), Title: f.Title, Context: f.Contexts, ExpiresAt: stampOrNil(f.ExpiresAt), Action: f.Action}
}

func wholeFilterToWire(f *storage.Filter) Filter {
	out := filterToWire(f)
	out.Keywords, out.Statuses = keywordsToWire(f), filterPostsToWire(f)
	return out
}

func filterPostsToWire(f *storage.Filter) []FilterStatus {
	out := []FilterStatus{}
	for i := range f.Posts {
		out = append(out, filterPostToWire(&f.Posts[i]))
	}
	return out
}

func filterPostToWire(p *storage.FilterPost) FilterStatus {
	return FilterStatus{p.ID.String(), p.PostID.String()}
}

func keywordsToWire(f *storage.Filter) []Keyword {
	out := []Keyword{}
	for i := range f.Keywords {
		out = append(out, keywordToWire(&f.Keywords[i]))
	}
	return out
}

func keywordToWire(k *storage.FilterKeyword) Keyword {
	return Keyword{k.ID.String(), k.Keyword, k.WholeWord}
}

// sieve is an actor's filters, ready to be used.
type sieve []sifter

type sifter struct {
	filter  *storage.Filter
	pattern *regexp.Regexp // each word is a group; nil when there are none
	posts   []string       // ids of single posts
}

// sieveOf reads an actor's filters that hold now.
func (a *API) sieveOf(ctx context.Context, actor storage.ID) (sieve, error) {
	rows, err := a.DB.Filters(ctx, actor)
	if err != nil {
		return nil, err
	}
	var out sieve
	for i := range rows {
		f := &rows[i]
		if f.ExpiresAt != nil && a.DB.Now().After(*f.ExpiresAt) || len(f.Keywords) == 0 && len(f.Posts) == 0 {
			continue
		}
		s := sifter{filter: f}
		for _, p := range f.Posts {
			s.posts = append(s.posts, p.PostID.String())
		}
		var words []string
		for _, k := range f.Keywords {
			word := `(` + regexp.QuoteMeta(k.Keyword) + `)`
			if k.WholeWord {
				word = `(?:^|[^\pL\pN_])` + word + `(?:$|[^\pL\pN_])`
			}
			words = append(words, word)
		}
		if len(words) > 0 {
			if s.pattern, err = regexp.Compile(`(?i)` + strings.Join(words, "|")); err != nil {
				return nil, fmt.Errorf("filter %s: %w", f.ID, err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

var tags = regexp.MustCompile(`<br[^>]*>|</p>|<[^>]*>`)

// plain is what a reader reads of HTML.
func plain(content string) string {
	return html.UnescapeString(tags.ReplaceAllStringFunc(content, func(tag string) string {
		if tag == "</p>" || strings.HasPrefix(tag, "<br") {
			return "\n"
		}
		return ""
	}))
}

// sift says which filters catch a post.
func (s sieve) sift(e *Status) []FilterResult {
	out := []FilterResult{}
	if len(s) == 0 {
		return out
	}
	ids := []string{e.ID}
	if e.Reblog != nil {
		e = e.Reblog
		ids = append(ids, e.ID)
	}
	text := e.SpoilerText + "\n" + plain(e.Content)
	for _, m := range e.MediaAttachments {
		if m.Description != nil {
			text += "\n" + *m.Description
		}
	}
	if e.Poll != nil {
		for _, o := range e.Poll.Options {
			text += "\n" + o.Title
		}
	}
	for _, f := range s {
		hits, single := []string{}, []string{}
		for _, id := range ids {
			if slices.Contains(f.posts, id) {
				single = append(single, id)
			}
		}
		if f.pattern != nil {
			for _, found := range f.pattern.FindAllStringSubmatch(text, 10) {
				for _, word := range found[1:] {
					if word != "" && !slices.Contains(hits, word) {
						hits = append(hits, word)
					}
				}
			}
		}
		if len(hits)+len(single) > 0 {
			out = append(out, FilterResult{filterToWire(f.filter), hits, single})
		}
	}
	return out
}

// hidden reports whether a post is not to be shown at all in a context.
func hidden(e *Status, where string) bool {
	if e.Marks == nil {
		return false
	}
	return slices.ContainsFunc(e.Filtered, func(r FilterResult) bool {
		return r.Filter.Action == "hide" && slices.Contains(r.Filter.Context, where)
	})
}

// ownFilter finds a filter of the caller's.
func (a *API) ownFilter(c *call, id storage.ID) (*storage.Filter, error) {
	rows, err := a.DB.Filters(c.ctx, c.who.Actor.ID)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].ID == id {
			return &rows[i], nil
		}
	}
	return nil, storage.ErrNotFound
}

// filter is the filter in the path.
func (a *API) filter(c *call) (*storage.Filter, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.ownFilter(c, id)
}

// keyword is the word in the path, in its filter.
func (a *API) keyword(c *call) (*storage.Filter, int, error) {
	id, err := c.id()
	if err != nil {
		return nil, 0, err
	}
	rows, err := a.DB.Filters(c.ctx, c.who.Actor.ID)
	if err != nil {
		return nil, 0, err
	}
	for i := range rows {
		for j := range rows[i].Keywords {
			if rows[i].Keywords[j].ID == id {
				return &rows[i], j, nil
			}
		}
	}
	return nil, 0, storage.ErrNotFound
}

func (a *API) filters(c *call) error {
	rows, err := a.DB.Filters(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	out := []any{}
	for i := range rows {
		out = append(out, wholeFilterToWire(&rows[i]))
	}
	return c.ok(out)
}

// fillFilter reads what a filter is to be, but for its words.
func (a *API) fillFilter(c *call, f *storage.Filter) error {
	if c.form.Has("title") {
		f.Title = strings.TrimSpace(c.form.Text("title"))
	}
	if n := utf8.RuneCountInString(f.Title); n == 0 || n > 200 {
		return invalid("Title can't be blank, nor longer than 200 characters")
	}
	return a.fillFilterRules(c, f)
}

func (a *API) fillFilterRules(c *call, f *storage.Filter) error {
	if c.form.Has("context") {
		f.Contexts = c.form.List("context")
	}
	if len(f.Contexts) == 0 || slices.ContainsFunc(f.Contexts, func(s string) bool { return !slices.Contains(contexts, s) }) {
		return invalid("Context None or invalid context supplied")
	}
	if action := c.form.Text("filter_action"); action != "" {
		f.Action = action
	}
	if f.Action != "warn" && f.Action != "hide" {
		return invalid("filter_action is warn or hide")
	}
	if c.form.Has("expires_in") {
		if f.ExpiresAt = nil; c.form.Text("expires_in") != "" {
			if lasts := seconds(c.form.Text("expires_in")); lasts > 0 {
				at := a.DB.Now().UTC().Add(lasts)
				f.ExpiresAt = &at
			}
		}
	}
	return nil
}

func checkWord(word string) error {
	if n := utf8.RuneCountInString(word); n == 0 || n > 200 {
		return invalid("Keyword can't be blank, nor longer than 200 characters")
	}
	return nil
}

// saveFilter keeps a filter, unless there are too many.
func (a *API) saveFilter(c *call, f *storage.Filter) error {
	if len(f.Keywords) > 200 {
		return invalid("A filter has at most 200 keywords")
	}
	if f.ID == 0 {
		all, err := a.DB.Filters(c.ctx, f.ActorID)
		if err != nil {
			return err
		}
		if len(all) >= 100 {
			return invalid("You have reached the maximum number of filters")
		}
	}
	return a.DB.SaveFilter(c.ctx, f)
}

func (a *API) createFilter(c *call) error {
	f := &storage.Filter{ActorID: c.who.Actor.ID, Action: "warn"}
	if err := a.fillFilter(c, f); err != nil {
		return err
	}
	if err := fillKeywords(c, f); err != nil {
		return err
	}
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(wholeFilterToWire(f))
}

// fillKeywords reads keywords_attributes: words that are new, changed by their id, or with _destroy go.
func fillKeywords(c *call, f *storage.Filter) error {
	for i := range 200 {
		get := func(name string) string {
			return c.form.Text("keywords_attributes[" + strconv.Itoa(i) + "][" + name + "]")
		}
		word, id := get("keyword"), get("id")
		if word == "" && id == "" {
			break
		}
		whole := get("whole_word") == "true" || get("whole_word") == "1"
		if id == "" {
			if err := checkWord(word); err != nil {
				return err
			}
			f.Keywords = append(f.Keywords, storage.FilterKeyword{Keyword: word, WholeWord: whole})
			continue
		}
		at := slices.IndexFunc(f.Keywords, func(k storage.FilterKeyword) bool { return k.ID.String() == id })
		if at < 0 {
			return storage.ErrNotFound
		}
		if d := get("_destroy"); d == "true" || d == "1" {
			f.Keywords = slices.Delete(f.Keywords, at, at+1)
			continue
		}
		if word != "" {
			if err := checkWord(word); err != nil {
				return err
			}
			f.Keywords[at].Keyword = word
		}
		f.Keywords[at].WholeWord = whole
	}
	return nil
}

func (a *API) showFilter(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	return c.ok(wholeFilterToWire(f))
}

func (a *API) updateFilter(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	if err := a.fillFilter(c, f); err != nil {
		return err
	}
	if err := fillKeywords(c, f); err != nil {
		return err
	}
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(wholeFilterToWire(f))
}

func (a *API) deleteFilter(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	if err := a.DB.DeleteFilter(c.ctx, f.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) filterKeywords(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	return c.ok(keywordsToWire(f))
}

func (a *API) addKeyword(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	word := c.form.Text("keyword")
	if err := checkWord(word); err != nil {
		return err
	}
	f.Keywords = append(f.Keywords, storage.FilterKeyword{Keyword: word, WholeWord: c.form.Bool("whole_word", false)})
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(keywordToWire(&f.Keywords[len(f.Keywords)-1]))
}

func (a *API) showKeyword(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	return c.ok(keywordToWire(&f.Keywords[i]))
}

func (a *API) updateKeyword(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	if c.form.Has("keyword") {
		if err := checkWord(c.form.Text("keyword")); err != nil {
			return err
		}
		f.Keywords[i].Keyword = c.form.Text("keyword")
	}
	f.Keywords[i].WholeWord = c.form.Bool("whole_word", f.Keywords[i].WholeWord)
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(keywordToWire(&f.Keywords[i]))
}

func (a *API) deleteKeyword(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	f.Keywords = slices.Delete(f.Keywords, i, i+1)
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return a.nothing(c)
}

// maxFilterPosts is how many single posts a filter has at most.
const maxFilterPosts = 500

func (a *API) filterPosts(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	return c.ok(filterPostsToWire(f))
}

// addFilterPost puts a post into a filter, which the caller has to be able to see.
func (a *API) addFilterPost(c *call) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	id, err := storage.ParseID(c.form.Text("status_id"))
	if err != nil {
		return storage.ErrNotFound
	}
	if _, _, err := a.Node.ReadPost(c.ctx, c.reader(), id); err != nil {
		return err
	}
	if len(f.Posts) >= maxFilterPosts {
		return invalid("A filter has at most 500 posts")
	}
	p := &storage.FilterPost{FilterID: f.ID, PostID: id}
	if err := a.DB.AddFilterPost(c.ctx, p); err != nil {
		return err
	}
	return c.ok(filterPostToWire(p))
}

// filterPost is the post of a filter in the path, if it is the caller's.
func (a *API) filterPost(c *call) (*storage.FilterPost, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	rows, err := a.DB.Filters(c.ctx, c.who.Actor.ID)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		for j := range rows[i].Posts {
			if rows[i].Posts[j].ID == id {
				return &rows[i].Posts[j], nil
			}
		}
	}
	return nil, storage.ErrNotFound
}

func (a *API) showFilterPost(c *call) error {
	p, err := a.filterPost(c)
	if err != nil {
		return err
	}
	return c.ok(filterPostToWire(p))
}

func (a *API) deleteFilterPost(c *call) error {
	p, err := a.filterPost(c)
	if err != nil {
		return err
	}
	if err := a.DB.DeleteFilterPost(c.ctx, p.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

// The first version knew one word to a filter: the word's id is the filter's.

func oldFilterToWire(f *storage.Filter, k *storage.FilterKeyword) map[string]any {
	return map[string]any{"id": k.ID.String(), "phrase": k.Keyword, "context": f.Contexts, "whole_word": k.WholeWord, "expires_at": stampOrNil(f.ExpiresAt), "irreversible": f.Action == "hide"}
}

func (a *API) oldFilters(c *call) error {
	rows, err := a.DB.Filters(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	out := []any{}
	for i := range rows {
		for j := range rows[i].Keywords {
			out = append(out, oldFilterToWire(&rows[i], &rows[i].Keywords[j]))
		}
	}
	return c.ok(out)
}

func (a *API) fillOldFilter(c *call, f *storage.Filter, k *storage.FilterKeyword) error {
	if c.form.Has("phrase") {
		k.Keyword = c.form.Text("phrase")
	}
	if err := checkWord(k.Keyword); err != nil {
		return err
	}
	k.WholeWord = c.form.Bool("whole_word", k.WholeWord)
	if c.form.Has("irreversible") {
		if f.Action = "warn"; c.form.Bool("irreversible", false) {
			f.Action = "hide"
		}
	}
	return a.fillFilterRules(c, f)
}

func (a *API) createOldFilter(c *call) error {
	f := &storage.Filter{ActorID: c.who.Actor.ID, Action: "warn", Title: c.form.Text("phrase"), Keywords: make([]storage.FilterKeyword, 1)}
	if err := a.fillOldFilter(c, f, &f.Keywords[0]); err != nil {
		return err
	}
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(oldFilterToWire(f, &f.Keywords[0]))
}

func (a *API) showOldFilter(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	return c.ok(oldFilterToWire(f, &f.Keywords[i]))
}

func (a *API) updateOldFilter(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	if err := a.fillOldFilter(c, f, &f.Keywords[i]); err != nil {
		return err
	}
	if err := a.saveFilter(c, f); err != nil {
		return err
	}
	return c.ok(oldFilterToWire(f, &f.Keywords[i]))
}

func (a *API) deleteOldFilter(c *call) error {
	f, i, err := a.keyword(c)
	if err != nil {
		return err
	}
	if len(f.Keywords) == 1 {
		err = a.DB.DeleteFilter(c.ctx, f.ID)
	} else {
		f.Keywords = slices.Delete(f.Keywords, i, i+1)
		err = a.saveFilter(c, f)
	}
	if err != nil {
		return err
	}
	return a.nothing(c)
}
