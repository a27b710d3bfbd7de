package activitypub

import (
	"context"
	"errors"
	"html"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"planet/ledger"
	"planet/storage"
)

// Limits of an offer, here and from elsewhere.
const (
	maxTitleRunes = 100
	maxOfferTags  = 20
	maxWords      = 400           // by which one offer is found
	maxLots       = 1_000_000_000 // in stock, and in one order
	defaultHold   = 14 * 24 * time.Hour
	maxHold       = 366 * 24 * time.Hour
	marketTag     = "coopmarket" // of every offer's Note, that people find them
)

// How coarse the place of an offer is told (OfferDraft.Fuzz), in degrees; a degree is about 111 km.
var fuzziness = map[string]float64{"": 0.01, "1km": 0.01, "10km": 0.1, "exact": 0}

// OfferDraft is what somebody offers or asks for, as typed.
type OfferDraft struct {
	Request             bool // asked for, not offered
	Title, Text         string
	Language            string // BCP 47, "" for unknown
	Category            string // storage.Goods ("" too) or storage.Services
	Tags                []string
	Resource            storage.IRI // what it conforms to; "" for nothing in particular
	Unit                string      // of OM2, or as people call it; "" for one
	Per                 string      // how much of the unit is sold as one lot, and costs Price; "" for 1
	Quantity            string      // that is there, in the unit; "" for as much as anybody wants
	Minimum             string      // of one order, in the unit; "" for one lot
	Price               string      // of one lot; "" for a gift
	OpenPrice           bool        // whoever orders says what it is worth to her
	Currency            string      // code of this node's, of a state's (EUR), or an IRI
	Place               string
	Latitude, Longitude *float64
	Fuzz                string // how coarse they are told: 1km ("" too), 10km or exact
	EndsAt              *time.Time
	Media               []storage.ID // pictures that were uploaded, in their order; for EditOffer nil leaves them as they are
	AutoAccept          bool         // an order that can be met is accepted at once
	Hold                time.Duration
	KeepStock           bool // for EditOffer: Quantity is not said; what is left stays as it is by then
}

// DraftOf is an offer of this node as it would be typed.
func DraftOf(o *storage.Offer) OfferDraft {
	d := OfferDraft{Request: o.Purpose == storage.PurposeRequest, Title: o.Title, Text: o.Source, Language: o.Language, Category: o.Category, Tags: o.Tags, Resource: o.Resource,
		Unit: o.Unit, Per: string(o.Per), Currency: string(o.Currency), OpenPrice: o.Pricing == storage.PriceOpen, Place: o.Place, Latitude: o.Latitude, Longitude: o.Longitude,
		Fuzz:   "exact", // it is as coarse already as it is to be
		EndsAt: o.EndsAt, AutoAccept: o.AutoAccept, Hold: time.Duration(o.HoldSeconds) * time.Second, KeepStock: true}
	if o.Minimum > 1 {
		d.Minimum = string(quantityOf(o, o.Minimum))
	}
	if o.Pricing == storage.PricePriced {
		d.Price = o.Money(o.Price)
	}
	return d
}

