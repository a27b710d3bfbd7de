package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"planet/storage"
)

// Jobs are what an activity asks for and the node does afterwards, as it takes the network: each has a bounded number of
// requests, and may be done twice.

const (
	jobLease       = 5 * time.Minute
	jobTimeout     = 2 * time.Minute
	jobWorkers     = 4
	maxJobAttempts = 5 // then it is given up (security.md §4.7)
)

// The kinds of jobs.
const (
	jobFetch  = "fetch"  // look at an object at its origin: keep it, or forget it when it is gone
	jobThread = "thread" // find what a post answers
	jobBoost  = "boost"  // find what somebody shares
	jobPin    = "pin"    // find what somebody pins
	jobPins   = "pins"   // read what an actor elsewhere has pinned
	jobMove   = "move"   // let followers here go along with an actor who moves
	jobQuote  = "quote"  // ask whether a post may quote what it quotes
	jobOffer  = "offer"  // read what a post offers
	jobStock  = "stock"  // tell other servers what is left of an offer of ours
	jobTally  = "tally"  // tell other servers how a poll of ours stands
)

// work is what the payload of a job says; each kind uses its own part.
type work struct {
	Object storage.IRI `json:"object,omitempty"`
	Actor  storage.IRI `json:"actor,omitempty"`
	Target storage.IRI `json:"target,omitempty"`
	IRI    storage.IRI `json:"iri,omitempty"` // of the activity that asked for it
	Public bool        `json:"public,omitempty"`
	Post   storage.ID  `json:"post,omitempty"`
	Offer  storage.ID  `json:"offer,omitempty"`
}

// enqueue owes a job, in the transaction that causes it.
func enqueue(ctx context.Context, tx *storage.DB, kind, about string, at time.Time, w work) error {
	raw, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return tx.EnqueueJob(ctx, &storage.Job{Kind: kind, About: clip(about, 500), Payload: raw, RunAt: at})
}

// jobLoop does jobs until ctx ends; then it waits for those under way.
func (n *Node) jobLoop(ctx context.Context) error {
	for {
		did, err := n.jobRound(ctx)
		if err != nil && ctx.Err() == nil {
			n.Log.Error("job round", "err", err)
		}
		if did && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.wakeJobs:
		case <-time.After(deliveryPoll):
		}
	}
}

// DoJobs does every job that is due now, and returns when none is left.
func (n *Node) DoJobs(ctx context.Context) error {
	for {
		if did, err := n.jobRound(ctx); err != nil || !did {
			return err
		}
	}
}

// jobRound does what it can claim at once; did is false when there was nothing.
func (n *Node) jobRound(ctx context.Context) (did bool, err error) {
	if due, err := n.DB.JobDue(ctx); err != nil || !due {
		return false, err
	}
	jobs, err := n.DB.ClaimJobs(ctx, jobWorkers, jobLease)
	if err != nil {
		return false, err
	}
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() { n.doJob(ctx, j) })
	}
	all.Wait()
	return len(jobs) > 0, nil
}

// doJob does one job and stores what became of it.
func (n *Node) doJob(ctx context.Context, j storage.Job) {
	after := context.WithoutCancel(ctx)
	err := n.attempt(ctx, j)
	switch {
	case err == nil, final(err):
		if err != nil {
			n.Log.Debug("job ended", "kind", j.Kind, "about", j.About, "err", err)
		}
		err = n.DB.FinishJob(after, j.ID)
	default:
		dead := j.Attempts >= maxJobAttempts
		n.Log.Warn("job failed", "kind", j.Kind, "about", j.About, "attempt", j.Attempts, "dead", dead, "err", err)
		err = n.DB.PostponeJob(after, j.ID, clip(err.Error(), 300), n.Now().Add(backoff(j.Attempts)), dead)
	}
	if err != nil {
		n.Log.Error("finish job", "job", j.ID, "err", err)
	}
}

// final reports whether a job that ended with err would end so again.
func final(err error) bool {
	var fe *FetchError
	var p *Problem
	return errors.Is(err, storage.ErrNotFound) || errors.As(err, &p) && p.Status != 503 || errors.Is(err, errBudget) || errors.As(err, &fe) && !fe.Temporary
}

// attempt does the work of a job; a panic is its error, and takes nothing else along.
func (n *Node) attempt(ctx context.Context, j storage.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(withBudget(ctx, fetchBudget), jobTimeout)
	defer cancel()
	var w work
	if err := json.Unmarshal(j.Payload, &w); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	switch j.Kind {
	case jobFetch:
		return n.lookAgain(ctx, w.Object)
	case jobThread:
		return n.completeThread(ctx, w.Post)
	case jobBoost:
		return n.keepBoost(ctx, w)
	case jobPin:
		return n.keepPin(ctx, w)
	case jobPins:
		return n.keepPins(ctx, w.Actor)
	case jobMove:
		return n.followAlong(ctx, w)
	case jobQuote:
		return n.checkQuote(ctx, w.Post)
	case jobOffer:
		return n.readOffer(ctx, w.Object)
	case jobStock:
		return n.retellStock(ctx, w.Offer)
	case jobTally:
		return n.tally(ctx, w.Post)
	default:
		return fmt.Errorf("no such job as %q", j.Kind)
	}
}
