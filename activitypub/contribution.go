package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"planet/storage"
)

// NewContribution is work for a co-op that somebody writes down, as typed.
type NewContribution struct {
	Day     string      // 2026-11-30
	Time    string      // 1:30, 90m or 1.5h
	Words   string      // what was done: plain text
	Paid    bool        // with payment; by itself when there is a Payment
	Payment storage.IRI // of what the co-op paid for it; "" for none
}

// maxContribution is the longest work that is written down at once, and contributionAge how long it may be ago.
const (
	maxContribution = 24 * 60 // minutes
	contributionAge = 366 * 24 * time.Hour
)

// ParseMinutes reads a time as people type it: 1:30, 90m, 1.5h or 2h. It comes out in whole minutes.
func ParseMinutes(s string) (int64, error) {
	bad := invalid("time", "%q: write 1:30, 90m or 1.5h, in whole minutes and at most 24 hours", clip(s, 64))
	var v int64
	if h, m, colon := strings.Cut(s, ":"); colon {
		hours, err := parseDigits(h, 2)
		minutes, err2 := parseDigits(m, 2)
		if err != nil || err2 != nil || len(m) != 2 || minutes > 59 {
			return 0, bad
		}
		v = hours*60 + minutes
	} else if m, ok := strings.CutSuffix(s, "m"); ok {
		minutes, err := parseDigits(m, 4)
		if err != nil {
			return 0, bad
		}
		v = minutes
	} else if h, ok := strings.CutSuffix(s, "h"); ok {
		whole, part, point := strings.Cut(h, ".")
		hours, err := parseDigits(whole, 2)
		if err != nil {
			return 0, bad
		}
		v = hours * 60
		if point {
			digits, err := parseDigits(part, 4)
			if err != nil {
				return 0, bad
			}
			scale := int64(1)
			for range part {
				scale *= 10
			}
			if digits*60%scale != 0 {
				return 0, bad
			}
			v += digits * 60 / scale
		}
	} else {
		return 0, bad
	}
	if v > maxContribution {
		return 0, bad
	}
	return v, nil
}

