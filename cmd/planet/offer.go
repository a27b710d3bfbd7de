package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type offerCmd struct {
	Create offerCreateCmd `cmd:"" help:"Offer something, or ask for it."`
	List   offerListCmd   `cmd:"" help:"List what is in the market of this node, or what one of its actors offers."`
	Show   offerShowCmd   `cmd:"" help:"Show one offer, from here or elsewhere."`
	Edit   offerEditCmd   `cmd:"" help:"Change the terms of an offer."`
	Pause  offerPauseCmd  `cmd:"" help:"Take no orders for a while."`
	Open   offerOpenCmd   `cmd:"" help:"Take orders again."`
	Close  offerCloseCmd  `cmd:"" help:"Take no orders any more."`
	Delete offerDeleteCmd `cmd:"" help:"Take an offer back, wherever it was told."`
}

// offerEntry is an offer as --json prints one. Quantities are decimals in its unit.
type offerEntry struct {
	ID        storage.ID      `json:"id"`
	IRI       storage.IRI     `json:"iri"`
	URL       string          `json:"url"`
	Of        string          `json:"of"`
	Purpose   string          `json:"purpose"` // offer or request
	Title     string          `json:"title"`
	Text      string          `json:"text,omitempty"`
	Language  string          `json:"language,omitempty"`
	Category  string          `json:"category"`
	Tags      []string        `json:"tags,omitempty"`
	Images    []pictureEntry  `json:"images,omitempty"`
	Resource  storage.IRI     `json:"resource,omitempty"`
	Unit      string          `json:"unit"`
	Per       storage.Decimal `json:"per"`
	Minimum   storage.Decimal `json:"minimum"`
	Stock     storage.Decimal `json:"stock,omitempty"` // nothing: as much as anybody wants
	Available storage.Decimal `json:"available,omitempty"`
	Pricing   string          `json:"pricing"` // price, gift or open
	Price     string          `json:"price,omitempty"`
	Currency  storage.IRI     `json:"currency,omitempty"`
	Code      string          `json:"code,omitempty"` // of the currency
	Place     string          `json:"place,omitempty"`
	Latitude  *float64        `json:"latitude,omitempty"`
	Longitude *float64        `json:"longitude,omitempty"`
	Expires   *time.Time      `json:"expires,omitempty"`
	State     string          `json:"state"`
	Accepts   bool            `json:"auto_accept"`
	Orderable bool            `json:"orderable"`
	Hold      string          `json:"hold,omitempty"`
	Published time.Time       `json:"published"`
	Updated   time.Time       `json:"updated"`
}

// lots is so many lots of an offer in its unit.
func lots(o *storage.Offer, n int64) storage.Decimal {
	q, _ := o.Per.Times(n)
	return q
}

// offerEntry makes an entry of an offer; its pictures are those of its post, when that is here.
func (c *app) offerEntry(db *storage.DB, o *storage.Offer) (e offerEntry, err error) {
	e = offerEntry{ID: o.ID, IRI: o.IRI, URL: o.URL, Purpose: o.Purpose, Title: o.Title, Text: o.Source, Language: o.Language, Category: o.Category, Tags: o.Tags, Resource: o.Resource,
		Unit: o.Unit, Per: o.Per, Minimum: lots(o, o.Minimum), Pricing: o.Pricing, Currency: o.Currency, Code: o.CurrencyName, Place: o.Place, Latitude: o.Latitude, Longitude: o.Longitude,
		Expires: o.EndsAt, State: o.State, Accepts: o.AutoAccept, Orderable: o.Orderable, Published: o.PublishedAt, Updated: o.UpdatedAt}
	if o.Pricing == storage.PricePriced {
		e.Price = o.Money(o.Price)
	}
	if o.Stock != nil && o.Available != nil {
		e.Stock, e.Available = lots(o, *o.Stock), lots(o, *o.Available)
	}
	if o.HoldSeconds > 0 {
		e.Hold = (time.Duration(o.HoldSeconds) * time.Second).String()
	}
	if e.Text == "" {
		e.Text = activitypub.PlainText(o.Content)
	}
	if e.Of, err = c.handle(db, o.ActorID); err != nil {
		return e, err
	}
	pictures := o.Images
	if p, err := db.PostByID(c.ctx, o.PostID); err == nil && len(pictures) == 0 {
		pictures = p.Attachments
	} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return e, err
	}
	for _, a := range pictures {
		if a.Rel == "" {
			e.Images = append(e.Images, pictureEntry{a.MediaID, a.URL, a.MediaType, a.Name, a.Width, a.Height})
		}
	}
	return e, nil
}

