package activitypub

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"code.dny.dev/ssrf"
	"golang.org/x/net/idna"
)

// This file opens every connection that the node makes: documents, deliveries and whatever else is asked of other
// servers pass the same guard. An address is judged three times: as text (parseIRI), as a target (scheme, port, literal
// address), and as the IP that is about to be dialled, where no answer of DNS can slip past any more.

// What one request may take and bring.
const (
	connectTimeout = 5 * time.Second
	headerTimeout  = 10 * time.Second
	totalTimeout   = 30 * time.Second // redirects and body included
	maxDocument    = 1 << 20          // bytes of a body, after decompression
	maxReply       = 4 << 10          // bytes kept of an answer to a POST, for the log
	maxHeaders     = 64 << 10
	maxRedirects   = 3
	maxAddress     = 2048
	fetchBudget    = 20 // requests on behalf of one activity
)

const acceptActivity = activityJSON + ", " + ldJSON

// ClientConfig is what a Client needs to know of its node and of the networks around it.
type ClientConfig struct {
	Origin    string         // of the node. https: only https is spoken; http: only http, and only with 127.0.0.1
	Version   string         // of the software, for the User-Agent
	AllowNets []netip.Prefix // networks outside the public internet that an https origin may reach all the same
	ExtraCA   []byte         // PEM: roots to trust beside those of the system
	Now       func() time.Time
	Log       *slog.Logger

	// Record, if set, is told every address right before it is dialled, after the guard let it pass.
	Record func(network, addr string)
	// Lookup, if set, is asked for the addresses of a host instead of DNS.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Transport, if set, takes the place of the network. What an address says is still checked, what a name resolves to is not.
	Transport http.RoundTripper
}

// Client speaks HTTP with other servers. It is safe for use by many goroutines.
type Client struct {
	origin    *url.URL
	agent     string
	now       func() time.Time
	log       *slog.Logger
	record    func(network, addr string)
	lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
	transport http.RoundTripper
	guardian  *ssrf.Guardian
	localhost bool                                                              // names under .localhost are 127.0.0.1
	connect   func(ctx context.Context, network, addr string) (net.Conn, error) // a net.Dialer's; tests bring pipes
}

// NewClient makes the client of a node. The error says what is wrong with the origin or with ExtraCA.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := parseAddress(cfg.Origin)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if u.Scheme == "http" && !isLoopbackName(u.Hostname()) {
		return nil, fmt.Errorf("origin %s: http is for localhost, names under .localhost and 127.0.0.1", cfg.Origin)
	}
	c := &Client{
		origin: u, agent: "planet/" + cfg.Version + " (+" + u.Scheme + "://" + u.Host + "/)",
		now: cfg.Now, log: cfg.Log, record: cfg.Record, lookup: cfg.Lookup, transport: cfg.Transport,
		localhost: u.Scheme == "http",
	}
	if cfg.Version == "" {
		c.agent = strings.Replace(c.agent, "/ (", " (", 1)
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.now == nil {
		return nil, errors.New("the client has no clock")
	}
	var v4, v6 []netip.Prefix
	for _, p := range cfg.AllowNets {
		if p = p.Masked(); p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
		c.localhost = c.localhost || p.Contains(loopback)
	}
	c.guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
		ssrf.WithDeniedV6Prefixes(retiredV6...))
	c.connect = c.guarded
	if c.transport == nil {
		roots, err := trustedRoots(cfg.ExtraCA)
		if err != nil {
			return nil, err
		}
		c.transport = c.network(roots)
	}
	return c, nil
}

// network is the transport of the real network. Its pool is meant for a thousand hosts that are each spoken to now and then.
func (c *Client) network(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // a proxy would dial for us, past the guard
		DialContext:            c.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    connectTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 5 * time.Second},
		MaxConnsPerHost:        8,
		MaxIdleConnsPerHost:    2,
		MaxIdleConns:           1000,
		IdleConnTimeout:        90 * time.Second,
	}
}

