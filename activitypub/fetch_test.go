package activitypub

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// A world is the network as a client sees it: names with addresses, servers behind 127.0.0.1 that speak for them, and a
// list of everything that was dialled.
type world struct {
	t      *testing.T
	client *Client
	server *httptest.Server
	port   string
	names  map[string][]string // addresses that Lookup gives, in turn the next list for each call when there is a "|"
	asked  map[string]int      // look-ups by name; under mu
	dialed []string            // under mu
	seen   []*http.Request     // under mu
	mu     sync.Mutex
}

// newWorld makes a client of an https origin that may reach 127.0.0.1 beside the public internet, and one TLS server
// there with a certificate for *.example. Names that the test did not add resolve to it.
func newWorld(t *testing.T, handler http.HandlerFunc, change ...func(*ClientConfig)) *world {
	t.Helper()
	w := &world{t: t, names: map[string][]string{}, asked: map[string]int{}}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r.Clone(context.Background()))
		w.mu.Unlock()
		handler(rw, r)
	}))
	w.server.EnableHTTP2 = true
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.server.StartTLS()
	_, w.port, _ = net.SplitHostPort(w.server.Listener.Addr().String())
	cfg := ClientConfig{
		Origin: "https://rye.example", Version: "1", Now: time.Now, Log: slog.New(slog.DiscardHandler),
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		ExtraCA:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}),
		Record: func(_, addr string) {
			w.mu.Lock()
			w.dialed = append(w.dialed, addr)
			w.mu.Unlock()
		},
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			list, ok := w.names[host]
			if !ok {
				list = []string{"127.0.0.1"}
			}
			n := w.asked[host]
			w.asked[host]++
			var ips []netip.Addr
			for s := range strings.SplitSeq(list[min(n, len(list)-1)], " ") {
				ips = append(ips, netip.MustParseAddr(s))
			}
			return ips, nil
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.client = c
	if tr, ok := c.transport.(*http.Transport); ok {
		tr.TLSClientConfig.ServerName = "x.example.com" // httptest's certificate names *.example.com
	}
	t.Cleanup(func() {
		c.Close()
		w.server.Close()
	})
	return w
}

// at is an address of the world's server under a name.
func (w *world) at(host, path string) string { return "https://" + host + ":" + w.port + path }

// get asks for an address and expects it to fail for good, without a dial.
func (w *world) wantRefused(address string) {
	w.t.Helper()
	before := len(w.dialed)
	for name, err := range map[string]error{
		"GET":      second(w.client.Get(w.t.Context(), address, "*/*", nil)),
		"POST":     second(w.client.Post(w.t.Context(), address, []byte("{}"), activityJSON, nil)),
		"document": second(w.client.FetchDocument(w.t.Context(), address, nil)),
	} {
		var fe *FetchError
		if !errors.As(err, &fe) || fe.Temporary || !errors.Is(err, errRefused) && !strings.Contains(address, "#") {
			w.t.Errorf("%s %s: got %v, want a final refusal", name, address, err)
		}
	}
	if len(w.dialed) != before {
		w.t.Errorf("%s made it dial %v", address, w.dialed[before:])
	}
}

func second[T any](_ T, err error) error { return err }

func document(rw http.ResponseWriter, id string) {
	rw.Header().Set("Content-Type", activityJSON)
	fmt.Fprintf(rw, `{"id":%q,"type":"Note"}`, id)
}

// specialAddresses are in IANA's registries of special-purpose addresses, or were and were given back.
var specialAddresses = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.0.0.2", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255",
	"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
	"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::2", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:1::1", "2001:2::1", "2001:3::1", "2001:4:112::1",
	"2001:10::1", "2001:20::1", "2001:30::1", "2001:db8::1", "2001:db8:ffff::1", "2002:7f00:1::1", "2002:808:808::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "3fff:fff:ffff::1", "5f00::1", "fc00::1", "fd00::1", "fdff::1", "fe80::1", "febf::1",
	"fec0::1", "ff02::1", "ff0e::1", "4000::1", "1fff::1",
}

var publicAddresses = []string{"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1", "169.253.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.169.0.1", "198.17.0.1", "198.20.0.1",
	"223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "2606:4700::1111", "3000::1"}

func TestFET080SpecialAddressesAreNeverDialled(t *testing.T) {
	c, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: time.Now, Record: func(_, addr string) { t.Errorf("dialled %s", addr) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specialAddresses {
		ip := netip.MustParseAddr(s)
		if err := c.permitted(ip); !errors.Is(err, errRefused) {
			t.Errorf("%s is permitted", s)
		}
		host := s
		if ip.Is6() {
			host = "[" + s + "]"
		}
		for _, address := range []string{"https://" + host + "/", "https://" + host + ":8443/inbox"} {
			if _, err := c.target(address); !errors.Is(err, errRefused) {
				t.Errorf("%s is a target", address)
			}
		}
		if s == "::ffff:8.8.8.8" {
			continue // the system dials 8.8.8.8
		}
		if _, err := c.guarded(t.Context(), "tcp", net.JoinHostPort(s, "443")); err == nil {
			t.Errorf("%s was connected to", s)
		}
	}
	for _, s := range publicAddresses {
		if err := c.permitted(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for range 20_000 { // nothing outside 2000::/3 is public, whatever the registries say
		var b [16]byte
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		if b[0]>>5 == 1 {
			b[0] ^= 0x80
		}
		if ip := netip.AddrFrom16(b); c.permitted(ip) == nil {
			t.Fatalf("%s is permitted", ip)
		}
	}
}

func TestFET079FET083NamesOfPrivateAddressesAreNotDialled(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) { document(rw, "https://"+r.Host+r.URL.Path) })
	w.names["private.example"] = []string{"10.0.0.1"}
	w.names["local.example"] = []string{"127.0.0.2"}
	w.names["v6.example"] = []string{"::1 fd00::1"}
	for _, host := range []string{"private.example", "local.example", "v6.example"} {
		w.wantRefused(w.at(host, "/actor"))
	}
	w.names["both.example"] = []string{"10.0.0.1 127.0.0.1 192.168.1.1"} // 127.0.0.1 stands for a public address here
	if _, err := w.client.FetchDocument(t.Context(), w.at("both.example", "/a"), nil); err != nil {
		t.Errorf("a name with a good address among bad ones: %v", err)
	}
	if want := []string{"127.0.0.1:" + w.port}; !slices.Equal(w.dialed, want) {
		t.Errorf("dialled %v, want %v", w.dialed, want)
	}
}

func TestFET084TheAnswerThatIsDialledIsTheOneThatIsJudged(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "close")
		document(rw, "https://"+r.Host+r.URL.Path)
	}, func(c *ClientConfig) {})
	w.names["rebind.example"] = []string{"127.0.0.1", "10.0.0.1"}
	if _, err := w.client.FetchDocument(t.Context(), w.at("rebind.example", "/a"), nil); err != nil {
		t.Fatal(err)
	}
	w.client.Close()
	w.wantRefused(w.at("rebind.example", "/a"))
	if w.asked["rebind.example"] < 2 {
		t.Error("the name was not looked up again")
	}
}

