package activitypub

import (
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// xssCorpus are ways to get a script, a form or a foreign style into a page: OWASP's sheet, mXSS, and what fediverse
// software fell for.
var xssCorpus = []string{
	`<script>alert(1)</script>`, `<SCRIPT SRC=//evil.example/x.js></SCRIPT>`, `<scr<script>ipt>alert(1)</scr</script>ipt>`, `<script/>alert(1)`,
	`<img src=x onerror=alert(1)>`, `<img src="javascript:alert(1)">`, `<img """><script>alert(1)</script>">`, `<img src=x:x onerror=alert(1)//`,
	`<svg/onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`, `<svg><style><img src=x onerror=alert(1)></style></svg>`, `<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
	`<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`, `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`<math href="javascript:alert(1)">x</math>`, `<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
	`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`, `<textarea><img title="</textarea><img src onerror=alert(1)>"></textarea>`, `<title><img src=x onerror=alert(1)></title>`,
	`<iframe src="https://evil.example"></iframe>`, `<iframe srcdoc="<script>alert(1)</script>">`, `<object data="data:text/html,<script>alert(1)</script>"></object>`, `<embed src=//evil.example/x.swf>`,
	`<style>body{display:none}</style>`, `<style>@import 'https://evil.example/x.css';</style>`, `<p style="position:fixed;top:0">x</p>`, `<base href="https://evil.example/">`,
	`<link rel=stylesheet href=https://evil.example/x.css>`, `<meta http-equiv=refresh content="0;url=https://evil.example">`,
	`<form action="https://evil.example"><input name=password><button formaction="javascript:alert(1)">ok</button></form>`,
	`<a href="javascript:alert(1)">x</a>`, `<a href="JaVaScRiPt:alert(1)">x</a>`, `<a href=" javascript:alert(1)">x</a>`, `<a href="java&#9;script:alert(1)">x</a>`, "<a href=\"java\nscript:alert(1)\">x</a>",
	`<a href="&#106;avascript:alert(1)">x</a>`, `<a href="&#x01;javascript:alert(1)">x</a>`, `<a href="vbscript:msgbox(1)">x</a>`, `<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>`,
	`<a href="//evil.example">x</a>`, `<a href="/local">x</a>`, `<a href="https://user@evil.example/">x</a>`, `<a href="https://a.example" onclick=alert(1) style=x id=y name=z>x</a>`,
	`<a href="https://a.example" target="_top" rel="opener">x</a>`, `<a href='https://a.example/"onmouseover="alert(1)'>x</a>`, "<a href=`https://a.example` onclick=alert(1)>x</a>",
	`<p class="u-url admin-bar">x</p>`, `<p lang="x" onclick=1 lang="y&quot;z">x</p>`, `<div onmouseover=alert(1)>x</div>`, `<body onload=alert(1)>`, `<marquee onstart=alert(1)>x</marquee>`, `<details open ontoggle=alert(1)>x`,
	`<video><source onerror=alert(1)></video>`, `<audio src=x onerror=alert(1)>`, `<template><script>alert(1)</script></template>`, `<select><style></select><img src=x onerror=alert(1)></style>`,
	`<table background="javascript:alert(1)"><tr><td>x</table>`, `<xmp><p title="</xmp><svg/onload=alert(1)>">`, `<plaintext><script>alert(1)</script>`,
	`<!--><img src=x onerror=alert(1)>-->`, `<!-- --!><script>alert(1)</script>-->`, `<![CDATA[<script>alert(1)</script>]]>`, `<?xml version="1.0"?><script>alert(1)</script>`, `<!DOCTYPE html><script>alert(1)</script>`,
	"<\x00script>alert(1)</script>", "<img src=x\x00 onerror=alert(1)>", `&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script>alert(1)</script>`, "\xff<scr\xffipt>alert(1)</script>",
	`</p></div></body></html><script>alert(1)</script>`, `<p>unclosed <b>bold <a href="https://a.example/">link`, `</blockquote></ul>text`, `<ol start="1;alert(1)" reversed=x><li value="1x">a`,
	`<ruby>a<rt>b<rt>c</ruby>`, `<a href="https://a.example/"><a href="https://b.example/"><p>x</a></p></a>`, `<h1>T<h2>U</h1>x`, `<li>x<li>y`, `<ul><li>a<li>b</ul><td>c<td>d`,
}

var permittedElements = []string{"p", "br", "span", "a", "del", "s", "pre", "blockquote", "code", "b", "strong", "u", "i", "em", "ul", "ol", "li", "ruby", "rt", "rp"}
var permittedAttributes = []string{"href", "class", "rel", "target", "lang", "translate", "start", "reversed", "value"}

// wantSafe checks what must hold of every output, whatever came in.
func wantSafe(t *testing.T, in, out string) {
	t.Helper()
	fail := func(why string) {
		t.Helper()
		t.Errorf("%s\n in: %q\nout: %q", why, in, out)
	}
	if again := sanitise(out); again != out {
		fail(fmt.Sprintf("a second pass changes it to %q", again))
	}
	if tidied := tidy(in); policy().Sanitize(tidied) != tidied {
		fail(fmt.Sprintf("the two lists disagree: %q became %q", tidied, policy().Sanitize(tidied)))
	}
	var open []string
	z := html.NewTokenizer(strings.NewReader(out))
	for z.Next() != html.ErrorToken {
		tok := z.Token()
		switch tok.Type {
		case html.StartTagToken:
			if !slices.Contains(permittedElements, tok.Data) {
				fail("there is an element " + tok.Data)
			}
			if tok.Data != "br" {
				open = append(open, tok.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				fail("elements are not balanced at </" + tok.Data + ">")
				return
			}
			open = open[:len(open)-1]
		case html.TextToken:
		default:
			fail("there is a " + tok.Type.String())
		}
		for _, a := range tok.Attr {
			if !slices.Contains(permittedAttributes, a.Key) {
				fail("there is an attribute " + a.Key)
			}
			if a.Key == "href" && !slices.ContainsFunc(linkSchemes, func(s string) bool { return strings.HasPrefix(a.Val, s+":") }) {
				fail("a link leads to " + a.Val)
			}
		}
	}
	if len(open) > 0 {
		fail(fmt.Sprintf("%v stay open", open))
	}
	wantTree(fail, out)
}

// wantTree looks at what a browser makes of HTML that stands in a page: the same elements in the same order, all of them in
// their place and on the list, links that give nothing away, and no mark that turns a text around.
func wantTree(fail func(string), out string) {
	page, err := html.Parse(strings.NewReader("<!doctype html><body><main>" + out + "</main><footer></footer>"))
	if err != nil {
		fail(err.Error())
		return
	}
	var seen []string
	within := false
	for n := range page.Descendants() {
		switch {
		case n.Type == html.ElementNode && n.Data == "main":
			within = true
		case n.Type == html.ElementNode && n.Data == "footer":
			within = false
			if n.Parent.Data != "body" {
				fail("it reaches out of its place")
			}
		case !within:
		case n.Type == html.TextNode:
			if clean(n.Data) != n.Data {
				fail(fmt.Sprintf("a text has hidden marks: %q", n.Data))
			}
		case n.Type != html.ElementNode || n.Namespace != "" || !slices.Contains(permittedElements, n.Data):
			fail("a browser sees " + n.Data)
		default:
			seen = append(seen, n.Data)
			has := map[string]string{}
			for _, a := range n.Attr {
				has[a.Key] = a.Val
			}
			if n.Data == "a" && (!strings.HasSuffix(has["rel"], linkRel) || has["target"] != "_blank") {
				fail(fmt.Sprintf("a link has %v", has))
			}
			if u, err := url.Parse(has["href"]); n.Data == "a" && (err != nil || !slices.Contains(linkSchemes, u.Scheme)) {
				fail(fmt.Sprintf("a link leads to %v, %v", u, err))
			}
			for class := range strings.FieldsSeq(has["class"]) {
				if !classToken.MatchString(class) {
					fail("there is a class " + class)
				}
			}
		}
	}
	var written []string
	z := html.NewTokenizer(strings.NewReader(out))
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		if name, _ := z.TagName(); kind == html.StartTagToken {
			written = append(written, string(name))
		}
	}
	if !slices.Equal(seen, written) {
		fail(fmt.Sprintf("a browser sees %v, written are %v", seen, written))
	}
}

func TestXSS182HostileMarkupIsCleaned(t *testing.T) {
	for _, in := range xssCorpus {
		out := sanitise(in)
		wantSafe(t, in, out)
		// inside each other and inside ordinary text
		wantSafe(t, in, sanitise("<p>a "+in+" b</p>"))
		wantSafe(t, in, sanitise("<a href=\"https://a.example/\"><span class=\"invisible\">"+in+"</span></a>"))
	}
	for i, a := range xssCorpus {
		in := a + xssCorpus[(i*7+3)%len(xssCorpus)]
		wantSafe(t, in, sanitise(in))
	}
}

func TestXSS182OrdinaryMarkupSurvives(t *testing.T) {
	const link = ` rel="nofollow noopener noreferrer ugc" target="_blank"`
	for name, c := range map[string]struct{ in, want string }{
		"plain text":  {`hello`, `hello`},
		"a paragraph": {`<p>a &amp; b<br />c</p>`, `<p>a &amp; b<br>c</p>`},
		"Mastodon's mention": {`<p><span class="h-card" translate="no"><a href="https://m.example/@bo" class="u-url mention">@<span>bo</span></a></span> hi</p>`,
			`<p><span class="h-card" translate="no"><a href="https://m.example/@bo" class="u-url mention"` + link + `>@<span>bo</span></a></span> hi</p>`},
		"Mastodon's hashtag": {`<a href="https://m.example/tags/bread" class="mention hashtag status-link" rel="tag">#<span>bread</span></a>`,
			`<a href="https://m.example/tags/bread" class="mention hashtag" rel="tag nofollow noopener noreferrer ugc" target="_blank">#<span>bread</span></a>`},
		"Mastodon's short link": {`<a href="https://www.rye.example/a/long/path" target="_blank" rel="nofollow" translate="no"><span class="invisible">https://www.</span><span class="ellipsis">rye.example/a/</span><span class="invisible">long/path</span></a>`,
			`<a href="https://www.rye.example/a/long/path"` + link + ` translate="no"><span class="invisible">https://www.</span><span class="ellipsis">rye.example/a/</span><span class="invisible">long/path</span></a>`},
		"headings":           {`<h1>Title</h1><p>text</p>`, `<p><strong>Title</strong></p><p>text</p>`},
		"a list":             {`<ol start="3" reversed><li value="3">a</li><li>b</li></ol>`, `<ol start="3" reversed=""><li value="3">a</li><li>b</li></ol>`},
		"an image":           {`<p><img src="https://a.example/x.png" alt="A loaf"></p>`, `<p><a href="https://a.example/x.png"` + link + `>A loaf</a></p>`},
		"an emoji in a link": {`<a href="https://a.example/"><img src="https://a.example/x.png" alt=":loaf:"></a>`, `<a href="https://a.example/"` + link + `>:loaf:</a>`},
		"divs":               {`<div>a</div><div>b</div>`, `a<br>b`},
		"a table":            {`<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>`, `a b<br>c`},
		"a language":         {`<p lang="ca">pa</p>`, `<p lang="ca">pa</p>`},
		"a magnet":           {`<a href="magnet:?xt=urn:btih:1">m</a>`, `<a href="magnet:?xt=urn:btih:1"` + link + `>m</a>`},
		"quotes": {`<blockquote><p>a</p></blockquote><pre><code>x &lt; y
 z</code></pre>`, `<blockquote><p>a</p></blockquote><pre><code>x &lt; y
 z</code></pre>`},
	} {
		t.Run(name, func(t *testing.T) {
			got := sanitise(c.in)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			wantSafe(t, c.in, got)
		})
	}
}

func TestXSS183MarkupInPlainFieldsBecomesText(t *testing.T) {
	for in, want := range map[string]string{
		"Ana":                                "Ana",
		" Ana \r\n":                          "Ana",
		"<b>Ana</b>":                         "Ana",
		"Ana<script>alert(1)</script> Bo":    "Ana Bo",
		"<p>one<br>two</p><p>three</p>":      "one\ntwo\n\nthree",
		"a &amp; b &lt;c&gt;":                "a & b <c>",
		"evil\u202egpj.exe\x00\x1b[31m":      "evilgpj.exe[31m",
		"\xffAna":                            "\uFFFDAna",
		"I <3 bread":                         "I <3 bread",
		`<img src=x alt=":loaf:" onerror=x>`: ":loaf:",
		"<div>a</div><div>b</div>":           "a\nb",
	} {
		if got := plainText(in); got != want {
			t.Errorf("plainText(%q) = %q, want %q", in, got, want)
		}
	}
	for _, in := range xssCorpus {
		rendered, _ := renderText(in, []mention{{"@x", in}}, "https://rye.example")
		wantSafe(t, in, sanitise(rendered))
		z := html.NewTokenizer(strings.NewReader(rendered))
		for z.Next() != html.ErrorToken {
			if tok := z.Token(); tok.Type == html.StartTagToken && !slices.Contains([]string{"p", "br", "a", "span"}, tok.Data) {
				t.Errorf("%q was rendered with a <%s>: %s", in, tok.Data, rendered)
			}
		}
	}
}

func TestXSS185LinksShowTheHostTheyLeadTo(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		host string // must be in the visible text
	}{
		"hidden behind a class":       {`<a href="https://evil.example/"><span class="invisible">https://evil.example/?</span>good.example</a>`, "evil.example"},
		"hidden, and nothing shown":   {`<a href="https://evil.example/good.example"><span class="invisible">https://evil.example/</span><span class="ellipsis">good.example</span></a>`, "evil.example"},
		"hidden in nested spans":      {`<a href="https://evil.example/x"><span class="invisible"><span>https://evil.example/</span></span>x</a>`, "evil.example"},
		"another address as the text": {`<a href="https://evil.example/">https://good.example/login</a>`, "evil.example"},
		"another host as the text":    {`<a href="https://evil.example/">good.example</a>`, "evil.example"},
		"a host with a prefix":        {`<a href="https://evil.example/">good.example.evil.example</a>`, "[evil.example]"},
		"a host that only begins so":  {`<a href="https://good.example.evil.example/">good.example</a>`, "[good.example.evil.example]"},
		"userinfo":                    {`<a href="https://good.example@evil.example/">good.example</a>`, "good.example"}, // no link at all
		"reversed text":               {"<a href=\"https://evil.example/\">\u202eelpmaxe.doog//:sptth</a>", "[evil.example]"},
		"a false dot":                 {`<a href="https://evil.example/">good。example</a>`, "[evil.example]"},
	} {
		t.Run(name, func(t *testing.T) {
			out := sanitise(c.in)
			wantSafe(t, c.in, out)
			if seen := visible(out); !strings.Contains(seen, c.host) || strings.Contains(out, "good.example@") {
				t.Errorf("a reader sees %q, which hides %s: %s", seen, c.host, out)
			}
		})
	}
	for _, in := range []string{"our page", "@ana@rye.example", "#bread", "1.5 kg", "https://rye.example/a", "rye.example", "www.rye.example/a?b=c", "RYE.example"} {
		in := `<a href="https://rye.example/">` + in + `</a>`
		if out := sanitise(in); strings.Contains(out, "[") {
			t.Errorf("an honest link was marked: %s", out)
		}
	}
	for _, in := range []string{"https://evil.example/?good.example/" + strings.Repeat("x", 100), "https://" + strings.Repeat("good.example.", 10) + "evil.example/login"} {
		rendered, _ := renderText(in, nil, "https://rye.example")
		if host := strings.Split(in, "/")[2]; !strings.Contains(visible(rendered), host) {
			t.Errorf("%s is shown as %s", in, visible(rendered))
		}
	}
}

