package activitypub

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/go-fed/activity/streams"
)

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

// TestT17NothingIsLostOnTheWayThroughTheVocabulary: T17 of the list that federation is held against. What go-fed reads it writes with
// contexts of its own and without lists; so it judges what we send and does not write it, and never writes what others sent.
func TestT17NothingIsLostOnTheWayThroughTheVocabulary(t *testing.T) {
	doc := map[string]any{
		"@context": []any{activityStreams, map[string]any{"planet": namespace, "category": "planet:category"}},
		"id":       "https://rye.example/n/1", "type": "Note", "to": "https://rye.example/x", "tag": map[string]any{"type": "Hashtag", "name": "#a"},
		"sensitive": true, "category": "food", "interactionPolicy": map[string]any{"canQuote": map[string]any{"automaticApproval": "x"}},
		"flohmarkt:data": map[string]any{"price": "25"}, "content": "<p>5 > 4 & \"more\"</p>", "proof": map[string]any{"type": "DataIntegrityProof", "created": "now"},
	}
	raw, err := encode(maps.Clone(doc))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	doc["to"], doc["tag"] = []any{doc["to"]}, []any{doc["tag"]} // lists on the wire
	if !reflect.DeepEqual(got, doc) {
		t.Errorf("sent is %v, want %v", got, doc)
	}
	if !bytes.Contains(raw, []byte(`5 > 4 & \"more\"`)) {
		t.Errorf("HTML was escaped: %s", raw)
	}

	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	plain["@context"] = activityStreams
	read, err := streams.ToType(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	unknown, ok := read.(interface{ GetUnknownProperties() map[string]any })
	if !ok {
		t.Fatalf("%T does not tell its unknown properties", read)
	}
	for _, key := range []string{"category", "interactionPolicy", "flohmarkt:data", "proof", "sensitive"} {
		if !reflect.DeepEqual(unknown.GetUnknownProperties()[key], doc[key]) {
			t.Errorf("go-fed read %s as %v, want %v", key, unknown.GetUnknownProperties()[key], doc[key])
		}
	}
}
