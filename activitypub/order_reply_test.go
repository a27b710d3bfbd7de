package activitypub_test

import (
	"encoding/json"
	"errors"
	"html"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// answers makes a peer answer the post of an offer, as Mastodon does, and returns the id of her answer.
func (s *scene) answers(t *testing.T, p *aptest.Peer, f *storage.Offer, text string) storage.IRI {
	t.Helper()
	note := s.baker.Actor.IRI + storage.IRI("/statuses/"+f.PostID.String())
	s.sent++
	id := "answer" + strings.Repeat("x", s.sent)
	create := p.Note(id, `<span class="h-card"><a href="https://rye.example/@baker" class="u-url mention">@<span>baker</span></a></span> `+html.EscapeString(text), string(s.baker.Actor.IRI))
	create["object"].(map[string]any)["inReplyTo"] = string(note)
	s.take(t, p, create)
	s.net.Deliver()
	return storage.IRI(create["object"].(map[string]any)["id"].(string))
}

// letters are the direct messages that a peer got of the bakery, in words.
func letters(p *aptest.Peer) (out []string) {
	for _, raw := range p.Received() {
		var create struct {
			Type   string
			Object struct{ Type, Content string }
			To     []string
		}
		if json.Unmarshal(raw, &create) == nil && create.Type == "Create" && create.Object.Type == "Note" && len(create.To) == 1 && create.To[0] == p.ID() {
			out = append(out, activitypub.PlainText(create.Object.Content))
		}
	}
	return out
}

func TestShortAnswersToAnOfferAreOrders(t *testing.T) {
	for text, want := range map[string]storage.Decimal{
		"2 please": "2", "x3": "3", "2x": "2", "I'd like 4": "4", "Two, please!": "2", "please": "1", "Can I have 2 please?": "2", "5": "5",
		"dos por favor": "2", "2 porfa": "2", "me llevo tres": "3", "dues si us plau": "2", "en vull quatre": "4", "deux s'il vous plaît": "2", "une, merci": "1",
		"Is it open at 8?": "", "lovely bread!": "", "": "", "Can I have 2?": "", "half past": "", "-3": "", "1e3 please": "1", "2000000 please": "1",
		"We had two of them last week and all of our guests have asked for more of it": "",
	} {
		t.Run(text, func(t *testing.T) {
			s := newScene(t)
			f := s.bread(t, activitypub.OfferDraft{Quantity: "20"})
			o, err := s.rye.DB.OrderByAsk(t.Context(), s.answers(t, s.ann, f, text))
			switch {
			case want == "" && !errors.Is(err, storage.ErrNotFound):
				t.Errorf("it is an order of %s, %v; want none", o.Quantity, err)
			case want != "" && (err != nil || o.Quantity != want || o.Agreed || o.State != storage.OrderProposed):
				t.Errorf("it is %+v, %v; want an order of %s that waits", o, err, want)
			}
			if got := letters(s.ann); len(got) > 0 {
				t.Errorf("she was told %q before anybody answered", got)
			}
		})
	}
}

func TestWhoAnswersWhatCannotBeHadIsToldWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		offer activitypub.OfferDraft
		text  string
		want  string
	}{
		"too many":       {activitypub.OfferDraft{Quantity: "20"}, "40 please", "Only 20 is left: order less."},
		"too few":        {activitypub.OfferDraft{Minimum: "3"}, "2 please", "order at least that"},
		"half a step":    {activitypub.OfferDraft{Unit: "kg", Per: "0.5"}, "0.7 please", "a multiple of that"},
		"an open price":  {activitypub.OfferDraft{OpenPrice: true, Currency: "EUR"}, "2 please", ""},
		"with a comma":   {activitypub.OfferDraft{Unit: "kg", Per: "0.5", Quantity: "1"}, "1,5 si us plau", "Only 1 kg is left"},
		"what is paused": {activitypub.OfferDraft{Title: "paused"}, "2 please", "not offered now"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			f := s.bread(t, c.offer)
			if name == "what is paused" {
				s.set(t, f, storage.OfferPaused)
			}
			if o, err := s.rye.DB.OrderByAsk(t.Context(), s.answers(t, s.ann, f, c.text)); err == nil {
				t.Errorf("it is the order %+v", o)
			}
			got := letters(s.ann)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("she was told %q, want %q", got, c.want)
			}
		})
	}
}

