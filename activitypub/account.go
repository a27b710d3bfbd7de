package activitypub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"planet/ledger"
	"planet/storage"
)

// statementPage is how many movements a page of a statement has.
const statementPage = 100

// accountAsked finds the account that a request names by currency and owner, for its owner alone: it has to be signed by herself, and not by the actor of her node.
func (n *Node) accountAsked(r *http.Request, by *reader, owner string) (*storage.Currency, ledger.Account, error) {
	if err := by.mustSign("an account is shown to its owner"); err != nil {
		return nil, ledger.Account{}, err
	}
	c, err := n.DB.CurrencyByIRI(r.Context(), storage.IRI(r.URL.Query().Get("currency")))
	if err != nil {
		return nil, ledger.Account{}, err
	}
	a, err := n.DB.Account(r.Context(), c, by.actor.IRI)
	if err == nil && owner != string(by.actor.IRI) {
		err = storage.ErrNotFound
	}
	return c, a, err
}

// accountIRI is the address of an account in a book of this node.
func (n *Node) accountIRI(c *storage.Currency, owner string) string {
	return n.Origin + "/ledger/accounts?" + url.Values{"actor": {owner}, "currency": {c.Book.IRI}}.Encode()
}

// getAccount answers the owner of an account with it, as an EconomicResource: accountingQuantity is the balance, onhandQuantity what can be spent now. Both are signed decimals.
func (n *Node) getAccount(r *http.Request, by *reader) ([]byte, error) {
	c, a, err := n.accountAsked(r, by, r.URL.Query().Get("actor"))
	if err != nil {
		return nil, err
	}
	m := map[string]any{"@context": contextValueFlows, "id": n.accountIRI(c, a.Ref), "type": "EconomicResource", "primaryAccountable": a.Ref, "conformsTo": c.Book.IRI,
		"accountingQuantity": measureToWire("one", ledger.FormatAmount(a.Balance(), c.Book.Scale))}
	if s, bounded := a.Spendable(); bounded {
		m["onhandQuantity"] = measureToWire("one", ledger.FormatAmount(s, c.Book.Scale))
	}
	return encodePlain(m)
}

// getStatement answers the owner of an account with what moved on it after an entry (after, by its place in the book), oldest first (payments.md of the design, §6.12).
func (n *Node) getStatement(r *http.Request, by *reader) ([]byte, error) {
	q := r.URL.Query()
	c, a, err := n.accountAsked(r, by, q.Get("account"))
	if err != nil {
		return nil, err
	}
	after := int64(-1)
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < -1 {
			return nil, problem(http.StatusBadRequest, "after", "after is the place of an entry in the book, such as 17")
		}
	}
	s, err := n.DB.StatementAfter(r.Context(), a.ID, after)
	if err != nil {
		return nil, err
	}
	at := func(after int64) string {
		v := url.Values{"account": {a.Ref}, "currency": {c.Book.IRI}}
		if after >= 0 {
			v.Set("after", strconv.FormatInt(after, 10))
		}
		return n.Origin + "/ledger/statement?" + v.Encode()
	}
	m := map[string]any{"@context": contextValueFlows, "id": at(after), "type": "OrderedCollectionPage", "partOf": at(-1)}
	if len(s.Lines) > statementPage {
		s.Lines = s.Lines[:statementPage]
		m["next"] = at(int64(s.Lines[statementPage-1].Seq))
	}
	items := make([]any, 0, len(s.Lines))
	for _, l := range s.Lines {
		event, err := n.movementToWire(r.Context(), c, l.Transfer, l.At)
		if err != nil {
			return nil, err
		}
		items = append(items, event)
	}
	m["orderedItems"] = items
	return encodePlain(m)
}

// getMovement answers the parties of a movement that is no payment between people, or that is asked for by the id of its transfer, with its EconomicEvent.
func (n *Node) getMovement(r *http.Request, by *reader, id ledger.ID) ([]byte, error) {
	ctx := r.Context()
	t, _, err := n.DB.Transfer(ctx, id)
	var parties []storage.IRI
	var c *storage.Currency
	absent := errors.Is(err, storage.ErrNotFound)
	if err != nil && !absent {
		return nil, err
	}
	if !absent && t.State == ledger.Posted {
		for _, account := range []ledger.ID{t.Debit, t.Credit} {
			a, err := n.DB.AccountByID(ctx, account)
			if err != nil {
				return nil, err
			}
			parties = append(parties, storage.IRI(a.Ref))
		}
		if c, err = n.DB.CurrencyByUID(ctx, t.Currency); err != nil {
			return nil, err
		}
	}
	if err := mustBeAmong(by, parties); err != nil {
		return nil, err
	}
	at := t.ResolvedAt
	if at == 0 {
		at = t.At
	}
	m, err := n.movementToWire(ctx, c, id, at)
	if err != nil {
		return nil, err
	}
	m["@context"] = contextValueFlows
	return encodePlain(m)
}

