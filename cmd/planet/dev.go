package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

type devCmd struct {
	Keep    string `placeholder:"DIR" help:"Keep the data of both nodes in this directory and go on from there; without it they are thrown away at the end."`
	RyePort int    `hidden:"" default:"8080"`
	OakPort int    `hidden:"" default:"8081"`
}

func (devCmd) Help() string {
	return "Example: planet dev, then open the addresses that it prints."
}

// devPassword is known to everybody: planet dev listens on loopback alone.
const devPassword = "bread and roses"

// devNode is one of the two nodes with those who live there.
type devNode struct {
	*serving
	name         string
	coop, title  string
	does, place  string
	owner, other string // people; the first is the co-op's admin
}

// Run serves both nodes in one process, peoples them at the first start, and goes on until Ctrl-C.
func (cmd devCmd) Run(c *app) (err error) {
	dir := cmd.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "planet-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	log := slog.New(slog.DiscardHandler)
	if c.settings.sources["log"] != "default" {
		log = c.cfg.logger(c.stderr)
	}
	rye := &devNode{name: "rye", coop: "bakery", title: "Rye Bakery", does: "We bake bread for the whole street.", place: "Reus", owner: "ana", other: "bo"}
	oak := &devNode{name: "oak", coop: "mill", title: "Oak Mill", does: "We mill grain from twelve farms.", place: "Valls", owner: "cleo", other: "dag"}
	g, ctx := errgroup.WithContext(c.ctx)
	for _, n := range []*devNode{rye, oak} {
		port := cmd.RyePort
		if n == oak {
			port = cmd.OakPort
		}
		cfg := *c.cfg
		cfg.Origin = fmt.Sprintf("http://%s.localhost:%d", n.name, port)
		cfg.Listen = fmt.Sprintf("127.0.0.1:%d", port)
		cfg.Data = filepath.Join(dir, n.name)
		cfg.Database = filepath.Join(cfg.Data, "planet.db")
		cfg.Federation = activitypub.FederationOpen // they are here to speak with each other
		if n.serving, err = c.start(&cfg, log); err != nil {
			return err
		}
		defer n.close()
	}
	for _, n := range []*devNode{rye, oak} {
		g.Go(func() error { return n.run(ctx) })
	}
	g.Go(func() error {
		if err := settle(ctx, rye, oak); err != nil {
			return err
		}
		c.say("Two nodes that know each other; Ctrl-C ends them.")
		t := c.table("ADDRESS", "CO-OP", "PEOPLE")
		for _, n := range []*devNode{rye, oak} {
			t.row(n.cfg.Origin, n.cfg.Origin+"/@"+n.coop, n.owner+" (owner, admin of "+n.coop+"), "+n.other)
		}
		if err := t.flush(); err != nil {
			return err
		}
		c.say("Everybody's password: %s", devPassword)
		return c.tellTale(ctx, rye, oak)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	c.say("stopped")
	return nil
}

// settle peoples two fresh nodes: they follow each other and speak. On nodes that were kept it does nothing.
func settle(ctx context.Context, rye, oak *devNode) error {
	for _, n := range []*devNode{rye, oak} {
		if _, err := n.db.UserByName(ctx, n.owner); err == nil {
			return nil
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		for _, name := range []string{n.owner, n.other} {
			role := storage.NodeUser
			if name == n.owner {
				role = storage.NodeOwner
			}
			if _, _, err := n.node.CreatePerson(ctx, activitypub.NewUser{Username: name, Password: devPassword, Role: role}); err != nil {
				return err
			}
		}
		owner, err := n.db.UserByName(ctx, n.owner)
		if err != nil {
			return err
		}
		if _, err := n.node.FoundCoop(ctx, owner, activitypub.NewCoop{Username: n.coop, Title: n.title, Summary: n.does, Place: n.place}); err != nil {
			return err
		}
		other, err := n.db.UserByName(ctx, n.other)
		if err != nil {
			return err
		}
		coop, err := n.db.LocalActor(ctx, n.coop)
		if err != nil {
			return err
		}
		if err := n.node.GiveRole(ctx, activitypub.By{User: owner, Actor: coop}, other, storage.RoleMember); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		from *devNode
		who  string
		to   *devNode
		whom string
	}{
		{rye, rye.coop, oak, oak.coop},
		{oak, oak.coop, rye, rye.coop},
		{rye, rye.owner, oak, oak.owner},
		{oak, oak.other, rye, rye.coop},
	} {
		if err := f.from.follow(ctx, f.who, f.to, f.whom); err != nil {
			return err
		}
	}
	offer, err := rye.publish(ctx, rye.coop, "Fresh rye loaves from eight o'clock. #bread", "")
	if err != nil {
		return err
	}
	if err := oak.await(ctx, "the bakery's post", oak.has(offer.IRI)); err != nil {
		return err
	}
	reply, err := oak.publish(ctx, oak.coop, fmt.Sprintf("@%s@%s we bring the flour at six.", rye.coop, rye.node.Host), offer.IRI)
	if err != nil {
		return err
	}
	if err := rye.await(ctx, "the mill's reply", rye.has(reply.IRI)); err != nil {
		return err
	}
	if err := rye.trade(ctx); err != nil {
		return err
	}
	placed, err := order(ctx, rye, oak)
	if err != nil {
		return err
	}
	if err := pay(ctx, rye, oak, placed); err != nil {
		return err
	}
	_, err = oak.publish(ctx, oak.owner, "The mill is open to visitors on Saturday.", "")
	return err
}

// devCurrency is the currency of the first node's co-op.
const devCurrency = "GRN"

// trade founds a currency, in which the owner buys two loaves.
func (n *devNode) trade(ctx context.Context) error {
	coop, err := n.db.LocalActor(ctx, n.coop)
	if err != nil {
		return err
	}
	owner, err := n.db.LocalActor(ctx, n.owner)
	if err != nil {
		return err
	}
	by := activitypub.By{Actor: coop}
	c, err := n.node.FoundCurrency(ctx, by, activitypub.NewCurrency{Code: devCurrency, Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		return err
	}
	if _, err := n.node.OpenAccount(ctx, by, c, owner); err != nil {
		return err
	}
	_, err = n.node.Pay(ctx, activitypub.By{Actor: owner}, activitypub.PayOrder{Currency: activitypub.MoneyHere(c), To: coop, Amount: "6.00", Memo: "two rye loaves"})
	return err
}

// order lets the first co-op offer loaves for its currency; the other one finds them in its market and orders two, which the first one accepts.
func order(ctx context.Context, rye, oak *devNode) (*storage.Order, error) {
	bakery, err := rye.db.LocalActor(ctx, rye.coop)
	if err != nil {
		return nil, err
	}
	mill, err := oak.db.LocalActor(ctx, oak.coop)
	if err != nil {
		return nil, err
	}
	_, err = rye.node.PublishOffer(ctx, activitypub.By{Actor: bakery}, activitypub.OfferDraft{Title: "Rye loaf", Text: "Baked on Fridays, with flour from Oak Mill.", Language: "en",
		Price: "3.00", Currency: devCurrency, Quantity: "20", Place: rye.place, Tags: []string{"bread"}})
	if err != nil {
		return nil, fmt.Errorf("%s offers: %w", rye.coop, err)
	}
	var seen *storage.Offer
	err = oak.await(ctx, "the bakery's offer", func() (bool, error) {
		found, err := oak.node.SearchMarket(ctx, activitypub.MarketQuery{Text: "rye loaf"})
		if err == nil && len(found) > 0 {
			seen = &found[0]
		}
		return seen != nil, err
	})
	if err != nil {
		return nil, err
	}
	placed, err := oak.node.PlaceOrder(ctx, activitypub.By{Actor: mill}, activitypub.OrderDraft{Offer: seen, Quantity: "2", Note: "for the visitors on Saturday"})
	if err != nil {
		return nil, fmt.Errorf("%s orders: %w", oak.coop, err)
	}
	var here *storage.Order
	err = rye.await(ctx, "the mill's order", func() (bool, error) {
		here, err = rye.db.OrderByAsk(ctx, placed.AskIRI)
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	if _, err := rye.node.MoveOrder(ctx, activitypub.By{Actor: bakery}, here.ID, "accept", ""); err != nil {
		return nil, fmt.Errorf("%s accepts: %w", rye.coop, err)
	}
	err = oak.await(ctx, "the bakery's answer", func() (bool, error) {
		now, err := oak.db.OrderByID(ctx, placed.ID)
		return err == nil && now.State == storage.OrderAccepted, err
	})
	return placed, err
}

// pay lets the mill get an account in the bakery's currency and pay its order with it, keep the receipt, and be given half of it back.
func pay(ctx context.Context, rye, oak *devNode, order *storage.Order) error {
	bakery, err := rye.db.LocalActor(ctx, rye.coop)
	if err != nil {
		return err
	}
	mill, err := oak.db.LocalActor(ctx, oak.coop)
	if err != nil {
		return err
	}
	c, err := rye.node.Currency(ctx, devCurrency)
	if err != nil {
		return err
	}
	member, err := rye.node.Resolve(ctx, string(mill.IRI))
	if err != nil {
		return err
	}
	if _, err := rye.node.OpenAccount(ctx, activitypub.By{Actor: bakery}, c, member); err != nil {
		return err
	}
	m, err := oak.node.Money(ctx, c.Book.IRI)
	if err != nil {
		return err
	}
	to, err := oak.node.Resolve(ctx, string(bakery.IRI))
	if err != nil {
		return err
	}
	p, err := oak.node.Pay(ctx, activitypub.By{Actor: mill}, activitypub.PayOrder{Currency: m, To: to, Amount: "6.00", Memo: "two rye loaves for the visitors", Order: order})
	if err != nil {
		return fmt.Errorf("%s pays: %w", oak.coop, err)
	}
	err = oak.await(ctx, "the receipt of the payment", func() (bool, error) {
		if p, err = oak.db.PaymentByID(ctx, p.ID); err == nil && p.State == storage.PaymentRejected {
			err = errors.New(p.Words)
		}
		return err == nil && p.State == storage.PaymentCommitted && p.Receipt != nil, err
	})
	if err != nil {
		return err
	}
	here, err := rye.db.PaymentByIRI(ctx, p.IRI)
	if err != nil {
		return err
	}
	if _, err := rye.node.RefundPayment(ctx, activitypub.By{Actor: bakery}, here.ID, "3.00", "one loaf was burnt", ""); err != nil {
		return fmt.Errorf("%s gives back: %w", rye.coop, err)
	}
	return oak.await(ctx, "the refund", func() (bool, error) {
		ps, err := oak.db.Payments(ctx, mill.IRI, 0, 1)
		return err == nil && len(ps) == 1 && ps[0].RefundOf != nil && ps[0].State == storage.PaymentCommitted, err
	})
}

// follow lets one of our actors follow one of the other node's, and waits until that one has said yes.
func (n *devNode) follow(ctx context.Context, who string, to *devNode, whom string) error {
	a, err := n.db.LocalActor(ctx, who)
	if err != nil {
		return err
	}
	f, err := n.node.Follow(ctx, activitypub.By{Actor: a}, "@"+whom+"@"+to.node.Host)
	if err != nil {
		return fmt.Errorf("%s follows %s: %w", who, whom, err)
	}
	return n.await(ctx, who+" following "+whom, func() (bool, error) {
		now, err := n.db.FollowBetween(ctx, f.ActorID, f.TargetID)
		return err == nil && now.State == storage.FollowAccepted, err
	})
}

func (n *devNode) publish(ctx context.Context, who, text string, inReplyTo storage.IRI) (*storage.Post, error) {
	a, err := n.db.LocalActor(ctx, who)
	if err != nil {
		return nil, err
	}
	p, err := n.node.Publish(ctx, activitypub.By{Actor: a}, activitypub.Draft{Text: text, Language: "en", InReplyTo: inReplyTo})
	if err != nil {
		return nil, fmt.Errorf("%s speaks: %w", who, err)
	}
	return p, nil
}

// has asks whether a post has come here.
func (n *devNode) has(iri storage.IRI) func() (bool, error) {
	return func() (bool, error) {
		_, err := n.db.PostByIRI(context.Background(), iri)
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
}

// await asks again and again until something has arrived here; half a minute is a hundred times what it takes.
func (n *devNode) await(ctx context.Context, what string, arrived func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if ok, err := arrived(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s did not arrive at %s", what, n.cfg.Origin)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tellTale prints what the two co-ops said, as the first node has it.
func (c *app) tellTale(ctx context.Context, rye, oak *devNode) error {
	coop, err := rye.db.LocalActor(ctx, rye.coop)
	if err != nil {
		return err
	}
	posts, err := rye.db.HomeTimeline(ctx, coop.ID, storage.Page{Limit: 10})
	if err != nil {
		return err
	}
	c.say("What %s sees:", rye.coop)
	for i := len(posts) - 1; i >= 0; i-- {
		p := posts[i]
		author, err := rye.db.ActorByID(ctx, p.ActorID)
		if err != nil {
			return err
		}
		answer := ""
		if p.InReplyTo != "" {
			answer = " (an answer)"
		}
		c.say("  %s%s: %s", author.Handle(rye.node.Host), answer, p.URL)
	}
	cur, err := rye.node.Currency(ctx, devCurrency)
	if errors.Is(err, storage.ErrNotFound) { // kept from before there was money
		return nil
	} else if err != nil {
		return err
	}
	paid, err := rye.db.Payments(ctx, coop.IRI, 0, 5)
	if err != nil {
		return err
	}
	c.say("In %s's currency, %s:", rye.coop, cur.Book.IRI)
	for i := range paid {
		p := &paid[i]
		verb := "paid"
		if p.RefundOf != nil {
			verb = "gave back"
		}
		c.say("  %s %s %s to %s: %s (%s)", c.nameOf(rye.db, p.Payer), verb, money(cur.Book, int64(p.Amount)), c.nameOf(rye.db, p.Payee), p.Memo, p.State)
	}
	mill, err := oak.db.LocalActor(ctx, oak.coop)
	if err != nil {
		return err
	}
	kept, err := oak.db.Payments(ctx, mill.IRI, 0, 5)
	if err != nil {
		return err
	}
	c.say("At %s, where %s has the receipts:", oak.node.Host, oak.coop)
	for i := range kept {
		receipt := "no receipt yet"
		if kept[i].Receipt != nil {
			receipt = "with its receipt"
		}
		c.say("  %s of %s (%s, %s)", money(cur.Book, int64(kept[i].Amount)), c.nameOf(oak.db, kept[i].Payer), kept[i].State, receipt)
	}
	return c.tellOrders(ctx, rye, oak)
}

// tellOrders prints what the first co-op offers, and how its orders stand on both nodes.
func (c *app) tellOrders(ctx context.Context, rye, oak *devNode) error {
	coop, err := rye.db.LocalActor(ctx, rye.coop)
	if err != nil {
		return err
	}
	orders, err := rye.db.Orders(ctx, coop.ID, nil, storage.Page{Limit: 5})
	if err != nil {
		return err
	}
	for i := range orders {
		o := &orders[i]
		offer, err := rye.db.OfferByID(ctx, o.OfferID)
		if err != nil {
			return err
		}
		from, err := rye.db.ActorByID(ctx, o.ResponderID)
		if err != nil {
			return err
		}
		there := "not there yet"
		if other, err := oak.db.OrderByAsk(ctx, o.AskIRI); err == nil {
			there = other.State
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		c.say("%s ordered %s × %s (%s), %s here and %s at %s", from.Handle(rye.node.Host), o.Quantity, offer.Title, offer.URL, o.State, there, oak.node.Host)
	}
	return nil
}