// offerTerms are the flags of an offer. One that was not given is nil and leaves things as they are.
type offerTerms struct {
	Price      *string  `placeholder:"4.50" help:"What one lot costs, with --currency. Without a price it is a gift."`
	Currency   *string  `placeholder:"CODE" help:"A currency of this node, one of a state such as EUR, or the address of one elsewhere."`
	OpenPrice  *bool    `negatable:"" help:"Whoever orders says what it is worth to her."`
	Quantity   *string  `placeholder:"N" help:"How much there is, in the unit; without it as much as anybody wants."`
	Per        *string  `placeholder:"N" help:"How much of the unit is one lot, sold whole for the price: 1, or say 0.5."`
	Unit       *string  `help:"What is counted: one (pieces), kilogram, litre, hour, … as in OM2; kg and l are understood."`
	Min        *string  `placeholder:"N" help:"The least that one order takes, in the unit."`
	Place      *string  `help:"Where it is."`
	At         *string  `placeholder:"LAT,LON" help:"Where on the map, written --at=41.98,2.82."`
	Fuzz       *string  `placeholder:"1km" help:"How coarsely the point on the map is told: 1km (unless said), 10km or exact."`
	Expires    *string  `placeholder:"D" help:"When it ends: a span such as 36h or 14d, a date such as 2027-01-31, or never."`
	Category   *string  `placeholder:"goods" help:"goods (unless said) or services."`
	Tag        []string `sep:"none" placeholder:"T" help:"A tag by which it is found; say it for each."`
	Resource   *string  `placeholder:"IRI" help:"What it is, for programs: the address of a Wikidata item, say."`
	AutoAccept *bool    `negatable:"" help:"Orders that can be met are accepted at once."`
	Hold       *string  `placeholder:"14d" help:"How long an accepted order may wait to be delivered (14d unless said)."`
	Lang       *string  `placeholder:"L" help:"Language of title and text, such as ca."`
}

// apply writes the flags that were given into a draft.
func (t offerTerms) apply(d *activitypub.OfferDraft, now time.Time) error {
	for flag, field := range map[*string]*string{t.Price: &d.Price, t.Currency: &d.Currency, t.Quantity: &d.Quantity, t.Per: &d.Per, t.Unit: &d.Unit, t.Min: &d.Minimum, t.Place: &d.Place,
		t.Category: &d.Category, t.Lang: &d.Language, t.Resource: (*string)(&d.Resource)} {
		if flag != nil {
			*field = *flag
		}
	}
	switch {
	case t.OpenPrice != nil && *t.OpenPrice && t.Price == nil:
		d.OpenPrice, d.Price = true, ""
	case t.OpenPrice != nil:
		d.OpenPrice = *t.OpenPrice
	case t.Price != nil:
		d.OpenPrice = false
	}
	if d.Price == "" && !d.OpenPrice && t.Currency == nil {
		d.Currency = "" // a gift
	}
	if t.Quantity != nil {
		d.KeepStock = false
	}
	if t.AutoAccept != nil {
		d.AutoAccept = *t.AutoAccept
	}
	if t.Tag != nil {
		d.Tags = nil
		for _, tag := range t.Tag {
			if tag != "" {
				d.Tags = append(d.Tags, tag)
			}
		}
	}
	if t.Hold != nil {
		hold, ok := span(*t.Hold)
		if !ok {
			return usageError{fmt.Sprintf("--hold: want a span such as 36h or 14d, not %q", *t.Hold)}
		}
		d.Hold = hold
	}
	if t.Expires != nil {
		until, err := expiry(*t.Expires, now)
		if err != nil {
			return err
		}
		d.EndsAt = until
	}
	if t.At != nil {
		d.Latitude, d.Longitude, d.Fuzz = nil, nil, ""
		if *t.At != "" {
			lat, lon, err := point("at", *t.At)
			if err != nil {
				return err
			}
			d.Latitude, d.Longitude = &lat, &lon
		}
	}
	if t.Fuzz != nil {
		d.Fuzz = *t.Fuzz
	}
	return nil
}

// point reads a place on the map.
func point(flag, s string) (lat, lon float64, err error) {
	first, second, _ := strings.Cut(s, ",")
	lat, err = strconv.ParseFloat(strings.TrimSpace(first), 64)
	if err == nil {
		lon, err = strconv.ParseFloat(strings.TrimSpace(second), 64)
	}
	if err != nil {
		err = usageError{fmt.Sprintf("--%s: want latitude and longitude, as in --%s=41.98,2.82, not %q", flag, flag, s)}
	}
	return lat, lon, err
}