// TestSomebodyWithoutANodeBuysALoaf is Oli's way from the post to the bread: one message for each step of the bakery's, none for his own.
func TestSomebodyWithoutANodeBuysALoaf(t *testing.T) {
	s := newScene(t)
	f := s.bread(t, activitypub.OfferDraft{Title: "Sourdough loaf", Price: "4.50", Currency: "EUR", Quantity: "20"})
	ask := s.answers(t, s.ann, f, "2 please")
	told := 0
	hears := func(words ...string) {
		t.Helper()
		s.net.Deliver()
		got := letters(s.ann)
		if len(words) == 0 && len(got) != told || len(words) > 0 && len(got) != told+1 {
			t.Fatalf("she was told %q, want %d messages and then %q", got, told, words)
		}
		for told = len(got); len(words) > 0; words = words[1:] {
			if !strings.Contains(got[told-1], words[0]) {
				t.Errorf("she was told %q, want %q in it", got[told-1], words[0])
			}
		}
	}
	o, err := s.rye.DB.OrderByAsk(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	bakes := func(act, words string) {
		t.Helper()
		if _, err := s.rye.MoveOrder(t.Context(), activitypub.By{Actor: s.baker.Actor}, o.ID, act, words); err != nil {
			t.Fatal(err)
		}
	}
	link := s.rye.OrderLink(o)
	code := link[strings.LastIndex(link, "/")+1:]
	if _, err := s.rye.LinkedOrder(t.Context(), code); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the link opens before anything was accepted: %v", err)
	}
	bakes("accept", "")
	hears("2 × Sourdough loaf, 9.00 EUR", link)
	for _, act := range []string{"accept", "fulfil", "decline", "expire", "eat"} {
		if _, err := s.rye.MoveLinkedOrder(t.Context(), code, act, ""); err == nil {
			t.Errorf("by her link she may %s", act)
		}
	}
	if o, err = s.rye.MoveLinkedOrder(t.Context(), code, "agree", ""); err != nil || !o.Agreed {
		t.Fatalf("agree: %+v, %v", o, err)
	}
	hears()
	if _, err := s.rye.MoveLinkedOrder(t.Context(), code, "agree", ""); err == nil {
		t.Error("she agrees twice")
	}
	bakes("fulfil", "at the door")
	hears("was delivered", link)
	if o, err = s.rye.MoveLinkedOrder(t.Context(), code, "dispute", "It is mouldy."); err != nil || o.State != storage.OrderDisputed {
		t.Fatalf("dispute: %+v, %v", o, err)
	}
	hears()
	bakes("cancel", "We are sorry.")
	hears("We are sorry.")
	if left := s.left(t, f); left != "20" {
		t.Errorf("%s are left, want all 20", left)
	}
	if o, err := s.rye.LinkedOrder(t.Context(), code); err != nil || o.State != storage.OrderCancelled {
		t.Errorf("at its end the link shows %+v, %v", o, err)
	}
}

func TestAnOrderThatNobodyConfirmsIsFreeAgain(t *testing.T) {
	s := newScene(t)
	f := s.bread(t, activitypub.OfferDraft{Quantity: "2"})
	o, err := s.rye.DB.OrderByAsk(t.Context(), s.answers(t, s.ann, f, "2 please"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.rye.MoveOrder(t.Context(), activitypub.By{Actor: s.baker.Actor}, o.ID, "accept", ""); err != nil {
		t.Fatal(err)
	}
	if left := s.left(t, f); left != "0" {
		t.Errorf("%s are left, want none", left)
	}
	s.net.Sleep(3*24*time.Hour + time.Minute)
	if err := s.rye.CheckOrders(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	if o, err = s.rye.DB.OrderByID(t.Context(), o.ID); err != nil || o.State != storage.OrderExpired || s.left(t, f) != "2" {
		t.Errorf("it is %+v, %v, and %s are left", o, err, s.left(t, f))
	}
	if got := letters(s.ann); len(got) != 2 || !strings.Contains(got[1], "not confirmed in time") {
		t.Errorf("she was told %q", got)
	}
}
