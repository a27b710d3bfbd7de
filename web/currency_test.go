package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/ledger"
)

func TestACurrencyIsAPageADocumentAndALog(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The <b>bakery</b>")
	if _, err := s.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Name: `Grain & "more"`, Kind: ledger.Mutual, CreditLimit: "100"}); err != nil {
		t.Fatal(err)
	}
	page := s.get("/currencies/grn")
	s.want(page, http.StatusOK, "Grain &amp; &#34;more&#34;", "GRN", "Mutual credit", "up to 100.00", "2 entries", "rye.example/currencies/grn&#43;", "/currencies/grn/log/checkpoint")
	s.wantNot(page, "<b>bakery</b>")
	if link := page.Header().Get("Link"); !strings.Contains(link, `<https://rye.example/currencies/grn>; rel="alternate"`) {
		t.Errorf("got the link %q", link)
	}
	w := s.getAs(activityJSON, "/currencies/grn")
	s.want(w, http.StatusOK)
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc["type"] != "ResourceSpecification" || doc["id"] != "https://rye.example/currencies/grn" {
		t.Errorf("got %v, %v", doc, err)
	}
	if w := s.get("/currencies/grn/log/checkpoint"); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "rye.example/currencies/grn\n2\n") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %q, %v", w.Code, w.Body, w.Header())
	}
	for _, path := range []string{"/currencies/GRN", "/currencies/nix", "/currencies/", "/currencies", "/currencies/grn/", "/currencies/grn/log", "/currencies/grn/log/", "/currencies/%00/log/checkpoint",
		"/currencies/grn/log/tile/0/000", "/currencies/" + strings.Repeat("a", 5000)} {
		for _, accept := range []string{browser, activityJSON} {
			if w := s.getAs(accept, path); w.Code != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", path, w.Code)
			}
		}
	}
}
