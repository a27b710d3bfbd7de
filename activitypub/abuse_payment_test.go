package activitypub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// PAY: what others ask of a ledger of this node.

// counter is a scene whose co-op has a currency, in which ann, bob and bo, of the node, have accounts; eve has none.
type counter struct {
	*scene
	currency *storage.Currency
	bo       activitypub.By
}

const ryeLedger = "https://rye.example/ledger"

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{scene: newScene(t)}
	c.prove(t)
	c.bo = c.rye.Person("bo")
	var err error
	if c.currency, err = c.rye.FoundCurrency(t.Context(), c.baker, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*storage.Actor{c.actor(t, c.ann.ID()), c.actor(t, c.bob.ID()), c.bo.Actor} {
		if _, err := c.rye.OpenAccount(t.Context(), c.baker, c.currency, a); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// offers is an Offer of a payment by a peer to the co-op; change edits the whole of it.
func (c *counter) offers(by *aptest.Peer, amount string, change ...func(dict)) dict {
	c.sent++
	o := by.PaymentOffer(fmt.Sprint("pay", c.sent), ryeLedger, c.currency.Book.IRI, string(c.baker.Actor.IRI), amount, nil)
	for _, f := range change {
		f(o)
	}
	return o
}

// says edits the event of an Offer.
func says(key string, value any) func(dict) {
	return func(o dict) { o["object"].(dict)[key] = value }
}

// asks sends an activity, lets everything arrive, and returns the status and the answers about it that came to the sender.
func (c *counter) asks(t *testing.T, by *aptest.Peer, act any, about any) (int, []dict) {
	t.Helper()
	before := len(by.Received())
	got, _ := post(t, c.net, by.Request(ryeInbox, act))
	c.net.Deliver()
	var out []dict
	for _, raw := range by.Received()[before:] {
		var m dict
		if json.Unmarshal(raw, &m) == nil && m["object"] == about {
			out = append(out, m)
		}
	}
	return got, out
}

// refused wants an Offer answered by a Reject of a code, and nobody richer or poorer.
func (c *counter) refused(t *testing.T, by *aptest.Peer, offer dict, code string) {
	t.Helper()
	before := c.balances(t)
	got, answers := c.asks(t, by, by.Proven(offer), offer["id"])
	if got != 202 || len(answers) != 1 || answers[0]["type"] != "Reject" || answers[0]["summary"] != code || answers[0]["content"] == "" {
		t.Errorf("got %d %v, want a Reject of %s", got, answers, code)
	}
	c.unmoved(t, before)
}

// paid wants an Offer answered by an Accept.
func (c *counter) paid(t *testing.T, by *aptest.Peer, offer dict) dict {
	t.Helper()
	got, answers := c.asks(t, by, by.Proven(offer), offer["id"])
	if got != 202 || len(answers) != 1 || answers[0]["type"] != "Accept" {
		t.Fatalf("got %d %v, want an Accept", got, answers)
	}
	return answers[0]
}

// balances are the counters of every account.
func (c *counter) balances(t *testing.T) string {
	t.Helper()
	var out []string
	for _, row := range storagetest.Rows(t, c.rye.DB)["accounts"] {
		out = append(out, fmt.Sprint(row["ref"], row["debits_posted"], row["credits_posted"], row["debits_pending"], row["credits_pending"], row["floor"], row["flags"]))
	}
	return strings.Join(out, "\n")
}

// unmoved wants the accounts as they were, and the book whole.
func (c *counter) unmoved(t *testing.T, before string) {
	t.Helper()
	if after := c.balances(t); after != before {
		t.Errorf("the accounts are\n%s\nand were\n%s", after, before)
	}
	u, err := c.rye.DB.CurrencyByID(t.Context(), c.currency.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.rye.DB.Verify(t.Context(), u); err != nil {
		t.Error(err)
	}
}

// has is what somebody has.
func (c *counter) has(t *testing.T, iri string) string {
	t.Helper()
	a, err := c.rye.DB.Account(t.Context(), c.currency, storage.IRI(iri))
	if err != nil {
		t.Fatal(err)
	}
	return c.currency.Book.Format(a.Balance())
}

func TestPAY275NobodyPaysWithWhatIsAnothers(t *testing.T) {
	c := newCounter(t)
	bobs := c.offers(c.bob, "9.00")
	inBobsName := c.offers(c.ann, "9.00", says("provider", c.bob.ID()))
	c.refuse(t,
		abuse{"PAY275 ann asks for bob to pay", c.ann, c.ann.Proven(inBobsName), []int{403}},
		abuse{"PAY275 ann asks for the co-op to pay", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", c.baker.Actor.IRI), says("receiver", c.ann.ID()))), []int{403}},
		abuse{"PAY275 ann asks for bob and herself to pay", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", []any{c.bob.ID(), c.ann.ID()}))), []int{403}},
		abuse{"PAY275 ann asks for nobody to pay", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", nil))), []int{403}},
		abuse{"PAY275 ann brings bob's Offer without his proof", c.ann, bobs, []int{401}},
		abuse{"PAY275 ann brings bob's Offer with a proof of hers", c.ann, c.ann.Proven(bobs), []int{401}},
		abuse{"PAY275 eve brings bob's Offer with a proof of hers under his name", c.eve, c.eve.ProvenBy(bobs, c.bob.ID()+"#ed25519-key", c.eve.Ed), []int{401}},
		abuse{"PAY275 eve asks as the co-op", c.eve, with(c.offers(c.eve, "9.00", says("provider", c.baker.Actor.IRI)), "actor", c.baker.Actor.IRI), []int{401, 403}},
		abuse{"PAY275 eve asks as the ledger", c.eve, with(c.offers(c.eve, "9.00", says("provider", ryeLedger)), "actor", ryeLedger), []int{401, 403}},
		abuse{"PAY275 an id of another host", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "id", "https://evil.example/1")), []int{403}},
		abuse{"PAY275 an id of ours", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "id", "https://rye.example/activities/1")), []int{403}},
		abuse{"PAY275 two payments in one Offer", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "object", []any{c.offers(c.ann, "1.00")["object"], c.offers(c.ann, "2.00")["object"]})), []int{400}},
		abuse{"PAY275 two payments in one Offer, the second of bob's", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "object", []any{c.offers(c.ann, "1.00")["object"], bobs["object"]})), []int{400, 403}},
	)
	// What bob has signed may be brought by anybody: once, as he said it.
	for range 3 {
		if got, _ := c.asks(t, c.eve, c.bob.Proven(bobs), bobs["id"]); got != 202 {
			t.Errorf("got %d", got)
		}
	}
	if got := c.has(t, c.bob.ID()); got != "-9.00" {
		t.Errorf("bob has %s", got)
	}
}