// Close lets go of idle connections.
func (c *Client) Close() {
	if t, ok := c.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// FetchError says why another server was not reached or did not give what was asked for.
type FetchError struct {
	URL        string
	Status     int           // of its answer; 0: there was none, or it was not the status that was wrong
	Temporary  bool          // trying again later may help; false: it is final
	Gone       bool          // it says that nothing is there: 404 or 410, see Status
	RetryAfter time.Duration // how long it asked us to wait, at most a day; 0: it did not say
	Err        error         // the cause, nil when the status says it all
}

func (e *FetchError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s answered %d %s", clip(e.URL, 200), e.Status, http.StatusText(e.Status))
	}
	return clip(e.URL, 200) + ": " + e.Err.Error()
}

func (e *FetchError) Unwrap() error { return e.Err }

var (
	errRefused = errors.New("refused by policy") // wrapped by every refusal of the guard
	errBudget  = errors.New("too many requests on behalf of one activity")
)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefused}, args...)...)
}

// budget is how many requests may still go out on behalf of one activity. It travels in the context, as the fetches
// that it bounds are many calls away from the activity that causes them; a context without one is not bounded.
type budget struct{ left atomic.Int64 }

type budgetKey struct{}

// withBudget gives a context a budget of n requests; whoever starts work that somebody else's activity asks for calls it
// with fetchBudget. A smaller budget within a larger one counts alone.
func withBudget(ctx context.Context, n int64) context.Context {
	b := &budget{}
	b.left.Store(n)
	return context.WithValue(ctx, budgetKey{}, b)
}

func spend(ctx context.Context) error {
	if b, ok := ctx.Value(budgetKey{}).(*budget); ok && b.left.Add(-1) < 0 {
		return errBudget
	}
	return nil
}

// Response is an answer, whatever its status.
type Response struct {
	Status      int
	ContentType string
	Body        []byte // complete for a GET; for a POST its beginning, as text for people
	FinalURL    string // where it came from in the end; the address asked for, byte by byte, if nothing redirected
	Header      http.Header
}

// Get asks for an address and follows up to three redirects, each one guarded and signed anew. sign may be nil. The
// answer may have any status; the error is a *FetchError.
func (c *Client) Get(ctx context.Context, address, accept string, sign func(*http.Request) error) (*Response, error) {
	return c.follow(ctx, address, accept, func(r *http.Request) (*Response, error) {
		return c.send(r, maxDocument, func() error {
			if sign == nil {
				return nil
			}
			return sign(r)
		})
	})
}

// follow asks for an address and for those that it redirects to, each one guarded; send does one request.
func (c *Client) follow(ctx context.Context, address, accept string, send func(*http.Request) (*Response, error)) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	visited := make([]string, 0, maxRedirects+1)
	for at := address; ; {
		u, err := c.target(at)
		if err != nil {
			return nil, &FetchError{URL: at, Err: err}
		}
		if slices.Contains(visited, u.String()) {
			return nil, &FetchError{URL: address, Err: refused("redirected in a circle")}
		}
		if visited = append(visited, u.String()); len(visited) > maxRedirects+1 {
			return nil, &FetchError{URL: address, Err: refused("more than %d redirects", maxRedirects)}
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, &FetchError{URL: at, Err: err}
		}
		r.Header.Set("Accept", accept)
		res, err := send(r)
		if err != nil {
			return nil, err
		}
		switch res.Status {
		case 301, 302, 303, 307, 308:
			next, err := u.Parse(res.Header.Get("Location"))
			if err != nil || res.Header.Get("Location") == "" {
				return nil, &FetchError{URL: at, Status: res.Status, Err: errors.New("a redirect to nowhere")}
			}
			next.Fragment, next.RawFragment = "", ""
			at = next.String()
		default:
			res.FinalURL = at
			return res, nil
		}
	}
}

// Post sends a body once. Redirects are not followed: they are answers like any other. sign may be nil. The error is a
// *FetchError, and means that no answer came.
func (c *Client) Post(ctx context.Context, address string, body []byte, contentType string, sign func(*http.Request, []byte) error) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	u, err := c.target(address)
	if err != nil {
		return nil, &FetchError{URL: address, Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &FetchError{URL: address, Err: err}
	}
	r.Header.Set("Content-Type", contentType)
	// Not sent; it lets the transport repeat a POST whose idle connection turned out to be dead. Receivers know repeats by id.
	r.Header["Idempotency-Key"] = []string{}
	res, err := c.send(r, maxReply, func() error {
		if sign == nil {
			return nil
		}
		return sign(r, body)
	})
	if err != nil {
		return nil, err
	}
	res.FinalURL = address
	return res, nil
}

