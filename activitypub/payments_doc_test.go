package activitypub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/storage"
)

// docs/payments.md shows every activity of an offer's life. Between its lines stand comments that people do not see, by which this test plays it:
//
//	<!-- do VERB -->            something is done at coop.example, as in verbs below
//	<!-- in -->                 the example that follows is sent to coop.example by its actor
//	<!-- again -->              and so is the last one once more
//	<!-- serve -->              the example that follows lies at its id, at the other server
//	<!-- out -->                coop.example has sent the example that follows, after all those that stand before
//	<!-- as above: TYPE, … -->  likewise of such types, which are not shown again
//	<!-- get PATH -->           coop.example answers with the example that follows; the reader signs
//	<!-- state STATE -->        so the order stands now at coop.example
//
// With -update what coop.example says is written anew.

const paymentsDoc = "../docs/payments.md"

// termsBelow stands in the document for the context that it shows once.
const termsBelow = "as above"

func TestPaymentsDocument(t *testing.T) {
	text, err := os.ReadFile(paymentsDoc)
	if err != nil {
		t.Fatal(err)
	}
	d := newDocument(t)
	played := d.play(string(text))
	if len(d.waiting) > 0 {
		t.Errorf("coop.example has said more than the document shows: %s", d.waiting)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(paymentsDoc, []byte(played), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// playedDocument is the document on its stage: a bakery at coop.example, and pat at another server who follows it.
type playedDocument struct {
	t       *testing.T
	net     *aptest.Network
	coop    *aptest.Node
	baker   activitypub.By
	pat     *aptest.Peer
	served  map[string]any
	offer   *storage.Offer
	grn     *storage.Currency
	asked   storage.IRI // what asked for the order that is talked of
	lastIn  []byte
	taken   int      // of what pat has received
	waiting []string // that was not shown yet
	context any      // the first one with the terms of ValueFlows
	proven  bool     // a proof was shown

	real map[string]string // numbers of the document and those of the run
	doc  map[string]string
	next struct{ named, other int } // numbers that an update has given: those that the text speaks of, and all others
}

func newDocument(t *testing.T) *playedDocument {
	net := aptest.New(t, "coop.example")
	d := &playedDocument{t: t, net: net, coop: net.Node("coop.example"), pat: aptest.NewPeer("https://other.example", "pat", 3, false), served: map[string]any{}, real: map[string]string{}, doc: map[string]string{}}
	d.baker = d.coop.Coop(d.coop.Person("nuria"), "baker")
	d.pat.Now = net.Now
	d.pat.Proves(8)
	d.served["/users/pat"] = d.paid()
	net.Serve("other.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if doc, ok := d.served[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/activity+json")
			_ = json.NewEncoder(w).Encode(doc)
			return
		}
		d.pat.ServeHTTP(w, r)
	}))
	befriend(t, net, d.pat, d.baker.Actor)
	d.taken = len(d.pat.Received())
	return d
}

var (
	vkeys    = regexp.MustCompile(`\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{40,}`) // the key of a currency, behind its name
	comments = regexp.MustCompile(`^<!-- (do|in|again|serve|out|as above:|get|state) ?(.*?) ?-->$`)
	numbers  = regexp.MustCompile(`[0-9a-f-]{9,}|z[1-9A-Za-z]{40,}`)              // ids, what is hidden in a link, hashes, and the value of a proof
	inLinks  = regexp.MustCompile(`(<span class="(?:invisible|ellipsis)")>[^<]*`) // parts of an address as people see it
	moments  = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{8}Z)?`)
)

// play goes through the document and returns it as it should be.
func (d *playedDocument) play(text string) string {
	var out strings.Builder
	lines := strings.Split(text, "\n")
	var verb, what string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line)
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
		if m := comments.FindStringSubmatch(line); m != nil {
			if verb != "" {
				d.t.Fatalf("line %d: %q has no example", i+1, verb)
			}
			if verb, what = m[1], m[2]; !d.alone(i+1, verb, what) {
				continue
			}
			verb = ""
		}
		if line != "```json" {
			continue
		}
		end := i + slices.Index(lines[i:], "```")
		example := strings.Join(lines[i+1:end], "\n")
		if verb == "" {
			d.t.Fatalf("line %d: an example that nobody plays", i+1)
		}
		out.WriteString(d.example(i+2, verb, what, example))
		i, verb = end-1, ""
	}
	return out.String()
}

