package economy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// Offer is something offered or asked for, here or elsewhere. Quantities are in its unit; it is sold by lots of Per.
type Offer struct {
	ID        string   `json:"id"`
	IRI       string   `json:"iri" doc:"Of the Proposal, for servers."`
	URL       string   `json:"url" doc:"Of the page where people read it."`
	Status    *string  `json:"status_id" doc:"Of the post that carries it, in Mastodon's API."`
	Of        Party    `json:"of" doc:"Who offers it, or asks for it."`
	Purpose   string   `json:"purpose" enum:"offer,request"`
	Title     string   `json:"title"`
	Text      string   `json:"text" doc:"Plain text."`
	Language  *string  `json:"language"`
	Category  string   `json:"category" enum:"goods,services"`
	Tags      []string `json:"tags"`
	Images    []Image  `json:"images"`
	Resource  *string  `json:"resource" doc:"What it is, for programs."`
	Unit      string   `json:"unit" doc:"Of OM2: one, kilogram, litre, hour, …"`
	Per       string   `json:"per" doc:"One lot, which costs the price."`
	Minimum   string   `json:"minimum" doc:"The least that can be ordered."`
	Available *string  `json:"available" doc:"What is left; null: as much as anybody wants."`
	Pricing   string   `json:"pricing" enum:"price,gift,open"`
	Price     *string  `json:"price" doc:"Of one lot."`
	Currency  *string  `json:"currency" doc:"The address of the currency."`
	Code      *string  `json:"code" doc:"What people call the currency."`
	Place     string   `json:"place"`
	Latitude  *float64 `json:"latitude"`
	Longitude *float64 `json:"longitude"`
	State     string   `json:"state" enum:"open,sold,paused,closed"`
	Accepts   bool     `json:"auto_accept" doc:"Orders that can be met are accepted at once."`
	Orderable bool     `json:"orderable" doc:"It can be ordered from here."`
	Expires   *string  `json:"expires_at"`
	Created   string   `json:"created_at"`
	Updated   string   `json:"updated_at"`
}

// Image is a picture.
type Image struct {
	URL string `json:"url"`
	Alt string `json:"alt"`
}

// OfferDraft is what somebody offers or asks for; what is not said has its usual value, or for PATCH stays as it is.
type OfferDraft struct {
	Purpose   *string   `json:"purpose,omitempty" enum:"offer,request"`
	Title     *string   `json:"title,omitempty" doc:"At most 100 characters."`
	Text      *string   `json:"text,omitempty"`
	Language  *string   `json:"language,omitempty"`
	Category  *string   `json:"category,omitempty" enum:"goods,services"`
	Tags      *[]string `json:"tags,omitempty"`
	Media     *[]string `json:"media_ids,omitempty" doc:"Pictures that were uploaded by Mastodon's API."`
	Resource  *string   `json:"resource,omitempty"`
	Unit      *string   `json:"unit,omitempty"`
	Per       *string   `json:"per,omitempty"`
	Minimum   *string   `json:"minimum,omitempty"`
	Quantity  *string   `json:"quantity,omitempty" doc:"How much there is; empty: as much as anybody wants."`
	Price     *string   `json:"price,omitempty" doc:"Of one lot; without one it is a gift."`
	OpenPrice *bool     `json:"open_price,omitempty" doc:"Who orders says what it is worth."`
	Currency  *string   `json:"currency,omitempty" doc:"A code of this node, one of a state such as EUR, or the address of one elsewhere."`
	Place     *string   `json:"place,omitempty"`
	Latitude  *float64  `json:"latitude,omitempty"`
	Longitude *float64  `json:"longitude,omitempty"`
	Fuzz      *string   `json:"fuzz,omitempty" enum:"1km,10km,exact" doc:"How coarsely the point is told: 1km unless said."`
	Expires   *string   `json:"expires_at,omitempty" doc:"RFC 3339; empty: never."`
	Accepts   *bool     `json:"auto_accept,omitempty"`
	Hold      *int64    `json:"hold,omitempty" doc:"How long an accepted order waits to be delivered, in seconds."`
	State     *string   `json:"state,omitempty" enum:"open,paused,closed" doc:"For PATCH alone."`
}

