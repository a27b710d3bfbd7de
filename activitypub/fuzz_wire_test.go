package activitypub

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"planet/storage"
	"planet/storage/storagetest"
)

// deafNode is a node that can read, and has neither a database nor a network.
func deafNode(t testing.TB) *Node {
	t.Helper()
	now := func() time.Time { return signedAt }
	c, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: now, Transport: roundTripper(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return &Node{Config: Config{Origin: "https://rye.example", Client: c, Now: now}, Host: "rye.example", origin: "https://rye.example"}
}

// vectorSeeds are the documents in testdata, and typical ones of other servers.
func vectorSeeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{
		typicalNote,
		`{"id":"https://far.example/a","type":["Create"],"actor":{"id":"https://far.example/users/ann"},"object":[{"type":"Note"},"https://far.example/n"]}`,
		`{"id":"https://far.example/a","type":"as:Undo","actor":["https://far.example/users/ann"],"object":{"type":"Follow","actor":"https://far.example/users/ann","object":"https://rye.example/users/baker"}}`,
		`{"id":"https://far.example/q","type":"Question","attributedTo":"https://far.example/users/ann","oneOf":[{"type":"Note","name":"a","replies":{"totalItems":3}},{"name":"b"},7],"endTime":"2026-12-01T00:00Z","closed":true,"votersCount":1e3}`,
		`{"id":"https://far.example/v","type":"Video","attributedTo":["https://far.example/c",{"type":"Person","id":"https://far.example/users/ann"}],"name":"x","url":[{"mediaType":"video/mp4","href":"https://far.example/1.mp4"},{"type":"Link","mediaType":"text/html","href":"https://far.example/w/1"}],"mediaType":"text/markdown"}`,
		`{"id":"https://far.example/e","type":"Event","name":{"en":"x"},"nameMap":{"en":"x"},"startTime":"2026-12-01T00:00:00.5+02:00","location":[{"name":"<b>Girona"}],"contentMap":{"ca":"<p>Hola"}}`,
		`{"id":"https://far.example/users/ann","type":"Person","preferredUsername":"ann","inbox":"https://far.example/in","endpoints":{"sharedInbox":"https://far.example/s"},"outbox":"https://else.example/o","icon":[{"url":"https://far.example/i.png","name":"x"}],"attachment":[{"type":"PropertyValue","name":"a","value":"<a href='javascript:x'>"}],"alsoKnownAs":["x"],"movedTo":{"id":"y"},"publicKey":[{"id":"https://far.example/users/ann#k","owner":"https://far.example/users/ann","publicKeyPem":"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"}],"assertionMethod":{"id":"x","publicKeyMultibase":"z6Mk"}}`,
		`{"id":"https://far.example/n","type":"Note","content":"x","tag":[{"type":"Hashtag","name":"#A<b>"},{"type":["Mention"],"href":"https://rye.example/users/baker","name":"@baker"},{"type":"Link","rel":"https://misskey-hub.net/ns#_misskey_quote","mediaType":"application/activity+json","href":"https://far.example/q"}],"attachment":[{"type":"Document","url":[{"href":"https://far.example/p.jpg"}],"mediaType":"image/jpeg","name":"alt","blurhash":"x"},{"href":"https://far.example/l"}],"interactionPolicy":{"canQuote":{"always":"as:Public","manualApproval":["https://far.example/f",{"id":"x"}]},"canReply":{"automaticApproval":[[]]}},"inReplyTo":[null,{"id":"https://far.example/m"}],"updated":"2026-01-01T00:00:00","published":"x","sensitive":"true","summary":null,"context":7,"conversation":"tag:x"}`,
	} {
		f.Add([]byte(s))
	}
}