// visible is the text of a fragment without what the class invisible hides.
func visible(s string) string {
	var b strings.Builder
	var hidden []bool
	z := html.NewTokenizer(strings.NewReader(s))
	for z.Next() != html.ErrorToken {
		switch tok := z.Token(); {
		case tok.Type == html.TextToken && !slices.Contains(hidden, true):
			b.WriteString(tok.Data)
		case tok.Data == "span" && tok.Type == html.StartTagToken:
			hidden = append(hidden, slices.ContainsFunc(tok.Attr, func(a html.Attribute) bool {
				return a.Key == "class" && slices.Contains(strings.Fields(a.Val), "invisible")
			}))
		case tok.Data == "span" && tok.Type == html.EndTagToken:
			hidden = hidden[:len(hidden)-1]
		}
	}
	return b.String()
}

func TestTextBecomesHTMLAsMastodonWritesIt(t *testing.T) {
	people := []mention{{"@bo@oak.example", "https://oak.example/@bo"}, {"@ana", "https://rye.example/@ana"}, {"@dev@oak.localhost:8081", "http://oak.localhost:8081/@dev"}, {"@bad", "javascript:alert(1)"}}
	link := func(href, front, rest string) string {
		return `<a href="` + href + `" rel="nofollow noopener noreferrer ugc" target="_blank" translate="no"><span class="invisible">` + front + `</span>` + rest + `</a>`
	}
	person := func(url, name string) string {
		return `<span class="h-card" translate="no"><a href="` + url + `" class="u-url mention">@<span>` + name + `</span></a></span>`
	}
	tag := func(low, shown string) string {
		return `<a href="https://rye.example/tags/` + low + `" class="mention hashtag" rel="tag">#<span>` + shown + `</span></a>`
	}
	for name, c := range map[string]struct {
		in, want string
		tags     []string
	}{
		"nothing":                {in: " \n ", want: ""},
		"paragraphs":             {in: "one\r\ntwo\n\n\nthree <b>", want: "<p>one<br>two</p><p>three &lt;b&gt;</p>"},
		"a mention":              {in: "hi @bo@oak.example.", want: "<p>hi " + person("https://oak.example/@bo", "bo") + ".</p>"},
		"another case":           {in: "@Bo@OAK.example", want: "<p>" + person("https://oak.example/@bo", "Bo") + "</p>"},
		"a local mention":        {in: "(@ana)", want: "<p>(" + person("https://rye.example/@ana", "ana") + ")</p>"},
		"a port":                 {in: "@dev@oak.localhost:8081: hi", want: "<p>" + person("http://oak.localhost:8081/@dev", "dev") + ": hi</p>"},
		"nobody":                 {in: "@carl@oak.example", want: "<p>@carl@oak.example</p>"},
		"a hostile page":         {in: "@bad", want: "<p>@bad</p>"},
		"an e-mail address":      {in: "write to x@oak.example", want: "<p>write to x@oak.example</p>"},
		"tags":                   {in: "#Bread #bread #pa_42 #été ＃パン #1 a#b ##", want: "<p>" + tag("bread", "Bread") + " " + tag("bread", "bread") + " " + tag("pa_42", "pa_42") + " " + tag("%C3%A9t%C3%A9", "été") + " " + tag("%E3%83%91%E3%83%B3", "パン") + " #1 a#b ##</p>", tags: []string{"bread", "pa_42", "été", "パン"}},
		"a short address":        {in: "see https://rye.example/a.", want: "<p>see " + link("https://rye.example/a", "https://", "<span>rye.example/a</span>") + ".</p>"},
		"a long address":         {in: "https://www.rye.example/a/very/long/path/indeed?x=1&y=2", want: "<p>" + link("https://www.rye.example/a/very/long/path/indeed?x=1&amp;y=2", "https://www.", `<span class="ellipsis">rye.example/a/very/long/path/i</span><span class="invisible">ndeed?x=1&amp;y=2</span>`) + "</p>"},
		"brackets":               {in: "(https://rye.example/a_(b))", want: "<p>(" + link("https://rye.example/a_(b)", "https://", "<span>rye.example/a_(b)</span>") + ")</p>"},
		"inside an address":      {in: "https://oak.example/@bo#bread", want: "<p>" + link("https://oak.example/@bo#bread", "https://", "<span>oak.example/@bo#bread</span>") + "</p>"},
		"no scheme":              {in: "rye.example/a", want: "<p>rye.example/a</p>"},
		"no host":                {in: "https:// http://a https://u@h.example", want: "<p>https:// http://a https://u@h.example</p>"},
		"quotes and brackets":    {in: `"https://rye.example/"><script>`, want: "<p>&#34;" + link("https://rye.example/", "https://", "<span>rye.example/</span>") + "&#34;&gt;&lt;script&gt;</p>"},
		"a full stop in Chinese": {in: "https://rye.example/面包。好", want: "<p>" + link("https://rye.example/%E9%9D%A2%E5%8C%85", "https://", "<span>rye.example/面包</span>") + "。好</p>"},
	} {
		t.Run(name, func(t *testing.T) {
			got, tags := renderText(c.in, people, "https://rye.example")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.tags, tags); d != "" {
				t.Error(d)
			}
			if safe := sanitise(got); visible(safe) != visible(got) {
				t.Errorf("another server would show %q instead of %q", visible(safe), visible(got))
			}
		})
	}
	got := findMentions("@bo@oak.example, @Bo@OAK.example @ana a@b.example https://x.example/@no @@c @d@ @e..f @bo@oak.example@x .@g-h. @bo@127.1")
	if d := cmp.Diff([]string{"@bo@oak.example", "@ana", "@c", "@d", "@e..f", "@g-h"}, got); d != "" {
		t.Error(d)
	}
}

