package activitypub

import (
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// HTML of others becomes safe in two steps that do not trust each other: tidier writes anew what it knows (Mastodon's
// elements, federation.md §3.6), balanced, so that nothing reaches out of its place; then bluemonday checks the result
// against a list of its own, and in the normal case changes nothing. All of it is one pass over the text.

const (
	maxOpen       = 64  // elements within each other; deeper ones lose their tags, not their text
	maxAttributes = 100 // of one tag that are looked at
	linkRel       = "nofollow noopener noreferrer ugc"
)

// linkSchemes are what a link may lead to; other links become their text.
var linkSchemes = []string{"https", "http", "dat", "dweb", "ipfs", "ipns", "ssb", "gopher", "xmpp", "magnet", "gemini"}

var (
	classToken = regexp.MustCompile(`^((h|p|u|dt|e)-[A-Za-z0-9_-]{1,50}|mention|hashtag|ellipsis|invisible|quote-inline)$`)
	classList  = regexp.MustCompile(`^[A-Za-z0-9_ -]+$`)
	language   = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,5}$`)
	integer    = regexp.MustCompile(`^-?[0-9]{1,6}$`)
)

// policy is bluemonday's list. It is built once, at its first use.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "del", "s", "pre", "blockquote", "code", "b", "strong", "u", "i", "em", "ul", "ol", "li", "ruby", "rt", "rp")
	p.AllowNoAttrs().OnElements("span")
	p.AllowAttrs("class").Matching(classList).OnElements("a", "span", "p")
	p.AllowAttrs("translate").Matching(regexp.MustCompile(`^no$`)).OnElements("a", "span")
	p.AllowAttrs("lang").Matching(language).Globally()
	p.AllowAttrs("start").Matching(integer).OnElements("ol")
	p.AllowAttrs("reversed").Matching(regexp.MustCompile(`^$`)).OnElements("ol")
	p.AllowAttrs("value").Matching(integer).OnElements("li")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^(tag )?` + linkRel + `$`)).OnElements("a")
	p.AllowAttrs("target").Matching(regexp.MustCompile(`^_blank$`)).OnElements("a")
	p.RequireParseableURLs(true)
	p.AllowURLSchemes(linkSchemes...)
	return p
})

// sanitise makes HTML of another server safe to show: the elements that Mastodon keeps, links that give nothing away and
// do not hide where they lead, no images, no scripts, all elements closed. It is idempotent.
func sanitise(s string) string {
	if !strings.ContainsAny(s, "<>&\"'\r") && clean(s) == s {
		return s
	}
	return policy().Sanitize(tidy(s))
}

// tidier writes HTML anew while it reads it.
type tidier struct {
	out     []byte
	open    []element
	link    *link // the one that is open, nil when none is
	content bool  // something stands in the current line
	broken  bool  // a line break is due before the next content
}

type element struct {
	name   string
	hidden bool // a span whose text is not shown
}

// link is an open link: what it says is kept twice, as it wants to look and without anything hidden.
type link struct {
	href    string
	host    string // of http and https, else ""
	start   int    // of its content in out
	hidden  int    // open spans whose text is not shown
	bare    []byte // its content with everything shown
	full    strings.Builder
	visible strings.Builder
}

// paragraphs are elements whose tags are unknown here but separate their content from what surrounds it.
var paragraphs = []string{"div", "section", "article", "header", "footer", "main", "aside", "nav", "figure", "figcaption", "address",
	"center", "dl", "dt", "dd", "table", "caption", "tr", "details", "summary", "form", "fieldset", "hgroup", "hr", "menu"}

// swallowed are elements that go together with what is in them. The tokenizer reads the content of the first ones as text.
var (
	swallowedText = []string{"script", "style", "iframe", "noembed", "noframes", "noscript", "title", "textarea", "xmp", "plaintext"}
	swallowed     = []string{"svg", "math", "object", "embed", "applet", "template", "select", "audio", "video", "canvas", "head"}
)

