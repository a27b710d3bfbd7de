package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"planet/ledger"
)

const (
	maxBatch = 256  // transactions in one commit, so that the first does not wait for ever
	maxTries = 5    // runs of a transaction that collides with another copy of the node
	maxMoney = 4096 // submissions to the ledger in one commit: they share one Apply
	maxQueue = 4096 // transactions that wait; the next one is refused, or a flood would fill the memory with work that comes too late
)

// Transaction runs fn with a handle on which reads see its own writes, and stores all that fn wrote or nothing.
// It returns nil only after COMMIT has reached the disk, and ErrBusy at once when too many wait, or after five seconds when another copy of the node holds a row. Any error of fn rolls back what fn did and comes back as it is; so does a panic.
//
// Transactions that wait for each other are run one after another, each under a savepoint, and share one commit and one fsync.
// Therefore:
//   - fn may run twice: it must have no effect but through tx, and set what it hands out afresh each time;
//   - fn runs on another goroutine, uses tx only until it returns and never the DB that Transaction was called on, which would wait for itself;
//   - fn touches no network: everybody waits for it;
//   - once a statement has failed fn returns an error: PostgreSQL refuses whatever follows.
//
// ctx is looked at before fn's turn and after it; when it has ended, nothing is stored and ctx.Err() comes back.
// In between statements run to their end: q makes sure of it, because a statement that SQLite interrupts takes the transactions beside it along.
// On a transaction's handle Transaction runs fn at once as a part of that transaction.
func (db *DB) Transaction(ctx context.Context, fn func(tx *DB) error) error {
	if db.over.Load() {
		return errOver
	}
	if db.tx != nil {
		return fn(db)
	}
	t := &turn{ctx: ctx, fn: fn, db: db, done: make(chan error, 1)}
	if err := db.writer.join(t); err != nil {
		return err
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		if t.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		return <-t.done // its turn has come: only the writer knows the end
	}
}

// turn is one transaction on its way through the writer.
type turn struct {
	ctx    context.Context
	fn     func(tx *DB) error
	money  *Submission // instead of fn: see Pay
	db     *DB
	done   chan error // holds one, so that the writer never waits for a caller
	state  atomic.Int32
	err    error         // what fn came to; the writer's, until it is sent
	result ledger.Result // with money: the ledger's answer
}

// The states of a turn. Whoever moves it away from waiting decides whether fn runs.
const (
	waiting = iota
	taken
	withdrawn
	answered
)

// writer owns the only connection that writes. Everything below is its goroutine's alone, except what mu guards and what is atomic.
type writer struct {
	pool  *sql.DB
	conn  *sql.Conn // nil while there is none
	gorm  *gorm.DB  // over the connection, whichever it is
	begin string    // how a transaction starts in this dialect

	setUp func(*sql.Conn) error // prepares a new connection

	// live says that a transaction is open on the connection. SQLite's rollback hook clears it, wherever the rollback came from:
	// without it the statements after an automatic rollback would be committed one by one.
	live atomic.Bool

	batch []*turn // taken and perhaps not answered
	limit int     // of a batch; tests change it before the first turn

	mu     sync.Mutex
	wake   sync.Cond // on mu: queue or closed changed
	queue  []*turn
	closed bool
	ended  chan struct{}

	commits atomic.Int64 // that stored something

	commit  func() error  // ends a transaction; tests put a failing one here
	broken  chan struct{} // closed, under mu, when the disk failed during a commit
	failure error         // why broken is closed; set before
}

func newWriter(pool *sql.DB, begin string, setUp func(*sql.Conn) error) *writer {
	w := &writer{pool: pool, begin: begin, setUp: setUp, limit: maxBatch, ended: make(chan struct{}), broken: make(chan struct{})}
	w.wake.L = &w.mu
	w.commit = func() error { return w.exec("COMMIT") }
	return w
}

// connect takes a connection unless there is one.
func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(c any) error {
		if lite, ok := c.(interface{ RegisterRollbackHook(func()) }); ok {
			lite.RegisterRollbackHook(func() { w.live.Store(false) })
		}
		return nil
	})
	if err == nil && w.setUp != nil {
		err = w.setUp(conn)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	w.conn = conn
	return nil
}

// disconnect drops a connection of which nobody knows the state; the database rolls back what was open on it.
func (w *writer) disconnect() {
	w.live.Store(false)
	if w.conn != nil {
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // makes database/sql close it
		_ = w.conn.Close()
		w.conn = nil
	}
}

