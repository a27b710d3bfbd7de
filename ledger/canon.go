package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// The canonical text of an entry, version 1: one field per line, LF, a fixed order, nothing optional that is empty.
// The head is public. The opening is the rest: in a currency of privacy Members the log shows a salted commitment to it instead (ledger/proof).
// What was written once is never written differently; another form gets another first line.
const canonVersion = "planet.ledger/v1"

// Canon is an entry's head and opening: what ParseEntry reads, byte for byte.
func Canon(e Entry) []byte { return AppendOpening(AppendHead(make([]byte, 0, 512), e), e) }

// AppendHead appends the six lines of an entry that everybody may see: version, currency, seq, at, kind and id.
func AppendHead(b []byte, e Entry) []byte {
	b = append(b, canonVersion+"\ncurrency "...)
	b = append(b, e.Currency...)
	b = appendUint(b, "\nseq ", uint64(e.Seq))
	b = appendUint(b, "\nat ", uint64(e.At))
	b = append(append(b, "\nkind "...), e.Kind()...)
	return appendHex(b, "\nid ", e.ID().bytes(), '\n')
}

func (id ID) bytes() []byte { return id[:] }

// ID is the id of the entry's command; of an expiry, the transfer's.
func (e Entry) ID() ID {
	if e.Cmd == nil {
		return ID{}
	}
	return e.Cmd.id()
}

// Kind is the word for the entry's command: currency, rules, open, limits, flags, rebind, pay, post, void, expire, refund, abort or note.
func (e Entry) Kind() string {
	switch e.Cmd.(type) {
	case OpenCurrency:
		return "currency"
	case SetRules:
		return "rules"
	case OpenAccount:
		return "open"
	case SetLimits:
		return "limits"
	case SetFlags:
		return "flags"
	case Rebind:
		return "rebind"
	case Pay:
		return "pay"
	case Post:
		return "post"
	case Void:
		return "void"
	case expire:
		return "expire"
	case Refund:
		return "refund"
	case Abort:
		return "abort"
	case Note:
		return "note"
	}
	return "none"
}

// AppendOpening appends the lines of an entry that only those concerned may see.
func AppendOpening(b []byte, e Entry) []byte {
	w := writer{b}
	w.id("group", e.Group)
	switch c := e.Cmd.(type) {
	case OpenCurrency:
		w.text("code", c.Currency.Code)
		w.num("scale", int64(c.Currency.Scale))
		w.text("is", c.Currency.Kind.String())
		w.text("privacy", c.Currency.Privacy.String())
		w.rules(c.Currency.Rules)
	case SetRules:
		w.rules(c.Rules)
		w.text("decision", c.Decision)
	case OpenAccount:
		w.id("account", c.Account)
		w.text("ref", c.Ref)
		w.text("role", c.Role.String())
		w.bound("floor", c.Floor)
		w.bound("ceil", c.Ceil)
		w.text("decision", c.Decision)
	case SetLimits:
		w.id("account", c.Account)
		w.bound("floor", c.Floor)
		w.bound("ceil", c.Ceil)
		w.bound("soft_floor", c.SoftFloor)
		w.bound("soft_ceil", c.SoftCeil)
		w.text("decision", c.Decision)
		w.count("if_version", c.IfVersion)
	case SetFlags:
		w.id("account", c.Account)
		w.num("flags", int64(c.Flags))
		w.text("decision", c.Decision)
		w.count("if_version", c.IfVersion)
	case Rebind:
		w.id("account", c.Account)
		w.text("ref", c.NewRef)
		w.text("decision", c.Decision)
		w.digest("auth", c.Auth)
	case Pay:
		w.text("code", c.Code.String())
		w.count("timeout", uint64(c.Timeout))
		w.id("settles", c.Settles)
		w.digest("memo", c.Memo)
		w.digest("auth", c.Auth)
		w.count("effective", uint64(c.EffectiveAt))
		w.moved(e)
	case Post:
		w.id("pending", c.Pending)
		w.num("asked", int64(c.Amount))
		w.digest("auth", c.Auth)
		w.moved(e)
	case Void:
		w.id("pending", c.Pending)
		w.digest("auth", c.Auth)
		w.moved(e)
	case expire:
		w.moved(e)
	case Refund:
		w.id("original", c.Original)
		w.num("asked", int64(c.Amount))
		w.digest("memo", c.Memo)
		w.digest("auth", c.Auth)
		w.moved(e)
	case Abort:
		w.id("target", c.Target)
	case Note:
		w.text("note", c.Kind.String())
		w.text("body", base64.StdEncoding.EncodeToString(c.Body))
	}
	return w.b
}

// writer appends lines. What is zero and may be left out is left out by id, digest, text and count; num and bound always stand.
type writer struct{ b []byte }

func (w *writer) key(k string) { w.b = append(append(w.b, k...), ' ') }

