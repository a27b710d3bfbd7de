package activitypub_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

func TestTimeIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[string]int64{
		"1:30": 90, "01:30": 90, "0:05": 5, "24:00": 1440, "90m": 90, "0m": 0, "1440m": 1440, "1.5h": 90, "1h": 60, "0.25h": 15, "2.05h": 123, "0.0h": 0, "24h": 1440,
	} {
		got, err := activitypub.ParseMinutes(typed)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d minutes", typed, got, err, want)
		}
		if again, err := activitypub.ParseMinutes(activitypub.FormatMinutes(got)); err != nil || again != got {
			t.Errorf("%s is written %s, and read %d, %v", typed, activitypub.FormatMinutes(got), again, err)
		}
	}
	for name, typed := range map[string]string{
		"nothing": "", "a bare number": "90", "no minutes": "1:", "one digit of minutes": "1:5", "sixty minutes": "1:60", "no hours": ":30", "more than a day": "24:01",
		"many minutes": "1441m", "a sign": "-5m", "a plus": "+5m", "a blank": "1 h", "a comma": "1,5h", "parts of a minute": "0.001h", "a third of a minute": "1.005h", "no digits": "h",
		"no digits after the point": "1.h", "no digits before it": ".5h", "seconds": "1:30:00", "other digits": "１h", "an exponent": "1e1m", "too many digits": "00000000090m",
	} {
		if got, err := activitypub.ParseMinutes(typed); err == nil {
			t.Errorf("%s: %q was read as %d", name, typed, got)
		} else {
			wantInvalid(t, err, "time")
		}
	}
}

// work is a house with bo, a member, and cleo, its treasurer.
func work(t *testing.T) *house {
	h := newHouse(t, "bo", "cleo", "dora")
	h.give("bo", storage.RoleMember)
	h.give("cleo", storage.RoleTreasurer)
	return h
}

func (h *house) today() string { return h.Now().UTC().Format(time.DateOnly) }

func (h *house) did(name, typed, words string) *storage.Contribution {
	h.t.Helper()
	c, err := h.KeepContribution(h.t.Context(), h.as(name), activitypub.NewContribution{Day: h.today(), Time: typed, Words: words})
	h.must(err)
	return c
}

func (h *house) correct(c *storage.Contribution, typed string) *storage.Contribution {
	h.t.Helper()
	name := "bo"
	for n, by := range h.people {
		if by.User.ID == c.UserID {
			name = n
		}
	}
	d, err := h.CorrectContribution(h.t.Context(), h.as(name), c.ID, activitypub.NewContribution{Day: c.Day, Time: typed, Words: c.Words})
	h.must(err)
	return d
}

// wantHours compares what counts.
func (h *house) wantHours(want string) {
	h.t.Helper()
	cs, err := h.ContributionsOf(h.t.Context(), h.coop, h.coop.Actor, storage.ContributionFilter{})
	h.must(err)
	var sum int64
	for _, c := range cs {
		if c.State == storage.ContributionConfirmed && c.CorrectedBy == 0 {
			sum += c.Minutes
		}
	}
	if got := activitypub.FormatMinutes(sum); got != want {
		h.t.Errorf("%s hours count, want %s", got, want)
	}
}

func (h *house) wantKept(c *storage.Contribution, want string) {
	h.t.Helper()
	got, err := h.DB.ContributionByID(h.t.Context(), c.ID)
	h.must(err)
	if got.State != want {
		h.t.Errorf("the contribution is %s, want %s", got.State, want)
	}
}

