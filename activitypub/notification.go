package activitypub

import (
	"context"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"

	"planet/ledger"
	"planet/storage"
)

// tell notifies actors of this node of what somebody did, but for those who do not want to hear of her, and, when she is
// silenced, those who do not follow her.
func (n *Node) tell(ctx context.Context, tx *storage.DB, told []storage.ID, kind string, from *storage.Actor, post storage.ID) error {
	for _, id := range told {
		if id == from.ID {
			continue
		}
		if deaf, err := tx.Deaf(ctx, id, from.ID); err != nil {
			return err
		} else if deaf {
			continue
		}
		if from.SilencedAt != nil {
			f, err := tx.FollowBetween(ctx, id, from.ID)
			if errors.Is(err, storage.ErrNotFound) || err == nil && f.State != storage.FollowAccepted {
				continue
			}
			if err != nil {
				return err
			}
		}
		if err := tx.Notify(ctx, &storage.Notification{ActorID: id, Kind: kind, FromID: from.ID, PostID: post}); err != nil {
			return err
		}
	}
	return nil
}

// news tells people of this node what happened to an order, a payment or a request: by a direct message of the node, which any app shows, and a notification beside it. It never leaves
// the node. What somebody was told before she is not told again.
func (n *Node) news(ctx context.Context, tx *storage.DB, told []storage.ID, what storage.Notification, topic, text, link string) error {
	told, err := tx.Untold(ctx, told, &what)
	if err != nil || len(told) == 0 {
		return err
	}
	p := &storage.Post{Type: "Note", ActorID: n.service.ID, Visibility: storage.Direct, PublishedAt: n.Now().UTC().Truncate(time.Second), Source: strings.TrimSpace(text + " " + link)}
	for _, id := range told {
		a, err := tx.ActorByID(ctx, id)
		if err != nil {
			return err
		}
		p.Mentions = append(p.Mentions, mentionOf(n, a))
	}
	p.Content = "<p>" + html.EscapeString(text)
	if link != "" {
		p.Content += ` <a href="` + html.EscapeString(link) + `" rel="nofollow noopener">` + html.EscapeString(link) + "</a>"
	}
	p.Content += "</p>"
	n.place(tx, p, n.service)
	p.Conversation = n.Origin + topic + "/news" // all that is told of one thing stands together
	if err := tx.AddMessage(ctx, p); err != nil {
		return err
	}
	for _, id := range told {
		one := what
		one.ActorID, one.PostID = id, p.ID
		if err := tx.Notify(ctx, &one); err != nil {
			return err
		}
	}
	return nil
}

// named is somebody in the middle of a sentence: her address without the first @, so that nobody else is mentioned by it.
func (n *Node) named(a *storage.Actor) string { return strings.TrimPrefix(a.Handle(n.Host), "@") }

// orderNews says to one side of an order what the other did, and where it goes on.
func (n *Node) orderNews(o *storage.Order, f *storage.Offer, told, from *storage.Actor) (text, link string) {
	who, what := n.named(from), SummaryOf(o, f)
	link = n.Origin + "/orders/" + o.ID.String()
	switch o.State {
	case storage.OrderProposed:
		if text = who + " orders " + what; f.Purpose == storage.PurposeRequest {
			text = who + " can bring " + what
		}
		if o.Note != "" {
			text += " (" + o.Note + ")"
		}
		return text + ". Accept or decline it by " + o.ExpiresAt.Format("2 January 2006") + ":", link
	case storage.OrderAccepted:
		switch {
		case told.ID == o.ProposerID:
			text = who + " has confirmed the order of " + what + "."
		case o.Agreed:
			text = who + " has accepted your order: " + what + "."
		default:
			text = who + " has accepted: " + what + ". Look at it, and confirm or cancel it, by " + o.ExpiresAt.Format("2 January 2006") + ":"
		}
	case storage.OrderFulfilled:
		text = who + " has delivered " + what + ". Please say whether all is well:"
	case storage.OrderConfirmed:
		text = who + " has received " + what + ". Thank you."
	case storage.OrderDisputed:
		text = who + " says that something is wrong with " + what + "."
	case storage.OrderExpired:
		text = "The time of the order of " + what + " with " + who + " is over. Nobody owes anything."
	case storage.OrderRejected:
		text = who + " has declined the order of " + what + "."
	default:
		text = who + " has cancelled the order of " + what + "."
	}
	if o.Words != "" {
		text += " “" + o.Words + "”"
	}
	return text, link
}

