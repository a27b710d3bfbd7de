package activitypub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// The one table, role by role and act by act: who has a role may do what its line says and nothing else, and decides in no case of her own
// where the line says so.
func TestWhatEachRoleMayDo(t *testing.T) {
	h := newHouse(t, "stranger")
	acts, may, limits := activitypub.Rights()
	for _, role := range storage.Roles {
		h.people[role] = h.Person("the_" + role)
		h.give(role, role)
	}
	for _, act := range acts {
		for _, role := range append(storage.Roles, "stranger") {
			t.Run(role+" "+act, func(t *testing.T) {
				by := h.as(role)
				want := slices.Contains(may[act], role)
				if err := activitypub.Allowed(h.Node.Node, t.Context(), h.DB, by, act); (err == nil) != want {
					t.Errorf("got %v, want it allowed: %t", err, want)
				} else if err != nil {
					wantProblem(t, err, "role")
				}
				err := activitypub.AllowedAbout(h.Node.Node, t.Context(), h.DB, by, act, by.User.ID)
				switch {
				case want && limits[act] == "others":
					wantProblem(t, err, "own-case")
				case (err == nil) != want:
					t.Errorf("in her own case: got %v, want it allowed: %t", err, want)
				}
			})
		}
		if err := activitypub.Allowed(h.Node.Node, t.Context(), h.DB, activitypub.By{Actor: h.coop.Actor}, act); err != nil {
			t.Errorf("the operator may not %s: %v", act, err)
		}
	}
	wantProblem(t, activitypub.Allowed(h.Node.Node, t.Context(), h.DB, h.as("admin"), "an act that is in no line"), "role")
}

