package activitypub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-fed/activity/streams"

	"planet/storage"
)

// Namespaces and media types of ActivityPub (W3C) on the wire.
const (
	activityStreams = "https://www.w3.org/ns/activitystreams"
	publicAddress   = activityStreams + "#Public"
	activityJSON    = "application/activity+json"
	ldJSON          = `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`
)

// namespace is ours: what ActivityStreams and its neighbours have no word for.
const namespace = "https://w3id.org/planet-coop/ns#"

// contextNote and contextActor are written by us, always arrays, and all terms beyond well-known documents are inline:
// a peer that cannot fetch a context drops the activity.
var (
	contextNote = []any{
		activityStreams,
		map[string]any{
			"toot": "http://joinmastodon.org/ns#", "sensitive": "as:sensitive", "Hashtag": "as:Hashtag",
			"blurhash": "toot:blurhash", "votersCount": "toot:votersCount", "focalPoint": map[string]any{"@container": "@list", "@id": "toot:focalPoint"},
			"gts":               "https://gotosocial.org/ns#",
			"interactionPolicy": map[string]any{"@id": "gts:interactionPolicy", "@type": "@id"},
			"canQuote":          map[string]any{"@id": "gts:canQuote", "@type": "@id"},
			"automaticApproval": map[string]any{"@id": "gts:automaticApproval", "@type": "@id"},
			"manualApproval":    map[string]any{"@id": "gts:manualApproval", "@type": "@id"},
			"approvedBy":        map[string]any{"@id": "gts:approvedBy", "@type": "@id"},
			"QuoteRequest":      "https://w3id.org/fep/044f#QuoteRequest",
		},
	}
	contextStamp = []any{
		activityStreams,
		map[string]any{
			"gts": "https://gotosocial.org/ns#", "QuoteAuthorization": "https://w3id.org/fep/044f#QuoteAuthorization",
			"interactingObject": map[string]any{"@id": "gts:interactingObject", "@type": "@id"},
			"interactionTarget": map[string]any{"@id": "gts:interactionTarget", "@type": "@id"},
		},
	}
	// contextActivity is of all activities: their objects and their proofs.
	contextActivity = append([]any{activityStreams, "https://w3id.org/security/data-integrity/v1"}, contextNote[1:]...)
	contextActor    = []any{
		activityStreams, "https://w3id.org/security/v1", "https://w3id.org/security/data-integrity/v1", "https://w3id.org/security/multikey/v1",
		map[string]any{
			"toot": "http://joinmastodon.org/ns#", "discoverable": "toot:discoverable", "indexable": "toot:indexable", "suspended": "toot:suspended",
			"featured":                  map[string]any{"@id": "toot:featured", "@type": "@id"},
			"attributionDomains":        map[string]any{"@id": "toot:attributionDomains", "@container": "@set"},
			"manuallyApprovesFollowers": "as:manuallyApprovesFollowers",
			"alsoKnownAs":               map[string]any{"@id": "as:alsoKnownAs", "@type": "@id"},
			"movedTo":                   map[string]any{"@id": "as:movedTo", "@type": "@id"},
			"schema":                    "http://schema.org#", "PropertyValue": "schema:PropertyValue", "value": "schema:value",
			"assertionMethod": map[string]any{"@id": "https://w3id.org/security#assertionMethod", "@type": "@id", "@container": "@set"},
			"webfinger":       "https://purl.archive.org/socialweb/webfinger#webfinger",
			"implements":      map[string]any{"@id": "https://w3id.org/fep/844e#implements", "@type": "@id", "@container": "@set"},
			"planet":          namespace, "category": "planet:category", "openingHours": "schema:openingHours",
			"principles": map[string]any{"@id": "planet:principles", "@container": "@set"},
		},
	}
)

// maxLanguages of one text are looked at.
const maxLanguages = 100

// arrays are the properties that are lists on the wire even when they hold one value: Mastodon and others need that.
var arrays = []string{"to", "cc", "tag", "attachment", "items", "orderedItems", "oneOf", "anyOf"}

// encode turns an object of ours into the bytes that are stored and sent. The vocabulary of go-fed reads it first:
// what it does not understand as ActivityStreams 2.0 is not sent. Keys are sorted, HTML is not escaped.
func encode(m map[string]any) ([]byte, error) {
	fix(m)
	if _, ok := m["@context"]; !ok {
		m["@context"] = []any{activityStreams}
	}
	raw, err := marshal(m)
	if err != nil {
		return nil, err
	}
	read, err := asRead(m)
	if err != nil {
		return nil, err
	}
	plain := read.(map[string]any)
	plain["@context"] = activityStreams
	if _, err := streams.ToType(context.Background(), plain); err != nil {
		return nil, fmt.Errorf("encode %v: %w", m["type"], err)
	}
	return raw, nil
}

