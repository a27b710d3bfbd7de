package activitypub

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"planet/ledger"
	"planet/storage"
)

const offerSeed = `{"@context":"https://www.w3.org/ns/activitystreams","id":"https://far.example/a/1","type":"Offer","actor":"https://far.example/users/ann","to":"https://rye.example/ledger","target":"https://rye.example/ledger","published":"2026-11-23T09:00:00Z","endTime":"2026-11-23T09:15:00Z","object":{"type":"EconomicEvent","action":"transfer","provider":"https://far.example/users/ann","receiver":"https://rye.example/users/baker","resourceConformsTo":"https://rye.example/currencies/grn","resourceQuantity":{"hasUnit":"one","hasNumericalValue":"9.00"},"fulfills":"https://rye.example/agreements/5#reciprocal","corrects":"https://rye.example/ledger/events/7","content":"2 <b>loaves</b>","due":"2026-11-24T09:00:00.5Z","hasPointInTime":"2026-11-20T00:00:00+02:00"}}`

// paymentSeeds are Offers in the forms in which others may write them.
func paymentSeeds(f *testing.F) {
	for _, change := range []string{"", `"9.00"|9.00`, `"9.00"|"9e1"`, `"9.00"|"-0"`, `"9.00"|null`, `"9.00"|{"@value":"9.00"}`, `"9.00"|"000000000000000000000009"`, `"transfer"|["vf:transfer"]`, `"transfer"|"raise"`,
		`"one"|"om2:one"`, `"one"|7`, `"type":"EconomicEvent"|"type":["ValueFlows:EconomicEvent"]`, `"https://rye.example/users/baker"|{"id":"https://rye.example/users/baker","type":"Person"}`,
		`"https://rye.example/users/baker"|["https://rye.example/users/baker","https://evil.example/x"]`, `"2 <b>loaves</b>"|"\u202e\u0000a\nb"`, `"content"|"contentMap"`, `"object":{|"object":[{"type":"EconomicEvent"},{`, `"endTime"|"ends"`,
		`"resourceQuantity"|"vf:resourceQuantity"`, `"receiver":|"receiver":[[]],"x":`, `"https://far.example/a/1"|""`,
		`"receiver":|"vf:receiver":"https://far.example/users/bob","ValueFlows:receiver":`, `"provider":|"vf:provider":"https://far.example/users/bob","provider":`, `"hasNumericalValue":|"om2:hasNumericalValue":"1.00","vf:hasNumericalValue":`} {
		from, to, _ := strings.Cut(change, "|")
		f.Add([]byte(strings.Replace(offerSeed, from, to, 1)))
	}
}

