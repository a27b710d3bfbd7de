package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// Rules for servers, and how this node stands to single actors.

type domainCmd struct {
	Block   domainBlockCmd   `cmd:"" help:"Have nothing to do with a server."`
	Silence domainSilenceCmd `cmd:"" help:"Show what comes from a server to those who follow its people, and to nobody else."`
	Allow   domainAllowCmd   `cmd:"" help:"Speak with a server when PLANET_FEDERATION is allowlist."`
	Remove  domainRemoveCmd  `cmd:"" help:"Take a rule away."`
	List    domainListCmd    `cmd:"" help:"List the rules."`
	Import  domainImportCmd  `cmd:"" help:"Read rules from a file."`
	Export  domainExportCmd  `cmd:"" help:"Print rules as Mastodon's CSV."`
}

func (domainCmd) Help() string {
	return "A rule holds for a server and for all whose names end in its name.\n\nExample: planet domain block spam.example --reason \"adverts\""
}

// domainRule is what block, silence and allow are called with.
type domainRule struct {
	Host   string `arg:"" help:"The server's name, such as spam.example."`
	Reason string `placeholder:"TEXT" help:"Why; for those who look after the node, and in exports."`
}

func (r domainRule) set(c *app, kind, says string) error {
	return c.withNode(func(n *activitypub.Node) error {
		rule, err := n.SetDomainRule(c.ctx, nil, r.Host, kind, r.Reason)
		if err != nil {
			return err
		}
		hint := ""
		if kind == storage.RuleAllow && n.Federation != activitypub.FederationAllowlist {
			hint = " (this counts when PLANET_FEDERATION is allowlist; it is " + n.Federation + ")"
		}
		c.say(says+hint, rule.Domain)
		return nil
	})
}

type domainBlockCmd struct{ domainRule }

func (domainBlockCmd) Help() string {
	return "Example: planet domain block spam.example --reason \"adverts\""
}

func (cmd domainBlockCmd) Run(c *app) error {
	return cmd.set(c, storage.RuleBlock, "%s is blocked: nothing is taken from there or brought there, and follows in both directions have ended")
}

type domainSilenceCmd struct{ domainRule }

func (domainSilenceCmd) Help() string { return "Example: planet domain silence loud.example" }

func (cmd domainSilenceCmd) Run(c *app) error {
	return cmd.set(c, storage.RuleSilence, "%s is silenced: only those who follow its people see what they say")
}

type domainAllowCmd struct{ domainRule }

func (domainAllowCmd) Help() string { return "Example: planet domain allow friends.example" }

func (cmd domainAllowCmd) Run(c *app) error {
	return cmd.set(c, storage.RuleAllow, "%s is allowed")
}

type domainRemoveCmd struct {
	Host string `arg:"" help:"The server's name, as in planet domain list."`
}

func (domainRemoveCmd) Help() string {
	return "Those who were suspended or silenced with the server are let go; follows do not come back.\n\nExample: planet domain remove spam.example"
}

func (cmd domainRemoveCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		err := n.RemoveDomainRule(c.ctx, nil, cmd.Host)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("there is no rule for %s", cmd.Host)
		} else if err != nil {
			return err
		}
		c.say("there is no rule for %s any more", cmd.Host)
		return nil
	})
}

type domainListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (domainListCmd) Help() string { return "Example: planet domain list --json" }

// ruleEntry is a rule as --json prints one.
type ruleEntry struct {
	Domain string    `json:"domain"`
	Rule   string    `json:"rule"` // block, silence or allow
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

func (cmd domainListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		rules, err := db.DomainRules(c.ctx)
		if err != nil {
			return err
		}
		entries := make([]ruleEntry, 0, len(rules))
		for _, r := range rules {
			entries = append(entries, ruleEntry{r.Domain, r.Kind, r.Reason, r.CreatedAt})
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("DOMAIN", "RULE", "SINCE", "REASON")
		for _, e := range entries {
			t.row(e.Domain, e.Rule, stamp(&e.Since), short(e.Reason))
		}
		return t.flush()
	})
}

// What a list of servers may bring. The longest lists that are passed around have some ten thousand lines.
const (
	maxDomainLines = 100_000
	maxDomainBytes = 10_000_000
)