func TestWorkCountsWhenTheCoopHasConfirmedIt(t *testing.T) {
	h := work(t)
	ctx := t.Context()
	c := h.did("bo", "1:30", " cleaned\nthe  ove\u0301n\u202e ")
	if c.Words != "cleaned the ovén" || c.Minutes != 90 || c.State != storage.ContributionKept || c.Paid {
		t.Errorf("got %+v", c)
	}
	h.wantHours("0:00")
	for _, name := range []string{"bo", "dora"} {
		_, err := h.ConfirmContribution(ctx, h.as(name), c.ID)
		wantProblem(t, err, "role")
	}
	_, err := h.ConfirmContribution(ctx, h.as("cleo"), c.ID)
	h.must(err)
	h.wantHours("1:30")
	e := h.last()
	if want := fmt.Sprintf(`{"contribution":"%s","day":"%s","minutes":90,"state":"confirmed"}`, c.ID, c.Day); e.Act != "contribution.confirm" || e.Subject != h.people["bo"].Actor.IRI ||
		e.Who != string(h.people["cleo"].Actor.IRI) || string(e.After) != want || e.Words != "" {
		t.Errorf("got %+v, want %s", e, want)
	}
	_, err = h.ConfirmContribution(ctx, h.coop, c.ID)
	wantStatus(t, err, 409, "contribution")
	wantStatus(t, h.WithdrawContribution(ctx, h.as("bo"), c.ID), 409, "contribution")
	wantStatus(t, h.RefuseContribution(ctx, h.coop, c.ID, "no"), 409, "contribution")

	d := h.did("bo", "8h", "slept")
	wantInvalid(t, h.RefuseContribution(ctx, h.coop, d.ID, "\n"), "reason")
	h.must(h.RefuseContribution(ctx, h.coop, d.ID, "that is no work"))
	h.wantKept(d, storage.ContributionRefused)
	if e := h.last(); e.Act != "contribution.refuse" || e.Words != "that is no work" {
		t.Errorf("got %+v", e)
	}
	mill := h.Coop(h.people["dora"], "mill")
	f := h.did("bo", "15m", "swept")
	if _, err := h.ConfirmContribution(ctx, mill, f.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("another co-op confirms it: %v", err)
	}
	wantProblem(t, h.WithdrawContribution(ctx, h.as("cleo"), f.ID), "own-case")
	h.must(h.WithdrawContribution(ctx, h.as("bo"), f.ID))
	h.wantKept(f, storage.ContributionWithdrawn)
	h.wantHours("1:30")
}

func TestNobodyConfirmsHerOwnWorkUnlessNobodyElseCould(t *testing.T) {
	h := work(t)
	ctx := t.Context()
	c := h.did("cleo", "1h", "did the books")
	_, err := h.ConfirmContribution(ctx, h.as("cleo"), c.ID)
	wantProblem(t, err, "own-case")
	wantProblem(t, h.RefuseContribution(ctx, h.as("cleo"), c.ID, "no"), "own-case")
	h.must(h.TakeRole(ctx, h.coop, h.people["cleo"].User, storage.RoleTreasurer))
	h.give("cleo", storage.RoleMember)

	d := h.did("nuria", "2h", "swept")
	_, err = h.ConfirmContribution(ctx, h.coop, d.ID)
	h.must(err)
	if e := h.last(); e.Words != "her own: nobody else could confirm it" {
		t.Errorf("the audit log says %q", e.Words)
	}
	_, err = h.ConfirmContribution(ctx, h.coop, c.ID)
	h.must(err)
	if e := h.last(); e.Words != "" {
		t.Errorf("of cleo's work the audit log says %q", e.Words)
	}
	h.wantHours("3:00")
}

