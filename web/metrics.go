package web

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counters are the node's numbers for a Prometheus collector (text exposition format 0.0.4). They are written here and not
// by the client library: there are few of them, and it would bring eight modules. Labels are routes as registered, never
// paths, so that nobody can make new ones by asking.
type counters struct {
	panics  atomic.Int64
	limited atomic.Int64

	mu       sync.Mutex
	requests map[answered]int64
	took     [len(buckets) + 1]int64 // per bucket, not yet cumulated; the last one is beyond all bounds
	seconds  float64
}

// answered is one kind of request.
type answered struct {
	route, method string
	status        int
}

// buckets are upper bounds in seconds.
var buckets = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newCounters() *counters { return &counters{requests: map[answered]int64{}} }

func (m *counters) observe(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}, method) {
		method = "other"
	}
	s := took.Seconds()
	i, _ := slices.BinarySearch(buckets[:], s)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[answered{route, method, status}]++
	m.took[i]++
	m.seconds += s
}

// write prints all numbers; received are activitypub's counts of activities by kind.
func (m *counters) write(w io.Writer, version string, received map[string]int64) error {
	b := bufio.NewWriter(w)
	head := func(name, kind, help string) {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	head("planet_build_info", "gauge", "The version that runs.")
	fmt.Fprintf(b, "planet_build_info{version=%s,go=%s} 1\n", label(version), label(runtime.Version()))

	m.mu.Lock()
	requests, took, seconds := maps.Clone(m.requests), m.took, m.seconds
	m.mu.Unlock()
	head("planet_http_requests_total", "counter", "Requests answered.")
	keys := slices.SortedFunc(maps.Keys(requests), func(a, b answered) int {
		return strings.Compare(a.route+" "+a.method+strconv.Itoa(a.status), b.route+" "+b.method+strconv.Itoa(b.status))
	})
	for _, k := range keys {
		fmt.Fprintf(b, "planet_http_requests_total{route=%s,method=%s,code=\"%d\"} %d\n", label(k.route), label(k.method), k.status, requests[k])
	}
	head("planet_http_request_duration_seconds", "histogram", "Time until a request was answered.")
	var sum int64
	for i, bound := range buckets {
		sum += took[i]
		fmt.Fprintf(b, "planet_http_request_duration_seconds_bucket{le=\"%g\"} %d\n", bound, sum)
	}
	sum += took[len(buckets)]
	fmt.Fprintf(b, "planet_http_request_duration_seconds_bucket{le=\"+Inf\"} %d\nplanet_http_request_duration_seconds_sum %g\nplanet_http_request_duration_seconds_count %d\n", sum, seconds, sum)
	head("planet_http_limited_total", "counter", "Requests refused by the rate limit.")
	fmt.Fprintf(b, "planet_http_limited_total %d\n", m.limited.Load())
	head("planet_http_panics_total", "counter", "Requests that ended in a panic.")
	fmt.Fprintf(b, "planet_http_panics_total %d\n", m.panics.Load())

	head("planet_activities_received_total", "counter", "Activities by kind and what became of them.")
	for _, kind := range slices.Sorted(maps.Keys(received)) {
		fmt.Fprintf(b, "planet_activities_received_total{kind=%s} %d\n", label(kind), received[kind])
	}

	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	head("go_goroutines", "gauge", "Goroutines that exist.")
	fmt.Fprintf(b, "go_goroutines %d\n", runtime.NumGoroutine())
	head("go_memstats_heap_inuse_bytes", "gauge", "Bytes in use on the heap.")
	fmt.Fprintf(b, "go_memstats_heap_inuse_bytes %d\n", mem.HeapInuse)
	head("go_memstats_sys_bytes", "gauge", "Bytes taken from the system.")
	fmt.Fprintf(b, "go_memstats_sys_bytes %d\n", mem.Sys)
	return b.Flush()
}

// label quotes a label's value: only \, " and newlines are special there.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "?")) + `"`
}
