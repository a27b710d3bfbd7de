package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

type coopAuditCmd struct {
	Coop   string `arg:"" help:"Which co-op."`
	As     string `placeholder:"USER" help:"As this person, who has to be a member (default: the operator)."`
	Before int64  `placeholder:"N" help:"Older than this entry."`
	Limit  int    `default:"50" help:"At most so many, the newest first."`
	Verify bool   `help:"Check every entry and the chain between them; print how many there are, and the last one's hash."`
	Raw    bool   `help:"Print every entry, the oldest first, as it is hashed, behind its hash."`
	JSON   bool   `help:"Print JSON."`
}

func (coopAuditCmd) Help() string {
	return `Each entry has the hash of the one before it in it. To check them by hand:

  planet coop audit bakery --raw | while read -r hash entry; do
    test "$hash" = "$(printf %s "$entry" | sha256sum | cut -d' ' -f1)" || echo "changed: $entry"; done

Example: planet coop audit bakery --verify`
}

// auditLine is an entry of an audit log as --json prints one.
type auditLine struct {
	Entry json.RawMessage `json:"entry"` // what is hashed, in the form of RFC 8785
	Hash  string          `json:"hash"`
}

func (cmd coopAuditCmd) Run(c *app) error {
	switch {
	case cmd.Verify && cmd.Raw, (cmd.Verify || cmd.Raw) && cmd.Before != 0, cmd.Raw && cmd.JSON:
		return usageError{"--verify and --raw are about the whole log: say one of them, and nothing beside"}
	case cmd.Limit < 1 || cmd.Limit > 10_000:
		return usageError{"--limit: want 1 to 10000"}
	}
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		switch {
		case cmd.Verify:
			return cmd.verify(c, n, by)
		case cmd.Raw:
			return n.VerifyAudit(c.ctx, by, by.Actor, func(e activitypub.AuditEntry) error {
				c.say("%s %s", e.Hash, e.Text)
				return nil
			})
		}
		es, err := n.AuditOf(c.ctx, by, by.Actor, cmd.Before, cmd.Limit)
		if err != nil {
			return err
		}
		lines, t := []auditLine{}, c.table("ENTRY", "TIME", "WHO", "WHAT", "ABOUT", "IN WORDS, AND WHAT CHANGED")
		for _, e := range es {
			lines = append(lines, auditLine{json.RawMessage(e.Text), e.Hash})
			t.row(fmt.Sprint(e.Seq), e.Time, c.auditName(n.DB, storage.IRI(e.Who)), e.Act, c.auditName(n.DB, e.Subject), told(e))
		}
		if cmd.JSON {
			return c.json(lines)
		}
		return t.flush()
	})
}

// told is what an entry of an audit log says beside who did what.
func told(e activitypub.AuditEntry) string {
	var parts []string
	if e.Words != "" {
		parts = append(parts, e.Words)
	}
	switch {
	case e.Before != nil:
		parts = append(parts, string(e.Before)+" became "+string(e.After))
	case e.After != nil:
		parts = append(parts, string(e.After))
	}
	return strings.Join(parts, "; ")
}

// auditName is the name of an actor in an audit log; what is no actor, such as the operator or a currency, is named as it is.
func (c *app) auditName(db *storage.DB, who storage.IRI) string {
	if !strings.Contains(string(who), "/users/") {
		return string(who)
	}
	return c.nameOf(db, who)
}

func (cmd coopAuditCmd) verify(c *app, n *activitypub.Node, by activitypub.By) error {
	var last activitypub.AuditEntry
	err := n.VerifyAudit(c.ctx, by, by.Actor, func(e activitypub.AuditEntry) error {
		last = e
		return nil
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return c.json(struct {
			Coop    string `json:"coop"`
			Entries int64  `json:"entries"`
			Head    string `json:"head"` // hash of the last entry; "" without one
		}{by.Actor.Username, last.Seq, last.Hash})
	}
	c.say("%s: %s, unbroken; the last one's hash is %s", by.Actor.Username, plural(last.Seq, "entry", "entries"), last.Hash)
	return nil
}