// join puts t at the end of the queue, unless the writer is closed or the queue is full.
func (w *writer) join(t *turn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ErrClosed
	case w.failed() != nil:
		return w.failed()
	case len(w.queue) >= maxQueue:
		return ErrBusy
	}
	w.queue = append(w.queue, t)
	w.wake.Signal()
	return nil
}

// next takes the first turn whose caller has not given up. Without one it waits or returns nil; nil as well when the writer is closed.
func (w *writer) next(wait bool) *turn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) > 0 {
			t := w.queue[0]
			w.queue[0] = nil
			w.queue = w.queue[1:]
			if t.state.CompareAndSwap(waiting, taken) {
				return t
			}
		}
		if !wait || w.closed {
			return nil
		}
		w.wake.Wait()
	}
}

// close lets the running batch end, answers ErrClosed to those that wait, and returns when the goroutine has ended.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.refuse(ErrClosed)
	w.mu.Unlock()
	<-w.ended
}

// refuse answers err to all that wait. The caller holds mu.
func (w *writer) refuse(err error) {
	for _, t := range w.queue {
		if t.state.CompareAndSwap(waiting, taken) {
			t.done <- err
		}
	}
	w.queue = nil
	w.wake.Signal()
}

// fail ends all writing: the disk failed during a commit, and what has reached it shows only when the database is opened anew. A second
// fsync may say yes about pages that the first one lost (F19), so nothing is tried again.
func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = fmt.Errorf("%w (%w)", ErrBroken, err)
	close(w.broken)
	w.refuse(w.failure)
}

// failed is why nothing is written any more, if so.
func (w *writer) failed() error {
	select {
	case <-w.broken:
		return w.failure
	default:
		return nil
	}
}

// Watch returns nil when ctx ends, and an error that wraps ErrBroken when nothing can be written any more: then the node has to end.
func (db *DB) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-db.writer.broken:
		return db.writer.failure
	}
}

// run is the writer's goroutine: started by Open, ended by Close.
func (w *writer) run() {
	returned := false
	defer func() {
		if returned {
			close(w.ended)
			return
		}
		// A function left by runtime.Goexit, as a test's FailNow does, and takes this goroutine along: go on in another.
		w.disconnect()
		for _, t := range w.batch {
			w.answer(t, errors.New("a transaction's function ended its goroutine"))
		}
		go w.run()
	}()
	for t := w.next(true); t != nil; t = w.next(true) {
		w.together(t)
		clear(w.batch)
	}
	if w.conn != nil {
		_ = w.conn.Close()
	}
	returned = true
}

// together runs first, and all that wait by then, in one transaction of the database.
func (w *writer) together(first *turn) {
	w.batch = append(w.batch[:0], first)
	if err := w.start(); err != nil {
		w.answer(first, err)
		return
	}
	var money []*turn
	for t := first; t != nil; {
		if t.money != nil {
			money = append(money, t)
		} else if err := w.take(t); err != nil {
			w.rollback()
			w.apart(err)
			return
		}
		if t = nil; len(w.batch)-len(money) < w.limit && len(money) < maxMoney {
			if t = w.next(false); t != nil {
				w.batch = append(w.batch, t)
			}
		}
	}
	if err := w.settle(money); err != nil {
		w.rollback()
		w.apart(err)
		return
	}
	if err := w.finish(w.batch); err != nil {
		w.apart(err)
		return
	}
	if w.conn != nil { // else the commit went wrong
		first.db.keepHeads(w.conn, false) // before anybody is answered: whoever is may change the clock, or close the database
	}
	for _, t := range w.batch {
		w.answer(t, t.err)
	}
}

// apart follows a batch that was given up because of err: nothing of it is stored, and each turn is run again alone.
func (w *writer) apart(err error) {
	if len(w.batch) == 1 && !collided(err) { // it was alone already
		w.answer(w.batch[0], err)
		return
	}
	for _, t := range w.batch {
		w.answer(t, w.alone(t))
	}
}

// alone runs t in a transaction of its own, again while it collides with another copy of the node.
func (w *writer) alone(t *turn) (err error) {
	for range maxTries {
		if err = w.start(); err != nil {
			return err
		}
		if err = w.take(t); err != nil {
			w.rollback()
		} else if err = w.finish([]*turn{t}); err == nil {
			return t.err
		}
		if !collided(err) {
			return err
		}
	}
	return err
}

