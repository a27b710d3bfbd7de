package activitypub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"planet/storage"
)

// A push tells an app of a notification by way of its push service (RFC 8030). storage owes it in the transaction of the notification; web/mastodon says what it says;
// here it is brought out. How it is written is webpush.go.

const (
	pushLife      = 48 * time.Hour // what is older is news no more; the push service is told the same
	pushLease     = 2 * time.Minute
	pushTimeout   = 20 * time.Second
	pushPoll      = time.Second // for what is due by its time, or was caused by another process
	pushTries     = 8           // over some hours, or longer if the push service asks for it
	pushUnderWay  = 64
	pushesPerHost = 16 // once so many are under way to one push service, no more are claimed for it
	pushesAtOnce  = 16
)

// PushDraft is what an app asks for when it subscribes.
type PushDraft struct {
	Endpoint     string
	P256dh, Auth string // base64url
	Standard     bool
	Alerts       []string // kinds of notifications
	Policy       string
	Bearer       string // the token that the app has
}

// SubscribePush lets the app that has a token be told of notifications, in place of what it had subscribed to before. InvalidError when its push service could not be
// spoken to; ErrNotFound when the token has ended.
func (n *Node) SubscribePush(ctx context.Context, t *storage.Token, d PushDraft) (*storage.PushSubscription, error) {
	if _, err := n.Client.target(d.Endpoint); err != nil {
		return nil, invalid("endpoint", "Endpoint is not the address of a push service: %v", err)
	}
	point, auth, err := parsePushKeys(d.P256dh, d.Auth)
	if err != nil {
		return nil, err
	}
	bearer, err := n.hide(bearerOf(t.ID), d.Bearer)
	if err != nil {
		return nil, err
	}
	s := &storage.PushSubscription{TokenID: t.ID, ActorID: t.ActorID, Endpoint: d.Endpoint, Host: hostOf(storage.IRI(d.Endpoint)), P256dh: point, Auth: auth, Standard: d.Standard,
		Alerts: d.Alerts, Policy: d.Policy, Bearer: bearer}
	return s, n.DB.SavePushSubscription(ctx, s)
}

// PushBearer is the token that the app of a subscription has: it tells its accounts apart by that.
func (n *Node) PushBearer(s *storage.PushSubscription) (string, error) {
	return n.reveal(bearerOf(s.TokenID), s.Bearer)
}

func bearerOf(token storage.ID) string { return "bearer of " + token.String() }

// PushWords says what a push tells an app; nil when it is to tell nothing, as things stand now.
type PushWords func(context.Context, *storage.PushClaim) ([]byte, error)

// pusher brings out pushes, and does not let one slow push service hold up the others.
type pusher struct {
	n      *Node
	say    PushWords
	sends  sync.WaitGroup
	mu     sync.Mutex
	active map[string]int // sends under way by host; under mu
	total  int            // of active; under mu
}