// parseDigits reads 1 to most digits and nothing else.
func parseDigits(s string, most int) (int64, error) {
	if len(s) > most || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// FormatMinutes writes what ParseMinutes reads, as h:mm.
func FormatMinutes(v int64) string { return fmt.Sprintf("%d:%02d", v/60, v%60) }

// contribution reads what somebody typed; a correction may be of no time at all.
func (n *Node) contribution(in NewContribution, correction bool) (*storage.Contribution, error) {
	minutes, err := ParseMinutes(in.Time)
	if err != nil {
		return nil, err
	}
	words, err := cleanWords("words", in.Words)
	if err != nil {
		return nil, err
	}
	day, err := time.Parse(time.DateOnly, in.Day)
	now := n.Now().UTC()
	switch {
	case minutes == 0 && !correction:
		return nil, invalid("time", "no time is no work")
	case words == "":
		return nil, invalid("words", "say what was done")
	case err != nil:
		return nil, invalid("day", "%q: want a day such as 2026-11-30", clip(in.Day, 64))
	case day.After(now.Add(14 * time.Hour)): // it is tomorrow already on the other side of the earth
		return nil, invalid("day", "%s is still to come: write down what was done", in.Day)
	case now.Sub(day) > contributionAge:
		return nil, invalid("day", "%s is more than a year ago", in.Day)
	}
	return &storage.Contribution{Day: in.Day, Minutes: minutes, Words: words, Paid: in.Paid || in.Payment != "", Payment: in.Payment}, nil
}

// checkPayment wants a payment of the co-op to the person.
func checkPayment(ctx context.Context, tx *storage.DB, coop *storage.Actor, u *storage.User, iri storage.IRI) error {
	if iri == "" {
		return nil
	}
	own, err := tx.ActorByID(ctx, u.ActorID)
	if err != nil {
		return err
	}
	p, err := tx.PaymentByIRI(ctx, iri)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (p.Payer != coop.IRI || p.Payee != own.IRI) {
		return invalid("payment", "%s is no payment of %s to %s", clip(string(iri), 200), coop.Username, u.Username)
	}
	return err
}

// KeepContribution writes down what the person by.User did for the co-op by.Actor. It counts when the co-op has confirmed it.
func (n *Node) KeepContribution(ctx context.Context, by By, in NewContribution) (*storage.Contribution, error) {
	if by.User == nil {
		return nil, invalid("as", "work is a person's: say whose")
	}
	c, err := n.contribution(in, false)
	if err != nil {
		return nil, err
	}
	c.CoopID, c.UserID = by.Actor.ID, by.User.ID
	err = n.inCoop(ctx, by, "contribute", func(tx *storage.DB, _ *storage.Coop) error {
		if err := checkPayment(ctx, tx, by.Actor, by.User, c.Payment); err != nil {
			return err
		}
		if err := tx.SaveContribution(ctx, c); err != nil {
			return err
		}
		return record(ctx, tx, by, "contribution.keep", n.contributionIRI(by.Actor, c.ID))
	})
	return c, err
}

// inContribution runs fn in a transaction that has locked the co-op by.Actor, with one of its contributions, if by may do this.
func (n *Node) inContribution(ctx context.Context, by By, act string, id storage.ID, fn func(tx *storage.DB, c *storage.Contribution) error) error {
	return n.inCoop(ctx, by, act, func(tx *storage.DB, _ *storage.Coop) error {
		c, err := tx.ContributionByID(ctx, id)
		if err == nil && c.CoopID != by.Actor.ID {
			err = storage.ErrNotFound
		}
		if err != nil {
			return err
		}
		return fn(tx, c)
	})
}

// answered refuses what has an answer already.
func answered(c *storage.Contribution) error {
	if c.State == storage.ContributionKept {
		return nil
	}
	return problem(http.StatusConflict, "contribution", "this was answered before: it is %s; a correction is written down anew", c.State)
}

// CorrectContribution writes down what the person by.User did instead of what she wrote down before. What is confirmed counts until the correction is;
// what nobody has answered is withdrawn at once. 0:00 says that it was no work at all.
func (n *Node) CorrectContribution(ctx context.Context, by By, id storage.ID, in NewContribution) (*storage.Contribution, error) {
	c, err := n.contribution(in, true)
	if err != nil {
		return nil, err
	}
	err = n.inContribution(ctx, by, "contribute", id, func(tx *storage.DB, old *storage.Contribution) error {
		switch {
		case by.User == nil || by.User.ID != old.UserID:
			return problem(http.StatusForbidden, "own-case", "who did the work corrects it")
		case old.State == storage.ContributionWithdrawn:
			return problem(http.StatusConflict, "contribution", "this is withdrawn: write it down anew")
		case old.CorrectedBy != 0:
			return problem(http.StatusConflict, "contribution", "this was corrected before: correct %s", old.CorrectedBy)
		}
		c.CoopID, c.UserID, c.Corrects = by.Actor.ID, by.User.ID, &old.ID
		if err := checkPayment(ctx, tx, by.Actor, by.User, c.Payment); err != nil {
			return err
		}
		if old.State == storage.ContributionKept {
			old.State = storage.ContributionWithdrawn
			if err := tx.EndContribution(ctx, old); err != nil {
				return err
			}
		}
		err := tx.SaveContribution(ctx, c)
		if errors.Is(err, storage.ErrConflict) {
			return problem(http.StatusConflict, "contribution", "a correction of this waits already: withdraw it, or correct that one")
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, by, "contribution.correct", n.contributionIRI(by.Actor, c.ID))
	})
	return c, err
}

// WithdrawContribution takes back what the person by.User wrote down and nobody has answered.
func (n *Node) WithdrawContribution(ctx context.Context, by By, id storage.ID) error {
	return n.inContribution(ctx, by, "contribute", id, func(tx *storage.DB, c *storage.Contribution) error {
		if by.User == nil || by.User.ID != c.UserID {
			return problem(http.StatusForbidden, "own-case", "who did the work withdraws it")
		}
		if err := answered(c); err != nil {
			return err
		}
		c.State = storage.ContributionWithdrawn
		if err := tx.EndContribution(ctx, c); err != nil {
			return err
		}
		return record(ctx, tx, by, "contribution.withdraw", n.contributionIRI(by.Actor, c.ID))
	})
}

// ConfirmContribution says for the co-op by.Actor that work was done. Nobody confirms her own, unless nobody else could; the audit log says so then.
func (n *Node) ConfirmContribution(ctx context.Context, by By, id storage.ID) (*storage.Contribution, error) {
	var out *storage.Contribution
	err := n.inContribution(ctx, by, "confirm", id, func(tx *storage.DB, c *storage.Contribution) error {
		words := ""
		if by.User != nil && by.User.ID == c.UserID {
			holders, err := tx.Holders(ctx, by.Actor.ID, rightTo("confirm").roles...)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(holders, func(h storage.ID) bool { return h != c.UserID }) {
				words = "her own: nobody else could confirm it"
			}
		}
		if words == "" {
			if err := n.allowedAbout(ctx, tx, by, "confirm", c.UserID); err != nil {
				return err
			}
		}
		out = c
		return n.answerContribution(ctx, tx, by, c, storage.ContributionConfirmed, "", change{act: "contribution.confirm", words: words})
	})
	return out, err
}

// RefuseContribution says for the co-op by.Actor that work does not count, and why.
func (n *Node) RefuseContribution(ctx context.Context, by By, id storage.ID, reason string) error {
	reason, err := cleanWords("reason", reason)
	if err != nil {
		return err
	}
	if reason == "" {
		return invalid("reason", "say why: who did the work reads it")
	}
	return n.inContribution(ctx, by, "confirm", id, func(tx *storage.DB, c *storage.Contribution) error {
		if err := n.allowedAbout(ctx, tx, by, "confirm", c.UserID); err != nil {
			return err
		}
		return n.answerContribution(ctx, tx, by, c, storage.ContributionRefused, reason, change{act: "contribution.refuse", words: reason})
	})
}

func (n *Node) answerContribution(ctx context.Context, tx *storage.DB, by By, c *storage.Contribution, state, answer string, ch change) error {
	if err := answered(c); err != nil {
		return err
	}
	c.State, c.Answer = state, answer
	if by.User != nil {
		c.AnsweredBy = by.User.ID
	}
	if err := tx.EndContribution(ctx, c); err != nil {
		return err
	}
	u, err := tx.UserByID(ctx, c.UserID)
	if err != nil {
		return err
	}
	own, err := tx.ActorByID(ctx, u.ActorID)
	if err != nil {
		return err
	}
	ch.subject = own.IRI
	ch.after = map[string]any{"contribution": c.ID, "day": c.Day, "minutes": c.Minutes, "state": state}
	if c.Corrects != nil {
		ch.after["corrects"] = *c.Corrects
	}
	return n.audit(ctx, tx, by, by.Actor, ch)
}

// ContributionsOf lists the contributions to a co-op to its members, in the order in which they were written down.
func (n *Node) ContributionsOf(ctx context.Context, by By, coop *storage.Actor, f storage.ContributionFilter) ([]storage.Contribution, error) {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return nil, err
	}
	return n.DB.Contributions(ctx, coop.ID, f)
}