// fillOffer checks a draft and writes its terms into an offer. It reads the currency.
func (n *Node) fillOffer(ctx context.Context, o *storage.Offer, d OfferDraft) (err error) {
	if o.Purpose = storage.PurposeOffer; d.Request {
		o.Purpose = storage.PurposeRequest
	}
	o.Title = strings.Join(strings.Fields(norm.NFC.String(clean(d.Title))), " ")
	o.Source = strings.TrimSpace(strings.ReplaceAll(d.Text, "\r\n", "\n"))
	o.Place = strings.Join(strings.Fields(clean(d.Place)), " ")
	o.Language, o.EndsAt, o.AutoAccept, o.Resource = d.Language, d.EndsAt, d.AutoAccept, d.Resource
	if o.Category = d.Category; o.Category == "" {
		o.Category = storage.Goods
	}
	if d.Hold == 0 {
		d.Hold = defaultHold
	}
	o.HoldSeconds = int64(d.Hold / time.Second)
	if o.Title == "" {
		return invalid("title", "an offer needs a title")
	}
	if err := (&Draft{Text: o.Title + "\n" + o.Source, Language: d.Language}).check(); err != nil {
		return err
	}
	switch {
	case utf8.RuneCountInString(o.Title) > maxTitleRunes:
		return invalid("title", "at most %d characters, this has %d", maxTitleRunes, utf8.RuneCountInString(o.Title))
	case len(o.Place) > 200:
		return invalid("place", "at most 200 bytes")
	case o.Category != storage.Goods && o.Category != storage.Services:
		return invalid("category", "%q is not goods or services; finer ones are tags", o.Category)
	case d.EndsAt != nil && !d.EndsAt.After(n.Now()):
		return invalid("expires", "%s is over", d.EndsAt.UTC().Format("2 Jan 2006, 15:04"))
	case d.Hold < time.Hour || d.Hold > maxHold:
		return invalid("hold", "an accepted order is kept between an hour and %d days", maxHold/(24*time.Hour))
	case d.Resource != "" && (len(d.Resource) > 2048 || !strings.Contains(string(d.Resource), ":") || strings.ContainsFunc(string(d.Resource), unicode.IsSpace)):
		return invalid("resource", "%q is not an address, as in %sQ7802", d.Resource, wikidata)
	case len(d.Media) > MaxMedia:
		return invalid("media", "an offer has at most %d pictures, this has %d", MaxMedia, len(d.Media))
	}
	o.Tags = nil
	for _, t := range d.Tags {
		name := tagOf(strings.TrimSpace(t))
		if name == "" || len(findTags("#"+name)) != 1 || findTags("#" + name)[0] != name {
			return invalid("tags", "%q is no tag: use one word of letters and digits", t)
		}
		if !slices.Contains(o.Tags, name) && name != marketTag {
			o.Tags = append(o.Tags, name)
		}
	}
	if len(o.Tags) > maxOfferTags {
		return invalid("tags", "at most %d", maxOfferTags)
	}
	if err := fillQuantity(o, d); err != nil {
		return err
	}
	if err := n.fillPrice(ctx, o, d); err != nil {
		return err
	}
	return fillPlace(o, d)
}

// fillQuantity reads unit, lot, stock and minimum.
func fillQuantity(o *storage.Offer, d OfferDraft) error {
	unit, ok := unitOf(d.Unit)
	if !ok {
		return invalid("unit", "%q is no unit: one, kilogram, litre, hour, … (a name of OM2)", d.Unit)
	}
	o.Unit, o.UnitBased, o.Per, o.Stock, o.Minimum = unit, true, "1", nil, 1
	if d.Per != "" {
		if o.Per, ok = storage.ParseDecimal(d.Per); !ok || !o.Per.Positive() {
			return invalid("per", "%q is no amount to sell at a time: write 1 or 0.5", d.Per)
		}
	}
	lots := func(field, s string) (int64, error) {
		q, ok := storage.ParseDecimal(s)
		if !ok {
			return 0, invalid(field, "%q is no quantity: write 20 or 2.5", s)
		}
		count, exact := q.In(o.Per)
		if !exact {
			return 0, invalid(field, "%s is no multiple of %s, which is sold at a time", s, o.Per)
		}
		if count > maxLots {
			return 0, invalid(field, "%s is more than this node counts", s)
		}
		return count, nil
	}
	if d.Quantity != "" && !d.KeepStock {
		stock, err := lots("quantity", d.Quantity)
		if err != nil {
			return err
		}
		o.Stock = &stock
	}
	if d.Minimum != "" {
		least, err := lots("minimum", d.Minimum)
		if err != nil {
			return err
		}
		if o.Minimum = least; least < 1 {
			return invalid("minimum", "at least %s", o.Per)
		}
	}
	if o.Stock != nil && *o.Stock < o.Minimum {
		return invalid("quantity", "that is less than one order takes (%s)", quantityOf(o, o.Minimum))
	}
	return nil
}

// quantityOf is so many lots in the offer's unit.
func quantityOf(o *storage.Offer, lots int64) storage.Decimal {
	q, _ := o.Per.Times(lots)
	return q
}