func TestF06TheKeyOfAnotherPaysNothing(t *testing.T) {
	c := newCounter(t)
	offer := c.offers(c.ann, "9.00")
	c.refuse(t,
		abuse{"by bob's key", c.ann, c.ann.ProvenBy(offer, c.bob.ID()+"#ed25519-key", c.bob.Ed), []int{403}},
		abuse{"by bob's key under ann's name", c.ann, c.ann.ProvenBy(offer, c.ann.ID()+"#ed25519-key", c.bob.Ed), []int{403}},
		abuse{"by a key that nobody has", c.ann, c.ann.ProvenBy(offer, c.ann.ID()+"#none", c.ann.Ed), []int{403}},
		abuse{"by a key of ours", c.ann, c.ann.ProvenBy(offer, string(c.baker.Actor.IRI)+"#ed25519-key", c.ann.Ed), []int{403}},
		abuse{"of another amount", c.ann, with(c.offers(c.ann, "1.00"), "proof", proofOf(t, c.ann.Proven(c.offers(c.ann, "9.00")))), []int{403}},
	)
	if got, answers := c.asks(t, c.ann, c.ann.Proven(offer), offer["id"]); got != 202 || len(answers) != 1 || answers[0]["type"] != "Accept" {
		t.Errorf("ann's own: %d %v", got, answers)
	}
}

func TestF07TheSignatureOfARequestIsNoConsent(t *testing.T) {
	c := newCounter(t)
	offer := c.offers(c.ann, "9.00")
	bare := func(change dict) dict {
		p := dict{"type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022", "created": c.net.Now().UTC().Format(time.RFC3339), "verificationMethod": c.ann.ID() + "#ed25519-key",
			"proofPurpose": "assertionMethod", "proofValue": "z"}
		for k, v := range change {
			p[k] = v
		}
		o := dict{}
		for k, v := range offer {
			o[k] = v
		}
		return with(o, "proof", p)
	}
	proven := proofOf(t, c.ann.Proven(offer)).(dict)
	other := func(key string, v any) dict {
		p := dict{}
		for k, v := range proven {
			p[k] = v
		}
		return with(c.offers(c.ann, "9.00"), "proof", with(p, key, v))
	}
	c.refuse(t,
		abuse{"none", c.ann, offer, []int{403}},
		abuse{"an empty one", c.ann, bare(nil), []int{403}},
		abuse{"one for another purpose", c.ann, other("proofPurpose", "authentication"), []int{403}},
		abuse{"one of another kind", c.ann, other("cryptosuite", "ecdsa-jcs-2019"), []int{403}},
		abuse{"one that has expired", c.ann, other("expires", "2020-01-01T00:00:00Z"), []int{403}},
		abuse{"one of tomorrow", c.ann, other("created", "2030-01-01T00:00:00Z"), []int{403}},
		abuse{"two", c.ann, with(c.offers(c.ann, "9.00"), "proof", []any{proven, proven}), []int{403}},
		abuse{"a word", c.ann, with(c.offers(c.ann, "9.00"), "proof", "yes"), []int{403}},
		abuse{"a Linked Data signature", c.ann, with(c.offers(c.ann, "9.00"), "signature", dict{"type": "RsaSignature2017", "creator": c.ann.KeyID, "signatureValue": "AAAA"}), []int{403}},
	)
}

// twinOf is a peer with the keys that it has now.
func twinOf(p *aptest.Peer) *aptest.Peer {
	return &aptest.Peer{Origin: p.Origin, Name: p.Name, KeyID: p.KeyID, Key: p.Key, Now: p.Now, Ed: p.Ed, EdText: p.EdText}
}

// rotates gives a peer new keys under new ids, and tells the node.
func (c *counter) rotates(t *testing.T, p *aptest.Peer, pool int) (old *aptest.Peer) {
	t.Helper()
	old = twinOf(p)
	fresh := aptest.NewPeer(p.Origin, p.Name, pool, true)
	p.KeyID, p.Key = p.ID()+"#main-key-2", fresh.Key
	p.Proves(pool)
	p.Extra = dict{"assertionMethod": []any{dict{"id": p.ID() + "#ed25519-2", "type": "Multikey", "controller": p.ID(), "publicKeyMultibase": p.EdText}}}
	c.take(t, p, c.does(p, "Update", p.Document()))
	return old
}

