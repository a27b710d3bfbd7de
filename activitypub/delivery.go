package activitypub

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"planet/storage"
)

// How deliveries are tried (security.md §4).
const (
	maxAttempts     = 16
	momentaryLife   = 3 * 24 * time.Hour  // about what sixteen tries take: a post, a boost or a like that waits longer ends when its host fails
	deliveryLife    = 30 * 24 * time.Hour // of what else waits for a host that does not answer
	deliveryLease   = 3 * time.Minute
	deliveryPoll    = 100 * time.Millisecond // for what a command beside the node put into the queue
	perHost         = 2                      // tries under way to one host
	underWay        = 512                    // tries under way in all: slow hosts cost a waiting goroutine, no more
	breakerFailures = 5                      // in breakerWindow, and the host is left alone for breakerPause
	breakerWindow   = 10 * time.Minute
	breakerPause    = 30 * time.Minute
	absentDays      = 2 // of failures, after which what waits is brought at once when the host is back
	unavailableDays = 7 // of failures, and it is asked once a day
	unavailableFor  = 24 * time.Hour
	maxRetryAfter   = 24 * time.Hour
	maxPanics       = 5 // tries that ended in a panic, and the delivery is given up
	maxDown         = 10_000
	hostLife        = 90 * 24 * time.Hour // a host without news is forgotten
	tidyEvery       = time.Hour
	changeLife      = 10 * time.Minute // those who look on are seconds behind
	unusedAppLife   = 24 * time.Hour
)

// courier brings out what is due, each host by itself.
type courier struct {
	n       *Node
	tries   sync.WaitGroup
	mu      sync.Mutex
	active  map[string]int  // tries under way by host; under mu
	total   int             // of active; under mu
	waiting map[string]bool // hosts that had no room at the last round, "*" when there was none at all; under mu
}

func newCourier(n *Node) *courier {
	return &courier{n: n, active: map[string]int{}, waiting: map[string]bool{}}
}

// deliverLoop brings out deliveries until ctx ends; then it waits for the tries under way.
func (n *Node) deliverLoop(ctx context.Context) error {
	c := newCourier(n)
	defer c.tries.Wait()
	var tidied, forgotten time.Time
	for {
		if now := n.Now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			if _, err := n.DB.PruneHosts(ctx, now.Add(-hostLife)); err != nil && ctx.Err() == nil {
				n.Log.Error("forget hosts", "err", err)
			}
			if err := n.DB.PruneClients(ctx, now.Add(-unusedAppLife)); err != nil && ctx.Err() == nil {
				n.Log.Error("forget apps that nobody uses", "err", err)
			}
		}
		if now := n.Now(); now.Sub(forgotten) >= changeLife { // every post and every piece of news leaves one: in an hour they would be many
			forgotten = now
			if err := n.DB.PruneChanges(ctx, now.Add(-changeLife)); err != nil && ctx.Err() == nil {
				n.Log.Error("forget changes", "err", err)
			}
		}
		more, err := c.round(ctx)
		if err != nil && ctx.Err() == nil {
			n.Log.Error("delivery round", "err", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		case <-time.After(deliveryPoll):
		}
	}
}

// DeliverDue tries everything that is due now, once the loop does not run, and returns when nothing is left that is due.
func (n *Node) DeliverDue(ctx context.Context) error {
	c := newCourier(n)
	for {
		_, err := c.round(ctx)
		c.tries.Wait()
		if err != nil {
			return err
		}
		if due, err := n.DB.DeliveryDue(ctx); err != nil || !due {
			return err
		}
	}
}

// round claims what is due and starts a try for each claim; more says that there may be others to claim at once.
func (c *courier) round(ctx context.Context) (more bool, err error) {
	if due, err := c.n.DB.DeliveryDue(ctx); err != nil || !due {
		return false, err
	}
	c.mu.Lock()
	free := underWay - c.total
	var busy []string
	clear(c.waiting)
	for host, v := range c.active {
		if v >= perHost {
			busy = append(busy, host)
			c.waiting[host] = true
		}
	}
	if free <= 0 {
		c.waiting["*"] = true
	}
	c.mu.Unlock()
	if free <= 0 {
		return false, nil
	}
	claims, more, err := c.n.DB.ClaimDeliveries(ctx, busy, c.room, min(free, 256), deliveryLease)
	if err != nil {
		return false, err
	}
	for _, claim := range claims {
		c.mu.Lock()
		c.active[claim.Delivery.Host]++
		c.total++
		c.mu.Unlock()
		c.tries.Go(func() {
			c.n.try(ctx, claim)
			c.done(claim.Delivery.Host)
		})
	}
	return more && len(claims) > 0, nil
}