// roundTrip does one request.
func (c *Client) roundTrip(r *http.Request, sign func() error) (*http.Response, error) {
	address := r.URL.String()
	if err := spend(r.Context()); err != nil {
		return nil, &FetchError{URL: address, Err: err}
	}
	r.Header.Set("User-Agent", c.agent)
	if err := sign(); err != nil {
		return nil, &FetchError{URL: address, Temporary: true, Err: fmt.Errorf("sign: %w", err)}
	}
	answer, err := c.transport.RoundTrip(r)
	if err != nil {
		c.log.Debug("request", "method", r.Method, "url", clip(address, 200), "err", err)
		return nil, &FetchError{URL: address, Temporary: !errors.Is(err, errRefused), Err: err}
	}
	return answer, nil
}

// send does one request and reads its answer up to limit bytes; what is longer is an error for a GET, and cut for a POST.
func (c *Client) send(r *http.Request, limit int64, sign func() error) (*Response, error) {
	address := r.URL.String()
	answer, err := c.roundTrip(r, sign)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	res := &Response{Status: answer.StatusCode, ContentType: answer.Header.Get("Content-Type"), Header: answer.Header}
	var body bytes.Buffer
	if n := answer.ContentLength; n > 0 && n <= limit {
		body.Grow(int(n) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(answer.Body, limit+1))
	switch {
	case r.Method == http.MethodPost:
		res.Body = body.Bytes()[:min(n, limit)] // the status is the answer, even if its text breaks off
		return res, nil
	case err != nil:
		return nil, &FetchError{URL: address, Temporary: true, Err: fmt.Errorf("the answer broke off: %w", err)}
	case n > limit:
		return nil, &FetchError{URL: address, Err: fmt.Errorf("the answer is longer than %d bytes", limit)}
	}
	res.Body = body.Bytes()
	return res, nil
}

// failure turns an answer other than 200 into an error; nil for 200.
func (c *Client) failure(address string, res *Response) error {
	s := res.Status
	if s == http.StatusOK {
		return nil
	}
	return &FetchError{
		URL: address, Status: s, Gone: s == 404 || s == 410,
		Temporary:  s == 408 || s == 425 || s == 429 || s >= 500 && s != 501,
		RetryAfter: retryAfter(res.Header, c.now()),
	}
}

// FetchDocument gets an ActivityPub document from the address that is its id, and nowhere else (FEP-fe34): the answer
// is typed as one, is strict JSON, and names as its id the address that it came from. A document that names another id
// of the same origin is fetched once more there. The error is a *FetchError.
func (c *Client) FetchDocument(ctx context.Context, iri string, sign func(*http.Request) error) ([]byte, error) {
	if strings.Contains(iri, "#") {
		return nil, &FetchError{URL: iri, Err: errors.New("a part of a document cannot be fetched alone")}
	}
	asked := iri
	for range 2 {
		res, err := c.Get(ctx, asked, acceptActivity, sign)
		if err != nil {
			return nil, err
		}
		if err := c.failure(asked, res); err != nil {
			return nil, err
		}
		id, err := documentID(res)
		if err != nil {
			return nil, &FetchError{URL: asked, Err: err}
		}
		if !sameOrigin(id, asked) || !sameOrigin(id, res.FinalURL) {
			return nil, &FetchError{URL: asked, Err: fmt.Errorf("it came from %s and names %s of another origin as its id", clip(res.FinalURL, 200), clip(id, 200))}
		}
		if id == asked || id == res.FinalURL {
			return res.Body, nil
		}
		asked = id
	}
	return nil, &FetchError{URL: iri, Err: errors.New("its id is not an address that it can be fetched from")}
}

// documentID checks that an answer is an ActivityPub document and reads its id.
func documentID(res *Response) (string, error) {
	if !isActivityType(res.ContentType) {
		return "", fmt.Errorf("%q is not the type of an ActivityPub document", clip(res.ContentType, 100))
	}
	if err := checkJSON(res.Body); err != nil {
		return "", err
	}
	var top map[string]json.RawMessage // not a struct: its names would match in any case
	var id string
	if err := json.Unmarshal(res.Body, &top); err != nil {
		return "", err
	}
	if err := json.Unmarshal(top["id"], &id); err != nil || id == "" {
		return "", errors.New("the document has no id")
	}
	return id, nil
}

// isActivityType reports whether a Content-Type is one of ActivityPub's two (ActivityPub §3.2): the plain one, or JSON-LD
// with the profile of ActivityStreams, which some servers forget to quote.
func isActivityType(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter):
		return false
	case kind == activityJSON:
		return true
	case kind != "application/ld+json":
		return false
	case err == nil:
		return slices.Contains(strings.Fields(params["profile"]), activityStreams)
	}
	for param := range strings.SplitSeq(contentType, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(name, "profile") && slices.Contains(strings.Fields(strings.Trim(value, `"`)), activityStreams) {
			return true
		}
	}
	return false
}