// movementToWire is a movement of a book of this node as an EconomicEvent: that of its payment, or one under the id of the transfer.
func (n *Node) movementToWire(ctx context.Context, c *storage.Currency, id ledger.ID, at ledger.Instant) (map[string]any, error) {
	p, err := n.DB.PaymentByTransfer(ctx, id)
	if err == nil && p.State == storage.PaymentCommitted && p.Event != "" {
		corrects, err := n.corrected(ctx, n.DB, p)
		if err != nil {
			return nil, err
		}
		return eventToWire(p, c.Book, corrects), nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	t, _, err := n.DB.Transfer(ctx, id)
	if err != nil {
		return nil, err
	}
	m := map[string]any{"id": n.Origin + "/ledger/events/" + id.String(), "type": eventTypes, "attributedTo": n.Origin + "/ledger", "action": actionTransfer,
		"resourceConformsTo": c.Book.IRI, "resourceQuantity": measureToWire("one", ledger.FormatAmount(int64(t.Posted), c.Book.Scale)), "hasPointInTime": wireTime(time.Unix(0, int64(at)))}
	for key, account := range map[string]ledger.ID{"provider": t.Debit, "receiver": t.Credit} {
		a, err := n.DB.AccountByID(ctx, account)
		if err != nil {
			return nil, err
		}
		m[key] = a.Ref
	}
	return m, nil
}

// nameIn is what an export calls the owner of an account: her name here, name@host of one elsewhere, and of one that is nobody's, or of whom nothing is known, what it is called in the book.
func nameIn(ctx context.Context, db *storage.DB, book, owner string) (string, error) {
	a, err := db.ActorByIRI(ctx, storage.IRI(owner))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return strings.TrimPrefix(owner, book+"#"), nil
	case err != nil:
		return "", err
	case a.Local():
		return a.Username, nil
	}
	return a.Username + "@" + a.Domain, nil
}

// HolderOf is an account of a book of this node as an export names it.
func HolderOf(ctx context.Context, db *storage.DB, c *storage.Currency, a ledger.Account) (ledger.Holder, error) {
	name, err := nameIn(ctx, db, c.Book.IRI, a.Ref)
	return ledger.Holder{ID: a.ID, Ref: a.Ref, Name: name, Role: a.Role, OpenedAt: a.OpenedAt}, err
}

// StatementHere is a statement of a book of this node, and which payments of people its transfers are.
type StatementHere struct {
	ledger.Journal
	Payments map[ledger.ID]storage.ID
}

// Statement is what moved on an account of a book of this node from one moment to before another (zero: without end), with words and with those whom it names, in the order in which their accounts
// were opened. It has at most limit movements (0: all); more says that there are others. Who may see it is the caller's to ask.
func (n *Node) Statement(ctx context.Context, c *storage.Currency, account ledger.ID, from, to time.Time, limit int) (s *StatementHere, more bool, err error) {
	kept, more, err := n.DB.Statement(ctx, account, from, to, limit)
	if err != nil {
		return nil, false, err
	}
	s = &StatementHere{Journal: ledger.Journal{Currency: c.Book, Of: account, Opening: kept.Opening, Closing: kept.Closing, From: instantOf(from), To: instantOf(to)}, Payments: map[ledger.ID]storage.ID{}}
	seen := map[ledger.ID]bool{}
	name := func(id ledger.ID) error {
		if seen[id] {
			return nil
		}
		seen[id] = true
		a, err := n.DB.AccountByID(ctx, id)
		if err != nil {
			return err
		}
		h, err := HolderOf(ctx, n.DB, c, a)
		s.Holders = append(s.Holders, h)
		return err
	}
	if err := name(account); err != nil {
		return nil, false, err
	}
	for _, l := range kept.Lines {
		if err := name(l.Other); err != nil {
			return nil, false, err
		}
		v := ledger.Movement{Seq: l.Seq, At: l.At, Transfer: l.Transfer, Code: l.Code, Debit: l.Other, Credit: account, Amount: l.Change, CreditAfter: ledger.At(l.Balance)}
		if l.Change < 0 {
			v.Debit, v.Credit, v.Amount, v.DebitAfter, v.CreditAfter = account, l.Other, -l.Change, ledger.At(l.Balance), ledger.Bound{}
		}
		p, err := n.DB.PaymentByTransfer(ctx, l.Transfer)
		switch {
		case err == nil:
			v.Memo, s.Payments[l.Transfer] = p.Memo, p.ID
		case !errors.Is(err, storage.ErrNotFound):
			return nil, false, err
		}
		s.Movements = append(s.Movements, v)
	}
	SortHolders(s.Holders)
	return s, more, nil
}