func (a *API) offer(c *call, o *storage.Offer) (Offer, error) {
	lots := func(n int64) string {
		q, _ := o.Per.Times(n)
		return string(q)
	}
	e := Offer{ID: o.ID.String(), IRI: string(o.IRI), URL: o.URL, Status: idOrNil(o.PostID), Purpose: o.Purpose, Title: o.Title, Text: o.Source, Language: textOrNil(o.Language), Category: o.Category,
		Tags: append([]string{}, o.Tags...), Images: []Image{}, Resource: textOrNil(string(o.Resource)), Unit: o.Unit, Per: string(o.Per), Minimum: lots(o.Minimum), Pricing: o.Pricing,
		Currency: textOrNil(string(o.Currency)), Code: textOrNil(o.CurrencyName), Place: o.Place, Latitude: o.Latitude, Longitude: o.Longitude, State: o.State, Accepts: o.AutoAccept, Orderable: o.Orderable,
		Expires: stampOrNil(o.EndsAt), Created: stamp(o.PublishedAt), Updated: stamp(o.UpdatedAt)}
	if e.Text == "" {
		e.Text = activitypub.PlainText(o.Content)
	}
	if o.Pricing == storage.PricePriced {
		e.Price = textOrNil(o.Money(o.Price))
	}
	if o.Available != nil {
		left := lots(*o.Available)
		e.Available = &left
	}
	x, err := a.DB.ActorByID(c.ctx, o.ActorID)
	if err != nil {
		return e, err
	}
	e.Of = a.partyOf(x)
	pictures := o.Images
	if o.PostID != 0 && len(pictures) == 0 {
		p, err := a.DB.PostByID(c.ctx, o.PostID)
		if err == nil {
			pictures = p.Attachments
		} else if !errors.Is(err, storage.ErrNotFound) {
			return e, err
		}
	}
	for _, p := range pictures {
		if p.Rel == "" {
			e.Images = append(e.Images, Image{a.Node.MediaURL(p.URL), p.Name})
		}
	}
	return e, nil
}

// shown finds an offer that the caller may see.
func (a *API) shown(c *call) (*storage.Offer, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	o, err := a.DB.OfferByID(c.ctx, id)
	if err != nil {
		return nil, err
	}
	x, err := a.DB.ActorByID(c.ctx, o.ActorID)
	if err == nil && (o.DeletedAt != nil || x.DeletedAt != nil || x.SuspendedAt != nil) {
		err = storage.ErrNotFound
	}
	return o, err
}