// jrd is the part of a WebFinger answer (RFC 7033 §4.4) that says who somebody is.
type jrd struct {
	Subject string `json:"subject"`
	Links   []struct {
		Rel  string `json:"rel"`
		Type string `json:"type"`
		Href string `json:"href"`
	} `json:"links"`
}

// WebFinger asks a host who user is. self is the id of the actor, subject the handle that the answer is about, as
// acct:user@host: the one asked for, or another one that says the same of itself at its own host (a node at
// social.coop.example may serve handles of coop.example). Whoever binds a handle to self still fetches it and checks
// that its name and host lead back here. The error is a *FetchError.
func (c *Client) WebFinger(ctx context.Context, user, host string) (self, subject string, err error) {
	host, err = normaliseHost(host)
	if err != nil {
		return "", "", &FetchError{URL: host, Err: err}
	}
	self, other, err := c.finger(ctx, user, host)
	if err != nil {
		return "", "", err
	}
	asked := "acct:" + user + "@" + host
	if strings.EqualFold(other, asked) {
		return self, other, nil
	}
	user, host, _ = strings.Cut(strings.TrimPrefix(other, "acct:"), "@")
	confirmed, same, err := c.finger(ctx, user, host)
	if err != nil {
		return "", "", err
	}
	if confirmed != self || !strings.EqualFold(same, other) {
		return "", "", &FetchError{URL: asked, Err: fmt.Errorf("the host of %s does not know about it", clip(other, 200))}
	}
	return self, same, nil
}

// finger is one WebFinger request; subject has a normalised host.
func (c *Client) finger(ctx context.Context, user, host string) (self, subject string, err error) {
	base := c.origin.Scheme + "://" + host
	resource := url.QueryEscape("acct:" + user + "@" + host)
	address := base + "/.well-known/webfinger?resource=" + resource
	res, err := c.Get(ctx, address, "application/jrd+json, application/json", nil)
	if err != nil {
		return "", "", err
	}
	if res.Status == http.StatusNotFound {
		if template := c.hostMetaTemplate(ctx, base); template != "" {
			if moved := strings.ReplaceAll(template, "{uri}", resource); moved != address {
				address = moved
				if res, err = c.Get(ctx, address, "application/jrd+json, application/json", nil); err != nil {
					return "", "", err
				}
			}
		}
	}
	if err := c.failure(address, res); err != nil {
		return "", "", err
	}
	var found jrd
	if err := checkJSON(res.Body); err != nil {
		return "", "", &FetchError{URL: address, Err: err}
	}
	if err := json.Unmarshal(res.Body, &found); err != nil {
		return "", "", &FetchError{URL: address, Err: err}
	}
	name, at, ok := strings.Cut(strings.TrimPrefix(found.Subject, "acct:"), "@")
	at, err = normaliseHost(at)
	if !ok || err != nil || name == "" || !strings.HasPrefix(found.Subject, "acct:") {
		return "", "", &FetchError{URL: address, Err: fmt.Errorf("the subject %q is not an account", clip(found.Subject, 100))}
	}
	for _, l := range found.Links {
		if l.Rel != "self" || !isActivityType(l.Type) {
			continue
		}
		if _, err := c.parseIRI(l.Href); err != nil {
			return "", "", &FetchError{URL: address, Err: err}
		}
		return l.Href, "acct:" + name + "@" + at, nil
	}
	return "", "", &FetchError{URL: address, Err: errors.New("the account has no ActivityPub actor")}
}

