package activitypub

import (
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// How much one other server may bring, and how many of its keys are asked for on behalf of requests that anyone may have
// written. web bounds what one client address may ask; a server has many, and a forger needs only one.
const (
	inboxRate  rate.Limit = 50 // activities a second, signed
	payerRate  rate.Limit = 2  // payments a second of one actor
	payerBurst            = 100
	inboxBurst            = 1000
	askerRate  rate.Limit = 0.1 // requests for payment a second of one actor elsewhere
	askerBurst            = 50
	keyRate    rate.Limit = 5 // unknown keys a second
	keyBurst              = 300
	idleBucket            = 10 * time.Minute // longer than any bucket takes to fill
	maxBuckets            = 20_000           // so that a flood of names cannot fill the memory
)

// buckets holds one bucket of tokens for each host that was seen lately.
type buckets struct {
	every rate.Limit
	burst int
	hosts *otter.Cache[string, *rate.Limiter]
}

func newBuckets(every rate.Limit, burst int) *buckets {
	return &buckets{every, burst, otter.Must(&otter.Options[string, *rate.Limiter]{
		MaximumSize: maxBuckets, ExpiryCalculator: otter.ExpiryAccessing[string, *rate.Limiter](idleBucket)})}
}

// take takes a token of a host's, and reports whether there was one.
func (b *buckets) take(host string, now time.Time) bool {
	l, _ := b.hosts.ComputeIfAbsent(host, func() (*rate.Limiter, bool) { return rate.NewLimiter(b.every, b.burst), false })
	return l.AllowN(now, 1)
}