// room is how many more tries a host may have under way: one, as a probe, when its last ones failed.
func (c *courier) room(h storage.Host) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Failures >= breakerFailures {
		return 1 - c.active[h.Host]
	}
	return perHost - c.active[h.Host]
}

func (c *courier) done(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.active[host]--; c.active[host] == 0 {
		delete(c.active, host)
	}
	c.n.Wake() // the next of the same object or host may go
}

// try sends one delivery and stores what became of it.
func (n *Node) try(ctx context.Context, c storage.Claim) {
	before := c.Host
	started := n.Now()
	var res *Response
	err := n.admits(ctx, n.DB, c.Inbox)
	if err == nil {
		res, err = n.postSafely(ctx, &c)
	}
	if ctx.Err() != nil { // the node stops: nothing is known of this try
		if err := n.DB.ReleaseDelivery(context.WithoutCancel(ctx), c.ID); err != nil {
			n.Log.Error("release delivery", "delivery", c.ID, "err", err)
		}
		return
	}
	d, h := &c.Delivery, &c.Host
	n.settle(&c, res, err)
	n.Log.Info("delivery", "host", h.Host, "activity", d.ActivityID, "try", d.Attempts, "status", d.LastStatus, "state", d.State,
		"err", d.LastError, "took", n.Now().Sub(started))
	now := n.Now().UTC()
	err = n.DB.Transaction(context.WithoutCancel(ctx), func(tx *storage.DB) error {
		ctx := context.WithoutCancel(ctx)
		changed := h
		if hostUnchanged(before, *h) {
			changed = nil
		}
		if err := tx.FinishDelivery(ctx, d, changed); err != nil {
			return err
		}
		switch {
		case before.FailingDays >= absentDays && h.FailingDays == 0: // it is back
			_, err := tx.HastenDeliveries(ctx, h.Host, maxAttempts-4)
			return err
		case h.OpenUntil != nil:
			_, err := tx.GiveUpDeliveries(ctx, h.Host, now.Add(-deliveryLife), now.Add(-momentaryLife))
			return err
		}
		return nil
	})
	if err != nil {
		n.Log.Error("finish delivery", "delivery", d.ID, "err", err)
	}
}