// hostMetaTemplate asks a host where its WebFinger is (RFC 6415 §3.1); "" when it does not say.
func (c *Client) hostMetaTemplate(ctx context.Context, base string) string {
	res, err := c.Get(ctx, base+"/.well-known/host-meta", "application/xrd+xml, application/xml", nil)
	if err != nil || res.Status != http.StatusOK {
		return ""
	}
	var xrd struct {
		Links []struct {
			Rel      string `xml:"rel,attr"`
			Template string `xml:"template,attr"`
		} `xml:"Link"`
	}
	if xml.Unmarshal(res.Body, &xrd) != nil {
		return ""
	}
	for _, l := range xrd.Links {
		if l.Rel == "lrdd" && strings.Contains(l.Template, "{uri}") {
			return l.Template
		}
	}
	return ""
}

var (
	loopback  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	retiredV6 = []netip.Prefix{netip.MustParsePrefix("3ffe::/16")} // 6bone, given back (RFC 3701)
)

// services are ports above 1023 where something other than the web listens: databases, caches, control planes, mail,
// chat, and what browsers refuse (WHATWG Fetch, "bad port").
var services = []uint16{
	1080, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 3659, 4045, 4190, 4222,
	4369, 5060, 5061, 5222, 5269, 5432, 5433, 5672, 5900, 5984, 6000, 6379, 6380, 6432, 6443, 6566, 6665, 6666, 6667, 6668, 6669,
	6679, 6697, 7000, 7001, 7687, 8086, 8125, 8500, 8529, 9042, 9092, 9200, 9300, 10080, 10250, 10255, 11211, 11434, 15672,
	26257, 26379, 27017, 27018, 27019, 28015, 50070,
}

// target judges an address that is about to be asked: a scheme that the origin speaks, a port where web servers are, and
// no address of a network that is out of bounds.
func (c *Client) target(address string) (*url.URL, error) {
	u, err := c.parseIRI(address)
	if err != nil {
		return nil, refused("%w", err)
	}
	if u.Scheme != c.origin.Scheme {
		return nil, refused("a node at %s asks nobody over %s", c.origin.Scheme, u.Scheme)
	}
	if p := u.Port(); p != "" {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port < 1024 && port != 80 && port != 443 || slices.Contains(services, uint16(port)) {
			return nil, refused("port %s is not one of a web server", p)
		}
	}
	if ip, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil {
		if err := c.permitted(ip); err != nil {
			return nil, err
		}
	} else if isLoopbackName(u.Hostname()) && !c.localhost {
		return nil, refused("%s is this machine", u.Host)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// permitted judges an IP. For an http origin it is this machine alone; otherwise it is one of the public internet
// (IANA's registries of special addresses list what is not), or one that the operator allowed.
func (c *Client) permitted(ip netip.Addr) error {
	if c.origin.Scheme == "http" {
		if ip != loopback {
			return refused("a node at http speaks with 127.0.0.1 alone, not with %s", ip)
		}
		return nil
	}
	if ip.Zone() != "" {
		return refused("%s has a zone", ip)
	}
	if err := c.guardian.SafeAddr(ip); err != nil {
		return refused("%w", err)
	}
	return nil
}

// guarded dials. The guard runs for every address of a name, after DNS and right before the connection is made.
func (c *Client) guarded(ctx context.Context, network, addr string) (net.Conn, error) {
	var passed atomic.Bool
	d := net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second, Control: func(network, addr string, _ syscall.RawConn) error {
		err := c.control(network, addr)
		if err == nil {
			passed.Store(true)
		}
		return err
	}}
	conn, err := d.DialContext(ctx, network, addr)
	if passed.Load() && errors.Is(err, errRefused) {
		err = fmt.Errorf("dial %s: its public address does not answer", addr) // later it may: not a refusal
	}
	return conn, err
}

// control judges an address that is about to be dialled.
func (c *Client) control(network, addr string) error {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return refused("%s %s is no address of a web server", network, addr)
	}
	if err := c.permitted(a.Addr()); err != nil {
		return err
	}
	if c.record != nil {
		c.record(network, addr)
	}
	return nil
}