func tidy(s string) string {
	t := tidier{out: make([]byte, 0, len(s)+len(s)/8)}
	z := html.NewTokenizer(strings.NewReader(strings.ToValidUTF8(s, "\uFFFD")))
	skip, depth := "", 0 // the swallowed element that is open, and how often within itself
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			t.popTo(0)
			return string(t.out)
		case html.TextToken:
			if skip == "" {
				t.text(clean(string(z.Text())))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			raw, more := z.TagName()
			name := string(raw)
			text := slices.Contains(swallowedText, name)
			switch {
			case skip == name && kind == html.StartTagToken:
				depth++
			case skip != "":
			case text, kind == html.StartTagToken && name != "embed" && slices.Contains(swallowed, name):
				skip, depth = name, 1
			default:
				t.start(name, attributes(z, more))
			}
		case html.EndTagToken:
			raw, _ := z.TagName()
			name := string(raw)
			switch {
			case skip == "":
				t.end(name)
			case skip == name:
				if depth--; depth == 0 {
					skip = ""
				}
			}
		}
	}
}

// attributes reads the attributes of a tag; of two with one name the first counts, as in browsers.
func attributes(z *html.Tokenizer, more bool) map[string]string {
	if !more {
		return nil
	}
	m := map[string]string{}
	for n := 0; more && n < maxAttributes; n++ {
		var k, v []byte
		k, v, more = z.TagAttr()
		if _, twice := m[string(k)]; !twice {
			m[string(k)] = string(v)
		}
	}
	return m
}

func (t *tidier) write(s string) {
	t.out = append(t.out, s...)
	if t.link != nil {
		t.link.bare = append(t.link.bare, s...)
	}
}

// text writes text; a due line break comes first.
func (t *tidier) text(s string) {
	if strings.TrimSpace(s) != "" {
		t.flush()
	}
	t.write(html.EscapeString(s))
	if l := t.link; l != nil {
		l.full.WriteString(s)
		if l.hidden == 0 {
			l.visible.WriteString(s)
		}
	}
}

func (t *tidier) flush() {
	if t.broken {
		t.write("<br>")
	}
	t.content, t.broken = true, false
}

// separate makes what follows begin in a new line, if something stands in this one.
func (t *tidier) separate() {
	t.broken = t.broken || t.content
}

// block closes what a block element may not stand in, and begins a new line by itself.
func (t *tidier) block() {
	if i := t.find("a"); i >= 0 {
		t.popTo(i)
	}
	if i := t.find("p"); i >= 0 {
		t.popTo(i)
	}
	t.content, t.broken = false, false
}

func (t *tidier) find(name string) int {
	for i := len(t.open) - 1; i >= 0; i-- {
		if t.open[i].name == name {
			return i
		}
	}
	return -1
}

func (t *tidier) start(name string, attr map[string]string) {
	switch name {
	case "br":
		t.broken, t.content = false, false
		t.write("<br>")
	case "img":
		t.image(attr)
	case "h1", "h2", "h3", "h4", "h5", "h6":
		t.block()
		t.push("p", "")
		t.push("strong", "")
	case "p", "blockquote", "pre", "ul", "ol":
		t.block()
		extra := ""
		switch name {
		case "p":
			extra = attribute("class", classes(attr["class"], false))
		case "ol":
			if integer.MatchString(attr["start"]) {
				extra = attribute("start", attr["start"])
			}
			if _, ok := attr["reversed"]; ok {
				extra += ` reversed=""`
			}
		}
		t.push(name, extra+common(attr))
	case "li":
		list := max(t.find("ul"), t.find("ol"))
		if list < 0 {
			t.separate()
			return
		}
		if i := t.find("li"); i > list {
			t.popTo(i)
		} else {
			t.popTo(list + 1)
		}
		t.content, t.broken = false, false
		extra := ""
		if integer.MatchString(attr["value"]) {
			extra = attribute("value", attr["value"])
		}
		t.push(name, extra+common(attr))
	case "rt", "rp":
		if n := len(t.open); n > 0 && (t.open[n-1].name == "rt" || t.open[n-1].name == "rp") {
			t.popTo(n - 1)
		}
		t.push(name, common(attr))
	case "a":
		t.anchor(attr)
	case "span":
		t.span(attr)
	case "del", "s", "code", "b", "strong", "u", "i", "em", "ruby":
		t.flush()
		t.push(name, common(attr))
	case "td", "th":
		if t.content && !t.broken {
			t.write(" ")
		}
	default:
		if slices.Contains(paragraphs, name) {
			t.separate()
		}
	}
}