func TestFET082NumbersAreNotHosts(t *testing.T) {
	w := newWorld(t, nil)
	for _, host := range []string{"2130706433", "0x7f.1", "127.1", "0177.0.0.1", "0x7f000001", "10.0.0.1.", "1.2.3.4.5", "a.1", "0x", "[::ffff:7f00:1]", "[::1%25lo]", "[127.0.0.1]", "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1"} {
		w.wantRefused("https://" + host + "/")
	}
}

func TestFET085FET088FET090RedirectsToForbiddenPlacesAreNotFollowed(t *testing.T) {
	to := ""
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Location"] = []string{to}
		rw.WriteHeader(http.StatusFound)
	})
	w.names["private.example"] = []string{"10.0.0.1"}
	for _, to = range []string{"https://10.0.0.1/", "https://private.example/", "https://[::1]/", "https://2130706433/", "http://oak.example/", "file:///etc/passwd", "gopher://oak.example/", "ftp://oak.example/", "data:text/html,x", "javascript:alert(1)",
		"https://oak.example:6379/", "https://user@oak.example/", "//10.0.0.1/", "https://oak.example\\@10.0.0.1/", "https://oak.example/%zz", "", "https://rye.localhost.evil.localhost:22/"} {
		before := len(w.seen)
		_, err := w.client.Get(t.Context(), w.at("oak.example", "/"), "*/*", nil)
		var fe *FetchError
		if !errors.As(err, &fe) || fe.Temporary {
			t.Errorf("redirect to %q: got %v, want a final refusal", to, err)
		}
		if n := len(w.seen) - before; n != 1 {
			t.Errorf("redirect to %q: %d requests, want 1", to, n)
		}
	}
	if i := slices.IndexFunc(w.dialed, func(a string) bool { return a != "127.0.0.1:"+w.port }); i >= 0 {
		t.Errorf("dialled %s", w.dialed[i])
	}
}

func TestFET089RedirectsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		next func(path string) string
		want int // requests
	}{
		"to itself":    {func(p string) string { return p }, 1},
		"in a circle":  {func(p string) string { return map[string]string{"/0": "/1", "/1": "/0"}[p] }, 2},
		"on and on":    {func(p string) string { return p + "x" }, 1 + maxRedirects},
		"by fragments": {func(p string) string { return p + "#" + p }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, c.next(r.URL.Path), http.StatusFound)
			})
			_, err := w.client.Get(t.Context(), w.at("oak.example", "/0"), "*/*", nil)
			var fe *FetchError
			if !errors.As(err, &fe) || fe.Temporary || len(w.seen) != c.want {
				t.Errorf("got %v after %d requests, want a final refusal after %d", err, len(w.seen), c.want)
			}
		})
	}
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/000" {
			document(rw, "x")
			return
		}
		http.Redirect(rw, r, r.URL.Path+"0", http.StatusPermanentRedirect)
	})
	if res, err := w.client.Get(t.Context(), w.at("oak.example", "/"), "*/*", nil); err != nil || res.FinalURL != w.at("oak.example", "/000") {
		t.Errorf("three redirects: %+v, %v", res, err)
	}
}

func TestFET091EachHopIsSignedForItself(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "oak.") {
			http.Redirect(rw, r, "https://elm.example:"+strings.Split(r.Host, ":")[1]+"/b", http.StatusMovedPermanently)
			return
		}
		document(rw, "https://"+r.Host+r.URL.Path)
	})
	res, err := w.client.Get(t.Context(), w.at("oak.example", "/a"), "x/y", func(r *http.Request) error {
		r.Header.Set("Signature", "for "+r.URL.Host+r.URL.Path)
		return nil
	})
	if err != nil || res.Status != 200 || res.FinalURL != w.at("elm.example", "/b") {
		t.Fatalf("%+v, %v", res, err)
	}
	for i, want := range []string{"oak.example:" + w.port + "/a", "elm.example:" + w.port + "/b"} {
		r := w.seen[i]
		if got := r.Header["Signature"]; len(got) != 1 || got[0] != "for "+want || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("hop %d came with %q", i, r.Header)
		}
		if ua := r.Header.Get("User-Agent"); ua != "planet/1 (+https://rye.example/)" || r.Header.Get("Accept") != "x/y" {
			t.Errorf("hop %d says it is %q and wants %q", i, ua, r.Header.Get("Accept"))
		}
	}
	refusal := errors.New("no key")
	if _, err := w.client.Get(t.Context(), w.at("oak.example", "/a"), "*/*", func(*http.Request) error { return refusal }); !errors.Is(err, refusal) || len(w.seen) != 2 {
		t.Errorf("got %v after %d requests, want the signer's error and no third request", err, len(w.seen))
	}
}

func TestFET086FET096InboxesOnForbiddenAddressesAndPorts(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"http://127.0.0.1:" + w.port + "/inbox", "http://oak.example/inbox", "https://10.0.0.1/inbox", "https://127.0.0.2/inbox", "https://[::1]/inbox", "ftp://oak.example/inbox", "https:oak.example/inbox", "/inbox", ""} {
		w.wantRefused(address)
	}
	for _, port := range []string{"0", "1", "22", "25", "53", "81", "110", "444", "587", "853", "1023", "2375", "3306", "5432", "6379", "9200", "11211", "27017", "65536", "080", "", "+443", "443a"} {
		w.wantRefused("https://oak.example:" + port + "/inbox")
	}
	for _, port := range []string{"80", "443", "1024", "3000", "4000", "8080", "8443", "8448", "9000", "49152", "65535"} {
		if _, err := w.client.target("https://oak.example:" + port + "/inbox"); err != nil {
			t.Errorf("port %s: %v", port, err)
		}
	}
}