// dial connects. Names under .localhost are not asked of DNS: they are this machine or nothing.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if isLoopbackName(host) {
		if !c.localhost {
			return nil, refused("%s is this machine", host)
		}
		return c.connect(ctx, "tcp4", net.JoinHostPort(loopback.String(), port))
	}
	if _, err := netip.ParseAddr(host); err == nil || c.lookup == nil {
		return c.connect(ctx, network, addr)
	}
	ips, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	for i, ip := range ips {
		conn, failed := c.connect(ctx, network, net.JoinHostPort(ip.String(), port))
		if failed == nil {
			return conn, nil
		}
		if i == 0 || errors.Is(err, errRefused) {
			err = failed
		}
	}
	return nil, err
}

func trustedRoots(extra []byte) (*x509.CertPool, error) {
	if len(extra) == 0 {
		return nil, nil // the system's
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("system roots: %w", err)
	}
	if !roots.AppendCertsFromPEM(extra) {
		return nil, errors.New("the extra roots hold no PEM certificate")
	}
	return roots, nil
}

// parseIRI reads an address that another server gave us as an id or a place to ask: absolute, without tricks that two
// parsers might read differently, and https; http only between nodes of this machine. The host comes out normalised.
func (c *Client) parseIRI(s string) (*url.URL, error) {
	u, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && (c.origin.Scheme != "http" || !isLoopbackName(u.Hostname())) {
		return nil, fmt.Errorf("%q is not https", clip(s, 200))
	}
	return u, nil
}

// parseAddress reads an absolute http or https address strictly.
func parseAddress(s string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("%q %s", clip(s, 200), why)
	}
	rest, secure := strings.CutPrefix(s, "https://")
	if !secure {
		var plain bool
		if rest, plain = strings.CutPrefix(s, "http://"); !plain {
			return bad("is not an http(s) address")
		}
	}
	if len(s) > maxAddress {
		return bad("is too long")
	}
	for i, r := range s {
		fits := r > ' ' && r < 0x7f && strings.IndexByte("\\<>\"^`{|}", byte(r)) < 0
		if !fits && (r < 0x80 || !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == utf8.RuneError) {
			return bad(fmt.Sprintf("has a character at %d that an address cannot have", i))
		}
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if strings.ContainsAny(authority, "@%") {
		return bad("has more than a host and a port before its path")
	}
	host, err := normaliseHost(authority)
	if err != nil {
		return bad("has no usable host: " + err.Error())
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" {
		return bad("is not an address")
	}
	if !secure {
		if strings.HasSuffix(authority, ":443") {
			return bad("has the port of https")
		}
		host = strings.TrimSuffix(host, ":80")
	}
	u.Host = host
	return u, nil
}

// originOf is the origin of an address as scheme://host[:port] (RFC 6454), "" when it has none.
func originOf(iri string) string {
	u, err := parseAddress(iri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// sameOrigin reports whether two addresses have the same scheme, host and port. What is not an address has no origin.
func sameOrigin(a, b string) bool {
	o := originOf(a)
	return o != "" && o == originOf(b)
}

func isLoopbackName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1"
}

// hostNames maps as UTS #46 says for look-ups; what the mapping would change beyond case is refused by normaliseHost.
var hostNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.BidiRule(), idna.CheckJoiners(true))

// normaliseHost gives a host, with or without a port, the one form in which hosts are kept and compared: lower case, xn--
// for names beyond ASCII, no final dot, and no :443. (:80 stays: https on that port is another origin.) A name that looks
// like another one only after compatibility mapping is refused, and so are numbers in any form but four plain decimals.
func normaliseHost(s string) (string, error) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", fmt.Errorf("%q has no port that could be used", clip(s, 100))
		}
		if port = ":" + port; n == 443 {
			port = ""
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !strings.HasSuffix(inner, "]") || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return "", fmt.Errorf("%q is not an IPv6 address", clip(s, 100))
		}
		return "[" + ip.String() + "]" + port, nil
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 1000 {
		return "", errors.New("the host is empty or too long")
	}
	labels := strings.Split(host, ".")
	for i, l := range labels {
		ascii, err := normaliseLabel(l)
		if err != nil {
			return "", fmt.Errorf("%q is not a host: %w", clip(s, 100), err)
		}
		labels[i] = ascii
	}
	host = strings.Join(labels, ".")
	if len(host) > 253 {
		return "", errors.New("the host is too long")
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is4() {
			return "", fmt.Errorf("%q is a number, not a host", clip(s, 100))
		}
	}
	return host + port, nil
}