// PushLoop brings out pushes until ctx ends; then it waits for those under way.
func (n *Node) PushLoop(ctx context.Context, say PushWords) error {
	p := &pusher{n: n, say: say, active: map[string]int{}}
	defer p.sends.Wait()
	for {
		more, err := p.round(ctx)
		if err != nil && ctx.Err() == nil {
			n.Log.Error("push round", "err", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.wakePushes:
		case <-time.After(pushPoll):
		}
	}
}

// DoPushes tries every push that is due now, and returns when none is left.
func (n *Node) DoPushes(ctx context.Context, say PushWords) error {
	p := &pusher{n: n, say: say, active: map[string]int{}}
	for {
		_, err := p.round(ctx)
		p.sends.Wait()
		if err != nil {
			return err
		}
		if due, err := n.DB.PushDue(ctx); err != nil || !due {
			return err
		}
	}
}

// round claims what is due and starts to send it; more says that there may be others to claim at once.
func (p *pusher) round(ctx context.Context) (more bool, err error) {
	if due, err := p.n.DB.PushDue(ctx); err != nil || !due {
		return false, err
	}
	p.mu.Lock()
	free := pushUnderWay - p.total
	var busy []string
	for host, v := range p.active {
		if v >= pushesPerHost {
			busy = append(busy, host)
		}
	}
	p.mu.Unlock()
	if free <= 0 {
		return false, nil
	}
	claims, err := p.n.DB.ClaimPushes(ctx, busy, min(free, pushesAtOnce), pushLease)
	if err != nil {
		return false, err
	}
	for _, c := range claims {
		p.count(c.Subscription.Host, 1)
		p.sends.Go(func() {
			p.n.push(ctx, &c, p.say)
			p.count(c.Subscription.Host, -1)
			select {
			case p.n.wakePushes <- struct{}{}: // the next of the same app or host may go
			default:
			}
		})
	}
	return len(claims) > 0, nil
}

func (p *pusher) count(host string, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += by
	if p.active[host] += by; p.active[host] == 0 {
		delete(p.active, host)
	}
}

// push tries one push and stores what became of it. The address of an app at its push service is a secret of both: its host is all that is logged.
func (n *Node) push(ctx context.Context, c *storage.PushClaim, say PushWords) {
	err := n.pushSafely(ctx, c, say)
	now, after := n.Now().UTC(), context.WithoutCancel(ctx)
	next := now.Add(backoff(c.Attempts))
	var fe *FetchError
	if errors.As(err, &fe) {
		next = now.Add(max(backoff(c.Attempts), fe.RetryAfter))
		n.Log.Info("push", "host", c.Subscription.Host, "try", c.Attempts, "status", fe.Status, "final", !fe.Temporary, "err", fe.Err)
	} else if err != nil {
		n.Log.Error("push", "host", c.Subscription.Host, "try", c.Attempts, "err", err)
	}
	switch {
	case err == nil:
		err = n.DB.FinishPush(after, c.Push.ID)
	case ctx.Err() != nil: // the node stops: nothing is known of this try
		err = n.DB.ReleasePush(after, c.Push.ID)
	case fe != nil && !fe.Temporary:
		err = n.DB.EndPushSubscription(after, c.Subscription.ID)
	case c.Attempts >= pushTries:
		err = n.DB.FinishPush(after, c.Push.ID)
	default:
		err = n.DB.PostponePush(after, c.Push.ID, next)
	}
	if err != nil {
		n.Log.Error("finish push", "push", c.Push.ID, "err", err)
	}
}

// pushSafely sends a push, unless it is too old or says nothing; a panic is its error, and takes nothing else along.
func (n *Node) pushSafely(ctx context.Context, c *storage.PushClaim, say PushWords) (err error) {
	defer func() {
		if p := recover(); p != nil {
			n.Log.Error("panic in a push", "push", c.Push.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if n.Now().Sub(c.Push.CreatedAt) > pushLife {
		return nil
	}
	message, err := say(ctx, c)
	if err != nil || message == nil {
		return err
	}
	return n.sendPush(ctx, &c.Subscription, message)
}

// sendPush brings a message to the push service of an app. A *FetchError that is not temporary says that the subscription has ended, or is one that this node does not
// speak with.
func (n *Node) sendPush(ctx context.Context, s *storage.PushSubscription, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	h := http.Header{}
	h.Set("TTL", strconv.Itoa(int(pushLife/time.Second)))
	h.Set("Urgency", "normal")
	body, err := n.writePush(s, message, h)
	if err != nil {
		return err
	}
	res, err := n.Client.Post(ctx, s.Endpoint, body, "application/octet-stream", func(r *http.Request, _ []byte) error {
		maps.Copy(r.Header, h)
		return nil
	})
	if err != nil {
		return err
	}
	if res.Status >= 200 && res.Status < 300 {
		return nil
	}
	theirs := res.Status >= 400 && res.Status < 500 && res.Status != 408 && res.Status != 425 && res.Status != 429
	return &FetchError{URL: s.Endpoint, Status: res.Status, Gone: res.Status == 404 || res.Status == 410, Temporary: !theirs, RetryAfter: retryAfter(res.Header, n.Now())}
}