// FuzzActivity: what is read of an activity is what a plain decoder reads, and the bytes are kept as they came.
func FuzzActivity(f *testing.F) {
	vectorSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		came := bytes.Clone(raw)
		if checkJSON(raw) != nil {
			return
		}
		act, err := parseActivity(raw)
		if !bytes.Equal(raw, came) {
			t.Fatal("the bytes were changed")
		}
		if err != nil {
			return
		}
		if !bytes.Equal(act.Raw, came) {
			t.Error("other bytes are kept")
		}
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		one := func(v any) any {
			if l, ok := v.([]any); ok && len(l) == 1 {
				return l[0]
			}
			return v
		}
		id := func(v any) string {
			switch v := v.(type) {
			case string:
				return v
			case map[string]any:
				if s, _ := v["id"].(string); s != "" {
					return s
				}
				s, _ := v["href"].(string)
				return s
			}
			return ""
		}
		kind, _ := one(m["type"]).(string)
		if kind = strings.TrimPrefix(strings.TrimPrefix(kind, "as:"), activityStreams+"#"); kind != act.Type || kind == "" {
			t.Errorf("the type is %q, want %q", act.Type, kind)
		}
		if actor := id(one(m["actor"])); actor != string(act.Actor) || actor == "" {
			t.Errorf("the actor is %q, want %q", act.Actor, actor)
		}
		if s, _ := m["id"].(string); s != string(act.ID) {
			t.Errorf("the id is %q, want %q", act.ID, s)
		}
		objects, ok := m["object"].([]any)
		if !ok {
			objects = []any{m["object"]}
		}
		want := ""
		for _, o := range objects {
			if want = id(o); want != "" {
				break
			}
		}
		if want != string(act.Object) {
			t.Errorf("the object is %q, want %q", act.Object, want)
		}
		act.top.audience()
		_, _ = verifyProof(raw, func(string) (ed25519.PublicKey, string, error) { return nil, "", errors.New("nobody's") }, signedAt)
		for _, o := range []object{act.top, act.inner} {
			isVote(o)
			ownerOf(o)
			mediaOf(o)
			o.time("published")
			o.number("totalItems")
		}
		again, err := parseActivity(act.Raw)
		if err != nil || again.ID != act.ID || again.Type != act.Type || again.Actor != act.Actor || again.Object != act.Object {
			t.Errorf("read again it is %+v, %v", again, err)
		}
	})
}