func normaliseLabel(l string) (string, error) {
	if l == "" {
		return "", errors.New("a part of the name is empty")
	}
	ascii := true
	for i := range len(l) {
		ascii = ascii && l[i] < 0x80
	}
	if !ascii {
		lower := strings.Map(func(r rune) rune {
			if low := unicode.ToLower(r); r < 0x80 || low >= 0x80 {
				return low
			}
			return r // K (U+212A) would become k
		}, l)
		name, err := hostNames.ToASCII(lower)
		if err != nil {
			return "", err
		}
		if back, err := hostNames.ToUnicode(name); err != nil || back != lower || len(name) > 63 {
			return "", fmt.Errorf("%q stands for another name", clip(l, 100))
		}
		return name, nil
	}
	l = strings.ToLower(l)
	if len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return "", errors.New("a part of the name has the wrong length or a hyphen at its edge")
	}
	for i := range len(l) {
		if b := l[i]; b != '-' && b != '_' && (b < '0' || b > '9') && (b < 'a' || b > 'z') {
			return "", fmt.Errorf("%q does not occur in names", b)
		}
	}
	if strings.HasPrefix(l, "xn--") {
		name, err := hostNames.ToUnicode(l)
		if err != nil {
			return "", err
		}
		if back, err := hostNames.ToASCII(name); err != nil || back != l || name == l {
			return "", fmt.Errorf("%q is not a name in its canonical form", clip(l, 100))
		}
	}
	return l, nil
}

// isNumber reports whether a parser of old might take a label for a part of an IPv4 address (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	digits, hex := strings.CutPrefix(label, "0x")
	for i := range len(digits) {
		if b := digits[i]; (b < '0' || b > '9') && (!hex || b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

// Bounds of a JSON text from another server.
const (
	maxDepth = 64
	maxItems = 1000 // of one array
	fewKeys  = 24   // so many names of an object are compared one by one, more through a map
)

// checkJSON reports whether raw is one JSON object that every parser reads alike: valid UTF-8, no name twice in an object
// (however it is escaped), nothing after it, no NUL in a string, at most 64 levels and 1000 items in an array.
func checkJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("the JSON is not UTF-8")
	}
	s := scanner{raw: raw}
	s.space()
	if s.at >= len(raw) || raw[s.at] != '{' {
		return errors.New("the JSON is not an object")
	}
	s.value(0)
	if s.err != "" {
		return fmt.Errorf("the JSON is not usable at byte %d: %s", s.at, s.err)
	}
	s.space()
	if s.at < len(raw) {
		return fmt.Errorf("something follows the JSON at byte %d", s.at)
	}
	return nil
}

// scanner walks over a JSON text once. After an error, err is set and every step is a no-op that returns false.
type scanner struct {
	raw  []byte
	at   int
	err  string
	keys [][]byte // names of the objects that are open, innermost last
}