// fillPrice reads price and currency.
func (n *Node) fillPrice(ctx context.Context, o *storage.Offer, d OfferDraft) error {
	o.Pricing, o.Price, o.PriceScale, o.PriceValue, o.Currency, o.CurrencyName = storage.PriceGift, "", 0, 0, "", ""
	switch {
	case d.Price != "" && d.OpenPrice:
		return invalid("price", "either a price, or an open one")
	case d.OpenPrice:
		o.Pricing = storage.PriceOpen
	case d.Price != "":
		if o.Pricing = storage.PricePriced; d.Currency == "" {
			return invalid("currency", "in which currency is %s? Name one of this node, or EUR", d.Price)
		}
	default:
		if d.Currency != "" {
			return invalid("price", "what does it cost in %s? Without a currency it is a gift", d.Currency)
		}
		return nil
	}
	if d.Currency != "" {
		if err := n.fillCurrency(ctx, o, d.Currency); err != nil {
			return err
		}
	}
	if d.Price == "" {
		return nil
	}
	if c, err := n.Currency(ctx, d.Currency); err == nil {
		amount, err := ledger.ParseTyped(d.Price, c.Book.Kind, c.Book.Scale)
		if err != nil {
			return invalid("price", "%v", err)
		}
		o.Price, _ = storage.ParseDecimal(ledger.FormatAmount(int64(amount), c.Book.Scale))
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	} else if price, ok := storage.ParseDecimal(d.Price); ok {
		o.Price = price
		if _, fraction, _ := strings.Cut(d.Price, "."); len(fraction) > o.PriceScale {
			if strings.HasPrefix(string(o.Currency), wikidata) {
				return invalid("price", "%s has at most %d digits after the point", o.CurrencyName, o.PriceScale)
			}
			o.PriceScale = len(fraction)
		}
	}
	if !o.Price.Positive() {
		return invalid("price", "%q is no price above zero: write 4.50", d.Price)
	}
	o.PriceValue = o.Price.Float()
	return nil
}

// fillCurrency finds a currency by what people call it.
func (n *Node) fillCurrency(ctx context.Context, o *storage.Offer, name string) error {
	c, err := n.Currency(ctx, name)
	if err == nil {
		o.Currency, o.CurrencyName, o.PriceScale = storage.IRI(c.Book.IRI), c.Book.Code, int(c.Book.Scale)
		return nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if item, ok := moneyNames[strings.ToUpper(name)]; ok {
		if o.Currency, o.CurrencyName, o.PriceScale = wikidata+storage.IRI(item), strings.ToUpper(name), 2; o.CurrencyName == "JPY" {
			o.PriceScale = 0
		}
		return nil
	}
	if len(name) > 2048 || !strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsSpace) {
		return invalid("currency", "%q is no currency of this node, none of a state such as EUR, and no address of one elsewhere", name)
	}
	o.Currency, o.CurrencyName = storage.IRI(name), nameOfMoney(storage.IRI(name))
	if o.CurrencyName != "" && strings.HasPrefix(name, wikidata) {
		return n.fillCurrency(ctx, o, o.CurrencyName)
	}
	return nil
}

// fillPlace keeps no more of a place than is to be told.
func fillPlace(o *storage.Offer, d OfferDraft) error {
	o.Latitude, o.Longitude = nil, nil
	if (d.Latitude == nil) != (d.Longitude == nil) {
		return invalid("place", "a place has a latitude and a longitude")
	}
	grid, ok := fuzziness[d.Fuzz]
	if !ok {
		return invalid("fuzz", "%q is not 1km, 10km or exact", d.Fuzz)
	}
	if d.Latitude == nil {
		return nil
	}
	lat, lon := *d.Latitude, *d.Longitude
	if !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
		return invalid("place", "%v, %v is nowhere on earth: latitude -90 to 90, longitude -180 to 180", lat, lon)
	}
	if grid > 0 {
		lat, lon = coarse(lat, grid), coarse(lon, grid)
	}
	o.Latitude, o.Longitude = &lat, &lon
	return nil
}