var plainAmount = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$`)

// FuzzTransferOrder: an order for a payment that is read says one thing. What is plain about it a plain decoder reads alike, and written in our own form it is the same order.
func FuzzTransferOrder(f *testing.F) {
	paymentSeeds(f)
	n := deafNode(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		act, err := parseActivity(raw)
		if err != nil || !isPayment(act) {
			return
		}
		o, err := n.readTransferOrder(act)
		if err != nil {
			return
		}
		if o.iri == "" || o.payee == "" || o.currency == "" || o.ends.IsZero() || utf8.RuneCountInString(o.memo) > maxMemoRunes || strings.ContainsAny(o.memo, "\n\x00\u202e") {
			t.Errorf("%s was read as %+v", raw, o)
		}
		plainly(t, raw, o)
		amount, err := ledger.ParseAmount(o.amount, 2)
		if err != nil {
			return
		}
		if !plainAmount.MatchString(o.amount) {
			t.Errorf("%q is an amount", o.amount)
		}
		ends := o.ends
		row := &storage.Payment{IRI: o.iri, Payer: o.payer, Payee: o.payee, Amount: amount, Memo: o.memo, Fulfills: o.fulfills, EndsAt: &ends}
		if !o.due.IsZero() {
			due := o.due.Truncate(time.Second)
			o.due, row.Hold, row.ExpiresAt = due, 1, &due
		}
		again, err := marshal(n.paymentOfferToWire(row, ledger.Currency{IRI: string(o.currency), Scale: 2}, "https://rye.example/ledger", o.corrects, o.dated, o.published, ""))
		if err != nil {
			t.Fatal(err)
		}
		act, err = parseActivity(again)
		if err != nil {
			return // its actor is no address
		}
		p, err := n.readTransferOrder(act)
		if err != nil {
			t.Fatalf("%s, which is ours of %s: %v", again, raw, err)
		}
		o.body, p.body, o.amount = [32]byte{}, [32]byte{}, ledger.FormatAmount(int64(amount), 2)
		o.ends, o.published, o.dated = o.ends.Truncate(time.Second), o.published.Truncate(time.Second), o.dated.Truncate(time.Second)
		p.ends, p.published, p.dated = p.ends.Truncate(time.Second), p.published.Truncate(time.Second), p.dated.Truncate(time.Second)
		if *o != *p {
			t.Errorf("%s is %+v, and in our form %s it is %+v", raw, o, again, p)
		}
	})
}

// plainly holds what was read of an Offer against a plain decoder, as far as it is written plainly: its names as they are, its values strings.
func plainly(t *testing.T, raw []byte, o *transferOrder) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	e, ok := m["object"].(map[string]any)
	if !ok {
		return
	}
	for name, read := range map[string]storage.IRI{"provider": o.payer, "receiver": o.payee, "resourceConformsTo": o.currency, "fulfills": o.fulfills, "corrects": o.corrects} {
		if said, ok := e[name].(string); ok && said != string(read) {
			t.Errorf("%s is %q and was read as %q", name, said, read)
		}
	}
	q, _ := e["resourceQuantity"].(map[string]any)
	if said, ok := q["hasNumericalValue"].(string); ok && said != o.amount {
		t.Errorf("the amount is %q and was read as %q", said, o.amount)
	}
}

// FuzzEvent: the event in a ledger's answer is read without a fault, and what is read of it is bounded by what it says.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"type":"EconomicEvent","action":"transfer","provider":{"id":"https://far.example/users/ann"},"receiver":["https://rye.example/users/baker"],"resourceConformsTo":"https://rye.example/currencies/grn","vf:resourceQuantity":{"om2:hasUnit":"om2:one","om2:hasNumericalValue":"9.00"}}`))
	f.Add([]byte(`{"action":["transfer","raise"],"resourceQuantity":[{"hasUnit":"one","hasNumericalValue":"9.00"},{"hasUnit":"one","hasNumericalValue":"1.00"}]}`))
	f.Add([]byte(`{"action":"transfer","resourceQuantity":{"hasUnit":"one","hasNumericalValue":9e999}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		e, err := readEvent(parseObject(raw))
		if err != nil {
			return
		}
		var m struct {
			ResourceQuantity struct{ HasNumericalValue any }
		}
		if json.Unmarshal(raw, &m) == nil {
			if _, isNumber := m.ResourceQuantity.HasNumericalValue.(float64); isNumber && e.amount == "" {
				t.Errorf("%s has a number for an amount, and was read", raw)
			}
		}
		for _, s := range []string{string(e.provider), string(e.receiver), string(e.currency), string(e.fulfills), string(e.corrects), e.amount} {
			if len(s) > len(raw) {
				t.Errorf("%q is more than all of it", s)
			}
		}
	})
}

// FuzzCurrency: a currency that is read has a code and a scale that people and amounts can bear, a ledger of its own origin, and reads the same when it is written anew.
func FuzzCurrency(f *testing.F) {
	seed := `{"id":"https://far.example/currencies/grn","type":"ResourceSpecification","name":"Grain","symbol":"GRN","scale":2,"kind":"mutual","vkey":"far.example/currencies/grn+9ede2411+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f","attributedTo":"https://far.example/users/mint","ledger":"https://far.example/ledger"}`
	for _, change := range []string{"", `:2|:10`, `:2|:-0`, `:2|:"2"`, `:2|:2.0`, `"GRN"|"ЕUR"`, `"GRN"|["GRN"]`, `"mutual"|"hours"`, `"https://far.example/ledger"|"https://far.example@evil.example/ledger"`, `"https://far.example/ledger"|{"id":"https://FAR.example/ledger"}`,
		`"ResourceSpecification"|["Note","vf:ResourceSpecification"]`, `"symbol"|"vf:symbol"`, `"Grain"|"<b>\u202eGrain"`} {
		from, to, _ := strings.Cut(change, "|")
		f.Add([]byte(strings.Replace(seed, from, to, 1)))
	}
	code := regexp.MustCompile(`^[A-Z][A-Z0-9]{1,11}$`)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		c, err := currencyFromWire(raw)
		if err != nil {
			return
		}
		if !code.MatchString(c.Code) || c.Scale < 0 || c.Scale > 9 || plainOrigin(string(c.IRI)) == "" || plainOrigin(string(c.IRI)) != plainOrigin(string(c.Ledger)) || utf8.RuneCountInString(c.Name) > 101 {
			t.Errorf("%s was read as %+v", raw, c)
		}
		again, err := marshal(map[string]any{"id": c.IRI, "type": "ResourceSpecification", "name": c.Name, "symbol": c.Code, "scale": c.Scale, "kind": c.Kind, "vkey": c.Vkey, "attributedTo": c.Coop, "ledger": c.Ledger})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := currencyFromWire(again); err != nil || d.IRI != c.IRI || d.Code != c.Code || d.Scale != c.Scale || d.Ledger != c.Ledger || d.Kind != c.Kind || d.Vkey != c.Vkey || d.Coop != c.Coop {
			t.Errorf("%s is %+v, written anew %+v, %v", raw, c, d, err)
		}
	})
}
