package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/storage"
)

// mint makes the currency of a node's bakery, and gives accounts in it to people elsewhere.
func mint(b *testing.B, n *node, members ...string) (*storage.DB, *storage.Currency) {
	b.Helper()
	n.run("user", "create", "nuria")
	n.run("coop", "create", "bakery", "--title", "Bakery", "--founder", "nuria")
	n.run("currency", "create", "GRN", "--coop", "bakery", "--kind", "mutual", "--credit-limit", "1000000")
	db := n.database(b)
	grn, err := db.CurrencyByIRI(b.Context(), storage.IRI(n.origin()+"/currencies/grn"))
	if err != nil {
		b.Fatal(err)
	}
	for _, iri := range members {
		open := grn.Book.NewAccount(iri, ledger.Member)
		if r, err := db.Pay(b.Context(), storage.Submission{Currency: grn.Book.ID, Group: ledger.Group{open}}); err != nil || !r.Code.OK() {
			b.Fatalf("an account for %s: %s, %v", iri, r.Code, err)
		}
	}
	return db, grn
}

// database opens a node's, beside the node.
func (n *node) database(b *testing.B) *storage.DB {
	b.Helper()
	db, err := storage.Open(b.Context(), storage.Config{DSN: filepath.Join(n.dir, "data", "planet.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// inParallel makes requests on both processors.
func inParallel(count int, one func(i int) *http.Request) []*http.Request {
	out := make([]*http.Request, count)
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			for i := part; i < count; i += 2 {
				out[i] = one(i)
			}
		})
	}
	wg.Wait()
	return out
}

// BenchmarkPaymentsReceived posts payments to the ledger of a node that is a process: each an Offer that a payer elsewhere has signed, to a durable 202 with the signed
// Accept in the queue. In turns with them it posts plain Notes to the same node. The payers and the client share the processors. With kept answers the payers'
// servers let the node wait, which has then two tries under way to each; else each Accept is signed again for its delivery, and brought.
func BenchmarkPaymentsReceived(b *testing.B) {
	b.Run("answers-kept", func(b *testing.B) { paymentsReceived(b, false) })
	b.Run("answers-brought", func(b *testing.B) { paymentsReceived(b, true) })
}

func paymentsReceived(b *testing.B, bring bool) {
	const hosts, connections, rounds, perRound, warm, alone = 16, 128, 4, 1500, 500, 200
	const payments, notes = warm + alone + rounds*perRound, warm + rounds*perRound
	far := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(far.Listener.Addr().String())
	peers, byHost, payers := make([]*aptest.Peer, hosts), map[string]*aptest.Peer{}, make([]string, hosts)
	for i := range peers {
		host := fmt.Sprintf("p%02d.localhost:%s", i, port)
		peers[i] = aptest.NewProver("http://"+host, "ann", i)
		byHost[host], payers[i] = peers[i], peers[i].ID()
	}
	kept := make(chan struct{})
	var tries atomic.Int64
	far.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := byHost[r.Host]; p != nil {
			if r.Method == http.MethodPost {
				if tries.Add(1); !bring {
					<-kept
				}
			}
			p.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
	far.Start()
	b.Cleanup(far.Close)
	b.Cleanup(func() { close(kept) }) // before far is closed
	n := newNode(b)
	db, grn := mint(b, n, payers...)
	bakery := n.origin() + "/users/bakery"
	offers := inParallel(payments, func(i int) *http.Request {
		p := peers[i%hosts]
		return p.Request(n.origin()+"/ledger/inbox", p.Proven(p.PaymentOffer(strconv.Itoa(i), n.origin()+"/ledger", grn.Book.IRI, bakery, "0.01", nil)))
	})
	posts := inParallel(notes, func(i int) *http.Request {
		p, id := peers[i%hosts], strconv.Itoa(i)
		return p.Request(n.origin()+"/inbox", p.Note("n"+id, "note "+id, bakery))
	})
	arrived := func() (sum int) {
		for _, p := range peers {
			sum += len(p.Received())
		}
		return sum
	}
	brought := func(want int) {
		for start := time.Now(); bring && arrived() < want; time.Sleep(5 * time.Millisecond) {
			if time.Since(start) > 2*time.Minute {
				b.Fatalf("%d of %d Accepts came within two minutes", arrived(), want)
			}
		}
	}
	n.start()
	b.Cleanup(n.kill)
	rate := n.poster(b)
	rate(connections, offers[:warm]) // keys are fetched, statements are prepared
	rate(connections, posts[:warm])
	brought(warm)
	b.ResetTimer()
	b.ReportMetric(rate(1, offers[warm:][:alone]), "one-by-one/s")
	brought(warm + alone)
	var accepted, answered, plain []float64
	var node, client, noted time.Duration
	for round := range rounds {
		start, theirs, ours := time.Now(), cpu(n.cmd.Process.Pid), cpu(os.Getpid())
		accepted = append(accepted, rate(connections, offers[warm+alone+round*perRound:][:perRound]))
		brought(warm + alone + (round+1)*perRound)
		answered = append(answered, perRound/time.Since(start).Seconds())
		node, client = node+cpu(n.cmd.Process.Pid)-theirs, client+cpu(os.Getpid())-ours
		theirs = cpu(n.cmd.Process.Pid)
		plain = append(plain, rate(connections, posts[warm+round*perRound:][:perRound]))
		noted += cpu(n.cmd.Process.Pid) - theirs
	}
	b.StopTimer()
	n.kill()
	paid, err := db.Payments(b.Context(), storage.IRI(bakery), 0, payments+1)
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range paid {
		if p.State != storage.PaymentCommitted || p.Amount != 1 {
			b.Fatalf("payment %s is %s: %s", p.IRI, p.State, p.Words)
		}
	}
	account, err := db.Account(b.Context(), grn, storage.IRI(bakery))
	if err != nil {
		b.Fatal(err)
	}
	if len(paid) != payments || account.Balance() != payments {
		b.Fatalf("%d of %d payments are there, and the payee has %d", len(paid), payments, account.Balance())
	}
	if waiting, err := db.Deliveries(b.Context(), storage.DeliveryQueued, payments+1); err != nil || !bring && len(waiting) != payments {
		b.Fatalf("%d of %d Accepts wait, %v", len(waiting), payments, err)
	}
	n.run("ledger", "verify")

	best := slices.Max(accepted)
	if bring {
		best = slices.Max(answered)
	}
	b.ReportMetric(float64(tries.Load())/payments, "tries/payment")
	crypt := cryptoAlone(b, peers[1])
	signs, _ := rsaSpeed(b)
	var alone32 benchEntry
	if err := json.Unmarshal([]byte(n.run("ledger", "bench", "--seconds", "3", "--submitters", strconv.Itoa(connections), "--members", strconv.Itoa(hosts+1), "--json")), &alone32); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(best, "payments/s")
	b.ReportMetric(slices.Max(accepted), "accepted/s")
	b.ReportMetric(slices.Max(plain), "plain-notes/s")
	b.ReportMetric(best/slices.Max(plain), "of-plain-notes")
	b.ReportMetric(float64(node.Microseconds())/(rounds*perRound), "node-µs/payment")
	b.ReportMetric(float64(client.Microseconds())/(rounds*perRound), "client-µs/payment")
	b.ReportMetric(float64(noted.Microseconds())/(rounds*perRound), "node-µs/note")
	b.ReportMetric(crypt, "crypto-alone/s")
	b.ReportMetric(best/crypt, "of-crypto-alone")
	b.ReportMetric(alone32.PerSecond, "ledger-alone/s")
	b.ReportMetric(fsyncs(b), "fsyncs/s")
	b.ReportMetric(signs, "rsa-signs/s")
	b.ReportMetric(0, "ns/op")
}

// cryptoAlone is how many payments a second both processors could verify and answer if there were nothing else to do: the RSA signature of the request, the payer's proof,
// and the ledger's own.
func cryptoAlone(b *testing.B, p *aptest.Peer) float64 {
	key := p.Key.(*rsa.PrivateKey)
	sum := sha256.Sum256([]byte("x"))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	proof, public := ed25519.Sign(p.Ed, sum[:]), p.Ed.Public().(ed25519.PublicKey)
	return perSecond(2, 2*time.Second, func(_, _ int) {
		if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig) != nil || !ed25519.Verify(public, sum[:], proof) {
			b.Error("a signature does not hold")
		}
		_ = ed25519.Sign(p.Ed, sum[:])
	})
}

// payerNode is a node of this process that others reach, with one person, on a database on the disk.
func payerNode(b *testing.B) (*activitypub.Node, activitypub.By) {
	b.Helper()
	server := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	db, err := storage.Open(b.Context(), storage.Config{DSN: filepath.Join(b.TempDir(), "planet.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	n, err := nodeOn(b, "http://here.localhost:"+port, db)
	if err != nil {
		b.Fatal(err)
	}
	server.Config.Handler = n.Handler()
	server.Start()
	b.Cleanup(server.Close)
	_, bo, err := n.CreatePerson(b.Context(), activitypub.NewUser{Username: "bo"})
	if err != nil {
		b.Fatal(err)
	}
	return n, activitypub.By{Actor: bo}
}

func nodeOn(b *testing.B, origin string, db *storage.DB) (*activitypub.Node, error) {
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: origin, Version: "bench", Now: time.Now})
	if err != nil {
		return nil, err
	}
	return activitypub.New(b.Context(), activitypub.Config{Origin: origin, DB: db, Client: client, Version: "bench", Log: slog.New(slog.DiscardHandler)})
}

// BenchmarkPaymentSeenPaid pays one payment after another to a ledger that is another process, and says how long it takes from asking until the payer's own database
// has it as committed. At first the payer's node is this process; then it is a process of its own, and the payments are made beside it, as planet pay does.
func BenchmarkPaymentSeenPaid(b *testing.B) {
	b.Run("by-the-node", func(b *testing.B) {
		n, by := payerNode(b)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		seenPaid(b, n, by, 300, 0)
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	b.Run("by-a-command-beside-it", func(b *testing.B) {
		here := newNode(b)
		here.run("user", "create", "bo")
		here.start()
		b.Cleanup(here.kill)
		n, err := nodeOn(b, here.origin(), here.database(b))
		if err != nil {
			b.Fatal(err)
		}
		bo, err := n.DB.LocalActor(b.Context(), "bo")
		if err != nil {
			b.Fatal(err)
		}
		seenPaid(b, n, activitypub.By{Actor: bo}, 40, time.Second)
	})
}

// seenPaid pays so often, with a random pause of at most so long before each, as a node may look into its queue at intervals.
func seenPaid(b *testing.B, n *activitypub.Node, by activitypub.By, count int, pause time.Duration) {
	const warm = 10
	there := newNode(b)
	db, grn := mint(b, there, string(by.Actor.IRI))
	there.start()
	b.Cleanup(there.kill)
	money, err := n.Money(b.Context(), grn.Book.IRI)
	if err != nil {
		b.Fatal(err)
	}
	bakery, err := n.Resolve(b.Context(), there.origin()+"/users/bakery")
	if err != nil {
		b.Fatal(err)
	}
	var all, handed []time.Duration
	for i := range warm + count {
		start := time.Now()
		p, err := n.Pay(b.Context(), by, activitypub.PayOrder{Currency: money, To: bakery, Amount: "0.01"})
		if err != nil {
			b.Fatal(err)
		}
		asked := time.Since(start)
		for p.State == storage.PaymentSent {
			if time.Since(start) > 30*time.Second {
				b.Fatalf("payment %d has no answer after half a minute", i)
			}
			time.Sleep(500 * time.Microsecond)
			if p, err = n.DB.PaymentByID(b.Context(), p.ID); err != nil {
				b.Fatal(err)
			}
		}
		if p.State != storage.PaymentCommitted {
			b.Fatalf("payment %d is %s: %s", i, p.State, p.Words)
		}
		if i >= warm {
			all, handed = append(all, time.Since(start)), append(handed, asked)
		}
		time.Sleep(20*time.Millisecond + mrand.N(pause+1)) // its receipt comes after it
	}
	there.kill()
	account, err := db.Account(b.Context(), grn, bakery.IRI)
	if err != nil || account.Balance() != int64(warm+count) {
		b.Fatalf("the payee has %d of %d, %v", account.Balance(), warm+count, err)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	signs, _ := rsaSpeed(b)
	b.ReportMetric(ms(at(all, 50)), "p50-ms")
	b.ReportMetric(ms(at(all, 95)), "p95-ms")
	b.ReportMetric(ms(at(handed, 50)), "asked-p50-ms")
	b.ReportMetric(2/signs*2*1000, "two-rsa-signatures-ms") // signs is of both processors
	b.ReportMetric(5/fsyncs(b)*1000, "five-fsyncs-ms")
	b.ReportMetric(0, "ns/op")
}
