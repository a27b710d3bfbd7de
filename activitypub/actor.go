package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// refreshActorAfter is how old a stored document of another server's actor may be when it is asked for.
const refreshActorAfter = 24 * time.Hour

var actorTypes = []string{storage.Person, storage.Organization, storage.Group, storage.Application, storage.Service}

func isActorType(t string) bool { return slices.Contains(actorTypes, t) }

// usernames are what Mastodon accepts, so that everyone can be followed from there.
var usernames = regexp.MustCompile(`^[A-Za-z0-9_]+([.-]+[A-Za-z0-9_]+)*$`)

// reserved names would look like the node itself, or like an address of it.
var reserved = []string{"admin", "administrator", "administration", "owner", "support", "api", "inbox", "outbox", "actor", "ledger", "root", "moderator", "planet", "oauth", "setup", "help", "security", "webmaster", "postmaster", "hostmaster", "noreply",
	"abuse", "www", "mail", "everyone", "here", "users", "media", "static", "nodeinfo", "invite", "pay", "null", "undefined"}

// addresses gives a new actor of this node the ids that federation.md §7.1 names.
func (n *Node) addresses(a *storage.Actor) {
	base := n.Origin + "/users/" + a.Username
	switch a.Type {
	case storage.Application, storage.Service:
		base = n.Origin + "/" + map[string]string{storage.Application: "actor", storage.Service: "ledger"}[a.Type]
		a.URL = n.Origin + "/about"
	default:
		a.URL = n.Origin + "/@" + a.Username
	}
	i := storage.IRI(base)
	a.IRI, a.Inbox, a.Outbox, a.Followers, a.Following, a.Featured, a.Liked = i, i+"/inbox", i+"/outbox", i+"/followers", i+"/following", i+"/featured", i+"/liked"
	a.SharedInbox = storage.IRI(n.Origin + "/inbox")
}

// actorToWire is the document of an actor of this node (federation.md §7.1).
func (n *Node) actorToWire(ctx context.Context, db *storage.DB, a *storage.Actor) (map[string]any, error) {
	keys, err := db.KeysOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	m := map[string]any{
		"@context": contextActor, "id": a.IRI, "type": a.Type, "preferredUsername": a.Username, "webfinger": a.Username + "@" + n.Host,
		"name": a.Name, "summary": a.Summary, "url": a.URL, "published": wireTime(a.PublishedAt),
		"inbox": a.Inbox, "outbox": a.Outbox, "followers": a.Followers, "following": a.Following, "featured": a.Featured, "liked": a.Liked,
		"endpoints":                 map[string]any{"sharedInbox": a.SharedInbox},
		"manuallyApprovesFollowers": a.Locked, "discoverable": a.Discoverable, "indexable": a.Indexable,
	}
	able := []any{
		map[string]any{"type": "Link", "href": "https://datatracker.ietf.org/doc/html/rfc9421", "name": "RFC-9421: HTTP Message Signatures"},
		map[string]any{"type": "Link", "href": "https://w3id.org/fep/8b32", "name": "FEP-8b32: Object Integrity Proofs"},
	}
	if a.Type == storage.Person || a.Type == storage.Organization { // who can offer and order
		able = append(able, map[string]any{"type": "Link", "href": "https://w3id.org/fep/0837", "name": "FEP-0837: Federated Marketplace"})
	}
	if a.Type == storage.Person || a.Type == storage.Organization || a.Type == storage.Service { // who can pay and be paid, and who says so
		able = append(able, map[string]any{"type": "Link", "href": paymentsOne, "name": "PLANET payments 1"})
	}
	m["generator"] = map[string]any{"type": "Application", "id": n.Origin + "/actor", "implements": able}
	for _, k := range keys {
		switch k.Kind {
		case storage.KeyRSA:
			m["publicKey"] = map[string]any{"id": k.IRI, "owner": a.IRI, "publicKeyPem": k.Public}
		case storage.KeyEd25519:
			m["assertionMethod"] = []any{map[string]any{"id": k.IRI, "type": "Multikey", "controller": a.IRI, "publicKeyMultibase": k.Public}}
		}
	}
	if a.IconURL != "" {
		m["icon"] = imageToWire(a.IconURL, a.IconAlt)
	}
	if a.HeaderURL != "" {
		m["image"] = imageToWire(a.HeaderURL, "")
	}
	if a.Place != "" {
		place := map[string]any{"type": "Place", "name": a.Place}
		if a.Latitude != nil && a.Longitude != nil {
			place["latitude"], place["longitude"] = *a.Latitude, *a.Longitude
		}
		m["location"] = place
	}
	if a.Category != "" {
		m["category"] = a.Category
	}
	if a.Hours != "" {
		m["openingHours"] = a.Hours
	}
	if len(a.Principles) > 0 {
		m["principles"] = a.Principles
	}
	if len(a.AlsoKnownAs) > 0 {
		m["alsoKnownAs"] = a.AlsoKnownAs
	}
	if a.MovedTo != "" {
		m["movedTo"] = a.MovedTo
	}
	if a.SuspendedAt != nil {
		m["suspended"] = true
	}
	if fields := profileFields(a); len(fields) > 0 {
		m["attachment"] = fields
	}
	return m, nil
}