// postSafely is post for a message that may be poison: a panic is an error of this delivery, and takes nothing else along.
func (n *Node) postSafely(ctx context.Context, c *storage.Claim) (res *Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			n.Log.Error("panic in a delivery", "delivery", c.ID, "panic", p, "stack", string(debug.Stack()))
			res, err = nil, &FetchError{URL: string(c.Inbox), Temporary: c.Attempts < maxPanics, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return n.post(ctx, c)
}

// hostUnchanged reports whether a host's row need not be written: all is well, and that was known an hour ago.
func hostUnchanged(old, now storage.Host) bool {
	return old.Failures == 0 && now.Failures == 0 && old.FailingDays == now.FailingDays && old.Scheme == now.Scheme &&
		old.OpenUntil == now.OpenUntil && old.UnavailableAt == now.UnavailableAt &&
		(now.LastOKAt == nil || old.LastOKAt != nil && now.LastOKAt.Sub(*old.LastOKAt) < time.Hour)
}

// The signatures that a host may take.
const (
	schemeCavage  = "cavage"
	schemeRFC9421 = "rfc9421"
)

// post signs and sends. When the signature is not taken it knocks again with the other one, and what worked is
// remembered with the host (cavage first: some take a 9421 signature with a 202 and lose the activity).
func (n *Node) post(ctx context.Context, c *storage.Claim) (*Response, error) {
	keyID, key, err := n.signingKey(ctx, c.ActorID, storage.KeyRSA)
	if err != nil {
		return nil, err
	}
	first, second := schemeCavage, schemeRFC9421
	if c.Host.Scheme == schemeRFC9421 {
		first, second = second, first
	}
	res, err := n.postSigned(ctx, c, string(keyID), key, first)
	if err != nil || !slices.Contains([]int{400, 401, 403}, res.Status) {
		if err == nil && res.Status < 300 {
			c.Host.Scheme = first
		}
		return res, err
	}
	again, err := n.postSigned(ctx, c, string(keyID), key, second)
	if err != nil {
		return res, nil // the first answer stands
	}
	if again.Status < 300 {
		c.Host.Scheme = second
	}
	return again, nil
}

func (n *Node) postSigned(ctx context.Context, c *storage.Claim, keyID string, key crypto.Signer, scheme string) (*Response, error) {
	return n.Client.Post(ctx, string(c.Inbox), c.Raw, activityJSON, func(r *http.Request, body []byte) error {
		if scheme == schemeRFC9421 {
			return signRFC9421(r, body, keyID, key, n.Now())
		}
		return signCavage(r, body, keyID, key, n.Now())
	})
}

// settle decides what follows from an answer: done, given up, or tried again and when; and what it says of the host.
func (n *Node) settle(c *storage.Claim, res *Response, err error) {
	d, h := &c.Delivery, &c.Host
	now := n.Now().UTC()
	reachable, final, wait := true, false, time.Duration(0)
	var fe *FetchError
	var p *Problem
	switch {
	case errors.As(err, &p): // this node does not speak with that one; nothing was sent
		d.State, d.LastStatus, d.LastError = storage.DeliveryDead, 0, clip(p.Detail, 300)
		return
	case err == nil && res.Status < 300:
		d.State, d.LastStatus, d.LastError = storage.DeliveryDone, res.Status, ""
		n.hostOK(h, now)
		return
	case err == nil:
		d.LastStatus, d.LastError = res.Status, clip(http.StatusText(res.Status)+": "+string(res.Body), 300)
		switch s := res.Status; {
		case s == 408 || s == 425 || s == 429 || s >= 500 && s != 501:
			wait = retryAfter(res.Header, now)
			reachable = s < 500
		default:
			final = true // 4xx, 501, and redirects, which are not followed for a POST
		}
	case errors.As(err, &fe) && !fe.Temporary:
		d.LastStatus, d.LastError, final = fe.Status, clip(err.Error(), 300), true
	default:
		d.LastStatus, d.LastError, reachable = 0, clip(err.Error(), 300), false
	}
	if reachable {
		n.hostOK(h, now)
	} else {
		n.hostFailed(h, now)
	}
	lasting := !reachable && h.FailingDays >= absentDays && !c.Momentary() // it waits for the host's return, see GiveUpDeliveries
	if final || d.Attempts >= maxAttempts && !lasting {
		d.State = storage.DeliveryDead
		return
	}
	d.NextAt = now.Add(max(backoff(min(d.Attempts, maxAttempts)), wait))
}

// backoff is the pause after the nth try: n^4 + 15 s and up to half of n^4 more; sixteen tries take two to three days.
func backoff(attempt int) time.Duration {
	base := time.Duration(attempt*attempt*attempt*attempt) * time.Second
	return base + 15*time.Second + rand.N(base/2+time.Second)
}

// retryAfter reads the header of RFC 9110 §10.2.3, in seconds or as a date, at most a day; 0 when there is nothing usable.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if d, err := time.ParseDuration(v + "s"); err == nil {
		return min(max(d, 0), maxRetryAfter)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

func (n *Node) hostOK(h *storage.Host, now time.Time) {
	h.Failures, h.FailingDays, h.FirstFailureAt, h.OpenUntil, h.UnavailableAt = 0, 0, nil, nil, nil
	if h.LastOKAt == nil || now.Sub(*h.LastOKAt) >= time.Hour {
		h.LastOKAt = &now
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.down, h.Host)
}

func (n *Node) hostFailed(h *storage.Host, now time.Time) {
	if h.LastFailureAt == nil || !sameDay(*h.LastFailureAt, now) {
		h.FailingDays++
	}
	if h.Failures == 0 || h.FirstFailureAt == nil || h.Failures < breakerFailures && now.Sub(*h.FirstFailureAt) > breakerWindow {
		h.Failures, h.FirstFailureAt = 0, &now
	}
	h.Failures++
	h.LastFailureAt = &now
	pause := time.Duration(0)
	if h.Failures >= breakerFailures {
		pause = breakerPause
	}
	if h.FailingDays >= unavailableDays {
		if h.UnavailableAt == nil {
			h.UnavailableAt = &now
		}
		pause = unavailableFor
	}
	if pause == 0 {
		return
	}
	until := now.Add(pause)
	h.OpenUntil = &until
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.down) >= maxDown {
		for host := range n.down { // any one: it is asked again when its pause ends, no sooner
			delete(n.down, host)
			break
		}
	}
	n.down[h.Host] = true
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Format(time.DateOnly) == b.UTC().Format(time.DateOnly)
}

// alive closes the breaker of a host that has just proved that it lives: it signed something.
func (n *Node) alive(ctx context.Context, signer *storage.Actor) {
	host := hostOf(signer.Inbox)
	n.mu.Lock()
	down := n.down[host]
	delete(n.down, host)
	n.mu.Unlock()
	if !down {
		return
	}
	h, err := n.DB.HostByName(ctx, host)
	if err != nil {
		return
	}
	absent := h.FailingDays >= absentDays
	h.Failures, h.FailingDays, h.OpenUntil, h.UnavailableAt = 0, 0, nil, nil
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := tx.SaveHost(ctx, h); err != nil || !absent {
			return err
		}
		_, err := tx.HastenDeliveries(ctx, host, maxAttempts-4)
		return err
	})
	if err != nil {
		n.Log.Error("close breaker", "host", host, "err", err)
	}
	n.Wake()
}