// PAY292, F08 and F09: ann's keys were stolen, and she has replaced them. Nothing says when a proof was made but whoever made it.
func TestF08WhatAnOldKeySignsIsRefusedOnceItWasReplaced(t *testing.T) {
	c := newCounter(t)
	ontheWay := c.offers(c.ann, "9.00")
	signedBefore := c.ann.Proven(ontheWay)
	old := c.rotates(t, c.ann, 8)
	method := c.ann.ID() + "#ed25519-2"
	t.Run("PAY292 by the old key alone", func(t *testing.T) {
		c.refuse(t, abuse{"PAY292 request and proof", old, old.Proven(c.offers(old, "9.00")), []int{401}})
		back := twinOf(old)
		back.Now = func() time.Time { return c.net.Now().Add(-time.Hour) }
		made := back.Proven(c.offers(old, "9.00"))
		c.refuse(t, abuse{"PAY292 dated before it was replaced", old, made, []int{401}})
	})
	t.Run("F08 an Offer that was on its way, brought with the new key", func(t *testing.T) {
		before := c.balances(t)
		got, answers := c.asks(t, c.ann, signedBefore, ontheWay["id"])
		if got != 202 || len(answers) != 1 || answers[0]["type"] != "Reject" || answers[0]["summary"] != "not_authorized" || !strings.Contains(fmt.Sprint(answers[0]["content"]), "sign it anew") {
			t.Errorf("got %d %v, want it refused in words", got, answers)
		}
		c.unmoved(t, before)
	})
	t.Run("PAY292 the old key under the new name", func(t *testing.T) {
		c.refuse(t, abuse{"PAY292 forged", c.ann, c.ann.ProvenBy(c.offers(c.ann, "9.00"), method, old.Ed), []int{403}})
	})
	t.Run("the new key", func(t *testing.T) {
		o := c.offers(c.ann, "9.00")
		if got, answers := c.asks(t, c.ann, c.ann.ProvenBy(o, method, c.ann.Ed), o["id"]); got != 202 || len(answers) != 1 || answers[0]["type"] != "Accept" {
			t.Errorf("got %d %v", got, answers)
		}
	})
	t.Run("a key of the same name and another kind", func(t *testing.T) {
		bobsOld := twinOf(c.bob)
		c.bob.Proves(9)
		c.take(t, c.bob, c.does(c.bob, "Update", c.bob.Document()))
		c.refuse(t, abuse{"PAY292 in its place", c.bob, bobsOld.Proven(c.offers(c.bob, "9.00")), []int{403}})
	})
}

// Who replaces her keys tells the ledgers that she pays with, wherever they are: they follow nobody.
func TestF09ALedgerElsewhereLearnsAtOnceThatAKeyIsOld(t *testing.T) {
	e := newEconomy(t, [3]string{"rye.example", "rye.example", "oak.example"})
	e.pay(e.order("1.00"))
	ctx := t.Context()
	keys := func() []storage.Key {
		ks, err := e.mint.DB.KeysOf(ctx, e.mints.ID)
		e.must(err)
		return ks
	}
	old := keys()
	e.must(e.here.RotateKeys(ctx, e.bo))
	e.Deliver()
	for _, k := range keys() {
		for _, o := range old {
			if k.IRI == o.IRI || k.Public == o.Public {
				t.Errorf("the ledger takes %s still", k.IRI)
			}
		}
	}
	onTheWay, err := e.here.Pay(ctx, e.bo, e.order("5.00")) // signed by the key that is replaced before it leaves
	e.must(err)
	e.must(e.here.RotateKeys(ctx, e.bo))
	e.rest()
	if p := e.at(e.here, onTheWay); p.State != storage.PaymentRejected || p.Reason != "not_authorized" {
		t.Errorf("what the old key has signed is %s (%s)", p.State, p.Reason)
	}
	e.balances("-1.00", "1.00")
	p := e.pay(e.order("2.00"))
	e.rest()
	e.want(p, storage.PaymentCommitted, "2.00")
}

func TestF09AnAccountIsFrozenAtOnce(t *testing.T) {
	c := newCounter(t)
	if err := c.rye.SetFlags(t.Context(), c.baker, c.currency, c.actor(t, c.ann.ID()), ledger.NoDebit, "https://rye.example/decisions/9"); err != nil {
		t.Fatal(err)
	}
	c.refused(t, c.ann, c.offers(c.ann, "9.00"), "account_frozen")
	c.paid(t, c.bob, c.offers(c.bob, "9.00", says("receiver", c.ann.ID()))) // she is paid still
}

// badAmounts are what is no amount of a currency with two digits after the point: as a string it is refused by the ledger, as anything else it cannot be read.
var badAmounts = []any{"-1", "-1.00", "0", "0.00", "-0", "1e2", "1E2", "1.001", "1,00", " 1", "1 ", "1\n", "１", "٣", "0x10", "NaN", "Infinity", "-Infinity", "1" + strings.Repeat("0", 30), "92233720368547758.08",
	"9223372036854775807", "9223372036854775808", "", "01", "1.", ".5", "+1", "1_000", "1/2", "½", "1.0.0", "--1", strings.Repeat("9", 100_000)}

func TestPAY279AmountsThatAreNone(t *testing.T) {
	c := newCounter(t)
	for _, typed := range badAmounts {
		t.Run(fmt.Sprintf("PAY279 %.30q", typed), func(t *testing.T) {
			c.refused(t, c.ann, c.offers(c.ann, typed.(string)), "bad_amount")
			before := c.balances(t)
			if _, err := c.rye.Pay(t.Context(), c.bo, activitypub.PayOrder{Currency: activitypub.MoneyHere(c.currency), To: c.baker.Actor, Amount: typed.(string)}); err == nil {
				t.Error("somebody here paid it")
			}
			c.unmoved(t, before)
		})
	}
	c.refused(t, c.ann, c.offers(c.ann, "90071992547409.93"), "credit_limit") // 2^53+1 of the smallest unit is an amount: it is read as it is, and is too much
	for _, typed := range []any{0.1, 1, 1.0, -1, json.Number("1e2"), json.Number("9007199254740993"), true, []any{1}, []any{"1.00"}, []any{"1.00", "2.00"}, "1\x00", json.RawMessage(`9223372036854775808`)} {
		c.refuse(t, abuse{fmt.Sprintf("PAY280 %#v", typed), c.ann, c.ann.Proven(c.offers(c.ann, "x", says("resourceQuantity", quantity("one", typed)))), []int{400}})
	}
	for name, q := range map[string]any{"none": nil, "a number": 9, "a word": "9.00", "two": []any{quantity("one", "9.00"), quantity("one", "1.00")}, "another unit": quantity("kilogram", "9.00"), "no unit": dict{"hasNumericalValue": "9.00"}} {
		t.Run("PAY280 a quantity that is "+name, func(t *testing.T) {
			before := c.balances(t)
			got, answers := c.asks(t, c.ann, c.ann.Proven(c.offers(c.ann, "x", says("resourceQuantity", q))), nil)
			if got != 400 || len(answers) != 0 {
				t.Errorf("got %d %v", got, answers)
			}
			c.unmoved(t, before)
		})
	}
}