// coarse is the nearest point of a grid, as a number that is short to write.
func coarse(v, grid float64) float64 { return math.Round(v/grid) / math.Round(1/grid) }

// PublishOffer offers or asks for something as an actor of this node: the offer, the Note that everyone can read, and the deliveries to followers
// elsewhere are one transaction.
func (n *Node) PublishOffer(ctx context.Context, by By, d OfferDraft) (*storage.Offer, error) {
	if err := n.allowed(ctx, n.DB, by, "offer"); err != nil {
		return nil, err
	}
	o := &storage.Offer{ActorID: by.Actor.ID, State: storage.OfferOpen, Orderable: true, Listed: true}
	if by.User != nil {
		o.UserID = by.User.ID
	}
	if err := n.fillOffer(ctx, o, d); err != nil {
		return nil, err
	}
	mentions, err := n.resolveMentions(ctx, o.Source)
	if err != nil {
		return nil, err
	}
	terms := *o
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "offer"); err != nil {
			return err
		}
		*o = terms
		if o.Stock != nil {
			left := *o.Stock
			o.Available = &left
		}
		o.PublishedAt = n.Now().UTC().Truncate(time.Second)
		o.UpdatedAt = o.PublishedAt
		p := &storage.Post{Type: "Note", ActorID: o.ActorID, UserID: o.UserID, Visibility: storage.Public, Language: o.Language, PublishedAt: o.PublishedAt, Mentions: mentions}
		p.Policy = &storage.Policy{Quote: quoteRule(p, by.Actor, "")}
		n.place(tx, p, by.Actor)
		o.ID, o.PostID, o.URL = tx.NewID(), p.ID, p.URL
		o.IRI = storage.IRI(n.Origin + "/offers/" + o.ID.String())
		p.Conversation = string(o.IRI) + "/thread"
		n.wordOffer(o, p)
		if err := n.setMedia(ctx, tx, p, d.Media); err != nil {
			return err
		}
		if err := tx.SavePost(ctx, p); err != nil {
			return err
		}
		if _, err := tx.AddOffer(ctx, o, wordsOf(o, by.Actor)); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "offer.create", o.IRI); err != nil {
			return err
		}
		if err := n.tellLocal(ctx, tx, p, by.Actor); err != nil {
			return err
		}
		return n.sendPost(ctx, tx, by.Actor, p, p.Mentions, "Create")
	})
	n.Wake()
	return o, err
}

// ownOffer finds an offer of by's actor within a transaction that is to change it, or ErrNotFound.
func (n *Node) ownOffer(ctx context.Context, tx *storage.DB, by By, id storage.ID) (*storage.Offer, error) {
	if err := n.allowed(ctx, tx, by, "offer"); err != nil {
		return nil, err
	}
	o, err := tx.LockOffer(ctx, id)
	if err == nil && (o.ActorID != by.Actor.ID || o.DeletedAt != nil) {
		err = storage.ErrNotFound
	}
	return o, err
}

// EditOffer changes the terms of an offer, a closed one too, which stays closed. What was ordered stays ordered as it was. The quantity is what is there
// for new orders.
func (n *Node) EditOffer(ctx context.Context, by By, id storage.ID, d OfferDraft) (*storage.Offer, error) {
	var o *storage.Offer
	terms := &storage.Offer{}
	if err := n.fillOffer(ctx, terms, d); err != nil {
		return nil, err
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if o, err = n.ownOffer(ctx, tx, by, id); err != nil {
			return err
		}
		edited := *terms
		switch {
		case terms.Purpose != o.Purpose:
			return invalid("request", "an offer does not become a request, nor the other way round: make a new one")
		case d.KeepStock && o.Available != nil && terms.Per != o.Per:
			return invalid("quantity", "it was counted by %s: say anew how much there is", WithUnit(o.Per, o.Unit))
		case d.KeepStock:
			edited.Stock = o.Available // under its lock: an order that was accepted meanwhile is not sold again
		}
		edited.ID, edited.IRI, edited.ActorID, edited.UserID, edited.PostID, edited.URL, edited.State = o.ID, o.IRI, o.ActorID, o.UserID, o.PostID, o.URL, o.State
		edited.Orderable, edited.Listed, edited.PublishedAt, edited.UpdatedAt = o.Orderable, o.Listed, o.PublishedAt, later(n.Now(), o.UpdatedAt)
		p, err := tx.PostByID(ctx, o.PostID)
		if err != nil {
			return err
		}
		n.wordOffer(&edited, p) // its content is what others read, and search
		if err := tx.SaveOffer(ctx, &edited, wordsOf(&edited, by.Actor)); err != nil {
			return err
		}
		if err := tx.Restock(ctx, id, edited.Stock); err != nil {
			return err
		}
		if d.Media != nil {
			if err := n.setMedia(ctx, tx, p, d.Media); err != nil {
				return err
			}
			if err := tx.SavePost(ctx, p); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, by, "offer.edit", o.IRI); err != nil {
			return err
		}
		o, err = n.retellOffer(ctx, tx, id)
		return err
	})
	n.Wake()
	return o, err
}