func TestACorrectionIsWrittenDownAnew(t *testing.T) {
	h := work(t)
	ctx := t.Context()
	confirm := func(c *storage.Contribution) {
		t.Helper()
		_, err := h.ConfirmContribution(ctx, h.coop, c.ID)
		h.must(err)
	}
	first := h.did("bo", "3h", "baked")
	confirm(first)
	second := h.correct(first, "2h")
	if second.Corrects == nil || *second.Corrects != first.ID {
		t.Errorf("got %+v", second)
	}
	h.wantHours("3:00") // until the co-op says so
	in := activitypub.NewContribution{Day: h.today(), Time: "1h", Words: "baked"}
	_, err := h.CorrectContribution(ctx, h.as("bo"), first.ID, in)
	wantStatus(t, err, 409, "contribution") // one correction waits
	h.must(h.RefuseContribution(ctx, h.coop, second.ID, "it was three"))
	h.wantHours("3:00")
	third := h.correct(first, "2:45")
	confirm(third)
	h.wantHours("2:45")
	_, err = h.CorrectContribution(ctx, h.as("bo"), first.ID, in)
	wantStatus(t, err, 409, "contribution")
	if err == nil || !strings.HasSuffix(err.Error(), "correct "+third.ID.String()) {
		t.Errorf("got %v, want the one named that counts", err)
	}
	confirm(h.correct(third, "0:00")) // it was no work at all
	h.wantHours("0:00")

	waits := h.did("bo", "4h", "sold")
	fourth := h.correct(waits, "3h")
	h.wantKept(waits, storage.ContributionWithdrawn)
	confirm(fourth)
	h.wantHours("3:00")
	_, err = h.CorrectContribution(ctx, h.as("bo"), waits.ID, in)
	wantStatus(t, err, 409, "contribution")
	_, err = h.CorrectContribution(ctx, h.as("cleo"), fourth.ID, in)
	wantProblem(t, err, "own-case")
	_, err = h.CorrectContribution(ctx, activitypub.By{Actor: h.coop.Actor}, fourth.ID, in)
	wantProblem(t, err, "own-case")

	// What was done is never edited, past the doors either.
	c, err := h.DB.ContributionByID(ctx, fourth.ID)
	h.must(err)
	c.State = storage.ContributionRefused
	if err := h.DB.EndContribution(ctx, c); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an answer was given twice: %v", err)
	}
}

func TestWhatIsNoWorkIsNotWrittenDown(t *testing.T) {
	h := work(t)
	ctx := t.Context()
	day := func(d int) string { return h.Now().UTC().AddDate(0, 0, d).Format(time.DateOnly) }
	good := activitypub.NewContribution{Day: day(0), Time: "1h", Words: "baked"}
	for name, c := range map[string]struct {
		field string
		in    activitypub.NewContribution
	}{
		"no time":         {"time", activitypub.NewContribution{Day: day(0), Time: "0:00", Words: "baked"}},
		"no words":        {"words", activitypub.NewContribution{Day: day(0), Time: "1h", Words: " \u202e"}},
		"many words":      {"words", activitypub.NewContribution{Day: day(0), Time: "1h", Words: strings.Repeat("x", 501)}},
		"no day":          {"day", activitypub.NewContribution{Time: "1h", Words: "baked"}},
		"no such day":     {"day", activitypub.NewContribution{Day: "2026-02-30", Time: "1h", Words: "baked"}},
		"a day to come":   {"day", activitypub.NewContribution{Day: day(2), Time: "1h", Words: "baked"}},
		"long ago":        {"day", activitypub.NewContribution{Day: day(-367), Time: "1h", Words: "baked"}},
		"another's money": {"payment", activitypub.NewContribution{Day: day(0), Time: "1h", Words: "baked", Payment: "https://rye.example/activities/1"}},
	} {
		_, err := h.KeepContribution(ctx, h.as("bo"), c.in)
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		wantInvalid(t, err, c.field)
	}
	for _, d := range []string{day(-1), day(-365)} {
		good.Day = d
		_, err := h.KeepContribution(ctx, h.as("bo"), good)
		h.must(err)
	}
	_, err := h.KeepContribution(ctx, h.as("dora"), good)
	wantProblem(t, err, "role")
	_, err = h.KeepContribution(ctx, activitypub.By{Actor: h.coop.Actor}, good)
	wantInvalid(t, err, "as")
}