type domainImportCmd struct {
	File    string `arg:"" help:"The list; - reads it from standard input."`
	Kind    string `default:"" enum:",block,silence,allow" placeholder:"RULE" help:"block, silence or allow: the rule for lines that name none. A list without a header is one of servers to block."`
	SkipBad bool   `help:"Leave out lines that cannot be used, instead of refusing the whole list."`
	JSON    bool   `help:"Print JSON."`
}

func (domainImportCmd) Help() string {
	return `The list is Mastodon's export of blocked servers (suspend becomes block, noop is left out), or has one name a line. A rule that
is there is replaced. All of it is taken or, when a line cannot be used, nothing.

Example: planet domain import blocklist.csv
         planet domain import friends.txt --kind allow`
}

func (cmd domainImportCmd) Run(c *app) error {
	in := io.Reader(c.stdin)
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.File, reason(err))
		}
		defer f.Close()
		in = f
	}
	return c.withNode(func(n *activitypub.Node) error {
		list, err := readDomains(in, cmd.Kind, n.RuleDomain)
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.File, err)
		}
		if len(list.bad) > 0 && !cmd.SkipBad {
			more := ""
			if len(list.bad) > 3 {
				more = fmt.Sprintf("; and %d more lines that cannot be used", len(list.bad)-3)
			}
			return fmt.Errorf("%s: %s%s: nothing was changed (--skip-bad leaves them out)", cmd.File, strings.Join(list.bad[:min(len(list.bad), 3)], "; "), more)
		}
		if len(list.rules) == 0 {
			return fmt.Errorf("%s: there is no server in it", cmd.File)
		}
		changed, err := n.SetDomainRules(c.ctx, nil, list.rules)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(struct {
				Changed int `json:"changed"`
				Same    int `json:"same"`
				Skipped int `json:"skipped"`
				Bad     int `json:"bad"`
			}{changed, len(list.rules) - changed, list.skipped, len(list.bad)})
		}
		c.say("%d rules are new or changed, %d were there; %d lines say nothing to do, %d could not be used", changed, len(list.rules)-changed, list.skipped, len(list.bad))
		return nil
	})
}

// domainList is what a file of servers says.
type domainList struct {
	rules   []storage.DomainRule
	skipped int      // lines of severity noop, and repetitions
	bad     []string // what is wrong with lines that cannot be used
}

// readDomains reads Mastodon's CSV, or one name a line. kind is the rule of lines that say none. The names come out in the one
// form that normal gives them. The error is about the whole of it.
func readDomains(in io.Reader, kind string, normal func(string) (string, error)) (*domainList, error) {
	limited := &io.LimitedReader{R: in, N: maxDomainBytes + 1}
	buffered := bufio.NewReader(limited)
	if bom, err := buffered.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = buffered.Discard(3)
	}
	r := csv.NewReader(buffered)
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord, r.TrimLeadingSpace = -1, true, true, true
	list, at := &domainList{}, map[string]storage.DomainRule{}
	column := map[string]int{"domain": 0}
	header := false
	for lines := 0; ; lines++ {
		record, err := r.Read()
		switch {
		case limited.N <= 0:
			return nil, fmt.Errorf("it has more than %s", size(maxDomainBytes))
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		case lines >= maxDomainLines:
			return nil, fmt.Errorf("it has more than %d lines", maxDomainLines)
		}
		line, _ := r.FieldPos(0)
		cell := func(name string) string {
			i, ok := column[name]
			if !ok || i >= len(record) {
				return ""
			}
			return strings.TrimSpace(record[i])
		}
		first := cell("domain")
		switch {
		case lines == 0 && (strings.EqualFold(first, "#domain") || strings.EqualFold(first, "domain")):
			header = true
			for i, name := range record {
				column[strings.ToLower(strings.TrimPrefix(strings.TrimSpace(name), "#"))] = i
			}
			if _, ok := column["severity"]; !ok && kind == "" {
				return nil, errors.New("it does not say what to do with these servers: --kind block, silence or allow does")
			}
			continue
		case first == "" || !header && strings.HasPrefix(first, "#"):
			continue
		}
		rule := storage.DomainRule{Kind: kind, Reason: cell("public_comment")}
		if severity := cell("severity"); severity != "" || header && kind == "" {
			switch strings.ToLower(severity) {
			case "suspend", "block":
				rule.Kind = storage.RuleBlock
			case "silence", "limit":
				rule.Kind = storage.RuleSilence
			case "noop":
				list.skipped++
				continue
			default:
				list.bad = append(list.bad, fmt.Sprintf("line %d: %q is not suspend, silence or noop", line, short(severity)))
				continue
			}
		} else if rule.Kind == "" {
			rule.Kind = storage.RuleBlock
		}
		if rule.Domain, err = normal(first); err != nil {
			list.bad = append(list.bad, fmt.Sprintf("line %d: %.200s", line, err.Error()))
			continue
		}
		if before, ok := at[rule.Domain]; ok {
			if before.Kind != rule.Kind {
				list.bad = append(list.bad, fmt.Sprintf("line %d: %s is there as %s already", line, rule.Domain, before.Kind))
			} else {
				list.skipped++
			}
			continue
		}
		at[rule.Domain] = rule
		list.rules = append(list.rules, rule)
	}
}

