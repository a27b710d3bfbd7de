package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// What is asked and stored about every activity that comes in goes past gorm to database/sql here: to build a statement takes gorm longer
// than SQLite needs to run it (docs/performance.md). The statements have ? for their values, as gorm's have.

// one reads the one row of a query, or ErrNotFound.
func (db *DB) one(ctx context.Context, query string, args []any, targets ...any) error {
	ctx, conn, err := db.plain(ctx)
	if err != nil {
		return err
	}
	defer db.slow(ctx, query)()
	return translate(conn.QueryRowContext(ctx, db.numbered(query), args...).Scan(targets...))
}

// row is one for those who scan by themselves.
func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	return func(targets ...any) error { return db.one(ctx, query, args, targets...) }
}

type scanner func(targets ...any) error

func (s scanner) Scan(targets ...any) error { return s(targets...) }

// run runs a statement without rows, and says how many rows it changed.
func (db *DB) run(ctx context.Context, query string, args ...any) (changed int64, err error) {
	ctx, conn, err := db.plain(ctx)
	if err != nil {
		return 0, err
	}
	defer db.slow(ctx, query)()
	r, err := conn.ExecContext(ctx, db.numbered(query), args...)
	if err != nil {
		if t, ok := db.q(ctx).Dialector.(gorm.ErrorTranslator); ok {
			err = t.Translate(err)
		}
		return 0, translate(err)
	}
	return r.RowsAffected()
}

// each reads the rows of a query and hands them to fn, until one is refused.
func (db *DB) each(ctx context.Context, query string, args []any, fn func(*sql.Rows) error) error {
	ctx, conn, err := db.plain(ctx)
	if err != nil {
		return err
	}
	return eachRow(ctx, conn, db.numbered(query), args, fn)
}

// spread is each for statements with IN ?, where a value is a list: of ids or texts, and never empty (see some).
func (db *DB) spread(ctx context.Context, query string, args []any, fn func(*sql.Rows) error) error {
	var b strings.Builder
	var all []any
	for i, part := range strings.Split(query, "?") {
		if b.WriteString(part); i == len(args) {
			break
		}
		before := len(all)
		switch list := args[i].(type) {
		case []ID:
			for _, id := range list {
				all = append(all, int64(id))
			}
		case []string:
			for _, s := range list {
				all = append(all, s)
			}
		default:
			all = append(all, list)
			b.WriteByte('?')
			continue
		}
		b.WriteString("(?" + strings.Repeat(", ?", len(all)-before-1) + ")")
	}
	return db.each(ctx, b.String(), all, fn)
}

func eachRow(ctx context.Context, conn gorm.ConnPool, query string, args []any, fn func(*sql.Rows) error) error {
	rows, err := conn.QueryContext(ctx, query, args...)
	return scanned(rows, err, fn)
}