type offerCreateCmd struct {
	As      string `required:"" placeholder:"NAME" help:"The co-op or person that offers or asks."`
	Title   string `required:"" placeholder:"T" help:"What it is, in a few words."`
	Request bool   `help:"Something is asked for, not offered."`
	offerTerms
	images
	JSON bool   `help:"Print JSON."`
	Text string `arg:"" optional:"" help:"More about it; - reads it from standard input."`
}

func (offerCreateCmd) Help() string {
	return "Followers everywhere read it as a post, and other nodes put it into their market.\n\n" +
		"Example: planet offer create --as bakery --title \"Sourdough loaf\" --price 4.50 --currency EUR --quantity 20 --place Girona --tag bread \"Baked on Fridays\"\n" +
		"         planet offer create --as bakery --request --title \"Wood for the oven\" --unit kilogram --min 100"
}

func (cmd offerCreateCmd) Run(c *app) error {
	text, err := c.text(cmd.Text)
	if err != nil {
		return err
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		d := activitypub.OfferDraft{Request: cmd.Request, Title: cmd.Title, Text: text}
		if err := cmd.apply(&d, n.DB.Now()); err != nil {
			return err
		}
		pictures, undo, err := cmd.upload(c, n, by)
		if err != nil {
			return err
		}
		d.Media = pictures
		o, err := n.PublishOffer(c.ctx, by, d)
		if err != nil {
			undo()
			return refused(err)
		}
		if cmd.JSON {
			return c.offerJSON(n.DB, o)
		}
		verb := "offers"
		if cmd.Request {
			verb = "asks for"
		}
		c.say("%s %s %q, %s: %s%s", by.Actor.Username, verb, o.Title, activitypub.PriceOf(o), o.IRI, c.queued(n.DB))
		return nil
	})
}

func (c *app) offerJSON(db *storage.DB, o *storage.Offer) error {
	e, err := c.offerEntry(db, o)
	if err != nil {
		return err
	}
	return c.json(e)
}

// refused makes one line of a refusal in the market, with its word for scripts.
func refused(err error) error {
	var p *activitypub.Problem
	if errors.As(err, &p) {
		return fmt.Errorf("refused: %s (%s)", p.Detail, p.Code)
	}
	return noted(err)
}

type offerListCmd struct {
	As       string  `placeholder:"NAME" xor:"whose" help:"What this co-op or person of the node offers and asks for, instead of the market."`
	Coop     string  `placeholder:"HANDLE" xor:"whose" help:"In the market what this one offers, from here or elsewhere."`
	Search   string  `placeholder:"TEXT" help:"With these words, or words that begin so."`
	Request  bool    `help:"Only what is asked for."`
	Category string  `placeholder:"C" help:"Only goods, or only services."`
	Currency string  `placeholder:"CODE" help:"Only what costs something in this currency."`
	Most     string  `placeholder:"5.00" help:"A lot costs at most so much, or nothing."`
	Near     string  `placeholder:"LAT,LON" help:"Only near a point, written --near=41.98,2.82."`
	Within   float64 `placeholder:"KM" help:"How near, in kilometres (10 unless said)."`
	All      bool    `help:"With --as: what is paused or closed, too."`
	Limit    int     `default:"40" help:"How many at most, the newest first."`
	JSON     bool    `help:"Print JSON."`
}

func (offerListCmd) Help() string {
	return "The market has what is open here, and what others offer whom somebody here follows or whose server is known.\n\n" +
		"Example: planet offer list --search bread --near=41.98,2.82 --within 25\n         planet offer list --as bakery --all"
}

// query is what the flags ask the market for.
func (cmd offerListCmd) query(c *app, n *activitypub.Node) (q activitypub.MarketQuery, err error) {
	q = activitypub.MarketQuery{Text: cmd.Search, Category: cmd.Category, Currency: cmd.Currency, Most: cmd.Most, Within: cmd.Within, Page: storage.Page{Limit: cmd.Limit}}
	if cmd.Request {
		q.Purpose = storage.PurposeRequest
	}
	if cmd.Coop != "" {
		if q.Coop, err = c.owner(n, cmd.Coop); err != nil {
			return q, err
		}
	}
	if cmd.Near != "" {
		lat, lon, err := point("near", cmd.Near)
		if err != nil {
			return q, err
		}
		q.Near = &[2]float64{lat, lon}
	}
	return q, nil
}