func (a *API) offers(c *call) (any, error) {
	q := activitypub.MarketQuery{Text: c.form.Text("q"), Purpose: c.form.Text("purpose"), Category: c.form.Text("category"), Currency: c.form.Text("currency"), Most: c.form.Text("most"), Page: c.form.Page(40, 80)}
	invalid := func(field, words string) error { return &activitypub.InvalidError{Field: field, Msg: words} }
	var err error
	switch {
	case q.Purpose != "" && q.Purpose != storage.PurposeOffer && q.Purpose != storage.PurposeRequest:
		return nil, invalid("purpose", "want offer or request")
	case q.Category != "" && q.Category != storage.Goods && q.Category != storage.Services:
		return nil, invalid("category", "want goods or services")
	}
	if text := c.form.Text("near"); text != "" {
		first, second, _ := strings.Cut(text, ",")
		lat, err1 := strconv.ParseFloat(first, 64)
		lon, err2 := strconv.ParseFloat(second, 64)
		if err1 != nil || err2 != nil {
			return nil, invalid("near", "want latitude and longitude, as in 41.98,2.82")
		}
		q.Near = &[2]float64{lat, lon}
	}
	if text := c.form.Text("within"); text != "" {
		if q.Within, err = strconv.ParseFloat(text, 64); err != nil || q.Near == nil {
			return nil, invalid("within", "want kilometres, beside near")
		}
	}
	if whom := c.form.Text("coop"); whom != "" { // of whom nothing is known here, nothing is: nobody is looked for elsewhere for whoever asks
		name, host, elsewhere := strings.Cut(strings.TrimPrefix(whom, "@"), "@")
		if elsewhere && host != a.Node.Host {
			q.Coop, err = a.DB.ActorByHandle(c.ctx, name, host)
		} else {
			q.Coop, err = a.DB.LocalActor(c.ctx, name)
		}
		if errors.Is(err, storage.ErrNotFound) {
			return []Offer{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	os, err := a.Node.SearchMarket(c.ctx, q)
	if err != nil {
		return nil, err
	}
	return list(a, c, q.Page, os, func(o *storage.Offer) storage.ID { return o.ID }, func(o *storage.Offer) (Offer, error) { return a.offer(c, o) })
}

func (a *API) showOffer(c *call) (any, error) {
	o, err := a.shown(c)
	if err != nil {
		return nil, err
	}
	return a.offer(c, o)
}

// apply writes what was said into a draft.
func (in OfferDraft) apply(d *activitypub.OfferDraft) error {
	for from, to := range map[*string]*string{in.Title: &d.Title, in.Text: &d.Text, in.Language: &d.Language, in.Category: &d.Category, in.Resource: (*string)(&d.Resource), in.Unit: &d.Unit, in.Per: &d.Per,
		in.Minimum: &d.Minimum, in.Quantity: &d.Quantity, in.Price: &d.Price, in.Currency: &d.Currency, in.Place: &d.Place, in.Fuzz: &d.Fuzz} {
		if from != nil {
			*to = *from
		}
	}
	if in.Purpose != nil {
		if d.Request = *in.Purpose == storage.PurposeRequest; !d.Request && *in.Purpose != storage.PurposeOffer {
			return &activitypub.InvalidError{Field: "purpose", Msg: "want offer or request"}
		}
	}
	switch {
	case in.OpenPrice != nil:
		if d.OpenPrice = *in.OpenPrice; d.OpenPrice && in.Price == nil {
			d.Price = ""
		}
	case in.Price != nil && *in.Price != "":
		d.OpenPrice = false
	}
	if d.Price == "" && !d.OpenPrice && in.Currency == nil {
		d.Currency = "" // a gift
	}
	if in.Quantity != nil {
		d.KeepStock = false
	}
	if in.Tags != nil {
		d.Tags = *in.Tags
	}
	if in.Media != nil {
		d.Media = []storage.ID{}
		for _, text := range *in.Media {
			id, err := storage.ParseID(text)
			if err != nil {
				return &activitypub.InvalidError{Field: "media_ids", Msg: text + " is no picture of yours"}
			}
			d.Media = append(d.Media, id)
		}
	}
	if in.Latitude != nil || in.Longitude != nil {
		d.Latitude, d.Longitude = in.Latitude, in.Longitude
		if in.Fuzz == nil {
			d.Fuzz = ""
		}
	}
	if in.Expires != nil {
		if d.EndsAt = nil; *in.Expires != "" {
			at, err := time.Parse(time.RFC3339, *in.Expires)
			if err != nil {
				return &activitypub.InvalidError{Field: "expires_at", Msg: "want a time such as 2027-01-31T18:00:00Z"}
			}
			d.EndsAt = &at
		}
	}
	if in.Accepts != nil {
		d.AutoAccept = *in.Accepts
	}
	if in.Hold != nil {
		if *in.Hold <= 0 || *in.Hold > 400*24*3600 {
			return &activitypub.InvalidError{Field: "hold", Msg: "want seconds, at most a year"}
		}
		d.Hold = time.Duration(*in.Hold) * time.Second
	}
	return nil
}

func (a *API) createOffer(c *call) (any, error) {
	var in OfferDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.State != nil {
		return nil, &activitypub.InvalidError{Field: "state", Msg: "a new offer is open"}
	}
	var d activitypub.OfferDraft
	if err := in.apply(&d); err != nil {
		return nil, err
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		o, err := a.Node.PublishOffer(c.ctx, by, d)
		if err != nil {
			return nil, err
		}
		return a.offer(c, o)
	}, func(iri storage.IRI) (any, error) {
		o, err := a.DB.OfferByIRI(c.ctx, iri)
		if err != nil {
			return nil, err
		}
		return a.offer(c, o)
	})
}

func (a *API) updateOffer(c *call) (any, error) {
	var in OfferDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	o, err := a.shown(c)
	if err != nil {
		return nil, err
	}
	d := activitypub.DraftOf(o)
	if err := in.apply(&d); err != nil {
		return nil, err
	}
	state, edited := in.State, in != (OfferDraft{State: in.State})
	if state != nil && edited {
		return nil, &activitypub.InvalidError{Field: "state", Msg: "change the state by itself"}
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		var err error
		if edited {
			o, err = a.Node.EditOffer(c.ctx, by, o.ID, d)
		} else if state != nil {
			o, err = a.Node.SetOffer(c.ctx, by, o.ID, *state)
		} else {
			err = bad("Say what is to change.")
		}
		if err != nil {
			return nil, err
		}
		return a.offer(c, o)
	}, func(storage.IRI) (any, error) { return a.showOffer(c) })
}

// deleteOffer needs no key: what is deleted is deleted.
func (a *API) deleteOffer(c *call) (any, error) {
	o, err := a.shown(c)
	if err != nil {
		return nil, err
	}
	return Done{}, a.Node.DeleteOffer(c.ctx, c.by(), o.ID)
}
