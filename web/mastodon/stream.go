package mastodon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"planet/storage"
	"planet/web/oauth"
)

// How streams are kept.
const (
	lookEvery   = 100 * time.Millisecond // how soon what other processes did is seen
	lookBack    = 64                     // changes that may show up late, see storage.Changes
	maxChanges  = 500                    // looked at in one round
	streamQueue = 64                     // messages that wait for a slow client; one more, and it is let go
	maxStreams  = 2000
	maxPerUser  = 32
	pingEvery   = 15 * time.Second
	checkEvery  = 30 * time.Second // whether the token still holds (security.md OAU 221)
	writeWait   = 10 * time.Second
)

// message is what a stream carries.
type message struct {
	stream  []string
	event   string
	payload string
	frame   []byte // the same for a WebSocket: made once for all who get it
}

func newMessage(stream []string, event, payload string) message {
	frame, _ := json.Marshal(map[string]any{"stream": stream, "event": event, "payload": payload}) // of text alone: it cannot fail
	return message{stream, event, payload, frame}
}

// subscription is one thing that a connection listens to.
type subscription struct {
	name string // user, user:notification, public, public:local, …
	tag  string // of hashtag
	list *storage.List
}

func (s subscription) stream() []string {
	switch {
	case s.tag != "":
		return []string{s.name, s.tag}
	case s.list != nil:
		return []string{s.name, s.list.ID.String()}
	}
	return []string{s.name}
}

// listener is one connection.
type listener struct {
	who  *caller
	out  chan message
	gone chan struct{} // closed when it was too slow, or the node stops

	mu   sync.Mutex
	subs []subscription // under mu
	over bool           // gone is closed; under mu
}

func (l *listener) listens() []subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.subs)
}

func (l *listener) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.gone)
	}
}

func (l *listener) send(m message) {
	select {
	case l.out <- m:
	default:
		l.drop()
	}
}

// hub tells listeners of what changes. It looks only while there are any.
type hub struct {
	api *API

	mu        sync.Mutex
	listeners map[*listener]bool // under mu
	running   bool               // the loop; under mu
	stopped   bool               // under mu
}

var errStreams = &oauth.Error{Status: http.StatusServiceUnavailable, Code: "Too many streams are open: try again later"}

func (h *hub) join(l *listener) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for other := range h.listeners {
		if other.who.User.ID == l.who.User.ID {
			own++
		}
	}
	if h.stopped || len(h.listeners) >= maxStreams || own >= maxPerUser {
		return errStreams
	}
	if h.listeners == nil {
		h.listeners = map[*listener]bool{}
	}
	h.listeners[l] = true
	if !h.running {
		h.running = true
		last, err := h.api.DB.LastChange(context.Background())
		if err != nil {
			h.running = false
			delete(h.listeners, l)
			return err
		}
		go h.run(last)
	}
	return nil
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

// stop ends all streams for good.
func (h *hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for l := range h.listeners {
		l.drop()
	}
}

func (h *hub) all() []*listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 {
		h.running = false
		return nil
	}
	out := make([]*listener, 0, len(h.listeners))
	for l := range h.listeners {
		out = append(out, l)
	}
	return out
}

// run looks for changes until nobody listens any more.
func (h *hub) run(last int64) {
	first := last // what was there before is told to nobody
	seen := map[int64]bool{}
	commits, idle := int64(-1), 0
	for tick := time.NewTicker(lookEvery / 10); ; <-tick.C {
		listeners := h.all()
		if listeners == nil {
			tick.Stop()
			return
		}
		now := h.api.DB.Committed()
		if idle++; now == commits && idle < 10 {
			continue
		}
		commits, idle = now, 0
		changes, err := h.api.DB.Changes(context.Background(), max(first, last-lookBack), maxChanges)
		if err != nil {
			continue // the next round asks again
		}
		for _, c := range changes {
			if !seen[c.Seq] {
				seen[c.Seq] = true
				last = max(last, c.Seq)
				h.tell(listeners, c)
			}
		}
		maps.DeleteFunc(seen, func(seq int64, _ bool) bool { return seq < last-2*lookBack })
	}
}