func (cmd offerListCmd) Run(c *app) error {
	filtered := cmd.Search != "" || cmd.Request || cmd.Category != "" || cmd.Currency != "" || cmd.Most != "" || cmd.Near != ""
	switch {
	case cmd.Limit < 1 || cmd.Limit > 10_000:
		return usageError{"--limit: want 1 to 10000"}
	case cmd.All && cmd.As == "":
		return usageError{"--all goes with --as: the market has what is open"}
	case cmd.As != "" && filtered:
		return usageError{"--as lists all that one has: to search, use --coop"}
	case cmd.Within != 0 && cmd.Near == "":
		return usageError{"--within goes with --near"}
	case cmd.Category != "" && cmd.Category != storage.Goods && cmd.Category != storage.Services:
		return usageError{"--category: want goods or services"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		os, err := cmd.offers(c, n)
		if err != nil {
			return noted(err)
		}
		entries, t := []offerEntry{}, c.table("OFFER", "OF", "WHAT", "PRICE", "LEFT", "STATE", "ADDRESS")
		for i := range os {
			o := &os[i]
			e, err := c.offerEntry(n.DB, o)
			if err != nil {
				return err
			}
			entries = append(entries, e)
			title := short(o.Title)
			if o.Purpose == storage.PurposeRequest {
				title = "wanted: " + title
			}
			left := "any"
			if e.Available != "" {
				left = activitypub.WithUnit(e.Available, o.Unit)
			}
			t.row(e.ID.String(), e.Of, title, activitypub.PriceOf(o), left, o.State, string(o.IRI))
		}
		if cmd.JSON {
			return c.json(entries)
		}
		return t.flush()
	})
}

func (cmd offerListCmd) offers(c *app, n *activitypub.Node) ([]storage.Offer, error) {
	if cmd.As != "" {
		a, err := c.actor(n.DB, cmd.As)
		if err != nil {
			return nil, err
		}
		return n.DB.OffersOf(c.ctx, a.ID, cmd.All, storage.Page{Limit: cmd.Limit})
	}
	q, err := cmd.query(c, n)
	if err != nil {
		return nil, err
	}
	return n.SearchMarket(c.ctx, q)
}

type offerShowCmd struct {
	Offer string `arg:"" help:"The offer: its number here, or the address of it, its post or its page, here or elsewhere."`
	JSON  bool   `help:"Print JSON."`
}

func (offerShowCmd) Help() string {
	return "One that is not known here is fetched.\n\nExample: planet offer show https://oak.example/offers/117034567890"
}

func (cmd offerShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		o, err := c.offer(n, cmd.Offer)
		if err != nil {
			return err
		}
		e, err := c.offerEntry(n.DB, o)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		t := c.table(o.Purpose, e.ID.String())
		row := func(name, value string) {
			if value != "" {
				t.row(name, value)
			}
		}
		row("title", e.Title)
		row("of", e.Of)
		row("address", string(e.IRI))
		row("page", e.URL)
		row("price", activitypub.PriceOf(o))
		row("currency", string(e.Currency))
		if e.Available != "" {
			row("left", activitypub.WithUnit(e.Available, o.Unit)+" of "+activitypub.WithUnit(e.Stock, o.Unit))
		}
		row("sold by", activitypub.WithUnit(e.Per, o.Unit))
		row("at least", activitypub.WithUnit(e.Minimum, o.Unit))
		row("category", e.Category)
		row("tags", strings.Join(e.Tags, ", "))
		row("is a", string(e.Resource))
		row("place", e.Place)
		if e.Latitude != nil && e.Longitude != nil {
			row("on the map", fmt.Sprintf("%v, %v", *e.Latitude, *e.Longitude))
		}
		row("ends", stamp(e.Expires))
		row("state", e.State)
		switch {
		case !e.Orderable:
			row("orders", "its server takes none: write to its author, as its page says")
		case e.Accepts:
			row("orders", "are accepted at once")
		}
		row("published", stamp(&e.Published))
		row("text", e.Text)
		for _, i := range e.Images {
			t.row("picture", i.URL, i.Alt)
		}
		return t.flush()
	})
}

// offer finds an offer, here or elsewhere, by its number or by an address.
func (c *app) offer(n *activitypub.Node, name string) (*storage.Offer, error) {
	o, err := n.ResolveOffer(c.ctx, activitypub.By{}, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no offer %s", name)
	}
	return o, err
}