// Nobody's balance goes round the end of what can be counted.
func TestPAY281WhatWouldBeMoreThanCanBeCounted(t *testing.T) {
	c := newCounter(t)
	ctx := t.Context()
	all := activitypub.Unlimited
	for _, a := range []*storage.Actor{c.actor(t, c.ann.ID()), c.actor(t, c.bob.ID()), c.baker.Actor} {
		if err := c.rye.SetLimits(ctx, c.baker, c.currency, a, activitypub.NewLimits{Credit: &all, Ceiling: &all}, "https://rye.example/decisions/1"); err != nil {
			t.Fatal(err)
		}
	}
	most := ledger.FormatAmount(int64(ledger.MaxAmount), 2)
	paid := 0
	for range 8 {
		before := c.balances(t)
		o := c.offers(c.ann, most)
		got, answers := c.asks(t, c.ann, c.ann.Proven(o), o["id"])
		if got != 202 || len(answers) != 1 {
			t.Fatalf("got %d %v", got, answers)
		}
		if answers[0]["type"] == "Accept" {
			paid++
			continue
		}
		if answers[0]["summary"] != "bad_amount" {
			t.Errorf("got %v", answers[0])
		}
		c.unmoved(t, before)
	}
	if paid == 8 {
		t.Error("it was never too much")
	}
	a, err := c.rye.DB.Account(ctx, c.currency, storage.IRI(c.ann.ID()))
	if err != nil || a.Balance() > 0 {
		t.Errorf("whoever only paid has %d, %v", a.Balance(), err)
	}
	c.unmoved(t, c.balances(t))
}

// A levy takes its share of every payment, and no unit is made or lost; what the parts of a whole are is F44 of the ledger.
func TestPAY282WhatIsSharedIsTheWhole(t *testing.T) {
	if parts := ledger.Split(1000, []uint32{1, 1, 1}); fmt.Sprint(parts) != "[334 333 333]" {
		t.Errorf("10.00 by three is %v", parts)
	}
	c := newCounter(t)
	levy := uint16(333)
	if err := c.rye.SetRules(t.Context(), c.baker, c.currency, activitypub.NewRules{Levy: &levy, LevyTo: c.baker.Actor}, "https://rye.example/decisions/1"); err != nil {
		t.Fatal(err)
	}
	for _, amount := range []string{"0.01", "0.15", "0.16", "1.00", "9.99", "3.33"} {
		c.paid(t, c.ann, c.offers(c.ann, amount, says("receiver", c.bob.ID())))
		sum := int64(0)
		for _, iri := range []storage.IRI{storage.IRI(c.ann.ID()), storage.IRI(c.bob.ID()), c.bo.Actor.IRI, c.baker.Actor.IRI} {
			a, err := c.rye.DB.Account(t.Context(), c.currency, iri)
			if err != nil {
				t.Fatal(err)
			}
			sum += a.Balance()
		}
		if sum != 0 {
			t.Errorf("after %s there are %d more than nothing", amount, sum)
		}
	}
	c.unmoved(t, c.balances(t))
}

func TestPAY283ACurrencyIsNothingButItsAddress(t *testing.T) {
	c := newCounter(t)
	for _, iri := range []string{"https://rye.example/currencies/GRN", "https://rye.example/currencies/grn/", "https://rye.example/currencies/grn#x", "https://rye.example/currencies/grn?x", "https://RYE.example/currencies/grn",
		"https://rye.example:443/currencies/grn", "https://rye.example./currencies/grn", "http://rye.example/currencies/grn", "https://rye.example/currencies/%67rn", "https://rye.example/currencies/../currencies/grn",
		"https://rye.example/currencies/nix", "https://rye.example/currencies/gгn", "https://evil.example/currencies/grn", "https://rye.example@evil.example/currencies/grn", "GRN", "grn", "urn:grn"} {
		t.Run("PAY283 "+iri, func(t *testing.T) {
			before := c.balances(t)
			o := c.offers(c.ann, "9.00", says("resourceConformsTo", iri))
			got, answers := c.asks(t, c.ann, c.ann.Proven(o), o["id"])
			if got != 400 && (got != 202 || len(answers) != 1 || answers[0]["summary"] != "unknown_currency") {
				t.Errorf("got %d %v", got, answers)
			}
			c.unmoved(t, before)
		})
	}
	for _, code := range []string{"ЕUR", "GRΝ", "ＧＲＮ", "GRN ", " GRN", "GRN\u200b", "gRn\u0307", "GR", "GRN2", ""} {
		if m, err := c.rye.Money(t.Context(), code); err == nil {
			t.Errorf("%q is %s", code, m.Book.IRI)
		}
	}
	if _, err := c.rye.FoundCurrency(t.Context(), c.baker, activitypub.NewCurrency{Code: "ЕUR", Name: "Euro", Kind: ledger.Mutual}); err == nil {
		t.Error("a currency with a Cyrillic letter was founded")
	}
}