type domainExportCmd struct {
	Kind string `default:"" enum:",block,silence,allow" placeholder:"RULE" help:"Only rules of this kind; without it those that block and silence, as Mastodon has no other in one list."`
}

func (domainExportCmd) Help() string { return "Example: planet domain export > blocklist.csv" }

func (cmd domainExportCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		rules, err := db.DomainRules(c.ctx)
		if err != nil {
			return err
		}
		rules = slices.DeleteFunc(rules, func(r storage.DomainRule) bool {
			return cmd.Kind == "" && r.Kind == storage.RuleAllow || cmd.Kind != "" && r.Kind != cmd.Kind
		})
		w := csv.NewWriter(c.stdout)
		if cmd.Kind == storage.RuleAllow { // Mastodon's export of allowed servers
			_ = w.Write([]string{"#domain"})
			for _, r := range rules {
				_ = w.Write([]string{r.Domain})
			}
		} else {
			_ = w.Write([]string{"#domain", "#severity", "#reject_media", "#reject_reports", "#public_comment", "#obfuscate"})
			for _, r := range rules {
				severity, rejects := "suspend", "true"
				if r.Kind == storage.RuleSilence {
					severity, rejects = "silence", "false"
				}
				_ = w.Write([]string{r.Domain, severity, rejects, rejects, r.Reason, "false"})
			}
		}
		w.Flush()
		return w.Error()
	})
}

// The two ways in which a node may stand back from an actor.
const (
	suspended = "suspended"
	silenced  = "silenced"
)

// setStanding suspends or silences an actor, or takes that back; the other of the two stays.
func (c *app) setStanding(n *activitypub.Node, a *storage.Actor, how string, on bool) error {
	is := map[string]bool{suspended: a.SuspendedAt != nil, silenced: a.SilencedAt != nil}
	switch {
	case on && is[how]:
		return fmt.Errorf("%s is %s already", a.Handle(c.host()), how)
	case !on && !is[how]:
		return fmt.Errorf("%s is not %s", a.Handle(c.host()), how)
	case !on && !a.Local():
		rule, err := n.DB.DomainRuleFor(c.ctx, a.Domain)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err == nil && rule.Kind == map[string]string{suspended: storage.RuleBlock, silenced: storage.RuleSilence}[how] {
			return fmt.Errorf("%s is %s with all of %s: planet domain remove %s lets them go", a.Handle(c.host()), how, rule.Domain, rule.Domain)
		}
	}
	is[how] = on
	return n.SetStanding(c.ctx, nil, a, is[suspended], is[silenced])
}

// someone finds an actor of this node by name, or anyone by handle or address.
func (c *app) someone(n *activitypub.Node, whom string) (*storage.Actor, error) {
	if !strings.Contains(strings.TrimPrefix(whom, "@"), "@") && !strings.Contains(whom, "://") {
		return c.actor(n.DB, whom)
	}
	return c.anyone(n, whom)
}

type userSuspendCmd struct {
	Name string `arg:"" help:"A person or co-op of this node, or the handle of somebody elsewhere."`
}

func (userSuspendCmd) Help() string {
	return `A person of this node cannot sign in or act, a co-op cannot act, and somebody elsewhere is not heard any more.

Example: planet user suspend ana
         planet user suspend @mallory@spam.example`
}