// profileFields shows what an actor says of itself where every server displays it: as PropertyValues.
func profileFields(a *storage.Actor) (out []any) {
	for _, f := range FieldsOf(a) {
		out = append(out, map[string]any{"type": "PropertyValue", "name": f.Name, "value": f.Value})
	}
	return out
}

// FieldsOf is what an actor of this node says of itself, line by line; the values are safe HTML.
func FieldsOf(a *storage.Actor) (out []storage.Field) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, storage.Field{Name: name, Value: value})
		}
	}
	add("Place", html.EscapeString(a.Place))
	add("Hours", html.EscapeString(a.Hours))
	add("Category", html.EscapeString(a.Category))
	for _, l := range a.Links {
		u := html.EscapeString(l.URL)
		add(l.Name, `<a href="`+u+`" rel="me nofollow noopener">`+u+`</a>`)
	}
	for _, f := range a.Fields {
		add(f.Name, f.Value)
	}
	return out
}

// actorFromWire reads another server's actor. It refuses what would let one actor pass for another (FEP-fe34):
// inboxes elsewhere, names that cannot be a handle. The keys are read by keysFromDocument.
func (n *Node) actorFromWire(raw []byte) (*storage.Actor, error) {
	o := parseObject(raw)
	id := storage.IRI(o.str("id"))
	u, err := n.Client.parseIRI(string(id))
	if err != nil {
		return nil, problem(400, "actor", "the actor's id is not usable: %v", err)
	}
	kind := o.kind(isActorType)
	if !isActorType(kind) {
		return nil, problem(400, "actor", "%s is a %q, not an actor", id, kind)
	}
	a := &storage.Actor{
		IRI: id, Type: kind, Username: o.str("preferredUsername"), Raw: raw,
		Inbox: o.iri("inbox"), Outbox: o.iri("outbox"), Followers: o.iri("followers"), Following: o.iri("following"), Featured: o.iri("featured"), Liked: o.iri("liked"),
		Locked: o.boolean("manuallyApprovesFollowers"), Discoverable: o.boolean("discoverable"), Indexable: o.boolean("indexable"),
		Bot: kind == storage.Application || kind == storage.Service, MovedTo: n.usable(o.iri("movedTo")), AlsoKnownAs: n.usables(o.iris("alsoKnownAs"), 256),
		FetchedAt: n.Now().UTC(),
	}
	if a.Domain, err = normaliseHost(u.Host); err != nil {
		return nil, problem(400, "actor", "the actor's host is not usable: %v", err)
	}
	if a.Username == "" { // FEP-2c59 allows webfinger in its place
		a.Username, _, _ = strings.Cut(strings.TrimPrefix(o.str("webfinger"), "acct:"), "@")
	}
	if len(a.Username) > 255 || !usernames.MatchString(a.Username) {
		return nil, problem(400, "actor", "%s has no usable preferredUsername", id)
	}
	if a.SharedInbox = o.iri("sharedInbox"); a.SharedInbox == "" {
		a.SharedInbox = o.child("endpoints").iri("sharedInbox")
	}
	if !sameOrigin(string(a.Inbox), string(id)) {
		return nil, problem(400, "actor", "%s has no inbox at its own origin", id)
	}
	for _, p := range []*storage.IRI{&a.SharedInbox, &a.Outbox, &a.Followers, &a.Following, &a.Featured, &a.Liked} {
		if *p != "" && !sameOrigin(string(*p), string(id)) {
			*p = ""
		}
	}
	a.Name, _ = o.text("name")
	a.Name = clip(plainText(a.Name), 200)
	summary, _ := o.text("summary")
	a.Summary = sanitise(clip(summary, 20_000))
	a.URL = n.displayURL(o, id)
	a.IconURL, a.IconAlt = n.imageOf(o, "icon")
	a.HeaderURL, _ = n.imageOf(o, "image")
	if place := o.child("location"); place != nil {
		a.Place = clip(plainText(place.str("name")), 200)
	}
	for _, f := range o.list("attachment") {
		if f := parseObject(f); f != nil && f.kind(nil) == "PropertyValue" && len(a.Fields) < 50 {
			a.Fields = append(a.Fields, storage.Field{Name: clip(plainText(f.str("name")), 255), Value: sanitise(clip(f.str("value"), 2047))})
		}
	}
	if t, ok := o.time("published"); ok {
		a.PublishedAt = t
	}
	return a, nil
}