// later is now in whole seconds, or the second after last: what is said again is newer than before, also within one second.
func later(now, last time.Time) time.Time {
	if now = now.UTC().Truncate(time.Second); now.After(last) {
		return now
	}
	return last.UTC().Truncate(time.Second).Add(time.Second)
}

// SetOffer opens, pauses or closes an offer of by's actor. Orders that were accepted stay accepted.
func (n *Node) SetOffer(ctx context.Context, by By, id storage.ID, state string) (*storage.Offer, error) {
	var o *storage.Offer
	err := n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if o, err = n.ownOffer(ctx, tx, by, id); err != nil || o.State == state {
			return err
		}
		switch {
		case state == storage.OfferOpen && o.EndsAt != nil && !o.EndsAt.After(n.Now()):
			return problem(http.StatusConflict, "expired", "%q ended on %s: edit it and give it another day", o.Title, o.EndsAt.Format("2 Jan 2006"))
		case state == storage.OfferOpen && o.Available != nil && *o.Available < o.Minimum:
			return problem(http.StatusConflict, "sold_out", "nothing is left of %q: edit it and say how much there is", o.Title)
		case state != storage.OfferOpen && state != storage.OfferPaused && state != storage.OfferClosed:
			return invalid("state", "%q is not open, paused or closed", state)
		}
		if err := tx.SetOfferState(ctx, id, state); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "offer."+state, o.IRI); err != nil {
			return err
		}
		o, err = n.retellOffer(ctx, tx, id)
		return err
	})
	n.Wake()
	return o, err
}

// DeleteOffer takes an offer back with its Note, and everyone who was told of it is told that. Orders that were accepted stay accepted.
func (n *Node) DeleteOffer(ctx context.Context, by By, id storage.ID) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		o, err := n.ownOffer(ctx, tx, by, id)
		if err != nil {
			return err
		}
		if err := record(ctx, tx, by, "offer.delete", o.IRI); err != nil {
			return err
		}
		p, err := tx.PostByID(ctx, o.PostID)
		if err != nil {
			return err
		}
		if err := n.sendPost(ctx, tx, by.Actor, p, p.Mentions, "Delete"); err != nil {
			return err
		}
		if err := tx.DeletePost(ctx, p.ID); err != nil {
			return err
		}
		if err := tx.DeleteOffer(ctx, id); err != nil {
			return err
		}
		return n.tellCounterparts(ctx, tx, id, by.Actor, map[string]any{"type": "Delete", "object": o.IRI})
	})
	n.Wake()
	return err
}

// retellOffer writes the Note of an offer anew after a change and tells everyone who was told of it, and those who have ordered.
func (n *Node) retellOffer(ctx context.Context, tx *storage.DB, id storage.ID) (*storage.Offer, error) {
	o, err := tx.OfferByID(ctx, id)
	if err != nil {
		return nil, err
	}
	author, err := tx.ActorByID(ctx, o.ActorID)
	if err != nil {
		return nil, err
	}
	p, err := tx.PostByID(ctx, o.PostID)
	if err != nil {
		return nil, err
	}
	last := p.PublishedAt
	if p.EditedAt != nil {
		last = *p.EditedAt
	}
	at := later(n.Now(), last)
	p.EditedAt, p.Language = &at, o.Language
	n.wordOffer(o, p)
	if err := n.listMedia(ctx, tx, p); err != nil {
		return nil, err
	}
	if err := tx.SavePost(ctx, p); err != nil {
		return nil, err
	}
	if err := n.sendPost(ctx, tx, author, p, p.Mentions, "Update"); err != nil {
		return nil, err
	}
	doc, err := n.offerToWire(ctx, tx, o)
	if err != nil {
		return nil, err
	}
	delete(doc, "@context")
	return o, n.tellCounterparts(ctx, tx, id, author, map[string]any{"type": "Update", "object": doc})
}