// tell brings a change to whoever listens for it.
func (h *hub) tell(listeners []*listener, c storage.Change) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch c.Kind {
	case storage.ChangeNews:
		h.tellNews(ctx, listeners, c)
	case storage.ChangeTalk:
		h.tellTalk(ctx, listeners, c)
	case storage.ChangeDelete:
		for _, l := range listeners {
			for _, s := range l.listens() {
				if s.name != "user:notification" && s.name != "direct" {
					l.send(newMessage(s.stream(), "delete", c.PostID.String()))
				}
			}
		}
	default:
		h.tellPost(ctx, listeners, c)
	}
}

func (h *hub) tellNews(ctx context.Context, listeners []*listener, c storage.Change) {
	for _, l := range listeners {
		if l.who.Actor.ID != c.ActorID {
			continue
		}
		n, err := h.api.DB.NotificationOf(ctx, c.ActorID, c.NewsID)
		if err != nil {
			return
		}
		out, err := h.api.news(ctx, l.who.Actor, []storage.Notification{*n})
		if err != nil || len(out) == 0 {
			return
		}
		payload, err := json.Marshal(out[0])
		if err != nil {
			return
		}
		for _, s := range l.listens() {
			if s.name == "user" || s.name == "user:notification" {
				l.send(newMessage(s.stream(), "notification", string(payload)))
			}
		}
	}
}

// tellTalk brings a direct post to its reader as the conversation in which it is.
func (h *hub) tellTalk(ctx context.Context, listeners []*listener, c storage.Change) {
	payload := ""
	for _, l := range listeners {
		if l.who.Actor.ID != c.ActorID {
			continue
		}
		for _, s := range l.listens() {
			if s.name != "direct" {
				continue
			}
			if payload == "" {
				t, err := h.api.DB.ConversationOf(ctx, c.ActorID, c.NewsID)
				if err != nil {
					return
				}
				out, err := h.api.talks(ctx, l.who.Actor, []storage.Conversation{*t})
				if err != nil || len(out) == 0 {
					return
				}
				raw, err := json.Marshal(out[0])
				if err != nil {
					return
				}
				payload = string(raw)
			}
			l.send(newMessage(s.stream(), "conversation", payload))
		}
	}
}

func (h *hub) tellPost(ctx context.Context, listeners []*listener, c storage.Change) {
	p, err := h.api.DB.PostByID(ctx, c.PostID)
	if err != nil || p.DeletedAt != nil {
		return
	}
	author, err := h.api.DB.ActorByID(ctx, p.ActorID)
	if err != nil {
		return
	}
	event := "update"
	if c.Kind == storage.ChangeEdit {
		event = "status.update"
	}
	open := p.Visibility == storage.Public && p.BoostOfID == nil && author.SuspendedAt == nil && author.SilencedAt == nil
	home := map[storage.ID]bool{} // by actor: it belongs there
	deaf := map[storage.ID]bool{} // by actor: it does not want to hear of the author
	shown := map[storage.ID]string{}
	type audience struct {
		reader storage.ID
		stream string
	}
	made := map[audience]message{}
	for _, l := range listeners {
		me := l.who.Actor.ID
		for _, s := range l.listens() {
			wanted := false
			switch s.name {
			case "user":
				in, asked := home[me]
				if !asked {
					if in, err = h.api.DB.InHome(ctx, me, p.ID); err != nil {
						return
					}
					home[me] = in
				}
				wanted = in
			case "public", "public:media", "public:local", "public:local:media", "public:remote", "public:remote:media":
				wanted = open && p.InReplyTo == "" && (!strings.Contains(s.name, "local") || author.Local()) && (!strings.Contains(s.name, "remote") || !author.Local()) &&
					(!strings.HasSuffix(s.name, "media") || len(p.Attachments) > 0)
			case "list":
				if wanted, err = h.api.DB.InList(ctx, s.list, p.ID); err != nil {
					return
				}
			case "hashtag", "hashtag:local":
				wanted = open && slices.Contains(p.Tags, s.tag) && (s.name == "hashtag" || author.Local())
			}
			if wanted && s.name != "user" && s.name != "list" { // those two have asked already
				not, asked := deaf[me]
				if !asked {
					if not, err = h.api.DB.Deaf(ctx, me, p.ActorID); err != nil {
						return
					}
					deaf[me] = not
				}
				wanted = !not
			}
			if !wanted {
				continue
			}
			payload, rendered := shown[me]
			if !rendered {
				e, err := h.api.statusOf(ctx, l.who.Actor, p)
				if err != nil {
					break
				}
				raw, err := json.Marshal(e)
				if err != nil {
					break
				}
				payload = string(raw)
				shown[me] = payload
			}
			key := audience{me, strings.Join(s.stream(), " ")}
			m, done := made[key]
			if !done {
				m = newMessage(s.stream(), event, payload)
				made[key] = m
			}
			l.send(m)
		}
	}
}