// take runs t under a savepoint and sets t.err; when that is not nil, t has left no trace.
// An error means that the whole transaction of the database has to be given up.
func (w *writer) take(t *turn) error {
	if t.money != nil {
		return w.settle([]*turn{t})
	}
	if t.err = t.ctx.Err(); t.err != nil {
		return nil
	}
	if err := w.exec("SAVEPOINT turn"); err != nil {
		return err
	}
	t.err = w.call(t)
	switch {
	case !w.live.Load():
		if t.err != nil {
			return t.err
		}
		return errRolledBack
	case t.err != nil && spoils(t.err):
		return t.err
	case t.err == nil:
		t.err = t.ctx.Err()
	}
	if t.err == nil {
		err := w.exec("RELEASE SAVEPOINT turn")
		if err == nil {
			return nil
		}
		t.err = fmt.Errorf("transaction went on after a failed statement: %w", err)
	}
	if err := w.exec("ROLLBACK TO SAVEPOINT turn"); err != nil {
		return errors.Join(t.err, err)
	}
	return w.exec("RELEASE SAVEPOINT turn")
}

// call runs t's function and makes an error of a panic.
func (w *writer) call(t *turn) (err error) {
	tx := w.handle(t.db)
	defer func() {
		tx.over.Store(true)
		if p := recover(); p != nil {
			t.db.Log.Error("panic in a transaction", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return t.fn(tx)
}

// handle is what a function in the open transaction of db gets.
func (w *writer) handle(db *DB) *DB {
	return &DB{Now: db.Now, Log: db.Log, dialect: db.dialect, ids: db.ids, clock: db.clock, inserts: db.inserts, tx: w.gorm}
}

// start begins a transaction of the database, on a new connection if the old one was lost meanwhile.
func (w *writer) start() error {
	if err := w.failed(); err != nil {
		return err
	}
	ctx := context.Background()
	for first := true; ; first = false {
		if err := w.connect(ctx); err != nil {
			return fmt.Errorf("connect to write: %w", err)
		}
		_, err := w.conn.ExecContext(ctx, w.begin)
		if err == nil {
			w.live.Store(true)
			return nil
		}
		if !refused(err) {
			w.disconnect()
			if first {
				continue
			}
		}
		return fmt.Errorf("begin: %w", err)
	}
}

// finish commits, or rolls back if no turn of ts has anything to store. After an error nothing is stored and nothing is open,
// save that with ErrUnknown nobody knows; that is set on the turns and is no error of finish: they must not run again.
func (w *writer) finish(ts []*turn) error {
	any := false
	for _, t := range ts {
		any = any || t.err == nil
	}
	if !any {
		w.rollback()
		return nil
	}
	err := w.commit()
	switch {
	case err == nil:
		w.live.Store(false)
		w.commits.Add(1)
		return nil
	case diskFailed(err):
		w.fail(err)
	case err == errRolledBack || refused(err):
		w.rollback()
		return fmt.Errorf("commit: %w", err)
	}
	w.disconnect()
	for _, t := range ts {
		if t.err == nil {
			t.err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	return nil
}

// rollback ends the open transaction, if there is one, whatever that takes.
func (w *writer) rollback() {
	if w.live.Load() && w.exec("ROLLBACK") != nil && w.live.Load() {
		w.disconnect()
	}
	w.live.Store(false)
}

// exec runs one of the writer's own statements in the open transaction.
func (w *writer) exec(query string) error {
	_, err := w.ExecContext(context.Background(), query)
	return err
}

// answer tells t's caller, once.
func (w *writer) answer(t *turn, err error) {
	if lockTimeout(err) {
		t.db.Log.Warn("another copy of the node held a row for too long", "err", err)
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if t.state.CompareAndSwap(taken, answered) {
		t.done <- err
	}
}

// ready is nil while a transaction is open on the connection.
func (w *writer) ready() error {
	if !w.live.Load() {
		return errRolledBack
	}
	return nil
}

// PrepareContext, like the three below, makes the writer gorm's connection (gorm.ConnPool) and refuses a statement outside a transaction.
func (w *writer) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := w.ready(); err != nil {
		return nil, err
	}
	return w.conn.PrepareContext(ctx, query)
}

// ExecContext runs a statement without rows.
func (w *writer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := w.ready(); err != nil {
		return nil, err
	}
	return w.conn.ExecContext(ctx, query, args...)
}

// QueryContext runs a statement with rows.
func (w *writer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := w.ready(); err != nil {
		return nil, err
	}
	return w.conn.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a statement with one row. A row cannot carry our error: outside a transaction it says "context canceled".
func (w *writer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if w.ready() != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	return w.conn.QueryRowContext(ctx, query, args...)
}