// FuzzWire: whatever a document says, what is kept of it stays within its bounds.
func FuzzWire(f *testing.F) {
	vectorSeeds(f)
	n := deafNode(f)
	ann := &storage.Actor{ID: 1, IRI: "https://far.example/users/ann", Followers: "https://far.example/users/ann/followers"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		usable := func(what string, i storage.IRI) {
			t.Helper()
			if _, err := n.Client.parseIRI(string(i)); i != "" && err != nil {
				t.Errorf("%s is %q: %v", what, i, err)
			}
		}
		short := func(what, s string, limit int) {
			t.Helper()
			if len(s) > limit || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Errorf("%s has %d bytes, at most %d: %.100q", what, len(s), limit, s)
			}
		}
		few := func(what string, n, limit int) {
			t.Helper()
			if n > limit {
				t.Errorf("there are %d %s, at most %d", n, what, limit)
			}
		}
		o := parseObject(raw)
		for _, o := range []object{o, o.child("object")} {
			if o == nil {
				continue
			}
			p, poll, err := n.noteFromWire(o, raw, ann)
			if err == nil {
				usable("the id", p.IRI)
				usable("what it answers", p.InReplyTo)
				usable("the quote", p.Quote)
				usable("the stamp", p.QuoteApproval)
				usable("the page", storage.IRI(p.URL))
				wantSafe(t, string(raw), p.Content)
				short("the summary", p.Summary, 1000)
				short("the title", p.Title, 500)
				short("the conversation", p.Conversation, 2048)
				short("the language", p.Language, 35)
				short("the content", p.Content, 10*maxContent)
				few("tags", len(p.Tags), 100)
				few("mentions", len(p.Mentions), 100)
				few("attachments", len(p.Attachments), maxAttachments)
				for _, tag := range p.Tags {
					short("a tag", tag, 255)
				}
				for _, m := range p.Mentions {
					usable("a mention", m.IRI)
					short("a handle", m.Handle, 255)
				}
				for _, a := range p.Attachments {
					usable("an attachment", storage.IRI(a.URL))
					short("its text", a.Name, 10_000)
					short("its type", a.MediaType, 100)
					short("its blurhash", a.Blurhash, 100)
				}
				if p.PublishedAt.After(signedAt) || p.PublishedAt.Year() < 1990 || p.EditedAt != nil && p.EditedAt.Before(p.PublishedAt) {
					t.Errorf("published %s, edited %v", p.PublishedAt, p.EditedAt)
				}
				if !slices.Contains([]string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}, p.Visibility) {
					t.Errorf("for %q", p.Visibility)
				}
				if p.Policy != nil {
					for _, rule := range []*storage.PolicyRule{p.Policy.Quote, p.Policy.Reply, p.Policy.Like, p.Policy.Boost} {
						if rule == nil {
							continue
						}
						few("who may", len(rule.Automatic), 100)
						few("who may ask", len(rule.Manual), 100)
						for _, i := range slices.Concat(rule.Automatic, rule.Manual) {
							short("who may", string(i), maxAddress)
						}
					}
				}
				if poll != nil {
					few("answers", len(poll.Options), maxForeignOptions)
					for _, option := range poll.Options {
						short("an answer", option.Name, 500)
						if option.Votes < 0 || poll.Voters < 0 {
							t.Errorf("%+v", poll)
						}
					}
				}
			}
			plain, err := marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := n.actorFromWire(plain); err == nil {
				for what, i := range map[string]storage.IRI{"the id": a.IRI, "the inbox": a.Inbox, "the shared inbox": a.SharedInbox, "the outbox": a.Outbox,
					"the followers": a.Followers, "the following": a.Following, "the pins": a.Featured, "the likes": a.Liked} {
					usable(what, i)
					if i != "" && !sameOrigin(string(i), string(a.IRI)) {
						t.Errorf("%s are at another origin: %q", what, i)
					}
				}
				usable("where it moved", a.MovedTo)
				usable("the page", storage.IRI(a.URL))
				usable("the icon", storage.IRI(a.IconURL))
				usable("the header", storage.IRI(a.HeaderURL))
				for _, i := range a.AlsoKnownAs {
					short("another name", string(i), maxAddress)
				}
				wantSafe(t, string(raw), a.Summary)
				short("the name", a.Name, 200)
				short("the place", a.Place, 200)
				short("the username", a.Username, 255)
				few("fields", len(a.Fields), 50)
				few("other names", len(a.AlsoKnownAs), 256)
				for _, f := range a.Fields {
					short("a field", f.Name, 255)
					wantSafe(t, string(raw), f.Value)
				}
				if name, host, ok := splitHandle(a.Username + "@" + a.Domain); !ok || name != a.Username || host != a.Domain {
					t.Errorf("%s@%s is no handle", a.Username, a.Domain)
				}
			}
			keys, err := keysFromDocument(plain)
			if err != nil {
				t.Error(err)
			}
			few("keys", len(keys), 2*maxKeysOfActor)
			for _, k := range keys {
				if _, err := parsePublicKey(k.Public); err != nil || k.ID == "" {
					t.Errorf("%+v: %v", k, err)
				}
			}
		}
	})
}