func (t *tidier) end(name string) {
	switch name {
	case "h1", "h2", "h3", "h4", "h5", "h6":
		name = "p"
	case "br":
		return
	}
	if slices.Contains(paragraphs, name) {
		t.separate()
		return
	}
	i := t.find(name)
	if i < 0 {
		return
	}
	t.popTo(i)
	switch name {
	case "p", "blockquote", "pre", "ul", "ol", "li":
		t.content, t.broken = false, false
	}
}

// push opens an element, unless it would be too deep.
func (t *tidier) push(name, attributes string) bool {
	if len(t.open) >= maxOpen {
		return false
	}
	t.open = append(t.open, element{name: name})
	t.write("<" + name + attributes + ">")
	return true
}

// popTo closes elements until n are open.
func (t *tidier) popTo(n int) {
	for len(t.open) > n {
		e := t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
		if e.hidden && t.link != nil {
			t.link.hidden--
		}
		if e.name == "a" {
			t.closeLink()
		}
		t.write("</" + e.name + ">")
	}
}

func (t *tidier) anchor(attr map[string]string) {
	if i := t.find("a"); i >= 0 {
		t.popTo(i)
	}
	href, host, ok := safeHref(attr["href"])
	if !ok {
		return
	}
	rel := linkRel
	if slices.Contains(strings.Fields(strings.ToLower(attr["rel"])), "tag") {
		rel = "tag " + rel
	}
	t.flush()
	if t.push("a", attribute("href", href)+attribute("class", classes(attr["class"], false))+
		attribute("rel", rel)+` target="_blank"`+common(attr)+untranslated(attr)) {
		t.link = &link{href: href, host: host, start: len(t.out)}
	}
}

// span keeps the two classes that shorten an address, as long as closeLink finds that they do no more than that.
func (t *tidier) span(attr map[string]string) {
	t.flush()
	if len(t.open) >= maxOpen {
		return
	}
	rest := common(attr) + untranslated(attr)
	whole, bare := classes(attr["class"], t.link != nil), classes(attr["class"], false)
	t.open = append(t.open, element{name: "span", hidden: strings.Contains(" "+whole+" ", " invisible ")})
	t.out = append(t.out, "<span"+attribute("class", whole)+rest+">"...)
	if t.link == nil {
		return
	}
	t.link.bare = append(t.link.bare, "<span"+attribute("class", bare)+rest+">"...)
	if t.open[len(t.open)-1].hidden {
		t.link.hidden++
	}
}

// closeLink sees to it that a link which shows an address shows the host that it leads to (CVE-2023-36462): hidden parts
// are kept only where the text is the very address and its host is in sight; an address of another host gets the real one
// beside it.
func (t *tidier) closeLink() {
	l := t.link
	t.link = nil
	if l == nil || l.host == "" {
		if l != nil {
			t.out = append(t.out[:l.start], l.bare...)
		}
		return
	}
	full := strings.TrimSpace(l.full.String())
	if same, _, ok := safeHref(full); ok && same == l.href && showsHost(l.visible.String(), l.host) {
		return
	}
	t.out = append(t.out[:l.start], l.bare...)
	mark := "[" + l.host + "]"
	if looksLikeAddress(full) && !showsHost(full, l.host) && !strings.HasSuffix(full, mark) {
		t.out = append(t.out, " "+html.EscapeString(mark)...)
	}
}

