package activitypub

import (
	"context"
	"errors"
	"slices"
	"strings"

	"planet/storage"
)

// This file says with whom the node speaks, and who may do what with a post: domain rules, suspensions, blocks between
// persons, and the policies that posts carry.

// With which other servers a node speaks (PLANET_FEDERATION).
const (
	FederationOpen      = "open"      // all that no rule blocks
	FederationAllowlist = "allowlist" // those that a rule allows
	FederationOff       = "off"       // none
)

// admits refuses another server that this node has nothing to do with, by the origin of anything of its: 403. What is ours
// is always admitted.
func (n *Node) admits(ctx context.Context, db *storage.DB, iri storage.IRI) error {
	if n.isOurs(iri) {
		return nil
	}
	return n.admitsHost(ctx, db, hostOf(iri))
}

func (n *Node) admitsHost(ctx context.Context, db *storage.DB, host string) error {
	if n.Federation == FederationOff {
		return problem(403, "federation", "this node does not speak with other servers")
	}
	rule, err := db.DomainRuleFor(ctx, host)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	switch {
	case err == nil && rule.Kind == storage.RuleBlock:
		return problem(403, "blocked", "this node has nothing to do with %s", clip(host, 255))
	case n.Federation == FederationAllowlist && (err != nil || rule.Kind != storage.RuleAllow):
		return problem(403, "allowlist", "this node speaks with chosen servers only, and %s is none of them", clip(host, 255))
	}
	return nil
}

// standing reads anew what this node thinks of a signer, as the keyring remembers who signs and no more. A suspended actor
// is refused with 403.
func (n *Node) standing(ctx context.Context, signer *storage.Actor) (*storage.Actor, error) {
	s, err := n.DB.StandingOf(ctx, signer.ID)
	if err != nil {
		return nil, err
	}
	if s.Suspended {
		return nil, problem(403, "suspended", "this node has nothing to do with %s", signer.IRI)
	}
	if s.Silenced != (signer.SilencedAt != nil) {
		now, a := n.Now().UTC(), *signer
		if a.SilencedAt = nil; s.Silenced {
			a.SilencedAt = &now
		}
		signer = &a
	}
	return signer, nil
}

// fetch asks another server for a document, if this node speaks with it (see Client.FetchDocument).
func (n *Node) fetch(ctx context.Context, iri storage.IRI) ([]byte, error) {
	if err := n.admits(ctx, n.DB, iri); err != nil {
		return nil, err
	}
	return n.Client.FetchDocument(ctx, string(iri), n.signGet)
}

// SetDomainRule adds or replaces the rule for a domain and all names below it; what was known from there is suspended or
// silenced with it. The domain may be written in any way that names it. Who did it is kept: user may be nil, for the operator.
func (n *Node) SetDomainRule(ctx context.Context, user *storage.User, domain, kind, reason string) (*storage.DomainRule, error) {
	r := &storage.DomainRule{Domain: domain, Kind: kind, Reason: reason}
	if err := n.checkRule(r); err != nil {
		return nil, err
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		was, err := ruleOf(ctx, tx, r.Domain)
		if err != nil {
			return err
		}
		if err := tx.SaveDomainRule(ctx, r); err != nil {
			return err
		}
		return recordWith(ctx, tx, By{User: user, Actor: n.service}, "domain."+kind, storage.IRI(r.Domain), changed(was, inWords(*r)))
	})
	return r, err
}