// asRead is a value as it will be read: with no types of ours inside.
func asRead(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, bool, float64:
		return v, nil
	case storage.IRI:
		return string(v), nil
	case map[string]any:
		out := make(map[string]any, len(v)+1)
		for key, value := range v {
			read, err := asRead(value)
			if err != nil {
				return nil, err
			}
			out[key] = read
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			read, err := asRead(v[i])
			if err != nil {
				return nil, err
			}
			out[i] = read
		}
		return out, nil
	}
	raw, err := marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = json.Unmarshal(raw, &out)
	return out, err
}

// encodePlain is encode for objects whose type ActivityStreams does not know.
func encodePlain(m map[string]any) ([]byte, error) {
	fix(m)
	return marshal(m)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// fix makes lists of the properties that must be lists, at every depth, and drops empty ones.
func fix(m map[string]any) {
	for _, k := range arrays {
		switch v := m[k].(type) {
		case nil:
			delete(m, k)
		case []any, []string, []storage.IRI, []map[string]any:
		default:
			m[k] = []any{v}
		}
	}
	for _, v := range m {
		if o, ok := v.(map[string]any); ok {
			fix(o)
		}
	}
}

// wireTime is the only form in which we write times: xsd:dateTime in UTC, whole seconds.
func wireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// object is an ActivityStreams object as received: its properties, still raw. Reading is lenient, as real servers are
// varied: one value or a list, an IRI or an embedded object.
type object map[string]json.RawMessage

// parseObject reads a JSON object; nil when raw is something else.
func parseObject(raw []byte) object {
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

// str reads a string property, "" when it is anything else.
func (o object) str(key string) string {
	s, _ := stringOf(o[key])
	return s
}

// stringOf reads a value as a string, and reports whether it is one, or null.
func stringOf(raw json.RawMessage) (s string, ok bool) {
	if end := len(raw) - 1; end > 0 && raw[0] == '"' && raw[end] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1:end]), true // nearly all are as plain as that
	}
	ok = json.Unmarshal(raw, &s) == nil
	return s, ok
}

// boolean reads a boolean property, false when it is anything else.
func (o object) boolean(key string) bool { return string(o[key]) == "true" }

// list reads a property as a list: null and absence are none, one value is a list of one.
func (o object) list(key string) []json.RawMessage {
	raw := bytes.TrimSpace(o[key])
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] == '[' {
		var l []json.RawMessage
		_ = json.Unmarshal(raw, &l)
		return l
	}
	return []json.RawMessage{raw}
}

// iri reads a property that refers to one object: an IRI, an object with an id or href, or the first of a list.
func (o object) iri(key string) storage.IRI {
	for _, raw := range o.list(key) {
		if i := iriOf(raw); i != "" {
			return i
		}
	}
	return ""
}

// iris reads a property that refers to objects.
func (o object) iris(key string) []storage.IRI {
	var out []storage.IRI
	for _, raw := range o.list(key) {
		if i := iriOf(raw); i != "" {
			out = append(out, i)
		}
	}
	return out
}

func iriOf(raw json.RawMessage) storage.IRI {
	if len(raw) > 0 && raw[0] == '"' {
		s, _ := stringOf(raw)
		return storage.IRI(s)
	}
	return parseObject(raw).id()
}

// id is an embedded object's id, or where a link leads.
func (o object) id() storage.IRI {
	if id := o.str("id"); id != "" {
		return storage.IRI(id)
	}
	return storage.IRI(o.str("href"))
}

// child reads an embedded object, nil when the property is an IRI or absent; of a list, the first object.
func (o object) child(key string) object {
	for _, raw := range o.list(key) {
		if c := parseObject(raw); c != nil {
			return c
		}
	}
	return nil
}