func TestFET092WebFingerLinksToForbiddenPlaces(t *testing.T) {
	for _, href := range []string{"https://10.0.0.1/a", "data:application/json,{}", "http://oak.example/a", "javascript:1", "//oak.example/a", ""} {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, `{"subject":%q,"links":[{"rel":"self","type":"application/activity+json","href":%q}]}`, r.FormValue("resource"), href)
		})
		self, _, err := w.client.WebFinger(t.Context(), "bo", "oak.example:"+w.port)
		if err == nil { // an address that only the dial can judge
			_, err = w.client.FetchDocument(t.Context(), self, nil)
		}
		var fe *FetchError
		if !errors.As(err, &fe) || fe.Temporary || len(w.seen) != 1 {
			t.Errorf("a link to %q: %v after %d requests", href, err, len(w.seen))
		}
	}
	for _, template := range []string{"https://10.0.0.1/?{uri}", "http://oak.example/?{uri}", "file:///{uri}", "https://oak.example:22/?{uri}"} {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/host-meta" {
				http.NotFound(rw, r)
				return
			}
			fmt.Fprintf(rw, `<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template=%q/></XRD>`, template)
		})
		_, _, err := w.client.WebFinger(t.Context(), "bo", "oak.example:"+w.port)
		if !errors.Is(err, errRefused) || len(w.seen) != 2 {
			t.Errorf("a template %q: %v after %d requests", template, err, len(w.seen))
		}
	}
}

// quiet is a client in a bubble whose connections are pipes to serve.
func quiet(t *testing.T, serve func(net.Conn)) *Client {
	c, err := NewClient(ClientConfig{Origin: "http://localhost", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.connect = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(theirs)
		return ours, nil
	}
	return c
}

func TestFET098FET099SlowPeersAreLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		drip   string
		want   time.Duration
	}{
		"no headers":             {"", "", headerTimeout},
		"a byte a second":        {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "x", totalTimeout},
		"a header now and then":  {"HTTP/1.1 200 OK\r\n", "X-A: b\r\n", headerTimeout},
		"a body that never ends": {"HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx", totalTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := quiet(t, func(conn net.Conn) {
					defer conn.Close()
					go io.Copy(io.Discard, conn)
					if _, err := io.WriteString(conn, c.answer); err != nil {
						return
					}
					for {
						time.Sleep(time.Second)
						if _, err := io.WriteString(conn, c.drip); err != nil || c.drip == "" {
							time.Sleep(time.Hour)
							return
						}
					}
				})
				begun := time.Now()
				_, err := client.Get(t.Context(), "http://oak.localhost/", "*/*", nil)
				var fe *FetchError
				if !errors.As(err, &fe) || !fe.Temporary {
					t.Errorf("got %v, want a failure that may pass", err)
				}
				if took := time.Since(begun); took > c.want {
					t.Errorf("it took %v, want at most %v", took, c.want)
				}
				begun = time.Now()
				if _, err := client.Post(t.Context(), "http://oak.localhost/inbox", []byte("{}"), activityJSON, nil); c.want == headerTimeout && err == nil {
					t.Error("a POST without an answer succeeded")
				}
				if took := time.Since(begun); took > c.want {
					t.Errorf("the POST took %v, want at most %v", took, c.want)
				}
				client.Close()
				time.Sleep(2 * time.Hour) // the servers end
			})
		})
	}
}

// endless writes until the reader hangs up or a gigabyte has passed, and counts.
func endless(rw io.Writer, sent *atomic.Int64) {
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	for sent.Load() < 1<<30 {
		n, err := rw.Write(chunk)
		sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func TestFET100FET101LongBodiesAreCutOff(t *testing.T) {
	for name, handler := range map[string]func(http.ResponseWriter, *atomic.Int64){
		"streamed": func(rw http.ResponseWriter, sent *atomic.Int64) { endless(rw, sent) },
		"gzip": func(rw http.ResponseWriter, sent *atomic.Int64) {
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			endless(z, sent)
			z.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			done := make(chan bool, 1)
			w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", activityJSON)
				handler(rw, &sent)
				done <- true
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := w.client.FetchDocument(t.Context(), w.at("oak.example", "/a"), nil)
			runtime.ReadMemStats(&after)
			var fe *FetchError
			if !errors.As(err, &fe) || fe.Temporary || !strings.Contains(err.Error(), "longer than") {
				t.Errorf("got %v, want a final refusal", err)
			}
			<-done
			if name == "streamed" && sent.Load() > 16<<20 {
				t.Errorf("%d bytes were taken of it", sent.Load())
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 50<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
		})
	}
	body := strings.Repeat(" ", maxDocument-2) + "{}"
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, body)
		if r.URL.Path == "/b" {
			io.WriteString(rw, " ")
		}
	})
	if res, err := w.client.Get(t.Context(), w.at("oak.example", "/a"), "*/*", nil); err != nil || len(res.Body) != maxDocument {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := w.client.Get(t.Context(), w.at("oak.example", "/b"), "*/*", nil); err == nil {
		t.Error("one byte more than the limit was taken")
	}
	if res, err := w.client.Post(t.Context(), w.at("oak.example", "/b"), nil, activityJSON, nil); err != nil || len(res.Body) != maxReply {
		t.Errorf("the answer to a POST: %v", err)
	}
}

func TestFET116TLSFailsClosed(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(200) })
	if _, err := w.client.Get(t.Context(), w.at("oak.example", "/"), "*/*", nil); err != nil {
		t.Fatalf("the trusted server: %v", err)
	}
	w.client.Close()
	tr := w.client.transport.(*http.Transport)
	for name, break_ := range map[string]func(){
		"another name": func() { tr.TLSClientConfig = tr.TLSClientConfig.Clone(); tr.TLSClientConfig.ServerName = "" },
		"unknown root": func() { tr.TLSClientConfig = &tls.Config{ServerName: "x.example.com"} },
		"expired": func() {
			tr.TLSClientConfig = tr.TLSClientConfig.Clone()
			tr.TLSClientConfig.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
		},
		"an old TLS": func() { w.server.TLS.MaxVersion = tls.VersionTLS11 },
		"not TLS":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) { t.Error("the request came through") })
			tr = w.client.transport.(*http.Transport)
			address := w.at("oak.example", "/")
			if break_ == nil {
				plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request came through") }))
				defer plain.Close()
				address = "https://oak.example" + strings.TrimPrefix(plain.URL, "http://127.0.0.1")
			} else if name == "an old TLS" {
				w.server.TLS.MinVersion, w.server.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			} else {
				break_()
			}
			_, err := w.client.Get(t.Context(), address, "*/*", nil)
			var fe *FetchError
			if !errors.As(err, &fe) {
				t.Errorf("got %v, want an error", err)
			}
		})
	}
}

