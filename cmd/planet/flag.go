package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type reportCmd struct {
	List    reportListCmd    `cmd:"" help:"List the reports that are open."`
	Show    reportShowCmd    `cmd:"" help:"Show one report with the posts that it is about."`
	Resolve reportResolveCmd `cmd:"" help:"Close a report."`
	Create  reportCreateCmd  `cmd:"" help:"Complain about somebody, as a person or co-op of this node."`
}

func (reportCmd) Help() string { return "Example: planet report list" }

// reportEntry is a report as --json prints one.
type reportEntry struct {
	ID         storage.ID     `json:"id"`
	State      string         `json:"state"` // open or resolved
	Reporter   string         `json:"reporter"`
	About      string         `json:"about"`
	Comment    string         `json:"comment"`
	Posts      []reportedPost `json:"posts"`
	Forwarded  bool           `json:"forwarded"`
	Created    time.Time      `json:"created"`
	Resolved   *time.Time     `json:"resolved,omitempty"`
	ResolvedBy string         `json:"resolved_by,omitempty"`
}

type reportedPost struct {
	ID      storage.ID  `json:"id"`
	IRI     storage.IRI `json:"iri"`
	Text    string      `json:"text"`
	Deleted bool        `json:"deleted,omitempty"`
}

func (c *app) reportEntry(db *storage.DB, r *storage.Report) (e reportEntry, err error) {
	e = reportEntry{ID: r.ID, State: "open", Comment: r.Comment, Posts: []reportedPost{}, Forwarded: r.Forwarded, Created: r.CreatedAt, Resolved: r.ResolvedAt}
	if e.Reporter, err = c.handle(db, r.ReporterID); err != nil {
		return e, err
	}
	if e.About, err = c.handle(db, r.TargetID); err != nil {
		return e, err
	}
	for _, id := range r.Posts {
		p, err := db.PostByID(c.ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		} else if err != nil {
			return e, err
		}
		e.Posts = append(e.Posts, reportedPost{p.ID, p.IRI, textOf(p), p.DeletedAt != nil})
	}
	if r.ResolvedAt != nil {
		e.State, e.ResolvedBy = "resolved", "the operator"
		if r.ResolvedBy != 0 {
			u, err := db.UserByID(c.ctx, r.ResolvedBy)
			if err != nil {
				return e, err
			}
			e.ResolvedBy = u.Username
		}
	}
	return e, nil
}

type reportListCmd struct {
	All   bool `help:"Those that are resolved, too."`
	Limit int  `default:"40" help:"How many at most, the newest first."`
	JSON  bool `help:"Print JSON."`
}

func (reportListCmd) Help() string { return "Example: planet report list --all" }

func (cmd reportListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		rs, err := db.Reports(c.ctx, cmd.All, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries := make([]reportEntry, 0, len(rs))
		for i := range rs {
			e, err := c.reportEntry(db, &rs[i])
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		if len(entries) == 0 {
			c.say("nobody complains")
			return nil
		}
		t := c.table("ID", "STATE", "CREATED", "BY", "ABOUT", "POSTS", "COMMENT")
		for _, e := range entries {
			t.row(e.ID.String(), e.State, stamp(&e.Created), e.Reporter, e.About, fmt.Sprint(len(e.Posts)), short(e.Comment))
		}
		return t.flush()
	})
}

// report finds a report by what a person typed.
func (c *app) report(db *storage.DB, id string) (*storage.Report, error) {
	i, err := storage.ParseID(id)
	if err != nil {
		return nil, usageError{fmt.Sprintf("%q is not an id", id)}
	}
	r, err := db.ReportByID(c.ctx, i)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no report %s", id)
	}
	return r, err
}

type reportShowCmd struct {
	ID   string `arg:"" help:"The report's id, as in planet report list."`
	JSON bool   `help:"Print JSON."`
}

func (reportShowCmd) Help() string { return "Example: planet report show 117034567890" }

func (cmd reportShowCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		r, err := c.report(db, cmd.ID)
		if err != nil {
			return err
		}
		e, err := c.reportEntry(db, r)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		t := c.table("report", e.ID.String())
		t.row("state", e.State)
		t.row("by", e.Reporter)
		t.row("about", e.About)
		t.row("created", stamp(&e.Created))
		if e.Resolved != nil {
			t.row("resolved", stamp(e.Resolved)+" by "+e.ResolvedBy)
		}
		if e.Forwarded {
			t.row("forwarded", "to the server of "+e.About)
		}
		t.row("comment", e.Comment)
		for _, p := range e.Posts {
			text := p.Text
			if p.Deleted {
				text = "(deleted)"
			}
			t.row("post "+p.ID.String(), string(p.IRI))
			t.row("", text)
		}
		return t.flush()
	})
}

type reportResolveCmd struct {
	ID string `arg:"" help:"The report's id, as in planet report list."`
}

func (reportResolveCmd) Help() string { return "Example: planet report resolve 117034567890" }

func (cmd reportResolveCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		r, err := c.report(n.DB, cmd.ID)
		if err != nil {
			return err
		}
		err = n.ResolveReport(c.ctx, nil, r.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("the report %s is resolved already", cmd.ID)
		} else if err != nil {
			return err
		}
		c.say("the report %s is resolved", cmd.ID)
		return nil
	})
}

type reportCreateCmd struct {
	As      string   `required:"" placeholder:"NAME" help:"The person or co-op that complains."`
	Post    []string `placeholder:"POST" sep:"none" help:"A post that it is about, by id or address; may be said again."`
	Forward bool     `help:"Tell the other's server, too; it learns of it in the name of this node."`
	JSON    bool     `help:"Print JSON."`
	Handle  string   `arg:"" help:"About whom: @name@domain, or the address of an actor."`
	Comment string   `arg:"" help:"What is wrong; - reads it from standard input."`
}

func (reportCreateCmd) Help() string {
	return "Example: planet report create --as bakery @mallory@spam.example --forward \"sells what it does not have\""
}

func (cmd reportCreateCmd) Run(c *app) error {
	comment, err := c.text(cmd.Comment)
	if err != nil {
		return err
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		in := activitypub.Complaint{Whom: cmd.Handle, Comment: strings.TrimSpace(comment), Forward: cmd.Forward}
		for _, one := range cmd.Post {
			p, err := c.postAt(n, by, one)
			if err != nil {
				return err
			}
			in.Posts = append(in.Posts, p.ID)
		}
		r, err := n.Report(c.ctx, by, in)
		if err != nil {
			return err
		}
		e, err := c.reportEntry(n.DB, r)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		where := " to those who look after this node"
		if r.Forwarded {
			where += " and to its server" + c.queued(n.DB)
		}
		c.say("reported %s%s (report %s)", e.About, where, e.ID)
		return nil
	})
}
