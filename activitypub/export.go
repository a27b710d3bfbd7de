package activitypub

import (
	"context"
	"errors"
	"io"
	"strings"

	"planet/ledger"
	"planet/storage"
)

// contextExport makes the export of a co-op RDF: what is a plain word on the wire is a term of ValueFlows or OM2 there.
var contextExport = func() []any {
	terms := map[string]any{
		"action":  map[string]any{"@id": "vf:action", "@type": "@vocab"},
		"purpose": map[string]any{"@id": "vf:purpose", "@type": "@vocab"},
		"hasUnit": map[string]any{"@id": "om2:hasUnit", "@type": "@vocab"},
		"Measure": "om2:Measure", "note": "vf:note", "created": "vf:created", "work": "vf:work", "transfer": "vf:transfer", "deliverService": "vf:deliverService",
		"offer": "vf:offer", "request": "vf:request",
		"planet": namespace, "state": "planet:state", "paid": "planet:paid", "payment": map[string]any{"@id": "planet:payment", "@type": "@id"},
	}
	for _, unit := range []string{"one", "kilogram", "gram", "litre", "metre", "day", "hour", "minute", "second"} {
		terms[unit] = "om2:" + unit
	}
	return []any{activityStreams, contextValueFlows[2], terms}
}()

// exportPage is how many rows are read at a time.
const exportPage = 200

// ExportValueFlows writes what a co-op has offered and asked for, what was ordered of it and by it, what was delivered, what it paid and was paid, and what its people worked, as one
// JSON-LD document of ValueFlows 1.0 (https://www.valueflo.ws). It is for those whose role lets them take records out, and the audit log says that they did.
func (n *Node) ExportValueFlows(ctx context.Context, by By, w io.Writer) error {
	if err := n.Exported(ctx, by, "offers, orders, deliveries, payments and contributions, as ValueFlows"); err != nil {
		return err
	}
	e := &export{n: n, coop: by.Actor, w: w, actors: map[storage.ID]*storage.Actor{by.Actor.ID: by.Actor}, offers: map[storage.ID]*storage.Offer{}}
	if err := e.begin(); err != nil {
		return err
	}
	e.node(map[string]any{"id": by.Actor.IRI, "type": by.Actor.Type, "name": by.Actor.Name, "url": by.Actor.URL})
	if err := e.writeOffers(ctx); err != nil {
		return err
	}
	if err := e.writeOrders(ctx); err != nil {
		return err
	}
	if err := e.writePayments(ctx); err != nil {
		return err
	}
	hours, err := n.ContributionsToWire(ctx, by, by.Actor, storage.ContributionFilter{})
	if err != nil {
		return err
	}
	for _, h := range hours {
		e.node(h)
	}
	e.text("\n]}\n")
	return e.err
}

// WriteEvents writes the movements of a journal of a book of this node as EconomicEvents, in one JSON-LD document.
func (n *Node) WriteEvents(ctx context.Context, c *storage.Currency, j *ledger.Journal, w io.Writer) error {
	e := &export{n: n, w: w}
	if err := e.begin(); err != nil {
		return err
	}
	for _, m := range j.Movements {
		event, err := n.movementToWire(ctx, c, m.Transfer, m.At)
		if err != nil {
			return err
		}
		e.event(event)
	}
	e.text("\n]}\n")
	return e.err
}

// WriteEventsAbroad writes events that a ledger elsewhere told as one JSON-LD document.
func (n *Node) WriteEventsAbroad(events []map[string]any, w io.Writer) error {
	e := &export{n: n, w: w}
	if err := e.begin(); err != nil {
		return err
	}
	for _, event := range events {
		e.event(event)
	}
	e.text("\n]}\n")
	return e.err
}

// export is one document as it is written.
type export struct {
	n      *Node
	coop   *storage.Actor
	w      io.Writer
	some   bool
	err    error
	actors map[storage.ID]*storage.Actor
	offers map[storage.ID]*storage.Offer
}

func (e *export) begin() error {
	head, err := marshal(contextExport)
	e.text(`{"@context":` + string(head) + `,"@graph":[`)
	return err
}

func (e *export) text(s string) {
	if e.err == nil {
		_, e.err = io.WriteString(e.w, s)
	}
}

// event writes a payment's event, which is of one type for readers of ValueFlows.
func (e *export) event(m map[string]any) {
	m["type"] = "EconomicEvent"
	e.node(m)
}

// node writes one object of the graph.
func (e *export) node(m map[string]any) {
	delete(m, "@context")
	raw, err := marshal(m)
	if err != nil && e.err == nil {
		e.err = err
	}
	comma := ",\n"
	if !e.some {
		e.some, comma = true, "\n"
	}
	e.text(comma + string(raw))
}