// image turns an image into a link with its description: what the reader has not asked for is not fetched.
func (t *tidier) image(attr map[string]string) {
	alt := strings.TrimSpace(clean(attr["alt"]))
	href, host, ok := safeHref(attr["src"])
	if alt == "" && ok && host != "" {
		alt = host
	}
	if t.link == nil && ok && host != "" {
		t.anchor(map[string]string{"href": href})
		t.text(alt)
		t.end("a")
		return
	}
	if alt != "" {
		t.text(alt)
	}
}

func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + `="` + html.EscapeString(value) + `"`
}

func common(attr map[string]string) string {
	if language.MatchString(attr["lang"]) {
		return attribute("lang", attr["lang"])
	}
	return ""
}

func untranslated(attr map[string]string) string {
	if attr["translate"] == "no" {
		return ` translate="no"`
	}
	return ""
}

// classes keeps microformats and the classes that Mastodon's clients know; those that shorten an address only on demand.
func classes(value string, shorten bool) string {
	var kept []string
	for _, c := range strings.Fields(value) {
		if classToken.MatchString(c) && (shorten || c != "invisible" && c != "ellipsis") && len(kept) < 10 {
			kept = append(kept, c)
		}
	}
	return strings.Join(kept, " ")
}

// safeHref reads where a link leads; host is that of http(s), in its normal form.
func safeHref(s string) (href, host string, ok bool) {
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "%20")
	if len(s) > 2*maxAddress || clean(s) != s {
		return "", "", false
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(linkSchemes, u.Scheme) || u.User != nil {
		return "", "", false
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		if host, err = normaliseHost(u.Host); err != nil {
			return "", "", false
		}
		u.Host = host
	}
	href = u.String()
	if again, err := url.Parse(href); err != nil || again.String() != href {
		return "", "", false
	}
	return href, host, true
}

// handleName is the name of a handle that cannot be taken for a host.
var handleName = regexp.MustCompile(`^@?[a-z0-9_-]{1,60}$`)

// showsHost reports whether a text begins with the host, as people write addresses and handles.
func showsHost(text, host string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	text = strings.TrimPrefix(strings.TrimPrefix(text, "https://"), "http://")
	if i := strings.IndexAny(text, "/?# \n\t"); i >= 0 {
		text = text[:i]
	}
	if len(text) > 300 {
		return false
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 && handleName.MatchString(text[:i]) {
		text = text[i+1:] // a handle shows its host
	}
	shown, err := normaliseHost(strings.TrimSuffix(text, "…"))
	return err == nil && strings.TrimPrefix(shown, "www.") == strings.TrimPrefix(host, "www.")
}

// looksLikeAddress reports whether a word of the text could be taken for a web address.
func looksLikeAddress(text string) bool {
	for word := range strings.FieldsSeq(text) {
		if strings.Contains(word, "://") || strings.Contains(word, "：//") {
			return true
		}
		if strings.HasPrefix(word, "@") || strings.HasPrefix(word, "#") {
			continue
		}
		if i := strings.IndexAny(word, "/?#:"); i >= 0 {
			word = word[:i]
		}
		word = strings.TrimFunc(word, unicode.IsPunct)
		name, top, dotted := cutLast(word)
		if dotted && name != "" && utf8.RuneCountInString(top) >= 2 && strings.IndexFunc(top, func(r rune) bool { return !unicode.IsLetter(r) }) < 0 {
			return true
		}
	}
	return false
}

// cutLast cuts around the last dot, in any of the forms that browsers take for one.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexAny(s, ".。．｡․")
	if i < 0 {
		return s, "", false
	}
	_, size := utf8.DecodeRuneInString(s[i:])
	return s[:i], s[i+size:], true
}

