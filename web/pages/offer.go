package pages

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

// offerCard is an offer or a request as lists, its own page and the post that carries it show it.
type offerCard struct {
	Offer    storage.Offer
	Seller   profileCard // whose it is; of a request who looks for it
	Page     string      // where it is read and ordered: here, or at its origin
	Away     bool        // at its origin
	Request  bool
	Pictures []picture
	Price    string // what it costs, in words
	Left     string // how much there is; "" for as much as anybody wants
	Least    string // of one order, "" for one lot
	Place    string
	State    string // one word, "" while it can be ordered
	Why      string // the same in a sentence
}

func (p *Pages) offerCard(o storage.Offer, seller profileCard, pictures []picture) offerCard {
	card := offerCard{Offer: o, Seller: seller, Request: o.Purpose == storage.PurposeRequest, Pictures: pictures, Price: priceOf(&o), Place: placeOf(&o)}
	if card.Page = webAddress(o.URL); card.Page == "" {
		card.Page = webAddress(string(o.IRI))
	}
	if path, ok := strings.CutPrefix(card.Page, p.Origin+"/"); ok {
		card.Page = "/" + path
	} else {
		card.Away = true
	}
	card.State, card.Why = stateOf(&o, p.DB.Now())
	if o.Available != nil && card.State == "" {
		card.Left = lots(&o, *o.Available)
	}
	if o.Minimum > 1 {
		card.Least = lots(&o, o.Minimum)
	}
	return card
}

// priceOf says in English what an offer costs, or a request pays: PriceOf does so in the offer's language.
func priceOf(o *storage.Offer) string {
	name, request := o.CurrencyName, o.Purpose == storage.PurposeRequest
	if name == "" && o.Currency != "" {
		name = "of a currency of " + hostOf(string(o.Currency))
	}
	switch {
	case o.Pricing == storage.PriceGift && request:
		return "as a gift"
	case o.Pricing == storage.PriceGift:
		return "free"
	case o.Pricing == storage.PriceOpen && name == "":
		return "say what it is worth to you"
	case o.Pricing == storage.PriceOpen:
		return "say what it is worth to you (" + name + ")"
	}
	english := *o
	english.Language, english.CurrencyName = "", name
	return activitypub.PriceOf(&english)
}

// lots is so many lots of an offer in its unit; "" when that is too large to be written.
func lots(o *storage.Offer, n int64) string {
	q, ok := o.Per.Times(n)
	if !ok {
		return ""
	}
	return activitypub.WithUnit(q, o.Unit)
}

// placeOf is where an offer is, no finer than its author tells.
func placeOf(o *storage.Offer) string {
	if o.Place == "" && o.Latitude != nil && o.Longitude != nil {
		return "about " + coordinate(*o.Latitude) + ", " + coordinate(*o.Longitude)
	}
	return o.Place
}

// coordinate writes a number of degrees; two digits after the point are a kilometre, and enough for a list.
func coordinate(degrees float64) string { return strconv.FormatFloat(degrees, 'f', 2, 64) }

// stateOf says how an offer stands: one word, and a sentence.
func stateOf(o *storage.Offer, now time.Time) (word, why string) {
	request := o.Purpose == storage.PurposeRequest
	ended := o.EndsAt != nil && !now.Before(*o.EndsAt)
	switch {
	case o.Open(now) && request:
		return "", "Open: answers are welcome."
	case o.Open(now):
		return "", "Open: it can be ordered."
	case ended && (o.State == storage.OfferOpen || o.State == storage.OfferClosed):
		return "Ended", "It ended on " + o.EndsAt.UTC().Format("2 January 2006") + "."
	case o.State == storage.OfferPaused:
		return "Paused", "It is paused: no orders are taken for now."
	case o.State == storage.OfferSold && request:
		return "Found", "Found: nothing more is looked for."
	case o.State == storage.OfferSold:
		return "Sold out", "Sold out: nothing is left."
	default:
		return "Closed", "It is closed."
	}
}

// pictures are those of some attachments that a page shows.
func (p *Pages) pictures(attachments []storage.Attachment) (out []picture) {
	for _, a := range attachments {
		if i, ok := p.picture(a); ok {
			out = append(out, i)
		}
	}
	return out
}

// offerCards finds the sellers and pictures of offers; what somebody offers who is not to be seen is left out.
func (p *Pages) offerCards(ctx context.Context, offers []storage.Offer) ([]offerCard, error) {
	var ids []storage.ID
	for _, o := range offers {
		if !slices.Contains(ids, o.ActorID) {
			ids = append(ids, o.ActorID)
		}
	}
	sellers, err := p.DB.ActorsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	var cards []offerCard
	for _, o := range offers {
		i := slices.IndexFunc(sellers, func(a storage.Actor) bool { return a.ID == o.ActorID && visible(&a) })
		if i < 0 {
			continue
		}
		images := o.Images
		if sellers[i].Local() && o.PostID != 0 {
			post, err := p.DB.PostByID(ctx, o.PostID)
			if err != nil {
				return nil, err
			}
			images = post.Attachments
		}
		cards = append(cards, p.offerCard(o, p.profileCard(&sellers[i]), p.pictures(images)))
	}
	return cards, nil
}