// alone does what stands by itself, without an example.
func (d *playedDocument) alone(line int, verb, what string) bool {
	d.t.Helper()
	switch verb {
	case "do":
		d.does(line, what)
	case "again":
		d.send(line, d.lastIn)
	case "as above:":
		for _, want := range strings.Split(what, ", ") {
			var act dict
			if raw := d.heard(line); json.Unmarshal(raw, &act) != nil || act["type"] != want {
				d.t.Errorf("line %d: coop.example sends %s, want one %s", line, raw, want)
			}
		}
	case "state":
		if o, err := d.coop.DB.OrderByAsk(d.t.Context(), d.asked); err != nil || o.State != what {
			d.t.Errorf("line %d: the order is %+v, %v; want it %s", line, o, err, what)
		}
	default:
		return false
	}
	return true
}

// example plays one and returns it as it should be.
func (d *playedDocument) example(line int, verb, what, text string) string {
	d.t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(text), &doc); err != nil && (!*update || verb == "in" || verb == "serve") {
		d.t.Fatalf("line %d: %v", line, err)
	}
	switch verb {
	case "in", "serve":
		doc = d.whole(d.renumber(doc, d.real))
		if verb == "serve" {
			d.served[strings.TrimPrefix(str(doc.(dict), "id"), "https://other.example")] = doc
			return text + "\n"
		}
		raw, _ := json.Marshal(doc)
		d.send(line, raw)
		return text + "\n"
	case "get":
		path := d.renumber(what, d.real).(string)
		got := open(d.t, d.net, "https://coop.example"+path, signedBy(d.pat))
		return d.compare(line, doc, any(got))
	default:
		var got any
		if err := json.Unmarshal(d.heard(line), &got); err != nil {
			d.t.Fatal(err)
		}
		return d.compare(line, doc, got)
	}
}

// heard is what coop.example has sent to pat next.
func (d *playedDocument) heard(line int) []byte {
	d.t.Helper()
	if len(d.waiting) == 0 {
		d.t.Fatalf("line %d: coop.example has sent no more", line)
	}
	first := d.waiting[0]
	d.waiting = d.waiting[1:]
	return []byte(first)
}

func (d *playedDocument) deliver() {
	d.net.Deliver()
	came := d.pat.Received()[d.taken:]
	d.taken += len(came)
	said := func(raw json.RawMessage) string { // what is about different things comes in any order, but ids tell in which it was said
		var act struct{ ID string }
		_ = json.Unmarshal(raw, &act)
		return digits.FindString(act.ID)
	}
	slices.SortStableFunc(came, func(a, b json.RawMessage) int { return strings.Compare(said(a), said(b)) })
	for _, raw := range came {
		d.waiting = append(d.waiting, string(raw))
	}
	d.net.Sleep(time.Minute)
}

// send brings an activity of pat's, with the time at which she says it.
func (d *playedDocument) send(line int, raw []byte) {
	d.t.Helper()
	var act dict
	if err := json.Unmarshal(raw, &act); err != nil {
		d.t.Fatal(err)
	}
	if act["published"] != nil && !bytes.Equal(raw, d.lastIn) {
		act["published"] = d.net.Now().UTC().Format(time.RFC3339)
		raw, _ = json.Marshal(act)
	}
	switch {
	case act["proof"] != nil:
		raw = d.proves(act)
	case act["type"] == "Offer":
		d.asked = storage.IRI(str(act, "id"))
	case act["type"] == "Create" && child(act, "object")["inReplyTo"] != nil:
		d.asked = storage.IRI(str(child(act, "object"), "id"))
	}
	if got, body := post(d.t, d.net, d.pat.Request("https://coop.example/inbox", raw)); got != 202 {
		d.t.Errorf("line %d: it was answered %d %s", line, got, body)
	}
	d.lastIn = raw
	if p, err := d.coop.DB.PaymentByIRI(d.t.Context(), storage.IRI(str(act, "id"))); err == nil && d.doc[p.ID.String()] == "" && act["type"] == "Offer" {
		d.name(p.ID)
	}
	d.deliver()
}

// paid is the document of pat, whose server understands payments.
func (d *playedDocument) paid() dict {
	doc := d.pat.Document()
	doc["generator"] = dict{"type": "Application", "implements": []any{dict{"href": "https://w3id.org/planet-coop/ns#payments-1", "name": "PLANET payments 1"}}}
	return doc
}

// proves signs what moves money, as pat, for the time at which she says it. What was sent before stays as it was.
func (d *playedDocument) proves(act dict) []byte {
	if raw, _ := json.Marshal(act); bytes.Equal(raw, d.lastIn) {
		return raw
	}
	delete(act, "proof")
	now := d.net.Now().UTC()
	if act["endTime"] != nil {
		act["endTime"] = now.Add(15 * time.Minute).Format(time.RFC3339)
	}
	if event := child(act, "object"); event["due"] != nil {
		event["due"] = now.Add(time.Hour).Format(time.RFC3339)
	}
	return d.pat.Proven(act)
}

