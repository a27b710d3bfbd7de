package storage

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// What a DomainRule does.
const (
	RuleBlock   = "block"   // nothing comes from there, nothing goes there
	RuleSilence = "silence" // what comes from there is seen by those who follow it alone
	RuleAllow   = "allow"   // with PLANET_FEDERATION=allowlist: only such servers are spoken with
)

// DomainRule says how this node stands to a server and to all whose names end in its name.
type DomainRule struct {
	Domain    string `gorm:"primaryKey"` // in lower case, internationalised names in their ASCII form
	Kind      string
	Reason    string
	CreatedAt time.Time
}

// SaveDomainRule adds the rule for a domain or replaces it, and lays it on the actors that are known from there: a block
// suspends them and ends follows and deliveries, silence silences them. What another rule had laid on them is lifted first.
func (db *DB) SaveDomainRule(ctx context.Context, r *DomainRule) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.DeleteDomainRule(ctx, r.Domain); err != nil && err != ErrNotFound {
			return err
		}
		r.CreatedAt = tx.Now().UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it: DeleteDomainRule compares
		if err := tx.q(ctx).Create(r).Error; err != nil {
			return translate(err)
		}
		switch r.Kind {
		case RuleBlock:
			if err := tx.from(ctx, r.Domain).Where("suspended_at IS NULL").Update("suspended_at", r.CreatedAt).Error; err != nil {
				return translate(err)
			}
			ids := tx.from(ctx, r.Domain).Select("id")
			if err := tx.q(ctx).Where("actor_id IN (?) OR target_id IN (?)", ids, ids).Delete(&Follow{}).Error; err != nil {
				return translate(err)
			}
			return translate(tx.waitingFor(ctx, r.Domain).Delete(&Delivery{}).Error)
		case RuleSilence:
			return translate(tx.from(ctx, r.Domain).Where("silenced_at IS NULL").Update("silenced_at", r.CreatedAt).Error)
		}
		return nil
	})
}

// SaveDomainRules does for many rules what SaveDomainRule does for one: all or none. It returns those that were not there as
// they are now. Most of a long list names servers that nobody here has heard of; those rules cost one row each.
func (db *DB) SaveDomainRules(ctx context.Context, rules []DomainRule) (changed []DomainRule, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		changed = nil
		old, err := tx.DomainRules(ctx)
		if err != nil {
			return err
		}
		before := make(map[string]DomainRule, len(old))
		for _, r := range old {
			before[r.Domain] = r
		}
		var hosts []string
		err = tx.q(ctx).Raw("SELECT domain FROM actors WHERE domain <> '' UNION SELECT host FROM deliveries WHERE state <> 'done'").Scan(&hosts).Error
		if err != nil {
			return translate(err)
		}
		known := map[string]bool{}
		for _, h := range hosts {
			for _, d := range above(h) {
				known[d] = true
			}
		}
		now := tx.Now().UTC().Truncate(time.Microsecond)
		var fresh []DomainRule
		for _, r := range rules {
			was, there := before[r.Domain]
			switch {
			case there && was.Kind == r.Kind && was.Reason == r.Reason:
				continue
			case there || known[r.Domain]:
				if err := tx.SaveDomainRule(ctx, &r); err != nil {
					return err
				}
			default:
				r.CreatedAt = now
				fresh = append(fresh, r)
			}
			changed = append(changed, r)
		}
		if len(fresh) == 0 {
			return nil
		}
		return translate(tx.q(ctx).CreateInBatches(fresh, 500).Error)
	})
	return changed, err
}

// DeleteDomainRule takes the rule for a domain away, and lifts what it laid on actors. ErrNotFound when there is none.
func (db *DB) DeleteDomainRule(ctx context.Context, domain string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var r DomainRule
		if err := translate(tx.q(ctx).Where("domain = ?", domain).Take(&r).Error); err != nil {
			return err
		}
		if err := tx.from(ctx, domain).Where("suspended_at = ?", r.CreatedAt).Update("suspended_at", nil).Error; err != nil {
			return translate(err)
		}
		if err := tx.from(ctx, domain).Where("silenced_at = ?", r.CreatedAt).Update("silenced_at", nil).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Where("domain = ?", domain).Delete(&DomainRule{}).Error)
	})
}