// FuzzAuthorise builds activities and facts from a handful of actors at three origins, and holds what the table permits
// against the rules of FEP-fe34, said in another way than in the table. Each byte chooses one thing.
func FuzzAuthorise(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	for i := range 40 {
		f.Add(bytes.Repeat([]byte{byte(i)}, 24))
	}
	for i, p := range permits {
		f.Add([]byte{byte(i), 1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, byte(len(p.objects))})
	}
	ids := []string{"", "https://far.example/users/ann", "https://far.example/users/bob", "https://far.example/n", "https://far.example:443/n", "https://FAR.example/n",
		"https://far.example./n", "http://far.example/n", "https://far.example:8443/n", "https://far.example@evil.example/n", "https://evil.example/far.example",
		"https://evil.example/users/eve", "https://rye.example/users/baker", "https://rye.example/users/baker/statuses/1", "far.example", "https://far.example/users/ann#x"}
	kinds := []string{"Note", "", "Person", "Follow", "Place", "Question", "Video", "Image", "create", "Proposal", "ValueFlows:Proposal", "Agreement", "Document", "EconomicEvent", "vf:EconomicEvent"}
	f.Fuzz(func(t *testing.T, choices []byte) {
		at := 0
		choose := func(n int) int {
			if at >= len(choices) {
				return 0
			}
			at++
			return int(choices[at-1]) % n
		}
		id := func() string { return ids[choose(len(ids))] }
		types := []string{"Dislike", "create", "Arrive"}
		for _, p := range permits {
			types = append(types, p.activity)
		}
		act := map[string]any{"type": types[choose(len(types))], "actor": id(), "id": id()}
		signer := storage.IRI(act["actor"].(string))
		if choose(4) == 0 {
			signer = storage.IRI(id())
		}
		var objects []any
		for range 1 + choose(2) {
			o := map[string]any{"id": id(), "type": kinds[choose(len(kinds))], "actor": id(), "object": id()}
			for k, v := range o {
				if v == "" {
					delete(o, k)
				}
			}
			switch choose(4) {
			case 0:
				o["attributedTo"] = act["actor"]
			case 1:
				o["attributedTo"] = []any{act["actor"], id()}
			case 2:
				o["attributedTo"] = id()
			}
			switch choose(4) {
			case 0:
				o["provider"] = act["actor"]
			case 1:
				o["provider"] = []any{id(), act["actor"]}
			case 2:
				o["provider"] = id()
			}
			if choose(3) == 0 {
				objects = append(objects, id())
			} else {
				objects = append(objects, o)
			}
		}
		if act["object"] = objects; len(objects) == 1 {
			act["object"] = objects[0]
		}
		raw, err := marshal(act)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseActivity(raw)
		if err != nil {
			return
		}
		fact := func() *followFact {
			if choose(2) == 0 {
				return nil
			}
			return &followFact{storage.IRI(id()), storage.IRI(id())}
		}
		fs := facts{signer: signer, act: a, owner: storage.IRI(id()), follow: fact(), doer: storage.IRI(id()), asked: storage.IRI(id()), target: storage.IRI(id()),
			ours: choose(2) == 0, featured: choose(2) == 0}
		if choose(2) == 0 {
			fs.order = &orderFact{proposer: storage.IRI(id()), responder: storage.IRI(id()), asked: choose(2) == 0}
		}
		if choose(2) == 0 {
			fs.payment = &paymentFact{payer: storage.IRI(id()), payee: storage.IRI(id()), keeper: storage.IRI(id()), ours: choose(2) == 0}
		}
		if choose(2) == 0 {
			fs.result, fs.currency = kinds[choose(len(kinds))], storage.IRI(id())
		}
		if a.inner != nil { // as gather does
			if fs.object = economicKind(a.inner); fs.object == "" {
				fs.object = a.inner.kind(func(t string) bool { return isNoteType(t) || isActorType(t) })
			}
		} else {
			fs.object = kinds[choose(len(kinds))]
		}
		if authorise(fs) != nil {
			return
		}
		me := string(a.Actor)
		refuse := func(why string) { t.Errorf("%s: %s, with %+v", why, raw, fs) }
		at1 := func(i string) bool { return plainOrigin(i) != "" && plainOrigin(i) == plainOrigin(me) }
		own := func(i storage.IRI) bool { return i == "" || string(i) == me }
		switch {
		case string(fs.signer) != me:
			refuse("another signed")
		case a.ID != "" && !at1(string(a.ID)):
			refuse("its id is elsewhere")
		}
		switch a.Type {
		case "Create", "Update", "Delete":
			if !own(fs.owner) {
				refuse("the stored object is another's")
			}
			for _, o := range objects {
				m, embedded := o.(map[string]any)
				s, _ := o.(string)
				if embedded {
					s, _ = m["id"].(string)
				}
				if s != "" && !at1(s) {
					refuse("an object is elsewhere")
				}
				if a.Type == "Delete" || isActorType(fs.object) {
					continue
				}
				if embedded != (a.inner != nil) {
					refuse("some are embedded, some are not")
				}
				switch by := m["attributedTo"].(type) {
				case nil:
					if embedded && fs.object != "Document" {
						refuse("nobody said it")
					}
				case string:
					if by != me {
						refuse("another said it")
					}
				case []any:
					for _, b := range by {
						if b := b.(string); b != me && b != "" && (!at1(b) || !isMedium(fmt.Sprint(m["type"]))) {
							refuse("others said it too")
						}
					}
				}
			}
			if a.Type == "Update" && isActorType(fs.object) && string(a.Object) != me {
				refuse("it changes another")
			}
			if a.Type != "Create" && a.Object == "" {
				refuse("it names nothing")
			}
		case "Offer":
			if a.inner == nil {
				refuse("it says nothing of what is offered")
			}
			if fs.object == "EconomicEvent" && !paysItself(objects, me) {
				refuse("another is to pay")
			}
		case "Accept", "Reject", "TentativeAccept":
			if p := fs.payment; p != nil && (p.ours && (a.Type == "TentativeAccept" || string(p.payee) != me) || !p.ours && string(p.keeper) != me) {
				refuse("it answers a payment in the place of another")
			}
			if a.Type != "Reject" && fs.result == "EconomicEvent" && !at1(string(fs.currency)) {
				refuse("it speaks for the ledger of another host")
			}
			if o := fs.order; o != nil && string(o.proposer) != me && (a.Type != "Reject" || o.asked || string(o.responder) != me) {
				refuse("it answers another's order")
			}
			if a.Type == "TentativeAccept" {
				break
			}
			if fs.follow != nil && string(fs.follow.target) != me || !own(fs.asked) {
				refuse("it answers for another")
			}
		case "Undo":
			if o := fs.order; o != nil && (string(o.responder) != me || !o.asked) {
				refuse("it takes back what another ordered")
			}
			if p := fs.payment; p != nil && (!p.ours || string(p.payer) != me) {
				refuse("it takes back what another pays, or what a ledger elsewhere was asked for")
			}
			if fs.follow != nil && string(fs.follow.actor) != me || !own(fs.doer) {
				refuse("it takes back what another did")
			}
		case "Add", "Remove":
			if fs.ours || !fs.featured && !at1(string(fs.target)) {
				refuse("it changes another's collection")
			}
		case "Move":
			if string(a.Object) != me && string(fs.target) != me {
				refuse("it moves another")
			}
		case "Follow", "Like", "EmojiReact", "Announce", "Block", "Flag", "QuoteRequest":
		default:
			refuse("nothing is said of such an activity")
		}
	})
}