// clean drops what has no business in a text: controls other than line feed and tab, and marks that reverse or embed the
// direction of what follows (a bidirectional text does without them, a forged name does not).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff, r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
			return -1
		}
		return r
	}, s)
}

// verbatim is a text that is no HTML on the wire, such as the description of a picture or an answer of a poll (ActivityStreams 2.0,
// name): its < and & mean themselves.
func verbatim(s string) string { return strings.TrimSpace(clean(strings.ToValidUTF8(s, "\uFFFD"))) }

// PlainText is what a post or a profile says, without its markup.
func PlainText(html string) string { return plainText(html) }

// plainText is the text of an HTML fragment: paragraphs become empty lines, line breaks lines. The result is text, and
// is escaped by whoever shows it.
func plainText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsAny(s, "<&\r") {
		return strings.TrimSpace(clean(s))
	}
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	skip, depth, feeds := "", 0, 0 // feeds: lines that are due before the next text
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			return strings.TrimSpace(out.String())
		case html.TextToken:
			text := clean(string(z.Text()))
			if skip != "" || text == "" {
				continue
			}
			if feeds > 0 {
				if text = strings.TrimLeft(text, " \n\t"); text == "" {
					continue
				}
				if out.Len() > 0 {
					out.WriteString(strings.Repeat("\n", min(feeds, 2)))
				}
				feeds = 0
			}
			out.WriteString(text)
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			raw, more := z.TagName()
			name := string(raw)
			switch {
			case skip != "":
				if name == skip && kind == html.StartTagToken {
					depth++
				} else if name == skip && kind == html.EndTagToken {
					if depth--; depth == 0 {
						skip = ""
					}
				}
			case kind != html.EndTagToken && slices.Contains(swallowedText, name),
				kind == html.StartTagToken && name != "embed" && slices.Contains(swallowed, name):
				skip, depth = name, 1
			case name == "br" && kind != html.EndTagToken:
				feeds++
			case name == "img":
				if alt := clean(attributes(z, more)["alt"]); alt != "" {
					out.WriteString(alt)
				}
			case name == "li" || slices.Contains(paragraphs, name):
				feeds = max(feeds, 1)
			case name == "p" || name == "blockquote" || name == "pre" || name == "ul" || name == "ol" || len(name) == 2 && name[0] == 'h' && name[1] <= '6':
				feeds = 2
			}
		}
	}
}

// mention is somebody whom a text speaks to.
type mention struct {
	Handle string // @name or @name@host
	URL    string // of the page that the mention leads to
}

// renderText makes HTML of what a person typed, the way Mastodon does: paragraphs, line breaks, addresses as links whose
// host stays in sight, the mentions that are given, and hashtags that lead to origin/tags/…. tags are in lower case,
// without #, each once, in order. What is not recognised stays text.
func renderText(text string, mentions []mention, origin string) (rendered string, tags []string) {
	known := make(map[string]string, len(mentions))
	for _, m := range mentions {
		if _, _, ok := safeHref(m.URL); ok {
			known[mentionKey(m.Handle)] = m.URL
		}
	}
	var b strings.Builder
	b.Grow(len(text) + len(text)/2)
	open := false
	for line := range strings.SplitSeq(typed(text), "\n") {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		switch {
		case line == "":
			if open {
				b.WriteString("</p>")
			}
			open = false
			continue
		case open:
			b.WriteString("<br>")
		default:
			b.WriteString("<p>")
		}
		open = true
		done := 0
		for e := range entities(line) {
			b.WriteString(html.EscapeString(line[done:e.start]))
			done = e.end
			s := line[e.start:e.end]
			switch e.kind {
			case isURL:
				writeURL(&b, s)
			case isMention:
				if u, ok := known[mentionKey(s)]; ok {
					name, _, _ := strings.Cut(s[1:], "@")
					fmt.Fprintf(&b, `<span class="h-card" translate="no"><a href="%s" class="u-url mention">@<span>%s</span></a></span>`,
						html.EscapeString(u), html.EscapeString(name))
				} else {
					b.WriteString(html.EscapeString(s))
				}
			case isTag:
				fmt.Fprintf(&b, `<a href="%s/tags/%s" class="mention hashtag" rel="tag">#<span>%s</span></a>`,
					html.EscapeString(origin), url.PathEscape(tagOf(s)), html.EscapeString(tagText(s)))
			}
		}
		b.WriteString(html.EscapeString(line[done:]))
	}
	if open {
		b.WriteString("</p>")
	}
	return b.String(), findTags(text)
}