// scanned hands the rows of a query on, one by one.
func scanned(rows *sql.Rows, err error, fn func(*sql.Rows) error) error {
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// insert stores a row, a pointer to a struct, in its table. fresh is false when one is there that has the same in the columns
// of unique ("": in those of any unique index), and nothing is changed.
func (db *DB) insert(ctx context.Context, row any, unique string) (fresh bool, err error) {
	v := reflect.ValueOf(row).Elem()
	in, err := db.inserts.of(row, unique)
	if err != nil {
		return false, err
	}
	args := make([]any, len(in.fields))
	for i, f := range in.fields {
		args[i], _ = f.ValueOf(ctx, v)
	}
	n, err := db.run(ctx, in.query, args...)
	return n == 1, err
}

// take reads the one row that is where, into a pointer to a struct of its table, or says ErrNotFound.
func (db *DB) take(ctx context.Context, row any, where string, args ...any) error {
	in, err := db.inserts.of(row, "")
	if err != nil {
		return err
	}
	values := make([]any, len(in.fields))
	for i, f := range in.fields {
		values[i] = f.NewValuePool.Get()
		defer f.NewValuePool.Put(values[i])
	}
	if err := db.one(ctx, in.from+where, args, values...); err != nil {
		return err
	}
	v := reflect.ValueOf(row).Elem()
	for i, f := range in.fields {
		if err := f.Set(ctx, v, values[i]); err != nil {
			return fmt.Errorf("read %s.%s: %w", f.Schema.Table, f.DBName, err)
		}
	}
	return nil
}

// found is q.Find for what many people read, many rows at a time: gorm writes the statement, and its rows go past it into the fields of T.
// A column that may be NULL is a pointer, bytes or JSON in T. about is how many rows are expected.
func found[T any](db *DB, q *gorm.DB, about int) ([]T, error) {
	q = q.Session(&gorm.Session{DryRun: true}).Find(new([]T))
	if q.Error != nil {
		return nil, translate(q.Error)
	}
	s := q.Statement
	query := s.SQL.String()
	defer db.slow(s.Context, query)()
	rows, err := s.ConnPool.QueryContext(s.Context, query, s.Vars...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	fields, targets, texts := make([]*schema.Field, len(names)), make([]any, len(names)), make([]sql.RawBytes, len(names))
	for i, name := range names {
		if fields[i] = s.Schema.LookUpField(name); fields[i] == nil {
			return nil, fmt.Errorf("read %s: no field for %s", s.Table, name)
		}
	}
	var out []T
	for rows.Next() {
		if out == nil {
			out = make([]T, 0, min(about, 80))
		}
		out = append(out, *new(T))
		row := reflect.ValueOf(&out[len(out)-1]).Elem()
		for i, f := range fields {
			if targets[i] = &texts[i]; f.Serializer == nil {
				targets[i] = f.ReflectValueOf(s.Context, row).Addr().Interface()
			}
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Table, err)
		}
		for i, f := range fields {
			if f.Serializer == nil || len(texts[i]) == 0 {
				continue
			}
			if err := json.Unmarshal(texts[i], f.ReflectValueOf(s.Context, row).Addr().Interface()); err != nil {
				return nil, fmt.Errorf("read %s.%s: %w", s.Table, f.DBName, err)
			}
		}
	}
	return out, translate(rows.Err())
}

// inserts keeps the statements of insert and take: their columns are those that gorm sees.
type inserts struct {
	schemas, known sync.Map // of gorm; of ours, by insertKey
}

type insertKey struct {
	row    reflect.Type
	unique string
}

type insertion struct {
	query  string // of insert
	from   string // of take, to its WHERE
	fields []*schema.Field
}

func (s *inserts) of(row any, unique string) (*insertion, error) {
	key := insertKey{reflect.TypeOf(row), unique}
	if in, ok := s.known.Load(key); ok {
		return in.(*insertion), nil
	}
	table, err := schema.Parse(row, &s.schemas, schema.NamingStrategy{})
	if err != nil {
		return nil, err
	}
	in := &insertion{}
	for _, name := range table.DBNames {
		in.fields = append(in.fields, table.FieldsByDBName[name])
	}
	if unique != "" {
		unique = "(" + unique + ") "
	}
	in.query = fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT %sDO NOTHING",
		table.Table, strings.Join(table.DBNames, ", "), strings.Repeat(", ?", len(in.fields)-1), unique)
	in.from = fmt.Sprintf("SELECT %s FROM %s WHERE ", strings.Join(table.DBNames, ", "), table.Table)
	s.known.Store(key, in)
	return in, nil
}

// plain is what a statement runs on: the read pool, or inside a transaction its connection, where it runs to its end (see q).
func (db *DB) plain(ctx context.Context) (context.Context, gorm.ConnPool, error) {
	switch {
	case db.tx == nil:
		return ctx, db.pool, nil
	case db.over.Load():
		return ctx, nil, errOver
	}
	return context.WithoutCancel(ctx), db.tx.Statement.ConnPool, nil // of the transaction, where gorm began it
}

// numbered writes the placeholders of the dialect. None of our statements has a ? in a text.
func (db *DB) numbered(query string) string {
	if db.dialect != postgresDialect {
		return steady(query)
	}
	return dollars(query)
}

// steady keeps SQLite from looking at the values of a statement. Where no index serves "column = ?" it would ask whether the value is 0 or 1, to plan for
// many rows or few (whereLoopOutputAdjust), and the driver, which clears the values of a statement that it keeps, would have it parsed and planned
// anew each time: half of what a page of a timeline takes. A + before a value changes nothing else.
func steady(query string) string { return strings.ReplaceAll(query, "?", "+?") }

// steadyDialector is steady for the statements of gorm.
type steadyDialector struct{ *sqlite.Dialector }

// BindVarTo writes a placeholder.
func (steadyDialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) {
	_, _ = w.WriteString("+?")
}

func dollars(query string) string {
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
	}
	return b.String()
}
