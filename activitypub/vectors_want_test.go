package activitypub_test

import (
	"encoding/json"
	"html"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// What a document says, and what the node must have kept of it.

var tags, spaces, hrefs = regexp.MustCompile(`<[^>]*>`), regexp.MustCompile(`\s+`), regexp.MustCompile(`href=["'](https://[^"'<>]*)["']`)

// words is the text of HTML without any white space: what must not be lost.
func words(s string) string {
	return spaces.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(s, "")), "")
}

// textOf is a natural-language property: the plain one, else one of its languages.
func textOf(d dict, key string) []string {
	if s := str(d, key); s != "" {
		return []string{s}
	}
	var all []string
	for _, v := range child(d, key+"Map") {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// addressOf is where a picture or a link leads.
func addressOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case dict:
		if s := str(v, "href"); s != "" {
			return s
		}
		return addressOf(v["url"])
	case []any:
		if len(v) > 0 {
			return addressOf(v[0])
		}
	}
	return ""
}

// pageOf is the address for people, at the host of the id.
func pageOf(d dict) string {
	for _, v := range listed(d, "url") {
		if l, ok := v.(dict); ok && str(l, "mediaType") != "" && str(l, "mediaType") != "text/html" {
			continue
		}
		if at := addressOf(v); at != "" && originOf(at) == originOf(str(d, "id")) {
			return at
		}
	}
	return str(d, "id")
}