// tellCounterparts sends something about an offer to those elsewhere whose orders of it are not settled.
func (n *Node) tellCounterparts(ctx context.Context, tx *storage.DB, offer storage.ID, author *storage.Actor, m map[string]any) error {
	orders, err := tx.OrdersOfOffer(ctx, offer, []string{storage.OrderProposed, storage.OrderAccepted}, storage.Page{Limit: 1000})
	if err != nil {
		return err
	}
	var ids []storage.ID
	for i := range orders {
		if o := &orders[i]; o.PostID == 0 && !slices.Contains(ids, o.ResponderID) { // by a reply: her server knows the Note alone
			ids = append(ids, o.ResponderID)
		}
	}
	actors, err := tx.ActorsByID(ctx, ids)
	if err != nil {
		return err
	}
	var to, inboxes []storage.IRI
	for _, a := range actors {
		if !a.Local() && a.DeletedAt == nil {
			to, inboxes = append(to, a.IRI), append(inboxes, a.Inbox)
		}
	}
	if len(to) == 0 {
		return nil
	}
	m["actor"], m["to"] = author.IRI, to
	object := storage.IRI(n.Origin + "/offers/" + offer.String())
	return n.send(ctx, tx, author, m, shipment{object: object, context: contextValueFlows, inboxes: inboxes, supersede: storage.SupersedeUpdates, lasting: true})
}