func (e *export) writeOffers(ctx context.Context) error {
	return e.n.DB.EachOffer(ctx, e.coop.ID, exportPage, func(o *storage.Offer) error {
		doc, err := e.n.offerToWire(ctx, e.n.DB, o)
		if err != nil {
			return err
		}
		doc["state"] = o.State
		e.offers[o.ID] = o
		e.node(doc)
		return e.err
	})
}

func (e *export) writeOrders(ctx context.Context) error {
	return e.n.DB.EachOrder(ctx, e.coop.ID, exportPage, func(o *storage.Order) error {
		f, err := e.offer(ctx, o.OfferID)
		if err != nil {
			return err
		}
		var p parties
		if p.proposer, err = e.actor(ctx, o.ProposerID); err != nil {
			return err
		}
		if p.responder, err = e.actor(ctx, o.ResponderID); err != nil {
			return err
		}
		doc := e.n.agreementToWire(o, f, p)
		delete(doc, "url") // the link is a secret
		doc["state"] = o.State
		if o.IRI == "" { // what was asked for and never agreed upon
			doc = map[string]any{"id": o.AskIRI, "type": "Offer", "actor": p.responder.IRI, "to": []any{p.proposer.IRI}, "published": wireTime(o.CreatedAt), "object": doc, "state": o.State}
		}
		e.node(doc)
		return e.delivery(ctx, o, f, p)
	})
}

// writePayments writes the EconomicEvent of each payment that the co-op made or got, newest first, wherever its book is kept.
func (e *export) writePayments(ctx context.Context) error {
	books := map[storage.IRI]*Money{}
	for before := storage.ID(0); ; {
		ps, err := e.n.DB.Payments(ctx, e.coop.IRI, before, exportPage)
		if err != nil || len(ps) == 0 {
			return errors.Join(err, e.err)
		}
		for i := range ps {
			p := &ps[i]
			before = p.ID
			if p.State != storage.PaymentCommitted || p.Event == "" {
				continue
			}
			m := books[p.Currency]
			if m == nil {
				if m, err = e.n.moneyOf(ctx, e.n.DB, p); err != nil {
					return err
				}
				books[p.Currency] = m
			}
			corrects, err := e.n.corrected(ctx, e.n.DB, p)
			if err != nil {
				return err
			}
			e.event(eventToWire(p, m.Book, corrects))
		}
	}
}

// delivery writes the EconomicEvent of an order that was delivered.
func (e *export) delivery(ctx context.Context, o *storage.Order, f *storage.Offer, p parties) error {
	if o.State != storage.OrderFulfilled && o.State != storage.OrderConfirmed && o.State != storage.OrderDisputed {
		return e.err
	}
	steps, err := e.n.DB.OrderSteps(ctx, o.ID)
	if err != nil {
		return err
	}
	at := o.UpdatedAt
	for i := range steps {
		if s := &steps[i]; s.State == storage.OrderFulfilled || s.State == storage.OrderConfirmed {
			at = s.CreatedAt
			break
		}
	}
	gives, gets := p.proposer.IRI, p.responder.IRI
	if f.Purpose == storage.PurposeRequest {
		gives, gets = gets, gives
	}
	action := actionTransfer
	if f.Category == storage.Services {
		action = actionService
	}
	m := map[string]any{"id": e.coop.IRI + storage.IRI("#delivery-"+o.ID.String()), "type": "EconomicEvent", "action": action, "provider": gives, "receiver": gets,
		"fulfills": o.IRI + "#primary", "hasPointInTime": wireTime(at), "resourceQuantity": measureToWire(f.Unit, string(o.Quantity)), "state": o.State, "note": f.Title}
	if f.Resource != "" && strings.Contains(string(f.Resource), ":") {
		m["resourceConformsTo"] = f.Resource
	}
	e.node(m)
	return e.err
}

func (e *export) actor(ctx context.Context, id storage.ID) (*storage.Actor, error) {
	if a := e.actors[id]; a != nil {
		return a, nil
	}
	a, err := e.n.DB.ActorByID(ctx, id)
	if err == nil {
		e.actors[id] = a
	}
	return a, err
}

func (e *export) offer(ctx context.Context, id storage.ID) (*storage.Offer, error) {
	if o := e.offers[id]; o != nil {
		return o, nil
	}
	o, err := e.n.DB.OfferByID(ctx, id)
	if err == nil {
		e.offers[id] = o
	}
	return o, err
}