// clip cuts a string at max bytes, at a rune's border.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// displayURL is the page that an object names as its own, when it is on the host of its id; else the id.
func (n *Node) displayURL(o object, id storage.IRI) string {
	for _, raw := range o.list("url") {
		candidate := ""
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &candidate)
		} else if l := parseObject(raw); l != nil {
			if mt := l.str("mediaType"); mt == "" || mt == "text/html" {
				candidate = l.str("href")
			}
		}
		if u, err := n.Client.parseIRI(candidate); err == nil {
			if mine, err := url.Parse(string(id)); err == nil && u.Host == mine.Host {
				return candidate
			}
		}
	}
	return string(id)
}

// imageOf finds a picture and its text: of an Image, of the first of several, or of an address alone.
func (n *Node) imageOf(o object, key string) (address, alt string) {
	for _, raw := range o.list(key) {
		img := parseObject(raw)
		if address = string(img.iri("url")); address == "" && img.kind(nil) != "Image" {
			address = string(iriOf(raw))
		}
		if _, err := n.Client.parseIRI(address); err != nil {
			continue
		}
		if alt = img.str("summary"); alt == "" {
			alt, _ = img.text("name")
		}
		return address, clip(verbatim(alt), 1500)
	}
	return "", ""
}

// fetchActor asks another server for an actor and stores it with its keys.
func (n *Node) fetchActor(ctx context.Context, iri storage.IRI) (*storage.Actor, error) {
	raw, err := n.fetch(ctx, iri)
	if err != nil {
		return nil, err
	}
	return n.storeActor(ctx, raw)
}

// storeActor keeps an actor's document that came from its own origin.
func (n *Node) storeActor(ctx context.Context, raw []byte) (*storage.Actor, error) {
	a, err := n.actorFromWire(raw)
	if err != nil {
		return nil, err
	}
	if n.isOurs(a.IRI) {
		return nil, problem(400, "actor", "%s is an actor of this node", a.IRI)
	}
	found, err := keysFromDocument(raw)
	if err != nil {
		return nil, problem(400, "actor", "%s: %v", a.IRI, err)
	}
	if err := n.confirmName(ctx, a); err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if old, err := tx.ActorByIRI(ctx, a.IRI); err == nil {
			a.SuspendedAt, a.SilencedAt, a.MovedAt = old.SuspendedAt, old.SilencedAt, old.MovedAt
			if old.Domain != a.Domain && strings.EqualFold(old.Username, a.Username) {
				a.Domain = old.Domain // the handle that WebFinger confirmed
			}
		} else if rule, err := tx.DomainRuleFor(ctx, a.Domain); err == nil && rule.Kind == storage.RuleSilence {
			a.SilencedAt = &rule.CreatedAt // as the rule did to those it found
		}
		if err := tx.SaveActor(ctx, a); err != nil {
			return err
		}
		var keys []storage.Key
		for _, k := range found {
			if k.Owner == string(a.IRI) && sameOrigin(k.ID, string(a.IRI)) {
				keys = append(keys, storage.Key{IRI: storage.IRI(k.ID), Kind: k.Kind, Public: k.Public})
			}
		}
		return tx.ReplaceKeys(ctx, a.ID, keys)
	})
	if err != nil {
		return nil, err
	}
	n.keys.forget(a.IRI)
	return a, nil
}