// CloseEnded closes the offers of this node whose time is over.
func (n *Node) CloseEnded(ctx context.Context) error {
	due, err := n.DB.OffersEnding(ctx, 100)
	if err != nil {
		return err
	}
	for i := range due {
		err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
			o, err := tx.LockOffer(ctx, due[i].ID)
			if err != nil || o.State != storage.OfferOpen || o.EndsAt == nil || o.EndsAt.After(n.Now()) {
				return err
			}
			if err := tx.SetOfferState(ctx, o.ID, storage.OfferClosed); err != nil {
				return err
			}
			_, err = n.retellOffer(ctx, tx, o.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// marketWords are what the Note of an offer says around its author's words, by language; others get English.
var marketWords = map[string]map[string]string{
	"en": {"offer": "Offer", "request": "Wanted", "each": "each", "per": "per", "left": "available", "gift": "free", "open": "pay what you like", "min": "at least", "sold": "SOLD", "closed": "CLOSED", "paused": "PAUSED"},
	"es": {"offer": "Oferta", "request": "Se busca", "each": "cada uno", "per": "por", "left": "disponibles", "gift": "gratis", "open": "precio libre", "min": "mínimo", "sold": "AGOTADO", "closed": "CERRADA", "paused": "EN PAUSA"},
	"ca": {"offer": "Oferta", "request": "Es busca", "each": "cadascun", "per": "per", "left": "disponibles", "gift": "gratuït", "open": "preu lliure", "min": "mínim", "sold": "EXHAURIT", "closed": "TANCADA", "paused": "EN PAUSA"},
	"fr": {"offer": "Offre", "request": "Recherche", "each": "pièce", "per": "par", "left": "disponibles", "gift": "gratuit", "open": "prix libre", "min": "au moins", "sold": "ÉPUISÉ", "closed": "TERMINÉ", "paused": "EN PAUSE"},
}

func marketWord(language, word string) string {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	words, ok := marketWords[base]
	if !ok {
		words = marketWords["en"]
	}
	return words[word]
}

// unitSigns are how units are written after a number.
var unitSigns = map[string]string{"kilogram": "kg", "gram": "g", "litre": "l", "hour": "h", "minute": "min", "second": "s", "metre": "m"}

// UnitSign is how a unit is written after a number: kg. "" for pieces.
func UnitSign(unit string) string {
	if sign, ok := unitSigns[unit]; ok {
		return sign
	}
	if unit == "one" {
		return ""
	}
	return unit
}

// WithUnit writes a quantity for people: 2, or 1.5 kg.
func WithUnit(d storage.Decimal, unit string) string {
	return strings.TrimSpace(string(d) + " " + UnitSign(unit))
}

// PriceOf says what an offer costs, for people: "4.50 GRN each", "2 EUR per 0.5 kg", "free".
func PriceOf(o *storage.Offer) string {
	switch o.Pricing {
	case storage.PriceGift:
		return marketWord(o.Language, "gift")
	case storage.PriceOpen:
		return strings.TrimSpace(marketWord(o.Language, "open") + " " + o.CurrencyName)
	}
	price := strings.TrimSpace(o.Money(o.Price) + " " + o.CurrencyName)
	if o.Per == "1" && o.Unit == "one" {
		return price + " " + marketWord(o.Language, "each")
	}
	per := WithUnit(o.Per, o.Unit)
	if o.Per == "1" {
		per = UnitSign(o.Unit)
	}
	return price + " " + marketWord(o.Language, "per") + " " + per
}

// headline is the line below an offer's title.
func headline(o *storage.Offer) string {
	parts := []string{PriceOf(o)}
	if o.Available != nil && o.State != storage.OfferSold {
		parts = append(parts, WithUnit(quantityOf(o, *o.Available), o.Unit)+" "+marketWord(o.Language, "left"))
	}
	if o.Minimum > 1 {
		parts = append(parts, marketWord(o.Language, "min")+" "+WithUnit(quantityOf(o, o.Minimum), o.Unit))
	}
	if o.Place != "" {
		parts = append(parts, o.Place)
	}
	if o.EndsAt != nil {
		parts = append(parts, "→ "+o.EndsAt.UTC().Format(time.DateOnly))
	}
	return strings.Join(parts, " · ")
}

// wordOffer writes the Note of an offer: what any server shows of it (FEP-0ea0).
func (n *Node) wordOffer(o *storage.Offer, p *storage.Post) {
	kind := marketWord(o.Language, o.Purpose)
	title := kind + ": " + o.Title
	if o.State != storage.OfferOpen {
		title = marketWord(o.Language, o.State) + " – " + title
	}
	line := headline(o)
	body, _ := n.render(o.Source, p.Mentions)
	o.Content = body
	tags := []string{"#" + marketTag}
	for _, t := range o.Tags {
		tags = append(tags, "#"+t)
	}
	foot := p.URL + " " + strings.Join(tags, " ")
	tail, _ := n.render(foot, nil)
	p.Content = "<p><strong>" + html.EscapeString(title) + "</strong><br>" + html.EscapeString(line) + "</p>" + body + tail
	p.Source = strings.TrimSpace(title + "\n" + line + "\n\n" + o.Source)
	p.Tags = append([]string{marketTag}, o.Tags...)
	for _, t := range findTags(o.Source) {
		if !slices.Contains(p.Tags, t) {
			p.Tags = append(p.Tags, t)
		}
	}
	name := "Order"
	if o.Purpose == storage.PurposeRequest {
		name = "Answer"
	}
	p.Attachments = slices.DeleteFunc(p.Attachments, func(a storage.Attachment) bool { return a.Rel != "" })
	p.Attachments = append(p.Attachments, storage.Attachment{URL: string(o.IRI), MediaType: ldJSON, Name: name, Rel: storage.RelProposal})
}

// offerToWire is an offer of this node as a Proposal (FEP-0837).
func (n *Node) offerToWire(ctx context.Context, db *storage.DB, o *storage.Offer) (map[string]any, error) {
	author, err := db.ActorByID(ctx, o.ActorID)
	if err != nil {
		return nil, err
	}
	action := actionTransfer
	if o.Category == storage.Services {
		action = actionService
	}
	primary := map[string]any{"id": o.IRI + "#primary", "type": "Intent", "action": action, "resourceQuantity": measureToWire(o.Unit, string(o.Per)),
		"minimumQuantity": measureToWire(o.Unit, string(quantityOf(o, o.Minimum)))}
	if o.Resource != "" {
		primary["resourceConformsTo"] = o.Resource
	}
	if o.Available != nil {
		primary["availableQuantity"] = measureToWire(o.Unit, string(quantityOf(o, *o.Available)))
	}
	m := map[string]any{
		"@context": contextValueFlows, "id": o.IRI, "type": "Proposal", "purpose": o.Purpose, "attributedTo": author.IRI, "name": o.Title,
		"published": wireTime(o.PublishedAt), "updated": wireTime(o.UpdatedAt), "publishes": primary, "unitBased": o.UnitBased,
		"to": []any{publicAddress}, "cc": []any{author.Followers}, "url": o.URL, "content": o.Content,
	}
	if o.Pricing != storage.PriceGift {
		reciprocal := map[string]any{"id": o.IRI + "#reciprocal", "type": "Intent", "action": actionTransfer, "resourceQuantity": measureToWire("one", o.Money(o.Price))}
		if o.Pricing == storage.PriceOpen {
			reciprocal["resourceQuantity"] = measureToWire("one", "")
		}
		if o.Currency != "" {
			reciprocal["resourceConformsTo"] = o.Currency
		}
		m["reciprocal"] = reciprocal
	}
	if o.Language != "" {
		m["contentMap"] = map[string]any{o.Language: o.Content}
	}
	if o.PostID != 0 {
		m["preview"] = author.IRI + storage.IRI("/statuses/"+o.PostID.String())
	}
	if o.State != storage.OfferOpen { // the vocabulary has no word for paused or closed: nothing can be had now
		primary["availableQuantity"] = measureToWire(o.Unit, "0")
	}
	if o.State == storage.OfferClosed && (o.EndsAt == nil || o.EndsAt.After(o.UpdatedAt)) {
		m["endTime"] = wireTime(o.UpdatedAt)
	} else if o.EndsAt != nil {
		m["endTime"] = wireTime(*o.EndsAt)
	}
	if o.Place != "" || o.Latitude != nil {
		place := map[string]any{"type": "Place"}
		if o.Place != "" {
			place["name"] = o.Place
		}
		if o.Latitude != nil && o.Longitude != nil {
			place["latitude"], place["longitude"] = *o.Latitude, *o.Longitude
		}
		m["location"] = place
	}
	var tags []any
	for _, t := range o.Tags {
		tags = append(tags, map[string]any{"type": "Hashtag", "href": n.Origin + "/tags/" + t, "name": "#" + t})
	}
	if len(tags) > 0 {
		m["tag"] = tags
	}
	return m, nil
}

// getOffer answers with a Proposal.
func (n *Node) getOffer(r *http.Request, by *reader) ([]byte, error) {
	o, author, err := n.offerAt(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := by.notBlocked(author); err != nil {
		return nil, err
	}
	if o.DeletedAt != nil {
		return nil, gone(o.IRI)
	}
	doc, err := n.offerToWire(r.Context(), n.DB, o)
	if err != nil {
		return nil, err
	}
	return encodePlain(doc)
}

// OfferPage is where people read an offer of this node by the number in its id, or ErrNotFound.
func (n *Node) OfferPage(ctx context.Context, number string) (string, error) {
	o, _, err := n.offerAt(ctx, number)
	if err == nil && o.DeletedAt != nil {
		err = storage.ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return o.URL, nil
}

func (n *Node) offerAt(ctx context.Context, number string) (*storage.Offer, *storage.Actor, error) {
	id, err := storage.ParseID(number)
	if err != nil {
		return nil, nil, storage.ErrNotFound
	}
	o, err := n.DB.OfferByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	author, err := n.DB.ActorByID(ctx, o.ActorID)
	if err == nil && (!author.Local() || author.SuspendedAt != nil || author.DeletedAt != nil) {
		err = storage.ErrNotFound
	}
	return o, author, err
}
