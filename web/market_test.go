package web_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/storage"
)

func TestTheMarketShowsWhatIsOpenAndFindsIt(t *testing.T) {
	s := newSite(t)
	baker, cob := s.coop("baker", "The Bakery"), s.coop("cobbler", "The Cobblers")
	s.want(s.get("/offers"), http.StatusOK, "Nothing is offered yet")
	s.want(s.get("/needs"), http.StatusOK, "Nobody looks for anything")
	lat, lon := 41.98, 2.82
	s.offer(baker, activitypub.OfferDraft{Title: "Sourdough loaf", Price: "4.50", Currency: "EUR", Quantity: "20", Place: "Girona", Latitude: &lat, Longitude: &lon})
	s.offer(cob, activitypub.OfferDraft{Title: "New soles", Price: "18", Currency: "EUR", Category: storage.Services})
	s.offer(baker, activitypub.OfferDraft{Title: "Rye flour", Request: true})
	closed := s.offer(baker, activitypub.OfferDraft{Title: "Panettone"})
	s.set(baker, closed, storage.OfferClosed)

	w := s.get("/offers")
	s.want(w, http.StatusOK, "Sourdough loaf", "4.50 EUR each", "20 left", "Girona", "New soles", "The Cobblers")
	s.wantNot(w, "Rye flour", "Panettone")
	w = s.get("/needs")
	s.want(w, http.StatusOK, "Rye flour")
	s.wantNot(w, "Sourdough loaf")
	for query, want := range map[string][2]string{
		"q=sourdo": {"Sourdough loaf", "New soles"}, "q=GIRON%C3%80": {"Sourdough loaf", "New soles"}, "category=services": {"New soles", "Sourdough loaf"},
		"most=5&currency=EUR": {"Sourdough loaf", "New soles"}, "most=4,60": {"Sourdough loaf", "New soles"}, "near=41.9%2C+2.8&within=20": {"Sourdough loaf", "New soles"},
		"coop=cobbler": {"New soles", "Sourdough loaf"}, "q=bicycle": {"Nothing was found", "Sourdough loaf"},
	} {
		w := s.get("/offers?" + query)
		s.want(w, http.StatusOK, want[0], `<meta name="robots" content="noindex`)
		s.wantNot(w, want[1])
	}
	s.want(s.get("/"), http.StatusOK, "Sourdough loaf", `href="/offers"`)
	w = s.get("/@baker")
	s.want(w, http.StatusOK, "Sourdough loaf", "Rye flour")
	s.wantNot(w, "New soles")
}

func TestASearchThatCannotBeDoneSaysSoBesideItsField(t *testing.T) {
	s := newSite(t)
	for query, want := range map[string]string{
		"most=cheap": `id="most-problem"`, "most=-1": `id="most-problem"`, "currency=nothing": `id="currency-problem"`, "near=Girona": `id="near-problem"`, "near=91,0": `id="near-problem"`,
		"within=far": `id="within-problem"`, "category=love": `id="category-problem"`, "q=a+b+c+d+e+f+g+h+i": `id="q-problem"`, "purpose=gift": "an offer or a request",
	} {
		s.want(s.get("/offers?"+query), http.StatusUnprocessableEntity, want)
	}
	s.want(s.get("/offers?coop=nobody"), http.StatusNotFound)
	s.want(s.get("/offers?before=x"), http.StatusBadRequest)
	const payload = `"><script>alert(1)</script>`
	for _, field := range []string{"q", "category", "currency", "most", "near", "within"} {
		s.wantNot(s.get("/offers?"+field+"="+strings.ReplaceAll(payload, " ", "+")), "<script>alert")
	}
}

func TestTheMarketGoesOnPageByPage(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	for i := range 45 {
		s.offer(baker, activitypub.OfferDraft{Title: fmt.Sprintf("Loaf %02d", i)})
	}
	older := regexp.MustCompile(`href="(/offers\?[^"]*before=[0-9]+)"`)
	seen := map[string]bool{}
	at := "/offers?q=loaf"
	for pages := 1; ; pages++ {
		w := s.get(at)
		for _, m := range regexp.MustCompile(`Loaf [0-9]{2}`).FindAllString(w.Body.String(), -1) {
			seen[m] = true
		}
		next := older.FindStringSubmatch(w.Body.String())
		if next == nil {
			if pages != 3 {
				t.Errorf("45 offers are on %d pages, want 3", pages)
			}
			break
		}
		if at = html.UnescapeString(next[1]); !strings.Contains(at, "q=loaf") || pages > 5 {
			t.Fatalf("the next page is %s", at)
		}
	}
	if len(seen) != 45 {
		t.Errorf("%d offers were shown, want 45", len(seen))
	}
}