// names are the streams that there are, with the scope that each takes.
var names = map[string]string{
	"user": "read:statuses", "user:notification": "read:notifications", "direct": "read:statuses", "list": "read:lists",
	"public": "read:statuses", "public:local": "read:statuses", "public:remote": "read:statuses", "public:media": "read:statuses", "public:local:media": "read:statuses",
	"public:remote:media": "read:statuses", "hashtag": "read:statuses", "hashtag:local": "read:statuses",
}

// subscribe reads what somebody wants to listen to.
func (a *API) subscribe(ctx context.Context, who *caller, name, tag, list string) (subscription, error) {
	scope, known := names[name]
	if !known {
		return subscription{}, &oauth.Error{Status: http.StatusBadRequest, Code: "Unknown stream type"}
	}
	if err := who.Need(scope); err != nil {
		return subscription{}, err
	}
	s := subscription{name: name}
	if name == "list" {
		id, err := storage.ParseID(list)
		if err != nil {
			return s, storage.ErrNotFound
		}
		s.list, err = a.DB.ListOf(ctx, who.Actor.ID, id)
		return s, err
	}
	if strings.HasPrefix(name, "hashtag") {
		if s.tag = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(tag), "#")); s.tag == "" {
			return s, &oauth.Error{Status: http.StatusBadRequest, Code: "Missing tag name parameter"}
		}
	}
	return s, nil
}

// listening finds who opens a stream: here alone a token may stand in the query, or be the protocol of a WebSocket, as browsers can say no other.
func (a *API) listening(c *call) (who *caller, protocol string, err error) {
	r := c.Request()
	token := r.URL.Query().Get("access_token")
	if kind, word, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(kind, "Bearer") {
		token = strings.TrimSpace(word)
	} else if token == "" {
		token = strings.TrimSpace(r.Header.Get("Sec-WebSocket-Protocol"))
		protocol = token
	}
	if token == "" {
		return nil, "", &oauth.Error{Status: http.StatusUnauthorized, Code: "Missing access token"}
	}
	if who, err = a.OAuth.CallerOf(c.ctx, token); err != nil {
		return nil, "", err
	}
	if who.User == nil {
		return nil, "", who.Need("read:statuses")
	}
	return who, protocol, nil
}

// holds reports whether the token of a stream still does.
func (a *API) holds(ctx context.Context, l *listener) bool {
	_, err := a.OAuth.CallerByID(ctx, l.who.Token.ID)
	var refused *oauth.Error
	return !errors.As(err, &refused)
}

func (a *API) streamHealth(c *call) error { return c.String(http.StatusOK, "OK") }