// paysItself reports whether the first object that is embedded is paid by one alone, or by her first of all: a list is refused when it is read.
func paysItself(objects []any, who string) bool {
	for _, o := range objects {
		if m, embedded := o.(map[string]any); embedded {
			switch by := m["provider"].(type) {
			case string:
				return by == who
			case []any:
				return by[0] == who || by[0] == "" && by[1] == who
			}
			return false
		}
	}
	return false
}

// plainOrigin is the origin of an address as browsers see it; "" for what is none.
func plainOrigin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port
}

// FuzzHandle: a handle that is read has one form, and that leads to the host that it names.
func FuzzHandle(f *testing.F) {
	for _, s := range []string{"@baker@rye.example", "acct:baker@RYE.example.", "baker", "@baker", "a.b-c_d@x.example:8443", "baker@", "@@x.example", "a@b@c", "a@bücher.example", "acct:@a@x", "acct:acct:a@x", "a@xn--bcher-kva.example", "K@[::1]", "a@1.2.3.4"} {
		f.Add(s)
	}
	for in := range goodHosts {
		f.Add("a@" + in)
	}
	for _, in := range badHosts {
		f.Add("a@" + in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, host, ok := splitHandle(s)
		if !ok {
			return
		}
		if !usernames.MatchString(name) || len(name) > 255 || !strings.Contains(s, name) {
			t.Errorf("%q is of %q", s, name)
		}
		whole := name
		if host != "" {
			whole += "@" + host
		}
		if n, h, ok := splitHandle(whole); !ok || n != name || h != host {
			t.Errorf("%q is %s, and that is %q @ %q, %v", s, whole, n, h, ok)
		}
		if (host == "") == strings.Contains(strings.TrimPrefix(strings.TrimPrefix(s, "acct:"), "@"), "@") {
			t.Errorf("%q is at %q", s, host)
		}
		if host == "" {
			return
		}
		_, written, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s, "acct:"), "@"), "@")
		if plain, is := asciiHost(written); is && plain != host {
			t.Errorf("%q leads to %q, want %q", s, host, plain)
		}
		if u, err := url.Parse("https://" + host + "/.well-known/webfinger"); err != nil || u.Host != host || originOf("https://"+host+"/") != "https://"+host {
			t.Errorf("%q leads to %v, %v", s, u, err)
		}
	})
}