func TestPAY284NobodyElseIssues(t *testing.T) {
	c := newCounter(t)
	ctx := t.Context()
	issued, err := c.rye.FoundCurrency(ctx, c.baker, activitypub.NewCurrency{Code: "BON", Name: "Vouchers", Kind: ledger.Issued})
	if err != nil {
		t.Fatal(err)
	}
	c.currency = issued
	for _, a := range []*storage.Actor{c.actor(t, c.ann.ID()), c.actor(t, c.bob.ID()), c.bo.Actor} {
		if _, err := c.rye.OpenAccount(ctx, c.baker, issued, a); err != nil {
			t.Fatal(err)
		}
	}
	c.refused(t, c.ann, c.offers(c.ann, "9.00", says("receiver", c.bob.ID())), "credit_limit") // she has none
	c.refused(t, c.eve, c.offers(c.eve, "9.00", says("receiver", c.bob.ID())), "no_account")
	c.refuse(t,
		abuse{"PAY284 ann issues as the co-op", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", c.baker.Actor.IRI), says("receiver", c.ann.ID()))), []int{403}},
		abuse{"PAY284 ann produces", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("action", "produce"), says("receiver", c.ann.ID()))), []int{400}},
		abuse{"PAY284 ann raises", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("action", "raise"), says("receiver", c.ann.ID()))), []int{400}},
		abuse{"PAY284 ann takes in the name of the ledger", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", ryeLedger), says("receiver", c.ann.ID()))), []int{403}},
	)
	order := activitypub.PayOrder{Currency: activitypub.MoneyHere(issued), To: c.bo.Actor, Amount: "5"}
	for _, by := range []activitypub.By{{User: c.bo.User, Actor: c.baker.Actor}, {Actor: c.baker.Actor, User: &storage.User{}}} { // who is no treasurer of it
		before := c.balances(t)
		if _, err := c.rye.Pay(ctx, by, order); err == nil {
			t.Error("who has no role in the co-op issued")
		}
		c.unmoved(t, before)
	}
	if err := c.rye.DB.AddMember(ctx, &storage.Member{UserID: c.bo.User.ID, CoopID: c.baker.Actor.ID, Role: storage.RoleTreasurer}); err != nil {
		t.Fatal(err)
	}
	by := activitypub.By{User: c.bo.User, Actor: c.baker.Actor}
	if _, err := c.rye.Pay(ctx, by, order); err != nil {
		t.Fatal(err)
	}
	if err := c.rye.DB.AddMember(ctx, &storage.Member{UserID: c.bo.User.ID, CoopID: c.baker.Actor.ID, Role: storage.RoleObserver}); err != nil {
		t.Fatal(err)
	}
	if err := c.rye.TakeRole(ctx, c.baker, c.bo.User, storage.RoleTreasurer); err != nil {
		t.Fatal(err)
	}
	before := c.balances(t)
	_, err = c.rye.Pay(ctx, by, order)
	wantProblem(t, err, "role") // who was the treasurer once
	c.unmoved(t, before)
}