// ruleOf says in words which rule a domain itself has; "" for none.
func ruleOf(ctx context.Context, tx *storage.DB, domain string) (string, error) {
	r, err := tx.DomainRuleFor(ctx, domain)
	if errors.Is(err, storage.ErrNotFound) || err == nil && r.Domain != domain {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return inWords(*r), nil
}

func inWords(r storage.DomainRule) string {
	if r.Reason == "" {
		return r.Kind
	}
	return r.Kind + ": " + r.Reason
}

// changed is the detail of an act: what was → what is now.
func changed(was, is string) string { return was + " → " + is }

// SetDomainRules does for many rules what SetDomainRule does for one: all or none. It returns how many were not there as they
// are now. InvalidError for the first that cannot be used.
func (n *Node) SetDomainRules(ctx context.Context, user *storage.User, rules []storage.DomainRule) (count int, err error) {
	rules = slices.Clone(rules)
	for i := range rules {
		if err := n.checkRule(&rules[i]); err != nil {
			return 0, err
		}
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		old, err := tx.DomainRules(ctx)
		if err != nil {
			return err
		}
		was := map[string]string{}
		for _, r := range old {
			was[r.Domain] = inWords(r)
		}
		fresh, err := tx.SaveDomainRules(ctx, rules)
		if err != nil {
			return err
		}
		count = len(fresh)
		acts := make([]storage.Act, 0, len(fresh))
		for _, r := range fresh {
			act := storage.Act{ActorID: n.service.ID, Kind: "domain." + r.Kind, Object: storage.IRI(r.Domain), Detail: changed(was[r.Domain], inWords(r))}
			if user != nil {
				act.UserID = user.ID
			}
			acts = append(acts, act)
		}
		return tx.RecordActs(ctx, acts)
	})
	return count, err
}

// checkRule gives the domain of a rule its one form, and refuses what is no rule.
func (n *Node) checkRule(r *storage.DomainRule) (err error) {
	if r.Domain, err = n.RuleDomain(r.Domain); err != nil {
		return err
	}
	if !slices.Contains([]string{storage.RuleBlock, storage.RuleSilence, storage.RuleAllow}, r.Kind) {
		return invalid("rule", "%q is not block, silence or allow", r.Kind)
	}
	r.Reason = clip(clean(r.Reason), 1000)
	return nil
}

// RemoveDomainRule takes the rule for a domain away. ErrNotFound when there is none.
func (n *Node) RemoveDomainRule(ctx context.Context, user *storage.User, domain string) error {
	name, err := n.RuleDomain(domain)
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		was, err := ruleOf(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteDomainRule(ctx, name); err != nil {
			return err
		}
		return recordWith(ctx, tx, By{User: user, Actor: n.service}, "domain.remove", storage.IRI(name), changed(was, ""))
	})
}

// RuleDomain is the one form in which a domain has its rule. InvalidError when it is no domain, or this node's own.
func (n *Node) RuleDomain(domain string) (string, error) {
	name, err := normaliseHost(domain)
	if err != nil {
		return "", invalid("domain", "%q is not the name of a server: %v", clip(domain, 255), err)
	}
	if name == n.Host {
		return "", invalid("domain", "%s is this node itself", name)
	}
	return name, nil
}

// standing says how somebody stands, in words.
func standing(suspended, silenced bool) string {
	var words []string
	if suspended {
		words = append(words, "suspended")
	}
	if silenced {
		words = append(words, "silenced")
	}
	return strings.Join(words, ", ")
}

// SetStanding suspends or silences an actor, here or elsewhere, or lets it go. A suspended actor elsewhere is not heard any
// more, and all follows with it end; what a silenced one says is seen by its followers alone.
func (n *Node) SetStanding(ctx context.Context, user *storage.User, actor *storage.Actor, suspended, silenced bool) error {
	if actor.Local() && (actor.Type == storage.Application || actor.Type == storage.Service) {
		return invalid("handle", "%s is this node itself", actor.Username)
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		was, err := tx.ActorByID(ctx, actor.ID)
		if err != nil {
			return err
		}
		if err := tx.SetStanding(ctx, actor.ID, suspended, silenced); err != nil {
			return err
		}
		if actor.Local() && suspended {
			u, err := tx.UserByActor(ctx, actor.ID)
			if err == nil {
				err = tx.RevokeTokens(ctx, u.ID)
			}
			if err != nil && !errors.Is(err, storage.ErrNotFound) { // a co-op has no user: its tokens hold no more
				return err
			}
		}
		if actor.Local() && suspended != (actor.SuspendedAt != nil) { // Mastodon and others hide it too
			a, err := tx.ActorByID(ctx, actor.ID)
			if err != nil {
				return err
			}
			if err := n.announceActor(ctx, tx, a); err != nil {
				return err
			}
		}
		kind := "actor.clear"
		if suspended {
			kind = "actor.suspend"
		} else if silenced {
			kind = "actor.silence"
		}
		return recordWith(ctx, tx, By{User: user, Actor: n.service}, kind, actor.IRI, changed(standing(was.SuspendedAt != nil, was.SilencedAt != nil), standing(suspended, silenced)))
	})
	n.Wake()
	return err
}