// confirmName lets an actor elsewhere have the name in her document when it is hers already, or free and her first one.
// Any other is what WebFinger at her host says (FEP-2c59): without that she keeps the one that she had.
func (n *Node) confirmName(ctx context.Context, a *storage.Actor) error {
	old, err := n.DB.ActorByIRI(ctx, a.IRI)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	known := err == nil
	if known && strings.EqualFold(old.Username, a.Username) {
		return nil
	}
	holder, err := n.DB.ActorByHandle(ctx, a.Username, a.Domain)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if !known && (err != nil || holder.DeletedAt != nil) {
		return nil
	}
	self, subject, err := n.Client.WebFinger(ctx, a.Username, a.Domain)
	var fe *FetchError
	switch {
	case err == nil && self == string(a.IRI) && strings.EqualFold(subject, "acct:"+a.Username+"@"+a.Domain):
		return nil
	case known:
		a.Username = old.Username
		return nil
	case errors.As(err, &fe) && fe.Temporary:
		return err
	}
	return problem(400, "actor", "%s has the name of %s", a.IRI, holder.IRI)
}

// actor finds an actor by id, here or elsewhere; one elsewhere is fetched when it is unknown or old.
func (n *Node) actor(ctx context.Context, iri storage.IRI) (*storage.Actor, error) {
	a, err := n.DB.ActorByIRI(ctx, iri)
	if err == nil && (a.Local() || n.Now().Sub(a.FetchedAt) < refreshActorAfter) {
		return a, nil
	}
	if n.isOurs(iri) {
		return nil, storage.ErrNotFound
	}
	fresh, ferr := n.fetchActor(ctx, iri)
	if ferr != nil && err == nil {
		return a, nil // the old document is better than none
	}
	return fresh, ferr
}

// isOurs reports whether an id belongs to this node's origin.
func (n *Node) isOurs(iri storage.IRI) bool { return originOf(string(iri)) == n.origin }

// applyActorUpdate stores an Update of the sender's own actor: refetched from its origin, never taken from the activity.
func (n *Node) applyActorUpdate(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if _, err := n.fetchActor(ctx, signer.IRI); err != nil {
			return nil, retryLater(err)
		}
		return nothing, nil
	}
}

// applyActorDelete removes another server's actor: its words become tombstones, its follows end; the row stays, so that
// nobody can become it again.
func (n *Node) applyActorDelete(signer *storage.Actor) preparation {
	return func(context.Context, *Activity) (effect, error) {
		return func(ctx context.Context, tx *storage.DB) error {
			return n.forgetActor(ctx, tx, signer)
		}, nil
	}
}