// from are the actors that the rule for a domain is about, as DomainRuleFor sees it: those of the domain itself and of the
// names below it, on any port unless the domain names one.
func (db *DB) from(ctx context.Context, domain string) *gorm.DB {
	d := literal(domain)
	return db.q(ctx).Model(&Actor{}).Where("domain = ? OR domain LIKE ? ESCAPE '!' OR domain LIKE ? ESCAPE '!' OR domain LIKE ? ESCAPE '!'",
		domain, "%."+d, d+":%", "%."+d+":%")
}

// waitingFor are the deliveries to such hosts that are not done.
func (db *DB) waitingFor(ctx context.Context, domain string) *gorm.DB {
	d := literal(domain)
	return db.q(ctx).Where("state <> 'done' AND (host = ? OR host LIKE ? ESCAPE '!' OR host LIKE ? ESCAPE '!' OR host LIKE ? ESCAPE '!')",
		domain, "%."+d, d+":%", "%."+d+":%")
}

// literal takes from a text what would be a pattern in LIKE … ESCAPE '!'.
func literal(s string) string { return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) }

// DomainRules lists all rules, by name.
func (db *DB) DomainRules(ctx context.Context) ([]DomainRule, error) {
	var rs []DomainRule
	return rs, translate(db.q(ctx).Order("domain").Find(&rs).Error)
}

// DomainRuleFor finds the rule for a host, with or without a port: its own, or that of the nearest name above it. ErrNotFound when there is none.
func (db *DB) DomainRuleFor(ctx context.Context, host string) (*DomainRule, error) {
	// Asked for every request that comes in: for IN and ORDER BY SQLite would make a temporary table each time. Most hosts
	// have at most four names.
	for four := range slices.Chunk(above(host), 4) {
		four = append(slices.Clip(four), "", "", "")
		var domain string
		err := db.one(ctx, `SELECT coalesce((SELECT domain FROM domain_rules WHERE domain = ?), (SELECT domain FROM domain_rules WHERE domain = ?),
			(SELECT domain FROM domain_rules WHERE domain = ?), (SELECT domain FROM domain_rules WHERE domain = ?), '')`,
			[]any{four[0], four[1], four[2], four[3]}, &domain)
		if err != nil {
			return nil, err
		}
		if domain != "" {
			var r DomainRule
			return &r, translate(db.q(ctx).Where("domain = ?", domain).Take(&r).Error)
		}
	}
	return nil, ErrNotFound
}

// above lists the domains whose rules are about a host: its own, with and without its port, and those above it.
func above(host string) []string {
	names := []string{host}
	if name, port, ok := strings.Cut(host, ":"); ok && port != "" && !strings.Contains(port, ":") {
		host = name
		names = append(names, name)
	}
	for rest, found := host, true; len(names) < 16; {
		if _, rest, found = strings.Cut(rest, "."); !found || rest == "" {
			break
		}
		names = append(names, rest)
	}
	return names
}

// Standing is what this node thinks of an actor now.
type Standing struct {
	Suspended, Silenced, Deleted bool
}

// StandingOf reads how an actor stands, or ErrNotFound.
func (db *DB) StandingOf(ctx context.Context, actor ID) (Standing, error) {
	var s Standing
	err := db.one(ctx, "SELECT suspended_at IS NOT NULL, silenced_at IS NOT NULL, deleted_at IS NOT NULL FROM actors WHERE id = ?", []any{actor}, &s.Suspended, &s.Silenced, &s.Deleted)
	return s, err
}

// Restricted lists the actors elsewhere that are suspended or silenced, by domain and name; those that a rule for their server
// suspends or silences only with byRule.
func (db *DB) Restricted(ctx context.Context, byRule bool) ([]Actor, error) {
	q := db.q(ctx).Where("domain <> '' AND deleted_at IS NULL AND (suspended_at IS NOT NULL OR silenced_at IS NOT NULL)")
	if !byRule { // what a rule lays on actors has its time (see DeleteDomainRule)
		q = q.Where(`(suspended_at IS NOT NULL AND suspended_at NOT IN (SELECT created_at FROM domain_rules WHERE kind = 'block')
			OR silenced_at IS NOT NULL AND silenced_at NOT IN (SELECT created_at FROM domain_rules WHERE kind = 'silence'))`)
	}
	var as []Actor
	return as, translate(q.Order("domain, username, id").Find(&as).Error)
}