// asciiHost is the plain reading of a host: small letters, no final dot, no port that goes without saying.
func asciiHost(s string) (string, bool) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return "", false
		}
	}
	s = strings.TrimSuffix(strings.ToLower(s), ":443")
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		return strings.TrimSuffix(s[:i], ".") + s[i:], !strings.Contains(s, "[")
	}
	return strings.TrimSuffix(s, "."), !strings.Contains(s, "[")
}

// FuzzSameOrigin: two addresses that are taken for the same origin are that to net/url too.
func FuzzSameOrigin(f *testing.F) {
	for _, p := range [][2]string{{"https://a.example/x", "https://A.example:443/y"}, {"https://a.example", "http://a.example"}, {"https://a.example./", "https://a.example/"},
		{"https://a.example\\@b.example/", "https://b.example/"}, {"https://bücher.example/", "https://xn--bcher-kva.example/"}, {"https://a.example#@b.example", "https://b.example"},
		{"https://a.example:80/", "http://a.example/"}, {"http://a.example", "http://A.example.:443"}, {"https://[::1]/", "https://[0:0::1]/"}, {"https://a.example?b", "https://a.example/#b"}} {
		f.Add(p[0], p[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		same := sameOrigin(a, b)
		if same != sameOrigin(b, a) || same && (!sameOrigin(a, a) || !sameOrigin(b, b)) {
			t.Errorf("%q and %q: it depends on who asks", a, b)
		}
		if !same {
			return
		}
		for _, s := range []string{a, b} {
			if utf8.RuneCountInString(s) != len(s) || strings.Contains(s, "[") {
				return // what is beyond ASCII, and how numbers are written, FuzzNormaliseHost looks at
			}
		}
		if plainOrigin(a) == "" || plainOrigin(a) != plainOrigin(b) {
			t.Errorf("%q and %q are %q and %q", a, b, plainOrigin(a), plainOrigin(b))
		}
	})
}

// FuzzWebFinger: whatever is asked for, the answer is 200 about one of ours that the question names, 400, 404 or 410.
func FuzzWebFinger(f *testing.F) {
	n := deafNode(f)
	n.DB = storagetest.New(f)
	n.DB.Now = n.Now
	n, err := New(f.Context(), Config{Origin: n.Origin, DB: n.DB, Client: n.Client, Now: n.Now, Keys: fewKeysOf(f)})
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := n.CreatePerson(f.Context(), NewUser{Username: "ana"}); err != nil {
		f.Fatal(err)
	}
	_, gone, err := n.CreatePerson(f.Context(), NewUser{Username: "gone"})
	if err != nil {
		f.Fatal(err)
	}
	if err := n.DeleteActor(f.Context(), By{Actor: gone}); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"acct:ana@rye.example", "ana@RYE.example", "https://rye.example/@ana", "https://rye.example/users/ana", "https://RYE.example/users/ana", "https://rye.example", "https://rye.example/",
		"acct:gone@rye.example", "acct:actor@rye.example", "acct:rye.example@rye.example", "acct:ana@rye.example:443", "acct:ana@rye.example.", "acct:nobody@rye.example", "acct:ana@oak.example", "acct:ana@rye.example\x00",
		"acct:\xff", "acct:ana%40rye.example", "https://rye.example/@ana'--", "https://rye.example/users/ana#main-key", "https://rye.example/@ANA", "acct:@ana@rye.example", "mailto:ana@rye.example", "https://rye.example/ledger", "0", "acct:ana@", "ACCT:ana@rye.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, resource string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/.well-known/webfinger?resource="+url.QueryEscape(resource), nil)
		w := httptest.NewRecorder()
		n.webfinger(w, r)
		switch w.Code {
		case http.StatusBadRequest, http.StatusNotFound:
			return
		case http.StatusGone:
			if !strings.Contains(strings.ToLower(resource), "gone") {
				t.Errorf("%q is gone: %s", resource, w.Body)
			}
			return
		case http.StatusOK:
		default:
			t.Fatalf("%q: %d %s", resource, w.Code, w.Body)
		}
		var found jrd
		if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil || checkJSON(w.Body.Bytes()) != nil {
			t.Fatal(err, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "application/jrd+json" {
			t.Errorf("it is %s", got)
		}
		if found.Subject == n.Origin+"/" {
			if !strings.EqualFold(strings.TrimSuffix(resource, "/"), n.Origin) {
				t.Errorf("%q is the node", resource)
			}
			return
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(found.Subject, "acct:"), "@rye.example")
		if !ok || !strings.Contains(strings.ToLower(resource), name) && name != n.service.Username {
			t.Errorf("%q is %q", resource, found.Subject)
		}
		if self := found.Links[0]; self.Rel != "self" || !n.isOurs(storage.IRI(self.Href)) || !strings.Contains(self.Href, name) {
			t.Errorf("%q leads to %+v", resource, self)
		}
	})
}

