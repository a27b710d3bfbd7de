package activitypub

import "testing"

func TestTheTextOfALanguageMap(t *testing.T) {
	for _, c := range []struct{ name, doc, text, language string }{
		{"the plain one says which", `{"content":"two","contentMap":{"ca":"un","en":"two","de":"zwei"}}`, "two", "en"},
		{"without a plain one the first", `{"contentMap":{"ca":"un","en":"two","de":"zwei"}}`, "un", "ca"},
		{"the first that says something", `{"contentMap":{"ca":"","pt":7,"en":"two"}}`, "two", "en"},
		{"one language in other words", `{"content":"<p>two</p>","contentMap":{"en":"<p>two </p>"}}`, "<p>two</p>", "en"},
		{"several in other words", `{"content":"three","contentMap":{"en":"two","ca":"un"}}`, "three", ""},
		{"an unknown language", `{"content":"two","contentMap":{"und":"two"}}`, "two", ""},
		{"a list for a map", `{"content":"two","contentMap":["two"]}`, "two", ""},
		{"nothing", `{"contentMap":null}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 20 { // whatever order a map of ours would have
				if text, language := parseObject([]byte(c.doc)).text("content"); text != c.text || language != c.language {
					t.Fatalf("%q in %q, want %q in %q", text, language, c.text, c.language)
				}
			}
		})
	}
}