func (s *scanner) fail(why string) bool {
	if s.err == "" {
		s.err = why
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.raw) {
		switch s.raw[s.at] {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek skips space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at < len(s.raw) {
		return s.raw[s.at]
	}
	return 0
}

func (s *scanner) value(depth int) bool {
	switch b := s.peek(); {
	case b == '"':
		_, ok := s.text()
		return ok
	case b == '{':
		return depth < maxDepth && s.object(depth+1) || s.fail("it is nested too deeply")
	case b == '[':
		return depth < maxDepth && s.array(depth+1) || s.fail("it is nested too deeply")
	case b == '-' || b >= '0' && b <= '9':
		return s.number()
	case b == 't':
		return s.word("true")
	case b == 'f':
		return s.word("false")
	case b == 'n':
		return s.word("null")
	}
	return s.fail("a value is missing")
}

func (s *scanner) word(w string) bool {
	if len(s.raw)-s.at < len(w) || string(s.raw[s.at:s.at+len(w)]) != w {
		return s.fail("an unknown word")
	}
	s.at += len(w)
	return true
}

func (s *scanner) object(depth int) bool {
	s.at++
	base := len(s.keys)
	defer func() { s.keys = s.keys[:base] }()
	if s.peek() == '}' {
		s.at++
		return true
	}
	var many map[string]bool
	for {
		if s.peek() != '"' {
			return s.fail("a name is missing")
		}
		key, ok := s.text()
		if !ok {
			return false
		}
		if key, ok = unescape(key); !ok {
			return s.fail("a name is not Unicode")
		}
		switch mine := s.keys[base:]; {
		case many != nil:
			if many[string(key)] {
				return s.fail("a name stands twice")
			}
			many[string(key)] = true
		case slices.ContainsFunc(mine, func(k []byte) bool { return string(k) == string(key) }):
			return s.fail("a name stands twice")
		case len(mine) == fewKeys:
			many = make(map[string]bool, 4*fewKeys)
			for _, k := range mine {
				many[string(k)] = true
			}
			many[string(key)] = true
		default:
			s.keys = append(s.keys, key)
		}
		if s.peek() != ':' {
			return s.fail("a colon is missing")
		}
		s.at++
		if !s.value(depth) {
			return false
		}
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			return true
		default:
			return s.fail("an object does not end")
		}
	}
}

func (s *scanner) array(depth int) bool {
	s.at++
	if s.peek() == ']' {
		s.at++
		return true
	}
	for range maxItems {
		if !s.value(depth) {
			return false
		}
		switch s.peek() {
		case ',':
			s.at++
		case ']':
			s.at++
			return true
		default:
			return s.fail("an array does not end")
		}
	}
	return s.fail("an array is too long")
}

func (s *scanner) number() bool {
	digits := func() bool {
		from := s.at
		for s.at < len(s.raw) && s.raw[s.at] >= '0' && s.raw[s.at] <= '9' {
			s.at++
		}
		return s.at > from || s.fail("a number is not complete")
	}
	has := func(set string) bool {
		if s.at < len(s.raw) && strings.IndexByte(set, s.raw[s.at]) >= 0 {
			s.at++
			return true
		}
		return false
	}
	has("-")
	if !has("0") && !digits() {
		return false
	}
	if has(".") && !digits() {
		return false
	}
	if has("eE") {
		has("+-")
		return digits()
	}
	return true
}

// text reads a string and gives what stands between its quotes, escapes and all.
func (s *scanner) text() ([]byte, bool) {
	s.at++
	from := s.at
	for s.at < len(s.raw) {
		b := s.raw[s.at]
		s.at++
		switch {
		case b == '"':
			return s.raw[from : s.at-1], true
		case b < ' ':
			return nil, s.fail("a control character in a string")
		case b == '\\':
			if !s.escape() {
				return nil, false
			}
		}
	}
	return nil, s.fail("a string does not end")
}

func (s *scanner) escape() bool {
	if s.at >= len(s.raw) {
		return s.fail("a string does not end")
	}
	b := s.raw[s.at]
	s.at++
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if len(s.raw)-s.at < 4 {
			return s.fail("an escape is not complete")
		}
		four := s.raw[s.at : s.at+4]
		for _, h := range four {
			if (h < '0' || h > '9') && (h|0x20 < 'a' || h|0x20 > 'f') {
				return s.fail("an escape is not hexadecimal")
			}
		}
		s.at += 4
		return string(four) != "0000" || s.fail("NUL in a string")
	}
	return s.fail("an unknown escape")
}

// unescape gives the name that an escaped one stands for; false for half a surrogate pair, which has no name.
func unescape(key []byte) ([]byte, bool) {
	if bytes.IndexByte(key, '\\') < 0 {
		return key, true
	}
	var out string
	quoted := make([]byte, 0, len(key)+2)
	quoted = append(append(append(quoted, '"'), key...), '"')
	if json.Unmarshal(quoted, &out) != nil {
		return nil, false
	}
	if strings.ContainsRune(out, utf8.RuneError) && bytes.Contains(bytes.ToLower(key), []byte(`\ud`)) {
		return nil, false
	}
	return []byte(out), true
}