func TestTwentyAnswersAtOnceAreOne(t *testing.T) {
	h := work(t)
	c := h.did("bo", "1h", "baked")
	var wg sync.WaitGroup
	var done atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			var err error
			switch i % 3 {
			case 0:
				_, err = h.ConfirmContribution(t.Context(), h.coop, c.ID)
			case 1:
				err = h.RefuseContribution(t.Context(), h.as("cleo"), c.ID, "no")
			default:
				err = h.WithdrawContribution(t.Context(), h.as("bo"), c.ID)
			}
			if err == nil {
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("%d answers were taken", done.Load())
	}
	h.log() // unbroken
}

func TestWorkOnTheWireIsAnEconomicEvent(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx := t.Context()
	bo := activitypub.By{User: b.people["bo"].User, Actor: b.coop.Actor}
	b.must(b.GiveRole(ctx, b.coop, bo.User, storage.RoleMember))
	p := b.pay(b.coop, b.people["bo"], "3")
	notHers := []*storage.Payment{b.pay(b.people["bo"], b.coop, "3"), b.pay(b.coop, b.people["cleo"], "3"), b.pay(b.people["cleo"], b.people["bo"], "3")}
	in := activitypub.NewContribution{Day: b.Now().UTC().Format(time.DateOnly), Time: "1:30", Words: "baked", Payment: p.IRI}
	c, err := b.KeepContribution(ctx, bo, in)
	b.must(err)
	_, err = b.ConfirmContribution(ctx, b.coop, c.ID)
	b.must(err)
	for _, p := range notHers {
		in.Payment = p.IRI
		_, err = b.KeepContribution(ctx, bo, in)
		wantInvalid(t, err, "payment")
	}
	in.Payment, in.Time = "", "100m"
	d, err := b.CorrectContribution(ctx, bo, c.ID, in)
	b.must(err)
	got, err := b.ContributionsToWire(ctx, bo, b.coop.Actor, storage.ContributionFilter{})
	b.must(err)
	event := func(c *storage.Contribution, hours string) map[string]any {
		return map[string]any{"type": "EconomicEvent", "action": "work", "id": b.coop.Actor.IRI + storage.IRI("#contribution-"+c.ID.String()),
			"provider": b.people["bo"].Actor.IRI, "receiver": b.coop.Actor.IRI, "hasPointInTime": c.Day + "T00:00:00Z", "created": c.CreatedAt.Format(time.RFC3339),
			"note": "baked", "effortQuantity": map[string]any{"type": "Measure", "hasUnit": "hour", "hasNumericalValue": hours}}
	}
	first, second := event(c, "1.5"), event(d, "1.6667")
	first["state"], first["paid"], first["payment"] = "confirmed", true, p.IRI
	second["state"], second["paid"], second["corrects"] = "kept", false, first["id"]
	if diff := cmp.Diff([]map[string]any{first, second}, got); diff != "" {
		t.Error(diff)
	}
}