func TestAsManyAdminsApproveAsTheCoopWants(t *testing.T) {
	h := newHouse(t, "bo", "cleo", "dora", "eva", "cleo2")
	ctx := t.Context()
	h.give("bo", storage.RoleAdmin)
	h.give("cleo", storage.RoleAdmin)
	h.set(3, storage.JoiningApproval)
	approve := func(name string, r *storage.JoinRequest) error {
		_, err := h.ApproveJoin(ctx, h.as(name), r.ID)
		return err
	}

	t.Run("each admin counts once, and others not at all", func(t *testing.T) {
		r := h.ask("dora", 0)
		h.must(approve("nuria", r))
		wantStatus(t, approve("nuria", r), 409, "joining")
		wantProblem(t, approve("dora", r), "role")
		wantProblem(t, approve("eva", r), "role")
		_, err := h.ApproveJoin(ctx, activitypub.By{Actor: h.coop.Actor}, r.ID)
		wantInvalid(t, err, "as")
		h.must(approve("bo", r))
		h.wantState(r, storage.JoinPending)
		h.wantRoles("dora", "")
		h.must(approve("cleo", r))
		h.wantState(r, storage.JoinApproved)
		h.wantRoles("dora", "member")
	})
	t.Run("who asks never counts, even as an admin", func(t *testing.T) {
		h.set(4, storage.JoiningApproval)
		h.give("eva", storage.RoleObserver)
		r := h.ask("eva", 0)
		h.must(h.DB.AddMember(ctx, &storage.Member{UserID: h.people["eva"].User.ID, CoopID: h.coop.Actor.ID, Role: storage.RoleAdmin})) // past the door, which would let her in
		wantProblem(t, approve("eva", r), "own-case")
		wantProblem(t, h.RefuseJoin(ctx, h.as("eva"), r.ID, "no"), "own-case")
		h.must(approve("nuria", r))
		h.must(approve("bo", r))
		h.wantState(r, storage.JoinPending)
		h.must(approve("cleo", r))
		h.wantState(r, storage.JoinApproved)
		h.must(h.TakeRole(ctx, h.coop, h.people["eva"].User, ""))
	})
	t.Run("an approval counts while its admin is one", func(t *testing.T) {
		h.set(3, storage.JoiningApproval)
		r := h.ask("eva", 0)
		h.must(approve("cleo", r))
		h.must(h.TakeRole(ctx, h.coop, h.people["cleo"].User, storage.RoleAdmin)) // two admins are left
		h.wantState(r, storage.JoinPending)
		h.must(approve("bo", r))
		h.wantState(r, storage.JoinPending)
		h.must(approve("nuria", r)) // fewer admins than the co-op wants: all of them suffice
		h.wantState(r, storage.JoinApproved)
		h.must(h.TakeRole(ctx, h.coop, h.people["eva"].User, ""))
	})
	t.Run("what is enough now is done now", func(t *testing.T) {
		r := h.ask("eva", 0)
		h.must(approve("bo", r))
		h.wantState(r, storage.JoinPending)
		h.set(1, storage.JoiningApproval)
		h.wantState(r, storage.JoinApproved)
		h.must(h.TakeRole(ctx, h.coop, h.people["eva"].User, ""))
		h.set(2, storage.JoiningApproval)
		r = h.ask("eva", 0)
		h.must(approve("bo", r))
		h.must(h.Leave(ctx, h.people["nuria"], h.coop.Actor)) // bo is the only admin
		h.wantState(r, storage.JoinApproved)
	})
	t.Run("one refusal ends it, and she may ask again", func(t *testing.T) {
		h.give("nuria", storage.RoleAdmin)
		h.must(h.TakeRole(ctx, h.coop, h.people["eva"].User, ""))
		r := h.ask("eva", 0)
		h.must(approve("bo", r))
		wantInvalid(t, h.RefuseJoin(ctx, h.coop, r.ID, " "), "reason")
		h.must(h.RefuseJoin(ctx, h.coop, r.ID, "we are full"))
		h.wantState(r, storage.JoinRefused)
		wantStatus(t, approve("nuria", r), 409, "joining")
		j, err := h.JoinOf(ctx, h.people["eva"], r.ID)
		h.must(err)
		if j.Request.Answer != "we are full" {
			t.Errorf("she reads %q", j.Request.Answer)
		}
		if _, err := h.JoinOf(ctx, h.people["dora"], r.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("dora reads it: %v", err)
		}
		again := h.ask("eva", 0)
		h.must(approve("bo", again))
		h.wantState(again, storage.JoinPending) // what was said of the first does not count
	})
	t.Run("a request of another co-op is not there", func(t *testing.T) {
		other := h.Coop(h.people["bo"], "mill")
		r, err := h.Join(ctx, h.people["cleo"], other.Actor, activitypub.JoinDraft{})
		h.must(err)
		if _, err := h.JoinCaseOf(ctx, h.coop, r.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the bakery reads who asks the mill: %v", err)
		}
		if _, err := h.ApproveJoin(ctx, h.coop, r.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("who is suspended is not let in, and says nothing", func(t *testing.T) {
		r := h.ask("cleo2", 0)
		h.must(approve("nuria", r))
		u := *h.people["cleo2"].User
		now := h.Now()
		u.SuspendedAt = &now
		h.must(h.DB.UpdateUser(ctx, &u))
		wantStatus(t, approve("bo", r), 409, "suspended")
		_, err := h.Join(ctx, h.people["cleo2"], h.coop.Actor, activitypub.JoinDraft{})
		wantProblem(t, err, "suspended")
		h.set(1, storage.JoiningApproval) // nuria's would be enough now
		h.wantState(r, storage.JoinPending)
		u.SuspendedAt = nil
		h.must(h.DB.UpdateUser(ctx, &u))
		h.must(approve("nuria", r)) // asked again, the node counts again
		h.wantState(r, storage.JoinApproved)
	})
}

func TestTwentyApprovalsAtOnceMakeOneMember(t *testing.T) {
	h := newHouse(t, "bo")
	admins := []string{"nuria"}
	for i := range 19 {
		name := fmt.Sprintf("admin%d", i)
		h.people[name] = h.Person(name)
		h.give(name, storage.RoleAdmin)
		admins = append(admins, name)
	}
	h.set(3, storage.JoiningApproval)
	r := h.ask("bo", 0)
	var wg sync.WaitGroup
	var said atomic.Int64
	for _, name := range admins {
		wg.Go(func() {
			_, err := h.ApproveJoin(t.Context(), h.as(name), r.ID)
			var p *activitypub.Problem
			switch {
			case err == nil:
				said.Add(1)
			case !errors.As(err, &p) || p.Status != 409:
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if said.Load() != 3 {
		t.Errorf("%d approvals were taken, want 3", said.Load())
	}
	h.wantRoles("bo", "member")
	joined := 0
	for _, e := range h.log() {
		if e.Act == "member.join" {
			joined++
		}
	}
	if joined != 1 {
		t.Errorf("bo joined %d times", joined)
	}
}

func TestTwoLastAdminsWhoLeaveAtOnceLeaveOne(t *testing.T) {
	for range 5 {
		h := newHouse(t, "bo")
		h.give("bo", storage.RoleAdmin)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, name := range []string{"nuria", "bo"} {
			wg.Go(func() { errs[i] = h.Leave(t.Context(), h.people[name], h.coop.Actor) })
		}
		wg.Wait()
		admins, err := h.DB.Holders(t.Context(), h.coop.Actor.ID, storage.RoleAdmin)
		h.must(err)
		if len(admins) != 1 || (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%d admins are left; got %v", len(admins), errs)
		}
		wantStatus(t, errors.Join(errs...), 409, "last-admin")
	}
}

// Two copies of a node share a database: what one admin decides on the one is seen on the other before anything else is decided.
func TestTwoCopiesOfANodeDecideOneAfterTheOther(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		keys := aptest.New(t, "rye.example").Node("rye.example").Config.Keys // RSA takes its time
		var nodes [2]*activitypub.Node
		for i, db := range []*storage.DB{db, storagetest.Again(t, db)} {
			client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: "https://rye.example", Version: "test", Now: db.Now})
			must(err)
			nodes[i], err = activitypub.New(ctx, activitypub.Config{Origin: "https://rye.example", DB: db, Client: client, Keys: keys, Log: slog.New(slog.DiscardHandler)})
			must(err)
		}
		bo, _, err := nodes[0].CreatePerson(ctx, activitypub.NewUser{Username: "bo"})
		must(err)
		for round := range 4 {
			var admins [8]activitypub.By
			var coop *storage.Actor
			for i := range admins {
				u, a, err := nodes[0].CreatePerson(ctx, activitypub.NewUser{Username: fmt.Sprintf("admin%d_%d", round, i)})
				must(err)
				if i == 0 {
					coop, err = nodes[0].FoundCoop(ctx, u, activitypub.NewCoop{Username: fmt.Sprint("bakery", round), Title: "Bakery"})
				} else {
					err = nodes[0].GiveRole(ctx, activitypub.By{Actor: coop}, u, storage.RoleAdmin)
				}
				must(err)
				admins[i] = activitypub.By{User: u, Actor: a}
			}
			_, err = nodes[0].SetCoop(ctx, activitypub.By{Actor: coop}, activitypub.NewSettings{Approvals: ptr(3)})
			must(err)
			boHerself, err := db.ActorByID(ctx, bo.ActorID)
			must(err)
			r, err := nodes[1].Join(ctx, activitypub.By{User: bo, Actor: boHerself}, coop, activitypub.JoinDraft{})
			must(err)

			var wg sync.WaitGroup
			var said, left atomic.Int64
			all := func(do func(n *activitypub.Node, by activitypub.By) error, done *atomic.Int64) {
				for i, by := range admins {
					wg.Go(func() {
						var p *activitypub.Problem
						switch err := do(nodes[i%2], by); {
						case err == nil:
							done.Add(1)
						case !errors.As(err, &p) || p.Status != 409:
							t.Errorf("%s: %v", by.User.Username, err)
						}
					})
				}
				wg.Wait()
			}
			all(func(n *activitypub.Node, by activitypub.By) error {
				_, err := n.ApproveJoin(ctx, activitypub.By{User: by.User, Actor: coop}, r.ID)
				return err
			}, &said)
			all(func(n *activitypub.Node, by activitypub.By) error { return n.Leave(ctx, by, coop) }, &left)
			holders, err := db.Holders(ctx, coop.ID, storage.RoleAdmin)
			must(err)
			if said.Load() != 3 || left.Load() != 7 || len(holders) != 1 {
				t.Errorf("%d approved and %d left; %d admins are there; want 3, 7 and 1", said.Load(), left.Load(), len(holders))
			}
			entries := 0
			must(db.VerifyAudit(ctx, coop.ID, func(storage.AuditEntry) error { entries++; return nil }))
			if want := 1 + 7 + 1 + 3 + 1 + 7; entries != want { // founded, admins, settings, approvals, joined, left
				t.Errorf("the audit log has %d entries, want %d", entries, want)
			}
		}
	})
}

func TestADM243ACoopKeepsAnAdminWhoCanAct(t *testing.T) {
	h := newHouse(t, "bo")
	ctx := t.Context()
	wantStatus(t, h.TakeRole(ctx, h.coop, h.people["nuria"].User, ""), 409, "last-admin")
	wantStatus(t, h.TakeRole(ctx, h.coop, h.people["nuria"].User, storage.RoleAdmin), 409, "last-admin")
	wantStatus(t, h.DeleteActor(ctx, h.people["nuria"]), 409, "last-admin")
	h.give("nuria", storage.RoleEditor)
	h.must(h.TakeRole(ctx, h.coop, h.people["nuria"].User, storage.RoleEditor))

	h.give("bo", storage.RoleAdmin)
	now := h.Now()
	bo := *h.people["bo"].User
	bo.SuspendedAt = &now
	h.must(h.DB.UpdateUser(ctx, &bo))
	wantStatus(t, h.Leave(ctx, h.people["nuria"], h.coop.Actor), 409, "last-admin") // bo cannot act
	bo.SuspendedAt = nil
	h.must(h.DB.UpdateUser(ctx, &bo))
	h.must(h.Leave(ctx, h.people["nuria"], h.coop.Actor))
	h.wantRoles("nuria", "")
	if e := h.logAs("bo")[len(h.logAs("bo"))-1]; e.Act != "member.leave" || string(e.Before) != `{"roles":["admin"]}` || string(e.After) != `{"roles":[]}` {
		t.Errorf("got %+v", e)
	}
}

func TestWhoHasLeftActsAsTheCoopByNoTokenEither(t *testing.T) {
	h := newHouse(t, "bo")
	ctx := t.Context()
	h.give("bo", storage.RoleEditor)
	h.give("bo", storage.RoleMember)
	bo := h.people["bo"]
	for hash, actor := range map[string]storage.ID{"as the co-op": h.coop.Actor.ID, "as herself": bo.Actor.ID} {
		h.must(h.DB.SaveToken(ctx, &storage.Token{Hash: hash, UserID: bo.User.ID, ActorID: actor}))
	}
	valid := func(hash string) bool {
		_, err := h.DB.TokenByHash(ctx, hash)
		return err == nil
	}
	h.must(h.TakeRole(ctx, h.coop, bo.User, storage.RoleEditor))
	if !valid("as the co-op") {
		t.Error("a member's token ended with another role")
	}
	h.must(h.Leave(ctx, bo, h.coop.Actor))
	if valid("as the co-op") || !valid("as herself") {
		t.Errorf("valid as the co-op: %t, as herself: %t", valid("as the co-op"), valid("as herself"))
	}
}

// A co-op that is suspended does nothing, and its members can still see why.
func TestASuspendedCoopIsReadByItsMembers(t *testing.T) {
	h := newHouse(t, "bo", "cleo")
	ctx := t.Context()
	h.give("bo", storage.RoleMember)
	h.must(h.SetStanding(ctx, nil, h.coop.Actor, true, false))
	wantProblem(t, h.GiveRole(ctx, h.coop, h.people["cleo"].User, storage.RoleMember), "suspended")
	wantProblem(t, h.Exported(ctx, h.coop, "offers"), "suspended")
	_, err := h.Join(ctx, h.people["cleo"], h.coop.Actor, activitypub.JoinDraft{})
	wantProblem(t, err, "suspended")
	_, err = h.AuditOf(ctx, h.as("bo"), h.coop.Actor, 0, 10)
	h.must(err)
	h.must(h.Exported(ctx, activitypub.By{Actor: h.coop.Actor}, "offers"))
}

func TestWhoLeavesTakesHerRequestsAlong(t *testing.T) {
	h := newHouse(t, "bo", "cleo")
	r := h.ask("bo", 0)
	h.must(h.Leave(t.Context(), h.people["bo"], h.coop.Actor))
	h.wantState(r, storage.JoinWithdrawn)
	wantInvalid(t, h.Leave(t.Context(), h.people["bo"], h.coop.Actor), "coop")
	r = h.ask("cleo", 0)
	h.must(h.DeleteActor(t.Context(), h.people["cleo"]))
	h.wantState(r, storage.JoinWithdrawn)
}

func TestHowPeopleJoinIsTheCoopsAffair(t *testing.T) {
	h := newHouse(t, "bo", "cleo", "dora", "eva")
	ctx := t.Context()
	waiting := h.ask("dora", 0)
	h.set(1, storage.JoiningInvite)
	_, err := h.Join(ctx, h.people["bo"], h.coop.Actor, activitypub.JoinDraft{})
	wantProblem(t, err, "joining")
	_, err = h.Join(ctx, h.people["bo"], h.coop.Actor, activitypub.JoinDraft{Invite: "nonsense"})
	wantProblem(t, err, "invite")
	_, err = h.Invite(ctx, h.as("bo"), "h", 2, nil)
	wantProblem(t, err, "role")
	_, err = h.Invite(ctx, h.coop, "h", 3, nil)
	h.must(err)
	elsewhere := h.Coop(h.people["eva"], "mill")
	if i, err := h.DB.InviteByCodeHash(ctx, "h"); err != nil || !errors.Is(h.RevokeInvite(ctx, elsewhere, i.ID), storage.ErrNotFound) {
		t.Errorf("another co-op ended the invitation %+v, %v", i, err)
	}
	_, err = h.Join(ctx, h.people["bo"], elsewhere.Actor, activitypub.JoinDraft{Invite: "h"})
	wantProblem(t, err, "invite")
	for _, name := range []string{"bo", "dora"} {
		_, err = h.Join(ctx, h.people[name], h.coop.Actor, activitypub.JoinDraft{Invite: "h"})
		h.must(err)
		h.wantRoles(name, "member")
	}
	h.wantState(waiting, storage.JoinApproved)
	if i, err := h.DB.InviteByCodeHash(ctx, "h"); err != nil || i.UsesLeft != 1 {
		t.Errorf("got %+v, %v: what was refused used nothing up", i, err)
	}
	h.set(1, storage.JoiningOpen)
	if r := h.ask("cleo", 0); r.State != storage.JoinApproved {
		t.Errorf("the request is %s", r.State)
	}
	_, err = h.Join(ctx, h.people["cleo"], h.coop.Actor, activitypub.JoinDraft{})
	wantStatus(t, err, 409, "joining")
	_, err = h.Block(ctx, h.coop, "@eva@rye.example")
	h.must(err)
	_, err = h.Join(ctx, h.people["eva"], h.coop.Actor, activitypub.JoinDraft{})
	wantProblem(t, err, "blocked")
	_, err = h.Join(ctx, h.people["bo"], h.people["eva"].Actor, activitypub.JoinDraft{})
	wantInvalid(t, err, "coop")
	_, err = h.Join(ctx, h.coop, elsewhere.Actor, activitypub.JoinDraft{})
	wantInvalid(t, err, "as")
	_, err = h.Join(ctx, activitypub.By{User: h.people["bo"].User, Actor: h.people["eva"].Actor}, elsewhere.Actor, activitypub.JoinDraft{})
	wantProblem(t, err, "role")
	for _, bad := range []activitypub.NewSettings{{}, {Approvals: ptr(0)}, {Approvals: ptr(21)}, {Joining: ptr("sometimes")}} {
		if _, err := h.SetCoop(ctx, h.coop, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestAnAgreementIsReadBeforeItIsAccepted(t *testing.T) {
	h := newHouse(t, "bo", "cleo")
	ctx := t.Context()
	join := func(name string, version int) error {
		_, err := h.Join(ctx, h.people[name], h.coop.Actor, activitypub.JoinDraft{Agreement: version})
		return err
	}
	wantInvalid(t, join("bo", 1), "agreement") // there is none
	if v := h.agree("We bake <together>.\r\n\r\nOn Fridays."); v != 1 {
		t.Errorf("got version %d", v)
	}
	a, err := h.DB.Agreement(ctx, h.coop.Actor.ID, 1)
	h.must(err)
	if a.Source != "We bake <together>.\n\nOn Fridays." || a.Content != "<p>We bake &lt;together&gt;.</p><p>On Fridays.</p>" || a.UserID != h.coop.User.ID {
		t.Errorf("got %+v", a)
	}
	wantInvalid(t, join("bo", 0), "agreement")
	wantInvalid(t, join("bo", 2), "agreement")
	h.agree("We bake on Fridays.")
	wantStatus(t, join("bo", 1), 409, "agreement") // it has changed while she was reading
	h.wantRoles("bo", "")
	h.must(join("bo", 2))
	h.net.Sleep(time.Hour)
	h.agree("We bake on Mondays.") // while she waits
	waiting, err := h.DB.PendingJoin(ctx, h.coop.Actor.ID, h.people["bo"].User.ID)
	h.must(err)
	_, err = h.ApproveJoin(ctx, h.coop, waiting.ID)
	h.must(err)

	accepted := func() string {
		t.Helper()
		ms, err := h.MembersOf(ctx, h.coop, h.coop.Actor)
		h.must(err)
		var out []string
		for _, m := range ms {
			out = append(out, fmt.Sprintf("%s %d", m.User.Username, m.Accepted))
		}
		return strings.Join(out, ", ")
	}
	if got := accepted(); got != "nuria 0, bo 2" {
		t.Errorf("got %s", got)
	}
	told := func(name string) (n int) {
		t.Helper()
		ns, err := h.DB.Notifications(ctx, h.people[name].Actor.ID, storage.Page{})
		h.must(err)
		for _, x := range ns {
			if x.Kind == "agreement" && x.FromID == h.coop.Actor.ID && h.Now().Sub(x.CreatedAt) < time.Minute {
				n++ // of the newest version
			}
		}
		return n
	}
	if told("nuria") != 1 || told("bo") != 1 {
		t.Errorf("nuria was asked %d times, bo %d", told("nuria"), told("bo"))
	}
	wantStatus(t, h.AcceptAgreement(ctx, h.people["bo"], h.coop.Actor, 2), 409, "agreement")
	wantInvalid(t, h.AcceptAgreement(ctx, h.people["bo"], h.coop.Actor, 0), "agreement")
	wantProblem(t, h.AcceptAgreement(ctx, h.people["cleo"], h.coop.Actor, 3), "members-only")
	h.must(h.AcceptAgreement(ctx, h.people["bo"], h.coop.Actor, 3))
	h.must(h.AcceptAgreement(ctx, h.people["bo"], h.coop.Actor, 3))
	if got := accepted(); got != "nuria 0, bo 3" || told("bo") != 0 {
		t.Errorf("got %s, and bo is asked %d times", got, told("bo"))
	}
	for name, text := range map[string]string{"the same": " We bake on Mondays.\n", "nothing": " \n", "too much": strings.Repeat("x", 100_001), "no text": "\xff"} {
		if _, err := h.SetAgreement(ctx, h.coop, text); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	_, err = h.SetAgreement(ctx, h.as("bo"), "mine")
	wantProblem(t, err, "role")
}

// Outsiders see the co-op; who is in it, what was decided and who worked is for those who have a role in it.
func TestOutsidersSeeTheCoopAlone(t *testing.T) {
	h := newHouse(t, "bo", "outsider")
	h.give("bo", storage.RoleObserver)
	ctx, coop := t.Context(), h.coop.Actor
	doors := map[string]func(by activitypub.By) error{
		"members": func(by activitypub.By) error { _, err := h.MembersOf(ctx, by, coop); return err },
		"audit":   func(by activitypub.By) error { _, err := h.AuditOf(ctx, by, coop, 0, 10); return err },
		"verify": func(by activitypub.By) error {
			return h.VerifyAudit(ctx, by, coop, func(activitypub.AuditEntry) error { return nil })
		},
		"limits": func(by activitypub.By) error { _, err := h.RoleLimitsOf(ctx, by, coop); return err },
		"hours": func(by activitypub.By) error {
			_, err := h.ContributionsOf(ctx, by, coop, storage.ContributionFilter{})
			return err
		},
		"hours on the wire": func(by activitypub.By) error {
			_, err := h.ContributionsToWire(ctx, by, coop, storage.ContributionFilter{})
			return err
		},
	}
	for name, door := range doors {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, door(h.people["outsider"]), "members-only")
			wantProblem(t, door(h.as("outsider")), "members-only")
			for _, by := range []activitypub.By{h.people["bo"], h.as("nuria"), {Actor: coop}} {
				if err := door(by); err != nil {
					t.Errorf("%+v: %v", by.User, err)
				}
			}
		})
	}
	_, err := h.JoinRequestsOf(ctx, h.as("bo"), false, storage.Page{})
	wantProblem(t, err, "role")
}

// logAs is log, read by somebody else than the founder.
func (h *house) logAs(name string) []activitypub.AuditEntry {
	h.t.Helper()
	es, err := h.AuditOf(h.t.Context(), h.as(name), h.coop.Actor, 0, 1000)
	h.must(err)
	slices.Reverse(es)
	return es
}

func ptr[T any](v T) *T { return &v }
