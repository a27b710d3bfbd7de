package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"planet/storage"
)

// fold makes lower-case words without accents of a text: by them offers are found, as they are typed on any keyboard.
func fold(text string) []string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(text))
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// wordsOf are the words by which an offer is found.
func wordsOf(o *storage.Offer, author *storage.Actor) []string {
	var out []string
	seen := map[string]bool{}
	for _, text := range []string{o.Title, strings.Join(o.Tags, " "), o.Place, author.Name, author.Username, plainText(o.Content), o.CurrencyName} {
		for _, w := range fold(text) {
			if w = clip(w, 60); !seen[w] && len(out) < maxWords {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	return out
}

// MarketQuery asks for offers in the words of people.
type MarketQuery struct {
	Text     string // all of its words are found, each at the beginning of one
	Purpose  string // storage.PurposeOffer or PurposeRequest; "" for both
	Category string
	Currency string // as in OfferDraft
	Most     string // price of a lot at most
	Coop     *storage.Actor
	Near     *[2]float64 // latitude and longitude
	Within   float64     // kilometres around Near; 0 for 10
	Page     storage.Page
}

// SearchMarket finds what is open in the market of this node, newest first. InvalidError when a field cannot be used.
func (n *Node) SearchMarket(ctx context.Context, q MarketQuery) ([]storage.Offer, error) {
	m := storage.Market{Purpose: q.Purpose, Category: q.Category, Page: q.Page}
	if m.Words = fold(q.Text); len(m.Words) > 8 {
		return nil, invalid("q", "search for at most 8 words")
	}
	for i, w := range m.Words {
		m.Words[i] = clip(w, 60)
	}
	if q.Currency != "" {
		var o storage.Offer
		if err := n.fillCurrency(ctx, &o, q.Currency); err != nil {
			return nil, err
		}
		m.Currency = o.Currency
	}
	if q.Most != "" {
		most, err := strconv.ParseFloat(q.Most, 64)
		if err != nil || !(most > 0) {
			return nil, invalid("most", "%q is no price", q.Most)
		}
		m.Most = most
	}
	if q.Coop != nil {
		m.Coop = q.Coop.ID
	}
	if q.Near != nil {
		lat, lon := q.Near[0], q.Near[1]
		if !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180 && q.Within >= 0 && q.Within <= 20_000) {
			return nil, invalid("near", "latitude -90 to 90, longitude -180 to 180, and at most 20000 km")
		}
		if q.Within == 0 {
			q.Within = 10
		}
		m.Near = box(lat, lon, q.Within)
	}
	return n.DB.Market(ctx, m)
}

// box is a square of so many kilometres around a place.
func box(lat, lon, km float64) *storage.Near {
	dy := km / 111
	dx := 180.0
	if c := math.Cos(lat * math.Pi / 180); c > 0.01 {
		dx = min(dy/c, 180)
	}
	b := &storage.Near{South: lat - dy, North: lat + dy, West: lon - dx, East: lon + dx}
	if dx >= 180 {
		b.West, b.East = -180, 180
		return b
	}
	if b.West < -180 {
		b.West += 360
	}
	if b.East > 180 {
		b.East -= 360
	}
	return b
}

// offerFromWire reads a Proposal of another server: of FEP-0837, of Mitra, and in the older words of Bonfire. The author was checked before.
func (n *Node) offerFromWire(o object, raw []byte, author *storage.Actor) (*storage.Offer, error) {
	o = terms(o)
	id := storage.IRI(o.str("id"))
	if n.usable(id) == "" || !sameOrigin(string(id), string(author.IRI)) {
		return nil, problem(400, "object", "the proposal's id is not usable")
	}
	now := n.Now().UTC()
	f := &storage.Offer{IRI: id, ActorID: author.ID, Category: storage.Goods, Pricing: storage.PriceGift, State: storage.OfferOpen, Unit: "one", Per: "1", Minimum: 1,
		Raw: raw, URL: n.displayURL(o, id), PublishedAt: now, UpdatedAt: now}
	name, language := o.text("name")
	f.Title, f.Language = clip(strings.Join(strings.Fields(plainText(name)), " "), 500), clip(language, 35)
	content, language := o.text("content")
	if content == "" {
		content, language = o.text("summary")
	}
	if f.Content = sanitise(clip(content, maxContent)); f.Language == "" {
		f.Language = clip(language, 35)
	}
	if f.Title == "" {
		f.Title = clip(plainText(f.Content), 100)
	}
	primary, reciprocal := intentsOf(o)
	f.Purpose = purposeOf(o, primary)
	f.Orderable = purposeIn(o) != "" && primary.id() == id+"#primary" && (reciprocal == nil || reciprocal.id() == id+"#reciprocal")
	if reciprocal != nil {
		readPrice(f, reciprocal)
	}
	if primary != nil {
		if err := readPrimary(f, o, primary); err != nil {
			return nil, err
		}
	}
	n.readOffered(f, o)
	f.Listed = isForAll(o)
	return f, nil
}

// intentsOf finds what a proposal gives and what it wants for it: two objects of FEP-0837, or Bonfire's list of intents, each of which says whether it is
// the reciprocal one. An intent that stands alone is its own.
func intentsOf(o object) (primary, reciprocal object) {
	if economicKind(o) == "Intent" {
		return o, nil
	}
	for _, p := range o.children("publishes") {
		p = terms(p)
		intent := p
		if inner := p.flow("publishes"); inner != nil { // Bonfire's ProposedIntent
			intent = inner
		}
		switch {
		case p.boolean("reciprocal") && reciprocal == nil:
			reciprocal = intent
		case !p.boolean("reciprocal") && primary == nil:
			primary = intent
		}
	}
	if r := o.flow("reciprocal"); r != nil {
		reciprocal = r
	}
	return primary, reciprocal
}

// purposeIn is what a proposal says of itself, offer or request; "" when it does not, and is none of FEP-0837.
func purposeIn(o object) string {
	switch purpose := localName(string(o.iri("purpose"))); purpose {
	case storage.PurposeOffer, storage.PurposeRequest:
		return purpose
	}
	return ""
}

// isForAll reports whether a proposal is addressed to everyone, or to nobody in particular.
func isForAll(o object) bool {
	to := o.audience()
	return len(to) == 0 || slices.ContainsFunc(to, isPublic)
}

// purposeOf says whether a proposal offers or asks; one without a word of it is judged by who provides.
func purposeOf(o, primary object) string {
	if purpose := purposeIn(o); purpose != "" {
		return purpose
	}
	kind := o.kind(nil)
	if localName(kind) == "Need" || primary["receiver"] != nil && primary["provider"] == nil {
		return storage.PurposeRequest
	}
	return storage.PurposeOffer
}

// readPrimary reads what a proposal of another server gives or wants, and how much of it.
func readPrimary(f *storage.Offer, o, primary object) error {
	if localName(primary.str("action")) == actionService || localName(primary.str("action")) == "deliver-service" || localName(primary.str("action")) == "work" {
		f.Category = storage.Services
	}
	f.Resource = storage.IRI(clip(string(primary.iri("resourceConformsTo")), 2048))
	if f.Title == "" {
		name, _ := primary.text("name")
		f.Title = clip(strings.Join(strings.Fields(plainText(name)), " "), 500)
	}
	quantity := func(key string) (measure, bool) {
		if c := primary.child(key); c != nil {
			return measureFromWire(c)
		}
		return measureFromWire(o.child(key)) // some say it of the proposal
	}
	named := primary.child("resourceQuantity")
	if named == nil {
		named = primary.child("effortQuantity") // of work, in Bonfire's words
	}
	one, bad := measureFromWire(named)
	left, badLeft := quantity("availableQuantity")
	least, badLeast := quantity("minimumQuantity")
	if bad || badLeft || badLeast {
		return problem(400, "quantity", "a quantity of the proposal is not a decimal number")
	}
	for _, m := range []measure{left, least} {
		if one.Unit == "" {
			one.Unit = m.Unit
		} else if m.Unit != "" && m.Unit != one.Unit {
			return problem(400, "unit", "the quantities of the proposal are in %s and in %s", one.Unit, m.Unit)
		}
	}
	if one.Unit != "" {
		f.Unit = one.Unit
	}
	f.UnitBased = o.boolean("unitBased")
	switch {
	case one.Value.Positive():
		f.Per = one.Value
	case named == nil && !f.UnitBased && left.Value.Positive(): // nothing is said of one: what is there is one
		f.Per = left.Value
	case named != nil && f.Pricing != storage.PricePriced: // a quantity without a number is any (FEP-0837)
		f.UnitBased = true
	}
	f.Orderable = f.Orderable && named != nil && !one.Edited
	if left.Value != "" {
		lots, _ := left.Value.In(f.Per)
		f.Stock, f.Available = &lots, &lots
	}
	if least.Value.Positive() {
		lots, exact := least.Value.In(f.Per)
		if !exact {
			lots++
		}
		f.Minimum = max(lots, 1)
	}
	if f.Available != nil && *f.Available < f.Minimum {
		f.State = storage.OfferSold
	}
	return nil
}

// readPrice reads what a proposal of another server wants in return.
func readPrice(f *storage.Offer, reciprocal object) {
	price, bad := measureFromWire(reciprocal.child("resourceQuantity"))
	f.Currency = moneyOf(storage.IRI(clip(string(reciprocal.iri("resourceConformsTo")), 2048)))
	f.Orderable = f.Orderable && !price.Edited && price.Unit == "one" // any other unit would have to be repeated
	if f.CurrencyName = nameOfMoney(f.Currency); f.CurrencyName == "" && price.Unit != "one" {
		f.CurrencyName = clip(price.Unit, 12) // some write the currency there
	}
	if f.Pricing = storage.PriceOpen; price.Value.Positive() && !bad {
		f.Pricing, f.Price, f.PriceScale, f.PriceValue = storage.PricePriced, price.Value, price.Scale, price.Value.Float()
	}
}

// readOffered reads what is said of a proposal beside goods and money: when it ends, where it is, tags and pictures.
func (n *Node) readOffered(f *storage.Offer, o object) {
	if t, ok := o.time("published"); ok && t.Before(f.PublishedAt) {
		f.PublishedAt = t
	}
	if t, ok := o.time("updated"); ok && t.Before(f.UpdatedAt) {
		f.UpdatedAt = t
	}
	for _, key := range []string{"endTime", "hasEnd", "expires", "validThrough", "due"} {
		if t, ok := o.time(key); ok {
			f.EndsAt = &t
			break
		}
	}
	if o.boolean("finished") && f.State == storage.OfferOpen {
		f.State = storage.OfferClosed
	}
	place := o.child("location")
	if place == nil {
		place = o.child("eligibleLocation") // Bonfire's word
	}
	if place != nil {
		name, _ := place.text("name")
		f.Place = clip(strings.Join(strings.Fields(plainText(name)), " "), 200)
		f.Latitude, f.Longitude = coordinates(place, "latitude", "longitude")
	}
	for _, t := range o.children("tag") {
		if name := tagOf(plainText(t.str("name"))); t.kind(nil) == "Hashtag" && name != "" && len(name) <= 255 && !slices.Contains(f.Tags, name) && len(f.Tags) < maxOfferTags {
			f.Tags = append(f.Tags, name)
		}
	}
	for _, key := range []string{"image", "attachment"} {
		for _, raw := range o.list(key) {
			if a, ok := n.attachmentFromWire(raw); ok && strings.HasPrefix(a.MediaType, "image/") && len(f.Images) < maxAttachments {
				f.Images = append(f.Images, a)
			}
		}
	}
}

// coordinates reads a place on earth; nil when there is none.
func coordinates(o object, latitude, longitude string) (lat, lon *float64) {
	var y, x float64
	if json.Unmarshal(o[latitude], &y) != nil || json.Unmarshal(o[longitude], &x) != nil || !(y >= -90 && y <= 90 && x >= -180 && x <= 180) {
		return nil, nil
	}
	return &y, &x
}

// listingFromNote reads the offer in a post of flohmarkt's: what it sells stands in flohmarkt:data. nil when there is none. Its server knows no orders.
func (n *Node) listingFromNote(p *storage.Post, o object) *storage.Offer {
	data := o.child("flohmarkt:data")
	if data == nil {
		return nil
	}
	f := &storage.Offer{IRI: p.IRI, ActorID: p.ActorID, PostID: p.ID, Purpose: storage.PurposeOffer, Category: storage.Goods, Pricing: storage.PriceGift, State: storage.OfferOpen,
		Unit: "one", Per: "1", Minimum: 1, Listed: true, Raw: p.Raw, URL: p.URL, Language: p.Language, Content: p.Content, Tags: p.Tags, PublishedAt: p.PublishedAt, UpdatedAt: n.Now().UTC()}
	f.Title = clip(strings.Join(strings.Fields(plainText(data.str("name"))), " "), 500)
	if description := data.str("description"); description != "" {
		f.Content, _ = n.render(clip(description, maxContent), nil)
	}
	if f.Title == "" {
		f.Title = clip(plainText(f.Content), 100)
	}
	price := strings.Replace(strings.TrimSpace(data.str("price")), ",", ".", 1)
	var number json.Number
	if price == "" && json.Unmarshal(data["price"], &number) == nil {
		price = number.String()
	}
	f.CurrencyName = clip(strings.TrimSpace(plainText(data.str("currency"))), 12)
	if item, ok := moneyNames[strings.ToUpper(f.CurrencyName)]; ok {
		f.Currency = wikidata + storage.IRI(item)
	}
	switch d, ok := storage.ParseDecimal(price); {
	case ok && d.Positive():
		_, fraction, _ := strings.Cut(price, ".")
		f.Pricing, f.Price, f.PriceScale, f.PriceValue = storage.PricePriced, d, len(fraction), d.Float()
	case price != "" && !ok:
		f.Pricing = storage.PriceOpen // "negotiable"
	}
	if place := data.child("coordinates"); place != nil {
		f.Latitude, f.Longitude = coordinates(place, "lat", "lng")
	}
	for _, a := range p.Attachments {
		if strings.HasPrefix(a.MediaType, "image/") {
			f.Images = append(f.Images, a)
		}
	}
	return f
}

// listed says whether the offers of an actor elsewhere belong into the market of this node: somebody here follows her, or her server is known.
func (n *Node) listed(ctx context.Context, db *storage.DB, author *storage.Actor) (bool, error) {
	if followed, err := db.FollowedLocally(ctx, author.ID); err != nil || followed {
		return followed, err
	}
	return db.KnowsHost(ctx, author.Domain)
}

// keepOffer keeps what another server offers, or what became of it. An older word of it changes nothing.
func (n *Node) keepOffer(ctx context.Context, tx *storage.DB, f *storage.Offer, author *storage.Actor) error {
	if gone, err := tx.Tombstoned(ctx, f.IRI, author.IRI); err != nil || gone {
		return err
	}
	listed, err := n.listed(ctx, tx, author)
	if err != nil {
		return err
	}
	open := f.Listed
	f.Listed = open && listed
	if f.EndsAt != nil && !f.EndsAt.After(n.Now()) && f.State == storage.OfferOpen {
		f.State = storage.OfferClosed
	}
	if f.PostID == 0 { // the Note that carries it, when that is here
		if p, err := tx.PostByIRI(ctx, parseObject(f.Raw).iri("preview")); err == nil && p.ActorID == author.ID {
			f.PostID = p.ID
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	words := wordsOf(f, author)
	fresh, err := tx.AddOffer(ctx, f, words)
	if err != nil || fresh {
		return err
	}
	old, err := tx.OfferByIRI(ctx, f.IRI)
	if err != nil || old.ActorID != author.ID || old.DeletedAt != nil || f.UpdatedAt.Before(old.UpdatedAt) {
		return err
	}
	f.ID, f.Listed = old.ID, open && (listed || old.Listed)
	if f.PostID == 0 {
		f.PostID = old.PostID
	}
	if err := tx.SaveOffer(ctx, f, words); err != nil {
		return err
	}
	return tx.MirrorStock(ctx, f)
}

// applyProposal keeps a Proposal that another server sends as such (Bonfire, and ours to those who have ordered).
func (n *Node) applyProposal(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		f, err := n.offerFromWire(act.inner, act.parts[0].raw, signer)
		if err != nil {
			return nil, err
		}
		listed, err := n.listed(ctx, n.DB, signer)
		if err != nil {
			return nil, err
		}
		if !listed {
			if _, err := n.DB.OfferByIRI(ctx, f.IRI); errors.Is(err, storage.ErrNotFound) {
				return nothing, nil // it concerns nobody here
			} else if err != nil {
				return nil, err
			}
		}
		return func(ctx context.Context, tx *storage.DB) error { return n.keepOffer(ctx, tx, f, signer) }, nil
	}
}

// noticeOffer is for a post of another server that was kept or edited: what it offers belongs into the market, too. A link to a Proposal is followed.
func (n *Node) noticeOffer(ctx context.Context, tx *storage.DB, a *arrival) error {
	p := a.post
	if p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
		return nil
	}
	o := terms(parseObject(p.Raw))
	f := n.listingFromNote(p, o)
	if f == nil && purposeIn(o) != "" && o.child("publishes") != nil { // a Note that is a proposal itself (FEP-0837)
		var bad error
		if f, bad = n.offerFromWire(o, p.Raw, a.author); bad != nil {
			return nil // it is a post all the same
		}
		f.PostID = p.ID
	}
	if f != nil {
		if p.EditedAt != nil {
			f.UpdatedAt = *p.EditedAt
		}
		if listed, err := n.listed(ctx, tx, a.author); err != nil || !listed {
			return err
		}
		return n.keepOffer(ctx, tx, f, a.author)
	}
	for _, at := range p.Attachments {
		if at.Rel == storage.RelProposal && sameOrigin(at.URL, string(p.IRI)) {
			return enqueue(ctx, tx, jobOffer, at.URL, time.Time{}, work{Object: storage.IRI(at.URL)})
		}
	}
	return nil
}

// readOffer is the job of reading a Proposal where it is.
func (n *Node) readOffer(ctx context.Context, iri storage.IRI) error {
	_, err := n.fetchOffer(ctx, iri)
	return err
}

// fetchOffer reads a Proposal at its origin and keeps it. One that is gone is forgotten.
func (n *Node) fetchOffer(ctx context.Context, iri storage.IRI) (*storage.Offer, error) {
	raw, err := n.fetch(ctx, iri)
	if fe := (*FetchError)(nil); errors.As(err, &fe) && fe.Gone {
		return nil, n.DB.Transaction(ctx, func(tx *storage.DB) error {
			old, err := tx.OfferByIRI(ctx, iri)
			if err != nil {
				return err
			}
			if err := tx.DeleteOffer(ctx, old.ID); err != nil {
				return err
			}
			return storage.ErrNotFound
		})
	}
	if err != nil {
		return nil, err
	}
	o := parseObject(raw)
	if kind := economicKind(o); kind != "Proposal" && kind != "Intent" && o.child("publishes") == nil { // Mitra's may be of any type
		return nil, problem(422, "object", "%s is a %q, not a proposal", iri, o.kind(nil))
	}
	owner := o.iri("attributedTo")
	if owner == "" {
		owner = o.iri("actor")
	}
	if owner == "" || !sameOrigin(string(owner), string(iri)) {
		return nil, problem(422, "object", "%s is not a proposal of an actor of its server", iri)
	}
	author, err := n.actor(ctx, owner)
	if err != nil {
		return nil, err
	}
	if author.SuspendedAt != nil || author.DeletedAt != nil {
		return nil, problem(403, "suspended", "this node has nothing to do with %s", author.IRI)
	}
	f, err := n.offerFromWire(o, raw, author)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error { return n.keepOffer(ctx, tx, f, author) })
	if err != nil {
		return nil, err
	}
	return n.DB.OfferByIRI(ctx, f.IRI)
}

// ResolveOffer finds an offer by the id of its Proposal, by its post, or by the address of its page, here or elsewhere; one that is not here is fetched.
// InvalidError when address is none; ErrNotFound wrapped when no offer is there.
func (n *Node) ResolveOffer(ctx context.Context, by By, address string) (*storage.Offer, error) {
	address = strings.TrimSpace(address)
	if id, err := storage.ParseID(address); err == nil {
		o, err := n.DB.OfferByID(ctx, id)
		if err != nil || o.DeletedAt != nil {
			return nil, noOffer(address, err)
		}
		return o, nil
	}
	if _, err := parseAddress(address); err != nil {
		return nil, invalid("offer", "%v", err)
	}
	o, err := n.DB.OfferByIRI(ctx, storage.IRI(address))
	if err == nil && o.DeletedAt != nil {
		return nil, noOffer(address, storage.ErrNotFound)
	}
	if err == nil || !errors.Is(err, storage.ErrNotFound) {
		return o, err
	}
	if !n.isOurs(storage.IRI(address)) {
		if o, err := n.fetchOffer(ctx, storage.IRI(address)); err == nil {
			return o, nil
		}
	}
	p, err := n.ResolvePost(ctx, by, address)
	if err != nil {
		return nil, noOffer(address, err)
	}
	if o, err = n.DB.OfferByPost(ctx, p.ID); err == nil && o.DeletedAt == nil {
		return o, nil
	}
	for _, at := range p.Attachments {
		if at.Rel == storage.RelProposal && !n.isOurs(storage.IRI(at.URL)) && sameOrigin(at.URL, string(p.IRI)) {
			return n.fetchOffer(ctx, storage.IRI(at.URL))
		}
	}
	return nil, noOffer(address, storage.ErrNotFound)
}

// noOffer says that there is no offer at an address, or what went wrong in finding that out.
func noOffer(address string, err error) error {
	if err == nil {
		err = storage.ErrNotFound
	}
	return fmt.Errorf("the offer %s: %w", address, err)
}
