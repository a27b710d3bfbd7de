package activitypub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"planet/activitypub"
)

func TestACoopTakesItsRecordsOutAsValueFlows(t *testing.T) {
	m := newMarket(t)
	ctx := context.Background()
	bread := m.offer(activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20", Resource: "https://www.wikidata.org/wiki/Q7802"})
	done, refused := m.order(bread, "2"), m.order(bread, "1")
	m.bakes("accept", done, "")
	m.bakes("fulfil", done, "")
	m.bakes("decline", refused, "")
	if _, err := m.rye.KeepContribution(ctx, m.bakery, activitypub.NewContribution{Time: "1:30", Words: "kneading", Day: m.Now().Format("2006-01-02")}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.rye.ExportValueFlows(ctx, m.bakery, &b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Graph []map[string]any `json:"@graph"`
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("%v in\n%s", err, b.Bytes())
	}
	var kinds []string
	for _, o := range doc.Graph {
		kinds = append(kinds, o["type"].(string)+" "+str(o, "action")+" "+str(o, "state"))
	}
	slices.Sort(kinds)
	want := []string{"Agreement  fulfilled", "EconomicEvent transfer fulfilled", "EconomicEvent work kept", "Offer  rejected", "Organization  ", "Proposal  open"}
	if strings.Join(kinds, "; ") != strings.Join(want, "; ") {
		t.Errorf("the export holds %q, want %q", kinds, want)
	}
	if strings.Contains(b.String(), "/pay/") {
		t.Error("the export tells the secret link of an order")
	}
	log, err := m.rye.AuditOf(ctx, m.bakery, m.bakery.Actor, 0, 10)
	if err != nil || len(log) == 0 || !slices.ContainsFunc(log, func(e activitypub.AuditEntry) bool { return e.Act == "export" }) {
		t.Errorf("the audit log says %+v, %v", log, err)
	}
	bo := m.rye.Person("bo")
	if err := m.rye.ExportValueFlows(ctx, activitypub.By{User: bo.User, Actor: m.bakery.Actor}, &b); err == nil {
		t.Error("somebody who is no member exported")
	}
}