func (w *writer) id(k string, v ID) {
	if !v.IsZero() {
		w.key(k)
		w.b = append(hex.AppendEncode(w.b, v[:]), '\n')
	}
}

func (w *writer) digest(k string, v Digest) {
	if v != (Digest{}) {
		w.key(k)
		w.b = append(hex.AppendEncode(w.b, v[:]), '\n')
	}
}

func (w *writer) text(k, v string) {
	if v != "" {
		w.key(k)
		w.b = append(append(w.b, v...), '\n')
	}
}

func (w *writer) count(k string, v uint64) {
	if v != 0 {
		w.key(k)
		w.b = append(strconv.AppendUint(w.b, v, 10), '\n')
	}
}

func (w *writer) num(k string, v int64) {
	w.key(k)
	w.b = append(strconv.AppendInt(w.b, v, 10), '\n')
}

func (w *writer) bound(k string, v Bound) {
	if !v.Set {
		w.text(k, "none")
		return
	}
	w.num(k, v.V)
}

func (w *writer) rules(r Rules) {
	w.bound("floor", r.Floor)
	w.bound("ceil", r.Ceil)
	w.num("max_transfer", int64(r.MaxTransfer))
	w.num("max_pending", int64(r.MaxPending))
	w.text("opened_by", r.Open.String())
	if l := r.Levy; !l.To.IsZero() {
		w.num("levy", int64(l.BasisPoints))
		w.num("levy_least", int64(l.Least))
		w.num("levy_most", int64(l.Most))
		w.id("levy_to", l.To)
	}
}

func (w *writer) moved(e Entry) {
	w.id("debit", e.Debit)
	w.id("credit", e.Credit)
	w.num("amount", int64(e.Amount))
	w.num("debit_after", e.DebitAfter)
	w.num("credit_after", e.CreditAfter)
}

func appendUint(b []byte, k string, v uint64) []byte {
	return strconv.AppendUint(append(b, k...), v, 10)
}

func appendHex(b []byte, k string, v []byte, end byte) []byte {
	return append(hex.AppendEncode(append(b, k...), v), end)
}

// ParseEntry is the exact inverse of Canon: Canon(ParseEntry(b)) is b, and whatever else is refused.
func ParseEntry(b []byte) (Entry, error) {
	r := reader{rest: b}
	if line := r.line(); line != canonVersion {
		return Entry{}, fmt.Errorf("entry begins with %q, want %q", clip(line), canonVersion)
	}
	e := Entry{Currency: r.text("currency"), Seq: Seq(r.count("seq")), At: Instant(r.count("at"))}
	kind, id := r.text("kind"), r.id("id")
	e.Group = r.maybeID("group")
	switch kind {
	case "currency":
		c := Currency{IRI: e.Currency, ID: NewID("currency", e.Currency), Code: r.text("code"), Scale: uint8(r.num("scale"))}
		c.Kind = readName[Kind](&r, kindNames, "is")
		c.Privacy = readName[Privacy](&r, privacyNames, "privacy")
		c.Rules = r.rules()
		e.Cmd = OpenCurrency{ID: id, Currency: c}
	case "rules":
		e.Cmd = SetRules{ID: id, Currency: NewID("currency", e.Currency), Rules: r.rules(), Decision: r.text("decision")}
	case "open":
		e.Cmd = OpenAccount{ID: id, Account: r.id("account"), Currency: NewID("currency", e.Currency), Ref: r.text("ref"), Role: readName[Role](&r, roleNames, "role"),
			Floor: r.bound("floor"), Ceil: r.bound("ceil"), Decision: r.maybe("decision")}
	case "limits":
		e.Cmd = SetLimits{ID: id, Account: r.id("account"), Floor: r.bound("floor"), Ceil: r.bound("ceil"), SoftFloor: r.bound("soft_floor"),
			SoftCeil: r.bound("soft_ceil"), Decision: r.text("decision"), IfVersion: r.maybeCount("if_version")}
	case "flags":
		e.Cmd = SetFlags{ID: id, Account: r.id("account"), Flags: Flags(r.num("flags")), Decision: r.text("decision"), IfVersion: r.maybeCount("if_version")}
	case "rebind":
		e.Cmd = Rebind{ID: id, Account: r.id("account"), NewRef: r.text("ref"), Decision: r.text("decision"), Auth: r.maybeDigest("auth")}
	case "pay":
		p := Pay{ID: id, Currency: NewID("currency", e.Currency), Code: readName[Code](&r, codeNames, "code"), Timeout: time.Duration(r.maybeCount("timeout")),
			Settles: r.maybeID("settles"), Memo: r.maybeDigest("memo"), Auth: r.maybeDigest("auth"), EffectiveAt: Instant(r.maybeCount("effective"))}
		r.moved(&e)
		p.Debit, p.Credit, p.Amount, p.Pending = e.Debit, e.Credit, e.Amount, p.Timeout != 0
		e.Cmd = p
	case "post":
		e.Cmd = Post{ID: id, Pending: r.id("pending"), Amount: Amount(r.num("asked")), Auth: r.maybeDigest("auth")}
		r.moved(&e)
	case "void":
		e.Cmd = Void{ID: id, Pending: r.id("pending"), Auth: r.maybeDigest("auth")}
		r.moved(&e)
	case "expire":
		e.Cmd = expire{Pending: id}
		r.moved(&e)
	case "refund":
		e.Cmd = Refund{ID: id, Original: r.id("original"), Amount: Amount(r.num("asked")), Memo: r.maybeDigest("memo"), Auth: r.maybeDigest("auth")}
		r.moved(&e)
	case "abort":
		e.Cmd = Abort{ID: id, Currency: NewID("currency", e.Currency), Target: r.id("target")}
	case "note":
		n := Note{ID: id, Currency: NewID("currency", e.Currency), Kind: readName[NoteKind](&r, noteNames, "note")}
		n.Body, _ = base64.StdEncoding.DecodeString(r.maybe("body"))
		e.Cmd = n
	default:
		r.fail("kind", kind, "a kind of entry")
	}
	switch {
	case r.err != nil:
		return Entry{}, fmt.Errorf("entry %d: %w", e.Seq, r.err)
	case len(r.rest) != 0:
		return Entry{}, fmt.Errorf("entry %d: %q is too much", e.Seq, clip(r.line()))
	case !bytes.Equal(Canon(e), b): // a leading zero, an upper-case digit, an overflow: one text for one meaning
		return Entry{}, fmt.Errorf("entry %d is not in canonical form", e.Seq)
	}
	return e, nil
}