// stream is a WebSocket for everything: GET /api/v1/streaming. Without an upgrade it is server-sent events.
func (a *API) stream(c *call) error {
	if !strings.EqualFold(c.Request().Header.Get("Upgrade"), "websocket") {
		return a.events(c, c.form.Text("stream"))
	}
	who, protocol, err := a.listening(c)
	if err != nil {
		return err
	}
	l := &listener{who: who, out: make(chan message, streamQueue), gone: make(chan struct{})}
	if name := c.form.Text("stream"); name != "" {
		s, err := a.subscribe(c.ctx, who, name, c.form.Text("tag"), c.form.Text("list"))
		if err != nil {
			return err
		}
		l.subs = append(l.subs, s)
	}
	if err := a.hub.join(l); err != nil {
		return err
	}
	defer a.hub.leave(l)
	options := &websocket.AcceptOptions{InsecureSkipVerify: true} // of any site: it is let in by a token, and by no cookie
	if protocol != "" {
		options.Subprotocols = []string{protocol}
	}
	conn, err := websocket.Accept(c.Response(), c.Request(), options)
	if err != nil {
		return nil // it has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(16 << 10)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	go func() {
		defer cancel()
		for {
			_, raw, err := conn.Read(ctx)
			if err != nil {
				return
			}
			a.hear(ctx, l, raw)
		}
	}()
	return a.write(ctx, l, func(m *message) error {
		ctx, cancel := context.WithTimeout(ctx, writeWait)
		defer cancel()
		if m == nil {
			return conn.Ping(ctx)
		}
		return conn.Write(ctx, websocket.MessageText, m.frame)
	}, func() { _ = conn.Close(websocket.StatusPolicyViolation, "the token has ended, or the node stops") })
}

// hear takes what a client says on its WebSocket: it begins or ends to listen to something.
func (a *API) hear(ctx context.Context, l *listener, raw []byte) {
	var m struct{ Type, Stream, Tag, List string }
	if json.Unmarshal(raw, &m) != nil {
		return
	}
	fail := func(err error) {
		var refused *oauth.Error
		text := "error"
		if errors.As(err, &refused) {
			text = refused.Code
		}
		l.send(newMessage(nil, "error", text))
	}
	s, err := a.subscribe(ctx, l.who, m.Stream, m.Tag, m.List)
	if err != nil {
		fail(err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs = slices.DeleteFunc(l.subs, func(o subscription) bool { return slices.Equal(o.stream(), s.stream()) })
	if m.Type == "subscribe" && len(l.subs) < 50 {
		l.subs = append(l.subs, s)
	}
}

// write brings messages to a client until it is gone, its token has ended or the node stops. A nil message is a sign of life.
func (a *API) write(ctx context.Context, l *listener, send func(*message) error, end func()) error {
	ping, check := time.NewTicker(pingEvery), time.NewTicker(checkEvery)
	defer ping.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.gone:
			end()
			return nil
		case m := <-l.out:
			if send(&m) != nil {
				return nil
			}
		case <-ping.C:
			if send(nil) != nil {
				return nil
			}
		case <-check.C:
			if !a.holds(ctx, l) {
				end()
				return nil
			}
		}
	}
}

// events is one stream as server-sent events.
func (a *API) events(c *call, name string) error {
	who, _, err := a.listening(c)
	if err != nil {
		return err
	}
	s, err := a.subscribe(c.ctx, who, name, c.form.Text("tag"), c.form.Text("list"))
	if err != nil {
		return err
	}
	l := &listener{who: who, out: make(chan message, streamQueue), gone: make(chan struct{}), subs: []subscription{s}}
	if err := a.hub.join(l); err != nil {
		return err
	}
	defer a.hub.leave(l)
	w := c.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "private, no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	put := func(text string) error {
		slow := time.AfterFunc(writeWait, func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) }) // who takes nothing for so long is let go
		defer slow.Stop()
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return control.Flush()
	}
	_ = control.SetWriteDeadline(time.Time{})
	if put(":)\n") != nil { // one newline: Mastodon.py takes two for a malformed event
		return nil
	}
	return a.write(c.ctx, l, func(m *message) error {
		if m == nil {
			return put(":thump\n")
		}
		return put(fmt.Sprintf("event: %s\ndata: %s\n\n", m.event, m.payload))
	}, func() {})
}

func streamOf(name string) func(*API, *call) error {
	return func(a *API, c *call) error { return a.events(c, name) }
}

// Stop ends all streams: the node is being stopped.
func (a *API) Stop() { a.hub.stop() }
