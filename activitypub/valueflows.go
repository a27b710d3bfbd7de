package activitypub

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"planet/storage"
)

// valueFlows is the vocabulary of ValueFlows 1.0; its terms stand inline, as the published context of FEP-0837 lacks some of them.
const valueFlows = "https://w3id.org/valueflows/ont/vf#"

// contextValueFlows are the terms of offers, orders and payments (FEP-0837, FEP-3264). An Ed25519 proof needs the second document.
var contextValueFlows = []any{
	activityStreams, "https://w3id.org/security/data-integrity/v1",
	map[string]any{
		"vf": valueFlows, "om2": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
		"Proposal": "vf:Proposal", "Intent": "vf:Intent", "Agreement": "vf:Agreement", "Commitment": "vf:Commitment", "EconomicEvent": "vf:EconomicEvent",
		"purpose": "vf:purpose", "publishes": "vf:publishes", "reciprocal": "vf:reciprocal", "unitBased": "vf:unitBased", "action": "vf:action",
		"stipulates": "vf:stipulates", "stipulatesReciprocal": "vf:stipulatesReciprocal",
		"satisfies":          map[string]any{"@id": "vf:satisfies", "@type": "@id"},
		"fulfills":           map[string]any{"@id": "vf:fulfills", "@type": "@id"},
		"corrects":           map[string]any{"@id": "vf:corrects", "@type": "@id"},
		"provider":           map[string]any{"@id": "vf:provider", "@type": "@id"},
		"receiver":           map[string]any{"@id": "vf:receiver", "@type": "@id"},
		"resourceConformsTo": map[string]any{"@id": "vf:resourceConformsTo", "@type": "@id"},
		"resourceQuantity":   "vf:resourceQuantity", "effortQuantity": "vf:effortQuantity", "availableQuantity": "vf:availableQuantity", "minimumQuantity": "vf:minimumQuantity",
		"hasPointInTime": "vf:hasPointInTime", "due": "vf:due", "hasUnit": "om2:hasUnit", "hasNumericalValue": "om2:hasNumericalValue",
	},
}

// The actions of an Intent that this node knows.
const (
	actionTransfer = "transfer"
	actionService  = "deliverService"
)

// localName strips a term of its prefix or namespace: vf:Proposal, ValueFlows:Proposal and https://w3id.org/valueflows#Proposal are all Proposal.
func localName(s string) string { return s[strings.LastIndexAny(s, "#/:")+1:] }

// economicKind is the type of an object of ValueFlows, of several the first that is known; "" when it is none.
func economicKind(o object) string {
	for _, raw := range o.list("type") {
		if s, ok := stringOf(raw); ok {
			switch name := localName(s); name {
			case "Proposal", "Intent", "Agreement", "EconomicEvent":
				return name
			case "Offer", "Need": // as Bonfire calls an Intent that is given or wanted
				if name != s && !strings.HasPrefix(s, "as:") && !strings.HasPrefix(s, activityStreams) {
					return "Intent"
				}
			}
		}
	}
	return ""
}

// termPrefixes are what servers write before the terms of ValueFlows and of OM2 whose context does not spare them that.
var termPrefixes = []string{"vf:", "om2:", "ValueFlows:", valueFlows, "https://w3id.org/valueflows#", "http://www.ontology-of-units-of-measure.org/resource/om-2/"}