// reader takes lines off. After the first mistake it gives zeros and keeps the mistake.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) line() string {
	line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
	if !ok && r.err == nil {
		r.err = fmt.Errorf("it ends within a line")
	}
	r.rest = rest
	return string(line)
}

// maybe is the value of the next line if that has the key.
func (r *reader) maybe(key string) string {
	if r.err != nil || !bytes.HasPrefix(r.rest, []byte(key)) || len(r.rest) <= len(key) || r.rest[len(key)] != ' ' {
		return ""
	}
	return r.line()[len(key)+1:]
}

func (r *reader) text(key string) string {
	v := r.maybe(key)
	if v == "" && r.err == nil {
		r.err = fmt.Errorf("line %q is missing", key)
	}
	return v
}

func (r *reader) fail(key, v, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s %q: want %s", key, clip(v), want)
	}
}

func (r *reader) count(key string) uint64 {
	v := r.text(key)
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		r.fail(key, v, "a number")
	}
	return n
}

func (r *reader) num(key string) int64 {
	v := r.text(key)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		r.fail(key, v, "a number")
	}
	return n
}

func (r *reader) maybeCount(key string) uint64 {
	v := r.maybe(key)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		r.fail(key, v, "a number")
	}
	return n
}

func (r *reader) bytes(key, v string, into []byte) {
	if len(v) != 2*len(into) {
		r.fail(key, v, fmt.Sprintf("%d hexadecimal digits", 2*len(into)))
		return
	}
	if _, err := hex.Decode(into, []byte(v)); err != nil {
		r.fail(key, v, "hexadecimal digits")
	}
}

func (r *reader) id(key string) (id ID) {
	r.bytes(key, r.text(key), id[:])
	return id
}

func (r *reader) maybeID(key string) (id ID) {
	if v := r.maybe(key); v != "" {
		r.bytes(key, v, id[:])
	}
	return id
}

func (r *reader) maybeDigest(key string) (d Digest) {
	if v := r.maybe(key); v != "" {
		r.bytes(key, v, d[:])
	}
	return d
}

func (r *reader) bound(key string) Bound {
	v := r.text(key)
	if v == "none" || r.err != nil {
		return Bound{}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		r.fail(key, v, "a number or none")
	}
	return At(n)
}

func readName[T ~uint8](r *reader, n names, key string) T {
	v := r.text(key)
	x, err := parseName[T](n, key, v)
	if err != nil && r.err == nil {
		r.err = err
	}
	return x
}

func (r *reader) rules() Rules {
	x := Rules{Floor: r.bound("floor"), Ceil: r.bound("ceil"), MaxTransfer: Amount(r.num("max_transfer")), MaxPending: uint16(r.num("max_pending")),
		Open: readName[OpenRule](r, openNames, "opened_by")}
	if v := r.maybe("levy"); v != "" {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			r.fail("levy", v, "basis points")
		}
		x.Levy = Levy{BasisPoints: uint16(n), Least: Amount(r.num("levy_least")), Most: Amount(r.num("levy_most")), To: r.id("levy_to")}
	}
	return x
}

func (r *reader) moved(e *Entry) {
	e.Debit, e.Credit, e.Amount = r.id("debit"), r.id("credit"), Amount(r.num("amount"))
	e.DebitAfter, e.CreditAfter = r.num("debit_after"), r.num("credit_after")
}