// Who may quote a post of ours.
const (
	QuotePublic    = "public"
	QuoteFollowers = "followers"
	QuoteNobody    = "nobody"
)

// quoteRule is the rule of a post of ours: without a word of its author everyone may quote what everyone may read.
func quoteRule(p *storage.Post, author *storage.Actor, word string) *storage.PolicyRule {
	switch {
	case p.Visibility != storage.Public && p.Visibility != storage.Unlisted || word == QuoteNobody:
		return &storage.PolicyRule{Automatic: []storage.IRI{author.IRI}}
	case word == QuoteFollowers:
		return &storage.PolicyRule{Automatic: []storage.IRI{author.Followers}}
	default:
		return &storage.PolicyRule{Automatic: []storage.IRI{publicAddress}}
	}
}

// policyToWire is a policy as FEP-044f and GoToSocial write it.
func policyToWire(p *storage.Policy) map[string]any {
	out := map[string]any{}
	for name, rule := range map[string]*storage.PolicyRule{"canQuote": p.Quote, "canReply": p.Reply, "canLike": p.Like, "canAnnounce": p.Boost} {
		if rule != nil {
			r := map[string]any{"automaticApproval": rule.Automatic}
			if len(rule.Manual) > 0 {
				r["manualApproval"] = rule.Manual
			}
			out[name] = r
		}
	}
	return out
}

// policyFromWire reads `interactionPolicy`, with the words of GoToSocial before 0.20 too; nil when there is none.
func policyFromWire(o object) *storage.Policy {
	m := o.child("interactionPolicy")
	if m == nil {
		return nil
	}
	rule := func(name string) *storage.PolicyRule {
		c := m.child(name)
		if c == nil {
			return nil
		}
		r := &storage.PolicyRule{Automatic: append(c.iris("automaticApproval"), c.iris("always")...), Manual: append(c.iris("manualApproval"), c.iris("approvalRequired")...)}
		for _, list := range []*[]storage.IRI{&r.Automatic, &r.Manual} {
			*list = slices.DeleteFunc(*list, func(i storage.IRI) bool { return len(i) > maxAddress })
			*list = (*list)[:min(len(*list), 100)]
		}
		return r
	}
	return &storage.Policy{Quote: rule("canQuote"), Reply: rule("canReply"), Like: rule("canLike"), Boost: rule("canAnnounce")}
}

// The answers of permission.
const (
	mayNot = iota
	mayAsk
	mayDo
)

// permission says what a rule of a post by author lets an actor do. follows reports whether she follows the author,
// followed whether the author follows her.
func permission(rule *storage.PolicyRule, author *storage.Actor, actor storage.IRI, mentioned, follows, followed bool) int {
	in := func(list []storage.IRI) bool {
		return slices.ContainsFunc(list, func(i storage.IRI) bool {
			return isPublic(i) || i == actor || i == author.Followers && i != "" && follows || i == author.Following && i != "" && followed
		})
	}
	switch {
	case rule == nil || actor == author.IRI || mentioned || in(rule.Automatic):
		return mayDo
	case in(rule.Manual):
		return mayAsk
	default:
		return mayNot
	}
}

// permitted says what one of the rules that a post of another server carries lets an actor of ours do.
func (n *Node) permitted(ctx context.Context, db *storage.DB, p *storage.Post, author, actor *storage.Actor, rule func(*storage.Policy) *storage.PolicyRule) (int, error) {
	if p.Policy == nil || author.Local() || rule(p.Policy) == nil {
		return mayDo, nil
	}
	follows := func(a, b storage.ID) (bool, error) {
		f, err := db.FollowBetween(ctx, a, b)
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return err == nil && f.State == storage.FollowAccepted, err
	}
	her, err := follows(actor.ID, author.ID)
	if err != nil {
		return mayNot, err
	}
	back, err := follows(author.ID, actor.ID)
	if err != nil {
		return mayNot, err
	}
	mentioned := slices.ContainsFunc(p.Mentions, func(m storage.Mention) bool { return m.IRI == actor.IRI })
	return permission(rule(p.Policy), author, actor.IRI, mentioned, her, back), nil
}