func TestPAY285ALimitIsThatOfTheMomentOfAcceptance(t *testing.T) {
	c := newCounter(t)
	o := c.offers(c.ann, "50.00")
	signed := c.ann.Proven(o)
	less := "20"
	if err := c.rye.SetLimits(t.Context(), c.baker, c.currency, c.actor(t, c.ann.ID()), activitypub.NewLimits{Credit: &less}, "https://rye.example/decisions/1"); err != nil {
		t.Fatal(err)
	}
	before := c.balances(t)
	if got, answers := c.asks(t, c.ann, signed, o["id"]); got != 202 || len(answers) != 1 || answers[0]["summary"] != "credit_limit" || !strings.Contains(fmt.Sprint(answers[0]["content"]), "-20.00") {
		t.Errorf("got %d %v", got, answers)
	}
	c.unmoved(t, before)
	// What was promised before the limit fell stays promised.
	hold := c.offers(c.ann, "20.00", says("due", c.net.Now().Add(time.Hour).Format(time.RFC3339)))
	if got, answers := c.asks(t, c.ann, c.ann.Proven(hold), hold["id"]); got != 202 || len(answers) != 1 || answers[0]["type"] != "TentativeAccept" {
		t.Fatalf("got %d %v", got, answers)
	}
	none := "0"
	if err := c.rye.SetLimits(t.Context(), c.baker, c.currency, c.actor(t, c.ann.ID()), activitypub.NewLimits{Credit: &none}, "https://rye.example/decisions/2"); err != nil {
		t.Fatal(err)
	}
	p, err := c.rye.DB.PaymentByIRI(t.Context(), storage.IRI(hold["id"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.rye.TakePayment(t.Context(), c.baker, p.ID, "", ""); err != nil {
		t.Errorf("what is held cannot be taken: %v", err)
	}
	if got := c.has(t, c.ann.ID()); got != "-20.00" {
		t.Errorf("ann has %s", got)
	}
}

func TestPAY286NobodyGivesBackMoreThanSheGot(t *testing.T) {
	c := newCounter(t)
	paid := c.paid(t, c.ann, c.offers(c.ann, "9.00", says("receiver", c.bob.ID())))
	first := paid["result"].(dict)["id"]
	back := func(by *aptest.Peer, amount string, change ...func(dict)) dict {
		return c.offers(by, amount, append([]func(dict){says("receiver", c.ann.ID()), says("corrects", first)}, change...)...)
	}
	c.refused(t, c.bob, back(c.bob, "9.01"), "refund_too_large")
	c.refused(t, c.bob, back(c.bob, "1.00", says("receiver", c.baker.Actor.IRI)), "agreement_mismatch")
	c.refused(t, c.ann, c.offers(c.ann, "1.00", says("receiver", c.bob.ID()), says("corrects", first)), "not_authorized")
	c.refused(t, c.eve, back(c.eve, "1.00"), "refund_too_large") // she is told nothing of it
	c.refused(t, c.bob, back(c.bob, "1.00", says("corrects", "https://rye.example/ledger/events/7")), "refund_too_large")
	c.refused(t, c.bob, back(c.bob, "1.00", says("corrects", "https://evil.example/events/7")), "refund_too_large")
	other := c.paid(t, c.ann, c.offers(c.ann, "5.00"))["result"].(dict)["id"] // to the co-op
	c.refused(t, c.bob, back(c.bob, "1.00", says("corrects", other)), "refund_too_large")
	// Halves that are more than the whole, all at once.
	var wg sync.WaitGroup
	for range 6 {
		o := c.bob.Proven(back(c.bob, "4.50"))
		wg.Add(1)
		go func() {
			defer wg.Done()
			if res, err := c.net.RoundTrip(c.bob.Request(ryeInbox, o)); err != nil || res.StatusCode != 202 {
				t.Errorf("got %v, %v", res, err)
			}
		}()
	}
	wg.Wait()
	c.net.Deliver()
	if a, b := c.has(t, c.ann.ID()), c.has(t, c.bob.ID()); a != "-5.00" || b != "0.00" {
		t.Errorf("ann has %s and bob %s", a, b)
	}
	c.refused(t, c.bob, back(c.bob, "0.01"), "refund_too_large")
	refund, err := c.rye.DB.PaymentByIRI(t.Context(), storage.IRI(c.ann.ID()+"/activities/none"))
	if err == nil {
		t.Fatal(refund)
	}
	var again any
	for _, raw := range c.bob.Received() {
		var m dict
		if json.Unmarshal(raw, &m) == nil && m["type"] == "Accept" {
			if r, _ := m["result"].(dict); r["corrects"] == first {
				again = r["id"]
			}
		}
	}
	c.refused(t, c.ann, c.offers(c.ann, "1.00", says("receiver", c.bob.ID()), says("corrects", again)), "refund_too_large") // a refund of a refund
}

func TestPAY287WhatWasPaidIsNotTakenBack(t *testing.T) {
	c := newCounter(t)
	o := c.offers(c.ann, "9.00")
	accept := c.paid(t, c.ann, o)
	before := c.balances(t)
	event := accept["result"].(dict)
	for name, act := range map[string]dict{
		"Undo of the Offer":               c.does(c.ann, "Undo", o),
		"Undo of the Offer by its id":     c.does(c.ann, "Undo", o["id"]),
		"Undo of the Accept":              c.does(c.ann, "Undo", accept),
		"Undo of the Accept by its id":    c.does(c.ann, "Undo", accept["id"]),
		"Delete of the Offer":             c.does(c.ann, "Delete", o["id"]),
		"Delete of the Offer, a grave":    c.does(c.ann, "Delete", dict{"id": o["id"], "type": "Tombstone"}),
		"Delete of the event":             c.does(c.ann, "Delete", event["id"]),
		"Update of the Offer":             c.does(c.ann, "Update", with(c.offers(c.ann, "1.00"), "id", o["id"])),
		"Update of the event":             c.does(c.ann, "Update", event),
		"Reject of the Offer":             c.does(c.ann, "Reject", o["id"]),
		"Reject of the event":             c.does(c.ann, "Reject", event["id"]),
		"Accept of the Offer by ann":      with(c.does(c.ann, "Accept", o["id"]), "result", event),
		"another Offer under the same id": with(c.offers(c.ann, "1.00"), "id", o["id"]),
	} {
		t.Run("PAY287 "+name, func(t *testing.T) {
			got, answers := c.asks(t, c.ann, c.ann.Proven(act), o["id"])
			if got >= 500 {
				t.Errorf("got %d", got)
			}
			for _, a := range answers {
				if a["type"] == "Reject" && a["summary"] != "idempotency_mismatch" {
					t.Errorf("the ledger now says %v", a)
				}
			}
			c.unmoved(t, before)
			p, err := c.rye.DB.PaymentByIRI(t.Context(), storage.IRI(o["id"].(string)))
			if err != nil || p.State != storage.PaymentCommitted || p.Amount != 900 {
				t.Errorf("the payment is %+v, %v", p, err)
			}
		})
	}
	// A Delete by ann's own server does not keep her from asking again what came of it.
	if got, answers := c.asks(t, c.ann, c.ann.Proven(o), o["id"]); got != 202 || len(answers) != 1 || answers[0]["type"] != "Accept" {
		t.Errorf("asked again: %d %v", got, answers)
	}
}

// Dates are what people say: a payment is booked when it comes.
func TestPAY288NobodyPaysInThePast(t *testing.T) {
	c := newCounter(t)
	at := c.net.Now()
	day := func(d time.Duration) func(dict) { return says("hasPointInTime", at.Add(d).Format(time.RFC3339)) }
	for name, change := range map[string]func(dict){
		"before ann had an account": day(-24 * time.Hour), "a year ago": day(-365 * 24 * time.Hour), "in the year one": says("hasPointInTime", "0001-01-01T00:00:00Z"),
		"before anybody counted": says("hasPointInTime", "1700-01-01T00:00:00Z"), "next year": day(365 * 24 * time.Hour), "in the year 9999": says("hasPointInTime", "9999-12-31T23:59:59Z"),
		"published a year ago": func(o dict) { o["published"] = at.Add(-365 * 24 * time.Hour).Format(time.RFC3339) },
	} {
		t.Run("PAY288 "+name, func(t *testing.T) {
			o := c.offers(c.ann, "0.10", change)
			accept := c.paid(t, c.ann, o)
			if got := accept["result"].(dict)["hasPointInTime"]; got != at.UTC().Format(time.RFC3339) {
				t.Errorf("it was booked at %v", got)
			}
			p, err := c.rye.DB.PaymentByIRI(t.Context(), storage.IRI(o["id"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			transfer, _, err := c.rye.DB.Transfer(t.Context(), p.Transfer())
			if err != nil || time.Unix(0, int64(transfer.At)).Sub(at).Abs() > time.Second {
				t.Errorf("it stands in the book at %v, %v", transfer.At, err)
			}
		})
	}
	c.unmoved(t, c.balances(t))
	c.refuse(t,
		abuse{"PAY288 at no time", c.ann, c.ann.Proven(c.offers(c.ann, "0.10", says("hasPointInTime", "yesterday"))), []int{400}},
		abuse{"PAY288 without an end", c.ann, c.ann.Proven(with(c.offers(c.ann, "0.10"), "endTime", nil)), []int{400}},
	)
	c.refused(t, c.ann, with(c.offers(c.ann, "0.10"), "endTime", at.Add(-time.Second).Format(time.RFC3339)), "expired")
	c.refused(t, c.ann, with(c.offers(c.ann, "0.10"), "published", at.Add(time.Hour).Format(time.RFC3339)), "expired")
}

// What somebody pays is nobody else's affair.
func TestPAY299PaymentsAreReadByTheirParties(t *testing.T) {
	c := newCounter(t)
	const secret = "a gift for the hidden one"
	o := c.offers(c.ann, "9.00", says("content", secret))
	accept := c.paid(t, c.ann, o)
	ours, err := c.rye.Pay(t.Context(), c.bo, activitypub.PayOrder{Currency: activitypub.MoneyHere(c.currency), To: c.actor(t, c.ann.ID()), Amount: "3", Memo: secret})
	if err != nil {
		t.Fatal(err)
	}
	c.net.Deliver()
	event := accept["result"].(dict)["id"].(string)
	private := []string{accept["id"].(string), accept["id"].(string) + "/held", event, event + "/receipt", string(ours.IRI), string(ours.Event), string(ours.Event) + "/receipt"}
	readers := map[string]func(*http.Request){"nobody": func(*http.Request) {}, "eve": signedBy(c.eve), "bob of the same host": signedBy(c.bob)}
	for _, address := range private {
		for name, by := range readers {
			if got := ask(t, c.net, address, by); got.status != 404 && got.status != 401 || strings.Contains(got.body, secret) || strings.Contains(got.body, "9.00") {
				t.Errorf("%s reads %s: %d %s", name, address, got.status, got.body)
			}
		}
	}
	if got := ask(t, c.net, event, signedBy(c.ann)); got.status != 200 || !strings.Contains(got.body, secret) || !strings.Contains(got.header.Get("Cache-Control"), "private") {
		t.Errorf("the payer herself: %d %s %v", got.status, got.body, got.header)
	}
	// What does not exist looks the same as what is another's.
	there, none := ask(t, c.net, event, signedBy(c.eve)), ask(t, c.net, ryeLedger+"/events/1", signedBy(c.eve))
	if there.status != none.status || there.body != none.body {
		t.Errorf("eve can tell what is there (%d %s) from what is not (%d %s)", there.status, there.body, none.status, none.body)
	}
	for _, address := range []string{"/users/baker/outbox", "/users/baker/outbox?page=true", "/users/bo/outbox?page=true", "/users/bo", "/users/baker", "/ledger", "/ledger/outbox", "/ledger/outbox?page=true", "/ledger/followers", "/users/bo/liked",
		"/ledger/inbox", "/users/bo/inbox", "/actor/outbox", "/actor/outbox?page=true", "/nodeinfo/2.1", "/nodeinfo/2.0", "/currencies/grn", "/currencies/grn/log/checkpoint", "/currencies/grn/log/tile/entries/000.p/" + c.size(t), "/currencies/grn/statement",
		"/ledger/statement", "/ledger/events", "/ledger/results", "/ledger/events/", "/.well-known/webfinger?resource=acct:bo@rye.example"} {
		for name, by := range readers {
			if got := ask(t, c.net, "https://rye.example"+address, by); strings.Contains(got.body, secret) || strings.Contains(got.body, event) || strings.Contains(got.body, string(ours.IRI)) || strings.Contains(got.body, string(ours.Event)) {
				t.Errorf("%s reads of a payment at %s: %s", name, address, got.body)
			}
		}
	}
	// Those who look after the bakery's money are told in words, by the node and nobody else; ann's server, which knows no payments, is told by the ledger, and for her alone.
	for _, by := range []activitypub.By{c.bo, c.nuria, c.baker} {
		told := 0
		for _, p := range c.rye.Home(by) {
			if strings.Contains(p.Content, secret) {
				told++
				for name, by := range readers {
					if got := ask(t, c.net, string(p.IRI), by); got.status != 404 && got.status != 401 {
						t.Errorf("%s reads %s: %d %s", name, p.IRI, got.status, got.body)
					}
				}
			}
		}
		if want := map[string]int{"bo": 0, "nuria": 1, "baker": 1}[by.Actor.Username]; told != want {
			t.Errorf("it is %d times in the timeline of %s, want %d", told, by.Actor.Username, want)
		}
	}
	for _, row := range c.rye.State()["posts"] {
		if strings.Contains(row, secret) && (!strings.Contains(row, "visibility:direct") || !strings.Contains(row, "iri:"+ryeLedger+"/statuses/") && !strings.Contains(row, "iri:https://rye.example/actor/statuses/")) {
			t.Errorf("it is a post: %s", row)
		}
	}
	for _, raw := range c.ann.Received() {
		var said dict
		if err := json.Unmarshal(raw, &said); err != nil {
			t.Fatal(err)
		}
		if said["type"] != "Create" {
			continue
		}
		note := said["object"].(dict)["id"].(string)
		for name, by := range readers {
			if got := ask(t, c.net, note, by); got.status != 404 && got.status != 401 {
				t.Errorf("%s reads %s: %d %s", name, note, got.status, got.body)
			}
		}
		if got := ask(t, c.net, note, signedBy(c.ann)); got.status != 200 || !strings.Contains(got.body, secret) {
			t.Errorf("ann reads %s: %d %s", note, got.status, got.body)
		}
	}
	for _, p := range []*aptest.Peer{c.bob, c.eve} {
		for _, raw := range p.Received() {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s was sent %s", p.Name, raw)
			}
		}
	}
}

// Whatever becomes of a payment, no line of the log has its words.
func TestPAY299NoLogHasTheWordsOfAPayment(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	e := newEconomyIn(t, aptest.New(t), [3]string{"rye.example", "oak.example", "elm.example"}, func(c *activitypub.Config) { c.Log = logger })
	for _, n := range []*aptest.Node{e.mint, e.there, e.here} {
		n.DB.Log = logger
	}
	const secret = "for the hidden one"
	order := func(amount string) activitypub.PayOrder { o := e.order(amount); o.Memo = secret; return o }
	e.pay(order("9.00"))
	e.pay(order("900.00"))
	held := order("5.00")
	held.Hold = time.Minute
	e.pay(held)
	e.Away("rye.example", true)
	e.pay(order("1.00"))
	e.Sleep(time.Hour)
	e.must(e.here.CheckPayments(t.Context())) // its ledger does not answer
	e.Away("rye.example", false)
	e.rest()
	if log.Len() == 0 {
		t.Error("nothing was logged: this finds nothing")
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log tells what was paid for:\n%s", log.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// size is how long the log of the currency is.
func (c *counter) size(t *testing.T) string {
	t.Helper()
	u, err := c.rye.DB.CurrencyByID(context.Background(), c.currency.ID)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(u.Book.Next)
}

// A stranger learns nothing of others by asking: not who has an account, who is blocked, who is frozen.
func TestPAY310StrangersAreToldTheSame(t *testing.T) {
	c := newCounter(t)
	ctx := t.Context()
	frozen := c.rye.Person("frozen")
	if _, err := c.rye.OpenAccount(ctx, c.baker, c.currency, frozen.Actor); err != nil {
		t.Fatal(err)
	}
	if err := c.rye.SetFlags(ctx, c.baker, c.currency, frozen.Actor, ledger.NoCredit, "https://rye.example/decisions/1"); err != nil {
		t.Fatal(err)
	}
	shut := c.rye.Person("shut")
	if _, err := c.rye.OpenAccount(ctx, c.baker, c.currency, shut.Actor); err != nil {
		t.Fatal(err)
	}
	if _, err := c.rye.Block(ctx, shut, "@eve@evil.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.rye.Block(ctx, shut, "@bob@far.example"); err != nil {
		t.Fatal(err)
	}
	none := c.rye.Person("none")
	c.net.Deliver()
	// eve has no account: whoever she asks for.
	for _, payee := range []storage.IRI{c.bo.Actor.IRI, frozen.Actor.IRI, shut.Actor.IRI, none.Actor.IRI, c.baker.Actor.IRI, storage.IRI(c.ann.ID())} {
		o := c.offers(c.eve, "1.00", says("receiver", payee))
		_, answers := c.asks(t, c.eve, c.eve.Proven(o), o["id"])
		if len(answers) != 1 || answers[0]["summary"] != "no_account" || answers[0]["content"] != "You have no account in GRN: ask the co-op of the currency for one." {
			t.Errorf("asking for %s eve was told %v", payee, answers)
		}
	}
	// bob has one, and is blocked by shut: that looks like an account that is frozen.
	said := map[string]bool{}
	for _, payee := range []storage.IRI{frozen.Actor.IRI, shut.Actor.IRI} {
		o := c.offers(c.bob, "1.00", says("receiver", payee))
		_, answers := c.asks(t, c.bob, c.bob.Proven(o), o["id"])
		if len(answers) != 1 {
			t.Fatalf("got %v", answers)
		}
		said[fmt.Sprint(answers[0]["summary"], answers[0]["content"])] = true
	}
	if len(said) != 1 {
		t.Errorf("bob can tell who blocks him: %v", said)
	}
}

// Words are words, however many, and a document is what it is, however it is written.
func TestOffersOfOddForm(t *testing.T) {
	c := newCounter(t)
	raw := func(o dict) string { b, _ := json.Marshal(o); return string(b) }
	list := func(key string) func(dict) {
		return func(o dict) { e := o["object"].(dict); e[key] = []any{[]any{e[key]}} }
	}
	deep := strings.Replace(raw(c.offers(c.ann, "9.00", says("x", "HERE"))), `"HERE"`, strings.Repeat(`[`, 100_000)+strings.Repeat(`]`, 100_000), 1)
	twice := strings.Replace(raw(c.offers(c.ann, "9.00")), `"receiver":`, `"receiver":"`+c.bob.ID()+`","receiver":`, 1)
	c.refuse(t,
		abuse{"PAY279 words beyond all bounds", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("content", strings.Repeat("é", 501)))), []int{400}},
		abuse{"PAY279 a book of words", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("content", strings.Repeat("x", 900_000)))), []int{400}},
		abuse{"as deep as a well", c.ann, []byte(deep), []int{400}},
		abuse{"names that come twice", c.ann, []byte(twice), []int{400}},
		abuse{"a receiver in lists of lists", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", list("receiver"))), []int{400}},
		abuse{"a currency in lists of lists", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", list("resourceConformsTo"))), nop},
		abuse{"a payer in lists of lists", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", list("provider"))), []int{403}},
		abuse{"an action in a list", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("action", []any{"transfer", "raise"}))), []int{400}},
		abuse{"two payers", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", []any{c.ann.ID(), c.bob.ID()}))), []int{400}},
		abuse{"two receivers", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("receiver", []any{c.bob.ID(), c.eve.ID()}))), []int{400}},
		abuse{"two currencies", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("resourceConformsTo", []any{c.currency.Book.IRI, "https://evil.example/currencies/grn"}))), []int{400}},
		abuse{"two orders", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("fulfills", []any{"https://far.example/1", "https://far.example/2"}))), []int{400}},
		abuse{"two that are given back", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("corrects", []any{"https://far.example/1", "https://far.example/2"}))), []int{400}},
		abuse{"two receivers by two names", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("vf:receiver", c.bob.ID()))), []int{400}},
		abuse{"two payers by two names that are not plain", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("provider", nil), says("vf:provider", c.ann.ID()), says("ValueFlows:provider", c.bob.ID()))), refusals},
		abuse{"two amounts by two names", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("resourceQuantity", dict{"hasUnit": "one", "hasNumericalValue": "9.00", "om2:hasNumericalValue": "1.00"}))), []int{400}},
		abuse{"a receiver that is a number", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("receiver", 7))), []int{400}},
		abuse{"a receiver that is no address", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("receiver", "javascript:alert(1)"))), []int{400}},
		abuse{"an event by its address", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "object", c.ann.ID()+"/events/1")), nop},
		abuse{"no id", c.ann, c.ann.Proven(with(c.offers(c.ann, "9.00"), "id", nil)), []int{400}},
		abuse{"an address of thousands", c.ann, c.ann.Proven(c.offers(c.ann, "9.00", says("fulfills", "https://far.example/"+strings.Repeat("x", 5000)))), []int{400}},
		abuse{"for a ledger elsewhere", c.ann, c.ann.Proven(with(with(c.offers(c.ann, "9.00", says("resourceConformsTo", "https://evil.example/currencies/grn")), "target", "https://evil.example/ledger"), "to", []any{"https://evil.example/ledger"})), nop},
	)
	for name, change := range map[string]func(dict){
		"to a ledger elsewhere, in our currency": func(o dict) {
			o["target"], o["to"] = "https://evil.example/ledger", []any{"https://evil.example/ledger"}
		},
		"HTML in its words": says("content", "<script>alert(1)</script>\u202etxt"),
	} {
		t.Run(name, func(t *testing.T) {
			o := c.offers(c.ann, "0.10", change)
			c.paid(t, c.ann, o)
			p, err := c.rye.DB.PaymentByIRI(t.Context(), storage.IRI(o["id"].(string)))
			if err != nil || strings.ContainsAny(p.Memo, "\u202e") {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
	c.unmoved(t, c.balances(t))
}
