package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"planet/activitypub"
	"planet/storage"
)

// live is a site that listens, and the address of its WebSocket.
func (s *site) live() (address string) {
	s.t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "rye.example"
		s.Handler().ServeHTTP(w, r)
	}))
	s.t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/api/v1/streaming"
}

// dial opens a stream; a connection is nil when it was refused with this status.
func dial(t *testing.T, address string, o *websocket.DialOptions) (conn *websocket.Conn, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, address, o)
	if err != nil && res == nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil, res.StatusCode
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn, res.StatusCode
}

type frame struct {
	Stream         []string
	Event, Payload string
}

// next is the next message of a stream; ok is false when none comes for a while, or it has ended.
func next(t *testing.T, conn *websocket.Conn, wait time.Duration) (f frame, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	_, raw, err := conn.Read(ctx)
	if err != nil {
		return f, false
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return f, true
}

func TestAStreamTellsWhatHappens(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	bo := s.coop("mill", "Mill")
	a := s.register("read write")
	token := a.token("by_bakery", "", "read write")
	address := s.live()
	ways := map[string]*websocket.DialOptions{
		"?stream=user&access_token=" + token: nil,
		"?stream=user#protocol":              {Subprotocols: []string{token}},
		"?stream=user#header":                {HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}},
	}
	conns := map[string]*websocket.Conn{}
	for query, o := range ways {
		way, _, _ := strings.Cut(query, "#")
		conn, status := dial(t, address+way, o)
		if conn == nil {
			t.Fatalf("%s: %d", query, status)
		}
		if o != nil && len(o.Subprotocols) > 0 && conn.Subprotocol() != token {
			t.Errorf("the protocol comes back as %q", conn.Subprotocol())
		}
		conns[query] = conn
	}
	me, err := s.db.ActorByID(t.Context(), by.User.ActorID)
	if err != nil {
		t.Fatal(err)
	}
	her := activitypub.By{User: by.User, Actor: me}
	if _, err := s.node.Follow(t.Context(), her, "@bakery@rye.example"); err != nil {
		t.Fatal(err)
	}
	p := s.say(by, activitypub.Draft{Text: "Fresh #bread"})
	s.say(bo, activitypub.Draft{Text: "whom she does not follow"})
	q := s.say(bo, activitypub.Draft{Text: "@by_bakery@rye.example flour?", Visibility: storage.Direct})
	for way, conn := range conns {
		for _, want := range []struct{ event, id string }{{"update", p.ID.String()}, {"update", q.ID.String()}, {"notification", ""}} {
			f, ok := next(t, conn, 10*time.Second)
			var got struct {
				ID     string
				Type   string
				Status struct{ ID string }
			}
			_ = json.Unmarshal([]byte(f.Payload), &got)
			if !ok || f.Event != want.event || want.id != "" && got.ID != want.id || want.id == "" && (got.Type != "mention" || got.Status.ID != q.ID.String()) || f.Stream[0] != "user" {
				t.Fatalf("%s: %+v, want %+v", way, f, want)
			}
		}
	}
	// One connection, several streams, begun and ended by messages.
	conn, _ := dial(t, address, &websocket.DialOptions{Subprotocols: []string{token}})
	say := func(text string) {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"type":"subscribe","stream":"hashtag","tag":"Bread"}`)
	say(`{"type":"subscribe","stream":"public:local"}`)
	say(`{"type":"subscribe","stream":"nonsense"}`)
	if f, ok := next(t, conn, 10*time.Second); !ok || f.Event != "error" {
		t.Fatalf("a stream that there is not: %+v", f)
	}
	say(`{"type":"unsubscribe","stream":"public:local"}`)
	say(`{"type":"subscribe","stream":"nonsense"}`) // what came before it was heard
	if f, ok := next(t, conn, 10*time.Second); !ok || f.Event != "error" {
		t.Fatalf("%+v", f)
	}
	s.say(bo, activitypub.Draft{Text: "without it"})
	r := s.say(bo, activitypub.Draft{Text: "more #bread"})
	if f, ok := next(t, conn, 10*time.Second); !ok || f.Event != "update" || !strings.Contains(f.Payload, r.ID.String()) || len(f.Stream) != 2 || f.Stream[1] != "bread" {
		t.Errorf("%+v", f)
	}
	if _, err := s.node.Edit(t.Context(), bo, r.ID, activitypub.Draft{Text: "most #bread"}); err != nil {
		t.Fatal(err)
	}
	if f, ok := next(t, conn, 10*time.Second); !ok || f.Event != "status.update" || !strings.Contains(f.Payload, "most") {
		t.Errorf("%+v", f)
	}
	if err := s.node.Delete(t.Context(), bo, r.ID); err != nil {
		t.Fatal(err)
	}
	if f, ok := next(t, conn, 10*time.Second); !ok || f.Event != "delete" || f.Payload != r.ID.String() {
		t.Errorf("%+v", f)
	}
}

func TestWEB263StreamsOfOthers(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	a := s.register("read write")
	whole, narrow := a.token("by_bakery", "", "read"), a.token("", "", "read:accounts")
	address := s.live()
	for name, c := range map[string]struct {
		query string
		o     *websocket.DialOptions
		want  int
	}{
		"no token":      {"?stream=user", nil, 401},
		"made up":       {"?stream=user&access_token=x", nil, 401},
		"wrong scope":   {"?stream=user&access_token=" + narrow, nil, 403},
		"no such":       {"?stream=admin&access_token=" + whole, nil, 400},
		"a cookie only": {"?stream=user", &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {a.cookie.String()}, "Origin": {"https://evil.example"}}}, 401},
		"no tag":        {"?stream=hashtag&access_token=" + whole, nil, 400},
	} {
		if conn, status := dial(t, address+c.query, c.o); conn != nil || status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
	for _, path := range []string{"/api/v1/streaming/user", "/api/v1/streaming/public"} {
		if w := s.get(path); w.Code != 401 {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	// What is for followers, and what is for one, reaches nobody else.
	conn, _ := dial(t, address+"?stream=public&access_token="+whole, nil)
	s.say(by, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	s.say(by, activitypub.Draft{Text: "unlisted", Visibility: storage.Unlisted})
	seen := s.say(by, activitypub.Draft{Text: "for all"})
	if f, ok := next(t, conn, 10*time.Second); !ok || !strings.Contains(f.Payload, seen.ID.String()) {
		t.Errorf("the public stream says %+v", f)
	}
	if strings.Contains(s.log.String(), whole) || strings.Contains(s.log.String(), url.QueryEscape(whole)) {
		t.Error("the log has the token of a stream")
	}
	s.Stop()
	if _, ok := next(t, conn, 10*time.Second); ok {
		t.Error("the stream goes on after the node was stopped")
	}
}

// TestTheStreamOfDirectPosts: a direct post is the conversation in which it is, to those who write and read it; what is of no interest to a reader is in no stream of hers.
func TestTheStreamOfDirectPosts(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	mill := s.coop("mill", "Mill")
	a := s.register("read write")
	token := a.token("by_bakery", "", "read write")
	address := s.live()
	direct, _ := dial(t, address+"?stream=direct&access_token="+token, nil)
	public, _ := dial(t, address+"?stream=public&access_token="+token, nil)
	me, err := s.db.ActorByID(t.Context(), by.User.ActorID)
	if err != nil {
		t.Fatal(err)
	}
	her := activitypub.By{User: by.User, Actor: me}
	if _, err := s.node.Mute(t.Context(), her, "@mill@rye.example", 0); err != nil {
		t.Fatal(err)
	}
	s.say(mill, activitypub.Draft{Text: "@by_bakery@rye.example psst", Visibility: storage.Direct})
	s.say(mill, activitypub.Draft{Text: "loud"})
	p := s.say(by, activitypub.Draft{Text: "@by_bakery@rye.example the oven", Visibility: storage.Direct})
	q := s.say(by, activitypub.Draft{Text: "open"})
	f, ok := next(t, direct, 10*time.Second)
	var got struct {
		ID         string
		Unread     bool
		Accounts   []struct{ Acct string }
		LastStatus struct{ ID string } `json:"last_status"`
	}
	_ = json.Unmarshal([]byte(f.Payload), &got)
	if !ok || f.Event != "conversation" || f.Stream[0] != "direct" || !got.Unread || got.LastStatus.ID != p.ID.String() || len(got.Accounts) != 1 || got.Accounts[0].Acct != "bakery" {
		t.Errorf("the stream of direct posts says %+v", f)
	}
	if f, ok := next(t, public, 10*time.Second); !ok || f.Event != "update" || !strings.Contains(f.Payload, q.ID.String()) {
		t.Errorf("the public stream says %+v, want what is not muted", f)
	}
}