// contributionIRI names a contribution; what is behind it is for members.
func (n *Node) contributionIRI(coop *storage.Actor, id storage.ID) storage.IRI {
	return coop.IRI + storage.IRI("#contribution-"+id.String())
}

// ContributionsToWire renders the contributions to a co-op for its members as ValueFlows EconomicEvents with the action work, in the order in which they
// were written down. All states are in it; what counts is confirmed and named by no confirmed one's corrects. Hours have up to four decimals, from which
// the minutes follow. The context of the document around them says what the names mean: those of https://w3id.org/valueflows, and state, paid and payment.
func (n *Node) ContributionsToWire(ctx context.Context, by By, coop *storage.Actor, f storage.ContributionFilter) ([]map[string]any, error) {
	cs, err := n.ContributionsOf(ctx, by, coop, f)
	if err != nil {
		return nil, err
	}
	people := map[storage.ID]storage.IRI{}
	out := make([]map[string]any, 0, len(cs))
	for i := range cs {
		c := &cs[i]
		if people[c.UserID] == "" {
			u, err := n.DB.UserByID(ctx, c.UserID)
			if err != nil {
				return nil, err
			}
			own, err := n.DB.ActorByID(ctx, u.ActorID)
			if err != nil {
				return nil, err
			}
			people[c.UserID] = own.IRI
		}
		out = append(out, n.contributionToWire(coop, people[c.UserID], c))
	}
	return out, nil
}

func (n *Node) contributionToWire(coop *storage.Actor, who storage.IRI, c *storage.Contribution) map[string]any {
	m := map[string]any{
		"id": n.contributionIRI(coop, c.ID), "type": "EconomicEvent", "action": "work", "provider": who, "receiver": coop.IRI,
		"hasPointInTime": c.Day + "T00:00:00Z", "created": wireTime(c.CreatedAt), "note": c.Words, "state": c.State, "paid": c.Paid,
		"effortQuantity": map[string]any{"type": "Measure", "hasUnit": "hour", "hasNumericalValue": decimalHours(c.Minutes)},
	}
	if c.Corrects != nil {
		m["corrects"] = n.contributionIRI(coop, *c.Corrects)
	}
	if c.Payment != "" {
		m["payment"] = c.Payment
	}
	return m
}

// decimalHours writes minutes as hours with a point: 90 is 1.5.
func decimalHours(minutes int64) string {
	s := strconv.FormatFloat(float64(minutes)/60, 'f', 4, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
