package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority is a certificate authority of one test run, and the client that stands outside all the servers and trusts it.
type authority struct {
	file   string // PEM, for PLANET_EXTRA_CA and NODE_EXTRA_CA_CERTS
	cert   tls.Certificate
	client *http.Client
}

// newAuthority makes an authority that may speak for .localhost alone, and one certificate for the names.
func newAuthority(t *testing.T, names ...string) *authority {
	t.Helper()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "throwaway authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	rootKey, leafKey := newECKey(t), newECKey(t)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	must(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	must(t, err)

	a := &authority{
		file: filepath.Join(t.TempDir(), "ca.pem"),
		cert: tls.Certificate{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: leafKey},
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	must(t, os.WriteFile(a.file, text, 0o600))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(address)
			if !strings.HasSuffix(host, ".localhost") {
				return nil, fmt.Errorf("the test does not leave this machine for %s", address)
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	a.client = &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// front is one public name: it ends TLS, keeps what goes by, and passes it on as the server behind it expects of a proxy.
type front struct {
	origin string // https://name:port
	client *http.Client

	mu     sync.Mutex
	behind http.Handler
	seen   []*exchange
	refuse func(*exchange) int // the status to answer instead of passing on, 0 to pass on; nil passes all on
}

// exchange is one request as its sender sent it, with the status that it got.
type exchange struct {
	Method, URI, Host string
	Header            http.Header
	Body              []byte
	Status            int
	Refused           bool // by the front
}

// newFront opens a name on a free port of loopback. Until passTo it answers 503.
func (a *authority) newFront(t *testing.T, name string) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &front{origin: "https://" + net.JoinHostPort(name, fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)), client: a.client}
	server := &http.Server{
		Handler: f, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.cert}},
		ErrorLog:  nil,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return f
}

// host is the name with its port, as it stands in handles.
func (f *front) host() string { return strings.TrimPrefix(f.origin, "https://") }

// passTo names the server behind, as host:port.
func (f *front) passTo(address string) {
	target := &url.URL{Scheme: "http", Host: address}
	f.serve(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	})
}

func (f *front) serve(h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behind = h
}

// refuseCavageOnce answers 401 to the first delivery that is signed the old way, as a server does that knows RFC 9421 alone.
func (f *front) refuseCavageOnce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = func(e *exchange) int {
		if e.delivery() && e.scheme() == "cavage" {
			f.refuse = nil
			return http.StatusUnauthorized
		}
		return 0
	}
}

// ServeHTTP keeps the request, then refuses it or passes it on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	e := &exchange{Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Body: body}

	f.mu.Lock()
	f.seen = append(f.seen, e)
	behind, status := f.behind, 0
	if f.refuse != nil {
		status = f.refuse(e)
	}
	if status != 0 {
		e.Status, e.Refused = status, true
	}
	f.mu.Unlock()

	if status == 0 && behind == nil {
		status = http.StatusServiceUnavailable
	}
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	behind.ServeHTTP(&watched{ResponseWriter: w, set: func(code int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		e.Status = code
	}}, r)
}

// watched tells the status before the sender can know it.
type watched struct {
	http.ResponseWriter
	set func(int)
}

func (w *watched) WriteHeader(code int) {
	w.set(code)
	w.ResponseWriter.WriteHeader(code)
}

func (w *watched) Write(b []byte) (int, error) {
	return w.ResponseWriter.Write(b)
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requests are the exchanges so far for which keep is true, the oldest first.
func (f *front) requests(keep func(exchange) bool) []exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []exchange
	for _, e := range f.seen {
		if keep(*e) {
			out = append(out, *e)
		}
	}
	return out
}

// deliveries are the posts to inboxes so far that came from a server (its name is in the key id) or, with "", from anyone.
func (f *front) deliveries(from string) []exchange {
	return f.requests(func(e exchange) bool { return e.delivery() && strings.Contains(e.signature(), from) })
}

// again sends a request once more, changed as told, and returns the status.
func (f *front) again(t *testing.T, e exchange, change func(h http.Header, body []byte) []byte) int {
	t.Helper()
	header, body := e.Header.Clone(), bytes.Clone(e.Body)
	if change != nil {
		body = change(header, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), e.Method, f.origin+e.URI, bytes.NewReader(body))
	must(t, err)
	for _, hop := range []string{"Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding"} {
		header.Del(hop)
	}
	r.Header, r.Host = header, e.Host
	return status(t, f.client, r)
}

// status sends a request and returns how it was answered.
func status(t *testing.T, client *http.Client, r *http.Request) int {
	t.Helper()
	resp, err := client.Do(r)
	must(t, err)
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode
}

func (e *exchange) delivery() bool {
	path, _, _ := strings.Cut(e.URI, "?")
	return e.Method == http.MethodPost && strings.HasSuffix(path, "/inbox")
}

// scheme is how the request is signed: cavage, rfc9421 or "".
func (e *exchange) scheme() string {
	switch {
	case e.Header.Get("Signature-Input") != "":
		return "rfc9421"
	case e.Header.Get("Signature") != "":
		return "cavage"
	default:
		return ""
	}
}

// signature is the text that names the signer's key.
func (e *exchange) signature() string {
	return e.Header.Get("Signature-Input") + e.Header.Get("Signature")
}

func (e exchange) String() string {
	return fmt.Sprintf("%d %s %s %s %s", e.Status, e.Method, e.URI, e.scheme(), clip(string(e.Body), 300))
}

// lines shows exchanges in a message.
func lines(es []exchange) string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString("\n  " + e.String())
	}
	return b.String()
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the answer is nil; federation is asynchronous, and a peer may try again.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err = ask(); err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-time.After(150 * time.Millisecond):
		}
	}
	t.Fatalf("after %s still not so: %s: %v", patience, what, err)
}

// patience is how long an effect of federation may take.
const patience = 25 * time.Second

// sole returns the one element for which is is true.
func sole[T any](t *testing.T, all []T, is func(T) bool) T {
	t.Helper()
	kept := slices.DeleteFunc(slices.Clone(all), func(x T) bool { return !is(x) })
	if len(kept) != 1 {
		t.Fatalf("got %d of the wanted kind among %d, want 1: %+v", len(kept), len(all), kept)
	}
	return kept[0]
}