// terms gives the properties of an object of ValueFlows their plain names and values: vf:publishes is publishes, and {"@value": "2"} is "2". Fedify
// writes whole addresses inside of an activity, whose own context has no terms of ValueFlows.
func terms(o object) object {
	out, changed := o, false
	put := func(key string, value json.RawMessage) {
		if !changed {
			out, changed = maps.Clone(o), true
		}
		out[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(o)) { // in one order, so that one document always says the same
		name, value := plainTerm(key), o[key]
		if len(value) > 0 && value[0] == '{' && parseObject(value)["@value"] != nil {
			value = parseObject(value)["@value"]
		} else if name == key {
			continue
		}
		if name == key || out[name] == nil {
			put(name, value)
		}
	}
	return out
}

// plainTerm is the name of a property without what some servers write before it.
func plainTerm(key string) string {
	if slices.ContainsFunc(termPrefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
		return localName(key)
	}
	return key
}

// twiceNamed is a term that an object has under two names, as in receiver and vf:receiver; "" when there is none.
func twiceNamed(o object) string {
	names := make(map[string]bool, len(o))
	for key := range o {
		name := plainTerm(key)
		if names[name] {
			return name
		}
		names[name] = true
	}
	return ""
}

// flow reads an embedded object of ValueFlows in plain terms.
func (o object) flow(key string) object { return terms(o.child(key)) }

// proposalTypes are what is read as an offer: an Intent alone is Bonfire's.
var proposalTypes = []string{"Proposal", "Intent"}

func isProposal(t string) bool { return slices.Contains(proposalTypes, t) }

// measure is a quantity as it is written: a unit, and a number, which is "" for any amount.
type measure struct {
	Unit   string
	Value  storage.Decimal
	Scale  int  // digits that were written after the point
	Edited bool // the unit or the number is written in another way: nobody can order by repeating it
}

// measureFromWire reads a quantity: the number is a string (FEP-0837) or, as some write it, a number. bad: there is one that cannot be understood.
func measureFromWire(o object) (m measure, bad bool) {
	if o = terms(o); o == nil {
		return m, false
	}
	written := o.str("hasUnit")
	if m.Unit = localName(written); written == "" {
		unit := o.flow("hasUnit")
		for _, key := range []string{"omUnitIdentifier", "label", "symbol", "id"} {
			if written = unit.str(key); written != "" {
				break
			}
		}
		if known, ok := unitOf(localName(written)); ok && written != "" {
			m.Unit, m.Edited = known, true
		}
	}
	if m.Unit = clip(m.Unit, 40); m.Unit != written {
		m.Edited = true
	}
	text, isString := stringOf(o["hasNumericalValue"])
	if !isString {
		var number json.Number
		if json.Unmarshal(o["hasNumericalValue"], &number) != nil {
			return m, o["hasNumericalValue"] != nil
		}
		text = number.String()
	}
	if text == "" {
		return m, false
	}
	var ok bool
	m.Value, ok = storage.ParseDecimal(text)
	if f, err := strconv.ParseFloat(text, 64); !ok && !isString && err == nil && f >= 0 { // as a computer counts: 0.30000000000000004, or 5e-1
		m.Edited = true
		m.Value, ok = storage.ParseDecimal(strconv.FormatFloat(f, 'f', 6, 64))
		text = string(m.Value)
	}
	if _, fraction, _ := strings.Cut(text, "."); ok {
		m.Scale = len(fraction)
	}
	return m, !ok
}

// measureToWire writes a quantity; without a number it means any amount.
func measureToWire(unit, value string) map[string]any {
	m := map[string]any{"hasUnit": unit}
	if value != "" {
		m["hasNumericalValue"] = value
	}
	return m
}

// unitNames are the names that people use for units of OM2.
var unitNames = map[string]string{
	"": "one", "each": "one", "piece": "one", "pieces": "one", "unit": "one", "kg": "kilogram", "kilo": "kilogram", "g": "gram", "l": "litre", "liter": "litre",
	"h": "hour", "hours": "hour", "min": "minute", "minutes": "minute", "s": "second", "m": "metre", "meter": "metre", "days": "day", "d": "day",
}

// unitOf is the unit of OM2 that a name means; ok is false when it cannot be one.
func unitOf(name string) (unit string, ok bool) {
	if known, ok := unitNames[strings.ToLower(name)]; ok {
		return known, true
	}
	for i, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r != '_' && r != '-' && (r < '0' || r > '9')) {
			return "", false
		}
	}
	return name, len(name) <= 40
}

// moneyNames are currencies of states as FEP-0837 names them, by Wikidata's item.
var moneyNames = map[string]string{
	"EUR": "Q4916", "USD": "Q4917", "GBP": "Q25224", "CHF": "Q25344", "SEK": "Q122922", "NOK": "Q132643", "DKK": "Q25417", "PLN": "Q123213", "CZK": "Q131016",
	"CAD": "Q1104069", "AUD": "Q259502", "NZD": "Q1472704", "JPY": "Q8146", "BRL": "Q173117", "MXN": "Q4730", "ARS": "Q199578", "INR": "Q80524",
}

const (
	wikidata = "https://www.wikidata.org/wiki/"
	iso4217  = "urn:iso:std:iso:4217:" // as some name the same
)

// moneyOf is the id by which this node knows a currency: some name those of states by their code in ISO 4217.
func moneyOf(iri storage.IRI) storage.IRI {
	if code, ok := strings.CutPrefix(string(iri), iso4217); ok {
		if item, ok := moneyNames[strings.ToUpper(code)]; ok {
			return wikidata + storage.IRI(item)
		}
	}
	return iri
}

// nameOfMoney is what people call a currency, as far as its id tells: GRN of …/currencies/grn, EUR of Wikidata's Q4916. "" when it does not.
func nameOfMoney(iri storage.IRI) string {
	if item, ok := strings.CutPrefix(string(iri), wikidata); ok {
		for name, q := range moneyNames {
			if q == item {
				return name
			}
		}
		return ""
	}
	if strings.HasPrefix(string(iri), "caip:19:monero:") {
		return "piconero" // CAIP-19 counts in the smallest unit
	}
	if _, code, ok := strings.Cut(string(iri), "/currencies/"); ok && code != "" && len(code) <= 12 && !strings.Contains(code, "/") {
		return strings.ToUpper(code)
	}
	return ""
}