func TestFET117HostileHeaders(t *testing.T) {
	for name, answer := range map[string]string{
		"10 MB of headers":      "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10<<20) + "\r\n\r\n",
		"10 MB of small ones":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10<<20/6) + "\r\n",
		"a broken Location":     "HTTP/1.1 302 Found\r\nLocation: http://a\r\n b.localhost/\r\nContent-Length: 0\r\n\r\n",
		"CRLF in the Location":  "HTTP/1.1 302 Found\r\nLocation: http://oak.localhost/%0d%0aX:%20y\r\nContent-Length: 0\r\n\r\n",
		"no status":             "HTTP/1.1\r\n\r\n",
		"not HTTP":              "SSH-2.0-OpenSSH_9.9\r\n",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a length that lies":    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx",
		"a huge length":         "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx",
		"a broken chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"switching protocols":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"early hints, for ever": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 100_000),
		"broken gzip":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			var wait sync.WaitGroup
			c := quiet(t, nil)
			c.connect = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				wait.Go(func() {
					defer theirs.Close()
					if _, err := theirs.Read(make([]byte, 4096)); err == nil {
						io.WriteString(theirs, answer)
					}
				})
				return ours, nil
			}
			res, err := c.Get(t.Context(), "http://oak.localhost/", "*/*", nil)
			if err == nil && (name != "switching protocols" || res.Status == 200) {
				t.Errorf("it was taken: %+v", res)
			}
			c.Close()
			wait.Wait()
		})
	}
}

func TestPOSTDoesNotFollowAndKeepsTheAnswer(t *testing.T) {
	status := 307
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		rw.Header().Set("Location", "/elsewhere")
		rw.Header().Set("X-Got", r.Header.Get("Digest")+" "+r.Header.Get("Content-Type")+" "+string(b))
		rw.WriteHeader(status)
		io.WriteString(rw, "because")
	})
	for _, status = range []int{307, 202, 401, 500} {
		res, err := w.client.Post(t.Context(), w.at("oak.example", "/inbox"), []byte(`{"a":1}`), activityJSON, func(r *http.Request, body []byte) error {
			r.Header.Set("Digest", fmt.Sprint(len(body)))
			return nil
		})
		if err != nil || res.Status != status || string(res.Body) != "because" || res.Header.Get("X-Got") != `7 application/activity+json {"a":1}` {
			t.Errorf("%d: %+v, %v", status, res, err)
		}
	}
	if len(w.seen) != 4 {
		t.Errorf("%d requests, want 4", len(w.seen))
	}
	if len(w.seen[0].Header["Idempotency-Key"]) > 0 {
		t.Error("the mark for the transport was sent")
	}
}

func TestIDN053IDN054IDN061ADocumentIsFetchedFromItsID(t *testing.T) {
	type answer func(w *world, rw http.ResponseWriter, r *http.Request)
	says := func(host, path string) answer {
		return func(w *world, rw http.ResponseWriter, _ *http.Request) { document(rw, w.at(host, path)) }
	}
	to := func(host, path string) answer {
		return func(w *world, rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, w.at(host, path), http.StatusFound)
		}
	}
	for name, c := range map[string]struct {
		pages    map[string]answer
		want     string // path of the id, "" if it must fail
		requests int
	}{
		"the id is the address":                  {map[string]answer{"oak.example/a": says("oak.example", "/a")}, "/a", 1},
		"another id of the origin":               {map[string]answer{"oak.example/a": says("oak.example", "/b"), "oak.example/b": says("oak.example", "/b")}, "/b", 2},
		"another id that says yet another":       {map[string]answer{"oak.example/a": says("oak.example", "/b"), "oak.example/b": says("oak.example", "/c"), "oak.example/c": says("oak.example", "/c")}, "", 2},
		"an id of another origin":                {map[string]answer{"oak.example/a": says("elm.example", "/a"), "elm.example/a": says("elm.example", "/a")}, "", 1},
		"a redirect to its id":                   {map[string]answer{"oak.example/a": to("oak.example", "/b"), "oak.example/b": says("oak.example", "/b")}, "/b", 2},
		"a redirect away from its id":            {map[string]answer{"oak.example/a": to("oak.example", "/b"), "oak.example/b": says("oak.example", "/a")}, "/a", 2},
		"an open redirect to a forger":           {map[string]answer{"oak.example/a": to("evil.example", "/x"), "evil.example/x": says("oak.example", "/a")}, "", 2},
		"a redirect to another origin's own":     {map[string]answer{"oak.example/a": to("elm.example", "/a"), "elm.example/a": says("elm.example", "/a")}, "", 2},
		"an id whose page redirects to a forger": {map[string]answer{"oak.example/a": says("oak.example", "/b"), "oak.example/b": to("evil.example", "/x"), "evil.example/x": says("oak.example", "/b")}, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			w = newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				host, _, _ := strings.Cut(r.Host, ":")
				c.pages[host+r.URL.Path](w, rw, r)
			})
			raw, err := w.client.FetchDocument(t.Context(), w.at("oak.example", "/a"), nil)
			if c.want == "" && err == nil || c.want != "" && (err != nil || !strings.Contains(string(raw), w.at("oak.example", c.want)+`"`)) {
				t.Errorf("got %s, %v; want the document %q", raw, err, c.want)
			}
			var fe *FetchError
			if err != nil && (!errors.As(err, &fe) || fe.Temporary) {
				t.Errorf("%v is not final", err)
			}
			if len(w.seen) != c.requests {
				t.Errorf("%d requests, want %d", len(w.seen), c.requests)
			}
		})
	}
}