// children reads all embedded objects of a property.
func (o object) children(key string) []object {
	var out []object
	for _, raw := range o.list(key) {
		if c := parseObject(raw); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// kind is the object's type without prefix; of several the first that known accepts, else the first.
func (o object) kind(known func(string) bool) string {
	first := ""
	for _, raw := range o.list("type") {
		s, ok := stringOf(raw)
		if !ok {
			continue
		}
		s = strings.TrimPrefix(strings.TrimPrefix(s, "as:"), activityStreams+"#")
		if known != nil && known(s) {
			return s
		}
		if first == "" {
			first = s
		}
	}
	return first
}

// text reads a natural-language property (AS2 §4.7) and its language: the plain one, or, without that, the first of its map that
// says something. The map may have the plain one in other words; if it has one language alone, that is meant all the same.
func (o object) text(key string) (value, language string) {
	value = o.str(key)
	only := ""
	texts := o.languages(key + "Map")
	for _, t := range texts {
		if t.text != "" && (value == "" || t.text == value) {
			value, only = t.text, t.language
			break
		}
		if len(texts) == 1 {
			only = t.language
		}
	}
	if strings.EqualFold(only, "und") { // BCP 47 for unknown
		only = ""
	}
	return value, only
}

// inLanguage is one text of a language map.
type inLanguage struct{ language, text string }

// languages reads a language map in the order in which it was written: its author put the main language first.
func (o object) languages(key string) []inLanguage {
	var out []inLanguage
	if o[key] == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(o[key]))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() && len(out) < maxLanguages {
		name, err := d.Token()
		var raw json.RawMessage
		if err != nil || d.Decode(&raw) != nil {
			return out
		}
		var text string
		if json.Unmarshal(raw, &text) == nil {
			out = append(out, inLanguage{fmt.Sprint(name), text})
		}
	}
	return out
}

// timeLayouts are the ways in which servers write an xsd:dateTime: without seconds, without a zone (which is UTC then), with the zone of
// ISO 8601's short form, with a space, or as a day.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", time.DateOnly}

// time reads an xsd:dateTime, and reports whether there was one.
func (o object) time(key string) (time.Time, bool) {
	s := o.str(key)
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// activityNames are the activities that may stand in the place of an object: passed on by a group, or taken back.
var activityNames = []string{"Create", "Update", "Delete", "Like", "Dislike", "Undo", "Announce", "Follow", "Accept", "Reject", "Block", "Flag", "Move", "Add", "Remove", "Lock"}

func isActivityName(t string) bool { return slices.Contains(activityNames, t) }

// Activity is one activity as received: what every part of the pipeline asks of it, beside the raw bytes.
type Activity struct {
	ID     storage.IRI
	Type   string
	Actor  storage.IRI
	Object storage.IRI // the object's id
	Raw    []byte      // kept and forwarded as they are
	top    object
	inner  object // the object when it is embedded
	parts  []part // what the property object holds: several, in rare cases
	bare   []byte // see withoutProof; nil until it is asked for
}

// withoutProof is the activity's canonical form without its proof, made once.
func (a *Activity) withoutProof() (_ []byte, err error) {
	if a.bare == nil {
		a.bare, err = withoutProof(a.top)
	}
	return a.bare, err
}

// part is one value of an activity's object: an id alone, or an embedded object.
type part struct {
	raw    json.RawMessage
	id     storage.IRI
	object object // nil when it is an id alone
}

// parseActivity reads an activity. The error is a 400: what is missing or ambiguous.
func parseActivity(raw []byte) (*Activity, error) {
	top := parseObject(raw)
	if top == nil {
		return nil, problem(400, "malformed", "the body is not a JSON object")
	}
	if types := top.list("type"); len(types) != 1 {
		return nil, problem(400, "type", "an activity has exactly one type, not %d", len(types))
	}
	a := &Activity{Raw: raw, top: top, Type: top.kind(nil), ID: storage.IRI(top.str("id"))}
	for _, raw := range top.list("object") {
		p := part{raw: raw, object: parseObject(raw)}
		if p.id = p.object.id(); p.object == nil {
			p.id = iriOf(raw)
		}
		a.parts = append(a.parts, p)
		if a.Object == "" {
			a.Object = p.id
		}
		if a.inner == nil {
			a.inner = p.object
		}
	}
	if a.Type == "" {
		return nil, problem(400, "type", "the activity has no type")
	}
	actors := top.list("actor")
	if len(actors) != 1 {
		return nil, problem(400, "actor", "an activity has exactly one actor, not %d", len(actors))
	}
	if a.Actor = top.iri("actor"); a.Actor == "" {
		return nil, problem(400, "actor", "the actor is not an id")
	}
	return a, nil
}

// audience is everyone the object is addressed to.
func (o object) audience() []storage.IRI {
	return append(append(o.iris("to"), o.iris("cc")...), o.iris("audience")...)
}

// isPublic reports whether an address is the public collection, in each of its spellings.
func isPublic(i storage.IRI) bool {
	return i == publicAddress || i == "as:Public" || i == "Public"
}