// writeURL writes a link whose scheme and tail are hidden, and whose host never is.
func writeURL(b *strings.Builder, s string) {
	href, _, _ := safeHref(s)
	shown := strings.TrimPrefix(s[strings.Index(s, "://")+3:], "www.")
	front := s[:len(s)-len(shown)]
	cut := strings.IndexAny(shown, "/?#")
	if cut < 0 {
		cut = len(shown)
	}
	for n := utf8.RuneCountInString(shown[:cut]); n < 30 && cut < len(shown); n++ {
		_, size := utf8.DecodeRuneInString(shown[cut:])
		cut += size
	}
	fmt.Fprintf(b, `<a href="%s" rel="%s" target="_blank" translate="no"><span class="invisible">%s</span>`, html.EscapeString(href), linkRel, html.EscapeString(front))
	if cut == len(shown) {
		fmt.Fprintf(b, `<span>%s</span></a>`, html.EscapeString(shown))
		return
	}
	fmt.Fprintf(b, `<span class="ellipsis">%s</span><span class="invisible">%s</span></a>`, html.EscapeString(shown[:cut]), html.EscapeString(shown[cut:]))
}

// findMentions lists the handles of a text, @name or @name@host as typed, each once, in order.
func findMentions(text string) []string {
	var out []string
	seen := map[string]bool{}
	text = typed(text)
	for e := range entities(text) {
		if e.kind != isMention {
			continue
		}
		s := text[e.start:e.end]
		if k := mentionKey(s); !seen[k] {
			seen[k] = true
			out = append(out, s)
		}
	}
	return out
}

// findTags lists the hashtags of a text in lower case, without #, each once, in order.
func findTags(text string) []string {
	var out []string
	seen := map[string]bool{}
	text = typed(text)
	for e := range entities(text) {
		if e.kind != isTag {
			continue
		}
		if t := tagOf(text[e.start:e.end]); !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

// typed is a text as it was meant: valid, line feeds alone, no controls.
func typed(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return clean(text)
}

func tagText(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "#"), "＃") }
func tagOf(s string) string   { return strings.ToLower(tagText(s)) }

// mentionKey is what two ways to write one handle have in common.
func mentionKey(handle string) string {
	name, host, _ := strings.Cut(strings.TrimPrefix(handle, "@"), "@")
	if normal, err := normaliseHost(host); err == nil {
		host = normal
	}
	return strings.ToLower(name) + "@" + host
}

// Kinds of entities in a text.
const (
	isURL = iota
	isMention
	isTag
)

type entity struct{ kind, start, end int }

// entities finds addresses, mentions and hashtags from left to right. What was looked at once is not looked at again, so
// the work grows with the length of the text whatever it says.
func entities(text string) iter.Seq[entity] {
	return func(yield func(entity) bool) {
		last := ' ' // the rune before i
		for i := 0; i < len(text); {
			r, size := utf8.DecodeRuneInString(text[i:])
			end, kind, ok := i+size, 0, false
			switch {
			case (r == 'h' || r == 'H') && !wordRune(last):
				kind = isURL
				end, ok = scanURL(text, i, end)
			case r == '@' && !wordRune(last) && last != '/' && last != '=':
				kind = isMention
				end, ok = scanMention(text, i)
			case (r == '#' || r == '＃') && !wordRune(last) && last != '/' && last != '=' && last != ')' && last != '&':
				kind = isTag
				end, ok = scanTag(text, end)
			}
			if ok && !yield(entity{kind, i, end}) {
				return
			}
			last, _ = utf8.DecodeLastRuneInString(text[:end])
			i = end
		}
	}
}

