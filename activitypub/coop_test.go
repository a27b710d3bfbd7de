package activitypub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// house is a node with a co-op that nuria founded, and people who are not in it.
type house struct {
	*aptest.Node
	t      *testing.T
	net    *aptest.Network
	coop   activitypub.By // as its founder and admin
	people map[string]activitypub.By
}

func newHouse(t *testing.T, people ...string) *house {
	t.Helper()
	net := aptest.New(t, "rye.example")
	h := &house{Node: net.Node("rye.example"), t: t, net: net, people: map[string]activitypub.By{}}
	h.people["nuria"] = h.Person("nuria")
	h.coop = h.Coop(h.people["nuria"], "bakery")
	for _, name := range people {
		h.people[name] = h.Person(name)
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// as is a person who acts as the co-op.
func (h *house) as(name string) activitypub.By {
	return activitypub.By{User: h.people[name].User, Actor: h.coop.Actor}
}

func (h *house) give(name, role string) {
	h.t.Helper()
	h.must(h.GiveRole(h.t.Context(), activitypub.By{Actor: h.coop.Actor}, h.people[name].User, role))
}

func (h *house) set(approvals int, joining string) {
	h.t.Helper()
	_, err := h.SetCoop(h.t.Context(), h.coop, activitypub.NewSettings{Approvals: &approvals, Joining: &joining})
	h.must(err)
}

func (h *house) agree(text string) int {
	h.t.Helper()
	a, err := h.SetAgreement(h.t.Context(), h.coop, text)
	h.must(err)
	return a.Version
}

func (h *house) ask(name string, agreement int) *storage.JoinRequest {
	h.t.Helper()
	r, err := h.Join(h.t.Context(), h.people[name], h.coop.Actor, activitypub.JoinDraft{Reason: "I bake", Agreement: agreement})
	h.must(err)
	return r
}

func (h *house) wantRoles(name, want string) {
	h.t.Helper()
	roles, err := h.DB.RolesIn(h.t.Context(), h.people[name].User.ID, h.coop.Actor.ID)
	h.must(err)
	if got := strings.Join(roles, " "); got != want {
		h.t.Errorf("%s has the roles %q, want %q", name, got, want)
	}
}

func (h *house) wantState(r *storage.JoinRequest, want string) {
	h.t.Helper()
	got, err := h.DB.JoinRequestByID(h.t.Context(), r.ID)
	h.must(err)
	if got.State != want {
		h.t.Errorf("the request is %s, want %s", got.State, want)
	}
}

// audit reads the whole audit log, checked, oldest first, as "act who words".
func (h *house) log() []activitypub.AuditEntry {
	h.t.Helper()
	var es []activitypub.AuditEntry
	h.must(h.VerifyAudit(h.t.Context(), h.coop, h.coop.Actor, func(e activitypub.AuditEntry) error {
		es = append(es, e)
		return nil
	}))
	return es
}

func (h *house) last() activitypub.AuditEntry {
	h.t.Helper()
	es := h.log()
	return es[len(es)-1]
}

func TestAPersonAsksToJoinAndIsLetIn(t *testing.T) {
	h := newHouse(t, "bo")
	ctx := t.Context()
	r := h.ask("bo", 0)
	if r.State != storage.JoinPending {
		t.Fatalf("the request is %s, want it to wait", r.State)
	}
	h.wantRoles("bo", "")
	j, err := h.ApproveJoin(ctx, h.coop, r.ID)
	h.must(err)
	if j.Request.State != storage.JoinApproved || len(j.Approved) != 1 || j.Needed != 1 {
		t.Errorf("got %+v", j)
	}
	h.wantRoles("bo", "member")
	es := h.log()
	var acts []string
	for _, e := range es {
		acts = append(acts, e.Act)
	}
	if got, want := strings.Join(acts, " "), "coop.found join.approve member.join"; got != want {
		t.Errorf("the audit log has %s, want %s", got, want)
	}
	if e := es[2]; e.Subject != h.people["bo"].Actor.IRI || e.Who != string(h.people["nuria"].Actor.IRI) || e.Words != "approved by 1 admin" ||
		string(e.After) != `{"agreement":0,"roles":["member"]}` {
		t.Errorf("got %+v", e)
	}
	_, err = h.ApproveJoin(ctx, h.coop, r.ID)
	wantStatus(t, err, 409, "joining")
}

// The audit log can be checked by hand: each line is canonical JSON, hashed, and names the hash of the one before.
func TestTheAuditLogIsAChain(t *testing.T) {
	h := newHouse(t, "bo", "cleo")
	h.give("bo", storage.RoleCashier)
	h.give("cleo", storage.RoleEditor)
	h.must(h.Exported(t.Context(), h.coop, "offers of 2026: <all> of them\u2028"))
	previous := ""
	for i, e := range h.log() {
		canonical, err := jcs.Transform([]byte(e.Text))
		h.must(err)
		sum := sha256.Sum256([]byte(e.Text))
		switch {
		case string(canonical) != e.Text:
			t.Errorf("entry %d is not canonical: %s", e.Seq, e.Text)
		case e.Hash != hex.EncodeToString(sum[:]):
			t.Errorf("entry %d has the hash %s", e.Seq, e.Hash)
		case e.Seq != int64(i+1), e.Previous != previous, e.Coop != h.coop.Actor.IRI:
			t.Errorf("entry %d does not follow: %+v", i+1, e)
		}
		previous = e.Hash
	}
	if e := h.last(); e.Act != "export" || e.Words != "offers of 2026: <all> of them\u2028" {
		t.Errorf("got %+v", e)
	}
	newest, err := h.AuditOf(t.Context(), h.coop, h.coop.Actor, 0, 2)
	h.must(err)
	older, err := h.AuditOf(t.Context(), h.coop, h.coop.Actor, newest[1].Seq, 10)
	h.must(err)
	if fmt.Sprint(newest[0].Seq, newest[1].Seq, older[0].Seq, len(older)) != "4 3 2 2" {
		t.Errorf("got %+v, then %+v", newest, older)
	}
	storagetest.Exec(t, h.DB, "DROP TRIGGER audit_entries_keep_update")
	storagetest.Exec(t, h.DB, `UPDATE audit_entries SET entry = replace(entry, 'cashier', 'admin') WHERE seq = 2`)
	var broken *storage.AuditError
	if err := h.VerifyAudit(t.Context(), h.coop, h.coop.Actor, func(activitypub.AuditEntry) error { return nil }); !errors.As(err, &broken) || broken.Seq != 2 {
		t.Errorf("got %v, want entry 2 named", err)
	}
}

func wantStatus(t *testing.T, err error, status int, code string) {
	t.Helper()
	var p *activitypub.Problem
	if !errors.As(err, &p) || p.Status != status || p.Code != code {
		t.Errorf("got %v, want the problem %d %q", err, status, code)
	}
}