// does is what people do at coop.example.
func (d *playedDocument) does(line int, what string) {
	d.t.Helper()
	verb, words, _ := strings.Cut(what, " ")
	ctx := d.t.Context()
	var err error
	switch verb {
	case "offer":
		lat, lon := 41.98, 2.82
		ends := d.net.Now().Add(30 * 24 * time.Hour)
		d.offer, err = d.coop.PublishOffer(ctx, d.baker, activitypub.OfferDraft{
			Title: "Sourdough loaf", Text: "Baked on Fridays.", Language: "en", Price: "4.50", Currency: "EUR", Quantity: "20", Place: "Girona", Latitude: &lat, Longitude: &lon, EndsAt: &ends,
			Resource: wikidata + "Q7802", Tags: []string{"bread"}, Media: []storage.ID{d.coop.Picture(d.baker, 7, "Two loaves").ID},
		})
		if err == nil {
			d.name(d.offer.ID, d.offer.PostID)
		}
	case "currency": // in which pat has an account
		if d.grn, err = d.coop.FoundCurrency(ctx, d.baker, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"}); err == nil {
			var pat *storage.Actor
			if pat, err = d.coop.Resolve(ctx, d.pat.ID()); err == nil {
				_, err = d.coop.OpenAccount(ctx, d.baker, d.grn, pat)
			}
		}
	case "take":
		_, err = d.coop.TakePayment(ctx, d.baker, d.payment(), words, "")
	case "let-go":
		_, err = d.coop.ReleasePayment(ctx, d.baker, d.payment(), "")
	case "give-back":
		_, err = d.coop.RefundPayment(ctx, d.baker, d.payment(), words, "one loaf was burnt", "")
	case "ask":
		var pat *storage.Actor
		if pat, err = d.coop.Resolve(ctx, d.pat.ID()); err == nil {
			var r *storage.PaymentRequest
			if r, err = d.coop.RequestPayment(ctx, d.baker, activitypub.NewRequest{Currency: activitypub.MoneyHere(d.grn), Of: pat, Amount: words, Memo: "2 loaves"}); err == nil {
				d.name(r.ID)
			}
		}
	case "pause":
		_, err = d.coop.SetOffer(ctx, d.baker, d.offer.ID, storage.OfferPaused)
	case "reopen":
		_, err = d.coop.SetOffer(ctx, d.baker, d.offer.ID, storage.OfferOpen)
	case "delete":
		err = d.coop.DeleteOffer(ctx, d.baker, d.offer.ID)
	case "order":
		f, found := d.coop.ResolveOffer(ctx, d.baker, words)
		if found != nil {
			d.t.Fatal(found)
		}
		var o *storage.Order
		if o, err = d.coop.PlaceOrder(ctx, d.baker, activitypub.OrderDraft{Offer: f, Quantity: "25", Note: "Before noon, please."}); err == nil {
			d.asked = o.AskIRI
			d.name(o.ID)
		}
	case "wait":
		var span time.Duration
		if span, err = time.ParseDuration(words); err == nil {
			d.net.Sleep(span)
			err = d.coop.CheckOrders(ctx)
		}
	case "agree":
		var o *storage.Order
		if o, err = d.coop.DB.OrderByAsk(ctx, d.asked); err == nil {
			link := d.coop.OrderLink(o)
			_, err = d.coop.MoveLinkedOrder(ctx, link[strings.LastIndex(link, "/")+1:], "agree", words)
		}
	default:
		var o *storage.Order
		if o, err = d.coop.DB.OrderByAsk(ctx, d.asked); err == nil {
			_, err = d.coop.MoveOrder(ctx, d.baker, o.ID, verb, words)
		}
		if err == nil && verb == "accept" {
			d.name(o.ID)
		}
	}
	if err != nil {
		d.t.Fatalf("line %d: %s: %v", line, what, err)
	}
	d.deliver()
}

// payment is the last one to which the bakery is a party.
func (d *playedDocument) payment() storage.ID {
	ps, err := d.coop.DB.Payments(d.t.Context(), d.baker.Actor.IRI, 0, 1)
	if err != nil || len(ps) == 0 {
		d.t.Fatal("there is no payment", err)
	}
	return ps[0].ID
}

// digits are the numbers of our ids.
var digits = regexp.MustCompile(`\b[0-9]{18}\b`)

// name gives what the text speaks of the next of the numbers by which it does: the offer and its post, then each order that the bakery accepts or makes.
func (d *playedDocument) name(ids ...storage.ID) {
	for _, id := range ids {
		d.next.named++
		d.know(fmt.Sprintf("117600000000000%03d", d.next.named), id.String())
	}
}