// worstTexts are small pieces that, repeated, make a careless parser's work grow with the square of the length.
var worstTexts = []string{`<a <a `, `<`, `<p`, `</`, `<!--`, `<![CDATA[`, `<a href="`, `<a href=x `, `&`, `&#`, `&amp`, `<b>`, `</b>`, `<p>`, `<div>`, `<li>`, `<ul><li>`, `<a href="https://a.example/">`,
	`<span class="invisible">`, `<b><i><p>`, `<svg>`, `<script>`, `<script></`, `<title><`, `<table><tr>`, `#`, `##a`, `@`, `@a@a`, `@a.`, `@a-`, `@a@b.`, `a@a.example`, `http://`, `https://a.example/(`, `https://a.example)`, `https://`,
	`https://a.example.`, `http`, "\n", "\n\n", ` x`, `[`, `'`, `·`, `#a·`, "\u202e", "\xff", `:80`, `@a@b:80`, `good.example `, `<img alt="`, `<x y=z `, `</a>`, `<ruby><rt>`}

// Linear: ten times the text costs ten times the allocations, not a hundred times.
func TestFET114FET115WorkGrowsWithTheLength(t *testing.T) {
	const size = 4 << 10
	for _, piece := range worstTexts {
		small := strings.Repeat(piece, size/len(piece)+1)
		large := strings.Repeat(small, 10)
		for name, f := range map[string]func(string){
			"sanitise":     func(s string) { sanitise(s) },
			"plainText":    func(s string) { plainText(s) },
			"renderText":   func(s string) { renderText(s, nil, "https://rye.example") },
			"findMentions": func(s string) { findMentions(s) },
		} {
			once, ten := allocated(func() { f(small) }), allocated(func() { f(large) })
			if ten > 30*once+256<<10 {
				t.Errorf("%s of %q allocates %d bytes for %d and %d for ten times as much", name, piece, once, len(small), ten)
			}
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Steps that allocate nothing are counted by what the scanner looks at: every byte is looked at a bounded number of times.
func TestFET115DeepAndBrokenMarkup(t *testing.T) {
	for _, piece := range worstTexts {
		in := strings.Repeat(piece, 100_000/len(piece)+1)
		out := sanitise(in)
		if again := sanitise(out); again != out {
			t.Errorf("100 kB of %q: not idempotent", piece)
		}
		plainText(in)
		renderText(in, nil, "https://rye.example")
	}
	out := sanitise(strings.Repeat("<b>", 100_000) + "x" + strings.Repeat("</b>", 100_000))
	if strings.Count(out, "<b>") > maxOpen || !strings.Contains(out, "x") {
		t.Errorf("100 000 nested elements became %d", strings.Count(out, "<b>"))
	}
}

func FuzzSanitise(f *testing.F) {
	for _, s := range xssCorpus {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		wantSafe(t, in, sanitise(in))
		rendered, _ := renderText(in, []mention{{"@a", in}}, "https://rye.example")
		wantSafe(t, in, sanitise(rendered))
		plainText(in)
		findMentions(in)
	})
}

func BenchmarkSanitise(b *testing.B) {
	note := `<p><span class="h-card" translate="no"><a href="https://m.example/@bo" class="u-url mention">@<span>bo</span></a></span> ` + strings.Repeat("bread is ready ", 20) +
		`<a href="https://www.rye.example/a/long/path" target="_blank" rel="nofollow" translate="no"><span class="invisible">https://www.</span><span class="ellipsis">rye.example/a/</span><span class="invisible">long/path</span></a></p>`
	b.ReportAllocs()
	for b.Loop() {
		sanitise(note)
	}
}