// paymentNews says to one side of a payment, or to who has proposed it or has to approve it, what became of it. kind is the notification's.
func (n *Node) paymentNews(kind string, p *storage.Payment, u ledger.Currency, told, from *storage.Actor) (text, link string) {
	who, amount := n.named(from), u.Format(int64(p.Amount))+" "+u.Code
	link = n.Origin + "/payments/" + p.ID.String()
	you, your := "you", "Your payment"
	if told.Type != storage.Person {
		you, your = told.Username, "The payment of "+told.Username
	}
	gets := p.Payee == told.IRI
	memo := ""
	if p.Memo != "" {
		memo = " for “" + p.Memo + "”"
	}
	switch state := strings.TrimPrefix(kind, "payment."); {
	case state == storage.PaymentCommitted && gets && p.RefundOf != nil:
		text = who + " has given " + you + " back " + amount + memo + "."
	case state == storage.PaymentCommitted && gets:
		text = who + " has paid " + you + " " + amount + memo + "."
	case state == storage.PaymentCommitted:
		text = your + " of " + amount + " to " + who + memo + " has gone through."
	case state == storage.PaymentHeld && gets:
		text = who + " holds " + amount + " for " + you + memo + " until " + p.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC") + ". Take it, or let it go:"
	case state == storage.PaymentHeld:
		text = amount + " is held for " + who + memo + " until " + p.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC") + "."
	case state == storage.PaymentRejected:
		text = your + " of " + amount + " to " + who + memo + " was refused: nothing was paid."
	case gets:
		text = "What " + who + " held for " + you + ", " + amount + memo + ", went back."
	default:
		text = your + " of " + amount + " to " + who + memo + " is " + state + ": nothing was paid."
	}
	if p.Words != "" && p.State != storage.PaymentCommitted {
		text += " " + p.Words
	}
	return text, link
}

// tellParty notifies one side of an order, when it is of this node, of what the other did: a co-op by itself and by those who look after its orders.
func (n *Node) tellParty(ctx context.Context, tx *storage.DB, told, from *storage.Actor, o *storage.Order) error {
	ids, err := n.hearersOf(ctx, tx, told, from)
	if err != nil || len(ids) == 0 {
		return err
	}
	f, err := tx.OfferByID(ctx, o.OfferID)
	if err != nil {
		return err
	}
	text, link := n.orderNews(o, f, told, from)
	return n.news(ctx, tx, ids, storage.Notification{Kind: "order." + o.State, FromID: from.ID, OrderID: o.ID}, "/orders/"+o.ID.String(), text, link)
}

// tellOfPayment notifies one side of a payment, when it is of this node. Whoever is not known here, or gone, is not told.
func (n *Node) tellOfPayment(ctx context.Context, tx *storage.DB, told, from *storage.Actor, p *storage.Payment, u ledger.Currency) error {
	if told == nil || from == nil {
		return nil
	}
	ids, err := n.hearersOf(ctx, tx, told, from)
	if err != nil || len(ids) == 0 {
		return err
	}
	kind := "payment." + p.State
	text, link := n.paymentNews(kind, p, u, told, from)
	return n.newsOfPayment(ctx, tx, ids, kind, from.ID, p, text, link)
}

func (n *Node) newsOfPayment(ctx context.Context, tx *storage.DB, told []storage.ID, kind string, from storage.ID, p *storage.Payment, text, link string) error {
	return n.news(ctx, tx, told, storage.Notification{Kind: kind, FromID: from, PaymentID: p.ID, OrderID: p.OrderID}, "/payments/"+p.ID.String(), text, link)
}

// askSecond tells those who can approve a payment that it waits for one of them.
func (n *Node) askSecond(ctx context.Context, tx *storage.DB, told []storage.ID, by By, p *storage.Payment, m *Money) error {
	whom := string(p.Payee)
	if a, err := tx.ActorByIRI(ctx, p.Payee); err == nil {
		whom = n.named(a)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	who := "Somebody"
	if by.User != nil {
		who = by.User.Username
	}
	text := fmt.Sprintf("%s wants %s to pay %s %s to %s", who, by.Actor.Username, m.Book.Format(int64(p.Amount)), m.Name(), whom)
	if p.Memo != "" {
		text += " for “" + p.Memo + "”"
	}
	return n.newsOfPayment(ctx, tx, told, "payment."+p.State, by.Actor.ID, p, text+". It takes a second person: say yes or no by "+p.ExpiresAt.Format("2 January 2006")+":", n.Origin+"/payments/"+p.ID.String())
}

// tellProposer tells whoever proposed a payment what became of it.
func (n *Node) tellProposer(ctx context.Context, tx *storage.DB, p *storage.Payment, from storage.ID, kind string) error {
	if p.UserID == 0 {
		return nil
	}
	u, err := tx.UserByID(ctx, p.UserID)
	if err != nil {
		return err
	}
	m, err := n.moneyOf(ctx, tx, p)
	if err != nil {
		return err
	}
	text := "The payment of " + m.Book.Format(int64(p.Amount)) + " " + m.Name() + " that you have proposed was approved."
	if kind == "payment."+storage.PaymentRefused {
		text = strings.TrimSpace("The payment of " + m.Book.Format(int64(p.Amount)) + " " + m.Name() + " that you have proposed was not approved. " + p.Words)
	}
	return n.newsOfPayment(ctx, tx, []storage.ID{u.ActorID}, kind, from, p, text, n.Origin+"/payments/"+p.ID.String())
}