func (d *playedDocument) know(doc, real string) { d.real[doc], d.doc[real] = real, doc }

// docNumber is the number that stands in the document for one of this run.
func (d *playedDocument) docNumber(real string) string {
	if d.doc[real] == "" {
		d.next.other++
		d.know(fmt.Sprintf("117600000000001%03d", d.next.other), real)
	}
	return d.doc[real]
}

// whole puts the terms where the document refers to them.
func (d *playedDocument) whole(doc any) any {
	if m := doc.(dict); m["@context"] == termsBelow {
		m["@context"] = d.context
	}
	return doc
}

// renumber puts numbers in the place of others, everywhere in a document.
func (d *playedDocument) renumber(doc any, known map[string]string) any {
	return each(doc, func(s string) string {
		return numbers.ReplaceAllStringFunc(s, func(n string) string {
			if to, ok := known[n]; ok {
				return to
			}
			return n
		})
	})
}

// compare holds what coop.example says against the document: all of it is the same but numbers and moments, and a number of the document is the same number
// of the run wherever it stands. The answer is the example as it should be.
func (d *playedDocument) compare(line int, want, got any) string {
	d.t.Helper()
	act := got.(dict)
	context := mustJSON(act["@context"])
	switch w, _ := want.(dict); {
	case d.context == nil && strings.Contains(context, "vf:publishes"):
		d.context = act["@context"]
	case w["@context"] == termsBelow && context == mustJSON(d.context):
		act["@context"] = termsBelow
	case w["@context"] == termsBelow && w["object"] != nil && !strings.Contains(context, "vf:"):
		act["@context"] = termsBelow // of the Note, shown with its Create
	}
	if w, _ := want.(dict); w["proof"] == nil && (!*update || d.proven || act["proof"] == nil) {
		delete(act, "proof")
	}
	d.proven = true // one is shown, for all
	if *update {
		return indent(each(act, func(s string) string { return digits.ReplaceAllStringFunc(s, d.docNumber) })) + "\n"
	}
	a, b := found(want), found(got)
	plain := func(s string) string {
		return numbers.ReplaceAllString(moments.ReplaceAllString(vkeys.ReplaceAllString(inLinks.ReplaceAllString(s, "$1>"), "+#"), "@"), "#")
	}
	shape := func(v any) string { return mustJSON(each(v, plain)) }
	if g, w := shape(got), shape(want); g != w {
		d.t.Errorf("line %d: coop.example says\n%s\nand the document\n%s", line, indent(got), indent(want))
		return ""
	}
	for i := range a {
		if r, known := d.real[a[i]]; known && r != b[i] || !known && d.doc[b[i]] != "" {
			d.t.Errorf("line %d: the number %s is not the same everywhere", line, a[i])
		}
		d.real[a[i]], d.doc[b[i]] = b[i], a[i]
	}
	return ""
}

// found are the numbers of a document, in the order of its properties.
func found(doc any) []string {
	plain := func(s string) string { return vkeys.ReplaceAllString(inLinks.ReplaceAllString(s, "$1>"), "+") }
	return numbers.FindAllString(moments.ReplaceAllString(mustJSON(each(doc, plain)), "@"), -1)
}

// indent writes JSON for people: what fits into a line stands in one.
func indent(v any) string {
	var write func(v any, depth int) string
	order := []string{"@context", "id", "type", "actor", "attributedTo", "to", "cc", "published", "updated", "object"}
	quote := func(v any) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v)
		return strings.TrimSpace(b.String())
	}
	write = func(v any, depth int) string {
		pad := strings.Repeat("  ", depth+1)
		var parts []string
		open, closing := "{", "}"
		switch v := v.(type) {
		case []any:
			open, closing = "[", "]"
			for _, e := range v {
				parts = append(parts, write(e, depth+1))
			}
		case dict:
			keys := slices.SortedFunc(maps.Keys(v), func(a, b string) int {
				i, j := slices.Index(order, a), slices.Index(order, b)
				if i < 0 {
					i = len(order)
				}
				if j < 0 {
					j = len(order)
				}
				if i != j {
					return i - j
				}
				return strings.Compare(a, b)
			})
			for _, k := range keys {
				parts = append(parts, quote(k)+": "+write(v[k], depth+1))
			}
		default:
			return quote(v)
		}
		if one := open + strings.Join(parts, ", ") + closing; len(one)+2*depth < 120 && !strings.Contains(one, "\n") {
			return one
		}
		return fmt.Sprintf("%s\n%s%s\n%s%s", open, pad, strings.Join(parts, ",\n"+pad), strings.Repeat("  ", depth), closing)
	}
	return write(v, 0)
}