func TestIDN055OnlyActivityPubDocumentsAreTaken(t *testing.T) {
	kind, body := "", ""
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Content-Type"] = nil
		if kind != "" {
			rw.Header().Set("Content-Type", kind)
		}
		io.WriteString(rw, strings.ReplaceAll(body, "ID", "https://"+r.Host+r.URL.Path))
	})
	fetch := func() error { return second(w.client.FetchDocument(t.Context(), w.at("oak.example", "/a"), nil)) }
	body = `{"id":"ID"}`
	for k, want := range map[string]bool{
		`application/activity+json`:                                                             true,
		`application/activity+json; charset=utf-8`:                                              true,
		`Application/Activity+JSON`:                                                             true,
		`application/ld+json; profile="https://www.w3.org/ns/activitystreams"`:                  true,
		`application/ld+json; profile="https://www.w3.org/ns/activitystreams"; charset=utf-8`:   true,
		`application/ld+json;profile=https://www.w3.org/ns/activitystreams`:                     true,
		`application/ld+json; charset=utf-8; profile=https://www.w3.org/ns/activitystreams`:     true,
		`application/ld+json; profile="http://a.example https://www.w3.org/ns/activitystreams"`: true,
		`application/ld+json`: false,
		`application/ld+json; profile="https://www.w3.org/ns/activitystreams2"`: false,
		`application/json`: false,
		`text/html; profile="https://www.w3.org/ns/activitystreams"`: false,
		`text/plain`:                           false,
		`image/png`:                            false,
		`application/activity+jsonx`:           false,
		`text/html, application/activity+json`: false,
		``:                                     false,
	} {
		kind = k
		if err := fetch(); (err == nil) != want {
			t.Errorf("%q: %v", k, err)
		}
	}
	kind = activityJSON
	for _, body = range []string{``, `[]`, `"ID"`, `{}`, `{"id":""}`, `{"id":7}`, `{"id":["ID"]}`, `{"ID":"ID"}`, `{"id":"ID","id":"ID"}`, `{"id":"ID"} x`, `{"id":"ID","a":"\u0000"}`, `null`, `<html>`} {
		if err := fetch(); err == nil {
			t.Errorf("%s was taken", body)
		}
	}
}

func TestFetchErrorsSayWhatToDo(t *testing.T) {
	status, wait := 0, ""
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", wait)
		rw.WriteHeader(status)
	})
	for _, c := range []struct {
		status          int
		temporary, gone bool
		header          string
		wait            time.Duration
	}{
		{404, false, true, "", 0}, {410, false, true, "", 0}, {403, false, false, "", 0}, {401, false, false, "", 0}, {429, true, false, "7", 7 * time.Second},
		{503, true, false, "999999999", 24 * time.Hour}, {500, true, false, "x", 0}, {501, false, false, "", 0}, {408, true, false, "", 0}, {204, false, false, "", 0}, {304, false, false, "", 0},
	} {
		status, wait = c.status, c.header
		_, err := w.client.FetchDocument(t.Context(), w.at("oak.example", "/a"), nil)
		var fe *FetchError
		if !errors.As(err, &fe) || fe.Status != c.status || fe.Temporary != c.temporary || fe.Gone != c.gone || fe.RetryAfter != c.wait {
			t.Errorf("%d: got %+v, want %+v", c.status, fe, c)
		}
	}
	w.server.Close()
	w.client.Close()
	var fe *FetchError
	if _, err := w.client.Get(t.Context(), w.at("oak.example", "/a"), "*/*", nil); !errors.As(err, &fe) || !fe.Temporary {
		t.Errorf("a closed port: %v, want a failure that may pass", err)
	}
	w.names["half.example"] = []string{"10.0.0.1 127.0.0.1"}
	if _, err := w.client.Get(t.Context(), w.at("half.example", "/a"), "*/*", nil); !errors.As(err, &fe) || !fe.Temporary {
		t.Errorf("a forbidden address and one that does not answer: %v, want a failure that may pass", err)
	}
}

func TestFET110TheBudgetBoundsWhatOneActivityMayAskFor(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) { document(rw, "https://"+r.Host+r.URL.Path) })
	ctx := withBudget(t.Context(), fetchBudget)
	for i := range 100 {
		_, err := w.client.FetchDocument(ctx, w.at("oak.example", fmt.Sprint("/", i)), nil)
		if (err == nil) != (i < fetchBudget) {
			t.Fatalf("request %d: %v", i, err)
		}
		if err != nil && !errors.Is(err, errBudget) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if len(w.seen) != fetchBudget {
		t.Errorf("%d requests, want %d", len(w.seen), fetchBudget)
	}
	if _, err := w.client.FetchDocument(t.Context(), w.at("oak.example", "/x"), nil); err != nil {
		t.Errorf("without a budget: %v", err)
	}
}