func (cmd userSuspendCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.someone(n, cmd.Name)
		switch {
		case err != nil:
			return err
		case !a.Local():
			if err := c.setStanding(n, a, suspended, true); err != nil {
				return err
			}
			c.say("%s is suspended: nothing is taken from there any more, and follows have ended", a.Handle(c.host()))
			return nil
		case a.Type != storage.Person:
			if err := c.setStanding(n, a, suspended, true); err != nil {
				return err
			}
			c.say("%s is suspended: nobody can act as it%s", a.Username, c.queued(n.DB))
			return nil
		}
		err = c.change(n.DB, a.Username, "user.suspend", func(tx *storage.DB, u *storage.User) error {
			if u.SuspendedAt != nil {
				return fmt.Errorf("%s is suspended already", u.Username)
			}
			now := tx.Now().UTC()
			u.SuspendedAt = &now
			return c.keepsOwner(tx, u)
		})
		if err == nil {
			c.say("%s is suspended: she cannot sign in, and her tokens do not work", a.Username)
		}
		return err
	})
}

type userUnsuspendCmd struct {
	Name string `arg:"" help:"A person or co-op of this node, or the handle of somebody elsewhere."`
}

func (userUnsuspendCmd) Help() string { return "Example: planet user unsuspend ana" }

func (cmd userUnsuspendCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.someone(n, cmd.Name)
		switch {
		case err != nil:
			return err
		case !a.Local() || a.Type != storage.Person:
			if err := c.setStanding(n, a, suspended, false); err != nil {
				return err
			}
			queued := ""
			if a.Local() {
				queued = c.queued(n.DB)
			}
			c.say("%s is not suspended any more%s", a.Handle(c.host()), queued)
			return nil
		}
		err = c.change(n.DB, a.Username, "user.unsuspend", func(_ *storage.DB, u *storage.User) error {
			if u.SuspendedAt == nil {
				return fmt.Errorf("%s is not suspended", u.Username)
			}
			u.SuspendedAt = nil
			return nil
		})
		if err == nil {
			c.say("%s may sign in again", a.Username)
		}
		return err
	})
}

type userSilenceCmd struct {
	Name string `arg:"" help:"A person or co-op of this node, or the handle of somebody elsewhere."`
}

func (userSilenceCmd) Help() string {
	return "Example: planet user silence @loud@noise.example"
}

func (cmd userSilenceCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.someone(n, cmd.Name)
		if err != nil {
			return err
		}
		if err := c.setStanding(n, a, silenced, true); err != nil {
			return err
		}
		c.say("%s is silenced: only those who follow see what is said there", a.Handle(c.host()))
		return nil
	})
}

type userUnsilenceCmd struct {
	Name string `arg:"" help:"A person or co-op of this node, or the handle of somebody elsewhere."`
}

func (userUnsilenceCmd) Help() string { return "Example: planet user unsilence @loud@noise.example" }

func (cmd userUnsilenceCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.someone(n, cmd.Name)
		if err != nil {
			return err
		}
		if err := c.setStanding(n, a, silenced, false); err != nil {
			return err
		}
		c.say("%s is not silenced any more", a.Handle(c.host()))
		return nil
	})
}

// restricted is somebody elsewhere who is suspended or silenced, as --json prints one.
type restricted struct {
	Handle    string      `json:"handle"`
	IRI       storage.IRI `json:"iri"`
	Suspended *time.Time  `json:"suspended,omitempty"`
	Silenced  *time.Time  `json:"silenced,omitempty"`
}

// listRestricted lists them; all: also those whom a rule for their server is about.
func (c *app) listRestricted(all, json bool) error {
	return c.withDB(func(db *storage.DB) error {
		actors, err := db.Restricted(c.ctx, all)
		if err != nil {
			return err
		}
		entries := make([]restricted, 0, len(actors))
		for _, a := range actors {
			entries = append(entries, restricted{a.Handle(c.host()), a.IRI, a.SuspendedAt, a.SilencedAt})
		}
		if json {
			return c.json(entries)
		}
		t := c.table("HANDLE", "SUSPENDED", "SILENCED", "ADDRESS")
		for _, e := range entries {
			t.row(e.Handle, stamp(e.Suspended), stamp(e.Silenced), string(e.IRI))
		}
		return t.flush()
	})
}
