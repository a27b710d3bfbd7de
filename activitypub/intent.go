package activitypub

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"planet/ledger"
	"planet/storage"
)

// intentLife is how long somebody may look at what a payment would do before she makes it.
const intentLife = 10 * time.Minute

// Intent is what would come of a payment. Nothing has moved, and nothing is kept: what it says may be another tomorrow.
type Intent struct {
	Order    PayOrder
	Amount   ledger.Amount
	Levy     ledger.Amount // that the payer gives on top
	Balance  *int64        // of the payer afterwards; nil when nobody can say
	Left     *int64        // what she can spend then; nil: without end, or nobody can say
	Second   bool          // it will wait for a second person
	Hold     time.Duration // 0: it is paid at once
	Code     string        // why its ledger would refuse it, as on the wire; "" when nothing speaks against it
	Words    string        // likewise, for people
	Warnings []string      // what to look at before it is made
	Expires  time.Time
}

// Intend says what Pay would do. A refusal of the ledger's is in the Intent; what cannot even be asked is an error as of Pay.
func (n *Node) Intend(ctx context.Context, by By, o PayOrder) (*Intent, error) {
	t, err := n.tenderOf(ctx, by, o)
	if err != nil {
		return nil, err
	}
	t.by = &by
	i := &Intent{Order: o, Amount: t.row.Amount, Hold: o.Hold, Expires: n.Now().Add(intentLife).UTC().Truncate(time.Second)}
	if t.row.Hold != 0 {
		due := n.Now().Add(time.Duration(t.row.Hold) * time.Second).UTC()
		t.row.ExpiresAt = &due
	}
	i.Warnings = n.warnings(o.To)
	if twin, err := n.Twin(ctx, &t.row); err != nil {
		return nil, err
	} else if twin != nil {
		i.Warnings = append(i.Warnings, "The same was paid a moment ago: this would be a second time.")
	}
	if t.money.Here == nil {
		return i, n.intendAbroad(ctx, by, t, i)
	}
	return i, n.intendHere(ctx, t, i)
}

// intendHere asks a ledger of this node.
func (n *Node) intendHere(ctx context.Context, t *tender, i *Intent) error {
	if t.row.Fulfills != "" && t.row.OrderID == 0 {
		if err := n.checkClaim(ctx, t); err != nil {
			return err
		}
	}
	if t.code != "" {
		i.Code, i.Words = t.code, t.words
		return nil
	}
	if t.money.Here.Frozen != "" {
		return fmt.Errorf("%w: %s", storage.ErrFrozen, t.money.Here.Frozen)
	}
	payer, payee, err := n.accountsOf(ctx, t.money.Here, t.payer.IRI, t.row.Payee)
	if err != nil {
		return err
	}
	row := t.row
	group, err := n.groupOf(t, &row, payer, payee, ledger.Digest{})
	if err != nil {
		return err
	}
	var refused *refusedBefore
	switch err := n.mayPay(ctx, n.DB, t, payer.id, payee.id); {
	case errors.Is(err, errSecond):
		i.Second = true
	case errors.As(err, &refused):
		i.Code, i.Words = refused.code, refused.words
		return nil
	case err != nil:
		return err
	}
	res, after, err := n.DB.Preview(ctx, group)
	if err != nil {
		return err
	}
	if !res.Code.OK() {
		i.Code, i.Words = CodeOf(res), refusalWords(res, t.money.Book)
		return nil
	}
	for _, a := range after.Accounts {
		if a.ID == payer.id {
			balance := a.Balance()
			i.Balance = &balance
			if left, bounded := a.Spendable(); bounded {
				i.Left = &left
			}
		}
	}
	if row.Code == ledger.Payment.String() {
		i.Levy = t.money.Book.LevyOf(t.row.Amount)
	}
	return nil
}

// intendAbroad asks a ledger elsewhere for the balance. Whether it would take the payment it says when it has it.
func (n *Node) intendAbroad(ctx context.Context, by By, t *tender, i *Intent) error {
	if err := n.allowedAmount(ctx, n.DB, by, t.act, t.money, t.row.Amount); err != nil {
		return err
	}
	if err := n.takesSecond(ctx, n.DB, by, t); errors.Is(err, errSecond) {
		i.Second = true
	} else if err != nil {
		return err
	}
	var told *Problem
	a, err := n.AskAccount(ctx, by, t.money)
	if errors.As(err, &told) && told.Code == codeNoAccount {
		i.Code, i.Words = codeNoAccount, told.Detail+"."
		return nil
	}
	if fe := (*FetchError)(nil); errors.As(err, &fe) {
		i.Warnings = append(i.Warnings, "The ledger of "+t.money.Name()+" does not answer now: the payment waits for it, and is given up if it does not come back in time.")
		return nil
	}
	if err != nil {
		return err
	}
	balance := a.Balance
	if t.row.Hold == 0 {
		balance -= int64(t.row.Amount)
	}
	if i.Balance = &balance; a.Spendable == nil {
		return nil
	}
	left := *a.Spendable - int64(t.row.Amount)
	if i.Left = &left; left < 0 {
		i.Code, i.Words = codeCreditLimit, fmt.Sprintf("You can spend %s in %s at the moment. Pay less, or ask the co-op of the currency for another limit.", t.money.Book.Format(*a.Spendable), t.money.Name())
	}
	return nil
}

