package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
)

func TestBoostsPollsAndPinsAreShown(t *testing.T) {
	s := newSite(t)
	baker, mill := s.coop("baker", "The bakery"), s.coop("mill", "The mill")
	flour := s.say(mill, activitypub.Draft{Text: "Flour is here"})
	poll := s.say(baker, activitypub.Draft{Text: "Which bread?", Poll: &activitypub.PollDraft{Options: []string{"rye & oats", "wheat"}, Lasts: time.Hour}})
	hours := s.say(baker, activitypub.Draft{Text: "We open at eight"})
	secret := s.say(mill, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	boost, err := s.node.Boost(t.Context(), baker, flour.ID, "")
	must(err)
	_, err = s.node.Like(t.Context(), baker, flour.ID)
	must(err)
	_, err = s.node.Vote(t.Context(), mill, poll.ID, []int{0})
	must(err)
	must(s.node.Pin(t.Context(), baker, hours.ID))

	w := s.get("/@baker")
	s.want(w, http.StatusOK, "Shared by <bdi>The bakery</bdi>", "Flour is here", "rye &amp; oats", "One person voted", "open until", ">Pinned<")
	if n := strings.Count(w.Body.String(), "We open at eight"); n != 1 {
		t.Errorf("the pinned post is shown %d times, want once", n)
	}
	if pinned, other := strings.Index(w.Body.String(), "We open at eight"), strings.Index(w.Body.String(), "Flour is here"); pinned > other {
		t.Errorf("the pinned post does not come first")
	}
	s.want(s.get("/@mill/"+flour.ID.String()), http.StatusOK, "1 like", "shared once")
	s.want(s.get("/@baker/"+boost.ID.String()), http.StatusNotFound)
	s.want(s.get("/"), http.StatusOK, "Flour is here")
	_, err = s.node.Boost(t.Context(), mill, secret.ID, "")
	must(err)
	s.wantNot(s.get("/@mill"), "for followers")

	// What is shared and goes, or whose author may not be seen any more, goes here too.
	must(s.node.SetStanding(t.Context(), nil, mill.Actor, true, false))
	s.wantNot(s.get("/@baker"), "Flour is here")
}