func TestARolePaysUpToItsLimit(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo")
	ctx := t.Context()
	till, books := b.in(storage.RoleCashier), b.in(storage.RoleTreasurer)
	limit := func(role, typed string) {
		t.Helper()
		b.must(b.SetRoleLimit(ctx, b.coop, role, b.fresh(), typed))
	}
	pay := func(by activitypub.By, typed string) error {
		t.Helper()
		_, err := b.Pay(ctx, by, b.order(b.people["bo"], typed))
		return err
	}
	b.must(pay(till, "30")) // no limit yet
	limit(storage.RoleCashier, "20")
	b.must(pay(till, "20"))
	err := pay(till, "20.01")
	wantProblem(t, err, "limit")
	for _, word := range []string{"the_cashier", "cashier of bakery", "at most 20.00 GRN", "this is 20.01 GRN", "an admin to raise the limit"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	o := b.order(b.people["bo"], "21")
	o.Hold = time.Hour
	_, err = b.Pay(ctx, till, o)
	wantProblem(t, err, "limit") // what is promised counts
	back := b.pay(b.people["bo"], b.coop, "40")
	_, err = b.RefundPayment(ctx, till, back.ID, "", "", "")
	wantProblem(t, err, "limit") // what is given back, too
	b.must(pay(books, "21"))     // no limit for treasurers
	b.must(pay(b.coop, "1"))
	_, err = b.Pay(ctx, b.people["bo"], b.order(b.coop, "30"))
	b.must(err) // as herself

	limit(storage.RoleTreasurer, "25")
	b.must(b.GiveRole(ctx, b.coop, till.User, storage.RoleTreasurer)) // the larger one counts
	b.must(pay(till, "22"))
	wantProblem(t, pay(till, "26"), "limit")
	limit(storage.RoleTreasurer, activitypub.Unlimited)
	b.must(pay(till, "26"))
	limit(storage.RoleCashier, "0")
	b.must(b.TakeRole(ctx, b.coop, till.User, storage.RoleTreasurer))
	wantProblem(t, pay(till, "0.01"), "limit")
	b.audit()

	var said []string
	b.must(b.VerifyAudit(ctx, till, b.coop.Actor, func(e activitypub.AuditEntry) error {
		if e.Act == "limit.set" {
			said = append(said, string(e.Before)+" to "+string(e.After))
		}
		return nil
	}))
	if want := `{"limit":"none","role":"cashier"} to {"limit":"20.00","role":"cashier"}`; len(said) != 4 || said[0] != want {
		t.Errorf("got %q, want 4 with %q first", said, want)
	}
	wantProblem(t, b.SetRoleLimit(ctx, till, storage.RoleCashier, b.fresh(), "1000"), "role")
	wantInvalid(t, b.SetRoleLimit(ctx, b.coop, storage.RoleEditor, b.fresh(), "1"), "role")
	if err := b.SetRoleLimit(ctx, b.coop, storage.RoleCashier, b.fresh(), "-1"); err == nil {
		t.Error("a limit below nothing was taken")
	}
}

func TestDuesAreSaidInACurrencyOfTheCoop(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo")
	ctx := t.Context()
	mill := b.Coop(b.people["bo"], "mill")
	dues := func() string {
		t.Helper()
		c, err := b.DB.Coop(ctx, b.coop.Actor.ID)
		b.must(err)
		s, err := b.Dues(ctx, b.DB, c)
		b.must(err)
		return s
	}
	b.must(b.SetDues(ctx, b.coop, b.fresh(), "5", "month", false))
	if got := dues(); got != "5.00 GRN every month" {
		t.Errorf("got %q", got)
	}
	wantInvalid(t, b.SetDues(ctx, b.coop, b.fresh(), "0", "month", false), "amount")
	wantInvalid(t, b.SetDues(ctx, b.coop, b.fresh(), "5", "day", false), "every")
	wantInvalid(t, b.SetDues(ctx, mill, b.fresh(), "5", "month", false), "currency")
	wantProblem(t, b.SetDues(ctx, b.in(storage.RoleCashier), b.fresh(), "5", "month", false), "role")
	b.must(b.SetDues(ctx, b.in(storage.RoleTreasurer), b.fresh(), "7.50", "once", false))
	if got := dues(); got != "7.50 GRN once" {
		t.Errorf("got %q", got)
	}
	b.must(b.SetDues(ctx, b.coop, nil, "", "", false))
	if got := dues(); got != "" {
		t.Errorf("got %q", got)
	}
}

// A currency's limits and rules change by decisions, which its co-op's audit log tells as well.
func TestDecisionsAboutACurrencyAreInTheAuditLog(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo")
	ceiling := "50"
	b.must(b.SetLimits(t.Context(), b.coop, b.currency, b.people["bo"].Actor, activitypub.NewLimits{Ceiling: &ceiling}, "https://rye.example/d/1"))
	es, err := b.AuditOf(t.Context(), b.coop, b.coop.Actor, 0, 1)
	b.must(err)
	if e := es[0]; e.Act != "account.limits" || e.Subject != b.people["bo"].Actor.IRI || e.Words != "https://rye.example/d/1" {
		t.Errorf("got %+v", e)
	}
}