// warnings are what should be looked at before somebody is paid: whether she is who she seems to be (security.md PAY 294).
func (n *Node) warnings(to *storage.Actor) (out []string) {
	if host, err := idna.ToUnicode(to.Domain); err == nil && strings.Contains(to.Domain, "xn--") {
		out = append(out, fmt.Sprintf("The server of the payee is %s, which looks like %s: be sure that it is the one that you mean.", to.Domain, host))
	}
	if strings.ContainsFunc(to.Username, func(r rune) bool { return r > 127 }) {
		out = append(out, fmt.Sprintf("The name of the payee has letters that look like others: she is %s.", to.IRI))
	}
	if strings.ContainsAny(to.Name, "@＠") {
		out = append(out, fmt.Sprintf("The payee calls herself by what looks like an address; her own is %s.", to.Handle(n.Host)))
	}
	return out
}

// promised is what an Intent is held to when the payment is made.
type promised struct {
	Actor    storage.ID    `json:"a"`
	Order    storage.ID    `json:"o,omitempty"`
	To       storage.IRI   `json:"t"`
	Currency string        `json:"c"`
	Amount   string        `json:"v"` // as typed
	Memo     string        `json:"m,omitempty"`
	Fulfills storage.IRI   `json:"f,omitempty"`
	Hold     time.Duration `json:"h,omitempty"`
	Levy     ledger.Amount `json:"l,omitempty"`
	Second   bool          `json:"s,omitempty"`
	Expires  int64         `json:"e"`
}

// SealIntent writes an Intent down for whoever it is for. It is sealed: nobody else can make one, or change it.
func (n *Node) SealIntent(by By, i *Intent) string {
	p := promised{Actor: by.Actor.ID, To: i.Order.To.IRI, Currency: i.Order.Currency.Book.IRI, Amount: i.Order.Amount, Memo: i.Order.Memo, Fulfills: i.Order.Fulfills, Hold: i.Order.Hold,
		Levy: i.Levy, Second: i.Second, Expires: i.Expires.Unix()}
	if i.Order.Order != nil {
		p.Order = i.Order.Order.ID
	}
	raw, _ := json.Marshal(p) // of plain fields: it cannot fail
	body := base64.RawURLEncoding.EncodeToString(raw)
	return body + "." + hex.EncodeToString(n.digest("intent", body)[:16])
}

// PayIntent pays as an Intent said. What would be otherwise by now is a Problem of status 409, and moves nothing; what was paid under the key is found again.
func (n *Node) PayIntent(ctx context.Context, by By, sealed, key string) (*storage.Payment, error) {
	body, mac, _ := strings.Cut(sealed, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var p promised
	if err != nil || !hmac.Equal([]byte(mac), []byte(hex.EncodeToString(n.digest("intent", body)[:16]))) || json.Unmarshal(raw, &p) != nil || p.Actor != by.Actor.ID {
		return nil, invalid("intent", "this is no intent of yours: ask for a new one")
	}
	o := PayOrder{Amount: p.Amount, Memo: p.Memo, Fulfills: p.Fulfills, Hold: p.Hold, Key: key}
	if o.Currency, err = n.Money(ctx, p.Currency); err != nil {
		return nil, err
	}
	if o.To, err = n.actor(ctx, p.To); err != nil {
		return nil, err
	}
	if p.Order != 0 {
		if o.Order, err = n.DB.OrderByID(ctx, p.Order); err != nil {
			return nil, err
		}
	}
	iri, _, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	if _, err := n.DB.PaymentByIRI(ctx, iri); err == nil {
		return n.Pay(ctx, by, o)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if n.Now().Unix() >= p.Expires {
		return nil, problem(409, codeExpired, "the intent has expired: ask for a new one, and look at it again")
	}
	now, err := n.Intend(ctx, by, o)
	switch {
	case err != nil:
		return nil, err
	case now.Code != "":
		return nil, problem(409, now.Code, "%s", now.Words)
	case now.Levy != p.Levy || now.Second != p.Second:
		return nil, problem(409, "intent_changed", "what the payment would do has changed since you looked: ask for a new intent, and look at it again")
	}
	return n.Pay(ctx, by, o)
}