// onOffer is what a command is called with that changes an offer of this node.
type onOffer struct {
	Offer string `arg:"" help:"The offer: its number, or the address of it, its post or its page."`
}

// do runs f as whoever offers it.
func (cmd onOffer) do(c *app, f func(n *activitypub.Node, by activitypub.By, o *storage.Offer) error) error {
	return c.withNode(func(n *activitypub.Node) error {
		o, err := c.offer(n, cmd.Offer)
		if err != nil {
			return err
		}
		a, err := n.DB.ActorByID(c.ctx, o.ActorID)
		if err != nil {
			return err
		}
		if !a.Local() {
			return fmt.Errorf("%q is for %s to change, who is not of this node", o.Title, a.Handle(c.host()))
		}
		return refused(f(n, activitypub.By{Actor: a}, o))
	})
}

type offerEditCmd struct {
	onOffer
	Title *string `placeholder:"T" help:"What it is, in a few words."`
	offerTerms
	images
	NoImages bool    `name:"no-images" help:"It has no pictures any more."`
	JSON     bool    `help:"Print JSON."`
	Text     *string `arg:"" optional:"" help:"What is said about it from now on; - reads it from standard input."`
}

func (offerEditCmd) Help() string {
	return "What is not said stays; an empty word takes away: --price \"\" makes it a gift, --quantity \"\" gives as much as anybody wants. --quantity is\n" +
		"what is there for new orders; what was ordered stays ordered as it was. --tag and --image replace those that were there.\n\n" +
		"Example: planet offer edit 117034567890 --quantity 12 --price 4.80"
}

func (cmd offerEditCmd) Run(c *app) error {
	if cmd.NoImages && len(cmd.Image) > 0 {
		return usageError{"either --image or --no-images"}
	}
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, o *storage.Offer) error {
		d := activitypub.DraftOf(o)
		if err := cmd.apply(&d, n.DB.Now()); err != nil {
			return err
		}
		if cmd.Title != nil {
			d.Title = *cmd.Title
		}
		if cmd.Text != nil {
			text, err := c.text(*cmd.Text)
			if err != nil {
				return err
			}
			d.Text = text
		}
		pictures, undo, err := cmd.upload(c, n, by)
		if err != nil {
			return err
		}
		if d.Media = pictures; cmd.NoImages {
			d.Media = []storage.ID{}
		}
		if o, err = n.EditOffer(c.ctx, by, o.ID, d); err != nil {
			undo()
			return err
		}
		if cmd.JSON {
			return c.offerJSON(n.DB, o)
		}
		c.say("edited %q, %s: %s%s", o.Title, activitypub.PriceOf(o), o.IRI, c.queued(n.DB))
		return nil
	})
}

// set is what pause, open and close have in common.
func (cmd onOffer) set(c *app, state string) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, o *storage.Offer) error {
		o, err := n.SetOffer(c.ctx, by, o.ID, state)
		if err != nil {
			return err
		}
		c.say("%q is %s%s", o.Title, o.State, c.queued(n.DB))
		return nil
	})
}

type offerPauseCmd struct{ onOffer }

func (offerPauseCmd) Help() string {
	return "What was ordered stays ordered.\n\nExample: planet offer pause 117034567890"
}

func (cmd offerPauseCmd) Run(c *app) error { return cmd.set(c, storage.OfferPaused) }

type offerOpenCmd struct{ onOffer }

func (offerOpenCmd) Help() string { return "Example: planet offer open 117034567890" }

func (cmd offerOpenCmd) Run(c *app) error { return cmd.set(c, storage.OfferOpen) }

type offerCloseCmd struct{ onOffer }

func (offerCloseCmd) Help() string {
	return "What was ordered stays ordered; planet offer open opens it again.\n\nExample: planet offer close 117034567890"
}

func (cmd offerCloseCmd) Run(c *app) error { return cmd.set(c, storage.OfferClosed) }

type offerDeleteCmd struct{ onOffer }

func (offerDeleteCmd) Help() string {
	return "Its post goes with it. What was accepted stays accepted.\n\nExample: planet offer delete 117034567890"
}

func (cmd offerDeleteCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, o *storage.Offer) error {
		if err := n.DeleteOffer(c.ctx, by, o.ID); err != nil {
			return err
		}
		c.say("deleted %q%s", o.Title, c.queued(n.DB))
		return nil
	})
}