func TestAnHTTPOriginSpeaksWithThisMachineAlone(t *testing.T) {
	var dialed []string
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { document(rw, "http://"+r.Host+r.URL.Path) }))
	defer server.Close()
	port := strings.TrimPrefix(server.URL, "http://127.0.0.1")
	c, err := NewClient(ClientConfig{Origin: "http://rye.localhost:8080", Now: time.Now, Record: func(_, a string) { dialed = append(dialed, a) },
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			t.Errorf("DNS was asked for %s", host)
			return nil, errors.New("no")
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, host := range []string{"oak.localhost", "localhost", "127.0.0.1", "OAK.localhost", "a.b.localhost"} {
		if _, err := c.FetchDocument(t.Context(), "http://"+host+port+"/a", nil); err != nil && host != "OAK.localhost" { // its id comes in lower case
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, a := range dialed {
		if a != "127.0.0.1"+port {
			t.Errorf("dialled %s", a)
		}
	}
	before := len(dialed)
	for _, address := range []string{"http://oak.example/a", "https://oak.example/a", "https://oak.localhost" + port + "/a", "http://127.0.0.2" + port + "/a", "http://[::1]" + port + "/a", "http://10.0.0.1/", "http://localhost.example/", "http://notlocalhost/", "http://localhost:22/"} {
		if _, err := c.Get(t.Context(), address, "*/*", nil); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if len(dialed) != before {
		t.Errorf("dialled %v", dialed[before:])
	}
	for origin, ok := range map[string]bool{"http://localhost:8080": true, "http://127.0.0.1:8080": true, "http://rye.localhost": true, "http://rye.example": false, "https://rye.example": true, "ftp://rye.example": false, "rye.example": false, "": false} {
		if _, err := NewClient(ClientConfig{Origin: origin, Now: time.Now}); (err == nil) != ok {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
	secure, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://localhost/", "https://oak.localhost/", "https://127.0.0.1/", "http://localhost/"} {
		if _, err := secure.target(address); !errors.Is(err, errRefused) {
			t.Errorf("an https origin may reach %s", address)
		}
	}
	if _, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: time.Now, ExtraCA: []byte("no PEM")}); err == nil {
		t.Error("roots without a certificate were taken")
	}
}

func TestIDN062WebFingerBindsAHandleOnlyAtItsOwnHost(t *testing.T) {
	type account struct{ subject, self string }
	for name, c := range map[string]struct {
		hosts   map[string]account // by the host that is asked
		self    string             // "" if it must fail
		subject string
	}{
		"an ordinary account":           {map[string]account{"oak.example": {"acct:bo@oak.example", "https://oak.example/bo"}}, "https://oak.example/bo", "acct:bo@oak.example"},
		"another case":                  {map[string]account{"oak.example": {"acct:Bo@OAK.example", "https://oak.example/bo"}}, "https://oak.example/bo", "acct:Bo@oak.example"},
		"a handle of the main domain":   {map[string]account{"oak.example": {"acct:bo@main.example", "https://oak.example/bo"}, "main.example": {"acct:bo@main.example", "https://oak.example/bo"}}, "https://oak.example/bo", "acct:bo@main.example"},
		"somebody else's handle":        {map[string]account{"oak.example": {"acct:bob@victim.example", "https://oak.example/bo"}, "victim.example": {"acct:bob@victim.example", "https://victim.example/bob"}}, "", ""},
		"a handle that does not exist":  {map[string]account{"oak.example": {"acct:bob@victim.example", "https://oak.example/bo"}}, "", ""},
		"a third handle":                {map[string]account{"oak.example": {"acct:bo@a.example", "https://oak.example/bo"}, "a.example": {"acct:bo@b.example", "https://oak.example/bo"}, "b.example": {"acct:bo@b.example", "https://oak.example/bo"}}, "", ""},
		"no account":                    {map[string]account{"oak.example": {"https://oak.example/bo", "https://oak.example/bo"}}, "", ""},
		"no subject":                    {map[string]account{"oak.example": {"", "https://oak.example/bo"}}, "", ""},
		"a subject with a numeric host": {map[string]account{"oak.example": {"acct:bo@2130706433", "https://oak.example/bo"}}, "", ""},
		"no actor":                      {map[string]account{"oak.example": {"acct:bo@oak.example", ""}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := inMemory(t, func(r *http.Request) (int, string, string) {
				a, ok := c.hosts[r.URL.Host]
				if !ok || r.URL.Path != "/.well-known/webfinger" {
					return 404, "", ""
				}
				if want := "acct:bo@" + r.URL.Host; r.FormValue("resource") != want && r.FormValue("resource") != "acct:bob@"+r.URL.Host {
					t.Errorf("asked for %s, want %s", r.FormValue("resource"), want)
				}
				links := `{"rel":"self","type":"text/html","href":"https://no.example/"},{"rel":"http://webfinger.net/rel/profile-page","type":"application/activity+json","href":"https://no.example/"}`
				if a.self != "" {
					links += fmt.Sprintf(`,{"rel":"self","type":"application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"","href":%q}`, a.self)
				}
				return 200, "application/jrd+json", fmt.Sprintf(`{"subject":%q,"links":[%s]}`, a.subject, links)
			})
			self, subject, err := client.WebFinger(t.Context(), "bo", "OAK.example.")
			if self != c.self || subject != c.subject || (err == nil) != (c.self != "") {
				t.Errorf("got %q %q %v, want %q %q", self, subject, err, c.self, c.subject)
			}
		})
	}
}

func TestWebFingerAsksHostMetaOnlyAfter404(t *testing.T) {
	var asked []string
	status := 404
	client := inMemory(t, func(r *http.Request) (int, string, string) {
		asked = append(asked, r.URL.Host+r.URL.Path)
		switch r.URL.Path {
		case "/.well-known/host-meta":
			return 200, "application/xrd+xml", `<?xml version="1.0"?><XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" type="application/jrd+json" template="https://social.example/finger?r={uri}"/></XRD>`
		case "/finger":
			return 200, "application/jrd+json", `{"subject":"` + r.FormValue("r") + `","links":[{"rel":"self","type":"application/activity+json","href":"https://social.example/bo"}]}`
		}
		return status, "", ""
	})
	self, subject, err := client.WebFinger(t.Context(), "bo", "oak.example")
	if err != nil || self != "https://social.example/bo" || subject != "acct:bo@oak.example" || len(asked) != 3 {
		t.Errorf("got %q %q %v after %v", self, subject, err, asked)
	}
	for _, status = range []int{410, 500, 403} {
		asked = nil
		_, _, err := client.WebFinger(t.Context(), "bo", "oak.example")
		var fe *FetchError
		if !errors.As(err, &fe) || fe.Status != status || fe.Gone != (status == 410) || len(asked) != 1 {
			t.Errorf("%d: %v after %v", status, err, asked)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inMemory is a client of an https origin whose network is a function.
func inMemory(t *testing.T, answer func(*http.Request) (status int, kind, body string)) *Client {
	c, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: time.Now, Log: slog.New(slog.DiscardHandler), Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		status, kind, body := answer(r)
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var goodHosts = map[string]string{ // IDN065 one host, one form
	"example.org": "example.org", "EXAMPLE.org.": "example.org", "example.org:443": "example.org", "example.org:8443": "example.org:8443", "example.org:80": "example.org:80",
	"bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "XN--BCHER-KVA.Example.": "xn--bcher-kva.example",
	"faß.example": "xn--fa-hia.example", "παράδειγμα.example": "xn--hxajbheg2az3al.example", "例え.テスト": "xn--r8jz45g.xn--zckzah", "مثال.example": "xn--mgbh0fb.example",
	"a_b.example": "a_b.example", "r3---sn.example": "r3---sn.example", "localhost": "localhost", "rye.localhost:8080": "rye.localhost:8080", "127.0.0.1:8080": "127.0.0.1:8080", "[2001:DB8:0::1]:443": "[2001:db8::1]", "[::1]:8080": "[::1]:8080", "1.example": "1.example",
}

var badHosts = []string{"", ".", "..", "a..b", ".a", "-a.example", "a-.example", "a b", "a\tb", "a\n", "a/b", "a?b", "a@b", "a\\b", "a%62", "a:b", "a:", "a:0", "a:65536", "a:080", "a:443:443", "[::1", "::1", "[::1]x", "[::ffff:1.2.3.4]", "[fe80::1%eth0]",
	"ｅxample.org", "example．org", "example。org", "exampleⓒ.org", "ﬁsh.example", "ℂafe.example", "soc\u00adial.example", "a\u200bb.example", "a\u200db.example", "\u212aey.example", "İ.example", "①.example", "xn--a.example", "xn--.example", "xn--example-.org", "xn--fsqu00a\u0301.example",
	"127.1", "0x7f.1", "2130706433", "1.2.3.4.5", "a.0x1", "\xff.example", "a\x00.example", "xn--zn7c.com", "re\u0301sume\u0301.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "example", strings.Repeat("ü", 64) + ".example"}

func TestIDN065IDN066HostsHaveOneForm(t *testing.T) {
	for in, want := range goodHosts {
		got, err := normaliseHost(in)
		if err != nil || got != want {
			t.Errorf("normaliseHost(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range badHosts {
		if got, err := normaliseHost(in); err == nil {
			t.Errorf("normaliseHost(%q) = %q, want an error", in, got)
		}
	}
}

var badIRIs = []string{"", "https:///u", "https://", "https://?x", "https://victim@evil.example/u", "https://@evil.example/u", "https://victim:x@evil.example/u", `https://evil.example\@victim.example/u`, `https://evil.example\u`, "https://evil.example/\tu", "\thttps://evil.example/u", "https://evil\n.example/u",
	"https://evil.example/u\n", " https://evil.example/u", "https://evil.example/a b", "//evil.example/u", "/u", "u", "https:evil.example", "https:/evil.example", "HTTPS://evil.example/u", "javascript:alert(1)", "data:,x", "acct:a@b.example", "file:///etc/passwd", "did:key:z6Mk",
	"https://%65vil.example/u", "https://evil.example:/u", "https://evil.example:0/u", "https://evil.example:99999/u", "https://evil.example/%zz", "https://evil.example/<u>", `https://evil.example/"u`, "https://evil.example/\u202eu", "https://evil.example/\xff", "https://evil.example/\ufffd",
	"https://[::1]x/u", "https://evil.example/\u00a0u", "https://" + strings.Repeat("a", 3000) + ".example/u", "https://a.example/" + strings.Repeat("a", 3000), "http://oak.example/u", "http://localhost/u"}

func TestIDN060IDN076IDN077IDsAreReadStrictly(t *testing.T) {
	c := inMemory(t, nil)
	for _, in := range badIRIs {
		if u, err := c.parseIRI(in); err == nil {
			t.Errorf("parseIRI(%q) = %s, want an error", in, u)
		}
	}
	for in, want := range map[string]string{
		"https://oak.example":                      "https://oak.example",
		"https://OAK.example:443/a?b=c#d":          "https://oak.example/a?b=c#d",
		"https://bücher.example/é":                 "https://xn--bcher-kva.example/%C3%A9",
		"https://oak.example/a%2Fb/c":              "https://oak.example/a%2Fb/c",
		"https://oak.example:8443/@bo@elm.example": "https://oak.example:8443/@bo@elm.example",
		"https://oak.example/?a=b|c":               "",
	} {
		u, err := c.parseIRI(in)
		if want == "" && err == nil || want != "" && (err != nil || u.String() != want) {
			t.Errorf("parseIRI(%q) = %v, %v; want %q", in, u, err, want)
		}
	}
	local, err := NewClient(ClientConfig{Origin: "http://localhost", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for in, ok := range map[string]bool{"http://oak.localhost:8081/u": true, "http://127.0.0.1:9/u": true, "http://oak.example/u": false, "https://oak.example/u": true} {
		if _, err := local.parseIRI(in); (err == nil) != ok {
			t.Errorf("parseIRI(%q) at an http origin: %v", in, err)
		}
	}
}

func TestIDN078AnOriginIsSchemeHostAndPort(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://h.example/u", "https://h.example/v?w#x", true}, {"https://h.example/u", "https://H.example.:443/", true}, {"https://bücher.example/", "https://xn--bcher-kva.example/", true}, {"http://localhost/", "http://localhost:80/", true},
		{"https://h.example/u", "https://h.example:8443/u", false}, {"https://h.example/u", "http://h.example/u", false}, {"https://h.example/u", "https://sub.h.example/u", false}, {"https://h.example/", "https://h.example.evil.example/", false},
		{"https://h.example:80/", "https://h.example/", false}, {"", "", false}, {"x", "x", false}, {"https://h.example/", "https://evil@h.example/", false}, {"acct:a@h.example", "acct:a@h.example", false}, {"https://h.example/", `https://h.example\.evil.example/`, false},
	} {
		if got := sameOrigin(c.a, c.b); got != c.same || sameOrigin(c.b, c.a) != got {
			t.Errorf("sameOrigin(%q, %q) = %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

func TestFET104FET105FET107StrictJSON(t *testing.T) {
	nest := func(open, shut string, n int) string { return strings.Repeat(open, n) + "0" + strings.Repeat(shut, n) }
	array := func(n int) string { return `{"to":[` + strings.TrimSuffix(strings.Repeat("0,", n), ",") + `]}` }
	for _, good := range []string{`{}`, " \t\r\n{ } \n", `{"a":1}`, `{"a":[1,-0,0.5,1e9,-1.25E-7,true,false,null,"x",[],{}]}`, `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`, `{"é":"\u00e9\ud83c\udf5e\n\"\\\/\b\f\r\t"}`, `{"a":"` + "\u2028" + `"}`,
		nest(`{"a":`, `}`, maxDepth), `{"a":` + nest(`[`, `]`, maxDepth-1) + `}`, array(maxItems), array(0), `{"a":12345678901234567890.123456789}`, `{"":1}`} {
		if err := checkJSON([]byte(good)); err != nil {
			t.Errorf("%.60s: %v", good, err)
		}
		if !json.Valid([]byte(good)) {
			t.Errorf("%.60s is no JSON at all", good)
		}
	}
	for _, bad := range []string{``, ` `, `[]`, `"a"`, `1`, `null`, `{`, `}`, `{]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":-}`, `{"a":NaN}`, `{"a":tru}`, `{"a":truex}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`,
		`{"a":"x`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", `{"a":"\u0000"}`, `{"\u0000":1}`, "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "\ufeff{}", `{} {}`, `{}x`, "{}\x00", `{"a":1}/**/`, `{"a":1//x` + "\n}",
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":{"id":1,"b":2,"id":3}}`, `{"\ud83c":1}`, `{"\ud83c":1,"\ud83d":2}`, nest(`{"a":`, `}`, maxDepth+1), `{"a":` + nest(`[`, `]`, maxDepth) + `}`, nest(`{"a":`, `}`, 500), nest(`{"a":[`, `]}`, 200_000), strings.Repeat("[", 200_000), strings.Repeat(`{"a":`, 200_000),
		array(maxItems + 1), array(100_000), many(2000, "k1999"), many(30, "k0"), many(fewKeys, "k3"), many(fewKeys+1, fmt.Sprint("k", fewKeys))} {
		if err := checkJSON([]byte(bad)); err == nil {
			t.Errorf("%.60s was taken", bad)
		}
	}
	if err := checkJSON([]byte(many(100_000, "once"))); err != nil {
		t.Error(err)
	}
}

// many is an object of n names k0, k1, … and one more.
func many(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	fmt.Fprintf(&b, `%q:0}`, last)
	return b.String()
}

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\u00e9"}]}`, `{"a":1,"\u0061":2}`, `{"a":-0.5e+7}`, `{"\ud83c":"\udf5e"}`, many(30, "x"), typicalNote} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, want := checkJSON(raw), reference(raw)
		if (got == nil) != (want == nil) {
			t.Errorf("checkJSON says %v, the reference %v: %q", got, want, raw)
		}
	})
}

// reference says the same as checkJSON, slowly, by encoding/json.
func reference(raw []byte) error {
	if !json.Valid(raw) || !validText(raw) {
		return errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return errors.New("not an object")
	}
	return walk(d, json.Delim('{'), 1, raw)
}

func validText(raw []byte) bool { return bytes.Equal(raw, bytes.ToValidUTF8(raw, []byte("!!"))) }

func walk(d *json.Decoder, open json.Delim, depth int, raw []byte) error {
	if depth > maxDepth {
		return errors.New("deep")
	}
	names, items := map[string]bool{}, 0
	for d.More() {
		if open == '{' {
			from := d.InputOffset()
			k, err := d.Token()
			if err != nil {
				return err
			}
			name := k.(string)
			written := raw[from:d.InputOffset()]
			if names[name] || strings.ContainsRune(name, 0) || strings.ContainsRune(name, '\uFFFD') && bytes.Contains(bytes.ToLower(written), []byte(`\ud`)) {
				return errors.New("name")
			}
			names[name] = true
		}
		if items++; open == '[' && items > maxItems {
			return errors.New("long")
		}
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case string:
			if strings.ContainsRune(tok, 0) {
				return errors.New("NUL")
			}
		case json.Delim:
			if err := walk(d, tok, depth+1, raw); err != nil {
				return err
			}
		}
	}
	_, err := d.Token()
	return err
}

func FuzzNormaliseHost(f *testing.F) {
	for in := range goodHosts {
		f.Add(in)
	}
	for _, in := range badHosts {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		host, err := normaliseHost(in)
		if err != nil {
			return
		}
		if again, err := normaliseHost(host); err != nil || again != host {
			t.Errorf("%q became %q, which becomes %q, %v", in, host, again, err)
		}
		for i := range len(host) {
			if b := host[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`/\@?#%"<>`, b) >= 0 || b >= 'A' && b <= 'Z' {
				t.Errorf("%q became %q", in, host)
			}
		}
		if u, err := url.Parse("https://" + host + "/"); err != nil || u.Host != host {
			t.Errorf("%q became %q, which net/url reads as %v, %v", in, host, u, err)
		}
		if ip := net.ParseIP(strings.Trim(strings.Split(host, ":")[0], "[]")); ip == nil && isNumber(host[strings.LastIndexByte(strings.Split(host, ":")[0], '.')+1:]) && !strings.HasPrefix(host, "[") && !strings.Contains(host, ":") {
			t.Errorf("%q became the number %q", in, host)
		}
	})
}

func FuzzParseIRI(f *testing.F) {
	for _, in := range badIRIs {
		f.Add(in)
	}
	f.Add("https://bücher.example:8443/a%2Fb?c=d#e")
	c, err := NewClient(ClientConfig{Origin: "https://rye.example", Now: time.Now, Transport: roundTripper(nil)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		u, err := c.parseIRI(in)
		if err != nil {
			return
		}
		again, err := c.parseIRI(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q became %q, which becomes %v, %v", in, u, again, err)
		}
		if u.Scheme != "https" || u.User != nil || u.Host == "" || originOf(in) == "" || !sameOrigin(in, u.String()) {
			t.Errorf("%q became %q", in, u)
		}
	})
}

var typicalNote = `{"@context":["https://www.w3.org/ns/activitystreams",{"ostatus":"http://ostatus.org#","atomUri":"ostatus:atomUri","conversation":"ostatus:conversation","sensitive":"as:sensitive","toot":"http://joinmastodon.org/ns#","votersCount":"toot:votersCount"}],"id":"https://mastodon.example/users/bo/statuses/1/activity","type":"Create","actor":"https://mastodon.example/users/bo","published":"2026-01-01T00:00:00Z","to":["https://www.w3.org/ns/activitystreams#Public"],"cc":["https://mastodon.example/users/bo/followers","https://rye.example/users/ana"],"object":{"id":"https://mastodon.example/users/bo/statuses/1","type":"Note","summary":null,"inReplyTo":null,"published":"2026-01-01T00:00:00Z","url":"https://mastodon.example/@bo/1","attributedTo":"https://mastodon.example/users/bo","to":["https://www.w3.org/ns/activitystreams#Public"],"sensitive":false,"conversation":"tag:mastodon.example,2026-01-01:objectId=1:objectType=Conversation","content":"` + strings.Repeat(`\u003cp\u003eBread is ready at the bakery, come and get it while it is warm. `, 22) + `","attachment":[],"tag":[{"type":"Mention","href":"https://rye.example/users/ana","name":"@ana@rye.example"}],"replies":{"id":"https://mastodon.example/users/bo/statuses/1/replies","type":"Collection","first":{"type":"CollectionPage","next":"https://mastodon.example/users/bo/statuses/1/replies?page=true","partOf":"https://mastodon.example/users/bo/statuses/1/replies","items":[]}}}}`

func BenchmarkCheckJSON(b *testing.B) {
	raw := []byte(typicalNote)
	b.Run("checkJSON", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if err := checkJSON(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			json.Valid(raw)
		}
	})
}