func (p *play) same(what string, got, want any) {
	p.t.Helper()
	if !reflect.DeepEqual(got, want) {
		p.t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func (p *play) sameTime(what string, got *time.Time, written string) {
	p.t.Helper()
	if written == "" {
		return
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02"} {
		if want, err := time.Parse(layout, written); err == nil {
			if got == nil || !got.Equal(want.Truncate(time.Microsecond)) && !got.Equal(want) && !got.Truncate(time.Microsecond).Equal(want.Truncate(time.Microsecond)) {
				p.t.Errorf("%s is %v, want %s", what, got, want.UTC())
			}
			return
		}
	}
	p.t.Errorf("%s: the test cannot read %q", what, written)
}

func (p *play) sameRaw(got []byte, want dict) {
	p.t.Helper()
	var kept dict
	if err := json.Unmarshal(got, &kept); err != nil {
		p.t.Fatalf("what was received is not kept: %v", err)
	}
	delete(kept, "@context")
	for k, v := range want {
		if k == "@context" || k == "to" || k == "cc" || k == "published" {
			continue
		}
		if mustJSON(v) != mustJSON(kept[k]) {
			p.t.Errorf("what was received had the %s %s, kept is %s", k, mustJSON(v), mustJSON(kept[k]))
		}
	}
}

func (p *play) wantPost(post *storage.Post, o dict) {
	p.t.Helper()
	kind := kindOf(o)
	p.same("type", post.Type, kind)
	p.same("id", string(post.IRI), str(o, "id"))
	contents := textOf(o, "content")
	if len(contents) == 0 && !slices.Contains(plainPosts, kind) {
		contents = textOf(o, "summary")
	}
	if len(contents) > 0 && !slices.ContainsFunc(contents, func(c string) bool { return strings.Contains(words(post.Content), words(c)) }) {
		p.t.Errorf("the content is %q, want all that %q says", post.Content, contents)
	}
	for _, m := range hrefs.FindAllStringSubmatch(str(o, "content"), -1) {
		if !strings.Contains(post.Content, m[1]) && !strings.Contains(html.UnescapeString(post.Content), html.UnescapeString(m[1])) {
			p.t.Errorf("the link to %s is lost in %q", m[1], post.Content)
		}
	}
	if strings.Contains(post.Content, "<script") || strings.Contains(post.Content, "onclick") {
		p.t.Errorf("the content was not made safe: %q", post.Content)
	}
	titles, warnings := textOf(o, "name"), textOf(o, "summary")
	if slices.Contains(plainPosts, kind) {
		titles = nil
	} else {
		warnings = nil
	}
	for what, said := range map[string]struct {
		got  string
		want []string
	}{"title": {post.Title, titles}, "warning": {post.Summary, warnings}} {
		if len(said.want) == 0 && said.got != "" || len(said.want) > 0 && !slices.ContainsFunc(said.want, func(w string) bool { return words(w) == words(said.got) }) {
			p.t.Errorf("the %s is %q, want one of %q", what, said.got, said.want)
		}
	}
	p.same("sensitive", post.Sensitive, o["sensitive"] == true)
	p.same("page", post.URL, pageOf(o))
	p.same("what it answers", string(post.InReplyTo), iri(o["inReplyTo"]))
	if s := str(o, "published"); s != "" {
		p.sameTime("published", &post.PublishedAt, s)
	}
	if s := str(o, "updated"); s != "" && s != str(o, "published") {
		p.sameTime("updated", post.EditedAt, s)
	}
	if c := iri(o["context"]); c != "" {
		p.same("conversation", post.Conversation, c)
	} else if c := str(o, "conversation"); c != "" {
		p.same("conversation", post.Conversation, c)
	}
	p.wantLanguage(post, o)
	p.wantVisibility(post, o)
	p.wantTags(post, o)
	p.wantAttachments(post, o)
	if policy := child(o, "interactionPolicy"); len(policy) > 0 {
		p.wantPolicy(post.Policy, policy)
	}
	quote := ""
	for _, key := range []string{"quote", "quoteUrl", "quoteUri", "_misskey_quote"} {
		if quote == "" {
			quote = iri(o[key])
		}
	}
	if quote != "" {
		p.same("what it quotes", string(post.Quote), quote)
	}
	if s := iri(o["quoteAuthorization"]); s != "" {
		p.same("the stamp", string(post.QuoteApproval), s)
	}
	if kind == "Question" {
		p.wantPoll(post, o)
	}
	if kind == "Event" {
		if place := str(child(o, "location"), "name"); place != "" && !strings.Contains(words(post.Content), words(place)) {
			p.t.Errorf("the event is not at %s: %q", place, post.Content)
		}
		if t, err := time.Parse(time.RFC3339, str(o, "startTime")); err == nil && !strings.Contains(post.Content, t.UTC().Format("2 January 2006, 15:04")) {
			p.t.Errorf("the event is not on %s: %q", t.UTC(), post.Content)
		}
	}
	p.sameRaw(post.Raw, o)
}

func (p *play) wantLanguage(post *storage.Post, o dict) {
	p.t.Helper()
	languages := child(o, "contentMap")
	want := []string{}
	for l, v := range languages {
		if len(languages) == 1 || v == o["content"] || o["content"] == nil {
			want = append(want, l)
		}
	}
	if len(languages) == 0 {
		if l := str(child(o, "language"), "identifier"); l != "" {
			want = append(want, l)
		} else if l := str(o, "inLanguage"); l != "" {
			want = append(want, l)
		}
	}
	if len(want) > 0 && !slices.Contains(want, post.Language) {
		p.t.Errorf("the language is %q, want one of %v", post.Language, want)
	}
}

func (p *play) wantVisibility(post *storage.Post, o dict) {
	p.t.Helper()
	public := func(v any) bool { return v == asPublic || v == "as:Public" || v == "Public" }
	want := storage.Direct
	switch {
	case kindOf(o) == "ChatMessage":
	case slices.ContainsFunc(listed(o, "to"), public):
		want = storage.Public
	case slices.ContainsFunc(listed(o, "cc"), public):
		want = storage.Unlisted
	case slices.ContainsFunc(slices.Concat(listed(o, "to"), listed(o, "cc")), func(v any) bool {
		s, _ := v.(string)
		return strings.HasSuffix(s, "/followers") && strings.HasPrefix(s, iri(o["attributedTo"]))
	}):
		want = storage.Private
	}
	p.same("visibility", post.Visibility, want)
}

func (p *play) wantTags(post *storage.Post, o dict) {
	p.t.Helper()
	for _, v := range listed(o, "tag") {
		t, ok := v.(dict)
		if !ok {
			continue
		}
		switch kindOf(t) {
		case "Hashtag":
			if name := strings.ToLower(strings.TrimPrefix(str(t, "name"), "#")); !slices.Contains(post.Tags, name) {
				p.t.Errorf("the hashtags are %v, want %s among them", post.Tags, name)
			}
		case "Mention":
			if !slices.ContainsFunc(post.Mentions, func(m storage.Mention) bool {
				return string(m.IRI) == str(t, "href") && (m.Handle == str(t, "name") || m.ActorID != 0)
			}) {
				p.t.Errorf("the mentions are %+v, want %s as %s among them", post.Mentions, str(t, "href"), str(t, "name"))
			}
		}
	}
}

func (p *play) wantAttachments(post *storage.Post, o dict) {
	p.t.Helper()
	for _, v := range listed(o, "attachment") {
		a, ok := v.(dict)
		if !ok || !strings.HasPrefix(addressOf(a), "https://") {
			continue
		}
		i := slices.IndexFunc(post.Attachments, func(b storage.Attachment) bool { return b.URL == addressOf(a) })
		if i < 0 {
			p.t.Errorf("the attachments are %+v, want %s among them", post.Attachments, addressOf(a))
			continue
		}
		name := str(a, "summary")
		if name == "" {
			name = str(a, "name")
		}
		p.same("the text of an attachment", post.Attachments[i].Name, name)
		kind := str(a, "mediaType")
		if l := child(a, "url"); kind == "" {
			kind = str(l, "mediaType")
		}
		if kind != "" {
			p.same("the type of an attachment", post.Attachments[i].MediaType, kind)
		} else if kindOf(a) == "Link" && post.Attachments[i].MediaType == "" {
			p.t.Errorf("an attachment has no type: %+v", post.Attachments[i])
		}
		if s := str(a, "blurhash"); s != "" {
			p.same("the blurhash of an attachment", post.Attachments[i].Blurhash, s)
		}
	}
}

func (p *play) wantPolicy(got *storage.Policy, policy dict) {
	p.t.Helper()
	if got == nil {
		p.t.Errorf("the policy %v is lost", policy)
		return
	}
	for name, rule := range map[string]*storage.PolicyRule{"canQuote": got.Quote, "canReply": got.Reply, "canLike": got.Like, "canAnnounce": got.Boost} {
		c, ok := policy[name].(dict)
		if !ok {
			continue
		}
		if rule == nil {
			p.t.Errorf("the rule %s is lost", name)
			continue
		}
		for _, words := range []struct {
			old, new string
			got      []storage.IRI
		}{{"always", "automaticApproval", rule.Automatic}, {"approvalRequired", "manualApproval", rule.Manual}} {
			for _, v := range slices.Concat(listed(c, words.old), listed(c, words.new)) {
				if !slices.Contains(words.got, storage.IRI(iri(v))) {
					p.t.Errorf("%s lets %v by %s, want %v among them", name, words.got, words.new, v)
				}
			}
		}
	}
}

func (p *play) wantPoll(post *storage.Post, o dict) {
	p.t.Helper()
	poll, err := p.rye.DB.PollOf(p.t.Context(), post.ID)
	if err != nil {
		p.t.Errorf("the poll is lost: %v", err)
		return
	}
	options := listed(o, "oneOf")
	if len(options) == 0 {
		options = listed(o, "anyOf")
	}
	p.same("whether several answers count", poll.Multiple, o["anyOf"] != nil)
	p.same("the number of answers", len(poll.Options), len(options))
	for i, v := range options {
		c := v.(dict)
		votes, _ := child(c, "replies")["totalItems"].(float64)
		if i < len(poll.Options) {
			p.same("an answer", poll.Options[i], storage.PollOption{Name: str(c, "name"), Votes: int64(votes)})
		}
	}
	if n, ok := o["votersCount"].(float64); ok {
		p.same("the voters", poll.Voters, int64(n))
	}
	if s := str(o, "endTime"); s != "" {
		p.sameTime("its end", poll.EndsAt, s)
	}
}

func (p *play) wantActor(a *storage.Actor, d dict) {
	p.t.Helper()
	p.same("type", a.Type, kindOf(d))
	p.same("id", string(a.IRI), str(d, "id"))
	if s := str(d, "preferredUsername"); s != "" {
		p.same("username", a.Username, s)
	}
	if names := textOf(d, "name"); len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return words(n) == words(a.Name) }) {
		p.t.Errorf("the name is %q, want one of %q", a.Name, names)
	}
	if bios := textOf(d, "summary"); len(bios) > 0 && !slices.ContainsFunc(bios, func(s string) bool { return words(s) == words(a.Summary) }) {
		p.t.Errorf("the summary is %q, want all that %q says", a.Summary, bios)
	}
	p.same("page", a.URL, pageOf(d))
	for key, got := range map[string]storage.IRI{"inbox": a.Inbox, "outbox": a.Outbox, "followers": a.Followers, "following": a.Following, "featured": a.Featured, "liked": a.Liked, "movedTo": a.MovedTo} {
		p.same(key, string(got), iri(d[key]))
	}
	shared := str(child(d, "endpoints"), "sharedInbox")
	if shared == "" {
		shared = iri(d["sharedInbox"])
	}
	p.same("shared inbox", string(a.SharedInbox), shared)
	for key, got := range map[string]string{"icon": a.IconURL, "image": a.HeaderURL} {
		p.same(key, got, addressOf(d[key]))
	}
	p.same("locked", a.Locked, d["manuallyApprovesFollowers"] == true)
	p.same("discoverable", a.Discoverable, d["discoverable"] == true)
	p.same("indexable", a.Indexable, d["indexable"] == true)
	if s := str(d, "published"); s != "" {
		p.sameTime("published", &a.PublishedAt, s)
	}
	if s := str(child(d, "location"), "name"); s != "" {
		p.same("place", a.Place, s)
	}
	for _, k := range listed(d, "alsoKnownAs") {
		if !slices.Contains(a.AlsoKnownAs, storage.IRI(iri(k))) {
			p.t.Errorf("it is known as %v, want %v among them", a.AlsoKnownAs, k)
		}
	}
	for _, v := range listed(d, "attachment") {
		f, ok := v.(dict)
		if !ok || kindOf(f) != "PropertyValue" {
			continue
		}
		if !slices.ContainsFunc(a.Fields, func(g storage.Field) bool {
			return words(g.Name) == words(str(f, "name")) && words(g.Value) == words(str(f, "value"))
		}) {
			p.t.Errorf("the fields are %+v, want %v among them", a.Fields, f)
		}
		for _, m := range hrefs.FindAllStringSubmatch(str(f, "value"), -1) {
			if !slices.ContainsFunc(a.Fields, func(g storage.Field) bool { return strings.Contains(g.Value, m[1]) }) {
				p.t.Errorf("a field has lost its link to %s: %+v", m[1], a.Fields)
			}
		}
	}
	keys, err := p.rye.DB.KeysOf(p.t.Context(), a.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, v := range slices.Concat(listed(d, "publicKey"), listed(d, "assertionMethod")) {
		k, ok := v.(dict)
		if ok && !slices.ContainsFunc(keys, func(g storage.Key) bool { return string(g.IRI) == str(k, "id") }) {
			p.t.Errorf("the key %s is not known", str(k, "id"))
		}
	}
	p.sameRaw(a.Raw, d)
}