func wordRune(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// scanURL reads an address that begins at i. When there is none, end is how far it looked: next if no scheme is there.
func scanURL(text string, i, next int) (end int, ok bool) {
	host := 0
	for _, scheme := range []string{"https://", "http://"} {
		if len(text)-i > len(scheme) && strings.EqualFold(text[i:i+len(scheme)], scheme) {
			host = i + len(scheme)
			break
		}
	}
	if host == 0 {
		return next, false
	}
	length, round, square := urlRun(text[host:])
	looked := host + length
	for end = looked; end > host; end-- { // what belongs to the sentence around it
		b := text[end-1]
		if b == ')' && round < 0 {
			round++
		} else if b == ']' && square < 0 {
			square++
		} else if strings.IndexByte(".,;:!?'", b) < 0 {
			break
		}
	}
	if end-i > maxAddress {
		return looked, false
	}
	_, name, good := safeHref(text[i:end])
	if !good || !strings.ContainsAny(name, ".:") && name != "localhost" {
		return looked, false
	}
	return end, true
}

// urlRun is the length of what may belong to an address, and how many brackets stay open in it.
func urlRun(text string) (length, round, square int) {
	for j, r := range text {
		switch {
		case r <= ' ', strings.ContainsRune("<>\"\\^`{|}", r), r >= 0x80 && (!unicode.IsGraphic(r) || unicode.IsSpace(r) || unicode.IsPunct(r)):
			return j, round, square
		case r == '(':
			round++
		case r == ')':
			round--
		case r == '[':
			square++
		case r == ']':
			square--
		}
	}
	return len(text), round, square
}

// scanMention reads @name or @name@host[:port] at i.
func scanMention(text string, i int) (end int, ok bool) {
	end = scanName(text, i+1, func(r rune) bool { return r < 0x80 && wordRune(r) })
	switch {
	case end == i+1:
		return end, false
	case end-i > 256:
		return end, false
	case end == len(text) || text[end] != '@':
		return end, true
	}
	host := end + 1
	stop := scanName(text, host, wordRune)
	if stop == host {
		return end, true
	}
	if stop < len(text) && text[stop] == ':' {
		port := stop + 1
		for port < len(text) && port-stop <= 5 && text[port] >= '0' && text[port] <= '9' {
			port++
		}
		if _, err := normaliseHost(text[host:port]); err == nil && port-stop > 2 {
			stop = port
		}
	}
	if stop-host > 300 {
		return stop, false
	}
	if _, err := normaliseHost(text[host:stop]); err != nil {
		return stop, false
	}
	return stop, true
}

// scanName reads words with dots and hyphens between them, and returns where they end.
func scanName(text string, i int, word func(rune) bool) int {
	end := i
	for j, r := range text[i:] {
		switch {
		case word(r):
			end = i + j + utf8.RuneLen(r)
		case (r == '.' || r == '-') && j > 0:
		default:
			return end
		}
	}
	return end
}

// scanTag reads a hashtag whose text begins at i: letters, marks, digits and _, at least one letter; a middle dot may
// stand inside.
func scanTag(text string, i int) (end int, ok bool) {
	end = i
	letter := false
	for j, r := range text[i:] {
		switch {
		case wordRune(r):
			end = i + j + utf8.RuneLen(r)
			letter = letter || unicode.IsLetter(r)
		case (r == '·' || r == '・' || r == '\u200c') && j > 0 && end == i+j:
		default:
			return end, letter && end-i <= 255
		}
	}
	return end, letter && end-i <= 255
}