// SetStanding suspends or silences an actor, or lets it go. A suspended actor's follows end.
func (db *DB) SetStanding(ctx context.Context, actor ID, suspended, silenced bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		a, err := tx.ActorByID(ctx, actor)
		if err != nil {
			return err
		}
		change := map[string]any{}
		switch {
		case suspended && a.SuspendedAt == nil:
			change["suspended_at"] = now
		case !suspended:
			change["suspended_at"] = nil
		}
		switch {
		case silenced && a.SilencedAt == nil:
			change["silenced_at"] = now
		case !silenced:
			change["silenced_at"] = nil
		}
		if len(change) > 0 {
			if err := tx.q(ctx).Model(&Actor{}).Where("id = ?", actor).Updates(change).Error; err != nil {
				return translate(err)
			}
		}
		if suspended && !a.Local() {
			return tx.DeleteFollowsOf(ctx, actor)
		}
		return nil
	})
}

// Policy says who may do what with a post, by the words of FEP-044f and of GoToSocial's interaction policies; nil is everyone,
// but for quotes, where it is nobody.
type Policy struct {
	Quote *PolicyRule `json:"canQuote,omitempty"`
	Reply *PolicyRule `json:"canReply,omitempty"`
	Like  *PolicyRule `json:"canLike,omitempty"`
	Boost *PolicyRule `json:"canAnnounce,omitempty"`
}

// PolicyRule lists actors and collections: those who may, and those who may ask.
type PolicyRule struct {
	Automatic []IRI `json:"automaticApproval"`
	Manual    []IRI `json:"manualApproval,omitempty"`
}

// Stamp is leave to quote a post (FEP-044f); others look it up.
type Stamp struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	PostID    ID
	ActorID   ID  // who quotes
	Quote     IRI // the post that quotes
	CreatedAt time.Time
	RevokedAt *time.Time
}

// SaveStamp gives leave, once for each pair of posts: ID and RevokedAt are those of the row.
func (db *DB) SaveStamp(ctx context.Context, s *Stamp) error {
	return db.Transaction(ctx, func(tx *DB) error {
		s.ID, s.CreatedAt = tx.NewID(), tx.Now().UTC()
		if err := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(s).Error; err != nil {
			return translate(err)
		}
		var kept Stamp // a fresh one: gorm would ask for the id that s has now as well
		err := tx.q(ctx).Where("post_id = ? AND quote = ?", s.PostID, s.Quote).Take(&kept).Error
		*s = kept
		return translate(err)
	})
}

// StampByID finds leave that was given, revoked or not, or ErrNotFound.
func (db *DB) StampByID(ctx context.Context, id ID) (*Stamp, error) {
	var s Stamp
	return &s, translate(db.q(ctx).Where("id = ?", id).Take(&s).Error)
}

// StampsOf lists who may quote a post, newest first.
func (db *DB) StampsOf(ctx context.Context, post ID, p Page) ([]Stamp, error) {
	var ss []Stamp
	return ss, translate(p.of(db.q(ctx).Where("post_id = ? AND revoked_at IS NULL", post)).Find(&ss).Error)
}

// RevokeStamp takes leave back. ErrNotFound when there is none that holds.
func (db *DB) RevokeStamp(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Model(&Stamp{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", tx.Now().UTC())
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}

// AllowQuote stores what the server of a quoted post says of the quote and the stamp in p, unless an edit has changed them since.
func (db *DB) AllowQuote(ctx context.Context, p *Post, allowed bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Post{}).Where("id = ? AND quote = ? AND quote_approval = ?", p.ID, p.Quote, p.QuoteApproval).Update("quote_allowed", allowed).Error)
	})
}

// SetQuoteApproval stores another stamp that a post claims; it allows nothing yet.
func (db *DB) SetQuoteApproval(ctx context.Context, post ID, stamp IRI) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Post{}).Where("id = ?", post).Updates(map[string]any{"quote_approval": stamp, "quote_allowed": false}).Error)
	})
}

// DisallowQuotes takes from the posts that claim a stamp what it allows, if it is about a post of that author.
func (db *DB) DisallowQuotes(ctx context.Context, stamp IRI, author ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Post{}).Where("quote_approval = ? AND quote_approval <> '' AND quote IN (SELECT q.iri FROM posts q WHERE q.actor_id = ?)", stamp, author).
			Update("quote_allowed", false).Error)
	})
}

// QuotesBy lists the posts that claim a stamp: there is one, unless somebody lies.
func (db *DB) QuotesBy(ctx context.Context, stamp IRI) ([]Post, error) {
	var ps []Post
	return ps, translate(db.q(ctx).Where("quote_approval = ? AND quote_approval <> ''", stamp).Order("id").Limit(20).Find(&ps).Error)
}