// SortHolders puts accounts in the order in which they were opened.
func SortHolders(hs []ledger.Holder) {
	slices.SortFunc(hs, func(a, b ledger.Holder) int {
		return cmp.Or(cmp.Compare(a.OpenedAt, b.OpenedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
}

// instantOf is a moment as the ledger counts; 0 for none.
func instantOf(t time.Time) ledger.Instant {
	if t.IsZero() {
		return 0
	}
	return ledger.Instant(t.UnixNano())
}

// AccountAbroad is an account of an actor of this node in a book elsewhere, as its ledger tells it.
type AccountAbroad struct {
	Balance   int64  // minor units
	Spendable *int64 // nil: without end
}

// AskAccount asks a ledger elsewhere for the account of by.Actor, signed by herself.
func (n *Node) AskAccount(ctx context.Context, by By, m *Money) (*AccountAbroad, error) {
	if err := n.allowed(ctx, n.DB, by, "inside"); err != nil {
		return nil, err
	}
	address := string(m.Keeper) + "/accounts?" + url.Values{"actor": {string(by.Actor.IRI)}, "currency": {m.Book.IRI}}.Encode()
	o, err := n.askKeeper(ctx, by, m, address)
	if err != nil {
		return nil, err
	}
	if localName(o.kind(nil)) != "EconomicResource" || o.iri("primaryAccountable") != by.Actor.IRI || string(o.iri("conformsTo")) != m.Book.IRI {
		return nil, foulAccount(m, "says nothing about it")
	}
	var out AccountAbroad
	if out.Balance, err = signedAmount(o, "accountingQuantity", m.Book.Scale); err != nil {
		return nil, foulAccount(m, "says no balance")
	}
	if o["onhandQuantity"] != nil {
		v, err := signedAmount(o, "onhandQuantity", m.Book.Scale)
		if err != nil {
			return nil, foulAccount(m, "does not say what can be spent")
		}
		out.Spendable = &v
	}
	return &out, nil
}

func foulAccount(m *Money, why string) error {
	return problem(http.StatusBadGateway, "ledger", "the ledger of %s answered, but %s", m.Name(), why)
}

// askKeeper fetches a document of a ledger elsewhere as the one whom it concerns.
func (n *Node) askKeeper(ctx context.Context, by By, m *Money, address string) (object, error) {
	raw, err := n.Client.FetchDocument(ctx, address, n.signGetAs(by.Actor.ID))
	if fe := (*FetchError)(nil); errors.As(err, &fe) && (fe.Gone || fe.Status == http.StatusNotFound) {
		return nil, problem(http.StatusNotFound, codeNoAccount, "%s has no account in %s", by.Actor.Username, m.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("the ledger of %s: %w", m.Name(), err)
	}
	return terms(parseObject(raw)), nil
}

// signedAmount reads a measure that may be below zero.
func signedAmount(o object, key string, scale uint8) (int64, error) {
	number, _ := stringOf(o.flow(key)["hasNumericalValue"])
	digits, below := strings.CutPrefix(number, "-")
	if digits == ledger.FormatAmount(0, scale) {
		return 0, nil
	}
	v, err := ledger.ParseAmount(digits, scale)
	if below {
		v = -v
	}
	return int64(v), err
}

// StatementAbroad is a statement of a book elsewhere: for people and programs that count, and the events as its ledger tells them.
type StatementAbroad struct {
	ledger.Journal
	Events []map[string]any // of the movements, one each
}

// Between keeps what moved at or after from and before to (zero: without end).
func (s *StatementAbroad) Between(first, last time.Time) {
	from, to := instantOf(first), instantOf(last)
	var kept []map[string]any
	for i, m := range s.Movements {
		if (from == 0 || m.At >= from) && (to == 0 || m.At < to) {
			kept = append(kept, s.Events[i])
		}
	}
	s.Events = kept
	s.Journal.Between(from, to)
}

// maxStatementPages bounds what is fetched of one statement: a hundred thousand movements.
const maxStatementPages = 1000

// AskStatement fetches what moved on the account of by.Actor in a book elsewhere, oldest first, and the balance that its ledger tells: what moved has to come to that.
// The movements have the event's place in the statement as their seq, and ids of their own.
func (n *Node) AskStatement(ctx context.Context, by By, m *Money) (*StatementAbroad, error) {
	told, err := n.AskAccount(ctx, by, m)
	if err != nil {
		return nil, err
	}
	account := func(owner storage.IRI) ledger.ID { return ledger.NewID("account", m.Book.IRI, string(owner)) }
	own := by.Actor.IRI
	j := &StatementAbroad{Journal: ledger.Journal{Currency: m.Book, Of: account(own), Holders: []ledger.Holder{{ID: account(own), Ref: string(own)}}}}
	seen := map[storage.IRI]bool{own: true}
	events := map[storage.IRI]bool{}
	address := string(m.Keeper) + "/statement?" + url.Values{"account": {string(own)}, "currency": {m.Book.IRI}}.Encode()
	for range maxStatementPages {
		page, err := n.askKeeper(ctx, by, m, address)
		if err != nil {
			return nil, err
		}
		for _, event := range page.children("orderedItems") {
			e, err := readEvent(event)
			at, dated := terms(event).time("hasPointInTime")
			if err != nil || !dated || e.currency != storage.IRI(m.Book.IRI) || e.provider != own && e.receiver != own || event.id() == "" || events[event.id()] {
				return nil, foulAccount(m, "there is a movement in the statement that is none of this account")
			}
			events[event.id()] = true
			amount, err := ledger.ParseAmount(e.amount, m.Book.Scale)
			if err != nil {
				return nil, foulAccount(m, "there is a movement without an amount in the statement")
			}
			code, other := ledger.Payment, e.provider
			if e.corrects != "" {
				code = ledger.RefundCode
			}
			v := ledger.Movement{Seq: ledger.Seq(len(j.Movements)), At: ledger.Instant(at.UnixNano()), Transfer: ledger.NewID("event", string(event.id())), Code: code,
				Debit: account(e.provider), Credit: account(e.receiver), Amount: int64(amount)}
			if e.provider == own {
				other = e.receiver
				j.Closing -= int64(amount)
				v.DebitAfter = ledger.At(j.Closing)
			} else {
				j.Closing += int64(amount)
				v.CreditAfter = ledger.At(j.Closing)
			}
			if text, _ := terms(event).text("content"); text != "" {
				v.Memo, _ = cleanMemo(clip(plainText(text), maxMemoRunes))
			}
			if !seen[other] {
				seen[other] = true
				j.Holders = append(j.Holders, ledger.Holder{ID: account(other), Ref: string(other)})
			}
			j.Movements = append(j.Movements, v)
			told := map[string]any{}
			for key, raw := range event {
				told[key] = raw
			}
			j.Events = append(j.Events, told)
		}
		next := page.str("next")
		if next == "" {
			for i := range j.Holders {
				if j.Holders[i].Name, err = nameIn(ctx, n.DB, m.Book.IRI, j.Holders[i].Ref); err != nil {
					return nil, err
				}
			}
			if j.Closing != told.Balance {
				return nil, problem(http.StatusConflict, "ledger", "the statement of %s comes to %s and the balance is %s: something moved in between. Try again; if it stays so, write to whoever keeps the ledger",
					m.Name(), m.Book.Format(j.Closing), m.Book.Format(told.Balance))
			}
			return j, nil
		}
		if !sameOrigin(next, address) {
			return nil, foulAccount(m, "its statement goes on elsewhere")
		}
		address = next
	}
	return nil, foulAccount(m, "its statement has no end")
}