// fewKeysOf hands out one pair of the pool again and again.
func fewKeysOf(t testing.TB) func() (string, string, string, string, error) {
	r, e := pooledKeys(t, 0)
	rsaPrivate, err := privatePEM(r)
	if err != nil {
		t.Fatal(err)
	}
	edPrivate, err := privatePEM(e)
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, string, string, string, error) {
		return rsaPrivate, spki(t, &r.PublicKey), edPrivate, multikey(e.Public().(ed25519.PublicKey)), nil
	}
}

// FuzzPage: a page that is asked for says in its id what was asked, and what comes after it can be asked for in turn.
func FuzzPage(f *testing.F) {
	for _, s := range []string{"page=true", "page=true&max_id=7", "page=1&min_id=0", "page=true&max_id=-1", "page=true&max_id=+1", "page=true&max_id=9223372036854775808", "page=true&max_id=1&max_id=2", "max_id=1", "page=true&max_id=0x1", "page=true&min_id=1_0", "%", "page=true;max_id=1", "page=true&max_id=%31"} {
		f.Add(s, "application/activity+json")
	}
	for _, s := range []string{"text/html", "*/*", `application/ld+json; profile="https://www.w3.org/ns/activitystreams", text/html;q=0.1`, "application/activity+json;q=NaN", "text/html;q=1e9,application/activity+json", "application/activity+json;q=0,text/html;q=0", ",;=;"} {
		f.Add("", s)
	}
	n := deafNode(f)
	f.Fuzz(func(t *testing.T, query, accept string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/users/ana/outbox", RawQuery: query}}
		p, asked, err := pageOf(r)
		if err == nil && asked {
			if p.MaxID < 0 || p.MinID < 0 || p.Limit != pageSize {
				t.Errorf("%q asks for %+v", query, p)
			}
			doc := n.pageDocument("https://rye.example/users/ana/outbox", 1, p, nil)
			id, err := url.Parse(doc["id"].(string))
			if err != nil {
				t.Fatal(err)
			}
			again, asked, err := pageOf(&http.Request{URL: id})
			if err != nil || !asked || again.MaxID != p.MaxID {
				t.Errorf("%q asks for %+v, whose id asks for %+v, %v, %v", query, p, again, asked, err)
			}
		}
		if want := strings.Contains(accept, "json"); WantsActivity(accept) && !want {
			if lower := strings.ToLower(accept); !strings.Contains(lower, "json") {
				t.Errorf("%q wants a document", accept)
			}
		}
		if v := retryAfter(http.Header{"Retry-After": {accept}}, signedAt); v < 0 || v > maxRetryAfter {
			t.Errorf("%q is %s", accept, v)
		}
		if id, err := storage.ParseID(query); err == nil && strings.TrimLeft(query, "0") != strings.TrimLeft(strconv.FormatInt(int64(id), 10), "0") {
			t.Errorf("%q is the id %d", query, id)
		}
	})
}