func (n *Node) forgetActor(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	if err := n.endOrdersOf(ctx, tx, a); err != nil {
		return err
	}
	if err := n.freezeAccountsOf(ctx, tx, a); err != nil {
		return err
	}
	now := n.Now().UTC()
	a.DeletedAt, a.Name, a.Summary, a.Source, a.IconURL, a.IconAlt, a.HeaderURL, a.Raw, a.Fields = &now, "", "", "", "", "", "", nil, nil
	a.Place, a.Hours, a.Category, a.Links, a.Principles, a.AlsoKnownAs = "", "", "", nil, nil, nil
	if err := tx.SaveActor(ctx, a); err != nil {
		return err
	}
	if !a.Local() {
		boosted, err := tx.BoostedHere(ctx, a.ID)
		if err != nil {
			return err
		}
		for i := range boosted {
			if err := n.forgetPost(ctx, tx, &boosted[i], a); err != nil {
				return err
			}
		}
	}
	if err := tx.DeletePostsOf(ctx, a.ID); err != nil {
		return err
	}
	if err := tx.FreeMediaOfActor(ctx, a.ID); err != nil {
		return err
	}
	var err error
	if a.Local() { // ours still sign their last words
		err = tx.ForgetPrivate(ctx, a.ID)
	} else {
		err = tx.ReplaceKeys(ctx, a.ID, nil)
	}
	if err != nil {
		return err
	}
	n.keys.forget(a.IRI)
	if err := tx.DeletePushSubscriptionsTo(ctx, a.ID); err != nil {
		return err
	}
	return tx.DeleteFollowsOf(ctx, a.ID)
}

// DeleteActor ends an actor of ours for ever: its posts become tombstones, its name is never given again, and all servers
// that heard of it are told. A person leaves the co-ops that she has roles in; the last admin of a co-op cannot leave.
func (n *Node) DeleteActor(ctx context.Context, by By) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "delete"); err != nil {
			return err
		}
		a, err := tx.ActorByID(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		if a.Type == storage.Application || a.Type == storage.Service {
			return invalid("name", "%s is the node itself", a.Username)
		}
		u, err := tx.UserByActor(ctx, a.ID)
		if err == nil {
			if err := n.endUser(ctx, tx, by, u); err != nil {
				return err
			}
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		inboxes, err := n.followerInboxes(ctx, tx, a)
		if err != nil {
			return err
		}
		reached, err := tx.InboxesReached(ctx, a.ID)
		if err != nil {
			return err
		}
		ledgers, err := tx.LedgersOf(ctx, a.IRI) // they freeze her accounts, also where she was only ever paid
		if err != nil {
			return err
		}
		if err := record(ctx, tx, by, "actor.delete", a.IRI); err != nil {
			return err
		}
		if err := tx.DropDeliveriesOf(ctx, a.ID); err != nil { // what waits is pointless now
			return err
		}
		if err := n.forgetActor(ctx, tx, a); err != nil {
			return err
		}
		m := map[string]any{"id": string(a.IRI) + "#delete", "type": "Delete", "actor": a.IRI, "to": []any{publicAddress}, "object": a.IRI}
		return n.send(ctx, tx, a, m, shipment{object: a.IRI, inboxes: slices.Concat(inboxes, reached, ledgers), public: true})
	})
	n.Wake()
	return err
}

// endUser takes from a person what lets her sign in, her roles, and her requests to join.
func (n *Node) endUser(ctx context.Context, tx *storage.DB, by By, u *storage.User) error {
	if u.Role == storage.NodeOwner {
		return invalid("name", "%s owns this node: give that role to somebody else first", u.Username)
	}
	coops, err := tx.CoopsOf(ctx, u.ID)
	if err != nil {
		return err
	}
	asked, err := tx.PendingJoinsOf(ctx, u.ID)
	if err != nil {
		return err
	}
	for _, r := range asked {
		coop, err := tx.ActorByID(ctx, r.CoopID)
		if err != nil {
			return err
		}
		if _, err := n.withdrawJoin(ctx, tx, by, coop, u); err != nil {
			return err
		}
	}
	for i := range coops {
		c, err := lockCoop(ctx, tx, &coops[i])
		if err != nil {
			return err
		}
		if coops[i].DeletedAt != nil { // nobody needs an admin there
			err = tx.RemoveMember(ctx, c.ActorID, u.ID, "")
		} else {
			err = n.dropRoles(ctx, tx, by, &coops[i], c, u, "", "member.leave")
		}
		if err != nil {
			return err
		}
	}
	now := n.Now().UTC()
	u.Email, u.PasswordHash, u.SuspendedAt = "", "", &now
	return tx.UpdateUser(ctx, u) // which signs her out everywhere
}
