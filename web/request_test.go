package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

func TestARequestForPaymentIsSeenAndRefusedByItsLink(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	c, err := s.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.node.RequestPayment(t.Context(), baker, activitypub.NewRequest{Currency: activitypub.MoneyHere(c), Of: s.oli("oli"), Amount: "9", Memo: "2 <b>loaves</b>"})
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimPrefix(s.node.RequestLink(r), "https://rye.example")
	before := storagetest.Rows(t, s.db)
	w := s.get(link)
	s.want(w, http.StatusOK, "9.00 GRN", "The Bakery", "2 &lt;b&gt;loaves&lt;/b&gt;", "Waits for you", `value="refuse"`, "planet pay --as oli --request "+string(r.IRI), `content="noindex"`)
	for header, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"} {
		if got := w.Header().Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	s.want(s.get(link+"?act=refuse"), http.StatusOK)
	wantRows(t, s, before)
	s.want(s.send(link, url.Values{"act": {"pay"}}), http.StatusUnprocessableEntity, "cannot be done here")
	for _, wrong := range []string{link + "0", strings.Replace(link, "/r", "/", 1), "/pay/r", "/pay/r1-0", "/pay/rr"} {
		s.want(s.get(wrong), http.StatusNotFound)
		s.want(s.send(wrong, url.Values{"act": {"refuse"}}), http.StatusNotFound)
	}
	wantRows(t, s, before)
	if w := s.send(link, url.Values{"act": {"refuse"}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://rye.example"+link {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	w = s.get(link)
	s.want(w, http.StatusOK, "Refused.", "you will not pay it")
	s.wantNot(w, "<button", "How to pay")
	s.want(s.send(link, url.Values{"act": {"refuse"}}), http.StatusConflict, "the request is refused", `role="alert"`)
	if now, err := s.db.PaymentRequestByID(t.Context(), r.ID); err != nil || now.State != storage.RequestRefused {
		t.Errorf("the request is %+v, %v", now, err)
	}
	_, secret, _ := strings.Cut(link, "-")
	if log := s.log.String(); strings.Contains(log, secret) {
		t.Error("the code is in the log")
	}
}