// addOffers shows on posts what they offer.
func (p *Pages) addOffers(ctx context.Context, cards ...*postCard) error {
	var ids []storage.ID
	for _, card := range cards {
		ids = append(ids, card.Post.ID)
	}
	offers, err := p.DB.OffersByPosts(ctx, ids)
	if err != nil {
		return err
	}
	for _, card := range cards {
		if i := slices.IndexFunc(offers, func(o storage.Offer) bool { return o.PostID == card.Post.ID }); i >= 0 {
			o := p.offerCard(offers[i], card.Author, card.Images)
			card.Offer = &o
		}
	}
	return nil
}

// offerPage is the page of a post that carries an offer: what it is, and how to order it.
type offerPage struct {
	postPage
	Offer  offerCard
	Text   template.HTML
	Linked map[string]any // the same for machines
}

// offer shows the page of a post as that of its offer.
func (p *Pages) offer(c echo.Context, body postPage, v view) error {
	card := *body.Post.Offer
	o := &card.Offer
	kind, left := "Offer: ", card.Left
	if card.Request {
		kind = "Wanted: "
	} else if left != "" {
		left += " left"
	}
	var summary []string
	for _, s := range []string{card.State, card.Price, left, card.Place, plain(o.Content)} {
		if s != "" {
			summary = append(summary, s)
		}
	}
	v.Title, v.Description = kind+o.Title, clip(strings.Join(summary, ". "), 300)
	v.Body = offerPage{postPage: body, Offer: card, Text: safeHTML(o.Content), Linked: p.linkedOffer(card)}
	return p.render(c, http.StatusOK, "offer", v)
}

// availability says in words of schema.org how an offer stands.
var availability = map[string]string{
	"": "InStock", "Paused": "OutOfStock", "Sold out": "SoldOut", "Found": "SoldOut", "Ended": "Discontinued", "Closed": "Discontinued",
}

// linkedOffer is an offer in the vocabulary of schema.org, for search engines and shop indexes. The template writes it as JSON within a script
// element that no browser runs, with <, > and & escaped.
func (p *Pages) linkedOffer(card offerCard) map[string]any {
	const vocabulary = "https://schema.org/"
	o := &card.Offer
	item := map[string]any{"@type": "Product", "name": o.Title}
	if o.Category == storage.Services {
		item["@type"] = "Service"
	}
	if text := clip(plain(o.Content), 1000); text != "" {
		item["description"] = text
	}
	var images []string
	for _, i := range card.Pictures {
		images = append(images, i.Shown)
	}
	if len(images) > 0 {
		item["image"] = images
	}
	amount := func(n storage.Decimal) map[string]any {
		return map[string]any{"@type": "QuantitativeValue", "value": string(n), "unitText": o.Unit}
	}
	m := map[string]any{"@context": vocabulary, "@type": "Offer", "url": p.Origin + card.Page, "name": o.Title, "itemOffered": item,
		"availability": vocabulary + availability[card.State]}
	seller := map[string]any{"@type": "Organization", "name": card.Seller.Name, "url": p.Origin + card.Seller.Page}
	if card.Seller.Kind == "Person" {
		seller["@type"] = "Person"
	}
	if m["seller"] = seller; card.Request { // who looks for it sells nothing
		m["@type"] = "Demand"
		delete(m, "seller")
	}
	switch price := map[string]any{"@type": "UnitPriceSpecification", "referenceQuantity": amount(o.Per)}; o.Pricing {
	case storage.PricePriced:
		price["price"], price["priceCurrency"] = o.Money(o.Price), o.CurrencyName
		m["priceSpecification"] = price
	case storage.PriceGift:
		price["price"] = "0"
		m["priceSpecification"] = price
	}
	if o.Available != nil {
		if left, ok := o.Per.Times(*o.Available); ok {
			m["inventoryLevel"] = amount(left)
		}
	}
	if o.EndsAt != nil {
		m["validThrough"] = o.EndsAt.UTC().Format(time.RFC3339)
	}
	if card.Place != "" {
		place := map[string]any{"@type": "Place", "name": card.Place}
		if o.Latitude != nil && o.Longitude != nil {
			place["geo"] = map[string]any{"@type": "GeoCoordinates", "latitude": *o.Latitude, "longitude": *o.Longitude}
		}
		m["availableAtOrFrom"] = place
	}
	return m
}
