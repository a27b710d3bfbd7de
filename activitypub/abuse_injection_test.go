package activitypub_test

import (
	"fmt"
	"strings"
	"testing"

	"planet/storage"
	"planet/storage/storagetest"
)

// INJ: words of other servers that mean something to a database. They are kept as the words that they are.
func TestINJ249SQLInWhatOthersSend(t *testing.T) {
	for i, sql := range []string{
		"';DROP/**/TABLE/**/posts;--", "'OR'1'='1", "');DELETE/**/FROM/**/actors;--", "1;ATTACH/**/DATABASE/**/'x'/**/AS/**/y", "$1", "?", "%25'", "''", "--", "/*", "x'||(SELECT/**/private/**/FROM/**/keys)||'",
	} {
		t.Run("INJ249 "+sql, func(t *testing.T) {
			s := newScene(t)
			host := fmt.Sprintf("sql%d.example", i)
			p := s.peer(host, "joe", 12)
			path := strings.NewReplacer("?", "%3F", "|", "%7C").Replace(sql)
			p.KeyID = p.ID() + "#" + path
			p.Extra = dict{
				"name": sql, "summary": sql, "inbox": p.ID() + "/" + path + "/inbox", "endpoints": dict{"sharedInbox": "https://" + host + "/" + path},
				"followers": p.ID() + "/" + path, "outbox": p.ID() + "/out" + path, "featured": p.ID() + "/feat" + path, "url": p.ID() + "/" + path,
				"attachment":  []any{dict{"type": "PropertyValue", "name": sql, "value": sql}},
				"alsoKnownAs": []any{"https://other.example/" + path}, "movedTo": "https://other.example/" + path, "location": dict{"type": "Place", "name": sql},
			}
			s.net.Serve(host, p)
			s.take(t, p, s.does(p, "Follow", s.baker.Actor.IRI))
			tables := len(storagetest.Rows(t, s.rye.DB))
			act := s.says(p, sql, func(n dict) {
				n["id"] = p.ID() + "/notes/" + path
				n["summary"], n["context"], n["conversation"], n["inReplyTo"] = sql, sql, sql, "https://rye.example/"+sql
				n["contentMap"] = dict{sql: sql}
				n["tag"] = []any{dict{"type": "Hashtag", "name": "#" + sql}, dict{"type": "Mention", "href": "https://other.example/" + path, "name": sql}, dict{"type": "Emoji", "id": sql, "name": ":" + sql + ":", "icon": dict{"type": "Image", "url": "https://" + host + "/" + path}}}
				n["attachment"] = []any{dict{"type": "Image", "url": "https://" + host + "/" + path, "name": sql, "mediaType": sql, "blurhash": sql}}
			})
			act["id"] = p.ID() + "/activities/" + path
			s.take(t, p, act)
			for _, kind := range []string{"Like", "Announce", "Undo", "Delete", "Block", "Flag", "Move", "Add", "Remove", "Accept", "Reject", "QuoteRequest", "EmojiReact"} {
				odd := with(with(s.does(p, kind, p.ID()+"/"+path), "target", p.ID()+"/"+path), "content", sql)
				odd["id"] = odd["id"].(string) + path
				if got, body := post(t, s.net, p.Request(ryeInbox, odd)); got >= 500 {
					t.Errorf("%s: %d %s", kind, got, body)
				}
			}
			s.net.Deliver()
			a := s.actor(t, p.ID())
			if a.Name == "" || string(a.Inbox) != p.ID()+"/"+path+"/inbox" || a.Domain != host {
				t.Errorf("the actor is kept as %+v", a)
			}
			if k, err := s.rye.DB.KeyByIRI(t.Context(), storage.IRI(p.KeyID)); err != nil || k.ActorID != a.ID {
				t.Errorf("her key is %+v, %v", k, err)
			}
			if got := s.received(t, p, "Accept"); got["actor"] != string(s.baker.Actor.IRI) {
				t.Errorf("her inbox got %v", got)
			}
			if n := s.post(t, p.ID()+"/notes/"+path); len(n.Tags) != 1 || n.Conversation != sql {
				t.Errorf("the post is kept as %+v", n)
			}
			if got := len(storagetest.Rows(t, s.rye.DB)); got != tables {
				t.Errorf("%d tables are left of %d", got, tables)
			}
			s.post(t, helloBy(s.ann))
			if _, err := s.rye.DB.TagTimeline(t.Context(), strings.ToLower(sql), storage.Page{}); err != nil {
				t.Errorf("the posts with her tag: %v", err)
			}
		})
	}
}
